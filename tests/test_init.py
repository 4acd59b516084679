"""Initial values: distributions, fans and gains, as in PyTorch."""

import math

import numpy as np
import pytest

import cnnx
from cnnx import nn
from cnnx.nn import init


@pytest.fixture(autouse=True)
def _seed():
    cnnx.manual_seed(7)


def values(tensor):
    return tensor.detach().numpy().astype(np.float64).ravel()


def assert_uniform(tensor, bound):
    v = values(tensor)
    assert abs(v).max() <= bound * (1 + 1e-6)
    assert abs(v).max() > 0.95 * bound
    # Moments within five standard errors.
    assert abs(v.mean()) < 5 * bound / math.sqrt(3 * v.size)
    assert v.var() == pytest.approx(bound**2 / 3, rel=5 / math.sqrt(v.size))


def assert_normal(tensor, mean, std):
    v = values(tensor)
    assert abs(v.mean() - mean) < 5 * std / math.sqrt(v.size)
    assert v.std() == pytest.approx(std, rel=5 / math.sqrt(v.size))


@pytest.mark.parametrize("dtype", [cnnx.float32, cnnx.float64])
def test_distributions(dtype):
    w = cnnx.empty(64, 32, 3, 3, dtype=dtype)  # fan_in 288, fan_out 576
    assert init.uniform_(w, -2, 2) is w
    assert_uniform(w, 2)
    assert_normal(init.normal_(w, 1, 3), 1, 3)
    assert_uniform(init.kaiming_uniform_(w, a=math.sqrt(5)), 1 / math.sqrt(288))
    assert_uniform(init.kaiming_uniform_(w, mode="fan_out", nonlinearity="relu"), math.sqrt(6 / 576))
    assert_normal(init.kaiming_normal_(w, nonlinearity="tanh"), 0, 5 / 3 / math.sqrt(288))
    assert_uniform(init.xavier_uniform_(w, gain=2), 2 * math.sqrt(6 / 864))
    assert_normal(init.xavier_normal_(w), 0, math.sqrt(2 / 864))
    assert set(values(init.constant_(w, 2.5))) == {2.5}
    assert set(values(init.ones_(w))) == {1}
    assert set(values(init.zeros_(w))) == {0}


def test_truncated_normal():
    stats = pytest.importorskip("scipy.stats")
    w = init.trunc_normal_(cnnx.empty(200, 200, dtype=cnnx.float64), mean=0.5, std=2.0, a=-1.0, b=4.0)
    v = values(w)
    assert v.min() >= -1
    assert v.max() <= 4
    expected = stats.truncnorm((-1 - 0.5) / 2, (4 - 0.5) / 2, loc=0.5, scale=2)
    assert stats.kstest(v, expected.cdf).pvalue > 1e-3


def test_same_seed_same_values_and_strides_do_not_matter():
    cnnx.manual_seed(3)
    a = init.normal_(cnnx.empty(6, 5))
    cnnx.manual_seed(3)
    b = init.normal_(cnnx.empty(5, 6).t())
    np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_gains_are_pytorchs():
    torch = pytest.importorskip("torch")
    for name in ("linear", "conv2d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"):
        assert init.calculate_gain(name) == pytest.approx(torch.nn.init.calculate_gain(name))
    assert init.calculate_gain("leaky_relu", 0.3) == pytest.approx(
        torch.nn.init.calculate_gain("leaky_relu", 0.3)
    )


def test_fixed_patterns_are_pytorchs():
    torch = pytest.importorskip("torch")
    np.testing.assert_array_equal(
        init.eye_(cnnx.empty(3, 5)).numpy(), torch.nn.init.eye_(torch.empty(3, 5)).numpy()
    )
    for shape, groups in (((6, 2, 3, 3), 1), ((6, 2, 3, 4), 3), ((4, 5, 3), 2)):
        np.testing.assert_array_equal(
            init.dirac_(cnnx.empty(*shape), groups).numpy(),
            torch.nn.init.dirac_(torch.empty(*shape), groups).numpy(),
        )


@pytest.mark.parametrize("shape", [(4, 9), (9, 4), (5, 5), (8, 2, 3, 3)])
def test_orthogonal(shape):
    w = init.orthogonal_(cnnx.empty(*shape, dtype=cnnx.float64), gain=2).numpy().reshape(shape[0], -1)
    gram = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    np.testing.assert_allclose(gram, 4 * np.eye(len(gram)), atol=1e-12)


def test_layers_start_as_pytorchs_do():
    conv = nn.Conv2d(16, 64, 5, groups=2)
    bound = 1 / math.sqrt(8 * 25)
    assert_uniform(conv.weight, bound)
    assert abs(values(conv.bias)).max() <= bound
    linear = nn.Linear(100, 300)
    assert_uniform(linear.weight, 0.1)
    assert_uniform(linear.bias, 0.1)
    before = linear.weight.detach().clone()
    linear.reset_parameters()
    assert (before != linear.weight).any()


@pytest.mark.parametrize("shape", [(10, 3), (3, 10), (1, 4), (5, 0)])
@pytest.mark.parametrize("sparsity", [0, 0.25, 0.5, 1])
def test_sparse(shape, sparsity):
    w = cnnx.nn.Parameter(cnnx.empty(*shape))
    assert init.sparse_(w, sparsity, std=3.0) is w
    zeros = (w == 0).sum(0).tolist()
    assert zeros == [math.ceil(sparsity * shape[0])] * shape[1]
    cnnx.manual_seed(1)
    first = init.sparse_(cnnx.empty(400, 20), 0.5, std=3.0).numpy()
    assert np.std(first[first != 0]) == pytest.approx(3, rel=0.05)
    assert len({tuple(column) for column in (first == 0).T}) == 20
    again = [init.sparse_(cnnx.empty(9, 4), 0.5, generator=cnnx.Generator().manual_seed(2)) for _ in range(2)]
    assert cnnx.equal(*again)


@pytest.mark.parametrize("name", [n for n in init.__all__ if n.endswith("_")])
def test_old_names(name):
    if name in ("ones_", "zeros_", "trunc_normal_"):
        assert not hasattr(init, name[:-1])
        return
    extra = {"constant_": (2.0,), "sparse_": (0.5,)}.get(name, ())
    w = cnnx.empty(4, 4, 3) if name == "dirac_" else cnnx.empty(4, 4)
    cnnx.manual_seed(0)
    with pytest.warns(FutureWarning, match=f"nn.init.{name[:-1]} is deprecated in favor of nn.init.{name}"):
        assert getattr(init, name[:-1])(w, *extra) is w
    cnnx.manual_seed(0)
    assert cnnx.equal(w, getattr(init, name)(cnnx.empty_like(w), *extra))


def test_no_history_and_a_version():
    p = nn.Parameter(cnnx.empty(4, 4))
    version = p._version
    init.xavier_uniform_(p)
    assert p.is_leaf
    assert p._version > version


def test_bad_input():
    with pytest.raises(ValueError, match="2 dimensions"):
        init.kaiming_uniform_(cnnx.empty(3))
    with pytest.raises(ValueError, match="2 dimensions"):
        init.xavier_normal_(cnnx.empty(3))
    with pytest.raises(ValueError, match="mode"):
        init.kaiming_normal_(cnnx.empty(3, 3), mode="fan")
    with pytest.raises(ValueError, match="swish"):
        init.kaiming_normal_(cnnx.empty(3, 3), nonlinearity="swish")
    with pytest.raises(ValueError, match="eye_"):
        init.eye_(cnnx.empty(3))
    with pytest.raises(ValueError, match="groups"):
        init.dirac_(cnnx.empty(5, 2, 3), groups=2)
    with pytest.raises(ValueError, match="std"):
        init.trunc_normal_(cnnx.empty(3), std=-1)
    with pytest.raises(ValueError, match="sparse_: needs a matrix"):
        init.sparse_(cnnx.empty(3), 0.5)
    with pytest.raises(TypeError, match="sparse_: tensor must be a Tensor"):
        init.sparse_(3, 0.5)
    with pytest.raises(ValueError, match="sparse_: sparsity must be within"):
        init.sparse_(cnnx.empty(3, 3), 1.5)
    with pytest.raises(TypeError, match="float32 or float64"):
        init.normal_(cnnx.empty(3, dtype=cnnx.int64))
    assert init.kaiming_uniform_(cnnx.empty(0, 3)).numel() == 0
