"""Aliases and views of a tensor in lanes: every write is seen by all, whichever form the storage has."""

from __future__ import annotations

import numpy as np
import pytest

import cnnx
from cnnx import _C
from cnnx.nn import functional as F

pytestmark = pytest.mark.skipif(_C.lane_count() == 1, reason="this target has no lanes")


def in_lanes(channels: int = 3, batch: int = 33) -> cnnx.Tensor:
    """A result of a spatial op, with a last block that is not full."""
    cnnx.manual_seed(0)
    result = F.conv2d(cnnx.randn(batch, 2, 5, 4), cnnx.randn(channels, 2, 3, 3), padding=1)
    assert result._in_lanes
    return result


def test_spatial_and_elementwise_ops_stay_in_lanes() -> None:
    x = in_lanes()
    for y in (
        x.relu(),
        x + x,
        x * 2,
        x.clone(),
        x.detach(),
        F.max_pool2d(x, 2),
        x.reshape(33, 3, 20),
        cnnx.cat([x, x], 1),
    ):
        assert y._in_lanes
    assert not x.view(33, -1)._in_lanes
    assert x._in_lanes  # a view alone converts nothing
    assert not x.double()._in_lanes


@pytest.mark.parametrize(
    "view",
    [
        lambda t: t.view(33, -1),
        lambda t: t.flatten(1),
        lambda t: t[1:20],
        lambda t: t[:, 1],
        lambda t: t.permute(1, 0, 2, 3),
        lambda t: t.detach(),
        lambda t: t.data,
        lambda t: t.reshape(33, 3, 20),
        lambda t: t.unsqueeze(2),
    ],
)
@pytest.mark.parametrize("when", ["view of lanes", "view of plain"])
def test_a_write_through_a_view_is_seen_by_all(view, when: str) -> None:
    x = in_lanes()
    if when == "view of plain":
        x.numpy()
    alias, other = view(x), x.detach()
    before = x.clone().numpy().copy()
    alias.mul_(2).add_(1)
    want = before.copy()
    flat = view(cnnx.from_numpy(want))
    flat.mul_(2).add_(1)
    for seen in (x, other, x.view(33, 3, 5, 4)):
        np.testing.assert_array_equal(seen.clone().numpy(), want)
    np.testing.assert_array_equal(alias.numpy(), flat.numpy())


def test_a_write_to_the_base_is_seen_by_views() -> None:
    x = in_lanes()
    flat, part = x.view(33, -1), x[2:5, 1]
    x.mul_(3)
    array = x.numpy()
    np.testing.assert_array_equal(flat.numpy(), array.reshape(33, -1))
    np.testing.assert_array_equal(part.numpy(), array[2:5, 1])
    x.relu_()
    np.testing.assert_array_equal(flat.numpy(), array.reshape(33, -1))
    assert (part.numpy() >= 0).all()


def test_numpy_view_shares_later_updates() -> None:
    x = in_lanes()
    alias = x.detach()
    array = x.numpy()
    assert not x._in_lanes
    assert not alias._in_lanes
    for update in (lambda: x.mul_(2), lambda: alias.relu_(), lambda: x.zero_(), lambda: alias[3].fill_(4)):
        update()
        np.testing.assert_array_equal(array, x.numpy())
        np.testing.assert_array_equal(array, alias.clone().numpy())
    array[5] = 7
    assert (x[5] == 7).all()
    assert (x.relu()[5] == 7).all()  # an op packs the plain data again
    assert np.shares_memory(array, x.numpy())


def test_detach_shares() -> None:
    x = in_lanes()
    y = x.detach()
    y.zero_()
    assert x.abs().sum().item() == 0
    assert y.data_ptr() == x.data_ptr()


def test_setitem_and_getitem() -> None:
    x = in_lanes()
    want = x.clone().numpy().copy()
    x[3:5, 1] = 9
    want[3:5, 1] = 9
    x[:, 2, ::2] = x[:, 0, ::2]
    want[:, 2, ::2] = want[:, 0, ::2]
    x[[1, 32]] = 0
    want[[1, 32]] = 0
    np.testing.assert_array_equal(x.numpy(), want)
    y = in_lanes()
    order = cnnx.randperm(33)
    np.testing.assert_array_equal(y[order].numpy(), y.numpy()[order.numpy()])


def test_what_backward_saved_survives_a_conversion() -> None:
    gradients = []
    for convert in (False, True):
        cnnx.manual_seed(0)
        x = cnnx.randn(33, 2, 5, 4, requires_grad=True)
        w = cnnx.randn(3, 2, 3, 3, requires_grad=True)
        y = F.conv2d(x, w).relu()
        z = F.max_pool2d(y * y, 2)
        if convert:
            y.detach().numpy()
            z.detach().numpy()
        z.flatten(1).sum().backward()
        gradients.append((x.grad.numpy(), w.grad.numpy()))
    for a, b in zip(*gradients, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_saved_value_changed_in_place_is_noticed_in_both_forms() -> None:
    for convert in (False, True):
        x = cnnx.randn(33, 2, 5, 4)
        w = cnnx.randn(3, 2, 3, 3, requires_grad=True)
        h = F.max_pool2d(x, 1)
        y = F.conv2d(h, w)
        if convert:
            h.numpy()
        h.mul_(2)
        with pytest.raises(RuntimeError, match="in place"):
            y.sum().backward()


@pytest.mark.parametrize("batch", [8, 16, 17, 33])
def test_cat_on_channels(batch: int) -> None:
    torch = pytest.importorskip("torch")
    parts = [F.max_pool2d(cnnx.randn(batch, c, 3, 2), 1) for c in (1, 3, 2)]
    leaves = [p.detach().clone().requires_grad_() for p in parts]
    joined = cnnx.cat(leaves, 1)
    theirs = [torch.tensor(p.numpy(), requires_grad=True) for p in parts]
    other = torch.cat(theirs, 1)
    np.testing.assert_array_equal(joined.detach().numpy(), other.detach().numpy())
    weights = np.random.default_rng(0).standard_normal(tuple(other.shape)).astype(np.float32)
    cnnx.cat(leaves, 1).relu().backward(cnnx.tensor(weights))
    other.relu().backward(torch.tensor(weights))
    for a, b in zip(leaves, theirs, strict=True):
        np.testing.assert_array_equal(a.grad.numpy(), b.grad.numpy())


def test_reductions_do_not_see_dead_images() -> None:
    x = in_lanes()  # 33 images: most lanes of the last block are dead
    dead = x / (x * 0)  # and hold NaN or infinity, as the live ones do
    assert dead._in_lanes
    y = F.max_pool2d(cnnx.zeros(33, 3, 5, 4), 1).add(1)
    assert y._in_lanes
    assert y.sum().item() == 33 * 60
    assert y.mean().item() == 1.0
    assert y.log().max().item() == 0.0
    assert y.isfinite().all()
    assert not y.isnan().any()


@pytest.mark.parametrize(
    "other",
    [
        lambda t: t.transpose(2, 3),
        lambda t: t.flip(2).transpose(2, 3).flip(2),
        lambda t: t[0, 0, 0, 0],
        lambda t: t[:1, :1, :1, :1],
        lambda t: t[0, :, :1, :1],
        lambda t: t[1:2],
    ],
)
@pytest.mark.parametrize("update", ["add_", "sub_", "mul_", "div_", "copy_"])
@pytest.mark.parametrize("recorded", [False, True])
def test_an_update_by_a_view_of_itself(other, update: str, recorded: bool) -> None:
    cnnx.manual_seed(0)
    w = cnnx.randn(2, 2, 3, 3).requires_grad_(recorded)
    x = F.conv2d(cnnx.randn(17, 2, 4, 4), w, padding=1)
    assert x._in_lanes
    with cnnx.no_grad():
        plain = cnnx.from_numpy(x.detach().clone().numpy().copy())
        apart = cnnx.from_numpy(other(plain).numpy().copy())
        getattr(plain, update)(apart)
    if recorded:
        getattr(x, update)(other(x))
    else:
        with cnnx.no_grad():
            getattr(x, update)(other(x))
    np.testing.assert_array_equal(x.detach().numpy(), plain.numpy())
