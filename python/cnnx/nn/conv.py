"""Convolutional layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .. import _C
from ..tensor import Tensor
from . import functional as F
from . import init
from .arguments import conv_padding, pair
from .module import Module
from .parameter import Parameter, empty_parameter


class Conv2d(Module):
    """2-D convolution (cross-correlation), (N, in_channels, H, W) or (in_channels, H, W).

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of input and output.
    kernel_size : int or pair
        Extent of the kernel, (height, width).
    stride : int or pair
        Default: 1.
    padding : int, pair, "valid", "same" or "full"
        Zeros around the input; see `functional.conv2d`. Default: 0.
    dilation : int or pair
        Default: 1.
    groups : int
        Blocks of channels convolved separately; divides both channel counts. Default: 1.
    bias : bool
        Default: True.
    padding_mode : str
        Only "zeros".
    device, dtype : optional
        Of the parameters. Default: CPU, the default dtype.

    Attributes
    ----------
    weight : Parameter
        (out_channels, in_channels / groups, height, width), uniform within 1 / sqrt(fan_in) with fan_in =
        in_channels /
        groups * height * width.
    bias : Parameter or None
        (out_channels,), the same distribution.

    Raises
    ------
    ValueError
        For sizes that are not positive, groups that do not divide the channels, or an unknown padding.
    NotImplementedError
        For another `padding_mode` than "zeros".

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> nn.Conv2d(1, 6, 5, padding=2)(cnnx.zeros(4, 1, 28, 28)).shape
    cnnx.Size([4, 6, 28, 28])
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: str | int | Sequence[int] = 0,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if groups <= 0:
            raise ValueError("groups must be a positive integer")
        if in_channels % groups != 0:
            raise ValueError("in_channels must be divisible by groups")
        if out_channels % groups != 0:
            raise ValueError("out_channels must be divisible by groups")
        if padding_mode in ("reflect", "replicate", "circular"):
            raise NotImplementedError(f"Conv2d: padding_mode='{padding_mode}' is not available, only 'zeros'")
        if padding_mode != "zeros":
            raise ValueError(f"Conv2d: padding_mode must be 'zeros', but got padding_mode='{padding_mode}'")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = pair("Conv2d", "kernel_size", kernel_size)
        self.stride = pair("Conv2d", "stride", stride)
        self.dilation = pair("Conv2d", "dilation", dilation)
        for name in ("kernel_size", "stride", "dilation"):
            if min(getattr(self, name)) < 1:
                raise ValueError(f"Conv2d: {name} must be positive, got {getattr(self, name)}")
        self.padding = padding if isinstance(padding, str) else pair("Conv2d", "padding", padding)
        self.groups = groups
        self.padding_mode = padding_mode
        conv_padding(self.padding, self.kernel_size, self.stride, self.dilation)  # checks it
        self.weight = empty_parameter(device, dtype, out_channels, in_channels // groups, *self.kernel_size)
        if bias:
            self.bias = empty_parameter(device, dtype, out_channels)
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws the parameters anew."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            init._bias_uniform_(self.weight, self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """(N, in_channels, H, W) to (N, out_channels, H', W')."""
        weight, bias = self._parameters["weight"], self._parameters["bias"]
        padding = self.padding
        if not isinstance(padding, tuple):
            return F.conv2d(input, self.weight, bias, self.stride, padding, self.dilation, self.groups)
        pads = (padding[0], padding[0], padding[1], padding[1])
        return _C.conv2d(input, weight, bias, self.stride, pads, self.dilation, self.groups)

    def extra_repr(self) -> str:
        """The arguments that differ from their defaults."""
        text = (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        )
        if self.padding != (0, 0):
            text += f", padding={self.padding}"
        if self.dilation != (1, 1):
            text += f", dilation={self.dilation}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        return text
