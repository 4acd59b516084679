"""Pooling as functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ... import _C
from ...signatures import not_tensors
from ...tensor import Tensor
from ..arguments import Size2, adaptive_size, per_axis, pool_axes

AdaptiveSize = int | Sequence[int | None]

# Names, looked up when called: the ONNX export replaces the native functions while it traces.
_MAX = {1: ("max_pool1d", "max_pool1d_with_indices"), 2: ("max_pool2d", "max_pool2d_with_indices")}


def _max_pool(
    axes: int,
    input: Tensor,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
    return_indices: bool,
) -> Any:
    op = f"max_pool{axes}d"
    kernel, strides, pads = pool_axes(op, kernel_size, stride, padding, axes)
    dilations = per_axis(op, "dilation", dilation, axes)
    return getattr(_C, _MAX[axes][bool(return_indices)])(input, kernel, strides, pads, dilations, ceil_mode)


def max_pool1d_with_indices(
    input: Tensor,
    kernel_size: Size2,
    stride: Size2 | None = None,
    padding: Size2 = 0,
    dilation: Size2 = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> tuple[Tensor, Tensor]:
    """Maxima and, int64, their places in the input: `max_pool1d` with ``return_indices=True``."""
    pair: tuple[Tensor, Tensor] = _max_pool(1, input, kernel_size, stride, padding, dilation, ceil_mode, True)
    return pair


def max_pool1d(
    input: Tensor,
    kernel_size: Size2,
    stride: Size2 | None = None,
    padding: Size2 = 0,
    dilation: Size2 = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Maximum over windows of (N, C, W) or (C, W). Ties take the first element; a NaN is a maximum.

    The arguments are those of `max_pool2d`, with one number where that has a pair.

    Returns
    -------
    Tensor, or (Tensor, Tensor)
        Shape (N, C, W'); the indices are int64 places along W.

    Examples
    --------
    >>> import cnnx
    >>> import cnnx.nn.functional as F
    >>> F.max_pool1d(cnnx.tensor([[3.0, 1.0, 4.0, 1.0, 5.0, 9.0]]), 2).tolist()
    [[3.0, 4.0, 9.0]]
    """
    return _max_pool(1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


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
    pair: tuple[Tensor, Tensor] = _max_pool(2, input, kernel_size, stride, padding, dilation, ceil_mode, True)
    return pair


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
    return _max_pool(2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def avg_pool1d(
    input: Tensor,
    kernel_size: Size2,
    stride: Size2 | None = None,
    padding: Size2 = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """Mean over windows of (N, C, W) or (C, W).

    The arguments are those of `avg_pool2d`, with one number where that has a pair.

    Returns
    -------
    Tensor
        Shape (N, C, W').

    Examples
    --------
    >>> import cnnx
    >>> import cnnx.nn.functional as F
    >>> F.avg_pool1d(cnnx.tensor([[3.0, 1.0, 4.0, 1.0, 5.0, 9.0]]), 2).tolist()
    [[2.0, 2.5, 7.0]]
    """
    kernel, strides, pads = pool_axes("avg_pool1d", kernel_size, stride, padding, 1)
    return _C.avg_pool1d(input, kernel, strides, pads, ceil_mode, count_include_pad, 0)


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
    kernel, strides, pads = pool_axes("avg_pool2d", kernel_size, stride, padding, 2)
    return _C.avg_pool2d(input, kernel, strides, pads, ceil_mode, count_include_pad, divisor_override or 0)


def _adaptive(op: str, axes: int, input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    native = getattr(_C, f"{op}{axes}d_with_indices" if return_indices else f"{op}{axes}d")
    try:
        extents = input.shape[-axes:]
    except AttributeError:
        raise not_tensors(f"{op}{axes}d", input=input) from None
    return native(input, adaptive_size(f"{op}{axes}d", output_size, extents))


def adaptive_avg_pool1d(input: Tensor, output_size: AdaptiveSize) -> Tensor:
    """Mean over as many windows as wanted, from (N, C, W) or (C, W). See `adaptive_avg_pool2d`."""
    result: Tensor = _adaptive("adaptive_avg_pool", 1, input, output_size)
    return result


def adaptive_avg_pool2d(input: Tensor, output_size: AdaptiveSize) -> Tensor:
    """Mean over as many windows as wanted: output o of n covers floor(o H / n) to ceil((o + 1) H / n).

    Parameters
    ----------
    input : Tensor
        Shape (N, C, H, W) or (C, H, W).
    output_size : int or pair
        Extents of the result; None keeps that of the input. 1 pools globally.

    Returns
    -------
    Tensor
        Shape (N, C, *output_size).

    Raises
    ------
    ValueError
        If an extent is not positive.

    Examples
    --------
    >>> import cnnx
    >>> import cnnx.nn.functional as F
    >>> F.adaptive_avg_pool2d(cnnx.arange(12.0).reshape(1, 3, 4), (1, 2)).tolist()
    [[[4.5, 6.5]]]
    """
    result: Tensor = _adaptive("adaptive_avg_pool", 2, input, output_size)
    return result


def adaptive_max_pool1d(input: Tensor, output_size: AdaptiveSize, return_indices: bool = False) -> Any:
    """Maximum over as many windows as wanted, from (N, C, W) or (C, W). See `adaptive_max_pool2d`."""
    return _adaptive("adaptive_max_pool", 1, input, output_size, return_indices)


def adaptive_max_pool2d(input: Tensor, output_size: AdaptiveSize, return_indices: bool = False) -> Any:
    """Maximum over as many windows as wanted; windows as in `adaptive_avg_pool2d`.

    Parameters
    ----------
    input : Tensor
        Shape (N, C, H, W) or (C, H, W).
    output_size : int or pair
        Extents of the result; None keeps that of the input.
    return_indices : bool
        Return (output, indices), the indices int64, y * W + x. Default: False.

    Returns
    -------
    Tensor, or (Tensor, Tensor)
        Shape (N, C, *output_size).
    """
    return _adaptive("adaptive_max_pool", 2, input, output_size, return_indices)


def adaptive_max_pool1d_with_indices(
    input: Tensor, output_size: AdaptiveSize, return_indices: bool = False
) -> tuple[Tensor, Tensor]:
    """`adaptive_max_pool1d` with ``return_indices=True``."""
    pair: tuple[Tensor, Tensor] = _adaptive("adaptive_max_pool", 1, input, output_size, True)
    return pair


def adaptive_max_pool2d_with_indices(
    input: Tensor, output_size: AdaptiveSize, return_indices: bool = False
) -> tuple[Tensor, Tensor]:
    """`adaptive_max_pool2d` with ``return_indices=True``."""
    pair: tuple[Tensor, Tensor] = _adaptive("adaptive_max_pool", 2, input, output_size, True)
    return pair
