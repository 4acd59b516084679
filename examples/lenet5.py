"""LeNet-5 on MNIST: the training loop written out in full.

Nothing is hidden here. The net is a class with a forward; a DataLoader deals out
batches; and each batch takes the five lines that stand in every script of the PyTorch
dialect: zero_grad, forward, loss, backward, step. s04_cnn_adadelta.py makes such a loop
faster by cnnx.compile, s10_mlp_momentum.py replaces it by cnnx.fit. Two convolutions of
6 and 16 filters, as LeCun's net had them in 1998, recognise 99 of 100 digits after
seconds.

PyTorch, one seed, reaches 0.9722, 0.9825, 0.9853, 0.9899, 0.9907 of the test images
after its five epochs.

    python examples/lenet5.py --data-dir path/to/mnist
"""

from __future__ import annotations

import time

from common import mnist, report, start

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
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)  # (N, 6, 14, 14)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)  # (N, 16, 5, 5)
        x = x.flatten(1)  # (N, 400)
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        return self.fc3(x)


args = start(__doc__, epochs=5, needs_mnist=True)
train_images = mnist(args, train=True, transform=transforms.ToTensor())
test_images = mnist(args, train=False, transform=transforms.ToTensor())
train = DataLoader(train_images, batch_size=64, shuffle=True)
test = DataLoader(test_images, batch_size=500)
print(f"{len(train_images):,} images in {len(train):,} batches to train, {len(test_images):,} to test")

model = LeNet5().to(args.device)
optimizer = optim.Adam(model.parameters(), lr=0.001)
print(model)
print(f"{sum(p.numel() for p in model.parameters()):,} parameters")

losses, accuracies = {"train": [], "test": []}, {"train": [], "test": []}
seconds = []
for epoch in range(1, args.epochs + 1):
    begin = time.perf_counter()
    total, hits = 0.0, 0
    model.train()
    for images, labels in train:
        images, labels = images.to(args.device), labels.to(args.device)
        optimizer.zero_grad()  # forget the gradients of the batch before
        output = model(images)  # (64, 10): a score for each digit
        loss = F.cross_entropy(output, labels)
        loss.backward()  # the slope of the loss in every parameter
        optimizer.step()  # a step down that slope
        total += loss.item() * len(labels)
        hits += (output.argmax(dim=1) == labels).sum().item()
    seconds.append(time.perf_counter() - begin)
    losses["train"].append(total / len(train_images))
    accuracies["train"].append(hits / len(train_images))

    total, hits = 0.0, 0
    model.eval()
    with cnnx.no_grad():  # nothing to differentiate, so nothing is recorded
        for images, labels in test:
            images, labels = images.to(args.device), labels.to(args.device)
            output = model(images)
            total += F.cross_entropy(output, labels).item() * len(labels)
            hits += (output.argmax(dim=1) == labels).sum().item()
    losses["test"].append(total / len(test_images))
    accuracies["test"].append(hits / len(test_images))
    print(
        f"epoch {epoch}/{args.epochs}  "
        f"train: loss {losses['train'][-1]:.4f}, accuracy {accuracies['train'][-1]:.4f}  "
        f"test: loss {losses['test'][-1]:.4f}, accuracy {accuracies['test'][-1]:.4f}  {seconds[-1]:.1f} s",
        flush=True,
    )

plot.curves(
    {"loss": losses, "accuracy": accuracies},
    args.out / "curves.png",
    title=f"LeNet-5: {accuracies['test'][-1]:.2%} of the test digits after {args.epochs} epochs",
)
plot.filters(model.conv1.weight, args.out / "filters.png", title="LeNet-5: what its first 6 filters look for")
report(args, [("test accuracy", 0.9907, accuracies["test"][-1])], seconds)
