"""The gamma distribution."""

from __future__ import annotations

import cnnx
from cnnx.distributions.distribution import Distribution, Sizes, broadcast
from cnnx.distributions.draws import log_gamma
from cnnx.tensor import Tensor


class Gamma(Distribution):
    """Numbers with the density rate^a x^(a - 1) exp(-rate x) / gamma(a), where a is the concentration.

    Draws pass no gradients to the parameters (`rsample` is not there), nor is there a `cdf`.

    Parameters
    ----------
    concentration, rate : Tensor or float
        Above 0; the two are broadcast.
    validate_args : bool, optional
        Default: True.

    Raises
    ------
    ValueError
        If a parameter is not above 0.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx.distributions import Gamma
    >>> Gamma(3.0, 2.0).mean.item()
    1.5
    """

    def __init__(
        self, concentration: Tensor | float, rate: Tensor | float, validate_args: bool | None = None
    ) -> None:
        self.concentration, self.rate = broadcast(concentration, rate)
        super().__init__(self.rate.shape, (), validate_args)
        self._require((self.concentration > 0) & (self.rate > 0), "concentration and rate must be above 0")

    @property
    def mean(self) -> Tensor:
        """The ratio of concentration and rate."""
        return self.concentration / self.rate

    @property
    def mode(self) -> Tensor:
        """(concentration - 1) / rate, not below 0."""
        return ((self.concentration - 1) / self.rate).clamp(min=0)

    @property
    def variance(self) -> Tensor:
        """The mean, divided by the rate."""
        return self.concentration / (self.rate * self.rate)

    def sample(self, sample_shape: Sizes = ()) -> Tensor:
        """Numbers above 0, without history."""
        with cnnx.no_grad():
            dtype = self.rate.dtype
            drawn = log_gamma(self.concentration.expand(*self._extended(sample_shape)))
            drawn = (drawn - self.rate.double().log()).exp()
            return drawn.to(dtype).clamp(min=cnnx.finfo(dtype).tiny)

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        self._require(value >= 0, "values are not below 0")
        return (
            self.concentration * self.rate.log()
            + cnnx.xlogy(self.concentration - 1, value)
            - self.rate * value
            - self.concentration.lgamma()
        )

    def entropy(self) -> Tensor:
        """In nats: a - log rate + log gamma(a) + (1 - a) digamma(a)."""
        a = self.concentration
        return a - self.rate.log() + a.lgamma() + (1 - a) * a.digamma()
