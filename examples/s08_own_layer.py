"""S8: a convolution layer of one's own, which autograd trains like any other.

A convolution is a product: unfold lays out the 9 pixels under the kernel at every place
as a column, and the kernel, a row of 9 weights, is multiplied with all columns at once.
Nobody writes a backward: autograd follows the unfold, the product, the bias and the
ReLU. The same net with nn.Conv2d learns beside it, from the same weights on the same
batches, and has the same losses. Both know a single kernel, on 8x8 digits inside the
package, before two dense layers.

A teaching text shows a falling loss.

    python examples/s08_own_layer.py
"""

from __future__ import annotations

import time

import matplotlib.pyplot as plt
from common import report, start

import cnnx
import cnnx.nn as nn
import cnnx.nn.functional as F
import cnnx.optim as optim
from cnnx import datasets, transforms
from cnnx.utils.data import DataLoader


class OwnConv(nn.Module):
    """ReLU of the correlation with one k x k kernel: (N, 1, H, W) to (N, 1, H - k + 1, W - k + 1)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.kernel = nn.Parameter(cnnx.randn(1, size * size))
        self.bias = nn.Parameter(cnnx.randn(1))

    def forward(self, x: cnnx.Tensor) -> cnnx.Tensor:
        patches = F.unfold(x, self.size)  # (N, k*k, places)
        maps = self.kernel @ patches + self.bias  # (N, 1, places)
        height, width = x.shape[2] - self.size + 1, x.shape[3] - self.size + 1
        return maps.reshape(len(x), 1, height, width).clamp(min=0)


class Conv(nn.Module):
    """The same with the library's layer."""

    def __init__(self, kernel: cnnx.Tensor, bias: cnnx.Tensor) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3)
        self.conv.weight = nn.Parameter(kernel.detach().clone().reshape(1, 1, 3, 3))
        self.conv.bias = nn.Parameter(bias.detach().clone())

    def forward(self, x: cnnx.Tensor) -> cnnx.Tensor:
        """ReLU of the convolution."""
        return F.relu(self.conv(x))


def net(first: nn.Module) -> nn.Sequential:
    return nn.Sequential(
        first, nn.Flatten(), nn.Linear(36, 10), nn.ReLU(), nn.Linear(10, 10), nn.Softmax(dim=1)
    )


args = start(__doc__, epochs=10)
digits = datasets.Digits(train=None, transform=transforms.ToTensor())  # 1,797 images, their levels / 16
loader = DataLoader(digits, batch_size=64, shuffle=True)

own_layer = OwnConv(3)
own = net(own_layer).to(args.device)
library = net(Conv(own_layer.kernel, own_layer.bias)).to(args.device)
for layer in (2, 4):
    library[layer].load_state_dict(own[layer].state_dict())
print(
    f"{len(digits):,} images of 8x8 train two nets of {sum(p.numel() for p in own.parameters())} parameters"
)
optimizers = [optim.SGD(model.parameters(), lr=0.1) for model in (own, library)]

seconds: list[float] = []
means: list[list[float]] = [[], []]
difference = 0.0
for epoch in range(1, args.epochs + 1):
    begin, sums = time.perf_counter(), [0.0, 0.0]
    for images, labels in loader:
        images, labels = images.to(args.device), labels.to(args.device)
        losses = []
        for model, optimizer in zip((own, library), optimizers, strict=True):
            optimizer.zero_grad()
            probabilities = model(images)
            loss = F.nll_loss(probabilities.log(), labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        difference = max(difference, abs(losses[0] - losses[1]))
        sums = [total + loss * len(labels) for total, loss in zip(sums, losses, strict=True)]
    seconds.append(time.perf_counter() - begin)
    for mean, total in zip(means, sums, strict=True):
        mean.append(total / len(digits))
    print(f"epoch {epoch:2}  loss of the own layer {means[0][-1]:.5f}, with nn.Conv2d {means[1][-1]:.5f}")

figure, (axes, kernel) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained", width_ratios=[2, 1])
epochs = range(1, args.epochs + 1)
axes.plot(epochs, means[1], color="0.75", linewidth=7, label="nn.Conv2d")
axes.plot(epochs, means[0], "o-", color="tab:red", markersize=4, label="the layer of one's own")
axes.set(xlabel="epoch", ylabel="mean loss", title="the same losses")
axes.grid(alpha=0.3)
axes.legend()
weights = own_layer.kernel.detach().cpu().reshape(3, 3)
bound = weights.abs().max().item()
figure.colorbar(kernel.imshow(weights, cmap="RdBu_r", vmin=-bound, vmax=bound), ax=kernel, label="weight")
kernel.set(xticks=[], yticks=[], title="the kernel it has learnt")
figure.suptitle("S8: a convolution layer of one's own, on 8x8 digits", fontsize=14)
figure.savefig(args.out / "curves.png", dpi=144)
report(
    args,
    [
        ("mean loss, first epoch", None, means[0][0]),
        ("mean loss, last epoch", None, means[0][-1]),
        ("last over first", "falling", means[0][-1] / means[0][0]),
        ("largest difference of a batch's loss", 0, difference),
    ],
    seconds,
)
