"""The dense layer, and the layer that does nothing."""

from __future__ import annotations

import math
from typing import Any

from .. import _C
from ..tensor import Tensor
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
