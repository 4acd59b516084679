"""From an image file to a net's input.

In grey or colour and resized; drawings, such as digits, are cut out, made bright on dark and centred as the
training images are.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cnnx import pictures
from cnnx.cli import CommandError

Array = np.ndarray[Any, Any]
INK = 0.25  # share of the brightest pixel from which on a pixel belongs to the drawing
GAP = 0.06  # of the width of all drawings: empty columns that part two of them
MUCH = 0.2  # of the ink: what a drawing has at least
SAMPLE = 1000  # images that tell how large drawings are


def drawing_size(data: Array) -> float | None:
    """How much of the image's side the drawings in grey images on black fill; None for other images.

    Parameters
    ----------
    data
        uint8 images (N, H, W) or (N, 3, H, W).
    """
    if data.ndim != 3 or len(data) == 0:
        return None
    sample = data[:SAMPLE].astype(np.float32) / max(int(data[:SAMPLE].max()), 1)
    border = np.concatenate([sample[:, 0], sample[:, -1], sample[:, :, 0], sample[:, :, -1]], axis=1)
    if np.quantile(border, 0.6) > 0.05:
        return None
    ink = sample > INK
    sides = []
    for image in ink:
        rows, columns = np.nonzero(image.any(1))[0], np.nonzero(image.any(0))[0]
        if len(rows):
            sides.append(max(np.ptp(rows) / image.shape[0], np.ptp(columns) / image.shape[1]))
    return round(float(np.mean(sides)) + 1 / max(data.shape[1:]), 3) if sides else None


class Seen(NamedTuple):
    """A picture as a net's input (channels, height, width), and how many drawings it seems to hold."""

    pixels: Array
    drawings: int = 1


def read_picture(path: Path, shape: tuple[int, int, int], drawing: float | None) -> Array:
    """An image file as a net's input (channels, height, width): the pixels of `see_picture`."""
    return see_picture(path, shape, drawing).pixels


def see_picture(path: Path, shape: tuple[int, int, int], drawing: float | None) -> Seen:
    """An image file as a net's input, values in [0, 1].

    Parameters
    ----------
    path
        The file, in any format that Pillow reads.
    shape
        (channels, height, width) of the input.
    drawing
        How much of the side a drawing fills, as `drawing_size` gives it; None: the image is only resized.

    Raises
    ------
    CommandError
        If the file is no image or, for a drawing, is empty.
    """
    channels, height, width = shape
    picture = opened_picture(path, "L" if channels == 1 else "RGB")
    if drawing is not None:
        pixels = np.asarray(picture, dtype=np.float32) / 255
        if (pixels.shape == (height, width)) and np.median(frame(pixels)) < 0.1:
            return Seen(pixels[None])  # as the training images are already
        ink = clean(pixels, path)
        return Seen(centred(ink, (height, width), drawing)[None], count_drawings(ink))
    array = np.asarray(resized(picture, width, height), dtype=np.float32) / 255
    return Seen(array[None] if channels == 1 else array.transpose(2, 0, 1))


def opened_picture(path: Path, mode: str) -> Any:
    """An image file as a person sees it (`pictures.in_view`), in mode L or RGB; else CommandError."""
    try:
        return pictures.read("images", path, lambda opened: pictures.in_view(opened, mode))
    except (ImportError, MemoryError, ValueError) as error:
        raise CommandError(str(error)) from error


def resized(picture: Any, width: int, height: int) -> Any:
    """A picture in another size."""
    from PIL import Image

    return picture.resize((width, height), Image.Resampling.BILINEAR)


def frame(pixels: Array) -> Array:
    """The pixels at the border."""
    return np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])


def clean(pixels: Array, path: Path) -> Array:
    """A drawing, bright on a background of 0: inverted where needed, uneven light and noise taken out."""
    from PIL import Image, ImageFilter

    if np.median(frame(pixels)) > np.mean([pixels.min(), pixels.max()]):
        pixels = 1 - pixels
    # The light on the paper changes slowly: the median of a coarse neighbourhood is the paper, not the pen.
    height, width = pixels.shape
    scale = 48 / max(height, width)
    small = Image.fromarray((pixels * 255).astype(np.uint8))
    if scale < 1:
        small = small.resize(
            (max(8, round(width * scale)), max(8, round(height * scale))), Image.Resampling.BOX
        )
        coarse = small.filter(ImageFilter.MedianFilter(17)).filter(ImageFilter.GaussianBlur(4))
        light = np.asarray(coarse.resize((width, height), Image.Resampling.BILINEAR), dtype=np.float32) / 255
    else:
        light = np.full_like(pixels, np.median(frame(pixels)))
    lifted = np.clip(pixels - light, 0, None)
    bright = float(np.quantile(lifted, 0.995))
    if bright < 0.05:
        raise CommandError(f"{path}: there is nothing drawn on it")
    cleaned: Array = np.clip((lifted / bright - INK) / (0.8 - INK), 0, 1)
    return cleaned


def count_drawings(ink: Array) -> int:
    """How many drawings stand side by side: parts with much of the ink, and empty columns between them.

    Parameters
    ----------
    ink
        Bright on 0, (H, W).
    """
    columns = ink.sum(0)
    filled = columns > 0.02 * columns.max()
    (at,) = np.nonzero(filled)
    gap = max(2, round(GAP * (at[-1] - at[0] + 1)))
    # A new drawing begins behind so many empty columns.
    starts = [at[0], *(b for a, b in pairwise(at) if b - a > gap)]
    masses = [columns[a:b].sum() for a, b in zip(starts, [*starts[1:], len(columns)], strict=True)]
    return max(1, sum(bool(mass >= MUCH * columns.sum()) for mass in masses))


def centred(ink: Array, size: tuple[int, int], drawing: float) -> Array:
    """The drawing cut out, scaled to its share of the image, its centre of mass in the middle."""
    from PIL import Image, ImageFilter

    # Where the drawing is: specks of noise do not survive a blur, lines do.
    blur = ImageFilter.BoxBlur(max(ink.shape) // 100)
    solid = np.asarray(Image.fromarray(np.rint(ink * 255).astype(np.uint8)).filter(blur)) / 255
    solid = solid > INK * solid.max()
    rows, columns = np.nonzero(solid.any(1))[0], np.nonzero(solid.any(0))[0]
    cut = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    room = [max(1, round(extent * drawing)) for extent in size]
    scale = min(room[0] / cut.shape[0], room[1] / cut.shape[1])
    height, width = (max(1, round(extent * scale)) for extent in cut.shape)
    picture = Image.fromarray(np.rint(cut * 255).astype(np.uint8))
    if scale < 1:
        # A thin line of a large drawing fades when shrunk: averages are stretched to the full range again.
        small = np.asarray(picture.resize((width, height), Image.Resampling.BOX), dtype=np.float32) / 255
        small = np.clip(small / max(float(np.quantile(small, 0.97)), 1e-3), 0, 1)
    else:
        small = np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC), dtype=np.float32) / 255
    result = np.zeros(size, np.float32)
    starts = []
    for axis, (extent, own) in enumerate(zip(size, small.shape, strict=True)):
        mass = small.sum(axis=1 - axis)
        middle = float((mass * np.arange(own)).sum() / max(float(mass.sum()), 1e-6))
        starts.append(int(np.clip(round((extent - 1) / 2 - middle), 0, extent - own)))
    top, left = starts
    result[top : top + height, left : left + width] = small
    return result
