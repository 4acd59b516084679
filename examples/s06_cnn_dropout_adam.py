"""S6: two 5x5 convolutions, dropout, Adam; built layer by layer.

50,000 images train, 10,000 validate, 10,000 test. The teaching text prints for epoch 1 train 0.9503 and
validation 0.9802, for epoch 20 train 0.9979 and validation 0.9907, and a test accuracy of 0.9914.

    python examples/s06_cnn_dropout_adam.py --data-dir path/to/mnist
"""

from __future__ import annotations

from training import confusion, fit, mnist, predict, report, start

import cnnx
import cnnx.nn as nn
import cnnx.optim as optim
from cnnx import plot, transforms
from cnnx.utils.data import DataLoader, Subset

args = start(__doc__, epochs=20)
images = mnist(args, train=True, transform=transforms.ToTensor())
test_images = mnist(args, train=False, transform=transforms.ToTensor())
held_out = len(images) // 6
train = DataLoader(Subset(images, range(held_out, len(images))), batch_size=64, shuffle=True)
validation = DataLoader(Subset(images, range(held_out)), batch_size=500)
test = DataLoader(test_images, batch_size=500)

model = nn.Sequential()
model.add_module("conv1", nn.Conv2d(1, 32, kernel_size=5, padding=2))
model.add_module("relu1", nn.ReLU())
model.add_module("pool1", nn.MaxPool2d(kernel_size=2))
model.add_module("conv2", nn.Conv2d(32, 64, kernel_size=5, padding=2))
model.add_module("relu2", nn.ReLU())
model.add_module("pool2", nn.MaxPool2d(kernel_size=2))
print("after the second pooling:", tuple(model(cnnx.ones(4, 1, 28, 28)).shape))  # (4, 64, 7, 7)
model.add_module("flatten", nn.Flatten())
print("flattened:", tuple(model(cnnx.ones(4, 1, 28, 28)).shape))  # (4, 3136)
model.add_module("fc1", nn.Linear(3136, 1024))
model.add_module("relu3", nn.ReLU())
model.add_module("dropout", nn.Dropout(p=0.5))
model.add_module("fc2", nn.Linear(1024, 10))

loss_function = nn.CrossEntropyLoss()
optimizer = optim.Adam(model.parameters(), lr=0.001)
history = fit(args, model, loss_function, optimizer, train, validation)
labels, classes = predict(args, model, test)

plot.curves(history.curves(), args.out / "curves.png", title="S6: CNN, dropout, Adam")
plot.confusion_matrix(confusion(labels, classes), path=args.out / "confusion.png")
plot.filters(model.conv1.weight, args.out / "filters.png", title="S6: first convolution")
train_accuracy, validation_accuracy = history.accuracy["train"], history.accuracy["validation"]
report(
    args,
    [
        ("train accuracy, epoch 1", 0.9503, train_accuracy[0]),
        ("validation accuracy, epoch 1", 0.9802, validation_accuracy[0]),
        ("train accuracy, last epoch", 0.9979, train_accuracy[-1]),
        ("validation accuracy, last epoch", 0.9907, validation_accuracy[-1]),
        ("test accuracy", 0.9914, (labels == classes).float().mean().item()),
    ],
    history.seconds,
)
