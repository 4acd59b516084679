"""The leaky rectifier with a random slope, and the activations that overwrite their input."""

from __future__ import annotations

import cnnx

from ...signatures import checked
from ...tensor import Tensor
from .activation import celu, elu, hardtanh, leaky_relu, relu, selu, threshold

__all__ = ["celu_", "elu_", "hardtanh_", "leaky_relu_", "relu_", "rrelu", "rrelu_", "selu_", "threshold_"]


@checked
def rrelu(
    input: Tensor,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    inplace: bool = False,
) -> Tensor:
    """The input where it is positive, else times a slope, which is drawn for every element when training.

    Parameters
    ----------
    input : Tensor
        Any shape.
    lower, upper : float
        The bounds of the slopes. Default: 1/8 and 1/3.
    training : bool
        Draw slopes; else their mean is used. Default: False.
    inplace : bool
        Overwrite `input`. Default: False.

    Raises
    ------
    ValueError
        If `lower` is above `upper`.

    Notes
    -----
    Xu et al., "Empirical evaluation of rectified activations in convolutional network",
    arXiv:1505.00853 (2015).

    Examples
    --------
    >>> import cnnx
    >>> import cnnx.nn.functional as F
    >>> F.rrelu(cnnx.tensor([-2.0, 3.0]), 0.25, 0.75).tolist()
    [-1.0, 3.0]
    """
    if lower > upper:
        raise ValueError(f"rrelu: lower must not be above upper, got {lower} and {upper}")
    if not training:
        return leaky_relu(input, (lower + upper) / 2, inplace)
    slopes = lower + (upper - lower) * cnnx.rand_like(input.detach())
    result = cnnx.where(input > 0, input, input * slopes)
    return input.copy_(result) if inplace else result


@checked
def rrelu_(input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False) -> Tensor:
    """`rrelu` that overwrites its input."""
    return rrelu(input, lower, upper, training, inplace=True)


@checked
def relu_(input: Tensor) -> Tensor:
    """`relu` that overwrites its input."""
    return relu(input, inplace=True)


@checked
def elu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """`elu` that overwrites its input."""
    return elu(input, alpha, inplace=True)


@checked
def celu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """`celu` that overwrites its input."""
    return celu(input, alpha, inplace=True)


@checked
def selu_(input: Tensor) -> Tensor:
    """`selu` that overwrites its input."""
    return selu(input, inplace=True)


@checked
def leaky_relu_(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """`leaky_relu` that overwrites its input."""
    return leaky_relu(input, negative_slope, inplace=True)


@checked
def hardtanh_(input: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """`hardtanh` that overwrites its input."""
    return hardtanh(input, min_val, max_val, inplace=True)


@checked
def threshold_(input: Tensor, threshold: float, value: float) -> Tensor:
    """`threshold` that overwrites its input."""
    return _threshold(input, threshold, value, inplace=True)


_threshold = threshold  # whose name is an argument there
