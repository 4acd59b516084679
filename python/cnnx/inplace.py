"""The methods that end in an underscore: updates of a tensor in place, as a base of the class Tensor.

While autograd records, an update in place of a leaf that requires a gradient, or of a view, raises
RuntimeError.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cnnx import (
    _C,
    comparison,
    indexing,
    noting,
    pointwise,
    products,
    random,
    reduction,
    scans,
    shaping,
    unary,
)
from cnnx.creation import eye
from cnnx.generator import native_generator

if TYPE_CHECKING:
    from cnnx.generator import Generator
    from cnnx.tensor import Tensor


def _fill_check(op: str, tensor: Any) -> None:
    if tensor.requires_grad and _C.is_grad_enabled():
        raise RuntimeError(f"{op}: a tensor that requires grad is changed in place; do it under no_grad")


def _rest(op: str, self: Any, generator: Generator | None) -> Tensor:
    """Numbers in (0, 1), uniform but for the upper end, in float32 for integers."""
    _fill_check(op, self)
    dtype = self.dtype if self.dtype.is_floating_point else _C.DType.float32
    draws = random.rand(*self.shape, generator=generator, dtype=dtype, device=self.device)
    smallest_step = 2.0**-24 if dtype == _C.DType.float32 else 2.0**-53  # half of it would round to 1
    return _C.clamp(_C.sub(1.0, draws), None, 1.0 - smallest_step)


def _assigned(op: str, self: Any, result: Tensor) -> Tensor:
    """Puts a result into the tensor, which must have its shape and be of a kind that can hold it."""
    if result.shape != self.shape:
        raise RuntimeError(
            f"{op}: a result of shape {tuple(result.shape)} does not fit a tensor of {tuple(self.shape)}"
        )
    if result.dtype.is_floating_point and not self.dtype.is_floating_point:
        raise RuntimeError(
            f"{op}: a result of {result.dtype} cannot be written into a tensor of {self.dtype}"
        )
    return _C.copy_(self, result)


def _kept(self: Any) -> Any:
    """What a gradient may need of a tensor that is about to change."""
    recorded = isinstance(self, _C.TensorBase) and self.requires_grad and _C.is_grad_enabled()
    return _C.clone(self) if recorded else self


def _by(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A function of the package as the method that puts its result into its first argument."""
    name = f"{function.__name__}_"

    @functools.wraps(function)
    def method(self: Any, *args: Any, **kwargs: Any) -> Tensor:
        return _assigned(name, self, function(_kept(self), *args, **kwargs))

    method.__name__ = name
    method.__qualname__ = f"InPlace.{name}"
    method.__doc__ = f"`{function.__name__}` in place."
    return method


def _shown(function: Callable[..., Tensor], name: str) -> Callable[..., Tensor]:
    """A view as the method that shows a tensor so from now on; its memory stays."""

    @functools.wraps(function)
    def method(self: Any, *args: Any, **kwargs: Any) -> Tensor:
        if self.requires_grad and _C.is_grad_enabled():
            raise RuntimeError(
                f"{name}: a tensor that requires grad keeps its shape; use {name[:-1]}, or no_grad"
            )
        noting.refuse("a tensor is given another shape")
        self._set_data(function(self._detach(), *args, **kwargs))
        return self  # type: ignore[no-any-return]

    method.__name__ = name
    method.__qualname__ = f"InPlace.{name}"
    method.__doc__ = f"`{name[:-1]}` of the tensor itself: the same memory in another shape."
    return method


def _native(name: str) -> Callable[..., Tensor]:
    """A form in place of `unary`, for another name of it."""
    method: Callable[..., Tensor] = getattr(unary._Unary, name)
    return method


class InPlace:
    """The updates in place."""

    __slots__ = ()

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
        return _C.copy_(self, pointwise.lerp(self, end, weight))

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

    def round_(self: Any) -> Tensor:
        """Rounds to the nearest integer."""
        return _C.round_(self)

    def logit_(self: Any, eps: float | None = None) -> Tensor:
        """Takes log(x / (1 - x)); with `eps`, x is limited to [eps, 1 - eps] first."""
        return _C.logit_(self if eps is None else _C.clamp_(self, eps, 1 - eps))

    def index_add_(self: Any, dim: int, index: Tensor, source: Tensor, *, alpha: Any = 1) -> Tensor:
        """`index_add` in place."""
        return _C.copy_(self, indexing.index_add(self, dim, index, source, alpha=alpha))

    def index_copy_(self: Any, dim: int, index: Tensor, source: Tensor) -> Tensor:
        """`index_copy` in place."""
        return _C.copy_(self, indexing.index_copy(self, dim, index, source))

    def index_fill_(self: Any, dim: int, index: Tensor, value: Any) -> Tensor:
        """`index_fill` in place."""
        return _C.copy_(self, indexing.index_fill(self, dim, index, value))

    def tril_(self: Any, diagonal: int = 0) -> Tensor:
        """Sets what is above a diagonal to zero."""
        return _C.copy_(self, _C.tril(self, diagonal))

    def triu_(self: Any, diagonal: int = 0) -> Tensor:
        """Sets what is below a diagonal to zero."""
        return _C.copy_(self, _C.triu(self, diagonal))

    def fill_diagonal_(self: Any, fill_value: Any) -> Tensor:
        """Sets the diagonal of a matrix to a number."""
        return _C.masked_fill_(self, _C.eq(eye(*self.shape, device=self.device), 1), fill_value)

    def clamp_min_(self: Any, min: Any) -> Tensor:
        """Limits to at least `min`."""
        return _C.clamp_(self, min, None)

    def clamp_max_(self: Any, max: Any) -> Tensor:
        """Limits to at most `max`."""
        return _C.clamp_(self, None, max)

    def scatter_(
        self: Any,
        dim: int,
        index: Tensor,
        src: Any = None,
        *,
        value: Any = None,
        reduce: str | None = None,
    ) -> Tensor:
        """`scatter` in place."""
        if reduce is not None:
            return _C.copy_(self, indexing.scatter(self, dim, index, src, value=value, reduce=reduce))
        _C.scatter_(self, dim, index, indexing.source_or_value("scatter_", src, value), False)
        return self  # type: ignore[no-any-return]

    def scatter_add_(self: Any, dim: int, index: Tensor, src: Tensor) -> Tensor:
        """`scatter_add` in place."""
        _C.scatter_(self, dim, index, src, True)
        return self  # type: ignore[no-any-return]

    subtract_ = sub_
    multiply_ = mul_
    divide_ = div_
    clip_ = clamp_

    absolute_ = _native("abs_")
    negative_ = _native("neg_")
    arccos_ = _native("acos_")
    arccosh_ = _native("acosh_")
    arcsin_ = _native("asin_")
    arcsinh_ = _native("asinh_")
    arctan_ = _native("atan_")
    arctanh_ = _native("atanh_")
    fix_ = _native("trunc_")
    true_divide_ = div_

    atan2_ = arctan2_ = _by(pointwise.atan2)
    copysign_ = _by(pointwise.copysign)
    deg2rad_ = _by(pointwise.deg2rad)
    exp2_ = _by(pointwise.exp2)
    float_power_ = _by(pointwise.float_power)
    fmod_ = _by(pointwise.fmod)
    frac_ = _by(pointwise.frac)
    heaviside_ = _by(pointwise.heaviside)
    hypot_ = _by(pointwise.hypot)
    ldexp_ = _by(pointwise.ldexp)
    mvlgamma_ = _by(pointwise.mvlgamma)
    nan_to_num_ = _by(pointwise.nan_to_num)
    rad2deg_ = _by(pointwise.rad2deg)
    sgn_ = _by(pointwise.sgn)
    sinc_ = _by(pointwise.sinc)
    tan_ = _by(pointwise.tan)
    xlogy_ = _by(pointwise.xlogy)

    eq_ = _by(comparison.eq)
    ne_ = not_equal_ = _by(comparison.ne)
    lt_ = less_ = _by(comparison.lt)
    le_ = less_equal_ = _by(comparison.le)
    gt_ = greater_ = _by(comparison.gt)
    ge_ = greater_equal_ = _by(comparison.ge)
    logical_and_ = _by(comparison.logical_and)
    logical_or_ = _by(comparison.logical_or)
    logical_xor_ = _by(comparison.logical_xor)
    logical_not_ = _by(comparison.logical_not)
    bitwise_and_ = _by(comparison.bitwise_and)
    bitwise_or_ = _by(comparison.bitwise_or)
    bitwise_xor_ = _by(comparison.bitwise_xor)
    bitwise_not_ = _by(comparison.bitwise_not)
    bitwise_left_shift_ = _by(comparison.bitwise_left_shift)
    bitwise_right_shift_ = _by(comparison.bitwise_right_shift)

    cumsum_ = _by(scans.cumsum)
    cumprod_ = _by(scans.cumprod)
    renorm_ = _by(reduction.renorm)
    addmm_ = _by(reduction.addmm)
    addmv_ = _by(products.addmv)
    addr_ = _by(products.addr)
    addbmm_ = _by(products.addbmm)
    baddbmm_ = _by(products.baddbmm)

    put_ = _by(indexing.put)
    masked_scatter_ = _by(indexing.masked_scatter)
    scatter_reduce_ = _by(indexing.scatter_reduce)
    index_reduce_ = _by(indexing.index_reduce)

    def index_put_(self: Any, indices: Any, values: Any, accumulate: bool = False) -> Tensor:
        """`index_put` in place."""
        indexing.check_values("index_put_", self, values)
        _C.index_put_(self, tuple(indices), values, accumulate)
        return self  # type: ignore[no-any-return]

    def polygamma_(self: Any, n: int) -> Tensor:
        """`polygamma` in place."""
        return _assigned("polygamma_", self, pointwise.polygamma(n, _kept(self)))

    # Other shapes of the same memory.

    squeeze_ = _shown(shaping.squeeze, "squeeze_")
    unsqueeze_ = _shown(shaping.unsqueeze, "unsqueeze_")
    t_ = _shown(shaping.t, "t_")
    transpose_ = _shown(shaping.transpose, "transpose_")
    swapaxes_ = _shown(shaping.swapaxes, "swapaxes_")
    swapdims_ = _shown(shaping.transpose, "swapdims_")

    # Draws.

    def exponential_(self: Any, lambd: float = 1.0, *, generator: Generator | None = None) -> Tensor:
        """Fills with waiting times of the rate `lambd`, none of which is 0."""
        if not lambd > 0:
            raise RuntimeError(f"exponential_: lambd must be positive, got {lambd}")
        rest = _rest("exponential_", self, generator)
        return _C.copy_(self, _C.div(_C.neg(_C.log(rest)), float(lambd)))

    def geometric_(self: Any, p: float, *, generator: Generator | None = None) -> Tensor:
        """Fills with the number of draws up to the first success of probability `p`, 1 at least."""
        if not 0 < p < 1:
            raise RuntimeError(f"geometric_: p must lie between 0 and 1, got {p}")
        rest = _rest("geometric_", self, generator)
        return _C.copy_(self, _C.ceil(_C.div(_C.log(rest), math.log1p(-p))))

    def log_normal_(
        self: Any, mean: float = 1.0, std: float = 2.0, *, generator: Generator | None = None
    ) -> Tensor:
        """Fills with numbers whose logarithms are normal, of this mean and standard deviation."""
        return _C.exp_(self.normal_(mean, std, generator=generator))

    def cauchy_(
        self: Any, median: float = 0.0, sigma: float = 1.0, *, generator: Generator | None = None
    ) -> Tensor:
        """Fills with numbers of a Cauchy distribution."""
        if not sigma > 0:
            raise RuntimeError(f"cauchy_: sigma must be positive, got {sigma}")
        angle = _C.mul(_C.sub(_rest("cauchy_", self, generator), 0.5), math.pi)
        return _C.copy_(self, _C.add(_C.mul(pointwise.tan(angle), float(sigma)), float(median)))
