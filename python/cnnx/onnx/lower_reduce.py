"""ONNX forms of reductions, sorting and counting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cnnx import dtypes
from cnnx.onnx.graph import Graph, lowers, no_counterpart

Dim = int | Sequence[int] | None
REDUCTIONS = {
    "sum": "ReduceSum", "mean": "ReduceMean", "prod": "ReduceProd", "amax": "ReduceMax", "amin": "ReduceMin",
    "logsumexp": "ReduceLogSumExp",
}  # fmt: skip


def axes_of(input: Any, dim: Dim) -> list[int] | None:
    """The dimensions from the front; None for all."""
    if dim is None or (not isinstance(dim, int) and len(dim) == 0):
        return None
    dims = [dim] if isinstance(dim, int) else list(dim)
    return [d % input.ndim if input.ndim else d for d in dims]


@lowers(*REDUCTIONS)
def reduction(g: Graph, input: Any, dim: Dim = None, keepdim: bool = False, dtype: Any = None) -> str:
    """Sums, means, products and extremes."""
    x = g.cast(input, input.dtype, g.out.dtype)
    return g.reduce(REDUCTIONS[g.call.split(" ")[0]], x, axes_of(input, dim), keepdim)


@lowers("max", "min")
def extreme(g: Graph, input: Any) -> str:
    """The extreme of all elements."""
    return g.reduce("ReduceMax" if g.call.startswith("max") else "ReduceMin", input, None, False)


@lowers("max_dim", "min_dim")
def extreme_with_index(g: Graph, input: Any, dim: int, keepdim: bool = False) -> list[str]:
    """The extremes along a dimension and their first places."""
    kind = "Max" if g.call.startswith("max") else "Min"
    values = g.reduce(f"Reduce{kind}", input, axes_of(input, dim), keepdim)
    return [values, g.op(f"Arg{kind}", input, axis=dim, keepdims=int(keepdim))]


@lowers("argmax", "argmin")
def arg_extreme(g: Graph, input: Any, dim: int | None = None, keepdim: bool = False) -> str:
    """The first place of the extreme."""
    kind = "ArgMax" if g.call.startswith("argmax") else "ArgMin"
    if dim is not None:
        return g.op(kind, input, axis=dim, keepdims=int(keepdim))
    if keepdim:
        raise no_counterpart(f"{g.call} over all elements with keepdim")
    return g.op(kind, g.op("Reshape", input, g.ints(-1)), axis=0, keepdims=0)


@lowers("any", "all")
def truth(g: Graph, input: Any, dim: Dim = None, keepdim: bool = False) -> str:
    """Whether any, or all, differ from 0."""
    numbers = g.cast(g.cast(input, input.dtype, dtypes.bool), dtypes.bool, dtypes.int32)
    kind = "ReduceMax" if g.call.startswith("any") else "ReduceMin"
    return g.op("Cast", g.reduce(kind, numbers, axes_of(input, dim), keepdim), to=9)


@lowers("count_nonzero")
def count_nonzero(g: Graph, input: Any, dim: Dim = None) -> str:
    """How many differ from 0."""
    numbers = g.cast(g.cast(input, input.dtype, dtypes.bool), dtypes.bool, dtypes.int64)
    return g.reduce("ReduceSum", numbers, axes_of(input, dim), False)


@lowers("var", "std")
def variance(g: Graph, input: Any, dim: Dim = None, correction: float = 1.0, keepdim: bool = False) -> str:
    """The variance or its root."""
    axes = axes_of(input, dim)
    places = range(input.ndim) if axes is None else axes
    if correction and any(input.dynamic[axis] for axis in places):
        raise ValueError(f"onnx.export: {g.call} over the batch depends on its size; correction=0 does not")
    count = 1
    for axis in places:
        count *= input.shape[axis]
    centred = g.op("Sub", input, g.reduce("ReduceMean", input, axes, True))
    square = g.op("Mul", centred, centred)
    if correction:
        total = g.reduce("ReduceSum", square, axes, keepdim)
        result: str = g.op("Div", total, g.scalar(count - correction, input.dtype))
    else:
        result = g.reduce("ReduceMean", square, axes, keepdim)
    return g.op("Sqrt", result) if g.call.startswith("std") else result


@lowers("norm")
def norm(g: Graph, input: Any, p: float = 2.0, dim: Dim = None, keepdim: bool = False) -> str:
    """The 1- and 2-norm."""
    if p not in (1, 2):
        raise no_counterpart(f"{g.call} with p={p:g}")
    return g.reduce(f"ReduceL{p:g}", input, axes_of(input, dim), keepdim)


@lowers("cdist")
def cdist(g: Graph, x1: Any, x2: Any, p: float = 2.0) -> str:
    """The 1- and 2-norms of all differences of rows."""
    if p not in (1, 2):
        raise no_counterpart(f"{g.call} with p={p:g}")
    ndim = max(x1.ndim, x2.ndim) + 1  # axes of a reduction count from the front
    differences = g.op("Sub", g.op("Unsqueeze", x1, g.ints(-2)), g.op("Unsqueeze", x2, g.ints(-3)))
    return g.reduce(f"ReduceL{p:g}", differences, [ndim - 1], False)


@lowers("pick_median")
def pick_median(g: Graph, input: Any, value: Any) -> str:
    """A value that was found before."""
    return g.name_of(value)


@lowers("cumsum")
def cumsum(g: Graph, input: Any, dim: int, dtype: Any = None) -> str:
    """Running sums."""
    return g.op("CumSum", g.cast(input, input.dtype, g.out.dtype), g.scalar(dim, dtypes.int64))


@lowers("topk")
def topk(g: Graph, input: Any, k: int, dim: int, largest: bool) -> list[str]:
    """The largest or smallest, sorted."""
    return g.ops("TopK", 2, input, g.ints(k), axis=dim, largest=int(largest))


@lowers("sort")
def sort(g: Graph, input: Any, dim: int, descending: bool) -> list[str]:
    """All elements in order."""
    if input.dynamic[dim]:
        raise no_counterpart(f"{g.call} over the batch")
    return topk(g, input, input.shape[dim], dim, descending)
