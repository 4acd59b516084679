"""Indexing against PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

import cnnx


def numbers(*shape: int) -> np.ndarray:
    return np.arange(np.prod(shape), dtype=np.float64).reshape(shape) / 7 - 1


# Index objects as functions of the library, for a tensor of shape (4, 3, 5).
INDICES = {
    "int": lambda lib: 1,
    "negative": lambda lib: -1,
    "ints": lambda lib: (1, 2, -1),
    "numpy_int": lambda lib: np.int64(2),
    "slice": lambda lib: slice(1, 3),
    "slice_step": lambda lib: (slice(None, None, 2), slice(None), slice(1, None, 3)),
    "slice_clipped": lambda lib: slice(-100, 100),
    "slice_empty": lambda lib: slice(3, 1),
    "ellipsis": lambda lib: (..., 2),
    "ellipsis_middle": lambda lib: (0, ..., slice(2)),
    "ellipsis_nothing": lambda lib: (0, 1, ..., 2),
    "none": lambda lib: None,
    "nones": lambda lib: (None, 1, None, slice(None), None),
    "list": lambda lib: [0, 2, 2],
    "tensor": lambda lib: lib.tensor([3, 0, -1]),
    "tensor_int32": lambda lib: lib.tensor([3, 0]).int(),
    "scalar_tensor": lambda lib: lib.tensor(2),
    "matrix": lambda lib: lib.tensor([[0, 1], [2, 3]]),
    "two_tensors": lambda lib: (lib.tensor([0, 1]), lib.tensor([2, 1])),
    "two_broadcast": lambda lib: (lib.tensor([[0], [1]]), lib.tensor([2, 1, 0])),
    "three_tensors": lambda lib: (lib.tensor([0, 1]), lib.tensor([2, 1]), lib.tensor([4, 4])),
    "apart": lambda lib: (lib.tensor([0, 1, 3]), slice(None), lib.tensor([4, 0, 1])),
    "tensor_last": lambda lib: (..., lib.tensor([1, 1])),
    "tensor_middle": lambda lib: (slice(1, 3), lib.tensor([[0, 2], [1, 1]])),
    "int_and_tensor": lambda lib: (1, slice(None), lib.tensor([0, 4])),
    "tensor_and_int": lambda lib: (lib.tensor([0, 3]), slice(None), 1),
    "tensor_and_none": lambda lib: (lib.tensor([0, 3]), None, slice(1, 2)),
    "mask_rows": lambda lib: lib.tensor([True, False, True, True]),
    "mask_two_dims": lambda lib: lib.tensor([[True, False, True]] * 4),
    "mask_and_slice": lambda lib: (lib.tensor([True, False, True, False]), slice(1, None)),
    "mask_inner": lambda lib: (slice(None), lib.tensor([False, True, True])),
    "mask_and_tensor": lambda lib: (lib.tensor([True, False, True, False]), lib.tensor([1, 2])),
    "mask_nothing": lambda lib: lib.tensor([False] * 4),
    "range": lambda lib: list(range(2)),
}


@pytest.mark.parametrize("name", INDICES)
def test_getitem(name: str) -> None:
    torch = pytest.importorskip("torch")
    data = numbers(4, 3, 5)
    ours, theirs = cnnx.tensor(data, requires_grad=True), torch.tensor(data, requires_grad=True)
    a, b = ours[INDICES[name](cnnx)], theirs[INDICES[name](torch)]
    assert tuple(a.shape) == tuple(b.shape)
    np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())
    weights = np.random.default_rng(0).standard_normal(tuple(b.shape))
    a.backward(cnnx.tensor(weights))
    b.backward(torch.tensor(weights))
    np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy())


@pytest.mark.parametrize("base", ["plain", "transposed"])
@pytest.mark.parametrize("name", INDICES)
def test_setitem(name: str, base: str) -> None:
    torch = pytest.importorskip("torch")
    data = numbers(4, 3, 5) if base == "plain" else numbers(5, 3, 4)
    ours, theirs = cnnx.tensor(data), torch.tensor(data)
    if base == "transposed":
        ours, theirs = ours.transpose(0, 2), theirs.transpose(0, 2)
    shape = tuple(theirs[INDICES[name](torch)].shape)
    # A number, and an array of the very shape. No element may be set twice to different values.
    ours[INDICES[name](cnnx)] = 7
    theirs[INDICES[name](torch)] = 7
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    if name not in ("list",):
        values = np.random.default_rng(0).standard_normal(shape)
        if name in ("tensor_last", "tensor_middle"):
            values[:] = 3.5
        ours[INDICES[name](cnnx)] = cnnx.tensor(values)
        theirs[INDICES[name](torch)] = torch.tensor(values)
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_setitem_broadcasts_and_casts() -> None:
    t = cnnx.zeros(2, 3, dtype=cnnx.int64)
    t[:, 1] = 2.9
    t[0] = cnnx.tensor([1.5, 2.5, 3.5])
    assert t.tolist() == [[1, 2, 3], [0, 2, 0]]
    t[1] = np.array([7, 8, 9])
    t[:, [0, 2]] = cnnx.tensor([[[4, 5]]])
    assert t.tolist() == [[4, 2, 5], [4, 8, 5]]
    t[t > 4] = 0
    assert t.tolist() == [[4, 2, 0], [4, 0, 0]]
    t[...] = t.T[:1].T
    assert t.tolist() == [[4, 4, 4], [4, 4, 4]]


@pytest.mark.parametrize(
    "index, error",
    [
        (4, IndexError),
        (-5, IndexError),
        ((0, 0, 0, 0), IndexError),
        ((..., ...), IndexError),
        (slice(None, None, -1), ValueError),
        (slice(None, None, 0), ValueError),
        ([0, 4], IndexError),
        ([-5], IndexError),
        ("a", IndexError),
        (1.5, IndexError),
        ([0.5], IndexError),
        (2**70, IndexError),
        ([True, False], IndexError),
    ],
)
def test_bad_indices(index, error) -> None:
    t = cnnx.zeros(4, 3, 5)
    with pytest.raises(error):
        t[index]
    with pytest.raises(error):
        t[index] = 1


def test_bad_tensors() -> None:
    t = cnnx.zeros(4, 3)
    with pytest.raises(IndexError):
        t[cnnx.tensor([0.0])]
    with pytest.raises(IndexError, match=r"index: mask of shape \(3,\)"):
        t[cnnx.tensor([True, False, True])]
    with pytest.raises(RuntimeError):
        t[[0, 1, 2], [0, 1]]
    with pytest.raises(RuntimeError, match="index_put"):
        t[0] = cnnx.zeros(4)
    with pytest.raises(TypeError):
        t[0] = None
    with pytest.raises(IndexError):
        cnnx.tensor(1.0)[0]


def test_setitem_under_autograd() -> None:
    torch = pytest.importorskip("torch")
    results = []
    for lib in (cnnx, torch):
        x = lib.ones(3, requires_grad=True)
        v = lib.tensor([2.0, 3.0], requires_grad=True)
        y = x * 2
        y[1:] = v
        y[0] = 5
        z = lib.zeros(2, 2)
        z[0] = v
        total = (y * y).sum() + (z * 3).sum()
        total.backward()
        results.append((x.grad.tolist(), v.grad.tolist(), total.item()))
    assert results[0] == results[1]
    leaf = cnnx.ones(3, requires_grad=True)
    with pytest.raises(RuntimeError, match="leaf"):
        leaf[0] = 1
    with cnnx.no_grad():
        leaf[0] = 4
    assert leaf.tolist() == [4.0, 1.0, 1.0]


def test_repeated_index_accumulates() -> None:
    x = cnnx.ones(3, requires_grad=True)
    x[[0, 0, 2, 0]].sum().backward()
    assert x.grad.tolist() == [3.0, 0.0, 1.0]


@pytest.mark.parametrize("dim", [0, 1, -1])
def test_gather_and_scatter(dim: int) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(dim + 5)
    data = rng.standard_normal((4, 3, 5))
    where = rng.integers(0, data.shape[dim], (3, 2, 4))
    source = rng.standard_normal(where.shape)
    weights = rng.standard_normal(where.shape)
    gradients = []
    for lib in (cnnx, torch):
        x = lib.tensor(data, requires_grad=True)
        s = lib.tensor(source, requires_grad=True)
        index = lib.tensor(where)
        picked = x.gather(dim, index)
        picked.backward(lib.tensor(weights))
        added = lib.scatter_add(x, dim, index, s)
        (added * added).sum().backward()
        filled = lib.scatter(x, dim, index, 2.5)
        filled.sum().backward()
        gradients.append([v.detach().numpy() for v in (picked, added, filled, x.grad, s.grad)])
    for a, b in zip(*gradients, strict=True):
        np.testing.assert_allclose(a, b)


def test_scatter_reads_a_part_of_a_larger_source() -> None:
    source = cnnx.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    out = cnnx.zeros(2, 3).scatter_add(1, cnnx.tensor([[2], [0]]), source)
    assert out.tolist() == [[0.0, 0.0, 1.0], [3.0, 0.0, 0.0]]
    out.sum().backward()
    assert source.grad.tolist() == [[1.0, 0.0], [1.0, 0.0]]


def test_gather_errors() -> None:
    t = cnnx.zeros(2, 3)
    with pytest.raises(IndexError, match="gather"):
        t.gather(1, cnnx.tensor([[3]]))
    with pytest.raises(IndexError, match="gather"):
        t.gather(1, cnnx.tensor([[-1]]))
    with pytest.raises(RuntimeError, match="gather"):
        t.gather(1, cnnx.tensor([0]))
    with pytest.raises(RuntimeError, match="gather"):
        t.gather(1, cnnx.tensor([[0], [0], [0]]))
    with pytest.raises(TypeError, match="gather"):
        t.gather(1, cnnx.tensor([[0.0]]))
    with pytest.raises(RuntimeError, match="scatter"):
        t.scatter(1, cnnx.tensor([[0, 1]]), cnnx.zeros(1, 1))


def test_selection_functions() -> None:
    torch = pytest.importorskip("torch")
    data = numbers(4, 3)
    t, u = cnnx.tensor(data), torch.tensor(data)
    assert t.index_select(1, cnnx.tensor([2, 0])).tolist() == u.index_select(1, torch.tensor([2, 0])).tolist()
    assert t.masked_select(t > 0).tolist() == u.masked_select(u > 0).tolist()
    assert (t > 0).nonzero().tolist() == (u > 0).nonzero().tolist()
    assert [i.tolist() for i in cnnx.where(t > 0)] == [i.tolist() for i in torch.where(u > 0)]
    order = cnnx.tensor([[2], [0], [1], [1]])
    assert t.take_along_dim(order, 1).tolist() == u.take_along_dim(torch.tensor(order.numpy()), 1).tolist()
    assert t.take_along_dim(cnnx.tensor([5, 1])).tolist() == u.take_along_dim(torch.tensor([5, 1])).tolist()


def test_sorting() -> None:
    torch = pytest.importorskip("torch")
    data = np.random.default_rng(0).integers(0, 5, (4, 6)).astype(np.float64)
    data[1, 2] = np.nan
    for descending in (False, True):
        for dim in (0, 1):
            a = cnnx.tensor(data).sort(dim, descending)
            b = torch.sort(torch.tensor(data), dim=dim, descending=descending, stable=True)
            np.testing.assert_array_equal(a.values.numpy(), b.values.numpy())
            np.testing.assert_array_equal(a.indices.numpy(), b.indices.numpy())
    distinct = np.random.default_rng(1).permutation(24).reshape(4, 6)
    for largest in (False, True):
        a, b = cnnx.tensor(distinct).topk(3, largest=largest), torch.tensor(distinct).topk(3, largest=largest)
        assert a.values.tolist() == b.values.tolist()
        assert a.indices.tolist() == b.indices.tolist()
    x = cnnx.tensor([3.0, 1.0, 2.0], requires_grad=True)
    (x.sort().values * cnnx.tensor([1.0, 10.0, 100.0])).sum().backward()
    assert x.grad.tolist() == [100.0, 1.0, 10.0]
    with pytest.raises(RuntimeError, match="topk"):
        x.topk(4)


def test_counting() -> None:
    values, inverse, counts = cnnx.tensor([[3, 1], [3, 0]]).unique(return_inverse=True, return_counts=True)
    assert (values.tolist(), inverse.tolist(), counts.tolist()) == ([0, 1, 3], [[2, 1], [2, 0]], [1, 1, 2])
    assert cnnx.bincount(cnnx.tensor([1, 1, 3]), minlength=5).tolist() == [0, 2, 0, 1, 0]
    with pytest.raises(ValueError):
        cnnx.bincount(cnnx.tensor([-1]))
    with pytest.raises(TypeError):
        cnnx.bincount(cnnx.tensor([1.0]))
