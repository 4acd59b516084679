"""Sums and extremes along dimensions, softmax, and normalisation over rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from cnnx.c_export.net import Array, Layer, store
from cnnx.c_export.writer import Writer, at, plus, real

KINDS = ("sum", "mean", "prod", "amax", "amin", "var", "std", "norm", "logsumexp")


@dataclass(frozen=True)
class Span:
    """Neighbouring dimensions of an array, and how many elements lie before, along and after them."""

    before: int
    along: int
    after: int

    @classmethod
    def of(cls, shape: Sequence[int], first: int, last: int) -> Span:
        """Of the dimensions from the first to the last, none if that is before the first."""
        sizes = [int(np.prod(part)) for part in (shape[:first], shape[first : last + 1], shape[last + 1 :])]
        return cls(*sizes)

    def place(self, b: str, i: str, a: str) -> str:
        """An index."""
        return at((b, self.along * self.after), (i, self.after), (a, 1))

    def array(self, x: Array) -> Array:
        """As (runs, before, along, after)."""
        return x.reshape(-1, self.before, self.along, self.after)


@dataclass(eq=False)
class Reduce(Layer):
    """One number for the elements along a span."""

    kind: str = field(kw_only=True)
    span: Span = field(kw_only=True)
    scale: float = 1.0  # what the squares of a variance are multiplied by

    def title(self) -> str:
        return f"of {self.span.along} elements"

    def emit(self, w: Writer, x: Sequence[str], y: str, scratch: str) -> None:
        s = self.span
        with w.loop("b", s.before) as b, w.loop("a", s.after) as a:
            element = f"{x[0]}[{s.place(b, 'i', a)}]"
            value = self._value(w, element)
            store(w, f"{y}[{at((b, s.after), (a, 1))}]", value, self.post)

    def _value(self, w: Writer, element: str) -> str:
        n, kind = self.span.along, self.kind
        if kind in ("var", "std"):
            _sum_up(w, "mean", n, element)
            w(f"mean /= {n}.0f;")
            _sum_up(w, "sum", n, f"({element} - mean) * ({element} - mean)")
            value = f"sum * {real(self.scale)}"
            return f"sqrtf({value})" if kind == "std" else value
        if kind in ("amax", "amin"):
            _extreme(w, n, element, ">" if kind == "amax" else "<")
            return "best"
        if kind == "logsumexp":
            _extreme(w, n, element, ">")
            w("const float shift = isfinite(best) ? best : 0.0f;")
            _sum_up(w, "sum", n, f"expf({element} - shift)")
            return "shift + logf(sum)"
        if kind == "prod":
            _sum_up(w, "product", n, element, "*", "1.0f")
            return "product"
        _sum_up(w, "sum", n, f"{element} * {element}" if kind == "norm" else element)
        return {"mean": f"sum / {n}.0f", "norm": "sqrtf(sum)", "sum": "sum"}[kind]

    def evaluate(self, x: Sequence[Array]) -> Array:
        v = self.span.array(x[0])
        with np.errstate(all="ignore"):
            if self.kind in ("var", "std"):
                squares = ((v - v.mean(2, keepdims=True)) ** 2).sum(2) * np.float32(self.scale)
                y = np.sqrt(squares) if self.kind == "std" else squares
            elif self.kind == "norm":
                y = np.sqrt((v * v).sum(2))
            elif self.kind == "logsumexp":
                y = np.logaddexp.reduce(v, 2)
            else:
                y = getattr(v, {"amax": "max", "amin": "min"}.get(self.kind, self.kind))(2)
        return np.asarray(y, np.float32)


def _sum_up(w: Writer, name: str, count: int, term: str, sign: str = "+", start: str = "0.0f") -> None:
    w(f"float {name} = {start};")
    w(f"for (int i = 0; i < {count}; ++i) {name} {sign}= {term};")


def _extreme(w: Writer, count: int, element: str, sign: str) -> None:
    w(f"float best = {'-' if sign == '>' else ''}INFINITY;")
    with w.block(f"for (int i = 0; i < {count}; ++i)"):
        w(f"const float value = {element};")
        w(f"if (value {sign} best || value != value) best = value;")


@dataclass(eq=False)
class Softmax(Layer):
    """Softmax or its logarithm along a span."""

    span: Span = field(kw_only=True)
    log: bool = field(kw_only=True)

    in_place = True

    def title(self) -> str:
        return f"over {self.span.along} elements"

    def emit(self, w: Writer, x: Sequence[str], y: str, scratch: str) -> None:
        s = self.span
        place = s.place
        with w.loop("b", s.before) as b, w.loop("a", s.after) as a:
            source, target = (f"{name}[{place(b, 'i', a)}]" for name in (x[0], y))
            _extreme(w, s.along, source, ">")
            w("float sum = 0.0f;")
            with w.block(f"for (int i = 0; i < {s.along}; ++i)"):
                if self.log:
                    w(f"sum += expf({source} - best);")
                else:
                    w(f"{target} = expf({source} - best);", f"sum += {target};")
            if self.log:
                w("const float shift = best + logf(sum);")
            with w.block(f"for (int i = 0; i < {s.along}; ++i)"):
                value = f"{source} - shift" if self.log else f"{target} / sum"
                store(w, target, value, self.post)

    def evaluate(self, x: Sequence[Array]) -> Array:
        v = self.span.array(x[0])
        with np.errstate(all="ignore"):
            shifted = v - v.max(2, keepdims=True)
            total = np.exp(shifted).sum(2, keepdims=True)
            return np.asarray(shifted - np.log(total) if self.log else np.exp(shifted) / total)


@dataclass(eq=False)
class Normalise(Layer):
    """(x - mean) / sqrt(variance + eps) of rows, then weight and bias, where there are any.

    A row has `runs` runs of `repeat` elements with one weight each; `params` weights serve all rows in turn.
    """

    rows: int = field(kw_only=True)
    runs: int = field(kw_only=True)
    repeat: int = field(kw_only=True)
    params: int = field(kw_only=True)
    eps: float = field(kw_only=True)
    scaled: bool = field(kw_only=True)  # whether there is a weight
    moved: bool = field(kw_only=True)  # whether there is a bias

    in_place = True

    def title(self) -> str:
        return f"{self.rows} rows of {self.runs * self.repeat} elements, eps {self.eps:g}"

    def emit(self, w: Writer, x: Sequence[str], y: str, scratch: str) -> None:
        n = self.runs * self.repeat
        with w.loop("b", self.rows) as b:
            start = at((b, n))
            w(f"const float *from = {plus(x[0], start)};")
            w(f"float *to = {plus(y, start)};")
            _sum_up(w, "mean", n, "from[i]")
            w(f"mean /= {n}.0f;")
            _sum_up(w, "squares", n, "(from[i] - mean) * (from[i] - mean)")
            w(f"const float factor = 1.0f / sqrtf(squares / {n}.0f + {real(self.eps)});")
            groups = self.params // self.runs  # of weights; rows take them in turn
            first = "0" if groups == 1 else at((f"({b} % {groups})", self.runs))
            with w.loop("k", self.runs) as k, w.loop("i", self.repeat) as i:
                place = at((k, self.repeat), (i, 1))
                value = f"(from[{place}] - mean) * factor"
                parameters = iter(x[1:])
                if self.scaled:
                    value += f" * {next(parameters)}[{plus(first, k)}]"
                if self.moved:
                    value += f" + {next(parameters)}[{plus(first, k)}]"
                store(w, f"to[{place}]", value, self.post)

    def evaluate(self, x: Sequence[Array]) -> Array:
        v = x[0].reshape(-1, self.rows, self.runs * self.repeat)
        mean, variance = v.mean(2, keepdims=True), v.var(2, keepdims=True)
        y = ((v - mean) / np.sqrt(variance + np.float32(self.eps))).reshape(
            -1, self.rows, self.runs, self.repeat
        )
        groups = self.params // self.runs
        parameters = iter(x[1:])
        of_rows = np.arange(self.rows) % groups
        if self.scaled:
            y = y * next(parameters).reshape(groups, self.runs)[of_rows][..., None]
        if self.moved:
            y = y + next(parameters).reshape(groups, self.runs)[of_rows][..., None]
        return np.asarray(y, np.float32)
