"""Python's operators on tensors, products of matrices, and the functions beside them."""

from __future__ import annotations

import operator

import numpy as np
import pytest

import cnnx

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
