"""Dropout as a function."""

from __future__ import annotations

from ... import _C
from ...tensor import Tensor


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Sets elements to zero with probability `p` and scales the others by 1 / (1 - p).

    Parameters
    ----------
    input : Tensor
        Any shape.
    p : float
        Default: 0.5.
    training : bool
        If False, the input is returned as it is. Default: True.
    inplace : bool
        Overwrite `input`. Default: False.

    Raises
    ------
    ValueError
        If `p` is not within [0, 1].

    Notes
    -----
    Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15 (2014).
    The mask is keyed by seed and element index; thread count and memory layout do not change it.
    """
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
    result = _C.dropout(input, p, training)
    return input.copy_(result) if inplace and training else result
