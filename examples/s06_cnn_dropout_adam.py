"""S6: the net of textbooks: two 5x5 convolutions, dropout and Adam reach 99 % of MNIST.

Built layer by layer, with the shape looked at on the way; 50,000 images train, 10,000
validate after each epoch, and the 10,000 test images are asked once, at the end. In the
curves the training loss goes on falling when the validation loss has long stopped: the
net begins to learn its images by heart, and dropout (half of the 1,024 hidden values
are set to zero at random, in training alone) is what holds against it.

A teaching text prints for epoch 1 train 0.9503 and validation 0.9802, for epoch 20
train 0.9979 and validation 0.9907, and a test accuracy of 0.9914.

    python examples/s06_cnn_dropout_adam.py --data-dir path/to/mnist
"""

from __future__ import annotations

from common import accuracy, confusion, mnist, predict, report, seconds_of, start

import cnnx
import cnnx.nn as nn
import cnnx.optim as optim
from cnnx import plot, transforms
from cnnx.utils.data import DataLoader, Subset

args = start(__doc__, epochs=20, needs_mnist=True)
images = mnist(args, train=True, transform=transforms.ToTensor())
test_images = mnist(args, train=False, transform=transforms.ToTensor())
held_out = len(images) // 6
train = DataLoader(Subset(images, range(held_out, len(images))), batch_size=64, shuffle=True)
validation = DataLoader(Subset(images, range(held_out)), batch_size=500)
test = DataLoader(test_images, batch_size=500)
print(f"{len(images) - held_out:,} images to train, {held_out:,} to validate, {len(test_images):,} to test")

model = nn.Sequential()
model.add_module("conv1", nn.Conv2d(1, 32, kernel_size=5, padding=2))
model.add_module("relu1", nn.ReLU())
model.add_module("pool1", nn.MaxPool2d(kernel_size=2))
model.add_module("conv2", nn.Conv2d(32, 64, kernel_size=5, padding=2))
model.add_module("relu2", nn.ReLU())
model.add_module("pool2", nn.MaxPool2d(kernel_size=2))
print("4 images after the second pooling:", tuple(model(cnnx.ones(4, 1, 28, 28)).shape))  # (4, 64, 7, 7)
model.add_module("flatten", nn.Flatten())
print("and flattened:", tuple(model(cnnx.ones(4, 1, 28, 28)).shape))  # (4, 3136)
model.add_module("fc1", nn.Linear(3136, 1024))
model.add_module("relu3", nn.ReLU())
model.add_module("dropout", nn.Dropout(p=0.5))
model.add_module("fc2", nn.Linear(1024, 10))
print(f"{sum(p.numel() for p in model.parameters()):,} parameters")

model.to(args.device)
optimizer = optim.Adam(model.parameters(), lr=0.001)
history = cnnx.fit(model, train, validation=validation, epochs=args.epochs, optimizer=optimizer)
labels, classes = predict(args, model, test)
test_accuracy = accuracy(labels, classes)

history.plot(args.out / "curves.png", title="S6: two convolutions, dropout, Adam")
plot.confusion_matrix(
    confusion(labels, classes),
    path=args.out / "confusion.png",
    title=f"S6: {test_accuracy:.2%} of {len(labels):,} test images",
)
plot.filters(
    model.conv1.weight, args.out / "filters.png", title="S6: the 32 filters of the first convolution"
)
train_accuracy, validation_accuracy = history["train_accuracy"], history["validation_accuracy"]
report(
    args,
    [
        ("train accuracy, epoch 1", 0.9503, train_accuracy[0]),
        ("validation accuracy, epoch 1", 0.9802, validation_accuracy[0]),
        ("train accuracy, last epoch", 0.9979, train_accuracy[-1]),
        ("validation accuracy, last epoch", 0.9907, validation_accuracy[-1]),
        ("test accuracy", 0.9914, test_accuracy),
    ],
    seconds_of(history, train),
)
