"""The Laplace distribution."""

from __future__ import annotations

import math
from typing import ClassVar

import cnnx
from cnnx.distributions.distribution import Distribution, Sizes, broadcast
from cnnx.tensor import Tensor


class Laplace(Distribution):
    """Numbers with the density exp(-|x - loc| / scale) / (2 scale).

    Parameters
    ----------
    loc : Tensor or float
        The mean.
    scale : Tensor or float
        The mean distance from there, above 0; the two are broadcast.
    validate_args : bool, optional
        Default: True.

    Raises
    ------
    ValueError
        If a scale is not above 0, or a mean is nan.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx.distributions import Laplace
    >>> round(Laplace(0.0, 1.0).log_prob(cnnx.tensor(0.0)).item(), 4)
    -0.6931
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
        """The square root of 2, times `scale`."""
        return math.sqrt(2) * self.scale

    @property
    def variance(self) -> Tensor:
        """2 scale^2."""
        return 2 * self.scale * self.scale

    def rsample(self, sample_shape: Sizes = ()) -> Tensor:
        """``loc`` plus or minus ``scale`` times draws at rate 1."""
        drawn = cnnx.rand(*self._extended(sample_shape), dtype=self.loc.dtype, device=self.loc.device)
        sided = 2 * drawn - 1  # within [-1, 1)
        away = (1 - sided.abs()).clamp(min=cnnx.finfo(self.loc.dtype).tiny).log()
        return self.loc - self.scale * sided.sign() * away

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        self._require(value == value, "values must be numbers, not nan")
        return -(2 * self.scale).log() - (value - self.loc).abs() / self.scale

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of a number up to `value`."""
        self._require(value == value, "values must be numbers, not nan")
        apart = value - self.loc
        return 0.5 - 0.5 * apart.sign() * (-apart.abs() / self.scale).expm1()

    def icdf(self, value: Tensor) -> Tensor:
        """The number up to which the probability is `value`."""
        sided = value - 0.5
        return self.loc - self.scale * sided.sign() * (-2 * sided.abs()).log1p()

    def entropy(self) -> Tensor:
        """1 + log(2 scale)."""
        return 1 + (2 * self.scale).log()
