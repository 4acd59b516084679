"""Layers made of other ops, and their functions, against PyTorch."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

import cnnx
import cnnx.nn.functional as F
from cnnx import nn
from oracles import assert_gradients_match_torch, assert_same

torch = pytest.importorskip("torch")
RNG = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    return np.array(np.random.default_rng(3).normal(size=shape))


def positive(*shape: int) -> np.ndarray:
    return np.array(np.random.default_rng(4).uniform(0.2, 2.0, size=shape))


class Case(NamedTuple):
    """A function of arrays, with options."""

    name: str
    arrays: tuple[np.ndarray, ...]
    options: dict[str, Any] = {}  # noqa: RUF012

    def __str__(self) -> str:
        return " ".join([self.name, *(str(a.shape) for a in self.arrays), *map(str, self.options.values())])


CASES = [
    Case("rms_norm", (normal(5, 7),), {"normalized_shape": (7,)}),
    Case("rms_norm", (normal(2, 3, 5),), {"normalized_shape": [3, 5], "eps": 0.1}),
    Case("rms_norm", (normal(1, 5),), {"normalized_shape": (1, 5)}),
    Case("local_response_norm", (normal(2, 7, 5),), {"size": 3}),
    Case("local_response_norm", (normal(1, 4, 3, 5),), {"size": 4, "alpha": 0.5, "beta": 0.6, "k": 2.0}),
    Case("local_response_norm", (normal(2, 1, 3, 2),), {"size": 5}),
    Case("local_response_norm", (normal(2, 3, 2, 2, 3),), {"size": 2, "alpha": 1.0}),
    Case("bilinear", (normal(5, 3), normal(5, 4), normal(2, 3, 4))),
    Case("bilinear", (normal(2, 1, 3), normal(2, 1, 1), normal(5, 3, 1), normal(5))),
    Case("bilinear", (normal(3), normal(2), normal(1, 3, 2), normal(1))),
    Case("lp_pool1d", (positive(2, 3, 9),), {"norm_type": 2, "kernel_size": 3}),
    Case(
        "lp_pool1d", (positive(3, 8),), {"norm_type": 3.0, "kernel_size": 3, "stride": 2, "ceil_mode": True}
    ),
    Case("lp_pool2d", (positive(2, 3, 7, 6),), {"norm_type": 2.0, "kernel_size": (3, 2), "stride": (2, 1)}),
    Case("lp_pool2d", (normal(1, 2, 7, 7),), {"norm_type": 2, "kernel_size": 3, "ceil_mode": True}),
    Case("lp_pool2d", (positive(2, 5, 5),), {"norm_type": 1, "kernel_size": 2}),
    Case("rrelu", (normal(3, 5),)),
    Case("rrelu", (normal(3, 5),), {"lower": 0.3, "upper": 0.3, "training": True}),
]


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_functions(case, dtype):
    assert_gradients_match_torch(
        lambda *tensors: getattr(F, case.name)(*tensors, **case.options),
        lambda *tensors: getattr(torch.nn.functional, case.name)(*tensors, **case.options),
        [array.astype(dtype) for array in case.arrays],
        what=str(case),
    )


LABELS = [
    (np.array([[3, 0, -1, 1], [1, -1, -1, -1], [-1, 2, 2, 2], [0, 1, 2, 3], [2, 2, -1, 0]]), (5, 4)),
    (np.array([2, 0, -1]), (3,)),
    (np.array([[0]]), (1, 1)),
]


@pytest.mark.parametrize(("labels", "shape"), LABELS)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_multilabel_margin_loss(labels, shape, reduction):
    assert_gradients_match_torch(
        lambda x: F.multilabel_margin_loss(x, cnnx.tensor(labels), reduction=reduction),
        lambda x: torch.nn.functional.multilabel_margin_loss(x, torch.tensor(labels), reduction=reduction),
        [normal(*shape)],
    )


@pytest.mark.parametrize(
    ("axes", "shape", "options", "size"),
    [
        (1, (2, 3, 9), {"kernel_size": 2}, None),
        (1, (3, 9), {"kernel_size": 2}, (9,)),
        (1, (2, 3, 9), {"kernel_size": 3, "stride": 3, "padding": 1}, (2, 3, 9)),
        (2, (2, 3, 6, 8), {"kernel_size": 2}, None),
        (2, (1, 5, 7), {"kernel_size": (2, 3), "stride": (2, 3)}, (5, 7)),
        (2, (2, 1, 7, 9), {"kernel_size": 3, "stride": 3, "padding": 1}, [2, 1, 7, 9]),
    ],
)
def test_max_unpool(axes, shape, options, size):
    def run(functional: Any, x: Any) -> Any:
        pooled, places = getattr(functional, f"max_pool{axes}d")(x, **options, return_indices=True)
        return getattr(functional, f"max_unpool{axes}d")(pooled, places, **options, output_size=size)

    x = normal(*shape)
    assert_gradients_match_torch(
        lambda x: run(F, x), lambda x: run(torch.nn.functional, x), [x], what=f"{axes} {shape}"
    )
    layers = []
    for lib in (nn, torch.nn):
        pool = getattr(lib, f"MaxPool{axes}d")(**options, return_indices=True)
        unpool = getattr(lib, f"MaxUnpool{axes}d")(**options)
        tensor = (cnnx if lib is nn else torch).tensor(x)
        layers.append((unpool, unpool(*pool(tensor), output_size=size)))
    (ours, result), (theirs, expected) = layers
    assert repr(ours) == repr(theirs)
    assert_same(result, expected)


LAYERS = [
    ("RMSNorm", ((7,),), {}, [(3, 7)]),
    ("RMSNorm", (5,), {"eps": 0.1, "elementwise_affine": False}, [(2, 3, 5)]),
    ("LocalResponseNorm", (3,), {"alpha": 0.1}, [(2, 5, 4)]),
    ("Bilinear", (3, 4, 5), {}, [(2, 3), (2, 4)]),
    ("Bilinear", (3, 4, 5), {"bias": False}, [(2, 1, 3), (2, 1, 4)]),
    ("LPPool1d", (2, 3), {}, [(2, 3, 7)]),
    ("LPPool2d", (1.5, (3, 2)), {"stride": 2, "ceil_mode": True}, [(2, 3, 7, 6)]),
    ("RReLU", (0.2, 0.4), {}, [(3, 5)]),
    ("AlphaDropout", (0.2,), {}, [(3, 5)]),
    ("FeatureAlphaDropout", (), {"p": 0.2, "inplace": True}, [(3, 5, 2)]),
]


@pytest.mark.parametrize(("name", "args", "options", "shapes"), LAYERS)
def test_layers(name, args, options, shapes):
    ours, theirs = getattr(nn, name)(*args, **options), getattr(torch.nn, name)(*args, **options)
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    state = {k: RNG.normal(size=tuple(v.shape)).astype(np.float32) for k, v in theirs.state_dict().items()}
    for k, v in ours.state_dict().items():
        assert tuple(v.shape) == state[k].shape
    ours.load_state_dict({k: cnnx.tensor(v) for k, v in state.items()})
    theirs.load_state_dict({k: torch.tensor(v) for k, v in state.items()})
    arrays = [positive(*shape).astype(np.float32) - (0.5 if name[0] != "L" else 0) for shape in shapes]
    result = ours.eval()(*map(cnnx.tensor, arrays))
    assert_same(result, theirs.eval()(*map(torch.tensor, arrays)))


def test_multi_label_margin_loss_as_a_layer():
    x, labels = normal(5, 4), LABELS[0][0]
    for options in ({}, {"reduction": "none"}):
        ours, theirs = nn.MultiLabelMarginLoss(**options), torch.nn.MultiLabelMarginLoss(**options)
        assert_same(ours(cnnx.tensor(x), cnnx.tensor(labels)), theirs(torch.tensor(x), torch.tensor(labels)))


def test_bilinear_starts_as_it_should():
    cnnx.manual_seed(0)
    layer = nn.Bilinear(25, 30, 40)
    for parameter in layer.parameters():
        assert parameter.abs().max().item() <= 0.2
        assert parameter.std().item() == pytest.approx(0.2 / 3**0.5, rel=0.2)


def test_dropout_of_selu_keeps_mean_and_variance():
    cnnx.manual_seed(0)
    x = cnnx.randn(200, 100, 10)
    for dropout in (F.alpha_dropout, F.feature_alpha_dropout):
        for p in (0.1, 0.5):
            y = dropout(x, p, True)
            assert y.mean().item() == pytest.approx(0.0, abs=0.02)
            assert y.var().item() == pytest.approx(1.0, abs=0.03)
            torch_y = torch.nn.functional.alpha_dropout(torch.zeros(1000), p, True)
            assert {round(v, 5) for v in dropout(x * 0, p, True).unique().tolist()} == {
                round(v, 5) for v in torch_y.unique().tolist()
            }
        assert dropout(x, 0.0, True) is x
        assert dropout(x, 0.5) is x
        assert dropout(x, 1.0, True).abs().max().item() == 0.0
    channels = F.feature_alpha_dropout(cnnx.zeros(20, 30, 4), 0.5, True)
    assert (channels == channels[:, :, :1]).all()
    leaf = cnnx.ones(1000, requires_grad=True)
    y = F.alpha_dropout(leaf, 0.3, True)
    y.sum().backward()
    kept = (leaf.grad != 0).float().mean().item()
    assert kept == pytest.approx(0.7, abs=0.06)
    inplace = cnnx.ones(50)
    assert F.alpha_dropout(inplace, 0.5, True, inplace=True) is inplace
    assert len(inplace.unique()) == 2


def test_random_slopes():
    cnnx.manual_seed(0)
    x = cnnx.full((10_000,), -1.0, requires_grad=True)
    y = F.rrelu(x, 0.2, 0.6, training=True)
    assert (-y).min().item() >= 0.2
    assert (-y).max().item() <= 0.6
    assert (-y).mean().item() == pytest.approx(0.4, abs=0.01)
    y.sum().backward()
    np.testing.assert_allclose(x.grad.cpu().numpy(), -y.detach().cpu().numpy())
    assert (nn.RReLU()(cnnx.full((50,), -1.0)).unique().numel()) > 1


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("relu_", ()), ("elu_", (0.5,)), ("celu_", (0.5,)), ("selu_", ()), ("leaky_relu_", (0.2,)),
        ("hardtanh_", (-0.5, 0.5)), ("threshold_", (0.1, 9.0)), ("rrelu_", ()),
    ],
)  # fmt: skip
def test_activations_that_overwrite(name, args):
    x = normal(4, 5)
    ours = cnnx.tensor(x)
    assert getattr(F, name)(ours, *args) is ours
    assert_same(ours, getattr(torch.nn.functional, name)(torch.tensor(x), *args), 1e-6)


ONE = cnnx.ones(1)


@pytest.mark.parametrize(
    ("error", "call", "message"),
    [
        (RuntimeError, lambda: F.rms_norm(cnnx.ones(2, 3), (2,)), "rms_norm: given normalized_shape"),
        (RuntimeError, lambda: F.rms_norm(cnnx.ones(2), (2,), cnnx.ones(3)), "rms_norm: weight"),
        (ValueError, lambda: F.local_response_norm(cnnx.ones(2, 3), 3), "3D or higher"),
        (ValueError, lambda: F.local_response_norm(cnnx.ones(2, 3, 1), 0), "size must be positive"),
        (RuntimeError, lambda: F.bilinear(ONE, ONE, cnnx.ones(1, 2, 1)), "do not fit"),
        (RuntimeError, lambda: F.bilinear(ONE, cnnx.ones(2, 1), cnnx.ones(1, 1, 1)), "last extent alone"),
        (RuntimeError, lambda: F.bilinear(ONE, ONE, ONE), "3 dimensions"),
        (ValueError, lambda: nn.Bilinear(0, 1, 1), "in1_features"),
        (ValueError, lambda: F.alpha_dropout(ONE, 1.5, True), "between 0 and 1"),
        (ValueError, lambda: F.rrelu(ONE, 0.5, 0.1), "rrelu: lower"),
        (RuntimeError, lambda: F.feature_alpha_dropout(ONE, 0.5, True), "at least 2"),
        (RuntimeError, lambda: F.multilabel_margin_loss(ONE, cnnx.ones(2).long()), "one shape"),
        (RuntimeError, lambda: F.multilabel_margin_loss(ONE, ONE), "int64"),
        (RuntimeError, lambda: F.max_unpool2d(ONE, ONE, 2), "expected 3D or 4D"),
        (RuntimeError, lambda: F.max_unpool1d(cnnx.ones(1, 2), cnnx.ones(1, 2), 2), "int64"),
        (RuntimeError, lambda: F.max_unpool1d(cnnx.ones(1, 2), cnnx.ones(1, 3).long(), 2), "shape of input"),
        (
            ValueError,
            lambda: F.max_unpool1d(cnnx.ones(1, 2), cnnx.ones(1, 2).long(), 2, output_size=(9,)),
            "stride",
        ),
        (
            ValueError,
            lambda: F.max_unpool1d(cnnx.ones(1, 2), cnnx.ones(1, 2).long(), 2, output_size=()),
            "length",
        ),
        (TypeError, lambda: F.rms_norm(3, (2,)), "rms_norm"),
    ],
)
def test_bad_input(error, call, message):
    with pytest.raises(error, match=message):
        call()
