"""Statistics: sums and means without NaN, ranks and quantiles, histograms, covariances."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from cnnx import _C, indexing, pointwise, reduction, shaping, sorting
from cnnx import creation as new
from cnnx.reduction import ValuesIndices
from cnnx.shaping import axis_of
from cnnx.signatures import checked

if TYPE_CHECKING:
    from cnnx.tensor import Tensor


@checked
def nansum(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The sum, with NaN as 0."""
    return reduction.sum(_C.where(_C.isnan(input), 0.0, input), dim, keepdim, dtype=dtype)


@checked
def nanmean(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The mean of what is not NaN."""
    count = reduction.sum(_C.logical_not(_C.isnan(input)), dim, keepdim)
    return _C.div(nansum(input, dim, keepdim, dtype=dtype), count)


class MinMax(NamedTuple):
    """What `aminmax` returns."""

    min: Tensor
    max: Tensor


@checked
def aminmax(input: Tensor, *, dim: int | None = None, keepdim: bool = False) -> MinMax:
    """The smallest and the largest element, of all or along a dimension."""
    return MinMax(reduction.amin(input, dim, keepdim), reduction.amax(input, dim, keepdim))


@checked
def kthvalue(input: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> ValuesIndices:
    """The k-th smallest element along a dimension (1 is the smallest), with its index."""
    return ValuesIndices(*_C.kthvalue(input, k, dim, keepdim))


@checked
def median(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The middle element (of an even number the lower one); along a dimension, `(values, indices)`.

    NaN if there is one, and of no elements at all. Without a dimension, equal elements share the gradient.
    """
    if dim is not None:
        return ValuesIndices(*_C.median_dim(input, dim, keepdim))
    if not input.numel() and input.dtype.is_floating_point:
        return _C.mul(_C.sum(input), math.nan)
    return _C.median(input)


@checked
def mode(input: Tensor, dim: int = -1, keepdim: bool = False) -> ValuesIndices:
    """The most frequent elements along a dimension and the last indices of these: `(values, indices)`.

    Of equally frequent ones it is the smallest. All NaN count as one element, larger than all others.

    Examples
    --------
    >>> import cnnx
    >>> values, indices = cnnx.mode(cnnx.tensor([[1, 2, 2, 3], [4, 4, 1, 1]]))
    >>> values, indices
    (tensor([2, 1]), tensor([2, 3]))
    """
    if input.ndim == 0:
        return ValuesIndices(_C.clone(input), new.zeros((), dtype=_C.DType.int64, device=input.device))
    axis = axis_of("mode", input, dim)
    count = input.shape[axis]
    if count == 0:
        raise IndexError(f"mode: dimension {dim} of {tuple(input.shape)} has no elements")
    moved = _C.movedim(input.detach(), [axis], [-1])
    ordered, order = sorting.sort(moved, -1, stable=True)
    places = new.arange(count, device=input.device)
    here, before = _C.narrow(ordered, -1, 1, count - 1), _C.narrow(ordered, -1, 0, count - 1)
    same = _C.logical_or(_C.eq(here, before), _C.isnan(before))  # NaN is sorted last
    first = _C.cat([new.zeros_like(_C.narrow(order, -1, 0, 1)), _C.where(same, 0, places[1:])], -1)
    length = _C.sub(places, _C.cummax(first, -1)[0])  # how many equal ones stand before
    last = _C.max_dim(length, -1, True)[1]
    indices = _C.movedim(_C.gather(order, -1, last), [-1], [axis])
    values = _C.gather(input, axis, indices)
    return ValuesIndices(*((values, indices) if keepdim else (t.squeeze(axis) for t in (values, indices))))


@checked
def quantile(
    input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """The values below which the shares `q` of the elements lie.

    Parameters
    ----------
    input : Tensor
        Any shape.
    q : float or Tensor
        Within [0, 1]; a vector gives a new first dimension.
    dim : int, optional
        Default: all elements.
    keepdim : bool
        Default: False.
    interpolation : {"linear", "lower", "higher", "midpoint", "nearest"}
        Between the two elements beside the place. Default: "linear".
    """
    shares = (
        q if isinstance(q, _C.TensorBase) else new.tensor(float(q), dtype=input.dtype, device=input.device)
    )
    if shares.ndim > 1 or bool(_C.logical_or(_C.lt(shares, 0), _C.gt(shares, 1)).any()):
        raise RuntimeError("quantile: q must be a number or a vector of numbers within [0, 1]")
    if not input.numel():
        raise RuntimeError(f"quantile: there is none of no elements, shape {tuple(input.shape)}")
    axis = -1 if dim is None else dim
    x = _C.reshape(input, (-1,)) if dim is None else input
    ordered = shaping.movedim(sorting.sort(x, axis).values, axis, -1)
    place = _C.mul(_C.reshape(shares, (-1,)), float(ordered.shape[-1] - 1))
    below, above = _C.floor(place), _C.ceil(place)
    if interpolation == "nearest":
        below = above = _C.round(place)
    low, high = (_C.index_select(ordered, -1, _C.to(p, _C.DType.int64)) for p in (below, above))
    choices = {"lower": low, "higher": high, "nearest": low, "midpoint": _C.mul(_C.add(low, high), 0.5)}
    if interpolation == "linear":
        result = pointwise.lerp(low, high, _C.sub(place, below))
    elif interpolation in choices:
        result = choices[interpolation]
    else:
        raise RuntimeError(f"quantile: there is no interpolation {interpolation!r}")
    last = _C.narrow(ordered, -1, ordered.shape[-1] - 1, 1)  # NaN is sorted last
    result = _C.where(_C.isnan(last), last, result)
    if dim is None:
        result = _C.reshape(result, (-1, *(1,) * input.ndim) if keepdim else (-1,))
    else:
        result = shaping.movedim(result, -1, 0)  # the shares first
        result = _C.unsqueeze(result, dim % input.ndim + 1) if keepdim else result
    return result if shares.ndim else _C.reshape(result, tuple(result.shape[1:]))


@checked
def histc(input: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """How many elements lie in each of `bins` intervals of [min, max], by default those of the data."""
    x = _C.reshape(input.detach(), (-1,))
    low, high = float(min), float(max)
    if low == high == 0 and x.numel():
        low, high = float(x.min()), float(x.max())
    if (abs(low) + abs(high)) * bins > 1e38 and math.isfinite(low) and math.isfinite(high):
        x, low, high = (
            _C.mul(x, 2.0**-100),
            low * 2.0**-100,
            high * 2.0**-100,
        )  # the products below have to fit
    if low == high:
        low, high = low - 1, high + 1
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise RuntimeError(f"histc: there are no intervals between {low} and {high}")
    inside = _C.logical_and(_C.ge(x, low), _C.le(x, high))
    place = _C.floor(_C.div(_C.mul(_C.sub(indexing.masked_select(x, inside), low), float(bins)), high - low))
    counts = _C.bincount(_C.to(_C.clamp(place, 0, bins - 1), _C.DType.int64), bins)
    return _C.to(counts, input.dtype)


@checked
def cov(input: Tensor, *, correction: int = 1) -> Tensor:
    """The covariances of variables, the rows, over observations, the columns."""
    x = _C.reshape(input, (1, -1)) if input.ndim < 2 else input
    centred = _C.sub(x, reduction.mean(x, 1, True))
    divisor = float(max(x.shape[1] - correction, 0))
    result = _C.div(_C.matmul(centred, _C.transpose(centred, 0, 1)), divisor)
    return result if input.ndim == 2 else _C.reshape(result, ())


@checked
def corrcoef(input: Tensor) -> Tensor:
    """The correlations of variables, the rows, over observations, the columns."""
    x = _C.reshape(input, (1, -1)) if input.ndim < 2 else input
    centred = _C.sub(x, reduction.mean(x, 1, True))
    unit = _C.div(centred, _C.norm(centred, 2.0, [1], True))  # first, since the covariances may be too large
    result = _C.clamp(_C.matmul(unit, _C.transpose(unit, 0, 1)), -1, 1)
    return result if input.ndim == 2 else _C.reshape(result, ())


__all__ = [
    "aminmax", "corrcoef", "cov", "histc", "kthvalue", "median", "mode", "nanmean", "nansum", "quantile",
]  # fmt: skip
