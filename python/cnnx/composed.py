"""Functions made of other functions: rarer mathematics, statistics, products and rearrangements.

Each is a few native ops, which also give the gradient.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from cnnx import _C, indexing, pointwise, reduction, shaping
from cnnx import creation as new
from cnnx.dtypes import as_dtype
from cnnx.generator import Generator
from cnnx.random import rand
from cnnx.reduction import ValuesIndices
from cnnx.signatures import checked

if TYPE_CHECKING:
    from cnnx.tensor import Tensor


def _axis(op: str, input: Tensor, dim: int) -> int:
    """A dimension counted from the front."""
    if not -input.ndim <= dim < input.ndim:
        raise IndexError(f"{op}: dim {dim} is out of range for {input.ndim} dimensions")
    return dim % input.ndim


# Element by element.


@checked
def exp2(input: Tensor) -> Tensor:
    """2 to the power of each element."""
    return _C.pow(2.0, input)


@checked
def tan(input: Tensor) -> Tensor:
    """The tangent of each element."""
    return _C.div(_C.sin(input), _C.cos(input))


@checked
def sinh(input: Tensor) -> Tensor:
    """The hyperbolic sine of each element."""
    return _C.sinh(input)


@checked
def cosh(input: Tensor) -> Tensor:
    """The hyperbolic cosine of each element."""
    return _C.cosh(input)


@checked
def frac(input: Tensor) -> Tensor:
    """What is behind the decimal point, with the element's sign."""
    return _C.sub(input, _C.trunc(input))


@checked
def deg2rad(input: Tensor) -> Tensor:
    """Degrees in radians."""
    return _C.mul(input, math.pi / 180)


@checked
def rad2deg(input: Tensor) -> Tensor:
    """Radians in degrees."""
    return _C.mul(input, 180 / math.pi)


@checked
def logit(input: Tensor, eps: float | None = None) -> Tensor:
    """log(x / (1 - x)); with `eps`, x is limited to [eps, 1 - eps] first."""
    return _C.logit(input if eps is None else _C.clamp(input, eps, 1 - eps))


@checked
def hypot(input: Tensor, other: Tensor) -> Tensor:
    """The square root of the sum of two squares, none of which is too large or too small."""
    return _C.hypot(input, other)


@checked
def logaddexp(input: Tensor, other: Tensor) -> Tensor:
    """log(exp(input) + exp(other)), computed without overflow."""
    largest = _C.maximum(input, other)
    near = _C.log1p(_C.exp(_C.neg(_C.abs(_C.sub(input, other)))))
    return _C.where(_C.isinf(largest), largest, _C.add(largest, near))


@checked
def xlogy(input: Any, other: Tensor) -> Tensor:
    """Input * log(other), 0 where the input is 0."""
    return _C.xlogy(input, other)


@checked
def fmax(input: Tensor, other: Tensor) -> Tensor:
    """The larger of two elements; NaN loses. Of equal elements the first has the gradient."""
    return _C.where(_C.logical_or(_C.ge(input, other), _C.isnan(other)), input, other)


@checked
def fmin(input: Tensor, other: Tensor) -> Tensor:
    """The smaller of two elements; NaN loses. Of equal elements the first has the gradient."""
    return _C.where(_C.logical_or(_C.le(input, other), _C.isnan(other)), input, other)


@checked
def nan_to_num(
    input: Tensor, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """NaN replaced by `nan`, infinities by the two others (default: the largest and the lowest number)."""
    if not input.dtype.is_floating_point:
        return _C.clone(input)
    largest = 3.4028234663852886e38 if input.dtype == _C.DType.float32 else 1.7976931348623157e308
    result = _C.where(_C.isnan(input), float(nan), input)
    result = _C.where(_C.eq(input, math.inf), largest if posinf is None else float(posinf), result)
    return _C.where(_C.eq(input, -math.inf), -largest if neginf is None else float(neginf), result)


# Statistics.


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
    if not 1 <= k <= input.shape[_axis("kthvalue", input, dim)]:
        raise RuntimeError(f"kthvalue: k is {k}, dimension {dim} of shape {tuple(input.shape)} is too short")
    values, indices = indexing.sort(input, dim)
    picked = [_C.narrow(t, dim, k - 1, 1) for t in (values, indices)]
    return ValuesIndices(*(picked if keepdim else [shaping.squeeze(t, dim) for t in picked]))


@checked
def median(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The middle element (of an even number the lower one); along a dimension, `(values, indices)`.

    NaN if there is one, and of no elements at all. Without a dimension, equal elements share the gradient.
    """
    if dim is None:
        flat = _C.reshape(input.detach(), (-1,))
        if not flat.numel() and input.dtype.is_floating_point:
            return _C.mul(_C.sum(input), math.nan)
        return _C.pick_median(input, _C.reshape(median(flat, 0).values, ()))
    count = input.shape[_axis("median", input, dim)]
    indices = kthvalue(input.detach(), (count + 1) // 2, dim, True).indices
    if input.dtype.is_floating_point:
        first = reduction.argmax(input.detach(), dim, True)  # of the NaNs, if there are any
        indices = _C.where(_C.isnan(_C.gather(input.detach(), dim, first)), first, indices)
    values = _C.gather(input, dim, indices)
    return ValuesIndices(*((values, indices) if keepdim else (t.squeeze(dim) for t in (values, indices))))


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
    ordered = shaping.movedim(indexing.sort(x, axis).values, axis, -1)
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
def diff(
    input: Tensor, n: int = 1, dim: int = -1, prepend: Tensor | None = None, append: Tensor | None = None
) -> Tensor:
    """The differences of neighbours along a dimension, `n` times over."""
    parts = [t for t in (prepend, input, append) if t is not None]
    x = _C.cat(parts, dim) if len(parts) > 1 else input
    axis = _axis("diff", x, dim)
    for _ in range(min(n, x.shape[axis])):
        count = x.shape[axis] - 1
        x = _C.sub(_C.narrow(x, dim, 1, count), _C.narrow(x, dim, 0, count))
    return x


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


@checked
def multinomial(
    input: Tensor, num_samples: int, replacement: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """Indices drawn with the probabilities that a row of weights stands for.

    Parameters
    ----------
    input : Tensor
        Weights that are not negative, (C,) or (N, C).
    num_samples : int
        Indices per row.
    replacement : bool
        Whether an index can be drawn twice. Default: False.
    generator : Generator, optional
        Default: the global one.

    Returns
    -------
    Tensor
        int64, (num_samples,) or (N, num_samples).
    """
    weights = input.detach()
    if weights.ndim not in (1, 2) or not weights.dtype.is_floating_point:
        raise RuntimeError(f"multinomial: needs one or two dimensions of floats, got {tuple(input.shape)}")
    if not bool(_C.logical_and(_C.isfinite(weights), _C.ge(weights, 0)).all()):
        raise RuntimeError("multinomial: probability tensor contains either `inf`, `nan` or element < 0")
    classes = weights.shape[-1]
    if bool(_C.le(reduction.sum(weights, -1), 0).any()):
        raise RuntimeError("multinomial: invalid multinomial distribution (sum of probabilities <= 0)")
    if not replacement:
        enough = reduction.sum(_C.gt(weights, 0), -1)
        if bool(_C.lt(enough, num_samples).any()):
            raise RuntimeError(f"multinomial: cannot draw {num_samples} of {classes} without replacement")
        # The order of exponential waiting times with these rates.
        times = _C.neg(
            _C.log(
                _C.sub(
                    1.0, rand(*weights.shape, generator=generator, dtype=weights.dtype, device=weights.device)
                )
            )
        )
        waits = _C.where(_C.gt(weights, 0), _C.div(times, weights), math.inf)
        return indexing.topk(waits, num_samples, -1, False).indices
    edges = _C.cumsum(weights, -1, None)
    share = rand(
        *weights.shape[:-1], num_samples, generator=generator, dtype=weights.dtype, device=weights.device
    )
    drawn = _C.mul(share, _C.narrow(edges, -1, classes - 1, 1))
    # How many edges each has passed, from the order of both together; of equal ones the edge comes first.
    order = indexing.sort(_C.cat([edges, drawn], -1), -1, stable=True).indices
    counts = _C.cumsum(_C.to(_C.lt(order, classes), _C.DType.int64), -1, None)
    places = _C.scatter(new.zeros_like(order), -1, order, counts, False)
    passed = _C.narrow(places, -1, classes, num_samples)
    # Rounding must not lead past the last class with a weight.
    possible = _C.to(_C.gt(weights, 0), _C.DType.int64)
    last = reduction.argmax(_C.mul(possible, new.arange(1, classes + 1, device=weights.device)), -1, True)
    return _C.minimum(passed, last)


@checked
def cdist(
    x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: str = "use_mm_for_euclid_dist_if_necessary"
) -> Tensor:
    """The distances of all pairs of rows, (..., P, M) and (..., R, M) to (..., P, R).

    Parameters
    ----------
    x1, x2 : Tensor
        float32 or float64, both of one; leading dimensions broadcast.
    p : float
        The norm of the difference: 0 or more, infinity included; 0 counts what differs. Default: 2.
    compute_mode : str
        PyTorch's three modes are accepted. They allow it to compute Euclidean distances by a matrix
        product, which loses the digits of small ones; here they come from the differences in every mode.
        Memory is taken for the result alone.

    Examples
    --------
    >>> import cnnx
    >>> cnnx.cdist(cnnx.tensor([[0.0, 0.0]]), cnnx.tensor([[3.0, 4.0], [0.0, 1.0]]))
    tensor([[5., 1.]])
    """
    if compute_mode not in (
        "use_mm_for_euclid_dist_if_necessary",
        "use_mm_for_euclid_dist",
        "donot_use_mm_for_euclid_dist",
    ):
        raise ValueError(f"cdist: {compute_mode!r} is no valid value for compute_mode")
    return _C.cdist(x1, x2, float(p))


# Rearrangements.


@checked
def flipud(input: Tensor) -> Tensor:
    """The rows in reverse order."""
    return shaping.flip(input, (0,))


@checked
def fliplr(input: Tensor) -> Tensor:
    """The columns in reverse order."""
    return shaping.flip(input, (1,))


@checked
def rot90(input: Tensor, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """Turned by k times 90 degrees from the first of two dimensions towards the second."""
    first, second = dims
    if k % 4 == 0:
        return _C.clone(input)
    if k % 4 == 2:
        return shaping.flip(input, (first, second))
    return shaping.flip(_C.transpose(input, first, second), (first if k % 4 == 1 else second,))


@checked
def atleast_1d(*tensors: Tensor) -> Any:
    """Scalars as vectors of one element; several tensors as a tuple."""
    result = tuple(t if t.ndim else _C.reshape(t, (1,)) for t in tensors)
    return result[0] if len(result) == 1 else result


@checked
def atleast_2d(*tensors: Tensor) -> Any:
    """Scalars and vectors as matrices of one row; several tensors as a tuple."""
    result = tuple(t if t.ndim > 1 else _C.reshape(t, (1, -1)) for t in tensors)
    return result[0] if len(result) == 1 else result


@checked
def repeat_interleave(input: Tensor, repeats: Any, dim: int | None = None) -> Tensor:
    """Every entry along `dim` (default: of the flattened tensor) several times in a row.

    Parameters
    ----------
    input : Tensor
        Any shape.
    repeats : int or Tensor
        How often; a vector has one number per entry.
    dim : int, optional
        The dimension.
    """
    x, place = (_C.reshape(input, (-1,)), 0) if dim is None else (input, dim)
    axis = _axis("repeat_interleave", x, place)
    shape, count = tuple(x.shape), x.shape[axis]
    times = repeats if isinstance(repeats, _C.TensorBase) else new.tensor(repeats)
    if times.dtype not in (_C.DType.int64, _C.DType.int32) or times.ndim > 1:
        raise RuntimeError(f"repeat_interleave: repeats must be an int or {count} of them, got {repeats!r}")
    each = [int(n) for n in _C.reshape(times, (-1,)).tolist()]
    if len(each) not in (1, count) or any(n < 0 for n in each):
        raise RuntimeError(f"repeat_interleave: repeats must be {count} numbers that are not negative")
    if len(each) == 1:
        wide = _C.expand(_C.unsqueeze(x, axis + 1), (*shape[: axis + 1], each[0], *shape[axis + 1 :]))
        return _C.reshape(wide, (*shape[:axis], count * each[0], *shape[axis + 1 :]))
    # An entry's number is how many entries end before it.
    total = sum(each)
    marks = new.zeros(total + 1, dtype=_C.DType.int64, device=input.device)
    ends = _C.cumsum(_C.to(_C.to_device(times, str(input.device)), _C.DType.int64), 0, None)
    marks = _C.scatter(marks, 0, ends, new.ones(count, dtype=_C.DType.int64, device=input.device), True)
    return _C.index_select(x, axis, _C.narrow(_C.cumsum(marks, 0, None), 0, 0, total))


@checked
def take(input: Tensor, index: Tensor) -> Tensor:
    """Elements of the flattened tensor, in the shape of the index."""
    flat = _C.reshape(input, (-1,))
    return _C.reshape(_C.index_select(flat, 0, _C.reshape(index, (-1,))), tuple(index.shape))


@checked
def unfold(input: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """Windows of `size` entries, `step` apart, along a dimension, as a new last dimension (a copy)."""
    axis = _axis("unfold", input, dimension)
    extent = input.shape[axis]
    if not 0 < size <= extent or step < 1:
        raise RuntimeError(
            f"unfold: windows of {size}, {step} apart, do not fit dimension {axis} of {extent}"
        )
    count = (extent - size) // step + 1
    places = _C.add(
        _C.unsqueeze(new.arange(count, device=input.device) * step, 1), new.arange(size, device=input.device)
    )
    windows = _C.index_select(input, axis, _C.reshape(places, (-1,)))
    shape = (*input.shape[:axis], count, size, *input.shape[axis + 1 :])
    return shaping.movedim(_C.reshape(windows, shape), axis + 1, -1)


@checked
def index_add(input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: Any = 1) -> Tensor:
    """A copy with the slices of `source` added to those that `index` names along `dim`."""
    shape = [1] * input.ndim
    shape[_axis("index_add", input, dim)] = index.numel()
    places = _C.expand(_C.reshape(index, tuple(shape)), tuple(source.shape))
    factor = new.full((), alpha, dtype=source.dtype, device=source.device)
    return _C.scatter(input, dim, places, source if alpha == 1 else _C.mul(source, factor), True)


@checked
def index_copy(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """A copy with the slices of `source` in the places that `index` names along `dim`."""
    shape = [1] * input.ndim
    shape[_axis("index_copy", input, dim)] = index.numel()
    return _C.scatter(
        input, dim, _C.expand(_C.reshape(index, tuple(shape)), tuple(source.shape)), source, False
    )


@checked
def index_fill(input: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:
    """A copy with a number in the slices that `index` names along `dim`."""
    shape = list(input.shape)
    shape[_axis("index_fill", input, dim)] = index.numel()
    number = _C.item(value) if isinstance(value, _C.TensorBase) else value
    return index_copy(input, dim, index, new.full(shape, number, dtype=input.dtype, device=input.device))


@checked
def sum_to_size(input: Tensor, *size: Any) -> Tensor:
    """Summed over what was broadcast from `size`."""
    shape = tuple(size[0]) if len(size) == 1 and isinstance(size[0], (tuple, list)) else size
    extra = input.ndim - len(shape)
    if extra < 0 or any(s not in (1, e) for s, e in zip(shape, input.shape[extra:], strict=True)):
        raise RuntimeError(f"sum_to_size: shape {tuple(input.shape)} was not broadcast from {tuple(shape)}")
    dims = [*range(extra)] + [i + extra for i, s in enumerate(shape) if s != input.shape[i + extra]]
    return _C.reshape(_C.sum(input, dims, True), shape) if dims else input


@checked
def logspace(
    start: float,
    end: float,
    steps: int,
    base: float = 10.0,
    *,
    dtype: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """`steps` numbers from base ** start to base ** end, evenly spaced on a logarithmic scale."""
    result = _C.pow(float(base), new.linspace(start, end, steps, dtype=_C.DType.float64))
    result = _C.to(result, new.zeros(0).dtype if dtype is None else as_dtype(dtype))
    result.requires_grad = requires_grad
    return result


@checked
def sgn(input: Tensor) -> Tensor:
    """`sign`."""
    return _C.sign(input)


__all__ = [
    "aminmax",
    "atleast_1d",
    "atleast_2d",
    "cdist",
    "corrcoef",
    "cosh",
    "cov",
    "deg2rad",
    "diff",
    "exp2",
    "fliplr",
    "flipud",
    "fmax",
    "fmin",
    "frac",
    "histc",
    "hypot",
    "index_add",
    "index_copy",
    "index_fill",
    "kthvalue",
    "logaddexp",
    "logit",
    "logspace",
    "median",
    "multinomial",
    "nan_to_num",
    "nanmean",
    "nansum",
    "quantile",
    "rad2deg",
    "repeat_interleave",
    "rot90",
    "sgn",
    "sinh",
    "take",
    "tan",
    "xlogy",
]  # fmt: skip
