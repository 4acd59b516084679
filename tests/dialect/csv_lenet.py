# LeNet on a CSV file, a label and 784 pixels a line, read by NumPy into a data set of one's own.
import csv
import os

import numpy as np
import torch
import torch.nn as nn
import torch.optim as optim
from torch.utils.data import DataLoader, Dataset


def convert(images, labels, path):
    """Write a pair of MNIST's files as lines of numbers below a header."""
    with open(images, "rb") as f, open(labels, "rb") as g, open(path, "w", newline="") as out:
        f.read(16)
        g.read(8)
        writer = csv.writer(out)
        writer.writerow(["label"] + [f"pixel{i}" for i in range(784)])
        for label in g.read():
            writer.writerow([label, *f.read(784)])


for part, prefix in [("train", "train"), ("test", "t10k")]:
    raw = os.path.join("data", "MNIST", "raw", prefix)
    convert(raw + "-images-idx3-ubyte", raw + "-labels-idx1-ubyte", f"mnist_{part}.csv")


class CSVDataset(Dataset):
    def __init__(self, path, transform=None):
        table = np.loadtxt(path, delimiter=",", skiprows=1, dtype=np.int64)
        self.labels = table[:, 0]
        self.images = table[:, 1:].reshape(-1, 1, 28, 28).astype(np.uint8)
        self.transform = transform

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, idx):
        if torch.is_tensor(idx):
            idx = idx.tolist()
        image, label = self.images[idx], self.labels[idx]
        if self.transform:
            image = self.transform(image)
        return image, torch.tensor(label, dtype=torch.long)


class LeNet5(nn.Module):
    def __init__(self):
        super(LeNet5, self).__init__()
        self.feature = nn.Sequential(
            nn.Conv2d(1, 6, kernel_size=5, stride=1, padding=2),
            nn.Tanh(),
            nn.AvgPool2d(kernel_size=2, stride=2),
            nn.Conv2d(6, 16, kernel_size=5),
            nn.Tanh(),
            nn.AvgPool2d(kernel_size=2, stride=2),
        )
        self.classifier = nn.Sequential(
            nn.Flatten(), nn.Linear(16 * 5 * 5, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10)
        )

    def forward(self, x):
        return self.classifier(self.feature(x))




def transform(image):
    return (torch.from_numpy(image).float() / 255 - 0.5) / 0.5


train_data, test_data = CSVDataset("mnist_train.csv", transform), CSVDataset("mnist_test.csv", transform)
image, label = train_data[torch.tensor(0)]
print(len(train_data), len(test_data), image.shape, image.dtype, label, f"{image.min():.2f} {image.max():.2f}")
trainloader = DataLoader(train_data, batch_size=50, shuffle=False)
testloader = DataLoader(test_data, batch_size=len(test_data))

model = LeNet5()
rng = np.random.default_rng(1998)
model.load_state_dict(
    {
        name: torch.from_numpy(rng.uniform(-1, 1, p.shape).astype(np.float32) / np.float32(np.sqrt(p[0].numel())))
        if p.dim() > 1
        else torch.zeros_like(p)
        for name, p in model.named_parameters()
    }
)
print(model)
criterion = nn.CrossEntropyLoss()
optimizer = optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
for epoch in range(8):
    running_loss, running_correct = 0.0, 0
    model.train()
    for images, labels in trainloader:
        outputs = model(images)
        loss = criterion(outputs, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        running_loss += loss.item() * images.size(0)
        running_correct += torch.sum(outputs.argmax(dim=1) == labels.data)
    size = len(trainloader.dataset)
    print(f"Epoch {epoch + 1}: loss {running_loss / size:.4f}, accuracy {running_correct.double() / size:.2f}")

model.eval()
with torch.no_grad():
    images, labels = next(iter(testloader))
    predictions = model(images).argmax(1)
hits = [(predictions[labels == digit] == digit).float().mean().item() for digit in range(10)]
print(f"Test accuracy {(predictions == labels).float().mean():.2f}", [round(hit, 2) for hit in hits])
with open("submission.csv", "w", newline="") as f:
    csv.writer(f).writerows(zip(range(1, 101), predictions.tolist()))
with open("submission.csv") as f:
    print(sum(1 for _ in f))
