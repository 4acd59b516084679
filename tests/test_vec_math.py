"""The error bounds that csrc/kernels/cpu/vec_math.h and elementwise.cpp promise, on every CPU target."""

from __future__ import annotations

import numpy as np
import pytest

from cnnx import _C
from oracles import array, run_on_target, tensor

BOUNDS = {"exp": 2, "log": 2, "expm1": 3, "log1p": 3, "tanh": 3, "sigmoid": 3, "erf": 3, "sin": 1, "cos": 1}


def exact(name: str, x: np.ndarray) -> np.ndarray:
    special = pytest.importorskip("scipy.special")
    function = {"sigmoid": special.expit, "erf": special.erf}.get(name) or getattr(np, name)
    with np.errstate(all="ignore"):
        return function(x.astype(np.float64))


def inputs() -> np.ndarray:
    # Every 10007th bit pattern (all exponents, denormals and NaNs), the range that nets use, and the edges.
    patterns = np.arange(0, 2**32, 10007, dtype=np.uint64).astype(np.uint32).view(np.float32)
    usual = np.random.default_rng(0).normal(size=400_000).astype(np.float32) * 5
    small = np.geomspace(1e-8, 1, 50_000).astype(np.float32)
    edges = [
        0,
        -0.0,
        np.inf,
        -np.inf,
        np.nan,
        1,
        -1,
        0.5,
        2,
        88.72283,
        88.7229,
        88.0,
        -87.33654,
        -87.4,
        -103.9,
        -104.1,
        9.02,
    ]
    return np.concatenate(
        [patterns, usual, small, -small, np.array(edges, np.float32), 1 + small * 1e-3, 1 - small * 1e-3]
    )


def errors_in_ulp(got: np.ndarray, exact_values: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        rounded = exact_values.astype(np.float32)
        unit = np.maximum(np.spacing(np.abs(rounded)).astype(np.float64), 2.0**-149)
        error = np.abs(got.astype(np.float64) - exact_values) / unit
    same = (got == rounded) | (np.isnan(got) & np.isnan(rounded))
    return np.where(same, 0, error)


@pytest.mark.parametrize("name", BOUNDS)
def test_error_in_units_of_the_last_place(name):
    x = inputs()
    got, want = array(getattr(_C, name)(tensor(x))), exact(name, x)
    error = errors_in_ulp(got, want)
    worst = int(np.argmax(np.where(np.isnan(error), np.inf, error)))
    assert error[worst] <= BOUNDS[name], f"{name}({x[worst]!r}) = {got[worst]!r}, exactly {want[worst]!r}"
    number = ~np.isnan(want)
    with np.errstate(all="ignore"):
        signs_differ = np.signbit(got[number]) != np.signbit(want[number].astype(np.float32))
    assert not signs_differ.any()


@pytest.mark.parametrize("target", [t for t in _C.available_targets() if t != _C.active_target()])
def test_other_targets(target):
    run_on_target(
        target,
        "-m",
        "pytest",
        "-q",
        "-x",
        "-p",
        "no:cacheprovider",
        "test_vec_math.py",
        "-k",
        "not other_targets",
    )
