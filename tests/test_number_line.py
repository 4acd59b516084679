"""Every function of elements over all of float32, in value and gradient, against float64.

The arguments have every exponent, denormal ones included, and lie close together where functions turn or
cancel. The oracle is PyTorch in float64, or SciPy where that cancels itself. An error is counted in units in
the last place of the exact result; where a function crosses zero between large terms, the bound is one of the
terms (`scale`), as no float32 formula can do better.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import cnnx
import functions
from oracles import array, tensor

torch = pytest.importorskip("torch")
special = pytest.importorskip("scipy.special")

pytestmark = pytest.mark.cpu("error bounds of the CPU's functions")

F32 = np.float32
UNIT = 2.0**-24  # of 1


def functional(m: Any) -> Any:
    return m.nn.functional


def nothing(*arguments: np.ndarray) -> Any:
    return 0.0


def one(*arguments: np.ndarray) -> Any:
    return 1.0


def a_whole(*arguments: np.ndarray) -> Any:
    """1 as an error: a quotient that was rounded to the next whole number, as in PyTorch."""
    return 0.5 / UNIT


def largest(*arguments: np.ndarray) -> Any:
    return np.max(np.abs(arguments), axis=0)


def everywhere(*arguments: np.ndarray) -> Any:
    return np.ones(arguments[0].shape, bool)


@dataclass
class Row:
    """A function of tensors, written for both packages."""

    name: str
    call: Callable[..., Any]
    ulps: float = 2  # of the value
    slopes: float = 4  # of the gradients
    scale: Callable[..., Any] = nothing  # the error may also be some units of this
    slope_scale: Callable[..., Any] = nothing
    domain: Callable[..., Any] = everywhere
    tiny: float = 1  # how many of the smallest denormal number a result may be off
    # Value and slopes in float64 where PyTorch's are no oracle.
    exact: Callable[..., Any] | None = None
    options: dict[str, Any] = field(default_factory=dict)


def method(name: str, **options: Any) -> Row:
    return Row(name, lambda m, *x: getattr(m, name)(*x), **options)


def activation(name: str, _arguments: dict[str, Any] | None = None, **options: Any) -> Row:
    arguments = _arguments or {}
    label = f"{name}{tuple(arguments.values()) if arguments else ''}"
    return Row(label, lambda m, *x: getattr(functional(m), name)(*x, **arguments), **options)


def loss(name: str, _arguments: dict[str, Any] | None = None, **options: Any) -> Row:
    return activation(name, {"reduction": "none", **(_arguments or {})}, **options)


def gelu(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    share = 0.5 * special.erfc(-x * np.sqrt(0.5))
    return x * share, share + x * np.exp(-0.5 * x * x) / np.sqrt(2 * np.pi)


def gelu_tanh(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    near = np.clip(x, -30, 30)
    inner = 2 * np.sqrt(2 / np.pi) * (near + 0.044715 * near**3)
    share = special.expit(inner)
    slope = 2 * np.sqrt(2 / np.pi) * (1 + 3 * 0.044715 * near**2)
    return x * share, share + near * share * special.expit(-inner) * slope


def tanhshrink(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    series = x**3 * (1 / 3 - x**2 * (2 / 15 - x**2 * (17 / 315 - x**2 * (62 / 2835 - x**2 * 1382 / 155925))))
    return np.where(np.abs(x) < 0.02, series, x - np.tanh(x)), np.tanh(x) ** 2


def softsign(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return x / (1 + np.abs(x)), 1 / (1 + np.abs(x)) ** 2


def logit(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    with np.errstate(all="ignore"):
        near = np.log1p((2 * x - 1) / (1 - x))
        value = np.where(np.abs(x - 0.5) < 0.25, near, np.log(x / (1 - x)))
        return value, np.where((x < 0) | (x > 1), np.nan, 1 / (x * (1 - x)))


def cross_entropy_with_logits(x: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    value = np.log1p(np.exp(-np.abs(x))) + np.where(x < 0, -t * x, (1 - t) * x)
    return value, (1 - t) * special.expit(x) - t * special.expit(-x), -x


def kl_div(x: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    log = np.log(np.where(t == 0, 1, t))
    return t * (log - x), -t, np.where(t == 0, -np.inf, log + 1 - x)


UNARY = [
    method("neg"), method("abs"), method("sign"), method("exp"), method("log"), method("log1p", ulps=3),
    method("expm1", ulps=3, exact=lambda x: (np.expm1(x), np.exp(x))),
    method("log2"), method("log10"), method("sqrt"), method("rsqrt", slopes=8),
    method("reciprocal"), method("square"), method("sin"), method("cos"), method("tan", ulps=4, slopes=8),
    method("sinh", ulps=6, slopes=6), method("cosh", ulps=6, slopes=6), method("exp2"), method("frac"),
    method("deg2rad"), method("rad2deg"), method("floor"), method("ceil"), method("round"), method("trunc"),
    # From the result alone, as PyTorch: what 1 - y loses is lost.
    method("tanh", ulps=3, slope_scale=lambda x: 4 * one()),
    method("sigmoid", ulps=3, slope_scale=one),
    method("erf", ulps=3, slopes=8), method("erfc", ulps=12, slopes=8), method("nan_to_num"),
    method("asin", ulps=4), method("acos", ulps=4), method("atan", ulps=4, domain=lambda x: abs(x) < 1e19),
    method("asinh", ulps=6), method("acosh", ulps=6, slopes=6, domain=lambda x: x >= 1),
    method("atanh", ulps=6, domain=lambda x: abs(x) < 1e19),
    method("erfinv", ulps=6, slopes=64),  # from the result: an error in it counts 2 y^2 times
    # PyTorch's derivatives lose their digits beside the poles.
    method("lgamma", domain=lambda x: x > 0), method("digamma", domain=lambda x: x > 0),
    Row("polygamma", lambda m, x: m.polygamma(1, x), domain=lambda x: (x > 1e-18) & (x < 1e18)),
    method("logit", ulps=6, exact=logit),
    activation("relu"), activation("relu6"), activation("leaky_relu"), activation("hardtanh"),
    activation("elu", ulps=4), activation("elu", {"alpha": 0.3}, ulps=4),
    activation("celu", {"alpha": 2.0}, ulps=4),
    activation("selu", ulps=5), activation("silu", ulps=5, slope_scale=lambda x: 8 * one(), tiny=128),
    activation("mish", ulps=6, slopes=8, slope_scale=lambda x: 4 * one(), tiny=128),
    activation("gelu", ulps=12, slopes=64, slope_scale=lambda x: 4 * one(), tiny=16, exact=gelu),
    Row("gelu tanh", lambda m, x: functional(m).gelu(x, approximate="tanh"), ulps=160, slopes=160, tiny=64,
        slope_scale=lambda x: 8 * one(), exact=gelu_tanh),
    activation("softplus", ulps=4), activation("softplus", {"beta": 2.0, "threshold": 3.0}, ulps=4),
    activation("logsigmoid", ulps=4), activation("softsign", slopes=6, exact=softsign),
    activation("tanhshrink", ulps=12, slopes=8, exact=tanhshrink),
    activation("hardsigmoid"), activation("hardswish", ulps=4, scale=nothing, slope_scale=one),
    activation("hardshrink"), activation("softshrink"),
    activation("threshold", {"threshold": 0.1, "value": -3.0}),
    Row("prelu", lambda m, x: functional(m).prelu(x, m.tensor([0.25]).to(x.dtype))),
    Row("clamp", lambda m, x: m.clamp(x, -1, 1)),
    Row("clamp by tensors", lambda m, x: m.clamp(x, m.tensor(-1.0).to(x.dtype), m.tensor(1.0).to(x.dtype))),
    # Negative whole powers are reciprocals; of a power that is too large for a float that is 0.
    *[Row(f"pow {p}", lambda m, x, p=p: m.pow(x, p), ulps=4, slopes=5, tiny=2.0**23 * 4 if p < 0 else 1)
      for p in (-7, -4, -3, -2, -1, -0.5, 0, 0.5, 1, 1.5, 2, 2.5, 3, 4, 5, 7, 1 / 3)],
    *[Row(f"{p} ** x", lambda m, x, p=p: m.pow(p, x)) for p in (0.5, 1.0, 2.0, 10.0)],
]  # fmt: skip
# All others to the usual bounds.
_listed = {re.split(r"\W", row.name)[0] for row in UNARY}
UNARY += [method(name) for name in functions.UNARY if name not in _listed]
UNARY += [activation(a.name, a.options) for a in functions.ACTIVATIONS if a.name not in _listed]
BINARY = [
    method("add"), method("sub"), method("mul"), method("div"), method("maximum"), method("minimum"),
    method("fmax"), method("fmin"), method("remainder"), method("fmod", slope_scale=a_whole),
    method("pow", slopes=6, tiny=256, domain=lambda x, y: (x <= 0) | (y * np.log2(np.abs(x)) < 128)),
    method("xlogy", ulps=4),
    method("atan2", ulps=4, slopes=6, tiny=64,
        domain=lambda x, y: (np.hypot(x, y) < 3e38) & (np.hypot(x, y) > 1e-37)),
    # The slopes are of the result, which has few digits where it is denormal.
    method("hypot", domain=lambda x, y: (np.hypot(x, y) < 3.4e38) & (np.hypot(x, y) > 1e-38)),
    method("logaddexp", ulps=4, scale=lambda *x: 2 * largest(*x), slopes=64),
    Row("lerp 0.3", lambda m, x, y: m.lerp(x, y, 0.3), scale=largest),
    Row("lerp 0.7", lambda m, x, y: m.lerp(x, y, 0.7), scale=largest),
    Row("lerp 1", lambda m, x, y: m.lerp(x, y, 1.0)),
    Row("div trunc", lambda m, x, y: m.div(x, y, rounding_mode="trunc"), ulps=0, scale=a_whole,
        domain=lambda x, y: np.abs(x / y) < 2**22),
    Row("addcdiv", lambda m, x, y: m.addcdiv(x, x, y, value=0.5), ulps=3, slopes=6,
        scale=lambda x, y: 4 * np.maximum(np.abs(x), np.abs(x / y)),
        slope_scale=lambda x, y: 4 * np.maximum(1, np.abs(1 / y)), tiny=2,
        domain=lambda x, y: (np.abs(x / y) < 1e38) & (np.minimum(np.abs(x), np.abs(y)) > 1e-37)),
    loss("mse_loss"), loss("l1_loss"), loss("smooth_l1_loss"), loss("smooth_l1_loss", {"beta": 0.1}, ulps=3),
    loss("huber_loss"), loss("huber_loss", {"delta": 3.0}, ulps=3),
]  # fmt: skip
# Of anything and a share within [0, 1].
SHARES = [
    loss("kl_div", ulps=6, exact=kl_div, scale=lambda x, t: 4 * np.maximum(np.abs(t * x), 1),
         slope_scale=lambda x, t: 4 * (1 + np.abs(x) + np.abs(np.log(t)))),
    loss("binary_cross_entropy_with_logits", ulps=5, slopes=6, exact=cross_entropy_with_logits,
         slope_scale=one),
]  # fmt: skip


def samples() -> np.ndarray:
    rng = np.random.default_rng(0)
    everything = ((1 + rng.random((277, 6))) * 2.0 ** np.arange(-149, 128)[:, None]).ravel()
    near_one = 1 + rng.normal(size=1000) * 10.0 ** -rng.uniform(0, 8, 1000)
    parts = [everything, -everything, near_one, -near_one, 0.5 * near_one, rng.uniform(-105, 105, 4000)]
    return np.concatenate([*parts, rng.uniform(-10, 10, 4000)]).astype(F32)


def pairs() -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    x, y = (rng.permutation(samples()) for _ in range(2))
    with np.errstate(over="ignore"):
        near = (x * (1 + rng.normal(size=x.size) * 10.0 ** -rng.uniform(0, 7, x.size))).astype(F32)
        comparable = (x * 2.0 ** rng.integers(-12, 12, x.size)).astype(F32)
    first, second = np.concatenate([x, x, x, x]), np.concatenate([y, near, comparable, x])
    keep = np.isfinite(first) & np.isfinite(second)
    return [first[keep], second[keep]]


def shares() -> list[np.ndarray]:
    x = samples()
    t = np.random.default_rng(2).random(x.size).astype(F32)
    t[::5], t[1::5] = 0, 1
    return [x, t]


def run(row: Row, m: Any, arguments: list[np.ndarray]) -> list[np.ndarray]:
    if m is cnnx:
        inputs = [tensor(a, True) for a in arguments]
        result = row.call(m, *inputs)
        result.backward(cnnx.ones_like(result))
        return [array(result), *(array(t.grad) for t in inputs)]
    inputs = [torch.tensor(a, requires_grad=True) for a in arguments]
    result = row.call(m, *inputs)
    result.backward(torch.ones_like(result))
    return [result.detach().numpy(), *(t.grad.numpy() for t in inputs)]


def check(row: Row, arguments: list[np.ndarray]) -> None:
    with np.errstate(all="ignore"):
        inside = row.domain(*(a.astype(np.float64) for a in arguments))
        arguments = [a[inside] for a in arguments]
        wide = [a.astype(np.float64) for a in arguments]
        expected = list(row.exact(*wide)) if row.exact else run(row, torch, wide)
        scales = [row.scale(*wide)] + [row.slope_scale(*wide)] * len(arguments)
        for what, got, want, ulps, scale in zip(
            ["value", "gradient", "second gradient"],
            run(row, cnnx, arguments),
            expected,
            [row.ulps, row.slopes, row.slopes],
            scales,
            strict=False,
        ):
            rounded = want.astype(F32)
            same = (got == rounded) | (np.isnan(got) & np.isnan(rounded))
            spacing = np.spacing(np.minimum(np.abs(rounded), F32(3e38))).astype(np.float64)
            # An infinity is as far as the number behind the largest.
            given = np.where(np.isinf(got), np.copysign(2.0**128, got), got).astype(np.float64)
            aim = np.clip(want, -(2.0**128), 2.0**128)
            bound = ulps * spacing + 2 * UNIT * scale + row.tiny * 2.0**-149
            wrong = ~same & ~(np.abs(given - aim) <= bound)
            at = int(np.argmax(np.where(wrong, np.nan_to_num(np.abs(given - aim) / spacing, nan=np.inf), -1)))
            assert not wrong.any(), (
                f"{row.name}: {what} at {[float(a[at]) for a in arguments]} is {got[at]!r}, exactly "
                f"{want[at]!r}; {abs(given[at] - aim[at]) / spacing[at]:.3g} units, {wrong.sum()} are wrong"
            )


@pytest.mark.parametrize("row", UNARY, ids=lambda row: row.name)
def test_functions_of_one(row):
    x = samples()
    check(row, [x])


@pytest.mark.parametrize("row", BINARY, ids=lambda row: row.name)
def test_functions_of_two(row):
    check(row, pairs())


@pytest.mark.parametrize("row", SHARES, ids=lambda row: row.name)
def test_losses_of_shares(row):
    check(row, shares())
