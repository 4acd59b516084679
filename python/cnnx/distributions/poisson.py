"""The Poisson distribution."""

from __future__ import annotations

import cnnx
from cnnx.distributions.distribution import Distribution, Sizes, as_parameter
from cnnx.distributions.draws import poisson
from cnnx.tensor import Tensor


class Poisson(Distribution):
    """How many events there are: k with the probability rate^k exp(-rate) / k!.

    Parameters
    ----------
    rate : Tensor or float
        How many there are on average, not below 0.
    validate_args : bool, optional
        Default: True.

    Raises
    ------
    ValueError
        If a rate is below 0.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx.distributions import Poisson
    >>> round(Poisson(2.0).log_prob(cnnx.tensor(0.0)).item(), 4)
    -2.0
    """

    def __init__(self, rate: Tensor | float, validate_args: bool | None = None) -> None:
        self.rate = as_parameter(rate)
        super().__init__(self.rate.shape, (), validate_args)
        self._require(self.rate >= 0, "rate must not be below 0")

    @property
    def mean(self) -> Tensor:
        """`rate`."""
        return self.rate

    @property
    def mode(self) -> Tensor:
        """`rate`, rounded down."""
        return self.rate.floor()

    @property
    def variance(self) -> Tensor:
        """`rate`."""
        return self.rate

    def sample(self, sample_shape: Sizes = ()) -> Tensor:
        """Whole numbers of the rate's dtype."""
        with cnnx.no_grad():
            return poisson(self.rate.expand(*self._extended(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of rate^k exp(-rate) / k!."""
        self._require((value >= 0) & (value == value.floor()), "values are whole numbers, not below 0")
        return cnnx.xlogy(value, self.rate) - self.rate - (value + 1).lgamma()
