"""A variational autoencoder lays all digits out on a plane, and draws what lies between.

The encoder sends an image to a point of the plane, with an uncertainty: a normal
distribution. The decoder must draw the image from a point drawn out of that, which
rsample makes differentiable (noise times deviation plus mean). The Kullback-Leibler
divergence keeps the distributions near a standard normal one, so that the plane has no
holes: any point of it can be decoded (Kingma and Welling, "Auto-Encoding Variational
Bayes", 2013). map.png shows where the digits went, though no label was ever shown, and
what the decoder draws at each place. The 8x8 digits are inside the package.

    python examples/vae.py
"""

from __future__ import annotations

import time

import matplotlib.pyplot as plt
import numpy as np
from common import report, start

import cnnx
import cnnx.nn as nn
import cnnx.nn.functional as F
import cnnx.optim as optim
from cnnx import datasets, transforms
from cnnx.distributions import Normal, kl_divergence
from cnnx.utils.data import DataLoader


class VAE(nn.Module):
    """Encodes images (N, 1, 8, 8) as distributions on a plane; its decoder draws points (N, 2) of it."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU()
        )
        self.mean, self.log_deviation = nn.Linear(64, 2), nn.Linear(64, 2)
        self.decoder = nn.Sequential(
            nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.Sigmoid(),
            nn.Unflatten(1, (1, 8, 8)),
        )  # fmt: skip

    def encode(self, images: cnnx.Tensor) -> Normal:
        hidden = self.encoder(images)
        return Normal(self.mean(hidden), self.log_deviation(hidden).exp())


args = start(__doc__, epochs=150)
digits = datasets.Digits(train=None, transform=transforms.ToTensor())
loader = DataLoader(digits, batch_size=64, shuffle=True)
model = VAE().to(args.device)
optimizer = optim.Adam(model.parameters(), lr=0.002)
print(f"{len(digits):,} digits; {sum(p.numel() for p in model.parameters()):,} parameters")
print("reconstruction: how unlike the drawing is, over 64 pixels; divergence: what a place tells (nats)")

unlike, tells, seconds = [], [], []
prior = Normal(cnnx.zeros(2, device=args.device), cnnx.ones(2, device=args.device))
for epoch in range(1, args.epochs + 1):
    begin, sums = time.perf_counter(), np.zeros(2)
    for images, _ in loader:
        images = images.to(args.device)
        places = model.encode(images)
        drawn = model.decoder(places.rsample())
        reconstruction = F.binary_cross_entropy(drawn, images, reduction="sum")
        divergence = kl_divergence(places, prior).sum()
        optimizer.zero_grad()
        ((reconstruction + divergence) / len(images)).backward()
        optimizer.step()
        sums += [reconstruction.item(), divergence.item()]
    seconds.append(time.perf_counter() - begin)
    unlike.append(sums[0] / len(digits))
    tells.append(sums[1] / len(digits))
    if epoch == 1 or epoch % max(1, args.epochs // 10) == 0:
        line = f"epoch {epoch:3}/{args.epochs}  reconstruction {unlike[-1]:.2f}  divergence {tells[-1]:.2f}"
        print(line, flush=True)

with cnnx.no_grad():
    images, labels = next(iter(DataLoader(digits, batch_size=len(digits))))
    points = model.encode(images.to(args.device)).mean.cpu().numpy()
    steps = cnnx.linspace(-2.2, 2.2, 16)
    rows, columns = cnnx.meshgrid(steps.flip(0), steps, indexing="ij")
    grid = model.decoder(cnnx.stack([columns, rows], dim=-1).reshape(-1, 2).to(args.device)).cpu()
smooth = F.interpolate(grid, scale_factor=4, mode="bicubic").clamp(0, 1).reshape(16, 16, 32, 32)
canvas = smooth.permute(0, 2, 1, 3).reshape(512, 512)

figure, (left, right) = plt.subplots(1, 2, figsize=(13, 6.4), layout="constrained")
for digit in range(10):
    own = points[labels.numpy() == digit]
    left.scatter(*own.T, s=12, color=f"C{digit}", alpha=0.7, label=str(digit))
left.legend(title="digit", ncols=2)
left.set(title="where the encoder puts 1,797 digits", xlim=(-3.3, 3.3), ylim=(-3.3, 3.3), aspect="equal")
right.imshow(canvas, cmap="gray", extent=(-2.35, 2.35, -2.35, 2.35))
right.set(title="what the decoder draws at each place")
for axes in (left, right):
    axes.set(xlabel="first coordinate", ylabel="second coordinate")
figure.suptitle("A plane of digits, learnt without a label", fontsize=16)
figure.savefig(args.out / "map.png", dpi=120)
report(args, [("reconstruction", None, unlike[-1]), ("divergence", None, tells[-1])], seconds)
