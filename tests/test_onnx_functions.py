"""Every function of one tensor and every activation as an ONNX model: ONNX Runtime gives what cnnx gives."""

from __future__ import annotations

import numpy as np
import pytest

import cnnx
from cnnx import nn
from functions import ACTIVATIONS, UNARY, WITHOUT_ONNX, arguments, label

pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")


def compare(model: nn.Module, x: np.ndarray) -> None:
    proto = cnnx.onnx.export(model, cnnx.tensor(x))
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    run = runtime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    (found,) = run.run(None, {run.get_inputs()[0].name: x})
    expected = model(cnnx.tensor(x)).numpy()
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


class Function(nn.Module):
    """A function as a model."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def forward(self, x: cnnx.Tensor) -> cnnx.Tensor:
        return getattr(cnnx, self.name)(x)


@pytest.mark.parametrize("name", UNARY)
def test_functions(name: str) -> None:
    if name in WITHOUT_ONNX:
        with pytest.raises(NotImplementedError, match=name):
            cnnx.onnx.export(Function(name), cnnx.zeros(7, 5))
        return
    compare(Function(name), arguments(name, np.random.default_rng(0), (7, 5)).astype(np.float32))


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=label)
def test_activations(activation) -> None:
    if activation.options.get("threshold", 20) < 15 and activation.name == "softplus":
        pytest.skip("a threshold that low has no counterpart")
    layer = getattr(nn, activation.layer)(**activation.options)
    compare(layer, np.random.default_rng(0).normal(size=(7, 5), scale=3).astype(np.float32))
