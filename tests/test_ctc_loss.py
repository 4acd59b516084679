"""The loss of labels without alignment, against PyTorch's and against counting all ways."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import cnnx
import cnnx.nn.functional as F
from cnnx import nn
from oracles import array, assert_same

torch = pytest.importorskip("torch")
RNG = np.random.default_rng(0)

# T, N, C, the lengths of inputs and of targets, the blank.
CASES = [
    (1, 1, 2, [1], [1], 0),
    (7, 1, 4, [7], [3], 0),
    (12, 5, 6, [12, 7, 9, 12, 3], [4, 3, 1, 5, 1], 0),
    (12, 3, 6, [12, 10, 12], [4, 0, 2], 5),
    (9, 2, 3, [9, 8], [3, 4], 1),
    (30, 17, 11, list(range(14, 31)), [5] * 17, 0),
]


def labels(classes: int, shape: Any, blank: int) -> np.ndarray:
    """Classes other than the blank, neighbours often the same."""
    drawn = RNG.integers(0, classes - 1, shape)
    return drawn + (drawn >= blank)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("in_a_row", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_and_gradients(case, reduction, in_a_row, dtype):
    times, batch, classes, lasts, counts, blank = case
    logits = RNG.normal(size=(times, batch, classes)).astype(dtype) * 2
    targets = labels(classes, (batch, max(counts) + 1), blank)
    if in_a_row:
        targets = np.concatenate([row[:n] for row, n in zip(targets, counts, strict=True)])
    found = []
    for lib in (cnnx, torch):
        x = lib.tensor(logits, requires_grad=True)
        arguments = (lib.tensor(targets), tuple(lasts), tuple(counts))
        loss = lib.nn.functional.ctc_loss(x.log_softmax(2), *arguments, blank, reduction)
        (loss * lib.arange(1, loss.numel() + 1).reshape(loss.shape)).sum().backward()
        found.append((loss, x.grad))
    tolerance = 2e-4 if dtype == np.float32 else 1e-10
    assert_same(found[0][0], found[1][0], tolerance)
    assert_same(found[0][1], found[1][1], tolerance)


@pytest.mark.parametrize("target", [[1], [1, 1], [1, 2], [2, 1, 2], []])
def test_all_ways_are_counted(target):
    """Every sequence of classes that collapses to the target."""
    probs = RNG.dirichlet(np.ones(3), 5)
    total = 0.0
    for way in itertools.product(range(3), repeat=5):
        collapsed = [c for c, _ in itertools.groupby(way) if c != 0]
        if collapsed == target:
            total += np.prod([probs[t, c] for t, c in enumerate(way)])
    loss = F.ctc_loss(
        cnnx.tensor(np.log(probs)), cnnx.tensor(target, dtype=cnnx.int64), 5, len(target), 0, "sum"
    )
    assert loss.item() == pytest.approx(-np.log(total), rel=1e-10)


def test_one_sequence():
    log_probs, targets = RNG.normal(size=(6, 4)), np.array([1, 3])
    for lengths in ((6, 2), ([6], [2])):
        for reduction in ("none", "mean"):
            ours = F.ctc_loss(cnnx.tensor(log_probs), cnnx.tensor(targets), *lengths, 0, reduction)
            theirs = torch.nn.functional.ctc_loss(
                torch.tensor(log_probs), torch.tensor(targets), *map(torch.tensor, lengths), 0, reduction
            )
            assert_same(ours, theirs)


@pytest.mark.parametrize("zero_infinity", [False, True])
def test_impossible_targets(zero_infinity):
    logits = RNG.normal(size=(3, 4, 5))
    targets, counts, lasts = np.array([[1, 1, 2, 3]] * 4), [4, 2, 0, 1], [3, 2, 0, 0]
    losses = []
    for lib in (cnnx, torch):
        x = lib.tensor(logits, requires_grad=True)
        loss = lib.nn.CTCLoss(reduction="none", zero_infinity=zero_infinity)(
            x.log_softmax(2), lib.tensor(targets), lib.tensor(lasts), lib.tensor(counts)
        )
        losses.append(loss)
        if lib is cnnx:
            loss[loss < 1e9].sum().backward()
            assert not array(x.grad).any()
    np.testing.assert_array_equal(np.abs(array(losses[0])), np.abs(losses[1].detach().numpy()))


def test_labels_that_are_the_blank():
    """Values by PyTorch, whose gradient is wrong where a blank is the last label; that by differences."""
    rng = np.random.default_rng(0)
    x, targets = rng.normal(size=(9, 3, 4)), np.array([[1, 0, 0], [0, 2, 0], [0, 0, 3]])

    def losses(lib, x):
        scores = x.log_softmax(2)
        return lib.nn.functional.ctc_loss(scores, lib.tensor(targets), [9, 8, 9], [3, 3, 3], reduction="none")

    leaf = cnnx.tensor(x, requires_grad=True)
    ours = losses(cnnx, leaf)
    assert_same(ours, losses(torch, torch.tensor(x)))
    ours.sum().backward()
    for step in rng.normal(size=(4, *x.shape)) * 1e-5:
        ahead, behind = (losses(torch, torch.tensor(x + s)).sum().item() for s in (step, -step))
        assert (array(leaf.grad) * step).sum() * 2 == pytest.approx(ahead - behind, rel=1e-5)


def test_certain_and_broken_probabilities():
    certain = cnnx.full((3, 1, 3), -float("inf"), dtype=cnnx.float64)
    certain[0, 0, 1] = certain[1, 0, 0] = certain[2, 0, 2] = 0.0
    certain.requires_grad_()
    assert F.ctc_loss(certain, cnnx.tensor([[1, 2]]), [3], [2]).item() == 0.0
    loss = F.ctc_loss(certain, cnnx.tensor([[2, 1]]), [3], [2])
    assert loss.item() == float("inf")
    broken = cnnx.full((3, 1, 3), float("nan"))
    assert np.isnan(F.ctc_loss(broken, cnnx.tensor([[1]]), [3], [1]).item())


def test_a_net_learns_to_read_sequences():
    """Columns show labels for some time each; a recurrent net learns them without being told when."""
    cnnx.manual_seed(0)
    targets = cnnx.randint(1, 4, (16, 3))
    x = nn.functional.one_hot(targets, 4).float().repeat_interleave(4, 1).transpose(0, 1)
    x = x + 0.1 * cnnx.randn(*x.shape)
    layer, head = nn.GRU(4, 16, bidirectional=True), nn.Linear(32, 4)
    optimizer = cnnx.optim.Adam([*layer.parameters(), *head.parameters()], lr=0.02)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        log_probs = head(layer(x)[0]).log_softmax(2)
        loss = nn.CTCLoss()(log_probs, targets, cnnx.full((16,), 12), cnnx.full((16,), 3))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 < losses[0]
    best = array(log_probs).argmax(2).T
    differ = [not np.array_equal(t[1:], t[:-1]) for t in array(targets)]
    read = [[c for c, _ in itertools.groupby(row) if c] for row in best]
    hits = [r == list(t) for r, t in zip(read, array(targets), strict=True)]
    assert sum(hits) >= 12, (hits, differ)


LP = cnnx.zeros(5, 2, 4)
T = cnnx.tensor([[1, 2], [1, 3]])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: F.ctc_loss(LP, T, (6, 5), (2, 2)), RuntimeError, r"input_lengths must be within \[0, 5\]"),
        (lambda: F.ctc_loss(LP, T, (-1, 5), (2, 2)), RuntimeError, "input_lengths must be within"),
        (lambda: F.ctc_loss(LP, T, (5,), (2, 2)), RuntimeError, "a length for each of 2 sequences"),
        (lambda: F.ctc_loss(LP, T, (5, 5), (2, -1)), RuntimeError, "target_lengths must be 0 or more"),
        (lambda: F.ctc_loss(LP, T, (5, 5), (3, 2)), RuntimeError, r"targets of shape \(2, 2\) do not fit"),
        (
            lambda: F.ctc_loss(LP, T.flatten(), (5, 5), (2, 1)),
            RuntimeError,
            r"targets of shape \(4,\) do not",
        ),
        (lambda: F.ctc_loss(LP, T, (5.5, 5), (2, 2)), RuntimeError, "input_lengths must be integers"),
        (lambda: F.ctc_loss(LP, T, (5, 5), (2, 2), blank=4), RuntimeError, r"blank must be within \[0, 4\)"),
        (lambda: F.ctc_loss(LP, T + 2, (5, 5), (2, 2)), IndexError, r"targets must be within \[0, 4\)"),
        (lambda: F.ctc_loss(LP[None], T, (5, 5), (2, 2)), RuntimeError, r"log_probs must be \(T, N, C\)"),
        (lambda: F.ctc_loss(LP, T, (5, 5), (2, 2), reduction="x"), ValueError, "ctc_loss"),
        (lambda: F.ctc_loss(LP, 3, (5, 5), (2, 2)), TypeError, "ctc_loss: targets must be Tensor"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
