"""CIFAR-10 and CIFAR-100 (Krizhevsky, 2009): 60,000 colour photographs of 32x32 pixels."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from cnnx.datasets.archive import fetch_archive
from cnnx.datasets.cifar_file import read_batch, read_names
from cnnx.datasets.images import ImageDataset, class_numbers
from cnnx.datasets.verified import has_md5

_File = list[str | None]


class CIFAR10(ImageDataset):
    """CIFAR-10: 50,000 photographs to train with and 10,000 to test with, of ten classes.

    The files of the published archive are looked for in `root/cifar-10-batches-py`. They are verified by
    their checksums when they are first read; a small file beside them remembers it, by size and time. They
    are pickles, of which nothing is run.

    Parameters
    ----------
    root
        The folder.
    train
        True: the five training files; False: the test file.
    transform
        Applied to each image; None gives a PIL image, or where Pillow is not installed a uint8 array (32, 32,
        3).
    target_transform
        Applied to each label, an int.
    download
        Where files are missing or damaged, take them from `root/cifar-10-python.tar.gz`, which is downloaded
        (170 MB) if it is not there.

    Attributes
    ----------
    data
        The images, a uint8 array (N, 32, 32, 3).
    targets
        The labels, a list of ints.
    classes, class_to_idx
        The names of the classes, and the label of each.

    Raises
    ------
    RuntimeError
        If a file is missing or has another checksum, or the archive cannot be downloaded.
    ValueError
        If a file is damaged, where `train_list`, `test_list` or `meta` of a subclass have no checksum for it.

    Notes
    -----
    A subclass may name other files, as in torchvision: `base_folder`, `url`, `filename`, `tgz_md5`, the lists
    [name, MD5] of `train_list` and `test_list`, and `meta`.

    A. Krizhevsky, "Learning multiple layers of features from tiny images" (2009).

    Examples
    --------
    >>> train = CIFAR10("data", download=True)  # doctest: +SKIP
    >>> train.data.shape, train.classes[train.targets[0]]  # doctest: +SKIP
    ((50000, 32, 32, 3), 'frog')
    """

    pictures = True
    channels_last = True
    #: Set by `_load_meta`, where other data sets make it of `classes`.
    class_to_idx: dict[str, int] = {}  # noqa: RUF012  # each object has its own

    base_folder = "cifar-10-batches-py"
    url = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
    filename = "cifar-10-python.tar.gz"
    tgz_md5: str | None = "c58f30108f718f92721af3b95e74349a"
    train_list: ClassVar[list[_File]] = [
        ["data_batch_1", "c99cafc152244af753f735de768cd75f"],
        ["data_batch_2", "d4bba439e000b95fd0a9bffe97cbabec"],
        ["data_batch_3", "54ebc095f3ab1f0389bbae665268c751"],
        ["data_batch_4", "634d18415352ddfa80567beed471001a"],
        ["data_batch_5", "482c414d41f54cd18b22e5b47cb7c3cb"],
    ]
    test_list: ClassVar[list[_File]] = [["test_batch", "40351d587109b95175f43aff81a1287e"]]
    meta: ClassVar[dict[str, Any]] = {
        "filename": "batches.meta",
        "key": "label_names",
        "md5": "5ff9c542aee3614f3951f8cda6e48888",
    }

    def __init__(
        self,
        root: str | os.PathLike[str],
        train: bool = True,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        download: bool = False,
    ) -> None:
        self.root = Path(root).expanduser()
        self.train = bool(train)
        if download:
            self.download()
        if not self._check_integrity():
            raise RuntimeError(
                f"{type(self).__name__}: {' and '.join(map(str, self._wrong()))} missing or damaged; "
                "download=True fetches the archive"
            )
        data, targets = [], list[int]()
        for name, _ in self.train_list if self.train else self.test_list:
            pixels, labels = read_batch(self._path(name))
            data.append(pixels)
            targets += labels
        images = np.concatenate(data).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        super().__init__(images, targets, transform, target_transform, root=self.root)
        self._load_meta()
        if targets and max(targets) >= len(self.classes):
            raise ValueError(
                f"{type(self).__name__}: {self.root / self.base_folder}: there is a label {max(targets)}, "
                f"and {len(self.classes)} classes"
            )

    def download(self) -> None:
        """Has the files in their place, if need be from the archive, which is downloaded if need be."""
        if self._check_integrity():
            return
        names = [name for name, _ in self._files()]
        members = {f"{self.base_folder}/{name}": self._path(name) for name in names}
        fetch_archive(self.url, self.root / self.filename, self.tgz_md5, members)

    def _load_meta(self) -> None:
        self.classes = read_names(self._path(self.meta["filename"]), self.meta["key"])  # type: ignore[misc]
        self.class_to_idx = class_numbers(self.classes)

    def _check_integrity(self) -> bool:
        return not self._wrong()

    def _wrong(self) -> list[Path]:
        """The files that are missing or have another checksum."""
        return [self._path(name) for name, md5 in self._files() if not has_md5(self._path(name), md5)]

    def _files(self) -> list[_File]:
        return [*self.train_list, *self.test_list, [self.meta["filename"], self.meta["md5"]]]

    def _path(self, name: str | None) -> Path:
        return Path(self.root or ".", self.base_folder, str(name))

    def extra_repr(self) -> str:
        """Which part it is."""
        return f"Split: {'Train' if self.train else 'Test'}"


class CIFAR100(CIFAR10):
    """CIFAR-100: as many photographs of 100 classes; see `CIFAR10`.

    The files are looked for in `root/cifar-100-python`, the archive is `root/cifar-100-python.tar.gz`.
    """

    base_folder = "cifar-100-python"
    url = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
    filename = "cifar-100-python.tar.gz"
    tgz_md5 = "eb9058c3a382ffc7106e4002c42a8d85"
    train_list: ClassVar[list[_File]] = [["train", "16019d7e3df5f24257cddd939b257f8d"]]
    test_list: ClassVar[list[_File]] = [["test", "f0ef6b0ae62326f3e7ffdfab6717acfc"]]
    meta: ClassVar[dict[str, Any]] = {
        "filename": "meta",
        "key": "fine_label_names",
        "md5": "7973b15100ade9c7d40fb424638fde48",
    }
