"""The base class of learning-rate schedules."""

from __future__ import annotations

import warnings
from typing import Any

from ..optimizer import Optimizer


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

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")
        self.optimizer = optimizer
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise KeyError(
                    f"param 'initial_lr' is not specified in param_groups[{i}] when resuming scheduler "
                    f"with last_epoch >= 0"
                )
        self.base_lrs: list[float] = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._step_count = 0
        self._last_lr: list[float] = []
        self._initial_step()

    def _initial_step(self) -> None:
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            del self._is_initial

    def get_lr(self) -> list[float]:
        """The learning rates, one per group, at ``self.last_epoch``."""
        raise NotImplementedError

    def get_last_lr(self) -> list[float]:
        """The learning rates that were set last, one per group."""
        return self._last_lr

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
            values = self.get_lr()
        else:
            warnings.warn(
                "The epoch parameter in `scheduler.step()` is deprecated; please call it without.",
                stacklevel=2,
            )
            self._jump(epoch)
            return
        self._set(values)

    def _jump(self, epoch: int) -> None:
        self.last_epoch = epoch
        closed_form = getattr(self, "_get_closed_form_lr", self.get_lr)
        self._set(closed_form())

    def _set(self, values: list[float]) -> None:
        for group, lr in zip(self.optimizer.param_groups, values, strict=True):
            group["lr"] = lr
        self._last_lr = self._current()

    def _current(self) -> list[float]:
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer."""
        return {name: value for name, value in self.__dict__.items() if name != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Loads what `state_dict` returned."""
        self.__dict__.update(state_dict)
