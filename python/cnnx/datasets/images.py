"""What the image data sets share: uint8 images and labels in memory, samples, and native batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from cnnx import _C
from cnnx.tensor import Tensor
from cnnx.transforms import native_scale
from cnnx.utils.data.dataset import Dataset


class ImageDataset(Dataset[tuple[Any, Any]]):
    """Images `data` (uint8, (N, H, W)) with labels `targets` (int64, (N,)).

    Parameters
    ----------
    data, targets
        The tensors.
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
        return {name: label for label, name in enumerate(self.classes)}

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"{type(self).__name__}: index {index} is out of range for {len(self)} images")
        image = self._image(self.data[index].numpy())
        target = int(self.targets[index])
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return image, target

    def _image(self, pixels: np.ndarray[Any, Any]) -> Any:
        """What a transform gets for one image (H, W)."""
        return pixels

    def native_batches(self) -> Callable[[Tensor, int, int], list[Tensor]] | None:
        """A function (index, start, count) -> [images, labels] that gathers a batch natively.

        None if that would not be the same as the single samples together. It is for transforms ToTensor and
        ToTensor with Normalize, and labels as they are.
        """
        if type(self).__getitem__ is not ImageDataset.__getitem__ or self.target_transform is not None:
            return None
        scale = native_scale(self.transform)
        data, targets = self.data, self.targets
        if (
            scale is None
            or not (isinstance(data, Tensor) and data.dtype == _C.DType.uint8 and data.ndim == 3)
            or not (isinstance(targets, Tensor) and targets.dtype == _C.DType.int64 and targets.ndim == 1)
            or len(data) != len(targets)
        ):
            return None
        (mean, std), divisor = scale, float(self.max_value)
        gather_images, gather_rows = _C.gather_images, _C.gather_rows

        def gather(index: Tensor, start: int, count: int) -> list[Tensor]:
            return [
                gather_images(data, index, start, count, divisor, mean, std),
                gather_rows(targets, index, start, count),
            ]

        return gather

    def __repr__(self) -> str:
        lines = [f"Dataset {type(self).__name__}", f"    Number of datapoints: {len(self)}"]
        lines += [f"    {line}" for line in self._describe()]
        if self.transform is not None:
            lines.append(f"    Transform: {self.transform}")
        return "\n".join(lines)

    def _describe(self) -> list[str]:
        return []
