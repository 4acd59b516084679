"""The schedule that watches a metric."""

from __future__ import annotations

import math
import warnings
from typing import Any, SupportsFloat

from ... import noting
from ..optimizer import Optimizer
from .base import LRScheduler, set_lr


class ReduceLROnPlateau(LRScheduler):
    """Times `factor` when a metric has not become better for more than `patience` epochs.

    Parameters
    ----------
    optimizer : Optimizer
        Whose learning rates are set.
    mode : {"min", "max"}
        Which way the metric should go. Default: "min".
    factor : float
        Below 1. Default: 0.1.
    patience : int
        Epochs without progress that are let pass. Default: 10.
    threshold : float
        Less progress than this does not count. Default: 1e-4.
    threshold_mode : {"rel", "abs"}
        Whether `threshold` is a share of the best value or a distance. Default: "rel".
    cooldown : int
        Epochs after a reduction that are not counted. Default: 0.
    min_lr : float or list
        Where to stop; a list has one value per group. Default: 0.
    eps : float
        Smaller changes are not made. Default: 1e-8.

    Raises
    ------
    ValueError
        If an option makes no sense.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn, optim
    >>> opt = optim.SGD([nn.Parameter(cnnx.zeros(1))], lr=1.0)
    >>> scheduler = optim.lr_scheduler.ReduceLROnPlateau(opt, patience=1)
    >>> for loss in (0.5, 0.4, 0.4, 0.4):
    ...     scheduler.step(loss)
    >>> scheduler.get_last_lr()
    [0.1]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | list[float] = 0,
        eps: float = 1e-8,
    ) -> None:
        if factor >= 1.0:
            raise ValueError("Factor should be < 1.0.")
        if mode not in ("min", "max"):
            raise ValueError(f"mode {mode} is unknown!")
        if threshold_mode not in ("rel", "abs"):
            raise ValueError(f"threshold mode {threshold_mode} is unknown!")
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")
        groups = len(optimizer.param_groups)
        if isinstance(min_lr, (list, tuple)) and len(min_lr) != groups:
            raise ValueError(f"expected {groups} min_lrs, got {len(min_lr)}")
        self.optimizer = optimizer
        self.mode = mode
        self.factor = factor
        self.patience = patience
        self.threshold = threshold
        self.threshold_mode = threshold_mode
        self.cooldown = cooldown
        self.eps = eps
        self.default_min_lr = None if isinstance(min_lr, (list, tuple)) else min_lr
        self.min_lrs = list(min_lr) if isinstance(min_lr, (list, tuple)) else [min_lr] * groups
        self.last_epoch = 0
        self.mode_worse = math.inf if mode == "min" else -math.inf
        self._reset()
        self._last_lr = self._current()

    def _reset(self) -> None:
        self.best = self.mode_worse
        self.cooldown_counter = 0
        self.num_bad_epochs = 0

    @property
    def in_cooldown(self) -> bool:
        """Whether epochs are not counted at present."""
        return self.cooldown_counter > 0

    @noting.live
    def step(self, metrics: SupportsFloat, epoch: int | None = None) -> None:  # type: ignore[override]
        """Takes the metric of an epoch, and lowers the learning rates if it is time.

        Parameters
        ----------
        metrics : float or Tensor
            The value, for example the validation loss.
        epoch : int, optional
            Deprecated: the number of the epoch.
        """
        current = float(metrics)
        if epoch is not None:
            warnings.warn(
                "The epoch parameter in `scheduler.step()` is deprecated; please call it without.",
                stacklevel=2,
            )
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        if self._is_better(current, self.best):
            self.best = current
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.in_cooldown:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce_lr(self.last_epoch)
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0
        self._last_lr = self._current()

    # These two have PyTorch's names and arguments, because subclasses override them.

    def _is_better(self, a: float, best: float) -> bool:
        progress = self.threshold if self.mode == "max" else -self.threshold
        bound = best * (1.0 + progress) if self.threshold_mode == "rel" else best + progress
        return a > bound if self.mode == "max" else a < bound

    def _reduce_lr(self, epoch: int) -> None:
        groups = self.optimizer.param_groups
        if len(groups) != len(self.min_lrs):
            if self.default_min_lr is None:
                raise RuntimeError(
                    f"ReduceLROnPlateau: the optimizer has {len(groups)} groups by now, but min_lr was given "
                    f"for {len(self.min_lrs)}"
                )
            self.min_lrs = [self.default_min_lr] * len(groups)
        for group, lowest in zip(groups, self.min_lrs, strict=True):
            before = float(group["lr"])
            lr = max(before * self.factor, lowest)
            if before - lr > self.eps:
                set_lr(group, lr)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Loads what `state_dict` returned."""
        self.__dict__.update(state_dict)
