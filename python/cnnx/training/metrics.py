"""How good outputs are: functions of a batch's outputs and targets.

A metric returns a tensor with one value for each sample, or a single number that is the batch's mean.
"""

from __future__ import annotations

from collections.abc import Callable

from cnnx.signatures import checked
from cnnx.tensor import Tensor

Metric = Callable[[Tensor, Tensor], "Tensor | float"]


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
