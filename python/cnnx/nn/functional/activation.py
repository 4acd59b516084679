"""Activations as functions. All take any shape and keep it."""

from __future__ import annotations

import warnings
from typing import Any

from ... import _C
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


def _softmax_dim(op: str, input: Tensor, stacklevel: int) -> int:
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
    return _C.softmax(input if dtype is None else input.to(dtype), dim)


def log_softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """The logarithm of `softmax`, without its loss of digits. Parameters as there."""
    if dim is None:
        dim = _softmax_dim("log_softmax", input, _stacklevel)
    return _C.log_softmax(input if dtype is None else input.to(dtype), dim)
