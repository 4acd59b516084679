"""Sorting and picking by rank, beside NumPy's stable order: ties, both zeros, NaN, ends of the integers."""

import numpy as np
import pytest

import cnnx

EXTREMES = {
    "int64": [-(2**63), 2**63 - 1, -1, 0, 1],
    "int32": [-(2**31), 2**31 - 1, -1, 0, 1],
    "uint8": [0, 255, 128, 127],
    "bool": [False, True],
    "float32": [-np.inf, np.inf, -0.0, 0.0, np.nan, -np.nan, 1e-45, -1e-45, 3.4e38],
    "float64": [-np.inf, np.inf, -0.0, 0.0, np.nan, -np.nan, 5e-324, -5e-324, 1e308],
}
ROWS = ((1, 1), (3, 7), (2, 129), (3, 255), (2, 1000), (1, 5000), (2, 20000))


def draw(dtype, shape, seed):
    """Few distinct values, so that there are ties, or many; extremes among them."""
    rng = np.random.default_rng(seed)
    few = rng.integers(0, 3 if dtype != "bool" else 2, shape)
    x = few if seed % 2 or dtype == "bool" else rng.integers(-100000, 100000, shape) % 251
    x = (x * 0.37 if dtype.startswith("float") else x).astype(dtype)
    places = rng.integers(0, x.size, max(1, x.size // 50))
    x.flat[places] = rng.choice(np.array(EXTREMES[dtype], dtype), len(places))
    return x


def stable_order(x, descending):
    """Along the last dimension; NaN is the largest."""
    ranks = np.unique(x, return_inverse=True, equal_nan=True)[1].reshape(x.shape)
    return np.argsort(-ranks if descending else ranks, -1, kind="stable")


@pytest.mark.parametrize("dtype", EXTREMES)
@pytest.mark.parametrize("shape", ROWS)
def test_ranks(dtype, shape):
    for seed in (0, 1):
        x = draw(dtype, shape, seed)
        t, n = cnnx.tensor(x), shape[1]
        for descending in (False, True):
            order = stable_order(x, descending)
            values, indices = t.sort(-1, descending)
            np.testing.assert_array_equal(indices.cpu().numpy(), order)
            np.testing.assert_array_equal(values.cpu().numpy(), np.take_along_axis(x, order, -1))
            for k in {0, 1, min(n, 5), min(n, 17), n // 3, n // 2, n}:
                top = t.topk(k, largest=descending)
                np.testing.assert_array_equal(top.indices.cpu().numpy(), order[:, :k], err_msg=f"top {k}")
        order = stable_order(x, False)
        for k in {1, (n + 1) // 2, n}:
            np.testing.assert_array_equal(t.kthvalue(k).indices.cpu().numpy(), order[:, k - 1])
        nan = np.isnan(x) if x.dtype.kind == "f" else np.zeros(shape, bool)
        middle = np.where(nan.any(-1), nan.argmax(-1), order[:, (n - 1) // 2])
        np.testing.assert_array_equal(t.median(-1).indices.cpu().numpy(), middle)


def test_a_few_ranks_of_rows_that_mislead_a_sample():
    n = 1 << 15
    bump = np.zeros(n, np.float32)
    bump[::32] = np.arange(n // 32)  # what a sample that takes every 32nd element would see alone
    for x in (np.arange(n, dtype=np.float32), np.arange(n, dtype=np.float32)[::-1].copy(), bump, -bump):
        for k in (1, 20, 700, n // 2):
            want = np.argsort(-x, kind="stable")[:k]
            np.testing.assert_array_equal(cnnx.tensor(x).topk(k).indices.cpu().numpy(), want)
