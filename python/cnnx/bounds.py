"""Amounts that a file announces, held against what is there before anything of that amount is made.

A few kilobytes can unpack to gigabytes. What real data come to is far below these bounds; beyond them the
error says how to go on.
"""

from __future__ import annotations

import gzip
import io
import os
import warnings
from typing import Any

from cnnx.reading import reading

FREE_PIXELS = 1 << 24  # of an image, however small its file is
PIXELS_PER_BYTE = 200  # of larger ones: photographs have 1 to 30, drawings and scans of one colour up to 100
FREE_BYTES = 1 << 26  # that a compressed file may unpack to, however small it is
LARGEST = 1 << 28  # bytes of a download, and of what it unpacks to: the largest that is known has 47 million
UNPACKED_PER_BYTE = 100  # of larger ones: images have 2 to 20


def check_unpacked(name: str, unpacked: int, compressed: int) -> None:
    """Refuses gzip-compressed data that would become far larger than data do.

    Raises
    ------
    ValueError
        If `unpacked` bytes are out of proportion to `compressed` ones; the message starts with `name`.
    """
    if unpacked > max(FREE_BYTES, UNPACKED_PER_BYTE * compressed):
        raise ValueError(
            f"{name}: {compressed} bytes that say they unpack to {unpacked} are taken for damaged or "
            "malicious; if they are right, unpack the file with gunzip"
        )


def decompress(data: bytes, name: str, limit: int = LARGEST) -> bytes:
    """The content of gzip-compressed `data`; data without gzip's magic number is returned as it is.

    Raises
    ------
    ValueError
        If the compressed data is damaged, or unpacks to more than `limit` bytes; the message starts with
        `name`.
    """
    if not compressed(data):
        return data
    with reading("", name, "gzip data"), gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
        content = file.read(limit)
        if file.read(1):
            raise ValueError(f"it unpacks to more than {limit} bytes")
    return content


def compressed(data: bytes) -> bool:
    """Whether data start with gzip's magic number."""
    return data[:2] == b"\x1f\x8b"


def open_picture(path: str | os.PathLike[str]) -> Any:
    """An image file, opened by Pillow, its pixels not yet read and known to be in proportion to the file.

    Pillow's own bound, `PIL.Image.MAX_IMAGE_PIXELS`, is held as well.

    Raises
    ------
    ImportError
        If Pillow is not installed.
    OSError
        If the file cannot be read or is no image.
    ValueError
        If it has too many pixels, or is EPS: whatever its name, the content decides, and that is a program.
    """
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            picture = Image.open(path)
        except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
            raise ValueError(f"{error} (PIL.Image.MAX_IMAGE_PIXELS sets this limit)") from error
    if picture.format == "EPS":
        picture.close()
        raise ValueError("it is a PostScript program, which Pillow would have run by Ghostscript")
    width, height = picture.size
    size = os.path.getsize(path)
    if width * height > max(FREE_PIXELS, PIXELS_PER_BYTE * size):
        picture.close()
        raise ValueError(
            f"{width}x{height} pixels in a file of {size} bytes are taken for damaged or malicious; "
            "if they are right, save the image smaller"
        )
    return picture
