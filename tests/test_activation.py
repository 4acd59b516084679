"""Activations, functions and modules: PyTorch, differences, lanes, in place."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import cnnx
import cnnx.nn.functional as F
from cnnx import _C, nn
from functions import ACTIVATIONS, label
from oracles import (
    array,
    assert_gradient_matches_differences,
    assert_gradients_match_torch,
    assert_same,
    tensor,
)

F32, F64 = np.float32, np.float64


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=label)
@pytest.mark.parametrize("dtype", [F32, F64])
def test_matches_torch(activation, dtype, rng):
    functional = pytest.importorskip("torch.nn.functional")
    for shape in [(), (7,), (21, 3, 5, 5), (50_001,), (0, 2)]:
        assert_gradients_match_torch(
            lambda t: activation(F, t),
            lambda t: activation(functional, t),
            [np.array(rng.normal(size=shape) * 3).astype(dtype)],
            # PyTorch's GELU has an absolute error of some 1e-6, and its hardsigmoid a float for 1/6.
            2e-5 if dtype == F32 else 1e-7 if activation.name == "hardsigmoid" else 1e-12,
            f"{activation.label} {shape}",
        )


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=label)
def test_kinks_and_ends_match_torch(activation):
    torch = pytest.importorskip("torch")
    x = np.array(
        [
            0,
            -0.0,
            6,
            -1,
            1,
            3,
            -3,
            0.5,
            -0.5,
            0.7,
            -0.7,
            0.1,
            2,
            25,
            -25,
            90,
            -90,
            1e30,
            -1e30,
            np.inf,
            np.nan,
        ]
    )
    if activation.name == "gelu":
        x = x[x != np.inf]  # which PyTorch takes for NaN in float32
    for dtype in (F32, F64):
        ours, theirs = tensor(x.astype(dtype), True), torch.tensor(x.astype(dtype), requires_grad=True)
        y, z = activation(F, ours), activation(torch.nn.functional, theirs)
        assert_same(y, z, 1e-5 if dtype == F32 else 1e-12, activation.label)
        y.sum().backward()
        z.sum().backward()
        finite = np.abs(x) < 1e10
        mine, other = array(ours.grad)[finite], theirs.grad.numpy()[finite]
        np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-6, err_msg=activation.label)


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=label)
def test_gradient_by_differences(activation, rng):
    x = rng.normal(size=(4, 5)) * 2
    x[np.abs(x) < 0.01] = 0.3
    assert_gradient_matches_differences(lambda t: activation(F, t), x)


@pytest.mark.parametrize("activation", [a for a in ACTIVATIONS if a.in_place], ids=label)
def test_in_place(activation, rng):
    x = (rng.normal(size=(5, 7)) * 3).astype(F32)
    source, leaf = tensor(x), tensor(x, True)
    result = activation(F, source, inplace=True)
    assert result is source
    assert_same(source, array(activation(F, tensor(x))))
    twice = leaf * 2  # its history goes through the change
    activation(F, twice, inplace=True).sum().backward()
    other = tensor(x, True)
    activation(F, other * 2).sum().backward()
    assert_same(leaf.grad, array(other.grad))


@pytest.mark.skipif(_C.lane_count() == 1, reason="this target keeps nothing in lanes")
@pytest.mark.parametrize("activation", ACTIVATIONS, ids=label)
def test_lanes(activation, rng):
    x = (rng.normal(size=(21, 3, 5, 4)) * 3).astype(F32)
    packed, plain = _C._to_lanes(tensor(x)), tensor(x, True)
    packed.requires_grad = True
    ours, expected = activation(F, packed), activation(F, plain)
    assert ours._in_lanes == (activation.name not in ("hardshrink", "threshold"))  # those are composed
    assert_same(ours, array(expected))
    ours.sum().backward()
    expected.sum().backward()
    assert_same(packed.grad, array(plain.grad))


def test_prelu_glu_and_softmin(rng):
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    for shape, count in [((7,), 1), ((4, 3), 3), ((4, 3), 1), ((2, 3, 4, 5), 3), ((5, 2, 9), 2)]:
        for dtype in (F32, F64):
            x, w = rng.normal(size=shape).astype(dtype), rng.random(count).astype(dtype)
            assert_gradients_match_torch(F.prelu, functional.prelu, [x, w], what=f"prelu {shape}")
    with pytest.raises(RuntimeError, match="prelu: 4 weights for an input of 3 channels"):
        F.prelu(cnnx.ones(2, 3), cnnx.ones(4))
    x = rng.normal(size=(4, 6, 2))
    for dim in (-1, 0, 1, 2):
        assert_gradients_match_torch(lambda t, d=dim: F.glu(t, d), lambda t, d=dim: functional.glu(t, d), [x])
        assert_gradients_match_torch(
            lambda t, d=dim: F.softmin(t, d), lambda t, d=dim: functional.softmin(t, d), [x]
        )
    with pytest.raises(RuntimeError, match="glu: dimension 0"):
        F.glu(cnnx.ones(3, 2), 0)


MODULES = [
    *[(a.layer, a.options) for a in ACTIVATIONS],
    ("Softshrink", {}),
    ("PReLU", {}),
    ("PReLU", {"num_parameters": 4, "init": 0.1}),
    ("GLU", {}),
    ("Softmin", {"dim": 1}),
    ("Softmax2d", {}),
]


@pytest.mark.parametrize(("name", "options"), MODULES)
def test_modules(name, options, rng):
    torch = pytest.importorskip("torch")
    x = rng.normal(size=(2, 4, 3, 6)).astype(F32)
    ours, theirs = getattr(nn, name)(**options), getattr(torch.nn, name)(**options)
    assert_same(ours(tensor(x)), theirs(torch.tensor(x)), 3e-6)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert repr(ours) == repr(theirs)
    mine, other = (inspect.signature(getattr(m, name)).parameters for m in (nn, torch.nn))
    if "args" not in other:
        names = [[(p.name, p.default) for p in parameters.values()] for parameters in (mine, other)]
        assert names[0] == names[1]
    if "inplace" in mine:
        again = getattr(nn, name)(**options, inplace=True)
        t = tensor(x)
        assert again(t) is t
        assert "inplace=True" in repr(again)


def test_errors():
    with pytest.raises(RuntimeError, match="gelu: approximate"):
        F.gelu(cnnx.ones(2), "sigmoid")
    with pytest.raises(TypeError, match="silu: needs float32 or float64, got int64"):
        F.silu(cnnx.tensor([1, 2]))
    with pytest.raises(ValueError, match="activation: there is none of name swish"):
        _C.activation("swish", cnnx.ones(2))
    with pytest.raises(ValueError, match="min_val"):
        F.hardtanh(cnnx.ones(2), 1.0, -1.0)
    with pytest.raises(ValueError, match="Hardtanh"):
        nn.Hardtanh(1.0, 1.0)
    with pytest.raises(RuntimeError, match="celu: alpha"):
        F.celu(cnnx.ones(2), 0.0)
    with pytest.raises(ValueError, match="Softmax2d"):
        nn.Softmax2d()(cnnx.ones(2, 3))
