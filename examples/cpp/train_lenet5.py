"""What train_lenet5.cpp does, with the same losses to the bit: train_lenet5.py FOLDER [EPOCHS] [SEED]."""

import sys
import time

import cnnx
import cnnx.nn as nn
import cnnx.nn.functional as F
from cnnx import datasets, optim, transforms
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
        x = F.relu(self.fc1(x.flatten(1)))
        return self.fc3(F.relu(self.fc2(x)))


folder = sys.argv[1]
epochs = int(sys.argv[2]) if len(sys.argv) > 2 else 5
cnnx.manual_seed(int(sys.argv[3]) if len(sys.argv) > 3 else 0)
train = DataLoader(datasets.MNIST(folder, train=True, transform=transforms.ToTensor()), 64, shuffle=True)
test = DataLoader(datasets.MNIST(folder, train=False, transform=transforms.ToTensor()), 500)

model = LeNet5()
optimizer = optim.Adam(model.parameters(), lr=0.001)
for epoch in range(1, epochs + 1):
    begin = time.perf_counter()
    total = hits = 0.0
    for images, labels in train:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        total += loss.item() * len(labels)
    seconds = time.perf_counter() - begin
    with cnnx.no_grad():
        for images, labels in test:
            hits += (model(images).argmax(1) == labels).sum().item()
    loss, accuracy = total / len(train.dataset), hits / len(test.dataset)
    print(f"epoch {epoch}: loss {loss:.9f} ({total.hex()}), test accuracy {accuracy:.4f}")
    print(f"{seconds:.1f} s", file=sys.stderr)
cnnx.save(model.state_dict(), "lenet5.safetensors")
