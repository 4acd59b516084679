"""Helpers for gradients and parameters."""

from __future__ import annotations

from collections.abc import Iterable

import cnnx
from cnnx.signatures import checked

from ... import _C
from ...tensor import Tensor

__all__ = ["clip_grad_norm_", "clip_grad_value_", "parameters_to_vector", "vector_to_parameters"]


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
