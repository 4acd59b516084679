"""Layers and functions of nn against PyTorch: outputs and gradients in float64; bad input."""

import itertools
import math

import numpy as np
import pytest

import cnnx
import cnnx.nn.functional as F
from cnnx import nn


def pair(shape, seed=0):
    torch = pytest.importorskip("torch")
    array = np.random.default_rng(seed).standard_normal(shape)
    return (
        cnnx.from_numpy(array.copy()).requires_grad_(),
        torch.from_numpy(array.copy()).requires_grad_(),
    )


def close(mine, theirs, tolerance=1e-10):
    np.testing.assert_allclose(mine.detach().numpy(), theirs.detach().numpy(), rtol=tolerance, atol=tolerance)


def compare(layer, their_layer, *shapes):
    """Outputs, and the gradients of inputs and parameters for a random gradient of the output."""
    torch = pytest.importorskip("torch")
    layer, their_layer = layer.double(), their_layer.double()
    assert repr(layer) == repr(their_layer)
    for shape in shapes:
        for p, q in zip(layer.parameters(), their_layer.parameters(), strict=True):
            with cnnx.no_grad():
                p.copy_(cnnx.from_numpy(q.detach().numpy()))
            p.grad = q.grad = None
        x, y = pair(shape)
        out, expected = layer(x), their_layer(y)
        assert tuple(out.shape) == tuple(expected.shape)
        close(out, expected)
        grad = np.random.default_rng(1).standard_normal(tuple(expected.shape))
        out.backward(cnnx.from_numpy(grad))
        expected.backward(torch.from_numpy(grad))
        close(x.grad, y.grad)
        for p, q in zip(layer.parameters(), their_layer.parameters(), strict=True):
            close(p.grad, q.grad)


@pytest.mark.parametrize(("arguments", "options"), [((5, 3), {}), ((5, 3), {"bias": False}), ((1, 1), {})])
def test_linear(arguments, options):
    torch = pytest.importorskip("torch")
    n = arguments[0]
    compare(nn.Linear(*arguments, **options), torch.nn.Linear(*arguments, **options), (4, n), (n,), (2, 3, n))


CONVS = [
    ((2, 4, 3), {}),
    ((2, 4, (3, 2)), {"stride": 2, "padding": (1, 0)}),
    ((4, 6, 3), {"groups": 2, "dilation": 2, "bias": False}),
    ((3, 3, 5), {"groups": 3, "padding": 2}),
    ((2, 3, (2, 4)), {"padding": "same", "dilation": (1, 3)}),
    ((2, 3, 3), {"padding": "valid", "stride": (1, 3)}),
]


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize(("arguments", "options"), CONVS)
def test_conv2d(arguments, options):
    torch = pytest.importorskip("torch")
    c = arguments[0]
    compare(
        nn.Conv2d(*arguments, **options), torch.nn.Conv2d(*arguments, **options), (3, c, 9, 11), (c, 8, 10)
    )


def test_full_padding():
    signal = pytest.importorskip("scipy.signal")
    x, w = (np.random.default_rng(s).standard_normal(shape) for s, shape in ((0, (6, 7)), (1, (3, 4))))
    layer = nn.Conv2d(1, 1, (3, 4), padding="full", bias=False).double()
    with cnnx.no_grad():
        layer.weight.copy_(cnnx.from_numpy(w))
    out = layer(cnnx.from_numpy(x[None, None]))
    np.testing.assert_allclose(out[0, 0].detach().numpy(), signal.correlate2d(x, w, "full"), atol=1e-12)
    dilated = nn.Conv2d(1, 2, 3, padding="full", dilation=2)(cnnx.zeros(1, 1, 5, 5))
    assert tuple(dilated.shape) == (1, 2, 9, 9)


POOLS = [
    ("MaxPool2d", (2,), {}),
    ("MaxPool2d", ((3, 2),), {"stride": (2, 1), "padding": (1, 0)}),
    ("MaxPool2d", (3,), {"stride": 2, "padding": 1, "dilation": 2, "ceil_mode": True}),
    ("AvgPool2d", (2,), {}),
    ("AvgPool2d", ((3, 2),), {"stride": (2, 1), "padding": (1, 1)}),
    ("AvgPool2d", (3,), {"stride": 2, "padding": 1, "ceil_mode": True, "count_include_pad": False}),
    ("AvgPool2d", (3, 2), {"divisor_override": 5}),
]


POOLS_1D = [
    ("MaxPool1d", (2,), {}),
    ("MaxPool1d", (3,), {"stride": 2, "padding": 1, "ceil_mode": True}),
    ("MaxPool1d", ((3,),), {"stride": 1, "dilation": 2}),
    ("AvgPool1d", (2,), {}),
    ("AvgPool1d", ((3,),), {"stride": 2, "padding": 1, "count_include_pad": False}),
    ("AvgPool1d", (3, 2), {"ceil_mode": True, "padding": 1}),
    ("AdaptiveAvgPool1d", (1,), {}),
    ("AdaptiveAvgPool1d", (5,), {}),
    ("AdaptiveAvgPool1d", (3,), {}),
    ("AdaptiveMaxPool1d", (4,), {}),
    ("AdaptiveMaxPool1d", (15,), {}),
]
ADAPTIVE_2D = [1, 4, (3, 2), (None, 5), (12, 1), (13, 20)]


@pytest.mark.parametrize(("name", "arguments", "options"), POOLS_1D)
def test_pooling_1d(name, arguments, options):
    torch = pytest.importorskip("torch")
    mine, theirs = getattr(nn, name)(*arguments, **options), getattr(torch.nn, name)(*arguments, **options)
    compare(mine, theirs, (3, 2, 12), (37, 2, 9), (2, 10))


@pytest.mark.parametrize("size", ADAPTIVE_2D)
@pytest.mark.parametrize("name", ["AdaptiveAvgPool2d", "AdaptiveMaxPool2d"])
def test_adaptive_pooling(name, size):
    torch = pytest.importorskip("torch")
    compare(getattr(nn, name)(size), getattr(torch.nn, name)(size), (3, 2, 12, 8), (2, 9, 10))
    for batch in (3, 37):  # float32, the second in lanes
        x, y = pair((batch, 2, 12, 7))
        out = getattr(nn, name)(size)(x.float())
        expected = getattr(torch.nn, name)(size)(y.float())
        assert out._in_lanes == (2 * batch >= cnnx._C.lane_count() > 1)  # to NumPy it leaves them
        close(out, expected, 1e-6)
        grad = np.random.default_rng(1).standard_normal(tuple(out.shape)).astype(np.float32)
        out.backward(cnnx.from_numpy(grad))
        expected.backward(torch.from_numpy(grad))
        close(x.grad, y.grad, 1e-6)


@pytest.mark.parametrize("batch", [2, 37])
def test_pooling_1d_stays_in_lanes_and_has_indices(batch):
    functions = pytest.importorskip("torch").nn.functional
    x, y = pair((batch, 3, 11))
    x = x.float()
    for mine, theirs in (
        (
            F.max_pool1d(x, 3, 2, 1, return_indices=True),
            functions.max_pool1d(y, 3, 2, 1, return_indices=True),
        ),
        (F.max_pool1d_with_indices(x, 2), functions.max_pool1d(y, 2, return_indices=True)),
        (nn.AdaptiveMaxPool1d(4, True)(x), functions.adaptive_max_pool1d(y, 4, return_indices=True)),
        (
            F.adaptive_max_pool1d_with_indices(x, 4),
            functions.adaptive_max_pool1d(y, 4, return_indices=True),
        ),
    ):
        assert mine[0]._in_lanes == (2 * batch >= cnnx._C.lane_count() > 1)
        assert mine[1].dtype == cnnx.int64
        np.testing.assert_array_equal(mine[1].numpy(), theirs[1].numpy())
    x, y = pair((batch, 3, 7, 11))
    for size in (3, (7, None)):
        out, index = F.adaptive_max_pool2d(x, size, return_indices=True)
        expected, their_index = functions.adaptive_max_pool2d(y, size, return_indices=True)
        close(out, expected)
        np.testing.assert_array_equal(index.numpy(), their_index.numpy())


@pytest.mark.parametrize(("name", "arguments", "options"), POOLS)
def test_pooling(name, arguments, options):
    torch = pytest.importorskip("torch")
    mine, theirs = getattr(nn, name)(*arguments, **options), getattr(torch.nn, name)(*arguments, **options)
    compare(mine, theirs, (3, 2, 9, 11), (2, 8, 10))


def test_max_pool_indices():
    torch = pytest.importorskip("torch")
    x, y = pair((2, 3, 8, 7))
    out, index = nn.MaxPool2d(3, 2, 1, return_indices=True)(x)
    expected, their_index = torch.nn.MaxPool2d(3, 2, 1, return_indices=True)(y)
    close(out, expected)
    assert index.dtype == cnnx.int64
    np.testing.assert_array_equal(index.numpy(), their_index.numpy())


ACTIVATIONS = [
    ("ReLU", {}),
    ("LeakyReLU", {}),
    ("LeakyReLU", {"negative_slope": 0.3}),
    ("Tanh", {}),
    ("Sigmoid", {}),
    ("Softmax", {"dim": 1}),
    ("LogSoftmax", {"dim": -1}),
    ("Identity", {}),
    ("Flatten", {}),
    ("Flatten", {"start_dim": 0, "end_dim": 1}),
]


@pytest.mark.parametrize(("name", "options"), ACTIVATIONS)
def test_activations(name, options):
    torch = pytest.importorskip("torch")
    compare(getattr(nn, name)(**options), getattr(torch.nn, name)(**options), (3, 4, 5), (2, 3))


def test_unflatten():
    torch = pytest.importorskip("torch")
    compare(nn.Unflatten(1, (2, 3)), torch.nn.Unflatten(1, (2, 3)), (4, 6))
    assert tuple(nn.Unflatten(-1, (2, -1))(cnnx.zeros(4, 6)).shape) == (4, 2, 3)


@pytest.mark.parametrize("name", ["ReLU", "LeakyReLU"])
def test_in_place_activations(name):
    torch = pytest.importorskip("torch")
    layer, their_layer = getattr(nn, name)(inplace=True), getattr(torch.nn, name)(inplace=True)
    assert repr(layer) == repr(their_layer)
    x, y = pair((3, 4))
    h, g = x * 2, y * 2
    out = layer(h)
    close(out, their_layer(g))
    close(h, g)
    (h * 3).sum().backward()
    (g * 3).sum().backward()
    close(x.grad, y.grad)
    with pytest.raises(RuntimeError):
        layer(x)


def test_implicit_softmax_dimension_warns():
    with pytest.warns(UserWarning, match="Implicit dimension"):
        out = nn.Softmax()(cnnx.zeros(2, 4))
    assert out[0, 0].item() == 0.25
    with pytest.warns(UserWarning, match="Implicit dimension"):
        F.log_softmax(cnnx.zeros(2, 4, 5))
    assert F.softmax(cnnx.zeros(2, 4), 1, dtype=cnnx.float64).dtype == cnnx.float64


def test_dropout():
    cnnx.manual_seed(0)
    layer = nn.Dropout(0.3)
    x = cnnx.ones(100, 200, requires_grad=True)
    out = layer(x)
    values = out.detach().numpy()
    assert set(np.unique(values)) <= {np.float32(0), np.float32(1 / 0.7)}
    assert (values == 0).mean() == pytest.approx(0.3, abs=0.02)
    out.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), values)
    assert not np.array_equal(layer(x).detach().numpy(), values)
    cnnx.manual_seed(0)
    np.testing.assert_array_equal(F.dropout(x, 0.3).detach().numpy(), values)
    np.testing.assert_array_equal(layer.eval()(x).detach().numpy(), x.detach().numpy())
    np.testing.assert_array_equal(F.dropout(x, 0.3, training=False).detach().numpy(), x.detach().numpy())
    assert F.dropout(x, 1.0).abs().sum().item() == 0
    y = cnnx.ones(50, 50)
    assert F.dropout(y, 0.5, inplace=True) is y
    assert (y.numpy() == 0).any()
    z = cnnx.ones(50, 50, requires_grad=True)
    h = z * 1
    F.dropout(h, 0.5, inplace=True)
    h.sum().backward()
    np.testing.assert_array_equal(z.grad.numpy(), h.detach().numpy())
    assert repr(layer) == "Dropout(p=0.3, inplace=False)"
    for p in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match="dropout probability"):
            nn.Dropout(p)
        with pytest.raises(ValueError, match="dropout probability"):
            F.dropout(x, p)


@pytest.mark.parametrize("dtype", [cnnx.float32, cnnx.float64])
@pytest.mark.parametrize(
    ("layer", "shape"),
    [(nn.Dropout1d, (37, 20, 3)), (nn.Dropout2d, (37, 20, 3, 2)), (nn.Dropout2d, (5, 60, 3, 7))],
)
def test_dropout_of_channels(layer, shape, dtype):
    cnnx.manual_seed(0)
    layer = layer(0.3)
    x = cnnx.ones(*shape, requires_grad=True, dtype=dtype)
    out = layer(x)
    values = out.detach().numpy().reshape(*shape[:2], -1)
    assert (values == values[..., :1]).all()
    assert set(np.unique(values.astype(np.float32))) == {np.float32(0), np.float32(1 / 0.7)}
    assert (values == 0).mean() == pytest.approx(0.3, abs=0.08)
    out.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), out.detach().numpy())
    cnnx.manual_seed(0)  # the mask of as many elements as there are channels; the layout does not matter
    flat = F.dropout(cnnx.ones(*shape[:2], dtype=dtype), 0.3)
    np.testing.assert_array_equal(flat.numpy(), values[..., 0])
    cnnx.manual_seed(0)
    again = layer(F.avg_pool2d(x, 1) if len(shape) == 4 else x)
    np.testing.assert_array_equal(again.detach().numpy(), out.detach().numpy())
    assert layer.eval()(x) is x
    assert repr(layer).endswith("(p=0.3, inplace=False)")


def test_dropout_of_channels_of_other_shapes():
    x = cnnx.ones(50, 4)
    out = F.dropout1d(x, 0.5).numpy()
    assert (out == out[:, :1]).all()
    assert 0 < (out[:, 0] == 0).sum() < 50
    y = cnnx.ones(30, 20, 2, 2)
    assert F.dropout2d(y, 0.5, inplace=True) is y
    assert (y.numpy() == 0).any()
    with pytest.warns(UserWarning, match="dropout1d"):
        out = F.dropout2d(cnnx.ones(20, 30, 4), 0.5).numpy()
    assert (out == out[..., :1]).all()
    with pytest.raises(RuntimeError, match="dropout1d: Expected 2D or 3D"):
        F.dropout1d(cnnx.ones(2, 3, 4, 5))
    with pytest.raises(ValueError, match="dropout probability"):
        F.dropout2d(y, 1.5)
    with pytest.raises(ValueError, match="dropout probability"):
        nn.Dropout2d(-0.5)
    with pytest.raises(TypeError, match="feature_dropout"):
        F.dropout2d(y.long(), 0.5)


def loss_pair(name, logits, target, options):
    torch = pytest.importorskip("torch")
    x, y = pair(logits)
    their_options = dict(options)
    if "weight" in options:
        options = {**options, "weight": cnnx.from_numpy(options["weight"])}
        their_options["weight"] = torch.from_numpy(their_options["weight"])
    mine, theirs = getattr(nn, name)(**options), getattr(torch.nn, name)(**their_options)
    out, expected = mine(x, cnnx.from_numpy(target)), theirs(y, torch.from_numpy(target))
    assert tuple(out.shape) == tuple(expected.shape)
    close(out, expected)
    out.sum().backward()
    expected.sum().backward()
    close(x.grad, y.grad)


WEIGHT = np.array([0.5, 1.0, 2.0, 0.1])


@pytest.mark.parametrize(
    ("reduction", "weighted", "smoothing"),
    list(itertools.product(["mean", "sum", "none"], [0, 1], [0.0, 0.2])),
)
def test_class_losses(reduction, weighted, smoothing):
    options = {"reduction": reduction} | ({"weight": WEIGHT} if weighted else {})
    rng = np.random.default_rng(2)
    for shape, target in (
        ((5, 4), rng.integers(0, 4, 5)),
        ((4,), np.array(2)),
        ((2, 4, 3, 2), rng.integers(0, 4, (2, 3, 2))),
    ):
        loss_pair("CrossEntropyLoss", shape, target, {**options, "label_smoothing": smoothing})
        loss_pair("NLLLoss", shape, target, options)
    loss_pair(
        "CrossEntropyLoss", (5, 4), rng.dirichlet(np.ones(4), 5), {**options, "label_smoothing": smoothing}
    )
    ignored = np.array([1, 3, 1, 0, 2])
    loss_pair(
        "CrossEntropyLoss", (5, 4), ignored, {**options, "ignore_index": 1, "label_smoothing": smoothing}
    )
    loss_pair("NLLLoss", (5, 4), ignored, {**options, "ignore_index": 1})
    loss_pair("MSELoss", (5, 4), rng.standard_normal((5, 4)), {"reduction": reduction})


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64])
def test_targets_of_any_integer_type(dtype):
    x = cnnx.from_numpy(np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32))
    target = np.array([1, 0, 3])
    assert F.cross_entropy(x, cnnx.from_numpy(target.astype(dtype))).item() == pytest.approx(
        F.cross_entropy(x, cnnx.from_numpy(target)).item()
    )


def test_deprecated_reduction_flags():
    torch = pytest.importorskip("torch")
    x, y = pair((3, 2))
    for size_average, reduce in itertools.product([None, True, False], repeat=2):
        if size_average is None and reduce is None:
            continue
        with pytest.warns(UserWarning, match="deprecated"):
            mine = F.mse_loss(x, cnnx.zeros(3, 2, dtype=cnnx.float64), size_average, reduce)
        with pytest.warns(UserWarning, match="deprecated"):
            theirs = torch.nn.functional.mse_loss(
                y, torch.zeros(3, 2, dtype=torch.float64), size_average, reduce
            )
        close(mine, theirs)


def test_mse_broadcasts_with_a_warning_and_takes_weights():
    torch = pytest.importorskip("torch")
    x, y = pair((3, 2))
    with pytest.warns(UserWarning, match="different to the input size"):
        mine = F.mse_loss(x, cnnx.ones(2, dtype=cnnx.float64))
    with pytest.warns(UserWarning, match="different to the input size"):
        theirs = torch.nn.functional.mse_loss(y, torch.ones(2, dtype=torch.float64))
    close(mine, theirs)
    w = np.arange(6.0).reshape(3, 2)
    zeros = np.zeros((3, 2))
    for reduction in ("none", "sum", "mean"):
        mine = F.mse_loss(x, cnnx.from_numpy(zeros), reduction=reduction, weight=cnnx.from_numpy(w))
        theirs = torch.nn.functional.mse_loss(
            y, torch.from_numpy(zeros), reduction=reduction, weight=torch.from_numpy(w)
        )
        close(mine, theirs)
    with pytest.raises(ValueError, match="weight"):
        F.mse_loss(x, x, weight=cnnx.ones(3))


def test_linear_with_a_vector():
    torch = pytest.importorskip("torch")
    (x, y), (w, v) = pair((2, 3, 4)), pair((4,), 1)
    close(F.linear(x, w), torch.nn.functional.linear(y, v))


def test_one_hot():
    torch = pytest.importorskip("torch")
    for index, classes in (([0, 2, 1], -1), ([[1, 0], [3, 3]], 5), (2, -1)):
        mine = F.one_hot(cnnx.tensor(index), classes)
        assert mine.dtype == cnnx.int64
        np.testing.assert_array_equal(
            mine.numpy(), torch.nn.functional.one_hot(torch.tensor(index), classes).numpy()
        )
    assert tuple(F.one_hot(cnnx.zeros(0, dtype=cnnx.int64), 3).shape) == (0, 3)
    for bad, classes in (
        (cnnx.tensor([-1]), -1),
        (cnnx.tensor([3]), 3),
        (cnnx.zeros(1), -1),
        (cnnx.tensor([1]), 0),
    ):
        with pytest.raises(RuntimeError, match="one_hot"):
            F.one_hot(bad, classes)
    with pytest.raises(RuntimeError, match="one_hot"):
        F.one_hot(cnnx.zeros(0, dtype=cnnx.int64))


def test_functions_equal_layers():
    x = cnnx.from_numpy(np.random.default_rng(0).standard_normal((2, 2, 6, 6)))
    layer = nn.Conv2d(2, 3, 3, stride=2, padding=(1, 2)).double()
    assert cnnx.equal(layer(x), F.conv2d(x, layer.weight, layer.bias, 2, (1, 2)))
    assert cnnx.equal(layer(x), F.conv2d(x, layer.weight, layer.bias, (2, 2), [1, 2], [1, 1], 1))
    out, index = F.max_pool2d(x, 2, return_indices=True)
    again, index_again = F.max_pool2d_with_indices(x, [2])
    assert cnnx.equal(out, again)
    assert cnnx.equal(index, index_again)
    for name in ("tanh", "sigmoid", "relu"):
        assert cnnx.equal(getattr(F, name)(x), getattr(cnnx, name)(x))


@pytest.mark.parametrize(
    ("dtype", "batch", "tolerance"), [("float64", 7, 1e-8), ("float32", 3, 2e-3), ("float32", 37, 2e-3)]
)
def test_training_trajectories_are_pytorchs(dtype, batch, tolerance):
    """A small net over ten steps: every weight stays PyTorch's, also with float32 images in the lanes."""
    torch = pytest.importorskip("torch")

    def build(nn):
        return nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Conv2d(4, 6, 3, groups=2),
            nn.LeakyReLU(),
            nn.AvgPool2d(2),
            nn.Flatten(),
            nn.Linear(24, 12),
            nn.Tanh(),
            nn.Linear(12, 10),
        )

    mine, theirs = build(nn).to(getattr(cnnx, dtype)), build(torch.nn).to(getattr(torch, dtype))
    mine.load_state_dict({k: cnnx.from_numpy(v.numpy().copy()) for k, v in theirs.state_dict().items()})
    opt = cnnx.optim.SGD(mine.parameters(), lr=0.1, momentum=0.9, nesterov=True)
    their_opt = torch.optim.SGD(theirs.parameters(), lr=0.1, momentum=0.9, nesterov=True)
    rng = np.random.default_rng(0)
    for _ in range(10):
        x, target = rng.standard_normal((batch, 1, 12, 12)).astype(dtype), rng.integers(0, 10, batch)
        opt.zero_grad()
        their_opt.zero_grad()
        loss = F.cross_entropy(mine(cnnx.from_numpy(x)), cnnx.from_numpy(target))
        expected = torch.nn.functional.cross_entropy(theirs(torch.from_numpy(x)), torch.from_numpy(target))
        assert loss.item() == pytest.approx(expected.item(), rel=tolerance)
        loss.backward()
        expected.backward()
        opt.step()
        their_opt.step()
    for p, q in zip(mine.parameters(), theirs.parameters(), strict=True):
        close(p, q, tolerance)


def test_bad_input():
    x = cnnx.zeros(2, 3, 8, 8)
    with pytest.raises(RuntimeError, match="conv2d"):
        nn.Conv2d(1, 2, 3)(x)
    with pytest.raises(RuntimeError, match="conv2d"):
        nn.Conv2d(3, 2, 9)(x)
    with pytest.raises(RuntimeError, match="linear"):
        nn.Linear(5, 2)(x)
    with pytest.raises(RuntimeError, match="pool2d"):
        nn.MaxPool2d(9)(x)
    with pytest.raises((RuntimeError, ValueError), match="pool2d"):
        nn.MaxPool2d(2, padding=2)(x)
    with pytest.raises(RuntimeError, match=r"max_pool1d: kernel \(9,\) does not fit into input \(2, 3, 8\)"):
        F.max_pool1d(x[..., 0], 9)
    with pytest.raises(RuntimeError, match=r"avg_pool1d: input must be \(N, C, W\) or \(C, W\)"):
        F.avg_pool1d(x, 2)
    with pytest.raises(TypeError, match="max_pool1d: kernel_size must be an int"):
        F.max_pool1d(x[0], (2, 2))
    with pytest.raises(ValueError, match=r"adaptive_avg_pool2d: output_size must be positive, got \(0, 2\)"):
        F.adaptive_avg_pool2d(x, (0, 2))
    with pytest.raises(RuntimeError, match=r"adaptive_max_pool2d: input .* no positions"):
        F.adaptive_max_pool2d(x[:, :, :0], 2)
    with pytest.raises(TypeError, match="adaptive_avg_pool2d: output_size"):
        F.adaptive_avg_pool2d(x, (1, 2, 3))
    with pytest.raises(RuntimeError, match="divisor_override"):
        nn.AvgPool2d(2, divisor_override=0)(x)
    with pytest.raises(ValueError, match="strided"):
        nn.Conv2d(3, 2, 3, stride=2, padding="same")
    with pytest.raises(ValueError, match="'same', 'valid' or 'full'"):
        nn.Conv2d(3, 2, 3, padding="some")
    with pytest.raises(ValueError, match="in_channels must be divisible"):
        nn.Conv2d(3, 2, 3, groups=2)
    with pytest.raises(ValueError, match="out_channels must be divisible"):
        nn.Conv2d(3, 2, 3, groups=3)
    with pytest.raises(ValueError, match="groups"):
        nn.Conv2d(3, 2, 3, groups=0)
    with pytest.raises(ValueError, match="padding_mode"):
        nn.Conv2d(3, 2, 3, padding_mode="other")
    with pytest.raises(ValueError, match="kernel_size"):
        nn.Conv2d(3, 2, 0)
    with pytest.raises(TypeError, match="kernel_size"):
        nn.Conv2d(3, 2, 2.5)
    with pytest.raises(TypeError, match="stride"):
        F.conv2d(x, cnnx.zeros(2, 3, 3, 3), stride=(1, 2, 3))
    with pytest.raises(IndexError):
        F.cross_entropy(cnnx.zeros(2, 3), cnnx.tensor([0, 3])).item()  # a device notices at a read
    with pytest.raises(ValueError, match="label_smoothing"):
        nn.CrossEntropyLoss(label_smoothing=1.5)
    with pytest.raises(ValueError, match="reduction"):
        nn.MSELoss(reduction="average")(x, x)
    with pytest.raises(TypeError, match="Unflatten"):
        nn.Unflatten(1, "ab")
    with pytest.raises(RuntimeError, match="multiply up"):
        nn.Unflatten(1, (2, 2))(x)
    with pytest.raises(IndexError):
        nn.Unflatten(7, (2, 2))(x)
    with pytest.raises(IndexError):
        nn.Softmax(dim=5)(x)
    with pytest.raises(TypeError):
        nn.Conv2d(3, 2, 3)(None)


def test_what_is_missing_says_so():
    with pytest.raises(AttributeError, match=r"nn has no .Transformer.: cnnx has no attention"):
        nn.Transformer  # noqa: B018
