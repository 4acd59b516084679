"""Distributions against PyTorch's: values, divergences and their gradients; samples by their moments."""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np
import pytest

import cnnx
from cnnx import distributions
from cnnx.distributions import Bernoulli, Categorical, Normal, kl_divergence, register_kl
from oracles import assert_gradients_match_torch, assert_same

torch = pytest.importorskip("torch")
RNG = np.random.default_rng(0)


def inside(shape: tuple[int, ...]) -> np.ndarray:
    """Numbers within [0, 1]."""
    return RNG.uniform(0.01, 0.99, shape)


class Case(NamedTuple):
    """A distribution of arrays under these names, and values of it."""

    name: str
    parameters: dict[str, np.ndarray]
    values: np.ndarray

    def __str__(self) -> str:
        return " ".join([self.name, *(f"{k}{v.shape}" for k, v in self.parameters.items())])


CASES = [
    Case(
        "Normal",
        {"loc": RNG.normal(size=(3, 4)), "scale": RNG.uniform(0.2, 2, (3, 4))},
        RNG.normal(size=(3, 4)),
    ),
    Case(
        "Normal",
        {"loc": RNG.normal(size=(4,)), "scale": RNG.uniform(0.2, 2, (3, 1))},
        RNG.normal(size=(5, 3, 4)),
    ),
    Case("Bernoulli", {"probs": RNG.uniform(0.05, 0.95, (3, 4))}, RNG.integers(0, 2, (3, 4)).astype(float)),
    Case("Bernoulli", {"logits": RNG.normal(size=(3, 4)) * 9}, RNG.integers(0, 2, (2, 3, 4)).astype(float)),
    Case("Categorical", {"probs": RNG.uniform(0.05, 3, (3, 4))}, RNG.integers(0, 4, (3,))),
    Case("Categorical", {"logits": RNG.normal(size=(2, 3, 5)) * 4}, RNG.integers(0, 5, (6, 2, 3))),
    Case("Categorical", {"logits": RNG.normal(size=(5,))}, RNG.integers(0, 5, (6,))),
    Case(
        "Uniform", {"low": RNG.normal(size=(3, 1)) - 4, "high": RNG.normal(size=(4,)) + 4}, inside((2, 3, 4))
    ),
    Case("Exponential", {"rate": RNG.uniform(0.2, 3, (3, 4))}, RNG.exponential(size=(5, 3, 4))),
    Case(
        "Laplace",
        {"loc": RNG.normal(size=(4,)), "scale": RNG.uniform(0.2, 2, (3, 1))},
        RNG.normal(size=(3, 4)),
    ),
    Case(
        "LogNormal",
        {"loc": RNG.normal(size=(4,)), "scale": RNG.uniform(0.2, 1, (3, 1))},
        RNG.exponential(size=(3, 4)),
    ),
    Case(
        "Gamma",
        {"concentration": RNG.uniform(0.2, 9, (4,)), "rate": RNG.uniform(0.2, 2, (3, 1))},
        RNG.exponential(size=(3, 4)),
    ),
    Case(
        "Beta",
        {"concentration1": RNG.uniform(0.2, 9, (4,)), "concentration0": RNG.uniform(0.2, 5, (3, 1))},
        inside((2, 3, 4)),
    ),
    Case("Geometric", {"probs": RNG.uniform(0.05, 0.95, (3, 4))}, RNG.integers(0, 9, (3, 4)).astype(float)),
    Case("Geometric", {"logits": RNG.normal(size=(3, 4)) * 3}, RNG.integers(0, 9, (2, 3, 4)).astype(float)),
    Case("Poisson", {"rate": RNG.uniform(0.2, 30, (3, 4))}, RNG.integers(0, 40, (2, 3, 4)).astype(float)),
    Case("Binomial", {"probs": RNG.uniform(0.05, 0.95, (3, 4))}, RNG.integers(0, 6, (3, 4)).astype(float)),
    Case("Binomial", {"logits": RNG.normal(size=(3, 4)) * 4}, RNG.integers(0, 6, (2, 3, 4)).astype(float)),
    Case("OneHotCategorical", {"probs": RNG.uniform(0.05, 3, (3, 4))}, np.eye(4)[RNG.integers(0, 4, (3,))]),
    Case("OneHotCategorical", {"logits": RNG.normal(size=(5,)) * 3}, np.eye(5)[RNG.integers(0, 5, (6,))]),
]


def made(lib: Any, case: Case, parameters: Any) -> Any:
    """The distribution in a library."""
    fixed = {"total_count": 5} if case.name == "Binomial" else {}
    return getattr(lib.distributions, case.name)(
        **fixed, **dict(zip(case.parameters, parameters, strict=True))
    )


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("what", ["log_prob", "entropy", "cdf", "icdf", "mean", "variance", "stddev", "mode"])
def test_values_and_gradients(case, what):
    at = inside(case.values.shape) if what == "icdf" else case.values

    def call(lib: Any) -> Any:
        def function(*parameters: Any) -> Any:
            d = made(lib, case, parameters)
            if what in ("log_prob", "cdf", "icdf"):
                return getattr(d, what)(lib.tensor(at))
            return d.entropy() if what == "entropy" else getattr(d, what) * 1.0

        return function

    arrays = list(case.parameters.values())
    if is_left_out_there(call(torch), arrays, what) or (case.name, what) in LEFT_OUT:
        with pytest.raises(NotImplementedError, match=f"{case.name} has no "):
            call(cnnx)(*map(cnnx.tensor, arrays))
        return
    if what == "mode":
        ours, theirs = (call(lib)(*map(lib.tensor, arrays)) for lib in (cnnx, torch))
        assert_same(ours, theirs, None, what)
        return
    assert_gradients_match_torch(call(cnnx), call(torch), arrays, tolerance(case), what)


def tolerance(case: Case) -> float | None:
    """PyTorch's trigamma function, the slope of the digamma function, is right to nine digits."""
    return 1e-8 if case.name in ("Gamma", "Beta") else None


# What PyTorch has and cnnx has not.
LEFT_OUT = {("Gamma", "cdf")}


def is_left_out_there(function: Any, arrays: list[np.ndarray], what: str) -> bool:
    """Whether PyTorch has it neither; of categories its moments are nan."""
    try:
        return bool(function(*map(torch.tensor, arrays)).isnan().all()) and what != "mode"
    except NotImplementedError:
        return True


PAIRS = [(a, b) for a, b in itertools.product(CASES, CASES) if a.name == b.name and "Categ" not in a.name]
PAIRS += [(CASES[4], Case("Categorical", {"logits": RNG.normal(size=(3, 4))}, CASES[4].values))]
BY_NAME = {case.name: case for case in CASES}
CROSSED = [("Uniform", "Normal"), ("Exponential", "Gamma"), ("Gamma", "Exponential")]
PAIRS += [(BY_NAME[p], BY_NAME[q]) for p, q in CROSSED]


@pytest.mark.parametrize(("p", "q"), PAIRS, ids=str)
def test_divergences(p, q):
    def call(lib: Any) -> Any:
        def function(*parameters: Any) -> Any:
            split = len(p.parameters)
            first, second = made(lib, p, parameters[:split]), made(lib, q, parameters[split:])
            return lib.distributions.kl_divergence(first, second)

        return function

    factor = 1.1 if q.name == "Uniform" else 0.9  # another one, which is as wide
    arrays = [
        *p.parameters.values(),
        *(factor * v + 0.04 for v in q.parameters.values()),
    ]
    assert_gradients_match_torch(call(cnnx), call(torch), arrays, tolerance(p), "divergence")


ALMOST = [0.5, 0.5, 0.0, 1.0, 0.0, 1.0, 1.0]
EXCLUDED = [1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.5]


@pytest.mark.parametrize("name", ["Bernoulli", "Categorical", "OneHotCategorical"])
@pytest.mark.parametrize("given", ["probs", "logits"])
def test_divergences_from_what_excludes_events(name, given):
    a, b = (
        np.array(v) if name == "Bernoulli" else np.stack([v, 1 - np.array(v)], 1) for v in (ALMOST, EXCLUDED)
    )
    found = []
    for lib, make in ((cnnx, cnnx.tensor), (torch, torch.tensor)):
        p = getattr(lib.distributions, name)(probs=make(a))
        q = {"probs": make(b)}
        if given == "logits":
            q = {"logits": make(b).log() - (1 - make(b)).log() if name == "Bernoulli" else make(b).log()}
        found.append(lib.distributions.kl_divergence(p, getattr(lib.distributions, name)(**q)).numpy())
    np.testing.assert_allclose(*found, atol=1e-14)
    assert np.isinf(found[0]).tolist() == [True] * 4 + [False] * 3


def test_divergences_of_certain_events():
    p, q = Bernoulli(probs=cnnx.tensor([0.0, 1.0])), Bernoulli(probs=cnnx.tensor([0.5, 0.5]))
    assert kl_divergence(p, q).tolist() == pytest.approx([np.log(2)] * 2, rel=1e-5)
    p, q = Categorical(probs=cnnx.tensor([0.0, 1.0])), Categorical(probs=cnnx.tensor([0.5, 0.5]))
    assert kl_divergence(p, q).item() == pytest.approx(np.log(2), rel=1e-5)


def test_samples_have_the_moments_and_shapes():
    cnnx.manual_seed(0)
    n = 40_000
    normal = Normal(cnnx.tensor([1.0, -2.0]), cnnx.tensor([0.5, 3.0]))
    drawn = normal.sample((n,))
    assert drawn.shape == (n, 2)
    assert not drawn.requires_grad
    assert drawn.mean(0).tolist() == pytest.approx([1.0, -2.0], abs=5 * 3 / n**0.5)
    assert drawn.std(0).tolist() == pytest.approx([0.5, 3.0], rel=0.02)
    coin = Bernoulli(probs=cnnx.tensor([[0.1], [0.8]]))
    drawn = coin.sample((n,))
    assert drawn.shape == (n, 2, 1)
    assert drawn.mean(0).flatten().tolist() == pytest.approx([0.1, 0.8], abs=0.01)
    die = Categorical(probs=cnnx.tensor([[1.0, 2.0, 1.0], [0.0, 0.0, 5.0]]))
    drawn = die.sample((n // 4, 4))
    assert drawn.shape == (n // 4, 4, 2)
    counts = np.bincount(drawn[..., 0].numpy().ravel(), minlength=3) / n
    assert counts.tolist() == pytest.approx([0.25, 0.5, 0.25], abs=0.01)
    assert (drawn[..., 1] == 2).all()
    assert die.sample().shape == (2,)
    assert Normal(0.0, 1.0).sample().shape == ()


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_moments_of_samples(case, dtype):
    cnnx.manual_seed(3)
    n = 20_000
    ours = made(cnnx, case, [cnnx.tensor(v.astype(dtype)) for v in case.parameters.values()])
    theirs = made(torch, case, [torch.tensor(v) for v in case.parameters.values()])
    drawn = ours.sample((n,))
    assert drawn.shape == (n, *ours.batch_shape, *ours.event_shape)
    assert ours.sample().shape == (*ours.batch_shape, *ours.event_shape)
    assert (*ours.batch_shape, *ours.event_shape) == tuple(theirs.batch_shape + theirs.event_shape)
    assert not drawn.requires_grad
    if case.name == "Categorical":
        assert drawn.dtype == cnnx.int64
        return
    values = drawn.numpy().astype(np.float64)
    assert drawn.numpy().dtype == dtype
    mean, deviation = theirs.mean.numpy(), theirs.stddev.numpy()
    assert (np.abs(values.mean(0) - mean) <= 5 * deviation / n**0.5 + 1e-9).all()
    if case.name != "LogNormal":  # whose fourth moments are too large to tell
        np.testing.assert_allclose(values.std(0), deviation, rtol=0.12, atol=0.01)
    assert bool(theirs.support.check(torch.tensor(values)).all())


@pytest.mark.parametrize("rate", [0.0, 0.01, 3.0, 9.99, 10.0, 50.0, 1e4])
def test_poisson_draws_have_the_probabilities(rate):
    cnnx.manual_seed(0)
    n = 100_000
    drawn = distributions.Poisson(cnnx.tensor(rate, dtype=cnnx.float64)).sample((n,)).numpy()
    assert drawn.mean() == pytest.approx(rate, abs=5 * (rate / n) ** 0.5)
    values, counts = np.unique(drawn, return_counts=True)
    wanted = np.exp(
        torch.distributions.Poisson(torch.tensor(rate).double()).log_prob(torch.tensor(values)).numpy()
    )
    deviation = np.sqrt(wanted * (1 - wanted) / n)
    assert (np.abs(counts / n - wanted) <= 6 * deviation + 2 / n).all()


@pytest.mark.parametrize("a", [1e-3, 0.1, 0.9, 1.0, 1.5, 30.0, 1e6])
def test_gamma_and_beta_draws_have_the_distribution(a):
    """By the Kolmogorov-Smirnov distance from PyTorch's distribution function, or the share below a point."""
    cnnx.manual_seed(0)
    n = 50_000
    drawn = np.sort(distributions.Gamma(cnnx.tensor(a, dtype=cnnx.float64), 2.0).sample((n,)).numpy())
    below = torch.distributions.Gamma(torch.tensor(a).double(), 2.0).cdf(torch.tensor(drawn)).numpy()
    tiny = drawn <= np.finfo(np.float64).tiny  # which stand for all that is below
    steps = np.arange(1, n + 1) / n
    assert np.abs(steps - below)[~tiny].max(initial=0) < 2 / n**0.5
    drawn = distributions.Beta(cnnx.tensor(a, dtype=cnnx.float64), a).sample((n,)).numpy()
    assert drawn.mean() == pytest.approx(0.5, abs=0.01)
    assert ((drawn >= 0) & (drawn <= 1)).all()


@pytest.mark.parametrize(
    ("draw", "wanted"),
    [
        (lambda inf: distributions.Gamma(cnnx.tensor([inf, 2.0]), 1.0), np.inf),
        (lambda inf: distributions.Gamma(cnnx.tensor([-1.0, 2.0]), 1.0, validate_args=False), np.nan),
        (lambda inf: distributions.Gamma(cnnx.tensor([inf - inf, 2.0]), 1.0, validate_args=False), np.nan),
        (lambda inf: distributions.Beta(cnnx.tensor([inf, 2.0]), 1.0), 1.0),
        (lambda inf: distributions.Beta(1.0, cnnx.tensor([inf, 2.0])), 0.0),
        (lambda inf: distributions.Beta(cnnx.tensor([inf, 2.0]), cnnx.tensor([inf, 2.0])), np.nan),
        (lambda inf: distributions.Poisson(cnnx.tensor([inf, 2.0])), np.inf),
        (lambda inf: distributions.Poisson(cnnx.tensor([-1.0, 20.0]), validate_args=False), np.nan),
    ],
)
def test_draws_without_a_distribution_end(draw, wanted):
    drawn = draw(float("inf")).sample((3,)).cpu().numpy()
    np.testing.assert_array_equal(drawn[:, 0], [wanted] * 3)
    assert np.isfinite(drawn[:, 1]).all()


def test_waiting_times_are_above_0(monkeypatch):
    monkeypatch.setattr(cnnx.random, "rand", lambda *shape, generator=None, **k: cnnx.zeros(*shape, **k))
    for dtype in (cnnx.float32, cnnx.float64):
        drawn = distributions.Exponential(cnnx.tensor(1e9, dtype=dtype)).rsample((3,))
        assert drawn.dtype == dtype
        assert min(drawn.tolist()) > 0


REPARAMETRISED = [c for c in CASES if getattr(distributions, c.name).has_rsample]


@pytest.mark.parametrize("case", REPARAMETRISED, ids=str)
def test_gradients_of_draws(case):
    """Where the distribution function stays the same, by what its derivatives say."""
    leaves = [cnnx.tensor(v, requires_grad=True) for v in case.parameters.values()]
    cnnx.manual_seed(5)
    drawn = made(cnnx, case, leaves).rsample((3,))
    drawn.sum().backward()
    others = [torch.tensor(v, requires_grad=True) for v in case.parameters.values()]
    values = torch.tensor(drawn.detach().numpy(), requires_grad=True)
    if case.name == "LogNormal":
        d = torch.distributions.Normal(*others)
        share = d.cdf(values.log())
    else:
        share = made(torch, case, others).cdf(values)
    slopes = torch.autograd.grad(share.sum(), values, retain_graph=True)[0]
    wanted = torch.autograd.grad(share, others, -1 / slopes)
    for mine, other in zip(leaves, wanted, strict=True):
        assert_same(mine.grad, other, 1e-8)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_more_places(case):
    ours = made(cnnx, case, [cnnx.tensor(v) for v in case.parameters.values()])
    theirs = made(torch, case, [torch.tensor(v) for v in case.parameters.values()])
    shape = (2, *ours.batch_shape)
    ours, theirs = ours.expand(shape), theirs.expand(shape)
    assert (tuple(ours.batch_shape), ours.event_shape) == (shape, theirs.event_shape)
    assert type(ours).__name__ == case.name
    value = theirs.sample()
    assert_same(ours.log_prob(cnnx.tensor(value.numpy())), theirs.log_prob(value), 1e-10)
    assert ours.sample((4,)).shape == (4, *shape, *ours.event_shape)


@pytest.mark.parametrize("expand", [False, True])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_all_values(case, expand):
    ours = made(cnnx, case, [cnnx.tensor(v) for v in case.parameters.values()])
    theirs = made(torch, case, [torch.tensor(v) for v in case.parameters.values()])
    if not theirs.has_enumerate_support:
        with pytest.raises(NotImplementedError, match=f"{case.name} has not finitely many values"):
            ours.enumerate_support(expand)
        return
    assert_same(ours.enumerate_support(expand), theirs.enumerate_support(expand))


@pytest.mark.parametrize("ndims", [0, 1, 2])
@pytest.mark.parametrize("name", ["Normal", "Bernoulli", "OneHotCategorical"])
def test_parts_as_one(name, ndims):
    case = next(c for c in CASES if c.name == name)
    ndims = min(ndims, case.values.ndim - (name == "OneHotCategorical"))
    made_of = []
    for lib in (cnnx, torch):
        base = made(lib, case, [lib.tensor(v) for v in case.parameters.values()])
        made_of.append(lib.distributions.Independent(base, ndims))
    ours, theirs = made_of
    assert (ours.batch_shape, ours.event_shape) == (tuple(theirs.batch_shape), tuple(theirs.event_shape))
    assert ours.has_rsample == theirs.has_rsample
    for what in ("mean", "variance", "mode", "stddev"):
        assert_same(getattr(ours, what), getattr(theirs, what))
    assert_same(ours.log_prob(cnnx.tensor(case.values)), theirs.log_prob(torch.tensor(case.values)), 1e-10)
    assert_same(ours.entropy(), theirs.entropy(), 1e-10)
    assert_same(kl_divergence(ours, ours), torch.distributions.kl_divergence(theirs, theirs), 1e-10)
    wide = ours.expand((7, *ours.batch_shape))
    assert (wide.batch_shape, wide.event_shape) == ((7, *ours.batch_shape), ours.event_shape)
    assert wide.sample().shape == (7, *ours.batch_shape, *ours.event_shape)
    assert repr(ours) == f"Independent({ours.base_dist}, {ndims})"
    with pytest.raises(NotImplementedError, match="different dimensions"):
        kl_divergence(
            distributions.Independent(ours, 0), distributions.Independent(Normal(cnnx.zeros(2), 1.0), 1)
        )


def test_values_at_the_ends():
    assert distributions.LogNormal(0.0, 1.0).cdf(cnnx.tensor([0.0, np.inf])).tolist() == [0.0, 1.0]
    rare = distributions.Geometric(logits=cnnx.tensor([-110.0, -40.0, 20.0, np.inf]))
    assert rare.log_prob(cnnx.tensor([0.0, 5.0, 2.0, 0.0])).tolist() == pytest.approx([-110, -40, -40, 0])


def test_infinite_divergences():
    p, q = distributions.Uniform(0.0, cnnx.tensor([1.0, 3.0])), distributions.Uniform(0.0, 2.0)
    assert kl_divergence(p, q).tolist() == pytest.approx([np.log(2), np.inf])
    p, q = distributions.Binomial(cnnx.tensor([2, 3]), 0.5), distributions.Binomial(2, 0.5)
    assert kl_divergence(p, q).tolist() == [0.0, np.inf]
    with pytest.raises(NotImplementedError, match="one of more attempts"):
        kl_divergence(q, p)
    with pytest.raises(NotImplementedError, match="need one total_count"):
        p.entropy()


def test_numbers_take_the_dtype_of_tensors():
    for d in (Normal(0.0, cnnx.ones(2).double()), distributions.Gamma(cnnx.ones(2).double(), 1.0)):
        assert d.sample().dtype == cnnx.float64
        assert d.log_prob(cnnx.ones(2).double()).dtype == cnnx.float64
    certain = distributions.Geometric(probs=cnnx.tensor([1.0, 0.5]))
    assert certain.sample((5,))[:, 0].tolist() == [0.0] * 5
    assert certain.log_prob(cnnx.tensor([0.0, 0.0])).tolist() == pytest.approx([0.0, np.log(0.5)])
    inside = distributions.Uniform(0.0, 1.0, validate_args=False)
    assert inside.log_prob(cnnx.tensor([-1.0, 0.5, 2.0])).tolist() == [-np.inf, 0.0, -np.inf]


def test_reparametrised_samples_pass_gradients():
    loc, scale = cnnx.zeros(3, requires_grad=True), cnnx.ones(3, requires_grad=True)
    cnnx.manual_seed(4)
    drawn = Normal(loc, scale).rsample()
    drawn.sum().backward()
    assert loc.grad.tolist() == [1.0] * 3
    assert scale.grad.tolist() == pytest.approx(drawn.tolist())
    with pytest.raises(NotImplementedError, match="Bernoulli has no rsample"):
        Bernoulli(probs=0.5).rsample()


def test_own_divergences():
    class Shifted(Normal):
        pass

    assert kl_divergence(Shifted(0.0, 1.0), Normal(0.0, 1.0)).item() == 0.0

    @register_kl(Shifted, Bernoulli)
    def _odd(p, q):
        return p.loc + q.probs

    assert kl_divergence(Shifted(1.0, 1.0), Bernoulli(probs=0.25)).item() == 1.25
    with pytest.raises(NotImplementedError, match="not known of Bernoulli and Normal"):
        kl_divergence(Bernoulli(probs=0.5), Normal(0.0, 1.0))


NAN = cnnx.tensor(float("nan"))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Normal(0.0, 0.0), "Normal: scale must be above 0"),
        (lambda: Normal(float("nan"), 1.0), "loc must be a number"),
        (lambda: Bernoulli(), "needs either probs or logits"),
        (lambda: Bernoulli(0.5, 0.5), "needs either probs or logits"),
        (lambda: Bernoulli(1.5), "probs must be within"),
        (lambda: Bernoulli(0.5).log_prob(cnnx.tensor(0.5)), "values are 0 or 1"),
        (lambda: Categorical(cnnx.tensor(1.0)), "needs weights"),
        (lambda: Categorical(cnnx.tensor([1.0, -1.0])), "weights are negative or all 0"),
        (lambda: Categorical(cnnx.zeros(3)), "weights are negative or all 0"),
        (lambda: Categorical(cnnx.ones(3)).log_prob(cnnx.tensor(3)), "indices of 3 classes"),
        (lambda: distributions.Uniform(1.0, 1.0), "Uniform: low must be below high"),
        (lambda: distributions.Uniform(0.0, 1.0).log_prob(cnnx.tensor(2.0)), "values are within"),
        (lambda: distributions.Exponential(0.0), "Exponential: rate must be above 0"),
        (lambda: distributions.Exponential(1.0).cdf(cnnx.tensor(-1.0)), "values are not below 0"),
        (lambda: distributions.Laplace(0.0, -1.0), "Laplace: scale must be above 0"),
        (lambda: distributions.LogNormal(0.0, -1.0), "scale must be above 0"),
        (lambda: distributions.LogNormal(0.0, 1.0).log_prob(cnnx.tensor(0.0)), "values are above 0"),
        (lambda: distributions.Gamma(0.0, 1.0), "Gamma: concentration and rate must be above 0"),
        (lambda: distributions.Beta(1.0, 0.0), "Beta: concentrations must be above 0"),
        (lambda: distributions.Beta(1.0, 1.0).log_prob(cnnx.tensor(1.5)), r"within \[0, 1\]"),
        (lambda: Bernoulli(logits=float("nan")), "Bernoulli: logits must be numbers, not nan"),
        (lambda: distributions.Binomial(3, logits=float("nan")), "Binomial: logits must be numbers, not nan"),
        (lambda: distributions.Geometric(logits=float("nan")), "Geometric: logits must be numbers, not nan"),
        (lambda: distributions.Binomial(float("inf"), 0.5), "Binomial: total_count must be a whole number"),
        (lambda: distributions.Laplace(float("nan"), 1.0), "Laplace: loc must be a number, not nan"),
        (lambda: distributions.Laplace(0.0, 1.0).log_prob(NAN), "Laplace: values must be numbers, not nan"),
        (lambda: distributions.Laplace(0.0, 1.0).cdf(NAN), "Laplace: values must be numbers, not nan"),
        (lambda: Normal(0.0, 1.0).log_prob(NAN), "Normal: values must be numbers, not nan"),
        (lambda: distributions.LogNormal(0.0, 1.0).cdf(-cnnx.ones(1)), "LogNormal: values are not below 0"),
        (lambda: distributions.Geometric(0.0), r"Geometric: probs must be within \(0, 1\]"),
        (lambda: distributions.Geometric(0.5).log_prob(cnnx.tensor(0.5)), "values are whole numbers"),
        (lambda: distributions.Poisson(-1.0), "Poisson: rate must not be below 0"),
        (lambda: distributions.Poisson(1.0).log_prob(cnnx.tensor(-1.0)), "values are whole numbers"),
        (lambda: distributions.Binomial(2), "Binomial: needs either probs or logits"),
        (lambda: distributions.Binomial(2, 1.5), r"Binomial: probs must be within \[0, 1\]"),
        (lambda: distributions.Binomial(-1, 0.5), "Binomial: total_count must be a whole number"),
        (lambda: distributions.Binomial(2, 0.5).log_prob(cnnx.tensor(3.0)), "from 0 to total_count"),
        (lambda: distributions.OneHotCategorical(cnnx.ones(3)).log_prob(cnnx.ones(3)), "a single 1"),
        (lambda: distributions.Independent(Normal(0.0, 1.0), 1), r"within \[0, 0\], got 1"),
        (lambda: Normal(0.0, 1.0).icdf(cnnx.tensor(2.0)), r"probabilities are within \[0, 1\]"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_values_of_parts():
    parts = Bernoulli(probs=cnnx.tensor([0.5, 0.25]))
    assert distributions.Independent(parts, 0).enumerate_support(False).tolist() == [[0.0], [1.0]]
    assert distributions.Independent(parts, 0).enumerate_support().shape == (2, 2)
    with pytest.raises(NotImplementedError, match="Independent: the values of several parts together"):
        distributions.Independent(parts, 1).enumerate_support()


def test_unchecked_arguments():
    assert Normal(0.0, -1.0, validate_args=False).stddev.item() == -1.0
    assert repr(Normal(cnnx.zeros(2, 3), 1.0)) == "Normal(batch_shape=(2, 3), event_shape=())"
