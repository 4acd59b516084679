"""Special functions, under PyTorch's names of `torch.special`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from cnnx import _C, pointwise, unary
from cnnx.absent import names_of as _names_of
from cnnx.pointwise import logit, polygamma, round, sinc, xlogy
from cnnx.reduction import log_softmax, logsumexp, softmax
from cnnx.signatures import checked

if TYPE_CHECKING:
    from cnnx.tensor import Tensor

digamma = psi = unary.digamma
erf = unary.erf
erfc = unary.erfc
erfinv = unary.erfinv
exp2 = pointwise.exp2
expit = unary.sigmoid
expm1 = unary.expm1
gammaln = unary.lgamma
log1p = unary.log1p
multigammaln = pointwise.mvlgamma


@checked
def entr(input: Tensor) -> Tensor:
    """-x log(x), 0 at 0 and -inf below: the terms of an entropy."""
    return _C.where(_C.lt(input, 0), -math.inf, _C.neg(_C.xlogy(input, input)))


@checked
def ndtr(input: Tensor) -> Tensor:
    """The normal distribution function: half of ``erfc(-x / sqrt(2))``."""
    return _C.mul(_C.erfc(_C.mul(input, -math.sqrt(0.5))), 0.5)


@checked
def xlog1py(input: Any, other: Tensor) -> Tensor:
    """``input * log1p(other)``, 0 where the input is 0 and the other is no NaN."""
    product = _C.mul(input, _C.log1p(other))
    if not isinstance(input, _C.TensorBase):
        return _C.where(_C.isnan(other), product, 0.0) if input == 0 else product
    nothing = _C.logical_and(_C.eq(input, 0), _C.logical_not(_C.isnan(other)))
    return _C.where(nothing, 0.0, product)


__all__ = [
    "digamma", "entr", "erf", "erfc", "erfinv", "exp2", "expit", "expm1", "gammaln", "log1p", "log_softmax",
    "logit", "logsumexp", "multigammaln", "ndtr", "polygamma", "psi", "round", "sinc", "softmax", "xlog1py",
    "xlogy",
]  # fmt: skip

__getattr__ = _names_of(__name__)
