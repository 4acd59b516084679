"""S3: a noisy sine smoothed by a convolution with a box of 10 points.

The simplest use of a convolution: each point becomes the mean of the ten around it,
which takes two thirds of the noise away. With an even window, "same" has two middles to
choose from: signal.convolve takes NumPy's, layers with padding="same" take PyTorch's,
and the two results are one point apart, which is shown too.

    python examples/s03_smoothing.py
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from common import report, start

import cnnx
import cnnx.nn.functional as F
from cnnx import signal

args = start(__doc__)
rng = np.random.default_rng(args.seed)
x = np.linspace(0, 10, 500)
noisy = np.sin(x) + rng.normal(0, 0.2, 500)
window = np.full(10, 1 / 10)

smooth = signal.convolve(cnnx.from_numpy(noisy).to(args.device), cnnx.from_numpy(window), mode="same").cpu()
layer = F.conv1d(cnnx.from_numpy(noisy)[None], cnnx.from_numpy(window)[None, None], padding="same")[0]

inner = slice(10, -10)  # where the window is full
before, after = ((np.asarray(values) - np.sin(x))[inner].std() for values in (noisy, smooth))
print(f"distance from the sine (standard deviation): {before:.3f} before, {after:.3f} after")
print(f"points 100 to 103 by signal.convolve:              {np.round(smooth.numpy()[100:104], 4)}")
print(f"points  99 to 102 by conv1d with padding='same':   {np.round(layer.numpy()[99:103], 4)}")

figure, axes = plt.subplots(figsize=(9, 5), layout="constrained")
axes.plot(x, noisy, ".", color="0.7", markersize=4, label=f"noisy sine, {before:.2f} from the sine")
axes.plot(x, smooth, color="tab:red", linewidth=2, label=f"its convolution with a box, {after:.2f} from it")
axes.plot(x, np.sin(x), "--", color="tab:blue", label="sine")
axes.set(xlabel="x", ylabel="value", ylim=(-2.1, 1.7))
axes.set_title("S3: the mean of ten points takes two thirds of the noise away", fontsize=14)
axes.grid(alpha=0.3)
axes.legend(loc="lower left", ncols=3, fontsize=9)
figure.savefig(args.out / "smoothing.png", dpi=144)

expected = np.convolve(noisy, window, "same")
report(
    args,
    [
        ("largest difference from numpy.convolve", 0, np.abs(smooth.numpy() - expected).max()),
        ("and of conv1d, shifted by one", 0, np.abs(layer.numpy()[:-1] - expected[1:]).max()),
    ],
)
