"""Dense layers and products of matrices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from cnnx.c_export.net import Array, Layer, store
from cnnx.c_export.writer import Writer, at, extents, plus, times


@dataclass(eq=False)
class DenseShape(Layer):
    """What a dense layer has in any type of numbers: rows, each of `columns` elements to `cells`."""

    rows: int = field(kw_only=True)
    columns: int = field(kw_only=True)
    cells: int = field(kw_only=True)

    def title(self) -> str:
        return f"{self.columns} to {self.cells}" + (f", {self.rows} rows" if self.rows > 1 else "")

    def multiply_adds(self) -> int:
        return self.rows * self.columns * self.cells


@dataclass(eq=False)
class Dense(DenseShape):
    """A dense layer on rows. Inputs: x (rows, columns), weight (cells, columns), bias (cells)."""

    def emit(self, w: Writer, x: Sequence[str], y: str, scratch: str) -> None:
        with w.loop("r", self.rows) as r, w.loop("o", self.cells) as o:
            w(f"const float *weights = {plus(x[1], times(o, self.columns))};")
            w(f"float sum = {f'{x[2]}[{o}]' if len(x) > 2 else '0.0f'};")
            with w.loop("i", self.columns) as i:
                w(f"sum += weights[{i}] * {x[0]}[{at((r, self.columns), (i, 1))}];")
            store(w, f"{y}[{at((r, self.cells), (o, 1))}]", "sum", self.post)

    def evaluate(self, x: Sequence[Array]) -> Array:
        rows = x[0].reshape(-1, self.rows, self.columns)
        y = rows @ x[1].reshape(self.cells, self.columns).T
        return np.asarray(y + x[2] if len(x) > 2 else y)


@dataclass(eq=False)
class MatMul(Layer):
    """Products of matrices: of a batch with a batch, or with one for all; either may be a constant."""

    batch: int = field(kw_only=True)
    size: tuple[int, int, int] = field(kw_only=True)  # (rows, inner) times (inner, columns)
    shared: tuple[bool, bool] = field(kw_only=True)  # whether the first or second is one for all

    def title(self) -> str:
        rows, inner, columns = self.size
        return f"{extents((rows, inner))} times {extents((inner, columns))}, {self.batch} of them"

    def multiply_adds(self) -> int:
        rows, inner, columns = self.size
        return self.batch * rows * inner * columns

    def emit(self, w: Writer, x: Sequence[str], y: str, scratch: str) -> None:
        rows, inner, columns = self.size
        sizes = [
            0 if one else size for one, size in zip(self.shared, (rows * inner, inner * columns), strict=True)
        ]
        with w.loop("n", self.batch) as n, w.loop("r", rows) as r, w.loop("o", columns) as o:
            w("float sum = 0.0f;")
            with w.loop("i", inner) as i:
                a, b = at((n, sizes[0]), (r, inner), (i, 1)), at((n, sizes[1]), (i, columns), (o, 1))
                w(f"sum += {x[0]}[{a}] * {x[1]}[{b}];")
            store(w, f"{y}[{at((n, rows * columns), (r, columns), (o, 1))}]", "sum", self.post)

    def evaluate(self, x: Sequence[Array]) -> Array:
        rows, inner, columns = self.size
        shapes = (rows, inner), (inner, columns)
        a, b = (
            v.reshape(1 if d.constant is not None else v.shape[0], 1 if one else self.batch, *shape)
            for v, d, one, shape in zip(x, self.inputs, self.shared, shapes, strict=True)
        )
        return np.asarray(a @ b)
