"""The base class of learning-rate schedules."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from ... import noting
from ...tensor import Tensor
from ..optimizer import Optimizer


def _value(lr: Any) -> Any:
    return lr.detach().clone() if isinstance(lr, Tensor) else lr


def set_lr(group: dict[str, Any], lr: Any) -> None:
    """Sets the learning rate of a group; one that is a tensor is changed in place."""
    if isinstance(group["lr"], Tensor):
        group["lr"].fill_(float(lr))
    else:
        group["lr"] = lr


class LRScheduler:
    """Base class: a subclass defines `get_lr`, the learning rates at ``self.last_epoch``.

    Parameters
    ----------
    optimizer : Optimizer
        Its groups get ``"initial_lr"``.
    last_epoch : int
        Where to go on from; -1 to start. Default: -1.

    Raises
    ------
    KeyError
        If it is to go on and a group has no ``"initial_lr"``.
    """

    _is_initial = False
    _get_lr_called_within_step = False  # what get_lr of own schedules asks, to warn of calls from outside

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")
        self.optimizer = optimizer
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", _value(group["lr"]))
            elif "initial_lr" not in group:
                raise KeyError(
                    f"param 'initial_lr' is not specified in param_groups[{i}] when resuming scheduler "
                    f"with last_epoch >= 0"
                )
        self.base_lrs: list[Any] = [_value(group["initial_lr"]) for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._step_count = 0
        self._last_lr: list[Any] = []
        self._initial_step()

    def _initial_step(self) -> None:
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def get_lr(self) -> list[Any]:
        """The learning rates, one per group, at ``self.last_epoch``."""
        raise NotImplementedError

    def get_last_lr(self) -> list[Any]:
        """The learning rates that were set last, one per group."""
        return self._last_lr

    @noting.live
    def step(self, epoch: int | None = None) -> None:
        """Goes on by one epoch (or batch) and sets the learning rates.

        Parameters
        ----------
        epoch : int, optional
            Deprecated: jump to this epoch.
        """
        if self._step_count == 1 and not self.optimizer._opt_called:
            warnings.warn(
                "Detected call of `lr_scheduler.step()` before `optimizer.step()`. The order should be "
                "the opposite: "
                "otherwise the first value of the learning rate schedule is skipped.",
                UserWarning,
                stacklevel=2,
            )
        self._step_count += 1
        if epoch is None:
            self.last_epoch += 1
            self._update(self.get_lr)
        else:
            warnings.warn(
                "The epoch parameter in `scheduler.step()` is deprecated; please call it without.",
                stacklevel=2,
            )
            self._jump(epoch)

    def _jump(self, epoch: int) -> None:
        self.last_epoch = epoch
        self._update(getattr(self, "_get_closed_form_lr", self.get_lr))

    def _update(self, formula: Callable[[], list[Any]]) -> None:
        self._get_lr_called_within_step = True
        try:
            values = formula()
        finally:
            self._get_lr_called_within_step = False
        for group, lr in zip(self.optimizer.param_groups, values, strict=True):
            set_lr(group, lr)
        self._last_lr = self._current()

    def _current(self) -> list[Any]:
        return [_value(group["lr"]) for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer."""
        return {name: value for name, value in self.__dict__.items() if name != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Loads what `state_dict` returned."""
        self.__dict__.update(state_dict)
