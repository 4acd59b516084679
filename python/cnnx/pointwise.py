"""Element-wise functions. Operands broadcast, dtypes are promoted as in PyTorch.

A number does not widen a tensor of its kind.
"""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnx import _C
from cnnx.signatures import checked

if TYPE_CHECKING:
    from cnnx.tensor import Tensor

# Differences of unsigned and bool elements need a type with a sign.
_WIDE = {_C.DType.uint8: _C.DType.int64, _C.DType.bool: _C.DType.int64}


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


def eq(input: Any, other: Any) -> Tensor:
    """Input == other, as bool."""
    return _C.eq(input, other)


def ne(input: Any, other: Any) -> Tensor:
    """Input != other, as bool."""
    return _C.ne(input, other)


def lt(input: Any, other: Any) -> Tensor:
    """Input < other, as bool."""
    return _C.lt(input, other)


def le(input: Any, other: Any) -> Tensor:
    """Input <= other, as bool."""
    return _C.le(input, other)


def gt(input: Any, other: Any) -> Tensor:
    """Input > other, as bool."""
    return _C.gt(input, other)


def ge(input: Any, other: Any) -> Tensor:
    """Input >= other, as bool."""
    return _C.ge(input, other)


def logical_and(input: Any, other: Any) -> Tensor:
    """Whether both elements differ from 0."""
    return _C.logical_and(input, other)


def logical_or(input: Any, other: Any) -> Tensor:
    """Whether either element differs from 0."""
    return _C.logical_or(input, other)


def logical_xor(input: Any, other: Any) -> Tensor:
    """Whether exactly one element differs from 0."""
    return _C.logical_xor(input, other)


def bitwise_and(input: Any, other: Any) -> Tensor:
    """Input & other, of bool or integers."""
    return _C.bitwise_and(input, other)


def bitwise_or(input: Any, other: Any) -> Tensor:
    """Input | other, of bool or integers."""
    return _C.bitwise_or(input, other)


def bitwise_xor(input: Any, other: Any) -> Tensor:
    """Input ^ other, of bool or integers."""
    return _C.bitwise_xor(input, other)


def logical_not(input: Tensor) -> Tensor:
    """Whether an element is 0."""
    return _C.logical_not(input)


def bitwise_not(input: Tensor) -> Tensor:
    """~input, of bool or integers."""
    return _C.bitwise_not(input)


def isnan(input: Tensor) -> Tensor:
    """Whether an element is NaN."""
    return _C.isnan(input)


def isinf(input: Tensor) -> Tensor:
    """Whether an element is infinite."""
    return _C.isinf(input)


def isfinite(input: Tensor) -> Tensor:
    """Whether an element is neither infinite nor NaN."""
    return _C.isfinite(input)


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


@checked
def isclose(
    input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> Tensor:
    """Whether |input - other| <= atol + rtol * |other|, element by element."""
    if input.dtype != other.dtype:
        raise RuntimeError(f"isclose: dtypes differ: {input.dtype} and {other.dtype}")
    a, b = input.detach(), other.detach()
    same = _C.eq(a, b)
    if equal_nan:
        same = _C.logical_or(same, _C.logical_and(_C.isnan(a), _C.isnan(b)))
    distance = _C.abs(_C.sub(_C.to(a, _WIDE.get(a.dtype, a.dtype)), _C.to(b, _WIDE.get(b.dtype, b.dtype))))
    near = _C.le(distance, _C.add(_C.mul(_C.abs(b), rtol), atol))
    return _C.logical_or(same, _C.logical_and(near, _C.isfinite(distance)))


@checked
def allclose(
    input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> bool:
    """Whether all elements are close in the sense of `isclose`."""
    return bool(isclose(input, other, rtol, atol, equal_nan).all())


@checked
def equal(input: Tensor, other: Tensor) -> bool:
    """Whether two tensors have the same shape and elements."""
    if input.shape != other.shape:
        return False
    return bool(_C.eq(input.detach(), other.detach()).all())


def is_tensor(obj: Any) -> builtins.bool:
    """Whether `obj` is a tensor."""
    return isinstance(obj, _C.TensorBase)


@checked
def is_floating_point(input: Tensor) -> builtins.bool:
    """Whether the dtype is float32 or float64."""
    return bool(input.dtype.is_floating_point)


absolute = abs
negative = neg
clip = clamp
multiply = mul
subtract = sub
divide = true_divide = div
greater, greater_equal, less, less_equal, not_equal = gt, ge, lt, le, ne

__all__ = [
    "abs",
    "absolute",
    "add",
    "addcdiv",
    "addcmul",
    "allclose",
    "bitwise_and",
    "bitwise_not",
    "bitwise_or",
    "bitwise_xor",
    "ceil",
    "clamp",
    "clamp_max",
    "clamp_min",
    "clip",
    "cos",
    "div",
    "divide",
    "eq",
    "equal",
    "erf",
    "exp",
    "expm1",
    "floor",
    "floor_divide",
    "fmod",
    "ge",
    "greater",
    "greater_equal",
    "gt",
    "is_floating_point",
    "is_tensor",
    "isclose",
    "isfinite",
    "isinf",
    "isnan",
    "le",
    "leaky_relu",
    "lerp",
    "less",
    "less_equal",
    "log",
    "log1p",
    "log2",
    "log10",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "lt",
    "masked_fill",
    "maximum",
    "minimum",
    "mul",
    "multiply",
    "ne",
    "neg",
    "negative",
    "not_equal",
    "pow",
    "reciprocal",
    "relu",
    "remainder",
    "round",
    "rsqrt",
    "rsub",
    "sigmoid",
    "sign",
    "sin",
    "sqrt",
    "square",
    "sub",
    "subtract",
    "tanh",
    "true_divide",
    "trunc",
    "where",
]  # fmt: skip
