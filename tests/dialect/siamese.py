# A siamese net over pairs of digits with a contrastive loss, then over triplets; distances tell digits apart.
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision import datasets, transforms

np_rng = np.random.RandomState(7)


class Pairs(Dataset):
    """Two images and 0 where they show the same digit, 1 otherwise; half of the pairs each."""

    def __init__(self, mnist, count):
        self.mnist = mnist
        labels = mnist.targets.numpy()
        self.by_label = {digit: np.where(labels == digit)[0] for digit in sorted(set(labels.tolist()))}
        self.pairs = []
        for i in range(count):
            first = np_rng.randint(len(labels))
            digit = int(labels[first])
            other = digit if i % 2 == 0 else np_rng.choice([d for d in self.by_label if d != digit])
            self.pairs.append((first, int(np_rng.choice(self.by_label[other])), float(other != digit)))

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, index):
        first, second, different = self.pairs[index]
        return self.mnist[first][0], self.mnist[second][0], torch.tensor([different], dtype=torch.float32)


class ContrastiveLoss(nn.Module):
    def __init__(self, margin=2.0):
        super(ContrastiveLoss, self).__init__()
        self.margin = margin

    def forward(self, output1, output2, label):
        distance = F.pairwise_distance(output1, output2, keepdim=True)
        same = (1 - label) * torch.pow(distance, 2)
        different = label * torch.pow(torch.clamp(self.margin - distance, min=0.0), 2)
        return torch.mean(same + different)


class SiameseNetwork(nn.Module):
    def __init__(self):
        super(SiameseNetwork, self).__init__()
        self.cnn = nn.Sequential(
            nn.Conv2d(1, 8, 5), nn.PReLU(), nn.MaxPool2d(2, 2), nn.Conv2d(8, 16, 5), nn.PReLU(), nn.MaxPool2d(2, 2)
        )
        self.fc = nn.Sequential(nn.Linear(256, 32), nn.ReLU(inplace=True), nn.Linear(32, 2))

    def forward_once(self, x):
        x = self.cnn(x)
        return self.fc(x.view(x.size()[0], -1))

    def forward(self, *inputs):
        return tuple(self.forward_once(x) for x in inputs)


mnist = datasets.MNIST("./data", train=True, download=True, transform=transforms.ToTensor())
net = SiameseNetwork()
for name, p in net.named_parameters():
    if p.dim() > 1:
        bound = 1 / np.sqrt(p[0].numel())
        p.data = torch.from_numpy(np_rng.uniform(-bound, bound, tuple(p.shape))).float()
    elif name.endswith("bias"):
        nn.init.zeros_(p)

loader = DataLoader(Pairs(mnist, 160), batch_size=32)
criterion = ContrastiveLoss()
optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
for epoch in range(4):
    history = []
    for img0, img1, label in loader:
        optimizer.zero_grad()
        output1, output2 = net(img0, img1)
        loss_contrastive = criterion(output1, output2, label)
        loss_contrastive.backward()
        optimizer.step()
        history.append(loss_contrastive.item())
    print("Epoch {} contrastive loss {:.4f}".format(epoch + 1, np.mean(history)))

net.eval()
distances, labels = [], []
with torch.no_grad():
    for img0, img1, label in DataLoader(Pairs(mnist, 100), batch_size=50):
        distances.append(F.pairwise_distance(*net(img0, img1)))
        labels.append(label.squeeze(1))
distances, labels = torch.cat(distances), torch.cat(labels)
print("Mean distance: same {:.3f} different {:.3f}".format(distances[labels == 0].mean(), distances[labels == 1].mean()))

anchors = mnist.data[:90].unsqueeze(1).float() / 255
targets = mnist.targets[:90]
pick = lambda row, same: int(np_rng.choice(np.where((targets.numpy() == targets[row].item()) == same)[0]))
positives = anchors[torch.tensor([pick(i, True) for i in range(90)])]
negatives = anchors[torch.tensor([pick(i, False) for i in range(90)])]
triplet_loss = nn.TripletMarginLoss(margin=1.0, p=2)
net.train()
for step in range(8):
    loss = triplet_loss(*net(anchors, positives, negatives))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 7 == 0:
        print(f"Step {step} triplet loss {loss.item():.4f}")
