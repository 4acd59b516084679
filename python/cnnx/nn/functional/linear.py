"""Dense layers as functions."""

from __future__ import annotations

from ... import _C
from ...signatures import checked, not_tensors
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


@checked
def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x1 A x2 + b with a matrix A for each output.

    Parameters
    ----------
    input1, input2 : Tensor
        Shapes (..., in1_features) and (..., in2_features), the same but for the last extent.
    weight : Tensor
        Shape (out_features, in1_features, in2_features).
    bias : Tensor, optional
        Shape (out_features,).

    Returns
    -------
    Tensor
        Shape (..., out_features).

    Raises
    ------
    RuntimeError
        If shapes do not match.

    Examples
    --------
    >>> import cnnx
    >>> import cnnx.nn.functional as F
    >>> F.bilinear(cnnx.tensor([2.0]), cnnx.tensor([3.0]), cnnx.tensor([[[10.0]]])).tolist()
    [60.0]
    """
    shapes = f"{tuple(input1.shape)}, {tuple(input2.shape)} and weight {tuple(weight.shape)}"
    if weight.ndim != 3:
        raise RuntimeError(f"bilinear: weight must have 3 dimensions, got {shapes}")
    if input1.shape[:-1] != input2.shape[:-1]:
        raise RuntimeError(f"bilinear: the inputs may differ in their last extent alone, got {shapes}")
    if (input1.shape[-1], input2.shape[-1]) != tuple(weight.shape[1:]):
        raise RuntimeError(f"bilinear: the inputs do not fit the weight, got {shapes}")
    products = input1.unsqueeze(-1) * input2.unsqueeze(-2)  # one product of matrices does the rest
    return linear(products.flatten(-2), weight.flatten(1), bias)
