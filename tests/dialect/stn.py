# A spatial transformer: a net that learns how to shift and scale digits before it classifies them.
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from torchvision import datasets, transforms

rng = np.random.RandomState(4)
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))])
train_set = datasets.MNIST(root="data", train=True, download=True, transform=transform)
test_set = datasets.MNIST(root="data", train=False, transform=transform)
train_loader = torch.utils.data.DataLoader(train_set, batch_size=50, shuffle=False)
test_loader = torch.utils.data.DataLoader(test_set, batch_size=50, shuffle=False)


class Net(nn.Module):
    def __init__(self):
        super(Net, self).__init__()
        self.conv1 = nn.Conv2d(1, 6, kernel_size=5)
        self.conv2 = nn.Conv2d(6, 12, kernel_size=5)
        self.fc1 = nn.Linear(192, 40)
        self.fc2 = nn.Linear(40, 10)
        self.localization = nn.Sequential(
            nn.Conv2d(1, 4, kernel_size=7),
            nn.MaxPool2d(2, stride=2),
            nn.ReLU(True),
            nn.Conv2d(4, 6, kernel_size=5),
            nn.MaxPool2d(2, stride=2),
            nn.ReLU(True),
        )
        self.fc_loc = nn.Sequential(nn.Linear(6 * 3 * 3, 16), nn.ReLU(True), nn.Linear(16, 3 * 2))
        for p in self.parameters():
            fan = p[0].numel() if p.dim() > 1 else p.numel()
            p.data.copy_(torch.from_numpy(rng.uniform(-1, 1, p.shape) / np.sqrt(fan)))
        # at first the images stay as they are
        self.fc_loc[2].weight.data.zero_()
        self.fc_loc[2].bias.data.copy_(torch.tensor([1, 0, 0, 0, 1, 0], dtype=torch.float))

    def stn(self, x):
        xs = self.localization(x)
        xs = xs.view(-1, 6 * 3 * 3)
        theta = self.fc_loc(xs)
        theta = theta.view(-1, 2, 3)
        grid = F.affine_grid(theta, x.size(), align_corners=False)
        return F.grid_sample(x, grid, align_corners=False)

    def forward(self, x):
        x = self.stn(x)
        x = F.relu(F.max_pool2d(self.conv1(x), 2))
        x = F.relu(F.max_pool2d(self.conv2(x), 2))
        x = x.view(-1, 192)
        x = F.relu(self.fc1(x))
        return F.log_softmax(self.fc2(x), dim=1)


def disturbed(images):
    """The images shifted and scaled at random, by the same functions."""
    theta = torch.zeros(len(images), 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = 1.2
    theta[:, :, 2] = torch.from_numpy(rng.uniform(-0.2, 0.2, (len(images), 2))).float()
    grid = F.affine_grid(theta, list(images.shape), align_corners=True)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=True)


model = Net().to(device)
images = next(iter(test_loader))[0]
print("Images stay as they are:", torch.allclose(model.stn(images), images, atol=1e-4))
slow = [*model.localization.parameters(), *model.fc_loc.parameters()]
fast = [p for name, p in model.named_parameters() if "loc" not in name]
optimizer = optim.SGD([{"params": fast}, {"params": slow, "lr": 3e-4}], lr=0.03, momentum=0.5)
for epoch in range(1, 16):
    model.train()
    train_loss = 0
    for batch_idx, (data, target) in enumerate(train_loader):
        data, target = disturbed(data).to(device), target.to(device)
        optimizer.zero_grad()
        loss = F.nll_loss(model(data), target)
        loss.backward()
        optimizer.step()
        train_loss += loss.item() / len(train_loader)
    print("Train Epoch: {}\tLoss: {:.4f}".format(epoch, train_loss))

with torch.no_grad():
    model.eval()
    test_loss, correct = 0, 0
    for data, target in test_loader:
        data, target = disturbed(data).to(device), target.to(device)
        output = model(data)
        test_loss += F.nll_loss(output, target, reduction="sum").item()
        pred = output.max(1, keepdim=True)[1]
        correct += pred.eq(target.view_as(pred)).sum().item()
    print("Test set: loss {:.4f}, accuracy {:.2f}".format(test_loss / len(test_set), correct / len(test_set)))
    moved = model.stn(images)
    print("Now they move by", f"{(moved - images).abs().mean():.4f}", moved.shape)
