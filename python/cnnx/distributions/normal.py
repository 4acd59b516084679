"""The normal distribution."""

from __future__ import annotations

import math
from typing import ClassVar

import cnnx
from cnnx.distributions.distribution import Distribution, Sizes, broadcast
from cnnx.tensor import Tensor


class Normal(Distribution):
    """Numbers with the density exp(-((x - loc) / scale)^2 / 2) / (scale sqrt(2 pi)).

    Parameters
    ----------
    loc : Tensor or float
        The mean.
    scale : Tensor or float
        The standard deviation, above 0; the two are broadcast.
    validate_args : bool, optional
        Default: True.

    Raises
    ------
    ValueError
        If a scale is not above 0, or `loc` not a number.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx.distributions import Normal
    >>> standard = Normal(0.0, 1.0)
    >>> round(standard.log_prob(cnnx.tensor(0.0)).item(), 4), round(standard.entropy().item(), 4)
    (-0.9189, 1.4189)
    """

    has_rsample: ClassVar[bool] = True

    def __init__(self, loc: Tensor | float, scale: Tensor | float, validate_args: bool | None = None) -> None:
        self.loc, self.scale = broadcast(loc, scale)
        super().__init__(self.loc.shape, (), validate_args)
        self._require(self.scale > 0, "scale must be above 0")
        self._require(self.loc == self.loc, "loc must be a number, not nan")

    @property
    def mean(self) -> Tensor:
        """`loc`."""
        return self.loc

    @property
    def mode(self) -> Tensor:
        """`loc`."""
        return self.loc

    @property
    def stddev(self) -> Tensor:
        """`scale`."""
        return self.scale

    @property
    def variance(self) -> Tensor:
        """`scale` squared."""
        return self.scale * self.scale

    def rsample(self, sample_shape: Sizes = ()) -> Tensor:
        """``loc + scale * eps`` of standard normal numbers eps."""
        shape = self._extended(sample_shape)
        return self.loc + self.scale * cnnx.randn(*shape, dtype=self.loc.dtype, device=self.loc.device)

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        self._require(value == value, "values must be numbers, not nan")
        z = (value - self.loc) / self.scale
        return -0.5 * z * z - self.scale.log() - 0.5 * math.log(2 * math.pi)

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of a number up to `value`."""
        self._require(value == value, "values must be numbers, not nan")
        return 0.5 * (1 + ((value - self.loc) / (self.scale * math.sqrt(2))).erf())

    def icdf(self, value: Tensor) -> Tensor:
        """The number up to which the probability is `value`."""
        self._require((value >= 0) & (value <= 1), "probabilities are within [0, 1]")
        return self.loc + self.scale * (2 * value - 1).erfinv() * math.sqrt(2)

    def entropy(self) -> Tensor:
        """1/2 + log(2 pi) / 2 + log scale."""
        return 0.5 + 0.5 * math.log(2 * math.pi) + self.scale.log()
