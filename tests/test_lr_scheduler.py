"""Learning-rate schedules against PyTorch's."""

import math

import pytest

import cnnx
from cnnx import nn, optim
from cnnx.optim import lr_scheduler

CASES = [
    ("StepLR", {"step_size": 3, "gamma": 0.5}),
    ("MultiStepLR", {"milestones": [2, 5, 5, 9], "gamma": 0.3}),
    ("ExponentialLR", {"gamma": 0.9}),
    ("LambdaLR", {"lr_lambda": lambda epoch: 1 / (1 + epoch)}),
    ("CosineAnnealingLR", {"T_max": 5}),
    ("CosineAnnealingLR", {"T_max": 4, "eta_min": 0.01}),
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
    with pytest.raises(ValueError, match="lr_lambdas"):
        lr_scheduler.LambdaLR(opt, [lambda epoch: 1.0])
    schedule = lr_scheduler.OneCycleLR(optimizer(momentum=0.9), 0.1, total_steps=2)
    schedule.optimizer.step()
    schedule.step()
    assert all(math.isfinite(lr) for lr in schedule.get_last_lr())
    schedule.step()
    with pytest.raises(ValueError, match="Tried to step 3 times"):
        schedule.step()
