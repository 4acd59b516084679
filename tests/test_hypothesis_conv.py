"""Convolution and pooling beside PyTorch, over shapes and options that hypothesis draws."""

from __future__ import annotations

import numpy as np
import pytest

import cnnx
import cnnx.nn.functional as F
from drawn import assume, given, st

torch = pytest.importorskip("torch")

batches = st.sampled_from([1, 2, 3, 7, 8, 9, 15, 16, 17, 33])
dtypes = st.sampled_from([np.float32, np.float64])
TOLERANCE = {np.float32: 2e-5, np.float64: 1e-12}


def compare(got: cnnx.Tensor, expected, dtype, what: str, magnitude: float) -> None:
    result = got.detach().numpy()
    wanted = expected.detach().numpy()
    assert result.dtype == wanted.dtype, what
    assert result.shape == wanted.shape, what
    tolerance = TOLERANCE[dtype] * max(1.0, magnitude)
    np.testing.assert_allclose(result, wanted, rtol=TOLERANCE[dtype], atol=tolerance, err_msg=what)


def both(rng: np.random.Generator, shape, dtype):
    """The same random values as a cnnx and a PyTorch leaf."""
    values = rng.normal(size=shape).astype(dtype)
    ours = cnnx.tensor(values)
    ours.requires_grad = True
    return ours, torch.tensor(values, requires_grad=True)


def backward(ours: cnnx.Tensor, theirs, rng: np.random.Generator, dtype) -> None:
    gradient = rng.normal(size=tuple(theirs.shape)).astype(dtype)
    ours.backward(cnnx.tensor(gradient))
    theirs.backward(torch.tensor(gradient))


@st.composite
def convolutions(draw):
    groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
    kernel = (draw(st.integers(1, 5)), draw(st.integers(1, 5)))
    dilation = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    stride = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    padding = draw(
        st.one_of(st.tuples(st.integers(0, 4), st.integers(0, 4)), st.sampled_from(["same", "valid"]))
    )
    if padding == "same":
        stride = (1, 1)
    size = (draw(st.integers(1, 14)), draw(st.integers(1, 14)))
    around = padding if isinstance(padding, tuple) else (0, 0)
    if padding != "same":
        assume(
            all(
                n + 2 * p >= d * (k - 1) + 1
                for n, p, d, k in zip(size, around, dilation, kernel, strict=True)
            )
        )
    channels = (groups * draw(st.integers(1, 5)), groups * draw(st.integers(1, 9)))
    return groups, kernel, dilation, stride, padding, size, channels


@given(convolutions(), batches, dtypes, st.booleans(), st.integers(0, 1000))
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
def test_conv2d(case, batch: int, dtype, with_bias: bool, seed: int) -> None:
    groups, kernel, dilation, stride, padding, size, (inputs, outputs) = case
    rng = np.random.default_rng(seed)
    x, tx = both(rng, (batch, inputs, *size), dtype)
    w, tw = both(rng, (outputs, inputs // groups, *kernel), dtype)
    b, tb = both(rng, (outputs,), dtype) if with_bias else (None, None)
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    y = F.conv2d(x, w, b, **options)
    ty = torch.nn.functional.conv2d(tx, tw, tb, **options)
    terms = inputs // groups * kernel[0] * kernel[1]
    compare(y, ty, dtype, "output", terms**0.5)
    backward(y, ty, rng, dtype)
    positions = batch * ty.shape[2] * ty.shape[3]
    compare(x.grad, tx.grad, dtype, "input gradient", (outputs * kernel[0] * kernel[1]) ** 0.5)
    compare(w.grad, tw.grad, dtype, "weight gradient", positions**0.5)
    if with_bias:
        compare(b.grad, tb.grad, dtype, "bias gradient", positions**0.5)


@st.composite
def pools(draw, dilated: bool):
    kernel = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    stride = draw(st.one_of(st.none(), st.tuples(st.integers(1, 4), st.integers(1, 4))))
    padding = (draw(st.integers(0, kernel[0] // 2)), draw(st.integers(0, kernel[1] // 2)))
    dilation = (draw(st.integers(1, 3)), draw(st.integers(1, 3))) if dilated else (1, 1)
    size = (draw(st.integers(1, 14)), draw(st.integers(1, 14)))
    assume(
        all(n + 2 * p >= d * (k - 1) + 1 for n, p, d, k in zip(size, padding, dilation, kernel, strict=True))
    )
    return kernel, stride, padding, dilation, size, draw(st.booleans())


@given(pools(dilated=True), batches, st.integers(1, 5), dtypes, st.booleans(), st.integers(0, 1000))
def test_max_pool2d(case, batch: int, channels: int, dtype, ties: bool, seed: int) -> None:
    kernel, stride, padding, dilation, size, ceil_mode = case
    rng = np.random.default_rng(seed)
    x, tx = both(rng, (batch, channels, *size), dtype)
    if ties:
        x = cnnx.tensor(np.round(x.detach().numpy())).requires_grad_()
        tx = torch.tensor(x.detach().numpy(), requires_grad=True)
    options = {"stride": stride, "padding": padding, "dilation": dilation, "ceil_mode": ceil_mode}
    y, index = F.max_pool2d(x, kernel, **options, return_indices=True)
    ty, expected = torch.nn.functional.max_pool2d(tx, kernel, **options, return_indices=True)
    np.testing.assert_array_equal(y.detach().numpy(), ty.detach().numpy())
    inside = np.isfinite(ty.detach().numpy())
    np.testing.assert_array_equal(index.numpy()[inside], expected.numpy()[inside])
    if not inside.all():  # a window in the padding alone: PyTorch's index points outside of the input
        y.sum().backward()
        assert x.grad.sum().item() == inside.sum()
        return
    backward(y, ty, rng, dtype)
    compare(x.grad, tx.grad, dtype, "input gradient", 4)


@given(
    pools(dilated=False),
    batches,
    st.integers(1, 5),
    dtypes,
    st.booleans(),
    st.one_of(st.none(), st.integers(1, 9)),
    st.integers(0, 1000),
)
def test_avg_pool2d(
    case, batch: int, channels: int, dtype, include: bool, divisor: int | None, seed: int
) -> None:
    kernel, stride, padding, _, size, ceil_mode = case
    rng = np.random.default_rng(seed)
    x, tx = both(rng, (batch, channels, *size), dtype)
    options = {
        "stride": stride,
        "padding": padding,
        "ceil_mode": ceil_mode,
        "count_include_pad": include,
        "divisor_override": divisor,
    }
    y = F.avg_pool2d(x, kernel, **options)
    ty = torch.nn.functional.avg_pool2d(tx, kernel, **options)
    compare(y, ty, dtype, "output", 4)
    backward(y, ty, rng, dtype)
    compare(x.grad, tx.grad, dtype, "input gradient", 16)


@given(
    st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), dtypes, st.booleans(), st.integers(0, 1000)
)
def test_linear(batch: int, inputs: int, outputs: int, dtype, with_bias: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, tx = both(rng, (batch, inputs), dtype)
    w, tw = both(rng, (outputs, inputs), dtype)
    b, tb = both(rng, (outputs,), dtype) if with_bias else (None, None)
    y, ty = F.linear(x, w, b), torch.nn.functional.linear(tx, tw, tb)
    compare(y, ty, dtype, "output", inputs**0.5)
    backward(y, ty, rng, dtype)
    compare(x.grad, tx.grad, dtype, "input gradient", outputs**0.5)
    compare(w.grad, tw.grad, dtype, "weight gradient", batch**0.5)


matrices = st.lists(st.integers(1, 3), max_size=2)


@given(
    matrices,
    matrices,
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(1, 9),
    dtypes,
    st.booleans(),
    st.integers(0, 1000),
)
def test_matmul(left, right, m: int, k: int, n: int, dtype, turned: bool, seed: int) -> None:
    # Batch dimensions that broadcast: equal from the right, or 1.
    for i in range(1, min(len(left), len(right)) + 1):
        if left[-i] != right[-i] and left[-i] != 1:
            right[-i] = left[-i] if right[-i] != 1 else 1
    rng = np.random.default_rng(seed)
    a, ta = both(rng, (*left, m, k), dtype)
    b, tb = both(rng, (*right, n, k) if turned else (*right, k, n), dtype)
    y = a @ (b.transpose(-1, -2) if turned else b)
    ty = ta @ (tb.transpose(-1, -2) if turned else tb)
    compare(y, ty, dtype, "output", k**0.5)
    backward(y, ty, rng, dtype)
    compare(a.grad, ta.grad, dtype, "left gradient", 3 * n**0.5)
    compare(b.grad, tb.grad, dtype, "right gradient", 3 * m**0.5)
