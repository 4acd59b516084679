"""Tensors without elements through all kinds of ops: PyTorch's shapes, or an error that names the op."""

from __future__ import annotations

from typing import Any

import pytest

import cnnx
import cnnx.nn.functional as F

torch = pytest.importorskip("torch")

# A few images lie plain, many in lanes.
SHAPES = [(n, *rest) for n in (3, 40) for rest in ((0, 4, 5), (3, 0, 5), (3, 4, 0))] + [(0, 3, 4, 5)]
OPS = {
    "relu": lambda t, f, x: f.relu(x),
    "gelu": lambda t, f, x: f.gelu(x),
    "add": lambda t, f, x: x + x,
    "exp": lambda t, f, x: (x * 2).exp(),
    "where": lambda t, f, x: t.where(x > 0, x, -x),
    "clamp": lambda t, f, x: x.clamp(0, 1),
    "sum": lambda t, f, x: x.sum(),
    "sum of channels": lambda t, f, x: x.sum(1),
    "mean of space": lambda t, f, x: x.mean(dim=(2, 3)),
    "prod": lambda t, f, x: x.prod(1),
    "var": lambda t, f, x: x.var(1),
    "norm": lambda t, f, x: x.norm(),
    "max": lambda t, f, x: x.max(),
    "argmax": lambda t, f, x: x.argmax(1),
    "logsumexp": lambda t, f, x: x.logsumexp(2),
    "cumsum": lambda t, f, x: x.cumsum(1),
    "sort": lambda t, f, x: t.sort(x, 1)[0],
    "flip": lambda t, f, x: x.flip(1),
    "gather": lambda t, f, x: x.gather(1, t.zeros(*x.shape, dtype=t.int64)),
    "flatten": lambda t, f, x: x.flatten(1),
    "permute": lambda t, f, x: x.permute(0, 2, 3, 1).contiguous(),
    "cat": lambda t, f, x: t.cat([x, x], 1),
    "stack": lambda t, f, x: t.stack([x, x]),
    "pad": lambda t, f, x: f.pad(x, (1, 1, 1, 1)),
    "dropout": lambda t, f, x: f.dropout(x, 0.5),
    "dropout2d": lambda t, f, x: f.dropout2d(x, 0.5),
    "softmax": lambda t, f, x: f.softmax(x, 1),
    "log_softmax": lambda t, f, x: f.log_softmax(x, 3),
    "batch_norm": lambda t, f, x: f.batch_norm(x, t.zeros(x.shape[1]), t.ones(x.shape[1])),
    "layer_norm": lambda t, f, x: f.layer_norm(x, x.shape[3:]),
    "group_norm": lambda t, f, x: f.group_norm(x, 1),
    "linear": lambda t, f, x: f.linear(x, t.ones(2, x.shape[3])),
    "matmul": lambda t, f, x: x @ x.transpose(2, 3),
    "conv2d": lambda t, f, x: f.conv2d(x, t.ones(2, x.shape[1], 1, 1)),
    "conv_transpose2d": lambda t, f, x: f.conv_transpose2d(x, t.ones(x.shape[1], 2, 1, 1)),
    "max_pool2d": lambda t, f, x: f.max_pool2d(x, 2),
    "avg_pool2d": lambda t, f, x: f.avg_pool2d(x, 2),
    "adaptive_avg_pool2d": lambda t, f, x: f.adaptive_avg_pool2d(x, 1),
    "interpolate": lambda t, f, x: f.interpolate(x, scale_factor=2, mode="bilinear"),
    "grid_sample": lambda t, f, x: f.grid_sample(x, t.zeros(x.shape[0], 2, 3, 2), align_corners=False),
    "unfold": lambda t, f, x: f.unfold(x, 1),
    "cross_entropy": lambda t, f, x: f.cross_entropy(
        x, t.zeros(x.shape[0], *x.shape[2:], dtype=t.int64), reduction="none"
    ),
    "mse_loss": lambda t, f, x: f.mse_loss(x, x * 2),
}


def result(t: Any, f: Any, name: str, shape: tuple[int, ...]) -> Any:
    """The op's result, after its backward pass, or the error it raises."""
    x = t.zeros(*shape).requires_grad_()
    try:
        y = OPS[name](t, f, x * 1.0)
        y.sum().item()  # what a kernel found wrong is told at a wait
        if y.requires_grad:
            y.sum().backward()
            assert tuple(x.grad.shape) == shape
    except (RuntimeError, IndexError) as error:
        return error
    return y


@pytest.mark.filterwarnings("ignore:var:UserWarning")
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", OPS)
def test_shapes(name: str, shape: tuple[int, ...]) -> None:
    ours, theirs = result(cnnx, F, name, shape), result(torch, torch.nn.functional, name, shape)
    if isinstance(ours, Exception):
        assert str(ours).partition(":")[0].isidentifier(), ours  # the op's name first
    elif not isinstance(theirs, Exception):  # PyTorch pools no images without channels
        assert tuple(ours.shape) == tuple(theirs.shape)
