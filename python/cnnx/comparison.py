"""Comparisons, and logic of what they give; operands broadcast."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnnx import _C, creation
from cnnx.signatures import checked

if TYPE_CHECKING:
    from cnnx.tensor import Tensor

# Differences of unsigned and bool elements need a type with a sign.
_WIDE = {_C.DType.uint8: _C.DType.int64, _C.DType.bool: _C.DType.int64}


def eq(input: Any, other: Any) -> Tensor:
    """`input == other`, as bool."""
    return _C.eq(input, other)


def ne(input: Any, other: Any) -> Tensor:
    """`input != other`, as bool."""
    return _C.ne(input, other)


def lt(input: Any, other: Any) -> Tensor:
    """`input < other`, as bool."""
    return _C.lt(input, other)


def le(input: Any, other: Any) -> Tensor:
    """`input <= other`, as bool."""
    return _C.le(input, other)


def gt(input: Any, other: Any) -> Tensor:
    """`input > other`, as bool."""
    return _C.gt(input, other)


def ge(input: Any, other: Any) -> Tensor:
    """`input >= other`, as bool."""
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
    """`input & other`, of bool or integers."""
    return _C.bitwise_and(input, other)


def bitwise_or(input: Any, other: Any) -> Tensor:
    """`input | other`, of bool or integers."""
    return _C.bitwise_or(input, other)


def bitwise_xor(input: Any, other: Any) -> Tensor:
    """`input ^ other`, of bool or integers."""
    return _C.bitwise_xor(input, other)


def logical_not(input: Tensor) -> Tensor:
    """Whether an element is 0."""
    return _C.logical_not(input)


def bitwise_not(input: Tensor) -> Tensor:
    """`~input`, of bool or integers."""
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


def signbit(input: Tensor) -> Tensor:
    """Whether an element is negative; zeros and NaN have signs as well."""
    return _C.signbit(input)


@checked
def isposinf(input: Tensor) -> Tensor:
    """Whether an element is +inf."""
    return _C.logical_and(_C.isinf(input), _C.gt(input, 0))


@checked
def isneginf(input: Tensor) -> Tensor:
    """Whether an element is -inf."""
    return _C.logical_and(_C.isinf(input), _C.lt(input, 0))


@checked
def isreal(input: Tensor) -> Tensor:
    """True for every element: there are no complex numbers."""
    return creation.ones(tuple(input.shape), dtype=_C.DType.bool, device=input.device)


def _shift(op: str, input: Any, other: Any, left: bool) -> Tensor:
    """By way of int64, as a product with a power of 2, or as two quotients by such, each of which fits."""
    given: list[Any] = [value for value in (input, other) if isinstance(value, _C.TensorBase)]
    operands = []
    for value in (input, other):
        if isinstance(value, _C.TensorBase) and not value.dtype.is_floating_point:
            operands.append(_C.to(value, _C.DType.int64))
        elif given and isinstance(value, int):
            operands.append(creation.full((), value, dtype=_C.DType.int64, device=given[0].device))
        else:
            raise TypeError(f"{op}: expected integers, at least one of them a tensor")
    x, places = operands
    if left:
        result = _C.mul(x, _C.pow(2, places))
    else:
        places = _C.clamp(places, 0, 63)
        first = _C.clamp(places, None, 31)
        result = _C.floor_divide(_C.floor_divide(x, _C.pow(2, first)), _C.pow(2, _C.sub(places, first)))
    return _C.to(result, given[0].dtype if len(given) == 1 else _C.promote(given[0].dtype, given[1].dtype))


def bitwise_left_shift(input: Any, other: Any) -> Tensor:
    """``input << other``, of integers; what is shifted out is lost."""
    return _shift("bitwise_left_shift", input, other, True)


def bitwise_right_shift(input: Any, other: Any) -> Tensor:
    """``input >> other``, of integers; negative ones stay negative."""
    return _shift("bitwise_right_shift", input, other, False)


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


greater, greater_equal, less, less_equal, not_equal = gt, ge, lt, le, ne

__all__ = [
    "allclose", "bitwise_and", "bitwise_left_shift", "bitwise_not", "bitwise_or", "bitwise_right_shift",
    "bitwise_xor", "eq", "equal", "ge", "greater", "greater_equal", "gt", "isclose", "isfinite", "isinf",
    "isnan", "isneginf", "isposinf", "isreal", "le", "less", "less_equal", "logical_and", "logical_not",
    "logical_or", "logical_xor", "lt", "ne", "not_equal", "signbit",
]  # fmt: skip
