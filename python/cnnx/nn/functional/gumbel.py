"""Draws of classes that pass gradients."""

from __future__ import annotations

import cnnx

from ... import _C
from ...signatures import checked
from ...tensor import Tensor


@checked
def gumbel_softmax(
    logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Tensor:
    """A draw of a class for each row as a smooth function of its logits.

    Parameters
    ----------
    logits : Tensor
        Logarithms of weights, of any shape.
    tau : float
        The temperature, above 0: the lower, the nearer is a draw to a single 1. Default: 1.
    hard : bool
        Gives a single 1 and zeros, with the gradient of the smooth draw. Default: False.
    eps : float
        For PyTorch's sake; not used there either.
    dim : int
        Which dimension the classes are. Default: -1.

    Raises
    ------
    ValueError
        If `tau` is not above 0.

    Notes
    -----
    Jang, Gu, Poole, "Categorical reparameterization with Gumbel-softmax" (2017).
    """
    if tau <= 0:
        raise ValueError(f"gumbel_softmax: tau must be above 0, got {tau}")
    noise = -(-cnnx.rand_like(logits).log()).log()  # -log of exponential numbers
    soft = _C.softmax((logits + noise) / tau, dim)
    if not hard:
        return soft
    index = soft.detach().argmax(dim, keepdim=True)
    single = cnnx.zeros_like(logits).scatter_(dim, index, 1.0)
    return single - soft.detach() + soft
