"""The dynamic graph: accumulation, retained graphs, changes in place, recording, gradients on demand."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import cnnx
from cnnx import autograd


def leaf(*values: float) -> cnnx.Tensor:
    return cnnx.tensor(list(values), requires_grad=True)


def test_gradients_accumulate() -> None:
    x = leaf(1.0, 2.0)
    (x * 3).sum().backward()
    (x * x).sum().backward()
    assert x.grad.tolist() == [5.0, 7.0]
    assert x.grad is x.grad
    x.grad = None
    (x * 2).sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]
    x.grad.zero_()
    assert x.grad.tolist() == [0.0, 0.0]


LAYERS = {
    "linear": (lambda bias: cnnx.nn.Linear(5, 3, bias=bias), (4, 5)),
    "conv1d": (lambda bias: cnnx.nn.Conv1d(2, 3, 3, bias=bias), (4, 2, 9)),
    "conv2d few": (lambda bias: cnnx.nn.Conv2d(2, 3, 3, bias=bias), (1, 2, 7, 6)),
    "conv2d": (lambda bias: cnnx.nn.Conv2d(2, 4, 3, stride=2, bias=bias), (17, 2, 9, 8)),
    "conv2d winograd": (lambda bias: cnnx.nn.Conv2d(16, 17, 3, padding=1, bias=bias), (16, 16, 8, 8)),
    "transposed": (lambda bias: cnnx.nn.ConvTranspose2d(2, 3, 3, bias=bias), (17, 2, 5, 5)),
}


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", LAYERS)
def test_weights_accumulate_in_place(name: str, bias: bool) -> None:
    cnnx.manual_seed(1)
    make, shape = LAYERS[name]
    layer = make(bias)
    batches = [cnnx.randn(shape) for _ in range(2)]

    def gradients(batch: cnnx.Tensor) -> list[cnnx.Tensor]:
        return autograd.grad(layer(batch).square().sum(), list(layer.parameters()))

    want = [a + b for a, b in zip(*map(gradients, batches), strict=True)]
    layer(batches[0]).square().sum().backward()
    kept = [p.grad for p in layer.parameters()]
    assert all(k is p.grad for k, p in zip(kept, layer.parameters(), strict=True))
    before = [k.data_ptr() for k in kept]
    with cnnx.profiler.profile() as profile:
        layer(batches[1]).square().sum().backward()
    assert "add_gradients" not in {e.key for e in profile.key_averages()}  # no pass of its own
    for p, k, pointer, total in zip(layer.parameters(), kept, before, want, strict=True):
        assert p.grad is k
        assert k.data_ptr() == pointer
        np.testing.assert_array_equal(k.numpy(), total.numpy())  # the sum of the pass apart, then added
    # A hook sees the gradient of the pass alone.
    seen: list[cnnx.Tensor] = []
    handle = layer.weight.register_hook(seen.append)
    layer(batches[0]).square().sum().backward()
    handle.remove()
    np.testing.assert_array_equal(seen[0].numpy(), gradients(batches[0])[0].numpy())


def test_a_large_gradient_costs_the_next_one_no_places() -> None:
    cnnx.manual_seed(1)
    layer, x = cnnx.nn.Linear(16, 8), cnnx.randn(4096, 16)
    (want,) = autograd.grad(layer(x).square().sum(), [layer.weight])
    for parameter in layer.parameters():
        parameter.grad = cnnx.full_like(parameter.detach(), 1e5)
    layer(x).square().sum().backward()
    np.testing.assert_array_equal(layer.weight.grad.numpy(), (want + 1e5).numpy())


class ReturnsTheGradient(autograd.Function):
    """Whose gradient is the tensor that the leaf has as its .grad."""

    @staticmethod
    def forward(ctx: Any, w: cnnx.Tensor) -> cnnx.Tensor:
        ctx.w = w
        return w.clone()

    @staticmethod
    def backward(ctx: Any, g: cnnx.Tensor) -> cnnx.Tensor:
        return ctx.w.grad


def test_a_gradient_that_is_the_one_there_is_added() -> None:
    def leaf_with_gradient() -> cnnx.Tensor:
        w = leaf(1.0, 2.0)
        w.grad = cnnx.tensor([3.0, 4.0])
        return w

    w = leaf_with_gradient()
    y = w.clone()
    y.register_hook(lambda g: w.grad)
    y.sum().backward()
    assert w.grad.tolist() == [6.0, 8.0]
    w = leaf_with_gradient()
    ReturnsTheGradient.apply(w).sum().backward()
    assert w.grad.tolist() == [6.0, 8.0]
    w = leaf_with_gradient()
    w.backward(w.grad)
    assert w.grad.tolist() == [6.0, 8.0]


def test_a_gradient_that_is_read_is_not_added_to_meanwhile() -> None:
    weight = cnnx.randn(3, 3).requires_grad_()
    weight.grad = cnnx.ones(3, 3)
    y = cnnx.nn.functional.linear(cnnx.eye(3), weight)  # the transposed weight
    y.backward(weight.grad)
    assert weight.grad.tolist() == [[2.0] * 3] * 3


def test_one_tensor_used_many_times() -> None:
    x = leaf(2.0)
    y = x * x + x * 3 + x
    z = y * y + y
    z.sum().backward()
    # dz/dy = 2y + 1 with y = 12, dy/dx = 2x + 4.
    assert x.grad.item() == 25 * 8


def test_gradient_argument() -> None:
    x = leaf(1.0, 2.0)
    y = x * x
    with pytest.raises(RuntimeError, match=r"backward: .*\(2,\)"):
        y.backward()
    with pytest.raises(RuntimeError, match="backward"):
        y.backward(cnnx.ones(3))
    with pytest.raises(TypeError, match="backward"):
        y.backward(cnnx.ones(2, dtype=cnnx.float64))
    y.backward(cnnx.tensor([1.0, 10.0]))
    assert x.grad.tolist() == [2.0, 40.0]


def test_a_given_gradient_is_not_kept_or_changed() -> None:
    x = leaf(1.0, 2.0)
    g = cnnx.ones(2)
    y = x + 0
    y.backward(g, retain_graph=True)
    y.backward(g)
    assert x.grad.tolist() == [2.0, 2.0]
    assert g.tolist() == [1.0, 1.0]
    x.grad.zero_()
    assert g.tolist() == [1.0, 1.0]


def test_gradients_of_two_leaves_do_not_alias() -> None:
    a, b = leaf(1.0), leaf(2.0)
    (a + b).sum().backward()
    a.grad.add_(5)
    assert b.grad.tolist() == [1.0]
    x = leaf(1.0, 2.0)
    (x.view(2) + x.reshape(2)).sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]


def test_a_gradient_summed_over_a_broadcast_is_no_view() -> None:
    bias, weight = cnnx.zeros(1, 3, requires_grad=True), cnnx.full((3,), 2.0, requires_grad=True)
    (cnnx.ones(4, 3) + bias).sum().backward()
    bias.grad.mul_(weight)
    assert bias.grad.tolist() == [[8.0, 8.0, 8.0]]


def test_second_backward_is_refused() -> None:
    x = leaf(1.0)
    y = (x * x).sum()
    y.backward()
    with pytest.raises(RuntimeError, match="retain_graph"):
        y.backward()
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.item() == 6.0


def test_a_saved_value_changed_in_place_is_refused() -> None:
    x = leaf(1.0, 2.0)
    w = cnnx.tensor([3.0, 4.0])
    y = (x * w).sum()
    w.add_(1)
    with pytest.raises(RuntimeError, match=r"mul: .*in place"):
        y.backward()
    # Through a view, too.
    w = cnnx.tensor([3.0, 4.0])
    y = (x * w).sum()
    w.view(2, 1)[0] = 0
    with pytest.raises(RuntimeError, match="in place"):
        y.backward()
    # The result of an op that saves its result.
    y = x.exp()
    z = y.sum()
    with cnnx.no_grad():
        y.mul_(2)
    with pytest.raises(RuntimeError, match="exp"):
        z.backward()
    # An update of a leaf between forward and backward.
    y = (x * x).sum()
    with cnnx.no_grad():
        x.sub_(0.1)
    with pytest.raises(RuntimeError, match="in place"):
        y.backward()


def test_updates_in_place_are_recorded() -> None:
    torch = pytest.importorskip("torch")
    results = []
    for lib in (cnnx, torch):
        x = lib.tensor([1.0, 2.0], requires_grad=True)
        y = x * 2
        y += x
        y *= x
        y.sub_(1)
        y /= 2
        y.clamp_(0, 100).relu_()
        y.sum().backward()
        results.append((y.tolist(), x.grad.tolist()))
    assert results[0] == results[1]


def test_in_place_on_leaves_and_views_is_refused_while_recording() -> None:
    x = leaf(1.0, 2.0)
    for update in (
        lambda: x.add_(1),
        lambda: x.zero_(),
        lambda: x.copy_(cnnx.ones(2)),
        lambda: x.relu_(),
        lambda: x.view(2).mul_(2),
    ):
        with pytest.raises(RuntimeError):
            update()
    with pytest.raises(RuntimeError, match="leaf"):
        x -= 1
    with cnnx.no_grad():
        x -= 1
        x.view(2).mul_(2)
    assert x.tolist() == [0.0, 2.0]
    assert x.is_leaf
    assert x.requires_grad


def test_recording_off_and_on() -> None:
    x = leaf(1.0)
    with cnnx.no_grad():
        assert not cnnx.is_grad_enabled()
        y = x * 2
        with cnnx.enable_grad():
            z = x * 2
    assert not y.requires_grad
    assert y.grad_fn is None
    assert z.requires_grad
    assert cnnx.is_grad_enabled()
    with cnnx.inference_mode():
        assert not (x * 2).requires_grad
    with cnnx.inference_mode(False):
        assert (x * 2).requires_grad
    with cnnx.set_grad_enabled(False):
        assert not (x * 2).requires_grad
    assert (x * 2).requires_grad
    cnnx.set_grad_enabled(False)
    assert not (x * 2).requires_grad
    cnnx.set_grad_enabled(True)
    guard = cnnx.no_grad()
    with guard, guard:
        pass
    assert cnnx.is_grad_enabled()
    with pytest.raises(ZeroDivisionError), cnnx.no_grad():
        1 / 0  # noqa: B018
    assert cnnx.is_grad_enabled()


def test_decorators() -> None:
    @cnnx.no_grad()
    def f(x: cnnx.Tensor) -> cnnx.Tensor:
        """Doc."""
        return x * 2

    @cnnx.no_grad
    def g(x: cnnx.Tensor) -> cnnx.Tensor:
        return f(x) * 2

    @cnnx.inference_mode()
    def h(x: cnnx.Tensor) -> cnnx.Tensor:
        return x * 2

    @cnnx.set_grad_enabled(False)
    def k(x: cnnx.Tensor) -> cnnx.Tensor:
        return x * 2

    @cnnx.no_grad()
    def steps(x: cnnx.Tensor):
        yield x * 2
        yield x * 3

    x = leaf(1.0)
    assert f.__doc__ == "Doc."
    for function in (f, g, h, k):
        assert not function(x).requires_grad
        assert cnnx.is_grad_enabled()
    seen = []
    for y in steps(x):
        assert cnnx.is_grad_enabled()
        seen.append(y.requires_grad)
    assert seen == [False, False]


def test_recording_is_per_thread() -> None:
    seen = []
    with cnnx.no_grad():
        thread = threading.Thread(target=lambda: seen.append(cnnx.is_grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True]


def test_grad_on_demand() -> None:
    x, w, unused = leaf(1.0, 2.0), leaf(3.0, 4.0), leaf(0.0)
    y = x * w
    z = (y * y).sum()
    dx, dy = autograd.grad(z, [x, y], retain_graph=True)
    assert dx.tolist() == [18.0, 64.0]
    assert dy.tolist() == [6.0, 16.0]
    assert x.grad is None
    assert w.grad is None
    with pytest.raises(RuntimeError, match="allow_unused"):
        autograd.grad(z, unused, retain_graph=True)
    assert autograd.grad(z, [unused, w], retain_graph=True, allow_unused=True)[0] is None
    with pytest.raises(RuntimeError, match="grad"):
        autograd.grad(z, cnnx.ones(2), retain_graph=True)
    (dw,) = autograd.grad([y, z], w, [cnnx.ones(2), None])
    assert dw.tolist() == [1 + 6.0, 2 + 32.0]


def test_a_detached_tensor_may_start_a_new_history() -> None:
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    h = (x * 2).detach()
    h += w * 3
    h.sum().backward()
    assert w.grad.tolist() == [3.0, 3.0]
    assert x.grad is None


def test_none_is_no_tensor() -> None:
    x = leaf(1.0)
    for call in (
        lambda: autograd.grad([None], [x]),
        lambda: autograd.grad(x.sum(), None),
        lambda: autograd.grad(x.sum(), [None]),
        lambda: autograd.backward([None]),
        lambda: cnnx.Tensor(None),
    ):
        with pytest.raises(TypeError):
            call()


def test_backward_of_several() -> None:
    x = leaf(2.0)
    h = x * x
    autograd.backward([h.sum(), (h * 2).sum()])
    assert x.grad.item() == 12.0
    with pytest.raises(RuntimeError, match="backward"):
        autograd.backward([x * 2], [None, None])


def test_retain_grad() -> None:
    x = leaf(1.0, 2.0)
    y = x * 2
    y.retain_grad()
    (y * y).sum().backward()
    assert y.grad.tolist() == [4.0, 8.0]
    assert y.retains_grad
    z = x * 2
    z.sum().backward()
    assert z.grad is None
    with pytest.raises(RuntimeError, match="retain_grad"):
        cnnx.ones(2).retain_grad()


def test_leaves_and_detaching() -> None:
    x = leaf(1.0)
    y = x * 2
    assert x.is_leaf
    assert not y.is_leaf
    assert y.grad_fn.name() == "MulBackward"
    assert repr(y.grad_fn) == "<MulBackward>"
    assert not y.detach().requires_grad
    with pytest.raises(RuntimeError, match="leaf"):
        y.requires_grad = False
    assert y.detach_() is y
    assert y.is_leaf
    assert not y.requires_grad
    with pytest.raises(RuntimeError, match="requires_grad"):
        cnnx.tensor([1]).requires_grad_()
    with pytest.raises(RuntimeError, match="backward"):
        cnnx.ones(1).backward()
    assert x.requires_grad_(False) is x


def test_grad_can_be_set() -> None:
    x = leaf(1.0, 2.0)
    g = cnnx.tensor([5.0, 6.0])
    x.grad = g
    assert x.grad is g
    (x * 2).sum().backward()
    assert x.grad.tolist() == [7.0, 8.0]
    with pytest.raises(RuntimeError, match="grad"):
        x.grad = cnnx.ones(3)
    with pytest.raises(TypeError, match="grad"):
        x.grad = cnnx.ones(2, dtype=cnnx.float64)


def test_data() -> None:
    x = leaf(1.0, 2.0)
    x.data.mul_(3)
    assert x.tolist() == [3.0, 6.0]
    x.data = cnnx.tensor([7.0, 8.0])
    assert x.tolist() == [7.0, 8.0]
    assert x.requires_grad
    x.data -= 1
    assert x.tolist() == [6.0, 7.0]


def test_deep_graphs_are_freed_and_run_without_recursion() -> None:
    x = leaf(1.0)
    y = x
    for _ in range(50_000):
        y = y + 0
    y.sum().backward()
    assert x.grad.item() == 1.0
    y = x
    for _ in range(50_000):
        y = y + 0
    del y


def test_memory_of_a_loop_stays_flat() -> None:
    from cnnx import _C

    x = cnnx.randn(64, 100, requires_grad=True)
    used = []
    for _ in range(30):
        ((x * x).exp() / 1000).mean().backward()
        x.grad = None
        used.append(_C.pool_stats()[0])
    assert used[5:] == [used[5]] * 25


def test_integer_paths_carry_no_gradient() -> None:
    x = leaf(1.5, 2.5)
    assert not x.long().requires_grad
    assert not (x > 2).requires_grad
    assert x.double().requires_grad
    assert not x.argmax().requires_grad
    x.double().float().sum().backward()
    assert x.grad.dtype == cnnx.float32


def test_finite_differences_through_views() -> None:
    data = np.random.default_rng(0).standard_normal((3, 4))

    def f(t: cnnx.Tensor) -> cnnx.Tensor:
        u = t.T.reshape(2, 6)[:, 1:].unsqueeze(1).expand(2, 3, 5)
        return (u * u.flip(2)).sum() + (t[[0, 0, 2]] * t[1:].repeat(2, 1)[:3]).sum()

    x = cnnx.tensor(data, requires_grad=True)
    f(x).backward()
    for index in np.ndindex(data.shape):
        step = np.zeros_like(data)
        step[index] = 1e-5
        slope = (f(cnnx.tensor(data + step)).item() - f(cnnx.tensor(data - step)).item()) / 2e-5
        assert x.grad[index].item() == pytest.approx(slope, rel=1e-6, abs=1e-8)


def test_grad_calls_no_hook_of_a_leaf_that_it_was_not_asked_for() -> None:
    a, b = leaf(2.0), leaf(3.0)
    seen: list[float] = []
    a.register_hook(lambda g: seen.append(g.item()))
    assert cnnx.autograd.grad((a * b).sum(), b)[0].tolist() == [2.0]
    assert seen == []
    assert cnnx.autograd.grad((a * b).sum(), a)[0].tolist() == [3.0]
    assert seen == [3.0]


def test_no_tensor_is_its_own_gradient():
    w = cnnx.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="a tensor cannot be its own gradient"):
        w.grad = w
    w.grad = w.detach()
    assert w.grad.tolist() == [1, 1]
