"""Saliency and Grad-CAM: against PyTorch's autograd and finite differences; models stay as they were."""

from __future__ import annotations

import numpy as np
import pytest

import cnnx
from cnnx import nn
from cnnx.attribution import grad_cam, saliency
from oracles import assert_same


def image_net(n, channels=3, inplace=False):
    """What layers can disturb: normalisation, dropout, changes in place. For either library's `nn`."""
    return n.Sequential(
        n.Conv2d(channels, 5, 3, padding=1),
        n.BatchNorm2d(5),
        n.ReLU(inplace=inplace),
        n.MaxPool2d(2),
        n.Conv2d(5, 7, 3, stride=2),
        n.ReLU(inplace=inplace),
        n.Dropout(0.5),
        n.Flatten(),
        n.LazyLinear(4),
    )


def signal_net(n, channels=2, inplace=False):
    return n.Sequential(
        n.Conv1d(channels, 6, 5), n.Tanh(), n.Conv1d(6, 3, 2, bias=False), n.Flatten(), n.LazyLinear(4)
    )


CASES = [
    (image_net, (4, 3, 11, 9), False),
    (image_net, (1, 3, 8, 8), True),
    (image_net, (17, 1, 7, 12), True),
    (signal_net, (3, 2, 13), False),
    (signal_net, (1, 1, 9), False),
]


def pair(make, shape, inplace, seed=0):
    """The same net and inputs in both libraries, in float64, with some running statistics."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(seed)
    ours, theirs = make(nn, shape[1], inplace).double(), make(torch.nn, shape[1], inplace).double()
    x = np.random.default_rng(seed).normal(size=shape)
    theirs(torch.tensor(np.concatenate([x, x])))  # makes the lazy layer; two images for batch norm
    ours(cnnx.tensor(np.concatenate([x, x])))
    ours.load_state_dict({name: cnnx.tensor(value.numpy()) for name, value in theirs.state_dict().items()})
    return ours, theirs.eval(), cnnx.tensor(x), torch.tensor(x)


def torch_gradient(model, x, target, start=0):
    """The gradient of the chosen scores with respect to the input of the layer at `start`."""
    torch = pytest.importorskip("torch")
    x = x.detach().clone().requires_grad_()
    # A copy, since the next layer may work in place.
    scores = model[start:](x.clone())
    return torch.autograd.grad(scores[torch.arange(len(x)), target].sum(), x)[0]


@pytest.mark.parametrize(("make", "shape", "inplace"), CASES)
def test_beside_pytorch(make, shape, inplace):
    torch = pytest.importorskip("torch")
    ours, theirs, x, x_torch = pair(make, shape, inplace)
    best = theirs(x_torch).argmax(1)
    last = 5 if make is image_net else 3  # behind the last convolution
    with torch.no_grad():
        maps = theirs[:last](x_torch.clone())
    for target, chosen in (
        (None, best),
        (2, torch.full((shape[0],), 2)),
        (cnnx.arange(shape[0]) % 4, torch.arange(shape[0]) % 4),
    ):
        expected = torch_gradient(theirs, x_torch, chosen).abs().amax(1)
        assert_same(saliency(ours, x, target).cpu(), expected)
        slopes = torch_gradient(theirs, maps, chosen, last)
        inner = tuple(range(2, len(shape)))
        seen = torch.relu((slopes.mean(inner, keepdim=True) * maps).sum(1, keepdim=True))
        mode = "bilinear" if len(inner) == 2 else "linear"
        expected = torch.nn.functional.interpolate(seen, size=shape[2:], mode=mode)[:, 0]
        got = grad_cam(ours, x, target)
        assert_same(got.cpu(), expected)
        for layer in (ours[last - 1], str(last - 1)):
            assert (grad_cam(ours, x, target, layer=layer) == got).all()
    assert tuple(got.shape) == (shape[0], *shape[2:])


def test_smooth_saliency_is_a_mean_over_noise():
    torch = pytest.importorskip("torch")
    ours, theirs, x, x_torch = pair(image_net, (3, 3, 9, 9), False)
    best = theirs(x_torch).argmax(1)
    generator = cnnx.Generator(device=x.device).manual_seed(7)
    got = saliency(ours, x, samples=5, noise=0.2, generator=generator)
    generator.manual_seed(7)
    spread = 0.2 * (x_torch.amax((1, 2, 3), keepdim=True) - x_torch.amin((1, 2, 3), keepdim=True))
    total = torch.zeros_like(x_torch)
    for _ in range(5):
        drawn = cnnx.randn(x.shape, generator=generator, dtype=x.dtype, device=x.device).cpu().numpy()
        total += torch_gradient(theirs, x_torch + spread * torch.tensor(drawn), best)
    assert_same(got.cpu(), (total / 5).abs().amax(1))
    assert (saliency(ours, x, samples=3, noise=0) - saliency(ours, x)).abs().max() < 1e-12


def test_saliency_by_finite_differences():
    cnnx.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Tanh(), nn.Flatten(), nn.Linear(3 * 4 * 3, 5)).double()
    x = cnnx.randn(1, 2, 6, 5, dtype=cnnx.float64)
    got = saliency(model, x, 3)[0].cpu().numpy()
    slopes = np.zeros((2, 6, 5))
    for place in np.ndindex(slopes.shape):
        scores = []
        for step in (1e-5, -1e-5):
            moved = x.clone()
            moved[(0, *place)] += step
            scores.append(model(moved)[0, 3].item())
        slopes[place] = (scores[0] - scores[1]) / 2e-5
    np.testing.assert_allclose(got, abs(slopes).max(0), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("attribute", [saliency, grad_cam])
def test_the_model_stays_as_it_was(attribute):
    cnnx.manual_seed(0)
    model = image_net(nn)
    x = cnnx.randn(6, 3, 10, 10)
    model(x).sum().backward()
    model[1].eval()  # a mode of its own
    model[4].weight.requires_grad_(False)
    seen = []
    model[4].register_forward_hook(lambda *unused: seen.append(1))

    def state():
        return (
            [module.training for module in model.modules()],
            [len(module._forward_hooks) for module in model.modules()],
            [None if p.grad is None else p.grad.clone().tolist() for p in model.parameters()],
            [p.requires_grad for p in model.parameters()],
            {name: value.tolist() for name, value in model.state_dict().items()},
        )

    before = state()
    values = x.clone()
    with cnnx.no_grad():
        first = attribute(model, x)
        assert not cnnx.is_grad_enabled()
    assert state() == before
    assert (x == values).all()
    assert not x.requires_grad
    assert not first.requires_grad
    assert (attribute(model, x.requires_grad_()) == first).all()  # dropout is off
    assert x.grad is None
    assert seen  # the user's own hook ran
    with pytest.raises(ValueError, match="is not within 0 to 3"):
        attribute(model, x, 4)
    assert state() == before


def test_the_last_run_of_a_layer_counts():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(3, 2)
            self.conv = nn.Conv2d(3, 3, 3, padding=1)

        def forward(self, x):
            return self.head(self.conv(self.conv(x).relu()).mean((2, 3)))

    model, x = Twice(), cnnx.randn(2, 3, 5, 5)
    maps = model.conv(model.conv(x).relu()).detach()
    for target in (0, 1):
        weights = model.head.weight[target].detach() / 25  # the gradient of the mean
        expected = (weights[:, None, None] * maps).sum(1).relu()
        assert (grad_cam(model, x, target) - expected).abs().max() < 1e-6


def test_scores_without_the_input():
    class Constant(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 1, 1)
            self.bias = nn.Parameter(cnnx.ones(3))

        def forward(self, x):
            self.conv(x)
            return self.bias.expand(len(x), 3) * 1

    x = cnnx.rand(2, 1, 4, 4)
    assert (saliency(Constant(), x, 1) == cnnx.zeros(2, 4, 4)).all()
    with pytest.raises(ValueError, match="do not depend on the layer"):
        grad_cam(Constant(), x, 1)


def test_nets_that_have_no_gradients():
    """Scores that depend on nothing are as those that do not depend on the input."""

    class Frozen(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.head = nn.Conv2d(1, 3, 3), nn.Linear(3, 2)

        def forward(self, x):
            with cnnx.no_grad():
                x = self.conv(x)
            return self.head(x.mean((2, 3)))

    class Nothing(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 3, 3)

        def forward(self, x):
            self.conv(x)
            return cnnx.zeros(len(x), 3, device=x.device)

    x = cnnx.rand(2, 1, 5, 4)
    for model in (Frozen(), Nothing()):
        for samples in (1, 3):
            assert (saliency(model, x, samples=samples) == cnnx.zeros(2, 5, 4)).all()
        with pytest.raises(ValueError, match="grad_cam: the scores do not depend on the layer, or it runs"):
            grad_cam(model, x)


def test_compiled_models():
    cnnx.manual_seed(0)
    model, x = image_net(nn, 1).eval(), cnnx.rand(3, 1, 8, 8)
    model(x)
    for static in (True, False):
        compiled = cnnx.compile(model, static=static)
        with cnnx.no_grad():
            for _ in range(3):  # noted, and replayed
                compiled(x)
        for attribute in (saliency, grad_cam):
            assert (attribute(compiled, x) == attribute(model, x)).all()
        assert (grad_cam(compiled, x, layer="0") == grad_cam(model, x, layer=model[0])).all()
    with pytest.raises(TypeError, match="saliency: model must be"):
        saliency(cnnx.compile(lambda x: x, static=True), x)


def test_the_convolution_is_one_for_such_inputs():
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.image, self.signal = nn.Conv2d(1, 2, 3), nn.Conv1d(2, 3, 2)

        def forward(self, x):
            return self.signal(self.image(x).flatten(2)).mean(2)

    model, x = Both(), cnnx.rand(2, 1, 6, 5)
    assert (grad_cam(model, x) == grad_cam(model, x, layer=model.image)).all()
    model = nn.Sequential(nn.Flatten(2), nn.Conv1d(1, 3, 3), nn.Flatten(), nn.Linear(84, 2))
    with pytest.raises(ValueError, match=r"has no convolution of such inputs \(nn.Conv2d\): name a layer"):
        grad_cam(model, x)


def test_bad_input():
    model, x = image_net(nn, 1).eval(), cnnx.rand(2, 1, 8, 8)
    model(x)
    cases = [
        (ValueError, r"target 4 is not within 0 to 3", {"target": 4}),
        (ValueError, r"target -1 is not within", {"target": cnnx.tensor([0, -1])}),
        (ValueError, r"target must be a class or \(2,\) of them", {"target": cnnx.tensor([0, 1, 2])}),
        (ValueError, r"target must be a class", {"target": cnnx.tensor([0.5, 1.0])}),
        (TypeError, r"target must be int \| Tensor", {"target": 1.5}),
        (TypeError, "inputs must be floating-point", {"inputs": cnnx.zeros(2, 1, 8, 8, dtype=cnnx.uint8)}),
        (ValueError, r"must be a batch|inputs must be \(N", {"inputs": cnnx.rand(8, 8)}),
        (
            TypeError,
            "inputs must be Tensor, got ndarray: cnnx.from_numpy",
            {"inputs": np.zeros((2, 1, 8, 8))},
        ),
        (ValueError, r"must give scores \(2, classes\)", {"model": nn.Conv2d(1, 1, 1)}),
        (TypeError, "model must be", {"model": 3}),
    ]
    for attribute in (saliency, grad_cam):
        for error, text, wrong in cases:
            with pytest.raises(error, match=text) as caught:
                attribute(**{"model": model, "inputs": x, **wrong})
            assert str(caught.value).startswith(f"{attribute.__name__}: ")
    for wrong in ({"samples": 0}, {"samples": 1001}, {"noise": -1.0}, {"noise": float("nan")}):
        with pytest.raises(ValueError, match=r"saliency: (samples|noise) must be"):
            saliency(model, x, **wrong)
    for layer, text in (
        ("7", "gives"),
        ("conv9", "no layer 'conv9'"),
        (nn.Conv2d(1, 1, 1), "Conv2d is no layer of the model"),
    ):
        with pytest.raises(ValueError, match=f"grad_cam: .*{text}"):
            grad_cam(model, x, layer=layer)
    with pytest.raises(ValueError, match="no convolution"):
        grad_cam(nn.Sequential(nn.Flatten(), nn.Linear(64, 3)), x)
    with pytest.raises(ValueError, match=r"\(N, C, L\) or \(N, C, H, W\)"):
        grad_cam(model, cnnx.rand(1, 1, 2, 2, 2))
