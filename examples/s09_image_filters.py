"""S9: what single filters see in a photograph, by convolution layers whose weights are set by hand.

Before nets learnt their filters, people drew them up: a blur takes the mean of a
neighbourhood, a line or edge detector is zero on even ground because its weights add up
to zero, and Sobel's pair are the slopes across and down, whose magnitude is the
outline. Nets find such filters by themselves: in maps.png of s11_cnn_batch_norm.py many
channels show the edges of one direction. Each filter here is checked against the sum of
products that defines it.

A teaching text shows pictures, and a layer's output of shape (1, 310, 196) for an image
of (1, 312, 198).

    python examples/s09_image_filters.py
"""

from __future__ import annotations

import sys

import matplotlib.pyplot as plt
import numpy as np
from common import report, start

import cnnx
import cnnx.nn as nn

try:
    from sklearn.datasets import load_sample_image
except ImportError:
    sys.exit("S9 takes its photograph from scikit-learn: pip install scikit-learn pillow")


def correlate(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """The filter itself: the sum of the products at every place where the kernel fits."""
    windows = np.lib.stride_tricks.sliding_window_view(image, kernel.shape)
    return np.einsum("ijkl,kl->ij", windows, kernel)


def layer(kernel: np.ndarray) -> nn.Conv2d:
    """A convolution layer that holds this kernel and no bias to speak of."""
    conv = nn.Conv2d(1, 1, kernel.shape)
    conv.weight = nn.Parameter(cnnx.tensor(kernel, dtype=cnnx.float32)[None, None])
    conv.bias = nn.Parameter(cnnx.zeros(1))
    return conv


args = start(__doc__)
colours = load_sample_image("china.jpg")[25:337, 100:298] / 255  # a pavilion, (312, 198, 3)
photograph = colours @ [0.299, 0.587, 0.114]
image = cnnx.tensor(photograph[None], dtype=cnnx.float32, device=args.device)  # (1, H, W), no batch

kernels = {
    "box blur 5x5": np.full((5, 5), 1 / 25),
    "horizontal lines": np.array([[-1.0, -1, -1], [2, 2, 2], [-1, -1, -1]]),
    "vertical lines": np.array([[-1.0, 2, -1], [-1, 2, -1], [-1, 2, -1]]),
    "edges": np.array([[-1.0, -1, -1], [-1, 8, -1], [-1, -1, -1]]),
    "Sobel, across": np.array([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]),
    "Sobel, down": np.array([[-1.0, -2, -1], [0, 0, 0], [1, 2, 1]]),
}
results, difference = {}, 0.0
with cnnx.no_grad():
    for name, kernel in kernels.items():
        output = layer(kernel).to(args.device)(image).cpu()
        difference = max(difference, np.abs(output.numpy()[0] - correlate(photograph, kernel)).max())
        results[name] = output[0]
        print(
            f"{name:17} {tuple(image.shape)} -> {tuple(output.shape)}, "
            f"weights add up to {kernel.sum():.0f}, values {output.min():5.2f} to {output.max():.2f}"
        )
results["Sobel, magnitude"] = cnnx.sqrt(results["Sobel, across"] ** 2 + results["Sobel, down"] ** 2)

figure, rows = plt.subplots(2, 4, figsize=(10, 8.6), layout="constrained")
for axes, (name, values) in zip(rows.flat, {"photograph": image[0].cpu(), **results}.items(), strict=True):
    # What lies on both sides of zero is drawn with zero in the middle; few values are clipped.
    largest = np.quantile(np.abs(values.numpy()), 0.99)
    axes.imshow(values, cmap="gray", vmin=-largest if values.min() < 0 else 0, vmax=largest)
    axes.set_title(name)
    axes.set_axis_off()
figure.suptitle("S9: filters drawn up by hand, on a photograph", fontsize=14)
figure.savefig(args.out / "filtered.png", dpi=144)
report(args, [("largest difference of layer and filter", 0, float(difference))])
