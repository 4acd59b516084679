# A 1-D U-Net over a user dataset of generated sequences.
import numpy as np
import torch
import torch.nn as nn
import torch.optim as optim
from torch.utils.data import DataLoader, Dataset

np.random.seed(0)
torch.manual_seed(0)


def generate(n=100):
    start = np.random.randint(0, n // 2)
    end = np.random.randint(start + 1, n)
    peak = np.zeros(n)
    peak[start:end] = np.random.uniform(1, 3)
    sine = np.random.uniform(0.5, 1.5) * np.sin(2 * np.pi * np.random.uniform(0.05, 0.2) * np.arange(n))
    return peak + sine + np.random.normal(0, 0.1, n), (peak > 0).astype(np.float32)


class Sequences(Dataset):
    def __init__(self, count):
        self.data = [generate() for _ in range(count)]

    def __len__(self):
        return len(self.data)

    def __getitem__(self, idx):
        x, y = self.data[idx]
        return torch.tensor(x, dtype=torch.float32).unsqueeze(0), torch.tensor(y, dtype=torch.float32).unsqueeze(0)


class UNet1D(nn.Module):
    def __init__(self):
        super(UNet1D, self).__init__()
        self.encoder1 = nn.Sequential(nn.Conv1d(1, 16, kernel_size=3, padding=1), nn.ReLU(inplace=True))
        self.encoder2 = nn.Sequential(nn.Conv1d(16, 32, kernel_size=3, stride=2, padding=1), nn.ReLU(inplace=True))
        self.decoder1 = nn.Sequential(
            nn.ConvTranspose1d(32, 16, kernel_size=3, stride=2, padding=1, output_padding=1), nn.ReLU(inplace=True)
        )
        self.out = nn.Conv1d(32, 1, kernel_size=3, padding=1)

    def forward(self, x):
        enc1 = self.encoder1(x)
        enc2 = self.encoder2(enc1)
        dec1 = self.decoder1(enc2)
        return torch.sigmoid(self.out(torch.cat((dec1, enc1), dim=1)))


dataloader = DataLoader(Sequences(40), batch_size=10, shuffle=True)
model = UNet1D()
criterion = nn.BCELoss()
optimizer = optim.Adam(model.parameters(), lr=0.001)
for epoch in range(2):
    for inputs, targets in dataloader:
        optimizer.zero_grad()
        outputs = model(inputs)
        loss = criterion(outputs, targets)
        loss.backward()
        optimizer.step()
    print(f"Epoch [{epoch + 1}/2], Loss: {loss.item():.4f}")
model.eval()
with torch.no_grad():
    x, y = generate()
    prediction = model(torch.tensor(x, dtype=torch.float32).unsqueeze(0).unsqueeze(0)).squeeze().numpy()
print(prediction.shape, ((prediction > 0.5) == y).shape)
print(list(model.state_dict()))
