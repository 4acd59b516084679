"""S5: convolution arithmetic on small arrays, every rule beside its numbers.

How large is what comes out? Does the filter turn round? What is forgotten by pooling?
What do the losses at the head of a net compute? Each line below computes one case with
cnnx and says how far it lies from the figure of a teaching text, or from what NumPy
makes of the definition. Read it beside the code: true convolution (the filter rotated)
and cross-correlation, in one dimension and two; full, same, valid and explicit padding;
strides; max- and mean-pooling, overlapping or not; losses from logits and from
probabilities; and a depthwise convolution with a 1x1 mix beside the full convolution of
all channels.

    python examples/s05_convolution_arithmetic.py
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from common import draw_numbers, report, start
from numpy.typing import ArrayLike

import cnnx
import cnnx.nn as nn
import cnnx.nn.functional as F
from cnnx import signal

args = start(__doc__)
differences: dict[str, float] = {"the text": 0.0, "NumPy": 0.0}


def check(what: str, result: cnnx.Tensor | ArrayLike, expected: ArrayLike, source: str = "NumPy") -> None:
    """Print a result, and how far it is from what the text prints, or from NumPy's."""
    difference = float(np.abs(np.asarray(result, dtype=np.float64) - np.asarray(expected)).max())
    differences[source] = max(differences[source], difference)
    distance = f"differs from {source} by {difference:.0e}" if difference else f"equals {source}"
    print(f"  {what:46} {brief(result):38} {distance}")


def brief(result: cnnx.Tensor | ArrayLike) -> str:
    """The first numbers of a result."""
    values = np.asarray(result, dtype=np.float64)
    return " ".join(f"{value:.4g}" for value in values.flat[:5]) + (" ..." if values.size > 5 else "")


def tensor(values: ArrayLike, *shape: int) -> cnnx.Tensor:
    """The values in float64, reshaped if a shape is given."""
    made = cnnx.tensor(np.asarray(values, dtype=np.float64), device=args.device)
    return made.reshape(*shape) if shape else made


def slide(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """NumPy's cross-correlation of two 2-D arrays at every place where the kernel fits."""
    return np.einsum("ijkl,kl->ij", np.lib.stride_tricks.sliding_window_view(image, kernel.shape), kernel)


print(
    "\nA filter of m points over n, padded by p on both sides, in steps of s, leaves (n + 2p - m) // s + 1:"
)
for n, m, p, s, points in [(10, 5, 2, 1, 10), (10, 3, 2, 2, 6)]:
    output = F.conv1d(cnnx.ones(1, 1, n), cnnx.ones(1, 1, m), padding=p, stride=s)
    check(
        f"size of n={n}, m={m}, p={p}, s={s}", [output.shape[2], (n + 2 * p - m) // s + 1], points, "the text"
    )
output = F.conv2d(cnnx.ones(1, 1, 3, 3), cnnx.ones(1, 1, 3, 3), padding=1, stride=2)
check("size of 3x3, kernel 3x3, p=1, s=2", list(output.shape[2:]), [2, 2], "the text")

print("\nTrue convolution turns the filter, cross-correlation does not; a layer correlates:")
x, w = np.array([3.0, 2, 1, 7, 1, 2, 5, 4]), np.array([0.5, 0.75, 1.0])
for mode in ("full", "same", "valid"):
    check(f"1-D convolution, {mode}", signal.convolve(tensor(x), tensor(w), mode), np.convolve(x, w, mode))
    check(f"1-D correlation, {mode}", signal.correlate(tensor(x), tensor(w), mode), np.correlate(x, w, mode))
for padding, stride in [(0, 1), (2, 1), (2, 2), (1, 3)]:
    layer = F.conv1d(tensor(x, 1, 1, 8), tensor(w, 1, 1, 3), padding=padding, stride=stride)
    expected = np.correlate(np.pad(x, padding), w, "valid")[::stride]
    check(f"1-D layer, padding {padding}, stride {stride}", layer[0, 0], expected)

print("\nThe same in two dimensions (row by row):")
image = np.array([[1.0, 3, 2, 1], [4, 5, 6, 1], [7, 8, 9, 0], [1, 2, 1, 1]])
kernel = np.array([[1.0, 0, 3], [1, 2, 1], [0, 1, 1]])
for mode, padding in [("full", 2), ("same", 1), ("valid", 0)]:
    padded = np.pad(image, padding)
    turned = kernel[::-1, ::-1]
    check(
        f"2-D convolution, {mode}",
        signal.convolve(tensor(image), tensor(kernel), mode),
        slide(padded, turned),
    )
    check(
        f"2-D correlation, {mode}",
        signal.correlate(tensor(image), tensor(kernel), mode),
        slide(padded, kernel),
    )
layer = F.conv2d(tensor(image, 1, 1, 4, 4), tensor(kernel, 1, 1, 3, 3), padding=(2, 1), stride=(2, 1))
check(
    "2-D layer, padding (2, 1), stride (2, 1)",
    layer[0, 0],
    slide(np.pad(image, ((2, 2), (1, 1))), kernel)[::2],
)

print("\nPooling: two unlike arrays have the same largest values, so that small shifts are forgotten:")
first = tensor(
    [
        [10, 255, 125, 0, 170, 100],
        [70, 255, 105, 25, 25, 70],
        [255, 0, 150, 0, 10, 10],
        [0, 255, 10, 10, 150, 20],
        [70, 15, 200, 100, 95, 0],
        [35, 25, 100, 20, 0, 60],
    ]
)
second = tensor(
    [
        [100, 100, 100, 50, 100, 50],
        [95, 255, 100, 125, 125, 170],
        [80, 40, 10, 10, 125, 150],
        [255, 30, 150, 20, 120, 125],
        [30, 30, 150, 100, 70, 70],
        [70, 30, 100, 200, 70, 95],
    ]
)
pooled = [[255, 125, 170], [255, 150, 150], [70, 200, 95]]
check("2x2 max-pooling of the first array", F.max_pool2d(first[None], 2)[0], pooled, "the text")
check("2x2 max-pooling of the second array", F.max_pool2d(second[None], 2)[0], pooled, "the text")
windows = np.lib.stride_tricks.sliding_window_view(first.cpu().numpy(), (3, 3))
check("3x3 max-pooling in steps of 1", F.max_pool2d(first[None], 3, stride=1)[0], windows.max((2, 3)))
check("3x3 mean-pooling in steps of 1", F.avg_pool2d(first[None], 3, stride=1)[0], windows.mean((2, 3)))
blocks = first.cpu().numpy().reshape(3, 2, 3, 2)
check("2x2 mean-pooling", F.avg_pool2d(first[None], 2)[0], blocks.mean((1, 3)))

print("\nLosses, from raw scores (logits) and from what the head of a net makes of them:")
logit, one = tensor([0.8]), tensor([1.0])
check("binary cross-entropy of a logit", nn.BCEWithLogitsLoss()(logit, one), 0.3711, "the text")
check("binary cross-entropy of its sigmoid", nn.BCELoss()(logit.sigmoid(), one), 0.3711, "the text")
logits, label = tensor([[1.5, 0.8, 2.1]]), cnnx.tensor([2], device=args.device)
check("cross-entropy of logits", nn.CrossEntropyLoss()(logits, label), 0.5996, "the text")
check("NLL of their log-softmax", nn.NLLLoss()(F.log_softmax(logits, dim=1), label), 0.5996, "the text")

print("\nA depthwise 3x3 convolution and a 1x1 mix are a full convolution whose kernels are products:")
channels, outputs = 8, 16
depthwise = nn.Conv2d(channels, channels, 3, groups=channels, bias=False, dtype=cnnx.float64)
mix = nn.Conv2d(channels, outputs, 1, bias=False, dtype=cnnx.float64)
full = nn.Conv2d(channels, outputs, 3, bias=False, dtype=cnnx.float64)
with cnnx.no_grad():
    full.weight = nn.Parameter(mix.weight * depthwise.weight[:, 0])  # (16, 8, 1, 1) * (8, 3, 3)
    images = cnnx.randn(2, channels, 12, 12, dtype=cnnx.float64)
    check("depthwise 3x3, then 1x1, against the full one", mix(depthwise(images)), full(images).numpy())
small, large = depthwise.weight.numel() + mix.weight.numel(), full.weight.numel()
print(
    f"  the pair has {small} weights, the full convolution {large:,}: less to learn, fewer kinds of filters"
)

pictures = {
    "an image of 6x6": first,
    "max-pooling: the largest of each 2x2": F.max_pool2d(first[None], 2)[0],
    "mean-pooling: the mean of each 2x2": F.avg_pool2d(first[None], 2)[0],
}
figure, row = plt.subplots(1, 3, figsize=(10, 3.85), layout="constrained")
for axes, (title, values) in zip(row, pictures.items(), strict=True):
    draw_numbers(axes, values.cpu(), title, 255)
figure.suptitle("S5: pooling halves an image, and keeps what stands out or the mean", fontsize=14)
figure.savefig(args.out / "pooling.png", dpi=144)
report(args, [(f"largest difference from {source}", 0, value) for source, value in differences.items()])
