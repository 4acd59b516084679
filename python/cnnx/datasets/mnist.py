"""MNIST (LeCun, Cortes and Burges): 70,000 handwritten digits of 28x28 pixels."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from cnnx import _C
from cnnx.datasets.download import decompress, download_gzip
from cnnx.datasets.images import ImageDataset
from cnnx.tensor import Tensor


class Part(NamedTuple):
    """One file of the data set, and its checksum: "sha256:" of the content, or "md5:" of the .gz file."""

    file: str
    checksum: str


class MNIST(ImageDataset):
    """The MNIST digits: 60,000 images to train with, 10,000 to test with.

    The four IDX files, plain or gzip-compressed (`.gz`), are looked for in `root`, `root/mnist` and
    `root/MNIST/raw`, in this order.

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
        If a file is damaged; the message names the file and the byte offset.

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
            ),
            Part(
                "train-labels-idx1-ubyte",
                "sha256:65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            ),
        ),
        False: (
            Part(
                "t10k-images-idx3-ubyte",
                "sha256:0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            ),
            Part(
                "t10k-labels-idx1-ubyte",
                "sha256:ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
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
        images_path, labels_path = map(self._locate, self.parts[self.train])
        images, targets = load_pair(type(self).__name__, images_path, labels_path)
        super().__init__(images, targets, transform, target_transform, root=self.root)

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "resources" in vars(cls):
            raise TypeError(f"{cls.__name__}: resources of a subclass are not read; `parts` names the files")

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
    """

    mirrors = ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",)
    parts: ClassVar[dict[bool, tuple[Part, Part]]] = {
        True: (
            Part("train-images-idx3-ubyte", "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
            Part("train-labels-idx1-ubyte", "md5:25c81989df183df01b3e8a0aad5dffbe"),
        ),
        False: (
            Part("t10k-images-idx3-ubyte", "md5:bef4ecab320f06d8554ea6380940ec79"),
            Part("t10k-labels-idx1-ubyte", "md5:bb300cfdad3c16e7a12a480ee83cd310"),
        ),
    }
    classes: ClassVar[list[str]] = [
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
        "Ankle boot",
    ]  # fmt: skip


class KMNIST(MNIST):
    """Kuzushiji-MNIST (Clanuwat et al., 2018): 70,000 cursive Japanese characters of 28x28 pixels.

    The files are looked for in `root`, `root/kmnist` and `root/KMNIST/raw`; see `MNIST` for the parameters.
    """

    mirrors = ("http://codh.rois.ac.jp/kmnist/dataset/kmnist/",)
    parts: ClassVar[dict[bool, tuple[Part, Part]]] = {
        True: (
            Part("train-images-idx3-ubyte", "md5:bdb82020997e1d708af4cf47b453dcf7"),
            Part("train-labels-idx1-ubyte", "md5:e144d726b3acfaa3e44228e80efcd344"),
        ),
        False: (
            Part("t10k-images-idx3-ubyte", "md5:5c965bf0a639b31b8f53240b1b52f4d7"),
            Part("t10k-labels-idx1-ubyte", "md5:7320c461ea6c1c855c0b718fb2a4b134"),
        ),
    }
    classes: ClassVar[list[str]] = ["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"]


def read_idx(path: str | os.PathLike[str]) -> Tensor:
    """The array in an IDX file, plain or gzip-compressed.

    Parameters
    ----------
    path
        The file. Its content decides whether it is compressed, not its name.

    Returns
    -------
    Tensor
        uint8, int32 (also for signed bytes and 16-bit numbers), float32 or float64, of the file's shape.

    Raises
    ------
    ValueError
        If the file is not IDX, is truncated or too long; the message names the file and the byte offset.
    OSError
        If it cannot be read.
    """
    return _C.parse_idx(decompress(Path(path).read_bytes(), os.fspath(path)), os.fspath(path))


def load_pair(op: str, images_path: Path, labels_path: Path) -> tuple[Tensor, Tensor]:
    """Images (uint8, (N, H, W)) and labels (int64) from two IDX files that belong together."""
    images, labels = read_idx(images_path), read_idx(labels_path)
    if images.dtype != _C.DType.uint8 or images.ndim != 3:
        raise ValueError(
            f"{op}: {images_path}: not images, but {images.dtype} of shape {tuple(images.shape)}"
        )
    if labels.dtype != _C.DType.uint8 or labels.ndim != 1:
        raise ValueError(
            f"{op}: {labels_path}: not labels, but {labels.dtype} of shape {tuple(labels.shape)}"
        )
    if len(images) != len(labels):
        raise ValueError(
            f"{op}: {images_path} has {len(images)} images, {labels_path} has {len(labels)} labels"
        )
    return images, _C.from_numpy(labels.numpy().astype(np.int64), True)
