"""Reading IDX files, plain or gzip-compressed."""

from __future__ import annotations

import gzip
import io
import os
from pathlib import Path

import numpy as np

from cnnx import _C
from cnnx.bounds import check_unpacked, compressed, decompress
from cnnx.reading import reading
from cnnx.tensor import Tensor

LONGEST_HEADER = 4 + 4 * 8


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
        If the file is not IDX, is truncated or too long; the message names the file and the byte offset. If
        it is compressed and would unpack to far more than data do (`cnnx.bounds`).
    OSError
        If it cannot be read.
    """
    return _C.parse_idx(unpack(Path(path).read_bytes(), os.fspath(path)), path)


def unpack(data: bytes, name: str) -> bytes:
    """The content of an IDX file that may be gzip-compressed; no more of it than its header announces."""
    if not compressed(data):
        return data
    with reading("idx", name, "gzip data"), gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
        head = file.read(LONGEST_HEADER)
    size = _C.idx_size(head, name)
    check_unpacked(name, size, len(data))
    return decompress(data, name, size)


def load_pair(
    op: str,
    images_path: Path,
    labels_path: Path,
    images_data: bytes,
    labels_data: bytes,
    classes: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Images (uint8, (N, H, W)) and labels (int64) from the content of two IDX files that belong together."""
    images = _C.parse_idx(images_data, images_path)
    labels = _C.parse_idx(labels_data, labels_path)
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
    if classes is not None and len(labels) and (top := int(labels.numpy().max())) >= classes:
        raise ValueError(f"{op}: {labels_path}: there is a label {top}, and {classes} classes")
    return images, _C.from_numpy(labels.numpy().astype(np.int64), True)
