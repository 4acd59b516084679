"""S3: a noisy sine smoothed by a box window of 10 points; the result equals NumPy's.

With an even window `same` has two centres to choose from: `signal.convolve` takes NumPy's, layers with
padding="same" take PyTorch's, and the two results differ by a shift of one point.

    python examples/s03_smoothing.py
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from training import report, start

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

figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
axes.plot(x, noisy, ".", color="0.7", markersize=3, label="noisy sine, standard deviation 0.2")
axes.plot(x, smooth, color="tab:red", label="smoothed by a box of 10")
axes.plot(x, np.sin(x), "--", color="tab:blue", label="sine")
axes.set(xlabel="x", ylabel="value", title="S3: smoothing by convolution")
axes.grid(alpha=0.3)
axes.legend()
figure.savefig(args.out / "smoothing.png", dpi=120)

expected = np.convolve(noisy, window, "same")
report(
    args,
    [
        ("largest difference from numpy.convolve", 0, np.abs(smooth.numpy() - expected).max()),
        ("and of conv1d, shifted by one", 0, np.abs(layer.numpy()[:-1] - expected[1:]).max()),
    ],
)
