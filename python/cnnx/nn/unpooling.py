"""Layers of pooling by powers, and of the partial inverse of max pooling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from ..tensor import Tensor
from . import functional as F
from .arguments import Size2, per_axis
from .module import Module


class _LPPool(Module):
    def __init__(
        self, norm_type: float, kernel_size: Size2, stride: Size2 | None = None, ceil_mode: bool = False
    ) -> None:
        super().__init__()
        self.norm_type = norm_type
        self.kernel_size = kernel_size
        self.stride = stride
        self.ceil_mode = ceil_mode

    def extra_repr(self) -> str:
        """The arguments."""
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )


class LPPool1d(_LPPool):
    """The p-norm of each window of (N, C, L) or (C, L). See `functional.lp_pool1d` for the arguments."""

    kernel_size: int
    stride: int | None

    def forward(self, input: Tensor) -> Tensor:
        """Signals to shorter signals."""
        return F.lp_pool1d(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)


class LPPool2d(_LPPool):
    """The p-norm of each window of (N, C, H, W) or (C, H, W). See `functional.lp_pool2d` for the arguments.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> nn.LPPool2d(2, 3, stride=2)(cnnx.randn(20, 16, 9, 7)).shape
    cnnx.Size([20, 16, 4, 3])
    """

    def forward(self, input: Tensor) -> Tensor:
        """Images to smaller images."""
        return F.lp_pool2d(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)


class _MaxUnpool(Module):
    _axes: ClassVar[int]

    def __init__(self, kernel_size: Size2, stride: Size2 | None = None, padding: Size2 = 0) -> None:
        super().__init__()
        name = type(self).__name__
        self.kernel_size = per_axis(name, "kernel_size", kernel_size, self._axes)
        self.stride = per_axis(name, "stride", kernel_size if stride is None else stride, self._axes)
        self.padding = per_axis(name, "padding", padding, self._axes)

    def forward(self, input: Tensor, indices: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """Maxima and their places to images with zeros elsewhere."""
        unpool: Any = F.max_unpool1d if self._axes == 1 else F.max_unpool2d
        return unpool(input, indices, self.kernel_size, self.stride, self.padding, output_size)  # type: ignore[no-any-return]

    def extra_repr(self) -> str:
        """The arguments."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpool):
    """Puts the maxima of `MaxPool1d` back to their places. See `functional.max_unpool1d`."""

    _axes = 1


class MaxUnpool2d(_MaxUnpool):
    """Puts the maxima of `MaxPool2d` back to their places. See `functional.max_unpool2d` for the arguments.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> x = cnnx.randn(2, 3, 8, 8)
    >>> nn.MaxUnpool2d(2)(*nn.MaxPool2d(2, return_indices=True)(x)).shape
    cnnx.Size([2, 3, 8, 8])
    """

    _axes = 2
