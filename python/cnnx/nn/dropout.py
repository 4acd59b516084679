"""Dropout layers."""

from __future__ import annotations

from ..tensor import Tensor
from . import functional as F
from .module import Module


class Dropout(Module):
    """In training mode, sets elements to zero with probability `p` and scales the others by 1 / (1 - p).

    Parameters
    ----------
    p : float
        Default: 0.5.
    inplace : bool
        Overwrite the input. Default: False.

    Raises
    ------
    ValueError
        If `p` is not within [0, 1].
    """

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
        self.p = p
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """Any shape to the same shape."""
        return F.dropout(input, self.p, self.training, self.inplace)

    def extra_repr(self) -> str:
        """Probability and whether in place."""
        return f"p={self.p}, inplace={self.inplace}"
