"""Views, copies and joins: values, aliasing and gradients against PyTorch or NumPy."""

from __future__ import annotations

import numpy as np
import pytest

import cnnx


def numbers(*shape: int) -> np.ndarray:
    return np.arange(np.prod(shape), dtype=np.float64).reshape(shape) / 7 - 1.5


# Each works on a cnnx tensor and on a PyTorch one of shape (2, 3, 4).
CASES = {
    "reshape": lambda t: t.reshape(4, -1),
    "reshape_tuple": lambda t: t.reshape((6, 4)),
    "reshape_of_transposed": lambda t: t.transpose(0, 2).reshape(3, 8),
    "reshape_of_slice": lambda t: t[:, 1:].reshape(-1),
    "view": lambda t: t.view(6, 4),
    "view_of_transposed": lambda t: t.transpose(0, 1).view(3, 2, 2, 2),
    "view_of_unsqueezed": lambda t: t.unsqueeze(1).view(2, 1, 12, 1),
    "flatten": lambda t: t.flatten(),
    "flatten_from_1": lambda t: t.flatten(1),
    "flatten_to": lambda t: t.flatten(0, 1),
    "unflatten": lambda t: t.unflatten(2, (2, -1)),
    "squeeze": lambda t: t[:, :1].squeeze(),
    "squeeze_dim": lambda t: t[:, :1].squeeze(1).squeeze(0),
    "unsqueeze": lambda t: t.unsqueeze(-1).unsqueeze(0),
    "permute": lambda t: t.permute(2, 0, 1),
    "transpose": lambda t: t.transpose(-1, 0),
    "T_of_matrix": lambda t: t[0].T,
    "t": lambda t: t[1].t(),
    "mT": lambda t: t.mT,
    "movedim": lambda t: t.movedim(0, -1),
    "movedims": lambda t: t.movedim((0, 1), (2, 0)),
    "expand": lambda t: t.unsqueeze(0).expand(5, -1, 3, 4),
    "expand_slice": lambda t: t[:, :1].expand(2, 3, 4),
    "broadcast_to": lambda t: t.broadcast_to((2, 2, 3, 4)),
    "narrow": lambda t: t.narrow(2, 1, 2),
    "select": lambda t: t.select(1, -1),
    "chunk": lambda t: t.chunk(3, 2)[1],
    "chunk_uneven": lambda t: t.chunk(2, 1)[1],
    "split": lambda t: t.split(3, 2)[1],
    "split_sizes": lambda t: t.split([1, 3], 2)[1],
    "unbind": lambda t: t.unbind(1)[2],
    "diagonal": lambda t: t.diagonal(1, 1, 2),
    "diagonal_below": lambda t: t.diagonal(-1, 0, 2),
    "flip": lambda t: t.flip(0, 2),
    "repeat": lambda t: t.repeat(2, 1, 3, 1),
    "tile": lambda t: t.tile((2, 3)),
    "roll": lambda t: t.roll(1, 2),
    "roll_many": lambda t: t.roll((1, -2), (0, 1)),
    "roll_flat": lambda t: t.roll(5),
    "clone": lambda t: t.clone(),
    "contiguous": lambda t: t.transpose(0, 1).contiguous(),
    "to_float": lambda t: t.float().double(),
    "diag_of_vector": lambda t: t[0, 0].diag(1),
    "diag_of_matrix": lambda t: t[0].diag(-1),
    "diag_below": lambda t: t[0, 1].diag(-2),
    "tril": lambda t: t.tril(1),
    "triu": lambda t: t.triu(-1),
}


@pytest.mark.parametrize("name", CASES)
def test_against_torch(name: str) -> None:
    torch = pytest.importorskip("torch")
    data = numbers(2, 3, 4)
    ours = cnnx.tensor(data, requires_grad=True)
    theirs = torch.tensor(data, requires_grad=True)
    a, b = CASES[name](ours), CASES[name](theirs)
    assert tuple(a.shape) == tuple(b.shape)
    np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())
    weights = np.random.default_rng(0).standard_normal(tuple(b.shape))
    a.backward(cnnx.tensor(weights))
    b.backward(torch.tensor(weights))
    np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), rtol=1e-6)


@pytest.mark.cpu("memory that tensors share with NumPy")
@pytest.mark.parametrize(
    "make",
    [
        lambda t: t.view(-1),
        lambda t: t.reshape(3, 8),
        lambda t: t.flatten(),
        lambda t: t.T,
        lambda t: t.permute(1, 0, 2),
        lambda t: t[1:, ::2],
        lambda t: t[0],
        lambda t: t.unsqueeze(0).squeeze(),
        lambda t: t.chunk(2)[0],
        lambda t: t.detach(),
        lambda t: t.data,
        lambda t: t.diagonal(0, 1, 2),
    ],
)
def test_views_share_memory(make) -> None:
    t = cnnx.tensor(numbers(2, 3, 4))
    view = make(t)
    assert np.shares_memory(t.numpy(), view.numpy())
    view.zero_()
    assert (t.numpy() == 0).sum() == view.numel()


def test_copies_share_nothing() -> None:
    t = cnnx.tensor(numbers(2, 3, 4))
    for copied in (t.clone(), t.T.reshape(-1), t.flip(0), t.repeat(1, 1, 1), t.tril()):
        assert not np.shares_memory(t.numpy(), copied.numpy())
    assert t.contiguous() is t
    assert t.to(cnnx.float64) is t
    assert t.T.contiguous() is not t


def test_view_refuses_what_reshape_copies() -> None:
    t = cnnx.zeros(2, 3).T
    with pytest.raises(RuntimeError, match=r"view: .*\(3, 2\)"):
        t.view(6)
    assert t.reshape(6).shape == (6,)


@pytest.mark.parametrize(
    "call, error",
    [
        (lambda t: t.reshape(5, 5), RuntimeError),
        (lambda t: t.reshape(-1, -1), RuntimeError),
        (lambda t: t.reshape(-2, 3), RuntimeError),
        (lambda t: t.view(7, -1), RuntimeError),
        (lambda t: t.permute(0, 1), RuntimeError),
        (lambda t: t.permute(0, 1, 1), RuntimeError),
        (lambda t: t.permute(0, 1, 3), IndexError),
        (lambda t: t.transpose(0, 3), IndexError),
        (lambda t: t.unsqueeze(5), IndexError),
        (lambda t: t.squeeze(3), IndexError),
        (lambda t: t.expand(2, 3), RuntimeError),
        (lambda t: t.expand(2, 5, 4), RuntimeError),
        (lambda t: t.narrow(0, 1, 2), IndexError),
        (lambda t: t.select(0, 2), IndexError),
        (lambda t: t.split([1, 1], 2), RuntimeError),
        (lambda t: t.split(0), ValueError),
        (lambda t: t.chunk(0), ValueError),
        (lambda t: t.flatten(2, 1), RuntimeError),
        (lambda t: t.repeat(2, 2), RuntimeError),
        (lambda t: t.flip(0, 0), RuntimeError),
        (lambda t: t.t(), RuntimeError),
        (lambda t: t.unflatten(2, (3, -1)), RuntimeError),
        (lambda t: cnnx.zeros(1, 1, 1, 1, 1, 1, 1, 1).unsqueeze(0), ValueError),
    ],
)
def test_bad_shapes(call, error) -> None:
    with pytest.raises(error):
        call(cnnx.zeros(2, 3, 4))


def test_empty_and_scalar() -> None:
    empty = cnnx.zeros(0, 3)
    assert empty.reshape(3, 0).shape == (3, 0)
    assert empty.view(-1).shape == (0,)
    assert empty.T.reshape(0).shape == (0,)
    assert empty.flatten().shape == (0,)
    scalar = cnnx.tensor(2.0)
    assert scalar.reshape(1, 1).shape == (1, 1)
    assert scalar.flatten().shape == (1,)
    assert scalar.expand(3).tolist() == [2.0, 2.0, 2.0]
    assert scalar.squeeze().shape == ()
    with pytest.raises(RuntimeError):
        empty.reshape(-1, 0)


@pytest.mark.parametrize("dim", [0, 1, 2, -1])
def test_cat_and_stack(dim: int) -> None:
    torch = pytest.importorskip("torch")
    shapes = [[2, 3, 4] for _ in range(3)]
    for i, shape in enumerate(shapes):
        shape[dim] = i + 1
    arrays = [numbers(*shape) for shape in shapes]
    ours = [cnnx.tensor(a, requires_grad=True) for a in arrays]
    theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
    a, b = cnnx.cat(ours, dim), torch.cat(theirs, dim)
    np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())
    weights = np.random.default_rng(1).standard_normal(tuple(b.shape))
    a.backward(cnnx.tensor(weights))
    b.backward(torch.tensor(weights))
    for x, y in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(x.grad.numpy(), y.grad.numpy())
    same = [cnnx.tensor(numbers(2, 3)), cnnx.tensor(numbers(2, 3)) * 2]
    np.testing.assert_array_equal(cnnx.stack(same, -1).numpy(), np.stack([t.numpy() for t in same], -1))


def test_cat_promotes_and_skips_empty() -> None:
    joined = cnnx.cat([cnnx.tensor([1, 2]), cnnx.zeros(0), cnnx.tensor([0.5])])
    assert joined.dtype == cnnx.float32
    assert joined.tolist() == [1.0, 2.0, 0.5]
    with pytest.raises(RuntimeError, match=r"cat: .*\(2, 4\)"):
        cnnx.cat([cnnx.zeros(2, 3), cnnx.zeros(2, 4)])
    with pytest.raises(RuntimeError, match="stack"):
        cnnx.stack([cnnx.zeros(2), cnnx.zeros(3)])
    with pytest.raises(ValueError, match="cat"):
        cnnx.cat([])
    for bad in ([cnnx.zeros(2), 3], [None], [cnnx.zeros(2), None]):
        with pytest.raises(TypeError):
            cnnx.cat(bad)
        with pytest.raises(TypeError):
            cnnx.stack(bad)


def test_stack_variants() -> None:
    a, b = cnnx.tensor([1, 2]), cnnx.tensor([3, 4])
    assert cnnx.hstack([a, b]).tolist() == [1, 2, 3, 4]
    assert cnnx.vstack([a, b]).tolist() == [[1, 2], [3, 4]]
    x, y = cnnx.meshgrid(a, cnnx.tensor([5, 6, 7]), indexing="xy")
    want_x, want_y = np.meshgrid([1, 2], [5, 6, 7])
    assert x.tolist() == want_x.tolist()
    assert y.tolist() == want_y.tolist()


def test_a_view_of_a_leaf_can_be_updated_without_recording() -> None:
    w = cnnx.zeros(2, 2, requires_grad=True)
    with cnnx.no_grad():
        w.view(-1)[0] = 5
        w[1] += 1
    assert w.tolist() == [[5.0, 0.0], [1.0, 1.0]]


HUGE = [
    lambda x: cnnx.zeros(2**32, 2**32),
    lambda x: cnnx.zeros(2**40),
    lambda x: cnnx.zeros(2**61),
    lambda x: cnnx.zeros(2**62),
    lambda x: cnnx.zeros(2**63 - 1),
    lambda x: cnnx.full((2**62,), 1.0),
    lambda x: cnnx.eye(2**31),
    lambda x: cnnx.arange(2**50),
    lambda x: cnnx.linspace(0, 1, 2**62),
    lambda x: cnnx.randperm(2**50),
    lambda x: cnnx.zeros(0).reshape(2**32, 2**32),
    lambda x: cnnx.zeros(0).view(2**32, 2**31, 2),
    lambda x: x.expand(2**32, 2**32),
    lambda x: x.expand(2**62).clone(),
    lambda x: x.expand(2**40) + 1,
    lambda x: x.repeat(2**32, 2**32),
    lambda x: x.tile(2**62, 4),
    lambda x: x.unflatten(0, (2**32, 2**32)),
    lambda x: cnnx.cat([x.expand(2**62)] * 4),
    lambda x: cnnx.stack([x.expand(2**61)] * 8),
    lambda x: cnnx.bincount(cnnx.tensor([2**62])),
    lambda x: x.narrow(0, 2**62, 2**62),
    lambda x: x.narrow(0, -(2**63), 1),
    lambda x: x.topk(2**62),
]


@pytest.mark.parametrize("make", HUGE)
def test_sizes_that_fit_nowhere(make) -> None:
    with pytest.raises((RuntimeError, ValueError, IndexError)):
        make(cnnx.ones(1))


def test_steps_and_offsets_far_outside() -> None:
    x = cnnx.arange(5)
    assert x[2**62 :].shape == (0,)
    assert x[:: 2**63 - 1].tolist() == [0]
    assert x[-(2**63) : 2**63 - 1].tolist() == [0, 1, 2, 3, 4]
    assert cnnx.ones(2, 3).diagonal(2**63 - 1).shape == (0,)
    assert cnnx.ones(2, 3).diagonal(-(2**63)).shape == (0,)
    assert x.split(2**62)[0].tolist() == x.tolist()
    assert len(x.chunk(2**62)) == 5
    assert cnnx.ones(2, 2).tril(2**63 - 1).sum() == 4
    assert x.roll(2**63 - 1).tolist() == np.roll(np.arange(5), (2**63 - 1) % 5).tolist()
