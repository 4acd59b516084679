"""Small pictures put together to one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from cnnx.plot.drawing import PALETTE, Array

NARROWEST = 0.15  # inches of a tile's side, for the number beside it


class Mosaic:
    """Small pictures of one size put together with gaps between: one image draws faster than hundreds.

    Parameters
    ----------
    tiles
        Shape (N, height, width), or (N, height, width, 3) with colours in [0, 1]. Gaps and what is NaN stay
        white.
    columns
        How many stand side by side. Default: such that all together are about square.
    numbered
        The tiles are counted one by one; else rows and columns are.
    """

    def __init__(self, tiles: Array, columns: int | None, numbered: bool = False) -> None:
        count, self.height, self.width = tiles.shape[:3]
        self.count = count
        self.numbered = numbered or columns is None
        self.columns = columns or max(1, math.ceil(math.sqrt(count * self.height / self.width)))
        self.rows = math.ceil(count / self.columns)
        self.gap = max(1, round(min(self.height, self.width) * 0.08))
        across = self.columns * (self.width + self.gap) - self.gap
        canvas = np.full((self.rows * (self.height + self.gap) - self.gap, across, *tiles.shape[3:]), np.nan)
        for index, tile in enumerate(tiles):
            top, left = self.place(index)
            canvas[top : top + self.height, left : left + self.width] = tile
        self.canvas = np.nan_to_num(canvas, nan=1.0) if tiles.ndim == 4 else canvas

    def place(self, index: int) -> tuple[int, int]:
        """Top and left of a tile in the canvas."""
        row, column = divmod(index, self.columns)
        return row * (self.height + self.gap), column * (self.width + self.gap)

    def inches(self, tile: float) -> tuple[float, float]:
        """Width and height of all, where the longer side of a tile takes so many inches."""
        return self._sides(tile / max(self.height, self.width))

    def inches_within(self, width: float) -> tuple[float, float]:
        """Width and height of all, where the rows are so wide."""
        return self._sides(width / self.canvas.shape[1])

    def _sides(self, unit: float) -> tuple[float, float]:
        height, width = self.canvas.shape[:2]
        return (
            width * max(unit, NARROWEST / self.width),
            height * max(unit, NARROWEST / self.height),
        )

    def draw(self, axes: Any, **style: Any) -> Any:
        """Draws the tiles; the ticks are the numbers of columns and of each row's (first) tile."""
        picture = axes.imshow(self.canvas, interpolation="nearest", aspect="auto", **style)
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
        axes.tick_params(length=0, pad=2)
        if self.numbered and self.rows == 1:  # the columns count them
            axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set_visible(False)
        return picture

    def cross_out(self, axes: Any, index: int) -> None:
        """Crosses a tile out."""
        top, left = self.place(index)
        low, high = top - 0.5, top + self.height - 0.5
        sides = [left - 0.5, left + self.width - 0.5]
        axes.fill_between(sides, low, high, color="0.93", linewidth=0)
        for ends in ([low, high], [high, low]):
            axes.plot(sides, ends, color=PALETTE[1], linewidth=1)


def _spread(count: int) -> range:
    """At most 16 indices below `count`, evenly spaced."""
    return range(0, count, math.ceil(count / 16))
