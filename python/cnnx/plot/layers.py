"""The insides of a net: filters and feature maps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cnnx.plot.drawing import (
    PALETTE,
    Array,
    PathName,
    as_array,
    as_name,
    as_text,
    finish,
    new_figure,
    plainly,
    width_of,
    wrap,
)
from cnnx.plot.grid import as_picture
from cnnx.plot.mosaic import Mosaic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FILTERS = 6.0  # inches of a side of all filters, while one is within these
SMALLEST, LARGEST, SINGLE = 0.5, 1.0, 2.0
WIDTH = 9.8  # inches of all feature maps side by side
BESIDE, BELOW, ABOVE, GAP = 0.3, 0.2, 0.22, 0.2  # for numbers, heading, and between layers
MAP = (WIDTH - 2 * BESIDE - GAP) / 16  # with the gap behind it; two layers of 8 in a row, or one of 16
PICTURE = 1.2  # of the image
NOTE = "each channel on its own scale, black to white, crossed out where it is constant"


@plainly
def filters(
    weight: Any,
    path: PathName | None = None,
    *,
    title: str | None = None,
    limit: int = 16,
    colour: bool = False,
) -> Figure:
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
    colour
        Show each filter of three input channels (red, green, blue) as one picture in colours, in which 0 is
        mid-grey. Default: False.

    Raises
    ------
    ValueError
        If the weight has another number of dimensions, colours are asked for and there are not three input
        channels, or the limit is not positive.
    """
    _check_limit("filters", limit)
    kernels = as_array(weight)
    if kernels.ndim == 3:
        kernels = kernels[:, :, None, :]
    if kernels.ndim != 4 or kernels.size == 0:
        raise ValueError(
            f"filters: needs a weight (out_channels, in_channels, [height,] width), got {kernels.shape}"
        )
    outputs, inputs = kernels.shape[:2]
    if colour and inputs != 3:
        raise ValueError(f"filters: colours need 3 input channels, the weight has {inputs}")
    heading = title or f"filters {'x'.join(map(str, as_array(weight).shape))}"
    alone = inputs == 1 or colour
    if alone:
        kernels = kernels[: limit * limit]
        tiles = kernels.transpose(0, 2, 3, 1) if colour else kernels[:, 0]
        shown, count, what = len(kernels), outputs, "filters"
    else:
        kernels = kernels[:limit, :limit]
        tiles = kernels.reshape(-1, *kernels.shape[2:])
        shown, count, what = len(tiles), outputs * inputs, "kernels"
    if shown < count:
        heading += f" (the first {shown} of {count} {what})"
    bound = float(np.abs(kernels[np.isfinite(kernels)]).max(initial=0)) or 1.0
    mosaic = Mosaic(0.5 + tiles / (2 * bound) if colour else tiles, None if alone else kernels.shape[1])
    tile = max(SMALLEST, FILTERS / max(mosaic.rows, mosaic.columns))
    width, height = mosaic.inches(min(tile, LARGEST if mosaic.count > 1 else SINGLE))
    figure = new_figure(width + 2, height + 1)
    axes = figure.subplots()
    picture = mosaic.draw(axes, **({} if colour else {"cmap": "RdBu_r", "vmin": -bound, "vmax": bound}))
    single = alone and mosaic.rows == 1
    if not single:  # upright, so that one row has room for it
        axes.set_ylabel("output\nchannel", rotation=0, ha="right", va="center", fontsize=9)
    if single or not alone:
        axes.set_xlabel("output channel" if single else "input channel", fontsize=9)
    note = None
    if colour:
        note = f"grey is 0; bright colours are positive, up to {bound:.3g}, dark ones negative"
    else:
        bar = figure.colorbar(picture, cax=axes.inset_axes((1 + 0.15 / width, 0, 0.12 / width, 1)))
        bar.set_label("weight", fontsize=9)
        bar.ax.tick_params(labelsize=8)
    return finish(figure, heading, path, note, (axes, width, height))


class Panel(NamedTuple):
    """What is drawn of a layer: its heading, the inches that it takes, and how it is drawn."""

    heading: str
    width: float
    height: float
    draw: Callable[[Any], Any]


@plainly
def feature_maps(
    activations: Any,
    path: PathName | None = None,
    *,
    image: Any = None,
    title: str | None = None,
    limit: int = 64,
) -> Figure:
    """The outputs of layers for one image, each channel a grey picture of its own scale.

    A channel that is the same everywhere, such as that of a dead ReLU, is crossed out and counted.

    Parameters
    ----------
    activations
        Shape (C, H, W), or (C, W) for a 1-D net, or a mapping from layers' names to such; a leading batch of
        one is dropped.
    path
        Where to write the picture.
    image
        The image itself, as `images` takes it, shown before the layers. Default: none.
    title
        Above all.
    limit
        Channels shown of a layer at most; its heading says if there are more. Default: 64.

    Raises
    ------
    ValueError
        If an activation has another number of dimensions or holds no real numbers, there is none, or the
        limit is not positive.
    """
    _check_limit("feature_maps", limit)
    layers = activations if isinstance(activations, Mapping) else {"": activations}
    if not layers:
        raise ValueError("feature_maps: there are no activations")
    panels = [] if image is None else [_image_panel(image)]
    panels += [_maps_panel(as_name(name), as_array(value), limit) for name, value in layers.items()]
    rows: list[list[Panel]] = [[]]
    for panel in panels:
        taken = sum(other.width + GAP for other in rows[-1])
        if rows[-1] and taken + panel.width > WIDTH:
            rows.append([])
        rows[-1].append(panel)
    width = 0.2 + max(sum(panel.width + GAP for panel in row) - GAP for row in rows)
    figure = new_figure(max(width, 3.0), 1)
    figure.set_layout_engine("none")  # every place is known
    heading = figure.suptitle(as_text(f"{title}\n{NOTE}" if title else NOTE), fontsize=10)
    wrap(figure, heading)
    above = heading.get_window_extent().height / figure.dpi + 0.2
    height = above + sum(max(panel.height for panel in row) + GAP for row in rows)
    width = figure.get_size_inches()[0]
    figure.set_size_inches(width, height)
    heading.set_y(1 - 0.1 / height)
    top = height - above
    for row in rows:
        left = 0.1
        for panel in row:
            inner = panel.height - ABOVE - BELOW
            place = (left + BESIDE, top - ABOVE - inner, panel.width - BESIDE, inner)
            axes = figure.add_axes((place[0] / width, place[1] / height, place[2] / width, place[3] / height))
            panel.draw(axes)
            axes.set_title(panel.heading, fontsize=9, loc="left", pad=4)
            left += panel.width + GAP
        top -= max(panel.height for panel in row) + GAP
    return finish(figure, None, path)


def _check_limit(name: str, limit: int) -> None:
    if limit < 1:
        raise ValueError(f"{name}: limit must be positive, got {limit}")


def _image_panel(image: Any) -> Panel:
    picture = as_picture(image)
    height, width = picture.shape[:2]
    sides = [PICTURE * side / max(height, width) for side in (width, height)]

    def draw(axes: Any) -> None:
        axes.imshow(picture, cmap="gray", interpolation="nearest", aspect="auto")
        axes.set_axis_off()

    return _panel(f"input  {height}x{width}", sides[0], sides[1], draw)


def _panel(heading: str, width: float, height: float, draw: Callable[[Any], Any]) -> Panel:
    room = max(width, width_of([heading], 9))

    def placed(axes: Any) -> None:
        left, bottom, across, up = axes.get_position().bounds
        axes.set_position((left, bottom, across * width / room, up))
        draw(axes)

    return Panel(heading, BESIDE + room, ABOVE + height + BELOW, placed)


def _maps_panel(name: str, maps: Array, limit: int) -> Panel:
    from matplotlib.ticker import MaxNLocator

    if maps.ndim == 4 and maps.shape[0] == 1:
        maps = maps[0]
    if maps.ndim not in (2, 3) or maps.size == 0:
        raise ValueError(f"feature_maps: needs maps (channels, [height,] width), got {maps.shape}")
    if maps.dtype.kind not in "iuf":
        raise ValueError(f"feature_maps: needs maps of numbers, got {maps.dtype}")
    heading = f"{name}  {'x'.join(map(str, maps.shape))}".strip()
    if len(maps) > limit:
        heading += f", the first {limit} channels"
        maps = maps[:limit]
    inner = tuple(range(1, maps.ndim))
    low, high = maps.min(axis=inner, keepdims=True), maps.max(axis=inner, keepdims=True)
    finite = np.isfinite(high - low)
    scaled = np.where(finite, maps - low, np.nan) / np.where(finite & (high > low), high - low, np.nan)
    for found, what in ((finite & (high == low), "constant"), (~finite, "not finite")):
        heading += f", {found.sum()} {what}" if found.any() else ""
    (dead,) = np.nonzero((~finite | (high == low)).reshape(len(maps)))
    style = {"cmap": "gray", "vmin": 0, "vmax": 1}
    if maps.ndim == 2:  # of a 1-D net: one row of a single picture per channel

        def rows(axes: Any) -> None:
            axes.imshow(scaled, aspect="auto", interpolation="nearest", **style)
            axes.hlines(dead, -0.5, maps.shape[1] - 0.5, color=PALETTE[1], linewidth=1)
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
            axes.tick_params(labelsize=8)

        return _panel(heading, WIDTH - BESIDE, 0.13 * max(2, len(maps)), rows)
    mosaic = Mosaic(scaled, min(len(maps), 8 if len(maps) <= 16 else 16), numbered=True)

    def tiles(axes: Any) -> None:
        mosaic.draw(axes, **style)
        for index in dead:
            mosaic.cross_out(axes, int(index))

    width, height = mosaic.inches_within((PICTURE if len(maps) == 1 else MAP) * mosaic.columns)
    return _panel(heading, width, height, tiles)
