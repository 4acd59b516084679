"""S11: batch norm lets a net learn fast: two 3x3 convolutions, Adadelta with a learning rate of 1.

Batch norm keeps the values of each channel at mean 0 and deviation 1 over a batch, so
that large steps do no harm: 98 % of the test digits after the first epoch. cnnx.fit
draws a progress bar on a terminal (where tqdm is installed); the device is picked
automatically. maps.png looks into the net: what each channel makes of a digit.

A teaching text continues a run, with a loss from 0.0496 to 0.0057, and prints 98.97 %
of the test images right and 79 steps a second on a laptop's GPU.

    python examples/s11_cnn_batch_norm.py --data-dir path/to/mnist
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
    nn.Conv2d(1, 32, 3),
    nn.BatchNorm2d(32),
    nn.ReLU(),
    nn.Conv2d(32, 32, 3),
    nn.BatchNorm2d(32),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.BatchNorm2d(32),
    nn.Flatten(),
    nn.Linear(4608, 128),
    nn.ReLU(),
    nn.Dropout(0.2),
    nn.Linear(128, 10),
).to(args.device)
optimizer = optim.Adadelta(model.parameters())
history = cnnx.fit(model, train, validation=test, epochs=args.epochs, optimizer=optimizer)
seconds = seconds_of(history, train)
labels, classes = predict(args, model, test)
test_accuracy = accuracy(labels, classes)

draw_curves(history, args.out / "curves.png", "S11: two convolutions with batch norm, Adadelta", "test")
plot.confusion_matrix(
    confusion(labels, classes),
    path=args.out / "confusion.png",
    title=f"S11: {test_accuracy:.2%} of {len(labels):,} test images",
)
image = test.dataset[0][0][None].to(args.device)
with cnnx.no_grad():
    maps = {"after the first convolution": model[0](image)[0], "after the pooling": model[:7](image)[0]}
plot.feature_maps(maps, args.out / "maps.png", title=f"S11: a {labels[0]} inside the net")
report(
    args,
    [
        ("mean loss, epoch 1", 0.0496, history["train_loss"][0]),
        ("mean loss, last epoch", 0.0057, history["train_loss"][-1]),
        ("test accuracy", 0.9897, test_accuracy),
        ("steps per second", 79, len(train) * args.epochs / sum(seconds)),
    ],
    seconds,
)
