"""The error bounds that csrc/kernels/cpu/vec_math.h and elementwise.cpp promise, on every CPU target."""

from __future__ import annotations

import numpy as np
import pytest

from cnnx import _C
from oracles import array, tensor

pytestmark = pytest.mark.cpu("error bounds of the CPU's vector functions")

BOUNDS = {
    "exp": 2,
    "log": 2,
    "log2": 1,
    "log10": 1,
    "expm1": 3,
    "log1p": 3,
    "tanh": 3,
    "sigmoid": 3,
    "erf": 3,
    "erfc": 12,
    "erfinv": 6,
    "asin": 4,
    "acos": 4,
    "atan": 4,
    "asinh": 6,
    "acosh": 6,
    "atanh": 6,
    "lgamma": 1,
    "digamma": 1,
    "sin": 1,
    "cos": 1,
    "silu": 4,
    "softplus": 4,
    "gelu": 12,
}
ACTIVATIONS = {"silu": (), "softplus": (1.0, 20.0), "gelu": ()}


def exact(name: str, x: np.ndarray) -> np.ndarray:
    special = pytest.importorskip("scipy.special")
    functions = {
        "sigmoid": special.expit,
        "erf": special.erf,
        "erfc": special.erfc,
        "erfinv": lambda v: np.copysign(special.erfinv(v), v),  # SciPy drops the sign of -0
        "asin": np.arcsin,
        "acos": np.arccos,
        "atan": np.arctan,
        "asinh": np.arcsinh,
        "acosh": np.arccosh,
        "atanh": np.arctanh,
        "lgamma": special.gammaln,
        "digamma": special.digamma,
        "silu": lambda v: v * special.expit(v),
        "softplus": lambda v: np.where(v > 20, v, np.logaddexp(0, v)),
        "gelu": lambda v: np.where(v < -40, -0.0, v * 0.5 * special.erfc(-v / np.sqrt(2))),
    }
    function = functions.get(name) or getattr(np, name)
    with np.errstate(all="ignore"):
        return function(x.astype(np.float64))


def ours(name: str, x: np.ndarray) -> np.ndarray:
    if name in ACTIVATIONS:
        return array(_C.activation(name, tensor(x), *ACTIVATIONS[name]))
    return array(getattr(_C, name)(tensor(x)))


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
    if name in ("silu", "gelu", "lgamma"):
        x = x[~np.isneginf(x)]  # -inf times 0; SciPy's lgamma is -inf there, C's inf
    got, want = ours(name, x), exact(name, x)
    error = errors_in_ulp(got, want)
    if name in ("silu", "gelu"):  # x times a factor that is rounded to a denormal number
        with np.errstate(invalid="ignore"):
            error[np.abs(got - want) <= np.abs(x) * 2.0**-149] = 0
    worst = int(np.argmax(np.where(np.isnan(error), np.inf, error)))
    assert error[worst] <= BOUNDS[name], f"{name}({x[worst]!r}) = {got[worst]!r}, exactly {want[worst]!r}"
    number = ~np.isnan(want)
    with np.errstate(all="ignore"):
        signs_differ = np.signbit(got[number]) != np.signbit(want[number].astype(np.float32))
    assert not signs_differ.any()


def pairs() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    patterns = rng.integers(0, 2**32, (2, 300_000), dtype=np.uint64).astype(np.uint32).view(np.float32)
    usual = (rng.normal(size=(2, 200_000)) * 5).astype(np.float32)
    whole = rng.integers(-40, 40, (2, 100_000)).astype(np.float32)
    close = np.repeat((1 + rng.normal(size=(1, 50_000)) * 1e-4).astype(np.float32), 2, axis=0)
    close[1] = (rng.normal(size=50_000) * 1e4).astype(np.float32)
    edges = np.array(
        [0, -0.0, 1, -1, 0.5, -0.5, 2, 3, -3, 1e-45, 3e38, np.inf, -np.inf, np.nan, 2**24], np.float32
    )
    table = np.stack([a.ravel() for a in np.meshgrid(edges, edges)])
    both = np.concatenate([patterns, usual, whole, close, table], axis=1)
    return both[0], both[1]


def test_power_in_units_of_the_last_place():
    a, b = pairs()
    with np.errstate(all="ignore"):
        want = np.power(a.astype(np.float64), b.astype(np.float64))
    got = array(_C.pow(tensor(a), tensor(b)))
    error = errors_in_ulp(got, want)
    worst = int(np.argmax(np.where(np.isnan(error), np.inf, error)))
    assert error[worst] <= 1, f"{a[worst]!r} ** {b[worst]!r} = {got[worst]!r}, exactly {want[worst]!r}"
    number = ~np.isnan(want)
    assert (np.signbit(got[number]) == np.signbit(want[number])).all()
    for exponent in (0.5, 1 / 3, -0.7, 2.5, 7, 10, -5):
        with np.errstate(all="ignore"):
            # 0.5 is the square root, NaN for -inf, as in PyTorch; in NumPy that depends on the version.
            wide = a.astype(np.float64)
            want = np.sqrt(wide) if exponent == 0.5 else np.power(wide, exponent)
        error = errors_in_ulp(array(_C.pow(tensor(a), exponent)), want)
        assert np.nan_to_num(error, nan=np.inf).max() <= 1, exponent


def test_angles_in_units_of_the_last_place():
    a, b = pairs()
    with np.errstate(all="ignore"):
        want = np.arctan2(a.astype(np.float64), b.astype(np.float64))
    got = array(_C.atan2(tensor(a), tensor(b)))
    error = errors_in_ulp(got, want)
    worst = int(np.argmax(np.where(np.isnan(error), np.inf, error)))
    assert error[worst] <= 4, f"atan2({a[worst]!r}, {b[worst]!r}) = {got[worst]!r}, exactly {want[worst]!r}"
    number = ~np.isnan(want)
    assert (np.signbit(got[number]) == np.signbit(want[number])).all()


@pytest.mark.parametrize("name", ["remainder", "fmod", "floor_divide"])
def test_remainders_are_exact(name):
    torch = pytest.importorskip("torch")
    a, b = pairs()
    got = array(getattr(_C, name)(tensor(a), tensor(b)))
    with np.errstate(all="ignore"):
        rest = np.fmod(a.astype(np.float64), b.astype(np.float64))
        if name == "remainder":
            rest = np.where((rest != 0) & ((b < 0) != (rest < 0)), rest + b, rest)
        if name == "floor_divide":
            rest = torch.floor_divide(torch.tensor(a).double(), torch.tensor(b).double()).numpy()
            rest = np.where(np.isinf(a / b.astype(np.float64)) & ~np.isnan(rest), got, rest)
        want = rest.astype(np.float32)
    different = ~((got == want) | (np.isnan(got) & np.isnan(want)))
    assert not different.any(), (a[different][:3], b[different][:3], got[different][:3], want[different][:3])
