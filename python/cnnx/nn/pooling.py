"""Pooling layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from ..tensor import Tensor
from . import functional as F
from .arguments import Size2, per_axis
from .functional.pooling import AdaptiveSize
from .module import Module


class _MaxPool(Module):
    _pool: ClassVar[Callable[..., Any]]

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
        """Images to smaller images, or with `return_indices` a pair of them and the places of the maxima."""
        return type(self)._pool(
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


class MaxPool1d(_MaxPool):
    """Maximum over windows of (N, C, W) or (C, W). See `functional.max_pool1d`; arguments as `MaxPool2d`.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> nn.MaxPool1d(2)(cnnx.zeros(4, 6, 28)).shape
    cnnx.Size([4, 6, 14])
    """

    _pool = F.max_pool1d


class MaxPool2d(_MaxPool):
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

    _pool = F.max_pool2d


class _AvgPool(Module):
    kernel_size: Size2
    stride: Size2
    padding: Size2

    def extra_repr(self) -> str:
        """Kernel, stride and padding."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool1d(_AvgPool):
    """Mean over windows of (N, C, W) or (C, W). See `functional.avg_pool1d`.

    Parameters
    ----------
    kernel_size : int
        Extent of the window.
    stride : int, optional
        Default: `kernel_size`.
    padding : int
        Zeros around the input. Default: 0.
    ceil_mode : bool
        Keep windows that reach over the end. Default: False.
    count_include_pad : bool
        Count the padding in the mean. Default: True.
    """

    def __init__(
        self,
        kernel_size: Size2,
        stride: Size2 | None = None,
        padding: Size2 = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self.kernel_size = per_axis("AvgPool1d", "kernel_size", kernel_size, 1)
        self.stride = per_axis("AvgPool1d", "stride", stride, 1) if stride is not None else self.kernel_size
        self.padding = per_axis("AvgPool1d", "padding", padding, 1)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, W) to (N, C, W')."""
        return F.avg_pool1d(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad
        )


class AvgPool2d(_AvgPool):
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


class _AdaptivePool(Module):
    def __init__(self, output_size: AdaptiveSize) -> None:
        super().__init__()
        self.output_size = output_size

    def extra_repr(self) -> str:
        """The size of the result."""
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptivePool):
    """Mean over as many windows as wanted. See `functional.adaptive_avg_pool1d`.

    Parameters
    ----------
    output_size : int
        Extent of the result; 1 pools globally.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, W) to (N, C, output_size)."""
        return F.adaptive_avg_pool1d(input, self.output_size)


class AdaptiveAvgPool2d(_AdaptivePool):
    """Mean over as many windows as wanted. See `functional.adaptive_avg_pool2d`.

    Parameters
    ----------
    output_size : int or pair
        Extents of the result; None keeps that of the input. 1 pools globally.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> nn.AdaptiveAvgPool2d((3, None))(cnnx.zeros(4, 6, 28, 28)).shape
    cnnx.Size([4, 6, 3, 28])
    """

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, *output_size)."""
        return F.adaptive_avg_pool2d(input, self.output_size)


class _AdaptiveMaxPool(_AdaptivePool):
    def __init__(self, output_size: AdaptiveSize, return_indices: bool = False) -> None:
        super().__init__(output_size)
        self.return_indices = return_indices


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """Maximum over as many windows as wanted. See `functional.adaptive_max_pool1d`.

    Parameters
    ----------
    output_size : int
        Extent of the result.
    return_indices : bool
        Return (output, indices). Default: False.
    """

    def forward(self, input: Tensor) -> Any:
        """(N, C, W) to (N, C, output_size)."""
        return F.adaptive_max_pool1d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """Maximum over as many windows as wanted. See `functional.adaptive_max_pool2d`.

    Parameters
    ----------
    output_size : int or pair
        Extents of the result; None keeps that of the input.
    return_indices : bool
        Return (output, indices). Default: False.
    """

    def forward(self, input: Tensor) -> Any:
        """(N, C, H, W) to (N, C, *output_size)."""
        return F.adaptive_max_pool2d(input, self.output_size, self.return_indices)
