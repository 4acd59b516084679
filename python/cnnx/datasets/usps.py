"""USPS (Hull, 1994): 9,298 handwritten digits of 16x16 pixels from envelopes."""

from __future__ import annotations

import bz2
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from cnnx.bounds import check_unpacked
from cnnx.datasets.download import download_file
from cnnx.datasets.images import ImageDataset
from cnnx.datasets.verified import has_md5
from cnnx.reading import reading

PIXELS = 16 * 16
WORDS = 1 + 2 * PIXELS  # of a line: the label, then number and value of each pixel
LONGEST = 64  # bytes of a word; those of the data set have up to 12


class USPS(ImageDataset):
    """The USPS digits: 7,291 images to train with, 2,007 to test with.

    The file `root/usps.bz2` or `root/usps.t.bz2` is verified by its checksum when it is first read; a small
    file beside it remembers it, by size and time.

    Parameters
    ----------
    root
        The folder.
    train
        True: the training file; False: the test file.
    transform
        Applied to each image; None gives a PIL image, or where Pillow is not installed a uint8 array (16,
        16).
    target_transform
        Applied to each label, an int.
    download
        Fetch the file if it is not there, or is another one.

    Attributes
    ----------
    data
        The images, a uint8 array (N, 16, 16).
    targets
        The labels, a list of ints.

    Raises
    ------
    RuntimeError
        If the file is missing or has another checksum, or cannot be downloaded.
    ValueError
        If it is damaged, where `split_list` of a subclass has no checksum for it.

    Examples
    --------
    >>> train = USPS("data", download=True)  # doctest: +SKIP
    >>> train.data.shape  # doctest: +SKIP
    (7291, 16, 16)
    """

    pictures = True
    classes: ClassVar[list[str]] = [str(digit) for digit in range(10)]
    split_list: ClassVar[dict[str, list[Any]]] = {
        "train": [
            "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass/usps.bz2",
            "usps.bz2",
            "ec16c51db3855ca6c91edd34d0e9b197",
        ],
        "test": [
            "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass/usps.t.bz2",
            "usps.t.bz2",
            "8ea070ee2aca1ac39742fdd1ef5ed118",
        ],
    }

    def __init__(
        self,
        root: str | os.PathLike[str],
        train: bool = True,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        download: bool = False,
    ) -> None:
        url, name, md5 = self.split_list["train" if train else "test"]
        path = Path(root).expanduser() / name
        if not has_md5(path, md5):
            if not download:
                raise RuntimeError(
                    f"{type(self).__name__}: {path} is missing or damaged; download=True fetches it"
                )
            download_file(url, path, md5)
        images, targets = read_usps(path)
        super().__init__(images, targets, transform, target_transform, root=Path(root).expanduser())


def read_usps(path: Path) -> tuple[np.ndarray[Any, Any], list[int]]:
    """Images, uint8 (N, 16, 16), and labels from 0 on of a file in LIBSVM's format, compressed by bzip2.

    A line has the label, 1 to 10, and for each pixel its number, a colon and its value, -1 to 1.

    Raises
    ------
    ValueError
        If the file is damaged or something else; the message names it.
    """
    data = path.read_bytes()
    with reading("", path, "images of USPS"), bz2.BZ2File(io.BytesIO(data)) as file:
        labels, images = list[int](), list[np.ndarray[Any, Any]]()
        size = 0
        while line := file.readline(LONGEST * WORDS):
            size += len(line)
            check_unpacked("it", size, len(data))
            words = line.replace(b":", b" ").split()
            if len(words) != WORDS:
                raise ValueError(f"line {len(labels) + 1} of it has {len(words)} words, not {WORDS}")
            values = np.array(words, dtype=np.float32)
            pixels = values[2::2]
            if not np.array_equal(values[1::2], np.arange(1, PIXELS + 1)) or not (np.abs(pixels) <= 1).all():
                raise ValueError(f"the pixels in line {len(labels) + 1} of it are not numbered, or beyond 1")
            if values[0] not in range(1, 11):
                raise ValueError(f"there is a label {values[0]:g} in line {len(labels) + 1} of it")
            labels.append(int(values[0]) - 1)
            images.append(((pixels + 1) / 2 * 255).astype(np.uint8))
    return np.array(images, dtype=np.uint8).reshape(-1, 16, 16), labels
