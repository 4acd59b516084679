"""Convolutional layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from .. import _C
from ..tensor import Tensor
from . import functional as F
from . import init
from .arguments import conv_padding, per_axis
from .module import Module
from .parameter import NO_SHORTCUT, Parameter, empty_parameter

Ints = int | Sequence[int]


class _ConvNd(Module):
    """What all convolutions have: their arguments, parameters and initial distribution."""

    _axes: ClassVar[int]
    transposed: ClassVar[bool]
    activation: str | None = None  # what the convolution applies to its result
    padding: Any  # a tuple of ints, or one of the words that conv_padding knows
    _pads: tuple[int, ...]  # before and after each axis, as follows from these:
    _pads_are_of: tuple[Any, ...] | None = None  # stride, padding, dilation, kernel_size; they can be edited
    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Ints,
        stride: Ints,
        padding: str | Ints,
        dilation: Ints,
        output_padding: Ints,
        groups: int,
        bias: bool,
        padding_mode: str,
        device: Any,
        dtype: Any,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        for what, count in (("in_channels", in_channels), ("out_channels", out_channels), ("groups", groups)):
            if not hasattr(count, "__index__") or isinstance(count, bool):
                raise TypeError(f"{name}: {what} must be an int, got {count!r}")
        if groups <= 0:
            raise ValueError("groups must be a positive integer")
        if in_channels % groups != 0:
            raise ValueError("in_channels must be divisible by groups")
        if out_channels % groups != 0:
            raise ValueError("out_channels must be divisible by groups")
        modes = ("zeros",) if self.transposed else ("zeros", "reflect", "replicate", "circular")
        if padding_mode not in modes:
            raise ValueError(f"{name}: padding_mode must be one of {modes}, got {padding_mode!r}")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = per_axis(name, "kernel_size", kernel_size, self._axes)
        self.stride = per_axis(name, "stride", stride, self._axes)
        self.dilation = per_axis(name, "dilation", dilation, self._axes)
        for size in ("kernel_size", "stride", "dilation"):
            if min(getattr(self, size)) < 1:
                raise ValueError(f"{name}: {size} must be positive, got {getattr(self, size)}")
        words = isinstance(padding, str) and not self.transposed
        self.padding = padding if words else per_axis(name, "padding", padding, self._axes)
        self.output_padding = per_axis(name, "output_padding", output_padding, self._axes)
        self.groups = groups
        self.padding_mode = padding_mode
        self._pads = conv_padding(name, self.padding, self.kernel_size, self.stride, self.dilation)
        self._pads_are_of = (self.stride, self.padding, self.dilation, self.kernel_size)
        channels = (out_channels, in_channels)
        if self.transposed:
            channels = (in_channels, out_channels)
        self.weight = empty_parameter(device, dtype, channels[0], channels[1] // groups, *self.kernel_size)
        if bias:
            self.bias = empty_parameter(device, dtype, out_channels)
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def _per_axis(self, name: str) -> tuple[int, ...]:
        """An attribute as made, or what somebody has put into its place."""
        return per_axis(type(self).__name__, name, getattr(self, name), self._axes)

    def reset_parameters(self) -> None:
        """Draws the parameters anew."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            init._bias_uniform_(self.weight, self.bias)

    def extra_repr(self) -> str:
        """The arguments that differ from their defaults."""
        text = (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        )
        nothing = (0,) * self._axes
        if self.padding != nothing:
            text += f", padding={self.padding}"
        if self.dilation != (1,) * self._axes:
            text += f", dilation={self.dilation}"
        if self.output_padding != nothing:
            text += f", output_padding={self.output_padding}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        if self.padding_mode != "zeros":
            text += f", padding_mode={self.padding_mode}"
        if self.activation is not None:
            text += f", activation={self.activation!r}"
        return text


class _Convolution(_ConvNd):
    transposed = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Ints,
        stride: Ints = 1,
        padding: str | Ints = 0,
        dilation: Ints = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
        *,
        activation: str | None = None,
    ) -> None:
        _C.check_activation(activation)
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            0,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )
        self.activation = activation

    def forward(self, input: Tensor) -> Tensor:
        """(N, in_channels, ...) to (N, out_channels, ...), or both without N."""
        try:
            own: dict[str, Any] = self._parameters if type(self) in (Conv1d, Conv2d) else NO_SHORTCUT
            weight, bias = own["weight"], own["bias"]
        except KeyError:
            weight, bias = self.weight, self.bias
        return self._conv_forward(input, weight, bias)

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """The convolution with given weights, for a subclass that makes its own."""
        stride, dilation, kernel = self.stride, self.dilation, self.kernel_size
        if (stride, self.padding, dilation, kernel) == self._pads_are_of:
            pads = self._pads
        else:  # edited
            stride, dilation = self._per_axis("stride"), self._per_axis("dilation")
            pads = conv_padding(type(self).__name__, self.padding, kernel, stride, dilation)
        if self.padding_mode != "zeros":
            input = F.pad(input, pads[-2:] + pads[:-2], self.padding_mode)  # the last axis first
            pads = (0,) * len(pads)
        native = _C.conv1d if self._axes == 1 else _C.conv2d
        return native(input, weight, bias, stride, pads, dilation, self.groups, self.activation)


class Conv1d(_Convolution):
    """1-D convolution (cross-correlation), (N, in_channels, W) or (in_channels, W).

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of input and output.
    kernel_size : int
        Extent of the kernel.
    stride, padding, dilation, groups, bias, padding_mode, device, dtype, activation : optional
        As in `Conv2d`, with one number where that has a pair.

    Attributes
    ----------
    weight : Parameter
        (out_channels, in_channels / groups, kernel_size), uniform within 1 / sqrt(fan_in) with fan_in =
        in_channels / groups * kernel_size.
    bias : Parameter or None
        (out_channels,), the same distribution.

    Raises
    ------
    ValueError
        For sizes that are not positive, groups that do not divide the channels, or an unknown padding or
        activation.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> nn.Conv1d(16, 32, 3, stride=2, padding=1)(cnnx.zeros(10, 16, 100)).shape
    cnnx.Size([10, 32, 50])
    """

    _axes = 1


class Conv2d(_Convolution):
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
        "zeros", "reflect", "replicate" or "circular"; see `functional.pad`. Default: "zeros".
    device, dtype : optional
        Of the parameters. Default: CPU, the default dtype.
    activation : str, optional
        ``"relu"``, ``"tanh"`` or ``"sigmoid"``, applied to the result in the same pass: quicker than an
        activation of its own, and the value before it is not kept. Default: None.

    Attributes
    ----------
    weight : Parameter
        (out_channels, in_channels / groups, height, width), uniform within 1 / sqrt(fan_in) with fan_in =
        in_channels / groups * height * width.
    bias : Parameter or None
        (out_channels,), the same distribution.

    Raises
    ------
    ValueError
        For sizes that are not positive, groups that do not divide the channels, or an unknown padding or
        activation.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> nn.Conv2d(1, 6, 5, padding=2)(cnnx.zeros(4, 1, 28, 28)).shape
    cnnx.Size([4, 6, 28, 28])
    """

    _axes = 2


class _ConvTranspose(_ConvNd):
    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Ints,
        stride: Ints = 1,
        padding: Ints = 0,
        output_padding: Ints = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Ints = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            output_padding,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """(N, in_channels, ...) to (N, out_channels, ...), or both without N.

        `output_size` asks for the spatial extents of the result (or for its whole shape) among those that the
        stride leaves open, instead of `output_padding`; ValueError if it cannot be had.
        """
        stride, padding, dilation = map(self._per_axis, ("stride", "padding", "dilation"))
        if output_size is None:
            extra = self._per_axis("output_padding")
        else:
            extra = self._output_padding(input, output_size, stride, padding, dilation)
        native = _C.conv_transpose1d if self._axes == 1 else _C.conv_transpose2d
        return native(input, self.weight, self.bias, stride, padding, extra, dilation, self.groups)

    def _output_padding(
        self,
        input: Tensor,
        output_size: Sequence[int],
        stride: tuple[int, ...],
        padding: tuple[int, ...],
        dilation: tuple[int, ...],
    ) -> tuple[int, ...]:
        wanted = [int(extent) for extent in output_size]
        name, lead = type(self).__name__, input.ndim - self._axes
        if len(wanted) == input.ndim:
            wanted = wanted[lead:]
        if len(wanted) != self._axes:
            raise ValueError(
                f"{name}: for {input.ndim}D input, output_size must have {self._axes} or {input.ndim} "
                f"elements (got {len(wanted)})"
            )
        least = [
            (extent - 1) * s - 2 * p + d * (k - 1) + 1
            for extent, s, p, d, k in zip(
                input.shape[lead:], stride, padding, dilation, self.kernel_size, strict=True
            )
        ]
        most = [low + s - 1 for low, s in zip(least, stride, strict=True)]
        if not all(low <= size <= high for low, size, high in zip(least, wanted, most, strict=True)):
            raise ValueError(
                f"{name}: requested an output size of {wanted}, but valid sizes range from {least} to {most} "
                f"(for an input of {tuple(input.shape[lead:])})"
            )
        return tuple(size - low for size, low in zip(wanted, least, strict=True))


class ConvTranspose1d(_ConvTranspose):
    """Transposed 1-D convolution, (N, in_channels, W) or (in_channels, W).

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of input and output.
    kernel_size : int
        Extent of the kernel.
    stride, padding, output_padding, groups, bias, dilation, padding_mode, device, dtype : optional
        As in `ConvTranspose2d`, with one number where that has a pair.

    Attributes
    ----------
    weight : Parameter
        (in_channels, out_channels / groups, kernel_size), uniform within 1 / sqrt(fan_in) with fan_in =
        out_channels / groups * kernel_size.
    bias : Parameter or None
        (out_channels,), the same distribution.

    Raises
    ------
    ValueError
        For sizes that are not positive or groups that do not divide the channels.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> up = nn.ConvTranspose1d(32, 16, 3, stride=2, padding=1, output_padding=1)
    >>> up(cnnx.zeros(10, 32, 50)).shape
    cnnx.Size([10, 16, 100])
    """

    _axes = 1


class ConvTranspose2d(_ConvTranspose):
    """Transposed 2-D convolution: what a convolution's input gradient computes, with a stride an upsampling.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of input, (N, in_channels, H, W) or (in_channels, H, W), and output.
    kernel_size : int or pair
        Extent of the kernel, (height, width).
    stride : int or pair
        Distance in the output between the kernels of neighbouring input pixels. Default: 1.
    padding : int or pair
        What the result loses on every side. Default: 0.
    output_padding : int or pair
        What the result gains at the bottom and right; less than stride or dilation. Default: 0.
    groups : int
        Blocks of channels convolved separately; divides both channel counts. Default: 1.
    bias : bool
        Default: True.
    dilation : int or pair
        Default: 1.
    padding_mode : str
        Only "zeros".
    device, dtype : optional
        Of the parameters. Default: CPU, the default dtype.

    Attributes
    ----------
    weight : Parameter
        (in_channels, out_channels / groups, height, width), uniform within 1 / sqrt(fan_in) with fan_in =
        out_channels / groups * height * width.
    bias : Parameter or None
        (out_channels,), the same distribution.

    Raises
    ------
    ValueError
        For sizes that are not positive or groups that do not divide the channels.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> up = nn.ConvTranspose2d(8, 4, 3, stride=2, padding=1)
    >>> up(cnnx.zeros(2, 8, 7, 7)).shape
    cnnx.Size([2, 4, 13, 13])
    >>> up(cnnx.zeros(2, 8, 7, 7), output_size=(14, 14)).shape
    cnnx.Size([2, 4, 14, 14])
    """

    _axes = 2
