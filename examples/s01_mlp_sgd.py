"""S1: a tanh MLP 784-1024-1024-10, every random number from NumPy, so that its two figures come out exactly.

The data are the 10,000 test images of MNIST, 8,000 to train and 2,000 to validate. The teaching text prints a
train accuracy of 0.80437505 and a validation accuracy of 0.7725.

    python examples/s01_mlp_sgd.py --data-dir path/to/mnist
"""

from __future__ import annotations

import time

import numpy as np
from training import History, mnist, report, start

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


args = start(__doc__, epochs=10)
images = mnist(args, train=False)
count = len(images)
n_train = count * 8 // 10

rng = np.random.RandomState(0)
order = cnnx.from_numpy(rng.permutation(count))
x = images.data[order].reshape(-1, 784).float().to(args.device) / 255
y = images.targets[order].to(args.device)
x_train, y_train, x_valid, y_valid = x[:n_train], y[:n_train], x[n_train:], y[n_train:]
targets = F.one_hot(y_train, 10).float()

model = build(np.random.RandomState(0)).to(args.device)
optimizer = optim.SGD(model.parameters(), lr=0.001)
history = History()
for _ in range(args.epochs):
    begin = time.perf_counter()
    order = cnnx.from_numpy(rng.permutation(n_train))
    for first in range(0, n_train, 128):
        batch = order[first : first + 128]
        optimizer.zero_grad()
        loss = -(targets[batch] * model(x_train[batch])).sum(1).mean()
        loss.backward()
        optimizer.step()
    seconds = time.perf_counter() - begin
    history.add(score(model, x_train, y_train), score(model, x_valid, y_valid), seconds)

plot.curves(history.curves(), args.out / "curves.png", title="S1: tanh MLP, SGD")
report(
    args,
    [
        ("train accuracy", 0.80437505, history.accuracy["train"][-1]),
        ("validation accuracy", 0.7725, history.accuracy["validation"][-1]),
    ],
    history.seconds,
)
