"""The binomial distribution."""

from __future__ import annotations

from typing import Any

import cnnx
from cnnx.distributions.distribution import Sizes, as_parameter
from cnnx.distributions.odds import Odds
from cnnx.tensor import Tensor


class Binomial(Odds):
    """How many of a number of attempts succeed.

    Parameters
    ----------
    total_count : int or Tensor
        The attempts n, not below 0. Default: 1.
    probs : Tensor or float, optional
        The probability p of success of each.
    logits : Tensor or float, optional
        log(p / (1 - p)) instead.
    validate_args : bool, optional
        Default: True.

    Raises
    ------
    ValueError
        If both or none of the two is given, or a parameter is out of range.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx.distributions import Binomial
    >>> Binomial(4, probs=0.5).log_prob(cnnx.arange(5.0)).exp()
    tensor([0.0625, 0.2500, 0.3750, 0.2500, 0.0625])
    """

    def __init__(
        self,
        total_count: Any = 1,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        super().__init__(probs, logits, validate_args)
        total = as_parameter(total_count, self._given).to(self._given.dtype)
        self.total_count, self._given = cnnx.broadcast_tensors(total, self._given)
        self._batch_shape = self._given.shape
        whole = (self.total_count >= 0) & (self.total_count % 1 == 0)  # inf % 1 is nan
        self._require(whole, "total_count must be a whole number, not below 0")
        if self._is_probs:
            self._require((self._given >= 0) & (self._given <= 1), "probs must be within [0, 1]")

    @property
    def mean(self) -> Tensor:
        """Attempts times probability."""
        return self.total_count * self.probs

    @property
    def mode(self) -> Tensor:
        """(n + 1) p, rounded down, not above n."""
        return cnnx.minimum(((self.total_count + 1) * self.probs).floor(), self.total_count)

    @property
    def variance(self) -> Tensor:
        """The product n p (1 - p)."""
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape: Sizes = ()) -> Tensor:
        """Whole numbers of the parameters' dtype; each attempt is drawn, so the time grows with them."""
        with cnnx.no_grad():
            shape = self._extended(sample_shape)
            probs, left = self.probs.expand(*shape), self.total_count.expand(*shape)
            count = cnnx.zeros(*shape, dtype=probs.dtype, device=probs.device)
            for _ in range(self._most()):
                drawn = cnnx.rand(*shape, dtype=probs.dtype, device=probs.device)
                count = count + ((drawn < probs) & (left > 0)).to(probs.dtype)
                left = left - 1
            return count

    def _most(self) -> int:
        return int(self.total_count.max().item()) if self.total_count.numel() else 0

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the probability of a number of successes."""
        n, logits = self.total_count, self.logits
        whole = (value >= 0) & (value <= n) & (value == value.floor())
        self._require(whole, "values are whole numbers from 0 to total_count")
        ways = (n + 1).lgamma() - (value + 1).lgamma() - (n - value + 1).lgamma()
        fails = logits.clamp(min=0) + (-logits.abs()).exp().log1p()  # -log(1 - p)
        return ways + value * logits - n * fails

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """0, 1, ..., n, if all places have the same n."""
        most = self._most()
        if bool((self.total_count != most).any()):
            raise NotImplementedError("Binomial: enumerate_support and entropy need one total_count")
        return self._enumerated(most + 1, self._given, expand)

    def entropy(self) -> Tensor:
        """The sum of -p log p over all numbers, if all places have the same n."""
        log_prob = self.log_prob(self.enumerate_support(False))
        return -(log_prob.exp() * log_prob).sum(0)
