# A variational autoencoder: noise put in by the reparameterisation, BCE and KL, pictures of samples.
import os

import numpy as np
import torch
import torch.utils.data
from torch import nn, optim
from torch.nn import functional as F
from torchvision import datasets, transforms
from torchvision.utils import save_image

rng = np.random.default_rng(1)
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
os.makedirs("results", exist_ok=True)
train_loader = torch.utils.data.DataLoader(
    datasets.MNIST("./data", train=True, download=True, transform=transforms.ToTensor()), batch_size=25
)
test_loader = torch.utils.data.DataLoader(
    datasets.MNIST("./data", train=False, transform=transforms.ToTensor()), batch_size=50, shuffle=False
)


class VAE(nn.Module):
    def __init__(self):
        super(VAE, self).__init__()
        self.fc1 = nn.Linear(784, 100)
        self.fc21 = nn.Linear(100, 8)
        self.fc22 = nn.Linear(100, 8)
        self.fc3 = nn.Linear(8, 100)
        self.fc4 = nn.Linear(100, 784)

    def encode(self, x):
        h1 = F.relu(self.fc1(x))
        return self.fc21(h1), self.fc22(h1)

    def reparameterize(self, mu, logvar):
        std = torch.exp(0.5 * logvar)
        eps = torch.from_numpy(rng.standard_normal(std.shape)).to(std)
        return mu + eps * std

    def decode(self, z):
        h3 = F.relu(self.fc3(z))
        return torch.sigmoid(self.fc4(h3))

    def forward(self, x):
        mu, logvar = self.encode(x.view(-1, 784))
        z = self.reparameterize(mu, logvar)
        return self.decode(z), mu, logvar


def loss_function(recon_x, x, mu, logvar):
    bce = F.binary_cross_entropy(recon_x, x.view(-1, 784), reduction="sum")
    kld = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return bce, kld


model = VAE().to(device)
for layer in model.children():
    values = rng.uniform(-1, 1, layer.weight.shape) / np.sqrt(layer.in_features)
    layer.weight = nn.Parameter(torch.tensor(values, dtype=torch.float32, device=device))
    nn.init.constant_(layer.bias, 0.0)
optimizer = optim.Adam(model.parameters(), lr=2e-3)


def train(epoch):
    model.train()
    train_loss = 0
    for batch_idx, (data, _) in enumerate(train_loader):
        data = data.to(device)
        optimizer.zero_grad()
        recon_batch, mu, logvar = model(data)
        loss = sum(loss_function(recon_batch, data, mu, logvar))
        loss.backward()
        train_loss += loss.item()
        optimizer.step()
    print("====> Epoch: {} Average loss: {:.1f}".format(epoch, train_loss / len(train_loader.dataset)))


def test(epoch):
    model.eval()
    bce, kld = 0, 0
    with torch.no_grad():
        for i, (data, _) in enumerate(test_loader):
            data = data.to(device)
            recon_batch, mu, logvar = model(data)
            parts = loss_function(recon_batch, data, mu, logvar)
            bce, kld = bce + parts[0].item(), kld + parts[1].item()
            if i == 0:
                n = min(data.size(0), 8)
                comparison = torch.cat([data[:n], recon_batch.view(data.size(0), 1, 28, 28)[:n]])
                save_image(comparison.cpu(), "results/reconstruction_" + str(epoch) + ".png", nrow=n)
    count = len(test_loader.dataset)
    print("====> Test set loss: {:.2f}, of it KL {:.2f}".format((bce + kld) / count, kld / count))


for epoch in range(1, 9):
    train(epoch)
    test(epoch)
    with torch.no_grad():
        sample = torch.randn(64, 8).to(device)
        sample = model.decode(sample).cpu()
        save_image(sample.view(64, 1, 28, 28), "results/sample_" + str(epoch) + ".png")
print(len(os.listdir("results")), "pictures", sample.shape, bool(sample.min() >= 0), bool(sample.max() <= 1))
