"""S10: an MLP 784-128-64-10 with ReLU, SGD with momentum.

The teaching text prints a mean loss of 0.659 for the first epoch and 0.0815 for the tenth, and 97.75 % of the
test images right.

    python examples/s10_mlp_momentum.py --data-dir path/to/mnist
"""

from __future__ import annotations

from training import confusion, fit, mnist, predict, report, start

import cnnx.nn as nn
import cnnx.optim as optim
from cnnx import plot, transforms
from cnnx.utils.data import DataLoader

args = start(__doc__, epochs=10)
transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))])
train = DataLoader(mnist(args, train=True, transform=transform), batch_size=64, shuffle=True)
test = DataLoader(mnist(args, train=False, transform=transform), batch_size=500)

model = nn.Sequential(
    nn.Flatten(),
    nn.Linear(784, 128),
    nn.ReLU(),
    nn.Linear(128, 64),
    nn.ReLU(),
    nn.Linear(64, 10),
)
optimizer = optim.SGD(model.parameters(), lr=0.003, momentum=0.9)
history = fit(args, model, nn.CrossEntropyLoss(), optimizer, train, test, "test")
labels, classes = predict(args, model, test)

plot.curves(history.curves(), args.out / "curves.png", title="S10: MLP, momentum")
plot.confusion_matrix(confusion(labels, classes), path=args.out / "confusion.png")
report(
    args,
    [
        ("mean loss, epoch 1", 0.659, history.loss["train"][0]),
        ("mean loss, last epoch", 0.0815, history.loss["train"][-1]),
        ("test accuracy", 0.9775, (labels == classes).float().mean().item()),
    ],
    history.seconds,
)
