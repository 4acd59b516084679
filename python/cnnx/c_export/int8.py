"""Layers in whole numbers: arrays of int8, sums of int32, results by a factor and a shift.

What a layer computes is sum * factor / 2^shift, rounded to the nearest whole number (halves up) and limited
to what int8 holds or an activation allows; an activation that is more than limits is a table of 256 numbers.
The shift is the same in the whole net. Both forms, C and NumPy, are whole numbers alone, equal to the byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from cnnx.c_export.conv import cut, emit_conv
from cnnx.c_export.dense import DenseShape
from cnnx.c_export.elements import Piece, Strided, loops
from cnnx.c_export.net import Array, Data, Layer
from cnnx.c_export.pool import PoolShape, emit_pool
from cnnx.c_export.reduce import Span
from cnnx.c_export.resample import PlaneTaps
from cnnx.c_export.windows import ConvShape, Numbers, convolve_exactly, pooled
from cnnx.c_export.writer import Writer, at, plus, smallest, times

LARGEST = 127  # of what layers give; -128 can be in the caller's input alone
MOST = 2**31 - 1
INT8 = Numbers("int8_t", "int32_t")


@dataclass(eq=False)
class Whole(Layer):
    """A layer in whole numbers.

    `ratios` are what its sums are multiplied by: one for all, or one for each channel. `low` and `high` limit
    the results; `lookup` then replaces them. The last inputs are the factors, if they differ, and the table.
    """

    ratios: Array = field(kw_only=True)
    low: int = -LARGEST
    high: int = LARGEST
    lookup: Data | None = None
    does: Sequence[str] = ()  # limits and table in words
    shift: int = 0
    factors: Array = field(default_factory=lambda: np.zeros(0, np.int32))

    def finish(self, shift: int) -> None:
        """Makes the factors, for the shift of the net."""
        self.shift = shift
        self.factors = np.clip(np.round(self.ratios * 2.0**shift), -MOST, MOST).astype(np.int32)
        if self.factors.size > 1 and self.by_channel:
            name = f"{self.place.partition(' ')[0]}.factor"
            self.inputs = [*self.inputs, Data(self.factors.shape, self.factors, name)]
        if self.lookup is not None:
            self.inputs = [*self.inputs, self.lookup]

    by_channel = False

    def functions(self) -> list[str]:
        return list(self.does)

    def factor(self, x: Sequence[str], channel: str) -> str:
        """The factor of a channel, in C."""
        if self.factors.size == 1 or not self.by_channel:
            return str(int(self.factors[0]))
        return f"{x[-2 if self.lookup is not None else -1]}[{channel}]"

    def looked_up(self, x: Sequence[str], value: str) -> str:
        """A result after the table, in C."""
        return value if self.lookup is None else f"{x[-1]}[{value} + 128]"

    def result(self, x: Sequence[str], total: str, channel: str = "0") -> str:
        """What becomes of a sum, in C."""
        value = f"limited((int64_t){total} * {self.factor(x, channel)}, {self.low}, {self.high})"
        return self.looked_up(x, value)

    def kept(self, x: Sequence[str], value: str) -> str:
        """What becomes of an element whose scale stays, in C."""
        below = f"{value} < {self.low} ? {self.low} : " if self.low > -LARGEST else ""
        above = f"{value} > {self.high} ? {self.high} : " if self.high < LARGEST else ""
        return self.looked_up(x, f"({below}{above}{value})" if below or above else value)

    def limit(self, product: Array) -> Array:
        """Products, shifted, rounded and limited."""
        shifted = (product + (1 << (self.shift - 1))) >> self.shift
        return self.replace(np.clip(shifted, self.low, self.high).astype(np.int8))

    def replace(self, y: Array) -> Array:
        """Results after the table."""
        if self.lookup is None:
            return y
        assert self.lookup.constant is not None
        return self.lookup.constant[y.astype(np.int64) + 128]

    def keep(self, y: Array) -> Array:
        """Elements whose scale stays; a -128 of the caller's does too, unless there is a limit."""
        low = self.low if self.low > -LARGEST else -128
        return self.replace(np.clip(y, low, self.high).astype(np.int8))


@dataclass(eq=False)
class WholeConv(Whole):
    """A convolution, perhaps with max-pooling. Inputs: x, weight, bias."""

    shape: ConvShape = field(kw_only=True)
    pool: int = field(kw_only=True)
    words: str = field(kw_only=True)
    products: int = field(kw_only=True)

    by_channel = True

    def title(self) -> str:
        return self.words

    def scratch(self) -> int:
        columns = cut(self.shape, self.pool).columns.cells
        return columns + (columns // self.pool if self.pool > 1 else 0)

    def multiply_adds(self) -> int:
        return self.products

    def emit(self, w: Writer, x: Sequence[str], y: str, scratch: str) -> None:
        def finish(o: str, value: str, target: str) -> None:
            w(f"{target} = {self.result(x, value, o)};")

        emit_conv(w, self, INT8, x[0], x[1], y, scratch, x[2], finish)

    def evaluate(self, x: Sequence[Array]) -> Array:
        s = self.shape
        runs = x[0].shape[0]
        images = x[0].reshape(runs * s.batch, s.in_channels, s.rows.size, s.columns.size)
        sums = convolve_exactly(images, x[1], s) + x[2].astype(np.int64).reshape(-1, 1, 1)
        y = self.limit(sums * self.factors.astype(np.int64).reshape(-1, 1, 1))
        return pooled(y, self.pool).reshape(runs, -1)


@dataclass(eq=False)
class WholeDense(DenseShape, Whole):
    """A dense layer. Inputs: x, weight, bias."""

    by_channel = True

    def emit(self, w: Writer, x: Sequence[str], y: str, scratch: str) -> None:
        with w.loop("r", self.rows) as r, w.loop("o", self.cells) as o:
            w(f"const int8_t *weights = {plus(x[1], times(o, self.columns))};")
            w(f"int32_t sum = {x[2]}[{o}];")
            with w.loop("i", self.columns) as i:
                w(f"sum += weights[{i}] * {x[0]}[{at((r, self.columns), (i, 1))}];")
            w(f"{y}[{at((r, self.cells), (o, 1))}] = {self.result(x, 'sum', o)};")

    def evaluate(self, x: Sequence[Array]) -> Array:
        rows = x[0].reshape(-1, self.columns).astype(np.float64)
        sums = (rows @ x[1].reshape(self.cells, self.columns).T.astype(np.float64)).astype(np.int64)
        y = self.limit((sums + x[2].astype(np.int64)) * self.factors.astype(np.int64))
        return y.reshape(x[0].shape[0], -1)


@dataclass(eq=False)
class WholePool(Whole):
    """Pooling; means where all windows have as many cells."""

    shape: PoolShape = field(kw_only=True)
    mean: bool = field(kw_only=True)

    def title(self) -> str:
        return self.shape.words()

    def emit(self, w: Writer, x: Sequence[str], y: str, scratch: str) -> None:
        def finish(w: Writer, target: str, value: str) -> None:
            w(f"{target} = {self.result(x, value) if self.mean else self.kept(x, value)};")

        emit_pool(w, self.shape, self.mean, INT8, x[0], y, finish)

    def evaluate(self, x: Sequence[Array]) -> Array:
        s = self.shape
        planes = x[0].reshape(-1, s.planes, s.rows.size, s.columns.size)
        y = np.empty((*planes.shape[:2], s.rows.cells, s.columns.cells), np.int64)
        for r in range(s.rows.cells):
            for i in range(s.columns.cells):
                window = planes[:, :, s.window(s.rows, r)][:, :, :, s.window(s.columns, i)]
                y[:, :, r, i] = window.sum((2, 3), np.int64) if self.mean else window.max((2, 3))
        y = self.limit(y * int(self.factors[0])) if self.mean else self.keep(y)
        return y.reshape(x[0].shape[0], -1)


@dataclass(eq=False)
class WholeMap(Whole):
    """Elements of one or two arrays: moved, added with a factor each, or multiplied; plus a number."""

    shape: tuple[int, ...] = field(kw_only=True)
    views: list[Strided] = field(kw_only=True)
    op: str = field(kw_only=True)  # "copy" (the scale stays), "sum" or "mul"
    number: float = 0.0  # that is added, in units of the result
    offset: int = 0

    def title(self) -> str:
        return "" if self.op == "copy" else self.op

    @property
    def in_place(self) -> bool:  # type: ignore[override]
        """Where the element that is read is the one that is written."""
        views = zip(self.inputs, self.views, strict=False)
        return all(view.straight for data, view in views if data is self.inputs[0])

    def finish(self, shift: int) -> None:
        super().finish(shift)
        self.offset = round(self.number * 2.0**shift)
        if abs(self.offset) >= 2**61:
            raise ValueError(f"export_c: {self.place} adds a number that is too large for the scales of int8")

    def emit(self, w: Writer, x: Sequence[str], y: str, scratch: str) -> None:
        with loops(w, [Strided.whole(self.shape), *self.views]) as (target, *places):
            loads = [f"{name}[{place}]" for name, place in zip(x, places, strict=False)]
            if self.op == "copy":
                w(f"{y}[{target}] = {self.kept(x, loads[0])};")
                return
            if self.op == "mul":
                terms = [f"(int64_t)({loads[0]} * {loads[1]}) * {int(self.factors[0])}"]
            else:
                factors = zip(loads, self.factors, strict=True)
                terms = [f"(int64_t){load} * {int(factor)}" for load, factor in factors]
            if self.offset:
                terms.append(f"INT64_C({self.offset})")
            value = f"limited({' + '.join(terms)}, {self.low}, {self.high})"
            w(f"{y}[{target}] = {self.looked_up(x, value)};")

    def evaluate(self, x: Sequence[Array]) -> Array:
        values = []
        for view, array, data in zip(self.views, x, self.inputs, strict=False):
            shown = view.of(array[None] if data.constant is not None else array)
            values.append(shown.astype(np.int64))
        factors = self.factors.astype(np.int64)
        if self.op == "copy":
            y = self.keep(values[0])
        elif self.op == "mul":
            y = self.limit(values[0] * values[1] * factors[0] + self.offset)
        else:
            total = sum(value * factor for value, factor in zip(values, factors, strict=True))
            y = self.limit(np.asarray(total + self.offset))
        return np.array(y).reshape(y.shape[0], -1)


@dataclass(eq=False)
class WholeAssemble(Whole):
    """Pieces put together, each brought to the scale of the result, in front of a number or an array."""

    pieces: list[Piece] = field(kw_only=True)
    fill: int | None = field(kw_only=True)
    base: int | None = field(kw_only=True)
    count: int = field(kw_only=True)  # of the arrays that are put together

    def title(self) -> str:
        return f"{len(self.pieces)} put together" if len(self.pieces) > 1 else "placed"

    def _moved(self, source: int, load: str) -> str:
        if self.ratios[source] == 1:
            return load
        return f"limited((int64_t){load} * {int(self.factors[source])}, {-LARGEST}, {LARGEST})"

    def emit(self, w: Writer, x: Sequence[str], y: str, scratch: str) -> None:
        size = self.output.size
        if self.fill is not None or self.base is not None:
            with w.loop("i", size) as i:
                back = str(self.fill) if self.base is None else self._moved(self.base, f"{x[self.base]}[{i}]")
                w(f"{y}[{i}] = {back};")
        for piece in self.pieces:
            with loops(w, [piece.write, piece.read]) as (target, place):
                w(f"{y}[{target}] = {self._moved(piece.source, f'{x[piece.source]}[{place}]')};")
        kept = self.kept(x, f"{y}[i]")
        if kept != f"{y}[i]":
            with w.block(f"for (int i = 0; i < {size}; ++i)"):
                w(f"{y}[i] = {kept};")

    def evaluate(self, x: Sequence[Array]) -> Array:
        arrays = []
        for i, (array, data) in enumerate(zip(x[: self.count], self.inputs, strict=False)):
            flat = array.reshape(1 if data.constant is not None else array.shape[0], -1).astype(np.int64)
            if self.ratios[i] != 1:
                product = flat * int(self.factors[i]) + (1 << (self.shift - 1))
                flat = np.clip(product >> self.shift, -LARGEST, LARGEST)
            arrays.append(np.ascontiguousarray(flat))
        y = np.full((max(array.shape[0] for array in arrays), self.output.size), self.fill or 0, np.int64)
        if self.base is not None:
            y[:] = arrays[self.base]
        for piece in self.pieces:
            piece.write.of(y)[:] = piece.read.of(arrays[piece.source])
        return self.keep(y)


@dataclass(eq=False)
class WholeSum(Whole):
    """Sums or means along a span."""

    span: Span = field(kw_only=True)

    def title(self) -> str:
        return f"of {self.span.along} elements"

    def emit(self, w: Writer, x: Sequence[str], y: str, scratch: str) -> None:
        s = self.span
        with w.loop("b", s.before) as b, w.loop("a", s.after) as a:
            w("int32_t sum = 0;")
            w(f"for (int i = 0; i < {s.along}; ++i) sum += {x[0]}[{s.place(b, 'i', a)}];")
            w(f"{y}[{at((b, s.after), (a, 1))}] = {self.result(x, 'sum')};")

    def evaluate(self, x: Sequence[Array]) -> Array:
        y = self.limit(self.span.array(x[0]).sum(2, np.int64) * int(self.factors[0]))
        return y.reshape(x[0].shape[0], -1)


@dataclass(eq=False)
class WholePick(PlaneTaps, Whole):
    """Planes whose rows and columns are some of those of the input: padding, resizing to the nearest."""

    def emit(self, w: Writer, x: Sequence[str], y: str, scratch: str) -> None:
        rows, columns = self.rows, self.columns
        for name, taps in (("lines", rows), ("cells", columns)):
            w.table(name, taps.start, smallest([int(v) for v in taps.start]))
        with (
            w.loop("c", self.planes) as c,
            w.loop("r", rows.cells) as r,
            w.loop("i", columns.cells) as i,
        ):
            size, cells = rows.size * columns.size, rows.cells * columns.cells
            place = at((c, size), (f"lines[{r}]", columns.size), (f"cells[{i}]", 1))
            w(f"{y}[{at((c, cells), (r, columns.cells), (i, 1))}] = {self.kept(x, f'{x[0]}[{place}]')};")

    def evaluate(self, x: Sequence[Array]) -> Array:
        planes = x[0].reshape(-1, self.planes, self.rows.size, self.columns.size)
        y = self.keep(planes[:, :, self.rows.start][:, :, :, self.columns.start])
        return y.reshape(x[0].shape[0], -1)
