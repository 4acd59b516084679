"""Resizing: against PyTorch and finite differences, every mode, up and down, in lanes too; bad input."""

from __future__ import annotations

from typing import Any

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


def random_array(seed: int, shape: tuple[int, ...], dtype: Any = np.float64) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


SIGNALS = [
    {"mode": "nearest"},
    {"mode": "nearest-exact"},
    {"mode": "area"},
    {"mode": "linear"},
    {"mode": "linear", "align_corners": True},
]
IMAGES = [
    {"mode": "nearest"},
    {"mode": "nearest-exact"},
    {"mode": "area"},
    *({"mode": mode, "align_corners": align} for mode in ("bilinear", "bicubic") for align in (False, True)),
    *({"mode": mode, "antialias": True} for mode in ("bilinear", "bicubic")),
]
SIGNAL_SIZES = [{"size": n} for n in (1, 3, 9, 10, 18, 23)]
SIGNAL_SIZES += [{"scale_factor": f} for f in (0.4, 1.0, 1.05, 2, 2.7)]
IMAGE_SIZES = [{"size": s} for s in (1, (10, 12), (5, 6), (3, 4), (13, 6), (5, 1), (2, 17))]
IMAGE_SIZES += [{"scale_factor": f} for f in (0.5, 2, (1.1, 2.3), (1.7, 0.6))]
IMAGE_SIZES += [{"scale_factor": (1.7, 0.6), "recompute_scale_factor": True}]


def both(shape: tuple[int, ...], dtype: Any, options: dict[str, Any], tolerance: float | None = None) -> None:
    """Result and gradients; the result alone where PyTorch's gradient is not that of its result."""
    torch = pytest.importorskip("torch")
    factor, x = options.get("scale_factor"), random_array(0, shape, dtype)
    if (factor == 1.05 and options["mode"] == "nearest") or (factor == (1.1, 2.3) and "antialias" in options):
        expected = torch.nn.functional.interpolate(torch.tensor(x), **options)
        assert_same(F.interpolate(tensor(x), **options), expected, tolerance, str(options))
        return
    assert_gradients_match_torch(
        lambda t: F.interpolate(t, **options),
        lambda t: torch.nn.functional.interpolate(t, **options),
        [x],
        tolerance,
        what=f"{shape} {options}",
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("batch", [1, 3, 17])
@pytest.mark.parametrize("options", SIGNALS, ids=str)
def test_signals(options: dict[str, Any], batch: int, dtype: Any) -> None:
    for size in SIGNAL_SIZES:
        both((batch, 2, 9), dtype, options | size)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("batch", [1, 3, 17])
@pytest.mark.parametrize("options", IMAGES, ids=str)
def test_images(options: dict[str, Any], batch: int, dtype: Any) -> None:
    for size in IMAGE_SIZES:
        both((batch, 2, 5, 6), dtype, options | size)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
@pytest.mark.parametrize("mode", ["nearest", "nearest-exact"])
def test_which_pixel_is_nearest(mode: str, dtype: Any) -> None:
    """The same pixel as PyTorch's for every pair of sizes, and for factors that are no quotient of them."""
    torch = pytest.importorskip("torch")
    options: dict[str, Any]
    for n in range(1, 50):
        row = np.arange(n).astype(dtype).reshape(1, 1, 1, n)
        for options in [
            *({"size": (1, m)} for m in range(1, 50)),
            *({"scale_factor": (1, f)} for f in (1.01, 1.3, 2, 2.05, 3.7) if n < 30),
        ]:
            expected = torch.nn.functional.interpolate(torch.tensor(row), mode=mode, **options)
            assert_same(F.interpolate(tensor(row), mode=mode, **options), expected, 0, f"{n} {options}")
        for factor in (1.01, 1.3, 2, 2.05, 3.7) if dtype == np.float32 else ():
            signal, options = row[:, 0], {"scale_factor": factor, "mode": mode}
            expected = torch.nn.functional.interpolate(torch.tensor(signal), **options)
            assert_same(F.interpolate(tensor(signal), **options), expected, 0, f"{n} {options}")


def test_large_images() -> None:
    """Several units of work for a plane, many taps for an output, tables that a device keeps in memory."""
    for options in (
        {"size": (3, 5), "mode": "bilinear", "antialias": True},
        {"scale_factor": 3, "mode": "bicubic"},
        {"size": (7, 450), "mode": "nearest"},
        {"size": 301, "mode": "bilinear"},
    ):
        both((2, 3, 150, 170), np.float32, options, 1e-4)


@pytest.mark.parametrize("options", [o for o in IMAGES if o["mode"] != "area"], ids=str)
def test_gradients_match_differences(options: dict[str, Any]) -> None:
    assert_gradient_matches_differences(
        lambda t: F.interpolate(t, (3, 7), **options), random_array(0, (2, 1, 5, 4))
    )


@pytest.mark.cpu("the lanes layout is the CPU's")
@pytest.mark.skipif(_C.lane_count() == 1, reason="this target has no lanes")
def test_lanes() -> None:
    """Many images stay in lanes, with the values of few; what dead lanes hold does not matter."""
    x = tensor(random_array(0, (19, 3, 5, 6), np.float32))
    for mode in ("nearest", "bilinear", "bicubic"):
        leaf = _C._to_lanes(x).requires_grad_()
        y = F.interpolate(leaf, scale_factor=2, mode=mode)
        assert y._in_lanes
        (y * y).sum().backward()
        assert np.isfinite(array(leaf.grad)).all()
        for n in (0, 18):
            one = tensor(array(x[n : n + 1]), True)
            z = F.interpolate(one, scale_factor=2, mode=mode)
            (z * z).sum().backward()
            np.testing.assert_allclose(array(y[n : n + 1]), array(z), rtol=1e-6, atol=1e-6)
            np.testing.assert_allclose(array(leaf.grad[n : n + 1]), array(one.grad), rtol=1e-5, atol=1e-5)


def test_a_net_that_shrinks_and_grows() -> None:
    """As a U-Net does: a step in lanes and one of a few images give the same gradients."""
    gradients = []
    for parts in (1, 16):
        cnnx.manual_seed(0)
        down, up = nn.Conv2d(2, 4, 3, stride=2, padding=1), nn.Conv2d(6, 2, 3, padding=1)
        x = tensor(random_array(0, (16, 2, 8, 8), np.float32))
        for part in x.chunk(parts):
            grown = F.interpolate(down(part).relu(), scale_factor=2, mode="bilinear")
            up(cnnx.cat([grown, part], 1)).square().sum().backward()
        gradients.append([array(p.grad) for p in (*down.parameters(), *up.parameters())])
    for one, two in zip(*gradients, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-3, atol=1e-3)


LAYERS = [
    ("Upsample", {"scale_factor": 2}),
    ("Upsample", {"scale_factor": (2, 1.5), "mode": "bilinear"}),
    ("Upsample", {"size": (7, 5), "mode": "bicubic", "align_corners": True}),
    ("Upsample", {"size": 4, "mode": "area"}),
    ("Upsample", {"scale_factor": 1.7, "mode": "bilinear", "recompute_scale_factor": True}),
    ("UpsamplingNearest2d", {"scale_factor": 3}),
    ("UpsamplingBilinear2d", {"size": (9, 8)}),
]


@pytest.mark.parametrize("name, options", LAYERS, ids=str)
def test_layers(name: str, options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    mine, theirs = getattr(nn, name)(**options), getattr(torch.nn, name)(**options)
    assert repr(mine) == repr(theirs)
    assert not mine.state_dict()
    for attribute in ("name", "size", "scale_factor", "mode", "align_corners", "recompute_scale_factor"):
        assert getattr(mine, attribute) == getattr(theirs, attribute)
    assert_gradients_match_torch(mine, theirs, [random_array(0, (2, 3, 5, 4))])


def test_the_old_name_warns() -> None:
    x = cnnx.arange(4.0).reshape(1, 1, 4)
    with pytest.warns(UserWarning, match="upsample is deprecated"):
        y = F.upsample(x, scale_factor=2, mode="linear", align_corners=True)
    assert y.tolist() == F.interpolate(x, scale_factor=2, mode="linear", align_corners=True).tolist()


X, W = cnnx.zeros(1, 2, 3, 4), cnnx.zeros(1, 2, 3)
BAD = {
    "both": (lambda: F.interpolate(X, 2, 2), ValueError, "one of size and scale_factor, got both"),
    "neither": (lambda: F.interpolate(X), ValueError, "got neither"),
    "sizes": (lambda: F.interpolate(X, (2, 2, 2)), ValueError, "size must have a number for each of 2 axes"),
    "factors": (
        lambda: F.interpolate(X, None, (2,)),
        ValueError,
        "scale_factor must have a number for each of 2",
    ),
    "fraction": (lambda: F.interpolate(X, 2.5), TypeError, "size must be int"),
    "nothing left": (lambda: F.interpolate(X, scale_factor=0.1), RuntimeError, "sizes must be positive"),
    "negative": (lambda: F.interpolate(X, (-1, 2), mode="bilinear"), RuntimeError, "sizes must be positive"),
    "negative factor": (lambda: F.interpolate(X, None, -2.0), RuntimeError, "must be positive"),
    "no number": (lambda: F.interpolate(X, None, float("nan")), ValueError, "must be finite"),
    "infinite": (lambda: F.interpolate(X, None, float("inf"), "area"), ValueError, "must be finite"),
    "huge": (lambda: F.interpolate(X, 2**40), ValueError, r"sizes must be below 2\^31"),
    "mode": (lambda: F.interpolate(X, 2, mode="lanczos"), NotImplementedError, "no mode 'lanczos'"),
    "linear image": (
        lambda: F.interpolate(X, 2, mode="linear"),
        NotImplementedError,
        r"no mode 'linear' .*\(1, 2, 3, 4\)",
    ),
    "bilinear signal": (
        lambda: F.interpolate(W, 2, mode="bilinear"),
        NotImplementedError,
        "no mode 'bilinear'",
    ),
    "volume": (lambda: F.interpolate(cnnx.zeros(1, 1, 2, 2, 2), 2), NotImplementedError, "no mode 'nearest'"),
    "area of a volume": (
        lambda: F.interpolate(cnnx.zeros(1, 1, 2, 2, 2), 2, mode="area"),
        NotImplementedError,
        "'area'",
    ),
    "align_corners": (lambda: F.interpolate(X, 2, align_corners=False), ValueError, "align_corners is for"),
    "antialias": (lambda: F.interpolate(X, 2, antialias=True), ValueError, "antialias is for"),
    "recompute": (
        lambda: F.interpolate(X, 2, recompute_scale_factor=True),
        ValueError,
        "recompute_scale_factor is for",
    ),
    "dtype": (lambda: F.interpolate(X.long(), 2), TypeError, "int64"),
    "bytes": (lambda: F.interpolate(X.byte(), 2, mode="bilinear"), TypeError, "uint8"),
    "no channels": (
        lambda: F.interpolate(cnnx.zeros(1, 0, 3, 4), 2),
        RuntimeError,
        "channels and sizes must be positive",
    ),
    "None": (lambda: F.interpolate(None, 2), TypeError, "input must be Tensor"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case: str) -> None:
    call, error, text = BAD[case]
    with pytest.raises(error, match=f"^interpolate: .*{text}"):
        call()
