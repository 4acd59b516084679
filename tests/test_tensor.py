"""The class Tensor: what it is, conversion, numbers out of it, copying, and what scripts do around them."""

from __future__ import annotations

import copy
import math
import pickle
import subprocess
import sys

import numpy as np
import pytest

import cnnx

DTYPES = [cnnx.float32, cnnx.float64, cnnx.int64, cnnx.int32, cnnx.uint8, cnnx.bool]


def torch_dtype(torch, dtype):
    return getattr(torch, dtype.name)


# What it is.


def test_shape_and_size() -> None:
    t = cnnx.zeros(2, 3, 4)
    assert t.shape == (2, 3, 4)
    assert t.shape[1:].numel() == 12
    assert isinstance(t.shape[1:], cnnx.Size)
    assert t.size() == t.shape
    assert (t.size(0), t.size(-1)) == (2, 4)
    assert (t.dim(), t.ndim, t.numel(), t.nelement(), len(t)) == (3, 3, 24, 24, 2)
    assert repr(t.shape) == "cnnx.Size([2, 3, 4])"
    assert cnnx.zeros(t.shape).shape == t.shape
    assert t.stride() == (12, 4, 1)
    assert t.stride(1) == 4
    assert t.T.storage_offset() == 0
    assert t[1].storage_offset() == 12
    assert (t.element_size(), t.nbytes) == (4, 96)
    assert t.is_contiguous()
    assert not t.T.is_contiguous()
    assert cnnx.numel(t) == 24
    with pytest.raises(IndexError, match="size"):
        t.size(3)
    with pytest.raises(TypeError):
        len(cnnx.tensor(1))
    with pytest.raises(TypeError):
        iter(cnnx.tensor(1))


def test_dtypes() -> None:
    assert repr(cnnx.float32) == str(cnnx.float32) == "cnnx.float32"
    assert cnnx.float is cnnx.float32
    assert cnnx.long == cnnx.int64
    assert cnnx.float32 != cnnx.float64
    assert {cnnx.float32: 1}[cnnx.float] == 1
    assert pickle.loads(pickle.dumps(cnnx.float32)) == cnnx.float32
    assert copy.deepcopy(cnnx.int64) == cnnx.int64
    assert isinstance(cnnx.float32, cnnx.dtype)
    assert cnnx.finfo(cnnx.float32).eps == np.finfo(np.float32).eps
    assert cnnx.finfo(cnnx.float64).max == np.finfo(np.float64).max
    assert cnnx.iinfo(cnnx.int32).max == 2**31 - 1
    with pytest.raises(TypeError):
        cnnx.iinfo(cnnx.float32)


@pytest.mark.cpu("what a tensor on the CPU says of its device")
def test_device() -> None:
    t = cnnx.zeros(1)
    cpu = cnnx.device("cpu")
    assert t.device == cpu
    assert t.device == "cpu"
    assert t.device.type == "cpu"
    assert str(cpu) == "cpu"
    assert repr(cnnx.device("cuda:1")) == "device(type='cuda', index=1)"
    assert cnnx.device("cuda", 1) == cnnx.device("cuda:1")
    assert {cpu: 1}[cnnx.device("cpu")] == 1
    assert not t.is_cuda
    assert not cnnx.backends.mps.is_available()
    assert cnnx.accelerator.is_available() == cnnx.cuda.is_available()
    assert t.to("cpu") is t
    assert t.to(cpu) is t
    assert t.to(device=cpu, dtype=cnnx.float64, non_blocking=True).dtype == cnnx.float64
    assert t.cpu() is t
    with pytest.raises(RuntimeError, match="unknown device"):
        cnnx.device("nope")


@pytest.mark.skipif(cnnx.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there() -> None:
    t = cnnx.zeros(1)
    for ask in (
        lambda: t.to("cuda"),
        lambda: t.cuda(),
        lambda: cnnx.cuda.get_device_name(0),
        lambda: cnnx.cuda.synchronize(),
        lambda: cnnx.zeros(2, device="cuda:1"),
        lambda: cnnx.set_default_device("cuda"),
        lambda: cnnx.Generator("cuda"),
    ):
        with pytest.raises(RuntimeError, match=r"cuda:\d+: no CUDA device is available"):
            ask()
    assert cnnx.cuda.device_count() == 0
    assert cnnx.cuda.empty_cache() is None


@pytest.mark.parametrize("source", DTYPES)
@pytest.mark.parametrize("target", DTYPES)
def test_conversion(source, target) -> None:
    torch = pytest.importorskip("torch")
    values = (
        [0, 1, 2, 200]
        if source == cnnx.uint8
        else [0, 1, 1]
        if source == cnnx.bool
        else [0.0, 1.9, -2.9, 3.0]
    )
    ours = cnnx.tensor(values, dtype=source).to(target)
    theirs = torch.tensor(values, dtype=torch_dtype(torch, source)).to(torch_dtype(torch, target))
    assert ours.dtype == target
    assert ours.tolist() == theirs.tolist()


def test_conversion_methods() -> None:
    t = cnnx.tensor([0.0, 1.5])
    assert t.to(cnnx.float32) is t
    assert t.to(cnnx.float32, copy=True) is not t
    assert t.long().tolist() == [0, 1]
    assert t.bool().tolist() == [False, True]
    assert t.int().dtype == cnnx.int32
    assert t.byte().dtype == cnnx.uint8
    assert t.double().to(t).dtype == cnnx.float32
    assert t.double().to(other=t).dtype == cnnx.float32
    for twice in (
        lambda: t.to("cpu", device="cpu"),
        lambda: t.to(cnnx.float64, dtype=cnnx.float32),
        lambda: t.to(t, dtype=cnnx.float64),
        lambda: t.to("cpu", other=t),
    ):
        with pytest.raises(TypeError, match="given twice"):
            twice()
    with pytest.raises(TypeError, match="unexpected argument 'tensor'"):
        t.to(tensor=t)
    assert t.type(cnnx.int64).dtype == t.type_as(cnnx.arange(1)).dtype == cnnx.int64
    assert t.to(int).dtype == cnnx.int64
    with pytest.raises(TypeError):
        t.to(wrong=1)
    assert cnnx.is_tensor(t)
    assert not cnnx.is_tensor([1])
    assert cnnx.is_floating_point(t)
    assert t.is_floating_point()


# Out of it.


def test_numbers_out() -> None:
    t = cnnx.tensor(2.5)
    assert (t.item(), float(t), int(t), bool(t)) == (2.5, 2.5, 2, True)
    assert isinstance(cnnx.tensor(3).item(), int)
    assert isinstance(cnnx.tensor(True).item(), bool)
    assert cnnx.tensor(2**60 + 1).item() == 2**60 + 1
    assert [10, 20, 30][cnnx.tensor(1)] == 20
    assert list(range(cnnx.tensor(3))) == [0, 1, 2]
    assert math.sqrt(cnnx.tensor(4.0)) == 2.0
    assert cnnx.tensor([[1.5]]).item() == 1.5
    assert cnnx.tensor([[1, 2]]).tolist() == [[1, 2]]
    assert cnnx.tensor(7).tolist() == 7
    assert sum(cnnx.tensor([1, 2, 3])).item() == 6
    assert [x.tolist() for x in cnnx.tensor([[1, 2], [3, 4]])] == [[1, 2], [3, 4]]
    assert 2 in cnnx.tensor([1, 2])
    assert 5 not in cnnx.tensor([1, 2])
    for bad in (
        lambda: cnnx.zeros(2).item(),
        lambda: bool(cnnx.zeros(2)),
        lambda: float(cnnx.zeros(2)),
        lambda: bool(cnnx.zeros(0)),
    ):
        with pytest.raises(RuntimeError):
            bad()
    with pytest.raises(TypeError):
        [1, 2][cnnx.tensor(1.0)]


def test_axis_is_dim() -> None:
    t = cnnx.tensor([[1.0, 5.0], [7.0, 2.0]])
    for name in ("sum", "mean", "prod", "amax", "amin", "argmax", "argmin", "std", "var"):
        method = getattr(t, name)
        assert method(axis=1).tolist() == method(dim=1).tolist() == method(1).tolist()
    assert t.max(axis=0).values.tolist() == [7.0, 5.0]
    assert (t > 1).all(axis=1).tolist() == [False, True]
    assert cnnx.cat([t, t], axis=1).shape == (2, 4)


def test_older_forms() -> None:
    t = cnnx.tensor([1.5, 2.0])
    assert t.type() == "cnnx.FloatTensor"
    assert t.type(cnnx.LongTensor).dtype == cnnx.int64
    assert t.to(cnnx.DoubleTensor).dtype == cnnx.float64
    assert cnnx.ByteTensor([1]).dtype == cnnx.uint8
    assert cnnx.BoolTensor([1, 0]).tolist() == [True, False]
    assert cnnx.IntTensor(2, 3).shape == (2, 3)
    assert cnnx.autograd.Variable(t) is t
    assert t.new_zeros(2, 3).shape == (2, 3)
    assert t.double().new_tensor([1]).dtype == cnnx.float64
    assert t.new_full((2,), 3).tolist() == [3.0, 3.0]
    assert t.new_ones(1).tolist() == [1.0]


# Copying, hashing, pickling.


def test_hash_is_identity() -> None:
    a, b = cnnx.ones(2), cnnx.ones(2)
    assert len({a, b, a}) == 2
    assert {a: 1}[a] == 1


def test_copies() -> None:
    t = cnnx.tensor([1.0, 2.0], requires_grad=True)
    (t * 2).sum().backward()
    deep = copy.deepcopy(t)
    assert deep.tolist() == t.tolist()
    assert deep.requires_grad
    assert deep.grad.tolist() == [2.0, 2.0]
    deep.data.zero_()
    assert t.tolist() == [1.0, 2.0]
    both = copy.deepcopy([t, t])
    assert both[0] is both[1]
    back = pickle.loads(pickle.dumps(t))
    assert back.tolist() == t.tolist()
    assert back.requires_grad
    with pytest.raises(RuntimeError, match="deepcopy"):
        copy.deepcopy(t * 2)
    assert pickle.loads(pickle.dumps(cnnx.arange(3).reshape(3, 1).T)).tolist() == [[0, 1, 2]]


def test_subclasses_and_attributes_live_with_the_object() -> None:
    t = cnnx.zeros(2)
    t.note = "kept"
    assert t.note == "kept"
    assert copy.deepcopy(t).note == "kept"
    assert pickle.loads(pickle.dumps(t)).note == "kept"

    class Mine(cnnx.Tensor):
        pass

    m = Mine(cnnx.ones(2))
    assert isinstance(m, cnnx.Tensor)
    assert type(m + 1) is cnnx.Tensor
    assert type(pickle.loads(pickle.dumps(cnnx.Tensor([1.0])))) is cnnx.Tensor


# The module.


def test_what_is_absent_says_so() -> None:
    with pytest.raises(AttributeError, match=r"^cnnx has no 'fft'"):
        cnnx.fft  # noqa: B018
    assert not hasattr(cnnx, "einsum_path_of_nothing")
    assert "nn" in dir(cnnx)
    assert callable(cnnx.tensor)
    cnnx.set_float32_matmul_precision("high")
    cnnx.use_deterministic_algorithms(True)


def test_import_is_quick_and_light() -> None:
    code = (
        "import sys, numpy, time; t = time.process_time(); import cnnx; print(time.process_time() - t);"
        "print([m for m in ('torch', 'matplotlib', 'tqdm', 'urllib.request') if m in sys.modules])"
    )
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split(
            "\n"
        )
        for _ in range(3)
    ]
    assert runs[0][1] == "[]"
    assert min(float(run[0]) for run in runs) < 0.15
