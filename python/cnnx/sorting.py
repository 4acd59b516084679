"""Sorting, searching what is sorted, and counting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnnx import _C, creation, reduction
from cnnx.reduction import ValuesIndices
from cnnx.shaping import axis_of, movedim
from cnnx.signatures import checked

if TYPE_CHECKING:
    from cnnx.tensor import Tensor


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


@checked
def msort(input: Tensor) -> Tensor:
    """The elements along the first dimension in order."""
    return _C.sort(input, 0, False)[0]


@checked
def searchsorted(
    sorted_sequence: Tensor,
    input: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Tensor | None = None,
) -> Tensor:
    """Where values would have to be inserted so that a sequence stays in order.

    Parameters
    ----------
    sorted_sequence : Tensor
        In ascending order along the last dimension: one sequence for all values, (N,), or one for each of
        their rows, (..., N).
    input : Tensor or number
        The values, of the sequence's dtype; any shape, or (..., M) for sequences (..., N).
    out_int32 : bool
        Whether the result is int32. Default: int64.
    right : bool
        Whether values come behind equal elements. Default: before them.
    side : {"left", "right"}, optional
        The same in NumPy's words.
    sorter : Tensor, optional
        What sorts a sequence that is not in order: its `argsort`.

    Returns
    -------
    Tensor
        Of the input's shape. NaN counts as the largest number.

    Examples
    --------
    >>> import cnnx
    >>> cnnx.searchsorted(cnnx.tensor([1, 3, 5]), cnnx.tensor([3, 4, 9]))
    tensor([1, 2, 3])
    """
    if side not in (None, "left", "right"):
        raise RuntimeError(f'searchsorted: side is "left" or "right", got {side!r}')
    if side == "left" and right:
        raise RuntimeError("searchsorted: side and right say opposite things")
    values = input
    if not isinstance(input, _C.TensorBase):
        values = creation.tensor(input, device=sorted_sequence.device)
    elif input.dtype != sorted_sequence.dtype:
        raise RuntimeError(
            f"searchsorted: the sequence is {sorted_sequence.dtype}, the values are {input.dtype}"
        )
    found = _C.searchsorted(sorted_sequence.detach(), values.detach(), right or side == "right", sorter)
    return _C.to(found, _C.DType.int32) if out_int32 else found


@checked
def bucketize(input: Any, boundaries: Tensor, *, out_int32: bool = False, right: bool = False) -> Tensor:
    """The number of the interval that each value lies in.

    Parameters
    ----------
    input : Tensor or number
        The values.
    boundaries : Tensor
        (N,) in ascending order: N + 1 intervals, numbered from 0.
    out_int32 : bool
        Whether the result is int32. Default: int64.
    right : bool
        Whether a value that is a boundary lies above it. Default: below.

    Examples
    --------
    >>> import cnnx
    >>> cnnx.bucketize(cnnx.tensor([0.5, 1.0, 7.0]), cnnx.tensor([1.0, 2.0]))
    tensor([0, 0, 2])
    """
    if boundaries.ndim != 1:
        raise RuntimeError(f"bucketize: boundaries must have one dimension, got {tuple(boundaries.shape)}")
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)


@checked
def isin(elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """Whether each element is one of `test_elements` (with `invert`: none of them); either may be a number.

    `assume_unique` says that there are no equal elements, which changes nothing here.
    """
    given: Any = next((t for t in (elements, test_elements) if isinstance(t, _C.TensorBase)), None)
    if given is None:
        kinds = f"{type(elements).__name__} and {type(test_elements).__name__}"
        raise TypeError(f"isin: expected a tensor, got {kinds}")
    x, y = (
        t._detach() if isinstance(t, _C.TensorBase) else creation.tensor(t, device=given.device)
        for t in (elements, test_elements)
    )
    dtype = _C.promote(x.dtype, y.dtype)
    x, y = _C.to(x, dtype), _C.reshape(_C.to(y, dtype), (-1,))
    if not y.numel():
        return creation.full(x.shape, bool(invert), dtype=_C.DType.bool, device=given.device)
    ordered = _C.sort(y, 0, False)[0]
    place = _C.clamp(_C.searchsorted(ordered, x, False, None), None, y.numel() - 1)
    nearest = _C.reshape(_C.index_select(ordered, 0, _C.reshape(place, (-1,))), tuple(x.shape))
    return _C.ne(nearest, x) if invert else _C.eq(nearest, x)


def unique(
    input: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The distinct elements, or the distinct entries of a dimension, in ascending order.

    Parameters
    ----------
    input : Tensor
        Any shape and dtype.
    sorted : bool
        The result is in order always.
    return_inverse : bool
        Whether to say where each element is among them. Default: False.
    return_counts : bool
        Whether to say how often each occurs. Default: False.
    dim : int, optional
        The dimension whose entries are compared, in the order of their elements. Default: the elements of
        the whole tensor.

    Examples
    --------
    >>> import cnnx
    >>> cnnx.tensor([[2, 1], [0, 5], [2, 1]]).unique(dim=0)
    tensor([[0, 5],
            [2, 1]])
    """
    if dim is None:
        values, inverse, counts = _C.unique(input)
        return _with(values, return_inverse, inverse, return_counts, counts)
    axis = axis_of("unique", input, dim)
    entries = movedim(input.detach(), axis, 0)
    rows = _C.reshape(entries, (entries.shape[0], -1 if entries.numel() else 0))
    order = creation.arange(rows.shape[0], device=input.device)
    for column in reversed(_C.unbind(rows, 1)):  # stable, so the first column decides in the end
        order = _C.index_select(order, 0, _C.sort(_C.index_select(column, 0, order), 0, False)[1])
    starts, rank, counts = _runs(_C.index_select(rows, 0, order))
    values = _C.index_select(input.detach(), axis, _C.index_select(order, 0, starts))
    inverse = _C.scatter(rank, 0, order, rank, False)
    return _with(values, return_inverse, inverse, return_counts, counts)


def _with(values: Tensor, with_inverse: bool, inverse: Tensor, with_counts: bool, counts: Tensor) -> Any:
    extra = ((inverse,) if with_inverse else ()) + ((counts,) if with_counts else ())
    return (values, *extra) if extra else values


def _runs(rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of runs of equal rows (n, ...): where they start, the run that each row is in, their lengths."""
    count = rows.shape[0]
    if not count:
        none = creation.zeros(0, dtype=_C.DType.int64, device=rows.device)
        return none, none, none
    differs = _C.ne(_C.narrow(rows, 0, 1, count - 1), _C.narrow(rows, 0, 0, count - 1))
    if rows.ndim > 1:
        differs = reduction.any(_C.reshape(differs, (count - 1, -1 if differs.numel() else 0)), 1)
    first = creation.zeros(1, dtype=_C.DType.int64, device=rows.device)
    steps = _C.cat([first, _C.to(differs, _C.DType.int64)], 0)
    starts = _C.cat([first, _C.add(_C.reshape(_C.nonzero(differs), (-1,)), 1)], 0)
    rank = _C.cumsum(steps, 0, None)
    return starts, rank, _C.bincount(rank, 0)


@checked
def unique_consecutive(
    input: Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The elements, or the entries of a dimension, without those that equal the one before.

    On request where each element is among them, and how long the runs were.

    Examples
    --------
    >>> import cnnx
    >>> cnnx.unique_consecutive(cnnx.tensor([1, 1, 2, 1]), return_counts=True)
    (tensor([1, 2, 1]), tensor([2, 1, 1]))
    """
    axis = 0 if dim is None else axis_of("unique_consecutive", input, dim)
    x = _C.reshape(input.detach(), (-1,)) if dim is None else input.detach()
    starts, rank, counts = _runs(movedim(x, axis, 0))
    inverse = _C.reshape(rank, tuple(input.shape)) if dim is None else rank
    return _with(_C.index_select(x, axis, starts), return_inverse, inverse, return_counts, counts)


def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each of 0, 1, 2, ... occurs in a vector of integers, or the sums of their `weights`.

    Parameters
    ----------
    input : Tensor
        (N,), not negative.
    weights : Tensor, optional
        (N,); the sums are float32 for float32 and float64 for all else.
    minlength : int
        The least length of the result. Default: 0.

    Raises
    ------
    ValueError
        If there is a negative value.
    """
    counts = _C.bincount(input, minlength)
    if weights is None:
        return counts
    if not isinstance(weights, _C.TensorBase) or weights.shape != input.shape:
        raise RuntimeError(f"bincount: weights must be a tensor of the input's shape {tuple(input.shape)}")
    dtype = _C.DType.float32 if weights.dtype == _C.DType.float32 else _C.DType.float64
    sums = creation.zeros(counts.shape, dtype=dtype, device=input.device)
    return _C.scatter(sums, 0, _C.to(input, _C.DType.int64), _C.to(weights.detach(), dtype), True)


__all__ = [
    "argsort", "bincount", "bucketize", "isin", "msort", "searchsorted", "sort", "topk", "unique",
    "unique_consecutive",
]  # fmt: skip
