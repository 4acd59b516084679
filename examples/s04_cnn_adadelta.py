"""S4: two 3x3 convolutions by Adadelta, with a training step that cnnx.compile replays.

The loop is the plain one, but its step is a function of a batch, and cnnx.compile(step,
static=True) notes in one call what it does, and from then on replays that without any
Python: the same bits, in less time. The net learns from 8,000 of MNIST's test images,
in one order for all epochs, and is validated by the other 2,000.

A teaching text prints the loss of each epoch's last batch, 64 images: 0.663, 0.442,
0.327, 0.249, 0.195, 0.156, 0.124, 0.102, 0.085, 0.073. So small a batch says little,
and another order gives another row of figures.

    python examples/s04_cnn_adadelta.py --data-dir path/to/mnist
"""

from __future__ import annotations

import time

from common import accuracy, mnist, predict, report, start

import cnnx
import cnnx.nn as nn
import cnnx.optim as optim
from cnnx import plot, transforms
from cnnx.utils.data import DataLoader, Subset

args = start(__doc__, epochs=10, needs_mnist=True)
images = mnist(args, train=False, transform=transforms.ToTensor())
n_train = len(images) * 8 // 10
order = cnnx.randperm(n_train)
train = DataLoader(Subset(images, order), batch_size=128)
validation = DataLoader(Subset(images, range(n_train, len(images))), batch_size=500)
print(f"{n_train:,} images to train, {len(images) - n_train:,} to validate")

model = nn.Sequential(
    nn.Conv2d(1, 32, kernel_size=3),
    nn.ReLU(),
    nn.Conv2d(32, 64, kernel_size=3),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Flatten(),
    nn.Linear(9216, 128),
    nn.ReLU(),
    nn.Linear(128, 10),
    nn.LogSoftmax(dim=1),
).to(args.device)
loss_function = nn.NLLLoss()
optimizer = optim.Adadelta(model.parameters(), lr=0.1)


def step(images: cnnx.Tensor, labels: cnnx.Tensor) -> cnnx.Tensor:
    """Updates the model by a batch; returns its loss."""
    optimizer.zero_grad()
    loss = loss_function(model(images), labels)
    loss.backward()
    optimizer.step()
    return loss


compiled_step = cnnx.compile(step, static=True)
means, last_losses, accuracies, seconds = [], [], [], []
for epoch in range(1, args.epochs + 1):
    begin, total = time.perf_counter(), 0.0
    model.train()
    for x, y in train:
        loss = compiled_step(x.to(args.device), y.to(args.device)).item()
        total += loss * len(y)
    seconds.append(time.perf_counter() - begin)
    means.append(total / n_train)
    last_losses.append(loss)
    labels, classes = predict(args, model, validation)
    accuracies.append(accuracy(labels, classes))
    print(
        f"epoch {epoch}/{args.epochs}  mean loss {means[-1]:.4f}, last batch {last_losses[-1]:.4f}  "
        f"validation accuracy {accuracies[-1]:.4f}  {seconds[-1]:.1f} s",
        flush=True,
    )

text = [0.663, 0.442, 0.327, 0.249, 0.195, 0.156, 0.124, 0.102, 0.085, 0.073]
plot.curves(
    {
        "training loss": {"mean": means, "last batch": last_losses, "last batch, the text": text},
        "accuracy": {"validation": accuracies},
    },
    args.out / "curves.png",
    title="S4: a CNN on 8,000 digits, Adadelta",
)
plot.filters(model[0].weight, args.out / "filters.png", title="S4: the 32 filters of the first convolution")
figures = [
    (f"loss of the last batch, epoch {epoch}", printed, own)
    for epoch, (printed, own) in enumerate(zip(text, last_losses, strict=False), 1)
]
figures[-1] = ("loss of the last batch", *figures[-1][1:])
report(args, [*figures, ("validation accuracy", None, accuracies[-1])], seconds)
