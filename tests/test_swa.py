"""Averages of models and the schedule that goes with them, against PyTorch."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import cnnx
from cnnx import nn, optim
from cnnx.optim import swa_utils


def net(lib: Any) -> Any:
    made = lib.nn.Sequential(lib.nn.Linear(4, 3), lib.nn.BatchNorm1d(3), lib.nn.Linear(3, 2)).double()
    fill(lib, made, 0)
    return made


def fill(lib: Any, model: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    with lib.no_grad():
        for t in (*model.parameters(), *model.buffers()):
            if t.is_floating_point():
                t.copy_(lib.tensor(rng.uniform(0.5, 2, tuple(t.shape)).tolist(), dtype=t.dtype))
            else:
                t.fill_(7 * seed)


def own_avg(average: Any, current: Any, num_averaged: Any) -> Any:
    return 0.3 * average + 0.7 * current + num_averaged


def own_multi_avg(averages: Any, currents: Any, num_averaged: Any) -> None:
    for average, current in zip(averages, currents, strict=True):
        average.copy_(own_avg(average, current, num_averaged))


AVERAGES: dict[str, Any] = {
    "mean": lambda utils: {},
    "mean and buffers": lambda utils: {"use_buffers": True},
    "swa": lambda utils: {"avg_fn": utils.get_swa_avg_fn()},
    "ema": lambda utils: {"avg_fn": utils.get_ema_avg_fn(0.9)},
    "ema and buffers": lambda utils: {"avg_fn": utils.get_ema_avg_fn(), "use_buffers": True},
    "multi ema": lambda utils: {"multi_avg_fn": utils.get_ema_multi_avg_fn(0.75)},
    "multi ema and buffers": lambda utils: {
        "multi_avg_fn": utils.get_ema_multi_avg_fn(0.75),
        "use_buffers": True,
    },
    "multi swa": lambda utils: {"multi_avg_fn": utils.get_swa_multi_avg_fn()},
    "own": lambda utils: {"avg_fn": own_avg},
    "own multi": lambda utils: {"multi_avg_fn": own_multi_avg, "use_buffers": True},
}


@pytest.mark.parametrize("name", AVERAGES)
def test_averaged_model(name):
    torch = pytest.importorskip("torch")
    found = []
    for lib, utils in ((cnnx, swa_utils), (torch, torch.optim.swa_utils)):
        model = net(lib)
        average = utils.AveragedModel(model, **AVERAGES[name](utils))
        states = []
        for seed in range(1, 5):
            fill(lib, model, seed)
            average.update_parameters(model)
            states.append({k: v.detach().cpu().numpy().copy() for k, v in average.state_dict().items()})
        average.eval()
        x = lib.tensor(np.random.default_rng(9).standard_normal((5, 4)).tolist(), dtype=lib.float64)
        states.append({"y": average(x).detach().cpu().numpy()})
        found.append(states)
    for mine, theirs in zip(*found, strict=True):
        assert list(mine) == list(theirs)
        for key, value in theirs.items():
            # PyTorch's fused mean rounds 1 / n to float32.
            np.testing.assert_allclose(mine[key], value, rtol=1e-6 if name == "multi swa" else 1e-12)


def test_averaged_model_is_a_copy_and_resumes():
    model = nn.Linear(3, 2)
    average = swa_utils.AveragedModel(model)
    assert average.module is not model
    assert list(average.state_dict()) == ["n_averaged", "module.weight", "module.bias"]
    average.update_parameters(model)
    again = swa_utils.AveragedModel(nn.Linear(3, 2))
    again.load_state_dict(average.state_dict())
    with cnnx.no_grad():
        model.weight.mul_(3)
    for each in (average, again):
        each.update_parameters(model)
    np.testing.assert_array_equal(average.module.weight.tolist(), again.module.weight.tolist())
    assert again.n_averaged.item() == 2
    deep = copy.deepcopy(average)
    deep.update_parameters(model)
    assert average.n_averaged.item() == 2
    assert not any(p.grad_fn for p in average.parameters())


def test_averaged_model_refuses():
    model = nn.Linear(3, 2)
    with pytest.raises(ValueError, match="only one of avg_fn and multi_avg_fn"):
        swa_utils.AveragedModel(model, avg_fn=own_avg, multi_avg_fn=own_multi_avg)
    with pytest.raises(TypeError, match="AveragedModel: model must be a Module, got int"):
        swa_utils.AveragedModel(3)
    with pytest.raises(TypeError, match="avg_fn must be a function, got float"):
        swa_utils.AveragedModel(model, avg_fn=0.5)
    average = swa_utils.AveragedModel(model)
    for other in (nn.Linear(3, 2, bias=False), nn.Linear(2, 3)):
        with pytest.raises(ValueError, match="update_parameters: Linear has other parameters"):
            average.update_parameters(other)
    assert average.n_averaged.item() == 0
    for decay in (-0.1, 1.1, float("nan")):
        for make in (swa_utils.get_ema_avg_fn, swa_utils.get_ema_multi_avg_fn):
            with pytest.raises(ValueError, match="Invalid decay value"):
                make(decay)


@pytest.mark.parametrize("form", ["tensors", "lists"])
def test_update_bn(form):
    torch = pytest.importorskip("torch")
    found = []
    for lib, utils in ((cnnx, swa_utils), (torch, torch.optim.swa_utils)):
        model = lib.nn.Sequential(net(lib), lib.nn.BatchNorm1d(2).double(), lib.nn.InstanceNorm1d(3).double())
        model = lib.nn.Sequential(*list(model)[:2])
        model[1].momentum = 0.3
        model.eval()
        rng = np.random.default_rng(4)
        batches = [lib.tensor(rng.standard_normal((n, 4)).tolist(), dtype=lib.float64) for n in (5, 2, 9)]
        loader = [[x, None] for x in batches] if form == "lists" else iter(batches)
        utils.update_bn(loader, model)
        assert not model.training
        assert (model[0][1].momentum, model[1].momentum) == (0.1, 0.3)
        found.append({k: v.detach().cpu().numpy() for k, v in model.state_dict().items()})
    for key, value in found[1].items():
        np.testing.assert_allclose(found[0][key], value, rtol=1e-12)


def test_update_bn_leaves_all_else_alone():
    norm = nn.InstanceNorm1d(3, track_running_stats=True)
    norm.running_mean.fill_(5)
    swa_utils.update_bn(iter(lambda: 1 / 0, None), nn.Sequential(norm, nn.ReLU()))  # there is none to update
    assert norm.running_mean.tolist() == [5, 5, 5]
    model = nn.Sequential(nn.BatchNorm1d(3), nn.ReLU())
    with pytest.raises(RuntimeError, match="batch_norm"):
        swa_utils.update_bn([cnnx.ones(2, 4)], model)
    assert model[0].momentum == 0.1
    with pytest.raises(TypeError, match="update_bn"):
        swa_utils.update_bn([cnnx.ones(2, 3)], 3)


SCHEDULES: list[dict[str, Any]] = [
    {"swa_lr": 0.05},
    {"swa_lr": 0.05, "anneal_strategy": "linear", "anneal_epochs": 4},
    {"swa_lr": [0.05, 2.0], "anneal_epochs": 3},
    {"swa_lr": 0.05, "anneal_epochs": 0},
    {"swa_lr": 0.05, "anneal_epochs": 1, "anneal_strategy": "linear"},
]


@pytest.mark.parametrize("options", SCHEDULES)
@pytest.mark.parametrize("mixed", [False, True])
def test_swalr(options, mixed):
    """Also with another schedule that has stepped before, and resumed in the middle."""
    torch = pytest.importorskip("torch")
    found = []
    for lib, utils in ((cnnx, swa_utils), (torch, torch.optim.swa_utils)):
        groups = [{"params": [lib.nn.Parameter(lib.ones(1))], "lr": lr} for lr in (1.0, 0.5)]
        opt = lib.optim.SGD(groups, lr=0.1)
        schedule = utils.SWALR(opt, **options)
        before = lib.optim.lr_scheduler.ExponentialLR(opt, 0.9)
        rates = []
        for step in range(9):
            opt.step()
            (before if mixed and step < 3 else schedule).step()
            rates.append([group["lr"] for group in opt.param_groups])
            if step == 5:
                saved = schedule.state_dict()
                assert "optimizer" not in saved
                schedule = utils.SWALR(opt, swa_lr=options["swa_lr"])
                schedule.load_state_dict(saved)
                for group, lr in zip(opt.param_groups, rates[-1], strict=True):
                    group["lr"] = lr
        found.append([rates, schedule.get_last_lr(), [group["swa_lr"] for group in opt.param_groups]])
    for mine, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-12)


def test_swalr_refuses():
    opt = optim.SGD([nn.Parameter(cnnx.ones(1))], lr=0.1)
    with pytest.raises(ValueError, match="SWALR: anneal_strategy must be 'cos' or 'linear', got 'exp'"):
        swa_utils.SWALR(opt, 0.1, anneal_strategy="exp")
    for epochs in (-1, 1.5, None):
        with pytest.raises(ValueError, match="SWALR: anneal_epochs must be a whole number from 0"):
            swa_utils.SWALR(opt, 0.1, anneal_epochs=epochs)
    with pytest.raises(ValueError, match="same length"):
        swa_utils.SWALR(opt, [0.1, 0.2])
    with pytest.raises(TypeError, match="swa_lr"):
        swa_utils.SWALR(opt, "fast")
    with pytest.raises(TypeError, match="int is not an Optimizer"):
        swa_utils.SWALR(3, 0.1)
    assert "swa_lr" not in opt.param_groups[0]
