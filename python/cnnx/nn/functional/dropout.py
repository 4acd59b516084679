"""Dropout as a function."""

from __future__ import annotations

import warnings

import cnnx

from ... import _C
from ...signatures import checked, not_tensors
from ...tensor import Tensor


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Sets elements to zero with probability `p` and scales the others by 1 / (1 - p).

    Parameters
    ----------
    input : Tensor
        Any shape.
    p : float
        Default: 0.5.
    training : bool
        If False, the input is returned as it is. Default: True.
    inplace : bool
        Overwrite `input`. Default: False.

    Raises
    ------
    ValueError
        If `p` is not within [0, 1].

    Notes
    -----
    Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15 (2014).
    The mask is keyed by seed and element index; thread count and memory layout do not change it.
    """
    _check_probability(p)
    result = _C.dropout(input, p, training)
    return input.copy_(result) if inplace and training else result


def dropout1d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Sets whole channels of (N, C, L) or (C, L) to zero with probability `p`.

    The others are scaled by 1 / (1 - p). The arguments are those of `dropout`. The mask is keyed by seed,
    image and channel alone.
    """
    _check_probability(p)
    try:
        dims = input.ndim
    except AttributeError:
        raise not_tensors("dropout1d", input=input) from None
    if dims not in (2, 3):
        raise RuntimeError(f"dropout1d: Expected 2D or 3D input, but received a {input.ndim}D input")
    if input.ndim == 3:
        result = _C.feature_dropout(input, p, training)
    else:
        result = _C.feature_dropout(_C.unsqueeze(input, 0), p, training).squeeze(0)
    return input.copy_(result) if inplace and training else result


def dropout2d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Sets whole channels of (N, C, H, W) to zero with probability `p`.

    The others are scaled by 1 / (1 - p). The arguments are those of `dropout`. The mask is keyed by seed,
    image and channel alone.

    Warns
    -----
    UserWarning
        If the input is not 4-D. As in PyTorch, a 3-D one is read as (N, C, L), not as (C, H, W).

    Notes
    -----
    Tompson et al., "Efficient object localization using convolutional networks", CVPR 2015.
    """
    _check_probability(p)
    try:
        dims = input.ndim
    except AttributeError:
        raise not_tensors("dropout2d", input=input) from None
    if dims != 4:
        reading = "is read as (N, C, L): use dropout1d" if input.ndim == 3 else "use dropout"
        warnings.warn(f"dropout2d: Received a {input.ndim}-D input; {reading}", stacklevel=2)
    result = _C.feature_dropout(input, p, training)
    return input.copy_(result) if inplace and training else result


def _check_probability(p: float) -> None:
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def _to_negative_saturation(
    op: str, input: Tensor, shape: tuple[int, ...], p: float, training: bool, inplace: bool
) -> Tensor:
    """Sets what a mask of `shape` drops to SELU's lower bound, and keeps mean 0 and variance 1."""
    _check_probability(p)
    if not training or p == 0.0:
        return input
    if not input.is_floating_point():
        raise RuntimeError(f"{op}: takes floating-point input, got {input.dtype}")
    if p == 1.0:
        result = input * 0.0
    else:
        scale = ((_BOUND**2 * p + 1) * (1 - p)) ** -0.5
        kept = cnnx.rand(*shape, dtype=input.dtype, device=input.device) >= p
        mask = kept.to(input.dtype)
        result = input * (mask * scale) + ((mask - 1) * (_BOUND * scale) + _BOUND * scale * p)
    return input.copy_(result) if inplace else result


_BOUND = 1.7580993408473766  # scale times alpha of SELU


@checked
def alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """Dropout for SELU: what is dropped goes to SELU's lower bound, then mean and variance are put right.

    Parameters
    ----------
    input : Tensor
        Any shape.
    p : float
        Default: 0.5.
    training : bool
        If False, the input is returned as it is. Default: False.
    inplace : bool
        Overwrite `input`. Default: False.

    Raises
    ------
    ValueError
        If `p` is not within [0, 1].

    Notes
    -----
    Klambauer et al., "Self-normalizing neural networks", NeurIPS 2017.
    """
    return _to_negative_saturation("alpha_dropout", input, tuple(input.shape), p, training, inplace)


@checked
def feature_alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """`alpha_dropout` of whole channels of (N, C, ...)."""
    if input.ndim < 2:
        raise RuntimeError(
            f"feature_alpha_dropout: requires at least 2 dimensions in the input, got {input.ndim}"
        )
    shape = (*input.shape[:2], *[1] * (input.ndim - 2))
    return _to_negative_saturation("feature_alpha_dropout", input, shape, p, training, inplace)
