"""What works on single elements, and what moves them: views, joins, parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from math import prod

import numpy as np

from cnnx.c_export.net import Array, Layer, store
from cnnx.c_export.writer import Writer, at, extents, plus, real

INDICES = "ijklmpqr"
Steps = tuple[int, ...]

# The remainder has the sign of b; the quotient comes from it, as dividing first could round up.
REMAINDER = (
    "const float rest = fmodf(a, b);\nconst int below = rest != 0.0f && (rest < 0.0f) != (b < 0.0f);\n"
)
FLOOR_DIVIDE = (
    REMAINDER + "const double quotient = ((double)a - (double)rest) / (double)b - (below ? 1.0 : 0.0);\n"
    "const double whole = floor(quotient);\n"
    "const double nearest = quotient - whole > 0.5 ? whole + 1.0 : whole;\n"
    "b == 0.0f ? a / b : quotient == 0.0 ? copysignf(0.0f, a / b) : (float)nearest"
)

# By op: C of the operands a, b and c, an expression after any declarations, and the same in NumPy.
OPS: dict[str, tuple[str, Callable[..., Array]]] = {
    "copy": ("a", lambda a: a),
    "add": ("a + b", np.add),
    "sub": ("a - b", np.subtract),
    "mul": ("a * b", np.multiply),
    "div": ("a / b", np.divide),
    "maximum": ("a > b || a != a ? a : b", np.maximum),
    "minimum": ("a < b || a != a ? a : b", np.minimum),
    "pow": ("powf(a, b)", np.power),
    "fmod": ("fmodf(a, b)", np.fmod),
    "remainder": (REMAINDER + "below ? rest + b : rest", np.remainder),
    "floor_divide": (FLOOR_DIVIDE, np.floor_divide),
    "div_trunc": ("truncf(a / b)", lambda a, b: np.trunc(a / b)),
    "hypot": ("hypotf(a, b)", np.hypot),
    "atan2": ("atan2f(a, b)", np.arctan2),
    "eq": ("a == b ? 1.0f : 0.0f", np.equal),
    "ne": ("a != b ? 1.0f : 0.0f", np.not_equal),
    "lt": ("a < b ? 1.0f : 0.0f", np.less),
    "le": ("a <= b ? 1.0f : 0.0f", np.less_equal),
    "bitwise_and": ("a != 0.0f && b != 0.0f ? 1.0f : 0.0f", np.logical_and),
    "bitwise_or": ("a != 0.0f || b != 0.0f ? 1.0f : 0.0f", np.logical_or),
    "bitwise_xor": ("(a != 0.0f) != (b != 0.0f) ? 1.0f : 0.0f", np.logical_xor),
    "where": ("a != 0.0f ? b : c", lambda a, b, c: np.asarray(np.where(a != 0, b, c))),
}
SIGNS = {"add": "+", "sub": "-", "mul": "*", "div": "/"}


@dataclass(frozen=True)
class Strided:
    """Which elements of an array, in which order: those of a view."""

    shape: tuple[int, ...]
    steps: Steps
    offset: int = 0

    @classmethod
    def whole(cls, shape: Sequence[int]) -> Strided:
        """All of an array, as it lies."""
        return cls(tuple(shape), natural(shape))

    @property
    def straight(self) -> bool:
        """Whether it is all elements from the first on, as they lie."""
        return self.offset == 0 and all(
            step == usual or extent == 1
            for extent, step, usual in zip(self.shape, self.steps, natural(self.shape), strict=True)
        )

    def expanded(self, shape: Sequence[int]) -> Strided:
        """The same broadcast to a larger shape."""
        lead = len(shape) - len(self.shape)
        steps = [0] * lead + [
            0 if old == 1 and new != 1 else step
            for old, new, step in zip(self.shape, shape[lead:], self.steps, strict=True)
        ]
        return Strided(tuple(shape), tuple(steps), self.offset)

    def of(self, x: Array) -> Array:
        """What it shows of arrays (runs, elements); a view that can be written."""
        flat = x.reshape(x.shape[0], -1)
        item = flat.itemsize
        return np.lib.stride_tricks.as_strided(
            flat[:, self.offset :] if self.offset < flat.shape[1] else flat,
            (flat.shape[0], *self.shape),
            (flat.strides[0], *(step * item for step in self.steps)),
        )


def natural(shape: Sequence[int]) -> Steps:
    """The strides of an array that lies row by row."""
    return tuple(prod(shape[d + 1 :]) for d in range(len(shape)))


def collapsed(shape: Sequence[int], steps: Sequence[Steps]) -> tuple[list[int], list[list[int]]]:
    """The same loops with as few indices as possible: extents of 1 go, neighbours become one."""
    sizes: list[int] = []
    strides: list[list[int]] = [[] for _ in steps]
    for d, extent in enumerate(shape):
        if extent == 1:
            continue
        here = [s[d] for s in steps]
        if sizes and all(s[-1] == step * extent for s, step in zip(strides, here, strict=True)):
            sizes[-1] *= extent
            for s, step in zip(strides, here, strict=True):
                s[-1] = step
        else:
            sizes.append(extent)
            for s, step in zip(strides, here, strict=True):
                s.append(step)
    return sizes, strides


@contextmanager
def loops(w: Writer, views: Sequence[Strided]) -> Iterator[list[str]]:
    """Loops over the elements of views of one shape; gives the place in each."""
    sizes, strides = collapsed(views[0].shape, [view.steps for view in views])
    with ExitStack() as stack:
        names = [stack.enter_context(w.loop(INDICES[d], size)) for d, size in enumerate(sizes)]
        yield [
            plus(at(*zip(names, steps, strict=True)), str(view.offset))
            for view, steps in zip(views, strides, strict=True)
        ]


@dataclass(eq=False)
class Map(Layer):
    """A function of elements of several arrays, broadcast: one input for each operand that is no number."""

    op: str = field(kw_only=True)
    shape: tuple[int, ...] = field(kw_only=True)
    operands: list[Strided | float] = field(kw_only=True)

    def title(self) -> str:
        return "" if self.op == "copy" else self.op

    @property
    def in_place(self) -> bool:  # type: ignore[override]
        """Where the element that is read is the one that is written."""
        views = zip(self.inputs, self._views(), strict=True)
        return all(view.straight for data, view in views if data is self.inputs[0]) and bool(self.inputs)

    @property
    def is_function(self) -> bool:
        """Whether it does nothing but its `post`."""
        return self.op == "copy" and self._views()[0].straight

    def _views(self) -> list[Strided]:
        return [view for view in self.operands if isinstance(view, Strided)]

    def emit(self, w: Writer, x: Sequence[str], y: str, scratch: str) -> None:
        names = iter(x)
        with loops(w, [Strided.whole(self.shape), *self._views()]) as (target, *places):
            place = iter(places)
            loads = [
                f"{next(names)}[{next(place)}]" if isinstance(operand, Strided) else real(operand)
                for operand in self.operands
            ]
            if self.op in SIGNS:
                value = f" {SIGNS[self.op]} ".join(loads)
            elif self.op == "copy":
                value = loads[0]
            else:
                declared = [f"{name} = {load}" for name, load in zip("abc", loads, strict=False)]
                w(f"const float {', '.join(declared)};")
                *lines, value = OPS[self.op][0].split("\n")
                w(*lines)
            store(w, f"{y}[{target}]", value, self.post)

    def evaluate(self, x: Sequence[Array]) -> Array:
        arrays = iter(zip(x, self.inputs, strict=True))
        values: list[Array] = []
        for operand in self.operands:
            if isinstance(operand, Strided):
                array, data = next(arrays)
                values.append(operand.of(array[None] if data.constant is not None else array))
            else:
                values.append(np.float32(operand))
        with np.errstate(all="ignore"):
            y = np.asarray(OPS[self.op][1](*values), np.float32)
        return np.array(y).reshape(y.shape[0], -1)


@dataclass(frozen=True)
class Piece:
    """A part of an output and what lies there: elements of the array `source` of the inputs."""

    source: int
    read: Strided
    write: Strided


@dataclass(eq=False)
class Assemble(Layer):
    """Pieces put together in front of a background: a number, the array `base` of the inputs, or nothing."""

    pieces: list[Piece] = field(kw_only=True)
    fill: float | None = None
    base: int | None = None

    def title(self) -> str:
        parts = ", ".join(extents(piece.read.shape) for piece in self.pieces)
        return f"{parts} put together" if len(self.pieces) > 1 else f"{parts} placed"

    def emit(self, w: Writer, x: Sequence[str], y: str, scratch: str) -> None:
        if self.fill is not None or self.base is not None:
            with w.loop("i", self.output.size) as i:
                w(f"{y}[{i}] = {real(self.fill) if self.base is None else f'{x[self.base]}[{i}]'};")
        for piece in self.pieces:
            with loops(w, [piece.write, piece.read]) as (target, place):
                w(f"{y}[{target}] = {x[piece.source]}[{place}];")
        if self.post:
            with w.loop("i", self.output.size) as i:
                store(w, f"{y}[{i}]", f"{y}[{i}]", self.post)

    def evaluate(self, x: Sequence[Array]) -> Array:
        runs = max([v.shape[0] for v, d in zip(x, self.inputs, strict=True) if d.constant is None], default=1)
        y = np.full((runs, self.output.size), 0.0 if self.fill is None else self.fill, np.float32)
        if self.base is not None:
            y[:] = x[self.base].reshape(-1, self.output.size)
        for piece in self.pieces:
            array, data = x[piece.source], self.inputs[piece.source]
            piece.write.of(y)[:] = piece.read.of(array[None] if data.constant is not None else array)
        return y
