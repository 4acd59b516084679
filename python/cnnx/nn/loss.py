"""Losses as modules. See the functions of the same purpose in `functional`."""

from __future__ import annotations

from typing import Any

from ..tensor import Tensor
from . import functional as F
from .arguments import legacy_reduction
from .module import Module


class _Loss(Module):
    reduction: str

    def __init__(
        self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean"
    ) -> None:
        super().__init__()
        self.reduction = (
            reduction
            if size_average is None and reduce is None
            else legacy_reduction(size_average, reduce, reduction)
        )


class _WeightedLoss(_Loss):
    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)


class NLLLoss(_WeightedLoss):
    """Negative log-likelihood of class indices, given log-probabilities (N, C), (C,) or (N, C, d1, ...).

    Parameters
    ----------
    weight : Tensor, optional
        One factor per class, shape (C,).
    size_average, reduce : bool, optional
        Deprecated; use `reduction`.
    ignore_index : int
        Targets of this value count nothing. Default: -100.
    reduction : {"mean", "sum", "none"}
        Default: "mean".
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index = ignore_index

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return F.nll_loss(
            input,
            target,
            self._buffers["weight"] if type(self) is NLLLoss else self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
        )


class CrossEntropyLoss(_WeightedLoss):
    """Cross-entropy between logits (N, C), (C,) or (N, C, d1, ...) and class indices or class probabilities.

    Parameters
    ----------
    weight : Tensor, optional
        One factor per class, shape (C,).
    size_average, reduce : bool, optional
        Deprecated; use `reduction`.
    ignore_index : int
        Targets of this value count nothing. Default: -100.
    reduction : {"mean", "sum", "none"}
        Default: "mean".
    label_smoothing : float
        Share of the target that is spread evenly over all classes. Default: 0.

    Raises
    ------
    ValueError
        If `label_smoothing` is not within [0, 1].

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> round(nn.CrossEntropyLoss()(cnnx.zeros(3, 10), cnnx.tensor([1, 2, 3])).item(), 4)
    2.3026
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        if not 0.0 <= label_smoothing <= 1.0:
            raise ValueError(
                f"CrossEntropyLoss: label_smoothing must be between 0 and 1, got {label_smoothing}"
            )
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return F.cross_entropy(
            input,
            target,
            self._buffers["weight"] if type(self) is CrossEntropyLoss else self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class MSELoss(_Loss):
    """Mean of the squared differences of two tensors of one shape.

    Parameters
    ----------
    size_average, reduce : bool, optional
        Deprecated; use `reduction`.
    reduction : {"mean", "sum", "none"}
        Default: "mean".
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return F.mse_loss(input, target, reduction=self.reduction)


class L1Loss(_Loss):
    """Mean of the absolute differences of two tensors of one shape. Parameters as of `MSELoss`."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return F.l1_loss(input, target, reduction=self.reduction)


class SmoothL1Loss(_Loss):
    """Half the squared difference over `beta` where it is below `beta`, else |difference| - beta / 2.

    Parameters
    ----------
    size_average, reduce : bool, optional
        Deprecated; use `reduction`.
    reduction : {"mean", "sum", "none"}
        Default: "mean".
    beta : float
        Where the parabola ends, 0 or more. Default: 1.
    """

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        beta: float = 1.0,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.beta = beta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return F.smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class HuberLoss(_Loss):
    """Half the squared difference where it is below `delta`, else delta * (|difference| - delta / 2).

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}
        Default: "mean".
    delta : float
        Where the parabola ends, above 0. Default: 1.
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        self.delta = delta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return F.huber_loss(input, target, reduction=self.reduction, delta=self.delta)


class BCELoss(_WeightedLoss):
    """Binary cross-entropy of probabilities, as `Sigmoid` gives them, and targets within [0, 1].

    Parameters
    ----------
    weight : Tensor, optional
        Factor of each loss; broadcast to the input's shape.
    size_average, reduce : bool, optional
        Deprecated; use `reduction`.
    reduction : {"mean", "sum", "none"}
        Default: "mean".

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> loss = nn.BCELoss()(cnnx.sigmoid(cnnx.tensor([0.8])), cnnx.tensor([1.0]))
    >>> round(loss.item(), 4)
    0.3711
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return F.binary_cross_entropy(
            input,
            target,
            self._buffers["weight"] if type(self) is BCELoss else self.weight,
            reduction=self.reduction,
        )


class BCEWithLogitsLoss(_Loss):
    """Binary cross-entropy of logits, in one step that overflows nowhere.

    Parameters
    ----------
    weight : Tensor, optional
        Factor of each loss; broadcast to the input's shape.
    size_average, reduce : bool, optional
        Deprecated; use `reduction`.
    reduction : {"mean", "sum", "none"}
        Default: "mean".
    pos_weight : Tensor, optional
        Factor of the positive part of each loss; broadcast to the input's shape.
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return F.binary_cross_entropy_with_logits(
            input,
            target,
            self._buffers["weight"] if type(self) is BCEWithLogitsLoss else self.weight,
            reduction=self.reduction,
            pos_weight=self._buffers["pos_weight"] if type(self) is BCEWithLogitsLoss else self.pos_weight,
        )


class KLDivLoss(_Loss):
    """Kullback-Leibler divergence of log-probabilities from probabilities.

    Parameters
    ----------
    size_average, reduce : bool, optional
        Deprecated; use `reduction`.
    reduction : {"mean", "batchmean", "sum", "none"}
        "batchmean" is the divergence by its definition. Default: "mean".
    log_target : bool
        Targets are given as logarithms. Default: False.
    """

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        log_target: bool = False,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_target = log_target

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return F.kl_div(input, target, reduction=self.reduction, log_target=self.log_target)


class CTCLoss(_Loss):
    """-log of the probability of labels, whenever in a sequence each comes. See `functional.ctc_loss`.

    Parameters
    ----------
    blank : int
        Which class is the blank. Default: 0.
    reduction : {"mean", "sum", "none"}
        The mean is that of losses divided by the number of labels. Default: "mean".
    zero_infinity : bool
        Whether the loss of what is impossible is 0 instead of infinite. Default: False.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> log_probs = cnnx.randn(20, 4, 11).log_softmax(2)
    >>> targets, lengths = cnnx.randint(1, 11, (4, 5)), cnnx.full((4,), 20)
    >>> nn.CTCLoss()(log_probs, targets, lengths, [5, 3, 4, 5]).shape
    cnnx.Size([])
    """

    def __init__(self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False) -> None:
        super().__init__(reduction=reduction)
        self.blank = blank
        self.zero_infinity = zero_infinity

    def forward(self, log_probs: Tensor, targets: Tensor, input_lengths: Any, target_lengths: Any) -> Tensor:
        """The loss."""
        return F.ctc_loss(
            log_probs, targets, input_lengths, target_lengths, self.blank, self.reduction, self.zero_infinity
        )
