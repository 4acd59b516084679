"""What PyTorch scripts call on tensors, as a table: the same expression in both libraries."""

from __future__ import annotations

import numpy as np
import pytest

import cnnx
from cnnx import nn
from expressions import compare_expression, tensors
from oracles import array, assert_same

torch = pytest.importorskip("torch")

# Expressions in t (the library) and the tensors above; gradients of the floating-point ones are compared too.
EXPRESSIONS = """
x.clamp(-0.5, 0.5)
x.clamp(min=0)
t.clamp(x, max=0.3)
t.clamp(x, y - 1, y + 0.2)
x.clamp(min=y)
x.clip(0, 1)
x.var()
x.var(False)
x.var(unbiased=False)
x.var(1)
x.var(dim=(0, 1), correction=0)
x.var(1, keepdim=True, unbiased=False)
t.var(x, 0, correction=2)
x.std()
x.std((0, 1))
c.std(dim=(0, 2), keepdim=True)
t.std(x, dim=1, unbiased=False)
t.std_mean(x, dim=1)
t.var_mean(c, dim=(0, 2), keepdim=True)
c.amax((0, 2))
c.amax(dim=1, keepdim=True)
t.amin(x)
x.aminmax(dim=1)
t.aminmax(x)
t.where(x > 0, x, y)
t.where(x > 0, x, 0.0)
x.where(x > 0, y)
t.where(x > 0)
x.pow(2)
x ** 3
2 ** x
t.pow(2, x)
x.abs() ** 0.5
x.abs().pow(y)
t.max(x)
t.max(x, 1)
t.max(x, 1)[1]
x.max(dim=0, keepdim=True).values
t.max(x, y)
t.min(x, 0).indices
x.argmax()
x.argmax(1, keepdim=True)
t.argmin(x, dim=-1)
x.sort()
x.sort(0, descending=True)
t.sort(v, dim=0).indices
x.argsort(dim=1, descending=True)
x.topk(2)
x.topk(2, dim=0, largest=False)
i.unique()
i.unique(return_counts=True)
t.unique(i, return_inverse=True)
x.cumsum(1)
t.cumsum(x, dim=0)
t.bincount(k)
t.bincount(k, minlength=6)
t.histc(w, 5)
t.histc(w, bins=4, min=0.2, max=0.8)
i.nonzero()
t.nonzero(i, as_tuple=True)
t.nonzero(b)
t.argwhere(i)
x.masked_select(x > 0)
x[x > 0]
x[b]
t.eq(i, 5)
i == 5
t.equal(x, x)
t.allclose(x, x + 1e-9)
t.isclose(x, y)
t.isclose(n, n, equal_nan=True)
t.einsum("ij,ij->i", x, y)
t.einsum("ij,kj->ik", x, y)
t.einsum("bij,bjk->bik", c, d)
t.einsum("bij,bjk", c, d)
t.einsum("...ij,...jk->...ik", c, d)
t.einsum("ij->ji", x)
t.einsum("ij", x)
t.einsum("i,j->ij", v, w)
t.einsum("ij,j", x, v)
t.einsum("bij,ij->b", c, x)
t.einsum("bij,bjk,k->bi", c, d, t.ones(5, dtype=t.float64))
t.einsum("ij->", x)
t.einsum("ii->i", x[:, :3])
t.einsum("ii", x[:, :3])
t.einsum("ij,ik->jk", [x, y])
t.einsum("bij,bik->bjk", c, c)
t.outer(v, w)
t.norm(x)
x.norm(dim=1)
x.norm(p=1, dim=0, keepdim=True)
x.norm("fro")
t.norm(x, INF)
t.linalg.norm(x)
t.linalg.norm(x, dim=1)
t.linalg.norm(v, 1)
t.linalg.vector_norm(x, dim=(0, 1))
x.sign()
t.sgn(x)
x.round()
x.floor()
x.ceil()
x.trunc()
x.frac()
t.meshgrid(v, w, indexing="ij")
t.meshgrid(v, w, indexing="xy")[0]
t.arange(5)
t.arange(1, 2, 0.25)
t.linspace(0, 1, 5)
t.logspace(0, 2, 5)
t.tril(x)
x.triu(1)
t.tril(x, diagonal=-1)
t.eye(3, 4)
t.full((2, 3), 7)
t.full_like(x, 2)
t.zeros_like(i)
t.ones_like(x, dtype=t.float32)
x.flip(0)
t.flip(x, dims=(0, 1))
t.fliplr(x)
t.flipud(x)
t.rot90(x)
t.rot90(x, 3)
t.rot90(x, 2, (0, 1))
x.roll(1, 0)
t.roll(x, (1, 2), (0, 1))
t.roll(x, 3)
x.repeat(2, 1)
x.repeat(2, 1, 1)
t.tile(x, (2,))
t.repeat_interleave(v, 2)
x.repeat_interleave(2, dim=1)
t.repeat_interleave(x, t.tensor([1, 0, 2]), dim=0)
x.chunk(2, 1)
t.chunk(x, 2)
x.split(2)
t.split(x, [1, 3], dim=1)
x.unbind()
t.unbind(x, 1)
x.gather(1, t.tensor([[0, 1], [2, 3], [0, 0]]))
t.gather(x, 0, t.tensor([[0, 1, 2, 0]]))
t.take_along_dim(x, x.argsort(1), 1)
t.take(x, k)
t.zeros(3, 4, dtype=t.float64).scatter_(1, t.tensor([[0], [1], [2]]), 1.0)
x.scatter(1, t.tensor([[0, 1]]), y[:1, :2])
t.zeros(3, 4, dtype=t.float64).scatter_add(0, t.tensor([[0, 1, 2, 0]]), y[:1])
x.index_select(0, k)
t.index_select(x, 1, k)
x.index_add(0, k, y)
x.index_add(1, k[:2], y[:, :2], alpha=2)
x.clone().index_add_(0, k, y)
x.index_copy(0, k[:2], y[:2])
x.index_fill(1, k[:2], 3)
x.masked_fill(x > 0, 0)
x.masked_fill(b, -INF)
x[k]
x[:, k]
x[0]
x[..., None, 1:3]
x[t.arange(3), k]
x[-1, ::2]
t.cat([x, y])
t.cat((x, y), dim=1)
t.stack([x, y])
t.stack((x, y), -1)
t.vstack([v, v])
t.hstack([x, y])
x.squeeze()
x.unsqueeze(0).squeeze(0)
x.t()
x.T
c.permute(2, 0, 1)
t.permute(c, (2, 0, 1))
c.permute(dims=(2, 0, 1))
t.tile(x, dims=(2, 1))
c.transpose(0, 2)
c.movedim(0, -1)
t.swapaxes(c, 0, 1)
t.swapaxes(c, axis0=0, axis1=1)
c.swapaxes(axis0=1, axis1=0)
t.swapdims(c, dim0=0, dim1=1)
c.flatten(1)
c.view(2, -1)
c.reshape(-1)
v.expand(3, 4)
v.expand(3, -1)
t.broadcast_tensors(x, v)
t.atleast_2d(v)
t.atleast_1d(v.sum())
x @ d[0]
x.mm(x.t())
t.bmm(c, d)
t.baddbmm(t.zeros(2, 3, 5, dtype=t.float64), c, d, alpha=2)
t.matmul(c, d)
t.mv(x, v)
t.dot(v, v)
t.inner(x, y)
t.inner(x, v)
t.tensordot(x, y, dims=([0, 1], [0, 1]))
t.tensordot(c, d, ([0, 2], [0, 1]))
t.tensordot(x, d[0], 1)
t.addmm(x, x @ x.t(), y)
t.trace(x[:, :3])
t.diag(v)
x.diagonal()
t.cdist(x, y)
t.cdist(x, y, p=1.0)
x.sum()
x.sum(1)
c.sum((0, 2), keepdim=True)
i.sum()
i.float().mean()
x.mean(dim=(0, 1))
x.prod()
x.prod(1)
(x > 0).sum()
(x > 0).any()
(x > 0).all(1)
(x > 0).float().mean()
x.count_nonzero()
t.logsumexp(x, 1)
x.softmax(1)
t.log_softmax(x, dim=0)
x.median()
x.median(1)
w.median(0, keepdim=True)
x[:, :3].median(dim=1).values
n.median()
n.median(1)
t.quantile(w, 0.3)
t.quantile(x, 0.25, dim=1)
t.quantile(x, 0.25, dim=0, keepdim=True)
t.quantile(x, t.tensor([0.1, 0.5, 0.9], dtype=t.float64), dim=1)
t.quantile(c, t.tensor([0.1, 0.5], dtype=t.float64), dim=1, keepdim=True)
t.quantile(w, 0.4, interpolation="lower")
t.quantile(w, 0.4, interpolation="nearest")
x.kthvalue(2)
x.kthvalue(1, dim=0, keepdim=True)
n.nansum()
n.nan_to_num()
t.nan_to_num(n, nan=1.0, posinf=2.0, neginf=-2.0)
n[:1].nanmean(1)
n.isnan()
n.isinf()
n.isfinite()
t.fmax(n, t.zeros_like(n))
t.fmin(n, t.zeros_like(n))
t.diff(x)
t.diff(x, n=2, dim=1)
t.diff(v, prepend=v[:1])
t.cov(x)
t.cov(v)
t.corrcoef(x)
x.exp()
t.exp2(x)
x.tan()
x.sinh()
x.cosh()
x.abs().log()
w.log2()
w.log10()
w.logit()
t.logit(w, eps=0.3)
t.hypot(x, y)
t.logaddexp(x, y)
t.xlogy(w, w)
t.deg2rad(x)
x.rad2deg()
x.rsqrt().nan_to_num()
x.reciprocal()
x.square()
x.sigmoid()
x.erf()
x % 0.7
i % 3
i // 2
x.detach() // 0.3
t.remainder(i, -4)
t.fmod(x, 0.7)
t.div(i, 2, rounding_mode="floor")
t.true_divide(i, 2)
t.lerp(x, y, 0.3)
t.addcmul(x, x, y, value=2)
t.maximum(x, y)
x.unfold(1, 2, 1)
c.unfold(2, 3, 1)
c.unfold(1, 2, 1).unfold(2, 2, 2)
x.sum_to_size(1, 4)
i.type(t.float32)
x.type_as(i)
x.to(t.float32)
x.long()
x.new_zeros(2, 2)
x.new_tensor([1.0, 2.0])
x.detach().numel()
x.size()
x.size(0)
x.shape[1]
x.dim()
x.is_floating_point()
x.tolist()
x[0, 0].item()
x.clone().tril_()
x.clone().fill_diagonal_(0)
w.clone().sin_()
w.clone().clamp_min_(0.5)
t.logical_and(x > 0, y > 0)
(x > 0) & ~(y > 0) | (x < -1)
t.is_tensor(x)
t.promote_types(t.int32, t.float32) == t.float32
t.is_nonzero(x[0, 0])
"""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("expression", EXPRESSIONS.strip().splitlines())
def test_expression(expression):
    compare_expression(expression)


def test_named_results():
    x = cnnx.tensor([[1.0, 3.0], [5.0, 2.0]])
    values, indices = cnnx.max(x, 1)
    assert values.tolist() == [3.0, 5.0]
    _, predicted = cnnx.max(x.data, 1)
    assert predicted.tolist() == indices.tolist() == x.max(1).indices.tolist() == [1, 0]
    assert x.sort(1).values.tolist() == [[1.0, 3.0], [2.0, 5.0]]
    low, high = x.aminmax()
    assert (low, high) == (x.aminmax().min, x.aminmax().max)


def test_what_scripts_set_and_ask():
    assert not cnnx.backends.mps.is_available()
    cnnx.backends.cudnn.deterministic = True
    cnnx.backends.cudnn.benchmark = False
    cnnx.use_deterministic_algorithms(True)
    assert cnnx.are_deterministic_algorithms_enabled()
    cnnx.cuda.manual_seed(0)
    cnnx.cuda.manual_seed_all(0)
    assert cnnx.get_num_threads() >= 1
    assert cnnx.get_num_interop_threads() == 1
    cnnx.set_float32_matmul_precision("high")
    assert cnnx.get_float32_matmul_precision() == "highest"
    where = "cuda" if cnnx.cuda.is_available() else "mps" if cnnx.backends.mps.is_available() else "cpu"
    assert cnnx.device(where).type == ("cuda" if cnnx.cuda.is_available() else "cpu")
    cnnx.set_default_device("cpu")
    x = cnnx.ones(2)
    assert x.pin_memory().is_pinned() == cnnx.cuda.is_available()
    assert not x.is_pinned()
    assert not x.is_sparse
    assert not x.is_complex()


def test_compile_gives_the_model_itself():
    model = nn.Linear(2, 1)
    assert cnnx.compile(model) is model
    assert cnnx.compile(model, mode="reduce-overhead") is model

    @cnnx.compile
    def double(x):
        return 2 * x

    @cnnx.compile(dynamic=True)
    def triple(x):
        return 3 * x

    assert double(2) == 4
    assert triple(2) == 6


def test_recording_decorators():
    x = cnnx.ones(2, requires_grad=True)

    @cnnx.no_grad()
    def first(a):
        return a * 2

    @cnnx.inference_mode()
    def second(a):
        return a * 2

    assert not first(x).requires_grad
    assert not second(x).requires_grad
    with cnnx.inference_mode():
        assert not (x * 2).requires_grad
    with cnnx.no_grad(), cnnx.enable_grad():
        assert (x * 2).requires_grad
    with cnnx.set_grad_enabled(False):
        assert not (x * 2).requires_grad


def test_what_is_missing_says_so():
    with pytest.raises(AttributeError, match=r"cnnx\.Tensor has no 'cholesky'"):
        cnnx.ones(2).cholesky()
    with pytest.raises(AttributeError, match=r"^cnnx has no 'fft'"):
        _ = cnnx.fft
    with pytest.raises(AttributeError, match=r"cnnx\.linalg has no 'svd'"):
        _ = cnnx.linalg.svd
    with pytest.raises(NotImplementedError, match="only the Frobenius norm"):
        cnnx.linalg.norm(cnnx.ones(2, 2), 2)
    assert not hasattr(cnnx.ones(2), "fft")


def test_errors_of_composed_functions():
    x = cnnx.ones(3, 4)
    for call, text in [
        (lambda: cnnx.einsum("ij,jk->ik", x), "2 operands, got 1"),
        (lambda: cnnx.einsum("ijk", x), "does not fit shape"),
        (lambda: cnnx.einsum("ij,jk->ik", x, x), "'j' is 4 in one operand and 3"),
        (lambda: cnnx.einsum("ij->ik", x), "must have letters"),
        (lambda: cnnx.tensordot(x, x, 1), "tensordot: shapes"),
        (lambda: x.kthvalue(5), "kthvalue: k 5 is out of range for dimension 1"),
        (lambda: x.unfold(1, 5, 1), "unfold: windows of 5"),
        (lambda: cnnx.quantile(x, 1.5), "quantile: q"),
        (lambda: cnnx.quantile(x, 0.5, interpolation="cubic"), "no interpolation 'cubic'"),
        (lambda: cnnx.histc(x, 4, 3, 2), "no intervals"),
        (lambda: x.repeat_interleave(cnnx.tensor([1, 2]), 0), "repeat_interleave: repeats"),
        (lambda: x.sum_to_size(2, 4), "sum_to_size"),
        (lambda: cnnx.multinomial(-x, 1), "multinomial: probability"),
        (lambda: cnnx.multinomial(x * 0, 1), "sum of probabilities"),
        (lambda: cnnx.multinomial(x, 5), "cannot draw 5 of 4"),
    ]:
        with pytest.raises(RuntimeError, match=text):
            call()


@pytest.mark.big
def test_multinomial_draws_by_weight():
    cnnx.manual_seed(0)
    weights = cnnx.tensor([[0.0, 1.0, 3.0, 0.0], [2.0, 0.0, 0.0, 2.0]])
    drawn = array(cnnx.multinomial(weights, 20_000, replacement=True))
    for row, w in zip(drawn, array(weights), strict=True):
        np.testing.assert_allclose(np.bincount(row, minlength=4) / 20_000, w / w.sum(), atol=0.02)
    first = array(cnnx.stack([cnnx.multinomial(weights[0], 2) for _ in range(2000)]))
    assert set(map(frozenset, first.tolist())) == {frozenset({1, 2})}
    assert abs((first[:, 0] == 2).mean() - 0.75) < 0.04


def test_numpy_and_python_on_tensors():
    x = cnnx.tensor([1.0, 2.0, 3.0])
    assert f"{x.mean():.2f}" == "2.00"
    assert np.asarray(x).tolist() == np.array(x).tolist() == [1, 2, 3]
    assert [v.item() for v in x] == [1, 2, 3]
    assert sum(x).item() == 6
    assert max(x).item() == 3
    total = 0
    total += (x > 1).sum().item()
    history = [0] * 2
    history[0] += (x > 1).sum()
    assert total == history[0] == 2
    assert round(float(x.std()), 6) == 1
    assert x[x.argmax()] == 3
    assert bool((x == x).all())


@pytest.mark.parametrize(
    "expression",
    [
        "F.normalize(x)",
        "F.normalize(c, p=1, dim=(1, 2))",
        "F.normalize(x * 0, dim=0)",
        "F.cosine_similarity(x, y)",
        "F.cosine_similarity(c, x, dim=-1)",
        "F.pairwise_distance(x, y, p=1.0, keepdim=True)",
        "nn.CosineSimilarity(dim=0)(x, y)",
        "nn.PairwiseDistance()(x, y)",
    ],
)
def test_distances(expression):
    results = []
    for lib in (cnnx, torch):
        names = tensors(lib, grad=True)
        result = eval(expression, {"F": lib.nn.functional, "nn": lib.nn, **names})
        result.pow(2).sum().backward()
        results.append((result, names["x"].grad))
    assert_same(results[0][0], results[1][0], 1e-11)
    if "* 0" not in expression and results[1][1] is not None:
        assert_same(results[0][1], results[1][1], 1e-9)
