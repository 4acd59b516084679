"""Images in a grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnx.plot.drawing import Array, PathName, as_array, as_text, finish, new_figure, plainly

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
        Arrays (H, W), (1, H, W), (3, H, W) or (H, W, 3), floating-point or uint8; each is shown with its own
        smallest and largest value as black and white, colour ones by one scale over the channels.
    titles
        One line (or several) for each image.
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
    if not pictures:
        raise ValueError("images: there are no images")
    if titles is not None and len(titles) != len(pictures):
        raise ValueError(f"images: {len(titles)} titles for {len(pictures)} images")
    columns = columns or min(8, math.ceil(math.sqrt(len(pictures))))
    rows = math.ceil(len(pictures) / columns)
    titles = None if titles is None else [as_text(text) for text in titles]
    lines = [text.split("\n") for text in titles or []]
    below = 0.17 * max(map(len, lines), default=0)
    side = max(1.5, 0.08 * max((len(line) for text in lines for line in text), default=0))
    figure = new_figure(max(3.2, side * columns), rows * (side + below) + (0.4 if title else 0))
    grid = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in grid:
        axes.set_axis_off()
    for number, (axes, picture) in enumerate(zip(grid, pictures, strict=False)):
        axes.imshow(picture, cmap="gray", interpolation="nearest")
        if titles is not None:
            axes.set_title(titles[number], fontsize=9)
    return finish(figure, title, path)


def as_picture(image: Any) -> Array:
    """An image as matplotlib takes it: (H, W), or (H, W, 3) within [0, 1]."""
    array = as_array(image)
    if array.ndim == 3 and array.shape[0] in (1, 3) and array.shape[2] not in (1, 3):
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
