"""Pictures as Pillow opens them, in values that nets take: the one place where modes are converted.

`ToTensor`, `PILToTensor`, `ImageFolder`, `cnnx train` and `cnnx predict` come by here. Of a file with several
frames the first is taken.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from cnnx.bounds import open_picture
from cnnx.reading import reading

Array = np.ndarray[Any, Any]

_SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N")
_WHITE = 65535  # of 16 bits
_TRANSPARENT = ("LA", "La", "PA", "RGBA", "RGBa")
_PLAIN = {"La": "LA", "RGBa": "RGBA"}  # colours multiplied by their opacity, and those that are not


def pillow(op: str) -> Any:
    """The module `PIL.Image`; ImportError naming `op` where Pillow is missing."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(f"{op}: reading images needs Pillow: pip install pillow") from error
    return Image


def read(op: str, path: str | os.PathLike[str], use: Callable[[Any], Any]) -> Any:
    """`use` of the opened file; ValueError in one line that names it if it cannot be read."""
    pillow(op)
    with reading(op, path, "an image"), open_picture(path) as opened:
        return use(opened)


def has_sixteen_bits(picture: Any) -> bool:
    """Whether 65535 stands for white. Mode I has 32 bits, but from PNG and PGM files 16."""
    return picture.mode in _SIXTEEN_BITS or (picture.mode == "I" and picture.format in ("PNG", "PPM"))


def values(picture: Any) -> Array:
    """The pixels as they are, (H, W) or (H, W, bands).

    uint8; bool for mode 1; int32 for modes of 16 and 32 bits; float32 for mode F. Of mode P the places in the
    palette.
    """
    pixels = np.asarray(picture)
    return pixels.astype(np.int32) if pixels.dtype.kind in "iu" and pixels.dtype.itemsize > 1 else pixels


def white(picture: Any) -> int | None:
    """Which of its `values` stands for white; None for modes I and F, where none does."""
    if picture.mode == "1":
        return 1
    return _WHITE if has_sixteen_bits(picture) else None if picture.mode in ("I", "F") else 255


def in_bytes(picture: Any, mode: str) -> Any:
    """The picture in mode L or RGB, without regard to transparency, values in proportion.

    Raises
    ------
    ValueError
        If it is of mode I or F, where nothing stands for white, or of one that Pillow does not convert.
    """
    picture = _eight_bits(picture, has_sixteen_bits(picture))
    return picture.convert("RGB").convert(mode) if picture.mode == "LAB" else picture.convert(mode)


def in_view(picture: Any, mode: str) -> Any:
    """The picture as a person sees it, in mode L or RGB: turned as its EXIF data say, on white paper."""
    from PIL import Image, ImageOps

    wide = has_sixteen_bits(picture)  # a copy does not know the format of its file
    picture = _eight_bits(ImageOps.exif_transpose(picture), wide)
    if picture.mode in _TRANSPARENT or "transparency" in picture.info:
        paper = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(paper, picture.convert("RGBA"))
    return in_bytes(picture, mode)


def _eight_bits(picture: Any, sixteen: bool) -> Any:
    if sixteen:
        from PIL import Image

        return Image.fromarray(np.rint(values(picture) * (255 / _WHITE)).astype(np.uint8))
    if white(picture) is None:
        raise ValueError(
            f"pictures of mode {picture.mode} have no value that stands for white; store 8 or 16 bits"
        )
    return picture.convert(_PLAIN[picture.mode]) if picture.mode in _PLAIN else picture
