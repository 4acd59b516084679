"""Arrays of numbers in files of MATLAB, in the format of version 5."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from cnnx.bounds import check_unpacked
from cnnx.reading import reading

Array = np.ndarray[Any, Any]

HEADER = 128
NUMBERS = {1: "i1", 2: "u1", 3: "<i2", 4: "<u2", 5: "<i4", 6: "<u4", 7: "<f4", 9: "<f8", 12: "<i8", 13: "<u8"}
INT8, INT32, UINT32, MATRIX, COMPRESSED = 1, 5, 6, 14, 15
NUMERIC = range(6, 16)  # classes of arrays: double, single, and whole numbers of 8 to 64 bits
COMPLEX = 0x800


def read_mat(path: Path, names: tuple[str, ...]) -> dict[str, Array]:
    """The arrays of these names, of the types in which their values are stored.

    Parameters
    ----------
    path
        The file, of version 5 and this processor's byte order.
    names
        Which arrays. What else is in the file is passed over.

    Raises
    ------
    ValueError
        If it is damaged, something else, or lacks one; the message names it.
    """
    with reading("", path, "a file of MATLAB"):
        data = memoryview(path.read_bytes())
        if len(data) < HEADER or bytes(data[124:128]) != b"\0\1IM":
            raise ValueError("it is not of version 5, or of another byte order")
        found: dict[str, Array] = {}
        for kind, content in _elements(data[HEADER:], padded=False):
            if kind == COMPRESSED:
                kind, content = next(_elements(_inflated(content), padded=False), (0, content))
            if kind == MATRIX:
                found |= _matrix(content, names)
        for name in names:
            if name not in found:
                raise ValueError(f"there is no array {name} in it")
    return found


def _elements(data: memoryview, padded: bool) -> Iterator[tuple[int, memoryview]]:
    """(type, content) of the elements in a row; within arrays, `padded` to 8 bytes each."""
    while len(data) >= 8:
        kind, size = struct.unpack_from("<II", data)
        begin = 8
        if kind >> 16:  # at most four bytes, in the second half of the tag
            kind, size, begin = kind & 0xFFFF, kind >> 16, 4
        if (begin == 4 and size > 4) or size > len(data) - begin:
            raise ValueError(f"an element in it announces {size} bytes, {len(data) - begin} are left")
        yield kind, data[begin : begin + size]
        data = data[8 if begin == 4 else 8 + (-(-size // 8) * 8 if padded else size) :]


def _inflated(data: memoryview) -> memoryview:
    """Unpacked data, of no more than their tag announces."""
    start = zlib.decompressobj().decompress(data, 8)
    if len(start) < 8:
        raise ValueError("a compressed element in it is too short")
    size = 8 + int(struct.unpack("<II", start)[1])
    check_unpacked("it", size, len(data))
    return memoryview(zlib.decompressobj().decompress(data, size))


def _matrix(data: memoryview, names: tuple[str, ...]) -> dict[str, Array]:
    """The array of an element under its name; nothing if it has another name."""
    parts = list(_elements(data, padded=True))
    if len(parts) < 3 or [kind for kind, _ in parts[:3]] != [UINT32, INT32, INT8] or len(parts[0][1]) != 8:
        raise ValueError("an array in it has no flags, extents and name")
    (flags,) = struct.unpack_from("<I", parts[0][1])
    name = bytes(parts[2][1]).decode("latin-1")
    if name not in names:
        return {}
    if flags & 0xFF not in NUMERIC or flags & COMPLEX or len(parts) != 4 or parts[3][0] not in NUMBERS:
        raise ValueError(f"{name} in it is no array of real numbers")
    extents = np.frombuffer(parts[1][1], "<i4").tolist()
    values = np.frombuffer(parts[3][1], NUMBERS[parts[3][0]])
    if min(extents, default=-1) < 0 or math.prod(extents) != len(values):
        raise ValueError(f"{name} of shape {tuple(extents)} in it has {len(values)} values")
    return {name: values.reshape(extents, order="F")}
