"""The dense layer, and the layer that does nothing."""

from __future__ import annotations

import math
from typing import Any

from .. import _C
from ..tensor import Tensor
from . import functional as F
from . import init
from .module import Module
from .parameter import NO_SHORTCUT, Parameter, empty_parameter


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
    activation : str, optional
        ``"relu"``, ``"tanh"`` or ``"sigmoid"``, applied to the result in the same pass: quicker than an
        activation of its own, and the value before it is not kept. Default: None.

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
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        activation: str | None = None,
    ) -> None:
        super().__init__()
        _C.check_activation(activation)
        self.in_features = in_features
        self.out_features = out_features
        self.activation = activation
        self.weight = empty_parameter(device, dtype, out_features, in_features)
        if bias:
            self.bias = empty_parameter(device, dtype, out_features)
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
        try:
            own = self._parameters if type(self) is Linear else NO_SHORTCUT
            weight, bias = own["weight"], own["bias"]
        except KeyError:
            weight, bias = self.weight, self.bias
        return _C.linear(input, weight, bias, self.activation)

    def extra_repr(self) -> str:
        """Sizes, bias and, if there is one, activation."""
        text = f"in_features={self.in_features}, out_features={self.out_features}"
        text += f", bias={self.bias is not None}"
        return text if self.activation is None else text + f", activation={self.activation!r}"


class Bilinear(Module):
    """``x1 A x2 + b`` with a matrix A for each output.

    Parameters
    ----------
    in1_features, in2_features : int
        Last extents of the two inputs.
    out_features : int
        Last extent of the result.
    bias : bool
        Default: True.
    device, dtype : optional
        Of the parameters. Default: CPU, the default dtype.

    Attributes
    ----------
    weight : Parameter
        (out_features, in1_features, in2_features), uniform within 1 / sqrt(in1_features).
    bias : Parameter or None
        (out_features,), the same distribution.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> nn.Bilinear(20, 30, 40)(cnnx.zeros(128, 20), cnnx.zeros(128, 30)).shape
    cnnx.Size([128, 40])
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if in1_features <= 0:
            raise ValueError(f"in1_features must be > 0, but got {in1_features}")
        self.in1_features = in1_features
        self.in2_features = in2_features
        self.out_features = out_features
        self.weight = empty_parameter(device, dtype, out_features, in1_features, in2_features)
        self.register_parameter("bias", empty_parameter(device, dtype, out_features) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws the parameters anew."""
        bound = 1 / math.sqrt(self.in1_features)
        for parameter in self.parameters(recurse=False):
            init.uniform_(parameter, -bound, bound)

    def forward(self, input1: Tensor, input2: Tensor) -> Tensor:
        """(..., in1_features) and (..., in2_features) to (..., out_features)."""
        return F.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        """Sizes and bias."""
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
            f"out_features={self.out_features}, bias={self.bias is not None}"
        )
