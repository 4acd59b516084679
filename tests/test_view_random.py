"""Random chains of views and random indices against PyTorch: values, sharing and gradients."""

from __future__ import annotations

import numpy as np
import pytest

import cnnx
from drawn import given, settings, st

torch = pytest.importorskip("torch")

EXTENTS = st.integers(0, 4)


@st.composite
def chains(draw):
    """A shape and a chain of view ops, each as (method, arguments)."""
    shape = draw(st.lists(EXTENTS, min_size=1, max_size=4))
    current = list(shape)
    ops = []
    for _ in range(draw(st.integers(1, 5))):
        ndim = len(current)
        kind = draw(
            st.sampled_from(
                ["permute", "slice", "select", "unsqueeze", "squeeze", "expand", "reshape", "flatten"]
            )
        )
        if kind == "permute":
            order = draw(st.permutations(range(ndim)))
            ops.append(("permute", (tuple(order),)))
            current = [current[d] for d in order]
        elif kind == "slice" and ndim:
            d = draw(st.integers(0, ndim - 1))
            start, stop, step = draw(st.integers(-5, 5)), draw(st.integers(-5, 5)), draw(st.integers(1, 3))
            ops.append(("__getitem__", ((slice(None),) * d + (slice(start, stop, step),),)))
            current[d] = len(range(current[d])[start:stop:step])
        elif kind == "select" and ndim > 1 and all(current):
            d = draw(st.integers(0, ndim - 1))
            ops.append(("select", (d, draw(st.integers(-current[d], current[d] - 1)))))
            del current[d]
        elif kind == "unsqueeze" and ndim < 6:
            d = draw(st.integers(0, ndim))
            ops.append(("unsqueeze", (d,)))
            current.insert(d, 1)
        elif kind == "squeeze":
            ops.append(("squeeze", ()))
            current = [e for e in current if e != 1]
        elif kind == "expand" and 1 in current:
            current = [draw(st.integers(0, 3)) if e == 1 else e for e in current]
            ops.append(("expand", (tuple(current),)))
        elif kind == "reshape":
            total = int(np.prod(current))
            parts = []
            while total > 1 and len(parts) < 3:
                factor = draw(st.sampled_from([f for f in range(1, total + 1) if total % f == 0]))
                parts.append(factor)
                total //= factor
            current = [*parts, total]
            ops.append(("reshape", (tuple(current),)))
        elif kind == "flatten" and ndim:
            a, b = sorted((draw(st.integers(0, ndim - 1)), draw(st.integers(0, ndim - 1))))
            ops.append(("flatten", (a, b)))
            current[a : b + 1] = [int(np.prod(current[a : b + 1]))]
    return shape, ops


def apply(tensor, ops):
    for method, arguments in ops:
        tensor = getattr(tensor, method)(*arguments)
    return tensor


@settings(max_examples=300)
@given(chains())
def test_chains_of_views(chain) -> None:
    shape, ops = chain
    data = np.arange(np.prod(shape), dtype=np.float64).reshape(shape) + 1
    ours, theirs = cnnx.tensor(data, requires_grad=True), torch.tensor(data, requires_grad=True)
    a, b = apply(ours, ops), apply(theirs, ops)
    assert tuple(a.shape) == tuple(b.shape)
    np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())
    assert a.is_contiguous() == b.is_contiguous()
    assert (a.data_ptr() == ours.data_ptr()) == (b.data_ptr() == theirs.data_ptr()) or b.numel() == 0
    weights = np.random.default_rng(0).integers(-3, 4, tuple(b.shape)).astype(np.float64)
    a.backward(cnnx.tensor(weights))
    b.backward(torch.tensor(weights))
    np.testing.assert_array_equal(ours.grad.numpy(), theirs.grad.numpy())
    # What can be viewed as a vector without a copy is the same.
    viewable = True
    try:
        b.view(-1)
    except RuntimeError:
        viewable = False
    if viewable:
        np.testing.assert_array_equal(a.view(-1).detach().numpy(), b.view(-1).detach().numpy())
    else:
        with pytest.raises(RuntimeError, match="view"):
            a.view(-1)


@st.composite
def indices(draw):
    """A shape and an index: ints, slices, None, ellipsis, integer arrays and masks."""
    shape = draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    common = draw(st.lists(st.integers(0, 3), max_size=2))
    items, d, ellipsis = [], 0, False
    while d < len(shape):
        kind = draw(st.sampled_from(["int", "slice", "slice", "none", "array", "mask", "ellipsis", "stop"]))
        extent = shape[d]
        if kind == "int":
            items.append(draw(st.integers(-extent, extent - 1)))
            d += 1
        elif kind == "slice":
            items.append(slice(draw(st.integers(-5, 5)), draw(st.integers(-5, 5)), draw(st.integers(1, 3))))
            d += 1
        elif kind == "none" and len(items) < 4:
            items.append(None)
        elif kind == "array":
            keep = [e if draw(st.booleans()) else 1 for e in common]
            count = int(np.prod(keep))
            values = draw(st.lists(st.integers(-extent, extent - 1), min_size=count, max_size=count))
            items.append(np.array(values, np.int64).reshape(keep))
            d += 1
        elif kind == "mask" and not any(isinstance(i, np.ndarray) for i in items):
            mask = draw(st.lists(st.booleans(), min_size=extent, max_size=extent))
            items.append(np.array(mask, bool))
            break
        elif kind == "ellipsis" and not ellipsis:
            items.append(...)
            ellipsis = True
            d = draw(st.integers(d, len(shape)))
        elif kind == "stop":
            break
    return shape, items


def as_index(lib, items):
    return tuple(lib.tensor(item) if isinstance(item, np.ndarray) else item for item in items)


@settings(max_examples=400)
@given(indices())
def test_random_indices(case) -> None:
    shape, items = case
    data = np.arange(np.prod(shape), dtype=np.float64).reshape(shape) + 1
    ours, theirs = cnnx.tensor(data, requires_grad=True), torch.tensor(data, requires_grad=True)
    try:
        b = theirs[as_index(torch, items)]
    except IndexError:
        with pytest.raises(IndexError):
            ours[as_index(cnnx, items)]
        return
    a = ours[as_index(cnnx, items)]
    assert tuple(a.shape) == tuple(b.shape)
    np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())
    weights = np.random.default_rng(0).integers(-3, 4, tuple(b.shape)).astype(np.float64)
    a.backward(cnnx.tensor(weights))
    b.backward(torch.tensor(weights))
    np.testing.assert_array_equal(ours.grad.numpy(), theirs.grad.numpy())
    with cnnx.no_grad(), torch.no_grad():
        ours[as_index(cnnx, items)] = -5
        theirs[as_index(torch, items)] = -5
    np.testing.assert_array_equal(ours.detach().numpy(), theirs.detach().numpy())
