"""Layer and group normalisation against PyTorch and finite differences; layouts; accuracy."""

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

DTYPES = [(np.float32, 2e-4), (np.float64, 1e-10)]

# input, number of dimensions to normalise over
LAYER_CASES = [((5,), 1), ((3, 7), 1), ((3, 7), 2), ((4, 3, 37), 1), ((4, 3, 5, 2), 2), ((2, 128), 1)]
LAYER_CASES += [((17, 3, 4, 5), 3), ((33, 2, 3, 19), 1), ((17, 3, 4, 5), 4), ((40, 1, 16), 2)]

# input, groups
GROUP_CASES = [((3, 6), 2), ((2, 4, 7), 4), ((2, 4, 7), 1), ((3, 6, 5, 4), 3), ((1, 6, 3, 3), 2)]
GROUP_CASES += [((17, 6, 5, 4), 3), ((33, 4, 3), 2), ((16, 5, 6, 7), 5), ((37, 4, 12, 11), 1)]


@pytest.mark.parametrize(("dtype", "tolerance"), DTYPES)
@pytest.mark.parametrize(("shape", "dims"), LAYER_CASES)
@pytest.mark.parametrize("lanes", [False, True])
def test_layer_norm_matches_torch(shape, dims, lanes, dtype, tolerance) -> None:
    torch = pytest.importorskip("torch")
    if lanes and (len(shape) < 3 or 2 * shape[0] < _C.lane_count() or dtype == np.float64):
        pytest.skip("has no lanes")
    rng = np.random.default_rng(0)
    normalized = shape[len(shape) - dims :]
    x = (rng.normal(size=shape) * 2 + 1).astype(dtype)
    w, b = (rng.normal(size=normalized).astype(dtype) for _ in range(2))

    def ours(x, *p):
        x = to_lanes(x) if lanes else x
        return F.layer_norm(x, normalized, *p, eps=1e-3)

    for arrays in ([x, w, b], [x]):
        assert_gradients_match_torch(
            ours,
            lambda x, *p: torch.nn.functional.layer_norm(x, normalized, *p, eps=1e-3),
            arrays,
            tolerance,
            f"layer_norm {shape} over {dims}",
        )


def to_lanes(x: cnnx.Tensor) -> cnnx.Tensor:
    """The tensor itself, by way of an op that leaves its result in lanes."""
    images = x if x.ndim == 4 else x.unsqueeze(2)
    result = F.avg_pool2d(images, 1)
    assert result._in_lanes or _C.lane_count() == 1
    return result if x.ndim == 4 else result.reshape(x.shape)


@pytest.mark.parametrize(("dtype", "tolerance"), DTYPES)
@pytest.mark.parametrize(("shape", "groups"), GROUP_CASES)
def test_group_norm_matches_torch(shape, groups, dtype, tolerance) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    x = (rng.normal(size=shape) * 2 + 1).astype(dtype)
    w, b = (rng.normal(size=shape[1]).astype(dtype) for _ in range(2))
    for arrays in ([x, w, b], [x]):
        assert_gradients_match_torch(
            lambda x, *p: F.group_norm(x, groups, *p, eps=1e-3),
            lambda x, *p: torch.nn.functional.group_norm(x, groups, *p, eps=1e-3),
            arrays,
            tolerance,
            f"group_norm {shape}, {groups} groups",
        )


def test_gradients_by_differences() -> None:
    rng = np.random.default_rng(0)
    x, w, b = rng.normal(size=(2, 4, 3)), rng.normal(size=4), rng.normal(size=4)
    assert_gradient_matches_differences(lambda t: F.group_norm(t, 2, tensor(w), tensor(b)), x)
    assert_gradient_matches_differences(lambda t: F.group_norm(tensor(x), 2, t, tensor(b)), w)
    assert_gradient_matches_differences(lambda t: F.group_norm(tensor(x), 2, tensor(w), t), b)
    w, b = rng.normal(size=(4, 3)), rng.normal(size=(4, 3))
    assert_gradient_matches_differences(lambda t: F.layer_norm(t, (4, 3), tensor(w), tensor(b)), x)
    assert_gradient_matches_differences(lambda t: F.layer_norm(tensor(x), (4, 3), t, tensor(b)), w)
    assert_gradient_matches_differences(lambda t: F.layer_norm(tensor(x), (4, 3), tensor(w), t), b)


LAYERS = [
    ("LayerNorm", (6,), {}, (5, 3, 6)),
    ("LayerNorm", ([3, 6],), {"bias": False}, (5, 3, 6)),
    ("LayerNorm", (6,), {"elementwise_affine": False, "eps": 0.1}, (2, 6)),
    ("GroupNorm", (2, 6), {}, (17, 6, 3, 4)),
    ("GroupNorm", (3, 6), {"affine": False}, (5, 6, 7)),
    ("GroupNorm", (1, 6), {"bias": False, "eps": 0.01}, (2, 6)),
]


@pytest.mark.parametrize(("name", "arguments", "options", "shape"), LAYERS)
def test_layers_are_torchs(name, arguments, options, shape) -> None:
    torch = pytest.importorskip("torch")
    mine = getattr(nn, name)(*arguments, **options)
    theirs = getattr(torch.nn, name)(*arguments, **options)
    assert repr(mine) == repr(theirs)
    assert list(mine.state_dict()) == list(theirs.state_dict())
    for key, value in mine.state_dict().items():
        assert_same(value, theirs.state_dict()[key])
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    assert_gradients_match_torch(mine, theirs, [x], 2e-5, name)
    for p, q in zip(mine.parameters(), theirs.parameters(), strict=True):
        assert_same(p.grad, q.grad, 1e-4)


@pytest.mark.skipif(_C.lane_count() == 1, reason="this target has no lanes")
def test_lanes_stay_and_dead_images_do_not_count() -> None:
    z = F.max_pool2d(cnnx.rand(_C.lane_count() + 1, 4, 5, 3) + 1, 1).log()  # minus infinity in dead lanes
    x = (z + z * 0).detach()  # NaN there
    assert x._in_lanes
    plain = cnnx.tensor(x.numpy().copy())
    x = (z + z * 0).detach()
    parameters = [cnnx.ones(4, requires_grad=True), cnnx.zeros(4, requires_grad=True)]
    y = F.group_norm(x, 2, *parameters)
    assert y._in_lanes
    y.backward(cnnx.ones_like(y) / 2)
    assert parameters[0].grad.isfinite().all()
    np.testing.assert_allclose(array(parameters[1].grad), plain[:, 0].numel() / 2)
    per_value = [cnnx.ones(4, 5, 3, requires_grad=True), cnnx.zeros(4, 5, 3, requires_grad=True)]
    y = F.layer_norm(x, (4, 5, 3), *per_value)
    assert y._in_lanes
    y.sum().backward()
    np.testing.assert_allclose(array(per_value[1].grad), len(plain))
    assert per_value[0].grad.isfinite().all()
    np.testing.assert_allclose(array(y), array(F.layer_norm(plain, (4, 5, 3))), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("offset", [0, 1000])
def test_error_is_bounded(offset) -> None:
    cnnx.manual_seed(0)
    for shape in ((35, 4, 13, 9), (3, 4, 13, 9)):
        x = cnnx.randn(*shape) + offset
        for function in (lambda t: F.group_norm(t, 2), lambda t: F.layer_norm(t, t.shape[2:])):
            error = (function(x).double() - function(x.double())).abs().max().item()
            print(f"{shape} + {offset}: {error:.1e}")
            assert error < 2e-6 + 4e-7 * offset


def test_bad_input() -> None:
    x = cnnx.zeros(2, 6, 4)
    with pytest.raises(RuntimeError, match=r"layer_norm: input must end .* \(5,\).*\(2, 6, 4\)"):
        F.layer_norm(x, (5,))
    with pytest.raises(RuntimeError, match="layer_norm: normalized_shape must have at least one"):
        F.layer_norm(x, ())
    with pytest.raises(
        RuntimeError, match=r"layer_norm: weight must have shape \(6, 4\) for input .*, got \(4,\)"
    ):
        F.layer_norm(x, (6, 4), cnnx.ones(4))
    with pytest.raises(RuntimeError, match=r"group_norm: num_groups 4 does not divide the 6 channels"):
        F.group_norm(x, 4)
    with pytest.raises(
        RuntimeError, match=r"group_norm: bias must have shape \(6,\) for input .*, got \(4,\)"
    ):
        F.group_norm(x, 2, None, cnnx.ones(4))
    with pytest.raises(RuntimeError, match=r"group_norm: input must be \(N, C, ...\), got \(4,\)"):
        F.group_norm(cnnx.zeros(4), 2)
    with pytest.raises(ValueError, match="more than 1 value"):
        F.group_norm(cnnx.zeros(1, 1, 1), 1)
    with pytest.raises(ValueError, match="divisible"):
        nn.GroupNorm(4, 6)
    for function in (lambda t: F.layer_norm(t, (4,)), lambda t: F.group_norm(t, 2)):
        with pytest.raises(TypeError, match=r"norm: .*int64"):
            function(x.long())
    with pytest.raises(TypeError, match="weight float64"):
        F.layer_norm(x, (4,), cnnx.ones(4, dtype=cnnx.float64))
