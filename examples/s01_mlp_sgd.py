"""S1: a tanh MLP 784-1024-1024-10, every random number from NumPy, so that its two figures come out exactly.

The data are the 10,000 test images of MNIST, 8,000 to train and 2,000 to validate. The teaching text prints a
train accuracy of 0.80437505 and a validation accuracy of 0.7725.

    python examples/s01_mlp_sgd.py --data-dir path/to/mnist
"""

from __future__ import annotations

import argparse

import numpy as np

import cnnx
import cnnx.nn as nn
import cnnx.nn.functional as F
import cnnx.optim as optim
from cnnx import datasets


def build(rng: np.random.RandomState) -> nn.Sequential:
    """The net with weights (in x out) and biases drawn from 0.1 * randn, layer by layer."""
    layers: list[nn.Module] = []
    for inputs, outputs in [(784, 1024), (1024, 1024), (1024, 10)]:
        layer = nn.Linear(inputs, outputs)
        weight, bias = 0.1 * rng.randn(inputs, outputs), 0.1 * rng.randn(outputs)
        layer.weight = nn.Parameter(cnnx.from_numpy(np.ascontiguousarray(weight.T, dtype=np.float32)))
        layer.bias = nn.Parameter(cnnx.from_numpy(bias.astype(np.float32)))
        layers += [layer, nn.Tanh()]
    return nn.Sequential(*layers[:-1], nn.LogSoftmax(dim=1))


def accuracy(model: nn.Module, x: cnnx.Tensor, y: cnnx.Tensor) -> float:
    with cnnx.no_grad():
        return float((model(x).argmax(1) == y).float().mean().item())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data-dir", default="data", help="folder with the MNIST files")
    parser.add_argument("--epochs", type=int, default=10)
    args = parser.parse_args()

    images = datasets.MNIST(args.data_dir, train=False)
    rng = np.random.RandomState(0)
    order = cnnx.from_numpy(rng.permutation(10_000))
    x = images.data[order].reshape(-1, 784).float() / 255
    y = images.targets[order]
    x_train, y_train, x_valid, y_valid = x[:8000], y[:8000], x[8000:], y[8000:]
    targets = F.one_hot(y_train, 10).float()

    model = build(np.random.RandomState(0))
    optimizer = optim.SGD(model.parameters(), lr=0.001)
    for epoch in range(args.epochs):
        order = cnnx.from_numpy(rng.permutation(8000))
        for start in range(0, 8000, 128):
            batch = order[start : start + 128]
            optimizer.zero_grad()
            loss = -(targets[batch] * model(x_train[batch])).sum(1).mean()
            loss.backward()
            optimizer.step()
        print(
            f"epoch {epoch + 1:2}  train {accuracy(model, x_train, y_train):.6f}"
            f"  validation {accuracy(model, x_valid, y_valid):.4f}"
        )


if __name__ == "__main__":
    main()
