"""The uniform distribution."""

from __future__ import annotations

from typing import ClassVar

import cnnx
from cnnx.distributions.distribution import Distribution, Sizes, broadcast
from cnnx.tensor import Tensor


class Uniform(Distribution):
    """Numbers within [low, high), each as likely as any other.

    Parameters
    ----------
    low, high : Tensor or float
        The ends, broadcast.
    validate_args : bool, optional
        Default: True.

    Raises
    ------
    ValueError
        If `low` is not below `high`.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx.distributions import Uniform
    >>> Uniform(0.0, 4.0).cdf(cnnx.tensor([-1.0, 1.0, 5.0]))
    Traceback (most recent call last):
    ValueError: Uniform: values are within [low, high]
    >>> Uniform(0.0, 4.0, validate_args=False).cdf(cnnx.tensor([-1.0, 1.0, 5.0]))
    tensor([0.0000, 0.2500, 1.0000])
    """

    has_rsample: ClassVar[bool] = True

    def __init__(self, low: Tensor | float, high: Tensor | float, validate_args: bool | None = None) -> None:
        self.low, self.high = broadcast(low, high)
        super().__init__(self.low.shape, (), validate_args)
        self._require(self.low < self.high, "low must be below high")

    @property
    def mean(self) -> Tensor:
        """The middle."""
        return (self.low + self.high) / 2

    @property
    def mode(self) -> Tensor:
        """There is none: nan."""
        return self.high * float("nan")

    @property
    def variance(self) -> Tensor:
        """(high - low)^2 / 12."""
        return (self.high - self.low) ** 2 / 12

    def rsample(self, sample_shape: Sizes = ()) -> Tensor:
        """Of numbers within [0, 1)."""
        drawn = cnnx.rand(*self._extended(sample_shape), dtype=self.low.dtype, device=self.low.device)
        return self.low + drawn * (self.high - self.low)

    def _check(self, value: Tensor) -> None:
        self._require((value >= self.low) & (value <= self.high), "values are within [low, high]")

    def log_prob(self, value: Tensor) -> Tensor:
        """-log(high - low) within [low, high), else -inf."""
        self._check(value)
        inside = (value >= self.low) & (value < self.high)
        return inside.to(self.low.dtype).log() - (self.high - self.low).log()

    def cdf(self, value: Tensor) -> Tensor:
        """The part of the interval up to `value`."""
        self._check(value)
        return ((value - self.low) / (self.high - self.low)).clamp(min=0, max=1)

    def icdf(self, value: Tensor) -> Tensor:
        """The number up to which the probability is `value`."""
        return value * (self.high - self.low) + self.low

    def entropy(self) -> Tensor:
        """log(high - low)."""
        return (self.high - self.low).log()
