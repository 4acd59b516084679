"""The insides of a net: filters and feature maps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnx.plot.drawing import Array, PathName, as_array, as_text, finish, new_figure, plainly
from cnnx.plot.mosaic import Mosaic, spread

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@plainly
def filters(
    weight: Any, path: PathName | None = None, *, title: str | None = None, limit: int = 16
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

    Raises
    ------
    ValueError
        If the weight has another number of dimensions.
    """
    kernels = as_array(weight)
    if kernels.ndim == 3:
        kernels = kernels[:, :, None, :]
    if kernels.ndim != 4 or kernels.size == 0:
        raise ValueError(
            f"filters: needs a weight (out_channels, in_channels, [height,] width), got {kernels.shape}"
        )
    outputs, inputs = kernels.shape[:2]
    heading = title or f"filters {'x'.join(map(str, as_array(weight).shape))}"
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
    mosaic = Mosaic(shown, columns)
    figure = new_figure(*mosaic.inches(colorbar=True))
    axes = figure.subplots()
    picture = mosaic.draw(axes, cmap="RdBu_r", vmin=-bound, vmax=bound)
    axes.set(xlabel=labels[0], ylabel=labels[1])
    figure.colorbar(picture, ax=axes, label="weight", fraction=0.046)
    return finish(figure, heading, path)


@plainly
def feature_maps(
    activations: Any, path: PathName | None = None, *, title: str | None = None, limit: int = 64
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
    panels = [_maps_panel(str(name), as_array(value), limit) for name, value in layers.items()]
    figure = new_figure(9.0, sum(height for _, height, _ in panels) + (0.3 if title else 0))
    heights = [height for _, height, _ in panels]
    grid = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (heading, _, draw) in zip(grid, panels, strict=True):
        draw(axes)
        axes.set_title(as_text(heading), fontsize=10)
    note = "each channel on its own scale, black to white"
    return finish(figure, f"{title} ({note})" if title else note, path)


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
            axes.set_yticks(spread(len(scaled)))
            axes.set_ylabel("channel", fontsize=9)
            axes.tick_params(labelsize=8)

        return heading, 0.9 + 0.13 * len(maps), rows
    mosaic = Mosaic(scaled, 16 if len(maps) > 8 else 8, numbered=True)

    def tiles(axes: Any) -> None:
        mosaic.draw(axes, **style)
        if mosaic.rows > 1:
            axes.set_ylabel("channel", fontsize=9)
        else:  # the columns count the channels
            axes.set_yticks([])
            axes.set_xlabel("channel", fontsize=9)

    return heading, mosaic.inches(width=9.0)[1], tiles
