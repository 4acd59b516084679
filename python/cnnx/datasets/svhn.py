"""SVHN (Netzer et al., 2011): digits of house numbers in photographs, 32x32 pixels in colour."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from cnnx.datasets.download import download_file
from cnnx.datasets.images import ImageDataset
from cnnx.datasets.mat_file import read_mat
from cnnx.datasets.verified import has_md5

LARGEST = 1 << 31  # bytes of a download: the extra images have 1.3 thousand million


class SVHN(ImageDataset):
    """Street view house numbers: 73,257 digits to train with, 26,032 to test with, 531,131 easier ones.

    The files `train_32x32.mat`, `test_32x32.mat` and `extra_32x32.mat` are looked for in `root`. One is
    verified by its checksum when it is first read; a small file beside it remembers it, by size and time.

    Parameters
    ----------
    root
        The folder.
    split
        `"train"`, `"test"` or `"extra"`. Default: `"train"`.
    transform
        Applied to each image; None gives a PIL image, or where Pillow is not installed a uint8 array (32, 32,
        3).
    target_transform
        Applied to each label, an int: the digit.
    download
        Fetch the file if it is not there, or is another one.

    Attributes
    ----------
    data
        The images, a uint8 array (N, 3, 32, 32).
    labels, targets
        The digits, an int64 array (N,): two names for one.

    Raises
    ------
    RuntimeError
        If the file is missing or has another checksum, or cannot be downloaded.
    ValueError
        If the split is unknown, or the file is damaged, where `split_list` of a subclass has no checksum.

    Notes
    -----
    Y. Netzer et al., "Reading digits in natural images with unsupervised feature learning" (2011).

    Examples
    --------
    >>> train = SVHN("data", split="train", download=True)  # doctest: +SKIP
    >>> train.data.shape  # doctest: +SKIP
    (73257, 3, 32, 32)
    """

    pictures = True
    classes: ClassVar[list[str]] = [str(digit) for digit in range(10)]
    split_list: ClassVar[dict[str, list[Any]]] = {
        "train": [
            "http://ufldl.stanford.edu/housenumbers/train_32x32.mat",
            "train_32x32.mat",
            "e26dedcc434d2e4c54c9b2d4a06d8373",
        ],
        "test": [
            "http://ufldl.stanford.edu/housenumbers/test_32x32.mat",
            "test_32x32.mat",
            "eb5a983be6a315427106f1b164d9cef3",
        ],
        "extra": [
            "http://ufldl.stanford.edu/housenumbers/extra_32x32.mat",
            "extra_32x32.mat",
            "a93ce644f1a588dc4d68dda5feec44a7",
        ],
    }

    def __init__(
        self,
        root: str | os.PathLike[str],
        split: str = "train",
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        download: bool = False,
    ) -> None:
        if split not in self.split_list:
            raise ValueError(f"SVHN: split must be one of {', '.join(self.split_list)}, got {split!r}")
        self.split = split
        self.url, self.filename, self.file_md5 = self.split_list[split]
        self.root = Path(root).expanduser()
        if download:
            self.download()
        if not self._check_integrity():
            raise RuntimeError(
                f"{type(self).__name__}: {self._path()} is missing or damaged; download=True fetches it"
            )
        images, labels = read_svhn(self._path())
        super().__init__(images, labels, transform, target_transform, root=self.root)

    @property
    def labels(self) -> Any:
        """The digits, under the name that torchvision has for them."""
        return self.targets

    @labels.setter
    def labels(self, labels: Any) -> None:
        self.targets = labels

    def download(self) -> None:
        """Fetches the file, if it is not there or is another one."""
        if not self._check_integrity():
            download_file(self.url, self._path(), self.file_md5, LARGEST)

    def _check_integrity(self) -> bool:
        return has_md5(self._path(), self.file_md5)

    def _path(self) -> Path:
        return Path(self.root or ".", self.filename)

    def extra_repr(self) -> str:
        """Which part it is."""
        return f"Split: {self.split}"


def read_svhn(path: Path) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Images, uint8 (N, 3, 32, 32), and digits, int64 (N,), of a file, where the digit 0 is called 10.

    Raises
    ------
    ValueError
        If it is damaged or something else; the message names it.
    """
    arrays = read_mat(path, ("X", "y"))
    images, labels = arrays["X"], arrays["y"].reshape(-1)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[:3] != (32, 32, 3):
        raise ValueError(f"{path}: X is {images.dtype} of shape {images.shape}, not uint8 (32, 32, 3, N)")
    if len(labels) != images.shape[3]:
        raise ValueError(f"{path}: there are {images.shape[3]} images and {len(labels)} labels in it")
    if not np.isin(labels, range(11)).all():
        raise ValueError(f"{path}: its labels are not the numbers from 0 to 10")
    digits = labels.astype(np.int64)
    digits[digits == 10] = 0
    return np.ascontiguousarray(images.transpose(3, 2, 0, 1)), digits
