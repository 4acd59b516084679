"""How sharp is the valley that a training has reached? The largest curvature of a loss, without its Hessian.

The Hessian of a loss in P parameters has P^2 numbers, but its product with a vector
costs only two backward passes: of the gradient, recorded (create_graph=True), and of
that gradient's inner product with the vector (Pearlmutter, "Fast Exact Multiplication
by the Hessian", 1994). Power iteration over such products finds the largest eigenvalue,
the curvature in the steepest direction: a learning rate above 2 / it makes gradient
descent leap out of the valley. Here, with 410 parameters, the whole Hessian can be made
as well, one product for each column, and says the same; its eigenvalues show how flat
nearly all directions are.

    python examples/hessian_vector.py
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
from cnnx import autograd, datasets, transforms
from cnnx.utils.data import DataLoader

args = start(__doc__, epochs=12)
digits = datasets.Digits(train=None, transform=transforms.ToTensor())
loader = DataLoader(digits, batch_size=64, shuffle=True)
images, labels = next(iter(DataLoader(digits, batch_size=64 if args.quick else 512)))
images, labels = images.double().to(args.device), labels.to(args.device)

model = nn.Sequential(
    nn.Conv2d(1, 4, 3), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(36, 10)
).to(args.device).double()  # fmt: skip
parameters = list(model.parameters())
sizes = [p.numel() for p in parameters]


def hessian_vector(vector: cnnx.Tensor) -> cnnx.Tensor:
    """The Hessian of the loss on the images, times a vector of all parameters."""
    grads = autograd.grad(F.cross_entropy(model(images), labels), parameters, create_graph=True)
    parts = [part.reshape(g.shape) for part, g in zip(vector.split(sizes), grads, strict=True)]
    inner = sum((g * part).sum() for g, part in zip(grads, parts, strict=True))
    return cnnx.cat([h.flatten() for h in autograd.grad(inner, parameters)])


def sharpness(steps: int) -> float:
    """The largest eigenvalue, by power iteration."""
    vector = cnnx.randn(sum(sizes), dtype=cnnx.float64, device=args.device)
    value = 0.0
    for _ in range(steps):
        vector = vector / vector.norm()
        product = hessian_vector(vector)
        value = (vector @ product).item()
        vector = product
    return value


print(f"{len(images)} digits of 8x8, a net of {sum(sizes)} parameters, float64")
steps = 20 if args.quick else 100
optimizer = optim.SGD(model.parameters(), lr=0.3)
sharp, losses = [sharpness(steps)], [F.cross_entropy(model(images), labels).item()]
begin = time.perf_counter()
for epoch in range(1, args.epochs + 1):
    for batch, targets in loader:
        optimizer.zero_grad()
        F.cross_entropy(model(batch.double().to(args.device)), targets.to(args.device)).backward()
        optimizer.step()
    sharp.append(sharpness(steps))
    losses.append(F.cross_entropy(model(images), labels).item())
    print(
        f"epoch {epoch:2}/{args.epochs}  loss {losses[-1]:.4f}  largest eigenvalue of the Hessian "
        f"{sharp[-1]:.4f}, stable up to a learning rate of {2 / sharp[-1]:.2f}",
        flush=True,
    )
seconds = time.perf_counter() - begin

print(f"the whole Hessian, by {sum(sizes)} products ...", flush=True)
unit = cnnx.eye(sum(sizes), dtype=cnnx.float64, device=args.device)
hessian = np.stack([hessian_vector(row).cpu().numpy() for row in unit])
eigenvalues = np.linalg.eigvalsh((hessian + hessian.T) / 2)

figure, axes = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
axes[0].plot(losses, "o-", markersize=4, label="loss")
axes[0].plot(sharp, "o-", markersize=4, label="largest eigenvalue of its Hessian")
axes[0].set(xlabel="epoch", ylabel="value", title="the valley gets deeper, not flatter", ylim=(0, None))
axes[1].hist(eigenvalues, bins=60, log=True)
axes[1].axvline(sharp[-1], color="tab:red", linestyle="--", label="by power iteration")
axes[1].set(
    xlabel="eigenvalue", ylabel="how many", title=f"all {sum(sizes)} eigenvalues after the last epoch"
)
for panel in axes:
    panel.grid(alpha=0.3)
    panel.legend()
figure.suptitle("The curvature of a loss: a few steep directions, and hundreds of flat ones", fontsize=14)
figure.savefig(args.out / "hessian.png", dpi=144)
report(
    args,
    [
        ("asymmetry of the Hessian", 0, float(np.abs(hessian - hessian.T).max())),
        ("largest eigenvalue, of the whole Hessian", None, float(eigenvalues[-1])),
        ("largest eigenvalue, by products", None, sharp[-1]),
    ],
    [seconds / args.epochs] * args.epochs,
)
