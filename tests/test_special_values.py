"""NaN, infinities, zeros of both signs, kinks, ties, the largest numbers: as PyTorch, gradients too.

PyTorch's own gradients of piecewise functions at NaN depend on where in the memory the element lies (its
vector loops and their remainders differ), so it is asked one element at a time; cnnx is asked for many, in
vectors and in what they leave. Where cnnx gives something else, and better, the table says what.
"""

from __future__ import annotations

import math
import warnings
from functools import partial
from typing import Any

import numpy as np
import pytest

import border
import cnnx
import functions
from cnnx import nn
from functions import ACTIVATIONS, Activation, label
from oracles import array, tensor

torch = pytest.importorskip("torch")

INF, NAN, LARGEST = math.inf, math.nan, 3.4028234663852886e38
TINY = 1e-30
POINTS = [
    0.0, -0.0, INF, -INF, NAN, 1, -1, LARGEST, -LARGEST, 1e-45, -1e-45, 1.1754944e-38, 6, 3, -3, 0.5,
    -0.5, 20, 21,
    -20, 88.8, -104, 1e30, -1e30, 0.1, 0.7, -0.7, 2, 0.25, -2.5,
]  # fmt: skip
FEW = [0.0, -0.0, INF, -INF, NAN, 1, -1, 2.5, -3, 1e30, -1e30, 1e-30, 0.5]


def F(m: Any) -> Any:
    return m.nn.functional


def of(name: str) -> Any:
    return lambda m, *x: getattr(m, name)(*x)


def prelu(m: Any, x: Any) -> Any:
    return F(m).prelu(x, m.tensor([0.25]).to(x.dtype))


UNARY = {
    **{a.label: (lambda m, x, a=a: a(F(m), x)) for a in ACTIVATIONS},
    "prelu": prelu,
    **{name: of(name) for name in (*functions.UNARY, "tan", "exp2", "frac", "nan_to_num", "sinc")},
    "clamp": lambda m, x: m.clamp(x, -1, 1),
    "clamp below": lambda m, x: m.clamp(x, min=0.0),
    "clamp above": lambda m, x: m.clamp(x, max=6.0),
    "clamp by tensors": lambda m, x: m.clamp(x, m.tensor(-1.0).to(x.dtype), m.tensor(1.0).to(x.dtype)),
    "logit 1e-3": lambda m, x: m.logit(x, 1e-3),
    **{f"pow {p}": lambda m, x, p=p: m.pow(x, p) for p in (-3, -2, -1, -0.5, 0, 0.5, 1, 1.5, 2, 3, 7)},
    **{f"{p} ** x": lambda m, x, p=p: m.pow(p, x) for p in (0.0, 0.5, 1.0, 2.0)},
    "l1_loss": lambda m, x: F(m).l1_loss(x, m.zeros_like(x), reduction="none"),
    "huber_loss": lambda m, x: F(m).huber_loss(x, m.zeros_like(x), reduction="none"),
    "smooth_l1_loss": lambda m, x: F(m).smooth_l1_loss(x, m.zeros_like(x), reduction="none"),
    "mse_loss": lambda m, x: F(m).mse_loss(x, m.zeros_like(x), reduction="none"),
    **{
        f"binary_cross_entropy_with_logits {t}": lambda m, x, t=t: F(m).binary_cross_entropy_with_logits(
            x, m.full_like(x, t), reduction="none", pos_weight=m.tensor(2.0).to(x.dtype)
        )
        for t in (0.0, 0.25, 1.0)
    },
    **{
        f"kl_div {t}": lambda m, x, t=t: F(m).kl_div(x, m.full_like(x, t), reduction="none")
        for t in (0.0, 0.25, 1.0)
    },
}  # fmt: skip
BINARY = {
    **{
        name: of(name)
        for name in (
            "add", "sub", "mul", "div", "pow", "maximum", "minimum", "fmax", "fmin", "remainder",
            "fmod", "hypot", "logaddexp", "logaddexp2", "xlogy", "atan2",
        )
    },
    "lerp 0.3": lambda m, x, y: m.lerp(x, y, 0.3),
    "lerp 0.7": lambda m, x, y: m.lerp(x, y, 0.7),
    "lerp 1": lambda m, x, y: m.lerp(x, y, 1.0),
    "div trunc": lambda m, x, y: m.div(x, y, rounding_mode="trunc"),
    "clamp between": lambda m, x, y: m.clamp(x, y, m.full_like(y, 2.5)),
}  # fmt: skip

# (function, which result: 0 the value, then the gradients) to the arguments at which cnnx is better,
# and what it gives there.
BETTER: dict[tuple[str, int], list[tuple[Any, float]]] = {
    ("gelu", 1): [(INF, 1), (-INF, 0)],  # PyTorch: NaN
    ("gelu tanh", 1): [(INF, 1), (-INF, 0), (LARGEST, 1), (-LARGEST, 0), (1e30, 1), (-1e30, 0)],  # NaN
    ("logit", 1): [(-0.0, -INF)],  # inf, and -inf within a vector
    ("logit 1e-3", 1): [(NAN, 0)],  # NaN, and 0 within a vector
    # NaN, as the difference of two infinite terms.
    ("binary_cross_entropy_with_logits 0.25", 0): [(-INF, INF), (-LARGEST, LARGEST / 2)],
    ("binary_cross_entropy_with_logits 1.0", 0): [(-INF, INF)],
    ("softsign", 1): [(INF, 0), (-INF, 0)],  # NaN
    ("hardswish", 0): [(LARGEST, LARGEST)],  # inf
    ("pow -0.5", 0): [(-0.0, INF), (-INF, 0)],  # -inf and NaN, by way of rsqrt; these are C's pow
    ("pow 1.5", 1): [(-INF, INF)],  # NaN
    # A number, where the function is none.
    ("acosh", 1): [(x, NAN) for x in (-1.0, -3.0, -20.0, -104.0, -2.5, -1e30, -LARGEST, -INF)],
    # Numbers, as sine of whole multiples of pi is none of PyTorch's.
    ("digamma", 1): [(x, INF) for x in (-1.0, -3.0, -20.0, -104.0, -1e30, -LARGEST)],
    # 0, infinite or NaN, by way of squares.
    ("atan2", 1): [((0.0, TINY), 1 / TINY), ((-0.0, TINY), 1 / TINY), ((TINY, TINY), 0.5 / TINY)],
    ("atan2", 2): [((TINY, 0.0), -1 / TINY), ((TINY, -0.0), -1 / TINY), ((TINY, TINY), -0.5 / TINY)],
    ("xlogy", 2): [((a, b), 0) for a in (0.0, -0.0) for b in (0.0, -0.0)],  # NaN
}


def key(arguments: tuple[float, ...]) -> Any:
    return arguments if len(arguments) > 1 else arguments[0]


def same_argument(a: Any, b: Any) -> bool:
    return repr(a) == repr(b)  # tells -0.0 from 0.0


def results(m: Any, call: Any, arguments: list[np.ndarray]) -> list[np.ndarray]:
    inputs = [tensor(a, True) if m is cnnx else torch.tensor(a, requires_grad=True) for a in arguments]
    out = call(m, *inputs)
    out.backward(m.ones_like(out))
    if m is cnnx:
        return [array(out), *(array(t.grad) for t in inputs)]
    return [out.detach().numpy(), *(t.grad.numpy() for t in inputs)]


def check_points(name: str, call: Any, points: list[tuple[float, ...]]) -> None:
    columns = [np.array(column, np.float32) for column in zip(*points, strict=True)]
    many = results(cnnx, call, [np.tile(column, 3) for column in columns])
    for number, ours in enumerate(many):
        better = BETTER.get((name, number), [])
        for at, point in enumerate(points):
            single = [np.array([float(value)], np.float32) for value in point]
            want = results(torch, call, single)[number][0]
            for argument, value in better:
                if same_argument(key(tuple(float(p) for p in point)), argument):
                    want = value
            got = [float(v) for v in ours[at :: len(points)]]
            assert np.allclose(got, want, rtol=2e-5, atol=2e-7, equal_nan=True), (
                f"{name}: {'gradient' if number else 'value'} {number} at {point} is {got}, expected {want}"
            )


@pytest.mark.parametrize("name", UNARY)
def test_functions_of_one(name):
    check_points(name, UNARY[name], [(point,) for point in POINTS])


@pytest.mark.parametrize("name", BINARY)
def test_functions_of_two(name):
    check_points(name, BINARY[name], [(a, b) for a in FEW for b in FEW])


MODULES = [*ACTIVATIONS, Activation("prelu", {}, "PReLU")]


@pytest.mark.parametrize("activation", MODULES, ids=label)
def test_modules_in_place_and_in_lanes(activation):
    x = np.array(POINTS, np.float32)
    layer = partial(getattr(nn, activation.layer), **activation.options)
    expected = results(cnnx, UNARY[activation.label], [x])
    forms = {"module": lambda m, t: layer()(t)}
    if activation.in_place:
        forms["in place"] = lambda m, t: activation(F(m), t * 1, inplace=True)
        forms["module in place"] = lambda m, t: layer(inplace=True)(t * 1)
    for form, call in forms.items():
        for got, want in zip(results(cnnx, call, [x]), expected, strict=True):
            np.testing.assert_array_equal(got, want, err_msg=form)
    images = np.ascontiguousarray(np.broadcast_to(x, (20, x.size))).reshape(20, x.size, 1, 1)
    conv = nn.Conv2d(x.size, x.size, 1, groups=x.size, bias=False)  # its result lies in the lanes
    with cnnx.no_grad():
        conv.weight.fill_(1)
    inputs = tensor(images, True)
    middle = conv(inputs)
    middle.retain_grad()
    y = layer()(middle)
    y.backward(cnnx.ones_like(y))
    for row in range(20):
        np.testing.assert_array_equal(array(y)[row, :, 0, 0], expected[0])
        np.testing.assert_array_equal(array(middle.grad)[row, :, 0, 0], expected[1])


@pytest.mark.parametrize("batch", [1, 20])
@pytest.mark.parametrize("name", ["relu", "tanh", "sigmoid"])
def test_activations_within_layers(name, batch):
    x = np.repeat(np.array(POINTS, np.float32)[None], batch, 0)
    want, slope = results(torch, UNARY[name], [x])
    layers = {
        "linear": lambda m, t: F(m).linear(t.reshape(-1, 1), m.ones(1, 1), activation=name),
        "conv2d": lambda m, t: F(m).conv2d(
            t.reshape(batch, len(POINTS), 1, 1),
            m.ones(len(POINTS), 1, 1, 1),
            groups=len(POINTS),
            activation=name,
        ),
        "conv1d": lambda m, t: F(m).conv1d(
            t.reshape(batch, 1, len(POINTS)), m.ones(1, 1, 1), activation=name
        ),
    }
    for layer, call in layers.items():
        got, gradient = results(cnnx, call, [x])
        np.testing.assert_allclose(got.reshape(x.shape), want, rtol=2e-6, atol=1e-37, err_msg=layer)
        np.testing.assert_allclose(gradient, slope, rtol=2e-6, atol=2e-7, err_msg=layer)


# Rows of three, and what is done with them.
ROWS = {
    "ties": [[1.0, 3, 3], [2, 2, 2]],
    "nan": [[1.0, NAN, 3], [NAN, NAN, 1]],
    "infinities": [[INF, 1, 2], [-INF, INF, 0]],
    "minus infinities": [[-INF, -INF, -INF], [-INF, 0, 1]],
    "plus infinities": [[INF, INF, 1.0], [INF, -INF, NAN]],
    "zeros": [[0.0, 0, 0], [0.0, 2, 3]],
    "single zeros": [[2.0, 0, 3], [0.0, 0, 5]],
    "zeros of both signs": [[-0.0, 0.0, -0.0], [-0.0, -0.0, -0.0]],
    "signs": [[-2.0, -3.0, 4.0], [-1.0, 1.0, 1.0]],
    "nothing": np.zeros((2, 0)),
    "no rows": np.zeros((0, 3)),
    "single": [[5.0], [-1.0]],
    "single nan": [[5.0], [NAN]],
}
REDUCTIONS = {
    **{
        name: lambda m, x, name=name: getattr(m, name)(x, 1)
        for name in (
            "sum", "mean", "prod", "std", "var", "amax", "amin", "softmax", "log_softmax", "logsumexp",
            "cumsum", "nansum", "nanmean", "argmax", "argmin", "any", "all",
        )
    },
    **{
        f"{name} of all": lambda m, x, name=name: getattr(m, name)(x)
        for name in (
            "sum", "mean", "prod", "std", "var", "amax", "amin", "max", "min", "median", "norm",
            "argmax", "argmin",
        )
    },
    **{f"norm {p}": lambda m, x, p=p: m.norm(x, p, 1) for p in (0, 0.5, 1, 1.5, 2, 3, -1, -2, INF, -INF)},
    **{
        f"normalize {p}": lambda m, x, p=p: F(m).normalize(x, p=p, dim=1) for p in (1, 1.5, 2, 3, INF)
    },
    "max": lambda m, x: m.max(x, 1).values,
    "max, index": lambda m, x: m.max(x, 1).indices,
    "min": lambda m, x: m.min(x, 1).values,
    "median": lambda m, x: m.median(x, 1).values,
    "median, index": lambda m, x: m.median(x, 1).indices,
    "quantile": lambda m, x: m.quantile(x, 0.4, 1),
    "quantile of all": lambda m, x: m.quantile(x, 0.4),
    "sort": lambda m, x: m.sort(x, 1).values,
    "diff": lambda m, x: m.diff(x),
    "cov": lambda m, x: m.cov(x),
    "corrcoef": lambda m, x: m.corrcoef(x),
    "softmin": lambda m, x: F(m).softmin(x, 1),
    "cosine_similarity": lambda m, x: F(m).cosine_similarity(x, x.flip(1), 1),
    "pairwise_distance": lambda m, x: F(m).pairwise_distance(x, x.flip(1)),
    "pairwise_distance of equals": lambda m, x: F(m).pairwise_distance(x, x, eps=0.0),
    "cdist": lambda m, x: m.cdist(x, x.flip(1)),
    "cdist 1": lambda m, x: m.cdist(x, x.flip(1), p=1.0),
    "cdist 3": lambda m, x: m.cdist(x, x.flip(1), p=3.0),
    "cdist inf": lambda m, x: m.cdist(x, x.flip(1), p=INF),
    "cdist 0": lambda m, x: m.cdist(x, x.flip(1), p=0.0),
    "cross_entropy": lambda m, x: F(m).cross_entropy(x, m.zeros(x.shape[0], dtype=m.int64), reduction="none"),
    "cross_entropy, mean": lambda m, x: F(m).cross_entropy(x, m.full((x.shape[0],), x.shape[1] - 1)),
    "cross_entropy, smooth": lambda m, x: F(m).cross_entropy(
        x, m.zeros(x.shape[0], dtype=m.int64), label_smoothing=0.1
    ),
    "nll_loss": lambda m, x: F(m).nll_loss(x, m.zeros(x.shape[0], dtype=m.int64)),
    "mse_loss": lambda m, x: F(m).mse_loss(x, m.zeros_like(x)),
    "huber_loss": lambda m, x: F(m).huber_loss(x, m.zeros_like(x)),
}  # fmt: skip
# Not compared: what PyTorch gives there depends on its algorithm, or is no number where there is one.
# docs/numerics.md says what cnnx does.
OWN = {
    ("prod", "nan", 1), ("prod", "plus infinities", 1), ("prod", "single nan", 1),
    ("prod of all", "plus infinities", 1), ("prod of all", "single nan", 1),
    # A NaN passes its gradient on as ties do.
    ("amax", "nan", 1), ("amin", "nan", 1), ("amax", "plus infinities", 1), ("amin", "plus infinities", 1),
    ("amax of all", "nan", 1), ("amin of all", "nan", 1), ("amax of all", "plus infinities", 1),
    ("amin of all", "plus infinities", 1), ("amax", "single nan", 1), ("amin", "single nan", 1),
    ("amax of all", "single nan", 1), ("amin of all", "single nan", 1),
    ("nanmean", "single nan", 1), ("quantile", "nan", 1),
    ("norm 0.5", "infinities", 1), ("norm 0.5", "minus infinities", 1),
    ("corrcoef", "nothing", 0), ("corrcoef", "nothing", 1),
    # Distances keep a NaN, and equal rows and infinite differences have no slope.
    ("cdist 1", "nan", 1), ("cdist 1", "infinities", 1), ("cdist 1", "minus infinities", 1),
    ("cdist 1", "plus infinities", 1), ("cdist 1", "single nan", 1),
    *((f"cdist {p}", rows, number) for p in ("inf", "0") for number in (0, 1)
      for rows in ("nan", "infinities", "minus infinities", "plus infinities", "single nan", "nothing")),
}  # fmt: skip


def outcome(m: Any, call: Any, rows: np.ndarray) -> list[np.ndarray] | str:
    x = tensor(rows, True) if m is cnnx else torch.tensor(rows, requires_grad=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            out = call(m, x)
    except (RuntimeError, IndexError, ValueError):
        return "error"
    if not out.requires_grad:
        return [out.detach().numpy()]
    out.backward(m.ones_like(out))
    gradient = m.zeros_like(x) if x.grad is None else x.grad
    return [out.detach().numpy(), gradient.detach().numpy()]


@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions(name):
    for kind, rows in ROWS.items():
        values = np.array(rows, np.float32)
        if border.DEVICE != "cpu" and kind == "nothing" and name.startswith(("cross_entropy", "nll_loss")):
            continue  # no class: an error, which a device raises later
        ours, theirs = (outcome(m, REDUCTIONS[name], values) for m in (cnnx, torch))
        if isinstance(ours, str) or isinstance(theirs, str):
            assert isinstance(ours, str) == isinstance(theirs, str), (
                f"{name} of {kind}: {ours}, PyTorch: {theirs}"
            )
            continue
        for number, (got, want) in enumerate(zip(ours, theirs, strict=True)):
            if (name, kind, number) not in OWN:
                what = f"{name} of {kind}: {'gradient' if number else 'value'}"
                np.testing.assert_allclose(got, want, rtol=2e-5, atol=2e-6, err_msg=what)


def test_functions_in_place():
    for name, arguments in (("sinh", ()), ("cosh", ()), ("logit", ()), ("logit", (1e-3,)), ("expm1", ())):
        x = np.array(POINTS, np.float32)
        expected = results(cnnx, lambda m, t, n=name, a=arguments: getattr(m, n)(t, *a), [x])
        got = results(cnnx, lambda m, t, n=name, a=arguments: getattr(t * 1, f"{n}_")(*a), [x])
        for one, other in zip(got, expected, strict=True):
            np.testing.assert_array_equal(one, other)
    for weight in (0.25, 0.75, 1.0):
        x, end = cnnx.tensor([1e8, -3.0]), cnnx.tensor([1.0, 5.0])
        expected = cnnx.lerp(x, end, weight).tolist()
        assert x.lerp_(end, weight).tolist() == expected
    assert cnnx.lerp(cnnx.tensor(1e8), cnnx.tensor(1.0), cnnx.tensor(1.0)).item() == 1


def test_own_rules():
    x = tensor(np.array([1.0, NAN, NAN], np.float32), True)
    x.amax().backward()
    assert array(x.grad).tolist() == [0, 0.5, 0.5]
    x = tensor(np.array([2.0, NAN, 3.0], np.float32), True)
    x.prod().backward()  # the product of the others
    np.testing.assert_array_equal(array(x.grad), [NAN, 6, NAN])
    assert math.isnan(cnnx.cdist(cnnx.tensor([[NAN, 1.0]]), cnnx.tensor([[0.0, 0.0]]), p=INF).item())
    rows = tensor(np.array([[1.0, 2.0], [1.0, 2.0]], np.float32), True)
    for p in (0.5, 1.0, 1.5, 2.0, 3.0, INF):
        rows.grad = None
        cnnx.cdist(rows, rows.detach(), p=p).diagonal().sum().backward()
        assert array(rows.grad).tolist() == [[0, 0], [0, 0]]


# Results that are ordinary numbers although squares, powers or sums on the way are not: as in float64.
LARGE = {
    "std": lambda m, x: m.std(x, 1),
    "std of all": lambda m, x: m.std(x),
    "std of columns": lambda m, x: m.std(x, 0, correction=0),
    "std_mean": lambda m, x: m.std_mean(x, 1)[0],
    "norm": lambda m, x: m.norm(x, 2, 1),
    "norm of columns": lambda m, x: m.norm(x, 2, 0),
    "norm 1.5": lambda m, x: m.norm(x, 1.5, 1),
    "norm 3": lambda m, x: m.norm(x, 3, 1),
    "norm -2": lambda m, x: m.norm(x, -2, 1),
    "vector_norm": lambda m, x: m.linalg.vector_norm(x, 2),
    "mean": lambda m, x: m.mean(x, 1),
    "mean of columns": lambda m, x: m.mean(x, 0),
    "mean of all": lambda m, x: m.mean(x),
    "normalize": lambda m, x: F(m).normalize(x, dim=1, eps=1e-44),
    "normalize 3": lambda m, x: F(m).normalize(x, p=3, dim=1, eps=1e-44),
    "cosine_similarity": lambda m, x: F(m).cosine_similarity(x, x.flip(1), 1, eps=1e-44),
    "pairwise_distance": lambda m, x: F(m).pairwise_distance(x, x.flip(1), eps=0.0),
    "cdist": lambda m, x: m.cdist(x, x.flip(1)),
    "cdist 3": lambda m, x: m.cdist(x, x.flip(1), p=3.0),
    "corrcoef": lambda m, x: m.corrcoef(x),
    "hypot": lambda m, x: m.hypot(x, x.flip(1)),
    "l1_loss": lambda m, x: F(m).l1_loss(x, m.zeros_like(x)),
    "logsumexp": lambda m, x: m.logsumexp(x, 1),
}


# Their results are ratios: norms have to fit, with their digits.
RATIOS = ("normalize", "normalize 3", "cosine_similarity", "corrcoef")


@pytest.mark.parametrize("size", [1e-42, 1e-35, 1e-20, 1, 1e20, 1e30, 1e38])
@pytest.mark.parametrize("name", LARGE)
def test_results_within_range(name, size):
    if name in RATIOS and size in (1e-42, 1e38):
        return
    rng = np.random.default_rng(4)
    for shape in ((3, 4), (5, 1000), (40, 33)):
        values = (rng.normal(size=shape) * 0.7 * size).astype(np.float32)
        if size == 1e38:
            values = np.clip(values, -1.7e38, 1.7e38)
        got, gradient = results(cnnx, LARGE[name], [values])
        want, slope = results(torch, LARGE[name], [values.astype(np.float64)])
        with np.errstate(all="ignore"):
            want, slope = want.astype(np.float32), slope.astype(np.float32)
        fits = np.isfinite(want)
        scale = np.abs(want[fits]).max(initial=0)  # as signs may cancel
        np.testing.assert_allclose(
            got[fits], want[fits], rtol=2e-5, atol=1e-5 * scale + 2e-44, err_msg=f"{name} {shape}"
        )
        # The gradient of a result that fits, where it fits itself; tiny arguments are known to a few
        # digits alone.
        if fits.all() and np.isfinite(slope).all() and size > 1e-40:
            bound = 2e-4 * np.abs(slope).max()
            np.testing.assert_allclose(
                gradient, slope, rtol=2e-4, atol=bound, err_msg=f"{name} {shape}: gradient"
            )


def test_high_norms_are_nearly_the_largest_element():
    for size in (1e-42, 1e-20, 1, 1e38):
        x = (np.array([[1, 0.5, -0.25], [0, -2, 2]]) * size).astype(np.float32)
        want = np.abs(x).max(1) * [1, 2 ** (1 / 50)]
        np.testing.assert_allclose(
            array(cnnx.norm(cnnx.tensor(x), 50, 1)), want, rtol=2e-3 if size < 1e-38 else 1e-6
        )
        got = cnnx.cdist(cnnx.tensor(x), cnnx.zeros(1, 3), p=50)
        np.testing.assert_allclose(array(got)[:, 0], want, rtol=2e-3 if size < 1e-38 else 1e-6)


def test_sums_of_both_signs_do_not_overflow():
    for count in (3, 99, 30_001):
        x = np.full(count, 3e38, np.float32)
        x[1::2] = -3e38
        assert cnnx.tensor(x).sum().item() == np.float32(3e38)
        assert cnnx.tensor(x).mean().item() == pytest.approx(3e38 / count, rel=1e-6)
        np.testing.assert_array_equal(
            array(cnnx.tensor(np.stack([x, -x], 1)).sum(0)), np.float32([3e38, -3e38])
        )
    squares = cnnx.full((1000,), 1e19) ** 2
    assert squares.mean().item() == pytest.approx(1e38, rel=1e-5)
    assert F(cnnx).mse_loss(cnnx.full((1000,), 1e19), cnnx.zeros(1000)).item() == pytest.approx(
        1e38, rel=1e-5
    )
    assert cnnx.full((5,), INF).sum().item() == INF
    assert math.isnan(cnnx.tensor([INF, -INF]).sum().item())
    large = cnnx.full((2,), 3e38, requires_grad=True)
    F(cnnx).mse_loss(large, cnnx.zeros(2)).backward()
    np.testing.assert_allclose(array(large.grad), 3e38, rtol=1e-6)


def test_nothing_at_all():
    nothing = cnnx.zeros(0)
    assert math.isnan(nothing.median().item())
    assert math.isnan(nothing.mean().item())
    assert nothing.sum().item() == 0
    assert nothing.norm().item() == 0
    for call in (
        nothing.max,
        nothing.min,
        nothing.argmax,
        nothing.argmin,
        cnnx.zeros(0, dtype=cnnx.int64).median,
    ):
        with pytest.raises((RuntimeError, ValueError, IndexError)):
            call()
    with pytest.raises(RuntimeError, match="quantile: there is none of no elements"):
        cnnx.quantile(nothing, 0.5)
    with pytest.raises(RuntimeError, match="norm: there is no norm with p = -1 of no elements"):
        nothing.norm(-1)
