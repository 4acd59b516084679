"""What runs along a dimension: sums, products and extremes so far, differences, integrals."""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Any

from cnnx import _C
from cnnx.dtypes import as_dtype
from cnnx.reduction import ValuesIndices
from cnnx.shaping import axis_of
from cnnx.signatures import checked

if TYPE_CHECKING:
    from cnnx.tensor import Tensor


def _type(dtype: Any) -> Any:
    return None if dtype is None else as_dtype(dtype)


def cumsum(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """The running sum along a dimension."""
    return _C.cumsum(input, dim, _type(dtype))


def cumprod(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """The running product along a dimension, as of the alphas of a diffusion model.

    Parameters
    ----------
    input : Tensor
        Any shape.
    dim : int
        The dimension.
    dtype : dtype, optional
        Of the result; default: the input's, int64 for integers and bool.

    Notes
    -----
    The gradient is exact where there are zeros: it is a linear recurrence from the back, without a division.

    Examples
    --------
    >>> import cnnx
    >>> cnnx.cumprod(cnnx.tensor([0.5, 0.5, 2.0]), 0)
    tensor([0.5000, 0.2500, 0.5000])
    """
    return _C.cumprod(input, dim, _type(dtype))


def cummax(input: Tensor, dim: int) -> ValuesIndices:
    """The largest element so far along a dimension, with its index: of equal ones the last; NaN wins."""
    return ValuesIndices(*_C.cummax(input, dim))


def cummin(input: Tensor, dim: int) -> ValuesIndices:
    """The smallest element so far along a dimension, with its index: of equal ones the last; NaN wins."""
    return ValuesIndices(*_C.cummin(input, dim))


@checked
def logcumsumexp(input: Tensor, dim: int) -> Tensor:
    """The logarithm of the running sum of exponentials along a dimension, computed without overflow."""
    if not input.dtype.is_floating_point:
        raise RuntimeError(f"logcumsumexp: needs a floating-point tensor, got {input.dtype}")
    axis = axis_of("logcumsumexp", input, dim)
    if not input.ndim or not input.numel():
        return _C.clone(input)
    largest = _C.cummax(input.detach(), axis)[0]
    largest = _C.where(_C.isfinite(largest), largest, 0.0)
    # Sums of e^(x - largest so far): what came before is scaled whenever the largest changes.
    scales = _C.exp(_C.neg(_diff(largest, axis)))
    first = _C.mul(_C.narrow(largest, axis, 0, 1), 0.0)
    scales = _C.cat([first, scales], axis)
    sums = _C.linear_scan(scales, _C.exp(_C.sub(input, largest)), axis)
    return _C.add(_C.log(sums), largest)


def _diff(x: Tensor, axis: int) -> Tensor:
    count = x.shape[axis] - 1
    return _C.sub(_C.narrow(x, axis, 1, count), _C.narrow(x, axis, 0, count))


@checked
def diff(
    input: Tensor, n: int = 1, dim: int = -1, prepend: Tensor | None = None, append: Tensor | None = None
) -> Tensor:
    """The differences of neighbours along a dimension, `n` times over."""
    parts = [t for t in (prepend, input, append) if t is not None]
    x = _C.cat(parts, dim) if len(parts) > 1 else input
    axis = axis_of("diff", x, dim)
    for _ in range(builtins.min(n, x.shape[axis])):
        count = x.shape[axis] - 1
        x = _C.sub(_C.narrow(x, dim, 1, count), _C.narrow(x, dim, 0, count))
    return x


def _areas(op: str, y: Tensor, x: Tensor | None, dx: Any, dim: int) -> Tensor:
    """The areas of the trapezoids between neighbours."""
    axis = axis_of(op, y, dim)
    count = builtins.max(y.shape[axis] - 1, 0)
    if not y.shape[axis]:
        return y
    means = _C.mul(_C.add(_C.narrow(y, axis, 1, count), _C.narrow(y, axis, 0, count)), 0.5)
    if x is None:
        return _C.mul(means, dx)
    if x.ndim == 1:
        shape = [1] * y.ndim
        shape[axis] = x.numel()
        x = _C.reshape(x, tuple(shape))
    elif 1 < x.ndim < y.ndim:
        x = _C.reshape(x, (1,) * (y.ndim - x.ndim) + tuple(x.shape))
    if x.ndim != y.ndim:
        raise RuntimeError(f"{op}: places of shape {tuple(x.shape)} for values of shape {tuple(y.shape)}")
    if x.shape[axis] != y.shape[axis]:
        raise RuntimeError(f"{op}: {x.shape[axis]} places for {y.shape[axis]} values along dimension {dim}")
    return _C.mul(means, _diff(x, axis))


@checked
def trapezoid(y: Tensor, x: Tensor | None = None, *, dx: Any = 1, dim: int = -1) -> Tensor:
    """The integral along a dimension by the trapezoidal rule.

    Parameters
    ----------
    y : Tensor
        The values.
    x : Tensor, optional
        Where they are: of the values' shape, or a vector.
    dx : float
        How far they are apart, without `x`. Default: 1.
    dim : int
        Default: the last one.

    Examples
    --------
    >>> import cnnx
    >>> cnnx.trapezoid(cnnx.tensor([1.0, 5.0, 10.0]))
    tensor(10.5000)
    """
    return _C.sum(_areas("trapezoid", y, x, dx, dim), [dim], False)


@checked
def cumulative_trapezoid(y: Tensor, x: Tensor | None = None, *, dx: Any = 1, dim: int = -1) -> Tensor:
    """The integrals up to each value but the first; see `trapezoid`."""
    return _C.cumsum(_areas("cumulative_trapezoid", y, x, dx, dim), dim, None)


trapz = trapezoid

__all__ = [
    "cummax", "cummin", "cumprod", "cumsum", "cumulative_trapezoid", "diff", "logcumsumexp", "trapezoid",
    "trapz",
]  # fmt: skip
