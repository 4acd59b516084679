"""Initial values of parameters. Each function fills its tensor in place, without history, and returns it."""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import cnnx
from cnnx.absent import names_of as _names_of

from .. import _C
from ..autograd import no_grad
from ..generator import Generator, native_generator
from ..signatures import not_tensors
from ..tensor import Tensor

__all__ = [
    "calculate_gain",
    "constant_",
    "dirac_",
    "eye_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "normal_",
    "ones_",
    "orthogonal_",
    "sparse_",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The recommended factor on the standard deviation in front of a nonlinearity.

    Parameters
    ----------
    nonlinearity : str
        "linear", "conv2d", "sigmoid" (1), "tanh" (5/3), "relu" (sqrt 2), "leaky_relu" or "selu" (3/4).
    param : float, optional
        Negative slope of "leaky_relu". Default: 0.01.

    Examples
    --------
    >>> from cnnx import nn
    >>> nn.init.calculate_gain("leaky_relu", 1.0)
    1.0
    """
    return _C.calculate_gain(nonlinearity, param)


def _calculate_fan_in_and_fan_out(tensor: Tensor) -> tuple[int, int]:
    return _C.init_fans(tensor)


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Draws from the uniform distribution on [a, b)."""
    _C.init_uniform_(tensor, a, b, native_generator("uniform_", generator))
    return tensor


def normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Draws from the normal distribution."""
    _C.init_normal_(tensor, mean, std, native_generator("normal_", generator))
    return tensor


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Draws from the normal distribution, redrawn within [a, b]."""
    _C.init_trunc_normal_(tensor, mean, std, a, b, native_generator("trunc_normal_", generator))
    return tensor


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Sets every element to `val`."""
    _C.init_constant_(tensor, val)
    return tensor


def ones_(tensor: Tensor) -> Tensor:
    """Sets every element to 1."""
    return constant_(tensor, 1.0)


def zeros_(tensor: Tensor) -> Tensor:
    """Sets every element to 0."""
    return constant_(tensor, 0.0)


def eye_(tensor: Tensor) -> Tensor:
    """The identity matrix; 2-D only."""
    _C.init_eye_(tensor)
    return tensor


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """A convolution weight (3-, 4- or 5-D) that passes its input on."""
    _C.init_dirac_(tensor, groups)
    return tensor


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Uniform with bound ``gain * sqrt(6 / (fan_in + fan_out))``.

    Raises
    ------
    ValueError
        If the tensor has fewer than 2 dimensions.

    Notes
    -----
    Glorot & Bengio, "Understanding the difficulty of training deep feedforward neural networks" (2010).
    """
    _C.init_xavier_uniform_(tensor, gain, native_generator("xavier_uniform_", generator))
    return tensor


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal with standard deviation ``gain * sqrt(2 / (fan_in + fan_out))``. See `xavier_uniform_`."""
    _C.init_xavier_normal_(tensor, gain, native_generator("xavier_normal_", generator))
    return tensor


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Uniform with bound ``gain * sqrt(3 / fan)``.

    Parameters
    ----------
    tensor : Tensor
        A weight (out, in, ...).
    a : float
        Negative slope of the leaky ReLU behind. Default: 0.
    mode : {"fan_in", "fan_out"}
        Whether the variance is kept forward or backward. Default: "fan_in".
    nonlinearity : str
        See `calculate_gain`. Default: "leaky_relu".

    Raises
    ------
    ValueError
        If the tensor has fewer than 2 dimensions, or mode or nonlinearity is unknown.

    Notes
    -----
    He et al., "Delving deep into rectifiers" (2015).

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> w = nn.init.kaiming_uniform_(cnnx.empty(64, 6), nonlinearity="relu")
    >>> bool(w.abs().max() <= 1.0)
    True
    """
    _C.init_kaiming_uniform_(tensor, a, mode, nonlinearity, native_generator("kaiming_uniform_", generator))
    return tensor


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Normal with standard deviation ``gain / sqrt(fan)``. Parameters as of `kaiming_uniform_`."""
    _C.init_kaiming_normal_(tensor, a, mode, nonlinearity, native_generator("kaiming_normal_", generator))
    return tensor


def orthogonal_(tensor: Tensor, gain: float = 1, generator: Generator | None = None) -> Tensor:
    """A random (semi-)orthogonal matrix times `gain`; more dimensions are flattened behind the first.

    Notes
    -----
    Saxe et al., "Exact solutions to the nonlinear dynamics of learning in deep linear neural networks"
    (2013).
    """
    _C.init_orthogonal_(tensor, gain, native_generator("orthogonal_", generator))
    return tensor


def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: Generator | None = None) -> Tensor:
    """Normal numbers in a matrix, but for zeros at random places of each column.

    Parameters
    ----------
    tensor : Tensor
        A matrix.
    sparsity : float
        The part of each column that is zero, rounded up; within [0, 1].
    std : float
        The standard deviation of the rest. Default: 0.01.
    generator : Generator, optional
        Default: the default generator.

    Raises
    ------
    ValueError
        If the tensor is no matrix, or the sparsity out of range.

    Notes
    -----
    Martens, "Deep learning via Hessian-free optimization", ICML 2010.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> (nn.init.sparse_(cnnx.empty(10, 3), 0.25) == 0).sum(0)
    tensor([3, 3, 3])
    """
    if not isinstance(tensor, Tensor):
        raise not_tensors("sparse_", tensor=tensor)
    if tensor.ndim != 2:
        raise ValueError(f"sparse_: needs a matrix, got shape {tuple(tensor.shape)}")
    if not 0 <= sparsity <= 1:
        raise ValueError(f"sparse_: sparsity must be within [0, 1], got {sparsity}")
    normal_(tensor, 0.0, std, generator)
    rows = tensor.shape[0]
    order = cnnx.rand(tensor.shape, generator=generator, device=tensor.device).argsort(0)
    with no_grad():
        return tensor.masked_fill_(order < math.ceil(sparsity * rows), 0.0)


Initialiser = TypeVar("Initialiser", bound=Callable[..., Tensor])


def _by_old_name(function: Initialiser) -> Initialiser:
    """The function under its deprecated name, without the underscore; it says so."""
    name = function.__name__
    old = name[:-1]

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Tensor:
        warnings.warn(f"nn.init.{old} is deprecated in favor of nn.init.{name}", FutureWarning, stacklevel=2)
        return function(*args, **kwargs)

    call.__name__ = call.__qualname__ = old
    call.__doc__ = f"The deprecated name of `{name}`."
    return call  # type: ignore[return-value]


uniform = _by_old_name(uniform_)
normal = _by_old_name(normal_)
constant = _by_old_name(constant_)
eye = _by_old_name(eye_)
dirac = _by_old_name(dirac_)
xavier_uniform = _by_old_name(xavier_uniform_)
xavier_normal = _by_old_name(xavier_normal_)
kaiming_uniform = _by_old_name(kaiming_uniform_)
kaiming_normal = _by_old_name(kaiming_normal_)
orthogonal = _by_old_name(orthogonal_)
sparse = _by_old_name(sparse_)


def _bias_uniform_(weight: Tensor, bias: Tensor) -> None:
    """The default of linear and convolutional layers: uniform within 1 / sqrt(fan_in)."""
    fan_in, _ = _calculate_fan_in_and_fan_out(weight)
    bound = 1 / math.sqrt(fan_in) if fan_in > 0 else 0.0
    uniform_(bias, -bound, bound)


__getattr__ = _names_of(__name__)
