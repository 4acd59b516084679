"""Indexing, gathering and scattering."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from cnnx import _C, creation
from cnnx.dtypes import iinfo
from cnnx.shaping import axis_of, movedim
from cnnx.signatures import checked, not_tensors

if TYPE_CHECKING:
    from cnnx.tensor import Tensor


def getitem(self: Tensor, index: Any) -> Tensor:
    """The part that `index` names.

    Ints, slices, None, `...`, bools, integer or bool tensors, arrays and lists. A uint8 tensor or array is a
    mask, with a `UserWarning`, as in PyTorch.

    Without tensors, arrays and lists among the items the result is a view, else a copy.

    Raises
    ------
    IndexError
        If an index is out of range, or there are too many.
    ValueError
        If a slice has a step of 0 or below.
    """
    return _C.getitem(self, index)


def setitem(self: Tensor, index: Any, value: Any) -> None:
    """Sets the part that `index` names to a number, or to a tensor, array or list that broadcasts to it.

    Raises
    ------
    RuntimeError
        If a number is beyond what the dtype holds; tensors and arrays are converted as `to` does.
    """
    if isinstance(value, (list, tuple)):
        value = creation.from_python("index_put_", value, self.dtype)
    _C.setitem(self, index, value)


def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """The entries `index` (one dimension, int32 or int64) of a dimension."""
    return _C.index_select(input, dim, index)


def masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """The elements where `mask` (bool, broadcast) holds, in one dimension."""
    return _C.masked_select(input, mask)


def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """The indices of the elements that differ from 0.

    An int64 tensor (count, ndim), or a tuple with one tensor per dimension.
    """
    found = _C.nonzero(input)
    return tuple(_C.unbind(found, 1)) if as_tuple else found


def argwhere(input: Tensor) -> Tensor:
    """`nonzero`."""
    return _C.nonzero(input)


def gather(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """Picks along `dim`.

    For dim 1, out[i][j] = input[i][index[i][j]]. The index has as many dimensions as the input.
    """
    return _C.gather(input, dim, index)


@checked
def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """Like `gather` with the other dimensions broadcast; without `dim`, of the flattened tensors."""
    if dim is None:
        return _C.gather(_C.reshape(input, (-1,)), 0, _C.reshape(indices, (-1,)))
    if input.ndim != indices.ndim:
        raise RuntimeError(
            f"take_along_dim: shapes {tuple(input.shape)} and {tuple(indices.shape)} differ in dimensions"
        )
    input.size(dim)  # which complains of one that is not there
    axis = dim + input.ndim if dim < 0 else dim
    shape = list(_C.broadcast_shapes(_without(input.shape, axis), _without(indices.shape, axis)))
    shape.insert(axis, input.shape[axis])
    wide = _C.expand(input, tuple(shape))
    shape[axis] = indices.shape[axis]
    return _C.gather(wide, dim, _C.expand(indices, tuple(shape)))


def _without(shape: Sequence[int], axis: int) -> tuple[int, ...]:
    return tuple(shape[:axis]) + tuple(shape[axis + 1 :])


def source_or_value(op: str, src: Any, value: Any) -> Any:
    if (src is None) == (value is None):
        raise TypeError(f"{op}: expected either src or value")
    return value if src is None else src


_SCATTERS = {"add": "sum", "multiply": "prod"}


def scatter(
    input: Tensor,
    dim: int,
    index: Tensor,
    src: Any = None,
    *,
    value: Any = None,
    reduce: str | None = None,
) -> Tensor:
    """A copy with elements set along `dim`.

    For dim 1, out[i][index[i][j]] = src[i][j]; `src` may be a number. With `reduce` "add" or "multiply" the
    elements are added or multiplied to what is there.
    """
    source = source_or_value("scatter", src, value)
    if reduce is None:
        return _C.scatter(input, dim, index, source, False)
    if reduce not in _SCATTERS:
        raise RuntimeError(f'scatter: reduce is "add" or "multiply", got {reduce!r}')
    if not isinstance(source, _C.TensorBase):
        source = creation.full(index.shape, source, dtype=input.dtype, device=input.device)
    return _C.scatter_reduce(input, dim, index, source, _SCATTERS[reduce])


def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """A copy with elements added along `dim`: for dim 1, out[i][index[i][j]] += src[i][j]."""
    return _C.scatter(input, dim, index, src, True)


@checked
def take(input: Tensor, index: Tensor) -> Tensor:
    """Elements of the flattened tensor, in the shape of the index."""
    flat = _C.reshape(input, (-1,))
    return _C.reshape(_C.index_select(flat, 0, _C.reshape(index, (-1,))), tuple(index.shape))


@checked
def index_add(input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: Any = 1) -> Tensor:
    """A copy with the slices of `source` added to those that `index` names along `dim`."""
    shape = [1] * input.ndim
    shape[axis_of("index_add", input, dim)] = index.numel()
    places = _C.expand(_C.reshape(index, tuple(shape)), tuple(source.shape))
    factor = creation.full((), alpha, dtype=source.dtype, device=source.device)
    return _C.scatter(input, dim, places, source if alpha == 1 else _C.mul(source, factor), True)


@checked
def index_copy(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """A copy with the slices of `source` in the places that `index` names along `dim`."""
    shape = [1] * input.ndim
    shape[axis_of("index_copy", input, dim)] = index.numel()
    return _C.scatter(
        input, dim, _C.expand(_C.reshape(index, tuple(shape)), tuple(source.shape)), source, False
    )


@checked
def index_fill(input: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:
    """A copy with a number in the slices that `index` names along `dim`."""
    shape = list(input.shape)
    shape[axis_of("index_fill", input, dim)] = index.numel()
    number = _C.item(value) if isinstance(value, _C.TensorBase) else value
    return index_copy(input, dim, index, creation.full(shape, number, dtype=input.dtype, device=input.device))


@checked
def index_put(input: Tensor, indices: Sequence[Tensor], values: Tensor, accumulate: bool = False) -> Tensor:
    """A copy with `values` in the places that a tuple of tensors, as in ``input[indices]``, names.

    Parameters
    ----------
    input : Tensor
        Any shape and dtype.
    indices : sequence of Tensor
        Integers or bool masks, one for each of the first dimensions; they broadcast.
    values : Tensor
        Broadcast to the indexed shape.
    accumulate : bool
        Whether values are added to what is there, all of them where an element is named several times;
        otherwise the last one stays. Default: False.

    Examples
    --------
    >>> import cnnx
    >>> at = (cnnx.tensor([0, 2, 2]),)
    >>> cnnx.zeros(3).index_put(at, cnnx.tensor([1.0, 2.0, 3.0]), accumulate=True)
    tensor([1., 0., 5.])
    """
    check_values("index_put", input, values)
    return _C.index_put(input, tuple(indices), values, accumulate)


def check_values(op: str, input: Tensor, values: Any) -> None:
    """Refuses values of another dtype than the tensor's."""
    if not isinstance(values, _C.TensorBase):
        raise not_tensors(op, values=values)
    if values.dtype != input.dtype:
        raise RuntimeError(f"{op}: the tensor is {input.dtype}, the values are {values.dtype}")


@checked
def put(input: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """A copy with the elements of `source` in the places `index` of the flattened tensor.

    With `accumulate` they are added to what is there. As many places as elements; negative ones count from
    the end.
    """
    if index.numel() != source.numel():
        raise RuntimeError(f"put: {index.numel()} places for {source.numel()} elements")
    flat = index_put(
        _C.reshape(input, (-1,)), (_C.reshape(index, (-1,)),), _C.reshape(source, (-1,)), accumulate
    )
    return _C.reshape(flat, tuple(input.shape))


@checked
def masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """A copy with the elements of `source`, in their order, where `mask` (bool) holds.

    The mask is broadcast; the source has at least as many elements as the mask has true ones.

    Examples
    --------
    >>> import cnnx
    >>> cnnx.zeros(3).masked_scatter(cnnx.tensor([True, False, True]), cnnx.tensor([1.0, 2.0]))
    tensor([1., 0., 2.])
    """
    if mask.dtype != _C.DType.bool:
        raise RuntimeError(f"masked_scatter: the mask must be bool, got {mask.dtype}")
    shape = tuple(_C.broadcast_shapes(input.shape, mask.shape))
    wide = _C.expand(mask, shape)
    check_values("masked_scatter", input, source)
    count, elements = int(wide.sum()), _C.reshape(source, (-1,))
    if count > elements.numel():
        raise RuntimeError(
            f"masked_scatter: the mask takes {count} elements, the source has {elements.numel()}"
        )
    return _C.index_put(_C.expand(input, shape), (wide,), _C.narrow(elements, 0, 0, count))


@checked
def scatter_reduce(
    input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """A copy whose elements are joined with those of `src` that `index` sends to them along `dim`.

    Parameters
    ----------
    input : Tensor
        What the elements are joined with.
    dim : int
        The dimension that the index counts along.
    index : Tensor
        int64, with as many dimensions as the input and the source.
    src : Tensor
        Of the input's dtype.
    reduce : {"sum", "prod", "mean", "amax", "amin"}
        How they are joined. Equal extremes share the gradient.
    include_self : bool
        Whether the input's element is one of those that are joined. Default: True.

    Examples
    --------
    >>> import cnnx
    >>> values, group = cnnx.tensor([1.0, 2.0, 6.0]), cnnx.tensor([0, 1, 1])
    >>> cnnx.zeros(2).scatter_reduce(0, group, values, "mean", include_self=False)
    tensor([1., 4.])
    """
    neutral = _NEUTRAL.get(reduce)
    if neutral is None:
        raise RuntimeError(f"scatter_reduce: reduce is one of {', '.join(_NEUTRAL)}, got {reduce!r}")
    into = input if include_self else _C.scatter(input, dim, index, neutral(input.dtype), False)
    if reduce != "mean":
        return _C.scatter_reduce(into, dim, index, src, reduce)
    total = _C.scatter_reduce(into, dim, index, src, "sum")
    places = creation.ones_like(input)
    if not include_self:
        places = _C.scatter(places, dim, index, 0, False)
    count = _C.clamp(_C.scatter(places, dim, index, creation.ones_like(src), True), 1, None)
    return _C.div(total, count, "" if input.dtype.is_floating_point else "floor")


def _bound(dtype: Any, largest: bool) -> Any:
    if dtype.is_floating_point:
        return math.inf if largest else -math.inf
    if dtype == _C.DType.bool:
        return largest
    return getattr(iinfo(dtype), "max" if largest else "min")


# What leaves the others as they are.
_NEUTRAL: dict[str, Callable[[Any], Any]] = {
    "sum": lambda dtype: 0,
    "prod": lambda dtype: 1,
    "mean": lambda dtype: 0,
    "amax": lambda dtype: _bound(dtype, False),
    "amin": lambda dtype: _bound(dtype, True),
}


@checked
def index_reduce(
    input: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """`scatter_reduce` of slices: those of `source` are joined with those that `index` names along `dim`.

    `reduce` is "prod", "mean", "amax" or "amin".
    """
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise RuntimeError(f"index_reduce: reduce is one of prod, mean, amax, amin, got {reduce!r}")
    shape = [1] * input.ndim
    shape[axis_of("index_reduce", input, dim)] = index.numel()
    places = _C.expand(_C.reshape(index, tuple(shape)), tuple(source.shape))
    return scatter_reduce(input, dim, places, source, reduce, include_self=include_self)


def _replaced(op: str, input: Tensor, at: tuple[Any, ...], part: Tensor, src: Tensor) -> Tensor:
    if part.shape != src.shape:
        raise RuntimeError(f"{op}: the part has shape {tuple(part.shape)}, the source {tuple(src.shape)}")
    return _C.index_put(input, at, src)


@checked
def select_scatter(input: Tensor, src: Tensor, dim: int, index: int) -> Tensor:
    """A copy with `src` as entry `index` of dimension `dim`."""
    at = (slice(None),) * axis_of("select_scatter", input, dim) + (int(index),)
    return _replaced("select_scatter", input, at, _C.select(input, dim, int(index)), src)


@checked
def slice_scatter(
    input: Tensor, src: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Tensor:
    """A copy with `src` as the entries ``start:end:step`` of dimension `dim`."""
    at = (slice(None),) * axis_of("slice_scatter", input, dim) + (slice(start, end, step),)
    return _replaced("slice_scatter", input, at, _C.getitem(input.detach(), at), src)


@checked
def diagonal_scatter(input: Tensor, src: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """A copy with `src` as the diagonal of two dimensions, which is the source's last."""
    first, second = (axis_of("diagonal_scatter", input, d) for d in (dim1, dim2))
    part = _C.diagonal(input, offset, dim1, dim2)
    place = creation.arange(part.shape[-1], device=input.device)
    order = [first, second, *(d for d in range(input.ndim) if d not in (first, second))]
    at = (_C.add(place, max(-offset, 0)), _C.add(place, max(offset, 0)))
    if part.shape != src.shape:
        raise RuntimeError(
            f"diagonal_scatter: the diagonal has shape {tuple(part.shape)}, the source {tuple(src.shape)}"
        )
    turned = _C.index_put(_C.permute(input, order), at, movedim(src, -1, 0))
    return _C.permute(turned, [order.index(d) for d in range(input.ndim)])


def tril(input: Tensor, diagonal: int = 0) -> Tensor:
    """The lower triangle of the last two dimensions, with zeros above the given diagonal."""
    return _C.tril(input, diagonal)


def triu(input: Tensor, diagonal: int = 0) -> Tensor:
    """The upper triangle of the last two dimensions, with zeros below the given diagonal."""
    return _C.triu(input, diagonal)


__all__ = [
    "argwhere", "diagonal_scatter", "gather", "index_add", "index_copy", "index_fill", "index_put",
    "index_reduce", "index_select", "masked_scatter", "masked_select", "nonzero", "put", "scatter",
    "scatter_add", "scatter_reduce", "select_scatter", "slice_scatter", "take", "take_along_dim", "tril",
    "triu",
]  # fmt: skip
