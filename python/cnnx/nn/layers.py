"""Dense and convolutional layers, dropout, and modules that change shapes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import cnnx

from .. import _C
from ..tensor import Tensor
from . import functional as F
from . import init
from .arguments import conv_padding, pair
from .module import Module
from .parameter import Parameter


def _empty(device: Any, dtype: Any, *shape: int) -> Parameter:
    return Parameter(cnnx.empty(*shape, device=device, dtype=dtype))


class Identity(Module):
    """Returns its input. Takes any arguments and ignores them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        """The input, any shape."""
        return input


class Linear(Module):
    """Dense layer: ``x @ weight.T + bias``, (..., in_features) to (..., out_features).

    Parameters
    ----------
    in_features, out_features : int
        Sizes of the last dimension.
    bias : bool
        Default: True.
    device, dtype : optional
        Of the parameters. Default: CPU, the default dtype.

    Attributes
    ----------
    weight : Parameter
        (out_features, in_features), uniform within 1 / sqrt(in_features).
    bias : Parameter or None
        (out_features,), the same distribution.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> nn.Linear(20, 30)(cnnx.zeros(128, 20)).shape
    cnnx.Size([128, 30])
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        self.weight = _empty(device, dtype, out_features, in_features)
        if bias:
            self.bias = _empty(device, dtype, out_features)
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws the parameters anew."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            init._bias_uniform_(self.weight, self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """(..., in_features) to (..., out_features)."""
        parameters = self._parameters
        return _C.linear(input, parameters["weight"], parameters["bias"])

    def extra_repr(self) -> str:
        """Sizes and bias."""
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"
        )


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
        self.weight = _empty(device, dtype, out_channels, in_channels // groups, *self.kernel_size)
        if bias:
            self.bias = _empty(device, dtype, out_channels)
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


class Dropout(Module):
    """In training mode, sets elements to zero with probability `p` and scales the others by 1 / (1 - p).

    Parameters
    ----------
    p : float
        Default: 0.5.
    inplace : bool
        Overwrite the input. Default: False.

    Raises
    ------
    ValueError
        If `p` is not within [0, 1].
    """

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
        self.p = p
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """Any shape to the same shape."""
        return F.dropout(input, self.p, self.training, self.inplace)

    def extra_repr(self) -> str:
        """Probability and whether in place."""
        return f"p={self.p}, inplace={self.inplace}"


class Flatten(Module):
    """Merges the dimensions `start_dim` to `end_dim` into one.

    Parameters
    ----------
    start_dim : int
        Default: 1.
    end_dim : int
        Included. Default: -1.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> nn.Flatten()(cnnx.zeros(4, 16, 5, 5)).shape
    cnnx.Size([4, 400])
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, input: Tensor) -> Tensor:
        """Flattens."""
        return input.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        """First and last dimension."""
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Splits the dimension `dim` into several.

    Parameters
    ----------
    dim : int
        The dimension.
    unflattened_size : sequence of int
        What it becomes; one extent may be -1.

    Raises
    ------
    TypeError
        If `unflattened_size` is no sequence of ints.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> nn.Unflatten(1, (16, 5, 5))(cnnx.zeros(4, 400)).shape
    cnnx.Size([4, 16, 5, 5])
    """

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        super().__init__()
        if not isinstance(dim, int):
            raise TypeError("Unflatten: named dimensions are not available, dim must be an int")
        if not isinstance(unflattened_size, (tuple, list)) or not all(
            isinstance(n, int) for n in unflattened_size
        ):
            raise TypeError(f"Unflatten: unflattened_size must be a tuple of ints, got {unflattened_size!r}")
        self.dim = dim
        self.unflattened_size = tuple(unflattened_size)

    def forward(self, input: Tensor) -> Tensor:
        """Unflattens."""
        if not -input.ndim <= self.dim < input.ndim:
            raise IndexError(f"unflatten: dim {self.dim} is out of range for shape {tuple(input.shape)}")
        dim = self.dim % input.ndim
        shape = tuple(input.shape)
        sizes = list(self.unflattened_size)
        known = math.prod(n for n in sizes if n != -1)
        if sizes.count(-1) == 1 and known > 0 and shape[dim] % known == 0:
            sizes[sizes.index(-1)] = shape[dim] // known
        if math.prod(sizes) != shape[dim] or -1 in sizes:
            raise RuntimeError(
                f"unflatten: sizes {self.unflattened_size} don't multiply up to the size of dim {dim} "
                f"({shape[dim]})"
            )
        return input.reshape(*shape[:dim], *sizes, *shape[dim + 1 :])

    def extra_repr(self) -> str:
        """Dimension and sizes."""
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
