"""The schedule of one cycle."""

from __future__ import annotations

import math

from ..optimizer import Optimizer
from .momentum import MomentumScheduler, per_group


class OneCycleLR(MomentumScheduler):
    """Up from ``max_lr / div_factor`` to `max_lr`, then far down; momentum the other way round.

    It is stepped after every batch.

    Parameters
    ----------
    optimizer : Optimizer
        Whose learning rates (and momentum, or beta1) are set.
    max_lr : float or list
        The peak; a list has one value per group.
    total_steps : int, optional
        Steps of the cycle. Default: ``epochs * steps_per_epoch``.
    epochs, steps_per_epoch : int, optional
        Used if `total_steps` is not given.
    pct_start : float
        Share of the cycle that goes up. Default: 0.3.
    anneal_strategy : {"cos", "linear"}
        Default: "cos".
    cycle_momentum : bool
        Default: True.
    base_momentum, max_momentum : float or list
        Default: 0.85 and 0.95.
    div_factor : float
        Default: 25.
    final_div_factor : float
        The cycle ends at the initial learning rate divided by this. Default: 1e4.
    three_phase : bool
        Come down to the initial learning rate first, symmetrically. Default: False.
    last_epoch : int
        Default: -1.

    Raises
    ------
    ValueError
        If the number of steps is not given or not positive, an option makes no sense, or it is stepped too
        often.

    Notes
    -----
    Smith & Topin, "Super-convergence: very fast training of neural networks using large learning rates"
    (2018).
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError("You must define either total_steps OR (epochs AND steps_per_epoch)")
            for name, value in (("epochs", epochs), ("steps_per_epoch", steps_per_epoch)):
                if not isinstance(value, int) or value <= 0:
                    raise ValueError(f"Expected positive integer {name}, but got {value}")
            total_steps = epochs * steps_per_epoch
        elif not isinstance(total_steps, int) or total_steps <= 0:
            raise ValueError(f"Expected positive integer total_steps, but got {total_steps}")
        if not isinstance(pct_start, float) or not 0 <= pct_start <= 1:
            raise ValueError(f"Expected float between 0 and 1 pct_start, but got {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}"
            )
        self.total_steps = total_steps
        self._anneal_func_type = anneal_strategy
        up = pct_start * total_steps - 1
        # End of the phase; learning rate at its start and end; momentum at its start and end.
        self._schedule_phases: list[tuple[float, str, str, str, str]] = [
            (up, "initial_lr", "max_lr", "max_momentum", "base_momentum")
        ]
        last = float(total_steps - 1)
        if three_phase:
            self._schedule_phases += [
                (2 * pct_start * total_steps - 2, "max_lr", "initial_lr", "base_momentum", "max_momentum"),
                (last, "initial_lr", "min_lr", "max_momentum", "max_momentum"),
            ]
        else:
            self._schedule_phases.append((last, "max_lr", "min_lr", "base_momentum", "max_momentum"))
        self._find_momentum(optimizer, cycle_momentum)
        peaks = per_group("max_lr", optimizer, max_lr)
        low, high = (
            per_group(n, optimizer, v)
            for n, v in (("base_momentum", base_momentum), ("max_momentum", max_momentum))
        )
        if last_epoch == -1:
            for i, group in enumerate(optimizer.param_groups):
                group["initial_lr"] = peaks[i] / div_factor
                group["max_lr"] = peaks[i]
                group["min_lr"] = group["initial_lr"] / final_div_factor
                if cycle_momentum:
                    self._set_momentum(group, high[i])
                    group["max_momentum"] = high[i]
                    group["base_momentum"] = low[i]
        super().__init__(optimizer, last_epoch)

    def _anneal(self, start: float, end: float, share: float) -> float:
        if self._anneal_func_type == "cos":
            return end + (start - end) / 2.0 * (math.cos(math.pi * share) + 1)
        return (end - start) * share + start

    def get_lr(self) -> list[float]:
        """The learning rates, one per group. Sets the momentum too."""
        step = self.last_epoch
        if step > self.total_steps:
            raise ValueError(
                f"Tried to step {step} times. The specified number of total steps is {self.total_steps}"
            )
        start, (end, *names) = 0.0, self._schedule_phases[0]
        for phase in self._schedule_phases[1:]:
            if step <= end:
                break
            start, (end, *names) = end, phase
        # A phase without length (a cycle of one or two steps) is at its end.
        share = (step - start) / (end - start) if end != start else 1.0
        lrs = []
        for group in self.optimizer.param_groups:
            lrs.append(self._anneal(group[names[0]], group[names[1]], share))
            if self.cycle_momentum:
                self._set_momentum(group, self._anneal(group[names[2]], group[names[3]], share))
        return lrs
