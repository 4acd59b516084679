"""The nets of the benchmarks, written once for all libraries: their layers, and how each is trained."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnx import nn as cnnx_nn
from cnnx.models import MODELS, canonical

Array = np.ndarray[Any, Any]
Step = Callable[[], Any]


@dataclass(frozen=True)
class Net:
    """A net, and the loss and the optimizer it is trained with.

    `build(nn)` makes the model from a module `nn` that is `torch.nn` or `cnnx.nn`; it ends in logits.
    `optimizer(optim, parameters)` likewise. `flat` nets take images as rows of 784 numbers. `widths` are
    those of a net of dense layers alone (inputs, hidden layers, outputs), else it is one that cnnx knows by
    name.
    `loss` is the name of a function in `nn.functional`, `size` the side of an image.
    """

    name: str
    optimizer: Callable[[Any, Any], Any]
    flat: bool = False
    widths: tuple[int, ...] = ()
    activation: str = "ReLU"
    loss: str = "cross_entropy"
    size: int = 28

    def build(self, nn: Any) -> Any:
        """A new net of the layers of `nn`."""
        if self.widths:
            pairs = zip(self.widths, self.widths[1:])  # noqa: B905 - the last width begins no layer
            dense = [layer for a, b in pairs for layer in (nn.Linear(a, b), getattr(nn, self.activation)())]
            return nn.Sequential(*dense[:-1])
        layers = list(MODELS[canonical(self.name)].build((1, self.size, self.size), nn=nn))
        return nn.Sequential(*(layer for layer in layers if not isinstance(layer, nn.LogSoftmax)))

    @property
    def random(self) -> bool:
        """Whether a step draws random numbers, which differ between libraries."""
        return any(isinstance(layer, cnnx_nn.Dropout) for layer in self.build(cnnx_nn))

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of one sample."""
        if self.widths:
            return self.widths[:1]
        return (self.size**2,) if self.flat else (1, self.size, self.size)


NETS = {
    net.name: net
    for net in (
        Net("s1", lambda optim, p: optim.SGD(p, lr=0.001), flat=True),
        Net("s4", lambda optim, p: optim.Adadelta(p, lr=0.1)),
        Net("s6", lambda optim, p: optim.Adam(p, lr=0.001)),
        Net("s7", lambda optim, p: optim.Adam(p, lr=0.001)),
        Net("s10", lambda optim, p: optim.SGD(p, lr=0.003, momentum=0.9), flat=True),
        Net("s11", lambda optim, p: optim.Adadelta(p)),
        Net("lenet5", lambda optim, p: optim.SGD(p, lr=0.01, momentum=0.9)),
    )
}

TINY = {
    net.name: net
    for net in (
        Net(
            "24-8-2",
            lambda optim, p: optim.SGD(p, lr=0.01),
            flat=True,
            widths=(24, 8, 2),
            activation="Tanh",
            loss="mse_loss",
        ),
        Net(
            "4-64-64-2",
            lambda optim, p: optim.Adam(p, lr=0.001),
            flat=True,
            widths=(4, 64, 64, 2),
            loss="mse_loss",
        ),
    )
}


def batch_of(net: Net, batch: int) -> tuple[Array, Array]:
    """Random inputs, and labels or, for a squared loss, targets."""
    rng = np.random.default_rng(0)
    inputs = rng.random((batch, *net.input_shape), dtype=np.float32)
    if net.loss == "mse_loss":
        return inputs, rng.random((batch, net.widths[-1]), dtype=np.float32)
    return inputs, rng.integers(0, 10, batch)


def training_step(model: Any, optimizer: Any, loss_function: Any) -> Callable[[Any, Any], Any]:
    """A training step of either library as a function of a batch; it returns the loss, not read."""

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = loss_function(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step


def make_step(model: Any, optimizer: Any, loss_function: Any, x: Any, y: Any) -> Step:
    """A training step on one batch, as a function without arguments."""
    return functools.partial(training_step(model, optimizer, loss_function), x, y)
