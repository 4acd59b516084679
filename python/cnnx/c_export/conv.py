"""Convolutions, row by row: each tap adds a multiple of a part of an input row to an output row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

import cnnx
from cnnx.c_export.net import Array, Layer, store
from cnnx.c_export.windows import FLOAT, Axis, ConvShape, Numbers, convolve, pooled
from cnnx.c_export.writer import Writer, at, plus, smallest, times
from cnnx.nn import functional as F


@dataclass(eq=False)
class Conv(Layer):
    """A convolution, perhaps followed by max-pooling of `pool` x `pool` cells. Inputs: x, weight, bias."""

    shape: ConvShape = field(kw_only=True)
    pool: int = 1

    def title(self) -> str:
        return self.shape.words() + (f", max pool {self.pool}x{self.pool}" if self.pool > 1 else "")

    def scratch(self) -> int:
        return cut(self.shape, self.pool).columns.cells if self.pool > 1 else 0

    def multiply_adds(self) -> int:
        s = cut(self.shape, self.pool)
        return s.batch * s.out_channels * s.rows.cells * s.columns.cells * s.taps

    def emit(self, w: Writer, x: Sequence[str], y: str, scratch: str) -> None:
        bias = x[2] if len(x) > 2 else None

        def finish(o: str, value: str, target: str) -> None:
            store(w, target, value, self.post)

        emit_conv(w, self, FLOAT, x[0], x[1], y, scratch, bias, finish if self.post else None)

    def before(self, x: Sequence[Array]) -> Array:
        s = self.shape
        runs = x[0].shape[0]
        y = convolve(x[0].reshape(runs * s.batch, s.in_channels, s.rows.size, s.columns.size), x[1], s)
        return y + x[2].reshape(-1, 1, 1) if len(x) > 2 else y

    def evaluate(self, x: Sequence[Array]) -> Array:
        return self.before(x).reshape(x[0].shape[0], -1)

    def run(self, x: Sequence[Array]) -> Array:
        y = self.before(x)
        for function in self.post:
            y = function(y)
        return pooled(y, self.pool).reshape(x[0].shape[0], -1)


def emit_conv(
    w: Writer,
    layer: Any,
    numbers: Numbers,
    x: str,
    weight: str,
    y: str,
    scratch: str,
    bias: str | None,
    finish: Callable[[str, str, str], None] | None,
) -> None:
    """Writes the loops of a convolution.

    A row of totals is summed up in `scratch`, or where it shall be if there is none. With pooling the maxima
    of totals are collected where they shall be, or behind that row if elements have another type. `finish`
    writes what stores a total, or the maximum of some; None: it stays as it is.
    """
    s, pool = cut(layer.shape, layer.pool), layer.pool
    rows, columns = s.rows, s.columns
    height, width = rows.cells // pool, columns.cells // pool  # of the output
    same = numbers.element == numbers.total
    if not columns.fits and columns.kernel > 1:
        reach_tables(w, columns)
    with (
        w.loop("n", s.batch) as n,
        w.loop("o", s.out_channels) as o,
        w.loop("r", rows.cells) as r,
    ):
        cell = f"{r} / {pool}" if pool > 1 else r
        to = plus(
            y, at((n, s.out_channels * height * width), (o, height * width), (cell if r != "0" else r, width))
        )
        in_scratch = bool(scratch)
        w(f"{numbers.total} *row = {scratch if in_scratch else to};")
        with w.loop("i", columns.cells) as i:
            w(f"row[{i}] = {f'{bias}[{o}]' if bias else '0'};")
        emit_taps(w, s, numbers, x, weight, n, o, r)
        if in_scratch:
            w(f"{numbers.element} *to = {to};")
        if pool > 1:
            if not same:
                w(f"{numbers.total} *best = row + {width * pool};")
            best = "to" if same else "best"
            with w.block(f"for (int i = 0; i < {width * pool}; ++i)"):
                place, first = f"{best}[i / {pool}]", f"{r} % {pool} == 0 && i % {pool} == 0"
                nan = " || row[i] != row[i]" if numbers.total == "float" else ""
                w(f"if (({first}) || row[i] > {place}{nan}) {place} = row[i];")
        if finish is not None:
            with ExitStack() as blocks:
                if pool > 1:
                    blocks.enter_context(w.block(f"if ({r} % {pool} == {pool - 1})"))
                i = blocks.enter_context(w.loop("i", width))
                total = "row" if pool == 1 else best
                finish(o, f"{total}[{i}]", f"{'to' if in_scratch else 'row'}[{i}]")


def cut(s: ConvShape, pool: int) -> ConvShape:
    """A convolution without the rows and columns that pooling drops."""
    rows, columns = (replace(axis, cells=axis.cells // pool * pool) for axis in (s.rows, s.columns))
    return replace(s, rows=rows, columns=columns)


def reach_tables(w: Writer, axis: Axis) -> None:
    """For each tap, from where to where in a row of the output its cell lies within the input."""
    reach = [axis.reach(tap) for tap in range(axis.kernel)]
    for name, v in ("first", [a for a, _ in reach]), ("last", [b for _, b in reach]):
        w.table(name, np.array(v), smallest(v))


def emit_taps(w: Writer, s: ConvShape, numbers: Numbers, x: str, weight: str, n: str, o: str, r: str) -> None:
    """Adds all products to `row`, row r of channel o."""
    rows, columns = s.rows, s.columns
    with (
        w.loop("c", s.group_in) as c,
        w.loop("k", rows.kernel) as k,
        within(w, rows, plus(at((r, rows.stride), (k, rows.dilation)), str(-rows.padding))) as line,
    ):
        plane = rows.size * columns.size
        start = at((n, s.in_channels * plane), (s.channel(o, c), plane), (line, columns.size))
        taps = at((o, s.taps), (c, rows.kernel * columns.kernel), (k, columns.kernel))
        w(
            f"const {numbers.element} *from = {plus(x, start)};",
            f"const {numbers.element} *taps = {plus(weight, taps)};",
        )
        along_row(w, columns, lambda j, here, there: f"row[{here}] += taps[{j}] * from[{there}];")


@contextmanager
def within(w: Writer, axis: Axis, line: str) -> Iterator[str]:
    """What is written within happens where a line lies within the axis; gives its name."""
    if axis.fits:
        yield line
        return
    w(f"const int line = {line};")
    with w.block(f"if ({axis.inside('line')})"):
        yield "line"


def along_row(w: Writer, axis: Axis, action: Callable[[str, str, str], str]) -> None:
    """Writes an action for each tap and each window of which it lies within: tap, window, cell."""
    with w.loop("j", axis.kernel) as j:
        cell = plus(times("i", axis.stride), times(j, axis.dilation), str(-axis.padding))
        first, last = map(str, axis.reach(0))
        if axis.kernel > 1:
            first, last = ("0", str(axis.cells)) if axis.fits else (f"first[{j}]", f"last[{j}]")
        with w.block(f"for (int i = {first}; i < {last}; ++i)"):
            w(action(j, "i", cell))


@dataclass(eq=False)
class ConvTranspose(Layer):
    """A transposed convolution: each input cell adds its multiple of the kernel. Inputs: x, weight, bias."""

    shape: ConvShape = field(kw_only=True)

    def title(self) -> str:
        return self.shape.words()

    def multiply_adds(self) -> int:
        s = self.shape
        return s.batch * s.out_channels * s.rows.cells * s.columns.cells * s.taps

    def emit(self, w: Writer, x: Sequence[str], y: str, scratch: str) -> None:
        s = self.shape
        rows, columns = s.rows, s.columns
        small, large = rows.cells * columns.cells, rows.size * columns.size
        if not columns.fits and columns.kernel > 1:
            reach_tables(w, columns)
        with w.loop("n", s.batch) as n:
            with w.loop("o", s.in_channels) as o, w.loop("i", large) as i:
                place = at((n, s.in_channels * large), (o, large), (i, 1))
                w(f"{y}[{place}] = {f'{x[2]}[{o}]' if len(x) > 2 else '0'};")
            with (
                w.loop("c", s.out_channels) as c,
                w.loop("o", s.group_in) as o,
                w.loop("r", rows.cells) as r,
                w.loop("k", rows.kernel) as k,
            ):
                at_row = plus(at((r, rows.stride), (k, rows.dilation)), str(-rows.padding))
                with within(w, rows, at_row) as line:
                    start = at((n, s.out_channels * small), (c, small), (r, columns.cells))
                    end = at((n, s.in_channels * large), (s.channel(c, o), large), (line, columns.size))
                    taps = at((c, s.taps), (o, rows.kernel * columns.kernel), (k, columns.kernel))
                    w(
                        f"const float *from = {plus(x[0], start)};",
                        f"float *to = {plus(y, end)};",
                        f"const float *taps = {plus(x[1], taps)};",
                    )
                    along_row(w, columns, lambda j, here, there: f"to[{there}] += taps[{j}] * from[{here}];")
            if self.post:
                with w.loop("i", s.in_channels * large) as i:
                    place = at((n, s.in_channels * large), (i, 1))
                    store(w, f"{y}[{place}]", f"{y}[{place}]", self.post)

    def evaluate(self, x: Sequence[Array]) -> Array:
        s = self.shape
        rows, columns = s.rows, s.columns
        runs = x[0].shape[0]
        flat = x[0].reshape(runs * s.batch, s.out_channels, rows.cells, columns.cells)
        weight = x[1].reshape(s.out_channels, s.group_in, rows.kernel, columns.kernel)
        y = F.conv_transpose2d(
            cnnx.from_numpy(np.ascontiguousarray(flat)),
            cnnx.from_numpy(np.ascontiguousarray(weight)),
            stride=(rows.stride, columns.stride),
            dilation=(rows.dilation, columns.dilation),
            groups=s.groups,
        ).numpy()
        whole = np.zeros((*y.shape[:2], rows.size, columns.size), y.dtype)
        part = y[:, :, rows.padding :, columns.padding :][:, :, : rows.size, : columns.size]
        whole[:, :, : part.shape[2], : part.shape[3]] = part
        if len(x) > 2:
            whole += x[2].reshape(-1, 1, 1)
        return whole.reshape(runs, -1)
