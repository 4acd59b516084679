"""Losses that ask for a margin, likelihoods of numbers and shuffles, against PyTorch."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
import pytest

import cnnx
import cnnx.nn.functional as F
from cnnx import nn
from oracles import assert_gradients_match_torch

torch = pytest.importorskip("torch")


def signs(*shape: int) -> np.ndarray:
    return np.random.default_rng(7).choice([-1.0, 1.0], shape)


def classes(count: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(8).integers(0, count, shape)


def positive(*shape: int) -> np.ndarray:
    return np.random.default_rng(9).uniform(0.2, 2.0, shape)


class Case(NamedTuple):
    """A loss of inputs of these shapes, what comes behind them, and options."""

    name: str
    layer: str
    shapes: tuple[tuple[int, ...], ...]
    rest: tuple[np.ndarray, ...] = ()
    options: dict[str, Any] = {}  # noqa: RUF012

    def __str__(self) -> str:
        return " ".join([self.name, *map(str, self.options.values())])


V = (5, 7)
CASES = [
    Case("margin_ranking_loss", "MarginRankingLoss", (V, V), (signs(*V),)),
    Case("margin_ranking_loss", "MarginRankingLoss", (V, V), (signs(*V),), {"margin": 0.7}),
    Case("hinge_embedding_loss", "HingeEmbeddingLoss", (V,), (signs(*V),)),
    Case("hinge_embedding_loss", "HingeEmbeddingLoss", (V,), (signs(*V),), {"margin": 0.3}),
    Case("soft_margin_loss", "SoftMarginLoss", (V,), (signs(*V),)),
    Case("cosine_embedding_loss", "CosineEmbeddingLoss", (V, V), (signs(5),)),
    Case("cosine_embedding_loss", "CosineEmbeddingLoss", (V, V), (signs(5),), {"margin": 0.2}),
    Case("cosine_embedding_loss", "CosineEmbeddingLoss", ((7,), (7,)), (signs(),), {"margin": -0.5}),
    Case("triplet_margin_loss", "TripletMarginLoss", (V, V, V)),
    Case("triplet_margin_loss", "TripletMarginLoss", (V, V, V), (), {"margin": 3.0, "p": 1.0}),
    Case("triplet_margin_loss", "TripletMarginLoss", (V, V, V), (), {"swap": True, "eps": 1e-3}),
    Case("triplet_margin_with_distance_loss", "TripletMarginWithDistanceLoss", (V, V, V)),
    Case("multi_margin_loss", "MultiMarginLoss", (V,), (classes(7, 5),)),
    Case("multi_margin_loss", "MultiMarginLoss", ((7,),), (classes(7),), {"p": 2, "margin": 0.5}),
    Case("multi_margin_loss", "MultiMarginLoss", (V,), (classes(7, 5),), {"p": 2, "weight": positive(7)}),
    Case("multilabel_soft_margin_loss", "MultiLabelSoftMarginLoss", (V,), (positive(*V) / 2,)),
    Case(
        "multilabel_soft_margin_loss",
        "MultiLabelSoftMarginLoss",
        (V,),
        (positive(*V) / 2,),
        {"weight": positive(7)},
    ),
    Case("gaussian_nll_loss", "GaussianNLLLoss", (V, V), (positive(*V),)),
    Case("gaussian_nll_loss", "GaussianNLLLoss", (V, V), (positive(5, 1),), {"full": True}),
    Case("gaussian_nll_loss", "GaussianNLLLoss", (V, V), (positive(5),), {"eps": 1.0}),
    Case("poisson_nll_loss", "PoissonNLLLoss", (V,), (np.round(3 * positive(*V)),)),
    Case("poisson_nll_loss", "PoissonNLLLoss", (V,), (np.round(3 * positive(*V)),), {"full": True}),
]


def calls(case: Case, lib: Any, tensor: Any, reduction: str) -> list[Any]:
    """The loss as a function and as a module."""
    options = {k: tensor(v) if isinstance(v, np.ndarray) else v for k, v in case.options.items()}
    rest = [tensor(array) for array in case.rest]
    function = getattr(lib.nn.functional, case.name)
    module = getattr(lib.nn, case.layer)(**options, reduction=reduction)
    return [lambda *x: function(*x, *rest, **options, reduction=reduction), lambda *x: module(*x, *rest)]


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_losses(case, reduction, dtype):
    def of(tensor: Any) -> Any:
        return lambda a: tensor(np.asarray(a, dtype) if np.asarray(a).dtype.kind == "f" else a)

    rng = np.random.default_rng(1)
    arrays = [rng.normal(size=shape).astype(dtype) for shape in case.shapes]
    ours = calls(case, cnnx, of(cnnx.tensor), reduction)
    theirs = calls(case, torch, of(torch.tensor), reduction)
    for mine, expected in zip(ours, theirs, strict=True):
        assert_gradients_match_torch(mine, expected, arrays, what=str(case))


def test_poisson_of_counts():
    x, t = positive(4, 3), np.round(3 * positive(4, 3))
    options = {"log_input": False, "full": True, "eps": 1e-4}
    assert_gradients_match_torch(
        lambda a: F.poisson_nll_loss(a, cnnx.tensor(t), **options),
        lambda a: torch.nn.functional.poisson_nll_loss(a, torch.tensor(t), **options),
        [x],
        what="counts",
    )


def test_gaussian_of_one_variance_and_gradients_of_variances():
    x, t, v = positive(4, 3), positive(4, 3), positive(4, 3)
    for var in (v, v * 1e-9):  # below eps the gradient passes all the same
        assert_gradients_match_torch(
            lambda a, b: F.gaussian_nll_loss(a, cnnx.tensor(t), b),
            lambda a, b: torch.nn.functional.gaussian_nll_loss(a, torch.tensor(t), b),
            [x, var],
            what="variances",
        )
    expected = torch.nn.functional.gaussian_nll_loss(torch.tensor(x), torch.tensor(t), 0.5).item()
    assert F.gaussian_nll_loss(cnnx.tensor(x), cnnx.tensor(t), 0.5).item() == pytest.approx(expected)


def test_soft_margin_overflows_nowhere():
    x = cnnx.tensor([-1e4, 1e4], requires_grad=True)
    loss = F.soft_margin_loss(x, cnnx.tensor([1.0, 1.0]), reduction="none")
    loss.sum().backward()
    assert loss.tolist() == [1e4, 0.0]
    assert x.grad.tolist() == [-1.0, 0.0]


def test_own_distances():
    a, p, n = (cnnx.tensor(positive(4, 3)) for _ in range(3))
    loss = nn.TripletMarginWithDistanceLoss(distance_function=lambda x, y: (x - y).abs().sum(-1), margin=2.0)
    assert loss(a, p, n + 1).item() == pytest.approx(0.0)
    assert loss(a, p + 1, n).item() == pytest.approx(5.0)


def test_deprecated_arguments():
    x, y = cnnx.tensor(positive(3)), cnnx.tensor(signs(3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        total = F.soft_margin_loss(x, y, size_average=False)
        assert nn.SoftMarginLoss(size_average=False)(x, y).item() == total.item()
    assert total.item() == F.soft_margin_loss(x, y, reduction="sum").item()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nn.TripletMarginLoss(margin=0), "margin must be above 0, got 0"),
        (lambda: nn.TripletMarginWithDistanceLoss(margin=-1.0), "margin must be above 0, got -1.0"),
        (lambda: F.triplet_margin_loss(*[cnnx.ones(2, 3)] * 3, margin=0), "margin must be above 0"),
        (lambda: nn.MultiMarginLoss(p=3), "p must be 1 or 2, got 3"),
        (lambda: F.multi_margin_loss(cnnx.ones(2, 3), cnnx.tensor([0, 1]), p=0), "p must be 1 or 2, got 0"),
        (lambda: F.margin_ranking_loss(cnnx.ones(2, 3), cnnx.ones(2), cnnx.ones(2)), "as many dimensions"),
        (lambda: F.cosine_embedding_loss(*[cnnx.ones(2, 3)] * 3), "targets (N,)"),
        (lambda: F.soft_margin_loss(cnnx.ones(2), cnnx.ones(2), reduction="most"), "reduction must be"),
        (lambda: F.gaussian_nll_loss(cnnx.ones(2), cnnx.ones(2), -cnnx.ones(2)), "a variance is negative"),
        (lambda: F.gaussian_nll_loss(cnnx.ones(2, 3), cnnx.ones(2, 3), cnnx.ones(3, 2)), "do not fit"),
        (lambda: F.pixel_shuffle(cnnx.ones(1, 3, 2, 2), 2), "no multiple of 2 x 2"),
        (lambda: F.pixel_shuffle(cnnx.ones(3, 2), 2), "takes (..., C, H, W)"),
        (lambda: F.pixel_shuffle(cnnx.ones(1, 4, 2, 2), 0), "must be 1 or more"),
        (lambda: F.pixel_unshuffle(cnnx.ones(1, 3, 2, 3), 2), "no multiple of 2 x 2"),
        (lambda: F.channel_shuffle(cnnx.ones(1, 4, 2), 3), "do not fall into 3 groups"),
        (lambda: F.channel_shuffle(cnnx.ones(4, 2), 2), "takes (N, C, ...)"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError) as error:
        call()
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("name", "layer", "shape", "argument"),
    [
        ("pixel_shuffle", "PixelShuffle", (2, 12, 3, 5), 2),
        ("pixel_shuffle", "PixelShuffle", (9, 1, 1), 3),
        ("pixel_shuffle", "PixelShuffle", (2, 3, 4, 2, 2), 1),
        ("pixel_unshuffle", "PixelUnshuffle", (2, 3, 6, 9), 3),
        ("pixel_unshuffle", "PixelUnshuffle", (3, 4, 4), 2),
        ("channel_shuffle", "ChannelShuffle", (2, 12, 5), 4),
        ("channel_shuffle", "ChannelShuffle", (1, 6, 3, 2), 3),
    ],
)
def test_shuffles(name, layer, shape, argument):
    x = np.random.default_rng(2).normal(size=shape).astype(np.float32)
    for ours, theirs in (
        (getattr(F, name), getattr(torch.nn.functional, name)),
        (lambda t, _: getattr(nn, layer)(argument)(t), lambda t, _: getattr(torch.nn, layer)(argument)(t)),
    ):
        assert_gradients_match_torch(
            lambda t, f=ours: f(t, argument), lambda t, f=theirs: f(t, argument), [x], what=name
        )
    assert repr(getattr(nn, layer)(argument)) == repr(getattr(torch.nn, layer)(argument))
