"""Small pictures put together to one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from cnnx.plot.drawing import Array


class Mosaic:
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
        rows, columns = spread(self.rows), spread(min(self.columns, self.count))
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


def spread(count: int) -> range:
    """At most 16 indices below `count`, evenly spaced."""
    return range(0, count, math.ceil(count / 16))
