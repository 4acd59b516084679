"""Dense layers, matrix products, softmax, losses, optimizers and gathers on the CUDA backend, beside the CPU.

Needs a device, or the emulation.
"""

from __future__ import annotations

import numpy as np
import pytest

import cnnx
import cnnx.nn as nn
import cnnx.nn.functional as F
from cnnx import _C
from test_cuda import run

pytestmark = pytest.mark.skipif(not cnnx.cuda.is_available(), reason="no CUDA device")

RNG = np.random.default_rng(7)


def classes(*shape: int, count: int, ignored: bool = False) -> np.ndarray:
    targets = np.asarray(RNG.integers(0, count, shape))
    return np.where(RNG.random(shape) < 0.3, -100, targets) if ignored else targets


# Every tile: 128 x 128 needs 96 of them, 64 x 64 needs 32; few tiles split k; aligned extents are read by
# 16 bytes.
LINEAR = [
    (1, 1, 1), (3, 7, 5), (64, 784, 10), (33, 100, 17), (1, 50, 300), (130, 64, 129), (200, 1030, 72),
    (64, 3136, 128), (1500, 20, 1030), (2048, 12, 300),
]  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", LINEAR, ids=str)
@pytest.mark.parametrize("bias", [False, True])
def test_linear(shape: tuple[int, int, int], bias: bool, dtype) -> None:
    batch, features, out = shape
    if dtype == np.float64 and batch * features * out > 10_000_000:
        pytest.skip("covered by float32")
    values = [RNG.normal(size=s) for s in [(batch, features), (out, features), (out,)][: 3 if bias else 2]]
    check(F.linear, values, dtype)


def check(function, values, dtype, tolerance: float | None = None) -> None:
    """The results and gradients of the CPU and of the device, within rounding."""
    expected, found = run("cpu", function, values, dtype), run("cuda", function, values, dtype)
    assert len(expected) == len(found)
    tolerance = tolerance or (2e-5 if dtype == np.float32 else 1e-11)
    for one, other in zip(expected, found, strict=True):
        assert one.dtype == other.dtype
        scale = float(np.abs(one).max(initial=1, where=np.isfinite(one)))
        np.testing.assert_allclose(other, one, rtol=tolerance, atol=tolerance * scale)


def test_linear_of_what_needs_a_gradient_alone() -> None:
    for needs in ([True, False, False], [False, True, False], [False, False, True]):
        grads = {}
        for device in ("cpu", "cuda"):
            cnnx.manual_seed(1)
            made = [cnnx.rand(9, 6), cnnx.rand(5, 6), cnnx.rand(5)]
            made = [t.to(device).requires_grad_(n) for t, n in zip(made, needs, strict=True)]
            F.linear(*made).square().sum().backward()
            assert [t.grad is not None for t in made] == needs
            grads[device] = [t.grad.cpu().numpy() for t in made if t.grad is not None]
        np.testing.assert_allclose(grads["cuda"][0], grads["cpu"][0], rtol=1e-5)


MATMUL = {
    "vectors": (lambda a, b: a @ b, (7,), (7,)),
    "matrix and vector": (lambda a, b: a @ b, (5, 7), (7,)),
    "transposed": (lambda a, b: a.T @ b.T, (7, 33), (18, 7)),
    "columns left out": (lambda a, b: a[:, ::2] @ b[1::3], (6, 10), (15, 4)),
    "batches": (lambda a, b: a @ b, (4, 3, 5, 6), (3, 6, 7)),
    "broadcast": (lambda a, b: a @ b, (4, 1, 5, 6), (3, 6, 17)),
    "batch of transposed": (lambda a, b: a @ b.transpose(1, 2), (9, 20, 40), (9, 33, 40)),
    "deep": (lambda a, b: a @ b, (3, 1000), (1000, 5)),
    "nothing to sum": (lambda a, b: a @ b, (3, 0), (0, 5)),
    "nothing": (lambda a, b: a @ b, (0, 3), (3, 5)),
    "integers": (lambda a, b: a @ b, np.arange(12).reshape(3, 4), np.arange(8).reshape(4, 2) - 3),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", list(MATMUL))
def test_matmul(name: str, dtype) -> None:
    function, *operands = MATMUL[name]
    check(function, [RNG.normal(size=o) if isinstance(o, tuple) else o for o in operands], dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape, dim", [
    ((1, 1), 1), ((5, 10), 1), ((300, 3), 1), ((7, 33), 1), ((2, 1000), -1), ((3, 4100), 1),
    ((4, 5, 6, 7), 1), ((9, 4), 0), ((0, 4), 1), ((6,), 0),
])  # fmt: skip
def test_softmax(shape: tuple[int, ...], dim: int, dtype) -> None:
    for function in (F.softmax, F.log_softmax, cnnx.logsumexp):
        check(lambda x, function=function: function(x, dim=dim), [3 * RNG.normal(size=shape)], dtype)


def test_softmax_of_special_rows() -> None:
    rows = np.array(
        [[-np.inf, 0, 1], [-np.inf] * 3, [np.nan, 0, 1], [np.inf, 0, 1], [3e38, -3e38, 0]], dtype=np.float32
    )
    for function in (F.softmax, F.log_softmax, cnnx.logsumexp):
        for x, dim in ((rows, 1), (rows.T.copy(), 0)):
            one, other = (function(cnnx.tensor(x).to(d), dim=dim).cpu().numpy() for d in ("cpu", "cuda"))
            np.testing.assert_allclose(other, one, rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "shape", [(1, 2), (64, 10), (5, 1), (300, 33), (1500, 4), (2, 5, 3, 4), (10,)], ids=str
)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_losses_of_classes(shape: tuple[int, ...], reduction: str, dtype) -> None:
    count = shape[0] if len(shape) == 1 else shape[1]
    rest = () if len(shape) == 1 else (shape[0], *shape[2:])
    x, weight = RNG.normal(size=shape), cnnx.tensor(RNG.uniform(0.5, 2, count).astype(dtype))
    for ignored in (False, True):
        target = classes(*rest, count=count, ignored=ignored)
        if ignored and rest == ():
            continue
        for weighted in (False, True):
            for smoothing in (0.0, 0.1):

                def loss(x, t, weighted=weighted, smoothing=smoothing):
                    w = weight.to(x.device) if weighted else None
                    return F.cross_entropy(x, t, w, reduction=reduction, label_smoothing=smoothing)

                check(loss, [x, target], dtype)

            def nll(x, t, weighted=weighted):
                return F.nll_loss(x, t, weight.to(x.device) if weighted else None, reduction=reduction)

            check(nll, [x, target], dtype)


def test_cross_entropy_of_all_ignored_is_nan() -> None:
    x = cnnx.rand(3, 4).to("cuda").requires_grad_()
    loss = F.cross_entropy(x, cnnx.full((3,), -100, dtype=cnnx.int64).to("cuda"))
    assert np.isnan(loss.item())
    loss.backward()
    np.testing.assert_array_equal(x.grad.cpu().numpy(), 0)


@pytest.mark.parametrize("target", [10, -1])
def test_a_class_out_of_range_is_told_at_the_next_wait(target: int) -> None:
    x = cnnx.rand(4, 10).to("cuda").requires_grad_()
    bad = cnnx.tensor([1, target, 2, 3]).to("cuda")
    loss = F.cross_entropy(x, bad)
    loss.backward()
    with pytest.raises(IndexError, match="class index"):
        loss.item()
    good = F.cross_entropy(x, cnnx.tensor([1, 0, 2, 3]).to("cuda"))
    assert np.isfinite(good.item())  # told once


def test_wrong_devices() -> None:
    x, w, t = cnnx.rand(4, 3), cnnx.rand(2, 3), cnnx.zeros(4, dtype=cnnx.int64)
    for call in (
        lambda: F.linear(x.to("cuda"), w),
        lambda: F.linear(x, w, cnnx.ones(2).to("cuda")),
        lambda: x @ w.T.to("cuda"),
        lambda: F.cross_entropy(x.to("cuda"), t),
        lambda: F.nll_loss(x, t, cnnx.ones(3).to("cuda")),
        lambda: F.mse_loss(x, x.to("cuda")),
    ):
        with pytest.raises(RuntimeError, match="cuda:0"):
            call()


OPTIMIZERS = [
    ("SGD", {}),
    ("SGD", {"momentum": 0.9}),
    ("SGD", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1, "maximize": True}),
    ("SGD", {"momentum": 0.5, "dampening": 0.25}),
    ("Adam", {}),
    ("Adam", {"weight_decay": 0.1, "amsgrad": True, "maximize": True}),
    ("AdamW", {"weight_decay": 0.1}),
    ("Adadelta", {"weight_decay": 0.1}),
    ("RMSprop", {}),
    ("RMSprop", {"momentum": 0.9, "centered": True, "weight_decay": 0.1}),
    ("Adagrad", {"lr_decay": 0.1, "weight_decay": 0.1}),
    ("NAdam", {"weight_decay": 0.1}),
    ("NAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True}),
    ("RAdam", {"weight_decay": 0.1}),
    ("RAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("Adamax", {"weight_decay": 0.1}),
    ("Rprop", {}),
    ("ASGD", {"lambd": 0.01, "t0": 20}),
]


@pytest.mark.parametrize("name, options", OPTIMIZERS, ids=str)
def test_optimizers_keep_step_with_the_cpu(name: str, options: dict) -> None:
    """100 steps on 45 parameters, more than one launch holds; one is float64, one has no gradient."""
    sizes = [1, 3, 1023, 1024, 1025, 4999] + [5] * 39
    rng = np.random.default_rng(3)
    start = [rng.normal(size=n).astype(np.float64 if i == 4 else np.float32) for i, n in enumerate(sizes)]
    found = {}
    for device in ("cpu", "cuda"):
        params = [cnnx.tensor(p).to(device).requires_grad_() for p in start]
        optimizer = getattr(cnnx.optim, name)(params, lr=0.01, **options)
        draw = np.random.default_rng(5)
        for _ in range(100):
            for i, p in enumerate(params):
                if i != 7:
                    p.grad = cnnx.tensor(draw.normal(1.5, size=p.shape).astype(start[i].dtype)).to(device)
            optimizer.step()
        found[device] = [p.detach().cpu().numpy() for p in params]
    for i, (one, other) in enumerate(zip(found["cpu"], found["cuda"], strict=True)):
        np.testing.assert_allclose(other, one, rtol=1e-4 if i != 4 else 1e-9, atol=1e-5, err_msg=str(i))
    np.testing.assert_array_equal(found["cuda"][7], start[7])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.filterwarnings("ignore:reduction")  # kl_div has something to say about its mean
def test_losses_of_pairs(reduction: str, dtype) -> None:
    for shape in ((1,), (7, 33), (3, 300)):
        x, t = RNG.uniform(0.05, 0.95, shape), RNG.uniform(0.05, 0.95, shape)
        for loss in (
            F.mse_loss, F.l1_loss, F.huber_loss, F.binary_cross_entropy_with_logits, F.binary_cross_entropy,
            lambda x, t, reduction: F.smooth_l1_loss(x, t, reduction=reduction, beta=0.3),
            lambda x, t, reduction: F.kl_div(x, t, reduction=reduction, log_target=True),
        ):  # fmt: skip
            constant = cnnx.tensor(t.astype(dtype))
            check(lambda x, loss=loss, t=constant: loss(x, t.to(x.device), reduction=reduction), [x], dtype)


def test_a_probability_out_of_range_is_told_at_the_next_wait() -> None:
    x = cnnx.tensor([0.5, 1.5]).to("cuda")
    loss = F.binary_cross_entropy(x, cnnx.tensor([0.0, 1.0]).to("cuda"))
    with pytest.raises(RuntimeError, match="between 0 and 1"):
        loss.item()


@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.0, float("inf")])
@pytest.mark.parametrize("max_norm", [0.5, 1e9])
def test_clipped_gradients(norm_type: float, max_norm: float) -> None:
    sizes = [1, 1023, 1025, 5000] + [3] * 130  # more than one launch holds
    grads = [RNG.normal(size=n).astype(np.float32) for n in sizes]
    found = {}
    for device in ("cpu", "cuda"):
        params = [cnnx.zeros(n, device=device).requires_grad_() for n in sizes]
        for p, g in zip(params, grads, strict=True):
            p.grad = cnnx.tensor(g).to(device)
        norm = nn.utils.clip_grad_norm_(params, max_norm, norm_type)
        assert norm.device.type == device
        found[device] = [norm.item(), *(p.grad.cpu().numpy() for p in params)]
    for one, other in zip(found["cpu"], found["cuda"], strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-5)


@pytest.mark.parametrize("shape", [(9, 6, 6), (9, 3, 5, 7), (9, 70, 2, 2)], ids=str)
@pytest.mark.parametrize("normalised", [False, True])
def test_batches_gathered_on_the_device_are_those_of_the_cpu(
    shape: tuple[int, ...], normalised: bool
) -> None:
    images = cnnx.tensor(RNG.integers(0, 256, shape).astype(np.uint8))
    index = cnnx.tensor(RNG.integers(0, 9, 20))
    scale = ([0.3], [0.7]) if normalised else ([], [])
    one = _C.gather_images(images, index, 2, 17, 255.0, *scale).numpy()
    other = _C.gather_images(images.to("cuda"), index.to("cuda"), 2, 17, 255.0, *scale)
    np.testing.assert_array_equal(other.cpu().numpy(), one)
    for rows in (
        images,
        cnnx.arange(9),
        cnnx.rand(9, 3),
        cnnx.rand(9, 4),
        cnnx.rand(9, 3, dtype=cnnx.float64),
    ):
        taken = _C.gather_rows(rows.to("cuda"), index.to("cuda"), 1, 19).cpu().numpy()
        np.testing.assert_array_equal(taken, rows.numpy()[index.numpy()[1:]])
    with pytest.raises(IndexError, match="index of samples"):
        _C.gather_rows(images.to("cuda"), cnnx.tensor([3, 9]).to("cuda"), 0, 2).cpu()
