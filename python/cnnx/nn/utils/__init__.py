"""Helpers for gradients and parameters."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

import cnnx
from cnnx.absent import names_of as _names_of
from cnnx.signatures import checked

from ... import _C
from ...tensor import Tensor
from . import parametrizations, parametrize, prune, rnn
from .fusion import fuse_conv_bn_eval, fuse_conv_bn_weights, fuse_linear_bn_eval, fuse_linear_bn_weights
from .spectral_norm import remove_spectral_norm, spectral_norm
from .weight_norm import remove_weight_norm, weight_norm

__all__ = [
    "clip_grad_norm",
    "clip_grad_norm_",
    "clip_grad_value_",
    "clip_grads_with_norm_",
    "fuse_conv_bn_eval",
    "fuse_conv_bn_weights",
    "fuse_linear_bn_eval",
    "fuse_linear_bn_weights",
    "get_total_norm",
    "parameters_to_vector",
    "parametrizations",
    "parametrize",
    "prune",
    "remove_spectral_norm",
    "remove_weight_norm",
    "rnn",
    "spectral_norm",
    "vector_to_parameters",
    "weight_norm",
]


@checked
def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scales gradients in place so that their norm, all taken together as one vector, is at most `max_norm`.

    Parameters
    ----------
    parameters : Tensor or iterable of Tensor
        Those without a gradient are skipped.
    max_norm : float
        The largest norm that is left as it is.
    norm_type : float
        Order of the norm; ``float("inf")`` for the largest absolute value. Default: 2.
    error_if_nonfinite : bool
        Raise if the norm is not finite. Default: False.
    foreach : bool, optional
        Taken for compatibility; there is one implementation.

    Returns
    -------
    Tensor
        The norm before, a scalar.

    Raises
    ------
    RuntimeError
        If the norm is not finite and `error_if_nonfinite`.
    """
    tensors = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    return _C.clip_grad_norm_(tensors, float(max_norm), float(norm_type), error_if_nonfinite)


def clip_grad_norm(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The deprecated name of `clip_grad_norm_`; it says so."""
    warnings.warn(
        "nn.utils.clip_grad_norm is deprecated in favor of nn.utils.clip_grad_norm_",
        FutureWarning,
        stacklevel=2,
    )
    return clip_grad_norm_(parameters, max_norm, norm_type, error_if_nonfinite, foreach)


@checked
def clip_grad_value_(
    parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None
) -> None:
    """Clamps every gradient in place to [-clip_value, clip_value].

    Parameters
    ----------
    parameters : Tensor or iterable of Tensor
        Those without a gradient are skipped.
    clip_value : float
        The bound.
    foreach : bool, optional
        Taken for compatibility; there is one implementation.
    """
    tensors = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    _C.clip_grad_value_(tensors, float(clip_value))


@checked
def get_total_norm(
    tensors: Tensor | Iterable[Tensor],
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The norm of tensors, all taken together as one vector.

    Parameters
    ----------
    tensors : Tensor or iterable of Tensor
        Gradients, mostly.
    norm_type : float
        Order of the norm; ``float("inf")`` for the largest absolute value. Default: 2.
    error_if_nonfinite : bool
        Raise if the norm is not finite. Default: False.
    foreach : bool, optional
        Taken for compatibility; there is one implementation.

    Returns
    -------
    Tensor
        A scalar.

    Raises
    ------
    RuntimeError
        If the norm is not finite and `error_if_nonfinite`.

    Examples
    --------
    >>> import cnnx
    >>> cnnx.nn.utils.get_total_norm([cnnx.tensor([3.0]), cnnx.tensor([[4.0]])])
    tensor(5.)
    """
    listed = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    if not listed:
        return cnnx.tensor(0.0)
    norms = [tensor.norm(norm_type).to(listed[0].device) for tensor in listed]
    total = cnnx.stack(norms).norm(norm_type)
    if error_if_nonfinite and not bool(total.isfinite()):
        raise RuntimeError(f"get_total_norm: the norm of order {norm_type} is not finite: {total.item()}")
    return total


@checked
def clip_grads_with_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    total_norm: Tensor,
    foreach: bool | None = None,
) -> None:
    """Scales gradients in place by `max_norm` over `total_norm`, if that is below 1.

    Parameters
    ----------
    parameters : Tensor or iterable of Tensor
        Those without a gradient are skipped.
    max_norm : float
        The largest norm that is left as it is.
    total_norm : Tensor
        The norm, as `get_total_norm` gives it.
    foreach : bool, optional
        Taken for compatibility; there is one implementation.
    """
    factor = (max_norm / (total_norm + 1e-6)).clamp(max=1.0)
    with cnnx.no_grad():
        for parameter in [parameters] if isinstance(parameters, Tensor) else parameters:
            if parameter.grad is not None:
                parameter.grad.mul_(factor.to(parameter.grad.device))


@checked
def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All parameters, flattened and concatenated into one 1-D tensor."""
    return cnnx.cat([parameter.reshape(-1) for parameter in parameters])


@checked
def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Copies slices of a 1-D tensor into parameters, the inverse of `parameters_to_vector`.

    Raises
    ------
    TypeError
        If `vec` is not a tensor.
    RuntimeError
        If it is too short.
    """
    if not isinstance(vec, Tensor):
        raise TypeError(f"vector_to_parameters: expected a Tensor, got {type(vec).__name__}")
    place = 0
    with cnnx.no_grad():
        for parameter in parameters:
            count = parameter.numel()
            parameter.copy_(vec[place : place + count].reshape(*parameter.shape))
            place += count


__getattr__ = _names_of(__name__)
