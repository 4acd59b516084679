"""Unfold and fold: beside PyTorch and finite differences; bad input."""

from __future__ import annotations

import numpy as np
import pytest

import cnnx
import cnnx.nn.functional as F
from cnnx import nn
from drawn import assume, given, st
from oracles import (
    array,
    assert_gradient_matches_differences,
    assert_gradients_match_torch,
    tensor,
)


def random_array(seed: int, shape: tuple[int, ...], dtype=np.float64) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


@st.composite
def windows(draw):
    def two(low: int, high: int) -> tuple[int, int]:
        return (draw(st.integers(low, high)), draw(st.integers(low, high)))

    kernel, dilation, padding, stride, size = two(1, 4), two(1, 3), two(0, 3), two(1, 3), two(1, 9)
    room = [n + 2 * p - d * (k - 1) - 1 for n, p, d, k in zip(size, padding, dilation, kernel, strict=True)]
    assume(min(room) >= 0)
    count = (room[0] // stride[0] + 1) * (room[1] // stride[1] + 1)
    batch = draw(st.sampled_from([(), (0,), (1,), (3,), (17,)]))
    channels = draw(st.integers(1, 3))
    options = {"kernel_size": kernel, "dilation": dilation, "padding": padding, "stride": stride}
    return (*batch, channels, *size), (*batch, channels * kernel[0] * kernel[1], count), options


@given(windows(), st.sampled_from([np.float32, np.float64]), st.integers(0, 1000))
def test_unfold_and_fold(case, dtype, seed: int) -> None:
    torch = pytest.importorskip("torch")
    images, columns, options = case
    if images[0] > 0:
        assert_gradients_match_torch(
            lambda t: F.unfold(t, **options),
            lambda t: torch.nn.functional.unfold(t, **options),
            [random_array(seed, images, dtype)],
            what=f"unfold {case}",
        )
        assert_gradients_match_torch(
            lambda t: F.fold(t, images[-2:], **options),
            lambda t: torch.nn.functional.fold(t, images[-2:], **options),
            [random_array(seed, columns, dtype)],
            what=f"fold {case}",
        )
    else:
        assert tuple(F.unfold(cnnx.zeros(images), **options).shape) == columns
        assert tuple(F.fold(cnnx.zeros(columns), images[-2:], **options).shape) == images


@pytest.mark.parametrize("batch", [(), (2,)])
def test_gradients_match_differences(batch) -> None:
    options = {"kernel_size": (2, 3), "dilation": (2, 1), "padding": (1, 0), "stride": (1, 2)}
    x = random_array(0, (*batch, 2, 4, 5))
    assert_gradient_matches_differences(lambda t: F.unfold(t, **options), x)
    columns = random_array(0, tuple(F.unfold(tensor(x), **options).shape))
    assert_gradient_matches_differences(lambda t: F.fold(t, (4, 5), **options), columns)


@pytest.mark.parametrize("batch", [9, 64])
def test_a_convolution_from_windows(batch: int) -> None:
    """The same values and gradients as conv2d, from an input in lanes as well."""
    gradients = []
    for by_hand in (False, True):
        x = tensor(random_array(0, (batch, 2, 8, 8), np.float32), True)
        w = tensor(random_array(1, (3, 2, 3, 3), np.float32), True)
        h = F.max_pool2d(x, 2, 1)
        y = (w.reshape(3, 18) @ F.unfold(h, 3)).reshape(batch, 3, 5, 5) if by_hand else F.conv2d(h, w)
        (y.relu() * y).sum().backward()
        gradients.append((array(y), array(x.grad), array(w.grad)))
    for one, two in zip(*gradients, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-3, atol=1e-3)


def test_layers() -> None:
    torch = pytest.importorskip("torch")
    mine, theirs = nn.Unfold(3, padding=1, stride=2), torch.nn.Unfold(3, padding=1, stride=2)
    assert repr(mine) == repr(theirs)
    assert_gradients_match_torch(mine, theirs, [random_array(0, (2, 3, 6, 7))])
    mine, theirs = nn.Fold((6, 7), (3, 2), 2), torch.nn.Fold((6, 7), (3, 2), 2)
    assert repr(mine) == repr(theirs)
    assert_gradients_match_torch(mine, theirs, [random_array(0, (2, 12, 10))])


BAD = {
    "rank": (lambda: F.unfold(cnnx.zeros(3, 4), 2), RuntimeError, r"unfold: input .*\(3, 4\)"),
    "window": (lambda: F.unfold(cnnx.zeros(1, 3, 4), 5), RuntimeError, r"unfold: kernel \(5, 5\) .*\(3, 4\)"),
    "kernel": (lambda: F.unfold(cnnx.zeros(1, 3, 4), 0), ValueError, "unfold: kernel"),
    "stride": (lambda: F.unfold(cnnx.zeros(1, 3, 4), 2, stride=0), ValueError, "unfold: .*stride"),
    "padding": (lambda: F.unfold(cnnx.zeros(1, 3, 4), 2, padding=-1), ValueError, "unfold: .*padding"),
    "dtype": (lambda: F.unfold(cnnx.zeros(1, 3, 4, dtype=cnnx.int64), 2), TypeError, "unfold"),
    "empty": (lambda: F.unfold(cnnx.zeros(1, 0, 4), 1), RuntimeError, "unfold: "),
    "huge": (lambda: F.unfold(cnnx.zeros(1, 3, 4), 2, padding=2**62), ValueError, "is too large"),
    "fold rank": (lambda: F.fold(cnnx.zeros(4), 3, 2), RuntimeError, "fold: input"),
    "fold rows": (lambda: F.fold(cnnx.zeros(1, 5, 4), 3, 2), RuntimeError, "fold: 5 rows .* 4 taps"),
    "fold windows": (lambda: F.fold(cnnx.zeros(1, 4, 5), 3, 2), RuntimeError, r"fold: .*5 windows.*= 4"),
    "None": (lambda: F.fold(None, 3, 2), TypeError, "fold"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case: str) -> None:
    call, error, text = BAD[case]
    with pytest.raises(error, match=text):
        call()
