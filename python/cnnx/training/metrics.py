"""How good outputs are: functions of a batch's outputs and targets.

A metric returns a tensor with one value for each sample, or a single number that is the batch's mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from cnnx.signatures import checked
from cnnx.tensor import Tensor

Metric = Callable[[Tensor, Tensor], "Tensor | float"]


class Share(NamedTuple):
    """How many of so many samples: an accuracy, with its standard error.

    The error is that of a binomial share whose estimate counts one hit and one miss more (Laplace), so that a
    share of 1 has one too. Text of it is in percent.

    Examples
    --------
    >>> print(Share(9794, 10_000))
    97.94 ± 0.14 %
    >>> print(Share(18, 18))
    100.00 ± 5.14 %
    """

    hits: int
    total: int

    @property
    def value(self) -> float:
        """From 0 to 1."""
        return self.hits / self.total

    @property
    def error(self) -> float:
        """Of one standard deviation."""
        share = (self.hits + 1) / (self.total + 2)
        return math.sqrt(share * (1 - share) / self.total)

    def __str__(self) -> str:
        return f"{100 * self.value:.2f} ± {100 * self.error:.2f} %"


@checked
def accuracy(output: Tensor, target: Tensor) -> Tensor:
    """Whether the largest score is that of the true class.

    Parameters
    ----------
    output
        Scores (N, C), logits or probabilities; or (N, C, …) with a class for each position.
    target
        Classes (N,), or (N, …).

    Returns
    -------
    Tensor
        bool, of the shape of `target`.

    Examples
    --------
    >>> import cnnx
    >>> accuracy(cnnx.tensor([[0.1, 0.9], [0.8, 0.2]]), cnnx.tensor([1, 1]))
    tensor([ True, False])
    """
    hits: Tensor = output.argmax(1) == target
    return hits


def top_k_accuracy(k: int) -> Metric:
    """A metric: whether the true class is among the `k` largest scores.

    Parameters
    ----------
    k
        From 1 on.

    Returns
    -------
    callable
        Of scores (N, C) and classes (N,); gives bool (N,).

    Examples
    --------
    >>> import cnnx
    >>> top_k_accuracy(2)(cnnx.tensor([[0.1, 0.6, 0.3]]), cnnx.tensor([2]))
    tensor([True])
    """
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise ValueError(f"top_k_accuracy: k must be a positive whole number, got {k!r}")

    def top(output: Tensor, target: Tensor) -> Tensor:
        hits: Tensor = (output.topk(k, 1)[1] == target.unsqueeze(1)).any(1)
        return hits

    top.__name__ = f"top_{k}_accuracy"
    return top
