"""The orthogonal parametrization against PyTorch's: weights, gradients, state."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import cnnx
from cnnx import nn
from oracles import array, assert_same

torch = pytest.importorskip("torch")

SHAPES = [(1, 1), (4, 4), (7, 7), (6, 1), (1, 5), (9, 4), (3, 8), (2, 5, 5), (3, 2, 5, 3), (2, 2, 6)]
MAPS = ["matrix_exp", "cayley", "householder", None]


class Holder:
    """A module with a weight, in either library."""

    def __new__(cls, lib: Any, weight: np.ndarray) -> Any:
        class Held(lib.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.weight = lib.nn.Parameter(lib.tensor(weight))

        return Held()


def pair(weight: np.ndarray, kind: str | None, base: bool) -> tuple[Any, Any]:
    """The parametrized module in both libraries."""
    made = []
    for lib in (cnnx, torch):
        module = Holder(lib, weight)
        assert (
            lib.nn.utils.parametrizations.orthogonal(module, "weight", kind, use_trivialization=base)
            is module
        )
        made.append(module)
    return made[0], made[1]


def draw(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def assert_orthogonal(weight: Any, tolerance: float) -> None:
    w = array(weight)
    w = w if w.shape[-2] >= w.shape[-1] else np.swapaxes(w, -1, -2)
    products = np.swapaxes(w, -1, -2) @ w
    np.testing.assert_allclose(products, np.broadcast_to(np.eye(w.shape[-1]), products.shape), atol=tolerance)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", MAPS)
@pytest.mark.parametrize("is_orthogonal", [False, True])
def test_the_weight_there_is_becomes_orthogonal(shape, kind, is_orthogonal):
    weight = draw(shape)
    if is_orthogonal:
        left, _, right = np.linalg.svd(weight, full_matrices=False)
        weight = left @ right
    ours, theirs = pair(weight, kind, True)
    assert_same(ours.weight, theirs.weight)
    assert_orthogonal(ours.weight, 1e-12)
    if is_orthogonal:
        assert_same(ours.weight, weight)
    state, other = ours.state_dict(), theirs.state_dict()
    assert list(state) == list(other)
    assert_same(ours.parametrizations.weight.original, theirs.parametrizations.weight.original)
    assert ours.parametrizations.weight[0].base.shape == theirs.parametrizations.weight[0].base.shape
    assert_orthogonal(ours.parametrizations.weight[0].base, 1e-12)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", MAPS)
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_what_has_no_rank_becomes_orthogonal(shape, kind, value):
    ours, theirs = pair(np.full(shape, value), kind, True)
    assert_orthogonal(ours.weight, 1e-12)
    assert_orthogonal(ours.parametrizations.weight[0].base, 1e-12)
    if value:  # the others are free
        is_wide = shape[-2] < shape[-1]
        first = np.s_[..., 0, :] if is_wide else np.s_[..., 0]
        assert_same(ours.weight[first], theirs.weight[first])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", MAPS)
def test_values_and_gradients_of_what_is_learned(shape, kind):
    ours, theirs = pair(draw(shape), kind, True)
    with torch.no_grad():
        theirs.parametrizations.weight.original += torch.tensor(np.tril(draw(shape, 1), -1))
    ours.load_state_dict({k: cnnx.tensor(v.numpy()) for k, v in theirs.state_dict().items()})
    upstream = draw(shape, 2)
    (ours.weight * cnnx.tensor(upstream)).sum().backward()
    (theirs.weight * torch.tensor(upstream)).sum().backward()
    assert_same(ours.weight, theirs.weight, 1e-10)
    assert_same(
        ours.parametrizations.weight.original.grad, theirs.parametrizations.weight.original.grad, 1e-9
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_reflections_without_a_base(shape):
    weight = draw(shape)
    ours, theirs = pair(weight, "householder", False)
    assert_same(ours.weight, theirs.weight, 1e-10)
    assert list(ours.state_dict()) == list(theirs.state_dict()) == ["parametrizations.weight.original"]
    lower = np.tril if shape[-2] >= shape[-1] else np.triu
    found, wanted = (array(ours.parametrizations.weight.original), theirs.parametrizations.weight.original)
    np.testing.assert_allclose(lower(found), lower(wanted.detach().numpy()), atol=1e-11)
    again = draw(shape, 3)
    ours.weight, theirs.weight = cnnx.tensor(again), torch.tensor(again)
    assert_same(ours.weight, theirs.weight, 1e-10)
    with cnnx.no_grad():
        ours.weight = ours.weight  # what is orthogonal stays
    assert_same(ours.weight, theirs.weight, 1e-10)


@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (4, 2)])
def test_reflections_of_axes(shape):
    for weight in (np.eye(*shape), -np.eye(*shape)):
        ours, theirs = pair(weight, "householder", False)
        assert_same(ours.weight, theirs.weight)
        assert_same(ours.weight, weight)


@pytest.mark.parametrize("kind", ["matrix_exp", "cayley"])
def test_maps_without_a_base_are_learned_but_not_assigned(kind):
    ours, theirs = pair(draw((5, 5)), kind, False)
    assert_same(ours.weight, theirs.weight, 1e-10)
    for module, lib in ((ours, cnnx), (theirs, torch)):
        with pytest.raises(NotImplementedError):
            module.weight = lib.zeros(5, 5).double()


@pytest.mark.parametrize("kind", MAPS)
@pytest.mark.parametrize("sizes", [(12, 12), (30, 8), (8, 30), (128, 100)])
def test_training_keeps_it_orthogonal(kind, sizes):
    cnnx.manual_seed(0)
    layer = nn.utils.parametrizations.orthogonal(nn.Linear(*sizes), orthogonal_map=kind)
    optimizer = cnnx.optim.Adam(layer.parameters(), lr=0.05)
    goal = nn.init.orthogonal_(cnnx.empty(*reversed(sizes)))
    first = last = None
    for _ in range(20):
        optimizer.zero_grad()
        loss = ((layer.weight - goal) ** 2).mean()
        loss.backward()
        optimizer.step()
        first, last = first or loss.item(), loss.item()
    assert last < first
    assert_orthogonal(layer.weight, 5e-5)
    other = copy.deepcopy(layer)
    assert cnnx.equal(other.weight, layer.weight)
    fresh = nn.utils.parametrizations.orthogonal(nn.Linear(*sizes), orthogonal_map=kind)
    fresh.load_state_dict(layer.state_dict())
    assert cnnx.equal(fresh.weight, layer.weight)
    nn.utils.parametrize.remove_parametrizations(layer, "weight")
    assert cnnx.equal(layer.weight, other.weight)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda p: p(nn.Linear(2, 3), "wait"), ValueError, "has no parameter or buffer with name 'wait'"),
        (lambda p: p(nn.Linear(2, 3), "bias"), ValueError, "expected a matrix or matrices, got 1 dimensions"),
        (lambda p: p(nn.Linear(2, 3), "weight", "qr"), ValueError, "orthogonal_map must be one of"),
        (lambda p: p(3), TypeError, "orthogonal"),
        (
            lambda p: setattr(p(nn.Linear(2, 3)), "weight", cnnx.zeros(2, 2)),
            ValueError,
            r"expected matrices of shape \(3, 2\)",
        ),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call(nn.utils.parametrizations.orthogonal)
