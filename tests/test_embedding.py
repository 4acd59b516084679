"""Tables of vectors against PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

import cnnx
import cnnx.nn.functional as F
from cnnx import nn
from oracles import assert_gradients_match_torch, assert_same

torch = pytest.importorskip("torch")
TABLE = np.random.default_rng(0).normal(size=(7, 3))


@pytest.mark.parametrize("shape", [(), (1,), (5,), (2, 3), (2, 1, 4), (0,), (3, 0)])
@pytest.mark.parametrize("padding", [None, 0, 2, -1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_and_their_gradients(shape, padding, dtype):
    index = np.random.default_rng(1).integers(0, 7, shape)
    assert_gradients_match_torch(
        lambda w: F.embedding(cnnx.tensor(index), w, padding_idx=padding),
        lambda w: torch.nn.functional.embedding(torch.tensor(index), w, padding_idx=padding),
        [TABLE.astype(dtype)],
        what=f"{shape} {padding}",
    )


@pytest.mark.parametrize("kind", ["int32", "int64"])
def test_integer_dtypes(kind):
    index = cnnx.tensor([1, 1, 6], dtype=getattr(cnnx, kind))
    assert F.embedding(index, cnnx.tensor(TABLE)).tolist() == TABLE[[1, 1, 6]].tolist()


@pytest.mark.parametrize("norm_type", [1.0, 2.0])
def test_long_rows_that_are_used_are_made_short(norm_type):
    ours, theirs = cnnx.tensor(TABLE * 3), torch.tensor(TABLE * 3)
    index = [1, 4, 4, 0]
    result = F.embedding(cnnx.tensor(index), ours, max_norm=1.5, norm_type=norm_type)
    expected = torch.nn.functional.embedding(torch.tensor(index), theirs, max_norm=1.5, norm_type=norm_type)
    assert_same(result, expected, None, "rows")
    assert_same(ours, theirs, None, "table")


def test_layers():
    for options in ({}, {"padding_idx": 2}, {"padding_idx": -1, "max_norm": 2.0, "norm_type": 1.0}):
        layer, other = nn.Embedding(7, 3, **options), torch.nn.Embedding(7, 3, **options)
        assert repr(layer) == repr(other)
        layer.load_state_dict({k: cnnx.tensor(v.numpy()) for k, v in other.state_dict().items()})
        assert_same(layer(cnnx.tensor([1, 2, 6])), other(torch.tensor([1, 2, 6])), None, "layer")
    cnnx.manual_seed(0)
    drawn = nn.Embedding(400, 50, padding_idx=3).weight
    assert drawn[3].abs().sum().item() == 0.0
    assert drawn.std().item() == pytest.approx(1.0, abs=0.02)
    table = cnnx.tensor(TABLE)
    frozen = nn.Embedding.from_pretrained(table)
    assert not frozen.weight.requires_grad
    assert nn.Embedding.from_pretrained(table, freeze=False).weight.requires_grad
    assert frozen(cnnx.tensor(5)).tolist() == TABLE[5].tolist()


def test_a_layer_learns_and_compiles():
    cnnx.manual_seed(0)
    model = nn.Sequential(nn.Embedding(5, 4), nn.Flatten(), nn.Linear(8, 2))
    optimizer = cnnx.optim.SGD(model.parameters(), lr=0.5)
    x = cnnx.tensor([[0, 1], [1, 2], [3, 4], [4, 4]])
    y = cnnx.tensor([0, 1, 0, 1])

    @cnnx.compile
    def step():
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    losses = [step() for _ in range(60)]
    assert losses[-1] < 0.05 < losses[0]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda t: F.embedding(cnnx.tensor([7]), t), IndexError, r"within \[0, 7\)"),
        (lambda t: F.embedding(cnnx.tensor([-1]), t), IndexError, r"within \[0, 7\)"),
        (lambda t: F.embedding(cnnx.tensor([1.0]), t), RuntimeError, "needs integer indices"),
        (lambda t: F.embedding(cnnx.tensor([1]), t[0]), RuntimeError, r"weight must be \(count, D\)"),
        (lambda t: F.embedding(cnnx.tensor([1]), t, padding_idx=7), RuntimeError, "is no index of 7 rows"),
        (lambda t: F.embedding(cnnx.tensor([1]), t, sparse=True), RuntimeError, "are not there"),
        (lambda t: nn.Embedding(7, 3, padding_idx=9), ValueError, "is no index of 7 rows"),
        (lambda t: nn.Embedding(7, 3, sparse=True), RuntimeError, "are not there"),
        (lambda t: nn.Embedding(7, 3, _weight=t[:2]), ValueError, r"must be \(7, 3\)"),
        (lambda t: nn.Embedding.from_pretrained(t[0]), ValueError, r"must be \(count, D\)"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call(cnnx.tensor(TABLE))
