"""Images in a grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnx.plot.drawing import Array, PathName, as_array, as_text, broken, finish, new_figure, plainly

if TYPE_CHECKING:
    from matplotlib.figure import Figure


SIDE, LARGE = 1.6, 2.2  # inches of an image; of one of a few
NARROWEST = 3.2  # inches of all
SHADES = "inferno"  # as even to the eye as to the numbers, in every kind of colour blindness


@plainly
def images(
    images: Any,
    titles: Sequence[str] | None = None,
    path: PathName | None = None,
    *,
    title: str | None = None,
    columns: int | None = None,
) -> Figure:
    """Images in a grid, each under its title.

    Parameters
    ----------
    images
        Arrays (H, W), (1, H, W), (3, H, W) or (H, W, 3), floating-point or uint8; where two of these fit, the
        channels are first. Each is shown with its own smallest and largest value as black and white, colour
        ones by one scale over the channels.
    titles
        One line (or several) for each image; longer ones are broken.
    path
        Where to write the picture.
    title
        Above all.
    columns
        Default: as square as possible, at most 8.

    Raises
    ------
    ValueError
        If there is no image, one has another shape, or the titles do not fit.
    """
    pictures = [as_picture(image) for image in images]
    figure, grid = _grid("images", len(pictures), titles, columns, title, None)
    for axes, picture in zip(grid, pictures, strict=True):
        axes.imshow(picture, cmap="gray", interpolation="nearest")
    return finish(figure, title, path)


@plainly
def overlays(
    images: Any,
    maps: Any,
    titles: Sequence[str] | None = None,
    path: PathName | None = None,
    *,
    title: str | None = None,
    columns: int | None = None,
    note: str | None = None,
) -> Figure:
    """Images in grey, each under a map of what counts in it (see `cnnx.attribution`), on a scale of its own.

    Parameters
    ----------
    images
        As `cnnx.plot.images` takes them.
    maps
        For each image an array (H, W) that is not negative, or None to show the image alone and in its
        colours. Dark and clear is 0, bright and opaque the largest value.
    titles, path, title, columns
        As in `cnnx.plot.images`.
    note
        A line below all.

    Raises
    ------
    ValueError
        If an image or a map has another shape, a map is negative or not finite, or their numbers differ.

    Examples
    --------
    >>> figure = overlays([[[0.0, 1.0]]] * 2, [None, [[0.5, 2.0]]], ["the image", "what counts"])
    >>> [axes.get_title() for axes in figure.axes]
    ['the image', 'what counts']
    """
    pictures, shown = [as_picture(image) for image in images], list(maps)
    if len(shown) != len(pictures):
        raise ValueError(f"overlays: {len(shown)} maps for {len(pictures)} images")
    figure, grid = _grid("overlays", len(pictures), titles, columns, title, note)
    for axes, picture, one in zip(grid, pictures, shown, strict=True):
        if one is None:
            axes.imshow(picture, cmap="gray", interpolation="nearest")
            continue
        heat = as_array(one)
        if heat.shape != picture.shape[:2]:
            raise ValueError(f"overlays: a map {heat.shape} for an image {picture.shape[:2]}")
        if not np.all(np.isfinite(heat)) or heat.min() < 0:
            raise ValueError("overlays: maps must be finite and not negative")
        strength = heat / (heat.max() or 1)
        axes.imshow(picture.mean(2) if picture.ndim == 3 else picture, cmap="gray", interpolation="nearest")
        axes.imshow(
            strength,
            cmap=SHADES,
            vmin=0,
            vmax=1,
            alpha=0.35 + 0.5 * strength,
            interpolation="nearest",
        )
    return finish(figure, title, path, note)


def _grid(
    name: str,
    count: int,
    titles: Sequence[str] | None,
    columns: int | None,
    title: str | None,
    note: str | None,
) -> tuple[Figure, list[Any]]:
    """A figure and the axes of so many images, as large as these and the texts need."""
    if count == 0:
        raise ValueError(f"{name}: there are no images")
    if titles is not None and len(titles) != count:
        raise ValueError(f"{name}: {len(titles)} titles for {count} images")
    columns = columns or min(8, math.ceil(math.sqrt(count)))
    rows = math.ceil(count / columns)
    side = min(LARGE, max(SIDE, 5.0 / columns))
    width = max(NARROWEST, side * columns + 0.2)
    lines = [broken(as_text(text), side - 0.1, 9) for text in titles or []]
    above = 0.05 + max((_height(text, 9) for text in lines), default=0)
    height = rows * (side + above)
    for text, size in ((title, 12), (note, 9)):
        height += _height(broken(as_text(text), 0.97 * width, size), size) + 0.1 if text else 0
    figure = new_figure(width, height)
    grid = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in grid:
        axes.set_axis_off()
    for axes, text in zip(grid, lines, strict=False):
        axes.set_title(text, fontsize=9)
    return figure, grid[:count]


def _height(text: str, size: float) -> float:
    """Inches of some lines in letters of so many points."""
    return (text.count("\n") + 1) * 1.35 * size / 72


def as_picture(image: Any) -> Array:
    """An image as matplotlib takes it: (H, W), or (H, W, 3) within [0, 1]."""
    array = as_array(image)
    if array.ndim == 3 and array.shape[0] in (1, 3):
        array = array.transpose(1, 2, 0)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] != 3) or array.size == 0:
        raise ValueError(f"images: needs images (H, W), (1, H, W), (3, H, W) or (H, W, 3), got {array.shape}")
    if array.ndim == 2:
        return array
    low, high = float(array.min()), float(array.max())
    if array.dtype == np.uint8:
        low, high = 0.0, 255.0
    elif low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    scaled: Array = (array - low) / ((high - low) or 1.0)
    return scaled
