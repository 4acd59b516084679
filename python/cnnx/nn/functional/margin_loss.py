"""Losses of scores and distances that ask for a margin, as functions."""

from __future__ import annotations

from collections.abc import Callable

import cnnx

from ...signatures import checked
from ...tensor import Tensor
from .activation import logsigmoid, softplus
from .distance import pairwise_distance
from .loss import _reduced, _reduction

Distance = Callable[[Tensor, Tensor], Tensor]


@checked
def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, -y (x1 - x2) + margin): x1 should be the larger one where y is 1, x2 where it is -1.

    Parameters
    ----------
    input1, input2 : Tensor
        Scores of one shape.
    target : Tensor
        1 or -1, of that shape.
    margin : float
        By how much. Default: 0.
    size_average, reduce : bool, optional
        Deprecated; use `reduction`.
    reduction : {"mean", "sum", "none"}
        Default: ``"mean"``.

    Raises
    ------
    ValueError
        If the numbers of dimensions differ.
    """
    reduction = _reduction(size_average, reduce, reduction, 5)
    if not input1.ndim == input2.ndim == target.ndim:
        raise ValueError(
            "margin_ranking_loss: the scores and the target need as many dimensions, got shapes "
            f"{tuple(input1.shape)}, {tuple(input2.shape)} and {tuple(target.shape)}"
        )
    return _reduced("margin_ranking_loss", (margin - target * (input1 - input2)).clamp(min=0), reduction)


@checked
def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """A distance x where y is 1, and max(0, margin - x) where it is -1.

    Parameters
    ----------
    input : Tensor
        Distances of any shape.
    target : Tensor
        1 or -1, of a shape that broadcasts with it.
    margin : float
        How far apart what differs should be. Default: 1.
    size_average, reduce : bool, optional
        Deprecated; use `reduction`.
    reduction : {"mean", "sum", "none"}
        Default: ``"mean"``.
    """
    reduction = _reduction(size_average, reduce, reduction, 5)
    zero = cnnx.zeros_like(input)
    apart = cnnx.where(target != 1, (margin - input).clamp(min=0), zero)
    return _reduced("hinge_embedding_loss", apart + cnnx.where(target != -1, input, zero), reduction)


@checked
def soft_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """log(1 + exp(-y x)) of scores x and classes y of 1 and -1; nothing overflows.

    Parameters
    ----------
    input, target : Tensor
        Of one shape.
    size_average, reduce : bool, optional
        Deprecated; use `reduction`.
    reduction : {"mean", "sum", "none"}
        Default: ``"mean"``.
    """
    reduction = _reduction(size_average, reduce, reduction, 5)
    return _reduced("soft_margin_loss", softplus(-target * input, threshold=88.0), reduction)


@checked
def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """1 - cos(x1, x2) where y is 1, and max(0, cos(x1, x2) - margin) where it is -1.

    Parameters
    ----------
    input1, input2 : Tensor
        Vectors (N, D) or (D,).
    target : Tensor
        1 or -1: (N,) or ().
    margin : float
        Of -1 to 1: from which cosine on what differs is too near. Default: 0.
    size_average, reduce : bool, optional
        Deprecated; use `reduction`.
    reduction : {"mean", "sum", "none"}
        Default: ``"mean"``.

    Raises
    ------
    ValueError
        If the shapes do not fit.
    """
    reduction = _reduction(size_average, reduce, reduction, 5)
    if target.ndim not in (0, 1) or input1.ndim != target.ndim + 1 or input2.ndim != target.ndim + 1:
        raise ValueError(
            "cosine_embedding_loss: takes vectors (N, D) with targets (N,), or (D,) with (), got shapes "
            f"{tuple(input1.shape)}, {tuple(input2.shape)} and {tuple(target.shape)}"
        )
    tiny = 1e-12  # under the root, so that a vector of zeros has a gradient
    lengths = ((input1 * input1).sum(-1) + tiny) * ((input2 * input2).sum(-1) + tiny)
    cosine = (input1 * input2).sum(-1) / lengths.sqrt()
    zero = cnnx.zeros_like(cosine)
    near = cnnx.where(target == 1, 1 - cosine, zero)
    apart = cnnx.where(target == -1, (cosine - margin).clamp(min=0), zero)
    return _reduced("cosine_embedding_loss", near + apart, reduction)


@checked
def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, d(a, p) - d(a, n) + margin) of the p-norms of differences.

    Parameters
    ----------
    anchor, positive, negative : Tensor
        Vectors (N, D) or (D,).
    margin : float
        By how much the negative should be farther. Default: 1.
    p : float
        Of the norm. Default: 2.
    eps : float
        Added to each difference. Default: 1e-6.
    swap : bool
        Takes d(p, n) for d(a, n) where it is smaller. Default: False.
    size_average, reduce : bool, optional
        Deprecated; use `reduction`.
    reduction : {"mean", "sum", "none"}
        Default: ``"mean"``.

    Raises
    ------
    ValueError
        If `margin` is not above 0.

    Notes
    -----
    Balntas et al., "Learning local feature descriptors with triplets and shallow convolutional neural
    networks" (2016).

    Examples
    --------
    >>> import cnnx
    >>> import cnnx.nn.functional as F
    >>> near, far = cnnx.zeros(1, 2), cnnx.tensor([[3.0, 4.0]])
    >>> [round(F.triplet_margin_loss(near, *pair).item(), 3) for pair in ((near, far), (far, near))]
    [0.0, 6.0]
    """
    reduction = _reduction(size_average, reduce, reduction, 5)

    def distance(first: Tensor, second: Tensor) -> Tensor:
        return pairwise_distance(first, second, p, eps)

    return triplet_margin_with_distance_loss(
        anchor,
        positive,
        negative,
        distance_function=distance,
        margin=margin,
        swap=swap,
        reduction=reduction,
    )


@checked
def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Distance | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """`triplet_margin_loss` with any distance; default: `pairwise_distance`."""
    if margin <= 0:
        raise ValueError(f"triplet_margin_loss: margin must be above 0, got {margin}")
    between = pairwise_distance if distance_function is None else distance_function
    near, far = between(anchor, positive), between(anchor, negative)
    if swap:
        far = cnnx.minimum(far, between(positive, negative))
    return _reduced("triplet_margin_loss", (near - far + margin).clamp(min=0), reduction)


@checked
def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The sum over the wrong classes i of max(0, margin - x[y] + x[i])^p, divided by the number of classes.

    Parameters
    ----------
    input : Tensor
        Scores (N, C) or (C,).
    target : Tensor
        Class indices (N,) or ().
    p : {1, 2}
        Default: 1.
    margin : float
        By how much the right class should be ahead. Default: 1.
    weight : Tensor, optional
        One factor per class, shape (C,).
    size_average, reduce : bool, optional
        Deprecated; use `reduction`.
    reduction : {"mean", "sum", "none"}
        Default: ``"mean"``.

    Raises
    ------
    ValueError
        If `p` is another number.
    """
    reduction = _reduction(size_average, reduce, reduction, 5)
    if p not in (1, 2):
        raise ValueError(f"multi_margin_loss: p must be 1 or 2, got {p}")
    classes = input.shape[-1]
    index = target.long().unsqueeze(-1)
    short = (margin - input.gather(-1, index) + input).clamp(min=0)
    if p == 2:
        short = short * short
    if weight is not None:
        short = short * weight[target.long()].unsqueeze(-1)
    wrong = cnnx.arange(classes) != index
    return _reduced("multi_margin_loss", (short * wrong.to(input.dtype)).sum(-1) / classes, reduction)


@checked
def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Binary cross-entropy of logits, averaged over the classes of each example.

    Parameters
    ----------
    input, target : Tensor
        Logits and targets within [0, 1]: (N, C) or (C,).
    weight : Tensor, optional
        One factor per class, shape (C,).
    size_average, reduce : bool, optional
        Deprecated; use `reduction`.
    reduction : {"mean", "sum", "none"}
        Default: ``"mean"``.
    """
    reduction = _reduction(size_average, reduce, reduction, 5)
    losses = -(target * logsigmoid(input) + (1 - target) * logsigmoid(-input))
    if weight is not None:
        losses = losses * weight
    return _reduced("multilabel_soft_margin_loss", losses.mean(-1), reduction)


@checked
def multilabel_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The mean over classes of max(0, 1 - (x_j - x_i)), over a sample's labels j and all other classes i.

    Parameters
    ----------
    input : Tensor
        Scores, shape (N, C) or (C,).
    target : Tensor
        int64, of that shape: the labels of each sample, ended by -1 if there are fewer than C.
    size_average, reduce : bool, optional
        Deprecated; use `reduction`.
    reduction : {"mean", "sum", "none"}
        Default: ``"mean"``.

    Raises
    ------
    RuntimeError
        If the shapes differ.

    Notes
    -----
    It compares every label with every class at once, which takes N C C elements.

    Examples
    --------
    >>> import cnnx
    >>> import cnnx.nn.functional as F
    >>> x = cnnx.tensor([[0.1, 0.2, 0.4, 0.8]])
    >>> round(F.multilabel_margin_loss(x, cnnx.tensor([[3, 0, -1, 1]])).item(), 4)
    0.85
    """
    reduction = _reduction(size_average, reduce, reduction, 5)
    if input.shape != target.shape or input.ndim not in (1, 2):
        raise RuntimeError(
            "multilabel_margin_loss: input and target need one shape (N, C) or (C,), got "
            f"{tuple(input.shape)} and {tuple(target.shape)}"
        )
    if target.dtype != cnnx.int64:
        raise RuntimeError(f"multilabel_margin_loss: target must be int64, got {target.dtype}")
    rows, labels = (input, target) if input.ndim == 2 else (input.unsqueeze(0), target.unsqueeze(0))
    counts = ((labels < 0).to(cnnx.int64).cumsum(1) == 0).to(rows.dtype)
    places = labels.clamp(min=0)
    is_label = cnnx.zeros_like(rows).scatter_add(1, places, counts) > 0
    margins = (1 - rows.gather(1, places).unsqueeze(2) + rows.unsqueeze(1)).clamp(min=0)
    weights = counts.unsqueeze(2) * (~is_label).to(rows.dtype).unsqueeze(1)
    losses = (margins * weights).sum((1, 2)) / rows.shape[1]
    return _reduced("multilabel_margin_loss", losses if input.ndim == 2 else losses[0], reduction)
