"""The schedule of many cycles."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..optimizer import Optimizer
from .base import set_lr
from .momentum import MomentumScheduler, per_group


class CyclicLR(MomentumScheduler):
    """Up from `base_lr` to `max_lr` and down again, over and over; momentum the other way round.

    It is stepped after every batch.

    Parameters
    ----------
    optimizer : Optimizer
        Whose learning rates (and momentum, or beta1) are set.
    base_lr, max_lr : float or list
        The ends; a list has one value per group.
    step_size_up : int
        Steps of the way up. Default: 2000.
    step_size_down : int, optional
        Of the way down. Default: as many.
    mode : {"triangular", "triangular2", "exp_range"}
        What becomes of the height: it stays, is halved with each cycle, or is multiplied by ``gamma`` with
        each step. Default: "triangular".
    gamma : float
        Of "exp_range". Default: 1.
    scale_fn : callable, optional
        The height as a function of the number of the cycle, from 1, or of the step; `mode` is then unused.
    scale_mode : {"cycle", "iterations"}
        Of what `scale_fn` is a function. Default: "cycle".
    cycle_momentum : bool
        Default: True.
    base_momentum, max_momentum : float or list
        Default: 0.8 and 0.9.
    last_epoch : int
        Default: -1.

    Raises
    ------
    ValueError
        If an option makes no sense, or the optimizer has no momentum to cycle.

    Notes
    -----
    Smith, "Cyclical learning rates for training neural networks" (2017).
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.8,
        max_momentum: float | list[float] = 0.9,
        last_epoch: int = -1,
    ) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")
        down = step_size_up if step_size_down is None else step_size_down
        if step_size_up <= 0 or down < 0:
            raise ValueError(f"CyclicLR: a cycle needs steps, got {step_size_up} up and {down} down")
        if scale_fn is None and mode not in ("triangular", "triangular2", "exp_range"):
            raise ValueError(
                f"CyclicLR: mode must be 'triangular', 'triangular2' or 'exp_range', got {mode!r}"
            )
        if scale_mode not in ("cycle", "iterations"):
            raise ValueError(f"CyclicLR: scale_mode must be 'cycle' or 'iterations', got {scale_mode!r}")
        if mode == "exp_range" and scale_fn is None:
            scale_mode = "iterations"
        self.total_size = float(step_size_up + down)
        self.step_ratio = step_size_up / self.total_size
        self.mode = mode
        self.gamma = gamma
        self._scale_fn_custom = scale_fn
        self.scale_mode = scale_mode
        self.max_lrs = per_group("max_lr", optimizer, max_lr)
        self._find_momentum(optimizer, cycle_momentum)
        if cycle_momentum:
            self.base_momentums = per_group("base_momentum", optimizer, base_momentum)
            self.max_momentums = per_group("max_momentum", optimizer, max_momentum)
        lows = per_group("base_lr", optimizer, base_lr)
        if last_epoch == -1:
            for group, low in zip(optimizer.param_groups, lows, strict=True):
                set_lr(group, low)
                group["initial_lr"] = low
        super().__init__(optimizer, last_epoch)
        self.base_lrs = lows

    def scale_fn(self, x: float) -> float:
        """The height of a cycle of 1, by the number of the cycle or of the step."""
        if self._scale_fn_custom is not None:
            return self._scale_fn_custom(x)
        if self.mode == "triangular2":
            return float(1 / (2.0 ** (x - 1)))
        return float(self.gamma**x) if self.mode == "exp_range" else 1.0

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer and a `scale_fn` of the user's own."""
        state = super().state_dict()
        del state["_scale_fn_custom"]
        return state

    def get_lr(self) -> list[float]:
        """The learning rates, one per group. Sets the momentum too."""
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1.0 + self.last_epoch / self.total_size - cycle
        share = x / self.step_ratio if x <= self.step_ratio else (x - 1) / (self.step_ratio - 1)
        share *= self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            for group, low, high in zip(
                self.optimizer.param_groups, self.base_momentums, self.max_momentums, strict=True
            ):
                self._set_momentum(group, high - (high - low) * share)
        return [low + (high - low) * share for low, high in zip(self.base_lrs, self.max_lrs, strict=True)]
