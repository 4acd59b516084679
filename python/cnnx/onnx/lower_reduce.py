"""ONNX forms of reductions, sorting and counting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cnnx import dtypes
from cnnx.onnx.graph import Graph, lowers, no_counterpart
from cnnx.onnx.lower_pointwise import one
from cnnx.onnx.program import Call, Value

REDUCTIONS = {
    "sum": "ReduceSum", "mean": "ReduceMean", "prod": "ReduceProd", "amax": "ReduceMax", "amin": "ReduceMin",
}  # fmt: skip


def axes_of(call: Call) -> list[int]:
    """The dimensions that are reduced: neighbours."""
    return list(range(call["first"], call["last"] + 1))


@lowers(*REDUCTIONS)
def reduction(g: Graph, call: Call) -> str:
    """Sums, means, products and extremes; an extreme that was found before in its final shape."""
    if "result_shape" in call.attributes:
        return g.reshape(call.inputs[1], g.out.shape)
    x, axes = one(call), axes_of(call)
    if not axes:
        return g.name_of(x)
    truth = x.dtype == dtypes.bool  # `any` and `all` are the extremes of booleans
    numbers = g.cast(x, x.dtype, dtypes.int32) if truth else x
    result = g.reduce(REDUCTIONS[call.op], numbers, axes, call["keepdim"])
    return g.name_of(g.cast(result, dtypes.int32, dtypes.bool)) if truth else result


@lowers("logsumexp")
def logsumexp(g: Graph, call: Call) -> str:
    """The logarithm of a sum of exponentials."""
    return (
        g.reduce("ReduceLogSumExp", call.inputs[0], axes_of(call), True)
        if axes_of(call)
        else g.name_of(one(call))
    )


@lowers("max", "min")
def extreme(g: Graph, call: Call) -> str:
    """The extremes along a dimension, whose places were found before."""
    return g.reduce("ReduceMax" if call.op == "max" else "ReduceMin", call.inputs[0], [call["dim"]], True)


@lowers("argmax", "argmin")
def arg_extreme(g: Graph, call: Call) -> str:
    """The first places of the extremes along a dimension."""
    return g.op("ArgMax" if call.op == "argmax" else "ArgMin", call.inputs[0], axis=call["dim"], keepdims=1)


def products(value: Value, axes: Sequence[int]) -> list[int]:
    """How many elements the axes have, in each pass."""
    counts = []
    for shape in value.shapes:
        count = 1
        for axis in axes:
            count *= shape[axis]
        counts.append(count)
    return counts


@lowers("var", "std")
def variance(g: Graph, call: Call) -> str:
    """The variance or its root."""
    x, axes = one(call), axes_of(call)
    centred = g.op("Sub", x, g.reduce("ReduceMean", x, axes, True)) if axes else g.op("Sub", x, x)
    square = g.op("Mul", centred, centred)
    scales = call.attributes["scale"]
    scales = scales.values if not isinstance(scales, float) else [scales] * len(x.shapes)
    if all(scale == 1 / count for scale, count in zip(scales, products(x, axes), strict=True)):
        result = g.reduce("ReduceMean", square, axes, True)
    elif len(set(scales)) > 1:
        raise ValueError(
            f"onnx.export: {call.place} over the batch depends on {call.differs}; correction=0 does not"
        )
    else:
        total = g.reduce("ReduceSum", square, axes, True)
        result = g.op("Mul", total, g.scalar(scales[0], x.dtype))
    return g.op("Sqrt", result) if call["root"] else result


@lowers("norm")
def norm(g: Graph, call: Call) -> str:
    """The 2-norm; one of another order in its final shape, found before by other ops."""
    if "first" not in call.attributes:
        return g.name_of(call.inputs[1])
    return g.reduce("ReduceL2", call.inputs[0], axes_of(call), True)


@lowers("cdist")
def cdist(g: Graph, call: Call) -> str:
    """The 1- and 2-norms of all differences of rows."""
    p = call["p"]
    if p not in (1, 2):
        raise no_counterpart(f"{call.place} with p={p:g}")
    x, y = call.inputs
    differences = g.op("Sub", g.op("Unsqueeze", x, g.ints(-2)), g.op("Unsqueeze", y, g.ints(-3)))
    return g.reduce(f"ReduceL{p:g}", differences, [g.out.ndim], False)


@lowers("cumsum")
def cumsum(g: Graph, call: Call) -> str:
    """Running sums."""
    return g.op("CumSum", call.inputs[0], g.scalar(call["dim"], dtypes.int64), reverse=int(call["from_back"]))


@lowers("argsort")
def argsort(g: Graph, call: Call) -> str:
    """The order of the elements along the last dimension."""
    x = one(call)
    count = g.extents(x.shape[-1])
    return g.ops("TopK", 2, x, count, axis=-1, largest=int(call["descending"]))[1]


@lowers("select_ranks")
def select_ranks(g: Graph, call: Call) -> str:
    """The places of some ranks along the last dimension; where asked for, of the first NaN in their stead."""
    x, first, count = one(call), g.fixed(call["first"]), g.fixed(call["count"])
    places = g.ops("TopK", 2, x, g.ints(first + count), axis=-1, largest=int(call["descending"]))[1]
    if first:
        places = g.op("Slice", places, g.ints(first), g.ints(first + count), g.ints(-1), g.ints(1))
    if not call["nan_wins"] or not x.dtype.is_floating_point:
        return places
    is_nan = g.op("Where", g.op("IsNaN", x), g.scalar(1, dtypes.int32), g.scalar(0, dtypes.int32))
    first_nan = g.op("ArgMax", is_nan, axis=-1, keepdims=1)
    return g.op("Where", g.op("IsNaN", g.op("GatherElements", x, first_nan, axis=-1)), first_nan, places)


@lowers("gather", "sort", "topk", "kthvalue", "median")
def gather(g: Graph, call: Call) -> str:
    """One entry for each place of the index; the median of all was found before."""
    if "result_shape" in call.attributes:
        return g.reshape(call.inputs[1], g.out.shape)
    return g.op("GatherElements", *call.inputs, axis=call["dim"])


@lowers("index_within")
def index_within(g: Graph, call: Call) -> str:
    """Indices that were checked; ONNX checks them itself, and takes negative ones too."""
    return g.name_of(one(call))


JOINED = {"scatter_add": ("add", 16), "scatter_prod": ("mul", 16), "scatter_amax": ("max", 18),
              "scatter_amin": ("min", 18)}  # fmt: skip


@lowers("scatter", *JOINED)
def scatter(g: Graph, call: Call) -> str:
    """Values with others in the places of an index, or joined with what is there."""
    values, index, source = call.inputs
    if source is not None and index is not None and source.ndim != index.ndim:
        source = g.op("Expand", source, g.extents(*index.shape))  # type: ignore[assignment]
    added: dict[str, Any] = {}
    if call.op in JOINED:
        added["reduction"], opset = JOINED[call.op]
        g.needs("ScatterElements", opset)
    return g.op("ScatterElements", values, index, source, axis=call["dim"], **added)
