"""LeNet-5 on the 60,000 training images of MNIST, Adam, 5 epochs.

PyTorch, one seed, reaches 0.9722, 0.9825, 0.9853, 0.9899, 0.9907 on the test images.

    python examples/lenet5.py --data-dir path/to/mnist --seeds 0 1 2
"""

from __future__ import annotations

from training import arguments, run_seeds

import cnnx
import cnnx.nn as nn
import cnnx.nn.functional as F
from cnnx import datasets, transforms
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
        out: cnnx.Tensor = self.fc3(x)
        return out


def main() -> None:
    args = arguments((__doc__ or "").splitlines()[0], epochs=5)
    images = datasets.MNIST(args.data_dir, train=True, transform=transforms.ToTensor())
    test = datasets.MNIST(args.data_dir, train=False, transform=transforms.ToTensor())
    train = DataLoader(images, batch_size=64, shuffle=True)
    run_seeds(args.seeds, args.epochs, LeNet5, train, {"test": DataLoader(test, batch_size=500)})


if __name__ == "__main__":
    main()
