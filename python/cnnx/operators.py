"""The operators of a tensor, as a base of the class Tensor.

While autograd records, an update in place of a leaf that requires a gradient, or of a view, raises
RuntimeError.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cnnx import _C, comparison
from cnnx.pointwise import operand

if TYPE_CHECKING:
    from cnnx.tensor import Tensor

    Method = Callable[[Any, Any], Tensor]

_OPERANDS = (_C.TensorBase, int, float)


def _retry(op: str, native: Any, a: Any, b: Any) -> Tensor:
    """What to do after a TypeError.

    Try again with what NumPy made converted, or NotImplemented for what is no operand at all.
    """
    try:
        a = a if isinstance(a, _OPERANDS) else operand(op, a)
        b = b if isinstance(b, _OPERANDS) else operand(op, b)
    except TypeError:
        return NotImplemented  # type: ignore[no-any-return]
    result: Tensor = native(a, b)
    return result


def _named(method: Method, name: str) -> Method:
    method.__name__ = f"__{name}__"
    method.__qualname__ = f"Operators.{method.__name__}"
    return method


def _operator(name: str, op: str) -> Method:
    """The method __name__: the native `op` of the tensor and the other operand."""
    native = getattr(_C, op)

    def method(self: Any, other: Any) -> Tensor:
        try:
            return native(self, other)  # type: ignore[no-any-return]
        except TypeError:
            if isinstance(other, _OPERANDS):
                raise
            return _retry(op, native, self, other)

    return _named(method, name)


def _operators(name: str, op: str) -> tuple[Method, Method]:
    """The method __name__, and __rname__, which has the operands the other way round."""
    native = getattr(_C, op)

    def reflected(self: Any, other: Any) -> Tensor:
        try:
            return native(other, self)  # type: ignore[no-any-return]
        except TypeError:
            if isinstance(other, _OPERANDS):
                raise
            return _retry(op, native, other, self)

    return _operator(name, op), _named(reflected, f"r{name}")


class Operators:
    """What Python's operators do."""

    __slots__ = ()

    __add__, __radd__ = _operators("add", "add")
    __sub__, __rsub__ = _operators("sub", "sub")
    __mul__, __rmul__ = _operators("mul", "mul")
    __truediv__, __rtruediv__ = _operators("truediv", "div")
    __floordiv__, __rfloordiv__ = _operators("floordiv", "floor_divide")
    __mod__, __rmod__ = _operators("mod", "remainder")
    __pow__, __rpow__ = _operators("pow", "pow")
    __and__, __rand__ = _operators("and", "bitwise_and")
    __or__, __ror__ = _operators("or", "bitwise_or")
    __xor__, __rxor__ = _operators("xor", "bitwise_xor")

    def __lshift__(self: Any, other: Any) -> Tensor:
        return comparison.bitwise_left_shift(self, other)

    def __rlshift__(self: Any, other: Any) -> Tensor:
        return comparison.bitwise_left_shift(other, self)

    def __rshift__(self: Any, other: Any) -> Tensor:
        return comparison.bitwise_right_shift(self, other)

    def __rrshift__(self: Any, other: Any) -> Tensor:
        return comparison.bitwise_right_shift(other, self)

    __eq__ = _operator("eq", "eq")  # type: ignore[assignment]
    __ne__ = _operator("ne", "ne")  # type: ignore[assignment]
    __lt__ = _operator("lt", "lt")
    __le__ = _operator("le", "le")
    __gt__ = _operator("gt", "gt")
    __ge__ = _operator("ge", "ge")

    __iadd__ = _operator("iadd", "add_")
    __isub__ = _operator("isub", "sub_")
    __imul__ = _operator("imul", "mul_")
    __itruediv__ = _operator("itruediv", "div_")
    __ifloordiv__ = _operator("ifloordiv", "floor_divide_")
    __imod__ = _operator("imod", "remainder_")
    __ipow__ = _operator("ipow", "pow_")

    def __iand__(self: Any, other: Any) -> Tensor:
        return _C.copy_(self, _C.bitwise_and(self, other))

    def __ior__(self: Any, other: Any) -> Tensor:
        return _C.copy_(self, _C.bitwise_or(self, other))

    def __ixor__(self: Any, other: Any) -> Tensor:
        return _C.copy_(self, _C.bitwise_xor(self, other))

    def __matmul__(self: Any, other: Any) -> Tensor:
        if not isinstance(other, _C.TensorBase):
            return _retry("matmul", _C.matmul, self, other)
        return _C.matmul(self, other)

    def __rmatmul__(self: Any, other: Any) -> Tensor:
        return _retry("matmul", _C.matmul, other, self)

    def __neg__(self: Any) -> Tensor:
        return _C.neg(self)

    def __pos__(self: Any) -> Tensor:
        return self  # type: ignore[no-any-return]

    def __abs__(self: Any) -> Tensor:
        return _C.abs(self)

    def __invert__(self: Any) -> Tensor:
        return _C.bitwise_not(self)

    __hash__ = object.__hash__
