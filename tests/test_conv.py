"""Convolutions, 1-D, 2-D and transposed: beside PyTorch and finite differences; layout; bad input."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

import cnnx
import cnnx.nn.functional as F
from cnnx import _C, nn
from cnnx.nn import conv
from drawn import assume, given, st
from oracles import (
    array,
    assert_gradient_matches_differences,
    assert_gradients_match_torch,
    tensor,
)

batches = st.sampled_from([0, 1, 3, 7, 8, 9, 16, 17, 33])
TOLERANCE = {np.float32: 2e-4, np.float64: 1e-11}


def operands(seed: int, dtype, *shapes) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape).astype(dtype) for shape in shapes]


@st.composite
def convolutions(draw, axes: int, transposed: bool):
    def per_axis(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw(st.integers(low, high)) for _ in range(axes))

    groups = draw(st.sampled_from([1, 1, 2, 3]))
    inputs, outputs = groups * draw(st.integers(1, 5)), groups * draw(st.integers(1, 9))
    kernel, stride, dilation, padding = per_axis(1, 5), per_axis(1, 3), per_axis(1, 3), per_axis(0, 4)
    size = per_axis(1, 14)
    options = {"stride": stride, "dilation": dilation, "groups": groups, "padding": padding}
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    if transposed:
        extra = tuple(draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True))
        options["output_padding"] = extra
        extents = zip(size, stride, padding, reach, extra, strict=True)
        assume(all((n - 1) * s - 2 * p + r + e > 0 for n, s, p, r, e in extents))
        return size, inputs, outputs, (inputs, outputs // groups, *kernel), options
    if draw(st.integers(0, 3)) == 0:
        options["padding"] = "same"
        options["stride"] = (1,) * axes
    else:
        if draw(st.integers(0, 5)) == 0:
            padding, options["padding"] = (0,) * axes, "valid"
        assume(all(n + 2 * p >= r for n, p, r in zip(size, padding, reach, strict=True)))
    return size, inputs, outputs, (outputs, inputs // groups, *kernel), options


def check_against_torch(name: str, case, batch: int, dtype, with_bias: bool, seed: int) -> None:
    torch = pytest.importorskip("torch")
    size, inputs, outputs, weight, options = case
    arrays = operands(seed, dtype, (batch, inputs, *size), weight, (outputs,))
    if not with_bias:
        arrays.pop()
    assert_gradients_match_torch(
        lambda *t: getattr(F, name)(*t, **options),
        lambda *t: getattr(torch.nn.functional, name)(*t, **options),
        arrays,
        TOLERANCE[dtype],
        f"{name} {case} batch {batch}",
    )


flags = (batches, st.sampled_from([np.float32, np.float64]), st.booleans(), st.integers(0, 1000))


@given(convolutions(1, transposed=False), *flags)
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
def test_conv1d(case, batch: int, dtype, with_bias: bool, seed: int) -> None:
    check_against_torch("conv1d", case, batch, dtype, with_bias, seed)


@given(convolutions(2, transposed=False), *flags)
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
def test_conv2d(case, batch: int, dtype, with_bias: bool, seed: int) -> None:
    check_against_torch("conv2d", case, batch, dtype, with_bias, seed)


@given(convolutions(1, transposed=True), *flags)
def test_conv_transpose1d(case, batch: int, dtype, with_bias: bool, seed: int) -> None:
    check_against_torch("conv_transpose1d", case, batch, dtype, with_bias, seed)


@given(convolutions(2, transposed=True), *flags)
def test_conv_transpose2d(case, batch: int, dtype, with_bias: bool, seed: int) -> None:
    check_against_torch("conv_transpose2d", case, batch, dtype, with_bias, seed)


LAYERS = [
    ("Conv1d", (4, 6, 3), {}, (4, 9)),
    ("Conv1d", (4, 6, 2), {"padding": "same", "groups": 2, "bias": False, "dilation": 3}, (4, 9)),
    ("Conv1d", (1, 2, (3,)), {"stride": (2,), "padding": (1,)}, (1, 8)),
    ("ConvTranspose1d", (4, 6, 3), {}, (4, 9)),
    ("ConvTranspose1d", (4, 6, 3, 2, 1, 1), {}, (4, 9)),
    ("ConvTranspose1d", (4, 6, 2), {"dilation": 4, "stride": 3, "output_padding": 3, "groups": 2}, (4, 5)),
    ("ConvTranspose2d", (4, 6, 3), {}, (4, 5, 6)),
    (
        "ConvTranspose2d",
        (3, 3, (3, 2)),
        {"stride": (1, 3), "padding": (2, 0), "output_padding": (0, 2), "groups": 3, "bias": False},
        (3, 5, 6),
    ),
]


@pytest.mark.parametrize("batch", [None, 3, 9, 17])
@pytest.mark.parametrize(("name", "arguments", "options", "shape"), LAYERS)
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
def test_layers(name, arguments, options, shape, batch) -> None:
    torch = pytest.importorskip("torch")
    mine, theirs = getattr(nn, name)(*arguments, **options), getattr(torch.nn, name)(*arguments, **options)
    assert repr(mine) == repr(theirs)
    mine.load_state_dict({k: cnnx.from_numpy(v.numpy()) for k, v in theirs.state_dict().items()})
    shape = shape if batch is None else (batch, *shape)
    (x,) = operands(0, np.float32, shape)
    assert_gradients_match_torch(mine, theirs, [x], 1e-5, name)
    for p, q in zip(mine.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["Conv1d", "ConvTranspose1d", "ConvTranspose2d"])
def test_initial_distribution_is_pytorchs(name: str) -> None:
    torch = pytest.importorskip("torch")
    cnnx.manual_seed(0)
    torch.manual_seed(0)
    arguments, options = (24, 36, 5), {"groups": 2}
    mine, theirs = getattr(nn, name)(*arguments, **options), getattr(torch.nn, name)(*arguments, **options)
    for p, q in zip(mine.parameters(), theirs.parameters(), strict=True):
        assert tuple(p.shape) == tuple(q.shape)
        bound = p.abs().max().item()
        assert bound == pytest.approx(q.abs().max().item(), rel=0.1)
        assert p.std().item() == pytest.approx(bound / 3**0.5, rel=0.25)


@pytest.mark.parametrize("batch", [None, 9])
def test_output_size(batch) -> None:
    torch = pytest.importorskip("torch")
    for name, size, wanted in (
        ("ConvTranspose1d", (7,), [(13,), (14,), (15,)]),
        ("ConvTranspose2d", (5, 7), [(9, 13), (11, 14), (10, 15)]),
    ):
        arguments, options = (2, 3, 3), {"stride": 3 if name == "ConvTranspose1d" else (3, 3), "padding": 1}
        mine = getattr(nn, name)(*arguments, **options)
        theirs = getattr(torch.nn, name)(*arguments, **options)
        mine.load_state_dict({k: cnnx.from_numpy(v.numpy()) for k, v in theirs.state_dict().items()})
        shape = (2, *size) if batch is None else (batch, 2, *size)
        (x,) = operands(0, np.float32, shape)
        for extents in wanted:
            # Reach the range of sizes that belong to these inputs.
            extents = tuple((n - 1) * 3 + 1 + (e % 3) for n, e in zip(size, extents, strict=True))
            expected = theirs(torch.from_numpy(x), output_size=list(extents)).detach().numpy()
            np.testing.assert_allclose(
                array(mine(tensor(x), output_size=extents)), expected, rtol=1e-5, atol=1e-5
            )
            whole = (*expected.shape[: -len(size)], *extents)
            assert tuple(mine(tensor(x), output_size=whole).shape) == expected.shape
        with pytest.raises(ValueError, match=r"requested an output size of .* valid sizes range from"):
            mine(tensor(x), output_size=[n * 3 + 1 for n in size])
        with pytest.raises(ValueError, match="output_size must have"):
            mine(tensor(x), output_size=[1] * 6)


@pytest.mark.parametrize(
    ("name", "x", "weight", "options"),
    [
        ("conv1d", (2, 4, 7), (6, 2, 3), {"groups": 2, "stride": 2, "padding": 1}),
        ("conv1d", (4, 7), (3, 4, 2), {"dilation": 2, "padding": "full"}),
        ("conv_transpose1d", (2, 4, 5), (4, 3, 3), {"groups": 2, "stride": 2, "output_padding": 1}),
        ("conv_transpose1d", (4, 5), (4, 3, 2), {"dilation": 3, "padding": 1}),
        ("conv_transpose2d", (2, 2, 3, 4), (2, 3, 3, 2), {"stride": (2, 3), "output_padding": (1, 0)}),
        ("conv_transpose2d", (4, 3, 2), (4, 1, 2, 3), {"groups": 2, "padding": (1, 2), "dilation": 2}),
    ],
)
def test_gradients_match_differences(name, x, weight, options) -> None:
    function = getattr(F, name)
    bias = weight[1] * options.get("groups", 1) if "transpose" in name else weight[0]
    arrays = operands(0, np.float64, x, weight, (bias,))
    for which in range(3):

        def of_one(t: cnnx.Tensor, which: int = which) -> cnnx.Tensor:
            values = [t if i == which else tensor(a) for i, a in enumerate(arrays)]
            return function(*values, **options)

        assert_gradient_matches_differences(of_one, arrays[which])


def test_transposed_is_the_adjoint() -> None:
    """<conv(x), y> = <x, conv_transpose(y)>, exactly for small integers."""
    rng = np.random.default_rng(0)
    w = tensor(rng.integers(-3, 4, (6, 2, 3, 2)).astype(np.float32))
    x = tensor(rng.integers(-3, 4, (17, 4, 9, 8)).astype(np.float32))
    options = {"stride": (2, 3), "padding": (1, 0), "groups": 2}
    forth = F.conv2d(x, w, **options)
    y = tensor(rng.integers(-3, 4, tuple(forth.shape)).astype(np.float32))
    back = F.conv_transpose2d(y, w, output_padding=(0, 0), **options)
    assert tuple(back.shape) == (17, 4, 9, 8)
    assert (forth * y).sum().item() == (x * back).sum().item()


lanes = pytest.mark.skipif(_C.lane_count() == 1, reason="this target has no lanes")


@lanes
@pytest.mark.parametrize("batch", [8, 9, 17])
def test_one_axis_stays_in_lanes(batch: int) -> None:
    x = F.conv1d(cnnx.randn(batch, 2, 20), cnnx.randn(3, 2, 3), padding=1)
    assert x._in_lanes
    for y in (
        x.relu(),
        F.conv1d(x, cnnx.randn(4, 3, 3), stride=2),
        F.conv_transpose1d(x, cnnx.randn(3, 2, 3), cnnx.randn(2), stride=2),
        x.unsqueeze(2),
        x.reshape(batch, 3, 4, 5),
        x.unsqueeze(2).relu().squeeze(2),
        x.unsqueeze(-1).unsqueeze(-1).squeeze(),
    ):
        assert y._in_lanes
    assert x._in_lanes


@lanes
def test_a_training_step_of_one_axis_converts_no_layout() -> None:
    """Nothing between the layers of a 1-D U-Net goes through the plain layout, forward or backward."""
    down = nn.Sequential(nn.Conv1d(1, 4, 3, padding=1), nn.ReLU())
    deep = nn.Sequential(
        nn.Conv1d(4, 8, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.ConvTranspose1d(8, 4, 3, stride=2, padding=1, output_padding=1),
        nn.ReLU(),
    )
    last = nn.Conv1d(8, 1, 3, padding=1)
    first = down(cnnx.randn(10, 1, 20))
    second = deep(first)
    joined = cnnx.cat([first, second], 1)
    result = last(joined).sigmoid()
    stages = [first, second, joined, result]
    assert all(stage._in_lanes for stage in stages)
    gradients = cnnx.autograd.grad((result * result).sum(), stages[:-1])
    assert all(gradient._in_lanes for gradient in gradients)


@lanes
@pytest.mark.parametrize("batch", [9, 17, 31])
def test_dead_images_are_not_summed(batch: int) -> None:
    torch = pytest.importorskip("torch")
    for name, size in (("conv_transpose1d", (6,)), ("conv1d", (6,)), ("conv_transpose2d", (4, 5))):
        rng = np.random.default_rng(1)
        x = rng.uniform(0.5, 2, (batch, 2, *size)).astype(np.float32)
        w = rng.uniform(0.5, 2, (2, 2) + (3,) * len(size)).astype(np.float32)
        b = rng.uniform(0.5, 2, 2).astype(np.float32)

        # The reciprocal of the zeros that packing gives to dead images is infinite.
        def function(x, w, b, f):
            return f(x.reciprocal(), w, b, padding=1).reciprocal()

        ours = partial(function, f=getattr(F, name))
        theirs = partial(function, f=getattr(torch.nn.functional, name))
        assert_gradients_match_torch(ours, theirs, [x, w, b], 1e-4, name)


def test_threads_and_layouts_agree() -> None:
    """The same bits for any number of threads, and few images as many."""
    x, w, b = operands(0, np.float32, (33, 8, 50), (8, 6, 5), (6,))
    results = []
    before = cnnx.get_num_threads()
    for threads in (1, 2, 3):
        cnnx.set_num_threads(threads)
        tensors = [tensor(a, True) for a in (x, w, b)]
        y = F.conv_transpose1d(*tensors, stride=2)
        y.sum().backward()
        results.append([array(y), *(array(t.grad) for t in tensors)])
    cnnx.set_num_threads(before)
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(one, two)
    alone = F.conv_transpose1d(tensor(x[:1]), tensor(w), tensor(b), stride=2)
    np.testing.assert_allclose(array(alone)[0], results[0][0][0], rtol=1e-5, atol=1e-5)


def zeros(*shape, dtype=cnnx.float32) -> cnnx.Tensor:
    return cnnx.zeros(*shape, dtype=dtype)


X, W = zeros(2, 3, 8), zeros(4, 3, 3)
IMAGES, Y = zeros(2, 3, 8, 8), zeros(2, 4, 8)
BAD = {
    "rank": (
        lambda: F.conv1d(IMAGES, W),
        RuntimeError,
        r"conv1d: input .*\(2, 3, 8, 8\)",
    ),
    "weight rank": (
        lambda: F.conv1d(X, zeros(4, 3, 3, 3)),
        RuntimeError,
        r"conv1d: weight .*\(4, 3, 3, 3\)",
    ),
    "same rank": (
        lambda: F.conv1d(X, zeros(4, 3), padding="same"),
        RuntimeError,
        "conv1d: weight",
    ),
    "channels": (
        lambda: F.conv1d(X, zeros(4, 2, 3)),
        RuntimeError,
        r"conv1d: weight \(4, 2, 3\) expects 2 input channels, input \(2, 3, 8\) has 3",
    ),
    "kernel": (
        lambda: F.conv1d(X, zeros(4, 3, 9)),
        RuntimeError,
        r"conv1d: kernel \(9,\) does not fit",
    ),
    "stride": (
        lambda: F.conv1d(X, W, stride=0),
        ValueError,
        r"conv1d: stride .*\(0,\)",
    ),
    "stride pair": (
        lambda: F.conv1d(X, W, stride=(1, 1)),
        TypeError,
        "conv1d: stride",
    ),
    "padding": (lambda: F.conv1d(X, W, padding=-1), ValueError, "conv1d: padding"),
    "word": (lambda: F.conv1d(X, W, padding="some"), ValueError, "conv1d: padding"),
    "same stride": (
        lambda: F.conv1d(X, W, padding="same", stride=2),
        ValueError,
        "conv1d: padding='same'",
    ),
    "integers": (
        lambda: F.conv1d(zeros(2, 3, 8, dtype=cnnx.int64), zeros(4, 3, 3)),
        TypeError,
        "conv1d: needs float32 or float64, got int64",
    ),
    "dtypes": (
        lambda: F.conv1d(X, zeros(4, 3, 3, dtype=cnnx.float64)),
        TypeError,
        "conv1d: .*float64",
    ),
    "huge": (lambda: F.conv1d(zeros(1, 1, 8), zeros(1, 1, 3), padding=2**62), ValueError, "is too large"),
    "transposed rank": (
        lambda: F.conv_transpose2d(zeros(3, 8), zeros(3, 4, 3, 3)),
        RuntimeError,
        "conv_transpose2d: input",
    ),
    "transposed channels": (
        lambda: F.conv_transpose2d(IMAGES, zeros(4, 3, 3, 3)),
        RuntimeError,
        r"conv_transpose2d: weight \(4, 3, 3, 3\) expects 4 input channels, input \(2, 3, 8, 8\) has 3",
    ),
    "transposed bias": (
        lambda: F.conv_transpose1d(Y, W, zeros(4), groups=2),
        RuntimeError,
        r"conv_transpose1d: bias .*\(6,\).*\(4,\)",
    ),
    "transposed groups": (
        lambda: F.conv_transpose1d(Y, W, groups=3),
        ValueError,
        "conv_transpose1d: groups 3",
    ),
    "output padding": (
        lambda: F.conv_transpose1d(Y, W, stride=2, output_padding=2),
        RuntimeError,
        r"conv_transpose1d: output padding .*\(2,\).*\(2,\)",
    ),
    "negative output padding": (
        lambda: F.conv_transpose1d(Y, W, output_padding=-1),
        RuntimeError,
        "conv_transpose1d: output padding",
    ),
    "transposed empty result": (
        lambda: F.conv_transpose1d(zeros(2, 4, 1), zeros(4, 3, 3), padding=2),
        RuntimeError,
        "conv_transpose1d: .*empty",
    ),
    "transposed empty input": (
        lambda: F.conv_transpose1d(zeros(2, 4, 0), zeros(4, 3, 3)),
        RuntimeError,
        "conv_transpose1d: .*empty",
    ),
    "transposed huge": (
        lambda: F.conv_transpose1d(zeros(1, 1, 8), zeros(1, 1, 3), stride=2**62),
        ValueError,
        "is too large",
    ),
    "None": (lambda: F.conv_transpose1d(None, zeros(4, 3, 3)), TypeError, "conv_transpose1d"),
    "layer groups": (
        lambda: nn.ConvTranspose1d(3, 4, 3, groups=2),
        ValueError,
        "in_channels must be divisible",
    ),
    "layer mode": (lambda: nn.ConvTranspose2d(3, 4, 3, padding_mode="reflect"), ValueError, "padding_mode"),
    "layer word": (lambda: nn.ConvTranspose2d(3, 4, 3, padding="same"), TypeError, "padding"),
    "layer kernel": (lambda: nn.Conv1d(3, 4, (3, 3)), TypeError, "Conv1d: kernel_size must be an int"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case: str) -> None:
    call, error, text = BAD[case]
    with pytest.raises(error, match=text):
        call()


@pytest.mark.parametrize("kind", ["Conv2d", "ConvTranspose2d", "Conv1d", "ConvTranspose1d"])
@pytest.mark.parametrize(
    "edit", [{"stride": 2}, {"dilation": 2}, {"padding": 1}, {"stride": [2], "padding": (1,)}]
)
def test_edited_attributes_count(kind, edit) -> None:
    x = cnnx.randn(2, 3, 9) if "1d" in kind else cnnx.randn(2, 3, 9, 8)
    layer = getattr(nn, kind)(3, 4, 3)
    wanted = getattr(nn, kind)(3, 4, 3, **edit)
    wanted.load_state_dict(layer.state_dict())
    for name, value in edit.items():
        setattr(layer, name, value)
    assert cnnx.equal(layer(x), wanted(x))


@pytest.mark.parametrize("kind", ["Conv1d", "Conv2d"])
def test_padding_is_computed_when_the_layer_is_made(kind, monkeypatch) -> None:
    x = cnnx.randn(2, 3, 9) if kind == "Conv1d" else cnnx.randn(2, 3, 9, 8)
    layer = getattr(nn, kind)(3, 4, 3, padding="same")
    wanted = layer(x)
    monkeypatch.setattr(conv, "conv_padding", None)  # it is not called again
    assert cnnx.equal(layer(x), wanted)


@pytest.mark.parametrize("sizes", [("a", 2), (1.5, 2), (2, None), (True, 2)])
def test_channels_are_whole_numbers(sizes) -> None:
    with pytest.raises(TypeError, match=r"Conv2d: (in|out)_channels must be an int, got"):
        nn.Conv2d(*sizes, 3)
