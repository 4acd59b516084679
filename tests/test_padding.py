"""Padding: beside PyTorch and finite differences; its layout; padding modes of convolutions; bad input."""

from __future__ import annotations

import numpy as np
import pytest

import cnnx
import cnnx.nn.functional as F
from cnnx import _C, nn
from drawn import assume, given, settings, st
from oracles import (
    array,
    assert_gradient_matches_differences,
    assert_gradients_match_torch,
    tensor,
)

relaxed = settings(max_examples=120)
MODES = ["constant", "reflect", "replicate", "circular"]
lanes = pytest.mark.skipif(_C.lane_count() == 1, reason="this target has no lanes")


def random_array(seed: int, shape: tuple[int, ...], dtype=np.float64) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def padded_both_ways(
    values: np.ndarray, pads: tuple[int, ...], mode: str, value: float | None = None
) -> None:
    torch = pytest.importorskip("torch")
    assert_gradients_match_torch(
        lambda t: F.pad(t, pads, mode, value),
        lambda t: torch.nn.functional.pad(t, pads, mode, value),
        [values],
        what=f"{mode} {pads} of {values.shape}",
    )


@st.composite
def paddings(draw):
    mode = draw(st.sampled_from(MODES))
    axes = draw(st.integers(1, 2))
    shape = tuple(draw(st.integers(1, 6)) for _ in range(axes))
    reach = {"constant": 9, "replicate": 9, "reflect": -1, "circular": 0}[mode]
    pads: list[int] = []
    for extent in reversed(shape):
        high = reach if reach > 0 else extent + reach
        before, after = draw(st.integers(-3, high)), draw(st.integers(-3, high))
        kept = extent + min(before, 0) + min(after, 0)
        assume(before + after + extent >= 1 and kept > 0)
        # PyTorch copies overlapping memory where it goes around what is left after cropping more than once.
        assume(mode != "circular" or max(before, after) <= kept)
        pads += [before, after]
    batch = draw(st.sampled_from([(), (1,), (3,), (8,), (9,), (17,)]))
    return mode, (*batch, draw(st.integers(1, 3)), *shape), tuple(pads)


@relaxed
@given(paddings(), st.sampled_from([np.float32, np.float64]), st.integers(0, 1000))
def test_pad(case, dtype, seed: int) -> None:
    mode, shape, pads = case
    padded_both_ways(random_array(seed, shape, dtype), pads, mode, 1.5 if mode == "constant" else None)


@pytest.mark.parametrize("pads", [(), (1, 2), (0, 0, 2, 1), (0, 0, 0, 0, 1, 1), (-1, 1, 2, -2, 1, 0, 3, -1)])
def test_constant_around_any_dimension(pads) -> None:
    for dtype in (np.float32, np.float64):
        padded_both_ways(random_array(0, (2, 3, 4, 5), dtype), pads, "constant", -2.5)


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8, np.bool_])
def test_integers(dtype) -> None:
    values = np.random.default_rng(0).integers(0, 2, (2, 3, 4)).astype(dtype)
    got = F.pad(tensor(values), (1, 2, 0, 1), value=1)
    want = np.pad(values, ((0, 0), (0, 1), (1, 2)), constant_values=1)
    np.testing.assert_array_equal(array(got), want)
    assert array(got).dtype == values.dtype
    names = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    for mode, numpy_mode in names.items():
        got = F.pad(tensor(values), (1, 2, 2, 1), mode)
        np.testing.assert_array_equal(array(got), np.pad(values, ((0, 0), (2, 1), (1, 2)), numpy_mode))
    large = cnnx.tensor([2**60 + 1])
    assert F.pad(large, (1, 0), value=2**60 + 3).tolist() == [2**60 + 3, 2**60 + 1]


@pytest.mark.parametrize("mode", MODES)
def test_gradients_match_differences(mode: str) -> None:
    for shape, pads in (((2, 2, 3, 4), (2, -1, 1, 2)), ((2, 3, 4), (3, 2)), ((3, 4), (-1, 2))):
        assert_gradient_matches_differences(lambda t, p=pads: F.pad(t, p, mode), random_array(0, shape))


LAYERS = [
    ("ZeroPad1d", 2), ("ZeroPad1d", (1, -2)), ("ZeroPad2d", (1, 2, 0, 3)),
    ("ConstantPad1d", (1, 2), 2.5), ("ConstantPad2d", 1, -1.0),
    ("ReflectionPad1d", 2), ("ReflectionPad2d", (1, 2, 0, 3)),
    ("ReplicationPad1d", (5, 0)), ("ReplicationPad2d", (1, 2, 0, 7)),
    ("CircularPad1d", (1, 2)), ("CircularPad2d", (1, 2, 4, 3)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arguments"), [(name, rest) for name, *rest in LAYERS])
def test_layers(name: str, arguments) -> None:
    torch = pytest.importorskip("torch")
    mine, theirs = getattr(nn, name)(*arguments), getattr(torch.nn, name)(*arguments)
    assert repr(mine) == repr(theirs)
    assert mine.padding == theirs.padding
    shape = (3, 4) if "1d" in name else (3, 5, 4)
    for batch in ((), (2,), (9,)):
        assert_gradients_match_torch(mine, theirs, [random_array(0, (*batch, *shape))])


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
@pytest.mark.parametrize("mode", MODES[1:])
@pytest.mark.parametrize(
    ("name", "arguments", "options", "size"),
    [
        ("Conv1d", (2, 3, 3), {"padding": 2}, (6,)),
        ("Conv1d", (2, 3, 4), {"padding": "same", "dilation": 2}, (8,)),
        ("Conv2d", (2, 3, (3, 2)), {"padding": (1, 2), "stride": 2}, (5, 6)),
        ("Conv2d", (2, 4, (2, 3)), {"padding": "same", "groups": 2, "dilation": (1, 2)}, (5, 6)),
    ],
)
def test_padding_modes_of_convolutions(name, arguments, options, size, mode) -> None:
    torch = pytest.importorskip("torch")
    mine = getattr(nn, name)(*arguments, **options, padding_mode=mode)
    theirs = getattr(torch.nn, name)(*arguments, **options, padding_mode=mode)
    assert repr(mine) == repr(theirs)
    mine.load_state_dict({k: cnnx.from_numpy(v.numpy()) for k, v in theirs.state_dict().items()})
    for batch in ((), (3,), (17,)):
        x = random_array(0, (*batch, 2, *size), np.float32)
        assert_gradients_match_torch(mine, theirs, [x], 1e-5, name)


@lanes
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("batch", [9, 16, 17])
def test_spatial_padding_stays_in_lanes(mode: str, batch: int) -> None:
    torch = pytest.importorskip("torch")
    for shape, pads in (
        ((batch, 2, 6), (2, 1)),
        ((batch, 2, 4, 5), (1, -2, 2, 1)),
        ((batch, 2, 4, 5), (1, 1, 0, 0)),
    ):
        values = random_array(0, shape, np.float32)
        x = (
            F.max_pool2d(tensor(values), 1)
            if len(shape) == 4
            else F.max_pool2d(tensor(values).unsqueeze(2), 1)
        )
        x = x.reshape(shape).requires_grad_()
        assert x._in_lanes
        y = F.pad(x, pads, mode)
        assert y._in_lanes
        g = F.pad(y.detach() * 3, (0, 0)).detach()
        assert g._in_lanes
        y.backward(g)
        theirs = torch.tensor(values, requires_grad=True)
        expected = torch.nn.functional.pad(theirs, pads, mode)
        expected.backward(expected.detach() * 3)
        np.testing.assert_array_equal(array(y), expected.detach().numpy())
        np.testing.assert_allclose(array(x.grad), theirs.grad.numpy(), rtol=1e-6, atol=1e-6)
    around_channels = F.pad(F.max_pool2d(cnnx.ones(batch, 2, 3, 3), 1), (0, 0, 0, 0, 1, 0))
    assert around_channels.sum().item() == batch * 18


X = cnnx.zeros(2, 3, 4, 5)
BAD = {
    "odd": (lambda: F.pad(X, (1, 2, 3)), RuntimeError, r"pad: needs pairs .*\(1, 2, 3\)"),
    "dimensions": (lambda: F.pad(X[0, 0], (1,) * 6), RuntimeError, r"pad: .* 3 dimensions.*\(4, 5\)"),
    "reflect": (lambda: F.pad(X, (5, 0), "reflect"), NotImplementedError, "pad: reflect"),
    "reflect far": (lambda: F.pad(X, (5, 0, 0, 0), "reflect"), RuntimeError, r"pad: reflect .*\(2, 3, 4"),
    "circular far": (lambda: F.pad(X, (6, 0, 0, 0), "circular"), RuntimeError, "pad: circular .*once"),
    "three": (lambda: F.pad(X, (1,) * 6, "replicate"), NotImplementedError, "pad: replicate"),
    "vector": (lambda: F.pad(X[0, 0, 0], (1, 1), "replicate"), NotImplementedError, "pad: replicate"),
    "crop": (lambda: F.pad(X, (-3, -3)), RuntimeError, r"pad: \(-3, -3\) leaves nothing of dimension 3"),
    "crop all": (lambda: F.pad(X, (-2, -3, 0, 0), "reflect"), RuntimeError, "leaves nothing"),
    "crop and add": (lambda: F.pad(X, (-6, 9)), RuntimeError, "leaves nothing"),
    "huge": (lambda: F.pad(X, (2**62, 2**62)), ValueError, "64 bits"),
    "lowest": (lambda: F.pad(X, (-(2**63), 2**62)), RuntimeError, "leaves nothing"),
    "empty": (lambda: F.pad(cnnx.zeros(1, 1, 0), (1, 1), "replicate"), RuntimeError, "something to copy"),
    "mode": (lambda: F.pad(X, (1, 1), "mirror"), NotImplementedError, "pad: mode .*mirror"),
    "value": (lambda: F.pad(X, (1, 1, 1, 1), "reflect", 2.0), ValueError, "takes no value"),
    "layer": (lambda: nn.ZeroPad2d((1, 2, 3)), TypeError, "ZeroPad2d: padding must be an int or 4 ints"),
    "None": (lambda: F.pad(None, (1, 1)), TypeError, "pad"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case: str) -> None:
    call, error, text = BAD[case]
    with pytest.raises(error, match=text):
        call()


def test_zero_crops_to_nothing() -> None:
    assert tuple(F.pad(X, (-2, -3)).shape) == (2, 3, 4, 0)
    assert F.pad(cnnx.zeros(2, 0), (1, 2), value=3).tolist() == [[3.0] * 3] * 2
    scalar = cnnx.tensor(2.0, requires_grad=True)
    F.pad(scalar, ()).backward()
    assert scalar.grad.item() == 1.0
