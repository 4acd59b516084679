# A layer of one's own over tensor functions, user datasets, random_split, autograd.grad.
import numpy as np
import torch
from torch import nn, optim
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, TensorDataset, random_split

torch.manual_seed(3)
rng = np.random.default_rng(3)
X = torch.tensor(rng.random((100, 8, 8)), dtype=torch.float32)
y = torch.from_numpy(rng.integers(0, 10, 100))


class Digits(Dataset):
    def __init__(self, images, labels):
        self.images, self.labels = images, labels

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index].unsqueeze(0), self.labels[index]


class Convolution(nn.Module):
    def __init__(self, kernel_size=3):
        super().__init__()
        self.kernel_size = kernel_size
        self.weight = nn.Parameter(torch.randn(kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.randn(1))

    def forward(self, x):
        n, _, h, w = x.shape
        k = self.kernel_size
        patches = F.unfold(x, k).transpose(1, 2)
        out = patches @ self.weight.reshape(-1, 1) + self.bias
        return torch.relu(out).view(n, h - k + 1, w - k + 1)


class ByHand(nn.Module):
    def __init__(self, weight, bias):
        super().__init__()
        self.weight = nn.Parameter(weight.detach().clone())
        self.bias = nn.Parameter(bias.detach().clone())

    def forward(self, x):
        rows = []
        for i in range(x.shape[2] - 2):
            row = []
            for j in range(x.shape[3] - 2):
                row.append((x[:, 0, i : i + 3, j : j + 3] * self.weight).sum(dim=(1, 2)) + self.bias)
            rows.append(torch.stack(row, dim=1))
        return torch.clamp(torch.stack(rows, dim=1), min=0.0)


conv = Convolution()
by_hand = ByHand(conv.weight, conv.bias)
model = nn.Sequential(conv, nn.Flatten(), nn.Linear(36, 10), nn.ReLU(), nn.Linear(10, 10), nn.Softmax(dim=1))
assert torch.allclose(conv(X[:5, None]), by_hand(X[:5, None]), atol=1e-5)
optimizer = optim.SGD(model.parameters(), lr=0.1)
train_set, valid_set = random_split(Digits(X, y), [80, 20], generator=torch.Generator().manual_seed(0))
loader = DataLoader(train_set, batch_size=16, shuffle=True, drop_last=True)
for epoch in range(2):
    for images, labels in loader:
        p = model(images)
        loss = -torch.log(p[torch.arange(len(labels)), labels]).mean()
        model.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"epoch {epoch} loss {loss.item():.3f}")
grad = torch.autograd.grad(by_hand(X[:1, None]).sum(), by_hand.weight)[0]
print(grad.shape, conv.weight.grad.norm() >= 0, optimizer.param_groups[0]["lr"])
for inputs, targets in DataLoader(TensorDataset(X, y), batch_size=40):
    print(inputs.size(), targets.size(0))
