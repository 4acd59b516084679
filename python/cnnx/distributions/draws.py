"""Draws by rejection: all elements are drawn until each has been accepted. In float64, without history."""

from __future__ import annotations

from collections.abc import Callable

import cnnx
from cnnx.tensor import Tensor

_Round = Callable[[Callable[[], Tensor]], tuple[Tensor, Tensor]]


def _accepted(given: Tensor, attempt: _Round) -> Tensor:
    """What an attempt accepts for each element of `given` that is finite; the others as they are."""
    result = given
    missing = given.isfinite()

    def uniform() -> Tensor:  # within (0, 1]
        return 1 - cnnx.rand(*given.shape, dtype=cnnx.float64, device=given.device)

    while bool(missing.any()):
        drawn, accepted = attempt(uniform)
        result = cnnx.where(missing & accepted, drawn, result)
        missing = missing & ~accepted
    return result


def log_gamma(concentration: Tensor) -> Tensor:
    """Logarithms of gamma draws at rate 1, so that those of small concentrations do not become 0.

    Marsaglia and Tsang, "A simple method for generating gamma variables", ACM TOMS 26 (2000); a concentration
    below 1 by way of one more than that. An infinite one gives inf, what is not above 0 nan.
    """
    alpha = concentration.detach().double()
    alpha = alpha.masked_fill(alpha <= 0, float("nan"))
    small = alpha < 1
    d = cnnx.where(small, alpha + 1, alpha) - 1 / 3

    def attempt(uniform: Callable[[], Tensor]) -> tuple[Tensor, Tensor]:
        x = cnnx.randn(*d.shape, dtype=cnnx.float64, device=d.device)
        v = (1 + x / (9 * d).sqrt()) ** 3
        log_v = v.clamp(min=1e-300).log()
        return d.log() + log_v, (v > 0) & (uniform().log() < 0.5 * x * x + d - d * v + d * log_v)

    drawn = _accepted(d, attempt)
    uniform = 1 - cnnx.rand(*d.shape, dtype=cnnx.float64, device=d.device)
    result: Tensor = cnnx.where(small, drawn + uniform.log() / alpha, drawn)
    return result


def poisson(rate: Tensor) -> Tensor:
    """Poisson draws of the rate's dtype.

    Below a rate of 10 by inversion, else by Hörmann, "The transformed rejection method for generating Poisson
    random variables", Insurance: Mathematics and Economics 12 (1993). An infinite rate gives inf, one
    below 0 nan.
    """
    mean = rate.detach().double()
    small = (mean >= 0) & (mean < 10)
    few, many = mean.masked_fill(~small, 0.0), mean.masked_fill(~(mean >= 10), float("nan"))
    share = cnnx.rand(*mean.shape, dtype=cnnx.float64, device=mean.device)
    term = (-few).exp()
    below, counts = term, cnnx.zeros_like(mean)
    for k in range(1, 100):  # of a rate of 10, the rest has a probability of 1e-60
        is_above = share > below
        if not bool(is_above.any()):
            break
        counts = counts + is_above.double()
        term = term * few / k
        below = below + term
    root = many.sqrt()
    b = 0.931 + 2.53 * root
    a = -0.059 + 0.02483 * b
    inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
    quick = 0.9277 - 3.6224 / (b - 2)

    def attempt(uniform: Callable[[], Tensor]) -> tuple[Tensor, Tensor]:
        u, v = uniform() - 0.5, uniform()
        edge = (0.5 - u.abs()).clamp(min=1e-300)
        k = ((2 * a / edge + b) * u + many + 0.43).floor()
        is_quick = (edge >= 0.07) & (v <= quick)
        is_out = (k < 0) | ((edge < 0.013) & (v > edge))
        bound = -many + k * many.log() - (k.clamp(min=0) + 1).lgamma()
        is_below = (v * inverse_alpha / (a / (edge * edge) + b)).log() <= bound
        return k, is_quick | (~is_out & is_below)

    large = _accepted(many, attempt)
    result: Tensor = cnnx.where(small, counts, large)
    return result.to(rate.dtype)
