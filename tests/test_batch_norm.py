"""Batch normalisation against PyTorch and finite differences; running statistics; accuracy."""

from __future__ import annotations

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

SHAPES = [(2, 1), (7, 3), (5, 37), (64, 128), (2, 3, 1), (3, 5, 18), (1, 2, 9), (37, 3, 6), (8, 4, 1, 1)]
SHAPES += [(1, 3, 4, 5), (3, 5, 7, 9), (16, 2, 3, 3), (17, 1, 3, 3), (37, 6, 12, 13), (2, 3, 2, 3, 4)]


def torch_function(name: str):
    return getattr(pytest.importorskip("torch").nn.functional, name)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
def test_training_matches_torch(shape, dtype) -> None:
    theirs = torch_function("batch_norm")
    rng = np.random.default_rng(0)
    x = (rng.normal(size=shape) * 3 + 1).astype(dtype)
    w, b = (rng.normal(size=shape[1]).astype(dtype) for _ in range(2))
    tolerance = 1e-4 if dtype == np.float32 else 1e-10
    for arrays in ([x, w, b], [x]):
        assert_gradients_match_torch(
            lambda x, *p: F.batch_norm(x, None, None, *p, training=True, eps=1e-3),
            lambda x, *p: theirs(x, None, None, *p, training=True, eps=1e-3),
            arrays,
            tolerance,
            f"batch_norm {shape}",
        )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
def test_evaluation_matches_torch(shape, dtype) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    x = (rng.normal(size=shape) * 3 + 1).astype(dtype)
    w, b, mean = (rng.normal(size=shape[1]).astype(dtype) for _ in range(3))
    var = (rng.random(shape[1]) + 0.1).astype(dtype)
    for arrays in ([x, w, b], [x]):
        assert_gradients_match_torch(
            lambda x, *p: F.batch_norm(x, tensor(mean), tensor(var), *p),
            lambda x, *p: torch_function("batch_norm")(x, torch.tensor(mean), torch.tensor(var), *p),
            arrays,
            1e-4 if dtype == np.float32 else 1e-10,
            f"batch_norm {shape}",
        )


@pytest.mark.parametrize("training", [True, False])
def test_gradients_by_differences(training) -> None:
    rng = np.random.default_rng(0)
    x, w, b = rng.normal(size=(3, 2, 2, 3)), rng.normal(size=2), rng.normal(size=2)
    mean, var = tensor(rng.normal(size=2)), tensor(rng.random(2) + 0.5)

    def run(x, w, b):
        return F.batch_norm(x, mean.clone(), var.clone(), w, b, training)

    assert_gradient_matches_differences(lambda t: run(t, tensor(w), tensor(b)), x)
    assert_gradient_matches_differences(lambda t: run(tensor(x), t, tensor(b)), w)
    assert_gradient_matches_differences(lambda t: run(tensor(x), tensor(w), t), b)


OPTIONS = [
    {},
    {"momentum": None},
    {"momentum": 0.3, "eps": 1e-2},
    {"affine": False},
    {"bias": False},
    {"track_running_stats": False},
    {"momentum": 0.0},
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_layers_follow_torch_through_training_and_evaluation(options, dtype) -> None:
    torch = pytest.importorskip("torch")
    tolerance = 1e-4 if dtype == "float32" else 1e-10
    for name, shapes in (
        ("BatchNorm1d", [(6, 5), (9, 5), (17, 5, 4), (2, 5, 1)]),
        ("BatchNorm2d", [(17, 5, 4, 3), (33, 5, 2, 2), (3, 5, 4, 3), (1, 5, 3, 3)]),
    ):
        mine = getattr(nn, name)(5, **options).to(getattr(cnnx, dtype))
        theirs = getattr(torch.nn, name)(5, **options).to(getattr(torch, dtype))
        assert repr(mine) == repr(theirs)
        assert list(mine.state_dict()) == list(theirs.state_dict())
        rng = np.random.default_rng(0)
        for training in (True, True, False, True, False):
            mine.train(training)
            theirs.train(training)
            for shape in shapes:
                x = (rng.normal(size=shape) * 2 + 3).astype(dtype)
                mine.zero_grad()
                theirs.zero_grad()
                assert_gradients_match_torch(mine, theirs, [x], tolerance, f"{name} {shape}")
                for p, q in zip(mine.parameters(), theirs.parameters(), strict=True):
                    assert_same(p.grad, q.grad, tolerance * 20)
            for key, value in mine.state_dict().items():
                assert_same(value, theirs.state_dict()[key], tolerance, key)
        mine.reset_running_stats()
        theirs.reset_running_stats()
        for key, value in mine.state_dict().items():
            assert_same(value, theirs.state_dict()[key], tolerance, key)


def test_state_travels() -> None:
    layer = nn.BatchNorm2d(3)
    layer(cnnx.randn(20, 3, 4, 4) + 2)
    other = nn.BatchNorm2d(3)
    other.load_state_dict(layer.state_dict())
    assert other.num_batches_tracked.item() == 1
    assert other.num_batches_tracked.dtype == cnnx.int64
    x = cnnx.randn(5, 3, 4, 4)
    assert cnnx.equal(layer.eval()(x), other.eval()(x))
    double = nn.BatchNorm1d(3, dtype=cnnx.float64)
    assert double.running_var.dtype == double.weight.dtype == cnnx.float64
    assert layer.double().running_mean.dtype == cnnx.float64
    assert layer.num_batches_tracked.dtype == cnnx.int64


def test_what_is_counted() -> None:
    x = cnnx.randn(9, 3, 4, 4)
    layer = nn.BatchNorm2d(3)
    layer(x)
    layer.eval()
    layer(x)
    layer.running_mean = layer.running_var = None
    layer(x)
    assert (
        layer.num_batches_tracked.item() == 1
    )  # evaluation counts nothing, with the batch's own statistics either
    layer = nn.BatchNorm2d(3).eval()
    layer.num_batches_tracked = layer.num_batches_tracked.int()  # nor does it look at the count
    layer(x)
    with pytest.raises(TypeError, match="number of batches must be one int64, got int32"):
        layer.train()(x)
    none = nn.BatchNorm2d(0)
    for n in (2, 40):
        assert none(cnnx.zeros(n, 0, 3, 3)).shape == (n, 0, 3, 3)
    assert none.num_batches_tracked.item() == 2
    with pytest.raises(ValueError, match="a momentum is needed"):
        F.batch_norm(x, cnnx.zeros(3), cnnx.ones(3), training=True, momentum=None)


def test_running_statistics_with_strides() -> None:
    x = cnnx.randn(9, 3, 4)
    mean, var = cnnx.zeros(3), cnnx.ones(3)
    means, variances = cnnx.zeros(6), cnnx.ones(3, 2)
    F.batch_norm(x, mean, var, training=True, momentum=0.3)
    F.batch_norm(x, means[::2], variances[:, 1], training=True, momentum=0.3)
    assert means.tolist() == cnnx.stack([mean, cnnx.zeros(3)], 1).flatten().tolist()
    assert variances.tolist() == cnnx.stack([cnnx.ones(3), var], 1).tolist()


def test_a_change_of_the_running_statistics_leaves_an_evaluation_gradient_alone() -> None:
    layer = nn.BatchNorm2d(2).eval()
    x = cnnx.randn(9, 2, 3, 3, requires_grad=True)
    out = layer(x)
    layer.running_var.fill_(100)
    out.sum().backward()
    np.testing.assert_allclose(array(x.grad), 1 / np.sqrt(1 + 1e-5), rtol=1e-6)


def relative_error(result: cnnx.Tensor, expected: cnnx.Tensor) -> float:
    difference = (result.double() - expected).abs().max().item()
    return float(difference / expected.abs().max().item())


@pytest.mark.parametrize("offset", [0, 10, 1000])
@pytest.mark.parametrize("shape", [(67, 3, 26, 26), (3, 5, 31, 9), (300, 21)])
def test_error_is_bounded(shape, offset) -> None:
    """A float32 result has the error of its rounded input, mean and deviation, and of nothing else."""
    cnnx.manual_seed(0)
    x = (cnnx.randn(*shape) + offset).requires_grad_()
    weight = cnnx.randn(shape[1], requires_grad=True)
    y = F.batch_norm(x, None, None, weight, training=True)
    grad = cnnx.randn(*shape)
    y.backward(grad)
    x64, weight64 = (t.detach().double().requires_grad_() for t in (x, weight))
    y64 = F.batch_norm(x64, None, None, weight64, training=True)
    y64.backward(grad.double())
    errors = (
        relative_error(y.detach(), y64.detach()),
        relative_error(x.grad, x64.grad),
        relative_error(weight.grad, weight64.grad),
    )
    print(f"{shape} + {offset}: " + ", ".join(f"{error:.1e}" for error in errors))
    assert max(errors) < 1e-6 + 1e-7 * offset


def test_the_variance_survives_a_mean_far_from_zero() -> None:
    rng = np.random.default_rng(0)
    for shape in ((67, 2, 26, 26), (2, 2, 40, 9), (500, 2)):
        x = (rng.normal(size=shape) + 3000).astype(np.float32)
        var = cnnx.ones(2)
        F.batch_norm(tensor(x), cnnx.zeros(2), var, training=True, momentum=1.0)
        axes = (0, *range(2, len(shape)))
        np.testing.assert_allclose(array(var), x.astype(np.float64).var(axes, ddof=1), rtol=1e-4)


@pytest.mark.skipif(_C.lane_count() == 1, reason="this target has no lanes")
def test_stays_in_lanes_and_ignores_dead_images() -> None:
    z = F.max_pool2d(cnnx.rand(_C.lane_count() + 1, 3, 5, 4) + 1, 1).log()  # minus infinity in dead lanes
    x = z + z * 0  # NaN there
    assert x._in_lanes
    y = F.batch_norm(x, None, None, training=True)
    assert y._in_lanes
    again = F.batch_norm(cnnx.tensor(x.numpy()), None, None, training=True)
    assert cnnx.equal(y, again)
    np.testing.assert_allclose(array(y).mean((0, 2, 3)), 0, atol=1e-6)
    np.testing.assert_allclose(array(y).std((0, 2, 3)), 1, rtol=1e-3)


def test_bad_input() -> None:
    x = cnnx.zeros(4, 3, 5, 5)
    stats = cnnx.zeros(3), cnnx.ones(3)
    with pytest.raises(ValueError, match=r"expected 4D input \(got 3D input\)"):
        nn.BatchNorm2d(3)(x[0])
    with pytest.raises(ValueError, match=r"expected 2D or 3D input \(got 4D input\)"):
        nn.BatchNorm1d(3)(x)
    with pytest.raises(ValueError, match=r"batch_norm: .*more than 1 value per channel.*\(1, 3\)"):
        nn.BatchNorm1d(3)(cnnx.zeros(1, 3))
    for eps in (0.0, -1.0, float("nan")):
        for training in (True, False):
            with pytest.raises(ValueError, match="batch_norm: eps must be positive"):
                nn.BatchNorm2d(3, eps=eps).train(training)(x)
    assert tuple(nn.BatchNorm1d(3).eval()(cnnx.zeros(1, 3)).shape) == (1, 3)
    assert tuple(nn.BatchNorm1d(3).eval()(cnnx.zeros(0, 3)).shape) == (0, 3)
    with pytest.raises(RuntimeError, match=r"batch_norm: running_mean must have shape \(3,\).*\(4,\)"):
        F.batch_norm(x, cnnx.zeros(4), cnnx.zeros(4))
    with pytest.raises(RuntimeError, match=r"batch_norm: weight must have shape \(3,\).*\(3, 1\)"):
        F.batch_norm(x, *stats, weight=cnnx.zeros(3, 1))
    with pytest.raises(RuntimeError, match="batch_norm: running_mean and running_var must be given"):
        F.batch_norm(x, None, None)
    with pytest.raises(RuntimeError, match="batch_norm: running_mean and running_var must be given"):
        F.batch_norm(x, stats[0], None)
    with pytest.raises(TypeError, match="batch_norm: input is float32, running_mean float64"):
        F.batch_norm(x, cnnx.zeros(3, dtype=cnnx.float64), stats[1])
    with pytest.raises(TypeError, match=r"batch_norm: .*int64"):
        F.batch_norm(x.long(), *stats)
    with pytest.raises(RuntimeError, match=r"batch_norm: input must be \(N, C, ...\), got \(3,\)"):
        F.batch_norm(cnnx.zeros(3), *stats)
    with pytest.raises(TypeError):
        F.batch_norm(None, *stats)
