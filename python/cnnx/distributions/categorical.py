"""The categorical distribution."""

from __future__ import annotations

from typing import Any

import cnnx
from cnnx.distributions.distribution import Distribution, Sizes, inside, logits_or_probs
from cnnx.tensor import Tensor


class Categorical(Distribution):
    """Class indices, with one probability each.

    Parameters
    ----------
    probs : Tensor, optional
        Weights (..., C), 0 or more; they are divided by their sum.
    logits : Tensor, optional
        Logarithms of weights instead.
    validate_args : bool, optional
        Default: True.

    Raises
    ------
    ValueError
        If both or none is given, there is no class, or weights are negative or all 0.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx.distributions import Categorical
    >>> die = Categorical(probs=cnnx.ones(6))
    >>> round(die.perplexity().item(), 4), round(die.log_prob(cnnx.tensor(2)).exp().item(), 4)
    (6.0, 0.1667)
    """

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        given, self._is_probs = logits_or_probs("Categorical", probs, logits)
        if given.ndim < 1 or given.shape[-1] < 1:
            raise ValueError(f"Categorical: needs weights (..., C), got shape {tuple(given.shape)}")
        super().__init__(given.shape[:-1], (), validate_args)
        if self._is_probs:
            self._require((given >= 0) & (given.sum(-1, keepdim=True) > 0), "weights are negative or all 0")
            self._given = given / given.sum(-1, keepdim=True)
        else:
            self._require(given == given, "a logit is nan")
            self._given = given - given.logsumexp(-1, keepdim=True)

    @property
    def probs(self) -> Tensor:
        """The probabilities of the classes."""
        return self._given if self._is_probs else self._given.softmax(-1)

    @property
    def logits(self) -> Tensor:
        """Their logarithms; probabilities of 0 and 1 are taken as one rounding error away from there."""
        if not self._is_probs:
            return self._given
        return inside(self._given).log()

    @property
    def mode(self) -> Tensor:
        """The likeliest class."""
        return self._given.argmax(-1)

    def sample(self, sample_shape: Sizes = ()) -> Tensor:
        """Class indices, int64."""
        with cnnx.no_grad():
            rows = self.probs.reshape(-1, self._given.shape[-1])
            count = 1
            for extent in sample_shape:
                count *= extent
            drawn = cnnx.multinomial(rows, count, replacement=True)
            return drawn.transpose(0, 1).reshape(self._extended(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the probability of class indices."""
        classes = self._given.shape[-1]
        self._require((value >= 0) & (value < classes), f"values are indices of {classes} classes")
        index = value.long().unsqueeze(-1)
        shape = cnnx.broadcast_shapes(index.shape[:-1], self._batch_shape)
        return self.logits.expand(*shape, classes).gather(-1, index.expand(*shape, 1)).squeeze(-1)

    def entropy(self) -> Tensor:
        """The sum of -p log p."""
        least = cnnx.finfo(self._given.dtype).min
        return -(self.logits.clamp(min=least) * self.probs).sum(-1)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All indices."""
        return self._enumerated(self._given.shape[-1], self._given, expand).long()
