"""The beta distribution."""

from __future__ import annotations

import cnnx
from cnnx.distributions.distribution import Distribution, Sizes, broadcast
from cnnx.distributions.draws import log_gamma
from cnnx.tensor import Tensor


class Beta(Distribution):
    """Numbers within [0, 1] with a density in proportion to x^(a - 1) (1 - x)^(b - 1).

    Draws pass no gradients to the parameters: `rsample` is not there.

    Parameters
    ----------
    concentration1, concentration0 : Tensor or float
        The parameters a and b, above 0; the two are broadcast.
    validate_args : bool, optional
        Default: True.

    Raises
    ------
    ValueError
        If a parameter is not above 0.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx.distributions import Beta
    >>> Beta(1.0, 3.0).mean.item()
    0.25
    """

    def __init__(
        self,
        concentration1: Tensor | float,
        concentration0: Tensor | float,
        validate_args: bool | None = None,
    ) -> None:
        self.concentration1, self.concentration0 = broadcast(concentration1, concentration0)
        super().__init__(self.concentration1.shape, (), validate_args)
        self._require((self.concentration1 > 0) & (self.concentration0 > 0), "concentrations must be above 0")

    @property
    def mean(self) -> Tensor:
        """The share a / (a + b)."""
        return self.concentration1 / (self.concentration1 + self.concentration0)

    @property
    def mode(self) -> Tensor:
        """(a - 1) / (a + b - 2), within [0, 1]; 1 where both are below 1."""
        above1, above0 = (self.concentration1 - 1).clamp(min=0), (self.concentration0 - 1).clamp(min=0)
        both = (self.concentration1 < 1) & (self.concentration0 < 1)
        return (above1 / (above1 + above0)).masked_fill(both, 1.0)

    @property
    def variance(self) -> Tensor:
        """The product a b / ((a + b)^2 (a + b + 1))."""
        total = self.concentration1 + self.concentration0
        return self.concentration1 * self.concentration0 / (total**2 * (total + 1))

    def sample(self, sample_shape: Sizes = ()) -> Tensor:
        """Numbers within [0, 1], without history."""
        with cnnx.no_grad():
            shape = self._extended(sample_shape)
            one, zero = (log_gamma(c.expand(*shape)) for c in (self.concentration1, self.concentration0))
            return (one - zero).sigmoid().to(self.concentration1.dtype)

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        self._require((value >= 0) & (value <= 1), "values are within [0, 1]")
        return (
            cnnx.xlogy(self.concentration1 - 1, value)
            + cnnx.xlogy(self.concentration0 - 1, 1 - value)
            - self._log_beta()
        )

    def entropy(self) -> Tensor:
        """In nats."""
        a, b = self.concentration1, self.concentration0
        rest = (a + b - 2) * (a + b).digamma()
        return self._log_beta() - (a - 1) * a.digamma() - (b - 1) * b.digamma() + rest

    def _log_beta(self) -> Tensor:
        a, b = self.concentration1, self.concentration0
        return a.lgamma() + b.lgamma() - (a + b).lgamma()
