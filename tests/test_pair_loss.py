"""Losses of pairs (regression, binary cross-entropy, Kullback-Leibler): PyTorch, differences, layouts."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import cnnx
import cnnx.nn.functional as F
from cnnx import _C, nn
from oracles import (
    array,
    assert_gradient_matches_differences,
    assert_gradients_match_torch,
    assert_same,
    tensor,
)

F32, F64 = np.float32, np.float64
SHAPES = [(10, 1, 100), (7,), (), (21, 3, 5, 5), (3, 70), (50_001,), (0, 3)]
REGRESSION = [
    ("mse_loss", {}),
    ("l1_loss", {}),
    ("smooth_l1_loss", {}),
    ("smooth_l1_loss", {"beta": 0.3}),
    ("smooth_l1_loss", {"beta": 0.0}),
    ("huber_loss", {}),
    ("huber_loss", {"delta": 0.4}),
]
ALL = [
    *REGRESSION,
    ("binary_cross_entropy", {}),
    ("binary_cross_entropy_with_logits", {}),
    ("kl_div", {}),
    ("kl_div", {"log_target": True}),
]
REDUCTIONS = ["none", "mean", "sum"]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def operands(name, options, shape, dtype, rng):
    """Input and target as the loss wants them; probabilities keep away from 0 and 1."""
    x, t = (np.array(rng.normal(size=shape) * 2) for _ in range(2))
    if name == "binary_cross_entropy":
        x = 0.02 + 0.96 * rng.random(shape)
    if name.startswith("binary"):
        t = 0.02 + 0.96 * rng.random(shape)
    if name == "kl_div":
        x, t = np.log(0.01 + rng.random(shape)), 0.01 + rng.random(shape)
        t = np.log(t) if options.get("log_target") else t
    return np.array(x).astype(dtype), np.array(t).astype(dtype)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "options"), ALL)
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("dtype", [F32, F64])
def test_loss_and_both_gradients_match_torch(name, options, reduction, dtype, rng):
    functional = pytest.importorskip("torch.nn.functional")
    for shape in SHAPES:
        assert_gradients_match_torch(
            lambda x, t: getattr(F, name)(x, t, reduction=reduction, **options),
            lambda x, t: getattr(functional, name)(x, t, reduction=reduction, **options),
            list(operands(name, options, shape, dtype, rng)),
            3e-5 if dtype == F32 else 1e-11,
            f"{name} {shape}",
        )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "options"), ALL)
def test_gradients_by_differences(name, options, rng):
    x, t = operands(name, options, (3, 4), F64, rng)
    for reduction in REDUCTIONS:
        assert_gradient_matches_differences(
            lambda v, r=reduction: getattr(F, name)(v, tensor(t), reduction=r, **options), x
        )
        assert_gradient_matches_differences(
            lambda v, r=reduction: getattr(F, name)(tensor(x), v, reduction=r, **options), t
        )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("dtype", [F32, F64])
@pytest.mark.parametrize("weight_shape", [(8, 5), (5,), (8, 1), ()])
def test_weights_of_binary_cross_entropy(reduction, dtype, weight_shape, rng):
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    weight, pos = (np.array(rng.random(weight_shape) + 0.5).astype(dtype) for _ in range(2))
    for name in ("binary_cross_entropy", "binary_cross_entropy_with_logits"):
        x, t = operands(name, {}, (8, 5), dtype, rng)
        assert_gradients_match_torch(
            lambda a, b, n=name: getattr(F, n)(a, b, tensor(weight), reduction=reduction),
            lambda a, b, n=name: getattr(functional, n)(a, b, torch.tensor(weight), reduction=reduction),
            [x, t],
            what=name,
        )
    for w in (None, weight):
        assert_gradients_match_torch(
            lambda a, b, w=w: F.binary_cross_entropy_with_logits(
                a, b, None if w is None else tensor(w), reduction=reduction, pos_weight=tensor(pos)
            ),
            lambda a, b, w=w: functional.binary_cross_entropy_with_logits(
                a,
                b,
                None if w is None else torch.tensor(w),
                reduction=reduction,
                pos_weight=torch.tensor(pos),
            ),
            [x, t],
            3e-5 if dtype == F32 else 1e-11,
        )


def test_figures_of_the_texts():
    logit, one = cnnx.tensor([0.8]), cnnx.ones(1)
    assert round(F.binary_cross_entropy_with_logits(logit, one).item(), 4) == 0.3711
    assert round(F.binary_cross_entropy(cnnx.sigmoid(logit), one).item(), 4) == 0.3711


def test_binary_cross_entropy_at_its_ends():
    torch = pytest.importorskip("torch")
    p = np.array([0, 0, 1, 1, 1e-45, 1 - 2**-24, 0.5, 2**-130], F32)
    t = np.array([0, 1, 0, 1, 1, 0, 0.25, 1], F32)
    x, other = tensor(p, True), torch.tensor(p, requires_grad=True)
    ours = F.binary_cross_entropy(x, tensor(t), reduction="none")
    theirs = torch.nn.functional.binary_cross_entropy(other, torch.tensor(t), reduction="none")
    assert array(ours).max() == 100
    assert_same(ours, theirs)
    ours.sum().backward()
    theirs.sum().backward()
    assert_same(x.grad, other.grad)


def test_logits_of_any_size():
    x = np.array([1e30, -1e30, 200, -200, 0, np.inf, -np.inf], F32)
    for dtype in (F32, F64):
        t = np.array([1, 0, 0, 1, 0.5, 1, 0], dtype)
        loss = F.binary_cross_entropy_with_logits(tensor(x.astype(dtype)), tensor(t), reduction="none")
        assert_same(loss[:5], np.array([0, 0, 200, 200, np.log(2)], dtype))
        # (1 - t) * inf is not a number, in PyTorch too.
        assert np.isnan(array(loss)[5])
        assert array(loss)[6] != array(loss)[6] or array(loss)[6] == 0


@pytest.mark.parametrize("dtype", [F32, F64])
def test_probabilities_out_of_range(dtype):
    # item() is for devices, which notice at a read.
    for bad in (-0.001, 1.001, np.nan, np.inf):
        for place in (0, 20, 4999):
            p = np.full(5000, 0.5, dtype)
            p[place] = bad
            with pytest.raises(
                RuntimeError, match="binary_cross_entropy: all elements of input and target should be"
            ):
                F.binary_cross_entropy(tensor(p), tensor(np.ones(5000, dtype))).item()
            with pytest.raises(
                RuntimeError, match="binary_cross_entropy: all elements of input and target should be"
            ):
                F.binary_cross_entropy(tensor(np.full(5000, 0.5, dtype)), tensor(p)).item()


def test_kl_div_at_zero_and_batchmean(rng):
    torch = pytest.importorskip("torch")
    x, t = np.log(rng.random((4, 6)) + 0.01), rng.random((4, 6))
    t[0] = 0
    for dtype in (F32, F64):
        a, b = x.astype(dtype), t.astype(dtype)
        ours = F.kl_div(tensor(a), tensor(b), reduction="batchmean")
        theirs = torch.nn.functional.kl_div(torch.tensor(a), torch.tensor(b), reduction="batchmean")
        assert_same(ours, theirs)
        assert_same(F.kl_div(tensor(a), tensor(b), reduction="none")[0], np.zeros(6, dtype))
    with pytest.warns(UserWarning, match="batchmean"):
        F.kl_div(tensor(x), tensor(t))


def test_regression_weights_and_broadcasting(rng):
    torch = pytest.importorskip("torch")
    x, t, w = rng.normal(size=(4, 3)), rng.normal(size=(4, 3)), rng.random((4, 3))
    for name in ("mse_loss", "l1_loss", "huber_loss"):
        for reduction in REDUCTIONS:
            assert_gradients_match_torch(
                lambda a, b, n=name, r=reduction: getattr(F, n)(a, b, reduction=r, weight=tensor(w)),
                lambda a, b, n=name, r=reduction: getattr(torch.nn.functional, n)(
                    a, b, reduction=r, weight=torch.tensor(w)
                ),
                [x, t],
                what=name,
            )
        with pytest.raises(ValueError, match=f"{name}: weight of shape"):
            getattr(F, name)(tensor(x), tensor(t), weight=tensor(w[0]))
    for name, options in REGRESSION:
        with pytest.warns(UserWarning, match="Using a target size"):
            loss = getattr(F, name)(tensor(x, True), tensor(t[:, :1], True), **options)
        loss.backward()
        full = getattr(F, name)(tensor(x), tensor(np.broadcast_to(t[:, :1], x.shape)), **options)
        assert_same(loss, array(full))


def test_types(rng):
    x = tensor(rng.random((3, 4)).astype(F32), True)
    loss = F.mse_loss(x, tensor(rng.random((3, 4))))
    assert loss.dtype == cnnx.float64
    loss.backward()
    assert x.grad.dtype == cnnx.float32
    assert F.binary_cross_entropy(x, cnnx.ones(3, 4, dtype=cnnx.int64)).dtype == cnnx.float32
    with pytest.raises(TypeError, match="l1_loss: needs floating-point"):
        F.l1_loss(cnnx.ones(3, dtype=cnnx.int64), cnnx.ones(3, dtype=cnnx.int64))


def test_errors():
    x, t = cnnx.full((4, 3), 0.5), cnnx.ones(4, 3)
    for name in ("binary_cross_entropy", "binary_cross_entropy_with_logits"):
        function = getattr(F, name)
        with pytest.raises(ValueError, match=f"{name}: target of shape \\(4,\\) must have"):
            function(x, cnnx.ones(4))
        with pytest.raises(ValueError, match=f"{name}: reduction"):
            function(x, t, reduction="average")
        with pytest.raises(RuntimeError, match=f"{name}: shapes \\(2,\\) and"):
            function(x, t, cnnx.ones(2))
        with pytest.raises(RuntimeError, match=f"{name}: weight of shape"):
            function(x, t, cnnx.ones(2, 4, 3))
        with pytest.raises(RuntimeError, match=f"{name}: there is no gradient of weight"):
            function(x, t, cnnx.ones(3, requires_grad=True))
    with pytest.raises(RuntimeError, match="smooth_l1_loss: beta"):
        F.smooth_l1_loss(x, t, beta=-1.0)
    with pytest.raises(RuntimeError, match="huber_loss: delta"):
        F.huber_loss(x, t, delta=0.0)
    for name in ("mse_loss", "l1_loss", "huber_loss"):
        with pytest.raises(TypeError, match=f"{name}.*weight"):
            getattr(F, name)(x, t, weight={1, 2})
    x.requires_grad = True
    loss = F.binary_cross_entropy(x, t)
    t.zero_()
    with pytest.raises(RuntimeError, match="changed in place"):
        loss.backward()


@pytest.mark.skipif(_C.lane_count() == 1, reason="this target keeps nothing in lanes")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "options"), ALL)
@pytest.mark.parametrize("batch", [16, 21, 9])
def test_lanes(name, options, batch, rng):
    x, t = operands(name, options, (batch, 2, 37), F32, rng)
    for target in (_C._to_lanes(tensor(t)), tensor(t)):
        for reduction in REDUCTIONS:
            packed, plain = _C._to_lanes(tensor(x)), tensor(x, True)
            packed.requires_grad = True
            ours = getattr(F, name)(packed, target, reduction=reduction, **options)
            expected = getattr(F, name)(plain, tensor(t), reduction=reduction, **options)
            assert ours._in_lanes == (reduction == "none")
            assert_same(ours, array(expected))
            upstream = tensor(np.array(rng.normal(size=ours.shape)).astype(F32))
            ours.backward(upstream)
            expected.backward(upstream)
            assert packed.grad._in_lanes
            assert_same(packed.grad, array(plain.grad))


@pytest.mark.skipif(_C.lane_count() == 1, reason="this target keeps nothing in lanes")
def test_dead_lanes_neither_count_nor_raise(rng):
    # Dead lanes hold zeros after packing: 1 / 0 there, and probabilities of infinity.
    p = (0.1 + 0.8 * rng.random((21, 2, 37))).astype(F32)
    packed = 1 / _C._to_lanes(tensor(1 / p))
    assert packed._in_lanes
    for reduction in ("mean", "sum"):
        got = F.binary_cross_entropy(packed, tensor(np.ones_like(p)), reduction=reduction)
        want = getattr(-np.log(array(packed).astype(F64)), reduction)()
        np.testing.assert_allclose(got.item(), want, rtol=1e-6)
        got = F.mse_loss(packed, tensor(np.zeros_like(p)), reduction=reduction)
        np.testing.assert_allclose(
            got.item(), getattr(array(packed).astype(F64) ** 2, reduction)(), rtol=1e-6
        )


def test_sums_are_accurate_and_the_same_for_any_threads(rng):
    x = rng.random(1_000_003).astype(F32)
    before, results = cnnx.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            cnnx.set_num_threads(threads)
            results.append(F.mse_loss(tensor(x), cnnx.zeros(x.size), reduction="sum").item())
    finally:
        cnnx.set_num_threads(before)
    assert len(set(results)) == 1
    np.testing.assert_allclose(results[0], (x.astype(F64) ** 2).sum(), rtol=1e-7)


MODULES = ["BCELoss", "BCEWithLogitsLoss", "L1Loss", "SmoothL1Loss", "HuberLoss", "KLDivLoss", "MSELoss"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", MODULES)
def test_modules(name, rng):
    torch = pytest.importorskip("torch")
    ours, theirs = getattr(nn, name), getattr(torch.nn, name)
    names = [list(inspect.signature(c).parameters) for c in (ours, theirs)]
    assert names[0] == names[1]
    x, t = 0.1 + 0.8 * rng.random((4, 3)), 0.1 + 0.8 * rng.random((4, 3))
    cases = [{}, {"reduction": "sum"}, {"reduction": "none"}]
    extra = {
        "BCELoss": {"weight": [0.5, 1.0, 2.0]},
        "BCEWithLogitsLoss": {"weight": [0.5, 1.0, 2.0], "pos_weight": [2.0, 3.0, 1.0]},
        "SmoothL1Loss": {"beta": 0.1},
        "HuberLoss": {"delta": 0.1},
        "KLDivLoss": {"log_target": True, "reduction": "batchmean"},
    }
    cases += [extra[name]] if name in extra else []
    for options in cases:
        mine = {k: tensor(np.array(v)) if isinstance(v, list) else v for k, v in options.items()}
        other = {
            k: torch.tensor(v, dtype=torch.float64) if isinstance(v, list) else v for k, v in options.items()
        }
        a, b = ours(**mine), theirs(**other)
        assert_same(a(tensor(x), tensor(t)), b(torch.tensor(x), torch.tensor(t)))
        assert list(a.state_dict()) == list(b.state_dict())
        assert repr(a) == repr(b)
    if "size_average" in names[0]:
        with pytest.warns(UserWarning, match="deprecated"):
            assert ours(size_average=False).reduction == "sum"


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "kl_div"])
def test_function_signatures(name):
    functional = pytest.importorskip("torch.nn.functional")
    for n in (name, "binary_cross_entropy", "binary_cross_entropy_with_logits"):
        ours, theirs = (inspect.signature(getattr(m, n)).parameters for m in (F, functional))
        assert [(p.name, p.default) for p in ours.values()] == [(p.name, p.default) for p in theirs.values()]
