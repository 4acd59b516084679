"""Reductions and softmax against NumPy, PyTorch and finite differences."""

from __future__ import annotations

import numpy as np
import pytest

import cnnx
from cnnx import _C
from drawn import given, st
from oracles import (
    array,
    assert_gradient_matches_differences,
    assert_gradients_match_torch,
    assert_same,
    tensor,
)

SHAPES = [(4, 5, 6), (16, 3, 5, 5), (33, 7), (1000,), (3, 1, 4), ()]
DIMS = [None, 0, -1, (0, 2), (1, 2), (2, 3), (0, 2, 3)]
F32, F64 = np.float32, np.float64


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def cases(shape):
    for dims in DIMS:
        wanted = (dims,) if isinstance(dims, int) else dims or ()
        if all(d < max(1, len(shape)) for d in wanted):
            for keepdim in (False, True):
                yield dims, keepdim


def torch_reduction(name, torch):
    def run(x, dims, keepdim):
        every = tuple(range(x.ndim))
        if name == "norm":
            return torch.linalg.vector_norm(x, 2, dims, keepdim)
        if name == "logsumexp":
            return torch.logsumexp(x, every if dims is None else dims, keepdim)
        if name in {"amax", "amin"}:
            return getattr(torch, name)(x, () if dims is None else dims, keepdim)
        if name in {"var", "std"}:
            return getattr(torch, name)(x, dims, correction=1, keepdim=keepdim)
        if name == "prod":
            for d in sorted(
                (d % x.ndim for d in (every if dims is None else np.atleast_1d(dims))), reverse=True
            ):
                x = x.prod(int(d), keepdim)
            return x
        return getattr(torch, name)(x, dims, keepdim)

    return run


@pytest.mark.parametrize("dtype", [F32, F64])
@pytest.mark.parametrize("name", ["sum", "mean", "prod", "amax", "amin", "var", "std", "logsumexp", "norm"])
def test_reductions_match_torch(name, dtype, rng):
    torch = pytest.importorskip("torch")
    oracle = torch_reduction(name, torch)
    for shape in SHAPES:
        if name in {"var", "std", "prod"} and shape in {(), (3, 1, 4), (1000,)}:
            continue  # no degrees of freedom, or products that vanish
        x = rng.normal(size=shape)
        x = np.array(1 + 0.1 * x if name == "prod" else x).astype(dtype)
        for dims, keepdim in cases(shape):
            assert_gradients_match_torch(
                lambda t, d=dims, k=keepdim: getattr(_C, name)(t, dim=d, keepdim=k),
                lambda t, d=dims, k=keepdim: oracle(t, d, k),
                [x],
                1e-4 if dtype == F32 else 1e-10,
                f"{name} {shape} {dims} {keepdim}",
            )


@pytest.mark.parametrize("name", ["sum", "mean", "amax", "var", "std", "logsumexp", "norm", "prod"])
def test_gradients_by_differences(name, rng):
    x = rng.normal(size=(3, 4))
    for dims in (None, 0, 1):
        assert_gradient_matches_differences(lambda t, d=dims: getattr(_C, name)(t, dim=d), x)


@pytest.mark.parametrize("zeros", [0, 1, 2])
def test_product_gradient_with_zeros(zeros, rng):
    x = rng.normal(size=(3, 4))
    x.ravel()[[1, 2][:zeros]] = 0
    assert_gradient_matches_differences(lambda t: _C.prod(t, dim=1), x)
    assert_gradient_matches_differences(_C.prod, x)


def test_norms(rng):
    torch = pytest.importorskip("torch")
    x = rng.normal(size=(4, 6))
    for p in (0, 1, 1.5, 2, 3, np.inf, -np.inf):
        for dims in (None, 0):
            assert_same(
                _C.norm(tensor(x), p, dims), torch.linalg.vector_norm(torch.tensor(x), p, dims), 1e-10
            )
    zero = tensor(np.zeros(3), True)
    _C.backward(_C.norm(zero), None, False)
    assert_same(zero.grad, np.zeros(3))


@pytest.mark.parametrize("correction", [0, 1, 2, 100])
def test_variance_correction(correction, rng):
    torch = pytest.importorskip("torch")
    x = rng.normal(size=(4, 6)) + 1000
    for name in ("var", "std"):
        with pytest.warns(UserWarning, match="degrees of freedom") if correction > 6 else np.errstate():
            expected = getattr(torch, name)(torch.tensor(x), 1, correction=correction)
        assert_same(getattr(_C, name)(tensor(x), 1, correction), expected, 1e-9)


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8, np.bool_])
def test_integers(dtype, rng):
    torch = pytest.importorskip("torch")
    x = rng.integers(0, 2 if dtype == np.bool_ else 100, (3, 4, 5)).astype(dtype)
    t, other = tensor(x), torch.tensor(x)
    for dims in (None, 0, (0, 2)):
        assert_same(_C.sum(t, dims), torch.sum(other, dims))
        assert_same(_C.amax(t, dims), torch.amax(other, () if dims is None else dims))
        assert_same(_C.amin(t, dims), torch.amin(other, () if dims is None else dims))
    assert_same(_C.prod(t, 2), torch.prod(other, 2))
    assert_same(_C.cumsum(t, 1), torch.cumsum(other, 1))
    assert_same(_C.argmax(t, 1), torch.tensor(x.argmax(1)))
    assert_same(_C.sum(t, 1, dtype=_C.DType.float64), x.sum(1, dtype=F64))
    with pytest.raises(TypeError, match="mean: needs a floating-point tensor"):
        _C.mean(t)
    assert_same(_C.mean(t, dtype=_C.DType.float32), np.array(x.mean(), F32), 1e-6)


@pytest.mark.parametrize("dtype", [F32, F64, np.int64])
def test_extremes_with_indices(dtype, rng):
    torch = pytest.importorskip("torch")
    for shape in [(3, 4), (16, 3, 5), (5,), (), (2, 3, 40), (4, 100)]:
        x = np.array(rng.permutation(int(np.prod(shape))).reshape(shape)).astype(dtype)
        for dim in range(-1, len(shape)):
            for keepdim in (False, True):
                for name in ("max", "min"):
                    values, indices = getattr(_C, name + "_dim")(tensor(x), dim, keepdim)
                    expected = getattr(torch, name)(torch.tensor(x), dim, keepdim)
                    assert_same(values, expected.values)
                    assert_same(indices, expected.indices)
                    position = getattr(_C, "arg" + name)(tensor(x), dim, keepdim)
                    assert_same(position, expected.indices)
        assert_same(_C.argmax(tensor(x)), torch.argmax(torch.tensor(x)))
        assert_same(_C.argmin(tensor(x)), torch.argmin(torch.tensor(x)))
        if dtype != np.int64 and shape:
            assert_gradients_match_torch(lambda t: _C.max_dim(t, 0)[0], lambda t: t.max(0).values, [x])


def test_ties_take_the_first_and_nan_wins():
    x = np.array([[1, 3, 3, 2], [np.nan, 1, np.nan, 5], [2, 2, 2, 2]], F32)
    for dtype in (F32, F64):
        t = tensor(x.astype(dtype))
        assert_same(_C.argmax(t, 1), np.array([1, 0, 0]))
        assert_same(_C.argmin(t, 1), np.array([0, 0, 0]))
        assert_same(_C.amax(t, 1), np.array([3, np.nan, 2], dtype))
        assert_same(_C.amin(t, 1), np.array([1, np.nan, 2], dtype))
        assert_same(_C.max(t), np.array(np.nan, dtype))
        assert_same(_C.max_dim(t, 0)[1], np.array([1, 0, 1, 1]))


def test_ties_share_the_gradient_of_amax():
    torch = pytest.importorskip("torch")
    x = np.array([[1.0, 3, 3, 2], [2, 2, 2, 2]])
    assert_gradients_match_torch(lambda t: _C.amax(t, 1), lambda t: torch.amax(t, 1), [x])
    assert_gradients_match_torch(_C.max, torch.max, [x])
    assert_gradients_match_torch(lambda t: _C.max_dim(t, 1)[0], lambda t: torch.max(t, 1).values, [x])


def test_any_all_count(rng):
    x = rng.integers(0, 2, (3, 4, 5))
    for dtype in (np.int64, np.bool_, F32):
        t = tensor(x.astype(dtype))
        for dims in (None, 0, (1, 2)):
            assert_same(_C.any(t, dims), np.asarray(x.astype(bool).any(dims)))
            assert_same(_C.all(t, dims), np.asarray(x.astype(bool).all(dims)))
            assert_same(_C.count_nonzero(t, dims), np.asarray(np.count_nonzero(x, dims)))
    nothing = tensor(np.zeros((0, 3), bool))
    assert_same(_C.any(nothing, 0), np.zeros(3, bool))
    assert_same(_C.all(nothing, 0), np.ones(3, bool))


def test_cumsum(rng):
    torch = pytest.importorskip("torch")
    x = rng.normal(size=(3, 4, 5))
    for dim in (0, 1, -1):
        assert_gradients_match_torch(
            lambda t, d=dim: _C.cumsum(t, d), lambda t, d=dim: torch.cumsum(t, d), [x]
        )


def test_empty():
    x = tensor(np.zeros((0, 3), F32))
    assert_same(_C.sum(x), np.array(0, F32))
    assert_same(_C.sum(x, 0), np.zeros(3, F32))
    assert_same(_C.prod(x, 0), np.ones(3, F32))
    assert np.isnan(array(_C.mean(x)))
    assert_same(_C.amax(x, 1), np.zeros(0, F32))
    assert_same(_C.softmax(x, 1), np.zeros((0, 3), F32))
    for call in (lambda: _C.amax(x), lambda: _C.amin(x, 0), lambda: _C.argmax(x), lambda: _C.max_dim(x, 0)):
        with pytest.raises(
            RuntimeError, match=r"(amax|amin|argmax|max): cannot take the extreme of no elements"
        ):
            call()


def test_bad_dims():
    x = tensor(np.zeros((2, 3), F32))
    with pytest.raises(IndexError, match="sum: dim 2 is out of range for 2 dimensions"):
        _C.sum(x, 2)
    with pytest.raises(IndexError, match="softmax: dim -3 is out of range"):
        _C.softmax(x, -3)
    with pytest.raises(ValueError, match="mean: dim 1 appears twice"):
        _C.mean(x, (-1, 1))
    with pytest.raises(TypeError):
        _C.sum(x, "rows")
    with pytest.raises(TypeError, match="softmax: needs float32 or float64, got int64"):
        _C.softmax(tensor(np.arange(3)), 0)


@pytest.mark.parametrize("count", [1, 5, 16, 17, 63, 8192, 8193, 100_003])
def test_long_sums_are_accurate_and_the_same_for_every_thread_count(count, rng):
    x = (rng.random(count) + 0.1).astype(F32)
    columns = np.ascontiguousarray(np.stack([x, -x, x * 2], 1))
    results = []
    threads = cnnx.get_num_threads()
    try:
        for number in (1, 2, 3):
            cnnx.set_num_threads(number)
            results.append(
                [
                    array(_C.sum(tensor(x))),
                    array(_C.sum(tensor(columns), 0)),
                    array(_C.log_softmax(tensor(x), 0)),
                ]
            )
    finally:
        cnnx.set_num_threads(threads)
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)
    np.testing.assert_allclose(results[0][0], x.sum(dtype=F64), rtol=1e-6)
    np.testing.assert_allclose(results[0][1], columns.sum(0, dtype=F64), rtol=1e-5)


SOFTMAX_SHAPES = [
    ((64, 10), 1),
    ((5, 7, 3), 1),
    ((4, 100), 1),
    ((20, 5, 4, 4), 1),
    ((3,), 0),
    ((3, 4), 0),
    ((2, 3, 40), 2),
    ((17, 64), 1),
    ((3, 65), 1),
    ((2, 300, 2), 1),
    ((), 0),
]


@pytest.mark.parametrize("dtype", [F32, F64])
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_matches_torch(name, dtype, rng):
    torch = pytest.importorskip("torch")
    for shape, dim in SOFTMAX_SHAPES:
        x = np.array(rng.normal(size=shape) * 5).astype(dtype)
        assert_gradients_match_torch(
            lambda t, d=dim: getattr(_C, name)(t, d),
            lambda t, d=dim: getattr(torch, name)(t, d),
            [x],
            what=f"{name} {shape}",
        )


@pytest.mark.parametrize("dtype", [F32, F64])
@pytest.mark.parametrize("width", [3, 100])
def test_softmax_of_extreme_rows(width, dtype):
    torch = pytest.importorskip("torch")
    rows = np.zeros((7, width), dtype)
    rows[0] = -np.inf
    rows[1, 1] = np.inf
    rows[2, 1] = np.nan
    rows[3, :] = 1e30
    rows[4, 1] = -np.inf
    rows[5, 1] = 1000
    rows[6] = np.linspace(-200, 200, width)
    for name in ("softmax", "log_softmax"):
        assert_same(
            getattr(_C, name)(tensor(rows), 1), getattr(torch, name)(torch.tensor(rows), 1), what=name
        )
    assert_same(_C.logsumexp(tensor(rows), 1), torch.logsumexp(torch.tensor(rows), 1))
    assert_same(_C.logsumexp(tensor(rows.T.copy()), 0), torch.logsumexp(torch.tensor(rows), 1))


@given(
    outer=st.integers(1, 40),
    reduce=st.integers(1, 90),
    inner=st.integers(1, 20),
    seed=st.integers(0, 1000),
    double=st.booleans(),
)
def test_rows_of_any_extent(outer, reduce, inner, seed, double):
    x = np.random.default_rng(seed).normal(size=(outer, reduce, inner)).astype(F64 if double else F32)
    t = tensor(x)
    wide = x.astype(F64)
    tolerance = 1e-11 if double else 2e-5
    for name, oracle in (("sum", np.sum), ("mean", np.mean), ("amax", np.max), ("amin", np.min)):
        np.testing.assert_allclose(
            array(getattr(_C, name)(t, 1)), oracle(wide, 1), rtol=tolerance, atol=tolerance * 10
        )
    np.testing.assert_array_equal(array(_C.argmax(t, 1)), x.argmax(1))
    e = np.exp(wide - wide.max(1, keepdims=True))
    np.testing.assert_allclose(
        array(_C.softmax(t, 1)), e / e.sum(1, keepdims=True), rtol=tolerance, atol=tolerance
    )


@pytest.mark.skipif(_C.lane_count() == 1, reason="this target keeps nothing in lanes")
class TestLanes:
    """Reductions of tensors in lanes, whose dead lanes hold NaN."""

    @pytest.mark.parametrize("name", ["sum", "mean", "amax", "amin", "var", "prod", "logsumexp", "norm"])
    @pytest.mark.parametrize("dims", [None, 0, 1, (2, 3), (0, 2, 3), (0, 1), 3])
    def test_reductions(self, name, dims, rng):
        x = (1 + 0.1 * rng.normal(size=(21, 3, 4, 5))).astype(F32)
        packed, plain = _C._to_lanes(tensor(x)), tensor(x, True)
        packed.requires_grad = True
        result, expected = getattr(_C, name)(packed, dim=dims), getattr(_C, name)(plain, dim=dims)
        assert_same(result, array(expected), 2e-4)
        _C.backward(_C.sum(_C.square(result)), None, False)
        _C.backward(_C.sum(_C.square(expected)), None, False)
        assert_same(packed.grad, array(plain.grad), 2e-4)

    @pytest.mark.parametrize("name", ["softmax", "log_softmax"])
    @pytest.mark.parametrize("dim", [0, 1, 2, -1])
    def test_softmax(self, name, dim, rng):
        x = rng.normal(size=(21, 7, 3, 2)).astype(F32)
        packed, plain = _C._to_lanes(tensor(x)), tensor(x, True)
        packed.requires_grad = True
        result, expected = getattr(_C, name)(packed, dim), getattr(_C, name)(plain, dim)
        assert result._in_lanes == (dim == 1)
        upstream = rng.normal(size=x.shape).astype(F32)
        _C.backward(result, tensor(upstream), False)
        _C.backward(expected, tensor(upstream), False)
        assert_same(result, array(expected))
        assert_same(packed.grad, array(plain.grad))
