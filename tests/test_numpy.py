"""NumPy in and out."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import cnnx

pytestmark = pytest.mark.cpu("memory that tensors share with NumPy")

DTYPES = ["float32", "float64", "int64", "int32", "uint8", "bool"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_round_trip_shares_memory(dtype: str) -> None:
    array = np.array([[0, 1, 2], [3, 0, 5]]).astype(dtype)
    tensor = cnnx.from_numpy(array)
    assert str(tensor.dtype) == f"cnnx.{dtype}"
    assert tensor.tolist() == array.tolist()
    back = tensor.numpy()
    assert back.dtype == array.dtype
    assert np.shares_memory(array, back)
    array[0, 1] = 0
    tensor[1, 2] = 1
    assert tensor.tolist() == array.tolist() == back.tolist()


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a,
        lambda a: a.T,
        lambda a: a[::2],
        lambda a: a[:, 1:4:2],
        lambda a: a[1:, 2],
        lambda a: np.broadcast_to(a[0], (3, 6)),
        lambda a: a[:0],
        lambda a: a.reshape(2, 2, 6)[:, :, None],
        lambda a: np.asfortranarray(a),
    ],
)
def test_strided_arrays_are_shared(view) -> None:
    array = view(np.arange(24.0).reshape(4, 6))
    tensor = cnnx.from_numpy(array)
    np.testing.assert_array_equal(tensor.numpy(), array)
    assert array.size == 0 or np.shares_memory(tensor.numpy(), array)
    np.testing.assert_array_equal((tensor * 2).numpy(), array * 2)


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a[::-1],
        lambda a: a[:, ::-2],
        lambda a: a.astype(">f8"),
        lambda a: a.view(np.uint8)[:, 4:44].copy().view(np.float64)[::-1],
        lambda a: np.frombuffer(b"x" + a.tobytes(), np.uint8)[1:].view(np.float64),
        lambda a: np.zeros(3, np.dtype([("pad", "u1"), ("value", "f8")]))["value"],
    ],
)
def test_arrays_that_cannot_be_shared_are_copied_with_a_warning(view) -> None:
    array = view(np.arange(24.0).reshape(4, 6))
    with pytest.warns(UserWarning, match="copied"):
        tensor = cnnx.from_numpy(array)
    np.testing.assert_array_equal(tensor.numpy(), array.astype(np.float64))
    # tensor() and as_tensor() promise nothing, so they say nothing.
    np.testing.assert_array_equal(cnnx.tensor(array).numpy(), array.astype(np.float64))
    np.testing.assert_array_equal(cnnx.as_tensor(array).numpy(), array.astype(np.float64))


def test_read_only() -> None:
    array = np.arange(3.0)
    array.flags.writeable = False
    tensor = cnnx.from_numpy(array)
    for update in (
        lambda: tensor.zero_(),
        lambda: tensor.add_(1),
        lambda: tensor.uniform_(),
        lambda: tensor.copy_(cnnx.zeros(3)),
        lambda: tensor.__setitem__(0, 1),
        lambda: tensor.__setitem__([0], 1),
        lambda: tensor.view(3).exp_(),
    ):
        with pytest.raises(RuntimeError, match="read-only"):
            update()
    assert not tensor.numpy().flags.writeable
    assert array.tolist() == [0.0, 1.0, 2.0]
    assert cnnx.tensor(array).zero_().tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("dtype", ["int16", "uint16", "float16", "complex64", "datetime64[s]", "S3", "O"])
def test_unknown_dtypes(dtype: str) -> None:
    array = np.zeros(2, dtype)
    with pytest.raises(TypeError, match="from_numpy"):
        cnnx.from_numpy(array)
    with pytest.raises(TypeError, match="tensor"):
        cnnx.tensor(array)
    with pytest.raises(TypeError, match="from_numpy"):
        cnnx.from_numpy([1, 2])


def test_other_integer_types_can_be_converted() -> None:
    assert cnnx.tensor(np.array([1, 2], np.int16), dtype=cnnx.int64).tolist() == [1, 2]
    assert cnnx.as_tensor(np.array([1.5], np.float16), dtype=cnnx.float32).tolist() == [1.5]


def test_lifetimes() -> None:
    array = np.arange(5.0)
    alive = weakref.ref(array)
    tensor = cnnx.from_numpy(array)
    view = tensor[1:]
    del array, tensor
    gc.collect()
    assert alive() is not None
    assert view.tolist() == [1.0, 2.0, 3.0, 4.0]
    del view
    gc.collect()
    assert alive() is None
    out = (cnnx.ones(1000) * 3).numpy()
    gc.collect()
    cnnx.zeros(1000)
    assert (out == 3).all()


def test_tensor_copies_and_as_tensor_shares() -> None:
    array = np.arange(3.0)
    copied, shared = cnnx.tensor(array), cnnx.as_tensor(array)
    array[0] = 9
    assert copied.tolist() == [0.0, 1.0, 2.0]
    assert shared.tolist() == [9.0, 1.0, 2.0]
    assert cnnx.as_tensor(shared) is shared
    assert cnnx.asarray(array, copy=True).data_ptr() != array.ctypes.data
    assert cnnx.as_tensor(array, dtype=cnnx.float32).dtype == cnnx.float32


def test_requires_grad_is_refused() -> None:
    t = cnnx.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"detach\(\)"):
        t.numpy()
    with pytest.raises(RuntimeError, match="grad"):
        np.asarray(t)
    assert t.numpy(force=True).tolist() == [1.0, 1.0]
    assert np.shares_memory(t.detach().numpy(), t.data.numpy())


def test_array_protocol() -> None:
    t = cnnx.arange(4)
    assert np.shares_memory(np.asarray(t), t.numpy())
    assert np.asarray(t, dtype=np.float32).dtype == np.float32
    assert not np.shares_memory(np.array(t), t.numpy())
    assert np.sqrt(cnnx.tensor([4.0])).tolist() == [2.0]
    assert np.stack([cnnx.zeros(2), cnnx.ones(2)]).shape == (2, 2)
    with pytest.raises(ValueError, match="copy"):
        t.__array__(np.float32, copy=False)


def test_mixed_operators() -> None:
    t, a = cnnx.tensor([1.0, 2.0], dtype=cnnx.float64), np.array([3.0, 4.0])
    for result, want in (
        (t + a, [4.0, 6.0]),
        (a + t, [4.0, 6.0]),
        (a - t, [2.0, 2.0]),
        (t * np.float64(2), [2.0, 4.0]),
        (np.float64(2) * t, [2.0, 4.0]),
        (np.float32(2) / t, [2.0, 1.0]),
        (t - np.int64(1), [0.0, 1.0]),
        (t @ a, 11.0),
        (a @ t, 11.0),
    ):
        assert isinstance(result, cnnx.Tensor)
        assert result.tolist() == want
    assert (t == a).tolist() == [False, False]
    assert cnnx.ones(2).__add__("a") is NotImplemented
    with pytest.raises(TypeError):
        t + None
    with pytest.raises(TypeError):
        "a" * t


def test_scalars_and_empties() -> None:
    assert cnnx.from_numpy(np.array(3.5)).item() == 3.5
    assert cnnx.tensor(3.5).numpy().shape == ()
    assert cnnx.zeros(0, 3).numpy().shape == (0, 3)
    assert cnnx.tensor(np.float32(2.5)).dtype == cnnx.float32
    assert cnnx.tensor(np.float64(2.5)).dtype == cnnx.float64
    with pytest.raises(ValueError, match="8 dim"):
        cnnx.from_numpy(np.zeros((1,) * 9))


def test_an_array_in_place_of_a_tensor() -> None:
    with pytest.raises(TypeError, match=r"expected a tensor, got a numpy.ndarray: cnnx.from_numpy"):
        cnnx.nn.Linear(2, 3)(np.zeros((1, 2), np.float32))
