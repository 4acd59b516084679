"""S10: a training in ten lines: a dense net on MNIST by cnnx.fit.

cnnx.fit is the loop of lenet5.py in one call: it prints a line for each epoch, measures
accuracy by itself, runs its steps as plans and returns a History, which is a table, a
dict and a picture. The net, 784-128-64-10 with ReLU, has no convolution: what it misses
can be seen beside the nets that have.

A teaching text prints a mean loss of 0.659 for the first epoch and 0.0815 for the
tenth, and 97.75 % of the test images right (which neither cnnx nor PyTorch reaches on
average; see docs/results.md).

    python examples/s10_mlp_momentum.py --data-dir path/to/mnist
"""

from __future__ import annotations

from common import accuracy, confusion, draw_curves, mnist, predict, report, seconds_of, start

import cnnx
import cnnx.nn as nn
import cnnx.optim as optim
from cnnx import plot, transforms
from cnnx.utils.data import DataLoader

args = start(__doc__, epochs=10, needs_mnist=True)
transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))])
train = DataLoader(mnist(args, train=True, transform=transform), batch_size=64, shuffle=True)
test = DataLoader(mnist(args, train=False, transform=transform), batch_size=500)
print(f"{len(train.dataset):,} images to train; the {len(test.dataset):,} test images are 'val' below")

model = nn.Sequential(
    nn.Flatten(),
    nn.Linear(784, 128),
    nn.ReLU(),
    nn.Linear(128, 64),
    nn.ReLU(),
    nn.Linear(64, 10),
).to(args.device)
optimizer = optim.SGD(model.parameters(), lr=0.003, momentum=0.9)
history = cnnx.fit(model, train, validation=test, epochs=args.epochs, optimizer=optimizer)
last = history["validation_accuracy"][-1]  # print(history) is a table, history["train_loss"] a list
print(f"after the last epoch: {last:.2%} of the test images, which chose nothing")

labels, classes = predict(args, model, test)
test_accuracy = accuracy(labels, classes)
draw_curves(history, args.out / "curves.png", "S10: a dense net 784-128-64-10, SGD with momentum", "test")
plot.confusion_matrix(
    confusion(labels, classes),
    path=args.out / "confusion.png",
    title=f"S10: {test_accuracy:.2%} of {len(labels):,} test images",
)
report(
    args,
    [
        ("mean loss, epoch 1", 0.659, history["train_loss"][0]),
        ("mean loss, last epoch", 0.0815, history["train_loss"][-1]),
        ("test accuracy", 0.9775, test_accuracy),
    ],
    seconds_of(history, train),
)
