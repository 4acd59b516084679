"""Convolutions as functions."""

from __future__ import annotations

from typing import Any

from ... import _C
from ...signatures import not_tensors
from ...tensor import Tensor
from ..arguments import Size2, conv_padding, per_axis


def _convolve(
    op: str,
    axes: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
    activation: str | None,
) -> Tensor:
    strides, dilations = per_axis(op, "stride", stride, axes), per_axis(op, "dilation", dilation, axes)
    try:
        if isinstance(padding, str) and weight.ndim != axes + 2:
            raise RuntimeError(
                f"{op}: weight must have {axes + 2} dimensions, got shape {tuple(weight.shape)}"
            )
        pads = conv_padding(op, padding, weight.shape[2:], strides, dilations)
    except AttributeError:
        raise not_tensors(op, weight=weight) from None
    native = _C.conv1d if axes == 1 else _C.conv2d
    return native(input, weight, bias, strides, pads, dilations, groups, activation)


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size2 = 1,
    padding: str | Size2 = 0,
    dilation: Size2 = 1,
    groups: int = 1,
    *,
    activation: str | None = None,
) -> Tensor:
    """1-D convolution (cross-correlation, as in all deep-learning libraries).

    Parameters
    ----------
    input : Tensor
        Shape (N, in_channels, W) or (in_channels, W).
    weight : Tensor
        Shape (out_channels, in_channels / groups, kernel_width).
    bias : Tensor, optional
        Shape (out_channels,).
    stride, padding, dilation, groups, activation : optional
        As in `conv2d`, with one number where that has a pair.

    Returns
    -------
    Tensor
        Shape (N, out_channels, W') with W' = (W + padding - dilation * (kernel_width - 1) - 1) // stride + 1,
        where padding is that of left and right together.

    Raises
    ------
    RuntimeError
        If shapes do not match or the output would be empty.
    ValueError
        For an unknown padding or activation, or ``"same"`` with a stride.

    Examples
    --------
    >>> import cnnx
    >>> import cnnx.nn.functional as F
    >>> F.conv1d(cnnx.arange(5.0).reshape(1, 1, 5), cnnx.ones(1, 1, 3), padding=1).tolist()
    [[[1.0, 3.0, 6.0, 9.0, 7.0]]]
    """
    return _convolve("conv1d", 1, input, weight, bias, stride, padding, dilation, groups, activation)


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size2 = 1,
    padding: str | Size2 = 0,
    dilation: Size2 = 1,
    groups: int = 1,
    *,
    activation: str | None = None,
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
    activation : str, optional
        ``"relu"``, ``"tanh"`` or ``"sigmoid"``, applied to the result in the same pass: quicker than an
        activation of its own, and the value before it is not kept. Default: None.

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
        For an unknown padding or activation, or ``"same"`` with a stride.

    Examples
    --------
    >>> import cnnx
    >>> import cnnx.nn.functional as F
    >>> F.conv2d(cnnx.ones(1, 1, 5, 5), cnnx.ones(2, 1, 3, 3), padding="same").shape
    cnnx.Size([1, 2, 5, 5])
    """
    return _convolve("conv2d", 2, input, weight, bias, stride, padding, dilation, groups, activation)


def _conv_transpose(
    op: str,
    axes: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: int,
    dilation: Any,
) -> Tensor:
    native = _C.conv_transpose1d if axes == 1 else _C.conv_transpose2d
    return native(
        input,
        weight,
        bias,
        per_axis(op, "stride", stride, axes),
        per_axis(op, "padding", padding, axes),
        per_axis(op, "output_padding", output_padding, axes),
        per_axis(op, "dilation", dilation, axes),
        groups,
    )


def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size2 = 1,
    padding: Size2 = 0,
    output_padding: Size2 = 0,
    groups: int = 1,
    dilation: Size2 = 1,
) -> Tensor:
    """Transposed 1-D convolution.

    Parameters
    ----------
    input : Tensor
        Shape (N, in_channels, W) or (in_channels, W).
    weight : Tensor
        Shape (in_channels, out_channels / groups, kernel_width).
    bias : Tensor, optional
        Shape (out_channels,).
    stride, padding, output_padding, groups, dilation : optional
        As in `conv_transpose2d`, with one number where that has a pair.

    Returns
    -------
    Tensor
        Shape (N, out_channels, W').

    Raises
    ------
    RuntimeError
        If shapes do not match, the output would be empty, or the output padding is too large.

    Examples
    --------
    >>> import cnnx
    >>> import cnnx.nn.functional as F
    >>> F.conv_transpose1d(cnnx.arange(3.0).reshape(1, 1, 3), cnnx.ones(1, 1, 2), stride=2).tolist()
    [[[0.0, 0.0, 1.0, 1.0, 2.0, 2.0]]]
    """
    return _conv_transpose(
        "conv_transpose1d", 1, input, weight, bias, stride, padding, output_padding, groups, dilation
    )


def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size2 = 1,
    padding: Size2 = 0,
    output_padding: Size2 = 0,
    groups: int = 1,
    dilation: Size2 = 1,
) -> Tensor:
    """Transposed 2-D convolution: the input gradient of `conv2d` as a function of its own.

    Parameters
    ----------
    input : Tensor
        Shape (N, in_channels, H, W) or (in_channels, H, W).
    weight : Tensor
        Shape (in_channels, out_channels / groups, kernel_height, kernel_width).
    bias : Tensor, optional
        Shape (out_channels,).
    stride : int or pair
        Distance in the output between the kernels of neighbouring input pixels. Default: 1.
    padding : int or pair
        What the result loses on every side. Default: 0.
    output_padding : int or pair
        What the result gains at the bottom and right; less than stride or dilation. Default: 0.
    groups : int
        Blocks of channels that are convolved separately. Default: 1.
    dilation : int or pair
        Distance between the kernel's taps. Default: 1.

    Returns
    -------
    Tensor
        Shape (N, out_channels, H', W') with H' = (H - 1) * stride - 2 * padding + dilation * (kernel_height -
        1) + output_padding + 1.

    Raises
    ------
    RuntimeError
        If shapes do not match, the output would be empty, or the output padding is too large.

    Examples
    --------
    >>> import cnnx
    >>> import cnnx.nn.functional as F
    >>> F.conv_transpose2d(cnnx.ones(1, 3, 7, 7), cnnx.ones(3, 2, 3, 3), stride=2, padding=1).shape
    cnnx.Size([1, 2, 13, 13])
    """
    return _conv_transpose(
        "conv_transpose2d", 2, input, weight, bias, stride, padding, output_padding, groups, dilation
    )
