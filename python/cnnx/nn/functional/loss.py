"""Losses as functions."""

from __future__ import annotations

import warnings

import cnnx

from ... import _C
from ...tensor import Tensor
from ..arguments import legacy_reduction


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Negative log-likelihood of class indices, given log-probabilities.

    Parameters
    ----------
    input : Tensor
        Log-probabilities (N, C), (C,) or (N, C, d1, d2, ...).
    target : Tensor
        Class indices of any integer dtype: (N,), () or (N, d1, d2, ...).
    weight : Tensor, optional
        One factor per class, shape (C,).
    size_average, reduce : bool, optional
        Deprecated; use `reduction`.
    ignore_index : int
        Targets of this value count nothing. Default: -100.
    reduction : {"mean", "sum", "none"}
        ``"mean"`` divides by the sum of the weights used. Default: ``"mean"``.

    Returns
    -------
    Tensor
        A scalar, or with ``"none"`` the shape of `target`.

    Raises
    ------
    IndexError
        If a target is out of range.
    """
    if size_average is not None or reduce is not None:
        reduction = legacy_reduction(size_average, reduce, reduction)
    return _C.nll_loss(input, target, weight, ignore_index, reduction)


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Cross-entropy between logits and classes: `log_softmax` and `nll_loss` in one.

    Parameters
    ----------
    input : Tensor
        Logits (N, C), (C,) or (N, C, d1, d2, ...).
    target : Tensor
        Class indices of any integer dtype: (N,), () or (N, d1, d2, ...); or class probabilities, of the
        input's shape and floating-point.
    weight : Tensor, optional
        One factor per class, shape (C,).
    size_average, reduce : bool, optional
        Deprecated; use `reduction`.
    ignore_index : int
        Targets of this value count nothing (class indices only). Default: -100.
    reduction : {"mean", "sum", "none"}
        Default: ``"mean"``.
    label_smoothing : float
        Share of the target that is spread evenly over all classes, within [0, 1]. Default: 0.

    Returns
    -------
    Tensor
        A scalar, or with ``"none"`` one loss per target.

    Raises
    ------
    IndexError
        If a target is out of range.

    Examples
    --------
    >>> import cnnx
    >>> import cnnx.nn.functional as F
    >>> round(F.cross_entropy(cnnx.zeros(3, 10), cnnx.tensor([1, 2, 3])).item(), 4)  # log 10
    2.3026
    """
    if size_average is not None or reduce is not None:
        reduction = legacy_reduction(size_average, reduce, reduction)
    return _C.cross_entropy(input, target, weight, ignore_index, reduction, label_smoothing)


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """Mean of the squared differences.

    Parameters
    ----------
    input, target : Tensor
        Of one shape; others are broadcast, with a warning.
    size_average, reduce
        Deprecated; use `reduction`.
    reduction : {"mean", "sum", "none"}
        Default: ``"mean"``.
    weight : Tensor, optional
        Factor of each squared difference, of the input's shape; ``"mean"`` then divides by the sum of the
        weights.
    """
    if size_average is not None or reduce is not None:
        reduction = legacy_reduction(size_average, reduce, reduction)
    if tuple(target.shape) != tuple(input.shape):
        warnings.warn(
            f"Using a target size ({tuple(target.shape)}) that is different to the input size "
            f"({tuple(input.shape)}). This will likely lead to incorrect results due to broadcasting. "
            "Please ensure they have the same size.",
            stacklevel=2,
        )
        input, target = cnnx.broadcast_tensors(input, target)
    if weight is None:
        return _C.mse_loss(input, target, reduction)
    if tuple(weight.shape) != tuple(input.shape):
        raise ValueError(
            f"mse_loss: weight of shape {tuple(weight.shape)} must have the input's shape "
            f"{tuple(input.shape)}"
        )
    losses = _C.mse_loss(input, target, "none") * weight
    if reduction == "none":
        return losses
    if reduction == "sum":
        return losses.sum()
    if reduction == "mean":
        return losses.sum() / weight.sum()
    raise ValueError(f"mse_loss: reduction must be 'none', 'mean' or 'sum', got {reduction!r}")
