"""Kullback-Leibler divergences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cnnx
import cnnx.nn.functional as F
from cnnx.distributions.bernoulli import Bernoulli
from cnnx.distributions.categorical import Categorical
from cnnx.distributions.distribution import Distribution
from cnnx.distributions.normal import Normal
from cnnx.tensor import Tensor

Divergence = Callable[[Any, Any], Tensor]
_KNOWN: dict[tuple[type[Distribution], type[Distribution]], Divergence] = {}


def register_kl(p: type[Distribution], q: type[Distribution]) -> Callable[[Divergence], Divergence]:
    """A decorator: the function computes the divergence of these two classes and of their subclasses."""

    def known(function: Divergence) -> Divergence:
        _KNOWN[p, q] = function
        return function

    return known


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """The expected value of log(p / q) under p, of the shape of the batches.

    Raises
    ------
    NotImplementedError
        If it is not known for these two; `register_kl` teaches it.

    Examples
    --------
    >>> from cnnx.distributions import Normal, kl_divergence
    >>> kl_divergence(Normal(1.0, 1.0), Normal(0.0, 1.0)).item()
    0.5
    """
    for first in type(p).__mro__:
        for second in type(q).__mro__:
            if (first, second) in _KNOWN:
                return _KNOWN[first, second](p, q)
    raise NotImplementedError(f"kl_divergence: not known of {type(p).__name__} and {type(q).__name__}")


@register_kl(Normal, Normal)
def _normals(p: Normal, q: Normal) -> Tensor:
    ratio = (p.scale / q.scale) ** 2
    apart = ((p.loc - q.loc) / q.scale) ** 2
    return 0.5 * ((ratio + apart) - 1 - ratio.log())


@register_kl(Bernoulli, Bernoulli)
def _bernoullis(p: Bernoulli, q: Bernoulli) -> Tensor:
    # log p and log(1 - p) are -softplus(-logit) and -softplus(logit). A probability that is 0 counts nothing.
    def term(probability: Tensor, sign: int) -> Tensor:
        log_ratio = F.softplus(sign * q.logits, threshold=88.0) - F.softplus(sign * p.logits, threshold=88.0)
        counted: Tensor = cnnx.where(probability > 0, probability * log_ratio, cnnx.zeros_like(log_ratio))
        return counted

    return term(p.probs, -1) + term(1 - p.probs, 1)


@register_kl(Categorical, Categorical)
def _categoricals(p: Categorical, q: Categorical) -> Tensor:
    parts = p.probs * (p.logits - q.logits)
    counted: Tensor = cnnx.where(p.probs > 0, parts, cnnx.zeros_like(parts))
    return counted.sum(-1)
