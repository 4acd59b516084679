"""Own learning-rate schedules: what PyTorch lets one override, run on both libraries."""

from __future__ import annotations

import functools
import math
import warnings
from types import SimpleNamespace
from typing import Any

import pytest

import cnnx


def optimizer(lib: Any, **options: Any) -> Any:
    params = [lib.nn.Parameter(lib.zeros(1)), lib.nn.Parameter(lib.zeros(1))]
    return lib.optim.SGD(
        [{"params": params[:1]}, {"params": params[1:], "lr": 0.02}], **{"lr": 0.1, **options}
    )


def own(lib: Any) -> SimpleNamespace:
    schedules = lib.optim.lr_scheduler

    class Warm(schedules.LRScheduler):
        """get_lr alone, with the guard that older schedules of PyTorch had."""

        def __init__(self, optimizer: Any, epochs: int, last_epoch: int = -1) -> None:
            self.epochs = epochs
            super().__init__(optimizer, last_epoch)

        def get_lr(self) -> list[float]:
            if not self._get_lr_called_within_step:
                warnings.warn("use get_last_lr()", UserWarning, stacklevel=2)
            return [base * min(1, (self.last_epoch + 1) / self.epochs) for base in self.base_lrs]

    class Closed(Warm):
        def _get_closed_form_lr(self) -> list[float]:
            return [base / (1 + self.last_epoch) for base in self.base_lrs]

    class Counting(schedules._LRScheduler):
        """Its own step and state."""

        def __init__(self, optimizer: Any) -> None:
            self.calls = 0
            super().__init__(optimizer)

        def get_lr(self) -> list[float]:
            return [group["lr"] * 0.9 for group in self.optimizer.param_groups]

        def step(self, epoch: Any = None) -> None:
            self.calls += 1
            if self.calls % 2:
                super().step(epoch)

        def state_dict(self) -> Any:
            return {"all": super().state_dict()}

        def load_state_dict(self, state_dict: Any) -> None:
            super().load_state_dict(state_dict["all"])

    class Cosine(schedules.CosineAnnealingLR):
        def get_lr(self) -> list[float]:
            return [lr + 0.001 for lr in super().get_lr()]

    class Plateau(schedules.ReduceLROnPlateau):
        def _reduce_lr(self, epoch: int) -> None:
            super()._reduce_lr(epoch)
            self.reduced = [*getattr(self, "reduced", []), epoch]

        def _is_better(self, a: float, best: float) -> bool:
            return a < best - 0.15

    return SimpleNamespace(Warm=Warm, Closed=Closed, Counting=Counting, Cosine=Cosine, Plateau=Plateau)


class Decay:
    """A callable with state."""

    def __init__(self) -> None:
        self.factor = 0.5

    def __call__(self, epoch: int) -> float:
        return self.factor**epoch


def power(base: float, epoch: int) -> float:
    return base**epoch


def rates(opt: Any) -> list[float]:
    return [float(group["lr"]) for group in opt.param_groups]


def run(opt: Any, schedule: Any, steps: int, edit: Any = None) -> list[Any]:
    log = []
    for i in range(steps):
        opt.step()
        if edit is not None:
            edit(i, opt, schedule)
        schedule.step()
        log.append([*rates(opt), *map(float, schedule.get_last_lr()), schedule.last_epoch])
    return log


def same(script: Any) -> None:
    torch = pytest.importorskip("torch")
    for mine, theirs in zip(script(cnnx), script(torch), strict=True):
        assert mine == pytest.approx(theirs, rel=1e-6)


@pytest.mark.parametrize("kind", ["Warm", "Closed", "Counting", "Cosine"])
def test_what_a_subclass_overrides_is_called(kind):
    def script(lib: Any) -> Any:
        opt = optimizer(lib)
        arguments = [] if kind == "Counting" else [4]
        schedule = getattr(own(lib), kind)(opt, *arguments)
        log = run(opt, schedule, 6)
        saved = schedule.state_dict()
        opt2 = optimizer(lib)
        second = getattr(own(lib), kind)(opt2, *arguments)
        opt2.load_state_dict(opt.state_dict())
        second.load_state_dict(saved)
        log += run(opt2, second, 4)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # epoch is deprecated
            second.step(3)
            second.step(1)
        return [*log, rates(opt2)]

    same(script)


def test_get_lr_knows_whether_step_calls_it():
    opt = optimizer(cnnx)
    schedule = own(cnnx).Warm(opt, 4)
    with pytest.warns(UserWarning, match="use get_last_lr"):
        schedule.get_lr()


def test_callables_of_all_kinds():
    def script(lib: Any) -> Any:
        log = []
        for fn in (Decay(), functools.partial(power, 0.7), Decay().__call__, [lambda e: 1.0, Decay()]):
            opt = optimizer(lib)
            schedule = lib.optim.lr_scheduler.LambdaLR(opt, fn)
            log += run(opt, schedule, 3)
            schedule.load_state_dict(schedule.state_dict())
            log += run(opt, schedule, 2)
        return log

    same(script)
    opt = optimizer(cnnx)
    schedule = cnnx.optim.lr_scheduler.LambdaLR(
        opt, math.cos
    )  # PyTorch's state_dict raises an AttributeError
    schedule.load_state_dict(schedule.state_dict())


def test_own_schedules_in_others():
    def script(lib: Any) -> Any:
        module = lib.optim.lr_scheduler
        log = []
        for make in (
            lambda o: module.SequentialLR(o, [own(lib).Warm(o, 3), own(lib).Cosine(o, 5)], [3]),
            lambda o: module.SequentialLR(o, [own(lib).Warm(o, 3), own(lib).Closed(o, 5)], [2]),
            lambda o: module.ChainedScheduler([own(lib).Cosine(o, 7), own(lib).Counting(o)]),
            lambda o: module.SequentialLR(
                o,
                [
                    module.ChainedScheduler([module.ConstantLR(o, 0.5, 2), module.ExponentialLR(o, 0.9)]),
                    own(lib).Warm(o, 2),
                ],
                [4],
            ),
        ):
            opt = optimizer(lib)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the parts of a chain warn of steps before the optimizer's
                schedule = make(opt)
            for _ in range(9):
                opt.step()
                schedule.step()
                log.append([*rates(opt), *schedule.get_last_lr()])
        return log

    same(script)


def test_edits_between_steps():
    def script(lib: Any) -> Any:
        def edit(i: int, opt: Any, schedule: Any) -> None:
            if i == 2:
                opt.param_groups[0]["lr"] = 0.5
            if i == 4:
                schedule.base_lrs[1] = 0.3

        module = lib.optim.lr_scheduler
        log = []
        for make in (
            lambda o: module.StepLR(o, 2, 0.5),
            lambda o: module.CosineAnnealingLR(o, 9),
            lambda o: module.LinearLR(o, 0.5, total_iters=6),
            lambda o: module.LambdaLR(o, Decay()),
            lambda o: own(lib).Counting(o),
        ):
            opt = optimizer(lib)
            opt.param_groups[1]["initial_lr"] = 0.08  # by hand: it counts instead of lr
            log += run(opt, make(opt), 7, edit)
        return log

    same(script)


def test_resuming_by_last_epoch():
    def script(lib: Any) -> Any:
        opt = optimizer(lib)
        for group in opt.param_groups:
            group["initial_lr"] = 0.4
        return run(opt, own(lib).Warm(opt, 8, last_epoch=3), 4)

    same(script)


def test_a_group_that_comes_later():
    opt = optimizer(cnnx)
    schedule = own(cnnx).Warm(opt, 4)
    opt.step()
    opt.add_param_group({"params": [cnnx.nn.Parameter(cnnx.zeros(1))]})
    with pytest.raises(ValueError, match="zip"):
        schedule.step()
    schedule.base_lrs.append(0.5)
    schedule.step()
    assert rates(opt)[2] == 0.375


def test_a_plateau_of_ones_own():
    def script(lib: Any) -> Any:
        opt = optimizer(lib)
        schedule = own(lib).Plateau(opt, patience=1)
        log = []
        for i, loss in enumerate((1.0, 0.9, 0.8, 0.7, 0.65, 0.6, 0.55, 0.2, 0.2, 0.2)):
            schedule.step(loss)
            if i == 7:
                schedule._reset()
            log.append([*rates(opt), schedule.num_bad_epochs])
        return [*log, schedule.reduced]

    same(script)


def test_learning_rates_that_are_tensors():
    def script(lib: Any) -> Any:
        log = []
        module = lib.optim.lr_scheduler
        for make in (
            lambda o: module.StepLR(o, 2, 0.5),
            lambda o: module.LambdaLR(o, lambda epoch: 1 / (1 + epoch)),
            lambda o: module.CosineAnnealingLR(o, 9),
        ):
            lr = lib.tensor(0.1)
            p = lib.nn.Parameter(lib.zeros(1))
            opt = lib.optim.SGD([p], lr=lr)
            schedule = make(opt)
            p.grad = lib.ones(1)
            log += run(opt, schedule, 5)
            assert opt.param_groups[0]["lr"] is lr  # changed in place, as PyTorch does
            kept = schedule.get_last_lr()[0]
            lr.fill_(7.0)
            log.append([float(kept), p.item()])
        return log

    same(script)
