"""Pooling as functions."""

from __future__ import annotations

from typing import Any

from ... import _C
from ...tensor import Tensor
from ..arguments import Size2, pair, pool_pairs


def max_pool2d_with_indices(
    input: Tensor,
    kernel_size: Size2,
    stride: Size2 | None = None,
    padding: Size2 = 0,
    dilation: Size2 = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> tuple[Tensor, Tensor]:
    """Maxima and, int64, their places y * W + x in the input: `max_pool2d` with ``return_indices=True``."""
    kernel, strides, pads = pool_pairs("max_pool2d", kernel_size, stride, padding)
    dilations = pair("max_pool2d", "dilation", dilation)
    return _C.max_pool2d_with_indices(input, kernel, strides, pads, dilations, ceil_mode)


def max_pool2d(
    input: Tensor,
    kernel_size: Size2,
    stride: Size2 | None = None,
    padding: Size2 = 0,
    dilation: Size2 = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Maximum over windows. Ties take the first element; a NaN is a maximum.

    Parameters
    ----------
    input : Tensor
        Shape (N, C, H, W) or (C, H, W).
    kernel_size : int or pair
        Extent of the window.
    stride : int or pair, optional
        Step of the window. Default: `kernel_size`.
    padding : int or pair
        Minus infinity around the input, at most half the kernel. Default: 0.
    dilation : int or pair
        Distance between the elements of a window. Default: 1.
    ceil_mode : bool
        Keep windows that reach over the end. Default: False.
    return_indices : bool
        Return (output, indices). Default: False.

    Returns
    -------
    Tensor, or (Tensor, Tensor)
        Shape (N, C, H', W'); the indices are int64, y * W + x.

    Raises
    ------
    RuntimeError
        If the output would be empty or the padding is too large.

    Examples
    --------
    >>> import cnnx
    >>> import cnnx.nn.functional as F
    >>> F.max_pool2d(cnnx.arange(16.0).reshape(1, 4, 4), 2).tolist()
    [[[5.0, 7.0], [13.0, 15.0]]]
    """
    if return_indices:
        return max_pool2d_with_indices(input, kernel_size, stride, padding, dilation, ceil_mode)
    kernel, strides, pads = pool_pairs("max_pool2d", kernel_size, stride, padding)
    dilations = pair("max_pool2d", "dilation", dilation)
    return _C.max_pool2d(input, kernel, strides, pads, dilations, ceil_mode)


def avg_pool2d(
    input: Tensor,
    kernel_size: Size2,
    stride: Size2 | None = None,
    padding: Size2 = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """Mean over windows.

    Parameters
    ----------
    input : Tensor
        Shape (N, C, H, W) or (C, H, W).
    kernel_size : int or pair
        Extent of the window.
    stride : int or pair, optional
        Step of the window. Default: `kernel_size`.
    padding : int or pair
        Zeros around the input, at most half the kernel. Default: 0.
    ceil_mode : bool
        Keep windows that reach over the end. Default: False.
    count_include_pad : bool
        Count the padding in the mean. Default: True.
    divisor_override : int, optional
        Divide the sum by this instead.

    Returns
    -------
    Tensor
        Shape (N, C, H', W').

    Raises
    ------
    RuntimeError
        If the output would be empty, the padding is too large or the divisor is zero.

    Examples
    --------
    >>> import cnnx
    >>> import cnnx.nn.functional as F
    >>> F.avg_pool2d(cnnx.arange(16.0).reshape(1, 4, 4), 2).tolist()
    [[[2.5, 4.5], [10.5, 12.5]]]
    """
    if divisor_override is not None and divisor_override == 0:
        raise RuntimeError("avg_pool2d: divisor_override must not be zero")
    kernel, strides, pads = pool_pairs("avg_pool2d", kernel_size, stride, padding)
    return _C.avg_pool2d(input, kernel, strides, pads, ceil_mode, count_include_pad, divisor_override or 0)
