"""Indexing, gathering, sorting, counting, and putting tensors together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cnnx import _C, creation
from cnnx.reduction import ValuesIndices
from cnnx.shaping import axis_of
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


def scatter(input: Tensor, dim: int, index: Tensor, src: Any = None, *, value: Any = None) -> Tensor:
    """A copy with elements set along `dim`.

    For dim 1, out[i][index[i][j]] = src[i][j]; `src` may be a number.
    """
    return _C.scatter(input, dim, index, source_or_value("scatter", src, value), False)


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


def sort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = True) -> ValuesIndices:
    """The elements along a dimension in order, with their indices.

    Equal ones keep their order, NaN is the largest.

    Examples
    --------
    >>> import cnnx
    >>> cnnx.tensor([3, 1, 2]).sort().values
    tensor([1, 2, 3])
    """
    return ValuesIndices(*_C.sort(input, dim, descending))


def argsort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """The indices that sort a dimension."""
    return sort(input, dim, descending).indices


def topk(input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> ValuesIndices:
    """The k largest (or smallest) elements along a dimension, in order, with their indices."""
    return ValuesIndices(*_C.topk(input, k, dim, largest))


def unique(
    input: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The distinct elements in ascending order.

    On request where each element is among them, and how often they occur.
    """
    if dim is not None:
        raise NotImplementedError("unique: dim is not supported, only the elements of the whole tensor")
    values, inverse, counts = _C.unique(input)
    extra = ((inverse,) if return_inverse else ()) + ((counts,) if return_counts else ())
    return (values, *extra) if extra else values


def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each of 0, 1, 2, ... occurs in a vector of integers.

    Raises
    ------
    ValueError
        If there is a negative value.
    """
    if weights is not None:
        raise NotImplementedError("bincount: weights are not supported")
    return _C.bincount(input, minlength)


def tril(input: Tensor, diagonal: int = 0) -> Tensor:
    """The lower triangle of the last two dimensions, with zeros above the given diagonal."""
    return _C.tril(input, diagonal)


def triu(input: Tensor, diagonal: int = 0) -> Tensor:
    """The upper triangle of the last two dimensions, with zeros below the given diagonal."""
    return _C.triu(input, diagonal)


def cat(tensors: Sequence[Tensor], dim: int = 0, *, axis: int | None = None) -> Tensor:
    """The tensors one after the other along a dimension; they agree in all others.

    Raises
    ------
    RuntimeError
        If shapes do not match.

    Examples
    --------
    >>> import cnnx
    >>> cnnx.cat([cnnx.zeros(1), cnnx.ones(2)])
    tensor([0., 1., 1.])
    """
    return _C.cat(list(tensors), dim if axis is None else axis)


def stack(tensors: Sequence[Tensor], dim: int = 0, *, axis: int | None = None) -> Tensor:
    """The tensors, all of one shape, as the entries of a new dimension."""
    return _C.stack(list(tensors), dim if axis is None else axis)


@checked
def hstack(tensors: Sequence[Tensor]) -> Tensor:
    """`cat` along dimension 1, of vectors along dimension 0."""
    parts = [tensor if tensor.ndim else _C.reshape(tensor, (1,)) for tensor in tensors]
    return _C.cat(parts, 0 if parts and parts[0].ndim == 1 else 1)


@checked
def vstack(tensors: Sequence[Tensor]) -> Tensor:
    """`cat` along dimension 0, vectors as rows."""
    return _C.cat([tensor if tensor.ndim > 1 else _C.reshape(tensor, (1, -1)) for tensor in tensors], 0)


@checked
def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Tensor, ...]:
    """Coordinates of a grid from vectors; `indexing` "ij" (rows first) or "xy"."""
    axes = list(tensors[0]) if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else list(tensors)
    if indexing not in ("ij", "xy"):
        raise ValueError(f'meshgrid: indexing is "ij" or "xy", got {indexing!r}')
    for axis in axes:
        if not isinstance(axis, _C.TensorBase):
            raise not_tensors("meshgrid", tensors=axis)
    swap = indexing == "xy" and len(axes) > 1
    if swap:
        axes[:2] = axes[1::-1]
    shape = tuple(axis.numel() for axis in axes)
    grids = [
        _C.expand(_C.reshape(axis, tuple(-1 if i == k else 1 for k in range(len(axes)))), shape)
        for i, axis in enumerate(axes)
    ]
    if swap:
        grids[:2] = grids[1::-1]
    return tuple(grids)


concat = concatenate = cat

__all__ = [
    "argsort", "argwhere", "bincount", "cat", "concat", "concatenate", "gather", "hstack", "index_add",
    "index_copy", "index_fill", "index_select", "masked_select", "meshgrid", "nonzero", "scatter",
    "scatter_add", "sort", "stack", "take", "take_along_dim", "topk", "tril", "triu", "unique", "vstack",
]  # fmt: skip
