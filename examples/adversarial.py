"""What a net looks at, and how that fools it: one gradient, used twice.

A gradient is usually taken in the weights. Taken in the image it says which pixels the
decision hangs on (a saliency map), and a small step of every pixel along its sign makes
the net see another digit, where a person sees the same one ("fast gradient sign
method": Goodfellow et al., "Explaining and Harnessing Adversarial Examples", 2014).
Noise of the same size, without the gradient, does next to nothing. The 8x8 digits are
inside the package.

    python examples/adversarial.py
"""

from __future__ import annotations

import matplotlib.pyplot as plt
from common import report, seconds_of, start

import cnnx
import cnnx.nn as nn
import cnnx.nn.functional as F
from cnnx import datasets, transforms
from cnnx.utils.data import DataLoader

args = start(__doc__, epochs=30)
train = DataLoader(datasets.Digits(train=True, transform=transforms.ToTensor()), batch_size=32, shuffle=True)
test = DataLoader(datasets.Digits(train=False, transform=transforms.ToTensor()), batch_size=500)
model = nn.Sequential(
    nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
    nn.Flatten(), nn.Dropout(0.3), nn.Linear(512, 10),
).to(args.device)  # fmt: skip
history = cnnx.fit(model, train, validation=test, epochs=args.epochs)

images, labels = (part.to(args.device) for part in next(iter(test)))
images.requires_grad_()
F.cross_entropy(model(images), labels, reduction="sum").backward()
slopes = images.grad  # (N, 1, 8, 8): how the loss of each image grows with each of its pixels
images = images.detach()


def moved(direction: cnnx.Tensor, size: float) -> cnnx.Tensor:
    """The images after a step of this size in every pixel, still between black and white."""
    return (images + size * direction).clamp(0, 1)


def accuracy(inputs: cnnx.Tensor) -> float:
    with cnnx.no_grad():
        return (model(inputs).argmax(dim=1) == labels).float().mean().item()


print(f"\naccuracy on {len(images)} test images after a step in every pixel, whose levels go from 0 to 1:")
noise = cnnx.randn_like(images).sign()
sizes = [0.0, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.3]
attacked, shaken = [], []
for size in sizes:
    attacked.append(accuracy(moved(slopes.sign(), size)))
    shaken.append(accuracy(moved(noise, size)))
    print(
        f"  step {size:.3f}: along the gradient {attacked[-1]:.3f}, in random directions {shaken[-1]:.3f}",
        flush=True,
    )

figure, axes = plt.subplots(figsize=(7, 4.4), layout="constrained")
axes.plot(sizes, shaken, "o-", label="in random directions")
axes.plot(sizes, attacked, "o-", color="tab:red", label="along the sign of the gradient")
axes.set(xlabel="step in every pixel (black 0, white 1)", ylabel="accuracy on test images", ylim=(0, 1.03))
axes.set_title("Noise does little, the gradient fools the net", fontsize=14)
axes.grid(alpha=0.3)
axes.legend()
figure.savefig(args.out / "accuracy.png", dpi=144)

size = 0.15
with cnnx.no_grad():
    before, after = (model(inputs).softmax(dim=1) for inputs in (images, moved(slopes.sign(), size)))
fooled = (before.argmax(dim=1) == labels) & (after.argmax(dim=1) != labels)
chosen = fooled.nonzero().flatten()[:7].tolist()
print(f"a step of {size} fools the net on {int(fooled.sum())} images; examples.png shows {len(chosen)}")
figure, rows = plt.subplots(3, 7, figsize=(11, 5.8), layout="constrained")
for axes in rows.flat:
    axes.set_axis_off()
for (first, middle, last), index in zip(rows.T, chosen, strict=False):
    slope = slopes[index, 0].cpu()
    first.imshow(images[index, 0].cpu(), cmap="gray", vmin=0, vmax=1)
    middle.imshow(slope, cmap="RdBu_r", vmin=-slope.abs().max().item(), vmax=slope.abs().max().item())
    last.imshow(moved(slopes.sign(), size)[index, 0].cpu(), cmap="gray", vmin=0, vmax=1)
    for axes, shares, text in [(first, before, "a {}, {:.0%}"), (last, after, "now a {}, {:.0%}")]:
        share, digit = shares[index].max(dim=0)
        axes.set_title(text.format(int(digit), share.item()))
figure.suptitle("Ink that speaks for the digit (blue) and against it (red), and a small step against the net")
figure.savefig(args.out / "examples.png", dpi=144)
report(
    args,
    [
        ("test accuracy", None, attacked[0]),
        ("after a step of 0.15 along the gradient", None, attacked[sizes.index(size)]),
        ("after a step of 0.15 in random directions", None, shaken[sizes.index(size)]),
    ],
    seconds_of(history, train),
)
