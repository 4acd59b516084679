"""What distributions with a probability, or its logarithmic odds, share."""

from __future__ import annotations

from typing import Any

from cnnx.distributions.distribution import Distribution, inside, logits_or_probs
from cnnx.tensor import Tensor


class Odds(Distribution):
    """A distribution of a probability, given as itself or as log(p / (1 - p))."""

    def __init__(self, probs: Any, logits: Any, validate_args: bool | None) -> None:
        self._given, self._is_probs = logits_or_probs(type(self).__name__, probs, logits)
        super().__init__(self._given.shape, (), validate_args)
        if not self._is_probs:
            self._require(self._given == self._given, "logits must be numbers, not nan")

    @property
    def probs(self) -> Tensor:
        """The probabilities."""
        return self._given if self._is_probs else self._given.sigmoid()

    @property
    def logits(self) -> Tensor:
        """Their logarithmic odds; probabilities of 0 and 1 are taken as a rounding error away from there."""
        if not self._is_probs:
            return self._given
        probs = inside(self._given)
        return probs.log() - (-probs).log1p()
