"""Element-wise work, reductions, random numbers and indexing on a CUDA device beside the CPU.

Needs a device, or the emulation.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import cnnx
import cnnx.nn.functional as F
from functions import ACTIVATIONS, BOUNDS, UNARY, label

pytestmark = pytest.mark.skipif(not cnnx.cuda.is_available(), reason="no CUDA device")

DTYPES = [np.float32, np.float64, np.int64, np.int32, np.uint8, np.bool_]


def array(dtype, *shape: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return rng.normal(size=shape, scale=2).astype(dtype)
    if dtype is np.bool_:
        return rng.integers(0, 2, size=shape).astype(dtype)
    return rng.integers(0 if dtype is np.uint8 else -9, 10, size=shape).astype(dtype)


def compare(function, *arrays, gradients: bool = True, exact: bool = False, tolerance: float | None = None):
    """Calls `function` with the arrays as tensors of each device; results and gradients must agree."""
    results = {}
    for device in ("cpu", "cuda"):
        tensors = [cnnx.tensor(a).to(device) for a in arrays]
        if gradients:
            for t in tensors:
                if t.dtype.is_floating_point:
                    t.requires_grad_()
        out = function(*tensors)
        outs = list(out) if isinstance(out, (tuple, list)) else [out]
        assert all(o.device.type == device for o in outs)
        found = [o.detach().cpu().numpy() for o in outs]
        if gradients and outs[0].requires_grad:
            weights = np.random.default_rng(5).normal(size=outs[0].shape)
            outs[0].backward(cnnx.tensor(np.asarray(weights, found[0].dtype)).to(device))
            found += [t.grad.cpu().numpy() for t in tensors if t.grad is not None]
        results[device] = found
    assert len(results["cpu"]) == len(results["cuda"])
    for one, other in zip(results["cpu"], results["cuda"], strict=True):
        assert one.dtype == other.dtype
        assert one.shape == other.shape
        if exact or one.dtype.kind != "f":
            np.testing.assert_array_equal(other, one)
        else:
            limit = tolerance or (1e-5 if one.dtype == np.float32 else 1e-12)
            finite = np.abs(one[np.isfinite(one)])
            scale = max(1.0, float(finite.max(initial=0)))
            np.testing.assert_allclose(other, one, rtol=limit, atol=limit * scale)


SPECIAL = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 1.5, 2.5, -0.5, -3, 3, 30, -30, 1e-8])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", UNARY)
def test_unary(name: str, dtype) -> None:
    function = getattr(cnnx, name)
    for shape in [(), (0,), (1,), (3,), (5, 103)]:
        compare(function, np.abs(array(dtype, *shape)) + dtype(0.1))
        if name not in BOUNDS:
            compare(function, array(dtype, *shape))
    compare(function, SPECIAL.astype(dtype), gradients=False)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("activation", ACTIVATIONS, ids=label)
def test_activation(activation, dtype) -> None:
    compare(lambda t: activation(F, t), array(dtype, 4, 65))


def test_powers_and_bounds() -> None:
    x = np.abs(array(np.float32, 6, 7)) + np.float32(0.5)
    for exponent in (0, 0.5, 1, 2, 3, -1, 2.5):
        compare(lambda t, e=exponent: t**e, x)
    compare(lambda t: t.clamp(-1, 1.5), array(np.float32, 6, 7))
    for dtype in (np.int64, np.int32, np.uint8):
        values = array(dtype, 5, 5)
        for function in (cnnx.neg, cnnx.abs, cnnx.sign, cnnx.square, cnnx.relu, lambda t: t.clamp(2, 5)):
            compare(function, values)


ARITHMETIC = {
    "add": lambda a, b: a + b,
    "mul": lambda a, b: a * b,
    "sub": lambda a, b: a - b,
    "div": lambda a, b: a / b,
    "maximum": cnnx.maximum,
    "minimum": cnnx.minimum,
    "remainder": lambda a, b: a % b,
    "floor_divide": lambda a, b: a // b,
    "fmod": cnnx.fmod,
    "trunc": lambda a, b: cnnx.div(a, b, rounding_mode="trunc"),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", list(ARITHMETIC))
def test_arithmetic(name: str, dtype) -> None:
    if dtype is np.bool_ and name not in ("add", "mul", "maximum", "minimum"):
        return
    function = ARITHMETIC[name]
    shapes = [((), ()), ((0, 3), (3,)), ((7,), (7,)), ((4, 3, 5), (3, 1)), ((2, 1, 4), (3, 1)), ((130,), ())]
    for left, right in shapes:
        b = array(dtype, *right, seed=1)
        if name in ("div", "remainder", "floor_divide", "fmod", "trunc"):
            b = np.where(b == 0, np.ones_like(b), b)
        compare(function, array(dtype, *left), b)
        if dtype is not np.bool_:
            compare(lambda a: function(a, 3), array(dtype, *left))
            compare(lambda a: function(3, a) if name not in ("maximum", "minimum", "fmod", "trunc") else a, b)


def test_arithmetic_of_special_numbers() -> None:
    pairs = np.array(list(itertools.product(SPECIAL, SPECIAL)))
    for dtype in (np.float32, np.float64):
        a, b = pairs[:, 0].astype(dtype), pairs[:, 1].astype(dtype)
        for name in ("add", "sub", "mul", "div", "maximum", "minimum", "remainder", "floor_divide", "fmod"):
            compare(ARITHMETIC[name], a, b, gradients=False, exact=True)
        for function in (cnnx.eq, cnnx.ne, cnnx.lt, cnnx.le, cnnx.gt, cnnx.ge):
            compare(function, a, b)


def test_hypot_and_xlogy() -> None:
    pairs = np.array(list(itertools.product(SPECIAL, SPECIAL)))
    for dtype in (np.float32, np.float64):
        a, b = pairs[:, 0].astype(dtype), pairs[:, 1].astype(dtype)
        for function in (cnnx.hypot, cnnx.xlogy, cnnx.fmax, cnnx.fmin, cnnx.logaddexp):
            compare(function, a, b, gradients=False)
            compare(function, np.abs(array(dtype, 5, 1)), np.abs(array(dtype, 3, seed=1)))
        compare(lambda x, y: x**y, np.abs(array(dtype, 40)) + dtype(0.1), array(dtype, 40, seed=1))
    compare(lambda x, y: cnnx.hypot(x, y), np.float32([1e30, 3e-42]), np.float32([-2e30, 4e-42]))
    compare(lambda x, low: x.clamp(low, 1.5), array(np.float32, 6, 7), array(np.float32, 7, seed=1))


def test_gradients_of_special_values() -> None:
    """At kinks, NaN and the ends, where a formula in other words could give NaN for 0."""
    x = np.array([*SPECIAL, 6, -1, 1, 1e30, -1e30, 3e38, 1e-38, 1e-3, 88.8, -88.8])
    functions = [lambda t, a=a: a(F, t) for a in ACTIVATIONS if a.name not in ("tanh", "sigmoid")]
    functions += [getattr(cnnx, name) for name in UNARY if name not in ("tanh", "sigmoid")]
    functions += [lambda t, p=p: t**p for p in (-3, -2, 0, 0.5, 1, 2, 3)]
    for dtype in (np.float32, np.float64):
        for function in functions:
            gradients = {}
            for device in ("cpu", "cuda"):
                t = cnnx.tensor(x.astype(dtype)).to(device).requires_grad_()
                function(t).backward(cnnx.ones(x.size, dtype=t.dtype, device=device))
                gradients[device] = t.grad.cpu().numpy()
            np.testing.assert_allclose(gradients["cuda"], gradients["cpu"], rtol=1e-4, atol=1e-6)


def test_results_within_range() -> None:
    """Sums, deviations and norms whose terms or squares are too large or too small for a float."""
    for size in (1e-42, 1e-30, 1e30, 1.7e38):
        for shape in ((3, 5), (40, 33), (2, 9001), (1300, 3)):
            x = (np.random.default_rng(0).uniform(-1, 1, size=shape) * size).astype(np.float32)
            for dim in (0, 1):
                for function in (cnnx.std, lambda t, d: t.norm(2, d), lambda t, d: t.norm(3, d), cnnx.mean):
                    one, other = (function(cnnx.tensor(x).to(d), dim).cpu().numpy() for d in ("cpu", "cuda"))
                    np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-6 * size)
    assert cnnx.tensor([3e38, 3e38, -3e38]).to("cuda").sum().item() == np.float32(3e38)
    assert cnnx.full((9000,), 1e38).to("cuda").mean().item() == pytest.approx(1e38, rel=1e-6)
    assert cnnx.full((9000, 2), 0.1).to("cuda").std(0).tolist() == [0, 0]
    large = cnnx.full((300,), 1e19).to("cuda")
    assert F.mse_loss(large, large * 0).item() == pytest.approx(1e38, rel=1e-5)


@pytest.mark.parametrize("p", [0, 0.5, 1, 1.5, 2, 3, np.inf])
def test_distances(p) -> None:
    for dtype in (np.float32, np.float64):
        for left, right in (
            ((5, 7), (3, 7)),
            ((1, 1), (1, 1)),
            ((2, 4, 33), (5, 33)),
            ((4, 70), (3, 2, 70)),
            ((3, 0), (2, 0)),
        ):
            x, y = array(dtype, *left), array(dtype, *right, seed=1)
            y[..., 0, :] = x[..., 0, :] if x.shape[:-2] == y.shape[:-2] else y[..., 0, :]
            compare(lambda a, b: cnnx.cdist(a, b, p=p), x, y, gradients=p != 0.5 or dtype is np.float64)
    for size in (1e-42, 1e-30, 1e30):
        rows = array(np.float32, 4, 9) * np.float32(size)
        one, other = (cnnx.cdist(*[cnnx.tensor(rows).to(d)] * 2, p=p).cpu().numpy() for d in ("cpu", "cuda"))
        np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-44)


def test_integers_wrap_and_refuse_zero() -> None:
    lowest = np.array([-(2**63), 2**63 - 1, -1, 5], np.int64)
    for right in (-1, 3, -3):
        for name in ("add", "sub", "mul", "remainder", "floor_divide", "fmod", "trunc"):
            compare(lambda a: ARITHMETIC[name](a, right), lowest)  # noqa: B023
    compare(lambda a, b: a**b, np.array([2, -1, -1, 1, 3, 0]), np.array([70, 3, -3, -2, -1, 0]))
    x = cnnx.tensor([1, 2, 3]).to("cuda")
    for divisor in (0, cnnx.tensor([1, 0, 1]).to("cuda")):
        with pytest.raises(RuntimeError, match="integer division by zero"):
            x // divisor


@pytest.mark.parametrize("dtype", DTYPES)
def test_comparisons_bits_and_tests(dtype) -> None:
    a, b = array(dtype, 3, 1, 35), array(dtype, 4, 35, seed=1)
    for function in (cnnx.eq, cnnx.ne, cnnx.lt, cnnx.le, cnnx.gt, cnnx.ge):
        compare(function, a, b)
        compare(lambda t: function(t, 1), a)  # noqa: B023
    for function in (cnnx.logical_and, cnnx.logical_or, cnnx.logical_xor):
        compare(function, a, b)
    for function in (cnnx.logical_not, cnnx.isnan, cnnx.isinf, cnnx.isfinite):
        compare(function, a)
    if np.dtype(dtype).kind != "f":
        for function in (cnnx.bitwise_and, cnnx.bitwise_or, cnnx.bitwise_xor):
            compare(function, a, b)
        compare(cnnx.bitwise_not, a)


@pytest.mark.parametrize("dtype", DTYPES)
def test_where(dtype) -> None:
    a, b = array(dtype, 4, 1, 6), array(dtype, 3, 1, seed=1)
    condition = array(np.bool_, 3, 6)
    compare(lambda c, x, y: cnnx.where(c, x, y), condition, a, b)
    compare(lambda c, x: cnnx.where(c, x, 1), condition, a)
    compare(lambda c, x: x.masked_fill(c, 1), condition, array(dtype, 2, 3, 6))


@pytest.mark.parametrize("source", DTYPES)
@pytest.mark.parametrize("target", ["float32", "float64", "int64", "int32", "uint8", "bool"])
def test_conversions(source, target: str) -> None:
    values = array(source, 5, 7)
    if np.dtype(source).kind == "f" and target != "uint8":
        values[0, :3] = [-2.7, 2.7, 0.2]
    dtype = getattr(cnnx, target)
    compare(lambda t: t.to(dtype), values, gradients=False)
    compare(lambda t: t.t().to(dtype), values, gradients=False)
    compare(lambda t: t[::2, 1::3].to(dtype), values, gradients=False)


def test_strided_copies() -> None:
    for dtype in DTYPES:
        compare(
            lambda t: t.permute(7, 1, 3, 5, 0, 2, 4, 6).contiguous(), array(dtype, 2, 3, 1, 2, 3, 2, 1, 3)
        )
        compare(lambda t: t.transpose(1, 2).contiguous(), array(dtype, 3, 37, 41))  # by tiles
        compare(lambda t: t.t().contiguous(), array(dtype, 70, 33))
        compare(lambda t: t.flip(0, 2).contiguous(), array(dtype, 3, 4, 5))
    compare(lambda t: t.transpose(0, 1).reshape(-1) * 2, array(np.float32, 6, 5))
    compare(lambda t: t.expand(4, 3, 5) + 1, array(np.float32, 3, 1))
    compare(lambda t: t.roll(2, 0).repeat(2, 3), array(np.float32, 5, 3))
    compare(lambda a, b: cnnx.cat([a, b, a], 1), array(np.float32, 2, 3), array(np.float32, 2, 4))
    compare(lambda a, b: cnnx.stack([a, b], 1), array(np.float32, 2, 3), array(np.float32, 2, 3, seed=2))
    compare(lambda t: cnnx.tril(t) + cnnx.triu(t, 1), array(np.float32, 2, 5, 7))


def test_in_place() -> None:
    def change(a, b):
        x = a * 1
        x += b
        x -= 2
        x *= b
        x /= 3
        x.add_(b, alpha=0.5)
        x.relu_()
        x.clamp_(0, 4)
        x.t()[1].detach().fill_(7)
        x.copy_(x + 1)
        return x

    compare(change, array(np.float32, 5, 5), array(np.float32, 5), gradients=False)

    def recorded(a, b):
        x = a * 1
        x += b
        x.mul_(b)
        x.relu_()
        return x

    compare(recorded, array(np.float32, 5, 5), array(np.float32, 5))
    x = cnnx.zeros(4, 6, dtype=cnnx.int32, device="cuda")
    x[:, ::2].fill_(3)
    x[:, 1::2] += 2
    assert x.sum().item() == 60


REDUCED = [
    ((), None), ((0,), None), ((1,), 0), ((10, 3), 1), ((3, 10), 0), ((5, 7, 9), (0, 2)), ((5, 7, 9), 1),
    ((2, 1025), 1), ((1, 20000), 1), ((20001,), None), ((1100, 3), 0), ((2, 600, 40), 1),
]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "dim"), REDUCED)
def test_reductions(shape, dim, dtype) -> None:
    values = array(dtype, *shape)
    arguments = {} if dim is None else {"dim": dim}
    tolerance = 1e-5 if dtype is np.float32 else None
    is_float = np.dtype(dtype).kind == "f"
    compare(lambda t: t.sum(**arguments), values, tolerance=tolerance)
    if is_float:
        compare(
            lambda t: t.mean(**arguments, keepdim=True) if arguments else t.mean(),
            values,
            tolerance=tolerance,
        )
        compare(lambda t: cnnx.sum(t * t, **arguments).sqrt(), values, gradients=False)
    compare(lambda t: cnnx.any(t > 1, **arguments), values)
    compare(lambda t: cnnx.all(t > -7, **arguments), values)
    if 0 in shape:
        return
    compare(lambda t: cnnx.amax(t, **arguments), values)
    compare(lambda t: cnnx.amin(t, **arguments), values)
    if not isinstance(dim, tuple):
        compare(lambda t: cnnx.argmax(t, **arguments), values)
        compare(lambda t: cnnx.argmin(t, **arguments), values)
    if isinstance(dim, int) and shape:
        compare(lambda t: tuple(t.max(dim)), values)
        compare(lambda t: tuple(t.min(dim, keepdim=True)), values)
        compare(lambda t: t.cumsum(dim), values, tolerance=tolerance)


def test_other_reductions() -> None:
    x = array(np.float64, 4, 5, 3)
    x[1, 2, 0] = 0
    for dim in (0, 1, 2):
        compare(lambda t, d=dim: t.prod(d), x)
        compare(lambda t, d=dim: t.std(d), x)
        compare(lambda t, d=dim: t.var(d), x)
        compare(
            lambda t, d=dim: cnnx.linalg.vector_norm(t, dim=d) if hasattr(cnnx, "linalg") else t.norm(dim=d),
            x,
        )
    with_nan = array(np.float32, 3, 40)
    with_nan[1, 7] = with_nan[1, 9] = np.nan
    compare(lambda t: tuple(t.max(1)), with_nan, gradients=False)
    compare(lambda t: cnnx.argmin(t, 1), with_nan, gradients=False)
    ties = np.zeros((2, 2000), np.float32)
    ties[:, [70, 71, 1500]] = 1
    compare(lambda t: cnnx.argmax(t, 1), ties, gradients=False)


@pytest.mark.parametrize(
    "shape, dim",
    [((20011,), 0), ((3, 9001), 1), ((1300, 3), 0), ((2, 700, 2), 1), ((70001, 1), 0), ((300001, 2), 0)],
)
def test_long_lines_are_cut(shape, dim) -> None:
    """A few long lines: chunks of them, whose totals and extremes meet in a second launch."""
    x = array(np.float64, *shape)
    compare(lambda t: t.cumsum(dim), x, tolerance=1e-10)
    compare(lambda t: t.cumsum(dim), np.round(x * 10).astype(np.int32), exact=True)
    coarse = np.round(x * 2)  # the extremes appear in many chunks: the first one counts
    for values in (coarse, coarse.astype(np.float32), coarse.astype(np.int64)):
        compare(lambda t: cnnx.argmax(t, dim), values, gradients=False)
        compare(lambda t: cnnx.argmin(t, dim), values, gradients=False)
    coarse[tuple(n * 2 // 3 for n in shape)] = np.nan
    compare(lambda t: cnnx.argmax(t, dim), coarse, gradients=False)


def test_sorting_and_counting() -> None:
    x = array(np.float32, 3, 50)
    x[0, 3] = np.nan
    x[1, 5] = x[1, 9]
    for descending in (False, True):
        compare(lambda t: tuple(cnnx.sort(t, 1, descending)), x)  # noqa: B023
    compare(lambda t: tuple(cnnx.topk(t, 4, 0)), array(np.float32, 7, 3))
    compare(lambda t: cnnx.bincount(t, minlength=12), np.array([3, 1, 3, 0, 7]))
    compare(lambda t: F.one_hot(t), np.array([[3, 1], [0, 2]]))
    compare(lambda t: F.one_hot(t, 6), np.array([3, 1]))
    with pytest.raises(RuntimeError, match="one_hot"):
        F.one_hot(cnnx.tensor([3, -1]).to("cuda"), 6)
    for dtype in DTYPES:
        compare(lambda t: cnnx.nonzero(t), array(dtype, 3, 4, 5))
    compare(lambda t: cnnx.nonzero(t), np.zeros((3, 4)), gradients=False)


def test_indexing() -> None:
    x = array(np.float32, 5, 4, 6)
    i, j = np.array([[0, -1, 2], [4, 0, 0]]), np.array([1, 1, -2])
    compare(lambda t, a: t[a], x, i)
    compare(lambda t, a: t[:, a], x, j)
    compare(lambda t, a, b: t[a, b], x, i, j)
    compare(lambda t, a, b: t[a, :, b], x, i, j)
    compare(lambda t, a, b: t.transpose(0, 2)[1:, a, b], x, i % 4, j)
    compare(lambda t: t[[1, 1, 0]], x)
    compare(lambda t, m: t[m], x, array(np.bool_, 5, 4))
    compare(lambda t, m: t[:, m, 2], x, array(np.bool_, 4))
    compare(lambda t, m: cnnx.masked_select(t, m), x, array(np.bool_, 4, 1))
    compare(lambda t, a: cnnx.index_select(t, 2, a), x, np.array([5, 0, 5]))
    compare(lambda t: t[2, 1:, ::2], x)
    with pytest.raises(IndexError, match="index: 5 is out of range for dimension 0"):
        cnnx.tensor(x).to("cuda")[cnnx.tensor([0, 5]).to("cuda")]
    with pytest.raises(IndexError, match="gather: index -1"):
        cnnx.gather(cnnx.tensor(x).to("cuda"), 0, cnnx.tensor([[[-1]]]).to("cuda"))


def test_assignment() -> None:
    x, value = array(np.float32, 5, 4, 6), array(np.float32, 3, 6)
    i, j = np.array([0, 2, 0]), np.array([1, 1, 1])

    def put(t, v, a, b):
        y = t * 1
        y[a, b] = v
        y[a] = 3
        y[:, 0, 1:3] = v[0, :2]
        return y

    compare(put, x, value, i, j)

    def masked(t, m):
        y = t * 1
        y[m] = 5
        y[y < 0] = 0
        y[m] = y[m] + 1
        return y

    compare(masked, x, array(np.bool_, 5, 4))
    whole = np.round(x * 8)  # sums of small integers are exact in any order
    compare(lambda t, a: t[a].sum(1), whole, np.array([1, 1, 1, 0, 1]), exact=True)


def test_gather_and_scatter() -> None:
    x = array(np.float32, 4, 5)
    index = np.array([[0, 4, 4], [1, 1, 1], [2, 0, 2]])
    source = array(np.float32, 3, 5, seed=3)
    compare(lambda t, a: cnnx.gather(t, 1, a), x, index)
    compare(lambda t, a: cnnx.gather(t.t(), 0, a), x, index)
    compare(lambda t, a, s: cnnx.scatter_add(t, 1, a, s), x, index, source, exact=True)
    compare(lambda t, a, s: cnnx.scatter(t, 1, a, s), x, index, source)
    compare(lambda t, a: cnnx.scatter(t, 1, a, 2.5), x, index)
    compare(
        lambda t, a, s: cnnx.scatter_add(t, 0, a, s),
        array(np.int32, 9),
        np.array([8, 0, 8]),
        array(np.int32, 3),
    )


@pytest.mark.parametrize("lines, taken, extent", [(1, 1000, 37), (1, 512, 700), (3, 600, 5), (600, 70, 11)])
def test_scatter_along_few_long_lines(lines, taken, extent) -> None:
    """Values that fall on one element are added in their order, and the last one stays where they are not."""
    x = array(np.float32, lines, extent)
    index = np.random.default_rng(2).integers(0, extent, (lines, taken))
    source = array(np.float32, lines, taken, seed=3)
    compare(lambda t, a, s: cnnx.scatter_add(t, 1, a, s), x, index, source, exact=True)
    compare(lambda t, a, s: cnnx.scatter_add(t, 0, a.t(), s.t()), x.T, index, source, exact=True)
    compare(lambda t, a, s: cnnx.scatter(t, 1, a, s), x, index, source, gradients=False, exact=True)
    compare(lambda t, a, s: cnnx.scatter_add(t, 1, a, s), x > 0, index, source > 1, exact=True)


@pytest.mark.parametrize("dtype", [cnnx.float32, cnnx.float64])
def test_random_numbers_are_those_of_the_cpu(dtype) -> None:
    found = {}
    for device in ("cpu", "cuda"):
        cnnx.manual_seed(7)
        uniform = cnnx.empty(7, 31, dtype=dtype).to(device).uniform_(-1, 2)
        columns = cnnx.zeros(5, 6, dtype=dtype).to(device)
        columns[:, ::2].uniform_(3, 4)
        columns[1:].view(-1)[1:14].uniform_(4, 5)  # not where packs begin
        normal = cnnx.empty(101, dtype=dtype).to(device).normal_(1, 3)
        kept = cnnx.empty(50, dtype=dtype).to(device).bernoulli_(0.3)
        found[device] = [t.cpu().numpy() for t in (uniform, columns, kept, normal)]
    for one, other in zip(found["cpu"][:3], found["cuda"][:3], strict=True):
        np.testing.assert_array_equal(other, one)
    np.testing.assert_allclose(
        found["cuda"][3], found["cpu"][3], rtol=3e-7 if dtype is cnnx.float32 else 1e-14
    )


def test_creation() -> None:
    from cnnx import _C

    for dtype in (cnnx.float32, cnnx.float64, cnnx.int64, cnnx.int32, cnnx.uint8):
        for name, arguments in {
            "arange": [(0, 10, 3), (0.5, 7.5, 0.7), (5, 1, -1)],
            "linspace": [(0.0, 5.0, 1), (1.0, 2.0, 37), (3.0, 0.0, 0)],
            "eye": [(4, 7), (5, 2), (0, 3)],
            "full": [((3, 2), 2.0), ((5,), 7)],
            "zeros": [((3, 0),), ((17,),)],
        }.items():
            for a in arguments:
                one, other = getattr(_C, name)(*a, dtype), getattr(_C, name)(*a, dtype, device="cuda")
                assert other.is_cuda
                np.testing.assert_array_equal(other.cpu().numpy(), one.numpy())
    cnnx.manual_seed(1)
    one = _C.randperm(50)
    cnnx.manual_seed(1)
    np.testing.assert_array_equal(_C.randperm(50, device="cuda").cpu().numpy(), one.numpy())


def test_numbers_from_the_cpu() -> None:
    """A 0-dimensional CPU tensor goes with tensors of any device."""
    x, scale = cnnx.ones(3, device="cuda"), cnnx.tensor(2.0, requires_grad=True)
    y = (x * scale + scale) / scale
    assert y.tolist() == [2, 2, 2]
    y = x * scale
    y.sum().backward()
    assert scale.grad.device.type == "cpu"
    assert scale.grad.item() == 3
    assert cnnx.where(x > 0, scale, x).tolist() == [2, 2, 2]
    for function in (
        lambda a, b: a + b,
        cnnx.eq,
        lambda a, b: cnnx.where(a > 0, a, b),
        lambda a, b: cnnx.cat([a, b]),
    ):
        with pytest.raises(RuntimeError, match=r"cuda:0.*cpu|cpu.*cuda:0"):
            function(x, cnnx.ones(3))
