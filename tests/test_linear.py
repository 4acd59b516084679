"""Dense layers and products of matrices beside PyTorch, over shapes that hypothesis draws."""

from __future__ import annotations

import numpy as np
import pytest

import cnnx.nn.functional as F
from drawn import given, st
from oracles import assert_gradients_match_torch

torch = pytest.importorskip("torch")

dtypes = st.sampled_from([np.float32, np.float64])
TOLERANCE = {np.float32: 1e-4, np.float64: 1e-11}
extents, seeds = st.integers(1, 40), st.integers(0, 1000)


def operands(seed: int, dtype, *shapes) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape).astype(dtype) for shape in shapes]


@given(extents, extents, extents, dtypes, st.booleans(), seeds)
def test_linear(batch: int, inputs: int, outputs: int, dtype, with_bias: bool, seed: int) -> None:
    arrays = operands(seed, dtype, (batch, inputs), (outputs, inputs), (outputs,))
    assert_gradients_match_torch(
        F.linear, torch.nn.functional.linear, arrays if with_bias else arrays[:2], TOLERANCE[dtype]
    )


batches = st.lists(st.integers(1, 3), max_size=2)
small = st.integers(1, 9)


@given(batches, batches, small, small, small, dtypes, st.booleans(), seeds)
def test_matmul(left, right, m: int, k: int, n: int, dtype, turned: bool, seed: int) -> None:
    # Batch dimensions that broadcast: equal from the right, or 1.
    for i in range(1, min(len(left), len(right)) + 1):
        if left[-i] != right[-i] and left[-i] != 1:
            right[-i] = left[-i] if right[-i] != 1 else 1

    def product(a, b):
        return a @ (b.transpose(-1, -2) if turned else b)

    shapes = (*left, m, k), (*right, n, k) if turned else (*right, k, n)
    assert_gradients_match_torch(product, product, operands(seed, dtype, *shapes), TOLERANCE[dtype])
