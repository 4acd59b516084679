"""Checkpoints and hooks of saved tensors: gradients are the same, memory is less, errors are PyTorch's."""

from __future__ import annotations

import warnings
from contextlib import contextmanager

import numpy as np
import pytest

import cnnx
from cnnx import nn
from cnnx.autograd.graph import save_on_cpu, saved_tensors_hooks
from cnnx.utils.checkpoint import (
    CheckpointError,
    checkpoint,
    checkpoint_sequential,
    set_checkpoint_early_stop,
)
from scenarios import Scenarios, data, linear, values

scenario = Scenarios()


def net(lib):
    conv = linear(lib, 1, 3, 3, kind=lib.nn.Conv2d)
    return lib.nn.Sequential(
        conv,
        lib.nn.BatchNorm2d(3),
        lib.nn.ReLU(),
        lib.nn.MaxPool2d(2),
        lib.nn.Flatten(),
        linear(lib, 6, 4),
        lib.nn.Tanh(),
    )


def grads(module):
    return [values(p.grad) for p in module.parameters()]


@scenario
def gradients(lib):
    log = []
    for way in (False, True):
        module, x = net(lib), data(lib, 3, 1, 6, 4, grad=True)
        result = lib.utils.checkpoint.checkpoint(module, x, use_reentrant=way)
        result.square().sum().backward()
        log += [
            values(result),
            grads(module),
            values(x.grad),
            {k: values(v) for k, v in module.state_dict().items()},
        ]
    return log


@scenario
def segments(lib):
    log = []
    for way in (False, True):
        for count in (1, 2, 3, 7):
            module, x = net(lib), data(lib, 3, 1, 6, 4, grad=True)
            result = lib.utils.checkpoint.checkpoint_sequential(module, count, x, use_reentrant=way)
            result.square().sum().backward()
            log += [values(result), grads(module), values(x.grad)]
    return log


@scenario
def named_arguments_and_grad(lib):
    log, calls = [], []
    weight = data(lib, 3, grad=True)
    outer = weight * 2  # with a history, found by the function itself

    def function(x, *, scale):
        calls.append(1)
        return (x * outer).tanh() * scale, x.exp()

    x = (data(lib, 3) / 3).requires_grad_()
    first, second = lib.utils.checkpoint.checkpoint(function, x, use_reentrant=False, scale=3.0)
    found = lib.autograd.grad((first * second).sum(), [x, weight], create_graph=True)
    log += [values(found), len(calls)]
    log.append(values(lib.autograd.grad(sum(g.square().sum() for g in found), [x, weight])))
    return log


@scenario
def no_input_requires_a_gradient(lib):
    layer, log = linear(lib, 2, 2), []
    lib.utils.checkpoint.checkpoint(layer, data(lib, 2), use_reentrant=False).sum().backward()
    log.append(grads(layer))
    with pytest.warns(UserWarning, match="None of the inputs have requires_grad=True"):
        result = lib.utils.checkpoint.checkpoint(layer, data(lib, 2), use_reentrant=True)
    with lib.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        log.append(
            lib.utils.checkpoint.checkpoint(layer, data(lib, 2, grad=True), use_reentrant=False).requires_grad
        )
    return [*log, result.requires_grad]


@scenario
def nested(lib):
    check = lib.utils.checkpoint.checkpoint
    a, b, calls = linear(lib, 3, 3), linear(lib, 3, 2), []

    def inner(x):
        calls.append("inner")
        return a(x).tanh()

    def outer(x):
        calls.append("outer")
        return b(check(inner, x, use_reentrant=False).sigmoid())

    x = data(lib, 2, 3, grad=True)
    check(outer, x, use_reentrant=False).square().sum().backward()
    return [grads(a), grads(b), values(x.grad), calls.count("outer")]


@scenario
def contexts(lib):
    log = []

    @contextmanager
    def noted(name):
        log.append(name)
        yield
        log.append(name + " ends")

    layer = linear(lib, 2, 2)
    x = data(lib, 2, grad=True)
    result = lib.utils.checkpoint.checkpoint(
        layer, x, use_reentrant=False, early_stop=False, context_fn=lambda: (noted("first"), noted("again"))
    )
    result.square().sum().backward()
    return [log, values(x.grad)]


@scenario
def errors(lib):
    check = lib.utils.checkpoint.checkpoint
    x, log = data(lib, 3, grad=True), []
    turns = []

    def differs(x):
        turns.append(1)
        return x.exp() if len(turns) == 1 else x[:2].exp().sum() + x

    with pytest.raises(lib.utils.checkpoint.CheckpointError):
        check(differs, x, use_reentrant=False).sum().backward()
    for error, options in (
        (ValueError, {"use_reentrant": True, "scale": 1}),
        (ValueError, {"use_reentrant": True, "context_fn": lambda: None}),
    ):
        with pytest.raises(error):
            check(lambda x: x, x, **options)
    with pytest.raises(ValueError, match="Unexpected keyword"):
        lib.utils.checkpoint.checkpoint_sequential([lib.exp], 1, x, use_reentrant=False, scale=1)
    with pytest.warns(UserWarning, match="use_reentrant"):
        check(lib.exp, x)
    return log


@scenario
def hooks_of_saved_tensors(lib):
    log, hooks = [], lib.autograd.graph.saved_tensors_hooks
    x, w = data(lib, 2, 3, grad=True), data(lib, 3, grad=True)

    def pack(t):
        log.append(["pack", values(t.round())])
        return t.tolist()

    def unpack(packed):
        log.append(["unpack", values(lib.tensor(packed).round())])
        return lib.tensor(packed)

    with hooks(pack, unpack):
        y = (x * w).exp()
    z = y * y
    z.sum().backward()
    with hooks(lambda t: t * 0, lambda t: t), hooks(lambda t: t + 1, lambda t: t - 1):
        (w * w).sum().backward()
    return [sorted(map(str, log)), values(x.grad), values(w.grad)]


@scenario
def hooks_see_functions(lib):
    log = []

    class Cube(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x, None)
            return x**3

        @staticmethod
        def backward(ctx, grad):
            x, none = ctx.saved_tensors
            log.append([none, x.requires_grad])
            return grad * 3 * x**2

    x = data(lib, 3, grad=True)
    with lib.autograd.graph.saved_tensors_hooks(lambda t: log.append("pack") or t * 2, lambda t: t / 2):
        y = Cube.apply(x)
    (g,) = lib.autograd.grad(y.sum(), x, create_graph=True)
    g.sum().backward()
    y = lib.utils.checkpoint.checkpoint(Cube.apply, x, use_reentrant=False)
    y.sum().backward()
    return [log, values(g), values(x.grad)]


@pytest.mark.parametrize("name", scenario)
def test_as_pytorch_does(name):
    scenario.check(name)


@pytest.mark.parametrize("way", [False, True])
def test_dropout_is_drawn_again(way):
    block = nn.Sequential(nn.Linear(30, 50), nn.Dropout(0.5), nn.Tanh(), nn.Dropout1d(0.3), nn.Linear(50, 2))
    x = cnnx.randn(8, 30)
    found = []
    for call in (block, lambda x: checkpoint(block, x, use_reentrant=way)):
        cnnx.manual_seed(5)
        block.zero_grad()
        leaf = x.clone().requires_grad_()
        call(leaf).square().sum().backward()
        found.append([leaf.grad, *(p.grad.clone() for p in block.parameters()), cnnx.rand(3)])
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a.cpu().numpy(), b.cpu().numpy())
    checkpoint(block, x.requires_grad_(), use_reentrant=way, preserve_rng_state=False).sum().backward()


def saved_bytes(call):
    """What a forward pass leaves in memory."""
    before = cnnx._C.pool_stats()[0]
    result = call()
    return result, cnnx._C.pool_stats()[0] - before


@pytest.mark.cpu("counts the memory of the CPU")
def test_memory_is_less():
    net = nn.Sequential(*(layer for _ in range(24) for layer in (nn.Linear(64, 64), nn.Tanh())))
    x = cnnx.randn(256, 64, requires_grad=True)
    plain, all_of_it = saved_bytes(lambda: net(x))
    few, less = saved_bytes(lambda: checkpoint_sequential(net, 4, x, use_reentrant=False))
    one, least = saved_bytes(lambda: checkpoint(net, x, use_reentrant=False))
    assert all_of_it > 2 * less > 0
    assert less > 2 * least > 0
    for result in (plain, few, one):
        result.sum().backward()


def test_what_the_graph_keeps_goes_with_it():
    calls = []

    def function(x):
        calls.append(1)
        return x.tanh().exp()

    x = cnnx.ones(3, requires_grad=True)
    y = checkpoint(function, x, use_reentrant=False)
    y.sum().backward(retain_graph=True)
    y.sum().backward()
    assert len(calls) == 2  # what was computed again stays while the graph does
    assert x.grad.tolist() == pytest.approx([2 * float(np.exp(np.tanh(1)) * (1 - np.tanh(1) ** 2))] * 3)


def test_early_stop():
    calls = []

    def function(x):
        y = x.tanh().exp()
        calls.append(1)
        return y + 1

    for option, expected in ((True, 1), (False, 2)):
        calls.clear()
        x = cnnx.ones(3, requires_grad=True)
        checkpoint(function, x, use_reentrant=False, early_stop=option).sum().backward()
        assert len(calls) == expected
        calls.clear()
        with set_checkpoint_early_stop(not option):
            y = checkpoint(function, x, use_reentrant=False, early_stop=option)
        y.sum().backward()
        assert len(calls) == 3 - expected


def test_errors_of_checkpoints():
    x = cnnx.ones(3, requires_grad=True) * 1
    y = checkpoint(lambda t: t.tanh() * t, x, use_reentrant=False)
    x.mul_(2)
    with pytest.raises(RuntimeError, match="argument 0, of shape \\(3,\\), was changed in place"):
        y.sum().backward()
    with pytest.raises(NotImplementedError, match="debug=True"):
        checkpoint(cnnx.exp, x, use_reentrant=False, debug=True)
    with pytest.raises(RuntimeError, match="determinism_check must be"):
        checkpoint(cnnx.exp, x, use_reentrant=False, determinism_check="some")
    with pytest.raises(ValueError, match=r"segments must lie in \[1, 1\], got 2"):
        checkpoint_sequential([cnnx.exp], 2, x, use_reentrant=False)
    turn = []

    def other_shape(t):
        turn.append(1)
        return t.exp().sum() if len(turn) == 1 else t[:2].exp().sum()

    with pytest.raises(CheckpointError, match="tensor 0 that the function saves was"):
        checkpoint(other_shape, x, use_reentrant=False).backward()


def test_errors_of_hooks():
    x = cnnx.ones(3, requires_grad=True)
    for unpack, error, message in (
        (lambda t: t[:2], RuntimeError, "unpacked shape"),
        (lambda t: t.double(), TypeError, "another dtype"),
        (lambda t: 3, TypeError, "must give a tensor"),
        (lambda t: None, TypeError, "no tensor"),
    ):
        with saved_tensors_hooks(lambda t: t, unpack):
            y = x.exp()
        with pytest.raises(error, match=message):
            y.sum().backward()
    with pytest.raises(TypeError, match="pack_hook must be callable"):
        saved_tensors_hooks(3, lambda t: t)
    with pytest.raises(KeyError), saved_tensors_hooks(lambda t: {}["gone"], lambda t: t):
        x.exp()
    assert x.exp().requires_grad
    with save_on_cpu():
        y = x.exp()
    y.sum().backward()
    assert x.grad.tolist() == pytest.approx([float(np.e)] * 3)
    with pytest.raises(ValueError, match="device_type"):
        save_on_cpu(device_type="tpu")


def test_compiled_functions_with_checkpoints_are_not_replayed():
    cnnx.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Dropout(0.5), nn.Conv2d(8, 8, 3), nn.ReLU())

    def step(x):
        loss = checkpoint(net, x, use_reentrant=False).square().sum()
        net.zero_grad()
        loss.backward()
        return loss.detach()

    x = cnnx.rand(16, 1, 14, 14)
    found = []
    for function in (step, cnnx.compile(step), cnnx.compile(step, static=True)):
        cnnx.manual_seed(1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the last is not replayed
            losses = [function(x).item() for _ in range(4)]
        found.append([losses, *(p.grad.tolist() for p in net.parameters())])
    assert found[0] == found[1] == found[2]


def test_plans_are_not_replayed_past_hooks():
    layer = nn.Linear(3, 2)

    @cnnx.compile(static=True)
    def step(x):
        loss = layer(x).square().sum()
        layer.zero_grad()
        loss.backward()
        return loss.detach()

    x, packed, called = cnnx.ones(2, 3), [], []
    for _ in range(3):
        step(x)
    with saved_tensors_hooks(lambda t: packed.append(1) or t, lambda t: t):
        step(x)
    assert packed
    with (
        nn.modules.module.register_module_forward_hook(lambda m, args, out: called.append(1)),
        pytest.warns(UserWarning, match="a hook of Linear would have to be called"),
    ):
        step(x)
    assert called == [1]
    step(x)
    assert called == [1]
