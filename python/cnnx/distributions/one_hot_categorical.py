"""The categorical distribution, of vectors."""

from __future__ import annotations

from typing import Any

import cnnx
import cnnx.nn.functional as F
from cnnx.distributions.categorical import Categorical
from cnnx.distributions.distribution import Distribution, Sizes
from cnnx.tensor import Tensor


class OneHotCategorical(Distribution):
    """Vectors with a 1 at the place of the class, else 0; see `Categorical`.

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
    >>> from cnnx.distributions import OneHotCategorical
    >>> die = OneHotCategorical(probs=cnnx.ones(6))
    >>> die.sample().sum().item(), die.event_shape
    (1.0, cnnx.Size([6]))
    """

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        self._categorical = Categorical(probs, logits, validate_args)
        shape = self._categorical._given.shape
        super().__init__(shape[:-1], shape[-1:], validate_args)

    @property
    def probs(self) -> Tensor:
        """The probabilities of the classes."""
        return self._categorical.probs

    @property
    def logits(self) -> Tensor:
        """Their logarithms."""
        return self._categorical.logits

    @property
    def mean(self) -> Tensor:
        """`probs`."""
        return self.probs

    @property
    def mode(self) -> Tensor:
        """The vector of the likeliest class."""
        return self._vectors(self._categorical.mode)

    @property
    def variance(self) -> Tensor:
        """The product p (1 - p) of each place."""
        return self.probs * (1 - self.probs)

    def _vectors(self, indices: Tensor) -> Tensor:
        return F.one_hot(indices, self._event_shape[-1]).to(self.probs.dtype)

    def sample(self, sample_shape: Sizes = ()) -> Tensor:
        """Vectors of the parameters' dtype."""
        with cnnx.no_grad():
            return self._vectors(self._categorical.sample(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the probability of vectors."""
        is_one_hot = (((value == 0) | (value == 1)).all(-1)) & (value.sum(-1) == 1)
        self._require(is_one_hot, "values are vectors with a single 1, else 0")
        return self._categorical.log_prob(value.argmax(-1))

    def entropy(self) -> Tensor:
        """The sum of -p log p."""
        return self._categorical.entropy()

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """The vectors of all classes."""
        return self._vectors(self._categorical.enumerate_support(expand))
