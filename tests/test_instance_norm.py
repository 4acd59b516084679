"""Instance normalisation and Gumbel-softmax against PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

import cnnx
import cnnx.nn.functional as F
from cnnx import nn
from oracles import assert_gradients_match_torch, assert_same

torch = pytest.importorskip("torch")
RNG = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(2, 3, 5), (4, 3, 5, 7), (1, 3, 2, 1), (17, 3, 4, 4)])
@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_and_gradients(shape, affine, dtype):
    arrays = [RNG.normal(size=shape).astype(dtype) * 3 + 1]
    if affine:
        arrays += [RNG.normal(size=3).astype(dtype), RNG.normal(size=3).astype(dtype)]
    assert_gradients_match_torch(
        lambda x, *wb: F.instance_norm(x, None, None, *wb),
        lambda x, *wb: torch.nn.functional.instance_norm(x, None, None, *wb),
        arrays,
        what=str(shape),
    )


@pytest.mark.parametrize("options", [{}, {"affine": True}, {"track_running_stats": True, "momentum": 0.3}])
@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        ("InstanceNorm1d", (4, 3, 6)),
        ("InstanceNorm1d", (3, 6)),
        ("InstanceNorm2d", (5, 3, 4, 6)),
        ("InstanceNorm2d", (3, 4, 6)),
    ],
)
def test_layers(layer, shape, options):
    ours, theirs = getattr(nn, layer)(3, **options), getattr(torch.nn, layer)(3, **options)
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for _ in range(3):
        x = RNG.normal(size=shape).astype(np.float32) * 2 + 1
        assert_same(ours(cnnx.tensor(x)), theirs(torch.tensor(x)), None, "training")
    for name, value in theirs.state_dict().items():
        if name != "num_batches_tracked":
            assert_same(ours.state_dict()[name], value, None, name)
    ours.eval()
    theirs.eval()
    assert_same(ours(cnnx.tensor(x)), theirs(torch.tensor(x)), None, "eval")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nn.InstanceNorm2d(3)(cnnx.ones(3, 4)), "expected 3D or 4D input"),
        (lambda: nn.InstanceNorm2d(3)(cnnx.ones(2, 4, 4, 4)), "to match num_features"),
        (lambda: nn.InstanceNorm2d(3)(cnnx.ones(2, 3, 1, 1)), "more than 1 spatial element"),
        (lambda: F.instance_norm(cnnx.ones(2, 3)), "takes"),
        (lambda: F.instance_norm(cnnx.ones(2, 3, 4), use_input_stats=False), "needs running_mean"),
        (lambda: F.gumbel_softmax(cnnx.ones(3), tau=0), "tau must be above 0"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_gumbel_softmax_draws_by_the_weights():
    cnnx.manual_seed(0)
    logits = cnnx.tensor([0.1, 0.2, 0.7]).log().expand(20_000, 3)
    for tau in (0.5, 2.0):
        soft = F.gumbel_softmax(logits, tau=tau)
        assert soft.sum(-1).numpy() == pytest.approx(1.0, abs=1e-5)
        shares = np.bincount(soft.argmax(-1).numpy(), minlength=3) / 20_000
        assert shares.tolist() == pytest.approx([0.1, 0.2, 0.7], abs=0.02)
    leaf = cnnx.zeros(4, 3, requires_grad=True)
    hard = F.gumbel_softmax(leaf, hard=True, dim=0)
    assert sorted(set(hard.detach().round(decimals=5).flatten().tolist())) == [0.0, 1.0]
    assert hard.sum(0).tolist() == pytest.approx([1.0] * 3)
    (hard * cnnx.arange(12.0).reshape(4, 3)).sum().backward()
    assert leaf.grad.abs().sum().item() > 0
