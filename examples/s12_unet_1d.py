"""S12: a U-Net in one dimension finds a box peak in a noisy sine, point by point.

Segmentation: the answer is a mask as long as the sequence, not a class. One stage looks
at details; one at half the length sees further; and the first is laid beside the second
again (the skip connection that gives the U its name), so that the mask knows both where
and what. Trained on sequences that are drawn here, looked at on new ones; saved as
ONNX, where the onnx package is installed, for a viewer such as Netron.

A teaching text prints the last batch's loss of each epoch: 0.549 first, about 0.07
after 20 epochs.

    python examples/s12_unet_1d.py
"""

from __future__ import annotations

import importlib.util
import time

import matplotlib.pyplot as plt
import numpy as np
from common import report, start

import cnnx
import cnnx.nn as nn
import cnnx.nn.functional as F
import cnnx.optim as optim
from cnnx import onnx, plot
from cnnx.utils.data import DataLoader, TensorDataset


def sequences(rng: np.random.Generator, count: int, length: int = 100) -> tuple[np.ndarray, np.ndarray]:
    """Noisy sines with a box peak, and the peaks' masks; both (count, 1, length), float32."""
    places = np.arange(length)
    signals, masks = [], []
    for _ in range(count):
        begin = rng.integers(0, length // 2)
        end = rng.integers(begin + 1, length)
        mask = (begin <= places) & (places < end)
        frequency, amplitude, phase = rng.uniform(0.05, 0.2), rng.uniform(0.5, 1.5), rng.uniform(0, 2 * np.pi)
        sine = amplitude * np.sin(2 * np.pi * frequency * places + phase)
        signals.append(rng.uniform(1, 3) * mask + sine + rng.normal(0, 0.1, length))
        masks.append(mask)
    return np.float32(signals)[:, None], np.float32(masks)[:, None]


class UNet(nn.Module):
    """One step down, one up, and the first stage beside it before the last convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(1, 16, 3, padding=1)
        self.down = nn.Conv1d(16, 32, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose1d(32, 16, 3, stride=2, padding=1, output_padding=1)
        self.last = nn.Conv1d(32, 1, 3, padding=1)

    def forward(self, x: cnnx.Tensor) -> cnnx.Tensor:
        """Probabilities (N, 1, L) of sequences (N, 1, L), L even."""
        first = F.relu(self.first(x))
        up = F.relu(self.up(F.relu(self.down(first))))
        return self.last(cnnx.cat([up, first], dim=1)).sigmoid()


args = start(__doc__, epochs=20)
signals, masks = sequences(np.random.default_rng(args.seed), 40 if args.quick else 200)
data = TensorDataset(cnnx.from_numpy(signals), cnnx.from_numpy(masks))
loader = DataLoader(data, batch_size=10, shuffle=True)

print(f"{len(data)} sequences of {signals.shape[2]} points in batches of 10")

model = UNet().to(args.device)
print(f"{sum(p.numel() for p in model.parameters()):,} parameters")
loss_function = nn.BCELoss()
optimizer = optim.Adam(model.parameters(), lr=0.001)
last_batch, means, seconds = [], [], []
for epoch in range(1, args.epochs + 1):
    begin, total = time.perf_counter(), 0.0
    for x, y in loader:
        x, y = x.to(args.device), y.to(args.device)
        optimizer.zero_grad()
        loss = loss_function(model(x), y)
        loss.backward()
        optimizer.step()
        total += loss.item() * len(x)
    seconds.append(time.perf_counter() - begin)
    last_batch.append(loss.item())
    means.append(total / len(data))
    print(
        f"epoch {epoch}/{args.epochs}  mean loss {means[-1]:.4f}, last batch {last_batch[-1]:.4f}", flush=True
    )

model.eval()
new_signals, new_masks = sequences(np.random.default_rng(args.seed + 1), 4)
with cnnx.no_grad():
    predicted = model(cnnx.from_numpy(new_signals).to(args.device)).cpu()

right = ((predicted > 0.5) == (cnnx.from_numpy(new_masks) > 0.5)).float().mean().item()
print(f"of {len(new_signals)} new sequences, {right:.1%} of the points are on the right side of 0.5")

plot.curves(
    {"loss": {"mean": means, "last batch": last_batch}}, args.out / "curves.png", title="S12: a 1-D U-Net"
)

figure, rows = plt.subplots(4, 1, figsize=(9, 8), sharex=True, sharey=True, layout="constrained")
places = np.arange(signals.shape[2])
for axes, signal, mask, own in zip(rows, new_signals, new_masks, predicted, strict=True):
    axes.fill_between(places, mask[0], step="mid", color="tab:green", alpha=0.25, label="true mask")
    axes.plot(signal[0], color="0.55", label="sequence")
    axes.plot(own[0], color="tab:red", linewidth=2, label="predicted probability")
    axes.set_ylabel("value")
    axes.grid(alpha=0.3)
figure.legend(*rows[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
rows[-1].set_xlabel("place in the sequence")
figure.suptitle("S12: where the U-Net sees the peak, in sequences not trained on", fontsize=14)
figure.savefig(args.out / "masks.png", dpi=144)
if importlib.util.find_spec("onnx") is None:
    print("no unet.onnx: the onnx package is not installed")
else:
    onnx.export(model.cpu(), cnnx.from_numpy(new_signals), args.out / "unet.onnx")
    print(f"the net as ONNX: {args.out / 'unet.onnx'}")
report(
    args,
    [
        ("loss of the last batch, epoch 1", 0.549, last_batch[0]),
        ("loss of the last batch", "about 0.07", last_batch[-1]),
        ("mean loss, last epoch", None, means[-1]),
    ],
    seconds,
)
