"""The operators of a tensor, as a base of the class Tensor.

While autograd records, an update in place of a leaf that requires a gradient, or of a view, raises
RuntimeError.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnnx import _C
from cnnx.pointwise import operand

if TYPE_CHECKING:
    from cnnx.tensor import Tensor


def _retry(op: str, native: Any, a: Any, b: Any) -> Tensor:
    """What to do after a TypeError.

    Try again with what NumPy made converted, or NotImplemented for what is no operand at all.
    """
    try:
        a = a if isinstance(a, (_C.TensorBase, int, float)) else operand(op, a)
        b = b if isinstance(b, (_C.TensorBase, int, float)) else operand(op, b)
    except TypeError:
        return NotImplemented  # type: ignore[no-any-return]
    result: Tensor = native(a, b)
    return result


class Operators:
    """What Python's operators do."""

    __slots__ = ()

    def __add__(self: Any, other: Any) -> Tensor:
        try:
            return _C.add(self, other)
        except TypeError:
            if isinstance(other, (_C.TensorBase, int, float)):
                raise
            return _retry("add", _C.add, self, other)

    def __radd__(self: Any, other: Any) -> Tensor:
        try:
            return _C.add(other, self)
        except TypeError:
            if isinstance(other, (_C.TensorBase, int, float)):
                raise
            return _retry("add", _C.add, other, self)

    def __sub__(self: Any, other: Any) -> Tensor:
        try:
            return _C.sub(self, other)
        except TypeError:
            if isinstance(other, (_C.TensorBase, int, float)):
                raise
            return _retry("sub", _C.sub, self, other)

    def __rsub__(self: Any, other: Any) -> Tensor:
        try:
            return _C.sub(other, self)
        except TypeError:
            if isinstance(other, (_C.TensorBase, int, float)):
                raise
            return _retry("sub", _C.sub, other, self)

    def __mul__(self: Any, other: Any) -> Tensor:
        try:
            return _C.mul(self, other)
        except TypeError:
            if isinstance(other, (_C.TensorBase, int, float)):
                raise
            return _retry("mul", _C.mul, self, other)

    def __rmul__(self: Any, other: Any) -> Tensor:
        try:
            return _C.mul(other, self)
        except TypeError:
            if isinstance(other, (_C.TensorBase, int, float)):
                raise
            return _retry("mul", _C.mul, other, self)

    def __truediv__(self: Any, other: Any) -> Tensor:
        try:
            return _C.div(self, other)
        except TypeError:
            if isinstance(other, (_C.TensorBase, int, float)):
                raise
            return _retry("div", _C.div, self, other)

    def __rtruediv__(self: Any, other: Any) -> Tensor:
        try:
            return _C.div(other, self)
        except TypeError:
            if isinstance(other, (_C.TensorBase, int, float)):
                raise
            return _retry("div", _C.div, other, self)

    def __floordiv__(self: Any, other: Any) -> Tensor:
        try:
            return _C.floor_divide(self, other)
        except TypeError:
            if isinstance(other, (_C.TensorBase, int, float)):
                raise
            return _retry("floor_divide", _C.floor_divide, self, other)

    def __rfloordiv__(self: Any, other: Any) -> Tensor:
        try:
            return _C.floor_divide(other, self)
        except TypeError:
            if isinstance(other, (_C.TensorBase, int, float)):
                raise
            return _retry("floor_divide", _C.floor_divide, other, self)

    def __mod__(self: Any, other: Any) -> Tensor:
        try:
            return _C.remainder(self, other)
        except TypeError:
            if isinstance(other, (_C.TensorBase, int, float)):
                raise
            return _retry("remainder", _C.remainder, self, other)

    def __rmod__(self: Any, other: Any) -> Tensor:
        try:
            return _C.remainder(other, self)
        except TypeError:
            if isinstance(other, (_C.TensorBase, int, float)):
                raise
            return _retry("remainder", _C.remainder, other, self)

    def __pow__(self: Any, other: Any) -> Tensor:
        try:
            return _C.pow(self, other)
        except TypeError:
            if isinstance(other, (_C.TensorBase, int, float)):
                raise
            return _retry("pow", _C.pow, self, other)

    def __rpow__(self: Any, other: Any) -> Tensor:
        try:
            return _C.pow(other, self)
        except TypeError:
            if isinstance(other, (_C.TensorBase, int, float)):
                raise
            return _retry("pow", _C.pow, other, self)

    def __and__(self: Any, other: Any) -> Tensor:
        try:
            return _C.bitwise_and(self, other)
        except TypeError:
            if isinstance(other, (_C.TensorBase, int, float)):
                raise
            return _retry("bitwise_and", _C.bitwise_and, self, other)

    def __rand__(self: Any, other: Any) -> Tensor:
        try:
            return _C.bitwise_and(other, self)
        except TypeError:
            if isinstance(other, (_C.TensorBase, int, float)):
                raise
            return _retry("bitwise_and", _C.bitwise_and, other, self)

    def __or__(self: Any, other: Any) -> Tensor:
        try:
            return _C.bitwise_or(self, other)
        except TypeError:
            if isinstance(other, (_C.TensorBase, int, float)):
                raise
            return _retry("bitwise_or", _C.bitwise_or, self, other)

    def __ror__(self: Any, other: Any) -> Tensor:
        try:
            return _C.bitwise_or(other, self)
        except TypeError:
            if isinstance(other, (_C.TensorBase, int, float)):
                raise
            return _retry("bitwise_or", _C.bitwise_or, other, self)

    def __xor__(self: Any, other: Any) -> Tensor:
        try:
            return _C.bitwise_xor(self, other)
        except TypeError:
            if isinstance(other, (_C.TensorBase, int, float)):
                raise
            return _retry("bitwise_xor", _C.bitwise_xor, self, other)

    def __rxor__(self: Any, other: Any) -> Tensor:
        try:
            return _C.bitwise_xor(other, self)
        except TypeError:
            if isinstance(other, (_C.TensorBase, int, float)):
                raise
            return _retry("bitwise_xor", _C.bitwise_xor, other, self)

    def __eq__(self: Any, other: Any) -> Tensor:  # type: ignore[override]
        try:
            return _C.eq(self, other)
        except TypeError:
            if isinstance(other, (_C.TensorBase, int, float)):
                raise
            return _retry("eq", _C.eq, self, other)

    def __ne__(self: Any, other: Any) -> Tensor:  # type: ignore[override]
        try:
            return _C.ne(self, other)
        except TypeError:
            if isinstance(other, (_C.TensorBase, int, float)):
                raise
            return _retry("ne", _C.ne, self, other)

    def __lt__(self: Any, other: Any) -> Tensor:
        try:
            return _C.lt(self, other)
        except TypeError:
            if isinstance(other, (_C.TensorBase, int, float)):
                raise
            return _retry("lt", _C.lt, self, other)

    def __le__(self: Any, other: Any) -> Tensor:
        try:
            return _C.le(self, other)
        except TypeError:
            if isinstance(other, (_C.TensorBase, int, float)):
                raise
            return _retry("le", _C.le, self, other)

    def __gt__(self: Any, other: Any) -> Tensor:
        try:
            return _C.gt(self, other)
        except TypeError:
            if isinstance(other, (_C.TensorBase, int, float)):
                raise
            return _retry("gt", _C.gt, self, other)

    def __ge__(self: Any, other: Any) -> Tensor:
        try:
            return _C.ge(self, other)
        except TypeError:
            if isinstance(other, (_C.TensorBase, int, float)):
                raise
            return _retry("ge", _C.ge, self, other)

    def __iadd__(self: Any, other: Any) -> Tensor:
        try:
            return _C.add_(self, other)
        except TypeError:
            if isinstance(other, (_C.TensorBase, int, float)):
                raise
            return _retry("add_", _C.add_, self, other)

    def __isub__(self: Any, other: Any) -> Tensor:
        try:
            return _C.sub_(self, other)
        except TypeError:
            if isinstance(other, (_C.TensorBase, int, float)):
                raise
            return _retry("sub_", _C.sub_, self, other)

    def __imul__(self: Any, other: Any) -> Tensor:
        try:
            return _C.mul_(self, other)
        except TypeError:
            if isinstance(other, (_C.TensorBase, int, float)):
                raise
            return _retry("mul_", _C.mul_, self, other)

    def __itruediv__(self: Any, other: Any) -> Tensor:
        try:
            return _C.div_(self, other)
        except TypeError:
            if isinstance(other, (_C.TensorBase, int, float)):
                raise
            return _retry("div_", _C.div_, self, other)

    def __ifloordiv__(self: Any, other: Any) -> Tensor:
        try:
            return _C.floor_divide_(self, other)
        except TypeError:
            if isinstance(other, (_C.TensorBase, int, float)):
                raise
            return _retry("floor_divide_", _C.floor_divide_, self, other)

    def __imod__(self: Any, other: Any) -> Tensor:
        try:
            return _C.remainder_(self, other)
        except TypeError:
            if isinstance(other, (_C.TensorBase, int, float)):
                raise
            return _retry("remainder_", _C.remainder_, self, other)

    def __ipow__(self: Any, other: Any) -> Tensor:
        try:
            return _C.pow_(self, other)
        except TypeError:
            if isinstance(other, (_C.TensorBase, int, float)):
                raise
            return _retry("pow_", _C.pow_, self, other)

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
