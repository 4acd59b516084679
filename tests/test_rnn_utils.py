"""Padded and packed batches of sequences against PyTorch's."""

from __future__ import annotations

import itertools
import pickle
from typing import Any

import numpy as np
import pytest

import cnnx
from cnnx.nn.utils import rnn
from oracles import assert_gradients_match_torch, assert_same

torch = pytest.importorskip("torch")
theirs = torch.nn.utils.rnn

LENGTHS = [[3, 2, 1], [4, 4, 1, 1], [1], [2, 5, 3], [1, 1, 2]]
TAILS = [(), (2,), (3, 1)]


def sequences(lengths: list[int], tail: tuple[int, ...], dtype: type = np.float64) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [(rng.normal(size=(n, *tail)) * 9).astype(dtype) for n in lengths]


def assert_same_packed(mine: Any, other: Any) -> None:
    assert type(mine) is rnn.PackedSequence
    for name in ("data", "batch_sizes", "sorted_indices", "unsorted_indices"):
        found, wanted = getattr(mine, name), getattr(other, name)
        assert (found is None) == (wanted is None), name
        if wanted is not None:
            assert_same(found, wanted, None, name)
    assert mine.batch_sizes.device.type == "cpu"


@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("dtype", [np.float32, np.int64])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding(lengths, tail, dtype, batch_first, side):
    arrays = sequences(lengths, tail, dtype)
    options = {"batch_first": batch_first, "padding_value": 7, "padding_side": side}
    padded = rnn.pad_sequence([cnnx.tensor(a) for a in arrays], **options)
    expected = theirs.pad_sequence([torch.tensor(a) for a in arrays], **options)
    assert_same(padded, expected)
    if side == "right":
        for sizes in (cnnx.tensor(lengths), lengths):
            parts = rnn.unpad_sequence(padded, sizes, batch_first)
            for part, a in zip(parts, arrays, strict=True):
                assert_same(part, a)


@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("total", [None, 6])
@pytest.mark.parametrize("batch_first", [False, True])
def test_packing_and_back(lengths, tail, total, batch_first):
    arrays = sequences(lengths, tail)
    is_sorted = lengths == sorted(lengths, reverse=True)
    ours = rnn.pack_sequence([cnnx.tensor(a) for a in arrays], enforce_sorted=is_sorted)
    other = theirs.pack_sequence([torch.tensor(a) for a in arrays], enforce_sorted=is_sorted)
    assert_same_packed(ours, other)
    padded, sizes = rnn.pad_packed_sequence(ours, batch_first, -1.5, total)
    expected, wanted = theirs.pad_packed_sequence(other, batch_first, -1.5, total)
    assert_same(padded, expected)
    assert_same(sizes, wanted)
    for kind in (list, cnnx.tensor):
        again = rnn.pack_padded_sequence(padded, kind(lengths), batch_first, is_sorted)
        assert_same_packed(again, other)
    for part, a in zip(rnn.unpack_sequence(ours), arrays, strict=True):
        assert_same(part, a)


@pytest.mark.parametrize("lengths", LENGTHS)
def test_gradients(lengths):
    arrays = sequences(lengths, (2,))

    def through(lib: Any) -> Any:
        def call(*parts: Any) -> Any:
            packed = lib.nn.utils.rnn.pack_sequence(list(parts), enforce_sorted=False)
            return lib.nn.utils.rnn.pad_packed_sequence(packed)[0] ** 2

        return call

    assert_gradients_match_torch(through(cnnx), through(torch), arrays)


def test_a_packed_batch_is_a_tuple_that_moves():
    packed = rnn.pack_sequence([cnnx.tensor([4.0]), cnnx.tensor([1.0, 2.0])], enforce_sorted=False)
    data, sizes, order, back = packed
    assert data.tolist() == [1.0, 4.0, 2.0]
    assert (sizes.tolist(), order.tolist(), back.tolist()) == ([2, 1], [1, 0], [1, 0])
    for name in ("double", "float", "long", "int", "byte"):
        assert getattr(packed, name)().data.dtype == getattr(data, name)().dtype
    assert packed.float() is packed
    assert packed.cpu().data.device.type == "cpu"
    assert packed.is_cuda == data.is_cuda
    assert not packed.cpu().is_pinned()
    assert pickle.loads(pickle.dumps(packed)).data.tolist() == data.tolist()
    assert rnn.PackedSequence(data, sizes, order).unsorted_indices.tolist() == [1, 0]
    assert rnn.invert_permutation(None) is None
    assert "PackedSequence(data=" in repr(packed)


def test_sequences_of_no_length_and_of_other_dtypes():
    padded = np.arange(6.0).reshape(3, 2)
    for lengths in ([0, 3], [0, 0]):
        ours = rnn.unpad_sequence(cnnx.tensor(padded), lengths)
        other = theirs.unpad_sequence(torch.tensor(padded), torch.tensor(lengths))
        for mine, wanted in zip(ours, other, strict=True):
            assert_same(mine, wanted)
    assert rnn.unpad_sequence(cnnx.zeros(3, 0), []) == []
    for kinds in itertools.permutations([np.float32, np.int64, np.float64]):
        arrays = [np.arange(i + 1).astype(kind) for i, kind in enumerate(kinds)]
        ours = rnn.pad_sequence([cnnx.tensor(a) for a in arrays])
        assert_same(ours, theirs.pad_sequence([torch.tensor(a) for a in arrays]))
        assert ours.numpy().dtype == kinds[0]


T = cnnx.zeros(3, 2)


def packed(sizes: list) -> Any:
    return rnn.pad_packed_sequence(rnn.PackedSequence(T, cnnx.tensor(sizes, device="cpu")))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: rnn.pack_padded_sequence(T, [3, 0]), RuntimeError, "every length must be above 0"),
        (lambda: rnn.pack_padded_sequence(T, [1, 3]), RuntimeError, "the lengths must fall"),
        (
            lambda: rnn.pack_padded_sequence(T, [3]),
            RuntimeError,
            "1 lengths up to 3 do not fit 2 sequences of 3",
        ),
        (lambda: rnn.pack_padded_sequence(T, [4, 1]), RuntimeError, "do not fit 2 sequences of 3"),
        (lambda: rnn.pack_padded_sequence(T, [2.5, 1]), TypeError, "lengths must be"),
        (lambda: rnn.pack_padded_sequence(T, T[0]), TypeError, "a list or a vector of integers"),
        (lambda: rnn.pack_padded_sequence(T[0], [1]), RuntimeError, r"needs \(T, N, \*\)"),
        (lambda: rnn.pad_packed_sequence(T), TypeError, "sequence must be a PackedSequence, got Tensor"),
        (
            lambda: rnn.pad_packed_sequence(rnn.pack_padded_sequence(T, [3, 1]), total_length=2),
            ValueError,
            "total_length 2 is below",
        ),
        (lambda: rnn.pad_sequence([]), RuntimeError, "needs at least one sequence"),
        (lambda: rnn.pad_sequence([T, T[0]]), RuntimeError, "may differ in their first extent alone"),
        (lambda: rnn.pad_sequence([T], padding_side="top"), RuntimeError, "padding_side must be"),
        (lambda: rnn.pad_sequence(3), TypeError, "pad_sequence: sequences must be"),
        (lambda: rnn.unpad_sequence(T, [3]), RuntimeError, r"lengths \[3\] do not fit 2 sequences of 3"),
        (lambda: rnn.unpad_sequence(T, [3, -1]), RuntimeError, "do not fit 2 sequences of 3"),
        (lambda: rnn.pack_padded_sequence(T[:, :0], []), RuntimeError, "every length must be above 0"),
        (lambda: packed([2, 2]), RuntimeError, r"PackedSequence: batch_sizes must be .* sum 3, got \[2, 2\]"),
        (lambda: packed([1, 2]), RuntimeError, "PackedSequence: batch_sizes must be"),
        (lambda: packed([3, 0]), RuntimeError, "PackedSequence: batch_sizes must be"),
        (lambda: packed([[3]]), RuntimeError, "PackedSequence: batch_sizes must be"),
        (lambda: packed([2.0, 1.0]), RuntimeError, "PackedSequence: batch_sizes must be"),
        (
            lambda: cnnx.nn.GRU(2, 3)(rnn.PackedSequence(T, cnnx.tensor([2, 2], device="cpu"))),
            RuntimeError,
            "PackedSequence: batch_sizes must be",
        ),
        (lambda: rnn.pack_sequence([T[:1], T]), RuntimeError, "the lengths must fall"),
        (lambda: rnn.PackedSequence(T), TypeError, "batch_sizes must be a Tensor, got NoneType"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
