"""Hooks on gradients."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref

import pytest

import cnnx
from cnnx import nn
from oracles import leaf


def test_hooks_of_results_and_leaves():
    x = leaf(1.0, 2.0)
    y = x * 3
    seen = []
    first = x.register_hook(lambda g: seen.append(("leaf", g.tolist())))
    y.register_hook(lambda g: seen.append(("result", g.tolist())))
    y.register_hook(lambda g: g * 10)
    (y.sum() + x.sum()).backward()
    assert seen == [("result", [1.0, 1.0]), ("leaf", [31.0, 31.0])]
    assert x.grad.tolist() == [31.0, 31.0]
    first.remove()
    first.remove()
    x.grad = None
    with x.register_hook(lambda g: -g):
        (x * 2).sum().backward()
    assert x.grad.tolist() == [-2.0, -2.0]
    (x * 2).sum().backward()
    assert x.grad.tolist() == [0.0, 0.0]
    assert len(seen) == 2


def test_hooks_as_pytorch_calls_them():
    torch = pytest.importorskip("torch")

    def run(lib, on_demand):
        calls = []
        x = lib.ones(2, requires_grad=True)
        y = x * 2
        y.retain_grad()
        y.register_hook(lambda g: calls.append(g.tolist()) or g * 5)
        handle = y.register_hook(lambda g: calls.append(g.tolist()) or g + 1)
        x.register_hook(lambda g: calls.append(g.tolist()) or g / 4)
        z = (y * y).sum() + x.sum()
        if on_demand:
            handle.remove()
            return calls, lib.autograd.grad(z, x)[0].tolist()
        z.backward()
        return calls, x.grad.tolist(), y.grad.tolist()

    for on_demand in (False, True):
        assert run(cnnx, on_demand) == run(torch, on_demand)


def test_hook_errors():
    x = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match="does not require a gradient"):
        x.detach().register_hook(print)
    for bad, error, text in [
        (lambda g: g[:1], RuntimeError, "hook: gave a gradient of shape"),
        (lambda g: g.float(), TypeError, "hook: gave a gradient of float32"),
        (lambda g: 3, TypeError, "hook: must give a tensor or None, gave int"),
        (lambda g: [][0], IndexError, "list index"),
    ]:
        with x.register_hook(bad), pytest.raises(error, match=text):
            (x * 2).sum().backward()
    x.grad = None
    (x * 2).sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]


def test_hooks_leave_nothing_behind():
    x = leaf(1.0)
    y = x * 2
    y.register_hook(lambda g, y=y: None)  # refers to its own graph, until the pass frees it
    y.backward()
    refs = [weakref.ref(x), weakref.ref(y)]
    del x, y
    assert [ref() for ref in refs] == [None, None]
    x = leaf(1.0)
    x.register_hook(lambda g, x=x: None)  # a cycle that the collector sees
    ref = weakref.ref(x)
    del x
    gc.collect()
    assert ref() is None

    p = nn.Parameter(cnnx.ones(2))
    p.register_hook(lambda g: g * 2)
    for other in (copy.deepcopy(p), pickle.loads(pickle.dumps(p))):
        other.sum().backward()
        assert other.grad.tolist() == [1.0, 1.0]
    p.sum().backward()
    assert p.grad.tolist() == [2.0, 2.0]
