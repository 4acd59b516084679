"""Images as tensors, and tensors normalised."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cnnx import _C, pictures
from cnnx.tensor import Tensor
from cnnx.transforms.base import ImageTransform, native
from cnnx.transforms.images import is_pil_image


@native
class ToTensor:
    """An image as a float32 tensor (C, H, W).

    A PIL image or a NumPy array (H, W) or (H, W, C). 8-bit values are divided by 255, so they come to lie in
    [0, 1], and so do images of one bit (mode 1) and, unlike in torchvision, of 16 bits (modes I;16, I;16B and
    their like, and I from PNG and PGM files), divided by 65535. As in torchvision, other images of mode I
    become int32 and those of mode F float32 with their values as they are, mode P gives places in the palette
    (divided by 255), transparency is a channel, and an array of another dtype keeps its values (and its
    dtype, if tensors have it).

    Raises
    ------
    TypeError
        If the image is neither a PIL image nor an array.
    ValueError
        If the array has not two or three dimensions.

    Examples
    --------
    >>> ToTensor()(np.array([[0, 255]], dtype=np.uint8)).numpy()
    array([[[0., 1.]]], dtype=float32)
    """

    def __call__(self, pic: Any) -> Tensor:
        """The tensor of `pic`."""
        if isinstance(pic, np.ndarray):
            if pic.ndim not in (2, 3):
                raise ValueError(f"ToTensor: needs an array of shape (H, W) or (H, W, C), got {pic.shape}")
            array, white = pic, 255 if pic.dtype == np.uint8 else None
        elif is_pil_image(pic):
            array, white = pictures.values(pic), pictures.white(pic)
        else:
            raise TypeError(f"ToTensor: needs a PIL image or a NumPy array, got {type(pic).__name__}")
        return _channels_first("ToTensor", array, white)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class PILToTensor:
    """A PIL image as a tensor (C, H, W) of its values, which are not scaled.

    uint8; bool for mode 1, int32 for modes of 16 and 32 bits (I;16, I, ...), float32 for mode F. Mode P gives
    places in the palette, as label images need it.

    Raises
    ------
    TypeError
        If it is no PIL image.

    Examples
    --------
    >>> from PIL import Image
    >>> PILToTensor()(Image.new("RGB", (2, 1), (1, 2, 3))).tolist()
    [[[1, 1]], [[2, 2]], [[3, 3]]]
    """

    def __call__(self, pic: Any) -> Tensor:
        """The tensor of `pic`."""
        if not is_pil_image(pic):
            raise TypeError(f"PILToTensor: needs a PIL image, got {type(pic).__name__}")
        return _channels_first("PILToTensor", pictures.values(pic))

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


@native
class Normalize(ImageTransform):
    """(image - mean) / std per channel.

    Parameters
    ----------
    mean, std
        One number per channel.
    inplace
        Change the given tensor instead of making a new one.

    Raises
    ------
    TypeError
        If the image is not a floating-point tensor.
    ValueError
        If it has less than three dimensions or another number of channels, or if `std` holds a zero.

    Examples
    --------
    >>> Normalize((0.5,), (0.5,))(ToTensor()(np.array([[0, 255]], dtype=np.uint8))).numpy()
    array([[[-1.,  1.]]], dtype=float32)
    """

    def __init__(
        self, mean: float | Sequence[float], std: float | Sequence[float], inplace: bool = False
    ) -> None:
        self.mean = mean
        self.std = std
        self.inplace = inplace

    def forward(self, tensor: Tensor) -> Tensor:
        """The normalised `tensor` (..., C, H, W)."""
        if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
            what = tensor.dtype if isinstance(tensor, Tensor) else type(tensor).__name__
            raise TypeError(f"Normalize: needs a floating-point tensor, got {what}; put ToTensor() before it")
        if tensor.ndim < 3:
            raise ValueError(f"Normalize: needs a tensor of shape (..., C, H, W), got {tuple(tensor.shape)}")
        mean, std = _per_channel(self.mean, tensor), _per_channel(self.std, tensor)
        for which, values in (("mean", mean), ("std", std)):
            if len(values) not in (1, tensor.shape[-3]):
                shape = tuple(tensor.shape)
                raise ValueError(f"Normalize: {len(values)} values of {which} for the channels of {shape}")
        if not std.numpy().all():
            raise ValueError(f"Normalize: std {self.std} holds a zero in {tensor.dtype}")
        mean, std = mean.to(tensor.device), std.to(tensor.device)
        if self.inplace:
            return tensor.sub_(mean).div_(std)
        return (tensor - mean) / std

    def _step(self, pillow: bool) -> _C.ImageStep:
        return _C.normalize_step(*self.values())

    def values(self) -> tuple[list[float], list[float]]:
        """Means and standard deviations, one for all channels or one each."""
        mean, std = (np.atleast_1d(np.asarray(v, dtype=np.float64)) for v in (self.mean, self.std))
        return mean.tolist(), std.tolist()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(mean={self.mean}, std={self.std})"


def _channels_first(op: str, array: np.ndarray[Any, Any], white: int | None = None) -> Tensor:
    planes = array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
    if white is not None:
        planes = planes.astype(np.float32, order="C") / np.float32(white)
    try:
        return _C.from_numpy(np.ascontiguousarray(planes), True)
    except TypeError as error:
        raise TypeError(str(error).replace("from_numpy", op, 1)) from None


def _per_channel(values: float | Sequence[float], tensor: Tensor) -> Tensor:
    array = np.atleast_1d(np.asarray(values, dtype=tensor.dtype.name))
    return _C.from_numpy(array.reshape(-1, 1, 1), True)
