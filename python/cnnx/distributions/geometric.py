"""The geometric distribution."""

from __future__ import annotations

from typing import Any

import cnnx
import cnnx.nn.functional as F
from cnnx.distributions.distribution import Sizes
from cnnx.distributions.odds import Odds
from cnnx.tensor import Tensor


class Geometric(Odds):
    """How often it fails before it first succeeds: k with the probability (1 - p)^k p.

    Parameters
    ----------
    probs : Tensor or float, optional
        The probability of success, above 0.
    logits : Tensor or float, optional
        log(p / (1 - p)) instead.
    validate_args : bool, optional
        Default: True.

    Raises
    ------
    ValueError
        If both or none is given, a probability is outside (0, 1], or a logit is nan.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx.distributions import Geometric
    >>> Geometric(probs=0.25).mean.item()
    3.0
    """

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        super().__init__(probs, logits, validate_args)
        if self._is_probs:
            self._require((self._given > 0) & (self._given <= 1), "probs must be within (0, 1]")

    @property
    def mean(self) -> Tensor:
        """1 / p - 1."""
        return 1 / self.probs - 1

    @property
    def mode(self) -> Tensor:
        """0."""
        return cnnx.zeros_like(self.probs)

    @property
    def variance(self) -> Tensor:
        """(1 / p - 1) / p."""
        return (1 / self.probs - 1) / self.probs

    def sample(self, sample_shape: Sizes = ()) -> Tensor:
        """Whole numbers of the parameters' dtype."""
        with cnnx.no_grad():
            probs = self.probs
            drawn = 1 - cnnx.rand(*self._extended(sample_shape), dtype=probs.dtype, device=probs.device)
            return (drawn.log() / (-probs).log1p()).floor().abs()  # no -0

    def log_prob(self, value: Tensor) -> Tensor:
        """K log(1 - p) + log p."""
        self._require((value >= 0) & (value == value.floor()), "values are whole numbers, not below 0")
        given, value = cnnx.broadcast_tensors(self._given, value)
        certain = (given == (1.0 if self._is_probs else float("inf"))) & (value == 0)
        failing = given.masked_fill(certain, 0.0)  # 0 times infinity is 0
        if self._is_probs:
            return value * (-failing).log1p() + given.log()
        return value * F.logsigmoid(-failing) + F.logsigmoid(given)

    def entropy(self) -> Tensor:
        """That of one attempt, divided by p."""
        return F.binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none") / self.probs
