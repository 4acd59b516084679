"""What the image data sets share: uint8 images and labels in memory, samples, and native batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from cnnx import _C
from cnnx.tensor import Tensor
from cnnx.transforms.native import batch_transform
from cnnx.utils.data.dataset import Dataset, NativeBatches, Pass


class ImageDataset(Dataset[tuple[Any, Any]]):
    """Images `data` (uint8, (N, H, W) or (N, C, H, W)) with labels `targets` (int64, (N,)).

    Parameters
    ----------
    data, targets
        The tensors; `to` moves them to another device.
    transform, target_transform
        Applied to each image and label; None leaves them as they are.
    """

    #: The value that stands for white: ToTensor maps 0 to this onto 0 to 1.
    max_value = 255
    classes: ClassVar[list[str]]

    def __init__(
        self,
        data: Tensor,
        targets: Tensor,
        transform: Callable[[Any], Any] | None,
        target_transform: Callable[[Any], Any] | None,
    ) -> None:
        self.data = data
        self.targets = targets
        self.transform = transform
        self.target_transform = target_transform

    @property
    def class_to_idx(self) -> dict[str, int]:
        """The label of each class name."""
        return class_numbers(self.classes)

    def to(self, device: Any) -> ImageDataset:
        """Moves the images and labels to `device`, where a `DataLoader` then makes the batches.

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
        self.data, self.targets = self.data.to(device), self.targets.to(device)
        return self

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"{type(self).__name__}: index {index} is out of range for {len(self)} images")
        pixels = self.data[index].numpy(force=True)
        image = self._image(pixels if pixels.ndim == 2 else pixels.transpose(1, 2, 0))
        target = int(self.targets[index])
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return image, target

    def _image(self, pixels: np.ndarray[Any, Any]) -> Any:
        """What a transform gets for one image (H, W) or (H, W, C)."""
        return pixels

    def native_batches(self) -> NativeBatches | None:
        """How to gather and transform a batch [images, labels] natively.

        None if that would not be the same as the single samples together. It is for native transforms with
        ToTensor, and labels as they are.
        """
        if type(self).__getitem__ is not ImageDataset.__getitem__ or self.target_transform is not None:
            return None
        data, targets = self.data, self.targets
        if (
            not (isinstance(data, Tensor) and data.dtype == _C.DType.uint8 and data.ndim in (3, 4))
            or not (isinstance(targets, Tensor) and targets.dtype == _C.DType.int64 and targets.ndim == 1)
            or len(data) != len(targets)
        ):
            return None
        return image_batches(data, targets, self.transform, self.max_value)

    def __repr__(self) -> str:
        lines = [f"Dataset {type(self).__name__}", f"    Number of datapoints: {len(self)}"]
        lines += [f"    {line}" for line in self._describe()]
        if self.transform is not None:
            lines.append(f"    Transform: {self.transform}")
        return "\n".join(lines)

    def _describe(self) -> list[str]:
        return []


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

    return NativeBatches(gather, native.random, data.device)


def pil_image(pixels: np.ndarray[Any, Any]) -> Any:
    """The PIL image of an array; without Pillow the array."""
    try:
        from PIL import Image
    except ImportError:
        return pixels
    return Image.fromarray(pixels)
