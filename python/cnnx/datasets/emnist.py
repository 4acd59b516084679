"""EMNIST (Cohen, Afshar, Tapson and van Schaik, 2017): handwritten letters and digits in MNIST's format."""

from __future__ import annotations

import os
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from cnnx.datasets.archive import fetch_archive
from cnnx.datasets.mnist import MNIST, Part

_ALL = sorted(string.digits + string.ascii_letters)
# Both forms of these letters look alike, so they are one class each in some splits.
_MERGED = [name for name in _ALL if name not in "cijklmopsuvwxyz"]


class EMNIST(MNIST):
    """EMNIST: up to 814,255 handwritten letters and digits of 28x28 pixels, in six splits.

    The IDX files, plain or gzip-compressed (`.gz`), are looked for in `root`, `root/emnist` and
    `root/EMNIST/raw`, in this order. The images lie on their side, as they were published: rows are columns.
    Only the checksum of the archive is known: files that came another way are taken as they are found.

    Parameters
    ----------
    root
        The folder.
    split
        `"byclass"` (62 classes), `"bymerge"` and `"balanced"` (47: letters whose two forms look alike are one
        class), `"letters"` (26, with labels from 1 on), `"digits"` or `"mnist"` (10).
    train, transform, target_transform
        As for `MNIST`.
    download
        Take files that are in none of the places from `root/EMNIST/raw/gzip.zip`, which is downloaded (562
        MB) if it is not there.

    Raises
    ------
    RuntimeError
        If a file is missing and `download` is False, or cannot be downloaded.
    ValueError
        If the split is unknown, or a file is damaged; the message names the file.

    Examples
    --------
    >>> letters = EMNIST("data", split="letters", download=True)  # doctest: +SKIP
    >>> letters.classes[1]  # doctest: +SKIP
    'a'
    """

    url = "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip"
    md5: str | None = "58c8d27c78d21e728a6bc7b3cc06412e"
    splits = ("byclass", "bymerge", "balanced", "letters", "digits", "mnist")
    classes_split_dict: ClassVar[dict[str, list[str]]] = {
        "byclass": _ALL,
        "bymerge": _MERGED,
        "balanced": _MERGED,
        "letters": ["N/A", *string.ascii_lowercase],
        "digits": list(string.digits),
        "mnist": list(string.digits),
    }

    def __init__(
        self,
        root: str | os.PathLike[str],
        split: str,
        train: bool = True,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        download: bool = False,
    ) -> None:
        self.split = split
        self.parts = self._parts(split)  # type: ignore[misc]  # of a split
        self.classes = list(self.classes_split_dict[split])  # type: ignore[misc]
        super().__init__(root, train, transform, target_transform, download)

    @classmethod
    def _parts(cls, split: str) -> dict[bool, tuple[Part, Part]]:
        if split not in cls.splits:
            raise ValueError(f"{cls.__name__}: split must be one of {', '.join(cls.splits)}, got {split!r}")
        start = f"emnist-{split}"
        return {
            train: (
                Part(f"{start}-{name}-images-idx3-ubyte", None),
                Part(f"{start}-{name}-labels-idx1-ubyte", None),
            )
            for train, name in ((True, "train"), (False, "test"))
        }

    @classmethod
    def is_available(cls, root: str | os.PathLike[str], split: str | None = None) -> bool:
        """True if all four files of `split` are below `root`; None: those of every split."""
        splits = cls.splits if split is None else (split,)
        parts = [part for name in splits for pair in cls._parts(name).values() for part in pair]
        return all(cls.find(root, part.file) is not None for part in parts)

    def download(self) -> None:
        """Takes the files of the split that are in none of the places from the archive."""
        parts = [part.file for pair in self.parts.values() for part in pair]
        missing = [name for name in parts if self.find(self.root, name) is None]
        raw: Path = self._places(self.root)[-1]
        members = {f"gzip/{name}.gz": raw / f"{name}.gz" for name in missing}
        if members:
            fetch_archive(self.url, raw / self.url.rpartition("/")[2], self.md5, members)
