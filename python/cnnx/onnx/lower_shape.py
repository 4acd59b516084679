"""ONNX forms of views, joins, slices and gathers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cnnx import _C
from cnnx.onnx.graph import Graph, Operand, lowers, no_counterpart

Ints = Sequence[int]
FAR = 2**63 - 1  # an end that is beyond every extent


@lowers("view", "reshape", "unflatten", "squeeze", "unsqueeze")
def reshape(g: Graph, input: Any, *unused: Any, **also_unused: Any) -> str:
    """Another shape; the extent that follows the batch stays open."""
    if tuple(input.shape) == tuple(g.out.shape) and input.dynamic == g.out.dynamic:
        return g.name_of(input)
    return g.reshape(input, g.out.shape, g.out.dynamic)


@lowers("flatten")
def flatten(g: Graph, input: Any, start_dim: int, end_dim: int) -> str:
    """ONNX's Flatten where it is the same: all after the batch in one."""
    if input.ndim > 1 and start_dim % input.ndim == 1 and end_dim % input.ndim == input.ndim - 1:
        return g.op("Flatten", input, axis=1)
    return reshape(g, input)


def transposed(g: Graph, input: Any, order: Ints) -> str:
    """The dimensions in another order."""
    return (
        g.op("Transpose", input, perm=[int(d) % input.ndim for d in order])
        if input.ndim
        else g.name_of(input)
    )


@lowers("permute")
def permute(g: Graph, input: Any, dims: Ints) -> str:
    """All dimensions in another order."""
    return transposed(g, input, dims)


@lowers("transpose")
def transpose(g: Graph, input: Any, dim0: int, dim1: int) -> str:
    """Two dimensions exchanged."""
    order = list(range(input.ndim))
    if order:
        order[dim0], order[dim1] = order[dim1], order[dim0]
    return transposed(g, input, order)


@lowers("movedim")
def movedim(g: Graph, input: Any, source: int | Ints, destination: int | Ints) -> str:
    """Dimensions moved, the others in their order."""
    order = np.moveaxis(np.empty(tuple(range(1, input.ndim + 1))), source, destination).shape
    return transposed(g, input, [extent - 1 for extent in order])


@lowers("expand")
def expand(g: Graph, input: Any, shape: Ints) -> str:
    """Extents of 1 repeated; what follows the batch must do so already."""
    out = g.out
    lead = out.ndim - input.ndim
    extents = list(out.shape)
    for axis, follows in enumerate(out.dynamic):
        if follows:
            if axis < lead or not input.dynamic[axis - lead]:
                raise ValueError(f"onnx.export: {g.call} repeats a tensor by the size of the batch")
            extents[axis] = 1
    return g.op("Expand", input, g.ints(*extents))


@lowers("repeat")
def repeat(g: Graph, input: Any, times: Ints) -> str:
    """Copies side by side."""
    lead = len(times) - input.ndim
    x: Operand = input
    if lead:
        x = g.reshape(input, (1,) * lead + tuple(input.shape), (False,) * lead + tuple(input.dynamic))
    return g.op("Tile", x, g.ints(*times))


@lowers("cat")
def cat(g: Graph, tensors: Sequence[Any], dim: int) -> str:
    """Tensors joined along a dimension."""
    parts = [t for t in tensors if tuple(t.shape) != (0,)]  # PyTorch lets these pass
    return g.op("Concat", *(g.cast(t, t.dtype, g.out.dtype) for t in parts), axis=dim)


@lowers("stack")
def stack(g: Graph, tensors: Sequence[Any], dim: int) -> str:
    """Tensors joined along a new dimension."""
    axis = dim % g.out.ndim
    parts = [g.op("Unsqueeze", g.cast(t, t.dtype, g.out.dtype), g.ints(axis)) for t in tensors]
    return g.op("Concat", *parts, axis=axis)


def cut(g: Graph, input: Operand, axis: int, start: int, end: int, step: int = 1) -> str:
    """A slice of one dimension."""
    return g.op("Slice", input, g.ints(start), g.ints(end), g.ints(axis), g.ints(step))


@lowers("narrow")
def narrow(g: Graph, input: Any, dim: int, start: int, length: int) -> str:
    """A part of a dimension."""
    axis = dim % input.ndim
    begin = start if start >= 0 else start + input.shape[axis]
    return cut(g, input, axis, begin, begin + length)


@lowers("slice")
def slice_(g: Graph, input: Any, dim: int, start: int, end: int, step: int) -> str:
    """A part of a dimension, with steps."""
    return cut(g, input, dim % input.ndim, start, end, step)


@lowers("select")
def select(g: Graph, input: Any, dim: int, index: int) -> str:
    """One entry of a dimension."""
    return g.op("Gather", input, g.scalar(index, _C.DType.int64), axis=dim % input.ndim)


@lowers("split", "chunk", "unbind")
def split(g: Graph, input: Any, *args: Any, **kwargs: Any) -> list[str]:
    """Parts of a dimension, by the extents they have."""
    unbinds = g.call.startswith("unbind")
    dim = kwargs.get("dim", args[-1] if args else 0) % input.ndim
    names, start = [], 0
    if input.dynamic[dim]:
        raise no_counterpart(f"{g.call} of the batch")
    for number, part in enumerate(list(g.results)):
        if unbinds:
            names.append(select(g, input, dim, number))
        else:
            names.append(cut(g, input, dim, start, start + part.shape[dim]))
            start += part.shape[dim]
    return names


@lowers("getitem")
def getitem(g: Graph, input: Any, index: Any) -> str:
    """Indexing by ints, slices, None and `...`, and by one tensor of integers."""
    items = list(index) if isinstance(index, tuple) else [index]
    taken = sum(item is not None and item is not Ellipsis for item in items)
    if Ellipsis in [item for item in items if item is None or item is Ellipsis]:
        place = next(i for i, item in enumerate(items) if item is Ellipsis)
        items[place : place + 1] = [slice(None)] * (input.ndim - taken)
    if any(item is Ellipsis for item in items):
        raise no_counterpart(f"{g.call} with several ellipses")
    x: Operand = input
    axis, axes = 0, input.ndim
    gathered = False
    for item in items:
        if item is None:
            x = g.op("Unsqueeze", x, g.ints(axis))
            axis, axes = axis + 1, axes + 1
        elif isinstance(item, slice):
            if item != slice(None):
                start, end, step = item.start or 0, FAR if item.stop is None else item.stop, item.step or 1
                x = cut(g, x, axis, int(start), int(end), int(step))
            axis += 1
        elif isinstance(item, bool):
            raise no_counterpart(f"{g.call} with a boolean")
        elif isinstance(item, int):
            x = g.op("Gather", x, g.scalar(item, _C.DType.int64), axis=axis)
        else:
            x, width = gather_items(g, x, item, axis, gathered)
            gathered = True
            axis += width
    return g.name_of(x)


def gather_items(g: Graph, x: Operand, item: Any, axis: int, again: bool) -> tuple[str, int]:
    """The entries of a dimension that an index tensor names, and how many dimensions they take."""
    if isinstance(item, (list, tuple)):
        item = np.asarray(item)
    kind = item.dtype
    if again or kind == _C.DType.bool or (isinstance(item, np.ndarray) and item.dtype == bool):
        raise no_counterpart(f"{g.call} with several index tensors, or a boolean one")
    if isinstance(item, np.ndarray):
        item = item.astype(np.int64)
    return g.op("Gather", x, item, axis=axis), item.ndim


@lowers("index_select")
def index_select(g: Graph, input: Any, dim: int, index: Any) -> str:
    """Entries of a dimension."""
    return g.op("Gather", input, index, axis=dim)


@lowers("gather")
def gather(g: Graph, input: Any, dim: int, index: Any) -> str:
    """One entry for each place of the index."""
    return g.op("GatherElements", input, index, axis=dim)


@lowers("flip")
def flip(g: Graph, input: Any, dims: Ints) -> str:
    """Dimensions backwards."""
    axes = [int(d) % input.ndim for d in dims]
    count = len(axes)
    return g.op(
        "Slice",
        input,
        g.ints(*(-1,) * count),
        g.ints(*(-FAR,) * count),
        g.ints(*axes),
        g.ints(*(-1,) * count),
    )


@lowers("roll")
def roll(g: Graph, input: Any, shifts: Ints, dims: Ints) -> str:
    """Dimensions turned round."""
    if not dims:
        raise no_counterpart(f"{g.call} of the flattened tensor")
    x: Operand = input
    for shift, dim in zip(shifts, dims, strict=True):
        if shift:
            axis = int(dim) % input.ndim
            x = g.op("Concat", cut(g, x, axis, -shift, FAR), cut(g, x, axis, 0, -shift), axis=axis)
    return g.name_of(x)


@lowers("tril", "triu")
def triangle(g: Graph, input: Any, diagonal: int) -> str:
    """The lower or upper triangle."""
    upper = int(g.call.startswith("triu"))
    return g.op("Trilu", input, g.scalar(diagonal, _C.DType.int64), upper=upper)
