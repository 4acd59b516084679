"""Models exported to ONNX and run by ONNX Runtime: what the tests of the export share."""

import numpy as np
import pytest

import cnnx
import cnnx.nn as nn

runtime = pytest.importorskip("onnxruntime")


def session(proto):
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return runtime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])


def compare(model, *shapes, batches=(1, 3, 17), tolerance=1e-5, **options):
    """Exports, runs both at several sizes of the batch, and returns the ONNX model."""
    cnnx.manual_seed(0)
    proto = cnnx.onnx.export(model, tuple(cnnx.rand(4, *shape) for shape in shapes), **options)
    run = session(proto)
    model.eval()
    for batch in batches:
        inputs = [cnnx.randn(batch, *shape) for shape in shapes]
        with cnnx.no_grad():
            expected = model(*[x.clone() for x in inputs])
        expected = expected if isinstance(expected, tuple) else (expected,)
        feed = {given.name: x.numpy() for given, x in zip(run.get_inputs(), inputs, strict=True)}
        found = run.run(None, feed)
        assert len(found) == len(expected)
        for a, b in zip(found, expected, strict=True):
            assert a.shape == tuple(b.shape)
            assert a.dtype == b.numpy().dtype
            np.testing.assert_allclose(a, b.numpy(), rtol=tolerance, atol=tolerance)
    return proto


def operators(proto):
    return [node.op_type for node in proto.graph.node]


def of(function):
    """A function as a model."""

    class Net(nn.Module):
        def forward(self, *inputs):
            return function(*inputs)

    return Net()
