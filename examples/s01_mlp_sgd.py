"""S1: a dense net 784-1024-1024-10 by plain SGD, reproduced to the last digit.

Weights and batches come from NumPy's generator and from nothing else, so that the
figures which a teaching text prints for its own code must come out here exactly: the
arithmetic of a whole training is compared. The net sees only 8,000 of MNIST's test
images, with a tiny learning rate, and is far from done after 10 epochs.

The text prints a train accuracy of 0.80437505 and, on the other 2,000 images, one of
0.7725.

    python examples/s01_mlp_sgd.py --data-dir path/to/mnist
"""

from __future__ import annotations

import time

import numpy as np
from common import mnist, report, start

import cnnx
import cnnx.nn as nn
import cnnx.nn.functional as F
import cnnx.optim as optim
from cnnx import plot


def build(rng: np.random.RandomState) -> nn.Sequential:
    """The net with weights (in x out) and biases drawn from 0.1 * randn, layer by layer."""
    layers: list[nn.Module] = []
    for inputs, outputs in [(784, 1024), (1024, 1024), (1024, 10)]:
        layer = nn.Linear(inputs, outputs)
        weight, bias = 0.1 * rng.randn(inputs, outputs), 0.1 * rng.randn(outputs)
        layer.weight = nn.Parameter(cnnx.from_numpy(weight.T).float())
        layer.bias = nn.Parameter(cnnx.from_numpy(bias).float())
        layers += [layer, nn.Tanh()]
    return nn.Sequential(*layers[:-1], nn.LogSoftmax(dim=1))


def score(model: nn.Module, x: cnnx.Tensor, y: cnnx.Tensor) -> tuple[float, float]:
    """Loss and accuracy of all images at once."""
    with cnnx.no_grad():
        output = model(x)
        return F.nll_loss(output, y).item(), (output.argmax(1) == y).float().mean().item()


args = start(__doc__, epochs=10, needs_mnist=True)
images = mnist(args, train=False)
count = len(images)
n_train = count * 8 // 10

rng = np.random.RandomState(0)
order = cnnx.from_numpy(rng.permutation(count))
x = images.data[order].reshape(-1, 784).float().to(args.device) / 255
y = images.targets[order].to(args.device)
parts = {"train": (x[:n_train], y[:n_train]), "validation": (x[n_train:], y[n_train:])}
x_train, y_train = parts["train"]
targets = F.one_hot(y_train, 10).float()
print(f"{n_train:,} images to train, {count - n_train:,} to validate, as rows of 784 numbers from 0 to 1")

model = build(np.random.RandomState(0)).to(args.device)
optimizer = optim.SGD(model.parameters(), lr=0.001)
losses, accuracies = {part: [] for part in parts}, {part: [] for part in parts}
seconds = []
for epoch in range(1, args.epochs + 1):
    begin = time.perf_counter()
    order = cnnx.from_numpy(rng.permutation(n_train))
    for first in range(0, n_train, 128):
        batch = order[first : first + 128]
        optimizer.zero_grad()
        loss = -(targets[batch] * model(x_train[batch])).sum(1).mean()
        loss.backward()
        optimizer.step()
    seconds.append(time.perf_counter() - begin)
    line = f"epoch {epoch}/{args.epochs}"
    for part, (inputs, labels) in parts.items():
        loss, accuracy = score(model, inputs, labels)
        losses[part].append(loss)
        accuracies[part].append(accuracy)
        line += f"  {part}: loss {loss:.4f}, accuracy {accuracy:.4f}"
    print(f"{line}  {seconds[-1]:.1f} s", flush=True)

plot.curves(
    {"loss": losses, "accuracy": accuracies},
    args.out / "curves.png",
    title="S1: a dense net of 1.9 million weights, SGD with a learning rate of 0.001",
)
report(
    args,
    [
        ("train accuracy", 0.80437505, accuracies["train"][-1]),
        ("validation accuracy", 0.7725, accuracies["validation"][-1]),
    ],
    seconds,
)
