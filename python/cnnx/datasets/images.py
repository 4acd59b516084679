"""What the image data sets share: uint8 images and labels in memory, samples, and native batches."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from cnnx import _C
from cnnx.creation import tensor
from cnnx.datasets.vision import TRANSFORMS, VisionDataset, plain_transform
from cnnx.shortcuts import lookup
from cnnx.tensor import Tensor
from cnnx.transforms.native import batch_transform
from cnnx.utils.data.native import NativeBatches, Pass, integers, makes_batches


class ImageDataset(VisionDataset):
    """Images `data` (uint8, (N, H, W) or (N, C, H, W)) with labels `targets` (int64, (N,)).

    Parameters
    ----------
    data, targets
        Tensors, or an array of images and a list or array of labels; `to` moves them to another device.
    transform, target_transform
        Applied to each image and label; None leaves them as they are.
    root
        The folder that they come from, if any.

    Attributes
    ----------
    max_value
        What stands for white. 255: a transform gets the bytes; else it gets them divided by this, as float32.
    """

    max_value = 255
    #: Whether a transform gets bytes as a PIL image (where Pillow is installed), not as an array.
    pictures = False
    #: Whether images in colour are (N, H, W, C).
    channels_last = False
    classes: ClassVar[list[str]]

    def __init__(
        self,
        data: Tensor | np.ndarray[Any, Any],
        targets: Tensor | list[int] | np.ndarray[Any, Any],
        transform: Callable[[Any], Any] | None,
        target_transform: Callable[[Any], Any] | None,
        *,
        root: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.data: Any = data
        self.targets: Any = targets

    @property
    def class_to_idx(self) -> dict[str, int]:
        """The label of each class name."""
        return class_numbers(self.classes)

    def to(self, device: Any) -> ImageDataset:
        """Moves the images and labels to `device`, where a `DataLoader` then makes the batches.

        `data` and `targets` are tensors then, of the shape that they had.

        Returns
        -------
        ImageDataset
            The data set itself.

        Examples
        --------
        >>> from cnnx.datasets import Digits
        >>> Digits().to("cpu").data.device
        device(type='cpu')
        """
        images = _planes(self, self.data).to(device)
        self.data = images.permute(0, 2, 3, 1) if self._channels_behind(images) else images
        targets = self.targets
        self.targets = targets.to(device) if isinstance(targets, Tensor) else tensor(targets, device=device)
        return self

    def _channels_behind(self, data: Any) -> bool:
        return self.channels_last and data.ndim == 4

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"{type(self).__name__}: index {index} is out of range for {len(self)} images")
        row = self.data[index]
        pixels = row.numpy(force=True) if isinstance(row, Tensor) else np.asarray(row)
        behind = pixels.ndim == 2 or self.channels_last
        image = self._image(pixels if behind else pixels.transpose(1, 2, 0))
        target = int(self.targets[index])
        return (image, target) if self.transforms is None else self.transforms(image, target)

    def _image(self, pixels: np.ndarray[Any, Any]) -> Any:
        """What a transform gets for one image (H, W) or (H, W, C)."""
        if self.max_value != 255:
            return pixels.astype(np.float32) / np.float32(self.max_value)
        return pil_image(pixels) if self.pictures else pixels


#: What images of bytes are of.
_BYTES = {Tensor: _C.DType.uint8, np.ndarray: np.dtype(np.uint8)}


@makes_batches(ImageDataset, methods=("_image", "transforms"), attributes=("data", "targets", *TRANSFORMS))
def _batches(dataset: ImageDataset) -> NativeBatches | None:
    """Batches [images, labels] of native transforms with ToTensor, and labels as they are."""
    data, targets = dataset.data, dataset.targets
    if type(targets) in (list, np.ndarray) and (labels := integers(targets)) is not None:
        targets = _C.from_numpy(np.ascontiguousarray(labels), True)
    if (
        not plain_transform(dataset)
        or _BYTES.get(type(data)) != getattr(data, "dtype", _BYTES)
        or not (type(targets) is Tensor and targets.dtype == _C.DType.int64 and targets.ndim == 1)
        or data.ndim not in (3, 4)
        or len(data) != len(targets)
    ):
        return None
    for name, kind in (("max_value", int), ("pictures", bool), ("channels_last", bool)):
        if type(lookup(type(dataset), name)) is not kind or type(getattr(dataset, name)) is not kind:
            return None
    images = _planes(dataset, data)
    # Pillow has no images of other channels, or means something by them.
    strange = dataset.pictures and images.ndim == 4 and images.shape[1] not in (1, 3)
    if dataset.max_value < 1 or strange or images.device != targets.device:
        return None
    return image_batches(images, targets, dataset.transform, dataset.max_value)


def _planes(dataset: ImageDataset, data: Any) -> Tensor:
    """The images as a contiguous tensor, channels first; no copy of those that lie so in memory."""
    if isinstance(data, Tensor):
        return (data.permute(0, 3, 1, 2) if dataset._channels_behind(data) else data).contiguous()
    array = data.transpose(0, 3, 1, 2) if dataset._channels_behind(data) else data
    return _C.from_numpy(np.ascontiguousarray(array), not array.flags.writeable)


def class_numbers(classes: list[str]) -> dict[str, int]:
    """The label of each class name."""
    return {name: label for label, name in enumerate(classes)}


def image_batches(data: Tensor, targets: Tensor, transform: Any, max_value: int) -> NativeBatches | None:
    """Batches [images, labels] of uint8 images and int64 labels; None if `transform` is not native."""
    native = batch_transform(transform, data.shape[1] if data.ndim == 4 else 1, max_value)
    if native is None:
        return None
    transform_images, gather_rows = _C.transform_images, _C.gather_rows

    def gather(index: Tensor, start: int, count: int, drawn: Pass) -> list[Tensor]:
        return [
            transform_images(data, index, start, count, native, drawn.call, drawn.keys),
            gather_rows(targets, index, start, count),
        ]

    return NativeBatches(gather, ("image", str(data.device)), native.random, data.device)


def pil_image(pixels: np.ndarray[Any, Any]) -> Any:
    """The PIL image of an array; without Pillow the array."""
    try:
        from PIL import Image
    except ImportError:
        return pixels
    return Image.fromarray(pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels)
