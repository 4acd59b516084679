"""Schedules made of schedules."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from ... import noting
from ..optimizer import Optimizer
from .base import LRScheduler, set_lr
from .plateau import ReduceLROnPlateau


class _Combined(LRScheduler):
    """Keeps the state of its parts."""

    _schedulers: list[LRScheduler]

    def _check(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None) -> Optimizer:
        kind = type(self).__name__
        if not schedulers:
            raise ValueError(f"{kind} expects at least one scheduler, but got no scheduler.")
        for i, scheduler in enumerate(schedulers):
            if not hasattr(scheduler, "optimizer"):
                raise TypeError(f"{kind}: item {i} has no optimizer, it is a {type(scheduler).__name__}")
            if isinstance(scheduler, ReduceLROnPlateau):
                raise ValueError(f"{kind} does not support ReduceLROnPlateau (item {i})")
        optimizer = optimizer or schedulers[0].optimizer
        if any(scheduler.optimizer is not optimizer for scheduler in schedulers):
            raise ValueError(f"{kind} expects all schedulers to belong to the same optimizer")
        return optimizer

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer; of the schedulers, their states."""
        state = super().state_dict()
        state["_schedulers"] = [scheduler.state_dict() for scheduler in self._schedulers]
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Loads what `state_dict` returned."""
        state = dict(state_dict)
        for scheduler, part in zip(self._schedulers, state.pop("_schedulers"), strict=True):
            scheduler.load_state_dict(part)
        self.__dict__.update(state)


class SequentialLR(_Combined):
    """One schedule after another, for example a warm-up and then a cosine.

    Parameters
    ----------
    optimizer : Optimizer
        Whose learning rates are set.
    schedulers : list of LRScheduler
        Of this optimizer.
    milestones : list of int
        The epochs at which the second, third, ... begin.
    last_epoch : int
        Default: -1.

    Raises
    ------
    ValueError
        If the numbers of schedules and milestones do not match, or an optimizer differs.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: list[LRScheduler],
        milestones: list[int],
        last_epoch: int = -1,
    ) -> None:
        self.optimizer = self._check(schedulers, optimizer)
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(
                f"SequentialLR: {len(schedulers)} schedulers need {len(schedulers) - 1} milestones, "
                f"got {len(milestones)}"
            )
        self._schedulers = schedulers
        self._milestones = milestones
        self.last_epoch = last_epoch + 1
        for group in optimizer.param_groups:
            set_lr(group, group["initial_lr"])
        _undo(self)
        first = schedulers[bisect_right(milestones, 0)]
        first._initial_step()
        self._last_lr = first.get_last_lr()

    @noting.live
    def step(self) -> None:  # type: ignore[override]
        """Goes on by one epoch with the schedule whose turn it is."""
        self.last_epoch += 1
        turn = bisect_right(self._milestones, self.last_epoch)
        scheduler = self._schedulers[turn]
        if turn > 0 and self._milestones[turn - 1] == self.last_epoch:
            scheduler._jump(0)
        else:
            scheduler.step()
        self._last_lr = scheduler.get_last_lr()


def _undo(scheduler: LRScheduler) -> None:
    """Takes back the step that making a schedule has made."""
    if isinstance(scheduler, _Combined):
        for part in scheduler._schedulers:
            _undo(part)
    else:
        scheduler.last_epoch -= 1


class ChainedScheduler(_Combined):
    """Several schedules at once: each changes the learning rates in turn.

    Parameters
    ----------
    schedulers : sequence of LRScheduler
        Of one optimizer.
    optimizer : Optimizer, optional
        Default: that of the first.
    """

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        self.optimizer = self._check(schedulers, optimizer)
        self._schedulers = list(schedulers)
        self._last_lr = self._current()

    @noting.live
    def step(self) -> None:  # type: ignore[override]
        """Goes on by one epoch with all of them."""
        for scheduler in self._schedulers:
            scheduler.step()
        self._last_lr = self._current()
