"""DLPack in and out, against NumPy and PyTorch."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import cnnx
from cnnx import _C

pytestmark = pytest.mark.cpu("memory that tensors share with NumPy and PyTorch")

DTYPES = ["float32", "float64", "int64", "int32", "uint8", "bool"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_with_numpy(dtype: str) -> None:
    tensor = cnnx.tensor(np.array([[0, 1, 2], [3, 0, 5]]).astype(dtype))
    array = np.from_dlpack(tensor)
    assert array.dtype == dtype
    assert np.shares_memory(array, tensor.numpy())
    back = cnnx.from_dlpack(array)
    assert back.data_ptr() == tensor.data_ptr()
    assert back.tolist() == tensor.tolist()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("versioned", [False, True])
def test_with_torch(dtype: str, versioned: bool) -> None:
    torch = pytest.importorskip("torch")
    tensor = cnnx.tensor(np.array([[0, 1, 2], [3, 0, 5]]).astype(dtype))
    theirs = torch.from_dlpack(tensor)
    assert theirs.data_ptr() == tensor.data_ptr()
    assert theirs.tolist() == tensor.tolist()
    capsule = theirs.__dlpack__(max_version=(1, 0)) if versioned else torch.utils.dlpack.to_dlpack(theirs)
    ours = cnnx.from_dlpack(capsule)
    assert ours.data_ptr() == tensor.data_ptr()
    assert cnnx.from_dlpack(theirs).tolist() == tensor.tolist()
    old = tensor.__dlpack__()
    assert torch.utils.dlpack.from_dlpack(old).data_ptr() == tensor.data_ptr()


@pytest.mark.parametrize(
    "view",
    [
        lambda t: t.T,
        lambda t: t[1:, ::2],
        lambda t: t[0],
        lambda t: t[:0],
        lambda t: t[0, 0],
        lambda t: t.expand(2, 3, 4),
    ],
)
def test_strides(view) -> None:
    tensor = view(cnnx.arange(12).reshape(3, 4))
    array = np.from_dlpack(tensor)
    np.testing.assert_array_equal(array, tensor.numpy())
    np.testing.assert_array_equal(cnnx.from_dlpack(array).numpy(), array)


def test_negative_strides_are_copied() -> None:
    class Exporter:
        """NumPy as of DLPack's default: any strides."""

        def __init__(self, array: np.ndarray) -> None:
            self.array = array

        def __dlpack__(self, **kwargs):
            return self.array.__dlpack__(**kwargs)

        def __dlpack_device__(self):
            return self.array.__dlpack_device__()

    array = np.arange(6.0)[::-2]
    ours = cnnx.from_dlpack(Exporter(array))
    assert ours.tolist() == [5.0, 3.0, 1.0]
    with pytest.raises(BufferError, match="negative"):
        cnnx.from_dlpack(array, copy=False)


def test_read_only() -> None:
    array = np.arange(3.0)
    array.flags.writeable = False
    tensor = cnnx.from_dlpack(array)
    with pytest.raises(RuntimeError, match="read-only"):
        tensor.zero_()
    assert not np.from_dlpack(tensor).flags.writeable
    with pytest.raises(BufferError, match="read-only"):
        tensor.__dlpack__()
    assert tensor.__dlpack__(max_version=(1, 0)) is not None


def test_copy() -> None:
    array = np.arange(3.0)
    copied = cnnx.from_dlpack(array, copy=True)
    array[0] = 5
    assert copied.tolist() == [0.0, 1.0, 2.0]
    tensor = cnnx.ones(2)
    theirs = np.from_dlpack(tensor, copy=True) if np.lib.NumpyVersion(np.__version__) >= "2.1.0" else None
    if theirs is not None:
        tensor.zero_()
        assert theirs.tolist() == [1.0, 1.0]


def test_capsules_that_nobody_takes_are_freed() -> None:
    array = np.arange(1000.0)
    alive = weakref.ref(array)
    tensor = cnnx.from_numpy(array)
    capsules = [tensor.__dlpack__(), tensor.__dlpack__(max_version=(1, 0))]
    del array, tensor
    gc.collect()
    assert alive() is not None
    del capsules
    gc.collect()
    assert alive() is None


def test_capsules_that_somebody_takes_are_freed_once() -> None:
    for version in (None, (1, 0)):
        array = np.arange(1000.0)
        alive = weakref.ref(array)
        capsule = cnnx.from_numpy(array).__dlpack__(max_version=version)
        taken = cnnx.from_dlpack(capsule)
        with pytest.raises(RuntimeError, match="consumed"):
            cnnx.from_dlpack(capsule)
        del array, capsule
        gc.collect()
        assert alive() is not None
        assert taken[999].item() == 999.0
        del taken
        gc.collect()
        assert alive() is None


def test_refusals() -> None:
    with pytest.raises(BufferError, match="grad"):
        cnnx.ones(2, requires_grad=True).__dlpack__()
    with pytest.raises(BufferError, match="stream"):
        cnnx.ones(2).__dlpack__(stream=1)
    with pytest.raises(BufferError, match="on cpu"):
        cnnx.ones(2).__dlpack__(dl_device=(2, 0))
    with pytest.raises(TypeError, match="from_dlpack"):
        cnnx.from_dlpack([1, 2])
    with pytest.raises(BufferError, match="16 bits"):
        cnnx.from_dlpack(np.zeros(2, np.float16))
    assert cnnx.ones(2).__dlpack_device__() == (1, 0)

    class Elsewhere:
        def __dlpack_device__(self):
            return (2, 99)

        def __dlpack__(self, **kwargs):
            raise AssertionError("must not be asked")

    with pytest.raises(BufferError, match="cuda:99"):
        cnnx.from_dlpack(Elsewhere())


def test_exporters_from_before_version_1() -> None:
    class Old:
        def __init__(self, array: np.ndarray) -> None:
            self.array = array

        def __dlpack_device__(self):
            return (1, 0)

        def __dlpack__(self, stream=None):
            return self.array.__dlpack__()

    array = np.arange(4.0)
    assert cnnx.from_dlpack(Old(array)).data_ptr() == array.ctypes.data


def test_a_tensor_in_lanes_is_exported_plain() -> None:
    x = cnnx.randn(32, 3, 4, 4)
    y = cnnx.nn.functional.conv2d(x, cnnx.randn(5, 3, 3, 3))
    want = y.clone().numpy().copy()
    array = np.from_dlpack(y)
    np.testing.assert_array_equal(array, want)
    y.mul_(2)
    np.testing.assert_array_equal(array, want * 2)
    assert not y._in_lanes
    assert _C.lane_count() >= 1
