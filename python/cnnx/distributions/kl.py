"""Kullback-Leibler divergences."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import cnnx
import cnnx.nn.functional as F
from cnnx.distributions.bernoulli import Bernoulli
from cnnx.distributions.beta import Beta
from cnnx.distributions.binomial import Binomial
from cnnx.distributions.categorical import Categorical
from cnnx.distributions.distribution import Distribution
from cnnx.distributions.exponential import Exponential
from cnnx.distributions.gamma import Gamma
from cnnx.distributions.geometric import Geometric
from cnnx.distributions.independent import Independent
from cnnx.distributions.laplace import Laplace
from cnnx.distributions.log_normal import LogNormal
from cnnx.distributions.normal import Normal
from cnnx.distributions.one_hot_categorical import OneHotCategorical
from cnnx.distributions.poisson import Poisson
from cnnx.distributions.uniform import Uniform
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


def _or_infinite(known: Tensor, where_infinite: Tensor) -> Tensor:
    return known.masked_fill(where_infinite.expand(*known.shape), float("inf"))


@register_kl(Bernoulli, Bernoulli)
def _bernoullis(p: Bernoulli, q: Bernoulli) -> Tensor:
    # log p and log(1 - p) are -softplus(-logit) and -softplus(logit). A probability that is 0 counts nothing.
    def term(probability: Tensor, sign: int, excluded: float) -> Tensor:
        log_ratio = F.softplus(sign * q.logits, threshold=88.0) - F.softplus(sign * p.logits, threshold=88.0)
        parts = probability * log_ratio
        if q._is_probs:
            parts = _or_infinite(parts, q._given == excluded)
        counted: Tensor = cnnx.where(probability > 0, parts, cnnx.zeros_like(parts))
        return counted

    return term(p.probs, -1, 0.0) + term(1 - p.probs, 1, 1.0)


@register_kl(Categorical, Categorical)
def _categoricals(p: Categorical, q: Categorical) -> Tensor:
    parts = p.probs * (p.logits - q.logits)
    if q._is_probs:
        parts = _or_infinite(parts, q._given == 0)
    counted: Tensor = cnnx.where(p.probs > 0, parts, cnnx.zeros_like(parts))
    return counted.sum(-1)


@register_kl(OneHotCategorical, OneHotCategorical)
def _one_hot_categoricals(p: OneHotCategorical, q: OneHotCategorical) -> Tensor:
    return _categoricals(p._categorical, q._categorical)


@register_kl(Independent, Independent)
def _independents(p: Independent, q: Independent) -> Tensor:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError("kl_divergence: not known of Independent ones of different dimensions")
    return p.summed(kl_divergence(p.base_dist, q.base_dist))


@register_kl(LogNormal, LogNormal)
def _log_normals(p: LogNormal, q: LogNormal) -> Tensor:
    return _normals(p.base_dist, q.base_dist)


@register_kl(Uniform, Uniform)
def _uniforms(p: Uniform, q: Uniform) -> Tensor:
    ratio = (q.high - q.low) / (p.high - p.low)
    return _or_infinite(ratio.log(), (q.low > p.low) | (q.high < p.high))


@register_kl(Uniform, Normal)
def _uniform_normal(p: Uniform, q: Normal) -> Tensor:
    width = p.high - p.low
    apart = p.mean - q.loc
    return (math.sqrt(2 * math.pi) * q.scale / width).log() + (width**2 / 12 + apart**2) / (2 * q.scale**2)


@register_kl(Exponential, Exponential)
def _exponentials(p: Exponential, q: Exponential) -> Tensor:
    ratio = q.rate / p.rate
    return ratio - 1 - ratio.log()


@register_kl(Exponential, Gamma)
def _exponential_gamma(p: Exponential, q: Gamma) -> Tensor:
    ratio = q.rate / p.rate
    a = q.concentration
    return ratio - a * ratio.log() + a.lgamma() + (a - 1) * np.euler_gamma - 1


@register_kl(Gamma, Exponential)
def _gamma_exponential(p: Gamma, q: Exponential) -> Tensor:
    return q.rate * p.mean - q.rate.log() - p.entropy()


@register_kl(Gamma, Gamma)
def _gammas(p: Gamma, q: Gamma) -> Tensor:
    a, b = p.concentration, q.concentration
    shapes = b.lgamma() - a.lgamma() + (a - b) * a.digamma()
    return shapes + b * (p.rate / q.rate).log() + (q.rate - p.rate) * p.mean


@register_kl(Laplace, Laplace)
def _laplaces(p: Laplace, q: Laplace) -> Tensor:
    ratio = p.scale / q.scale
    apart = (p.loc - q.loc).abs()
    return apart / q.scale + ratio * (-apart / p.scale).exp() - 1 - ratio.log()


@register_kl(Beta, Beta)
def _betas(p: Beta, q: Beta) -> Tensor:
    ends = [(p.concentration1, q.concentration1), (p.concentration0, q.concentration0)]
    total, other = p.concentration1 + p.concentration0, q.concentration1 + q.concentration0
    result = q._log_beta() - p._log_beta() + (other - total) * total.digamma()
    for a, b in ends:
        result = result + (a - b) * a.digamma()
    return result


@register_kl(Geometric, Geometric)
def _geometrics(p: Geometric, q: Geometric) -> Tensor:
    return -p.entropy() - (-q.probs).log1p() / p.probs - q.logits


@register_kl(Poisson, Poisson)
def _poissons(p: Poisson, q: Poisson) -> Tensor:
    return p.rate * (p.rate.log() - q.rate.log()) - (p.rate - q.rate)


@register_kl(Binomial, Binomial)
def _binomials(p: Binomial, q: Binomial) -> Tensor:
    if bool((p.total_count < q.total_count).any()):
        raise NotImplementedError("kl_divergence: not known of a Binomial and one of more attempts")
    each = p.probs * (p.logits - q.logits) + (-p.probs).log1p() - (-q.probs).log1p()
    return _or_infinite(p.total_count * each, p.total_count > q.total_count)
