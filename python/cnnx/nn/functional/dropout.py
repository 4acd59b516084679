"""Dropout as a function."""

from __future__ import annotations

import warnings

from ... import _C
from ...signatures import not_tensors
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
        result = _C.feature_dropout(input.unsqueeze(0), p, training).squeeze(0)
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
