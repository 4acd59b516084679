"""ONNX export: how passes are read, with other threads, own functions and changes in place."""

import threading

import pytest

import cnnx
import cnnx.nn as nn
import cnnx.nn.functional as F
from cnnx import models

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from exported import compare, of, operators


def test_other_threads_are_not_traced():
    stop, seen = threading.Event(), []

    def work():
        while not stop.is_set():
            seen.append(float((cnnx.ones(3) * 2).sum()))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        proto = cnnx.onnx.export(models.build_model("digits", (1, 8, 8)), cnnx.rand(1, 1, 8, 8))
    finally:
        stop.set()
        thread.join()
    assert set(seen) == {6.0}
    assert "Mul" not in operators(proto)


def test_nothing_is_replaced():
    """Calls are recorded where they pass, so the native module stays as it is, also while the model runs."""
    classes = (cnnx._C, cnnx._C.TensorBase, cnnx.Tensor, nn.Module, nn.Conv2d, F)
    before = [dict(vars(one)) for one in classes]
    seen = []

    class Watching(nn.Module):
        def forward(self, x):
            for one, kept in zip(classes, before, strict=True):
                now = dict(vars(one))
                assert now.keys() == kept.keys()
                assert all(now[name] is value for name, value in kept.items())
            seen.append(len(x))
            return F.relu(x)

    compare(Watching(), (5,))
    assert len(seen) > 4


def test_another_thread_trains_meanwhile():
    stop, losses = threading.Event(), []

    def train():
        net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
        optimizer = cnnx.optim.SGD(net.parameters(), lr=0.1)
        while not stop.is_set():
            optimizer.zero_grad()
            loss = net(cnnx.ones(3, 4)).square().mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())

    thread = threading.Thread(target=train)
    thread.start()
    try:
        for _ in range(5):
            proto = compare(nn.Sequential(nn.Linear(5, 3), nn.ReLU()), (5,))
            assert operators(proto) == ["Gemm", "Relu"]
    finally:
        stop.set()
        thread.join()
    assert losses[-1] < losses[0]


def test_two_threads_export():
    nets = [nn.Sequential(nn.Linear(5, 3), layer) for layer in (nn.ReLU(), nn.Tanh())]
    found = [None, None]

    def work(i):
        found[i] = [operators(cnnx.onnx.export(nets[i], cnnx.ones(2, 5))) for _ in range(5)]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[["Gemm", "Relu"]] * 5, [["Gemm", "Tanh"]] * 5]


class Doubled(cnnx.autograd.Function):
    @staticmethod
    def forward(ctx, x, by):
        ctx.by = by
        y = x.clone()
        y[:, 0] = 0.0
        return y.mul_(by)

    @staticmethod
    def backward(ctx, grad):
        return grad * ctx.by, None


def test_a_function_of_ones_own_and_changes_in_place():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 3, 3, padding=1)
            self.register_buffer("scale", cnnx.rand(3, 1, 1))

        def forward(self, x):
            x = F.relu(self.conv(x), inplace=True)
            x[:, 1] += 1
            x[:, :, 0] *= 2
            halves = x.view(x.size(0), -1)
            halves[:, :24].neg_()
            return Doubled.apply((x * self.scale).flatten(1), 2.0)

    proto = compare(Net(), (1, 4, 4))
    assert {"conv.weight", "conv.bias", "scale"} <= {constant.name for constant in proto.graph.initializer}
    assert proto.graph.node[0].name == "/conv/Conv"


def test_constants_are_folded():
    """What depends on weights alone is computed once."""

    class Normed(nn.Module):
        def __init__(self):
            super().__init__()
            self.v, self.g = nn.Parameter(cnnx.rand(3, 5)), nn.Parameter(cnnx.rand(3, 1))

        def forward(self, x):
            return F.linear(x, self.g * self.v / self.v.norm(dim=1, keepdim=True)) + cnnx.zeros(3).exp()

    proto = compare(Normed(), (5,))
    assert operators(proto) == ["Gemm", "Add"]


def test_a_table_that_the_first_pass_makes():
    class Net(nn.Module):
        table = None

        def forward(self, x):
            if self.table is None:
                self.table = cnnx.rand(300, 1)
            return x + self.table[: len(x)]

    compare(Net(), (5,))


def test_every_form_is_of_an_op():
    """No form of an op that there is not, as of one whose name has changed."""
    from pathlib import Path

    from cnnx.onnx.graph import LOWERINGS

    sources = Path(__file__).parents[1] / "csrc"
    if not sources.is_dir():
        pytest.skip("the sources are not here")
    text = "".join(
        p.read_text() for folder in ("core", "ops", "kernels") for p in (sources / folder).glob("*.[chd]*")
    )
    cnnx.onnx.export(nn.ReLU(), cnnx.ones(2, 2))  # fills the table
    assert [name for name in LOWERINGS if f'"{name}"' not in text and name != "write"] == []


def test_an_op_without_a_form_says_which_and_where():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = of(lambda x: F.mse_loss(x, x * 2))

        def forward(self, x):
            return self.head(x)

    with pytest.raises(
        NotImplementedError, match=r"onnx.export: mse_loss \(head\) has no counterpart in ONNX; compute"
    ):
        cnnx.onnx.export(Net(), cnnx.ones(2, 3))


def test_a_profile_is_left_alone():
    with (
        cnnx.profiler.profile(),
        pytest.raises(RuntimeError, match="a profile or a recording of calls is under way"),
    ):
        cnnx.onnx.export(nn.ReLU(), cnnx.ones(2, 2))
