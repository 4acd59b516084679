"""Element-wise functions but those of `unary`. Operands broadcast, dtypes are promoted as in PyTorch.

A number does not widen a tensor of its kind.
"""

from __future__ import annotations

import builtins
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnx import _C
from cnnx.signatures import checked
from cnnx.unary import abs, acos, acosh, asin, asinh, atan, atanh, lgamma, neg, trunc

if TYPE_CHECKING:
    from cnnx.tensor import Tensor


def round(input: Tensor, *, decimals: int = 0) -> Tensor:
    """Each element rounded to so many decimals, halves to even."""
    if decimals == 0:
        return _C.round(input)
    scale = 10.0**decimals
    return _C.div(_C.round(_C.mul(input, scale)), scale)


def leaky_relu(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """Positive x as it is, `negative_slope` * x otherwise."""
    return _C.leaky_relu(input, negative_slope)


def clamp(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """Each element limited to [`min`, `max`]; either may be left out, both may be numbers or tensors.

    Raises
    ------
    RuntimeError
        If neither is given.
    """
    return _C.clamp(input, min, max)


def operand(op: str, value: Any) -> Any:
    """A tensor or number for a native op, made from what NumPy has."""
    if isinstance(value, (np.ndarray, np.generic)):
        return _C.from_numpy(np.asarray(value), False) if isinstance(value, np.ndarray) else value.item()
    raise TypeError(f"{op}: expected a tensor or a number, got {type(value).__name__}")


def add(input: Any, other: Any, *, alpha: Any = 1) -> Tensor:
    """`input + alpha * other`."""
    return _C.add(input, other, alpha)


def sub(input: Any, other: Any, *, alpha: Any = 1) -> Tensor:
    """`input - alpha * other`."""
    return _C.sub(input, other, alpha)


def rsub(input: Any, other: Any) -> Tensor:
    """`other - input`."""
    return _C.sub(other, input)


def mul(input: Any, other: Any) -> Tensor:
    """`input * other`."""
    return _C.mul(input, other)


def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    """`input / other`, in floating point also for integers.

    `rounding_mode` "trunc" or "floor" rounds the quotient.
    """
    return _C.div(input, other, rounding_mode or "")


def pow(input: Any, exponent: Any) -> Tensor:
    """`input` to the power of `exponent`; either may be a number."""
    return _C.pow(input, exponent)


def maximum(input: Any, other: Any) -> Tensor:
    """The larger of two elements; NaN wins."""
    return _C.maximum(input, other)


def minimum(input: Any, other: Any) -> Tensor:
    """The smaller of two elements; NaN wins."""
    return _C.minimum(input, other)


def remainder(input: Any, other: Any) -> Tensor:
    """The remainder of the division, with the sign of the divisor, as Python's %."""
    return _C.remainder(input, other)


def fmod(input: Any, other: Any) -> Tensor:
    """The remainder of the division, with the sign of the dividend, as C's fmod."""
    return _C.fmod(input, other)


def floor_divide(input: Any, other: Any) -> Tensor:
    """The quotient rounded down, as Python's //."""
    return _C.floor_divide(input, other)


def where(condition: Tensor, input: Any = None, other: Any = None) -> Any:
    """`input` where `condition` (bool; uint8 with a `UserWarning`) holds, else `other`.

    With the condition alone, the indices where it holds.
    """
    if input is None and other is None:
        return tuple(_C.unbind(_C.nonzero(condition), 1))
    return _C.where(condition, input, other)


def masked_fill(input: Tensor, mask: Tensor, value: Any) -> Tensor:
    """`input` with `value` where `mask` (bool) holds."""
    return _C.masked_fill(input, mask, value)


def lerp(input: Tensor, end: Tensor, weight: Any) -> Tensor:
    """`input + weight * (end - input)`, exact at both ends."""
    way = _C.sub(end, input)
    if isinstance(weight, _C.TensorBase):
        near = _C.lt(_C.abs(weight), 0.5)
        return _C.where(near, _C.add(input, _C.mul(way, weight)), _C.sub(end, _C.mul(way, _C.sub(1, weight))))
    if builtins.abs(weight) < 0.5:
        return _C.add(input, _C.mul(way, weight))
    return _C.sub(end, _C.mul(way, 1 - weight))


def addcmul(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Any = 1) -> Tensor:
    """`input + value * tensor1 * tensor2`."""
    return _C.add(input, _C.mul(tensor1, tensor2), value)


def addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Any = 1) -> Tensor:
    """`input + value * tensor1 / tensor2`."""
    scaled = (
        tensor1 if value == 1 else _C.mul(tensor1, value)
    )  # first, as the quotient alone may be too large
    return _C.add(input, _C.div(scaled, tensor2))


def clamp_min(input: Tensor, min: Any) -> Tensor:
    """Each element, but at least `min`."""
    return _C.clamp(input, min, None)


def clamp_max(input: Tensor, max: Any) -> Tensor:
    """Each element, but at most `max`."""
    return _C.clamp(input, None, max)


def is_tensor(obj: Any) -> builtins.bool:
    """Whether `obj` is a tensor."""
    return isinstance(obj, _C.TensorBase)


@checked
def is_floating_point(input: Tensor) -> builtins.bool:
    """Whether the dtype is float32 or float64."""
    return bool(input.dtype.is_floating_point)


@checked
def exp2(input: Tensor) -> Tensor:
    """2 to the power of each element."""
    return _C.pow(2.0, input)


@checked
def tan(input: Tensor) -> Tensor:
    """The tangent of each element."""
    return _C.div(_C.sin(input), _C.cos(input))


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
    """`input * log(other)`, 0 where the input is 0."""
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


@checked
def sgn(input: Tensor) -> Tensor:
    """`sign`."""
    return _C.sign(input)


@checked
def positive(input: Tensor) -> Tensor:
    """The tensor itself, which must not be bool."""
    if input.dtype == _C.DType.bool:
        raise RuntimeError("positive: is not defined for bool tensors")
    return input


def atan2(input: Any, other: Any) -> Tensor:
    """The angle of the point (`other`, `input`) in [-pi, pi], in the quadrant that the signs say."""
    return _C.atan2(input, other)


@checked
def sinc(input: Tensor) -> Tensor:
    """sin(pi x) / (pi x), and 1 at 0."""
    angle = _C.mul(input, math.pi)
    near = _C.lt(_C.abs(angle), 0.25)
    # The quotient's slope cancels near 0: there by the series, to the last digit of a double.
    square = _C.square(_C.where(near, angle, 0.0))
    series = _C.add(_C.mul(square, 1 / math.factorial(13)), -1 / math.factorial(11))
    for n in (9, 7, 5, 3, 1):
        series = _C.add(_C.mul(series, square), (-1) ** (n // 2) / math.factorial(n))
    far = _C.where(near, 1.0, angle)
    return _C.where(near, series, _C.div(_C.sin(far), far))


@checked
def copysign(input: Tensor, other: Any) -> Tensor:
    """The size of `input` with the sign of `other`, a tensor or a number; zeros have signs as well."""
    size = _C.abs(_floating(input))
    if not isinstance(other, _C.TensorBase):
        return _C.neg(size) if math.copysign(1.0, other) < 0 else size
    return _C.where(_C.signbit(other), _C.neg(size), size)


def _floating(input: Tensor) -> Tensor:
    """As a division takes it: integers in the default dtype."""
    return input if input.dtype.is_floating_point else _C.mul(input, 1.0)


@checked
def heaviside(input: Tensor, values: Tensor) -> Tensor:
    """0 below 0, 1 above, and `values` (of the input's dtype) at 0; without a gradient."""
    if input.dtype != values.dtype:
        raise RuntimeError(f"heaviside: dtypes differ: {input.dtype} and {values.dtype}")
    x = input.detach()
    return _C.where(_C.eq(x, 0), values.detach(), _C.to(_C.gt(x, 0), x.dtype))


@checked
def float_power(input: Any, exponent: Any) -> Tensor:
    """`pow` in float64; either may be a number."""
    a, b = (
        _C.to(t, _C.DType.float64) if isinstance(t, _C.TensorBase) else float(t) for t in (input, exponent)
    )
    return _C.pow(a, b)


@checked
def ldexp(input: Tensor, other: Tensor) -> Tensor:
    """`input` times 2 to the power of `other`."""
    return _C.mul(input, _C.pow(2.0, other))


@checked
def logaddexp2(input: Tensor, other: Tensor) -> Tensor:
    """log2(2^input + 2^other), computed without overflow."""
    largest = _C.maximum(input, other)
    near = _C.mul(_C.log1p(_C.pow(2.0, _C.neg(_C.abs(_C.sub(input, other))))), 1 / math.log(2))
    return _C.where(_C.isinf(largest), largest, _C.add(largest, near))


@checked
def polygamma(n: int, input: Tensor) -> Tensor:
    """The n-th derivative of `digamma`, n from 0 to 10,000: in double and rounded once.

    Examples
    --------
    >>> import cnnx
    >>> cnnx.polygamma(1, cnnx.tensor([1.0]))
    tensor([1.6449])
    """
    if n > 10_000:  # an element takes n terms
        raise ValueError(f"polygamma: n must be at most 10,000, got {n}")
    return _C.polygamma(input, n)


@checked
def mvlgamma(input: Tensor, p: int) -> Tensor:
    """The logarithm of the gamma function of p dimensions, p from 1 to 10,000.

    The sum of ``lgamma(input - i / 2)`` over i = 0 ... p - 1, and p (p - 1) / 4 log(pi).
    """
    if p < 1:
        raise RuntimeError(f"mvlgamma: p must be 1 or more, got {p}")
    if p > 10_000:  # it takes p passes
        raise ValueError(f"mvlgamma: p must be at most 10,000, got {p}")
    result = lgamma(input)
    for i in range(1, p):
        result = _C.add(result, lgamma(_C.sub(input, i / 2)))
    return _C.add(result, p * (p - 1) / 4 * math.log(math.pi))


absolute = abs
negative = neg
arccos, arccosh, arcsin, arcsinh, arctan, arctanh = acos, acosh, asin, asinh, atan, atanh
arctan2 = atan2
fix = trunc
clip = clamp
multiply = mul
subtract = sub
divide = true_divide = div

__all__ = [
    "absolute", "add", "addcdiv", "addcmul", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2",
    "arctanh", "atan2", "clamp", "clamp_max", "clamp_min", "clip", "copysign", "deg2rad", "div", "divide",
    "exp2", "fix", "float_power", "floor_divide", "fmax", "fmin", "fmod", "frac", "heaviside", "hypot",
    "is_floating_point", "is_tensor", "ldexp", "leaky_relu", "lerp", "logaddexp", "logaddexp2", "logit",
    "masked_fill", "maximum", "minimum", "mul", "multiply", "mvlgamma", "nan_to_num", "negative",
    "polygamma", "positive", "pow", "rad2deg", "remainder", "round", "rsub", "sgn", "sinc", "sub",
    "subtract", "tan", "true_divide", "where", "xlogy",
]  # fmt: skip
