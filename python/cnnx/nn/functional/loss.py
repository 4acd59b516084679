"""Losses as functions."""

from __future__ import annotations

import warnings

import cnnx

from ... import _C
from ...signatures import not_tensors
from ...tensor import Tensor
from ..arguments import legacy_reduction


def _reduction(size_average: bool | None, reduce: bool | None, reduction: str, stacklevel: int = 4) -> str:
    if size_average is None and reduce is None:
        return reduction
    return legacy_reduction(size_average, reduce, reduction, stacklevel)


def _same_shape(input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The operands of a regression loss: other shapes are broadcast, with a warning."""
    try:
        if input.shape == target.shape:
            return input, target
    except AttributeError:
        raise not_tensors("loss", input=input, target=target) from None
    warnings.warn(
        f"Using a target size ({tuple(target.shape)}) that is different to the input size "
        f"({tuple(input.shape)}). This will likely lead to incorrect results due to broadcasting. "
        "Please ensure they have the same size.",
        stacklevel=3,
    )
    first, second = cnnx.broadcast_tensors(input, target)
    return first, second


def _reduced(op: str, losses: Tensor, reduction: str) -> Tensor:
    if reduction == "none":
        return losses
    if reduction == "mean":
        return losses.mean()
    if reduction == "sum":
        return losses.sum()
    raise ValueError(f"{op}: reduction must be 'none', 'mean' or 'sum', got {reduction!r}")


def _weighted(op: str, losses: Tensor, weight: Tensor, reduction: str, by_weights: bool = True) -> Tensor:
    """Losses one by one times weights, reduced; a mean divides by their sum or their count."""
    if not isinstance(weight, Tensor):
        raise not_tensors(op, weight=weight)
    if weight.shape != losses.shape:
        raise ValueError(
            f"{op}: weight of shape {tuple(weight.shape)} must have the input's shape {tuple(losses.shape)}"
        )
    losses = losses * weight
    if reduction == "mean" and by_weights:
        return losses.sum() / weight.sum()
    return _reduced(op, losses, reduction)


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
    reduction = _reduction(size_average, reduce, reduction)
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
    reduction = _reduction(size_average, reduce, reduction)
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
    reduction = _reduction(size_average, reduce, reduction)
    input, target = _same_shape(input, target)
    if weight is None:
        return _C.mse_loss(input, target, reduction)
    return _weighted("mse_loss", _C.mse_loss(input, target, "none"), weight, reduction)


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """Mean of the absolute differences. Parameters as of `mse_loss`."""
    reduction = _reduction(size_average, reduce, reduction)
    input, target = _same_shape(input, target)
    if weight is None:
        return _C.l1_loss(input, target, reduction)
    return _weighted("l1_loss", _C.l1_loss(input, target, "none"), weight, reduction)


def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """Half the squared difference over `beta` where it is below `beta`, else |difference| - beta / 2.

    Parameters
    ----------
    input, target : Tensor
        Of one shape; others are broadcast, with a warning.
    size_average, reduce
        Deprecated; use `reduction`.
    reduction : {"mean", "sum", "none"}
        Default: ``"mean"``.
    beta : float
        Where the parabola ends, 0 or more; with 0 this is `l1_loss`. Default: 1.

    Notes
    -----
    Girshick, "Fast R-CNN" (2015).
    """
    reduction = _reduction(size_average, reduce, reduction)
    input, target = _same_shape(input, target)
    return _C.smooth_l1_loss(input, target, reduction, beta)


def huber_loss(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: Tensor | None = None,
) -> Tensor:
    """Half the squared difference where it is below `delta`, else delta * (|difference| - delta / 2).

    Parameters
    ----------
    input, target : Tensor
        Of one shape; others are broadcast, with a warning.
    reduction : {"mean", "sum", "none"}
        Default: ``"mean"``.
    delta : float
        Where the parabola ends, above 0. Default: 1.
    weight : Tensor, optional
        Factor of each loss, of the input's shape; ``"mean"`` divides by the number of elements all the same.

    Notes
    -----
    Huber, "Robust estimation of a location parameter" (1964).
    """
    input, target = _same_shape(input, target)
    if weight is None:
        return _C.huber_loss(input, target, reduction, delta)
    losses = _C.huber_loss(input, target, "none", delta)
    return _weighted("huber_loss", losses, weight, reduction, by_weights=False)


def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """-(t log p + (1 - t) log(1 - p)) of probabilities p and targets t.

    The logarithms are taken as -100 at least, so that the loss stays finite where p is 0 or 1.

    Parameters
    ----------
    input : Tensor
        Probabilities of any shape, as `sigmoid` gives them.
    target : Tensor
        Of the same shape, within [0, 1].
    weight : Tensor, optional
        Factor of each loss; broadcast to the input's shape.
    size_average, reduce
        Deprecated; use `reduction`.
    reduction : {"mean", "sum", "none"}
        ``"mean"`` divides by the number of elements. Default: ``"mean"``.

    Raises
    ------
    ValueError
        If the shapes differ.
    RuntimeError
        If an element of the input lies outside [0, 1].

    Examples
    --------
    >>> import cnnx
    >>> import cnnx.nn.functional as F
    >>> p = cnnx.sigmoid(cnnx.tensor([0.8]))
    >>> round(F.binary_cross_entropy(p, cnnx.tensor([1.0])).item(), 4)
    0.3711
    """
    reduction = _reduction(size_average, reduce, reduction)
    return _C.binary_cross_entropy(input, target, weight, reduction)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """`binary_cross_entropy` of ``sigmoid(input)``, in one step that overflows nowhere.

    Parameters
    ----------
    input : Tensor
        Logits of any shape.
    target : Tensor
        Of the same shape, within [0, 1].
    weight : Tensor, optional
        Factor of each loss; broadcast to the input's shape.
    size_average, reduce
        Deprecated; use `reduction`.
    reduction : {"mean", "sum", "none"}
        Default: ``"mean"``.
    pos_weight : Tensor, optional
        Factor of the positive part of each loss, broadcast to the input's shape: above 1 for more recall,
        below 1 for more precision.

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> import cnnx
    >>> import cnnx.nn.functional as F
    >>> round(F.binary_cross_entropy_with_logits(cnnx.tensor([0.8]), cnnx.tensor([1.0])).item(), 4)
    0.3711
    """
    reduction = _reduction(size_average, reduce, reduction)
    return _C.binary_cross_entropy_with_logits(input, target, weight, reduction, pos_weight)


def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """Kullback-Leibler divergence t (log t - x) of log-probabilities x from probabilities t.

    Parameters
    ----------
    input : Tensor
        Log-probabilities of any shape.
    target : Tensor
        Probabilities of a shape that broadcasts with it; their logarithms with `log_target`.
    size_average, reduce
        Deprecated; use `reduction`.
    reduction : {"mean", "batchmean", "sum", "none"}
        ``"batchmean"`` divides the sum by the batch size, as the definition of the divergence does;
        ``"mean"`` by the number of elements, with a warning. Default: ``"mean"``.
    log_target : bool
        Default: False.
    """
    reduction = _reduction(size_average, reduce, reduction)
    if reduction == "batchmean":
        total = _C.kl_div(input, target, "sum", log_target)
        return total if input.ndim == 0 else total / input.shape[0]
    if reduction == "mean":
        warnings.warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support size."
            "'batchmean' divides only by the batch size, and aligns with the KL div math definition.",
            stacklevel=2,
        )
    return _C.kl_div(input, target, reduction, log_target)
