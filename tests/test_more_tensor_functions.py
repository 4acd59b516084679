"""More functions of tensors, in a table like that of test_tensor_functions.py.

Then what a table of expressions cannot say: draws, in-place forms, errors, sizes that kernels cut.
"""

from __future__ import annotations

import numpy as np
import pytest

import cnnx
from expressions import compare_expression
from oracles import array, assert_gradients_match_torch, assert_same, tensor

torch = pytest.importorskip("torch")

# Expressions in t (the library) and the tensors of expressions.py; gradients are compared too.
EXPRESSIONS = """
t.asin(w)
t.arcsin(w)
t.acos(w)
w.arccos()
t.atan(x)
x.arctan()
t.asinh(x)
t.arcsinh(x)
t.acosh(1 + w)
(1 + w).arccosh()
t.atanh(w)
t.arctanh(w)
t.erfc(x)
t.erfinv(w)
t.lgamma(w)
t.lgamma(x)
t.digamma(w)
t.digamma(x)
t.polygamma(0, w)
w.polygamma(2)
t.polygamma(3, x)
t.mvlgamma(2 + w, 3)
w.add(1).mvlgamma(2)
t.atan2(x, y)
x.arctan2(y)
t.arctan2(x, v)
t.atan2(i, k)
t.sinc(x)
t.sinc(t.zeros(2))
t.fix(x)
t.copysign(x, y)
t.copysign(x, -1.5)
t.copysign(x, -0.0)
t.copysign(i, k)
t.heaviside(x.detach(), y.detach())
t.heaviside(0 * x.detach(), y.detach())
t.float_power(w, 2)
t.float_power(i.abs(), w[:3])
t.ldexp(x, y)
t.ldexp(x, i.unsqueeze(2)[:, :, 0][:1, :1])
t.logaddexp2(x, y)
t.positive(x)
t.signbit(x)
t.signbit(t.tensor([0.0, -0.0, NAN, -INF]))
t.signbit(i)
t.isposinf(n)
t.isneginf(n)
t.isposinf(i)
t.isreal(x)
i << 2
i.abs() >> 1
i >> 1
-i >> 2
1 << k
t.bitwise_left_shift(i, k)
t.bitwise_right_shift(i, k)
t.special.expit(x)
t.special.entr(w)
t.special.entr(x)
t.special.ndtr(x)
t.special.gammaln(w)
t.special.psi(w)
t.special.xlog1py(x, x.abs())
t.special.xlog1py(2, w)
t.special.erfinv(w)
t.special.multigammaln(2 + w, 2)
t.special.log_softmax(x, 1)
t.cumprod(x, 1)
x.cumprod(0)
(x * b).cumprod(1)
(x * (x > 0)).cumprod(0)
t.cumprod(i, 1)
t.cumprod(x[0, 0], 0)
t.cumprod(i, 0, dtype=t.float64)
c.cumprod(1)
t.cummax(x, 1)
x.cummin(0)
c.cummax(dim=1).values
t.cummax(i, 1)
t.cummin(t.tensor([3, 3, 1, 1, 2]), 0)
t.cummax(n, 1)
t.cummin(n, 0)
t.logcumsumexp(x, 1)
x.logcumsumexp(0)
c.logcumsumexp(1)
t.logcumsumexp(n, 1)
t.logcumsumexp(t.tensor([-INF, -INF, 1.0, 800.0, -800.0]), 0)
t.trapezoid(x)
t.trapz(x, dx=0.5, dim=0)
t.trapezoid(x, v)
t.trapezoid(x, y, dim=0)
t.trapezoid(t.stack([x, y, x]), y)
t.cumulative_trapezoid(t.stack([x, y]), y, dim=1)
t.cumulative_trapezoid(x, v)
t.cumulative_trapezoid(c, dim=1)
t.searchsorted(t.tensor([1.0, 2.0, 2.0, 5.0]), t.tensor([[2.0, 0.5], [NAN, 7.0]]))
t.searchsorted(t.tensor([1, 2, 2, 5]), t.tensor([2, 5, 9, 0]), right=True)
t.searchsorted(t.tensor([1, 2, 2, 5]), 2, side="right")
t.searchsorted(t.tensor([1, 2, 2, 5]), t.tensor([2]), out_int32=True)
t.searchsorted(x.sort(1).values, y)
t.searchsorted(x, y, sorter=x.argsort(1))
t.bucketize(x, t.tensor([-1.0, 0.0, 1.0], dtype=t.float64))
t.bucketize(i, t.tensor([0, 5]), right=True)
t.bucketize(3, t.tensor([0, 5]))
t.isin(i, k)
t.isin(i, 5)
t.isin(i, t.tensor([5, 7]), invert=True)
t.isin(x, x[0])
t.isin(i, t.tensor([], dtype=t.int64))
t.unique(i, dim=0, return_counts=True)
t.unique(t.tensor([[1, 2], [0, 3], [1, 2], [1, 0]]), dim=0, return_inverse=True, return_counts=True)
t.unique(t.tensor([[1, 2, 1], [0, 3, 0]]), dim=1, return_inverse=True)
t.unique_consecutive(t.tensor([1, 1, 2, 2, 1]), return_inverse=True, return_counts=True)
t.unique_consecutive(i)
t.unique_consecutive(t.tensor([[1, 2], [1, 2], [0, 2]]), dim=0, return_counts=True)
t.bincount(k, weights=w[:3].detach())
t.bincount(k, t.tensor([1, 2, 3]), minlength=5)
x.msort()
x.index_put((k,), y)
x.index_put((k,), y, accumulate=True)
x.index_put((t.tensor([0, 0, 2]), t.tensor([1, 1, 3])), w[:3], accumulate=True)
x.index_put((x > 0,), t.tensor(2.0, dtype=t.float64))
x.clone().index_put_((t.tensor([0, 0]), t.tensor([1, 1])), w[:2], accumulate=True)
x.put(t.tensor([[0, 5], [-1, 7]]), w[:4].reshape(2, 2))
x.put(t.tensor([0, 0, 3]), w[:3], accumulate=True)
x.clone().put_(t.tensor([1, 2]), w[:2])
x.masked_scatter(b, y)
x.masked_scatter(b[:, :1], y)
x.clone().masked_scatter_(x > 0, y)
x.scatter_reduce(1, t.tensor([[0, 1, 1, 2]] * 3), y, "sum")
x.scatter_reduce(1, t.tensor([[0, 1, 1, 2]] * 3), y, "mean")
x.scatter_reduce(1, t.tensor([[0, 1, 1, 2]] * 3), y, "mean", include_self=False)
x.scatter_reduce(1, t.tensor([[0, 1, 1, 2]] * 3), y, "prod")
x.scatter_reduce(1, t.tensor([[0, 1, 1, 2]] * 3), y, "prod", include_self=False)
x.scatter_reduce(1, t.tensor([[0, 1, 1, 2]] * 3), y, "amax")
x.scatter_reduce(1, t.tensor([[0, 1, 1, 2]] * 3), y, "amin", include_self=False)
t.ones_like(x).scatter_reduce(0, t.tensor([[0, 0, 0], [0, 1, 1]]), y[:2, :3].ceil() + 0 * y[:2, :3], "amax")
x.scatter_reduce(1, t.tensor([[0, 0, 0, 2]] * 3), y * (y > 0), "prod")
i.scatter_reduce(1, t.tensor([[0, 1, 1], [0, 0, 2]]), i, "mean")
x.clone().scatter_reduce_(0, t.tensor([[0, 1, 0, 2]]), y[:1], "amax")
t.zeros(3, 4, dtype=t.float64).scatter(1, t.tensor([[0], [1], [2]]), 2.0, reduce="add")
x.detach().scatter(1, t.tensor([[0], [1], [2]]), 2.0, reduce="multiply")
x.index_reduce(0, k, y, "amax")
x.index_reduce(1, k[:2], y[:, :2], "mean", include_self=False)
x.index_reduce(0, k, y, "prod")
x.select_scatter(w[:3], 1, 2)
x.select_scatter(v, 0, -1)
x.slice_scatter(y[:, :2], 1, 1, 3)
x.slice_scatter(y[:2], start=1)
x.slice_scatter(y[:, ::2], dim=-1, step=2)
x.diagonal_scatter(w[:3])
x.diagonal_scatter(w[:2], -1)
c.diagonal_scatter(d[0][:, :2], 0, 1, 0)
x.renorm(2, 0, 0.5)
c.renorm(1, 1, 2.0)
x.clone().renorm_(2, 1, 0.1)
t.cross(x[:, :3], y[:, :3], dim=1)
t.cross(x, y, dim=0)
x[:, :3].cross(y[:, :3], dim=-1)
t.linalg.cross(x[:, :3], y[:, :3])
t.linalg.vecdot(x, y)
t.linalg.vecdot(x, v)
t.linalg.diagonal(c)
t.linalg.multi_dot([x, y.t(), x])
t.linalg.multi_dot([w[:3], x, v])
t.linalg.matrix_power(x[:, :3], 3)
t.linalg.matrix_power(x[:, :3], 0)
t.linalg.matrix_power(x[:, :3], 1)
t.mode(t.tensor([[1, 2, 2, 3], [4, 4, 1, 1], [5, 5, 5, 0]]))
t.mode(t.tensor([[1, 2, 2, 3], [4, 4, 1, 1], [5, 5, 5, 0]]), 0, True)
(x * 1.4).round().mode(1)
(x * 1.4).round().mode(0)[0]
x[0, 0].mode()
x[:, :1].mode(1, keepdim=True)
t.bilinear(x[:, :2], y[:, :3], t.ones(2, 2, 3).double())
t.avg_pool1d(x, 2)
t.adaptive_avg_pool1d(x, 2)
t.matrix_power(x[:, :3], 2)
x[:, :3].matrix_power(2)
t.linalg.matrix_exp(x[:, :3])
t.matrix_exp(x[:, :3] * 9)
(x[:, :3] * 0.01).matrix_exp()
t.matrix_exp(t.stack([x[:, :3], x[:, :3] * 3, x[:, :3] * 0]))
t.matrix_exp(x[:0, :0])
t.matrix_exp(t.stack([x[:, :3] * 1e-3, x[:, :3], x[:, :3] * 40]))
t.matrix_exp(x[:2, :1].unsqueeze(-1) * 9)
t.linalg.vander(v)
t.linalg.vander(v, N=3)
t.linalg.matmul(x, y.t())
t.chain_matmul(x, y.t(), x, v.unsqueeze(1))
t.dist(x, y)
x.dist(y, 1)
t.pdist(x)
t.pdist(x, 1.0)
t.kron(x, y[:2])
t.kron(x, v)
x.kron(c)
t.vander(v.detach())
t.vander(v.detach(), 2)
t.vander(v.detach(), increasing=True)
t.vander(i[0])
t.addmv(w[:3], x, v, alpha=2)
w[:3].addmv(x, v, beta=0.5)
t.addr(x, w[:3], v)
t.addbmm(t.ones(3, 5, dtype=t.float64), c, d, beta=2, alpha=0.5)
t.addmm(x * NAN, x @ x.t(), y, beta=0).nan_to_num(7.0)
t.vdot(v, v)
t.ger(v, w)
t.diag_embed(x)
t.diag_embed(x, 1)
x.diag_embed(-1, 0, 2)
x.diagflat()
t.diagflat(v, -1)
c.adjoint()
t.tensor_split(w, 3)
t.tensor_split(x, (1, 3), dim=1)
t.tensor_split(w, t.tensor([2, 4]))
t.tensor_split(w, (2, 9))
t.hsplit(x, 2)
t.hsplit(v, [1, 3])
t.vsplit(x, 3)
c.dsplit(2)
t.split_with_sizes(w, [3, 4])
t.atleast_3d(x)
t.atleast_3d(v, c)
t.dstack([x, y])
t.dstack((v, v))
t.column_stack([v, x.t()])
t.row_stack([v, v])
t.block_diag(x, v, t.tensor(2.0, dtype=t.float64))
t.cartesian_prod(v, w)
t.cartesian_prod(v)
t.combinations(v)
t.combinations(k, 3, with_replacement=True)
t.tril_indices(3, 4)
t.tril_indices(4, 3, -1)
t.triu_indices(3, 3, 1, dtype=t.int32)
t.unravel_index(i.abs(), (3, 4))
t.unravel_index(t.tensor(7), 9)
t.detach(x)
x.argwhere()
t.cosine_similarity(x, y)
t.pairwise_distance(x, y)
t.conv2d(c.unsqueeze(0), c.unsqueeze(0)[:, :, :2, :2])
t.pixel_shuffle(t.ones(1, 4, 2, 2), 2)
t.prelu(x, w[:1])
t.celu(x)
t.selu(x)
x.clone().asin_().nan_to_num_(nan=0.5)
w.clone().erfinv_()
w.clone().lgamma_()
x.clone().atan2_(y)
x.clone().copysign_(y)
x.clone().cumsum_(1)
x.clone().cumprod_(1)
x.clone().eq_(y)
x.clone().gt_(0)
i.clone().lt_(3)
i.clone().bitwise_and_(3)
i.clone().bitwise_left_shift_(1)
x.clone().hypot_(y)
x.clone().fmod_(0.7)
x.clone().frac_()
x.clone().sinc_()
x.clone().sgn_()
x.clone().tan_()
x.clone().xlogy_(w[:1])
w.clone().polygamma_(2)
x.clone().addmm_(x @ x.t(), y)
w[:3].clone().addmv_(x, v)
x.clone().true_divide_(2)
x.detach().clone().scatter_(1, t.tensor([[0], [1], [2]]), 2.0, reduce="add")
"""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("expression", EXPRESSIONS.strip().splitlines())
def test_expression(expression):
    compare_expression(expression)


# Lines that fit into a warp, need several rounds, and are cut into chunks; some from columns.
SHAPES = [((5, 33), 1), ((3, 700), 1), ((2, 9001), 1), ((700, 3), 0), ((2, 600, 5), 1), ((1, 1), 0)]


@pytest.mark.parametrize(("shape", "dim"), SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_scans_of_any_length(shape, dim, dtype):
    rng = np.random.default_rng(3)
    x = rng.integers(-9, 9, shape).astype(dtype)
    for name in ("cumsum", "cummax", "cummin"):
        ours, theirs = getattr(cnnx, name)(tensor(x), dim), getattr(torch, name)(torch.tensor(x), dim)
        for a, b in zip(*(r if isinstance(r, tuple) else (r,) for r in (ours, theirs)), strict=True):
            assert_same(a, b, what=name)
    signs = rng.choice([-1, 1], shape).astype(dtype) * 2 ** (rng.random(shape) < 0.01).astype(dtype)
    signs = signs.astype(dtype)
    assert_same(cnnx.cumprod(tensor(signs), dim), torch.cumprod(torch.tensor(signs), dim))
    if dtype == np.float64:
        x = np.where(rng.random(shape) < 1.5 / shape[dim], 0, 1 + 0.1 * rng.normal(size=shape))
        assert_same(cnnx.logcumsumexp(tensor(x), dim), torch.logcumsumexp(torch.tensor(x), dim), 1e-12)
        if shape[dim] < 100:  # PyTorch's second derivative takes the square of that
            assert_gradients_match_torch(
                lambda t: cnnx.cumprod(t, dim), lambda t: torch.cumprod(t, dim), [x], 1e-9, "cumprod"
            )
            return
        gradients = []
        for given in (tensor(x, True), torch.tensor(x, requires_grad=True)):
            given.cumprod(dim).sum().backward()
            gradients.append(given.grad)
        assert_same(gradients[0], gradients[1], 1e-9, "gradient of cumprod")


@pytest.mark.parametrize("n", [0, 1, 2, 3, 6])
def test_polygamma_by_scipy(n):
    special = pytest.importorskip("scipy.special")  # PyTorch's trigamma has ten digits
    x = np.concatenate([np.geomspace(1e-3, 1e6, 200), np.random.default_rng(0).uniform(0.1, 40, 200)])
    ours = array(cnnx.polygamma(n, tensor(x)))
    np.testing.assert_allclose(ours, special.polygamma(n, x), rtol=1e-12, atol=1e-14)
    below = -np.random.default_rng(1).uniform(0, 300, 200)  # psi(1 - x) and its derivatives by reflection
    if n == 1:
        slope = (np.pi / np.sin(np.pi * below)) ** 2 - special.polygamma(1, 1 - below)
        np.testing.assert_allclose(array(cnnx.polygamma(1, tensor(below))), slope, rtol=1e-9)
    poles = array(cnnx.polygamma(n, tensor(np.array([0.0, -1.0, -7.0, -1e30]))))
    assert np.isinf(poles[0])
    assert (np.isnan(poles[1:]) if n == 0 else np.isinf(poles[1:])).all()


def test_the_gradient_of_cumprod_is_exact_beside_zeros():
    x = cnnx.tensor([2.0, 0.0, 3.0, 0.0, 5.0], dtype=cnnx.float64, requires_grad=True)
    x.cumprod(0).sum().backward()
    # 1 + 0 + ..., then 2 (1 + 3 + 0 + 0), and nothing behind two zeros.
    assert x.grad.tolist() == [1.0, 8.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.int32, np.uint8])
def test_searches_in_rows(dtype):
    rng = np.random.default_rng(4)
    rows = np.sort(rng.integers(0, 40, (3, 5, 37)).astype(dtype), axis=-1)
    values = rng.integers(0, 44, (3, 5, 9)).astype(dtype)
    for right in (False, True):
        assert_same(
            cnnx.searchsorted(tensor(rows), tensor(values), right=right),
            torch.searchsorted(torch.tensor(rows), torch.tensor(values), right=right),
        )
    many = rng.integers(0, 44, 70_001).astype(dtype)
    assert_same(
        cnnx.bucketize(tensor(many), tensor(rows[0, 0])),
        torch.bucketize(torch.tensor(many), torch.tensor(rows[0, 0])),
    )


@pytest.mark.parametrize("reduce", ["sum", "prod", "amax", "amin", "mean"])
@pytest.mark.parametrize("shape", [(7, 5), (3, 900)])
def test_scatter_reduce_of_many(reduce, shape):
    rng = np.random.default_rng(5)
    index = rng.integers(0, shape[1], shape)
    for values in (rng.integers(-3, 4, shape).astype(np.float64), rng.integers(-3, 4, shape)):
        for include in (True, False):
            into = rng.integers(-3, 4, shape).astype(values.dtype)
            ours, theirs = (
                lib.scatter_reduce(make(into), 1, make(index), make(values), reduce, include_self=include)
                for lib, make in ((cnnx, tensor), (torch, torch.tensor))
            )
            assert_same(ours, theirs, what=f"{reduce} {include}")


def test_the_mode_with_nan():
    """NaN is one element, the largest; PyTorch's answer depends on where it stands."""
    nan = np.nan
    rows = [[nan, 1, 1, nan, nan], [nan, 1, 1, nan, 2], [nan, nan, nan, nan, nan], [3, nan, 2, nan, 1]]
    values, indices = cnnx.mode(tensor(np.array(rows)), 1)
    np.testing.assert_array_equal(array(values), [nan, 1, nan, nan])
    assert indices.tolist() == [4, 2, 4, 3]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_matrices_of_a_batch_have_their_own_scale(dtype):
    x = np.random.default_rng(0).normal(size=(2, 3, 5, 5)) * np.array([1e-4, 1.0, 8.0])[:, None, None]
    x[1, 1, 0, 2], x[1, 2, 3, 3] = np.nan, np.inf
    ours, theirs = cnnx.matrix_exp(tensor(x.astype(dtype))), torch.matrix_exp(torch.tensor(x.astype(dtype)))
    largest = theirs.abs().amax((-2, -1), keepdim=True).numpy()
    tolerance = 1e-4 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(array(ours) / largest, theirs.numpy() / largest, atol=tolerance)
    assert np.isnan(array(ours)).reshape(6, -1).all(1).tolist() == [False] * 4 + [True] * 2
    alone = cnnx.matrix_exp(tensor(x[0, 0].astype(dtype)))
    np.testing.assert_allclose(array(ours)[0, 0], array(alone), rtol=1e-6)
    given = tensor(x.astype(dtype)).requires_grad_()
    cnnx.matrix_exp(given)[0].sum().backward()
    assert np.isfinite(array(given.grad)[0]).all()


def test_draws_in_place():
    cnnx.manual_seed(0)
    n = 40_000
    waits = array(cnnx.empty(n).exponential_(2.0))
    assert waits.min() > 0
    assert abs(waits.mean() - 0.5) < 0.01
    assert abs(np.median(waits) - np.log(2) / 2) < 0.01
    tries = array(cnnx.empty(n, dtype=cnnx.int64).geometric_(0.25))
    assert tries.min() == 1
    assert abs(tries.mean() - 4) < 0.1
    assert abs(np.log(array(cnnx.empty(n).log_normal_(0.5, 2.0))).mean() - 0.5) < 0.05
    spread = array(cnnx.empty(n).cauchy_(1.0, 3.0))
    assert abs(np.median(spread) - 1) < 0.1
    assert abs(np.quantile(spread, 0.75) - 4) < 0.2
    assert abs(array(cnnx.full((n,), 0.3).bernoulli()).mean() - 0.3) < 0.02
    assert abs(array(cnnx.zeros(n).bernoulli(0.7)).mean() - 0.7) < 0.02
    first, second = (cnnx.empty(5).exponential_(generator=cnnx.Generator().manual_seed(3)) for _ in range(2))
    assert first.tolist() == second.tolist()


def test_in_place_forms_keep_the_tensor():
    x = cnnx.tensor([0.25, 0.5])
    same = x.asin_()
    assert same is x
    x = cnnx.tensor([1.0, -1.0], dtype=cnnx.float64)
    assert x.atan2_(cnnx.tensor([1.0, 1.0])) is x
    np.testing.assert_allclose(array(x), [np.pi / 4, -np.pi / 4])
    weight = cnnx.rand(2, requires_grad=True)
    with pytest.raises(RuntimeError):
        weight.cumsum_(0)
    with pytest.raises(RuntimeError, match=r"atan2_: a result of cnnx\.float32 cannot be written"):
        cnnx.tensor([1, 2]).atan2_(cnnx.tensor([1.0, 2.0]))
    with pytest.raises(RuntimeError, match=r"hypot_: a result of shape \(2, 2\)"):
        cnnx.ones(2).hypot_(cnnx.ones(2, 2))


def test_errors():
    x, i = cnnx.ones(3, 4), cnnx.tensor([0, 1])
    for error, text, call in [
        (ValueError, "polygamma: n must not", lambda: cnnx.polygamma(-1, x)),
        (RuntimeError, "chain_matmul: needs at least one matrix", lambda: cnnx.chain_matmul()),
        (RuntimeError, "mvlgamma: p must", lambda: cnnx.mvlgamma(x, 0)),
        (ValueError, "mvlgamma: p must be at most", lambda: cnnx.mvlgamma(x, 10**30)),
        (RuntimeError, "heaviside: dtypes differ", lambda: cnnx.heaviside(x, i)),
        (RuntimeError, "searchsorted: the sequence is", lambda: cnnx.searchsorted(i, x)),
        (
            RuntimeError,
            "searchsorted: side and right",
            lambda: cnnx.searchsorted(i, 1, right=True, side="left"),
        ),
        (RuntimeError, "searchsorted: sequences of shape", lambda: cnnx.searchsorted(x, cnnx.ones(2, 4))),
        (RuntimeError, "searchsorted: a sorter of shape", lambda: cnnx.searchsorted(i, i, sorter=i[:1])),
        (TypeError, "searchsorted: the sorter must", lambda: cnnx.searchsorted(i, i, sorter=i.int())),
        (IndexError, "searchsorted: the sorter has", lambda: cnnx.searchsorted(i, i, sorter=i + 1)),
        (RuntimeError, "bucketize: boundaries", lambda: cnnx.bucketize(x, x)),
        (TypeError, "isin: expected a tensor", lambda: cnnx.isin(1, 2)),
        (RuntimeError, "put: 2 places for 12", lambda: x.put(i, x)),
        (RuntimeError, "index_put: the tensor is", lambda: x.index_put((i,), i)),
        (IndexError, "index: 4 is out of range", lambda: x.index_put((i + 4,), x[:2])),
        (RuntimeError, "masked_scatter: the mask takes 12", lambda: x.masked_scatter(x > 0, x[0])),
        (RuntimeError, "masked_scatter: the mask must", lambda: x.masked_scatter(x, x)),
        (RuntimeError, "scatter_reduce: reduce is", lambda: x.scatter_reduce(0, i, x, "median")),
        (RuntimeError, "scatter: reduce is", lambda: x.scatter(1, cnnx.tensor([[0]]), 1.0, reduce="mean")),
        (RuntimeError, "index_reduce: reduce is", lambda: x.index_reduce(0, i, x[:2], "sum")),
        (RuntimeError, "select_scatter: the part", lambda: x.select_scatter(x, 0, 0)),
        (RuntimeError, "diagonal_scatter: the diagonal", lambda: x.diagonal_scatter(x[0])),
        (RuntimeError, "renorm: needs two", lambda: x[0].renorm(2, 0, 1)),
        (RuntimeError, "renorm: p must", lambda: x.renorm(-1, 0, 1)),
        (RuntimeError, "cross: dimension", lambda: cnnx.cross(x, x, 1)),
        (RuntimeError, "pdist: needs two", lambda: cnnx.pdist(x[0])),
        (RuntimeError, "vander: needs a vector", lambda: cnnx.vander(x)),
        (RuntimeError, "matrix_power: needs square", lambda: cnnx.linalg.matrix_power(x, 2)),
        (RuntimeError, "matrix_power: n must", lambda: cnnx.linalg.matrix_power(x @ x.t(), -1)),
        (RuntimeError, "multi_dot: needs two", lambda: cnnx.linalg.multi_dot([x])),
        (IndexError, "diag_embed: dim 5", lambda: cnnx.diag_embed(x, 0, 5, 1)),
        (RuntimeError, "diag_embed: dim1 and", lambda: cnnx.diag_embed(x, 0, 1, 1)),
        (RuntimeError, "hsplit: 4 entries", lambda: cnnx.hsplit(x, 3)),
        (RuntimeError, "tensor_split: needs at least", lambda: cnnx.tensor_split(x, 0)),
        (ValueError, "unravel_index: needs integers", lambda: cnnx.unravel_index(x, (3, 4))),
        (RuntimeError, "block_diag: takes at most", lambda: cnnx.block_diag(cnnx.ones(1, 2, 3))),
        (RuntimeError, "cartesian_prod: takes vectors", lambda: cnnx.cartesian_prod(x, i)),
        (RuntimeError, "combinations: takes a vector", lambda: cnnx.combinations(x)),
        (RuntimeError, "tril_indices: needs extents", lambda: cnnx.tril_indices(-1, 2)),
        (TypeError, "bitwise_left_shift: expected integers", lambda: x << 1),
        (RuntimeError, "exponential_: lambd must", lambda: cnnx.ones(2).exponential_(-1)),
        (RuntimeError, "geometric_: p must", lambda: cnnx.ones(2).geometric_(1.5)),
        (RuntimeError, "logcumsumexp: needs a floating", lambda: cnnx.logcumsumexp(i, 0)),
        (RuntimeError, "trapezoid: 3 places for 4", lambda: cnnx.trapezoid(x, cnnx.ones(3))),
        (RuntimeError, "bincount: weights must", lambda: cnnx.bincount(i, cnnx.ones(3))),
    ]:
        with pytest.raises(error, match=text):
            call()
