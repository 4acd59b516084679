"""The nets of the benchmarks, written once in the dialect that cnnx and PyTorch share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Net:
    """A net and the optimizer it is trained with.

    `build(nn)` makes the model from a module `nn` that is `torch.nn` or `cnnx.nn`;
    `optimizer(optim, parameters)` likewise. `flat` nets take images as rows of 784 numbers.
    """

    build: Callable[[Any], Any]
    optimizer: Callable[[Any, Any], Any]
    flat: bool = False


def s1(nn: Any) -> Any:
    return nn.Sequential(
        nn.Linear(784, 1024), nn.Tanh(), nn.Linear(1024, 1024), nn.Tanh(), nn.Linear(1024, 10)
    )


def s4(nn: Any) -> Any:
    return nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Linear(128, 10),
    )  # fmt: skip


def s6(nn: Any) -> Any:
    return nn.Sequential(
        nn.Conv2d(1, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(3136, 1024), nn.ReLU(), nn.Dropout(0.5), nn.Linear(1024, 10),
    )  # fmt: skip


def s7(nn: Any) -> Any:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 5, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 5, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(200, 64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip


def s10(nn: Any) -> Any:
    return nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10))


def lenet5(nn: Any) -> Any:
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


NETS = {
    "s1": Net(s1, lambda optim, p: optim.SGD(p, lr=0.001), flat=True),
    "s4": Net(s4, lambda optim, p: optim.Adadelta(p, lr=0.1)),
    "s6": Net(s6, lambda optim, p: optim.Adam(p, lr=0.001)),
    "s7": Net(s7, lambda optim, p: optim.Adam(p, lr=0.001)),
    "s10": Net(s10, lambda optim, p: optim.SGD(p, lr=0.003, momentum=0.9), flat=True),
    "lenet5": Net(lenet5, lambda optim, p: optim.SGD(p, lr=0.01, momentum=0.9)),
}
