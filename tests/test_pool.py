"""Pooling beside PyTorch, over shapes and options that hypothesis draws."""

from __future__ import annotations

import numpy as np
import pytest

import cnnx.nn.functional as F
from drawn import assume, given, st
from oracles import array, assert_gradients_match_torch, tensor

torch = pytest.importorskip("torch")

batches = st.sampled_from([1, 2, 3, 7, 8, 9, 15, 16, 17, 33])
dtypes = st.sampled_from([np.float32, np.float64])
TOLERANCE = {np.float32: 2e-4, np.float64: 1e-11}


@st.composite
def pools(draw, dilated: bool):
    kernel = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    stride = draw(st.one_of(st.none(), st.tuples(st.integers(1, 4), st.integers(1, 4))))
    padding = (draw(st.integers(0, kernel[0] // 2)), draw(st.integers(0, kernel[1] // 2)))
    dilation = (draw(st.integers(1, 3)), draw(st.integers(1, 3))) if dilated else (1, 1)
    size = (draw(st.integers(1, 14)), draw(st.integers(1, 14)))
    assume(
        all(n + 2 * p >= d * (k - 1) + 1 for n, p, d, k in zip(size, padding, dilation, kernel, strict=True))
    )
    options = {"stride": stride, "padding": padding, "ceil_mode": draw(st.booleans())}
    return size, (kernel,), {**options, "dilation": dilation} if dilated else options


@given(pools(dilated=True), batches, st.integers(1, 5), dtypes, st.booleans(), st.integers(0, 1000))
def test_max_pool2d(case, batch: int, channels: int, dtype, ties: bool, seed: int) -> None:
    size, arguments, options = case
    x = np.random.default_rng(seed).normal(size=(batch, channels, *size)).astype(dtype)
    x = np.round(x) if ties else x
    ours, theirs = tensor(x, True), torch.tensor(x)
    y, index = F.max_pool2d(ours, *arguments, **options, return_indices=True)
    expected = torch.nn.functional.max_pool2d(theirs, *arguments, **options, return_indices=True)
    np.testing.assert_array_equal(array(y), expected[0].numpy())
    inside = np.isfinite(expected[0].numpy())
    np.testing.assert_array_equal(index.numpy()[inside], expected[1].numpy()[inside])
    if not inside.all():  # a window in the padding alone: PyTorch's index points outside of the input
        y.sum().backward()
        assert ours.grad.sum().item() == inside.sum()
        return
    assert_gradients_match_torch(
        lambda t: F.max_pool2d(t, *arguments, **options),
        lambda t: torch.nn.functional.max_pool2d(t, *arguments, **options),
        [x],
        TOLERANCE[dtype],
        f"max_pool2d {case} batch {batch}",
    )


@given(
    pools(dilated=False),
    batches,
    st.integers(1, 5),
    dtypes,
    st.booleans(),
    st.one_of(st.none(), st.integers(1, 9)),
    st.integers(0, 1000),
)
def test_avg_pool2d(
    case, batch: int, channels: int, dtype, include: bool, divisor: int | None, seed: int
) -> None:
    size, arguments, options = case
    options = {**options, "count_include_pad": include, "divisor_override": divisor}
    assert_gradients_match_torch(
        lambda t: F.avg_pool2d(t, *arguments, **options),
        lambda t: torch.nn.functional.avg_pool2d(t, *arguments, **options),
        [np.random.default_rng(seed).normal(size=(batch, channels, *size)).astype(dtype)],
        TOLERANCE[dtype],
        f"avg_pool2d {case} batch {batch}",
    )


# Without indices: windows of 2 x 2 in plain images have a loop of their own.
@given(
    st.tuples(st.integers(2, 40), st.integers(2, 70)),
    st.sampled_from([1, 2, 3, 9]),
    st.integers(1, 3),
    st.sampled_from(["normal", "ties", "special"]),
    st.integers(0, 1000),
)
def test_max_pool2d_in_inference(size, batch: int, channels: int, kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(batch, channels, *size)).astype(np.float32)
    if kind == "ties":
        x = np.round(x)
    elif kind == "special":
        x = rng.choice(np.array([-np.inf, -1, -0.0, 0.0, 1, np.inf, np.nan], np.float32), x.shape)
    expected = torch.nn.functional.max_pool2d(torch.from_numpy(x), 2).numpy()
    result = array(F.max_pool2d(tensor(x), 2))
    np.testing.assert_array_equal(result, expected)
    if kind != "special":  # which of two zeros it is
        np.testing.assert_array_equal(np.signbit(result), np.signbit(expected))
