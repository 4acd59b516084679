"""Functions whose gradient the user writes, and gradcheck."""

from __future__ import annotations

import contextlib
import gc
import threading
import traceback
import weakref

import numpy as np
import pytest

import cnnx
import cnnx.nn.functional as F
from cnnx import nn
from cnnx.autograd import Function, gradcheck
from cnnx.autograd.function import once_differentiable
from cnnx.autograd.gradcheck import GradcheckError
from oracles import array, assert_same, leaf, tensor


class Cube(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad * 3 * x**2


class Exp(Function):
    """Saves its result; the context is filled apart."""

    @staticmethod
    def forward(x, scale):
        return (x * scale).exp()

    @staticmethod
    def setup_context(ctx, inputs, output):
        _, ctx.scale = inputs
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx, grad):
        (y,) = ctx.saved_tensors
        return grad * y * ctx.scale, None


class Split(Function):
    """Several results, one of them of integers, one no tensor, one without gradient."""

    @staticmethod
    def forward(ctx, x, y):
        ctx.save_for_backward(x, None, y)
        sign = (x > 0).long()
        final = x.abs()
        ctx.mark_non_differentiable(final)
        return x * y, sign, "text", final, x + y

    @staticmethod
    def backward(ctx, product, sign, text, final, total):
        x, nothing, y = ctx.saved_tensors
        assert nothing is None
        assert text is None
        assert final.sum() == 0
        assert sign.sum() == 0
        return product * y + total, product * x + total


def test_gradient_and_names():
    x = leaf(1.0, -2.0)
    y = Cube.apply(x)
    assert not y.is_leaf
    assert repr(y.grad_fn) == "<CubeBackward>"
    (y * cnnx.tensor([1.0, 10.0])).sum().backward()
    assert x.grad.tolist() == [3.0, 120.0]
    assert gradcheck(Cube.apply, (leaf(0.3, -1.5),))
    assert gradcheck(lambda t: Exp.apply(t, 0.5), leaf(0.3, -1.5))


def test_several_results():
    x, y = leaf(1.0, -2.0), leaf(3.0, 4.0)
    product, sign, text, final, total = Split.apply(x, y)
    assert text == "text"
    assert sign.tolist() == [1, 0]
    assert not final.requires_grad
    assert not sign.requires_grad
    (product.sum() + 2 * total.sum()).backward()
    assert x.grad.tolist() == [5.0, 6.0]
    assert y.grad.tolist() == [3.0, 0.0]
    # One result alone: the other's gradient is zeros.
    x, y = leaf(1.0, -2.0), leaf(3.0, 4.0)
    Split.apply(x, y)[4].sum().backward()
    assert x.grad.tolist() == [1.0, 1.0]
    assert gradcheck(lambda a, b: Split.apply(a, b)[0::4], (leaf(1.0, -2.0), leaf(3.0, 4.0)))
    # Each result's graph can be walked again.
    x, y = leaf(1.0, -2.0), leaf(3.0, 4.0)
    total = Split.apply(x, y)[4].sum()
    total.backward(retain_graph=True)
    total.backward()
    assert x.grad.tolist() == [2.0, 2.0]
    with pytest.raises(RuntimeError, match="freed"):
        total.backward()


def test_as_pytorch_does():
    torch = pytest.importorskip("torch")

    def make(lib, base):
        class Layer(base):
            @staticmethod
            def forward(ctx, x, w, bias, slope):
                ctx.save_for_backward(x, w)
                ctx.slope = slope
                assert ctx.needs_input_grad == (True, True, False, False)
                return x @ w * slope + bias

            @staticmethod
            def backward(ctx, grad):
                x, w = ctx.saved_tensors
                return grad @ w.t() * ctx.slope, x.t() @ grad * ctx.slope, None, None

        rng = np.random.default_rng(0)
        x = lib.tensor(rng.normal(size=(5, 3)), requires_grad=True)
        w = lib.tensor(rng.normal(size=(3, 2)), requires_grad=True)
        loss = (Layer.apply(x, w, lib.ones(2, dtype=lib.float64), 0.5) ** 2).sum()
        loss.backward()
        return loss, x.grad, w.grad

    for mine, other in zip(make(cnnx, Function), make(torch, torch.autograd.Function), strict=True):
        assert_same(mine, other)


def test_recording_and_needs():
    seen = []

    class Spy(Function):
        @staticmethod
        def forward(ctx, x, flag, y):
            assert not cnnx.is_grad_enabled()
            seen.append(ctx.needs_input_grad)
            return x + y

        @staticmethod
        def backward(ctx, grad):
            assert not cnnx.is_grad_enabled()
            return grad, None, None

    x = leaf(1.0)
    assert Spy.apply(x, True, cnnx.ones(1, dtype=cnnx.float64)).requires_grad
    assert not Spy.apply(x.detach(), True, x.detach()).requires_grad
    with cnnx.no_grad():
        assert not Spy.apply(x, True, x).requires_grad
        assert not cnnx.is_grad_enabled()
    assert cnnx.is_grad_enabled()
    assert seen == [(True, False, False), (False, False, False), (True, False, True)]
    # A gradient that nobody needs may be left out or given.
    y = leaf(1.0)
    Spy.apply(x, True, y).backward()
    assert y.grad is None
    assert x.grad.tolist() == [1.0]


def test_materialized_gradients():
    class Two(Function):
        @staticmethod
        def forward(ctx, x, materialize):
            ctx.set_materialize_grads(materialize)
            return x * 2, x * 3

        @staticmethod
        def backward(ctx, a, b):
            seen.append(a)
            return b * 3, None

    for materialize in (True, False):
        seen = []
        Two.apply(leaf(1.0, 2.0), materialize)[1].sum().backward()
        assert (seen[0] is None) != materialize
        if materialize:
            assert seen[0].tolist() == [0.0, 0.0]
            assert seen[0].dtype == cnnx.float64


def test_identity_and_views():
    class Identity(Function):
        @staticmethod
        def forward(ctx, x):
            return x

        @staticmethod
        def backward(ctx, grad):
            return -grad

    class Reverse(Function):
        @staticmethod
        def forward(ctx, x):
            return x.view(-1)

        @staticmethod
        def backward(ctx, grad):
            return -grad.view(2, 2)

    x = leaf(1.0, 2.0)
    y = Identity.apply(x)
    assert y is not x
    y.sum().backward()
    assert x.grad.tolist() == [-1.0, -1.0]
    assert x.is_leaf
    z = cnnx.ones(2, 2, requires_grad=True)
    Reverse.apply(z).sum().backward()
    assert (z.grad == -1).all()


def test_marked_dirty():
    class Double(Function):
        @staticmethod
        def forward(ctx, x):
            x.mul_(2)
            ctx.mark_dirty(x)
            return x

        @staticmethod
        def backward(ctx, grad):
            return grad * 2

    x = leaf(1.0, 2.0)
    y = x * 3
    assert Double.apply(y) is y
    (y * y).sum().backward()
    assert x.grad.tolist() == [72.0, 144.0]
    with pytest.raises(RuntimeError, match="Double: a leaf that"):
        Double.apply(leaf(1.0))
    with pytest.raises(RuntimeError, match=r"Double: .* view"):
        Double.apply((leaf(1.0, 2.0) * 1)[:1])

    class Forgets(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.mark_dirty(x)
            return x * 2

    with pytest.raises(RuntimeError, match="must return the arguments that are marked dirty"):
        Forgets.apply(x * 1)


def test_gradients_are_fitted_to_the_argument():
    class Bias(Function):
        @staticmethod
        def forward(ctx, x, bias):
            return x + bias

        @staticmethod
        def backward(ctx, grad):
            return grad, grad

    x, bias = cnnx.ones(4, 3, 2, dtype=cnnx.float64), cnnx.ones(3, 1, requires_grad=True)
    Bias.apply(x, bias).sum().backward()
    assert bias.grad.shape == (3, 1)
    assert bias.grad.dtype == cnnx.float32
    assert (bias.grad == 8).all()


@pytest.mark.parametrize(
    ("returned", "error", "text"),
    [
        (lambda g: g, RuntimeError, "incorrect number of gradients .expected 2, got 1."),
        (lambda g: (g, g), RuntimeError, "different from None at position 2"),
        (lambda g: (g[:1], None), RuntimeError, r"invalid gradient at index 0 - got \[1\] but"),
        (lambda g: (g.reshape(1, 2).expand(3, 2)[:, :1], None), RuntimeError, "invalid gradient at index 0"),
        (lambda g: (1.0, None), TypeError, "expected a tensor or None at position 1, got float"),
    ],
)
def test_wrong_gradients(returned, error, text):
    class Wrong(Function):
        @staticmethod
        def forward(ctx, x, option):
            return x * 2

        @staticmethod
        def backward(ctx, grad):
            return returned(grad)

    with pytest.raises(error, match=text):
        Wrong.apply(leaf(1.0, 2.0), 3).sum().backward()


def test_more_gradients_than_arguments():
    class More(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, grad):
            return grad, None, None

    x = leaf(1.0)
    More.apply(x).backward()
    assert x.grad.tolist() == [1.0]


def test_errors_keep_their_traceback():
    class Fails(Function):
        @staticmethod
        def forward(ctx, x, where):
            if where == "forward":
                raise KeyError("from forward")
            return x * 2, x * 3

        @staticmethod
        def backward(ctx, a, b):
            return helper_that_fails()

    def helper_that_fails():
        raise ZeroDivisionError("from backward")

    with pytest.raises(KeyError, match="from forward"):
        Fails.apply(leaf(1.0), "forward")
    assert cnnx.is_grad_enabled()
    x = leaf(1.0)
    with pytest.raises(ZeroDivisionError, match="from backward") as caught:
        Fails.apply(x, None)[0].backward()
    assert "helper_that_fails" in "".join(traceback.format_tb(caught.value.__traceback__))
    assert x.grad is None
    assert cnnx.is_grad_enabled()
    (x * 2).sum().backward()  # the engine is as before
    assert x.grad.tolist() == [2.0]


def test_misuse():
    with pytest.raises(RuntimeError, match=r"call Cube\.apply"):
        Cube()(leaf(1.0))

    class Empty(Function):
        pass

    with pytest.raises(NotImplementedError, match="must implement the forward"):
        Empty.apply(leaf(1.0))

    class NoBackward(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

    with pytest.raises(NotImplementedError, match="must implement either the backward"):
        NoBackward.apply(leaf(1.0)).backward()

    class Text(NoBackward):
        @staticmethod
        def forward(ctx, x):
            return "text"

    with pytest.raises(TypeError, match=r"Text: expected Tensor or tuple of Tensors .got str."):
        Text.apply(leaf(1.0))

    class Saves(NoBackward):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(3)
            return x

    with pytest.raises(TypeError, match="argument 0 is of type int"):
        Saves.apply(leaf(1.0))


def test_what_forward_mode_and_vmap_would_use_has_no_part():
    def script(lib):
        class Square(lib.autograd.Function):
            generate_vmap_rule = False

            @staticmethod
            def forward(x):
                return x * x

            @staticmethod
            def setup_context(ctx, inputs, output):
                ctx.save_for_backward(*inputs)
                ctx.save_for_forward(*inputs)

            @staticmethod
            def backward(ctx, grad):
                return grad * 2 * ctx.saved_tensors[0]

            @staticmethod
            def jvp(ctx, tangent):
                raise AssertionError

            @staticmethod
            def vmap(info, in_dims, x):
                raise AssertionError

        x = lib.tensor([2.0, 3.0], requires_grad=True)
        Square.apply(x).sum().backward()
        return x.grad.tolist()

    assert script(cnnx) == script(pytest.importorskip("torch")) == [4.0, 6.0]


def test_saved_tensor_changed_in_place():
    x = leaf(1.0, 2.0)
    middle = x * 2
    y = Cube.apply(middle)
    middle.add_(1)
    with pytest.raises(RuntimeError, match=r"saved_tensors: a tensor of shape .2,. was changed in place"):
        y.sum().backward()


def test_inner_backward():
    """A pass within a pass, as gradient checkpointing does it."""

    class Checkpoint(Function):
        @staticmethod
        def forward(ctx, function, x):
            ctx.function = function
            ctx.save_for_backward(x)
            return function(x)

        @staticmethod
        def backward(ctx, grad):
            (x,) = ctx.saved_tensors
            with cnnx.enable_grad():
                x = x.detach().requires_grad_()
                y = ctx.function(x)
            y.backward(grad)
            return None, x.grad

    w = leaf(2.0, 3.0)
    x = leaf(1.0, -1.0)
    Checkpoint.apply(lambda t: (t * w).tanh(), x).sum().backward()
    again, v = leaf(1.0, -1.0), leaf(2.0, 3.0)
    (again * v).tanh().sum().backward()
    assert_same(x.grad, array(again.grad))
    assert_same(w.grad, array(v.grad))


def test_in_a_network():
    class Binarize(Function):
        @staticmethod
        def forward(ctx, x):
            return x.sign()

        @staticmethod
        def backward(ctx, grad):
            return grad

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 4, 3)
            self.head = nn.Linear(4 * 36, 2)

        def forward(self, x):
            return self.head(Binarize.apply(self.conv(x)).flatten(1))

    cnnx.manual_seed(0)
    net = Net()
    loss = F.cross_entropy(net(cnnx.randn(32, 1, 8, 8)), cnnx.randint(0, 2, (32,)))
    loss.backward()
    assert net.conv.weight.grad.abs().sum() > 0


def collected(make):
    """Whether what `make` returns weak references to is freed without the garbage collector."""
    gc.collect()
    gc.disable()
    try:
        return [ref() is None for ref in make()]
    finally:
        gc.enable()


def test_nothing_is_left_behind():
    class Keeps(Function):
        @staticmethod
        def forward(ctx, x, marker):
            y = x.exp()
            ctx.save_for_backward(x, y)
            ctx.marker = marker
            return y, y * 2

        @staticmethod
        def backward(ctx, a, b):
            _, y = ctx.saved_tensors
            return (a + 2 * b) * y, None

    class Marker:
        pass

    def run(how):
        def make():
            marker = Marker()
            x = leaf(1.0, 2.0)
            y, z = Keeps.apply(x, marker)
            if how == "backward":
                (y + z).sum().backward()
            if how == "retain":
                (y + z).sum().backward(retain_graph=True)
            return [weakref.ref(v) for v in (marker, x, y, z)]

        return make

    for how in ("never", "backward", "retain"):
        assert all(collected(run(how))), how

    def errors():
        marker, x = Marker(), leaf(1.0)

        class Fails(Keeps):
            @staticmethod
            def backward(ctx, a, b):
                raise ValueError

        y, _ = Fails.apply(x, marker)
        with contextlib.suppress(ValueError):
            y.backward()
        return [weakref.ref(marker), weakref.ref(x)]

    refs = errors()
    gc.collect()
    assert all(ref() is None for ref in refs)


def test_threads():
    results = []

    def work(value):
        x = leaf(value)
        for _ in range(50):
            x.grad = None
            Exp.apply(Cube.apply(x), 0.01).backward()
        results.append((value, x.grad.item()))

    threads = [threading.Thread(target=work, args=(v,)) for v in (0.5, 1.0, 1.5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for value, gradient in results:
        assert gradient == pytest.approx(0.03 * value**2 * np.exp(0.01 * value**3))
    assert len(results) == 3


# Hooks.


def test_gradcheck_finds_errors():
    class Wrong(Cube):
        @staticmethod
        def backward(ctx, grad):
            (x,) = ctx.saved_tensors
            return grad * 3 * x

    with pytest.raises(GradcheckError, match="Jacobian mismatch for output 0 with respect to input 0"):
        gradcheck(Wrong.apply, (leaf(0.3, 2.0),))
    assert not gradcheck(Wrong.apply, (leaf(0.3, 2.0),), raise_exception=False)
    with pytest.raises(ValueError, match="at least one input"):
        gradcheck(Cube.apply, (cnnx.ones(2),))
    with pytest.raises(NotImplementedError, match="forward mode"):
        gradcheck(Cube.apply, (leaf(1.0),), check_forward_ad=True)
    with pytest.warns(UserWarning, match="not float64"):
        gradcheck(lambda t: t * 2, (cnnx.ones(2, requires_grad=True),), eps=1e-2, atol=1e-2)
    conv = nn.Conv2d(1, 2, 3).double()
    assert gradcheck(conv, tensor(np.random.default_rng(0).normal(size=(1, 1, 4, 5)), True))
