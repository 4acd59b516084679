"""Scaled losses and steps that are skipped, against PyTorch, and scripts for GPUs that have them."""

from __future__ import annotations

import copy
import math
import pickle
import warnings
from typing import Any

import numpy as np
import pytest

import border
import cnnx
from cnnx import amp, nn, optim

OPTIONS: list[dict[str, Any]] = [
    {},
    {"init_scale": 8.0, "growth_factor": 3.0, "backoff_factor": 0.25, "growth_interval": 2},
    {"init_scale": 2.0**127, "growth_interval": 1},  # does not grow beyond float32
    {"enabled": False},
]
# The gradients of two optimizers' parameters, step by step; not finite ones skip.
STEPS = [
    ([1.0, 2.0], [3.0]),
    ([math.inf, 2.0], [3.0]),
    ([1.0, 2.0], [math.nan]),
    ([1.0, 0.5], [-1.0]),
    ([1.0, -math.inf], [math.nan]),
    ([0.25, 0.5], [2.0]),
    ([0.25, 0.5], [2.0]),
]


def scaled_training(lib: Any, options: dict[str, Any], unscale: bool, device: str) -> list[Any]:
    params = [
        [lib.nn.Parameter(lib.tensor([4.0, 5.0])), lib.nn.Parameter(lib.ones(1))],
        [lib.nn.Parameter(lib.tensor([6.0], dtype=lib.float64))],
    ]
    opts = [lib.optim.SGD(params[0], lr=0.1, momentum=0.5), lib.optim.Adam(params[1], lr=0.1)]
    scaler = lib.amp.GradScaler(device, **options)
    log: list[Any] = [scaler.is_enabled(), scaler.get_scale()]
    for i, (first, second) in enumerate(STEPS):
        for opt in opts:
            opt.zero_grad()
        losses = [
            (params[0][0] * lib.tensor(first)).sum(),
            (params[1][0] * lib.tensor(second, dtype=lib.float64)).sum(),
        ]
        for loss in scaler.scale(losses):
            loss.backward()
        if unscale:
            scaler.unscale_(opts[0])
            lib.nn.utils.clip_grad_value_(params[0], 0.75)
        log.extend([scaler.step(opt) for opt in opts])
        scaler.update(16.0 if i == 5 else None)
        log += [scaler.get_scale(), scaler.state_dict()]
        log += [p.detach().tolist() for group in params for p in group]
        if i == 3:
            saved = scaler.state_dict()
            scaler = lib.amp.GradScaler(device, enabled=scaler.is_enabled())
            scaler.load_state_dict(saved)
    return log


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("unscale", [False, True])
def test_steps_are_pytorchs(options, unscale):
    torch = pytest.importorskip("torch")
    mine = scaled_training(cnnx, options, unscale, border.DEVICE)
    theirs = scaled_training(torch, options, unscale, "cpu")
    assert len(mine) == len(theirs)
    for a, b in zip(mine, theirs, strict=True):
        if isinstance(b, dict) or b is None or isinstance(b, bool):
            assert a == b
        else:
            np.testing.assert_allclose(a, b, rtol=1e-6)


def test_powers_of_two_change_no_bit():
    found = []
    for enabled in (False, True):
        cnnx.manual_seed(0)
        model = nn.Linear(5, 3)
        opt = optim.AdamW(model.parameters())
        scaler = amp.GradScaler(border.DEVICE, enabled=enabled)
        for _ in range(4):
            opt.zero_grad()
            scaler.scale((model(cnnx.ones(2, 5)) ** 2).mean()).backward()
            scaler.step(opt)
            scaler.update()
        found.append(model.weight.tolist())
    assert found[0] == found[1]


def test_shapes_of_outputs():
    scaler = amp.GradScaler(border.DEVICE, init_scale=4.0)
    loss = cnnx.tensor(1.5, requires_grad=True)
    assert scaler.scale(loss).item() == 6
    nested = scaler.scale([loss, (loss, loss * 2)])
    assert type(nested) is list
    assert type(nested[1]) is tuple
    assert nested[1][1].item() == 12
    assert [t.item() for t in scaler.scale(iter([loss]))] == [6]
    with pytest.raises(ValueError, match="outputs must be a Tensor or an iterable"):
        scaler.scale(3)
    assert scaler.scale(cnnx.ones(1, dtype=cnnx.float64)).dtype is cnnx.float64


def test_what_makes_no_sense_is_refused():
    p = nn.Parameter(cnnx.ones(1))
    opt = optim.SGD([p], lr=0.1)
    scaler = amp.GradScaler(border.DEVICE)
    for call in (lambda: scaler.step(opt), lambda: scaler.unscale_(opt), scaler.update):
        with pytest.raises(RuntimeError, match=r"scale\(\) has not been called yet"):
            call()
    scaler.scale(p.sum()).backward()
    with pytest.raises(RuntimeError, match="no gradients were looked at"):
        scaler.update()
    scaler.unscale_(opt)
    with pytest.raises(RuntimeError, match="already been called on this optimizer"):
        scaler.unscale_(opt)
    with pytest.raises(RuntimeError, match=r"copied and pickled after update\(\)"):
        copy.deepcopy(scaler)
    scaler.step(opt)
    with pytest.raises(RuntimeError, match=r"step\(\) has already been called"):
        scaler.step(opt)
    with pytest.raises(RuntimeError, match=r"unscale_\(\) is being called after step"):
        scaler.unscale_(opt)
    for closure in ({"closure": None}, {}):
        with pytest.raises(RuntimeError, match="a closure cannot be used"):
            scaler.step(opt, *(() if closure else (lambda: None,)), **closure)
    scaler.update()
    p.grad = None
    with pytest.raises(RuntimeError, match="no parameter of the optimizer has a gradient"):
        scaler.step(opt)
    opt._step_supports_amp_scaling = True
    with pytest.raises(NotImplementedError, match="SGD would scale by itself"):
        scaler.step(opt)
    for options in (
        {"growth_factor": 1.0},
        {"backoff_factor": 1.0},
        {"growth_interval": 0},
        {"init_scale": math.nan},
    ):
        with pytest.raises(ValueError, match=next(iter(options)).partition("_")[0]):
            amp.GradScaler(border.DEVICE, **options)
    with pytest.raises(ValueError, match="device must be 'cuda' or 'cpu', got 'tpu'"):
        amp.GradScaler("tpu")
    with pytest.raises(TypeError, match="enabled must be a bool"):
        amp.GradScaler(border.DEVICE, enabled="yes")
    with pytest.raises(RuntimeError, match="the state is empty"):
        scaler.load_state_dict({})
    off = amp.GradScaler(border.DEVICE, enabled=False)
    off.load_state_dict({})
    assert (off.state_dict(), off.get_scale(), off.scale(3)) == ({}, 1.0, 3)


def test_factors_copies_and_scales_of_ones_own():
    p = nn.Parameter(cnnx.ones(1))
    opt, scaler = optim.SGD([p], lr=0.1), amp.GradScaler(border.DEVICE, init_scale=4.0)
    scaler.set_growth_factor(4.0)
    scaler.set_backoff_factor(0.125)
    scaler.set_growth_interval(1)
    found = (scaler.get_growth_factor(), scaler.get_backoff_factor(), scaler.get_growth_interval())
    assert found == (4.0, 0.125, 1)
    for scale in (16.0, 64.0):
        scaler.scale(p.sum()).backward()
        scaler.step(opt)
        scaler.update()
        assert scaler.get_scale() == scale
    for twin in (copy.deepcopy(scaler), pickle.loads(pickle.dumps(scaler))):
        assert twin.state_dict() == scaler.state_dict()
        assert twin.scale(p.sum()).item() == pytest.approx(64 * p.item())
    for new in (2.0, cnnx.tensor(32.0)):
        scaler.update(new)
        assert scaler.get_scale() == float(new)
    with pytest.raises(ValueError, match="new_scale"):
        scaler.update(-1.0)


def test_a_function_with_a_scaler_is_no_plan():
    found = []
    for static in (False, True):
        cnnx.manual_seed(1)
        model = nn.Linear(3, 2)
        opt = optim.SGD(model.parameters(), lr=0.1)
        scaler = amp.GradScaler(border.DEVICE, growth_interval=1)

        def step(x: Any, model: Any = model, opt: Any = opt, scaler: Any = scaler) -> Any:
            opt.zero_grad()
            loss = (model(x) ** 2).mean()
            scaler.scale(loss).backward()
            scaler.step(opt)
            scaler.update()
            return loss

        run = cnnx.compile(step, static=True) if static else step
        inputs = [cnnx.ones(2, 3) * f for f in (1, 2, math.inf, 1, 0.5)]
        if static:
            with pytest.warns(UserWarning, match="a GradScaler looks at gradients"):
                losses = [run(x).item() for x in inputs]
        else:
            losses = [run(x).item() for x in inputs]
        assert math.isnan(losses[2])
        found.append((losses[:2] + losses[3:], model.weight.tolist(), scaler.get_scale()))
    assert found[0] == found[1]


def gpu_script(torch: Any) -> list[Any]:
    """As scripts for one GPU are written; `torch` is cnnx here."""
    from cnnx.cuda.amp import GradScaler, autocast

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2)).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    scaler = GradScaler()
    x, y = torch.ones(4, 6).to(device), torch.zeros(4, dtype=torch.int64).to(device)
    losses = []
    for kind in range(4):
        optimizer.zero_grad()
        with (
            autocast()
            if kind == 0
            else torch.cuda.amp.autocast(enabled=True)
            if kind == 1
            else torch.autocast("cuda")
            if kind == 2
            else torch.amp.autocast(device_type="cuda", dtype=torch.bfloat16)
        ):
            loss = torch.nn.functional.cross_entropy(model(x), y)
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()
        losses.append(loss.item())
    return losses


def test_a_script_for_gpus_runs_with_and_without_one():
    amp._warn_of_float32.cache_clear()
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        losses = gpu_script(cnnx)
    assert losses == sorted(losses, reverse=True)
    assert len(set(losses)) == 4
    told = [str(w.message) for w in seen]
    if cnnx.cuda.is_available():
        assert told == ["autocast: on a GPU everything runs in float32"]
        assert seen[0].category is cnnx.PerformanceWarning
    else:
        assert told.count("autocast: there is no CUDA device, so it is off") == 4
        assert told.count("GradScaler: there is no CUDA device, so it is not enabled") == 1
        assert len(told) == 5
    assert all(w.filename == __file__ for w in seen)


def test_autocast_of_a_gpu_leaves_the_cpu_alone():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gpu = cnnx.autocast("cuda")
    has = amp.is_autocast_available("cpu")
    with cnnx.autocast("cpu", enabled=has):
        for within in (gpu, cnnx.autocast("cuda", enabled=False), cnnx.cuda.amp.autocast(enabled=False)):
            with within:
                assert cnnx._C.is_autocast_enabled() == has
    assert gpu(lambda x: x + 1)(2) == 3
    assert cnnx.cuda.amp.autocast(enabled=False)(lambda x: x + 1)(2) == 3
    for dtype in (cnnx.float32, "float16", np.float16):
        with pytest.raises(ValueError, match=r"it rounds to cnnx\.bfloat16, not to"):
            cnnx.cuda.amp.autocast(dtype=dtype)
    with pytest.raises(AttributeError, match="float16"):
        _ = cnnx.float16
    with pytest.raises(AttributeError, match=r"cnnx.cuda has no 'amps'"):
        _ = cnnx.cuda.amps
