"""Images and labels in IDX files of any name, as MNIST's relatives come."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cnnx.datasets.idx_file import load_pair, unpack
from cnnx.datasets.images import ImageDataset

SPLITS = {True: ("train",), False: ("test", "t10k", "valid", "val")}


class IDXFolder(ImageDataset):
    """A folder with the four files of a data set in MNIST's format.

    The names say what a file is: "image" or "label", and "train" or else "test", "t10k" or "val"; plain or
    gzip-compressed. `emnist-letters-train-images-idx3-ubyte.gz` is one.

    Parameters
    ----------
    root
        The folder.
    train
        Which of the two parts.
    transform, target_transform
        Applied to each PIL image (without Pillow: array) and each label.

    Raises
    ------
    FileNotFoundError
        If there is no file, or more than one, for the images or the labels.
    ValueError
        If a file is damaged or holds something else; the message names it.

    Examples
    --------
    >>> letters = IDXFolder("emnist-letters", train=True)  # doctest: +SKIP
    """

    pictures = True

    def __init__(
        self,
        root: str | os.PathLike[str],
        train: bool = True,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
    ) -> None:
        self.root = Path(root).expanduser()
        self.train = bool(train)
        images_path, labels_path = (self._locate(self.root, self.train, kind) for kind in ("image", "label"))
        images_data, labels_data = (
            unpack(path.read_bytes(), str(path)) for path in (images_path, labels_path)
        )
        images, targets = load_pair(type(self).__name__, images_path, labels_path, images_data, labels_data)
        super().__init__(images, targets, transform, target_transform, root=self.root)
        count = int(targets.numpy().max()) + 1 if len(targets) else 0
        self.classes = [str(label) for label in range(count)]  # type: ignore[misc]  # depends on the files

    @classmethod
    def is_available(cls, root: str | os.PathLike[str]) -> bool:
        """True if `root` has images and labels of both parts."""
        base = Path(root).expanduser()
        return all(len(_matching(base, train, kind)) == 1 for train in SPLITS for kind in ("image", "label"))

    @classmethod
    def _locate(cls, root: Path, train: bool, kind: str) -> Path:
        found = _matching(root, train, kind)
        if len(found) != 1:
            names = " or ".join(SPLITS[train])
            what = f"{len(found)} files ({', '.join(p.name for p in found)})" if found else "no file"
            raise FileNotFoundError(
                f"{cls.__name__}: {what} in {root} with '{kind}' and '{names}' in the name; there must be one"
            )
        return found[0]

    def extra_repr(self) -> str:
        """Which part it is."""
        return f"Split: {'train' if self.train else 'test'}"


def _matching(root: Path, train: bool, kind: str) -> list[Path]:
    if not root.is_dir():
        return []
    files = [path for path in sorted(root.iterdir()) if path.is_file() and kind in path.name.lower()]
    return [path for path in files if any(split in path.name.lower() for split in SPLITS[train])]
