"""The sharpness of a loss: the largest eigenvalue of its Hessian, by Hessian-vector products alone.

A Hessian of P parameters has P^2 numbers; its product with a vector costs two backward passes: the gradient,
recorded (create_graph=True), and the gradient of its inner product with the vector (Pearlmutter, "Fast Exact
Multiplication by the Hessian", 1994). Power iteration on such products finds the largest eigenvalue. It is
compared with that of the whole Hessian, which takes one product for each parameter.

    python examples/hessian_vector.py
"""

from __future__ import annotations

import time

import matplotlib.pyplot as plt
import numpy as np
from training import report, start

import cnnx
import cnnx.nn as nn
import cnnx.nn.functional as F
import cnnx.optim as optim
from cnnx import autograd, datasets, transforms
from cnnx.utils.data import DataLoader

args = start(__doc__, epochs=12)
digits = datasets.Digits(train=None, transform=transforms.ToTensor())
loader = DataLoader(digits, batch_size=64, shuffle=True)
images, labels = next(iter(DataLoader(digits, batch_size=512)))
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
    print(f"epoch {epoch:3d}  loss {losses[-1]:.4f}  largest eigenvalue of the Hessian {sharp[-1]:.4f}")
seconds = time.perf_counter() - begin

unit = cnnx.eye(sum(sizes), dtype=cnnx.float64, device=args.device)
hessian = np.stack([hessian_vector(row).cpu().numpy() for row in unit])
eigenvalues = np.linalg.eigvalsh((hessian + hessian.T) / 2)

figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
axes[0].plot(losses, label="loss")
axes[0].plot(sharp, label="largest eigenvalue")
axes[0].set(xlabel="epoch", title="the loss and its sharpness")
axes[0].legend()
axes[1].hist(eigenvalues, bins=60, log=True)
axes[1].set(xlabel="eigenvalue", title=f"the {sum(sizes)} eigenvalues at the end")
figure.savefig(args.out / "hessian.png", dpi=120)
report(
    args,
    [
        ("asymmetry of the Hessian", 0, float(np.abs(hessian - hessian.T).max())),
        ("largest eigenvalue, of the whole Hessian", None, float(eigenvalues[-1])),
        ("largest eigenvalue, by products", None, sharp[-1]),
    ],
    [seconds / args.epochs] * args.epochs,
)
