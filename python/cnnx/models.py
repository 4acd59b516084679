"""The nets known by name, written once in the dialect that cnnx and PyTorch share.

Each builder takes the module `nn` (`cnnx.nn`, or `torch.nn` for comparisons), the shape (channels, height,
width) of an image and the number of classes, and returns a new, randomly initialised module. Names of plain
nets tell their layers: the channels of convolutions, the width of hidden dense layers. For images of other
sizes the first dense layer grows or shrinks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from cnnx import nn as cnnx_nn

Shape = tuple[int, int, int]
MNIST_SHAPE = (1, 28, 28)


def lenet5(nn: Any, shape: Shape, flat: int, classes: int) -> Any:
    """LeNet-5 (LeCun et al., 1998) with ReLU and max-pooling: 61,706 parameters."""
    return nn.Sequential(
        nn.Conv2d(shape[0], 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(16 * flat, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(),
        nn.Linear(84, classes),
    )  # fmt: skip


def digits(nn: Any, shape: Shape, flat: int, classes: int) -> Any:
    """A small CNN for 8x8 images: two convolutions and two dense layers, with dropout 0.25."""
    return nn.Sequential(
        nn.Conv2d(shape[0], 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(),
        nn.MaxPool2d(2), nn.Dropout(0.25),
        nn.Flatten(), nn.Linear(32 * flat, 64), nn.ReLU(), nn.Dropout(0.25), nn.Linear(64, classes),
    )  # fmt: skip


def pictures(nn: Any, shape: Shape, flat: int, classes: int) -> Any:
    """Four 3x3 convolutions (16 to 64 channels) with batch norm, the largest value of each map, dense."""

    def block(inputs: int, outputs: int) -> list[Any]:
        return [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()]

    return nn.Sequential(
        *block(shape[0], 16), nn.MaxPool2d(2), *block(16, 32), nn.MaxPool2d(2), *block(32, 64),
        nn.MaxPool2d(2), *block(64, 64), nn.AdaptiveMaxPool2d(1),
        nn.Flatten(), nn.Dropout(0.2), nn.Linear(64, classes),
    )  # fmt: skip


def mlp(nn: Any, shape: Shape, flat: int, classes: int) -> Any:
    """Dense layers of 128 and 64 with ReLU."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(shape[0] * flat, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(),
        nn.Linear(64, classes),
    )  # fmt: skip


def mlp_1024_1024(nn: Any, shape: Shape, flat: int, classes: int) -> Any:
    """Dense layers of 1024 and 1024 with tanh, log-softmax."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(shape[0] * flat, 1024), nn.Tanh(), nn.Linear(1024, 1024), nn.Tanh(),
        nn.Linear(1024, classes), nn.LogSoftmax(dim=1),
    )  # fmt: skip


def cnn_32_64(nn: Any, shape: Shape, flat: int, classes: int) -> Any:
    """Convolutions of 32 and 64 channels, one pooling, dense 128, log-softmax."""
    return nn.Sequential(
        nn.Conv2d(shape[0], 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(64 * flat, 128), nn.ReLU(), nn.Linear(128, classes), nn.LogSoftmax(dim=1),
    )  # fmt: skip


def cnn_32_64_5x5(nn: Any, shape: Shape, flat: int, classes: int) -> Any:
    """5x5 convolutions of 32 and 64 channels, each pooled, dense 1024 with dropout 0.5."""
    return nn.Sequential(
        nn.Conv2d(shape[0], 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(64 * flat, 1024), nn.ReLU(), nn.Dropout(0.5), nn.Linear(1024, classes),
    )  # fmt: skip


def cnn_4_8_8_8(nn: Any, shape: Shape, flat: int, classes: int) -> Any:
    """Four small convolutions (4, 8, 8, 8 channels), pooled after each pair, dense 64."""
    return nn.Sequential(
        nn.Conv2d(shape[0], 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 8, 3, padding=1), nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 5, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 5, padding=1), nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(8 * flat, 64), nn.ReLU(), nn.Linear(64, classes),
    )  # fmt: skip


def cnn_32_32_bn(nn: Any, shape: Shape, flat: int, classes: int) -> Any:
    """Two convolutions of 32 channels with batch norm, pooled, dense 128 with dropout 0.2."""
    return nn.Sequential(
        nn.Conv2d(shape[0], 32, 3), nn.BatchNorm2d(32), nn.ReLU(),
        nn.Conv2d(32, 32, 3), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2), nn.BatchNorm2d(32),
        nn.Flatten(), nn.Linear(32 * flat, 128), nn.ReLU(), nn.Dropout(0.2), nn.Linear(128, classes),
    )  # fmt: skip


class Model(NamedTuple):
    """A named net: its builder, and how long a side of the last feature map is for a side of the image."""

    builder: Callable[[Any, Shape, int, int], Any]
    side: Callable[[int], int]
    about: str

    def smallest(self) -> int:
        """The fewest pixels along a side that leave something to classify."""
        return next(pixels for pixels in range(1, 1000) if self.side(pixels) > 0)

    def build(self, shape: Shape = MNIST_SHAPE, classes: int = 10, nn: Any = cnnx_nn) -> Any:
        """A new net for images of this shape (channels, height, width), from the layers of `nn`."""
        return self.builder(nn, shape, self.side(shape[1]) * self.side(shape[2]), classes)


def unchanged(pixels: int) -> int:
    """The side of an image for a net that takes all its pixels."""
    return pixels


MODELS = {
    "lenet5": Model(lenet5, lambda pixels: (pixels // 2 - 4) // 2, "LeNet-5"),
    "digits": Model(digits, lambda pixels: pixels // 2, "a small CNN"),
    "pictures": Model(pictures, lambda pixels: pixels // 8, "CNN of 16 to 64 channels with batch norm"),
    "mlp": Model(mlp, unchanged, "dense 128 and 64"),
    "mlp-1024-1024": Model(mlp_1024_1024, unchanged, "dense 1024 and 1024, tanh"),
    "cnn-32-64": Model(cnn_32_64, lambda pixels: (pixels - 4) // 2, "CNN of 3x3"),
    "cnn-32-64-5x5": Model(cnn_32_64_5x5, lambda pixels: pixels // 4, "CNN of 5x5, dropout"),
    "cnn-4-8-8-8": Model(cnn_4_8_8_8, lambda pixels: (pixels // 2 - 4) // 2, "CNN of 3x3 and 5x5"),
    "cnn-32-32-bn": Model(cnn_32_32_bn, lambda pixels: (pixels - 4) // 2, "CNN of 3x3, batch norm"),
}
#: Other names, by which the nets are known from the systems of docs/results.md; taken wherever a name is.
ALIASES = {
    "s1": "mlp-1024-1024",
    "s4": "cnn-32-64",
    "s6": "cnn-32-64-5x5",
    "s7": "cnn-4-8-8-8",
    "s10": "mlp",
    "s11": "cnn-32-32-bn",
}


def canonical(name: str) -> str:
    """The name in `MODELS` behind another name of a net; anything else as it is.

    Examples
    --------
    >>> canonical("s4"), canonical("lenet5")
    ('cnn-32-64', 'lenet5')
    """
    return ALIASES.get(name, name)


class _Counter:
    """Stands for `nn`: a layer is the number of values that it keeps, so counting a net takes no memory."""

    @staticmethod
    def Conv2d(inputs: int, outputs: int, kernel: int, padding: int = 0) -> int:  # noqa: N802
        return outputs * (inputs * kernel**2 + 1)

    @staticmethod
    def Linear(inputs: int, outputs: int) -> int:  # noqa: N802
        return outputs * (inputs + 1)

    @staticmethod
    def BatchNorm2d(channels: int) -> int:  # noqa: N802
        return 4 * channels + 1

    @staticmethod
    def Sequential(*layers: int) -> int:  # noqa: N802
        return sum(layers)

    def __getattr__(self, name: str) -> Callable[..., int]:
        return lambda *args, **kwargs: 0  # an activation, pooling, dropout


def count_values(name: str, shape: Shape, classes: int) -> int:
    """How many values the `state_dict()` of a net has, without making the net.

    Examples
    --------
    >>> count_values("lenet5", (1, 28, 28), 10)
    61706
    """
    count: int = MODELS[canonical(name)].build(shape, classes, _Counter())
    return count


def default_model(size: tuple[int, int], photographs: bool = False) -> str:
    """The net for images of this height and width: lenet5 from 20 pixels on, digits from 4 on, else mlp.

    For photographs (anything but bright drawings on black) it is pictures from 20 pixels on.
    """
    if photographs and min(size) >= 20:
        return "pictures"
    return "lenet5" if min(size) >= 20 else "digits" if min(size) >= 4 else "mlp"


def build_model(name: str, shape: Shape = MNIST_SHAPE, classes: int = 10) -> cnnx_nn.Module:
    """A new net.

    Parameters
    ----------
    name
        A key of `MODELS` or of `ALIASES`.
    shape
        Channels, height and width of an image. Default: (1, 28, 28).
    classes
        Default: 10.

    Raises
    ------
    ValueError
        If there is no such net, or the images are too small for it.

    Examples
    --------
    >>> sum(p.numel() for p in build_model("lenet5").parameters())
    61706
    """
    if (name := canonical(name)) not in MODELS:
        raise ValueError(f"unknown model {name!r}; known are {', '.join(MODELS)}")
    model, (_, height, width) = MODELS[name], shape
    smallest = model.smallest()
    if min(height, width) < smallest:
        raise ValueError(
            f"model {name} takes images of {smallest}x{smallest} or more, these have {height}x{width}"
        )
    net: cnnx_nn.Module = model.build(shape, classes)
    return net
