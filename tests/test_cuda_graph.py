"""Steps captured as CUDA graphs: replays give the bits of eager steps. Needs a device, or the emulation."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import cnnx
import cnnx.nn as nn
import cnnx.nn.functional as F
from cnnx import _C, optim, transforms
from cnnx.transforms.native import batch_transform
from foreign import emulation
from test_cuda import TABLE

pytestmark = pytest.mark.skipif(not cnnx.cuda.is_available(), reason="no CUDA device")

SHAPE, CLASSES, BATCH = (2, 8, 8), 7, 5


class Noise(nn.Module):
    """Draws of every kind, from the default generator and from one of its own."""

    def __init__(self):
        super().__init__()
        self.generator = cnnx.Generator().manual_seed(11)

    def forward(self, x):
        noise = cnnx.empty_like(x)
        x = x + 0.1 * noise.normal_() + 0.1 * noise.clone().uniform_(-1, 1, generator=self.generator)
        return x * noise.clone().bernoulli_(0.9) + 0.01 * noise.clone().normal_(
            0, 1, generator=self.generator
        )


NETS = {
    "conv": lambda: nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout2d(0.2),
        nn.Conv2d(4, 6, 3), nn.LeakyReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Dropout(0.3),
        nn.Linear(6, CLASSES),
    ),
    "dense": lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(128, 19), nn.BatchNorm1d(19), nn.Tanh(), Noise(), nn.LayerNorm(19),
        nn.BatchNorm1d(19, momentum=None),
        nn.Linear(19, CLASSES),
    ),
    "pad": lambda: nn.Sequential(
        nn.ReflectionPad2d(3), nn.Conv2d(2, 3, 5), nn.GELU(), nn.Flatten(), nn.Linear(300, CLASSES),
    ),
}  # fmt: skip
OPTIMIZERS = {
    "SGD": lambda p: optim.SGD(p, lr=0.05),
    "momentum": lambda p: optim.SGD(p, lr=0.05, momentum=0.9, dampening=0.1, weight_decay=0.01),
    "Nesterov": lambda p: optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True, maximize=True),
    "Adam": lambda p: optim.Adam(p, lr=0.01, weight_decay=0.01),
    "AMSGrad": lambda p: optim.Adam(p, lr=0.01, amsgrad=True, capturable=True),
    "AdamW": lambda p: optim.AdamW(p, lr=0.01, weight_decay=0.1),
    "Adagrad": lambda p: optim.Adagrad(p, lr=0.05, lr_decay=0.1),
    "Adadelta": lambda p: optim.Adadelta(p, lr=0.5),
    "RMSprop": lambda p: optim.RMSprop(p, lr=0.01, momentum=0.5, centered=True),
}


def captured(function, graph=None):
    """What the function returns, captured."""
    with cnnx.cuda.graph(graph or cnnx.cuda.CUDAGraph()):
        return function()


def batch(i, n=BATCH):
    random = np.random.default_rng(i)
    images = random.standard_normal((n, *SHAPE)).astype(np.float32)
    return cnnx.tensor(images), cnnx.tensor(random.integers(0, CLASSES, n))


class Training:
    """A network, its optimizer, and steps of it: eager or by replays of a graph."""

    def __init__(self, net="conv", optimizer="Adam", schedule=None, n=BATCH, dtype=cnnx.float32):
        cnnx.manual_seed(5)
        self.dtype = dtype
        self.net = NETS[net]().to("cuda", dtype)
        self.optimizer = OPTIMIZERS[optimizer](self.net.parameters())
        self.scheduler = schedule(self.optimizer) if schedule else None
        self.x, self.y = (t.to("cuda") for t in batch(0, n))
        self.x = self.x.to(dtype)
        self.graph = None
        self.losses = []

    def step(self):
        self.optimizer.zero_grad()
        loss = F.cross_entropy(self.net(self.x), self.y)
        loss.backward()
        self.optimizer.step()
        return loss

    def capture(self):
        graph = cnnx.cuda.CUDAGraph()
        with cnnx.cuda.graph(graph):
            assert cnnx.cuda.is_current_stream_capturing()
            self.loss = self.step()
        assert not cnnx.cuda.is_current_stream_capturing()
        self.graph = graph
        return self

    def load(self, i):
        x, y = batch(i, len(self.x))
        self.x.copy_(x)
        self.y.copy_(y)

    def run(self, first, last, eager=False):
        for i in range(first, last):
            self.load(i)
            if self.graph is None or eager:
                loss = self.step()
            else:
                self.graph.replay()
                loss = self.loss
            self.losses.append(loss.item())
            if self.scheduler is not None:
                self.scheduler.step()
        return self

    def everything(self):
        """All numbers that a step changes."""
        result = [np.array(self.losses)]
        result += [t.cpu().numpy() for t in self.net.state_dict().values()]
        for entry in self.optimizer.state_dict()["state"].values():
            result += [v.cpu().numpy() for v in entry.values() if v is not None]
        return [*result, *cnnx.get_rng_state().numpy(), *cnnx.rand(3).numpy()]


def assert_same(one, other):
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


def trained(replays, *args, **options):
    """The numbers after one eager step and five more."""
    training = Training(*args, **options).run(0, 1)
    if replays:
        training.capture()
    return training.run(1, 6).everything()


def assert_replays_are_steps(*args, **options):
    eager = trained(False, *args, **options)
    assert_same(eager, trained(True, *args, **options))
    return eager


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("optimizer", ["SGD", "momentum", "Adam"])
def test_replays_give_the_bits_of_eager_steps(net, optimizer):
    losses = assert_replays_are_steps(net, optimizer)[0]
    assert len(set(losses)) == 6


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(
    "schedule",
    [
        lambda o: optim.lr_scheduler.ExponentialLR(o, 0.7),
        lambda o: optim.lr_scheduler.LambdaLR(o, lambda epoch: 1.0 if epoch % 2 else 0.0),
    ],
    ids=["exponential", "on and off"],
)
def test_a_scheduler_acts_between_replays(optimizer, schedule):
    assert_replays_are_steps("dense", optimizer, schedule)


@pytest.mark.parametrize("optimizer", ["momentum", "AdamW"])
def test_a_scheduler_that_cycles_momentum_or_betas(optimizer):
    def schedule(o):
        return optim.lr_scheduler.OneCycleLR(o, max_lr=0.1, total_steps=8)

    assert_replays_are_steps("conv", optimizer, schedule)


def test_float64():
    assert_replays_are_steps("conv", "Adam", dtype=cnnx.float64)


def test_eager_steps_between_replays_and_after_reset():
    eager = Training().run(0, 8).everything()
    mixed = Training().run(0, 1).capture().run(1, 3).run(3, 5, eager=True).run(5, 7)
    mixed.graph.reset()
    assert_same(eager, mixed.run(7, 8, eager=True).everything())


def test_a_capture_leaves_no_trace_in_the_numbers():
    eager = Training().run(0, 3).everything()
    captured = Training().run(0, 2).capture().run(2, 3, eager=True).everything()
    assert_same(eager, captured)


def test_two_graphs_of_one_model():
    def train(replays):
        training = Training().run(0, 1)
        x, y = (t.to("cuda") for t in batch(100, 3))

        def small_step():
            training.optimizer.zero_grad()
            loss = 0.5 * F.cross_entropy(training.net(x), y)
            loss.backward()
            training.optimizer.step()
            return loss

        small = cnnx.cuda.CUDAGraph()
        if replays:
            training.capture()
            with cnnx.cuda.graph(small):
                small_loss = small_step()
        for i in range(1, 4):
            training.run(i, i + 1)
            for t, values in zip((x, y), batch(100 + i, 3), strict=True):
                t.copy_(values)
            if replays:
                small.replay()
                training.losses.append(small_loss.item())
            else:
                training.losses.append(small_step().item())
        return training.everything()

    assert_same(train(False), train(True))


def test_many_parameters_in_groups_and_strided():
    def train(replays):
        cnnx.manual_seed(1)
        params = [cnnx.randn(3, 5, device="cuda").requires_grad_() for _ in range(90)]
        turned = [cnnx.randn(4, 3, device="cuda").t().requires_grad_() for _ in range(2)]
        optimizer = optim.AdamW(
            [{"params": params[:85]}, {"params": params[85:] + turned, "lr": 0.5}], lr=0.1
        )

        def step():
            optimizer.zero_grad()
            sum((p**2).sum() for p in params + turned).backward()
            optimizer.step()

        step()
        graph = cnnx.cuda.CUDAGraph()
        if replays:
            with cnnx.cuda.graph(graph):
                step()
        for i in range(3):
            optimizer.param_groups[1]["lr"] = 0.1 * i
            optimizer.param_groups[0]["weight_decay"] = 0.2 * i
            graph.replay() if replays else step()
        return [p.detach().cpu().numpy() for p in params + turned]

    assert_same(train(False), train(True))


def test_accumulated_and_clipped_gradients():
    def train(replays):
        training = Training("dense", "momentum")

        def step():
            training.optimizer.zero_grad(set_to_none=False)
            for part in (slice(0, 2), slice(2, None)):
                F.cross_entropy(training.net(training.x[part]), training.y[part]).backward()
            norm = nn.utils.clip_grad_norm_(training.net.parameters(), 0.5)
            training.optimizer.step()
            return norm

        training.step = step
        training.run(0, 2)
        if replays:
            training.capture()
        return training.run(2, 5).everything()

    assert_same(train(False), train(True))


def test_the_seed_may_change_between_replays():
    x = cnnx.ones(1000, device="cuda")
    graph = cnnx.cuda.CUDAGraph()
    with cnnx.cuda.graph(graph):
        y = F.dropout(x)
        z = F.dropout(x)
    seen = []
    for seed in (3, 3, 4):
        cnnx.manual_seed(seed)
        graph.replay()
        seen.append((y.tolist(), z.tolist()))
        cnnx.manual_seed(seed)
        assert seen[-1] == (F.dropout(x).tolist(), F.dropout(x).tolist())
    assert seen[0] == seen[1] != seen[2]
    assert seen[0][0] != seen[0][1]


def test_a_mask_drawn_before_the_capture_stays():
    cnnx.manual_seed(7)
    x = cnnx.ones(200, device="cuda", requires_grad=True)
    y = F.dropout(x, 0.5)
    graph = cnnx.cuda.CUDAGraph()
    with cnnx.cuda.graph(graph):
        (gradient,) = cnnx.autograd.grad(y.sum(), x, retain_graph=True)
    cnnx.rand(4)
    graph.replay()
    assert gradient.tolist() == y.tolist()


def test_tables_of_any_size():
    x = cnnx.randn(1, 2, 90, 70, device="cuda", requires_grad=True)

    def run():
        y = F.unfold(F.pad(x, (40, 30, 50, 60), mode="reflect"), 3)
        return y, *cnnx.autograd.grad((y * y).sum(), x)

    graph = cnnx.cuda.CUDAGraph()
    with cnnx.cuda.graph(graph):
        captured = run()
    with cnnx.no_grad():
        x.copy_(cnnx.randn(1, 2, 90, 70))
    graph.replay()
    for a, b in zip(captured, run(), strict=True):
        assert cnnx.equal(a, b)


def results_and_gradients(function, tensors):
    outputs = function(*tensors)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    if outputs[0].requires_grad:
        leaves = [t for t in tensors if t.requires_grad]
        outputs += cnnx.autograd.grad(outputs[0], leaves, cnnx.ones_like(outputs[0]), allow_unused=True)
    return [t.detach() for t in outputs if t is not None]


def is_small(operands):
    return sum(np.prod(o) for o in operands if isinstance(o, tuple)) < 1e5


@pytest.mark.parametrize("name", [name for name in TABLE if name != "to" and is_small(TABLE[name][1:])])
def test_ops(name):
    function, *operands = TABLE[name]
    rng = np.random.default_rng(0)

    def values():
        made = [rng.normal(size=o) if isinstance(o, tuple) else o for o in operands]
        return [cnnx.tensor(v.astype(np.float32) if v.dtype.kind == "f" else v) for v in made]

    tensors = [t.to("cuda").requires_grad_(t.is_floating_point()) for t in values()]
    graph = cnnx.cuda.CUDAGraph()
    captured_results = captured(lambda: results_and_gradients(function, tensors), graph)
    with cnnx.no_grad():
        for tensor, new in zip(tensors, values(), strict=True):
            tensor.copy_(new)
    cnnx.manual_seed(3)
    graph.replay()
    cnnx.manual_seed(3)
    for a, b in zip(captured_results, results_and_gradients(function, tensors), strict=True):
        np.testing.assert_array_equal(a.cpu().numpy(), b.cpu().numpy())


def test_inference():
    net = NETS["conv"]().to("cuda").eval()
    x = batch(0)[0].to("cuda")
    graph = cnnx.cuda.CUDAGraph()
    with cnnx.no_grad(), cnnx.cuda.graph(graph):
        probabilities = F.softmax(net(x), dim=1)
    for i in range(3):
        x.copy_(batch(i)[0])
        graph.replay()
        with cnnx.no_grad():
            assert cnnx.equal(probabilities, F.softmax(net(x), dim=1))


def test_batches_are_counted():
    training = Training().run(0, 1).capture().run(1, 5)
    assert training.net.get_submodule("1").num_batches_tracked.item() == 5
    steps = {float(entry["step"]) for entry in training.optimizer.state_dict()["state"].values()}
    assert steps == {5.0}
    assert len(training.optimizer.state) == len(list(training.net.parameters()))


def test_memory_is_flat_over_replays_and_comes_back():
    gc.collect()
    training = Training().run(0, 2)
    before = cnnx.cuda.memory_allocated()
    training.capture()
    inside = cnnx.cuda.memory_allocated()
    training.run(2, 3)  # takes what copying a batch needs, for a capture begins with an empty cache
    reserved = cnnx.cuda.memory_reserved()
    training.run(3, 12)
    assert cnnx.cuda.memory_allocated() == inside
    assert cnnx.cuda.memory_reserved() == reserved
    training.run(12, 14, eager=True)  # with gradients of its own, in eager memory
    training.run(14, 16)
    training.optimizer.zero_grad()
    del training.loss
    training.graph.reset()
    training.run(16, 18, eager=True)
    assert cnnx.cuda.memory_allocated() == before
    cnnx.cuda.empty_cache()
    assert cnnx.cuda.memory_reserved() == before


def test_eager_work_gets_no_block_of_a_graph():
    training = Training().run(0, 1).capture()
    sizes = [1 << k for k in range(6, 18)]
    others = [cnnx.full((n,), float(n), device="cuda") for n in sizes for _ in range(20)]
    training.run(1, 3)
    for tensor in others:
        assert (tensor == tensor.numel()).all()


def test_a_graph_outlives_what_it_works_on():
    training = Training().run(0, 1)
    a = cnnx.arange(1000.0, device="cuda")
    b = a * 2
    graph = cnnx.cuda.CUDAGraph()
    with cnnx.cuda.graph(graph):
        c = a + b[3]
    del a, b
    others = [cnnx.full((1000,), -1.0, device="cuda") for _ in range(8)]
    graph.replay()
    np.testing.assert_array_equal(c.cpu().numpy(), np.arange(1000) + 6)
    del graph
    gc.collect()
    np.testing.assert_array_equal(c.cpu().numpy(), np.arange(1000) + 6)
    others += [cnnx.full((1000,), -1.0, device="cuda") for _ in range(8)]
    np.testing.assert_array_equal(c.cpu().numpy(), np.arange(1000) + 6)
    training.capture()
    graph = training.graph
    loss = training.loss
    training.graph = None
    del training
    gc.collect()
    graph.replay()
    assert np.isfinite(loss.item())


ERRORS = {
    "item": (lambda x: x.sum().item(), "item"),
    "bool": (lambda x: bool(x.sum() > 0), "item"),
    "print": (str, "captured"),
    "cpu": (lambda x: x.cpu(), "to"),
    "copy_": (lambda x: x.copy_(cnnx.ones(4, device="cpu")), "to"),
    "tensor": (lambda x: cnnx.tensor([1.0, 2.0], device="cuda"), "captured"),
    "nonzero": (lambda x: x.nonzero(), "captured"),
    "mask": (lambda x: x[x > 0], "captured"),
    "index": (lambda x: x[cnnx.tensor([0, 1])], "captured"),
    "synchronize": (lambda x: cnnx.cuda.synchronize(), "synchronize"),
    "stream": (lambda x: cnnx.cuda.current_stream().synchronize(), "captured"),
    "event": (lambda x: cnnx.cuda.Event().record(), "Event.record"),
    "non_blocking": (lambda x: cnnx.ones(3, device="cpu").pin_memory().to("cuda", non_blocking=True), "to"),
    "empty_cache": (lambda x: cnnx.cuda.empty_cache(), "empty_cache"),
    "memory": (lambda x: cnnx.empty(1 << 42, device="cuda"), "out of memory"),
    "manual_seed": (lambda x: cnnx.manual_seed(3), "manual_seed"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_what_needs_the_device_is_refused_and_the_program_goes_on(name):
    function, text = ERRORS[name]
    training = Training().run(0, 1)
    x = cnnx.arange(4.0, device="cuda")
    before = cnnx.cuda.memory_allocated()
    graph = cnnx.cuda.CUDAGraph()
    with pytest.raises(RuntimeError, match=text):
        captured(lambda: function(x * 2), graph)
    assert not cnnx.cuda.is_current_stream_capturing()
    assert cnnx.cuda.memory_allocated() == before
    with pytest.raises(RuntimeError, match="no captured work"):
        graph.replay()
    cnnx.manual_seed(2)
    if name != "memory":
        function(x)
    with cnnx.cuda.graph(graph):  # the same graph may be tried again, also after an error that was caught
        with pytest.raises(RuntimeError, match=text):
            function(x)
        y = x * 3
    graph.replay()
    assert y.tolist() == (x * 3).tolist()
    eager = Training().run(0, 4).everything()
    training = Training().run(0, 1).capture()
    assert_same(eager, training.run(1, 4).everything())


def test_an_error_of_the_program_ends_the_capture():
    x = cnnx.ones(4, device="cuda")
    with pytest.raises(ZeroDivisionError):
        captured(lambda: x.mul_(2) if 1 / 0 else None)
    with pytest.raises(ZeroDivisionError):
        captured(lambda: (x.mul_(2), 1 / 0))
    assert x.tolist() == [1, 1, 1, 1]
    graph = cnnx.cuda.CUDAGraph()
    graph.capture_begin()
    x.mul_(2)
    graph.capture_end()
    graph.replay()
    graph.replay()
    assert x.tolist() == [4, 4, 4, 4]


def test_misuse():
    x = cnnx.ones(4, device="cuda")
    graph, other = cnnx.cuda.CUDAGraph(), cnnx.cuda.CUDAGraph()
    with pytest.raises(RuntimeError, match=r"^replay: the graph holds no captured work"):
        graph.replay()
    with pytest.raises(RuntimeError, match="capture_end"):
        graph.capture_end()
    with cnnx.cuda.graph(graph):
        x.add_(1)
        with pytest.raises(RuntimeError, match="capture_begin: this thread"):
            other.capture_begin()
        with pytest.raises(RuntimeError, match="reset"):
            graph.reset()
    with pytest.raises(RuntimeError, match="capture_begin: the graph holds"):
        graph.capture_begin()
    with pytest.raises(RuntimeError, match="inside a capture"):
        captured(graph.replay, other)
    graph.replay()
    assert x.tolist() == [2, 2, 2, 2]
    graph.reset()
    graph.reset()
    with pytest.raises(RuntimeError, match="no captured work"):
        graph.replay()
    with pytest.raises(NotImplementedError):
        cnnx.cuda.CUDAGraph(keep_graph=True)
    with pytest.raises(NotImplementedError, match="pool"), cnnx.cuda.graph(graph, pool=(0, 1)):
        pass
    stream = cnnx.cuda.ExternalStream(1)
    with pytest.raises(NotImplementedError, match="stream"):
        cnnx.cuda.graph(graph, stream=stream)
    with cnnx.cuda.graph(graph, stream=cnnx.cuda.current_stream()):
        x.add_(1)
    graph.replay()
    assert x.tolist() == [3, 3, 3, 3]
    graph.reset()
    with pytest.raises(ValueError, match="capture_error_mode"):
        graph.capture_begin(capture_error_mode="none")


def test_steps_that_cannot_be_captured_or_replayed():
    training = Training("dense", "Adam")
    with pytest.raises(RuntimeError, match="adam_step: parameter 0 has no exp_avg yet"):
        training.capture()
    training.run(0, 1).capture().run(1, 2)
    training.optimizer.load_state_dict(training.optimizer.state_dict())
    with pytest.raises(RuntimeError, match="adam_step: the exp_avg of parameter 0 has changed since"):
        training.graph.replay()
    training.run(2, 3, eager=True).capture().run(3, 4)
    training.optimizer.add_param_group({"params": [cnnx.ones(3, device="cuda").requires_grad_()]})
    with pytest.raises(RuntimeError, match="capture"):
        training.graph.replay()

    training = Training("dense", "momentum").run(0, 1).capture()
    training.optimizer.param_groups[0]["momentum"] = 0
    with pytest.raises(RuntimeError, match="sgd_step: an option has changed"):
        training.graph.replay()

    weight = cnnx.ones(3, device="cpu").requires_grad_()
    weight.sum().backward()
    on_cpu = optim.SGD([weight], lr=1.0)
    with pytest.raises(RuntimeError, match="sgd_step: parameter 0 is on cpu"):
        captured(on_cpu.step)
    assert weight.tolist() == [1, 1, 1]


def test_generators_in_one_state_are_refused():
    x = cnnx.empty(8, device="cuda")
    cnnx.manual_seed(4)
    other = cnnx.Generator().manual_seed(4)
    with pytest.raises(RuntimeError, match="two generators in the same state"):
        captured(lambda: (x.normal_(), x.normal_(0, 1, generator=other)))


def test_other_threads_are_refused_meanwhile():
    x = cnnx.ones(4, device="cuda")
    caught = []

    def work():
        assert not cnnx.cuda.is_current_stream_capturing()
        try:
            x + 1
        except RuntimeError as error:
            caught.append(str(error))

    graph = cnnx.cuda.CUDAGraph()
    with cnnx.cuda.graph(graph):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        y = x + 2
    graph.replay()
    assert y.tolist() == [3, 3, 3, 3]

    def begin():
        cnnx.cuda.CUDAGraph().capture_begin()
        x.add_(1)

    thread = threading.Thread(target=begin)  # whose capture ends with it
    thread.start()
    thread.join()
    gc.collect()
    assert x.tolist() == [1, 1, 1, 1]
    assert len(caught) == 1
    assert "another thread is capturing" in caught[0]


@pytest.mark.parametrize("aborted", [False, True])
def test_a_transform_first_met_in_a_capture(aborted):
    pixels = np.random.default_rng(3).integers(0, 256, (4, 3, 9, 8)).astype(np.uint8)
    chain = transforms.Compose([transforms.RandomCrop((5, 6), padding=2), transforms.ToTensor()])
    native = batch_transform(chain, 3, 255)
    index = cnnx.arange(4)

    def gathered(device):
        images = cnnx.tensor(pixels).to(device)
        return lambda: _C.transform_images(images, where, 0, 4, native, (1, 2), where)

    where = index
    want = gathered("cpu")().numpy()
    where = index.to("cuda")
    run = gathered("cuda")
    graph = cnnx.cuda.CUDAGraph()
    if aborted:
        with pytest.raises(ZeroDivisionError):
            captured(lambda: (run(), 1 / 0), graph)
    else:
        made = captured(run, graph)
    np.testing.assert_array_equal(run().cpu().numpy(), want)
    if not aborted:
        graph.replay()
        np.testing.assert_array_equal(made.cpu().numpy(), want)


def steps_of(optimizer):
    return [float(entry["step"]) for entry in optimizer.state_dict()["state"].values()]


def test_a_replay_that_is_refused_leaves_all_as_it_was():
    def train(replays):
        training = Training("dense", "Adam")
        weight = cnnx.ones(3, device="cuda").requires_grad_()
        other = optim.Adam([weight], lr=0.1)
        step = training.step

        def both():
            loss = step()
            training.optimizer.step()  # twice in a step: the second counts on from the first
            other.zero_grad()
            (weight**2).sum().backward()
            other.step()
            return loss

        training.step = both
        training.run(0, 2)
        if replays:
            training.capture().run(2, 3)
            other.load_state_dict(other.state_dict())
            before = cnnx.get_rng_state().tolist(), training.net.state_dict()["1.weight"].tolist()
            for _ in range(2):
                with pytest.raises(RuntimeError, match="capture it again"):
                    training.graph.replay()
            assert (cnnx.get_rng_state().tolist(), training.net.state_dict()["1.weight"].tolist()) == before
            assert set(steps_of(training.optimizer)) == {6.0}
            training.capture().run(3, 5)
        else:
            training.run(2, 5)
        return [*training.everything(), weight.detach().cpu().numpy(), np.array(steps_of(other))]

    assert_same(train(False), train(True))


def in_a_process(program, **variables):
    """Runs the program with other settings of the emulation."""
    return subprocess.run(
        [sys.executable, "-c", "import gc, threading, cnnx\n" + program],
        env={**os.environ, **variables},
        check=True,
        timeout=120,
    )


@emulation
def test_a_replay_that_fails_on_the_device_counts_nothing():
    in_a_process(
        """
import ctypes
from cnnx import _C
library = ctypes.CDLL(_C.__file__)
library.cuda_on_cpu_malloc.restype = ctypes.c_void_p
block = library.cuda_on_cpu_malloc(0, 12)
class Array:  # larger than its block, so that writing to it is a fault
    __cuda_array_interface__ = dict(shape=(40,), typestr="<f4", data=(block, False), version=3)
theirs = cnnx.as_tensor(Array())
weight = cnnx.ones(3, device="cuda").requires_grad_()
optimizer = cnnx.optim.Adam([weight], lr=0.1)
def step():
    optimizer.zero_grad()
    cnnx.nn.functional.dropout(weight).sum().backward()
    optimizer.step()
def numbers():
    return optimizer.state_dict()["state"][0]["step"].item(), cnnx.get_rng_state().tolist()
step()
graph = cnnx.cuda.CUDAGraph()
with cnnx.cuda.graph(graph):
    step()
    theirs.fill_(2)
before = numbers()
assert before[0] == 1
try:
    graph.replay()
except RuntimeError as error:
    assert str(error).startswith("replay: "), error
else:
    raise AssertionError
assert numbers() == before
""",
        CNNX_EMU_DEFER="0",
    )


@emulation
def test_a_capture_has_the_memory_that_is_cached():
    in_a_process(
        """
x = cnnx.ones(6 << 20, device="cuda")
del x
graph = cnnx.cuda.CUDAGraph()
with cnnx.cuda.graph(graph):
    y = cnnx.ones(11 << 20, device="cuda")
graph.replay()
assert y[-1].item() == 1
""",
        CNNX_EMU_MEMORY="64",
    )


@emulation
def test_memory_of_another_device_that_comes_back_during_a_capture():
    in_a_process(
        """
x = cnnx.ones(1000, device="cuda:1")
before = cnnx.cuda.memory_allocated(1)
y = x + 1
assert y.__cuda_array_interface__["data"]  # somebody may use it on the legacy default stream
with cnnx.cuda.graph(cnnx.cuda.CUDAGraph()):
    z = cnnx.ones(3, device="cuda:0") + 1
    del y
assert cnnx.cuda.memory_allocated(1) == before
""",
        CNNX_EMU_DEVICES="2",
    )


@emulation
def test_a_capture_is_dropped_by_a_thread_that_captures_another_device():
    in_a_process(
        """
graphs = [cnnx.cuda.CUDAGraph()]
x, z = (cnnx.ones(100, device=device) for device in ("cuda:0", "cuda:1"))
cnnx.manual_seed(3)
first = cnnx.nn.functional.dropout(x).tolist()
cnnx.manual_seed(3)
def begin():
    graphs[0].capture_begin()
    cnnx.nn.functional.dropout(x)
thread = threading.Thread(target=begin)
thread.start()
thread.join()
graph = cnnx.cuda.CUDAGraph()
with cnnx.cuda.device(1), cnnx.cuda.graph(graph):
    graphs.clear()
    gc.collect()
    y = z * 2
graph.replay()
assert y.tolist() == [2] * 100
assert cnnx.nn.functional.dropout(x).tolist() == first
""",
        CNNX_EMU_DEVICES="2",
    )
