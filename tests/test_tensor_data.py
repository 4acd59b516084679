"""`x.data` beside `x.detach()`: which changes in place a backward pass complains of, as PyTorch does."""

from __future__ import annotations

from typing import Any

import pytest

import cnnx
from cnnx import nn

torch = pytest.importorskip("torch")


def unrecorded(lib: Any, change: Any) -> None:
    with lib.no_grad():
        change()


# What is done to w, which the gradient of x needs.
CHANGES = {
    "data": lambda lib, w: w.data.add_(1),
    "detach": lambda lib, w: w.detach().add_(1),
    "itself": lambda lib, w: unrecorded(lib, lambda: w.add_(1)),
    "a view of it": lambda lib, w: unrecorded(lib, lambda: w[1:].add_(1)),
    "a view of data": lambda lib, w: w.data[0].add_(1),
    "another view of data": lambda lib, w: w.data.view(3, 1).t().mul_(3),
    "data of data": lambda lib, w: w.data.data.add_(1),
    "detach of data": lambda lib, w: w.data.detach().add_(1),
    "data of detach": lambda lib, w: w.detach().data.add_(1),
    "an element of data": lambda lib, w: w.data.__setitem__(1, 5.0),
    "a slice of detach": lambda lib, w: w.detach().__setitem__(slice(1, 3), 5.0),
    "a parameter of data": lambda lib, w: unrecorded(lib, lambda: lib.nn.Parameter(w.data).add_(1)),
    "a parameter of itself": lambda lib, w: unrecorded(lib, lambda: lib.nn.Parameter(w).add_(1)),
    "copied into data": lambda lib, w: w.data.copy_(lib.zeros(3)),
    "clamped data": lambda lib, w: w.data.clamp_(max=0.5),
    "a draw into data": lambda lib, w: lib.nn.init.zeros_(w.data),
}


def outcome(lib: Any, change: Any) -> Any:
    w, x = (lib.ones(3, requires_grad=True) for _ in range(2))
    y = (w * x).sum()
    change(lib, w)
    try:
        y.backward()
    except RuntimeError:
        return "an error", w._version
    return x.grad.tolist(), w._version


@pytest.mark.parametrize("how", CHANGES)
def test_changes_of_a_leaf(how):
    assert outcome(cnnx, CHANGES[how]) == outcome(torch, CHANGES[how])


@pytest.mark.parametrize(
    "change",
    [
        lambda lib, w, d: d.add_(1),
        lambda lib, w, d: d[:1].add_(1),
        lambda lib, w, d: w.data.add_(1),
        lambda lib, w, d: unrecorded(lib, lambda: w.add_(1)),
    ],
)
def test_a_graph_that_needs_data(change):
    def found(lib: Any) -> Any:
        w, x = (lib.ones(3, requires_grad=True) for _ in range(2))
        data = w.data
        y = (data * x).sum()
        change(lib, w, data)
        try:
            y.backward()
        except RuntimeError:
            return "an error"
        return x.grad.tolist()

    assert found(cnnx) == found(torch)


def test_versions():
    def found(lib: Any) -> list[int]:
        w = lib.ones(3, requires_grad=True)
        data = w.data
        data.add_(1)
        w.detach().add_(1)
        tensors = (w, w.detach(), w.data, data, data.detach(), data[1:], data.data, lib.nn.Parameter(data))
        return [t._version for t in tensors]

    assert found(cnnx) == found(torch)


def test_data_is_the_same_memory_without_history():
    x = cnnx.ones(3, requires_grad=True)
    y = x * 2
    assert not y.data.requires_grad
    assert y.data.is_leaf
    y.data.fill_(7)
    assert y.tolist() == [7.0] * 3
    assert cnnx.equal(x.data, cnnx.ones(3))


def test_fused_pooling_sees_what_was_written_through_data():
    """`cnnx.compile` leaves out a gradient that pooling would need; not if the values have changed."""
    cnnx.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(27, 2))
    x = cnnx.randn(32, 1, 8, 8)

    def passes(scale: float) -> Any:
        for p in model.parameters():
            p.grad = None
        hidden = model[2](model[1](model[0](x)))
        hidden.data.mul_(scale)
        model[4](model[3](hidden)).sum().backward()
        return [p.grad.clone() for p in model.parameters()]

    plain = passes(-2.0)
    compiled = cnnx.compile(passes)
    for _ in range(4):
        for a, b in zip(plain, compiled(-2.0), strict=True):
            assert cnnx.equal(a, b)
