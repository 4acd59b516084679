"""LeNet-5 on the 60,000 training images of MNIST, Adam, 5 epochs.

PyTorch, one seed, reaches 0.9722, 0.9825, 0.9853, 0.9899, 0.9907 on the test images.

    python examples/lenet5.py --data-dir path/to/mnist
"""

from __future__ import annotations

from training import fit, mnist, report, start

import cnnx
import cnnx.nn as nn
import cnnx.nn.functional as F
import cnnx.optim as optim
from cnnx import plot, transforms
from cnnx.utils.data import DataLoader


class LeNet5(nn.Module):
    """Two 5x5 convolutions with pooling, then three dense layers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(400, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x: cnnx.Tensor) -> cnnx.Tensor:
        """Logits (N, 10) of images (N, 1, 28, 28)."""
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = x.flatten(1)
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        return self.fc3(x)


args = start(__doc__, epochs=5)
train_images = mnist(args, train=True, transform=transforms.ToTensor())
test_images = mnist(args, train=False, transform=transforms.ToTensor())
train = DataLoader(train_images, batch_size=64, shuffle=True)
test = DataLoader(test_images, batch_size=500)

model = LeNet5()
optimizer = optim.Adam(model.parameters(), lr=0.001)
history = fit(args, model, nn.CrossEntropyLoss(), optimizer, train, test, "test")

plot.curves(history.curves(), args.out / "curves.png", title="LeNet-5")
plot.filters(model.conv1.weight, args.out / "filters.png", title="LeNet-5: first convolution")
report(args, [("test accuracy", 0.9907, history.accuracy["test"][-1])], history.seconds)
