"""Images of noise, to try a script without data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cnnx.datasets.images import pil_image
from cnnx.datasets.vision import VisionDataset
from cnnx.generator import Generator
from cnnx.random import randint


class FakeData(VisionDataset):
    """Images of random bytes with random labels, the same ones at each index every time.

    Parameters
    ----------
    size
        How many.
    image_size
        (channels, height, width), with 1 or 3 channels.
    num_classes
        Labels are 0 to num_classes - 1.
    transform, target_transform
        Applied to each PIL image (without Pillow: array (H, W) or (H, W, C)) and label.
    random_offset
        Other numbers give other images: the image at `index` is drawn from the seed `index + random_offset`.

    Raises
    ------
    ValueError
        If a size is negative, an extent or `num_classes` is not positive, or there are not 1 or 3 channels.

    Examples
    --------
    >>> data = FakeData(size=4, image_size=(3, 8, 8), num_classes=2)
    >>> len(data), data[0][0].size, data[3][1] in (0, 1)
    (4, (8, 8), True)
    """

    def __init__(
        self,
        size: int = 1000,
        image_size: Sequence[int] = (3, 224, 224),
        num_classes: int = 10,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        random_offset: int = 0,
    ) -> None:
        super().__init__(None, transform=transform, target_transform=target_transform)
        if size < 0 or num_classes < 1:
            raise ValueError(f"FakeData: size and num_classes must be positive, got {size} and {num_classes}")
        if len(image_size) != 3 or min(image_size) < 1 or image_size[0] not in (1, 3):
            raise ValueError(
                "FakeData: image_size must be (channels, height, width) with 1 or 3 channels, "
                f"got {image_size}"
            )
        self.size, self.num_classes, self.random_offset = size, num_classes, random_offset
        self.image_size = tuple(image_size)

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> tuple[Any, int]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"{type(self).__name__}: index {index} is out of range for {len(self)} images")
        generator = Generator().manual_seed(index % len(self) + self.random_offset)
        drawn = randint(0, 256, self.image_size, generator=generator, device="cpu").numpy()
        target = int(randint(0, self.num_classes, (1,), generator=generator, device="cpu").item())
        image = pil_image(np.ascontiguousarray(drawn.astype(np.uint8).transpose(1, 2, 0)))
        return (image, target) if self.transforms is None else self.transforms(image, target)
