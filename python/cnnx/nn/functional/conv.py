"""Convolutions as functions."""

from __future__ import annotations

from ... import _C
from ...tensor import Tensor
from ..arguments import Size2, conv_padding, pair


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size2 = 1,
    padding: str | Size2 = 0,
    dilation: Size2 = 1,
    groups: int = 1,
) -> Tensor:
    """2-D convolution (cross-correlation, as in all deep-learning libraries).

    Parameters
    ----------
    input : Tensor
        Shape (N, in_channels, H, W) or (in_channels, H, W).
    weight : Tensor
        Shape (out_channels, in_channels / groups, kernel_height, kernel_width).
    bias : Tensor, optional
        Shape (out_channels,).
    stride : int or pair
        Step of the kernel. Default: 1.
    padding : int, pair or str
        Zeros around the input: numbers for both sides; ``"valid"`` for none; ``"same"`` for an output of the
        input's size (stride 1 only); ``"full"`` for every position where kernel and input overlap. Default:
        0.
    dilation : int or pair
        Distance between the kernel's taps. Default: 1.
    groups : int
        Blocks of channels that are convolved separately. Default: 1.

    Returns
    -------
    Tensor
        Shape (N, out_channels, H', W') with H' = (H + padding - dilation * (kernel_height - 1) - 1) //
        stride + 1, where padding is that of top and bottom together.

    Raises
    ------
    RuntimeError
        If shapes do not match or the output would be empty.
    ValueError
        For an unknown padding, or ``"same"`` with a stride.

    Examples
    --------
    >>> import cnnx
    >>> import cnnx.nn.functional as F
    >>> F.conv2d(cnnx.ones(1, 1, 5, 5), cnnx.ones(2, 1, 3, 3), padding="same").shape
    cnnx.Size([1, 2, 5, 5])
    """
    if type(stride) is int and type(padding) is int and type(dilation) is int:
        return _C.conv2d(input, weight, bias, (stride, stride), (padding,) * 4, (dilation, dilation), groups)
    strides, dilations = pair("conv2d", "stride", stride), pair("conv2d", "dilation", dilation)
    if isinstance(padding, str) and weight.ndim != 4:
        raise RuntimeError(f"conv2d: weight must have 4 dimensions, got shape {tuple(weight.shape)}")
    pads = conv_padding(padding, tuple(weight.shape[-2:]), strides, dilations)
    return _C.conv2d(input, weight, bias, strides, pads, dilations, groups)
