"""The exponential distribution."""

from __future__ import annotations

from typing import ClassVar

import cnnx
from cnnx.distributions.distribution import Distribution, Sizes, as_parameter
from cnnx.tensor import Tensor


class Exponential(Distribution):
    """Times between events that come at a rate: numbers with the density rate exp(-rate x).

    Parameters
    ----------
    rate : Tensor or float
        Above 0.
    validate_args : bool, optional
        Default: True.

    Raises
    ------
    ValueError
        If a rate is not above 0.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx.distributions import Exponential
    >>> waiting = Exponential(0.5)
    >>> waiting.mean.item(), round(waiting.cdf(cnnx.tensor(2.0)).item(), 4)
    (2.0, 0.6321)
    """

    has_rsample: ClassVar[bool] = True

    def __init__(self, rate: Tensor | float, validate_args: bool | None = None) -> None:
        self.rate = as_parameter(rate)
        super().__init__(self.rate.shape, (), validate_args)
        self._require(self.rate > 0, "rate must be above 0")

    @property
    def mean(self) -> Tensor:
        """1 / rate."""
        return 1 / self.rate

    @property
    def mode(self) -> Tensor:
        """0."""
        return cnnx.zeros_like(self.rate)

    @property
    def stddev(self) -> Tensor:
        """1 / rate."""
        return 1 / self.rate

    @property
    def variance(self) -> Tensor:
        """1 / rate^2."""
        return 1 / (self.rate * self.rate)

    def rsample(self, sample_shape: Sizes = ()) -> Tensor:
        """Of draws at rate 1."""
        drawn = cnnx.empty(*self._extended(sample_shape), dtype=self.rate.dtype, device=self.rate.device)
        return drawn.exponential_() / self.rate

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        self._require(value >= 0, "values are not below 0")
        return self.rate.log() - self.rate * value

    def cdf(self, value: Tensor) -> Tensor:
        """1 - exp(-rate x)."""
        self._require(value >= 0, "values are not below 0")
        return 1 - (-self.rate * value).exp()

    def icdf(self, value: Tensor) -> Tensor:
        """-log(1 - p) / rate."""
        return -(-value).log1p() / self.rate

    def entropy(self) -> Tensor:
        """1 - log rate."""
        return 1 - self.rate.log()
