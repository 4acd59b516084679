"""The 8x8 handwritten digits, embedded in the package (digits.npz, made by tools/make_digits.py)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from cnnx import _C
from cnnx.datasets.images import ImageDataset


class Digits(ImageDataset):
    """1,797 images of handwritten digits, 8x8 pixels of 17 grey levels, from 43 writers.

    The test part of the Optical Recognition of Handwritten Digits (E. Alpaydin and C. Kaynak, 1998, doi
    10.24432/C50P49, CC BY 4.0), as scikit-learn ships it, with a fixed split: 1,437 images to train with, 360
    to test with.

    `data` holds the levels as they are, uint8 from 0 to 16. A transform gets each image divided by 16, as a
    float32 array (8, 8), so `ToTensor` gives values in [0, 1]; the division is exact.

    Parameters
    ----------
    train
        True: the training images; False: the test images; None: all, in the source's order.
    transform
        Applied to each image; None gives the float32 array (8, 8).
    target_transform
        Applied to each label.

    Examples
    --------
    >>> from cnnx import transforms
    >>> digits = Digits(train=False, transform=transforms.ToTensor())
    >>> image, label = digits[0]
    >>> len(digits), tuple(image.shape)
    (360, (1, 8, 8))
    """

    max_value = 16
    classes: ClassVar[list[str]] = [str(digit) for digit in range(10)]

    def __init__(
        self,
        train: bool | None = True,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
    ) -> None:
        with np.load(Path(__file__).with_name("digits.npz")) as arrays:
            images, targets, test = arrays["images"], arrays["targets"], arrays["test"]
        if train is not None:
            chosen = np.zeros(len(images), dtype=bool)
            chosen[test] = True
            if train:
                chosen = ~chosen
            images, targets = images[chosen], targets[chosen]
        data = _C.from_numpy(np.ascontiguousarray(images), True)
        super().__init__(data, _C.from_numpy(targets.astype(np.int64), True), transform, target_transform)
        self.train = train

    def extra_repr(self) -> str:
        """Which part it is."""
        return "Split: " + {True: "train", False: "test", None: "all"}[self.train]
