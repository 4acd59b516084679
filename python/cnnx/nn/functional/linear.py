"""Dense layers as functions."""

from __future__ import annotations

from ... import _C
from ...signatures import not_tensors
from ...tensor import Tensor


def linear(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, *, activation: str | None = None
) -> Tensor:
    """Dense layer: ``input @ weight.T + bias``.

    Parameters
    ----------
    input : Tensor
        Shape (..., in_features).
    weight : Tensor
        Shape (out_features, in_features), or (in_features,).
    bias : Tensor, optional
        Shape (out_features,).
    activation : str, optional
        ``"relu"``, ``"tanh"`` or ``"sigmoid"``, applied to the result in the same pass: quicker than an
        activation of its own, and the value before it is not kept. Default: None.

    Returns
    -------
    Tensor
        Shape (..., out_features), or (...) for a 1-D weight.

    Raises
    ------
    RuntimeError
        If the shapes do not match.
    ValueError
        For an unknown activation.

    Examples
    --------
    >>> import cnnx
    >>> import cnnx.nn.functional as F
    >>> F.linear(cnnx.tensor([[1.0, 2.0]]), cnnx.tensor([[3.0, 4.0]]), cnnx.tensor([0.5])).tolist()
    [[11.5]]
    """
    try:
        if weight.ndim == 1:
            row = bias if bias is None or bias.ndim == 1 else bias.unsqueeze(0)
            return _C.linear(input, weight.unsqueeze(0), row, activation).squeeze(-1)
    except AttributeError:
        raise not_tensors("linear", weight=weight, bias=bias) from None
    return _C.linear(input, weight, bias, activation)
