"""Gradients of gradients: the mechanism, and what the table of gradient tests (oracles.py) does not reach."""

from __future__ import annotations

import numpy as np
import pytest

import cnnx
from cnnx import autograd, nn
from cnnx.nn import functional as F
from functions import ACTIVATIONS, UNARY, arguments, label
from oracles import array, assert_second_gradients_match_torch, leaf, tensor


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def check(ours, theirs, arrays, what=""):
    """Second gradients with a random upstream gradient, in float64 and, for lanes, in float32."""
    torch = pytest.importorskip("torch")
    for dtype in (np.float64, np.float32):
        typed = [a.astype(dtype) if a.dtype.kind == "f" else a for a in arrays]
        result = theirs(*[torch.tensor(a) for a in typed]).numpy()
        upstream = np.array(np.random.default_rng(5).normal(size=result.shape)).astype(result.dtype)
        assert_second_gradients_match_torch(ours, theirs, typed, upstream, what=what)


@pytest.mark.parametrize("name", UNARY)
def test_functions(name, rng):
    torch = pytest.importorskip("torch")
    for x in (rng.uniform(0.1, 0.9, size=(17, 3, 2)), arguments(name, rng, (4, 5))):
        check(getattr(cnnx, name), getattr(torch, name), [x], name)


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=label)
def test_activations(activation, rng):
    torch = pytest.importorskip("torch")
    x = rng.normal(size=(17, 3, 4)) * 3
    check(lambda t: activation(F, t), lambda t: activation(torch.nn.functional, t), [x], activation.label)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax(name, rng):
    torch = pytest.importorskip("torch")
    ours, theirs = getattr(F, name), getattr(torch.nn.functional, name)
    check(lambda t: ours(t, dim=1), lambda t: theirs(t, dim=1), [rng.normal(size=(17, 3, 4)) * 3], name)


CONVOLUTIONS = {
    "conv1d": ((17, 4, 9), (6, 2, 3), {"stride": 2, "padding": 1, "groups": 2}),
    "conv2d": ((17, 3, 7, 6), (4, 3, 3, 2), {"stride": (2, 1), "padding": (1, 0), "dilation": (1, 2)}),
    "conv2d_winograd": ((16, 8, 12, 12), (8, 8, 3, 3), {"padding": 1}),
    "conv2d_single": ((3, 7, 6), (4, 3, 3, 3), {}),
    "conv_transpose1d": ((5, 4, 6), (4, 3, 3), {"stride": 2, "output_padding": 1}),
    "conv_transpose2d": ((17, 4, 4, 5), (4, 3, 3, 3), {"stride": 2, "padding": 1, "groups": 2}),
}


@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_convolutions(case, rng):
    torch = pytest.importorskip("torch")
    input_shape, weight_shape, options = CONVOLUTIONS[case]
    name = case.removesuffix("_single").removesuffix("_winograd")
    transposed = "transpose" in name
    if transposed and options.get("groups", 1) > 1:
        weight_shape = (weight_shape[0], weight_shape[1], *weight_shape[2:])
    channels = weight_shape[1] * options.get("groups", 1) if transposed else weight_shape[0]
    arrays = [rng.normal(size=input_shape), rng.normal(size=weight_shape), rng.normal(size=channels)]
    check(
        lambda x, w, b: getattr(F, name)(x, w, b, **options),
        lambda x, w, b: getattr(torch.nn.functional, name)(x, w, b, **options),
        arrays,
        case,
    )


POOLINGS = [
    ("max_pool1d", (17, 3, 9), {"kernel_size": 3, "stride": 2}),
    ("max_pool2d", (17, 3, 8, 7), {"kernel_size": 3, "stride": 2, "padding": 1}),
    ("max_pool2d", (3, 8, 7), {"kernel_size": 2}),
    ("avg_pool1d", (5, 3, 9), {"kernel_size": 3}),
    ("avg_pool2d", (17, 3, 8, 7), {"kernel_size": 3, "stride": 2, "padding": 1}),
    ("adaptive_avg_pool2d", (17, 3, 7, 5), {"output_size": (3, 2)}),
    ("adaptive_max_pool2d", (17, 3, 7, 5), {"output_size": (3, 2)}),
]


@pytest.mark.parametrize(("name", "shape", "options"), POOLINGS, ids=str)
def test_pooling(name, shape, options, rng):
    torch = pytest.importorskip("torch")
    weights = rng.normal(size=shape)
    # Squared, so that the second gradient is not zero.
    check(
        lambda x: getattr(F, name)(x * tensor(weights).to(x.dtype), **options) ** 2,
        lambda x: getattr(torch.nn.functional, name)(x * torch.tensor(weights).to(x.dtype), **options) ** 2,
        [rng.normal(size=shape)],
        name,
    )


def test_norms(rng):
    torch = pytest.importorskip("torch")
    x, w, b = rng.normal(size=(17, 6, 3, 3)), rng.normal(size=6), rng.normal(size=6)
    running = rng.normal(size=6), rng.uniform(0.5, 2, size=6)
    for training in (True, False):

        def normalised(lib, training=training):
            def run(x, w, b):
                mean, var = (lib.tensor(r, dtype=x.dtype) for r in running)
                return lib.nn.functional.batch_norm(x, mean, var, w, b, training=training)

            return run

        check(normalised(cnnx), normalised(torch), [x, w, b], f"batch_norm {training}")
    check(
        lambda x, w, b: F.group_norm(x, 3, w, b),
        lambda x, w, b: torch.nn.functional.group_norm(x, 3, w, b),
        [x, w, b],
        "group_norm",
    )
    layer = [rng.normal(size=(5, 4, 6)), rng.normal(size=(4, 6)), rng.normal(size=(4, 6))]
    check(
        lambda x, w, b: F.layer_norm(x, (4, 6), w, b),
        lambda x, w, b: torch.nn.functional.layer_norm(x, (4, 6), w, b),
        layer,
        "layer_norm",
    )


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weighted", [False, True])
def test_class_losses(reduction, smoothing, weighted, rng):
    torch = pytest.importorskip("torch")
    target = rng.integers(0, 4, size=(6, 2))
    target[1, 1] = -100
    weight = rng.uniform(0.5, 2, size=4)

    def run(lib, name, **options):
        def loss(x):
            w = lib.tensor(weight, dtype=x.dtype) if weighted else None
            function = getattr(lib.nn.functional, name)
            return function(x, lib.tensor(target), weight=w, reduction=reduction, **options)

        return loss

    x = rng.normal(size=(6, 4, 2))
    options = {"label_smoothing": smoothing}
    check(run(cnnx, "cross_entropy", **options), run(torch, "cross_entropy", **options), [x])
    check(
        lambda x: run(cnnx, "nll_loss")(F.log_softmax(x, 1)),
        lambda x: run(torch, "nll_loss")(torch.log_softmax(x, 1)),
        [x],
    )


def test_dense_and_products(rng):
    torch = pytest.importorskip("torch")
    check(F.linear, torch.nn.functional.linear, [rng.normal(size=s) for s in ((5, 4), (3, 4), (3,))])
    for a, b in (((3, 4), (4, 2)), ((4,), (4, 2)), ((3, 4), (4,)), ((4,), (4,)), ((2, 1, 3, 4), (5, 4, 2))):
        check(cnnx.matmul, torch.matmul, [rng.normal(size=a), rng.normal(size=b)], f"{a} @ {b}")


def test_reductions(rng):
    x = rng.normal(size=(4, 5, 3))
    zeros = x.copy()
    zeros[0, 0], zeros[1, 1:3], zeros[2, :, 0] = 0, 0, 0
    for dim in (1, (0, 2), (1, 2)):
        for name in ("sum", "mean", "var", "std", "amax", "amin", "logsumexp", "norm"):

            def squared(t, name=name, dim=dim):
                return getattr(t, name)(dim=dim) ** 2

            check(squared, squared, [x], name)
    check(lambda t: t.prod(1), lambda t: t.prod(1), [x], "prod")
    check(lambda t: t.prod(1), lambda t: t.prod(1), [zeros], "prod with zeros")
    check(lambda t: t.cumsum(1) ** 2, lambda t: t.cumsum(1) ** 2, [x], "cumsum")
    check(lambda t: t.norm(3, dim=1), lambda t: t.norm(3, dim=1), [x], "norm 3")
    check(lambda t: t.max(1).values ** 2, lambda t: t.max(1).values ** 2, [x], "max")
    check(lambda t: t.sort(1).values ** 2, lambda t: t.sort(1).values ** 2, [x], "sort")


def test_indexing_and_shaping(rng):
    torch = pytest.importorskip("torch")
    x, y = rng.normal(size=(4, 5, 6)), rng.normal(size=(4, 5, 6))
    index, mask = np.array([0, 3, 3, 1]), x[..., 0] > 0

    def moves(lib):
        pick, chosen = lib.tensor(index), lib.tensor(mask)
        along = lib.tensor(np.stack([index] * 5, 1)[:, :, None].repeat(6, 2))

        def put(x, y):
            z = x * 1
            z[1:3, pick[:2]] = y[1:3, :2]
            return z

        def fill(x, y):
            z = x * 1
            z[chosen] = y[chosen] * 2
            return z

        return {
            "slice": lambda x, y: x[1:, ::2] * y[1:, ::2],
            "index": lambda x, y: x[pick, :, pick] * y[pick, :, pick],
            "mask": lambda x, y: x[chosen] * y[chosen],
            "put": put,
            "fill": fill,
            "gather": lambda x, y: x.gather(0, along) * y,
            "scatter_add": lambda x, y: x.scatter_add(0, along, y) ** 2,
            "scatter": lambda x, y: x.scatter(0, along[:1], y) ** 2,
            "cat": lambda x, y: lib.cat([x, y, x], 1) ** 2,
            "stack": lambda x, y: lib.stack([x, y]) ** 3,
            "permute": lambda x, y: x.permute(2, 0, 1) * y.permute(2, 0, 1),
            "reshape": lambda x, y: x.transpose(0, 1).reshape(5, 24) * y.reshape(5, 24),
            "expand": lambda x, y: x[:1].expand(4, 5, 6) * y,
            "diagonal": lambda x, y: x.diagonal(1, 1, 2) * y.diagonal(1, 1, 2),
            "flip": lambda x, y: x.flip(1) * y,
            "roll": lambda x, y: x.roll(2, 1) * y,
            "tril": lambda x, y: x.tril() * y,
            "pad": lambda x, y: lib.nn.functional.pad(x, (1, 2), mode="reflect") ** 2,
            "pad_constant": lambda x, y: lib.nn.functional.pad(x, (1, 2, 0, 1, 2, 0)) ** 2,
            "where": lambda x, y: lib.where(chosen[..., None], x * y, x),
            "clamp": lambda x, y: x.clamp(-0.5, 0.7) * y,
            "in_place": lambda x, y: (x * 1).mul_(y).sub_(x).div_(y * y + 1),
            "double": lambda x, y: x.double() * y,
        }

    ours, theirs = moves(cnnx), moves(torch)
    for name in ours:
        check(ours[name], theirs[name], [x, y], name)


def test_arithmetic(rng):
    torch = pytest.importorskip("torch")
    a, b = rng.uniform(0.5, 2, size=(4, 1, 3)), rng.uniform(0.5, 2, size=(5, 3))
    for name in (
        "add",
        "sub",
        "mul",
        "div",
        "pow",
        "maximum",
        "minimum",
        "remainder",
        "fmod",
        "hypot",
        "xlogy",
    ):
        check(getattr(cnnx, name), getattr(torch, name), [a, b], name)
    for exponent in (-1, 0, 0.5, 1, 2, 3, 2.5):

        def power(x, exponent=exponent):
            return x**exponent

        check(power, power, [a], f"power {exponent}")
    check(lambda x: 2**x, lambda x: 2**x, [a], "base 2")


def test_third_derivatives_and_beyond() -> None:
    x = leaf(0.3, 0.7)
    slope = (x**5).sum()
    for factor in (5, 20, 60, 120):
        (grad,) = autograd.grad(slope, x, create_graph=True)
        power = {5: 4, 20: 3, 60: 2, 120: 1}[factor]
        np.testing.assert_allclose(array(grad), factor * array(x) ** power, rtol=1e-12)
        slope = grad.sum()
    y = leaf(0.2, 0.4)
    derivative, expected = cnnx.tanh(y), [lambda t: 1 - t**2, lambda t: -2 * t * (1 - t**2)]
    for formula in expected:
        (derivative,) = autograd.grad(derivative.sum(), y, create_graph=True)
        np.testing.assert_allclose(array(derivative), formula(np.tanh(array(y))), rtol=1e-12)


def test_backward_with_create_graph_leaves_a_gradient_with_a_history() -> None:
    x = leaf(2.0)
    with pytest.warns(UserWarning, match="keep each other alive"):
        (x**3).backward(create_graph=True)
    assert x.grad.requires_grad
    first = x.grad
    x.grad = None
    first.sum().backward()
    assert x.grad.tolist() == [12.0]
    z = leaf(1.0)
    for _ in range(2):  # sums, and keeps the history of both
        with pytest.warns(UserWarning, match="keep each other alive"):
            autograd.backward(z**2, create_graph=True)
    assert z.grad.tolist() == [4.0]
    assert autograd.grad(z.grad.sum(), z)[0].tolist() == [4.0]
    z.grad = None


def test_gradient_penalty_trains_the_critic(rng) -> None:
    torch = pytest.importorskip("torch")
    x = rng.normal(size=(5, 1, 14, 14)).astype(np.float32)
    results = []
    weights = None
    for lib in (torch, cnnx):
        layers = lib.nn
        critic = layers.Sequential(
            layers.Conv2d(1, 4, 4, 2, 1), layers.LeakyReLU(0.2), layers.Flatten(), layers.Linear(196, 1)
        )
        if weights is None:
            weights = {k: v.numpy() for k, v in critic.state_dict().items()}
        else:
            critic.load_state_dict({k: lib.tensor(v) for k, v in weights.items()})
        images = lib.tensor(x, requires_grad=True)
        out = critic(images)
        (g,) = lib.autograd.grad(out, images, grad_outputs=lib.ones_like(out), create_graph=True)
        penalty = ((g.view(5, -1).norm(2, dim=1) - 1) ** 2).mean()
        penalty.backward()
        results.append([penalty.item(), *(p.grad for p in critic.parameters())])
    assert results[1][0] == pytest.approx(results[0][0], rel=1e-5)
    for ours, theirs in zip(results[1][1:], results[0][1:], strict=True):
        if theirs is None or not theirs.any():
            assert ours is None or not array(ours).any()
        else:
            np.testing.assert_allclose(array(ours), theirs.numpy(), rtol=1e-4, atol=1e-5)


def test_hessian_vector_product_against_differences(rng) -> None:
    net = nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(12, 4)
    ).double()
    x, target = tensor(rng.normal(size=(3, 1, 6, 6))), cnnx.tensor([0, 3, 1])
    parameters = list(net.parameters())
    direction = [tensor(rng.normal(size=tuple(p.shape))) for p in parameters]

    def gradient(create_graph=False):
        loss = F.cross_entropy(net(x), target)
        return autograd.grad(loss, parameters, create_graph=create_graph)

    inner = sum((g * v).sum() for g, v in zip(gradient(True), direction, strict=True))
    product = autograd.grad(inner, parameters)
    step, ends = 1e-5, []
    for sign in (1, -2):
        with cnnx.no_grad():
            for p, v in zip(parameters, direction, strict=True):
                p.add_(v, alpha=sign * step)
        ends.append(gradient())
    for got, up, down in zip(product, *ends, strict=True):
        np.testing.assert_allclose(array(got), (array(up) - array(down)) / (2 * step), rtol=1e-5, atol=1e-8)


def test_what_has_no_second_derivative_says_so_in_the_first_pass() -> None:
    x, y = leaf(1.0, 2.0).reshape(2, 1), leaf(3.0, 4.0, 5.0).reshape(3, 1)
    distance = cnnx.cdist(x, y)
    with pytest.raises(RuntimeError, match="cdist_backward: has no derivative"):
        autograd.grad(distance.sum(), x, create_graph=True)


def test_functions_of_ones_own() -> None:
    class Cube(autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, grad):
            (x,) = ctx.saved_tensors
            return grad * 3 * x**2

    class Exp(autograd.Function):
        @staticmethod
        def forward(ctx, x):
            y = x.exp()
            ctx.save_for_backward(y)
            return y

        @staticmethod
        def backward(ctx, grad):
            (y,) = ctx.saved_tensors
            return grad * y

    for function, derivatives in (
        (Cube, [lambda t: 3 * t**2, lambda t: 6 * t, lambda t: 6 + 0 * t]),
        (Exp, [np.exp, np.exp, np.exp]),
    ):
        x = leaf(0.5, 2.0)
        value = function.apply(x)
        for derivative in derivatives:
            (value,) = autograd.grad(value.sum(), x, create_graph=True)
            np.testing.assert_allclose(array(value), derivative(array(x)), rtol=1e-12)

    class Once(Cube):
        @staticmethod
        @autograd.function.once_differentiable
        def backward(ctx, grad):
            (x,) = ctx.saved_tensors
            return grad * 3 * x**2

    x = leaf(2.0)
    (slope,) = autograd.grad(Once.apply(x), x, create_graph=True)
    assert slope.tolist() == [12.0]
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()


def test_grad_runs_only_what_leads_to_its_inputs() -> None:
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    hidden = x * w
    first, second = (hidden * 2).sum(), (hidden * 3).sum()
    # The part below `hidden` is not run, and so not freed.
    assert autograd.grad(first, hidden)[0].tolist() == [2.0, 2.0]
    assert autograd.grad(second, w)[0].tolist() == [3.0, 6.0]


def test_gradgradcheck() -> None:
    x = cnnx.randn(2, 3, dtype=cnnx.float64, requires_grad=True)
    assert autograd.gradgradcheck(lambda t: cnnx.tanh(t) * t, (x,))

    class Wrong(autograd.Function):
        @staticmethod
        def forward(ctx, t):
            ctx.save_for_backward(t)
            return t**2

        @staticmethod
        def backward(ctx, grad):
            (t,) = ctx.saved_tensors
            return grad * 2 * t.detach()

    with pytest.raises(RuntimeError):
        autograd.gradgradcheck(Wrong.apply, (x,))
