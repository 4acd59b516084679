"""Pictures of trainings and nets: curves, confusion matrices, filters, feature maps, images with titles.

Each function returns the matplotlib figure and, given a path, writes it there in one step. They never touch
`pyplot` or the screen, so they work without a display and leave a script's own figures alone. matplotlib is
needed (`pip install 'cnnx[cli]'`); tensors, arrays and nested lists are taken alike.
"""

from __future__ import annotations

import functools
import io
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

import numpy as np

from cnnx import _C
from cnnx.files import write_file
from cnnx.text import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["confusion_matrix", "curves", "feature_maps", "filters", "images"]

DPI = 120
Path_ = str | os.PathLike[str]
Array = np.ndarray[Any, Any]
P = ParamSpec("P")


def _plainly(function: Callable[P, Figure]) -> Callable[P, Figure]:
    """Text means itself in what the function draws: `$` begins no formula, and nothing goes through TeX.

    Names of classes and files come from anywhere; as a formula most are an error.
    """

    @functools.wraps(function)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> Figure:
        try:
            import matplotlib.figure
        except ImportError as error:
            raise ImportError("plot: matplotlib is not installed (pip install 'cnnx[cli]')") from error
        plain: dict[Any, Any] = {
            "text.parse_math": False,
            "text.usetex": False,
            "axes.formatter.use_mathtext": False,
        }
        with matplotlib.rc_context(plain):
            return function(*args, **kwargs)

    return drawn


def _text(text: Any) -> str:
    """Text as a picture can show it, in one line or several."""
    return printable(str(text), lines=True)


@_plainly
def curves(
    history: Mapping[str, Mapping[str, Sequence[float]]],
    path: Path_ | None = None,
    *,
    xlabel: str = "epoch",
    title: str | None = None,
) -> Figure:
    """Curves over the epochs, one panel per quantity and one line per part in it.

    Parameters
    ----------
    history
        Values by quantity and part: ``{"loss": {"train": [...], "validation": [...]}, "accuracy": ...}``;
        the first value of each list belongs to epoch 1.
    path
        Where to write the picture (PNG unless the suffix says otherwise).
    xlabel
        What the values are counted by. Default: ``"epoch"``.
    title
        Above the panels.

    Raises
    ------
    ValueError
        If there is nothing to draw.

    Examples
    --------
    >>> figure = curves({"loss": {"train": [0.9, 0.4], "validation": [0.8, 0.5]}})
    >>> [axes.get_ylabel() for axes in figure.axes]
    ['loss']
    """
    if not history or not all(parts for parts in history.values()):
        raise ValueError("curves: the history is empty")
    from matplotlib.ticker import MaxNLocator

    figure = _figure(4.6 * len(history), 3.6)
    panels = figure.subplots(1, len(history), squeeze=False)[0]
    for axes, (quantity, parts) in zip(panels, history.items(), strict=True):
        for part, values in parts.items():
            numbers = _array(values)
            marker = "o" if len(numbers) <= 60 else None
            label = printable(str(part))
            axes.plot(np.arange(1, len(numbers) + 1), numbers, marker=marker, markersize=3, label=label)
        axes.set(xlabel=_text(xlabel), ylabel=_text(quantity))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if max(map(max, parts.values())) <= 1 < axes.get_ylim()[1]:  # no room above an accuracy of 1
            axes.set_ylim(top=1.005)
        axes.grid(alpha=0.3)
        axes.legend()
    return _finish(figure, title, path)


@_plainly
def confusion_matrix(
    matrix: Any, classes: Sequence[str] | None = None, path: Path_ | None = None, *, title: str | None = None
) -> Figure:
    """A confusion matrix as counts on a shaded grid; the shade is the share of the true class.

    Parameters
    ----------
    matrix
        Shape (C, C): rows are true classes, columns predicted ones, as scikit-learn gives it.
    classes
        Names of the classes. Default: their numbers.
    path
        Where to write the picture.
    title
        Default: the accuracy.

    Raises
    ------
    ValueError
        If the matrix is not square or the names do not fit it.
    """
    counts = _array(matrix)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or counts.size == 0:
        raise ValueError(f"confusion_matrix: needs a square matrix, got shape {counts.shape}")
    names = [printable(str(name)) for name in (range(len(counts)) if classes is None else classes)]
    if len(names) != len(counts):
        raise ValueError(f"confusion_matrix: {len(names)} names for {len(counts)} classes")
    totals = counts.sum(axis=1, keepdims=True)
    share = counts / np.maximum(totals, 1)
    side = max(4.6, 0.52 * len(names) + 1.4)
    figure = _figure(side + 0.9, side)
    axes = figure.subplots()
    shades = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(shades, ax=axes, label="share of the true class", fraction=0.046)
    long = max(map(len, names)) > 3
    places = range(len(names))
    axes.set_xticks(
        places,
        names,
        rotation=45 if long else 0,
        ha="right" if long else "center",
        rotation_mode="anchor" if long else "default",
    )
    axes.set_yticks(places, names)
    axes.set(xlabel="predicted class", ylabel="true class")
    if len(names) <= 30:
        for row, column in np.argwhere(counts > 0):
            axes.text(
                column,
                row,
                f"{counts[row, column]:g}",
                ha="center",
                va="center",
                fontsize=8,
                color="white" if share[row, column] > 0.5 else "black",
            )
    accuracy = np.trace(counts) / max(counts.sum(), 1)
    return _finish(figure, title or f"accuracy {accuracy:.4f} on {counts.sum():,.0f} images", path)


@_plainly
def filters(weight: Any, path: Path_ | None = None, *, title: str | None = None, limit: int = 16) -> Figure:
    """The kernels of a convolution, blue below zero and red above.

    Parameters
    ----------
    weight
        Shape (out_channels, in_channels, kernel_height, kernel_width), or without height for a 1-D layer.
        With one input channel the kernels fill a grid; else rows are output channels and columns input
        channels.
    path
        Where to write the picture.
    title
        Default: the weight's shape.
    limit
        Channels shown along each side at most; the title says if there are more. Default: 16.

    Raises
    ------
    ValueError
        If the weight has another number of dimensions.
    """
    kernels = _array(weight)
    if kernels.ndim == 3:
        kernels = kernels[:, :, None, :]
    if kernels.ndim != 4 or kernels.size == 0:
        raise ValueError(
            f"filters: needs a weight (out_channels, in_channels, [height,] width), got {kernels.shape}"
        )
    outputs, inputs = kernels.shape[:2]
    heading = title or f"filters {'x'.join(map(str, _array(weight).shape))}"
    if inputs == 1:
        shown, columns = kernels[: limit * limit, 0], None
        labels = ("", "output channel")
    else:
        kernels = kernels[:limit, :limit]
        columns = kernels.shape[1]
        shown, labels = kernels.reshape(-1, *kernels.shape[2:]), ("input channel", "output channel")
    if len(shown) < outputs * inputs:
        heading += f" (the first {len(shown)} of {outputs * inputs} kernels)"
    bound = float(np.abs(shown).max()) or 1.0
    mosaic = _Mosaic(shown, columns)
    figure = _figure(*mosaic.inches(colorbar=True))
    axes = figure.subplots()
    picture = mosaic.draw(axes, cmap="RdBu_r", vmin=-bound, vmax=bound)
    axes.set(xlabel=labels[0], ylabel=labels[1])
    figure.colorbar(picture, ax=axes, label="weight", fraction=0.046)
    return _finish(figure, heading, path)


@_plainly
def feature_maps(
    activations: Any, path: Path_ | None = None, *, title: str | None = None, limit: int = 64
) -> Figure:
    """The outputs of layers for one image, each channel a grey picture of its own scale.

    Parameters
    ----------
    activations
        Shape (C, H, W), or (C, W) for a 1-D net, or a mapping from layers' names to such; a leading batch of
        one is dropped.
    path
        Where to write the picture.
    title
        Above all.
    limit
        Channels shown of a layer at most; its heading says if there are more. Default: 64.

    Raises
    ------
    ValueError
        If an activation has another number of dimensions.
    """
    layers = activations if isinstance(activations, Mapping) else {"": activations}
    if not layers:
        raise ValueError("feature_maps: there are no activations")
    panels = [_maps_panel(str(name), _array(value), limit) for name, value in layers.items()]
    figure = _figure(9.0, sum(height for _, height, _ in panels) + (0.3 if title else 0))
    heights = [height for _, height, _ in panels]
    grid = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (heading, _, draw) in zip(grid, panels, strict=True):
        draw(axes)
        axes.set_title(_text(heading), fontsize=10)
    note = "each channel on its own scale, black to white"
    return _finish(figure, f"{title} ({note})" if title else note, path)


def _maps_panel(name: str, maps: Array, limit: int) -> tuple[str, float, Callable[[Any], Any]]:
    """Heading, height in inches and drawing function of one layer's maps."""
    if maps.ndim == 4 and maps.shape[0] == 1:
        maps = maps[0]
    if maps.ndim not in (2, 3) or maps.size == 0:
        raise ValueError(f"feature_maps: needs maps (channels, [height,] width), got {maps.shape}")
    heading = f"{name}  {'x'.join(map(str, maps.shape))}".strip()
    if len(maps) > limit:
        heading += f", the first {limit} channels"
        maps = maps[:limit]
    inner = tuple(range(1, maps.ndim))
    low, high = maps.min(axis=inner, keepdims=True), maps.max(axis=inner, keepdims=True)
    scaled = (maps - low) / np.where(high > low, high - low, 1)
    style = {"cmap": "gray", "vmin": 0, "vmax": 1}
    if maps.ndim == 2:  # of a 1-D net: one row of a single picture per channel

        def rows(axes: Any) -> None:
            axes.imshow(scaled, aspect="auto", interpolation="nearest", **style)
            axes.set_yticks(_spread(len(scaled)))
            axes.set_ylabel("channel", fontsize=9)
            axes.tick_params(labelsize=8)

        return heading, 0.9 + 0.13 * len(maps), rows
    mosaic = _Mosaic(scaled, 16 if len(maps) > 8 else 8, numbered=True)

    def tiles(axes: Any) -> None:
        mosaic.draw(axes, **style)
        if mosaic.rows > 1:
            axes.set_ylabel("channel", fontsize=9)
        else:  # the columns count the channels
            axes.set_yticks([])
            axes.set_xlabel("channel", fontsize=9)

    return heading, mosaic.inches(width=9.0)[1], tiles


@_plainly
def images(
    images: Any,
    titles: Sequence[str] | None = None,
    path: Path_ | None = None,
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
    pictures = [_picture(image) for image in images]
    if not pictures:
        raise ValueError("images: there are no images")
    if titles is not None and len(titles) != len(pictures):
        raise ValueError(f"images: {len(titles)} titles for {len(pictures)} images")
    columns = columns or min(8, math.ceil(math.sqrt(len(pictures))))
    rows = math.ceil(len(pictures) / columns)
    titles = None if titles is None else [_text(text) for text in titles]
    lines = [text.split("\n") for text in titles or []]
    below = 0.17 * max(map(len, lines), default=0)
    side = max(1.5, 0.08 * max((len(line) for text in lines for line in text), default=0))
    figure = _figure(max(3.2, side * columns), rows * (side + below) + (0.4 if title else 0))
    grid = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in grid:
        axes.set_axis_off()
    for number, (axes, picture) in enumerate(zip(grid, pictures, strict=False)):
        axes.imshow(picture, cmap="gray", interpolation="nearest")
        if titles is not None:
            axes.set_title(titles[number], fontsize=9)
    return _finish(figure, title, path)


class _Mosaic:
    """Small pictures of one size put together with gaps between: one image draws faster than hundreds."""

    def __init__(self, tiles: Array, columns: int | None, numbered: bool = False) -> None:
        count, self.height, self.width = tiles.shape
        self.count = count
        self.numbered = numbered or columns is None  # tile by tile, else by rows and columns
        self.columns = columns or max(1, math.ceil(math.sqrt(count * self.height / self.width)))
        self.rows = math.ceil(count / self.columns)
        gap = self.gap = max(1, round(min(self.height, self.width) * 0.08))
        canvas = np.full(
            (self.rows * (self.height + gap) - gap, self.columns * (self.width + gap) - gap), np.nan
        )
        for index, tile in enumerate(tiles):
            row, column = divmod(index, self.columns)
            top, left = row * (self.height + gap), column * (self.width + gap)
            canvas[top : top + self.height, left : left + self.width] = tile
        self.canvas = canvas

    def inches(self, width: float | None = None, colorbar: bool = False) -> tuple[float, float]:
        """A readable size for the figure."""
        if width is None:
            width = min(12.0, max(4.0, 0.45 * self.columns + 1.0)) + (1.2 if colorbar else 0.0)
        inner = width - 0.8 - (1.2 if colorbar else 0.0)
        height, across = self.canvas.shape
        return width, min(12.0, inner * height / across) + 0.8

    def draw(self, axes: Any, **style: Any) -> Any:
        """Draws the tiles; the ticks are the numbers of columns and of each row's (first) tile."""
        picture = axes.imshow(self.canvas, interpolation="nearest", **style)
        rows, columns = _spread(self.rows), _spread(min(self.columns, self.count))
        step = self.columns if self.numbered else 1
        axes.set_yticks(
            [row * (self.height + self.gap) + (self.height - 1) / 2 for row in rows],
            [str(row * step) for row in rows],
            fontsize=8,
        )
        axes.set_xticks(
            [column * (self.width + self.gap) + (self.width - 1) / 2 for column in columns],
            [("+" if self.numbered and self.rows > 1 else "") + str(column) for column in columns],
            fontsize=8,
        )
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
        return picture


def _spread(count: int) -> range:
    """At most 16 indices below `count`, evenly spaced."""
    return range(0, count, math.ceil(count / 16))


def _picture(image: Any) -> Array:
    """An image as matplotlib takes it: (H, W), or (H, W, 3) within [0, 1]."""
    array = _array(image)
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


def _array(value: Any) -> Array:
    if isinstance(value, _C.TensorBase):
        value = _C.numpy(_C.to_device(value._detach(), "cpu"))
    return np.asarray(value)


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained", dpi=DPI)


def _finish(figure: Figure, title: str | None, path: Path_ | None) -> Figure:
    if title:
        figure.suptitle(_text(title), fontsize=12)
    if path is not None:
        buffer = io.BytesIO()
        figure.savefig(buffer, format=Path(path).suffix[1:] or "png")
        write_file(path, buffer.getvalue())
    return figure
