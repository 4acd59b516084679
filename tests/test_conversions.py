"""Numbers that a dtype does not hold, at every entry point, dtype and value: what PyTorch refuses, we do."""

import math
import operator
import warnings

import numpy as np
import pytest

import cnnx
import cnnx.nn.functional as F

DTYPES = ("uint8", "int32", "int64", "float32", "float64", "bool")
VALUES = (
    300, 255, 256, -1, -255, -256, 2**31 - 1, 2**31, -(2**31) - 1, 2**33, 2**53 + 1, 2**63 - 1, -(2**63),
    2, True, 0,
    300.0, 299.5, 255.5, 2.0, -0.5, -1.0, -300.0, 1e10, 1e19, 3.5e38, -1e39, 1e300, math.nan, math.inf,
    -math.inf, 2.0**63,
)  # fmt: skip


def mask(m):
    return m.tensor([True, False, True])


def first(m):
    return m.tensor([0])


def changed(change):
    """What a change in place leaves."""

    def entry(m, f, x, v):
        y = x.clone()
        change(m, y, v)
        return y

    return entry


# m: cnnx or torch; f: its functional; x: three elements; v: the number
STORES = {
    "tensor": lambda m, f, x, v: m.tensor([v], dtype=x.dtype),
    "tensor of one": lambda m, f, x, v: m.tensor(v, dtype=x.dtype),
    "tensor nested": lambda m, f, x, v: m.tensor([[v, 1], [1, v]], dtype=x.dtype),
    "tensor of NumPy's": lambda m, f, x, v: m.tensor([np.array(v).item()], dtype=x.dtype),
    "as_tensor": lambda m, f, x, v: m.as_tensor([v], dtype=x.dtype),
    "asarray": lambda m, f, x, v: m.asarray([v], dtype=x.dtype),
    "new_tensor": lambda m, f, x, v: x.new_tensor([v]),
    "scalar_tensor": lambda m, f, x, v: m.scalar_tensor(v, dtype=x.dtype),
    "full": lambda m, f, x, v: m.full((2,), v, dtype=x.dtype),
    "full_like": lambda m, f, x, v: m.full_like(x, v),
    "new_full": lambda m, f, x, v: x.new_full((2,), v),
    "fill_": changed(lambda m, y, v: y.fill_(v)),
    "fill_ with gaps": changed(lambda m, y, v: y[::2].fill_(v)),
    "fill_ of a parameter": lambda m, f, x, v: m.nn.Parameter(x.clone(), requires_grad=False).fill_(v),
    "constant_": lambda m, f, x, v: m.nn.init.constant_(x.clone(), v),
    "x[0]": changed(lambda m, y, v: y.__setitem__(0, v)),
    "x[:]": changed(lambda m, y, v: y.__setitem__(slice(None), v)),
    "x[mask]": changed(lambda m, y, v: y.__setitem__(mask(m), v)),
    "x[index]": changed(lambda m, y, v: y.__setitem__(m.tensor([0, 1]), v)),
    "where": lambda m, f, x, v: m.where(mask(m), x, v),
    "where, first": lambda m, f, x, v: m.where(mask(m), v, x),
    "scatter": lambda m, f, x, v: x.scatter(0, first(m), v),
    "scatter_": changed(lambda m, y, v: y.scatter_(0, first(m), v)),
    "index_fill": lambda m, f, x, v: x.index_fill(0, first(m), v),
    "index_fill_": changed(lambda m, y, v: y.index_fill_(0, first(m), v)),
    "masked_fill": lambda m, f, x, v: x.masked_fill(mask(m), v),
    "masked_fill_": changed(lambda m, y, v: y.masked_fill_(mask(m), v)),
    "fill_diagonal_": lambda m, f, x, v: m.stack([x, x, x]).fill_diagonal_(v),
    "pad": lambda m, f, x, v: f.pad(x, (1, 1), value=v),
    "pad planes": lambda m, f, x, v: f.pad(x.reshape(1, 1, 3), (1, 1, 1, 0), value=v),
    "clamp max": lambda m, f, x, v: m.clamp(x, max=v),
    "clamp min": lambda m, f, x, v: m.clamp(x, min=v),
    "clamp_": changed(lambda m, y, v: y.clamp_(max=v)),
    "add, alpha": lambda m, f, x, v: m.add(x, x, alpha=v),
    "sub, alpha": lambda m, f, x, v: m.sub(x, x, alpha=v),
    "add_, alpha": changed(lambda m, y, v: y.add_(y.clone(), alpha=v)),
    "index_add, alpha": lambda m, f, x, v: x.index_add(0, first(m), x[:1], alpha=v),
    "linspace": lambda m, f, x, v: m.linspace(v, v, 2, dtype=x.dtype),
}
# Arithmetic of integers wraps, as all their overflow does.
ARITHMETIC = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "&": operator.and_, "|": operator.or_,
    "^": operator.xor,
    "/": operator.truediv, "//": operator.floordiv, "%": operator.mod, "**": operator.pow,
}  # fmt: skip
COMPARISONS = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt,
    ">=": operator.ge,
}  # fmt: skip


def outcome(m, f, entry, dtype, value):
    """(dtype, values), or the error."""
    x = m.tensor([1, 0, 1] if dtype == "bool" else [3, 250, 1]).to(getattr(m, dtype))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            result = entry(m, f, x, value)
        except (RuntimeError, TypeError, ValueError, OverflowError) as error:
            return error
    return str(result.dtype).rpartition(".")[2], result.tolist()


def same(ours, theirs):
    if isinstance(ours, Exception) or isinstance(theirs, Exception):
        return isinstance(ours, Exception) and isinstance(theirs, Exception)
    return ours[0] == theirs[0] and np.allclose(ours[1], theirs[1], rtol=1e-6, equal_nan=True)


def better(name, dtype, value, ours, theirs):
    """Where we differ on purpose, each with its reason (docs/numerics.md)."""
    whole = not isinstance(value, float)
    if value is True and "alpha" in name:
        return dtype != "bool"  # PyTorch takes no bool here, we take it for 1
    if name == "sub, alpha" and whole and value in (2**31, -(2**63)):
        return True  # PyTorch adds -alpha times the other, which fits where alpha does not, or wraps
    integer = dtype in ("uint8", "int32", "int64")
    if name.startswith("clamp") and dtype == "uint8" and whole and -256 < value < 0:
        # PyTorch takes -1 for 255. No element lies below it; as the upper bound no uint8 can hold it.
        return (
            isinstance(ours, RuntimeError)
            if "max" in name or name == "clamp_"
            else ours == (dtype, [3, 250, 1])
        )
    if dtype == "int64" and not whole and value == 2.0**63:
        return isinstance(ours, RuntimeError | TypeError)  # PyTorch wraps it now and then
    if isinstance(ours, TypeError) and not whole and (integer or dtype == "bool"):
        # A fraction into integers by masked_fill is refused whole, not cut off.
        return name in ("masked_fill", "masked_fill_", "fill_diagonal_") or "alpha" in name
    if dtype == "bool" and isinstance(ours, TypeError) and not isinstance(theirs, Exception):
        return name in ("sub, alpha", "clamp max", "clamp min", "clamp_")
    if dtype == "bool" and name in ("linspace", "clamp_"):
        return isinstance(theirs, Exception)  # PyTorch has none
    return dtype == "int64" and name.startswith(("clamp", "pad")) and whole and abs(value) >= 2**53


@pytest.mark.parametrize("name", STORES)
def test_stored_numbers_as_in_torch(name):
    torch = pytest.importorskip("torch")
    wrong = []
    for dtype in DTYPES:
        for value in VALUES:
            ours = outcome(cnnx, F, STORES[name], dtype, value)
            theirs = outcome(torch, torch.nn.functional, STORES[name], dtype, value)
            if not same(ours, theirs) and not better(name, dtype, value, ours, theirs):
                wrong.append((dtype, value, ours, theirs))
    assert not wrong, wrong


@pytest.mark.parametrize("name", STORES)
def test_300_is_no_uint8(name):
    """Without PyTorch at hand; the error names the type and the number."""
    error = outcome(cnnx, F, STORES[name], "uint8", 300)
    assert isinstance(error, RuntimeError), error
    assert "cannot be converted to type uint8 without overflow, got" in str(error)
    assert "300" in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize("name", ARITHMETIC)
def test_arithmetic_with_numbers(name):
    torch = pytest.importorskip("torch")
    wrong = []
    for dtype in DTYPES:
        for value in VALUES:
            for swap in (False, True):

                def entry(m, f, x, v, swap=swap):
                    return ARITHMETIC[name](v, x) if swap else ARITHMETIC[name](x, v)

                ours = outcome(cnnx, F, entry, dtype, value)
                theirs = outcome(torch, torch.nn.functional, entry, dtype, value)
                if same(ours, theirs):
                    continue
                # A divisor or dividend that wraps would be another number altogether: refused.
                integer = dtype in ("uint8", "int32") and not isinstance(value, float)
                info = np.iinfo(dtype) if integer else None
                outside = integer and not info.min <= value <= info.max
                if (
                    not (name in ("//", "%") and outside and isinstance(ours, RuntimeError))
                    and dtype != "bool"
                ):
                    wrong.append((dtype, value, swap, ours, theirs))
    assert not wrong, wrong


@pytest.mark.parametrize("name", COMPARISONS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_comparisons_are_true(name, dtype):
    """Against Python's own comparison: no number is taken for another (PyTorch takes a uint8 300 for 44)."""
    x = cnnx.tensor([1, 0, 1] if dtype == "bool" else [3, 250, 44, 0, 1]).to(getattr(cnnx, dtype))
    compare = COMPARISONS[name]
    for value in VALUES:
        if isinstance(value, float) and not math.isfinite(value):
            continue
        want = [compare(element, value) for element in x.tolist()]
        assert compare(x, value).tolist() == want, value
        assert compare(value, x).tolist() == [compare(value, element) for element in x.tolist()], value
        if not isinstance(value, float) and abs(value) < 2**53:
            assert compare(x, cnnx.tensor(value)).tolist() == want, value


def test_beyond_64_bits():
    for number in (2**63, -(2**63) - 1, 10**400):
        for dtype in (cnnx.uint8, cnnx.int32, cnnx.int64):
            for make in (cnnx.tensor, lambda v, dtype: cnnx.tensor([v, 1], dtype=dtype)):
                with pytest.raises(RuntimeError, match="without overflow"):
                    make(number, dtype=dtype)
        with pytest.raises(RuntimeError, match="without overflow"):
            cnnx.tensor([number])
        assert cnnx.tensor([number], dtype=cnnx.bool).item() is True
        with pytest.raises((ValueError, RuntimeError), match="64 bits"):
            cnnx.zeros(1, dtype=cnnx.int64).fill_(number)
    with pytest.raises(RuntimeError, match="without overflow"):
        cnnx.tensor([2**63, -1])  # of which NumPy would make floats
    with pytest.raises(RuntimeError, match="without overflow"):
        cnnx.tensor([2.0**63], dtype=cnnx.int64)  # which PyTorch wraps
    np.testing.assert_array_equal(cnnx.tensor([2**63, 1], dtype=cnnx.float64).tolist(), [2.0**63, 1.0])
    np.testing.assert_array_equal(cnnx.full((1,), -(2**64), dtype=cnnx.float64).tolist(), [-(2.0**64)])


def test_arrays_and_tensors_are_cast():
    """As `to` does: integers wrap, of what is not finite or too large the bits are PyTorch's."""
    numbers = np.array([300, -1, 2**40 + 7])
    floats = np.array([300.7, -1.5, 1e10, 1e20, -3e9, math.nan, math.inf])
    for dtype in ("uint8", "int32"):
        chosen = getattr(cnnx, dtype)
        for values in (numbers, floats, floats.astype(np.float32)):
            want = cnnx.tensor(values).to(chosen).tolist()
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                assert cnnx.tensor(values, dtype=chosen).tolist() == want
            assert cnnx.tensor(cnnx.tensor(values), dtype=chosen).tolist() == want
            target = cnnx.zeros(len(values), dtype=chosen)
            target[:] = values
            assert target.tolist() == want
            assert cnnx.zeros(len(values), dtype=chosen).copy_(cnnx.tensor(values)).tolist() == want
        assert cnnx.tensor(numbers, dtype=chosen).tolist() == numbers.astype(dtype).tolist()
    assert cnnx.zeros(1, dtype=cnnx.uint8).fill_(cnnx.tensor(300)).tolist() == [44]
    assert cnnx.tensor(np.array([1, 2], np.int16), dtype=cnnx.uint8).tolist() == [1, 2]
    x = cnnx.zeros(2, dtype=cnnx.uint8)
    with pytest.raises(RuntimeError, match="uint8 without overflow, got 300"):
        x[:] = [300, 1]
    with pytest.raises(RuntimeError, match="uint8 without overflow, got 300"):
        x[0] = np.int64(300)
    with pytest.raises(RuntimeError, match="uint8 without overflow"):
        cnnx.tensor([np.array([300])], dtype=cnnx.uint8)
    with pytest.raises(RuntimeError, match=r"masked_fill: .*uint8 without overflow, got 300"):
        x.masked_fill(x == 0, cnnx.tensor(300))
    with pytest.raises(RuntimeError, match=r"masked_fill: .*uint8 without overflow, got 9223372036854775807"):
        x.masked_fill(x == 0, cnnx.tensor(2**63 - 1))
    with pytest.raises(TypeError, match="complex128"):
        cnnx.tensor([1j], dtype=cnnx.float32)
    assert x.tolist() == [0, 0]


def test_random_integers_fit():
    for make in (
        lambda: cnnx.randint(0, 257, (2,), dtype=cnnx.uint8),
        lambda: cnnx.randint(-1, 2, (2,), dtype=cnnx.uint8),
        lambda: cnnx.randint(0, 2**33, (2,), dtype=cnnx.int32),
        lambda: cnnx.zeros(2, dtype=cnnx.uint8).random_(0, 300),
    ):
        with pytest.raises(RuntimeError, match="out of bounds for"):
            make()
    assert cnnx.randint(0, 256, (500,), dtype=cnnx.uint8).numpy(force=True).max() > 200
    assert sorted(cnnx.randperm(256, dtype=cnnx.uint8).tolist()) == list(range(256))
    with pytest.raises(RuntimeError, match="uint8 without overflow"):
        cnnx.randperm(257, dtype=cnnx.uint8)


def test_byte_masks():
    """As bool masks, with a warning that names the caller's line; never as row numbers."""
    x = cnnx.arange(12.0).reshape(3, 4)
    bits = x > 5
    rows, columns = cnnx.tensor([1, 0, 1]).byte(), cnnx.tensor([0, 7, 0, 1]).byte()

    def put(index, value):
        y = x.clone()
        y[index] = value
        return y

    for byte, plain in (
        (bits.byte(), bits), (rows, rows.bool()), ((slice(None), columns), (slice(None), columns.bool())),
        ((rows, 0), (rows.bool(), 0)), ((rows, cnnx.tensor([1, 2])), (rows.bool(), cnnx.tensor([1, 2]))),
        (cnnx.tensor(1).byte(), cnnx.tensor(True)), (cnnx.tensor(0).byte(), cnnx.tensor(False)),
        (rows.numpy(force=True), rows.bool()), ((..., columns), (..., columns.bool())),
    ):  # fmt: skip
        with pytest.warns(UserWarning, match="uint8 is deprecated, use bool") as caught:
            got = x[byte]
        assert caught[0].filename == __file__
        assert got.tolist() == x[plain].tolist()
        with pytest.warns(UserWarning, match="uint8 is deprecated"):
            assert put(byte, -1.0).tolist() == put(plain, -1.0).tolist()
    with pytest.warns(UserWarning, match="where: a condition of dtype uint8 is deprecated") as caught:
        assert cnnx.where(bits.byte(), x, 0.0).tolist() == cnnx.where(bits, x, 0.0).tolist()
    assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match="deprecated"):
        assert x.where(bits.byte() * 2, -x).tolist() == x.where(bits, -x).tolist()
    with (
        pytest.warns(UserWarning, match="deprecated"),
        pytest.raises(IndexError, match=r"mask of shape \(2,\)"),
    ):
        x[cnnx.tensor([1, 0]).byte()]
    # What PyTorch refuses.
    for refused in (
        lambda: x.masked_fill(bits.byte(), 0), lambda: x.masked_select(bits.byte()),
        lambda: x.index_select(0, rows), lambda: x.gather(0, rows[None]),
    ):  # fmt: skip
        with pytest.raises(TypeError, match="uint8"):
            refused()


def test_byte_mask_in_a_gradient():
    x = cnnx.arange(3.0).requires_grad_()
    with pytest.warns(UserWarning, match="deprecated"):
        x[cnnx.tensor([1, 0, 1]).byte()].sum().backward()
    assert x.grad.tolist() == [1.0, 0.0, 1.0]
