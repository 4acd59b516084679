"""Element-wise ops against NumPy, PyTorch and finite differences."""

from __future__ import annotations

import numpy as np
import pytest

from cnnx import _C
from drawn import given, hnp, st
from functions import BOUNDS, FEWER_DIGITS, KEEPS_INTEGERS, UNARY, arguments
from oracles import (
    array,
    assert_gradient_matches_differences,
    assert_gradients_match_torch,
    assert_same,
    tensor,
)

BINARY = ["add", "sub", "mul", "div", "pow", "maximum", "minimum", "remainder", "fmod", "floor_divide"]
COMPARISONS = ["eq", "ne", "lt", "le", "gt", "ge"]
SHAPES = [(), (1,), (7,), (3, 4, 5), (16, 3, 5, 5), (17, 2, 3), (0, 3)]
PAIRS = [
    ((3, 4), (3, 4)),
    ((3, 4), (4,)),
    ((3, 1), (1, 4)),
    ((5,), ()),
    ((), (5,)),
    ((1, 1, 1), (5,)),
    ((2, 3, 4), (3, 1)),
    ((16, 3, 5, 5), (3, 1, 1)),
    ((16, 3, 5, 5), (1, 3, 1, 1)),
    ((16, 3, 5, 5), (16, 1, 5, 1)),
    ((0, 3), (3,)),
    ((), ()),
]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", UNARY)
def test_unary_matches_torch(name, dtype, rng):
    torch = pytest.importorskip("torch")
    for shape in SHAPES:
        x = arguments(name, rng, shape).astype(dtype)
        tolerance = FEWER_DIGITS.get(name) if dtype == np.float64 else None
        assert_gradients_match_torch(
            getattr(_C, name), getattr(torch, name), [x], tolerance, what=f"{name} {shape}"
        )


@pytest.mark.parametrize("name", UNARY)
def test_unary_gradient_by_differences(name, rng):
    x = rng.uniform(*BOUNDS.get(name, (0.3, 2.3)), size=(2, 3))
    assert_gradient_matches_differences(getattr(_C, name), x)


@pytest.mark.parametrize("name", UNARY)
def test_unary_special_values(name):
    torch = pytest.importorskip("torch")
    x = np.array(
        [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-40, 3e38, -3e38, 0.5, 1.5, 2.5, -0.5, -1, -1.5, 100, -100]
    )
    for dtype in (np.float32, np.float64):
        with np.errstate(all="ignore"):
            values = x.astype(dtype)
        if name in {"sin", "cos"}:
            values = values[np.abs(values) < 1e30]
        assert_same(getattr(_C, name)(tensor(values)), getattr(torch, name)(torch.tensor(values)), what=name)


@pytest.mark.parametrize("name", UNARY)
@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8])
def test_unary_of_integers(name, dtype):
    torch = pytest.importorskip("torch")
    x = np.array([0, 1, 2, 3, 100], dtype) if dtype == np.uint8 else np.array([-3, -1, 0, 1, 2, 100], dtype)
    result = getattr(_C, name)(tensor(x))
    assert (array(result).dtype == dtype) == (name in KEEPS_INTEGERS)
    assert_same(result, getattr(torch, name)(torch.tensor(x)), what=name)


def test_leaky_relu_and_clamp(rng):
    torch = pytest.importorskip("torch")
    for dtype in (np.float32, np.float64):
        x = rng.normal(size=(16, 3, 5, 5)).astype(dtype)
        x[0, 0, 0, 0] = np.nan
        assert_gradients_match_torch(
            lambda t: _C.leaky_relu(t, 0.1), lambda t: torch.nn.functional.leaky_relu(t, 0.1), [x]
        )
        for low, high in [(-0.5, 0.5), (None, 0.25), (0.0, None), (1, -1)]:
            assert_gradients_match_torch(
                lambda t, a=low, b=high: _C.clamp(t, a, b), lambda t, a=low, b=high: torch.clamp(t, a, b), [x]
            )
    integers = np.arange(-5, 6)
    assert_same(_C.clamp(tensor(integers), -2, 3), np.clip(integers, -2, 3))
    assert_same(_C.clamp(tensor(integers), -1.5, None), np.clip(integers.astype(np.float32), -1.5, None))
    small = tensor(np.array([0, 7, 255], np.uint8))
    for bounds in ((300, None), (None, 300), (-300, 9)):
        with pytest.raises(RuntimeError, match="clamp: value cannot be converted to type uint8 without"):
            _C.clamp(small, *bounds)
    for value in (np.nan, np.inf, 1e30):
        with pytest.raises(RuntimeError, match="fill_: value cannot be converted to type int64"):
            _C.fill_(tensor(integers), value)
    bound = np.arange(11, dtype=np.int64)[::-1].copy()
    assert_same(_C.clamp(tensor(integers), tensor(bound), None), np.maximum(integers, bound))
    with pytest.raises(ValueError, match="clamp: needs min or max"):
        _C.clamp(tensor(integers), None, None)


@pytest.mark.parametrize("name", [name for name in BINARY if name != "floor_divide"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_binary_matches_torch(name, dtype, rng):
    torch = pytest.importorskip("torch")
    for a_shape, b_shape in PAIRS:
        a = np.array(rng.random(a_shape) * 3 + 0.1).astype(dtype)
        b = np.array(rng.random(b_shape) * 3 + 0.1).astype(dtype)
        assert_gradients_match_torch(
            getattr(_C, name), getattr(torch, name), [a, b], what=f"{name} {a_shape} {b_shape}"
        )


@pytest.mark.parametrize("name", BINARY)
def test_binary_special_values(name):
    torch = pytest.importorskip("torch")
    values = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 2.5, -2.5, 7.0])
    for dtype in (np.float32, np.float64):
        a = values.astype(dtype)[:, None]
        b = values.astype(dtype)[None, :]
        assert_same(
            getattr(_C, name)(tensor(a), tensor(b)),
            getattr(torch, name)(torch.tensor(a), torch.tensor(b)),
            what=name,
        )


@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_ties_share_the_gradient(name):
    torch = pytest.importorskip("torch")
    a = np.array([1.0, 2.0, 3.0, np.nan])
    b = np.array([1.0, 3.0, 2.0, 1.0])
    assert_gradients_match_torch(getattr(_C, name), getattr(torch, name), [a, b])


@pytest.mark.parametrize("name", BINARY + COMPARISONS)
def test_type_promotion_matches_torch(name, rng):
    torch = pytest.importorskip("torch")
    arrays = [
        np.array([1.0, 2.0, 3.0], np.float32),
        np.array([1.0, 2.0, 3.0], np.float64),
        np.array([1, 2, 3], np.int64),
        np.array([1, 2, 3], np.int32),
        np.array([1, 2, 3], np.uint8),
        np.array([True, True, False]),
        np.array(2.0, np.float64),
        np.array(2.0, np.float32),
        np.array(2, np.int64),
    ]
    operands = [*arrays, 2.5, 2, True]

    def convert(value, make):
        return make(value) if isinstance(value, np.ndarray) else value

    for a in operands:
        for b in operands:
            if not isinstance(a, np.ndarray) and not isinstance(b, np.ndarray):
                continue
            both_bool = all(v is True or v is arrays[5] for v in (a, b))
            if both_bool and name in {"pow", "remainder", "fmod", "floor_divide"}:
                continue  # PyTorch's answers differ from op to op; refused here
            what = f"{name} {getattr(a, 'dtype', a)} {getattr(b, 'dtype', b)}"
            try:
                expected = getattr(torch, name)(convert(a, torch.tensor), convert(b, torch.tensor))
            except (RuntimeError, TypeError):
                continue  # PyTorch's domain is smaller: bool subtraction, numbers first, zero divisors
            assert_same(getattr(_C, name)(convert(a, tensor), convert(b, tensor)), expected, what=what)


def test_number_on_the_left(rng):
    for dtype in (np.float32, np.float64, np.int64):
        x = np.array([1, 2, 4], dtype)
        assert_same(_C.sub(3, tensor(x)), (3 - x).astype(dtype))
        assert_same(_C.pow(2, tensor(x)), (2**x).astype(dtype))
    x = np.array([1, 2, 4], np.float64)
    assert_gradient_matches_differences(lambda t: _C.pow(2.5, t), x)
    assert_gradient_matches_differences(lambda t: _C.div(2.5, t), x)
    assert_gradient_matches_differences(lambda t: _C.sub(2.5, t), x)
    assert_same(_C.add(np.float32(0.5), tensor(x)), x + 0.5)


@pytest.mark.parametrize("exponent", [-3, -2, -1, -0.5, 0, 0.5, 1, 2, 3, 4, 5, 2.5])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_powers(exponent, dtype, rng):
    torch = pytest.importorskip("torch")
    x = (rng.random((3, 30)) * 2 + 0.2).astype(dtype)
    assert_gradients_match_torch(lambda t: _C.pow(t, exponent), lambda t: torch.pow(t, exponent), [x])


def test_integer_arithmetic_wraps_and_never_traps():
    low = np.iinfo(np.int64).min
    x = tensor(np.array([low, low, 5, -5]))
    assert_same(_C.floor_divide(x, -1), np.array([low, low, -5, 5]))
    assert_same(_C.remainder(x, -1), np.zeros(4, np.int64))
    assert_same(_C.remainder(x, 3), np.array([low, low, 5, -5]) % 3)
    assert_same(_C.neg(tensor(np.array([low]))), np.array([low]))
    assert_same(_C.add(tensor(np.array([250], np.uint8)), 10), np.array([4], np.uint8))
    assert_same(_C.div(tensor(np.array([7, -7])), 2, "trunc"), np.array([3, -3]))
    assert_same(_C.div(tensor(np.array([7, -7])), 2, "floor"), np.array([3, -4]))
    assert_same(_C.div(tensor(np.array([7.0, -7.0])), 2, "trunc"), np.array([3.0, -3.0]))
    for name in ("floor_divide", "remainder", "fmod"):
        with pytest.raises(RuntimeError, match=f"{name}: integer division by zero"):
            getattr(_C, name)(x, 0)
    with pytest.raises(RuntimeError, match="pow: integers to negative"):
        _C.pow(x, -1)


def test_bad_operands():
    x = tensor(np.zeros((2, 3), np.float32))
    with pytest.raises(RuntimeError, match=r"add: shapes \(2, 3\) and \(4,\) do not broadcast"):
        _C.add(x, tensor(np.zeros(4, np.float32)))
    with pytest.raises(TypeError, match="mul: needs at least one tensor"):
        _C.mul(2, 3)
    with pytest.raises(TypeError):
        _C.mul(x, None)
    with pytest.raises(TypeError):
        _C.mul(x, "two")
    with pytest.raises(TypeError):
        _C.exp(None)
    with pytest.raises(ValueError, match="rounding_mode"):
        _C.div(x, 2, "up")
    with pytest.raises(ValueError, match="64 bits"):
        _C.add(x, 2**70)
    with pytest.raises(TypeError, match="neg: is not defined for bool"):
        _C.neg(tensor(np.array([True])))
    with pytest.raises(TypeError, match="sub: is not defined for bool"):
        _C.sub(tensor(np.array([True])), True)
    with pytest.raises(TypeError, match="bitwise_and: needs bool or integer"):
        _C.bitwise_and(x, 1)
    with pytest.raises(TypeError, match="where: the condition must be a bool"):
        _C.where(x, x, x)


floats = st.floats(-100, 100, width=32)


@given(data=st.data(), shapes=hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=5))
def test_broadcasting_like_numpy(data, shapes):
    a = data.draw(hnp.arrays(np.float64, shapes.input_shapes[0], elements=floats))
    b = data.draw(hnp.arrays(np.float64, shapes.input_shapes[1], elements=floats))
    assert_same(_C.add(tensor(a), tensor(b)), a + b)
    if a.ndim > 0 and b.ndim > 0:  # a 0-dimensional operand does not widen
        assert_same(_C.mul(tensor(a.astype(np.float32)), tensor(b)), a.astype(np.float32) * b)
    assert_same(_C.lt(tensor(a), tensor(b)), np.asarray(a < b))
    whole = a.astype(np.int64), b.astype(np.int64)
    assert_same(_C.sub(tensor(whole[0]), tensor(whole[1])), whole[0] - whole[1])
    x, y = tensor(a, True), tensor(b, True)
    _C.backward(_C.sum(_C.mul(x, y)), None, False)
    ones = np.ones(shapes.result_shape)
    for t, other, own in ((x, b, a), (y, a, b)):
        full = ones * other
        extra = full.ndim - own.ndim
        axes = tuple(range(extra)) + tuple(i + extra for i in range(own.ndim) if own.shape[i] == 1)
        assert_same(t.grad, full.sum(axes).reshape(own.shape), 1e-9)


def test_strided_operands(rng):
    a, b = rng.normal(size=(6, 8)), rng.normal(size=(8, 6))
    x, y = tensor(a), tensor(b)
    assert_same(_C.add(x, _C.permute(y, [1, 0])), a + b.T)
    assert_same(_C.lt(_C.permute(x, [1, 0]), y), np.less(a.T, b))
    assert_same(_C.exp(_C.permute(x, [1, 0])), np.exp(a.T))
    assert_same(_C.mul(_C.slice(x, 1, 1, 8, 2), 2), a[:, 1::2] * 2)
    assert_same(_C.where(_C.gt(_C.permute(y, [1, 0]), 0), x, -1.0), np.where(b.T > 0, a, -1.0))


def test_comparisons_logic_and_bits(rng):
    a, b = rng.integers(-3, 4, (5, 6)), rng.integers(-3, 4, (5, 6))
    operators = {
        "eq": np.equal,
        "ne": np.not_equal,
        "lt": np.less,
        "le": np.less_equal,
        "gt": np.greater,
        "ge": np.greater_equal,
    }
    for name, oracle in operators.items():
        for dtype in (np.float32, np.float64, np.int64, np.int32):
            u, v = a.astype(dtype), b.astype(dtype)
            assert_same(getattr(_C, name)(tensor(u), tensor(v)), oracle(u, v))
            assert_same(getattr(_C, name)(tensor(u), 1), oracle(u, 1))
            assert_same(getattr(_C, name)(1, tensor(u)), oracle(1, u))
    nan = np.array([np.nan, 1.0, np.inf, -np.inf], np.float32)
    assert_same(_C.eq(tensor(nan), tensor(nan)), np.equal(nan, nan))
    assert_same(_C.isnan(tensor(nan)), np.isnan(nan))
    assert_same(_C.isinf(tensor(nan)), np.isinf(nan))
    assert_same(_C.isfinite(tensor(nan)), np.isfinite(nan))
    assert_same(_C.isfinite(tensor(a)), np.ones(a.shape, bool))
    for name in ("logical_and", "logical_or", "logical_xor"):
        assert_same(getattr(_C, name)(tensor(a), tensor(b)), getattr(np, name)(a, b))
    assert_same(_C.logical_not(tensor(a)), np.logical_not(a))
    for name in ("bitwise_and", "bitwise_or", "bitwise_xor"):
        assert_same(getattr(_C, name)(tensor(a), tensor(b)), getattr(np, name)(a, b))
        assert_same(getattr(_C, name)(tensor(a > 0), tensor(b > 0)), getattr(np, name)(a > 0, b > 0))
        assert_same(getattr(_C, name)(tensor(a), 3), getattr(np, name)(a, 3))
    assert_same(_C.bitwise_not(tensor(a)), ~a)
    assert_same(_C.bitwise_not(tensor(a > 0)), ~(a > 0))


def test_where_and_masked_fill(rng):
    torch = pytest.importorskip("torch")
    mask = rng.random((4, 5)) > 0.5
    a, b = rng.normal(size=(4, 5)), rng.normal(size=(5,))
    assert_gradients_match_torch(
        lambda x, y: _C.where(tensor(mask), x, y), lambda x, y: torch.where(torch.tensor(mask), x, y), [a, b]
    )
    assert_gradients_match_torch(
        lambda x: _C.masked_fill(x, tensor(mask), -np.inf),
        lambda x: x.masked_fill(torch.tensor(mask), -np.inf),
        [a],
    )
    x = tensor(a)
    _C.masked_fill_(x, tensor(mask), 0)
    assert_same(x, np.where(mask, 0, a))
    with pytest.raises(TypeError, match="masked_fill: a floating-point value"):
        _C.masked_fill(tensor(np.arange(3)), tensor(np.array([True, False, True])), 1.5)


@pytest.mark.parametrize("name", ["add_", "sub_", "mul_", "div_", "pow_", "remainder_", "floor_divide_"])
def test_in_place_arithmetic(name, rng):
    torch = pytest.importorskip("torch")
    for dtype in (np.float32, np.float64):
        a = (rng.random((16, 3, 5)) * 3 + 0.5).astype(dtype)
        for other in (
            1.5,
            np.array(2.0, dtype),
            (rng.random((16, 3, 5)) + 0.5).astype(dtype),
            (rng.random(5) + 0.5).astype(dtype),
        ):
            x, y = tensor(a), torch.tensor(a)
            number = not isinstance(other, np.ndarray)
            before = x._version
            result = getattr(_C, name)(x, other if number else tensor(other))
            getattr(y, name)(other if number else torch.tensor(other))
            assert result is x
            assert x._version > before
            assert_same(x, y, what=name)
    x = tensor(rng.normal(size=(6, 6)))
    plain = array(x)
    if name == "add_":
        _C.add_(_C.permute(x, [1, 0]), x, 2)  # overlapping memory
        assert_same(x, plain + 2 * plain.T)
        y = tensor(plain)
        _C.add_(_C.slice(y, 0, 1, 6, 1), _C.slice(y, 0, 0, 5, 1))
        expected = plain.copy()
        expected[1:] += plain[:-1]
        assert_same(y, expected)


def test_in_place_errors():
    x = tensor(np.zeros((2, 3), np.float32))
    whole = tensor(np.zeros(3, np.int64))
    with pytest.raises(
        RuntimeError, match="add_: a result of float32 cannot be written into a tensor of int64"
    ):
        _C.add_(whole, 1.5)
    with pytest.raises(RuntimeError, match="mul_: operand of shape"):
        _C.mul_(tensor(np.zeros(3, np.float32)), x)
    leaf = tensor(np.zeros(3, np.float32), True)
    for call in (
        lambda: _C.add_(leaf, 1),
        lambda: _C.relu_(leaf),
        lambda: _C.zero_(leaf),
        lambda: _C.clamp_(leaf, 0, 1),
    ):
        with pytest.raises(RuntimeError, match="a leaf tensor that requires grad is changed in place"):
            call()
    view = _C.view(_C.mul(leaf, 2), [3, 1])
    with pytest.raises(RuntimeError, match="mul_: a view is changed in place while gradients are recorded"):
        _C.mul_(view, 2)
    _C.set_grad_enabled(False)
    try:
        _C.add_(leaf, 1)
    finally:
        _C.set_grad_enabled(True)
    assert_same(leaf, np.ones(3, np.float32))


@pytest.mark.cpu("memory that tensors share with NumPy")
def test_read_only_memory_is_not_changed():
    fixed = np.zeros(3, np.float32)
    fixed.flags.writeable = False
    with pytest.raises(RuntimeError, match="mul_: the tensor shares memory that is read-only"):
        _C.mul_(_C.from_numpy(fixed, False), 2)


@pytest.mark.parametrize("name", UNARY)
def test_in_place_unary_keeps_the_history(name, rng):
    torch = pytest.importorskip("torch")
    a = rng.uniform(*BOUNDS.get(name, (0.3, 1.8)), size=(3, 4)) / 1.5

    def ours(x):
        y = _C.mul(x, 1.5)
        assert getattr(_C, name + "_")(y) is y
        return _C.mul(y, 2)

    def theirs(x):  # not in place, since PyTorch does not differentiate all of these
        return getattr(torch, name)(x * 1.5) * 2

    assert_gradients_match_torch(ours, theirs, [a], FEWER_DIGITS.get(name), what=name)


def test_in_place_history(rng):
    torch = pytest.importorskip("torch")

    def ours(x, y):
        h = _C.square(x)
        _C.mul_(h, y)
        _C.add_(h, 3.0)
        _C.mul_(h, h)
        _C.div_(h, y)
        _C.clamp_(h, -2.0, 50.0)
        _C.copy_(_C.mul(h, 2), y)  # leaves h alone
        _C.add_(h, _C.square(x), 0.5)
        return h

    def theirs(x, y):
        return torch.clamp((x.square() * y + 3) ** 2 / y, -2, 50) + 0.5 * x.square()

    a, b = rng.random((3, 4)) + 0.5, rng.random((3, 4)) + 0.5
    assert_gradients_match_torch(ours, theirs, [a, b])

    def overwrite(x, y):
        h = _C.square(x)
        _C.copy_(h, y)
        _C.add_(h, x)
        return h

    assert_gradients_match_torch(overwrite, lambda x, y: x * 0 + y + x, [a, b])


def test_results_of_reductions_are_nobodys_views(rng):
    x = tensor(rng.normal(size=(3, 4)), True)
    for name in ("sum", "mean", "prod", "amax", "var", "std", "norm", "logsumexp"):
        total = getattr(_C, name)(x, dim=1)
        before = array(total)
        _C.add_(total, _C.sum(x, 1))
        _C.mul_(total, 2)
        assert_same(total, (before + array(x).sum(1)) * 2)
        if name in {"sum", "mean", "prod", "var"}:  # the others need their own result
            _C.backward(_C.sum(total), None, False)
    values, _ = _C.max_dim(x, 1)
    _C.add_(values, 1)
    alias = _C.mul(x, 1).detach()
    _C.mul_(alias, x)  # a detached alias takes a history of its own
    assert alias.requires_grad


def test_saved_value_changed_in_place():
    x = tensor(np.ones(3), True)
    y = _C.exp(x)
    _C.add_(y.detach(), 1)
    with pytest.raises(RuntimeError, match=r"exp: a value of shape .* was changed in place"):
        _C.backward(_C.sum(y), None, False)


def test_fill_and_copy(rng):
    x = tensor(np.ones((3, 4), np.float32))
    _C.fill_(_C.permute(x, [1, 0]), 2.5)
    assert_same(x, np.full((3, 4), 2.5, np.float32))
    assert_same(_C.zero_(x), np.zeros((3, 4), np.float32))
    source = tensor(rng.normal(size=4), True)
    _C.copy_(x, source)
    _C.backward(_C.sum(x), None, False)
    assert_same(source.grad, np.full(4, 3.0))


@pytest.mark.skipif(_C.lane_count() == 1, reason="this target keeps nothing in lanes")
class TestLanes:
    """Element-wise ops of tensors in lanes stay there, and dead lanes (NaN here) never show."""

    shape = (21, 3, 4, 5)

    @pytest.mark.parametrize("name", UNARY)
    def test_unary(self, name, rng):
        x = rng.uniform(*BOUNDS.get(name, (0.5, 1.5)), size=self.shape).astype(np.float32)
        packed, plain = _C._to_lanes(tensor(x)), tensor(x, True)
        packed.requires_grad = True
        result, expected = getattr(_C, name)(packed), getattr(_C, name)(plain)
        assert result._in_lanes
        upstream = rng.normal(size=self.shape).astype(np.float32)
        _C.backward(result, _C._to_lanes(tensor(upstream)), False)
        _C.backward(expected, tensor(upstream), False)
        assert_same(result, array(expected))
        assert_same(packed.grad, array(plain.grad))

    @pytest.mark.parametrize("other_shape", [(), (21, 3, 4, 5), (3, 1, 1), (1, 3, 1, 1), (5,), (21, 1, 1, 1)])
    def test_binary(self, other_shape, rng):
        a = rng.normal(size=self.shape).astype(np.float32)
        b = np.array(rng.normal(size=other_shape)).astype(np.float32)
        for swap in (False, True):
            packed, other = _C._to_lanes(tensor(a)), tensor(b, True)
            packed.requires_grad = True
            result = _C.sub(other, packed) if swap else _C.sub(packed, other)
            if other_shape in {(), (21, 3, 4, 5), (3, 1, 1), (1, 3, 1, 1)}:
                assert result._in_lanes
            assert_same(result, b - a if swap else a - b)
            _C.backward(_C.sum(_C.mul(result, result)), None, False)
            extra = 4 - b.ndim
            axes = tuple(range(extra)) + tuple(i + extra for i in range(b.ndim) if b.shape[i] == 1)
            assert_same(packed.grad, 2 * (a - b))
            assert_same(other.grad, (2 * (b - a)).sum(axes).reshape(b.shape), 2e-4)

    def test_in_place(self, rng):
        a, b = (rng.normal(size=self.shape).astype(np.float32) for _ in range(2))
        packed = _C._to_lanes(tensor(a))
        view = packed.detach()
        _C.relu_(packed)
        _C.mul_(packed, 2)
        _C.add_(packed, tensor(b))
        _C.sub_(packed, _C._to_lanes(tensor(b)), 3)
        assert packed._in_lanes
        expected = np.maximum(a, 0) * 2 - 2 * b
        assert_same(view, expected)
        assert_same(packed, expected)

    def test_plain_and_lanes_mix(self, rng):
        a, b = (rng.normal(size=self.shape).astype(np.float32) for _ in range(2))
        result = _C.maximum(tensor(a), _C._to_lanes(tensor(b)))
        assert result._in_lanes
        assert_same(result, np.maximum(a, b))
        assert_same(_C.where(_C.gt(result, 0), result, 0.0), np.maximum(np.maximum(a, b), 0))


@pytest.mark.parametrize("count", [0, 1, 3, 15, 16, 17, 16383, 16384, 16385, 50001])
def test_odd_counts_and_guard_zones(count, rng):
    x = rng.normal(size=count).astype(np.float32)
    guarded = tensor(np.full(count + 64, 7.0, np.float32))
    inside = _C.slice(guarded, 0, 32, 32 + count, 1)
    _C.copy_(inside, tensor(x))
    for step, oracle in (
        (_C.relu_, lambda v: np.maximum(v, 0)),
        (_C.exp_, np.exp),
        (lambda t: _C.add_(t, t), lambda v: v + v),
    ):
        step(inside)
        x = oracle(x)
        assert_same(inside, x)
    values = array(guarded)
    assert (values[:32] == 7).all()
    assert (values[32 + count :] == 7).all()
