"""Element-wise functions. Operands broadcast, dtypes are promoted as in PyTorch.

A number does not widen a tensor of its kind.
"""

from __future__ import annotations

import builtins
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnx import _C
from cnnx.signatures import checked

if TYPE_CHECKING:
    from cnnx.tensor import Tensor


def neg(input: Tensor) -> Tensor:
    """The negative of each element."""
    return _C.neg(input)


def abs(input: Tensor) -> Tensor:
    """The absolute value of each element."""
    return _C.abs(input)


def sign(input: Tensor) -> Tensor:
    """-1, 0 or 1 by the sign of each element; NaN stays NaN."""
    return _C.sign(input)


def exp(input: Tensor) -> Tensor:
    """E to the power of each element."""
    return _C.exp(input)


def expm1(input: Tensor) -> Tensor:
    """exp(x) - 1, accurate for small x."""
    return _C.expm1(input)


def log(input: Tensor) -> Tensor:
    """The natural logarithm of each element; NaN below 0, -inf at 0."""
    return _C.log(input)


def log1p(input: Tensor) -> Tensor:
    """log(1 + x), accurate for small x."""
    return _C.log1p(input)


def log2(input: Tensor) -> Tensor:
    """The base-2 logarithm of each element."""
    return _C.log2(input)


def log10(input: Tensor) -> Tensor:
    """The base-10 logarithm of each element."""
    return _C.log10(input)


def sqrt(input: Tensor) -> Tensor:
    """The square root of each element; NaN below 0."""
    return _C.sqrt(input)


def rsqrt(input: Tensor) -> Tensor:
    """1 / sqrt(x)."""
    return _C.rsqrt(input)


def reciprocal(input: Tensor) -> Tensor:
    """1 / x."""
    return _C.reciprocal(input)


def square(input: Tensor) -> Tensor:
    """X * x."""
    return _C.square(input)


def sin(input: Tensor) -> Tensor:
    """The sine of each element, in radians."""
    return _C.sin(input)


def cos(input: Tensor) -> Tensor:
    """The cosine of each element, in radians."""
    return _C.cos(input)


def tanh(input: Tensor) -> Tensor:
    """The hyperbolic tangent of each element."""
    return _C.tanh(input)


def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + exp(-x))."""
    return _C.sigmoid(input)


def erf(input: Tensor) -> Tensor:
    """The error function of each element."""
    return _C.erf(input)


def floor(input: Tensor) -> Tensor:
    """Each element rounded down."""
    return _C.floor(input)


def ceil(input: Tensor) -> Tensor:
    """Each element rounded up."""
    return _C.ceil(input)


def round(input: Tensor, *, decimals: int = 0) -> Tensor:
    """Each element rounded to so many decimals, halves to even."""
    if decimals == 0:
        return _C.round(input)
    scale = 10.0**decimals
    return _C.div(_C.round(_C.mul(input, scale)), scale)


def trunc(input: Tensor) -> Tensor:
    """Each element rounded towards 0."""
    return _C.trunc(input)


def relu(input: Tensor) -> Tensor:
    """max(x, 0); NaN stays NaN."""
    return _C.relu(input)


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
    """Input + alpha * other."""
    return _C.add(input, other, alpha)


def sub(input: Any, other: Any, *, alpha: Any = 1) -> Tensor:
    """Input - alpha * other."""
    return _C.sub(input, other, alpha)


def rsub(input: Any, other: Any) -> Tensor:
    """Other - input."""
    return _C.sub(other, input)


def mul(input: Any, other: Any) -> Tensor:
    """Input * other."""
    return _C.mul(input, other)


def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    """Input / other, in floating point also for integers.

    `rounding_mode` "trunc" or "floor" rounds the quotient.
    """
    return _C.div(input, other, rounding_mode or "")


def pow(input: Any, exponent: Any) -> Tensor:
    """Input to the power of `exponent`; either may be a number."""
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
    """Input + weight * (end - input), exact at both ends."""
    way = _C.sub(end, input)
    if isinstance(weight, _C.TensorBase):
        near = _C.lt(_C.abs(weight), 0.5)
        return _C.where(near, _C.add(input, _C.mul(way, weight)), _C.sub(end, _C.mul(way, _C.sub(1, weight))))
    if builtins.abs(weight) < 0.5:
        return _C.add(input, _C.mul(way, weight))
    return _C.sub(end, _C.mul(way, 1 - weight))


def addcmul(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Any = 1) -> Tensor:
    """Input + value * tensor1 * tensor2."""
    return _C.add(input, _C.mul(tensor1, tensor2), value)


def addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Any = 1) -> Tensor:
    """Input + value * tensor1 / tensor2."""
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


@checked
def sgn(input: Tensor) -> Tensor:
    """`sign`."""
    return _C.sign(input)


absolute = abs
negative = neg
clip = clamp
multiply = mul
subtract = sub
divide = true_divide = div

__all__ = [
    "abs",
    "absolute",
    "add",
    "addcdiv",
    "addcmul",
    "ceil",
    "clamp",
    "clamp_max",
    "clamp_min",
    "clip",
    "cos",
    "cosh",
    "deg2rad",
    "div",
    "divide",
    "erf",
    "exp",
    "exp2",
    "expm1",
    "floor",
    "floor_divide",
    "fmax",
    "fmin",
    "fmod",
    "frac",
    "hypot",
    "is_floating_point",
    "is_tensor",
    "leaky_relu",
    "lerp",
    "log",
    "log1p",
    "log2",
    "log10",
    "logaddexp",
    "logit",
    "masked_fill",
    "maximum",
    "minimum",
    "mul",
    "multiply",
    "nan_to_num",
    "neg",
    "negative",
    "pow",
    "rad2deg",
    "reciprocal",
    "relu",
    "remainder",
    "round",
    "rsqrt",
    "rsub",
    "sgn",
    "sigmoid",
    "sign",
    "sin",
    "sinh",
    "sqrt",
    "square",
    "sub",
    "subtract",
    "tan",
    "tanh",
    "true_divide",
    "trunc",
    "where",
    "xlogy",
]  # fmt: skip
