# Augmented images, weights saved and loaded, scikit-learn and matplotlib straight on tensors.
import os

import matplotlib.pyplot as plt
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.metrics import ConfusionMatrixDisplay, confusion_matrix
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

torch.manual_seed(0)
transform = transforms.Compose(
    [
        transforms.RandomHorizontalFlip(),
        transforms.RandomRotation(10),
        transforms.ToTensor(),
        transforms.Normalize((0.5,), (0.5,)),
    ]
)
trainset = datasets.MNIST("data", download=True, train=True, transform=transform)
testset = datasets.MNIST("data", download=True, train=False, transform=transform)
trainloader = DataLoader(trainset, batch_size=64, shuffle=True)


class CNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 4, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2d(4, 8, kernel_size=5, padding=1)
        self.linear1 = nn.Linear(8 * 6 * 6, 16)
        self.linear2 = nn.Linear(16, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = torch.flatten(x, 1)
        return self.linear2(F.relu(self.linear1(x)))


model = CNN()
path = "cnn.pt"
if os.path.exists(path):
    model.load_state_dict(torch.load(path, weights_only=False))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
loss_fn = nn.CrossEntropyLoss()
losses = []
for t in range(2):
    for X, y in trainloader:
        loss = loss_fn(model(X), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
torch.save(model.state_dict(), path)
print(f"{len(losses)} losses, the last one {losses[-1]:.3f}")

X = torch.stack(list(zip(*testset))[0])
y = torch.tensor(list(zip(*testset))[1])
with torch.no_grad():
    pred = model(X).argmax(1)
acc = (pred == y).float().mean()
print(f"{X.shape} {y.shape} accuracy {acc:.4f}")
cm = confusion_matrix(y, pred)
print(cm.shape, cm.sum() == len(y))
ConfusionMatrixDisplay(cm).plot()
plt.savefig("confusion.png")
fig, axes = plt.subplots(1, 4)
for ax, kernel in zip(axes, model.conv1.weight):
    ax.imshow(kernel[0].detach(), cmap="gray")
plt.savefig("kernels.png")
plt.figure()
plt.plot(losses)
plt.hist(model.linear1.weight.detach().flatten())
plt.savefig("losses.png")
