"""S2: how two 3x3 filters tell a cross, a diagonal and an anti-diagonal apart, number by number.

The smallest convolutional net that does something, and nothing of it is trained. Each
5x5 image is correlated with both filters; of each map the largest value is kept (global
max-pooling: how well does the filter fit at its best place?); a dense layer weighs the
two values into three scores, softmax makes them probabilities. The cross, which holds
both lines, wins because 0.6 + 0.6 > 1.

A teaching text prints for the classes diagonal, anti-diagonal and cross: of the cross
[0.26163495, 0.26163495, 0.47673005], of the diagonal [0.5937724, 0.08035836,
0.32586923], of the anti-diagonal [0.08035836, 0.5937724, 0.32586923].

    python examples/s02_filter_demo.py
"""

from __future__ import annotations

import matplotlib.pyplot as plt
from common import draw_numbers, report, start

import cnnx
import cnnx.nn.functional as F

args = start(__doc__)

diagonal = cnnx.eye(5)
anti_diagonal = diagonal.flip(1)
cross = cnnx.maximum(diagonal, anti_diagonal)
names = ["cross", "diagonal", "anti-diagonal"]
images = cnnx.stack([cross, diagonal, anti_diagonal]).unsqueeze(1).to(args.device)  # (3, 1, 5, 5)

filters = cnnx.stack([cnnx.eye(3), cnnx.eye(3).flip(1)]).unsqueeze(1).to(args.device)  # (2, 1, 3, 3)
weight = cnnx.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.6]], device=args.device)

maps = F.conv2d(images, filters)  # (3, 2, 3, 3): each image under each filter
pooled = maps.amax(dim=(2, 3))  # (3, 2): the best fit of each filter
probabilities = F.softmax(F.linear(pooled, weight), dim=1)  # (3, 3): of the classes

text = cnnx.tensor(
    [
        [0.26163495, 0.26163495, 0.47673005],
        [0.5937724, 0.08035836, 0.32586923],
        [0.08035836, 0.5937724, 0.32586923],
    ]
)
print("the cross under the first filter: ", maps[0, 0].int().tolist())
print("the cross under the second filter:", maps[0, 1].int().tolist())
print("\nimage          best fit of both filters   probabilities: diagonal, anti-diagonal, cross")
for name, best, shares in zip(names, pooled.tolist(), probabilities.tolist(), strict=True):
    fits = "  ".join(f"{value:.0f}" for value in best)
    print(f"{name:14} {fits:27}", "  ".join(f"{share:.6f}" for share in shares))

figure, rows = plt.subplots(3, 4, figsize=(10, 7.4), layout="constrained")
for row, name, image, pair, shares in zip(
    rows, names, images.cpu(), maps.cpu(), probabilities.cpu(), strict=True
):
    draw_numbers(row[0], image[0], name, 1)
    for axes, title, values in zip(row[1:], ["first filter (\\)", "second filter (/)"], pair, strict=False):
        draw_numbers(axes, values, f"{title}: at best {values.max():g}", 3)
    bars = row[3].barh(["\\", "/", "x"], shares, color=["tab:blue", "tab:orange", "tab:green"])
    row[3].bar_label(bars, fmt="%.2f", padding=3)
    row[3].set(xlim=(0, 0.8), xticks=[], title="probabilities")
    row[3].invert_yaxis()
    row[3].spines[["top", "right", "bottom"]].set_visible(False)
figure.suptitle("S2: two filters, their best fit in each image, and what follows from it", fontsize=14)
figure.savefig(args.out / "maps.png", dpi=144)
report(args, [("largest difference of a probability", 0, (probabilities.cpu() - text).abs().max().item())])
