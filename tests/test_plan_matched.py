"""cnnx.compile: functions that run as ever, with calls fused by what they did the time before."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import cnnx
import cnnx.nn.functional as F
from cnnx import nn

pytestmark = [pytest.mark.filterwarnings("error"), pytest.mark.cpu("plans run on the CPU")]


def net() -> nn.Module:
    cnnx.manual_seed(4)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 3),
        nn.ReLU(),
        nn.Conv2d(6, 6, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(6 * 4, 128),
        nn.Tanh(),
        nn.Linear(128, 3),
    )


def images(size: int = 80, seed: int = 0) -> cnnx.Tensor:
    rng = np.random.default_rng(seed)
    return cnnx.from_numpy(rng.standard_normal((size, 1, 14, 14)).astype(np.float32)).clone()


def test_a_step_is_fused_and_keeps_its_bits() -> None:
    def train(compiled: bool):
        model = net()
        optimizer = cnnx.optim.SGD(model.parameters(), lr=0.1)
        printed = []

        def step(x, y):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            printed.append(loss.item())  # Python runs as ever
            return loss

        run = cnnx.compile(step) if compiled else step
        for seed in range(5):
            run(images(seed=seed), cnnx.arange(80) % 3)
        return printed, [p.detach().numpy().tobytes() for p in model.parameters()], run

    eager, matched = train(False), train(True)
    assert eager[:2] == matched[:2]
    # Four activations into their layers, and the masks of relus in front of both poolings' gradients.
    assert matched[2].matched.fused == 6


def test_modules_stay_what_they_are() -> None:
    model = net().eval()
    assert cnnx.compile(model) is model
    x, expected = images(), net().eval()(images())
    for _ in range(3):
        np.testing.assert_array_equal(model(x).detach().numpy(), expected.detach().numpy())
    assert model._compiled.fused == 4
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        for _ in range(3):
            np.testing.assert_array_equal(other(x).detach().numpy(), expected.detach().numpy())
        assert other._compiled.fused == 4
    assert list(model.state_dict()) == list(net().state_dict())


def test_branches_and_other_shapes_are_watched_anew() -> None:
    layer, other = nn.Linear(4, 128), nn.Linear(128, 128)

    def f(x, way):
        h = layer(x)
        return F.relu(h) if way else other(h).tanh()

    run = cnnx.compile(f)
    for i, way in enumerate([True, True, False, False, True, False, True, True]):
        x = cnnx.randn(90 + i % 2, 4)
        np.testing.assert_array_equal(run(x, way).detach().numpy(), f(x, way).detach().numpy())


def test_what_is_kept_is_computed() -> None:
    layer, kept = nn.Linear(4, 128), []

    def f(x, keep=False):
        h = layer(x)
        if keep:
            kept.append(h)
        return F.relu(h)

    run = cnnx.compile(lambda x, keep: f(x, keep))
    x = cnnx.randn(90, 4)
    expected = layer(x).detach().numpy()
    for keep in (False, False, True, True, False, True):
        np.testing.assert_array_equal(run(x, keep).detach().numpy(), np.maximum(expected, 0))
    with cnnx.no_grad():
        layer.weight.zero_()  # what was kept is of the time before
    assert len(kept) == 3
    for h in kept:
        np.testing.assert_array_equal(h.detach().numpy(), expected)


def test_values_that_are_asked_for_in_between() -> None:
    layer = nn.Conv2d(1, 2, 3)
    seen = []

    def f(x, look):
        def through(h):
            if look:
                seen.append(h.sum().item())
            return h

        return F.relu(through(layer(x)))

    run = cnnx.compile(f)
    x = images()
    total = layer(x).sum().item()
    for look in (False, False, True, False, True):
        np.testing.assert_array_equal(run(x, look).detach().numpy(), f(x, False).detach().numpy())
    assert seen == [total, total]


def test_memory_that_others_have_is_read_at_once() -> None:
    layer = nn.Linear(4, 128)
    array = np.ones((90, 4), np.float32)
    shared = cnnx.from_numpy(array)

    def f(change):
        h = layer(shared)
        if change:
            array[:] = 0
        return F.relu(h)

    run = cnnx.compile(f)
    for change in (False, False, True):
        array[:] = 1
        expected = F.relu(layer(cnnx.ones(90, 4))).detach().numpy()
        np.testing.assert_array_equal(run(change).detach().numpy(), expected)
    weights = layer.weight.detach().numpy()  # from here on it is memory that others have
    array[:] = 1

    def g():
        h = layer(cnnx.ones(90, 4))
        weights[:] = 0
        return F.relu(h)

    run = cnnx.compile(g)
    for _ in range(3):
        weights[:] = 1
        expected = F.relu(layer(cnnx.ones(90, 4))).detach().numpy()
        np.testing.assert_array_equal(run().detach().numpy(), expected)


def test_changes_between_a_layer_and_its_activation() -> None:
    layer = nn.Linear(4, 128)

    def f(x, how):
        h = layer(x)
        if how == "input":
            x.mul_(0.0)
        elif how == "weight":
            with cnnx.no_grad():
                layer.weight.mul_(0.5)
        elif how == "data":
            layer.weight.data = layer.weight.detach() * 0.5
        elif how == "error":
            raise KeyError(how)
        return F.relu(h)

    run = cnnx.compile(f)
    for how in ("", "", "input", "", "weight", "", "data", "", ""):
        x = cnnx.ones(90, 4)
        with cnnx.no_grad():
            expected = F.relu(layer(cnnx.ones(90, 4))).numpy().copy()
            np.testing.assert_array_equal(run(x, how).numpy(), expected)
    with pytest.raises(KeyError):
        run(cnnx.ones(90, 4), "error")
    assert run(cnnx.ones(90, 4), "").shape == (90, 128)


def test_off(monkeypatch: pytest.MonkeyPatch) -> None:
    def f(x):
        return x

    assert cnnx.compile(f, disable=True) is f
    assert cnnx.compile(disable=True)(f) is f
    monkeypatch.setenv("CNNX_COMPILE", "0")
    assert cnnx.compile(f) is f
