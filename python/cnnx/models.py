"""The nets that `cnnx train` knows by name.

Each builder takes the height and width of one-channel images and returns a new, randomly initialised module
of ten classes. The numbered ones are published architectures: an MLP with tanh (s1), CNNs of two to four
convolutions (s4, s6, s7) and an MLP with ReLU (s10).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from cnnx import nn

CLASSES = 10


def lenet5() -> nn.Module:
    """LeNet-5 (LeCun et al., 1998) with ReLU and max-pooling: 61,706 parameters."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, CLASSES),
    )


def digits() -> nn.Module:
    """A small CNN for 8x8 images: two convolutions and two dense layers, with dropout 0.25."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.25),
        nn.Flatten(),
        nn.Linear(512, 64),
        nn.ReLU(),
        nn.Dropout(0.25),
        nn.Linear(64, CLASSES),
    )


def mlp(height: int, width: int) -> nn.Module:
    """Dense layers of 128 and 64 with ReLU, for images of any size."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(height * width, 128),
        nn.ReLU(),
        nn.Linear(128, 64),
        nn.ReLU(),
        nn.Linear(64, CLASSES),
    )


def s1() -> nn.Module:
    """784-1024-1024-10 with tanh and log-softmax."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 1024),
        nn.Tanh(),
        nn.Linear(1024, 1024),
        nn.Tanh(),
        nn.Linear(1024, CLASSES),
        nn.LogSoftmax(dim=1),
    )


def s4() -> nn.Module:
    """Convolutions of 32 and 64 channels, one pooling, dense 128, log-softmax."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(9216, 128),
        nn.ReLU(),
        nn.Linear(128, CLASSES),
        nn.LogSoftmax(dim=1),
    )


def s6() -> nn.Module:
    """5x5 convolutions of 32 and 64 channels, each pooled, dense 1024 with dropout 0.5."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(3136, 1024),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(1024, CLASSES),
    )


def s7() -> nn.Module:
    """Four small convolutions (4, 8, 8, 8 channels), pooled after each pair, dense 64."""
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(4, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 5, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 8, 5, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(200, 64),
        nn.ReLU(),
        nn.Linear(64, CLASSES),
    )


def s10() -> nn.Module:
    """784-128-64-10 with ReLU."""
    return mlp(28, 28)


class Model(NamedTuple):
    """A named net: its builder, and the image size it is made for (None: any)."""

    build: Callable[..., nn.Module]
    size: tuple[int, int] | None
    about: str


MODELS = {
    "lenet5": Model(lenet5, (28, 28), "LeNet-5"),
    "digits": Model(digits, (8, 8), "a small CNN"),
    "mlp": Model(mlp, None, "dense 128 and 64"),
    "s1": Model(s1, (28, 28), "dense 1024, 1024, tanh"),
    "s4": Model(s4, (28, 28), "CNN of 32 and 64 channels, 3x3"),
    "s6": Model(s6, (28, 28), "CNN of 32 and 64 channels, 5x5"),
    "s7": Model(s7, (28, 28), "CNN of 4, 8, 8 and 8 channels"),
    "s10": Model(s10, (28, 28), "dense 128 and 64"),
}


def default_model(size: tuple[int, int]) -> str:
    """The net for images of this height and width: lenet5 for 28x28, digits for 8x8, else mlp."""
    return {(28, 28): "lenet5", (8, 8): "digits"}.get(size, "mlp")


def build_model(name: str, size: tuple[int, int]) -> nn.Module:
    """A new net.

    Parameters
    ----------
    name
        A key of `MODELS`.
    size
        Height and width of the images.

    Raises
    ------
    ValueError
        If there is no such net, or it takes images of another size.

    Examples
    --------
    >>> sum(p.numel() for p in build_model("lenet5", (28, 28)).parameters())
    61706
    """
    if name not in MODELS:
        raise ValueError(f"unknown model {name!r}; known are {', '.join(MODELS)}")
    model = MODELS[name]
    if model.size is None:
        return model.build(*size)
    if model.size != size:
        raise ValueError(
            f"model {name} takes {model.size[0]}x{model.size[1]} images, these have {size[0]}x{size[1]}"
        )
    return model.build()
