"""Reading IDX files, plain or gzip-compressed, with memory that the file can account for."""

from __future__ import annotations

import gzip
import os
import stat
from typing import Any

from cnnx import _C
from cnnx.reading import reading
from cnnx.tensor import Tensor

GZIP = b"\x1f\x8b"
HEADER = 4 + 4 * 8  # bytes of the longest one
CHUNK = 1 << 20

# Gzip data may grow a thousandfold; arrays that people have do not. A header may ask for this many times the
# compressed file, and for what every file may ask for.
GROWTH = 64
ALLOWED = 64 << 20


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
        If the file is not IDX, is truncated or too long, with the byte offset; if it is compressed and
        damaged, or asks for more than 64 MiB and 64 times its own size. The message names the file.
    OSError
        If it cannot be read.
    """
    name = os.fspath(path)
    with open(path, "rb") as file:
        compressed = file.peek(len(GZIP)).startswith(GZIP)
        stream: Any = gzip.GzipFile(fileobj=file) if compressed else file
        start = _more(b"", stream, HEADER, name)
        total = _C.idx_size(start, name)
        status = os.fstat(file.fileno())
        room = status.st_size if stat.S_ISREG(status.st_mode) else total
        if compressed:
            room = max(GROWTH * room, ALLOWED)
            if total > room:
                raise ValueError(
                    f"idx: {name}: its header asks for {total} bytes, more than {GROWTH} times the file's"
                )
        # One more byte than there should be tells that the file is too long.
        data = _more(start, stream, min(total, room) + 1, name)
    return _C.parse_idx(data, name)


def _more(start: bytes, stream: Any, count: int, name: str) -> bytes:
    """`start` made so many bytes long, or as many as there are; room is made for them as they come."""
    parts = [start]
    count -= len(start)
    with reading("idx", name, "gzip data"):
        while count > 0 and (part := stream.read(min(count, CHUNK))):
            parts.append(part)
            count -= len(part)
    return b"".join(parts)
