"""Pooling layers."""

from __future__ import annotations

from typing import Any

from ..tensor import Tensor
from . import functional as F
from .arguments import Size2
from .module import Module


class MaxPool2d(Module):
    """Maximum over windows of (N, C, H, W) or (C, H, W). See `functional.max_pool2d`.

    Parameters
    ----------
    kernel_size : int or pair
        Extent of the window.
    stride : int or pair, optional
        Default: `kernel_size`.
    padding : int or pair
        Minus infinity around the input. Default: 0.
    dilation : int or pair
        Default: 1.
    return_indices : bool
        Return (output, indices). Default: False.
    ceil_mode : bool
        Keep windows that reach over the end. Default: False.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> nn.MaxPool2d(2)(cnnx.zeros(4, 6, 28, 28)).shape
    cnnx.Size([4, 6, 14, 14])
    """

    def __init__(
        self,
        kernel_size: Size2,
        stride: Size2 | None = None,
        padding: Size2 = 0,
        dilation: Size2 = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = stride if stride is not None else kernel_size
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def forward(self, input: Tensor) -> Any:
        """(N, C, H, W) to (N, C, H', W'), or with `return_indices` a pair of them."""
        return F.max_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            ceil_mode=self.ceil_mode,
            return_indices=self.return_indices,
        )

    def extra_repr(self) -> str:
        """The arguments."""
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class AvgPool2d(Module):
    """Mean over windows of (N, C, H, W) or (C, H, W). See `functional.avg_pool2d`.

    Parameters
    ----------
    kernel_size : int or pair
        Extent of the window.
    stride : int or pair, optional
        Default: `kernel_size`.
    padding : int or pair
        Zeros around the input. Default: 0.
    ceil_mode : bool
        Keep windows that reach over the end. Default: False.
    count_include_pad : bool
        Count the padding in the mean. Default: True.
    divisor_override : int, optional
        Divide the sum by this instead.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> nn.AvgPool2d(2)(cnnx.zeros(4, 6, 28, 28)).shape
    cnnx.Size([4, 6, 14, 14])
    """

    def __init__(
        self,
        kernel_size: Size2,
        stride: Size2 | None = None,
        padding: Size2 = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = stride if stride is not None else kernel_size
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, H', W')."""
        return F.avg_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )

    def extra_repr(self) -> str:
        """Kernel, stride and padding."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"
