"""ONNX forms of views, joins, parts and what is written into them, and of new tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import numpy_helper

from cnnx import dtypes
from cnnx.onnx.graph import Graph, Operand, lowers, no_counterpart
from cnnx.onnx.lower_pointwise import one
from cnnx.tracing.extent import Extent, Follows, difference, in_passes
from cnnx.tracing.program import Call, Value

FAR = 2**63 - 1  # an end that is beyond every extent


@lowers("view", "reshape", "squeeze", "unsqueeze")
def reshape(g: Graph, call: Call) -> str:
    """Another shape; ONNX's Flatten where it is the same: all after the batch in one."""
    x, out = one(call), g.out
    if x.shapes == out.shapes:
        return g.name_of(x)
    if call.op == "reshape" and out.ndim == 2 and x.ndim > 2 and x.shape[0] == out.shape[0]:
        return g.op("Flatten", x, axis=1)
    return g.reshape(x, out.shape)


@lowers("permute", "transpose")
def permute(g: Graph, call: Call) -> str:
    """The dimensions in another order."""
    order = call["order"][: call["count"]]
    return g.op("Transpose", call.inputs[0], perm=order) if order else g.name_of(call.inputs[0])


@lowers("expand")
def expand(g: Graph, call: Call) -> str:
    """Extents of 1 repeated."""
    x, out = one(call), g.out
    lead = out.ndim - x.ndim
    kept = [axis >= lead and x.shape[axis - lead] == out.shape[axis] for axis in range(out.ndim)]
    if all(kept):
        return g.name_of(x)
    return g.op("Expand", x, g.extents(*(1 if keep else e for keep, e in zip(kept, out.shape, strict=True))))


@lowers("flip")
def flip(g: Graph, call: Call) -> str:
    """Dimensions backwards."""
    axes = [d for d in range(one(call).ndim) if call["dims"] >> d & 1]
    back = [-1] * len(axes)
    ends = g.ints(*[-FAR] * len(axes))
    return (
        g.op("Slice", call.inputs[0], g.ints(*back), ends, g.ints(*axes), g.ints(*back))
        if axes
        else g.name_of(one(call))
    )


@lowers("cat")
def cat(g: Graph, call: Call) -> str:
    """Tensors joined along a dimension."""
    return g.op("Concat", *call.inputs, axis=call["dim"])


@lowers("split_copy")
def split(g: Graph, call: Call) -> list[str]:
    """All parts of a tensor along a dimension."""
    d = call["dim"]
    sizes = [part.shape[d] for part in call.results if part is not None]  # none is left out
    return g.ops("Split", len(sizes), *call.inputs, g.extents(*sizes), axis=d)


@lowers("tril", "triu")
def triangle(g: Graph, call: Call) -> str:
    """The lower or upper triangle."""
    return g.op(
        "Trilu", call.inputs[0], g.scalar(call["diagonal"], dtypes.int64), upper=int(not call["lower"])
    )


class Part:
    """Which elements of a tensor a view shows: the attributes of slices."""

    def __init__(self, g: Graph, call: Call, of: Value, prefix: str = "") -> None:
        self.g, self.of, self.call = g, of, call
        self.shape: list[Extent] = call.attributes[f"{prefix}shape"]
        self.start: list[Extent] = call.attributes[f"{prefix}start"]
        self.step = call[f"{prefix}step"]
        self.source = call[f"{prefix}source"][: len(self.shape)]
        self.length: list[Extent] = [1] * of.ndim
        self.by = [1] * of.ndim
        for d, extent, step in zip(self.source, self.shape, self.step, strict=True):
            if d >= 0:
                self.length[d], self.by[d] = extent, step
        cut = call.attributes.get(f"{prefix}cut", 0)
        for d, extent in enumerate(of.shape):
            if not isinstance(extent, int) and (not isinstance(cut, int) or cut >> d & 1):
                raise ValueError(
                    f"onnx.export: {call.place} asks for more of the batch than there is, so its result "
                    f"depends on {call.differs} in a way that cannot be traced"
                )

    def varies(self) -> ValueError:
        """The error for a part that differs between the passes in a way that ONNX cannot express."""
        return ValueError(f"onnx.export: an argument of {self.call.place} depends on {self.call.differs}")

    def position(self, at: Extent, extent: Extent) -> Operand:
        """A position in a dimension as ONNX takes it: from the end where that is what stays the same."""
        gap = difference(at, extent)
        if isinstance(at, int):
            return self.g.ints(at)
        if isinstance(gap, int):
            return self.g.ints(gap if gap < 0 else FAR)
        if not isinstance(at, Follows):
            raise self.varies()
        return self.g.extents(at)

    def end(self, d: int) -> Extent:
        """Where dimension d ends."""
        extent, start, length, step = self.of.shape[d], self.start[d], self.length[d], self.by[d]
        if isinstance(extent, int) and isinstance(start, int) and isinstance(length, int):
            return start + length * step
        if step == 1:
            back = difference(0, start) if not isinstance(start, int) else -start
            return difference(length, back)
        starts, counts = (in_passes(value, self.g.sizes) for value in (start, length))
        raws = zip(self.of.shapes, starts, counts, strict=True)
        if all(count == -((begin - shape[d]) // step) for shape, begin, count in raws):
            return extent
        raise self.varies()

    def is_whole(self, d: int) -> bool:
        """Whether all of dimension d is shown, as it is."""
        return self.by[d] == 1 and self.start[d] == 0 and self.length[d] == self.of.shape[d]

    def cut(self, x: Operand, d: int, start: Operand, end: Operand, step: int = 1) -> str:
        """A slice of one dimension."""
        return self.g.op("Slice", x, start, end, self.g.ints(d), self.g.ints(step))

    def shown(self) -> str:
        """What the view shows."""
        g = self.g
        x: Operand = self.of
        order = [d for d in self.source if d >= 0]
        for d in range(self.of.ndim):
            if d in order and not self.is_whole(d):
                ends = self.position(self.end(d), self.of.shape[d])
                x = self.cut(x, d, self.position(self.start[d], self.of.shape[d]), ends, self.by[d])
        for d in reversed(range(self.of.ndim)):
            if d not in order:
                x = g.op("Gather", x, self.index(d), axis=d)
        places = [sum(kept < d for kept in order) for d in order]
        if places != sorted(places):
            x = g.op("Transpose", x, perm=places)
        new = [k for k, d in enumerate(self.source) if d < 0]
        if new:
            x = g.op("Unsqueeze", x, g.ints(*new))
        if any(self.shape[k] != 1 for k in new):
            x = g.op(
                "Expand", x, g.extents(*(self.shape[k] if k in new else 1 for k in range(len(self.shape))))
            )
        return g.name_of(x)

    def index(self, d: int) -> Operand:
        """The one entry of dimension d, without dimensions."""
        position = self.position(self.start[d], self.of.shape[d])
        return position.reshape(()) if isinstance(position, np.ndarray) else self.g.op("Squeeze", position)

    def written(self, values: Operand) -> str:
        """The whole tensor with other values in the place of the part."""
        g = self.g
        new = [k for k, d in enumerate(self.source) if d < 0]
        if any(self.shape[k] != 1 for k in new) or any(step != 1 for step in self.by):
            raise no_counterpart(f"{self.call.place} with steps")
        if new:
            values = g.op("Squeeze", values, g.ints(*new))
        order = [d for d in self.source if d >= 0]
        if order != sorted(order):
            values = g.op("Transpose", values, perm=[int(k) for k in np.argsort(order)])
        gone = [d for d in range(self.of.ndim) if d not in order]
        if gone:
            values = g.op("Unsqueeze", values, g.ints(*gone))
        return g.name_of(
            self._around(self.of, values, [d for d in range(self.of.ndim) if not self.is_whole(d)])
        )

    def _around(self, x: Operand, values: Operand, dims: Sequence[int]) -> Operand:
        """What of x is before and after the part along the first dimension, joined with what is between."""
        if not dims:
            return values
        g, d = self.g, dims[0]
        extent, begin, end = self.of.shape[d], self.start[d], self.end(d)
        start, stop = self.position(begin, extent), self.position(end, extent)
        between = self._around(self.cut(x, d, start, stop), values, dims[1:]) if dims[1:] else values
        parts = [between]
        if begin != 0:
            parts.insert(0, self.cut(x, d, g.ints(0), start))
        if end != extent:
            parts.append(self.cut(x, d, stop, g.ints(FAR)))
        return g.op("Concat", *parts, axis=d) if len(parts) > 1 else between


@lowers("narrow", "select", "slice")
def part(g: Graph, call: Call) -> str:
    """A part of a tensor."""
    return Part(g, call, one(call)).shown()


@lowers("write")
def write(g: Graph, call: Call) -> str:
    """A tensor that was changed through a view of a part of it."""
    return Part(g, call, one(call)).written(call.inputs[1])


@lowers("index_put")
def index_put(g: Graph, call: Call) -> str:
    """A tensor with other values in places that slices or index tensors name."""
    x, values, *entries = call.inputs
    assert x is not None
    piece = Part(g, call, x, "plan.")
    if not entries:
        return piece.written(values)
    dims = call["indexed.dims"][: call["indexed.count"]]
    if not all(piece.is_whole(d) for d in range(x.ndim)) or dims != list(range(len(dims))):
        raise no_counterpart(f"{call.place} by slices and index tensors, or past the first dimensions")
    added: dict[str, Any] = {}
    if call["add"]:
        g.needs("ScatterND", 16)
        added["reduction"] = "add"
    return g.op("ScatterND", x, places(g, entries), values, **added)


def places(g: Graph, entries: Sequence[Operand]) -> str:
    """Index tensors as one, their last dimension the places in the indexed dimensions."""
    parts = [g.op("Unsqueeze", entry, g.ints(-1)) for entry in entries]
    return g.op("Concat", *parts, axis=-1) if len(parts) > 1 else parts[0]


@lowers("index")
def index(g: Graph, call: Call) -> str:
    """The entries that index tensors name."""
    x, *entries = call.inputs
    assert x is not None
    assert entries[0] is not None
    dims = call["dims"][: call["count"]]
    if len(dims) == 1:
        return g.op("Gather", x, entries[0], axis=dims[0])
    rest = [d for d in range(x.ndim) if d not in dims]
    order = [*dims, *rest]
    front = x if order == sorted(order) else g.op("Transpose", x, perm=order)
    result = g.op("GatherND", front, places(g, entries))
    between = (
        dims[0] if dims[-1] - dims[0] + 1 == len(dims) else 0
    )  # the dimensions of the entries stay in place
    if between == 0:
        return result
    width = entries[0].ndim
    perm = [*range(width, width + between), *range(width), *range(width + between, g.out.ndim)]
    return g.op("Transpose", result, perm=perm)


@lowers("full", "fill")
def full(g: Graph, call: Call) -> str:
    """One number everywhere."""
    dtype = g.out.dtype
    number = g.scalar(call["real" if dtype.is_floating_point else "integer"], dtype)
    value = numpy_helper.from_array(number.reshape(1))
    return g.op("ConstantOfShape", g.extents(*g.out.shape), value=value)


@lowers("arange")
def arange(g: Graph, call: Call) -> str:
    """Numbers with equal steps."""
    dtype = g.out.dtype
    count: Any = g.op("Squeeze", g.extents(g.out.shape[0]))
    numbers: Any = g.op("Range", g.scalar(0, dtypes.int64), count, g.scalar(1, dtypes.int64))
    numbers = g.cast(numbers, dtypes.int64, dtype)
    if call["step"] != 1:
        numbers = g.op("Mul", numbers, g.scalar(call["step"], dtype))
    if call["start"] != 0:
        numbers = g.op("Add", numbers, g.scalar(call["start"], dtype))
    return g.name_of(numbers)


@lowers("uniform", "normal", "bernoulli", "randint", "randperm")
def draw(g: Graph, call: Call) -> str:
    """What is random cannot be compared with the model."""
    raise no_counterpart(f"{call.place}: random numbers that forward draws")
