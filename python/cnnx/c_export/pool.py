"""Pooling: maxima and means over windows, also adaptive ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cnnx.c_export.net import Array, Layer, store
from cnnx.c_export.windows import FLOAT, Axis, Numbers, axis_of
from cnnx.c_export.writer import Writer, at, plus, times


@dataclass(frozen=True)
class PoolShape:
    """Windows over planes."""

    planes: int  # images times channels
    rows: Axis
    columns: Axis
    adaptive: bool  # windows from floor(i * size / cells) to ceil((i + 1) * size / cells)
    ends: tuple[int, int]  # how far padding reaches beyond the input, of which means count what is within
    include_pad: bool
    divisor: int  # 0: the number of cells

    @classmethod
    def of(cls, call: Any) -> PoolShape:
        """The shape of a recorded call."""
        return cls(
            call["shape.batch"] * call["shape.channels"],
            axis_of(call, "height", "top"),
            axis_of(call, "width", "left"),
            call["shape.adaptive"],
            (call["shape.pad_bottom"], call["shape.pad_right"]),
            call["shape.count_include_pad"],
            call["shape.divisor_override"],
        )

    def window(self, axis: Axis, cell: int) -> list[int]:
        """The places of a window that lie within the input."""
        if self.adaptive:
            return list(range(cell * axis.size // axis.cells, -(-(cell + 1) * axis.size // axis.cells)))
        places = (cell * axis.stride + axis.offset(tap) for tap in range(axis.kernel))
        return [place for place in places if 0 <= place < axis.size]

    def counts(self) -> list[list[int]]:
        """By axis and cell: how many places a mean counts."""
        found = []
        for axis, end in zip((self.rows, self.columns), self.ends, strict=True):
            if self.adaptive or not self.include_pad:
                found.append([len(self.window(axis, cell)) for cell in range(axis.cells)])
                continue
            starts = [cell * axis.stride - axis.padding for cell in range(axis.cells)]
            found.append([min(start + axis.kernel, axis.size + end) - start for start in starts])
        return found

    @property
    def count(self) -> int:
        """What all windows are divided by; 0 if they differ."""
        if self.divisor:
            return self.divisor
        rows, columns = (set(c) for c in self.counts())
        return rows.pop() * columns.pop() if len(rows) == len(columns) == 1 else 0

    def words(self) -> str:
        """The windows."""
        rows, columns = self.rows, self.columns
        if self.adaptive:
            return f"to {rows.cells}x{columns.cells} cells"
        text = f"windows {rows.kernel}x{columns.kernel}, stride {rows.stride}x{columns.stride}"
        return text + (
            f", padding {rows.padding}x{columns.padding}" if rows.padding or columns.padding else ""
        )


@dataclass(eq=False)
class Pool(Layer):
    """Pooling, by maxima or means."""

    shape: PoolShape = field(kw_only=True)
    mean: bool = field(kw_only=True)

    def title(self) -> str:
        return self.shape.words()

    @property
    def square(self) -> int:
        """The side of windows that lie side by side, for maxima that a convolution can take; 0: others."""
        s, (a, b) = self.shape, (self.shape.rows, self.shape.columns)
        sides = {a.kernel, a.stride, b.kernel, b.stride}
        plain = len(sides) == 1 and a.padding == b.padding == 0 and a.dilation == b.dilation == 1
        return a.kernel if plain and a.fits and b.fits and not s.adaptive and not self.mean else 0

    def emit(self, w: Writer, x: Sequence[str], y: str, scratch: str) -> None:
        emit_pool(w, self.shape, self.mean, FLOAT, x[0], y, self._store)

    def _store(self, w: Writer, target: str, value: str) -> None:
        if self.mean:
            s = self.shape
            if s.count:
                value = f"{value} / {s.count}.0f"
            else:
                value = f"{value} / (float)count"
        store(w, target, value, self.post)

    def evaluate(self, x: Sequence[Array]) -> Array:
        s = self.shape
        planes = x[0].reshape(-1, s.planes, s.rows.size, s.columns.size)
        counts = s.counts()
        y = np.empty((*planes.shape[:2], s.rows.cells, s.columns.cells), planes.dtype)
        for r in range(s.rows.cells):
            for i in range(s.columns.cells):
                window = planes[:, :, s.window(s.rows, r)][:, :, :, s.window(s.columns, i)]
                if self.mean:
                    y[:, :, r, i] = window.sum((2, 3)) / (s.divisor or counts[0][r] * counts[1][i])
                else:
                    y[:, :, r, i] = window.max((2, 3))
        return y


def emit_pool(
    w: Writer,
    s: PoolShape,
    mean: bool,
    numbers: Numbers,
    x: str,
    y: str,
    finish: Callable[[Writer, str, str], None],
) -> None:
    """Writes the loops of pooling; `finish` stores a maximum or a sum, with `count` where that differs."""
    rows, columns = s.rows, s.columns
    plane = rows.size * columns.size
    with w.loop("c", s.planes) as c, w.loop("r", rows.cells) as r, w.loop("i", columns.cells) as i:
        if mean:
            w(f"{numbers.total} sum = 0;")
            if not s.count:
                w(f"const int count = {_count(s, rows, s.ends[0], r)} * {_count(s, columns, s.ends[1], i)};")
        else:
            lowest = "-INFINITY" if numbers.element == "float" else "-128"
            w(f"{numbers.element} best = {lowest};")
        with _window(w, s, rows, "k", r) as line, _window(w, s, columns, "j", i) as cell:
            value = f"{x}[{at((c, plane), (line, columns.size), (cell, 1))}]"
            if mean:
                w(f"sum += {value};")
            else:
                nan = f" || {value} != {value}" if numbers.element == "float" else ""
                w(f"if ({value} > best{nan}) best = {value};")
        target = f"{y}[{at((c, rows.cells * columns.cells), (r, columns.cells), (i, 1))}]"
        finish(w, target, "sum" if mean else "best")


def _bounds(axis: Axis, cell: str) -> tuple[str, str]:
    """Where an adaptive window begins and ends."""
    n, m = axis.size, axis.cells
    return f"{times(cell, n)} / {m}", f"({plus(times(cell, n), str(n + m - 1))}) / {m}"


def _count(s: PoolShape, axis: Axis, end: int, cell: str) -> str:
    """How many places of a window count, along an axis."""
    if s.adaptive:
        first, last = _bounds(axis, cell)
        return f"({last} - {first})"
    start = plus(times(cell, axis.stride), str(-axis.padding))
    limit = axis.size + end if s.include_pad else axis.size
    stop = plus(start, str(axis.kernel))
    top = stop if axis.end <= limit else f"({stop} < {limit} ? {stop} : {limit})"
    low = start if s.include_pad or axis.padding <= 0 else f"({start} > 0 ? {start} : 0)"
    return f"({top} - ({low}))"


@contextmanager
def _window(w: Writer, s: PoolShape, axis: Axis, name: str, cell: str) -> Iterator[str]:
    """A loop over the places of a window that lie within the input; gives the name of the place."""
    with ExitStack() as open_blocks:
        if s.adaptive:
            first, last = _bounds(axis, cell)
            open_blocks.enter_context(w.block(f"for (int {name} = {first}; {name} < {last}; ++{name})"))
            yield name
            return
        tap = open_blocks.enter_context(w.loop(name, axis.kernel))
        place = plus(times(cell, axis.stride), times(tap, axis.dilation), str(-axis.padding))
        if not axis.fits:
            open_blocks.enter_context(w.block(f"if ({axis.inside(place)})"))
        yield place
