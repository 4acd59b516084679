"""Losses and dropout against PyTorch, NumPy and finite differences."""

from __future__ import annotations

import numpy as np
import pytest

import cnnx
from cnnx import _C
from oracles import (
    array,
    assert_gradient_matches_differences,
    assert_gradients_match_torch,
    assert_same,
    tensor,
)

F32, F64 = np.float32, np.float64
SHAPES = [(64, 10), (10,), (4, 5, 6), (21, 5, 4, 4), (3, 70), (1, 1)]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def class_targets(shape, rng):
    classes = shape[0] if len(shape) == 1 else shape[1]
    return np.array(rng.integers(0, classes, shape[:1] * (len(shape) > 1) + shape[2:])), classes


@pytest.mark.parametrize("dtype", [F32, F64])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_cross_entropy_of_indices(dtype, reduction, weighted, smoothing, rng):
    functional = pytest.importorskip("torch.nn.functional")
    import torch

    for shape in SHAPES:
        x = (rng.normal(size=shape) * 4).astype(dtype)
        target, classes = class_targets(shape, rng)
        weight = (rng.random(classes) + 0.5).astype(dtype) if weighted else None
        for ignore in (-100, int(target.ravel()[0])):
            if ignore >= 0 and (target == ignore).all():
                continue  # nothing left: the mean is NaN, tested below
            assert_gradients_match_torch(
                lambda t, g=target, w=weight, i=ignore: _C.cross_entropy(
                    t, tensor(g), None if w is None else tensor(w), i, reduction, smoothing
                ),
                lambda t, g=target, w=weight, i=ignore: functional.cross_entropy(
                    t,
                    torch.tensor(g),
                    None if w is None else torch.tensor(w),
                    ignore_index=i,
                    reduction=reduction,
                    label_smoothing=smoothing,
                ),
                [x],
                what=f"{shape} ignore {ignore}",
            )


@pytest.mark.parametrize("dtype", [F32, F64])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_of_probabilities(dtype, reduction, weighted, smoothing, rng):
    functional = pytest.importorskip("torch.nn.functional")
    import torch

    for shape in SHAPES:
        x, q = (rng.normal(size=shape) * 4).astype(dtype), rng.random(shape).astype(dtype)
        classes = shape[0] if len(shape) == 1 else shape[1]
        weight = (rng.random(classes) + 0.5).astype(dtype) if weighted else None
        assert_gradients_match_torch(
            lambda t, g, w=weight: _C.cross_entropy(
                t, g, None if w is None else tensor(w), -100, reduction, smoothing
            ),
            lambda t, g, w=weight: functional.cross_entropy(
                t, g, None if w is None else torch.tensor(w), reduction=reduction, label_smoothing=smoothing
            ),
            [x, q],
            what=str(shape),
        )


@pytest.mark.parametrize("dtype", [F32, F64])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("weighted", [False, True])
def test_nll_loss(dtype, reduction, weighted, rng):
    functional = pytest.importorskip("torch.nn.functional")
    import torch

    for shape in SHAPES:
        x = rng.normal(size=shape).astype(dtype)
        target, classes = class_targets(shape, rng)
        weight = (rng.random(classes) + 0.5).astype(dtype) if weighted else None
        for ignore in (-100, 0):
            if (target == ignore).all():
                continue
            assert_gradients_match_torch(
                lambda t, g=target, w=weight, i=ignore: _C.nll_loss(
                    t, tensor(g), None if w is None else tensor(w), i, reduction
                ),
                lambda t, g=target, w=weight, i=ignore: functional.nll_loss(
                    t,
                    torch.tensor(g),
                    None if w is None else torch.tensor(w),
                    ignore_index=i,
                    reduction=reduction,
                ),
                [x],
                what=f"{shape} ignore {ignore}",
            )


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_mse_loss(reduction, rng):
    functional = pytest.importorskip("torch.nn.functional")
    for dtype in (F32, F64):
        a, b = rng.normal(size=(5, 6)).astype(dtype), rng.normal(size=(5, 6)).astype(dtype)
        assert_gradients_match_torch(
            lambda x, y: _C.mse_loss(x, y, reduction),
            lambda x, y: functional.mse_loss(x, y, reduction=reduction),
            [a, b],
        )


def test_gradients_by_differences(rng):
    x = rng.normal(size=(4, 5))
    target = tensor(np.array([0, 4, 2, 2]))
    weight = tensor(rng.random(5) + 0.5)
    for reduction in ("none", "mean", "sum"):
        assert_gradient_matches_differences(
            lambda t, r=reduction: _C.cross_entropy(t, target, weight, 2, r, 0.2), x
        )
        assert_gradient_matches_differences(lambda t, r=reduction: _C.nll_loss(t, target, weight, 2, r), x)
        assert_gradient_matches_differences(lambda t, r=reduction: _C.mse_loss(t, tensor(x + 1), r), x)


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8])
def test_indices_of_any_integer_type(dtype, rng):
    x = rng.normal(size=(4, 5)).astype(F32)
    target = np.array([0, 4, 2, 2])
    want = array(_C.cross_entropy(tensor(x), tensor(target)))
    assert_same(_C.cross_entropy(tensor(x), tensor(target.astype(dtype))), want)


@pytest.mark.cpu("a device notes a bad class and raises at the next wait: test_cuda_dense.py")
def test_bad_targets():
    x = tensor(np.zeros((4, 10), F32))

    def loss(target, **options):
        return _C.cross_entropy(x, tensor(np.array(target)), **options)

    with pytest.raises(
        IndexError, match="cross_entropy: target 10 at position 3 is out of range for 10 classes"
    ):
        loss([0, 1, 9, 10])
    with pytest.raises(IndexError, match="cross_entropy: target -1 at position 0"):
        loss([-1, 1, 9, 0])
    with pytest.raises(IndexError, match="nll_loss: target 11 at position 1"):
        _C.nll_loss(x, tensor(np.array([0, 11, 0, 0])))
    with pytest.raises(
        RuntimeError, match=r"cross_entropy: target of shape \(3,\) does not match input of shape \(4, 10\)"
    ):
        loss([0, 1, 2])
    with pytest.raises(TypeError, match="cross_entropy: class indices must be integers, got float64"):
        loss([0.0, 1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="cross_entropy: reduction must be"):
        loss([0, 1, 2, 3], reduction="average")
    with pytest.raises(ValueError, match="label_smoothing must be between 0 and 1"):
        loss([0, 1, 2, 3], label_smoothing=1.5)
    with pytest.raises(RuntimeError, match=r"cross_entropy: weight must have shape \(10,\).*got \(3,\)"):
        loss([0, 1, 2, 3], weight=tensor(np.ones(3, F32)))
    with pytest.raises(TypeError, match="cross_entropy: input is float32, weight float64"):
        loss([0, 1, 2, 3], weight=tensor(np.ones(10)))
    with pytest.raises(TypeError, match="cross_entropy: needs float32 or float64, got int64"):
        _C.cross_entropy(tensor(np.zeros((4, 10), np.int64)), tensor(np.zeros(4, np.int64)))
    with pytest.raises(RuntimeError, match="cross_entropy: ignore_index cannot be used"):
        _C.cross_entropy(x, x, ignore_index=3)
    with pytest.raises(RuntimeError, match="cross_entropy: the input must be"):
        _C.cross_entropy(tensor(np.array(1.0)), tensor(np.array(0)))


def test_empty_and_all_ignored():
    empty = _C.cross_entropy(tensor(np.zeros((0, 10), F32)), tensor(np.zeros(0, np.int64)))
    assert np.isnan(array(empty))
    assert (
        array(
            _C.cross_entropy(tensor(np.zeros((0, 10), F32)), tensor(np.zeros(0, np.int64)), reduction="sum")
        )
        == 0
    )
    ignored = _C.cross_entropy(tensor(np.zeros((2, 10), F32)), tensor(np.array([3, 3])), None, 3)
    assert np.isnan(array(ignored))


def test_logits_of_any_size():
    x = np.array([[1000.0, -1000.0, 0.0], [-1e30, 0.0, 1e30]], F32)
    assert_same(
        _C.cross_entropy(tensor(x), tensor(np.array([1, 2])), reduction="none"), np.array([2000, 0], F32)
    )


def test_cross_entropy_of_lanes(rng):
    if _C.lane_count() == 1:
        pytest.skip("this target keeps nothing in lanes")
    x = rng.normal(size=(21, 5, 4, 3)).astype(F32)
    target = tensor(rng.integers(0, 5, (21, 4, 3)))
    packed, plain = _C._to_lanes(tensor(x)), tensor(x, True)
    packed.requires_grad = True
    losses = [_C.cross_entropy(t, target) for t in (packed, plain)]
    assert_same(losses[0], array(losses[1]))
    for loss in losses:
        _C.backward(loss, None, False)
    assert_same(packed.grad, array(plain.grad))


def philox(seed: int, call: int, count: int) -> np.ndarray:
    """Draw uniform numbers as csrc/kernels/philox.h documents them, in Python integers."""
    words = []
    for group in range((count + 3) // 4):
        c = [group & 0xFFFFFFFF, group >> 32, call & 0xFFFFFFFF, call >> 32]
        k = [seed & 0xFFFFFFFF, seed >> 32]
        for _ in range(10):
            p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
            c = [(p1 >> 32) ^ c[1] ^ k[0], p1 & 0xFFFFFFFF, (p0 >> 32) ^ c[3] ^ k[1], p0 & 0xFFFFFFFF]
            k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
        words += c
    return np.array([word >> 8 for word in words[:count]]) * 2.0**-24


def test_philox_known_answers():
    # From the Random123 distribution, key and counter zero.
    zeros = np.array([0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8])
    np.testing.assert_array_equal(philox(0, 0, 4), (zeros >> 8) * 2.0**-24)


class TestDropout:
    def drop(self, x, p, seed=5):
        cnnx.manual_seed(seed)
        return _C.dropout(x, p, True)

    @pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
    def test_mask_is_the_documented_one(self, p):
        for shape in [(300,), (21, 3, 5, 5), (7, 13)]:
            count = int(np.prod(shape))
            keep = philox(5, 0, count).reshape(shape) >= p
            for dtype in (F32, F64):
                result = self.drop(tensor(np.ones(shape, dtype)), p)
                assert_same(result, keep * dtype(1 / (1 - p)))

    def test_every_layout_draws_the_same_mask(self, rng):
        if _C.lane_count() == 1:
            pytest.skip("this target keeps nothing in lanes")
        for shape in [(21, 3, 5, 5), (64, 7, 13), (9, 5, 20, 20)]:
            x = rng.normal(size=shape).astype(F32)
            packed = _C._to_lanes(tensor(x))
            packed.requires_grad = True
            result = self.drop(packed, 0.3)
            assert result._in_lanes
            plain = tensor(x, True)
            expected = self.drop(plain, 0.3)
            np.testing.assert_array_equal(array(result), array(expected))
            upstream = rng.normal(size=shape).astype(F32)
            _C.backward(result, tensor(upstream), False)
            _C.backward(expected, tensor(upstream), False)
            np.testing.assert_array_equal(array(packed.grad), array(plain.grad))

    def test_backward_uses_the_same_mask(self):
        x = tensor(np.ones(1000, F32), True)
        y = self.drop(x, 0.4)
        _C.backward(_C.sum(y), None, False)
        np.testing.assert_array_equal(array(x.grad), array(y))

    def test_rate_threads_and_calls(self):
        x = tensor(np.ones(200_000, F32))
        threads = cnnx.get_num_threads()
        try:
            results = []
            for number in (1, 2, 3):
                cnnx.set_num_threads(number)
                results.append(array(self.drop(x, 0.25)))
        finally:
            cnnx.set_num_threads(threads)
        for other in results[1:]:
            np.testing.assert_array_equal(results[0], other)
        assert abs((results[0] == 0).mean() - 0.25) < 0.005
        assert not np.array_equal(
            array(_C.dropout(x, 0.25, True)), results[0]
        )  # the next call has its own mask

    def test_edges(self):
        x = tensor(np.array([1.0, np.nan, np.inf], F32))
        assert _C.dropout(x, 0.5, False) is x
        assert _C.dropout(x, 0.0, True) is x
        assert_same(self.drop(x, 1.0), np.zeros(3, F32))
        assert_same(self.drop(tensor(np.zeros((0, 3), F32)), 0.5), np.zeros((0, 3), F32))
        for p in (-0.1, 1.1, np.nan):
            with pytest.raises(ValueError, match="dropout: p must be between 0 and 1"):
                _C.dropout(x, p, True)
        with pytest.raises(TypeError, match="dropout: needs float32 or float64"):
            _C.dropout(tensor(np.arange(3)), 0.5, True)
