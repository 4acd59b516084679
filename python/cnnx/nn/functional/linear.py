"""Dense layers as functions."""

from __future__ import annotations

from ... import _C
from ...tensor import Tensor


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Dense layer: ``input @ weight.T + bias``.

    Parameters
    ----------
    input : Tensor
        Shape (..., in_features).
    weight : Tensor
        Shape (out_features, in_features), or (in_features,).
    bias : Tensor, optional
        Shape (out_features,).

    Returns
    -------
    Tensor
        Shape (..., out_features), or (...) for a 1-D weight.

    Raises
    ------
    RuntimeError
        If the shapes do not match.

    Examples
    --------
    >>> import cnnx
    >>> import cnnx.nn.functional as F
    >>> F.linear(cnnx.tensor([[1.0, 2.0]]), cnnx.tensor([[3.0, 4.0]]), cnnx.tensor([0.5])).tolist()
    [[11.5]]
    """
    if weight.ndim == 1:
        product = _C.linear(input, weight.unsqueeze(0), None).squeeze(-1)
        return product if bias is None else product + bias
    return _C.linear(input, weight, bias)
