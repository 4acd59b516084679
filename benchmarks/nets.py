"""The nets of the benchmarks, those that cnnx knows by name: how each is trained, and a step of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnx.models import MODELS


@dataclass(frozen=True)
class Net:
    """A net and the optimizer it is trained with.

    `build(nn)` makes the model from a module `nn` that is `torch.nn` or `cnnx.nn`; it ends in logits.
    `optimizer(optim, parameters)` likewise. `flat` nets take images as rows of 784 numbers.
    """

    name: str
    optimizer: Callable[[Any, Any], Any]
    flat: bool = False

    def build(self, nn: Any) -> Any:
        """A new net of the layers of `nn`."""
        layers = list(MODELS[self.name].build(nn=nn))
        return nn.Sequential(*(layer for layer in layers if not isinstance(layer, nn.LogSoftmax)))


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

Step = Callable[[], Any]


def batch_of(net: Net, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Random images and labels."""
    rng = np.random.default_rng(0)
    shape = (batch, 784) if net.flat else (batch, 1, 28, 28)
    return rng.random(shape, dtype=np.float32), rng.integers(0, 10, batch)


def make_step(model: Any, optimizer: Any, cross_entropy: Any, x: Any, y: Any) -> Step:
    """A training step of either library as a function without arguments; it returns the loss, not read."""

    def step() -> Any:
        optimizer.zero_grad()
        loss = cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step
