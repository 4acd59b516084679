"""Methods of a tensor that are seldom used, as a base of the class Tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnnx import _C, composed, products
from cnnx.creation import eye

if TYPE_CHECKING:
    from cnnx.tensor import Tensor


class MoreMethods:
    """The functions of `composed`, and what asks about memory that cnnx does not have."""

    __slots__ = ()

    aminmax = composed.aminmax
    baddbmm = products.baddbmm
    corrcoef = composed.corrcoef
    cosh = composed.cosh
    cov = composed.cov
    deg2rad = composed.deg2rad
    diff = composed.diff
    exp2 = composed.exp2
    fliplr = composed.fliplr
    flipud = composed.flipud
    fmax = composed.fmax
    fmin = composed.fmin
    frac = composed.frac
    histc = composed.histc
    hypot = composed.hypot
    index_add = composed.index_add
    index_copy = composed.index_copy
    index_fill = composed.index_fill
    inner = products.inner
    kthvalue = composed.kthvalue
    logaddexp = composed.logaddexp
    logit = composed.logit
    median = composed.median
    multinomial = composed.multinomial
    nan_to_num = composed.nan_to_num
    nanmean = composed.nanmean
    nansum = composed.nansum
    quantile = composed.quantile
    rad2deg = composed.rad2deg
    repeat_interleave = composed.repeat_interleave
    rot90 = composed.rot90
    sgn = composed.sgn
    sinh = composed.sinh
    sum_to_size = composed.sum_to_size
    take = composed.take
    tan = composed.tan
    unfold = composed.unfold
    xlogy = composed.xlogy

    # In place, by name.

    def sin_(self: Any) -> Tensor:
        """Takes the sine."""
        return _C.sin_(self)

    def cos_(self: Any) -> Tensor:
        """Takes the cosine."""
        return _C.cos_(self)

    def sinh_(self: Any) -> Tensor:
        """Takes the hyperbolic sine."""
        return _C.sinh_(self)

    def cosh_(self: Any) -> Tensor:
        """Takes the hyperbolic cosine."""
        return _C.cosh_(self)

    def logit_(self: Any, eps: float | None = None) -> Tensor:
        """Takes log(x / (1 - x)); with `eps`, x is limited to [eps, 1 - eps] first."""
        return _C.logit_(self if eps is None else _C.clamp_(self, eps, 1 - eps))

    def log1p_(self: Any) -> Tensor:
        """Takes the log(1 + x)."""
        return _C.log1p_(self)

    def expm1_(self: Any) -> Tensor:
        """Takes the exp(x) - 1."""
        return _C.expm1_(self)

    def index_add_(self: Any, dim: int, index: Tensor, source: Tensor, *, alpha: Any = 1) -> Tensor:
        """`index_add` in place."""
        return _C.copy_(self, composed.index_add(self, dim, index, source, alpha=alpha))

    def index_copy_(self: Any, dim: int, index: Tensor, source: Tensor) -> Tensor:
        """`index_copy` in place."""
        return _C.copy_(self, composed.index_copy(self, dim, index, source))

    def index_fill_(self: Any, dim: int, index: Tensor, value: Any) -> Tensor:
        """`index_fill` in place."""
        return _C.copy_(self, composed.index_fill(self, dim, index, value))

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

    def pin_memory(self: Any, device: Any = None) -> Tensor:
        """A copy in pinned (page-locked) memory, which a GPU reads by itself.

        `to("cuda", non_blocking=True)` does not wait then. The tensor itself if it is pinned, or where there
        is no GPU.

        Raises
        ------
        RuntimeError
            If it is on a GPU.
        """
        if not _C.cuda_device_count():
            return self  # type: ignore[no-any-return]
        return _C.pin_memory(self)

    def is_pinned(self: Any, device: Any = None) -> bool:
        """Whether the memory is pinned."""
        return bool(_C.is_pinned(self))

    def is_complex(self) -> bool:
        """False: there are no complex numbers."""
        return False

    def is_nonzero(self: Any) -> bool:
        """Whether the single element differs from 0."""
        return bool(self)

    @property
    def is_sparse(self) -> bool:
        """False."""
        return False

    @property
    def is_mps(self) -> bool:
        """False."""
        return False

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise AttributeError(
            f"cnnx.Tensor has no {name!r}; it covers what small convolutional networks need, see "
            "dir(cnnx.Tensor)"
        )
