"""Activations that convolutions and dense layers apply themselves: as the layer, then the activation."""

from __future__ import annotations

import numpy as np
import pytest

import cnnx
import cnnx.nn as nn
import cnnx.nn.functional as F

ACTIVATIONS = ["relu", "tanh", "sigmoid"]
# Layers whose kernels differ: one channel, edges apart, padding laid out, Winograd, groups, strides,
# depthwise, one axis; and for the dense layer images in the lanes and dot products.
LAYERS = {
    "one channel": (lambda a: nn.Conv2d(1, 4, 3, padding=1, activation=a), (1, 9, 8)),
    "padded": (lambda a: nn.Conv2d(3, 7, 5, padding=2, activation=a), (3, 7, 11)),
    "unpadded": (lambda a: nn.Conv2d(6, 16, 5, activation=a), (6, 14, 14)),
    "winograd 3": (lambda a: nn.Conv2d(16, 20, 3, padding=1, activation=a), (16, 9, 7)),
    "winograd 5": (lambda a: nn.Conv2d(17, 16, 5, activation=a), (17, 9, 10)),
    "strided": (
        lambda a: nn.Conv2d(4, 6, 3, stride=2, padding=1, dilation=2, groups=2, activation=a),
        (4, 9, 9),
    ),
    "depthwise": (lambda a: nn.Conv2d(5, 5, 3, groups=5, bias=False, activation=a), (5, 6, 6)),
    "reflected": (lambda a: nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect", activation=a), (2, 5, 5)),
    "one axis": (lambda a: nn.Conv1d(3, 5, 3, activation=a), (3, 12)),
    "dense": (lambda a: nn.Linear(37, 19, activation=a), (37,)),
    "dense of rows": (lambda a: nn.Linear(5, 3, bias=False, activation=a), (4, 5)),
}


def results(layer, then, x: np.ndarray, seed: int) -> list[np.ndarray]:
    """The result and all gradients, for a random gradient of the result."""
    images = cnnx.tensor(x, requires_grad=True)
    y = then(layer(images))
    y.backward(cnnx.tensor(np.random.default_rng(seed).standard_normal(y.shape).astype(x.dtype)))
    return [y.detach().numpy(), images.grad.numpy(), *[p.grad.numpy() for p in layer.parameters()]]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("batch", [1, 3, 19])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("name", LAYERS)
def test_as_layer_and_activation(name: str, activation: str, batch: int, dtype) -> None:
    make, shape = LAYERS[name]
    fused = make(activation).to(dtype=getattr(cnnx, np.dtype(dtype).name))
    plain = make(None).to(dtype=getattr(cnnx, np.dtype(dtype).name))
    plain.load_state_dict(fused.state_dict())
    x = np.random.default_rng(0).standard_normal((batch, *shape)).astype(dtype)
    got = results(fused, lambda y: y, x, 1)
    expected = results(plain, getattr(cnnx, activation), x, 1)
    tolerance = 1e-12 if dtype == np.float64 else 2e-6
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * max(1, np.abs(b).max()))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("batch", [2, 20])
def test_against_pytorch(activation: str, batch: int) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    x, w, b = (rng.standard_normal(s).astype(np.float32) for s in ((batch, 3, 8, 9), (6, 3, 3, 3), (6,)))
    inputs = [torch.tensor(v, requires_grad=True) for v in (x, w, b)]
    expected = getattr(torch, activation)(torch.nn.functional.conv2d(*inputs, padding=1))
    expected.sum().backward()
    ours = [cnnx.tensor(v, requires_grad=True) for v in (x, w, b)]
    y = F.conv2d(*ours, padding=1, activation=activation)
    y.sum().backward()
    np.testing.assert_allclose(y.detach().numpy(), expected.detach().numpy(), rtol=1e-5, atol=1e-5)
    for mine, theirs in zip(ours, inputs, strict=True):
        np.testing.assert_allclose(mine.grad.numpy(), theirs.grad.numpy(), rtol=1e-4, atol=2e-4)


@pytest.mark.parametrize("batch", [1, 16])
def test_nan_stays(batch: int) -> None:
    x = cnnx.full((batch, 1, 4, 4), float("nan"))
    for activation in ACTIVATIONS:
        assert np.isnan(F.conv2d(x, cnnx.ones(2, 1, 3, 3), activation=activation).numpy()).all()
        assert np.isnan(F.linear(x.reshape(batch, 16), cnnx.ones(3, 16), activation=activation).numpy()).all()


def test_the_value_before_is_not_kept_and_a_changed_result_is_noticed() -> None:
    layer = nn.Conv2d(1, 2, 3, activation="relu")
    y = layer(cnnx.ones(2, 1, 5, 5))
    y.mul_(2)
    with pytest.raises(RuntimeError, match="in place"):
        y.sum().backward()


def test_one_dimensional_weight() -> None:
    x, w = cnnx.tensor([[1.0, -2.0], [3.0, 1.0]]), cnnx.tensor([1.0, 1.0])
    assert F.linear(x, w, activation="relu").tolist() == [0.0, 4.0]


def test_repr_and_state() -> None:
    layer = nn.Conv2d(1, 2, 3, activation="tanh")
    assert repr(layer).endswith("stride=(1, 1), activation='tanh')")
    assert (
        repr(nn.Linear(2, 3, activation="relu"))
        == "Linear(in_features=2, out_features=3, bias=True, activation='relu')"
    )
    assert list(layer.state_dict()) == ["weight", "bias"]


LAYER_KINDS = [lambda a: nn.Conv2d(1, 1, 1, activation=a), lambda a: nn.Linear(1, 1, activation=a)]


@pytest.mark.parametrize("make", LAYER_KINDS)
def test_unknown_activation(make) -> None:
    with pytest.raises(ValueError, match="activation must be None, 'relu', 'tanh' or 'sigmoid', got 'swish'"):
        make("swish")


def test_onnx(tmp_path) -> None:
    ort = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    net = nn.Sequential(
        nn.Conv2d(1, 3, 3, activation="relu"), nn.Flatten(-3), nn.Linear(48, 4, activation="sigmoid")
    ).eval()
    x = cnnx.randn(2, 1, 6, 6)
    cnnx.onnx.export(net, x, tmp_path / "net.onnx")
    session = ort.InferenceSession(str(tmp_path / "net.onnx"))
    (got,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    np.testing.assert_allclose(got, net(x).detach().numpy(), atol=1e-6)
