"""The Bernoulli distribution."""

from __future__ import annotations

from typing import Any

import cnnx
import cnnx.nn.functional as F
from cnnx.distributions.distribution import Sizes
from cnnx.distributions.odds import Odds
from cnnx.tensor import Tensor


class Bernoulli(Odds):
    """1 with a probability, else 0.

    Parameters
    ----------
    probs : Tensor or float, optional
        The probability of a 1.
    logits : Tensor or float, optional
        log(p / (1 - p)) instead.
    validate_args : bool, optional
        Default: True.

    Raises
    ------
    ValueError
        If both or none is given, a probability is outside [0, 1], or a logit is nan.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx.distributions import Bernoulli
    >>> coin = Bernoulli(probs=0.5)
    >>> round(coin.entropy().item(), 4), coin.sample((3,)).shape
    (0.6931, cnnx.Size([3]))
    """

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        super().__init__(probs, logits, validate_args)
        if self._is_probs:
            self._require((self._given >= 0) & (self._given <= 1), "probs must be within [0, 1]")

    @property
    def mean(self) -> Tensor:
        """`probs`."""
        return self.probs

    @property
    def variance(self) -> Tensor:
        """P (1 - p)."""
        return self.probs * (1 - self.probs)

    def sample(self, sample_shape: Sizes = ()) -> Tensor:
        """Zeros and ones of the parameters' dtype."""
        with cnnx.no_grad():
            return cnnx.bernoulli(self.probs.expand(*self._extended(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the probability of 0 or 1."""
        self._require((value == 0) | (value == 1), "values are 0 or 1")
        logits, value = cnnx.broadcast_tensors(self.logits, value.to(self._given.dtype))
        return -F.binary_cross_entropy_with_logits(logits, value, reduction="none")

    def entropy(self) -> Tensor:
        """-p log p - (1 - p) log(1 - p)."""
        return F.binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none")

    @property
    def mode(self) -> Tensor:
        """The likelier value; nan where both are."""
        return (self.probs >= 0.5).to(self.probs.dtype).masked_fill(self.probs == 0.5, float("nan"))

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """0 and 1."""
        return self._enumerated(2, self._given, expand)
