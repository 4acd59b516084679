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
]


def made(lib: Any, case: Case, parameters: Any) -> Any:
    """The distribution in a library."""
    return getattr(lib.distributions, case.name)(**dict(zip(case.parameters, parameters, strict=True)))


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("what", ["log_prob", "entropy", "cdf", "mean", "variance", "stddev", "mode"])
def test_values_and_gradients(case, what):
    if not hasattr(getattr(distributions, case.name), what):
        pytest.skip("has none")
    if case.name == "Categorical" and what in ("mean", "variance", "stddev"):
        with pytest.raises(NotImplementedError, match="Categorical has no"):
            getattr(Categorical(logits=cnnx.zeros(3)), what)
        return

    def call(lib: Any) -> Any:
        def function(*parameters: Any) -> Any:
            d = made(lib, case, parameters)
            if what in ("log_prob", "cdf"):
                return getattr(d, what)(lib.tensor(case.values))
            return d.entropy() if what == "entropy" else getattr(d, what) * 1.0

        return function

    arrays = list(case.parameters.values())
    if what == "mode":
        ours, theirs = (call(lib)(*map(lib.tensor, arrays)) for lib in (cnnx, torch))
        assert_same(ours, theirs, None, what)
        return
    assert_gradients_match_torch(call(cnnx), call(torch), arrays, what=what)


PAIRS = [(a, b) for a, b in itertools.product(CASES, CASES) if a.name == b.name and a.name != "Categorical"]
PAIRS += [(CASES[4], Case("Categorical", {"logits": RNG.normal(size=(3, 4))}, CASES[4].values))]


@pytest.mark.parametrize(("p", "q"), PAIRS, ids=str)
def test_divergences(p, q):
    def call(lib: Any) -> Any:
        def function(*parameters: Any) -> Any:
            split = len(p.parameters)
            first, second = made(lib, p, parameters[:split]), made(lib, q, parameters[split:])
            return lib.distributions.kl_divergence(first, second)

        return function

    arrays = [*p.parameters.values(), *(0.9 * v + 0.04 for v in q.parameters.values())]  # not equal: 0 for 0
    assert_gradients_match_torch(call(cnnx), call(torch), arrays, what="divergence")


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
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_unchecked_arguments():
    assert Normal(0.0, -1.0, validate_args=False).stddev.item() == -1.0
    assert repr(Normal(cnnx.zeros(2, 3), 1.0)) == "Normal(batch_shape=(2, 3), event_shape=())"
