"""Activations as functions. All take any shape and keep it."""

from __future__ import annotations

import warnings
from typing import Any

from ... import _C
from ...dtypes import as_dtype
from ...signatures import checked, not_tensors
from ...tensor import Tensor


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(input, 0), element by element; NaN stays NaN.

    Parameters
    ----------
    input : Tensor
        Any shape.
    inplace : bool
        Overwrite `input`. Default: False.
    """
    return _C.relu_(input) if inplace else _C.relu(input)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """Input where it is positive, else `negative_slope` times input.

    Parameters
    ----------
    input : Tensor
        Any shape.
    negative_slope : float
        Default: 0.01.
    inplace : bool
        Overwrite `input`. Default: False.
    """
    return _C.leaky_relu_(input, negative_slope) if inplace else _C.leaky_relu(input, negative_slope)


def tanh(input: Tensor) -> Tensor:
    """Hyperbolic tangent, element by element."""
    return _C.tanh(input)


def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + exp(-input)), element by element."""
    return _C.sigmoid(input)


def _activation(op: str, input: Tensor, inplace: bool, a: float = 0.0, b: float = 0.0) -> Tensor:
    return (_C.activation_ if inplace else _C.activation)(op, input, a, b)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """Input times the normal distribution function of it.

    Parameters
    ----------
    input : Tensor
        Any shape.
    approximate : {"none", "tanh"}
        With ``"tanh"``, 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x³))) in its place. Default: ``"none"``.

    Notes
    -----
    Hendrycks & Gimpel, "Gaussian error linear units" (2016).
    """
    if approximate not in ("none", "tanh"):
        raise RuntimeError(f"gelu: approximate must be 'none' or 'tanh', got {approximate!r}")
    return _activation("gelu" if approximate == "none" else "gelu_tanh", input, False)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """Input times its sigmoid, also known as swish."""
    return _activation("silu", input, inplace)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """Input times tanh(log(1 + exp(input)))."""
    return _activation("mish", input, inplace)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + exp(beta * input)) / beta, and the input itself where beta * input is above `threshold`."""
    return _activation("softplus", input, False, beta, threshold)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """Input where it is positive, else alpha * (exp(input) - 1)."""
    return _activation("elu", input, inplace, alpha, 1.0)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """Input where it is positive, else alpha * (exp(input / alpha) - 1)."""
    if alpha == 0:
        raise RuntimeError("celu: alpha must not be 0")
    return _activation("elu", input, inplace, alpha, 1.0 / alpha)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """`elu` with the alpha and the scale that keep mean 0 and variance 1 (Klambauer et al., 2017)."""
    return _activation("selu", input, inplace)


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """Input limited to [min_val, max_val]."""
    if min_val > max_val:
        raise ValueError("hardtanh: min_val cannot be greater than max_val")
    return _activation("hardtanh", input, inplace, min_val, max_val)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """Input limited to [0, 6]."""
    return _activation("hardtanh", input, inplace, 0.0, 6.0)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """(Input + 3) / 6, limited to [0, 1]."""
    return _activation("hardsigmoid", input, inplace)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """Input times its `hardsigmoid`."""
    return _activation("hardswish", input, inplace)


def logsigmoid(input: Tensor) -> Tensor:
    """The logarithm of the sigmoid, without its loss of digits."""
    return _activation("log_sigmoid", input, False)


def softsign(input: Tensor) -> Tensor:
    """Input / (1 + |input|)."""
    return _activation("softsign", input, False)


def tanhshrink(input: Tensor) -> Tensor:
    """Input minus its tanh."""
    return _activation("tanhshrink", input, False)


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """Input where it is above `threshold`, else `value`."""
    below = _C.le(input, threshold)
    return _C.masked_fill_(input, below, value) if inplace else _C.where(below, value, input)


@checked
def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """Input where its absolute value is above `lambd`, else 0."""
    return _C.where(_C.le(_C.abs(input.detach()), lambd), 0.0, input)


def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """Input moved towards 0 by `lambd`, 0 where that crosses it."""
    if lambd < 0:
        raise RuntimeError(f"softshrink: lambd must not be negative, got {lambd}")
    return _C.sub(input, _C.clamp(input, -lambd, lambd))


@checked
def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """Input where it is positive, else `weight` times input.

    Parameters
    ----------
    input : Tensor
        (N, C, ...); one-dimensional, or any shape with a single weight.
    weight : Tensor
        One slope, or one per channel.
    """
    if weight.ndim > 1:
        raise RuntimeError(f"prelu: weight must have one dimension, has shape {tuple(weight.shape)}")
    count = weight.numel()
    if count != 1:
        channels = input.shape[1] if input.ndim > 1 else 1
        if count != channels:
            raise RuntimeError(f"prelu: {count} weights for an input of {channels} channels")
        weight = weight.reshape(count, *(1,) * (input.ndim - 2))
    return _C.where(_C.gt(input, 0), input, _C.mul(input, weight))


@checked
@checked
def glu(input: Tensor, dim: int = -1) -> Tensor:
    """The first half along `dim` times the sigmoid of the second."""
    if input.ndim == 0 or input.size(dim) % 2:
        raise RuntimeError(f"glu: dimension {dim} of shape {tuple(input.shape)} must have an even extent")
    first, second = input.chunk(2, dim)
    return _C.mul(first, _C.sigmoid(second))


def softmin(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """`softmax` of the negative. Parameters as there."""
    if dim is None:
        dim = _softmax_dim("softmin", input, _stacklevel)
    return softmax(_C.neg(input), dim, dtype=dtype)


def _softmax_dim(op: str, input: Tensor, stacklevel: int) -> int:
    if not isinstance(input, _C.TensorBase):
        raise not_tensors(op, input=input)
    warnings.warn(
        f"Implicit dimension choice for {op} has been deprecated. Change the call to include dim=X as an "
        f"argument.",
        stacklevel=stacklevel,
    )
    return 0 if input.ndim in (0, 1, 3) else 1


def softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """exp(input) over its sum along `dim`.

    Parameters
    ----------
    input : Tensor
        Any shape.
    dim : int
        The dimension of which the values sum to 1. Leaving it out is deprecated.
    dtype : dtype, optional
        Cast the input first.

    Raises
    ------
    IndexError
        If there is no such dimension.

    Examples
    --------
    >>> import cnnx
    >>> import cnnx.nn.functional as F
    >>> F.softmax(cnnx.zeros(2, 4), dim=1)[0].tolist()
    [0.25, 0.25, 0.25, 0.25]
    """
    if dim is None:
        dim = _softmax_dim("softmax", input, _stacklevel)
    return _C.softmax(input if dtype is None else _C.to(input, as_dtype(dtype)), dim)


def log_softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """The logarithm of `softmax`, without its loss of digits. Parameters as there."""
    if dim is None:
        dim = _softmax_dim("log_softmax", input, _stacklevel)
    return _C.log_softmax(input if dtype is None else _C.to(input, as_dtype(dtype)), dim)


__all__ = [
    "celu", "elu", "gelu", "glu", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu",
    "log_softmax", "logsigmoid", "mish", "prelu", "relu", "relu6", "selu", "sigmoid", "silu", "softmax",
    "softmin", "softplus", "softshrink", "softsign", "tanh", "tanhshrink", "threshold",
]  # fmt: skip
