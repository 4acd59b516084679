"""JAX: the nets in plain `jax.numpy` and `jax.lax`, jitted, with the same layers by the same names.

The nets are written once (`cnnx.models`), as lists of layers of a module `nn`; `Layers` and `Optimizers`
below stand for `nn` and `optim`. A layer is a pure function of its weights. Of the ways to write one, those
stand here that were fastest on a CPU: images with their channels last, pooling by a reshape.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

if os.environ.get("NPROC") == "1":
    os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_cpu_multi_thread_eigen=false"

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from cnnx.bench.peers import Call, Inputs, Peer
from cnnx.bench.rows import GRADIENT, OUTPUTS, Row

Weights = dict[str, Any]


class Layer:
    """A layer that has no weights: `apply` is a function of its input alone.

    `own` in `call` are its weights and buffers, by their last names; it returns the result, and new values of
    buffers.
    """

    def __init__(self, apply: Callable[[Any], Any] | None = None) -> None:
        self.apply = apply

    def call(self, own: Weights, x: Any, key: Any, training: bool) -> tuple[Any, Weights]:
        """The result for `x`; `key` is for random numbers."""
        assert self.apply is not None
        return self.apply(x), {}


class Linear(Layer):
    """A dense layer."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()

    def call(self, own: Weights, x: Any, key: Any, training: bool) -> tuple[Any, Weights]:
        """`x W^T + b`."""
        return x @ own["weight"].T + own["bias"], {}


class Conv2d(Layer):
    """A convolution with stride 1."""

    def __init__(self, inputs: int, outputs: int, kernel: int, padding: int = 0) -> None:
        super().__init__()
        self.padding = [(padding, padding)] * 2

    def call(self, own: Weights, x: Any, key: Any, training: bool) -> tuple[Any, Weights]:
        """Of channels-last images with weights as PyTorch has them."""
        y = lax.conv_general_dilated(
            x, own["weight"], (1, 1), self.padding, dimension_numbers=("NHWC", "OIHW", "NHWC")
        )
        return y + own["bias"], {}


class MaxPool2d(Layer):
    """Windows side by side."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def call(self, own: Weights, x: Any, key: Any, training: bool) -> tuple[Any, Weights]:
        """The maximum of each window; where two are equal, each gets half of the gradient."""
        size, (images, height, width, channels) = self.size, x.shape
        x = x[:, : height // size * size, : width // size * size]
        return x.reshape(images, height // size, size, width // size, size, channels).max((2, 4)), {}


class BatchNorm2d(Layer):
    """Batch normalisation with running statistics."""

    def __init__(self, channels: int) -> None:
        super().__init__()

    def call(self, own: Weights, x: Any, key: Any, training: bool) -> tuple[Any, Weights]:
        """Normalised by the batch in training, else by what has been running."""
        changed: Weights = {}
        mean, variance = own["running_mean"], own["running_var"]
        if training:
            mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
            count = x.size // x.shape[-1]
            changed = {
                "running_mean": 0.9 * own["running_mean"] + 0.1 * mean,
                "running_var": 0.9 * own["running_var"] + 0.1 * variance * count / (count - 1),
                "num_batches_tracked": own["num_batches_tracked"] + 1,
            }
        scale = own["weight"] * lax.rsqrt(variance + 1e-5)
        return (x - mean) * scale + own["bias"], changed


class Dropout(Layer):
    """Zeros with probability p in training, unless it is `off`."""

    off = False

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def call(self, own: Weights, x: Any, key: Any, training: bool) -> tuple[Any, Weights]:
        """What is kept, scaled."""
        if self.off or not training:
            return x, {}
        kept = jax.random.bernoulli(key, 1 - self.p, x.shape)
        return jnp.where(kept, x / (1 - self.p), 0), {}


class LogSoftmax(Layer):
    """Only there to be left out: the losses take logits."""

    def __init__(self, dim: int) -> None:
        super().__init__()


class Sequential:
    """Layers one after the other; weights are named by their places."""

    def __init__(self, *layers: Layer) -> None:
        self.layers = layers

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    def call(self, weights: Weights, x: Any, key: Any, training: bool) -> tuple[Any, Weights]:
        """The result, and new values of buffers by their full names."""
        changed: Weights = {}
        for place, layer in enumerate(self.layers):
            prefix = f"{place}."
            own = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
            x, new = layer.call(own, x, jax.random.fold_in(key, place), training)
            changed |= {prefix + name: value for name, value in new.items()}
        return x, changed


def flattened(x: Any) -> Any:
    """Images as rows, channel by channel, as the weights behind have been drawn for."""
    return x.transpose(0, 3, 1, 2).reshape(len(x), -1) if x.ndim == 4 else x


Layers = SimpleNamespace(
    Linear=Linear,
    Conv2d=Conv2d,
    MaxPool2d=MaxPool2d,
    BatchNorm2d=BatchNorm2d,
    Dropout=Dropout,
    LogSoftmax=LogSoftmax,
    Sequential=Sequential,
    Flatten=lambda: Layer(flattened),
    ReLU=lambda: Layer(lambda x: jnp.maximum(x, 0)),
    Tanh=lambda: Layer(jnp.tanh),
)


class Optimizer:
    """Of one array: `slots` are zeros like it, `update` returns its next value and theirs."""

    slots = 0

    def __init__(self, parameters: Any, lr: float = 1.0) -> None:
        self.lr = lr

    def update(self, count: Any, p: Any, g: Any, slots: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
        """The `count`-th update of `p` by its gradient `g`."""
        raise NotImplementedError


class SGD(Optimizer):
    """Gradient descent, perhaps with momentum."""

    def __init__(self, parameters: Any, lr: float, momentum: float = 0.0) -> None:
        super().__init__(parameters, lr)
        self.momentum, self.slots = momentum, int(momentum > 0)

    def update(self, count: Any, p: Any, g: Any, slots: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
        """A step against the gradient or its running sum."""
        if self.slots:
            slots = (self.momentum * slots[0] + g,)
            g = slots[0]
        return p - self.lr * g, slots


class Adam(Optimizer):
    """Adam with the usual constants."""

    slots = 2

    def update(self, count: Any, p: Any, g: Any, slots: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
        """By the mean over the root of the mean square, both corrected for their start."""
        m, v = 0.9 * slots[0] + 0.1 * g, 0.999 * slots[1] + 0.001 * g * g
        m_hat, v_hat = m / (1 - 0.9**count), v / (1 - 0.999**count)
        return p - self.lr * m_hat / (jnp.sqrt(v_hat) + 1e-8), (m, v)


class Adadelta(Optimizer):
    """Adadelta with the usual constants."""

    slots = 2

    def update(self, count: Any, p: Any, g: Any, slots: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
        """By the ratio of the roots of two running means of squares."""
        square = 0.9 * slots[0] + 0.1 * g * g
        delta = jnp.sqrt(slots[1] + 1e-6) / jnp.sqrt(square + 1e-6) * g
        return p - self.lr * delta, (square, 0.9 * slots[1] + 0.1 * delta * delta)


Optimizers = SimpleNamespace(SGD=SGD, Adam=Adam, Adadelta=Adadelta)


def cross_entropy(scores: Any, labels: Any) -> Any:
    """Of logits and classes."""
    return -jnp.take_along_axis(jax.nn.log_softmax(scores), labels[:, None], 1).mean()


def mse_loss(found: Any, wanted: Any) -> Any:
    """The mean square of the differences."""
    return ((found - wanted) ** 2).mean()


LOSSES = {"cross_entropy": cross_entropy, "mse_loss": mse_loss}
BUFFERS = ("running_mean", "running_var", "num_batches_tracked")


class Jax(Peer):
    """Whole steps as one jitted function, whose state is given away and replaced."""

    def __init__(self, name: str, threads: int, device: str) -> None:
        super().__init__(name, threads, device)
        jax.config.update("jax_default_matmul_precision", "highest")  # float32 throughout, as the others

    def version(self) -> str:
        """Of JAX."""
        return str(jax.__version__)

    def prepare(self, row: Row, inputs: Inputs, dropout: bool) -> Call:
        """The work as a function of weights, jitted."""
        net = row.net
        model = net.build(Layers)
        for layer in model:
            if isinstance(layer, Dropout):
                layer.off = not dropout
        x = jnp.asarray(inputs.x if inputs.x.ndim == 2 else inputs.x.transpose(0, 2, 3, 1))
        y, loss_function = jnp.asarray(inputs.y), LOSSES[net.loss]
        weights = {name: jnp.asarray(array) for name, array in inputs.weights.items()}
        buffers = {name: array for name, array in weights.items() if name.endswith(BUFFERS)}
        parameters = {name: array for name, array in weights.items() if name not in buffers}
        key = jax.random.key(0)

        if row.work == OUTPUTS:
            forward = jax.jit(lambda weights, x: model.call(weights, x, key, False)[0])
            return Call(lambda: np.asarray(forward(weights, x)), lambda found: [found])

        def loss_of(parameters: Weights, buffers: Weights, key: Any, x: Any, y: Any) -> tuple[Any, Weights]:
            found, changed = model.call({**parameters, **buffers}, x, key, True)
            return loss_function(found, y), {**buffers, **changed}

        if row.work == GRADIENT:
            both = jax.jit(jax.value_and_grad(lambda p, x, y: loss_of(p, buffers, key, x, y)[0]))

            def loss_and_gradient() -> tuple[float, Weights]:
                loss, gradient = both(parameters, x, y)
                return float(loss), gradient

            return Call(
                loss_and_gradient, lambda found: [found[0], *(np.asarray(found[1][n]) for n in parameters)]
            )

        optimizer = net.optimizer(Optimizers, None)

        @functools.partial(jax.jit, donate_argnums=0)
        def step(state: Any, x: Any, y: Any) -> tuple[Any, Any]:
            parameters, buffers, slots, count = state
            drawn = jax.random.fold_in(key, count)
            gradient = jax.value_and_grad(loss_of, has_aux=True)
            (loss, buffers), grads = gradient(parameters, buffers, drawn, x, y)
            new = {n: optimizer.update(count, p, grads[n], slots[n]) for n, p in parameters.items()}
            parameters, slots = ({n: pair[i] for n, pair in new.items()} for i in (0, 1))
            return (parameters, buffers, slots, count + 1), loss

        zeros = {n: tuple(jnp.zeros_like(p) for _ in range(optimizer.slots)) for n, p in parameters.items()}
        # Copies, for what is given away is gone.
        state = jax.tree.map(jnp.copy, (parameters, buffers, zeros, jnp.asarray(1)))

        def run() -> float:
            nonlocal state
            state, loss = step(state, x, y)
            return float(loss)

        return Call(run, lambda loss: [loss])
