"""Resizing, and padding that repeats what is there: sums over a few rows and columns, by tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from cnnx.c_export.net import Array, Layer, store
from cnnx.c_export.writer import Writer, at, plus, smallest


@dataclass(frozen=True, eq=False)
class Taps:
    """For each cell of a result the place of its first source and the weights of it and those after it."""

    size: int  # of the source
    start: Array  # (cells,)
    weight: Array  # (cells, taps)

    @classmethod
    def picking(cls, size: int, places: Sequence[int]) -> Taps:
        """One source each, as it is."""
        return cls(size, np.asarray(places), np.ones((len(places), 1), np.float32))

    @classmethod
    def of_matrix(cls, matrix: Array) -> Taps:
        """The rows of a matrix (cells, sources), most of it 0."""
        size = matrix.shape[1]
        used = matrix != 0
        first = np.where(used.any(1), used.argmax(1), 0)
        last = np.where(used.any(1), size - 1 - used[:, ::-1].argmax(1), 0)
        taps = int((last - first).max()) + 1
        start = np.minimum(first, size - taps)
        weight = np.stack([row[s : s + taps] for row, s in zip(matrix, start, strict=True)])
        return cls(size, start, weight.astype(np.float32))

    @property
    def cells(self) -> int:
        """Of the result."""
        return len(self.start)

    @property
    def picks(self) -> bool:
        """Whether each cell is an element of the source."""
        return self.weight.shape[1] == 1 and bool((self.weight == 1).all())

    @property
    def keeps(self) -> bool:
        """Whether the result is the source."""
        return self.picks and list(self.start) == list(range(self.size))

    def matrix(self) -> Array:
        """(cells, sources)."""
        full = np.zeros((self.cells, self.size), np.float32)
        for cell, (start, weights) in enumerate(zip(self.start, self.weight, strict=True)):
            full[cell, start : start + len(weights)] = weights
        return full


@dataclass(eq=False)
class PlaneTaps(Layer):
    """Planes whose rows and columns come from those of the input, in any type of numbers."""

    planes: int = field(kw_only=True)
    rows: Taps = field(kw_only=True)
    columns: Taps = field(kw_only=True)

    def title(self) -> str:
        return f"{self.rows.size}x{self.columns.size} to {self.rows.cells}x{self.columns.cells}"


@dataclass(eq=False)
class Resample(PlaneTaps):
    """Planes whose rows and columns are sums of those of the input."""

    def emit(self, w: Writer, x: Sequence[str], y: str, scratch: str) -> None:
        rows, columns = self.rows, self.columns
        for name, taps in (("row", rows), ("column", columns)):
            if not taps.keeps:
                w.table(name, taps.start, smallest([int(v) for v in taps.start]))
            if not taps.picks:
                w.table(f"{name}_weight", taps.weight, "float")
        size, cells = rows.size * columns.size, rows.cells * columns.cells
        with (
            w.loop("c", self.planes) as c,
            w.loop("r", rows.cells) as r,
            w.loop("i", columns.cells) as i,
        ):
            here = r if rows.keeps else f"row[{r}]"
            there = i if columns.keeps else f"column[{i}]"
            target = f"{y}[{at((c, cells), (r, columns.cells), (i, 1))}]"
            if rows.picks and columns.picks:
                store(w, target, f"{x[0]}[{at((c, size), (here, columns.size), (there, 1))}]", self.post)
                return
            w("float sum = 0.0f;")
            with w.loop("k", rows.weight.shape[1]) as k, w.loop("j", columns.weight.shape[1]) as j:
                place = at((c, size), (plus(here, k), columns.size), (plus(there, j), 1))
                factors = [f"{x[0]}[{place}]"]
                if not rows.picks:
                    factors.append(f"row_weight[{at((r, rows.weight.shape[1]), (k, 1))}]")
                if not columns.picks:
                    factors.append(f"column_weight[{at((i, columns.weight.shape[1]), (j, 1))}]")
                w(f"sum += {' * '.join(factors)};")
            store(w, target, "sum", self.post)

    def evaluate(self, x: Sequence[Array]) -> Array:
        planes = x[0].reshape(-1, self.planes, self.rows.size, self.columns.size)
        if self.rows.picks and self.columns.picks:
            return np.ascontiguousarray(planes[:, :, self.rows.start][:, :, :, self.columns.start])
        return np.asarray(self.rows.matrix() @ planes @ self.columns.matrix().T)
