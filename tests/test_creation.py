"""Tensors out of data, of a value, of a range."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import cnnx


def torch_dtype(torch, dtype):
    return getattr(torch, dtype.name)


@pytest.mark.parametrize(
    "data",
    [
        1,
        1.5,
        True,
        [],
        [1, 2],
        [1, 2.5],
        [True, False],
        [[1.0], [2.0]],
        (3, 4),
        range(3),
        np.arange(3.0),
        np.float32(2),
        np.int64(2),
        [np.float64(1.5), 2],
        [np.arange(2), np.arange(2)],
        2**40,
    ],
)
def test_tensor_infers_as_torch_does(data) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = (
        cnnx.tensor(data),
        torch.tensor(
            np.array(data) if isinstance(data, list) and data and isinstance(data[0], np.ndarray) else data
        ),
    )
    assert ours.dtype.name == str(theirs.dtype).removeprefix("torch.")
    assert ours.tolist() == theirs.tolist()
    assert ours.shape == tuple(theirs.shape)


def test_tensor_from_tensors() -> None:
    x = cnnx.tensor([1.0, 2.0], requires_grad=True)
    assert cnnx.tensor([x[0], 3.0]).tolist() == [1.0, 3.0]
    copied = cnnx.tensor(x)
    assert not copied.requires_grad
    assert not np.shares_memory(copied.numpy(), x.detach().numpy())
    assert cnnx.tensor(x, dtype=cnnx.int64).tolist() == [1, 2]
    assert cnnx.tensor([x.detach(), x.detach()]).shape == (2, 2)
    assert cnnx.Tensor([1, 2]).dtype == cnnx.float32
    assert cnnx.Tensor(2, 3).shape == (2, 3)
    assert cnnx.FloatTensor([1, 2]).tolist() == [1.0, 2.0]
    assert cnnx.LongTensor([1, 2]).dtype == cnnx.int64


@pytest.mark.parametrize(
    "call, error",
    [
        (lambda: cnnx.tensor("a"), TypeError),
        (lambda: cnnx.tensor(None), TypeError),
        (lambda: cnnx.tensor([1, None]), TypeError),
        (lambda: cnnx.tensor([[1], [2, 3]]), ValueError),
        (lambda: cnnx.tensor([1], dtype="no"), TypeError),
        (lambda: cnnx.tensor([1], dtype=np.int16), TypeError),
        (lambda: cnnx.tensor([1], device="cuda:99"), RuntimeError),
        (lambda: cnnx.tensor([1], device="tpu"), RuntimeError),
        (lambda: cnnx.tensor([1], requires_grad=True), RuntimeError),
        (lambda: cnnx.tensor(2**70), RuntimeError),
        (lambda: cnnx.tensor([2**70]), RuntimeError),
        (lambda: cnnx.tensor(1j), TypeError),
        (lambda: cnnx.zeros(2, -1), RuntimeError),
        (lambda: cnnx.zeros(2.5), TypeError),
        (lambda: cnnx.zeros((1,) * 9), ValueError),
        (lambda: cnnx.zeros(2, device="cuda:99"), RuntimeError),
        (lambda: cnnx.full((2,), "a"), TypeError),
        (lambda: cnnx.arange(0, 5, 0), ValueError),
        (lambda: cnnx.arange(5, 0), ValueError),
        (lambda: cnnx.arange(0, float("inf")), ValueError),
        (lambda: cnnx.arange("a"), TypeError),
        (lambda: cnnx.linspace(0, 1, -1), ValueError),
        (lambda: cnnx.eye(-1), ValueError),
    ],
)
def test_bad_creation(call, error) -> None:
    with pytest.raises(error):
        call()


@pytest.mark.parametrize(
    "make",
    [
        lambda lib: lib.zeros(2, 3),
        lambda lib: lib.zeros((2, 3), dtype=lib.int64),
        lambda lib: lib.ones([2]),
        lambda lib: lib.ones(()),
        lambda lib: lib.zeros(0, 3),
        lambda lib: lib.zeros(size=(2, 3)),
        lambda lib: lib.ones(size=[2]),
        lambda lib: lib.arange(end=3),
        lambda lib: lib.full((2, 2), 7),
        lambda lib: lib.full((2,), 1.5),
        lambda lib: lib.full((2,), True),
        lambda lib: lib.full((), 2**60 + 1),
        lambda lib: lib.arange(5),
        lambda lib: lib.arange(2, 10, 3),
        lambda lib: lib.arange(5, 0, -2),
        lambda lib: lib.arange(0, 1, 0.3),
        lambda lib: lib.arange(3, dtype=lib.float64),
        lambda lib: lib.arange(2**60, 2**60 + 2),
        lambda lib: lib.linspace(-1, 1, 5),
        lambda lib: lib.linspace(0, 1, 1),
        lambda lib: lib.linspace(0, 1, 0),
        lambda lib: lib.eye(3),
        lambda lib: lib.eye(2, 3, dtype=lib.int64),
        lambda lib: lib.zeros_like(lib.ones(2, 3)),
        lambda lib: lib.ones_like(lib.arange(3)),
        lambda lib: lib.full_like(lib.arange(3), 9, dtype=lib.float32),
    ],
)
def test_creation_as_in_torch(make) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = make(cnnx), make(torch)
    assert ours.dtype.name == str(theirs.dtype).removeprefix("torch.")
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-6)
    assert ours.shape == tuple(theirs.shape)


def test_default_dtype() -> None:
    try:
        cnnx.set_default_dtype(cnnx.float64)
        assert cnnx.zeros(2).dtype == cnnx.tensor(1.5).dtype == cnnx.rand(2).dtype == cnnx.float64
        assert cnnx.get_default_dtype() == cnnx.float64
        with pytest.raises(TypeError):
            cnnx.set_default_dtype(cnnx.int64)
    finally:
        cnnx.set_default_dtype(cnnx.float32)


@pytest.mark.parametrize("name", ["float32", "float64", "int64", "int32", "uint8", "bool"])
def test_a_dtype_is_one_object(name) -> None:
    dtype = getattr(cnnx, name)
    t = cnnx.zeros(2, dtype=dtype)
    assert t.dtype is t.dtype is dtype is cnnx.from_numpy(np.zeros(2, name)).dtype
    assert copy.copy(dtype) is copy.deepcopy(dtype) is dtype
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(dtype, protocol)) is dtype


def test_real_results_of_integers_have_the_default_dtype() -> None:
    whole = cnnx.arange(1, 4)
    results = {
        "divided": lambda: whole / 2,
        "by integers": lambda: whole / whole,
        "times a number": lambda: whole * 0.5,
        "root": lambda: whole.sqrt(),
        "power": lambda: whole**0.5,
        "chosen": lambda: cnnx.where(whole > 1, whole, 0.5),
    }
    try:
        for default in (cnnx.float32, cnnx.float64):
            cnnx.set_default_dtype(default)
            assert {name: make().dtype for name, make in results.items()} == dict.fromkeys(results, default)
            assert (cnnx.ones(2, dtype=cnnx.float32) * 0.5).dtype is cnnx.float32
    finally:
        cnnx.set_default_dtype(cnnx.float32)
    with pytest.raises(TypeError, match=r"set_default_dtype: needs float32 or float64, got cnnx.int64|int64"):
        cnnx.set_default_dtype(cnnx.int64)
