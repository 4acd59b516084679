"""Lengths and distances of vectors."""

from __future__ import annotations

from ... import _C
from ...tensor import Tensor


def normalize(input: Tensor, p: float = 2.0, dim: int | tuple[int, ...] = 1, eps: float = 1e-12) -> Tensor:
    """Input divided by its p-norm along `dim`, which is taken as `eps` at least."""
    length = _C.norm(input, float(p), [dim] if isinstance(dim, int) else list(dim), True)
    return _C.div(input, _C.clamp(length, eps, None))


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """The cosine of the angle between vectors along `dim`; lengths are taken as `eps` at least.

    Parameters
    ----------
    x1, x2 : Tensor
        Of shapes that broadcast.
    dim : int
        Default: 1.
    eps : float
        Default: 1e-8.
    """
    lengths = [_C.clamp(_C.norm(x, 2.0, [dim], True), eps, None) for x in (x1, x2)]
    return _C.sum(_C.mul(_C.div(x1, lengths[0]), _C.div(x2, lengths[1])), [dim], False)


def pairwise_distance(
    x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Tensor:
    """The p-norm of x1 - x2 + eps along the last dimension."""
    return _C.norm(_C.add(_C.sub(x1, x2), eps), float(p), [-1], keepdim)
