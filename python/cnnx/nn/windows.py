"""Layers that take images apart into windows, and put them together."""

from __future__ import annotations

from ..tensor import Tensor
from . import functional as F
from .arguments import Size2
from .module import Module


class _Windows(Module):
    def __init__(self, kernel_size: Size2, dilation: Size2, padding: Size2, stride: Size2) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def extra_repr(self) -> str:
        """The arguments."""
        return (
            f"kernel_size={self.kernel_size}, dilation={self.dilation}, padding={self.padding}, "
            f"stride={self.stride}"
        )


class Unfold(_Windows):
    """Windows of (N, C, H, W) or (C, H, W) as columns. See `functional.unfold`.

    Parameters
    ----------
    kernel_size : int or pair
        Extent of the window.
    dilation, padding, stride : int or pair
        Default: 1, 0, 1.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> nn.Unfold(3)(cnnx.zeros(64, 1, 8, 8)).shape
    cnnx.Size([64, 9, 36])
    """

    def __init__(
        self, kernel_size: Size2, dilation: Size2 = 1, padding: Size2 = 0, stride: Size2 = 1
    ) -> None:
        super().__init__(kernel_size, dilation, padding, stride)

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C * kernel_height * kernel_width, L)."""
        return F.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)


class Fold(_Windows):
    """Columns put back as windows of images. See `functional.fold`.

    Parameters
    ----------
    output_size : int or pair
        Extent of the images.
    kernel_size : int or pair
        Extent of the window.
    dilation, padding, stride : int or pair
        Default: 1, 0, 1.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> nn.Fold(8, 3)(cnnx.zeros(64, 9, 36)).shape
    cnnx.Size([64, 1, 8, 8])
    """

    def __init__(
        self,
        output_size: Size2,
        kernel_size: Size2,
        dilation: Size2 = 1,
        padding: Size2 = 0,
        stride: Size2 = 1,
    ) -> None:
        super().__init__(kernel_size, dilation, padding, stride)
        self.output_size = output_size

    def forward(self, input: Tensor) -> Tensor:
        """(N, C * kernel_height * kernel_width, L) to (N, C, H, W)."""
        return F.fold(input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        """The arguments."""
        return f"output_size={self.output_size}, {super().extra_repr()}"
