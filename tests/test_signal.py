"""Convolution and correlation beside NumPy and SciPy; gradients; integers; bad input."""

from __future__ import annotations

import numpy as np
import pytest

import cnnx
from cnnx import signal
from oracles import array, assert_gradient_matches_differences, assert_same, tensor

SIZES = [(7, 3), (7, 4), (500, 10), (1, 1), (5, 1), (1, 4), (4, 7), (3, 6), (4, 6), (5, 5), (4, 4), (2, 3)]
MODES = ["full", "same", "valid"]
NAMES = ["convolve", "correlate"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_signals_are_numpys(name: str, mode: str, dtype) -> None:
    rng = np.random.default_rng(0)
    for n, m in SIZES:
        a, v = rng.normal(size=n).astype(dtype), rng.normal(size=m).astype(dtype)
        want = getattr(np, name)(a, v, mode)
        for stride in (1, 2, (3,)):
            got = getattr(signal, name)(tensor(a), tensor(v), mode, stride)
            step = stride if isinstance(stride, int) else stride[0]
            assert_same(got, want[::step], what=f"{name} {mode} {n} {m} {stride}")


IMAGES = [
    ((5, 6), (3, 3)), ((5, 6), (2, 4)), ((4, 4), (1, 3)),
    ((3, 4), (5, 6)), ((3, 3), (3, 3)), ((6, 3), (3, 5)),
]  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", NAMES)
def test_images_are_scipys(name: str, mode: str) -> None:
    scipy_signal = pytest.importorskip("scipy.signal")
    rng = np.random.default_rng(0)
    for one, two in IMAGES:
        a, v = rng.normal(size=one), rng.normal(size=two)
        if mode == "valid" and (one, two) == IMAGES[-1]:
            with pytest.raises(ValueError, match="one input within the other"):
                getattr(signal, name)(tensor(a), tensor(v), mode)
            continue
        want = getattr(scipy_signal, name)(a, v, mode, method="direct")
        what = f"{name} {mode} {one} {two}"
        assert_same(getattr(signal, name)(tensor(a), tensor(v), mode), want, what=what)
        strided = getattr(signal, name)(tensor(a), tensor(v), mode, (2, 3))
        assert_same(strided, want[::2, ::3], what=f"{what} with a stride")
        flat = {"convolve": "convolve2d", "correlate": "correlate2d"}[name]
        if mode != "same" or name == "convolve" or all(m % 2 for m in two):
            assert_same(tensor(want), getattr(scipy_signal, flat)(a, v, mode))


def test_same_of_an_even_window_is_not_the_layers() -> None:
    x, box = cnnx.arange(8.0), cnnx.ones(4)
    layer = cnnx.nn.functional.conv1d(x.reshape(1, 1, 8), box.reshape(1, 1, 4), padding="same").reshape(8)
    ours = signal.correlate(x, box, "same")
    np.testing.assert_array_equal(array(ours), np.correlate(array(x), array(box), "same"))
    np.testing.assert_array_equal(array(ours)[1:], array(layer)[:-1])


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8])
def test_integers_are_exact_and_wrap_as_numpys(dtype) -> None:
    rng = np.random.default_rng(0)
    high = 2**20 if dtype == np.int64 else 120
    a, v = rng.integers(0, high, 30).astype(dtype), rng.integers(0, high, 4).astype(dtype)
    for name in NAMES:
        for mode in MODES:
            got = getattr(signal, name)(tensor(a), tensor(v), mode)
            np.testing.assert_array_equal(array(got), getattr(np, name)(a, v, mode))
            assert array(got).dtype == dtype
    mixed = signal.convolve(tensor(a), cnnx.tensor([0.5, 0.5]))
    assert mixed.dtype == cnnx.float32
    with pytest.raises(ValueError, match=r"convolve: .* 2\*\*53"):
        signal.convolve(cnnx.tensor([2**40]), cnnx.tensor([2**20]))


@pytest.mark.parametrize("name", NAMES)
def test_gradients_match_differences(name: str) -> None:
    rng = np.random.default_rng(0)
    function = getattr(signal, name)
    for one, two in (((7,), (4,)), ((3,), (5,)), ((4, 5), (2, 3))):
        a, v = rng.normal(size=one), rng.normal(size=two)
        for mode in MODES:
            assert_gradient_matches_differences(lambda t, v=v, m=mode: function(t, tensor(v), m, 2), a)
            assert_gradient_matches_differences(lambda t, a=a, m=mode: function(tensor(a), t, m, 2), v)


def test_sizes_and_values_by_hand() -> None:
    """Floor((n + 2 p - m) / s) + 1 positions, and the rotated filter."""
    F = cnnx.nn.functional
    assert F.conv1d(cnnx.zeros(1, 10), cnnx.zeros(1, 1, 5), padding=2).shape[-1] == 10
    assert F.conv1d(cnnx.zeros(1, 10), cnnx.zeros(1, 1, 3), padding=2, stride=2).shape[-1] == 6
    x = cnnx.tensor([[1.0, 2.0], [3.0, 4.0]])
    w = cnnx.tensor([[0.0, 1.0], [2.0, 3.0]])
    assert signal.correlate(x, w, "valid").item() == 0 + 2 + 6 + 12
    assert signal.convolve(x, w, "valid").item() == 3 + 4 + 3 + 0
    assert cnnx.equal(signal.convolve(x, w), signal.convolve(w, x))
    assert cnnx.equal(signal.convolve(x, w), signal.correlate(x, w.flip([0, 1])))


V = cnnx.ones(3)
BAD = {
    "shapes": (lambda: signal.convolve(V, cnnx.ones(2, 2)), RuntimeError, r"convolve: .*\(3,\).*\(2, 2\)"),
    "rank": (lambda: signal.correlate(V[None, None], V[None, None]), RuntimeError, "correlate: inputs"),
    "scalar": (lambda: signal.correlate(V[0], V[0]), RuntimeError, "correlate: inputs"),
    "empty": (lambda: signal.convolve(cnnx.zeros(0), V), ValueError, "convolve: inputs must not be empty"),
    "mode": (lambda: signal.convolve(V, V, "reflect"), ValueError, "convolve: mode must be .*'reflect'"),
    "stride": (lambda: signal.convolve(V, V, stride=0), ValueError, "convolve: stride"),
    "strides": (lambda: signal.convolve(V, V, stride=(1, 2)), ValueError, "convolve: stride"),
    "bool": (lambda: signal.convolve(V > 0, V), TypeError, "convolve: takes numbers"),
    "list": (lambda: signal.convolve([1.0], V), TypeError, "convolve: expected tensors, got list"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case: str) -> None:
    call, error, text = BAD[case]
    with pytest.raises(error, match=text):
        call()
