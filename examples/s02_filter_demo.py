"""S2: two fixed 3x3 filters tell a cross, a diagonal and an anti-diagonal apart; nothing is trained.

Each 5x5 image is correlated with the filters, each map's largest value taken, and the two values weighed into
three scores, then probabilities. The teaching text prints, for the classes diagonal, anti-diagonal and cross:
cross [0.26163495, 0.26163495, 0.47673005], diagonal [0.5937724, 0.08035836, 0.32586923], anti-diagonal
[0.08035836, 0.5937724, 0.32586923].

    python examples/s02_filter_demo.py
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from training import report, start

import cnnx
import cnnx.nn.functional as F
from cnnx import plot

args = start(__doc__)

diagonal = cnnx.eye(5)
anti_diagonal = diagonal.flip(1)
cross = cnnx.maximum(diagonal, anti_diagonal)
names = ["cross", "diagonal", "anti-diagonal"]
images = cnnx.stack([cross, diagonal, anti_diagonal]).unsqueeze(1).to(args.device)  # (3, 1, 5, 5)

filters = cnnx.stack([cnnx.eye(3), cnnx.eye(3).flip(1)]).unsqueeze(1).to(args.device)  # (2, 1, 3, 3)
weight = cnnx.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.6]], device=args.device)

maps = F.conv2d(images, filters)  # (3, 2, 3, 3)
pooled = maps.amax(dim=(2, 3))  # (3, 2)
probabilities = F.softmax(F.linear(pooled, weight), dim=1)

text = cnnx.tensor(
    [
        [0.26163495, 0.26163495, 0.47673005],
        [0.5937724, 0.08035836, 0.32586923],
        [0.08035836, 0.5937724, 0.32586923],
    ]
)
for name, row, own in zip(names, text.tolist(), probabilities.tolist(), strict=True):
    print(f"{name:14} text {[f'{p:.6f}' for p in row]}  cnnx {[f'{p:.6f}' for p in own]}")
print("the cross after filter 1:", maps[0, 0].int().tolist())
print("the cross after filter 2:", maps[0, 1].int().tolist())

figure, rows = plt.subplots(3, 3, figsize=(6.5, 7), layout="constrained")
for row, name, image, pair in zip(rows, names, images.cpu(), maps.cpu(), strict=True):
    for axes, title, values in zip(
        row, [name, "after filter 1", "after filter 2"], [image[0], *pair], strict=True
    ):
        axes.imshow(values, cmap="gray", vmin=0, vmax=3)
        axes.set(title=title, xticks=[], yticks=[])
        for (i, j), value in np.ndenumerate(values.numpy()):
            axes.text(j, i, f"{value:g}", ha="center", va="center", color="black" if value > 2 else "white")
figure.suptitle("S2: images, and their maps after each filter")
figure.savefig(args.out / "maps.png", dpi=120)
plot.filters(filters, args.out / "filters.png", title="S2: the two filters")
report(args, [("largest difference of a probability", 0, (probabilities.cpu() - text).abs().max().item())])
