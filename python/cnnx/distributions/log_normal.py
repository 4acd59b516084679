"""The log-normal distribution."""

from __future__ import annotations

from typing import ClassVar

from cnnx.distributions.distribution import Distribution, Sizes
from cnnx.distributions.normal import Normal
from cnnx.tensor import Tensor


class LogNormal(Distribution):
    """Numbers whose logarithms are normal.

    Parameters
    ----------
    loc : Tensor or float
        The mean of the logarithms.
    scale : Tensor or float
        Their standard deviation, above 0; the two are broadcast.
    validate_args : bool, optional
        Default: True.

    Raises
    ------
    ValueError
        If a scale is not above 0.

    Examples
    --------
    >>> from cnnx.distributions import LogNormal
    >>> round(LogNormal(0.0, 1.0).mean.item(), 4)
    1.6487
    """

    has_rsample: ClassVar[bool] = True

    def __init__(self, loc: Tensor | float, scale: Tensor | float, validate_args: bool | None = None) -> None:
        self.base_dist = Normal(loc, scale, validate_args)
        super().__init__(self.base_dist.batch_shape, (), validate_args)

    @property
    def loc(self) -> Tensor:
        """The mean of the logarithms."""
        return self.base_dist.loc

    @property
    def scale(self) -> Tensor:
        """Their standard deviation."""
        return self.base_dist.scale

    @property
    def mean(self) -> Tensor:
        """exp(loc + scale^2 / 2)."""
        return (self.loc + self.scale**2 / 2).exp()

    @property
    def mode(self) -> Tensor:
        """exp(loc - scale^2)."""
        return (self.loc - self.scale**2).exp()

    @property
    def variance(self) -> Tensor:
        """(exp(scale^2) - 1) exp(2 loc + scale^2)."""
        squared = self.scale**2
        return squared.expm1() * (2 * self.loc + squared).exp()

    def rsample(self, sample_shape: Sizes = ()) -> Tensor:
        """The exponentials of normal numbers."""
        return self.base_dist.rsample(sample_shape).exp()

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        self._require(value > 0, "values are above 0")
        return self.base_dist.log_prob(value.log()) - value.log()

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of a number up to `value`."""
        self._require(value >= 0, "values are not below 0")
        return self.base_dist.cdf(value.log())

    def icdf(self, value: Tensor) -> Tensor:
        """The number up to which the probability is `value`."""
        return self.base_dist.icdf(value).exp()

    def entropy(self) -> Tensor:
        """That of the logarithms, plus `loc`."""
        return self.base_dist.entropy() + self.loc
