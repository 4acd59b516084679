"""The operators of a tensor and its updates in place, as a base of the class Tensor.

While autograd records, an update in place of a leaf that requires a gradient, or of a view, raises
RuntimeError.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnnx import _C
from cnnx.generator import native_generator
from cnnx.pointwise import lerp, operand

if TYPE_CHECKING:
    from cnnx.generator import Generator
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


def _fill_check(op: str, tensor: Any) -> None:
    if tensor.requires_grad and _C.is_grad_enabled():
        raise RuntimeError(f"{op}: a tensor that requires grad is changed in place; do it under no_grad")


class Operators:
    """What Python's operators and the methods ending in an underscore do."""

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

    # In place.

    def add_(self: Any, other: Any, *, alpha: Any = 1) -> Tensor:
        """Adds alpha * other."""
        return _C.add_(self, other, alpha)

    def sub_(self: Any, other: Any, *, alpha: Any = 1) -> Tensor:
        """Subtracts alpha * other."""
        return _C.sub_(self, other, alpha)

    def mul_(self: Any, other: Any) -> Tensor:
        """Multiplies by `other`."""
        return _C.mul_(self, other)

    def div_(self: Any, other: Any, *, rounding_mode: str | None = None) -> Tensor:
        """Divides by `other`."""
        return _C.div_(self, other, rounding_mode or "")

    def pow_(self: Any, exponent: Any) -> Tensor:
        """Raises to a power."""
        return _C.pow_(self, exponent)

    def remainder_(self: Any, other: Any) -> Tensor:
        """Takes the remainder of a division."""
        return _C.remainder_(self, other)

    def floor_divide_(self: Any, other: Any) -> Tensor:
        """Divides and rounds down."""
        return _C.floor_divide_(self, other)

    def addcmul_(self: Any, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Tensor:
        """Adds value * tensor1 * tensor2."""
        return _C.add_(self, _C.mul(tensor1, tensor2), value)

    def addcdiv_(self: Any, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Tensor:
        """Adds value * tensor1 / tensor2."""
        return _C.add_(self, _C.div(tensor1 if value == 1 else _C.mul(tensor1, value), tensor2))

    def lerp_(self: Any, end: Any, weight: Any) -> Tensor:
        """Moves towards `end` by the fraction `weight`."""
        return _C.copy_(self, lerp(self, end, weight))

    def clamp_(self: Any, min: Any = None, max: Any = None) -> Tensor:
        """Limits to [min, max]."""
        return _C.clamp_(self, min, max)

    def leaky_relu_(self: Any, negative_slope: float = 0.01) -> Tensor:
        """Multiplies negative elements by the slope."""
        return _C.leaky_relu_(self, negative_slope)

    def fill_(self: Any, value: Any) -> Tensor:
        """Sets every element to one number, which the dtype must hold, or a 0-dimensional tensor."""
        if isinstance(value, _C.TensorBase):
            if value.ndim:
                raise RuntimeError(f"fill_: needs one number, got a tensor of shape {tuple(value.shape)}")
            return _C.copy_(self, value)
        return _C.fill_(self, value)

    def zero_(self: Any) -> Tensor:
        """Sets every element to 0."""
        return _C.zero_(self)

    def copy_(self: Any, src: Any, non_blocking: bool = False) -> Tensor:
        """Takes the elements of `src`, broadcast and converted.

        With `non_blocking` the host waits neither for a copy from pinned memory to a GPU nor for one from a
        GPU into a pinned tensor of the same shape and dtype (see `to`).
        """
        if non_blocking and isinstance(src, _C.TensorBase):
            if _C.download_into(self, src):
                return self  # type: ignore[no-any-return]
            if self.is_cuda:
                src = _C.move_async(src, str(self.device))
        return _C.copy_(self, src)

    def masked_fill_(self: Any, mask: Any, value: Any) -> Tensor:
        """Sets the elements where `mask` holds to a number."""
        return _C.masked_fill_(self, mask, value)

    def uniform_(
        self: Any, from_: float = 0.0, to: float = 1.0, *, generator: Generator | None = None
    ) -> Tensor:
        """Fills with numbers uniform in [from_, to)."""
        _fill_check("uniform_", self)
        _C.uniform_(self, from_, to, native_generator("uniform_", generator))
        return self  # type: ignore[no-any-return]

    def normal_(
        self: Any, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None
    ) -> Tensor:
        """Fills with normal numbers."""
        _fill_check("normal_", self)
        _C.normal_(self, mean, std, native_generator("normal_", generator))
        return self  # type: ignore[no-any-return]

    def bernoulli_(self: Any, p: float = 0.5, *, generator: Generator | None = None) -> Tensor:
        """Fills with 1 of probability p, else 0."""
        _fill_check("bernoulli_", self)
        _C.bernoulli_(self, p, native_generator("bernoulli_", generator))
        return self  # type: ignore[no-any-return]

    def random_(
        self: Any, from_: int | None = None, to: int | None = None, *, generator: Generator | None = None
    ) -> Tensor:
        """Fills with integers from `from_` to `to` - 1; `random_(n)` from 0, `random_()` all that fit."""
        _fill_check("random_", self)
        low, high = (0, from_) if to is None else (from_ or 0, to)
        if high is None:
            high = 2**24 if self.dtype.is_floating_point else 2**8 if self.dtype.itemsize == 1 else 2**31 - 1
        _C.randint_(self, low, high, native_generator("random_", generator))
        return self  # type: ignore[no-any-return]

    def neg_(self: Any) -> Tensor:
        """Negates."""
        return _C.neg_(self)

    def abs_(self: Any) -> Tensor:
        """Takes absolute values."""
        return _C.abs_(self)

    def sign_(self: Any) -> Tensor:
        """Takes signs."""
        return _C.sign_(self)

    def exp_(self: Any) -> Tensor:
        """Takes exponentials."""
        return _C.exp_(self)

    def log_(self: Any) -> Tensor:
        """Takes logarithms."""
        return _C.log_(self)

    def sqrt_(self: Any) -> Tensor:
        """Takes square roots."""
        return _C.sqrt_(self)

    def rsqrt_(self: Any) -> Tensor:
        """Takes 1 / sqrt(x)."""
        return _C.rsqrt_(self)

    def reciprocal_(self: Any) -> Tensor:
        """Takes 1 / x."""
        return _C.reciprocal_(self)

    def square_(self: Any) -> Tensor:
        """Squares."""
        return _C.square_(self)

    def tanh_(self: Any) -> Tensor:
        """Takes hyperbolic tangents."""
        return _C.tanh_(self)

    def sigmoid_(self: Any) -> Tensor:
        """Takes sigmoids."""
        return _C.sigmoid_(self)

    def floor_(self: Any) -> Tensor:
        """Rounds down."""
        return _C.floor_(self)

    def ceil_(self: Any) -> Tensor:
        """Rounds up."""
        return _C.ceil_(self)

    def round_(self: Any) -> Tensor:
        """Rounds to the nearest integer."""
        return _C.round_(self)

    def trunc_(self: Any) -> Tensor:
        """Rounds towards 0."""
        return _C.trunc_(self)

    def relu_(self: Any) -> Tensor:
        """Sets negative elements to 0."""
        return _C.relu_(self)

    subtract_ = sub_
    multiply_ = mul_
    divide_ = div_
    clip_ = clamp_
    absolute_ = abs_
    negative_ = neg_
