"""Losses as modules. See the functions of the same purpose in `functional`."""

from __future__ import annotations

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
            input, target, self._buffers["weight"], ignore_index=self.ignore_index, reduction=self.reduction
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
            self._buffers["weight"],
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
