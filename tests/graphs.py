"""Trainings whose steps run eagerly or as replays of a CUDA graph: what the tests of graphs share."""

from __future__ import annotations

import numpy as np

import cnnx
import cnnx.nn as nn
import cnnx.nn.functional as F
from cnnx import optim

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
    "NAdam": lambda p: optim.NAdam(p, lr=0.01, momentum_decay=0.1),
    "RAdam": lambda p: optim.RAdam(p, lr=0.01, weight_decay=0.1, decoupled_weight_decay=True),
    "Adamax": lambda p: optim.Adamax(p, lr=0.01),
    "Rprop": lambda p: optim.Rprop(p, lr=0.001),
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
