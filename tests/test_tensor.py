"""The class Tensor: creation, operators, conversion, printing, copying, and what scripts do around them."""

from __future__ import annotations

import copy
import math
import operator
import pickle
import subprocess
import sys

import numpy as np
import pytest

import cnnx

DTYPES = [cnnx.float32, cnnx.float64, cnnx.int64, cnnx.int32, cnnx.uint8, cnnx.bool]


def torch_dtype(torch, dtype):
    return getattr(torch, dtype.name)


# Creation.


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
        (lambda: cnnx.tensor([1], device="cuda"), RuntimeError),
        (lambda: cnnx.tensor([1], device="tpu"), RuntimeError),
        (lambda: cnnx.tensor([1], requires_grad=True), RuntimeError),
        (lambda: cnnx.tensor(2**70), ValueError),
        (lambda: cnnx.tensor([2**70]), (TypeError, ValueError)),
        (lambda: cnnx.tensor(1j), TypeError),
        (lambda: cnnx.zeros(2, -1), RuntimeError),
        (lambda: cnnx.zeros(2.5), TypeError),
        (lambda: cnnx.zeros((1,) * 9), ValueError),
        (lambda: cnnx.zeros(2, device="cuda:0"), RuntimeError),
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
    assert not cnnx.cuda.is_available()
    assert not cnnx.backends.mps.is_available()
    assert not cnnx.accelerator.is_available()
    assert t.to("cpu") is t
    assert t.to(cpu) is t
    assert t.to(device=cpu, dtype=cnnx.float64, non_blocking=True).dtype == cnnx.float64
    assert t.cpu() is t
    with pytest.raises(RuntimeError, match="no such backend"):
        t.to("cuda")
    with pytest.raises(RuntimeError, match="cuda"):
        t.cuda()
    with pytest.raises(RuntimeError, match="unknown device"):
        cnnx.device("nope")
    with pytest.raises(AttributeError, match="no CUDA"):
        cnnx.cuda.get_device_name(0)


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


def test_formatting() -> None:
    t = cnnx.tensor(3.14159)
    assert f"{t:.2f}" == "3.14"
    assert f"{t:8.3f}" == "   3.142"
    assert f"{cnnx.tensor(42):5d}" == "   42"
    assert f"{t}" == "tensor(3.1416)"
    assert f"{cnnx.tensor([1.0])}" == "tensor([1.])"
    assert f"{t:.1f}" == "3.1"
    with pytest.raises((TypeError, ValueError)):
        f"{cnnx.zeros(2):.2f}"


PRINTED = {
    "floats": lambda lib: lib.tensor([[1.0, 2.5], [-3.0, 4.25]]),
    "whole": lambda lib: lib.tensor([[1.0, 2.0], [3.0, 4.0]]),
    "scalar": lambda lib: lib.tensor(1.5),
    "ints": lambda lib: lib.tensor([1, -20, 300]),
    "bools": lambda lib: lib.tensor([True, False]),
    "empty": lambda lib: lib.zeros(0),
    "empty_2d": lambda lib: lib.zeros(0, 3),
    "small": lambda lib: lib.tensor([1e-6, 1.0]),
    "large": lambda lib: lib.tensor([1e10, 1.0]),
    "tiny": lambda lib: lib.tensor([1e-8, 2e-8]),
    "special": lambda lib: lib.tensor([float("nan"), float("inf"), -1.5]),
    "grad": lambda lib: lib.tensor([1.0], requires_grad=True),
    "three": lambda lib: (
        lib.arange(12.0).reshape(2, 3, 2) if lib is not cnnx else cnnx.arange(12.0).reshape(2, 3, 2)
    ),
    "long": lambda lib: lib.arange(30),
    "wide": lambda lib: lib.arange(40.0) / 3,
    "summary": lambda lib: lib.arange(2000.0),
    "summary_2d": lambda lib: lib.zeros(50, 40),
    "summary_3d": lambda lib: lib.zeros(20, 10, 10),
    "zeros": lambda lib: lib.zeros(2, 2),
    "negative_zero": lambda lib: lib.tensor([-0.0, 0.5]),
    "mixed": lambda lib: lib.tensor([[0.001, 1000.0]]),
    "whole_large": lambda lib: lib.tensor([123456.0, 1.0]),
}


@pytest.mark.parametrize("name", PRINTED)
def test_repr_as_in_torch(name: str) -> None:
    torch = pytest.importorskip("torch")
    assert repr(PRINTED[name](cnnx)) == repr(PRINTED[name](torch))


def test_repr_names_dtype_and_history() -> None:
    assert repr(cnnx.zeros(2, dtype=cnnx.float64)) == "tensor([0., 0.], dtype=cnnx.float64)"
    assert repr(cnnx.ones(1, requires_grad=True) * 2) == "tensor([2.], grad_fn=<MulBackward>)"
    cnnx.set_printoptions(precision=2)
    try:
        assert repr(cnnx.tensor([1.2345])) == "tensor([1.23])"
    finally:
        cnnx.set_printoptions(profile="default")
    with pytest.raises(ValueError):
        cnnx.set_printoptions(profile="nope")


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


# Operators.

BINARY = [
    operator.add,
    operator.sub,
    operator.mul,
    operator.truediv,
    operator.floordiv,
    operator.mod,
    operator.pow,
    operator.eq,
    operator.ne,
    operator.lt,
    operator.le,
    operator.gt,
    operator.ge,
]


@pytest.mark.parametrize("op", BINARY)
@pytest.mark.parametrize("other", ["tensor", 2, 2.5, "int_tensor"])
def test_operators(op, other) -> None:
    torch = pytest.importorskip("torch")
    results = []
    for lib in (cnnx, torch):
        a = lib.tensor([[1.0, 2.0], [3.0, 4.5]])
        b = {"tensor": lib.tensor([2.0, 2.5]), "int_tensor": lib.tensor([2, 3])}.get(other, other)
        both = (op(a, b), op(b, a))
        results += [(str(result.dtype).split(".")[1], result.tolist()) for result in both]
    half = len(results) // 2
    for (ours, mine), (theirs, yours) in zip(results[:half], results[half:], strict=True):
        assert ours == theirs
        np.testing.assert_allclose(mine, yours, rtol=1e-6)


def test_integer_and_bool_operators() -> None:
    a, b = cnnx.tensor([6, 3]), cnnx.tensor([3, 5])
    assert (a & b).tolist() == [2, 1]
    assert (a | b).tolist() == [7, 7]
    assert (a ^ b).tolist() == [5, 6]
    assert (~a).tolist() == [-7, -4]
    m = cnnx.tensor([True, False])
    assert (~m).tolist() == [False, True]
    assert (m & cnnx.tensor([True, True])).tolist() == [True, False]
    m |= cnnx.tensor([False, True])
    assert m.tolist() == [True, True]
    assert (-a).tolist() == [-6, -3]
    assert (+a) is a
    assert abs(cnnx.tensor([-1, 2])).tolist() == [1, 2]
    assert (2**a).tolist() == [64, 8]
    with pytest.raises(TypeError):
        cnnx.tensor([1.0]) & 1


def test_in_place_operators_keep_identity_and_memory() -> None:
    t = cnnx.tensor([1.0, 2.0])
    alias, same = t.view(2), t
    t += 1
    t *= cnnx.tensor([2.0, 3.0])
    t -= 0.5
    t /= 2
    t **= 2
    assert t is same
    assert alias.tolist() == t.tolist() == [1.75**2, 4.25**2]
    i = cnnx.tensor([7, 8])
    i //= 2
    i %= 2
    assert i.tolist() == [1, 0]
    with pytest.raises(RuntimeError):
        i += 0.5
    with pytest.raises(RuntimeError):
        t += cnnx.ones(2, 2)


def test_matmul_forms() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    for a, b in (
        ((3, 4), (4, 5)),
        ((4,), (4,)),
        ((3, 4), (4,)),
        ((4,), (4, 5)),
        ((2, 1, 3, 4), (5, 4, 2)),
        ((2, 3, 4), (2, 4, 1)),
    ):
        x, y = rng.standard_normal(a), rng.standard_normal(b)
        np.testing.assert_allclose(
            (cnnx.tensor(x) @ cnnx.tensor(y)).numpy(), torch.tensor(x).matmul(torch.tensor(y)).numpy()
        )
    x = cnnx.ones(2, 3)
    assert cnnx.mm(x, x.T).tolist() == [[3.0, 3.0], [3.0, 3.0]]
    assert cnnx.bmm(x[None], x.T[None]).shape == (1, 2, 2)
    assert x.mv(cnnx.ones(3)).tolist() == [3.0, 3.0]
    assert x[0].dot(x[1]).item() == 3.0
    assert cnnx.outer(cnnx.arange(2), cnnx.arange(3)).tolist() == [[0, 0, 0], [0, 1, 2]]
    assert cnnx.addmm(cnnx.ones(2, 2), x, x.T, beta=2, alpha=0.5).tolist() == [[3.5, 3.5], [3.5, 3.5]]
    assert cnnx.eye(3).trace().item() == 3.0
    assert x.addcmul(x, x, value=2).addcdiv(x, x).clamp_max(3.5).clamp_min(0).sum().item() == 21.0
    with pytest.raises(RuntimeError, match="mm"):
        cnnx.mm(x, cnnx.ones(3))
    with pytest.raises(RuntimeError, match="bmm"):
        cnnx.bmm(cnnx.ones(2, 1, 1), cnnx.ones(3, 1, 1))
    with pytest.raises(RuntimeError, match="matmul"):
        x @ x


def test_reductions_return_what_scripts_expect() -> None:
    t = cnnx.tensor([[1.0, 5.0], [7.0, 2.0]])
    values, indices = t.max(1)
    assert (values.tolist(), indices.tolist()) == ([5.0, 7.0], [1, 0])
    named = cnnx.min(t, dim=0)
    assert (named.values.tolist(), named.indices.tolist()) == ([1.0, 2.0], [0, 1])
    assert t.max().item() == 7.0
    assert cnnx.max(t, cnnx.tensor(3.0)).tolist() == [[3.0, 5.0], [7.0, 3.0]]
    assert t.argmax(dim=1).eq(cnnx.tensor([1, 0])).sum().item() == 2
    assert t.argmax(1, keepdim=True).shape == (2, 1)
    assert t.sum((0, 1)).item() == 15.0
    assert t.sum([0]).tolist() == [8.0, 7.0]
    assert t.mean(0).tolist() == [4.0, 3.5]
    assert t.std().item() == pytest.approx(np.std(t.numpy(), ddof=1))
    assert t.var(0, unbiased=False).tolist() == [9.0, 2.25]
    assert t.var(False).item() == pytest.approx(np.var(t.numpy()))
    assert [x.item() for x in cnnx.std_mean(t, correction=0)] == pytest.approx([np.std(t.numpy()), 3.75])
    assert t.softmax(-1).sum(-1).tolist() == pytest.approx([1.0, 1.0])
    assert (t > 1).all(1).tolist() == [False, True]
    assert (t > 6).any().item() is True
    assert t.norm().item() == pytest.approx(np.linalg.norm(t.numpy()))
    assert t.cumsum(0).tolist() == [[1.0, 5.0], [8.0, 7.0]]


def test_functions_and_comparison() -> None:
    a = cnnx.tensor([1.0, float("nan")])
    assert not cnnx.equal(a, a)
    assert cnnx.allclose(a, a, equal_nan=True)
    assert not cnnx.allclose(a, a)
    assert cnnx.isclose(
        cnnx.tensor([1.0, float("inf"), 1.0]), cnnx.tensor([1.0 + 1e-9, float("inf"), float("inf")])
    ).tolist() == [
        True,
        True,
        False,
    ]
    assert not cnnx.equal(cnnx.zeros(2), cnnx.zeros(3))
    assert cnnx.where(cnnx.tensor([True, False]), 1.0, 2.0).tolist() == [1.0, 2.0]
    assert cnnx.clamp(cnnx.arange(4), 1, 2).tolist() == [1, 1, 2, 2]
    assert cnnx.tensor([1.234]).round(decimals=1).item() == pytest.approx(1.2)
    assert cnnx.lerp(cnnx.zeros(2), cnnx.ones(2), 0.25).tolist() == [0.25, 0.25]
    t = cnnx.zeros(2).masked_fill(cnnx.tensor([True, False]), 5)
    assert t.tolist() == [5.0, 0.0]


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
    with pytest.raises(AttributeError, match="cnnx has no function 'fft'"):
        cnnx.fft  # noqa: B018
    assert not hasattr(cnnx, "einsum_path_of_nothing")
    assert "nn" in dir(cnnx)
    assert callable(cnnx.tensor)
    cnnx.set_float32_matmul_precision("high")
    cnnx.use_deterministic_algorithms(True)


def test_import_is_quick_and_light() -> None:
    code = (
        "import sys, numpy, time; t = time.perf_counter(); import cnnx; print(time.perf_counter() - t);"
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
