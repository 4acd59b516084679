"""The data sets that the command line knows by name, beside the embedded digits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cnnx import datasets

Array = np.ndarray[Any, Any]
#: Images (uint8, (N, H, W) or (N, 3, H, W)), labels (N,) and the names of the classes.
Parts = tuple[Array, Array, list[str]]


class Named(NamedTuple):
    """A data set: what reads one of its parts, downloaded where it is missing, and whether it is there."""

    load: Callable[[Path, bool], Parts]
    is_available: Callable[[Path], bool]


def _like_mnist(name: str) -> Named:
    """MNIST or one of its relatives; names of classes without the words behind the digits."""

    def load(folder: Path, train: bool) -> Parts:
        found = getattr(datasets, name)(folder, train=train, download=True)
        classes = [words.partition(" - ")[0] for words in found.classes]
        return found.data.numpy(), found.targets.numpy(), classes

    return Named(load, lambda folder: bool(getattr(datasets, name).is_available(folder)))


def _emnist(split: str) -> Named:
    """A split of EMNIST, upright: its images are published on their side. There is no class N/A."""

    def load(folder: Path, train: bool) -> Parts:
        found = datasets.EMNIST(folder, split, train=train, download=True)
        targets, first = found.targets.numpy(), int(found.classes[0] == "N/A")
        if len(targets) and targets.min() < first:
            raise ValueError(f"{folder}: the labels of emnist-{split} are from {first} on, there is a 0")
        return found.data.numpy().transpose(0, 2, 1), targets - first, found.classes[first:]

    return Named(load, lambda folder: datasets.EMNIST.is_available(folder, split))


def _cifar(name: str) -> Named:
    """CIFAR-10 or CIFAR-100."""

    def load(folder: Path, train: bool) -> Parts:
        found = getattr(datasets, name)(folder, train=train, download=True)
        return found.data.transpose(0, 3, 1, 2), np.array(found.targets, np.int64), found.classes

    def is_available(folder: Path) -> bool:
        kind = getattr(datasets, name)
        files = [*kind.train_list, *kind.test_list, [kind.meta["filename"], None]]
        return all((folder / kind.base_folder / str(file)).is_file() for file, _ in files)

    return Named(load, is_available)


STORED = {
    "mnist": _like_mnist("MNIST"),
    "fashion": _like_mnist("FashionMNIST"),
    "kmnist": _like_mnist("KMNIST"),
    "emnist": _emnist("balanced"),
    **{f"emnist-{split}": _emnist(split) for split in ("byclass", "bymerge", "letters", "digits")},
    "cifar10": _cifar("CIFAR10"),
    "cifar100": _cifar("CIFAR100"),
}
EMBEDDED = "digits"
NAMES = ("mnist", EMBEDDED, *(name for name in STORED if name != "mnist"))
