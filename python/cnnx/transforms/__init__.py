"""Transforms of single images, as in torchvision.

A `DataLoader` recognises `ToTensor`, alone or followed by one `Normalize`, and then does both for whole
batches in native code, with the same result to the bit.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cnnx import _C
from cnnx.tensor import Tensor

__all__ = ["Compose", "Lambda", "Normalize", "ToTensor"]


class Compose:
    """Several transforms, one after the other.

    Parameters
    ----------
    transforms
        Callables; each gets what the one before returned.

    Examples
    --------
    >>> Compose([ToTensor(), Normalize((0.5,), (0.5,))])
    Compose(
        ToTensor()
        Normalize(mean=(0.5,), std=(0.5,))
    )
    """

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        self.transforms = list(transforms)

    def __call__(self, img: Any) -> Any:
        """Applies the transforms to `img`."""
        for transform in self.transforms:
            img = transform(img)
        return img

    def __repr__(self) -> str:
        lines = "".join(f"\n    {transform}" for transform in self.transforms)
        return f"{type(self).__name__}({lines}\n)"


class ToTensor:
    """An image as a float32 tensor (C, H, W).

    A PIL image or a NumPy array (H, W) or (H, W, C). 8-bit values are divided by 255, so they come to lie in
    [0, 1]; an array of another dtype keeps its values (and its dtype, if tensors have it), as in torchvision.

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
            array = pic
        elif _is_pil_image(pic):
            array = np.asarray(pic)
            if array.dtype == bool:  # PIL's one-bit images stand for black and white
                array = array.astype(np.uint8) * np.uint8(255)
        else:
            raise TypeError(f"ToTensor: needs a PIL image or a NumPy array, got {type(pic).__name__}")
        if array.ndim not in (2, 3):
            raise ValueError(f"ToTensor: needs an array of shape (H, W) or (H, W, C), got {array.shape}")
        if array.ndim == 2:
            array = array[:, :, None]
        array = array.transpose(2, 0, 1)
        if array.dtype == np.uint8:
            array = array.astype(np.float32, order="C") / np.float32(255)
        return _C.from_numpy(np.ascontiguousarray(array), True)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class Normalize:
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
        If it has less than three dimensions, or if `std` holds a zero.

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

    def __call__(self, tensor: Tensor) -> Tensor:
        """The normalised `tensor` (..., C, H, W)."""
        if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
            what = tensor.dtype if isinstance(tensor, Tensor) else type(tensor).__name__
            raise TypeError(f"Normalize: needs a floating-point tensor, got {what}; put ToTensor() before it")
        if tensor.ndim < 3:
            raise ValueError(f"Normalize: needs a tensor of shape (..., C, H, W), got {tuple(tensor.shape)}")
        mean, std = _per_channel(self.mean, tensor), _per_channel(self.std, tensor)
        if not std.numpy().all():
            raise ValueError(f"Normalize: std {self.std} holds a zero in {tensor.dtype}")
        if self.inplace:
            return tensor.sub_(mean).div_(std)
        return (tensor - mean) / std

    def __repr__(self) -> str:
        return f"{type(self).__name__}(mean={self.mean}, std={self.std})"


class Lambda:
    """A function as a transform.

    Parameters
    ----------
    lambd
        Called with the image.
    """

    def __init__(self, lambd: Callable[[Any], Any]) -> None:
        if not callable(lambd):
            raise TypeError(f"Lambda: needs a callable, got {type(lambd).__name__}")
        self.lambd = lambd

    def __call__(self, img: Any) -> Any:
        """`lambd(img)`."""
        return self.lambd(img)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


def _is_pil_image(value: Any) -> bool:
    # An image exists only if somebody imported PIL.
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(value, module.Image)


def _per_channel(values: float | Sequence[float], tensor: Tensor) -> Tensor:
    array = np.atleast_1d(np.asarray(values, dtype=tensor.dtype.name))
    return _C.from_numpy(array.reshape(-1, 1, 1), True)


def native_scale(transform: Any) -> tuple[list[float], list[float]] | None:
    """(mean, std) if `transform` is ToTensor, alone (both are empty) or with one Normalize; else None."""
    chain = _flatten(transform)
    if not chain or type(chain[0]) is not ToTensor or len(chain) > 2:
        return None
    if len(chain) == 1:
        return [], []
    normalize = chain[1]
    if type(normalize) is not Normalize:
        return None
    mean = np.atleast_1d(np.asarray(normalize.mean, dtype=np.float64))
    std = np.atleast_1d(np.asarray(normalize.std, dtype=np.float64))
    # One value each: what images of one channel take. Others go image by image, where shapes are checked.
    if mean.size != 1 or std.size != 1:
        return None
    return [float(mean.flat[0])], [float(std.flat[0])]


def _flatten(transform: Any) -> list[Any]:
    if type(transform) is Compose:
        return [step for inner in transform.transforms for step in _flatten(inner)]
    return [transform]
