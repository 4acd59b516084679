"""Schedules that follow a formula of the epoch."""

from __future__ import annotations

import math
import types
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ... import noting
from ..optimizer import Optimizer
from .base import LRScheduler


def _decay(gamma: float, times: int) -> float:
    """`gamma` to the power of `times`, as floats: of an int it could have more digits than memory holds."""
    try:
        return float(gamma) ** times
    except OverflowError:
        raise OverflowError(
            f"lr_scheduler: gamma {gamma:g} to the power of {times} is beyond all floats"
        ) from None


class LambdaLR(LRScheduler):
    """The initial learning rate times a function of the epoch.

    Parameters
    ----------
    optimizer : Optimizer
        Whose learning rates are set.
    lr_lambda : callable or list of callables
        Epoch to factor; a list has one per group.
    last_epoch : int
        Default: -1.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")
        if isinstance(lr_lambda, (list, tuple)):
            if len(lr_lambda) != len(optimizer.param_groups):
                raise ValueError(
                    f"Expected {len(optimizer.param_groups)} lr_lambdas, but got {len(lr_lambda)}"
                )
            self.lr_lambdas: list[Any] = list(lr_lambda)
        else:
            self.lr_lambdas = [lr_lambda] * len(optimizer.param_groups)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The learning rates, one per group."""
        return [base * fn(self.last_epoch) for fn, base in zip(self.lr_lambdas, self.base_lrs, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer and functions; of callable objects, their attributes."""
        state = super().state_dict()
        state["lr_lambdas"] = [
            dict(vars(fn)) if hasattr(fn, "__dict__") and not isinstance(fn, types.FunctionType) else None
            for fn in self.lr_lambdas
        ]
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Loads what `state_dict` returned."""
        state = dict(state_dict)
        for fn, attributes in zip(self.lr_lambdas, state.pop("lr_lambdas"), strict=True):
            if attributes is not None:
                fn.__dict__.update(attributes)
        self.__dict__.update(state)


class StepLR(LRScheduler):
    """Times `gamma` every `step_size` epochs.

    Parameters
    ----------
    optimizer : Optimizer
        Whose learning rates are set.
    step_size : int
        Epochs between changes.
    gamma : float
        Default: 0.1.
    last_epoch : int
        Default: -1.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn, optim
    >>> opt = optim.SGD([nn.Parameter(cnnx.zeros(1))], lr=1.0)
    >>> scheduler = optim.lr_scheduler.StepLR(opt, step_size=2, gamma=0.5)
    >>> for _ in range(4):
    ...     opt.step()
    ...     scheduler.step()
    >>> scheduler.get_last_lr()
    [0.25]
    """

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        if step_size < 1:
            raise ValueError(f"StepLR: step_size must be positive, got {step_size}")
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The learning rates, one per group."""
        if self.last_epoch == 0 or self.last_epoch % self.step_size != 0:
            return self._current()
        return [lr * self.gamma for lr in self._current()]

    def _get_closed_form_lr(self) -> list[float]:
        return [base * _decay(self.gamma, self.last_epoch // self.step_size) for base in self.base_lrs]


class MultiStepLR(LRScheduler):
    """Times `gamma` at every milestone.

    Parameters
    ----------
    optimizer : Optimizer
        Whose learning rates are set.
    milestones : iterable of int
        Epochs.
    gamma : float
        Default: 0.1.
    last_epoch : int
        Default: -1.
    """

    def __init__(
        self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.milestones = Counter(milestones)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The learning rates, one per group."""
        if self.last_epoch not in self.milestones:
            return self._current()
        return [lr * _decay(self.gamma, self.milestones[self.last_epoch]) for lr in self._current()]

    def _get_closed_form_lr(self) -> list[float]:
        passed = bisect_right(sorted(self.milestones.elements()), self.last_epoch)
        return [base * _decay(self.gamma, passed) for base in self.base_lrs]

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Loads what `state_dict` returned; milestones may have become a plain dict on the way."""
        state = dict(state_dict)
        state["milestones"] = Counter({int(k): v for k, v in state["milestones"].items()})
        super().load_state_dict(state)


class ExponentialLR(LRScheduler):
    """Times `gamma` every epoch.

    Parameters
    ----------
    optimizer : Optimizer
        Whose learning rates are set.
    gamma : float
        The factor.
    last_epoch : int
        Default: -1.
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The learning rates, one per group."""
        if self._is_initial:
            return self._current()
        return [lr * self.gamma for lr in self._current()]

    def _get_closed_form_lr(self) -> list[float]:
        return [base * _decay(self.gamma, self.last_epoch) for base in self.base_lrs]


class CosineAnnealingLR(LRScheduler):
    """Half a cosine wave from the initial learning rate down to `eta_min` in `T_max` epochs, then up again.

    Parameters
    ----------
    optimizer : Optimizer
        Whose learning rates are set.
    T_max : int
        Epochs of half a period.
    eta_min : float
        Default: 0.
    last_epoch : int
        Default: -1.

    Notes
    -----
    Loshchilov & Hutter, "SGDR: stochastic gradient descent with warm restarts" (2017), without the restarts.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:  # noqa: N803
        if T_max < 1:
            raise ValueError(f"CosineAnnealingLR: T_max must be positive, got {T_max}")
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The learning rates, one per group, from the current ones: changes from outside are kept."""
        if self._is_initial:
            return self._current()
        if self._step_count == 1 and self.last_epoch > 0:
            return self._get_closed_form_lr()
        if (self.last_epoch - 1 - self.T_max) % (2 * self.T_max) == 0:  # the recursion would divide by zero
            rise = (1 - math.cos(math.pi / self.T_max)) / 2
            return [
                lr + (base - self.eta_min) * rise
                for base, lr in zip(self.base_lrs, self._current(), strict=True)
            ]
        ratio = (1 + math.cos(math.pi * self.last_epoch / self.T_max)) / (
            1 + math.cos(math.pi * (self.last_epoch - 1) / self.T_max)
        )
        return [ratio * (lr - self.eta_min) + self.eta_min for lr in self._current()]

    def _get_closed_form_lr(self) -> list[float]:
        height = (1 + math.cos(math.pi * self.last_epoch / self.T_max)) / 2
        return [self.eta_min + (base - self.eta_min) * height for base in self.base_lrs]


class MultiplicativeLR(LambdaLR):
    """Every epoch times a function of the epoch. Parameters as of `LambdaLR`."""

    def get_lr(self) -> list[float]:
        """The learning rates, one per group."""
        if self._is_initial:
            return self._current()
        return [lr * fn(self.last_epoch) for fn, lr in zip(self.lr_lambdas, self._current(), strict=True)]


class ConstantLR(LRScheduler):
    """The initial learning rate times `factor` (default: 1/3) for `total_iters` epochs (default: 5)."""

    def __init__(
        self, optimizer: Optimizer, factor: float = 1.0 / 3, total_iters: int = 5, last_epoch: int = -1
    ) -> None:
        if not 0 <= factor <= 1:
            raise ValueError(f"ConstantLR: factor must be between 0 and 1, got {factor}")
        self.factor = factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The learning rates, one per group."""
        if self.last_epoch == 0:
            return [lr * self.factor for lr in self._current()]
        if self.last_epoch != self.total_iters:
            return self._current()
        return [lr / self.factor for lr in self._current()]

    def _get_closed_form_lr(self) -> list[float]:
        return [base * (self.factor if self.last_epoch < self.total_iters else 1.0) for base in self.base_lrs]


class LinearLR(LRScheduler):
    """The initial learning rate times a factor that goes evenly from one number to another, as a warm-up.

    Parameters
    ----------
    optimizer : Optimizer
        Whose learning rates are set.
    start_factor : float
        Within (0, 1]. Default: 1/3.
    end_factor : float
        Within [0, 1]. Default: 1.
    total_iters : int
        Epochs until the end is reached. Default: 5.
    last_epoch : int
        Default: -1.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if not 0 < start_factor <= 1:
            raise ValueError(f"LinearLR: start_factor must be above 0 and at most 1, got {start_factor}")
        if not 0 <= end_factor <= 1:
            raise ValueError(f"LinearLR: end_factor must be between 0 and 1, got {end_factor}")
        self.start_factor = start_factor
        self.end_factor = end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The learning rates, one per group."""
        if self.last_epoch == 0:
            return [lr * self.start_factor for lr in self._current()]
        if self._is_initial or self.last_epoch > self.total_iters:
            return self._current()
        rise = self.end_factor - self.start_factor
        before = self.total_iters * self.start_factor + (self.last_epoch - 1) * rise
        return [lr * (1.0 + rise / before) for lr in self._current()]

    def _get_closed_form_lr(self) -> list[float]:
        share = min(self.total_iters, self.last_epoch) / self.total_iters if self.total_iters else 1.0
        factor = self.start_factor + (self.end_factor - self.start_factor) * share
        return [base * factor for base in self.base_lrs]


class PolynomialLR(LRScheduler):
    """Down to 0 in `total_iters` epochs (default: 5), as (1 - epoch / total_iters) ** power (default: 1)."""

    def __init__(
        self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1
    ) -> None:
        self.total_iters = total_iters
        self.power = power
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The learning rates, one per group."""
        if self._is_initial or self.last_epoch > self.total_iters:
            return self._current()
        left = self.total_iters - self.last_epoch
        return [lr * (left / (left + 1)) ** self.power for lr in self._current()]

    def _get_closed_form_lr(self) -> list[float]:
        share = 1.0 - min(self.total_iters, self.last_epoch) / self.total_iters if self.total_iters else 0.0
        return [base * share**self.power for base in self.base_lrs]


class CosineAnnealingWarmRestarts(LRScheduler):
    """Half a cosine wave from the initial learning rate to `eta_min`, over and over.

    Parameters
    ----------
    optimizer : Optimizer
        Whose learning rates are set.
    T_0 : int
        Epochs of the first wave.
    T_mult : int
        Each wave is so many times as long as the one before. Default: 1.
    eta_min : float
        Default: 0.
    last_epoch : int
        Default: -1.

    Notes
    -----
    Loshchilov & Hutter, "SGDR: stochastic gradient descent with warm restarts" (2017).
    """

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,  # noqa: N803
        T_mult: int = 1,  # noqa: N803
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        if not isinstance(T_0, int) or T_0 <= 0:
            raise ValueError(f"Expected positive integer T_0, but got {T_0}")
        if not isinstance(T_mult, int) or T_mult < 1:
            raise ValueError(f"Expected integer T_mult >= 1, but got {T_mult}")
        self.T_0 = T_0
        self.T_i = T_0
        self.T_mult = T_mult
        self.eta_min = eta_min
        self.T_cur: float = last_epoch
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The learning rates, one per group."""
        height = (1 + math.cos(math.pi * self.T_cur / self.T_i)) / 2
        return [self.eta_min + (base - self.eta_min) * height for base in self.base_lrs]

    @noting.live
    def step(self, epoch: float | None = None) -> None:
        """Goes on by one epoch, or to `epoch`, which may be a fraction: ``epoch + batch / batches``."""
        if epoch is None and self.last_epoch >= 0:
            place: float = self.last_epoch + 1
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur %= self.T_i
                self.T_i *= self.T_mult
        else:
            place = 0 if epoch is None else epoch
            if not 0 <= place < math.inf:
                raise ValueError(f"Expected non-negative epoch, but got {epoch}")
            length = self.T_0  # of the present wave
            begin: float = place // length * length if self.T_mult == 1 else 0
            while place >= begin + length:
                begin, length = begin + length, length * self.T_mult
            self.T_i = length
            self.T_cur = place - begin
        self.last_epoch = math.floor(place)
        self._update(self.get_lr)
