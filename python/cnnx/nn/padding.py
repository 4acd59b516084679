"""Padding layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from ..tensor import Tensor
from . import functional as F
from .arguments import per_axis
from .module import Module

Padding = int | Sequence[int]


class _Pad(Module):
    """Padding of the last `_axes` dimensions: an int for all sides, or (left, right[, top, bottom])."""

    _axes: ClassVar[int]
    _mode: ClassVar[str]

    def __init__(self, padding: Padding) -> None:
        super().__init__()
        self.padding = per_axis(type(self).__name__, "padding", padding, 2 * self._axes)

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, ...) or (C, ...) with larger last dimensions."""
        return F.pad(input, self.padding, self._mode)

    def extra_repr(self) -> str:
        """The padding."""
        return f"{self.padding}"


class _ConstantPad(_Pad):
    _mode = "constant"

    def __init__(self, padding: Padding, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        """Any shape, with larger last dimensions."""
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        """Padding and value."""
        return f"padding={self.padding}, value={self.value}"


class _ZeroPad(_ConstantPad):
    def __init__(self, padding: Padding) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        """The padding."""
        return f"{self.padding}"


class ConstantPad1d(_ConstantPad):
    """A constant before and after the last dimension; `padding` an int or (left, right), negative: cropped.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> nn.ConstantPad1d((1, 2), 9.0)(cnnx.zeros(1, 2)).tolist()
    [[9.0, 0.0, 0.0, 9.0, 9.0]]
    """

    _axes = 1


class ConstantPad2d(_ConstantPad):
    """A constant around the last two dimensions; `padding` an int or (left, right, top, bottom)."""

    _axes = 2


class ZeroPad1d(_ZeroPad):
    """Zeros before and after the last dimension; `padding` an int or (left, right), negative: cropped."""

    _axes = 1


class ZeroPad2d(_ZeroPad):
    """Zeros around the last two dimensions; `padding` an int or (left, right, top, bottom).

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> nn.ZeroPad2d((1, 2, 0, 3))(cnnx.ones(4, 3, 28, 28)).shape
    cnnx.Size([4, 3, 31, 31])
    """

    _axes = 2


class ReflectionPad1d(_Pad):
    """Mirror images before and after (N, C, W) or (C, W), without repeating the edge; `padding` int or pair.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> nn.ReflectionPad1d(2)(cnnx.tensor([[1.0, 2.0, 3.0]])).tolist()
    [[3.0, 2.0, 1.0, 2.0, 3.0, 2.0, 1.0]]
    """

    _axes, _mode = 1, "reflect"


class ReflectionPad2d(_Pad):
    """Mirror images around (N, C, H, W) or (C, H, W); `padding` an int or (left, right, top, bottom)."""

    _axes, _mode = 2, "reflect"


class ReplicationPad1d(_Pad):
    """The edges of (N, C, W) or (C, W) repeated; `padding` an int or (left, right).

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> nn.ReplicationPad1d((1, 2))(cnnx.tensor([[1.0, 2.0, 3.0]])).tolist()
    [[1.0, 1.0, 2.0, 3.0, 3.0, 3.0]]
    """

    _axes, _mode = 1, "replicate"


class ReplicationPad2d(_Pad):
    """The edges of (N, C, H, W) or (C, H, W) repeated; `padding` an int or (left, right, top, bottom)."""

    _axes, _mode = 2, "replicate"


class CircularPad1d(_Pad):
    """(N, C, W) or (C, W) continued from its other side; `padding` an int or (left, right).

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> nn.CircularPad1d((1, 2))(cnnx.tensor([[1.0, 2.0, 3.0]])).tolist()
    [[3.0, 1.0, 2.0, 3.0, 1.0, 2.0]]
    """

    _axes, _mode = 1, "circular"


class CircularPad2d(_Pad):
    """(N, C, H, W) or (C, H, W) continued from its other sides; `padding` an int or four."""

    _axes, _mode = 2, "circular"
