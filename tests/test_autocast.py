"""cnnx.autocast: products of factors in bfloat16, against products of factors that are rounded beforehand."""

from __future__ import annotations

import copy
import pickle
import threading

import numpy as np
import pytest

import cnnx
import cnnx.nn.functional as F
from cnnx import _C, amp, nn
from cnnx.bench.nets import training_step

torch = pytest.importorskip("torch")

HAS = amp.is_autocast_available("cpu")
pytestmark = pytest.mark.cpu("autocast is for the CPU")
needs_bfloat16 = pytest.mark.skipif(
    not HAS, reason="the CPU, or the target in use, has no products of bfloat16"
)


def rounded(x):
    """Float64 values of bfloat16."""
    return torch.tensor(x.detach().numpy()).to(torch.bfloat16).to(torch.float64)


def close(found, expected) -> None:
    """To the rounding of sums in float32."""
    expected = expected.detach().numpy()
    np.testing.assert_allclose(
        found.detach().numpy(), expected, rtol=2e-5, atol=3e-6 * (np.abs(expected).max() + 1)
    )


def random(*shape, seed: int = 0):
    return cnnx.tensor(np.random.default_rng(seed).standard_normal(shape, dtype=np.float32))


# Input, out channels, kernel, and options: odd numbers of channels, groups, strides, padding, few images.
CONVOLUTIONS = {
    "5x5": ((64, 6, 14, 14), 16, 5, {}),
    "odd channels": ((33, 3, 9, 8), 5, 3, {"padding": 1}),
    "stride": ((40, 4, 11, 13), 7, 3, {"stride": 2, "padding": 1}),
    "dilation": ((17, 5, 12, 12), 3, 3, {"dilation": 2}),
    "groups": ((35, 6, 8, 8), 9, 3, {"groups": 3, "padding": 1}),
    "depthwise": ((48, 6, 8, 8), 6, 3, {"groups": 6}),
    "1x1": ((131, 8, 5, 5), 6, 1, {}),
    "one channel": ((64, 1, 12, 12), 4, 5, {}),
    "many images": ((150, 4, 6, 6), 4, 3, {}),
    "a few images": ((3, 4, 6, 6), 4, 3, {}),
}
IN_FLOAT32 = {"depthwise", "one channel", "a few images"}  # forward


@needs_bfloat16
@pytest.mark.parametrize("case", list(CONVOLUTIONS))
def test_convolutions(case: str) -> None:
    shape, out, kernel, options = CONVOLUTIONS[case]
    x = random(*shape).requires_grad_()
    w = random(out, shape[1] // options.get("groups", 1), kernel, kernel, seed=1).requires_grad_()
    b = random(out, seed=2).requires_grad_()
    with cnnx.autocast("cpu", dtype=cnnx.bfloat16):
        y = F.conv2d(x, w, b, **options)
    g = random(*y.shape, seed=3)
    y.backward(g)
    exact = F.conv2d(x.detach(), w.detach(), b.detach(), **options)
    assert y.dtype is cnnx.float32
    assert np.array_equal(y.detach().numpy(), exact.numpy()) == (case in IN_FLOAT32)

    tx, tw, tg = rounded(x).requires_grad_(), rounded(w).requires_grad_(), rounded(g)
    ty = torch.nn.functional.conv2d(tx, tw, torch.tensor(b.detach().numpy(), dtype=torch.float64), **options)
    ty.backward(tg)
    if case not in IN_FLOAT32:
        close(y, ty)
    elif case != "one channel":
        return
    if case != "one channel":  # whose input gradient has several out channels to sum over, as all others
        close(x.grad, tx.grad)
    close(w.grad, tw.grad)
    np.testing.assert_allclose(
        b.grad.numpy(), g.numpy().sum((0, 2, 3), dtype=np.float64), rtol=1e-4, atol=1e-3
    )


@needs_bfloat16
@pytest.mark.parametrize("shape", [(64, 400, 120), (17, 33, 5), (16, 1, 4), (100, 7, 1), (65, 1001, 31)])
def test_dense_layers(shape) -> None:
    n, i, o = shape
    x, w, b = (
        random(n, i).requires_grad_(),
        random(o, i, seed=1).requires_grad_(),
        random(o, seed=2).requires_grad_(),
    )
    with cnnx.autocast("cpu"):
        y = F.linear(x, w, b)
    g = random(n, o, seed=3)
    y.backward(g)
    tx, tw = rounded(x).requires_grad_(), rounded(w).requires_grad_()
    ty = torch.nn.functional.linear(tx, tw, torch.tensor(b.detach().numpy(), dtype=torch.float64))
    ty.backward(rounded(g))
    for found, expected in ((y, ty), (x.grad, tx.grad), (w.grad, tw.grad)):
        close(found, expected)


@needs_bfloat16
def test_products_of_matrices() -> None:
    a, b = random(3, 40, 21), random(3, 21, 19, seed=1)
    for left, right in ((a, b), (b.mT, a.mT), (a[0], b[1]), (a[:, ::2], b[..., ::3]), (a, b[2])):
        with cnnx.autocast("cpu"):
            y = left @ right
        if left.shape[-2] >= 16:
            close(y, rounded(left) @ rounded(right))
    # Gradients are computed as the product was, wherever that is.
    for inside in (True, False):
        x, w = random(32, 40).requires_grad_(), random(40, 24, seed=1).requires_grad_()
        with cnnx.autocast("cpu", enabled=inside):
            y = x @ w
        g = random(32, 24, seed=2)
        with cnnx.autocast("cpu", enabled=not inside):
            y.backward(g)
        of = rounded if inside else (lambda t: torch.tensor(t.detach().numpy()).double())
        close(x.grad, of(g) @ of(w).T)
        close(w.grad, of(x).T @ of(g))
    with cnnx.autocast("cpu"):
        double = a.double() @ b.double()
    assert np.array_equal(double.numpy(), (a.double() @ b.double()).numpy())


@needs_bfloat16
def test_values_that_are_not_finite_and_dead_lanes() -> None:
    x, w = random(37, 4, 6, 6), random(3, 4, 3, 3, seed=1)
    x[36, 0, 0, 0] = float("nan")
    x[35, 1, 2, 2] = float("inf")
    with cnnx.autocast("cpu"):
        y = F.conv2d(x, w)
    assert bool(cnnx.isfinite(y[:35]).all())
    assert bool(y[36, :, 0, 0].isnan().all())
    assert not bool(cnnx.isfinite(y[35, :, 1, 1]).any())
    zero = F.conv2d(x * 0, w)
    assert bool(zero[36, :, 0, 0].isnan().all())


@needs_bfloat16
def test_any_number_of_threads_and_plans() -> None:
    """The same bits, also by blocks of images, and a plan that is noted inside is not taken outside."""
    x, y = random(700, 3, 12, 12), cnnx.tensor(np.random.default_rng(1).integers(0, 5, 700))
    before, found = cnnx.get_num_threads(), []
    try:
        for static, threads in ((False, 1), (False, 3), (True, 1), (True, 2)):
            cnnx.set_num_threads(threads)
            cnnx.manual_seed(0)
            model = nn.Sequential(
                nn.Conv2d(3, 6, 3),
                nn.ReLU(),
                nn.MaxPool2d(2),
                nn.Conv2d(6, 8, 3, groups=2),
                nn.Flatten(),
                nn.Linear(72, 5),
            )
            optimizer = cnnx.optim.SGD(model.parameters(), lr=0.01)

            step = training_step(model, optimizer, F.cross_entropy)
            run = cnnx.compile(step, static=True, disable=not static)
            with cnnx.autocast("cpu"):
                losses = [float(run(x, y)) for _ in range(4)]
            losses += [float(run(x, y)) for _ in range(4)]
            found.append((losses, [p.detach().numpy().copy() for p in model.parameters()]))
    finally:
        cnnx.set_num_threads(before)
    for losses, parameters in found[1:]:
        assert losses == found[0][0]
        assert all(np.array_equal(a, b) for a, b in zip(parameters, found[0][1], strict=True))


@needs_bfloat16
def test_where_it_holds() -> None:
    x, w = random(32, 64), random(16, 64, seed=1)
    exact = F.linear(x, w).numpy()

    def is_exact() -> bool:
        return np.array_equal(F.linear(x, w).numpy(), exact)

    other: list[bool] = []
    with cnnx.autocast("cpu"):
        assert not is_exact()
        with cnnx.autocast("cpu", enabled=False):
            assert is_exact()
        thread = threading.Thread(target=lambda: other.append(is_exact()))
        thread.start()
        thread.join()
        assert not is_exact()
    assert is_exact()
    assert other == [True]
    decorated = cnnx.autocast("cpu")(is_exact)
    assert not decorated()
    assert is_exact()
    with pytest.raises(ZeroDivisionError), cnnx.autocast("cpu"):
        raise ZeroDivisionError
    assert is_exact()


@needs_bfloat16
def test_training_learns_as_well() -> None:
    """Digits, trained as in float32, to the same accuracy within two points."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    x = cnnx.tensor((digits.images[:, None] / 16).astype(np.float32))
    y = cnnx.tensor(digits.target)
    accuracy = []
    for enabled in (False, True):
        cnnx.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(8, 12, 3),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(432, 10),
        )
        optimizer = cnnx.optim.Adam(model.parameters(), lr=2e-3)
        for _ in range(4):
            for first in range(0, 1500, 50):
                optimizer.zero_grad()
                with cnnx.autocast("cpu", enabled=enabled):
                    loss = F.cross_entropy(model(x[first : first + 50]), y[first : first + 50])
                loss.backward()
                optimizer.step()
        with cnnx.no_grad():
            accuracy.append(float((model(x[1500:]).argmax(1) == y[1500:]).float().mean()))
    assert min(accuracy) > 0.8
    assert abs(accuracy[0] - accuracy[1]) < 0.02


def test_what_there_is_not() -> None:
    with cnnx.autocast("cuda", enabled=False):  # as scripts for any device have it
        pass
    for device_type in ("mps", F.relu):
        with pytest.raises(RuntimeError, match="device_type must be 'cpu' or 'cuda', got"):
            cnnx.autocast(device_type)
    with pytest.raises(TypeError, match="enabled must be a bool, got 'no'"):
        cnnx.autocast("cpu", enabled="no")
    with pytest.raises(ValueError, match="rounds to cnnx"):
        cnnx.autocast("cpu", dtype=cnnx.float64)
    with pytest.raises(TypeError):
        cnnx.ones(2, dtype=cnnx.bfloat16)
    assert repr(cnnx.bfloat16) == "cnnx.bfloat16"
    assert pickle.loads(pickle.dumps(cnnx.bfloat16)) is cnnx.bfloat16
    assert copy.deepcopy(cnnx.bfloat16) is cnnx.bfloat16
    assert not amp.is_autocast_available("cuda")
    with cnnx.autocast("cpu", enabled=False):
        assert not _C.is_autocast_enabled()
    if not HAS:
        with pytest.raises(RuntimeError, match="needs a CPU with AVX512_BF16"):
            cnnx.autocast("cpu")
