"""Learning-rate schedules against PyTorch's."""

import math
import warnings

import pytest

import cnnx
from cnnx import nn, optim
from cnnx.optim import lr_scheduler

pytestmark = pytest.mark.once

CASES = [
    ("StepLR", {"step_size": 3, "gamma": 0.5}),
    ("MultiStepLR", {"milestones": [2, 5, 5, 9], "gamma": 0.3}),
    ("ExponentialLR", {"gamma": 0.9}),
    ("LambdaLR", {"lr_lambda": lambda epoch: 1 / (1 + epoch)}),
    ("MultiplicativeLR", {"lr_lambda": lambda epoch: 0.95 if epoch % 3 else 1.1}),
    ("ConstantLR", {"factor": 0.4, "total_iters": 6}),
    ("LinearLR", {}),
    ("LinearLR", {"start_factor": 0.1, "end_factor": 0.5, "total_iters": 12}),
    ("PolynomialLR", {"total_iters": 8, "power": 1.5}),
    ("CosineAnnealingWarmRestarts", {"T_0": 4}),
    ("CosineAnnealingWarmRestarts", {"T_0": 3, "T_mult": 2, "eta_min": 0.01}),
    ("CosineAnnealingLR", {"T_max": 5}),
    ("CosineAnnealingLR", {"T_max": 4, "eta_min": 0.01}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.3, "step_size_up": 4}),
    ("CyclicLR", {"base_lr": [0.01, 0.02], "max_lr": [0.3, 0.1], "step_size_up": 3, "step_size_down": 5}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.3, "step_size_up": 2, "mode": "triangular2"}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.3, "step_size_up": 3, "mode": "exp_range", "gamma": 0.9}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.3, "step_size_up": 3, "cycle_momentum": False}),
    ("OneCycleLR", {"max_lr": 0.3, "total_steps": 20}),
    ("OneCycleLR", {"max_lr": 0.3, "epochs": 4, "steps_per_epoch": 5, "anneal_strategy": "linear"}),
    ("OneCycleLR", {"max_lr": [0.3, 0.1], "total_steps": 20, "three_phase": True, "pct_start": 0.4}),
    ("OneCycleLR", {"max_lr": 0.3, "total_steps": 20, "cycle_momentum": False, "div_factor": 5.0}),
]


def optimizer(module=optim, make=cnnx, name="SGD", **options):
    params = [make.nn.Parameter(make.zeros(1)), make.nn.Parameter(make.zeros(1))]
    return getattr(module, name)(
        [{"params": params[:1]}, {"params": params[1:], "lr": 0.02}], lr=0.1, **options
    )


def run(opt, scheduler, steps):
    values = []
    for _ in range(steps):
        opt.step()
        momentum = [
            g.get("momentum", g.get("betas", (0,))[0] if "betas" in g else 0) for g in opt.param_groups
        ]
        values.append([*scheduler.get_last_lr(), *(g["lr"] for g in opt.param_groups), *momentum])
        scheduler.step()
    return values


@pytest.mark.parametrize(("name", "options"), CASES)
@pytest.mark.parametrize(("kind", "extra"), [("SGD", {"momentum": 0.9}), ("Adam", {})])
def test_values_are_pytorchs(name, options, kind, extra):
    torch = pytest.importorskip("torch")
    mine, theirs = optimizer(name=kind, **extra), optimizer(torch.optim, torch, kind, **extra)
    schedule = getattr(lr_scheduler, name)(mine, **options)
    their_schedule = getattr(torch.optim.lr_scheduler, name)(theirs, **options)
    for a, b in zip(run(mine, schedule, 20), run(theirs, their_schedule, 20), strict=True):
        assert a == pytest.approx(b, rel=1e-12, abs=1e-18)


@pytest.mark.parametrize(("name", "options"), CASES)
def test_resume(name, options):
    opt = optimizer(momentum=0.9)
    schedule = getattr(lr_scheduler, name)(opt, **options)
    whole = run(opt, schedule, 20)
    opt = optimizer(momentum=0.9)
    schedule = getattr(lr_scheduler, name)(opt, **options)
    run(opt, schedule, 7)
    saved, saved_optimizer = dict(schedule.state_dict()), opt.state_dict()
    assert "optimizer" not in saved
    opt = optimizer(momentum=0.9)
    schedule = getattr(lr_scheduler, name)(opt, **options)
    opt.load_state_dict(saved_optimizer)
    schedule.load_state_dict(saved)
    assert run(opt, schedule, 13) == whole[7:]


def test_changes_from_outside_are_kept():
    opt = optimizer()
    schedule = lr_scheduler.StepLR(opt, 1, 0.5)
    opt.step()
    opt.param_groups[0]["lr"] = 8.0
    schedule.step()
    assert opt.param_groups[0]["lr"] == 4.0


def test_jump_to_an_epoch():
    opt = optimizer()
    schedule = lr_scheduler.CosineAnnealingLR(opt, 10)
    opt.step()
    with pytest.warns(UserWarning, match="deprecated"):
        schedule.step(5)
    assert schedule.get_last_lr()[0] == pytest.approx(0.05)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_jump_far_away_takes_no_time():
    for made in (lr_scheduler.ExponentialLR(optimizer(), 3), lr_scheduler.StepLR(optimizer(), 1, 3)):
        with pytest.raises(OverflowError, match="gamma 3 to the power of 1000000000000000"):
            made.step(10**15)
    for made in (lr_scheduler.CosineAnnealingWarmRestarts(optimizer(), 3, factor) for factor in (1, 2)):
        made.step(10**15)
        assert made.last_epoch == 10**15
        for epoch in (math.inf, math.nan, -1):
            with pytest.raises(ValueError, match="non-negative epoch"):
                made.step(epoch)


def test_restarts_of_one_length():
    near, far = (lr_scheduler.CosineAnnealingWarmRestarts(optimizer(), 7) for _ in range(2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        near.step(3.25)
        far.step(7 * 10**6 + 3.25)
    assert far.get_last_lr() == near.get_last_lr()
    assert far.T_cur == near.T_cur == 3.25


def test_order_of_calls_is_checked():
    opt = optimizer()
    schedule = lr_scheduler.ExponentialLR(opt, 0.5)
    with pytest.warns(UserWarning, match="before"):
        schedule.step()


def test_bad_input():
    opt = optimizer()
    with pytest.raises(TypeError, match="is not an Optimizer"):
        lr_scheduler.StepLR(nn.Linear(1, 1), 1)
    with pytest.raises(KeyError, match="initial_lr"):
        lr_scheduler.StepLR(opt, 1, last_epoch=3)
    with pytest.raises(ValueError, match="step_size"):
        lr_scheduler.StepLR(opt, 0)
    with pytest.raises(ValueError, match="T_max"):
        lr_scheduler.CosineAnnealingLR(opt, 0)
    with pytest.raises(ValueError, match="total_steps"):
        lr_scheduler.OneCycleLR(opt, 0.1)
    with pytest.raises(ValueError, match="total_steps"):
        lr_scheduler.OneCycleLR(opt, 0.1, total_steps=-1)
    with pytest.raises(ValueError, match="pct_start"):
        lr_scheduler.OneCycleLR(opt, 0.1, total_steps=4, pct_start=2.0)
    with pytest.raises(ValueError, match="same length"):
        lr_scheduler.OneCycleLR(opt, [0.1], total_steps=4)
    with pytest.raises(ValueError, match="momentum"):
        lr_scheduler.OneCycleLR(optimizer(name="Adadelta"), 0.1, total_steps=4)
    with pytest.raises(ValueError, match="a cycle needs steps"):
        lr_scheduler.CyclicLR(opt, 0.1, 0.2, step_size_up=0)
    with pytest.raises(ValueError, match="mode must be"):
        lr_scheduler.CyclicLR(opt, 0.1, 0.2, mode="square", cycle_momentum=False)
    with pytest.raises(ValueError, match="scale_mode must be"):
        lr_scheduler.CyclicLR(opt, 0.1, 0.2, scale_mode="epochs", cycle_momentum=False)
    with pytest.raises(ValueError, match="momentum"):
        lr_scheduler.CyclicLR(optimizer(name="Adadelta"), 0.1, 0.2)
    with pytest.raises(ValueError, match="lr_lambdas"):
        lr_scheduler.LambdaLR(opt, [lambda epoch: 1.0])
    schedule = lr_scheduler.OneCycleLR(optimizer(momentum=0.9), 0.1, total_steps=2)
    schedule.optimizer.step()
    schedule.step()
    assert all(math.isfinite(lr) for lr in schedule.get_last_lr())
    schedule.step()
    with pytest.raises(ValueError, match="Tried to step 3 times"):
        schedule.step()


METRICS = [
    0.9,
    0.8,
    0.8,
    0.79999,
    0.81,
    0.7,
    0.7,
    0.7,
    0.7,
    0.6,
    0.65,
    0.6,
    0.6,
    0.6,
    0.6,
    0.6,
    0.6,
    math.nan,
]


@pytest.mark.parametrize(
    "options",
    [
        {"patience": 1},
        {"patience": 0, "factor": 0.5, "cooldown": 2},
        {"patience": 2, "mode": "max", "threshold": 0.05},
        {"patience": 1, "threshold": 0.05, "threshold_mode": "abs"},
        {"patience": 1, "threshold": 0.05, "threshold_mode": "abs", "mode": "max"},
        {"patience": 0, "min_lr": [0.01, 0.001], "eps": 1e-3},
    ],
)
def test_plateau_is_pytorchs(options):
    torch = pytest.importorskip("torch")
    mine, theirs = optimizer(), optimizer(torch.optim, torch)
    schedule = lr_scheduler.ReduceLROnPlateau(mine, **options)
    their_schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, **options)
    for i, metric in enumerate(METRICS):
        schedule.step(cnnx.tensor(metric, dtype=cnnx.float64) if i % 2 else metric)
        their_schedule.step(metric)
        assert schedule.get_last_lr() == pytest.approx(their_schedule.get_last_lr(), rel=1e-12)
        for name in ("best", "num_bad_epochs", "cooldown_counter", "last_epoch"):
            assert getattr(schedule, name) == getattr(their_schedule, name), name
        if i == 6:  # go on from saved state
            saved, saved_optimizer = schedule.state_dict(), mine.state_dict()
            mine = optimizer()
            schedule = lr_scheduler.ReduceLROnPlateau(mine, **options)
            mine.load_state_dict(saved_optimizer)
            schedule.load_state_dict(saved)


def combined(module, opt):
    schedules = [
        module.LinearLR(opt, 0.1, total_iters=4),
        module.CosineAnnealingLR(opt, 10),
        module.ExponentialLR(opt, 0.5),
    ]
    return module.SequentialLR(opt, schedules, [4, 12])


def chained(module, opt):
    return module.ChainedScheduler(
        [module.ConstantLR(opt, 0.1, 5), module.ExponentialLR(opt, 0.9), module.StepLR(opt, 7)]
    )


@pytest.mark.parametrize("make", [combined, chained])
def test_combinations_are_pytorchs_and_resume(make):
    torch = pytest.importorskip("torch")
    mine, theirs = optimizer(), optimizer(torch.optim, torch)
    schedule, other = make(lr_scheduler, mine), make(torch.optim.lr_scheduler, theirs)
    values, expected = run(mine, schedule, 20), run(theirs, other, 20)
    for a, b in zip(values, expected, strict=True):
        assert a == pytest.approx(b, rel=1e-12)
    mine = optimizer()
    schedule = make(lr_scheduler, mine)
    run(mine, schedule, 7)
    saved, saved_optimizer = schedule.state_dict(), mine.state_dict()
    mine = optimizer()
    schedule = make(lr_scheduler, mine)
    mine.load_state_dict(saved_optimizer)
    schedule.load_state_dict(saved)
    assert run(mine, schedule, 13) == values[7:]


def test_warm_restarts_by_fractions():
    torch = pytest.importorskip("torch")
    for factor in (1, 2, 3):
        mine, theirs = optimizer(), optimizer(torch.optim, torch)
        schedule = lr_scheduler.CosineAnnealingWarmRestarts(mine, 3, factor)
        other = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(theirs, 3, factor)
        for epoch in (0.0, 0.5, 2.75, 3.0, 3.1, 8.9, 10.0, 20.25):
            schedule.step(epoch)
            other.step(epoch)
            assert schedule.get_last_lr() == pytest.approx(other.get_last_lr(), rel=1e-9)


def test_bad_input_of_the_others():
    opt = optimizer()
    with pytest.raises(ValueError, match="Factor"):
        lr_scheduler.ReduceLROnPlateau(opt, factor=1.0)
    with pytest.raises(ValueError, match="mode best is unknown"):
        lr_scheduler.ReduceLROnPlateau(opt, "best")
    with pytest.raises(ValueError, match="threshold mode"):
        lr_scheduler.ReduceLROnPlateau(opt, threshold_mode="share")
    with pytest.raises(ValueError, match="expected 2 min_lrs"):
        lr_scheduler.ReduceLROnPlateau(opt, min_lr=[0.1])
    with pytest.raises(TypeError, match="is not an Optimizer"):
        lr_scheduler.ReduceLROnPlateau(nn.Linear(1, 1))
    for bad in (0.0, 1.5):
        with pytest.raises(ValueError, match="start_factor"):
            lr_scheduler.LinearLR(opt, bad)
    with pytest.raises(ValueError, match="end_factor"):
        lr_scheduler.LinearLR(opt, end_factor=2.0)
    with pytest.raises(ValueError, match="factor"):
        lr_scheduler.ConstantLR(opt, 2.0)
    with pytest.raises(ValueError, match="T_0"):
        lr_scheduler.CosineAnnealingWarmRestarts(opt, 0)
    with pytest.raises(ValueError, match="T_mult"):
        lr_scheduler.CosineAnnealingWarmRestarts(opt, 3, 0)
    steps = lr_scheduler.StepLR(opt, 1)
    with pytest.raises(ValueError, match="no scheduler"):
        lr_scheduler.ChainedScheduler([])
    with pytest.raises(ValueError, match="2 schedulers need 1 milestones, got 2"):
        lr_scheduler.SequentialLR(opt, [steps, steps], [1, 2])
    with pytest.raises(ValueError, match="same optimizer"):
        lr_scheduler.SequentialLR(optimizer(), [steps], [])
    with pytest.raises(ValueError, match="does not support ReduceLROnPlateau"):
        lr_scheduler.ChainedScheduler([steps, lr_scheduler.ReduceLROnPlateau(opt)])
