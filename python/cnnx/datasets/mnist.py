"""MNIST (LeCun, Cortes and Burges): 70,000 handwritten digits of 28x28 pixels."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from cnnx.datasets.download import download_gzip
from cnnx.datasets.idx_file import load_pair
from cnnx.datasets.images import ImageDataset
from cnnx.datasets.verified import verified
from cnnx.overrides import refuse_overrides

_NEVER_USED = {
    "resources": "`parts` names the files",
    "raw_folder": "define the classmethod find, which says where a file is",
    "processed_folder": "there is none",
    "_load_data": "define __init__ and call that of ImageDataset",
    "_check_exists": "define the classmethod find, which says where a file is",
}


class Part(NamedTuple):
    """One file of the data set, and its checksum: "sha256:" of the content, or "md5:" of the .gz file.

    A file whose content has `size` bytes is taken for the data set's own, and the checksum is held against
    it; other ones are somebody's own data in this format. None: it is held against all; a checksum of None is
    not known.
    """

    file: str
    checksum: str | None
    size: int | None = None


class MNIST(ImageDataset):
    """The MNIST digits: 60,000 images to train with, 10,000 to test with.

    The four IDX files, plain or gzip-compressed (`.gz`), are looked for in `root`, `root/mnist` and
    `root/MNIST/raw`, in this order. Files of the data set's size are verified by their checksums when they
    are first read; a small file beside them remembers it, by size and time.

    Parameters
    ----------
    root
        The folder.
    train
        True: the training files; False: the test files.
    transform
        Applied to each image; None gives a PIL image, or where Pillow is not installed a uint8 array (28,
        28).
    target_transform
        Applied to each label, an int.
    download
        Fetch files that are in none of the places into `root/MNIST/raw`, from the first of `MNIST.mirrors`
        that has them right.

    Raises
    ------
    RuntimeError
        If a file is missing and `download` is False, or cannot be downloaded.
    ValueError
        If a file is damaged; the message names the file.

    Examples
    --------
    >>> train = MNIST("data", download=True)  # doctest: +SKIP
    >>> train.data.shape, train.targets.dtype  # doctest: +SKIP
    ((60000, 28, 28), cnnx.int64)
    """

    pictures = True
    mirrors: ClassVar[Sequence[str]] = (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    )
    parts: ClassVar[dict[bool, tuple[Part, Part]]] = {
        True: (
            Part(
                "train-images-idx3-ubyte",
                "sha256:ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
                47_040_016,
            ),
            Part(
                "train-labels-idx1-ubyte",
                "sha256:65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
                60_008,
            ),
        ),
        False: (
            Part(
                "t10k-images-idx3-ubyte",
                "sha256:0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
                7_840_016,
            ),
            Part(
                "t10k-labels-idx1-ubyte",
                "sha256:ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
                10_008,
            ),
        ),
    }
    classes: ClassVar[list[str]] = [
        "0 - zero",
        "1 - one",
        "2 - two",
        "3 - three",
        "4 - four",
        "5 - five",
        "6 - six",
        "7 - seven",
        "8 - eight",
        "9 - nine",
    ]

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
        images_part, labels_part = self.parts[self.train]
        images_path, labels_path = (self._locate(part) for part in (images_part, labels_part))
        try:
            images_data = verified(images_path, images_part.checksum, images_part.size)
            labels_data = verified(labels_path, labels_part.checksum, labels_part.size)
            images, targets = load_pair(
                type(self).__name__, images_path, labels_path, images_data, labels_data, len(self.classes)
            )
        except ValueError as error:
            hint = "a damaged copy can be deleted: download=True fetches it again"
            raise ValueError(f"{error} ({hint})") from error
        super().__init__(images, targets, transform, target_transform, root=self.root)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        refuse_overrides(cls, _NEVER_USED)

    @classmethod
    def find(cls, root: str | os.PathLike[str], file: str) -> Path | None:
        """Where `file` or `file`.gz is below `root`; None if nowhere."""
        for folder in cls._places(root):
            for name in (file, f"{file}.gz"):
                if (folder / name).is_file():
                    return folder / name
        return None

    @classmethod
    def _places(cls, root: str | os.PathLike[str]) -> list[Path]:
        base, name = Path(root).expanduser(), cls.__name__
        return [base, base / name.lower(), base / name / "raw"]

    @classmethod
    def is_available(cls, root: str | os.PathLike[str]) -> bool:
        """True if all four files are below `root`."""
        return all(cls.find(root, part.file) is not None for parts in cls.parts.values() for part in parts)

    def download(self) -> None:
        """Fetches the files of this part that are in none of the places."""
        for part in self.parts[self.train]:
            if self.find(self.root, part.file) is None:
                download_gzip(part.file, part.checksum, self.mirrors, self._places(self.root)[-1])

    def _locate(self, part: Part) -> Path:
        path = self.find(self.root, part.file)
        places = self._places(self.root)
        if path is None:
            raise RuntimeError(
                f"{type(self).__name__}: {part.file} (plain or .gz) is in none of {places[0]}, "
                f"{places[1]} and {places[2]}; download=True fetches it"
            )
        return path

    def extra_repr(self) -> str:
        """Which part it is."""
        return f"Split: {'train' if self.train else 'test'}"


class FashionMNIST(MNIST):
    """Fashion-MNIST (Xiao, Rasul and Vollgraf, 2017): 70,000 pictures of clothes of 28x28 pixels.

    The files are looked for in `root`, `root/fashionmnist` and `root/FashionMNIST/raw`; see `MNIST` for the
    parameters.
    Only the checksums of the downloads are known: files that came another way are taken as they are found.
    """

    mirrors = ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",)
    parts: ClassVar[dict[bool, tuple[Part, Part]]] = {
        True: (
            Part("train-images-idx3-ubyte", "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d", 47_040_016),
            Part("train-labels-idx1-ubyte", "md5:25c81989df183df01b3e8a0aad5dffbe", 60_008),
        ),
        False: (
            Part("t10k-images-idx3-ubyte", "md5:bef4ecab320f06d8554ea6380940ec79", 7_840_016),
            Part("t10k-labels-idx1-ubyte", "md5:bb300cfdad3c16e7a12a480ee83cd310", 10_008),
        ),
    }
    classes: ClassVar[list[str]] = [
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
        "Ankle boot",
    ]  # fmt: skip


class KMNIST(MNIST):
    """Kuzushiji-MNIST (Clanuwat et al., 2018): 70,000 cursive Japanese characters of 28x28 pixels.

    The files are looked for in `root`, `root/kmnist` and `root/KMNIST/raw`; see `MNIST` for the parameters.
    Only the checksums of the downloads are known: files that came another way are taken as they are found.
    """

    mirrors = ("http://codh.rois.ac.jp/kmnist/dataset/kmnist/",)
    parts: ClassVar[dict[bool, tuple[Part, Part]]] = {
        True: (
            Part("train-images-idx3-ubyte", "md5:bdb82020997e1d708af4cf47b453dcf7", 47_040_016),
            Part("train-labels-idx1-ubyte", "md5:e144d726b3acfaa3e44228e80efcd344", 60_008),
        ),
        False: (
            Part("t10k-images-idx3-ubyte", "md5:5c965bf0a639b31b8f53240b1b52f4d7", 7_840_016),
            Part("t10k-labels-idx1-ubyte", "md5:7320c461ea6c1c855c0b718fb2a4b134", 10_008),
        ),
    }
    classes: ClassVar[list[str]] = ["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"]
