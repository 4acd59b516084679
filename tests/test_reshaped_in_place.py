"""Methods that give a tensor itself another shape, beside PyTorch's; and old names that warn."""

from __future__ import annotations

import numpy as np
import pytest

import cnnx
import cnnx.nn.functional as F
from cnnx import nn
from oracles import assert_same

torch = pytest.importorskip("torch")

CALLS = [
    ("unsqueeze_", (0,)),
    ("unsqueeze_", (-1,)),
    ("squeeze_", ()),
    ("squeeze_", (1,)),
    ("squeeze_", ((0, 1),)),
    ("transpose_", (0, 2)),
    ("swapaxes_", (1, -1)),
    ("swapdims_", (0, 1)),
]


@pytest.mark.parametrize(("name", "args"), CALLS)
def test_the_tensor_itself_is_shown_otherwise(name, args):
    values = np.arange(6.0).reshape(3, 1, 2)
    results = []
    for lib in (cnnx, torch):
        x = lib.tensor(values)
        part = x[1:]
        assert getattr(x, name)(*args) is x
        part.mul_(10)  # the memory is the same
        results.append((x, tuple(x.shape), x.stride()))
    assert results[0][1:] == results[1][1:]
    assert_same(results[0][0], results[1][0])


def test_vectors_matrices_and_images():
    x = cnnx.arange(6.0).reshape(2, 3)
    assert x.t_().shape == (3, 2)
    assert x.t_().tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    assert cnnx.arange(3).t_().tolist() == [0, 1, 2]
    assert cnnx.ones(2, 3).swapaxes_(axis0=0, axis1=1).shape == (3, 2)
    assert cnnx.unsqueeze_(x, 0).shape == (1, 2, 3)
    images = nn.Conv2d(1, 3, 3)(cnnx.rand(40, 1, 6, 6)).detach()  # may lie in lanes
    wanted = images.unsqueeze(1).clone()
    assert cnnx.equal(images.unsqueeze_(1), wanted)
    weight = nn.Parameter(cnnx.ones(2, 3))
    with cnnx.no_grad():
        weight.unsqueeze_(0)
    (weight * 2).sum().backward()
    assert weight.grad.shape == (1, 2, 3)


def test_what_requires_grad_keeps_its_shape():
    x = cnnx.ones(2, 3, requires_grad=True)
    for tensor in (x, x * 2):
        with pytest.raises(RuntimeError, match="unsqueeze_: a tensor that requires grad keeps its shape"):
            tensor.unsqueeze_(0)
    with pytest.raises(IndexError):
        cnnx.ones(2).unsqueeze_(5)
    assert cnnx.ones(2).is_cpu != cnnx.ones(2).is_cuda


def test_plans_refuse_it():
    @cnnx.compile(static=True)
    def shown(x):
        return x.unsqueeze_(0) * 2

    with pytest.warns(UserWarning, match="a tensor is given another shape; it runs as it is"):
        shapes = [shown(cnnx.ones(2)).shape for _ in range(3)]
    assert shapes == [(1, 2)] * 3


def test_old_names_of_upsampling_and_clipping():
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5))
    for name in ("upsample_nearest", "upsample_bilinear"):
        with pytest.warns(UserWarning, match=f"{name} is deprecated"):
            found = getattr(F, name)(cnnx.tensor(x), scale_factor=2)
        with pytest.warns(UserWarning, match="deprecated"):
            wanted = getattr(torch.nn.functional, name)(torch.tensor(x), scale_factor=2)
        assert_same(found, wanted)
    p = nn.Parameter(cnnx.ones(4))
    (p * 3).sum().backward()
    with pytest.warns(FutureWarning, match="clip_grad_norm is deprecated"):
        assert nn.utils.clip_grad_norm([p], 1.0).item() == 6.0
    assert p.grad.tolist() == pytest.approx([0.5] * 4)
