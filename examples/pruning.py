"""How many weights does a net need? The smallest ones are cut away until it fails.

Training wants many weights, the trained net can do with few of them: half can be set to
zero at once without harm. Cut in steps, with some epochs of training after each in which
the zeros stay zeros (masks of cnnx.nn.utils.prune), it keeps its accuracy down to a
small part of them (Han et al., "Learning both Weights and Connections", 2015). The 8x8
digits are inside the package.

    python examples/pruning.py
"""

from __future__ import annotations

import copy

import matplotlib.pyplot as plt
from common import report, seconds_of, start

import cnnx
import cnnx.nn as nn
from cnnx import datasets, transforms
from cnnx.nn.utils import prune
from cnnx.utils.data import DataLoader

args = start(__doc__, epochs=30)
train = DataLoader(datasets.Digits(train=True, transform=transforms.ToTensor()), batch_size=32, shuffle=True)
test = DataLoader(datasets.Digits(train=False, transform=transforms.ToTensor()), batch_size=500)


def accuracy(model: nn.Module) -> float:
    images, labels = (part.to(args.device) for part in next(iter(test)))
    with cnnx.no_grad():
        return (model(images).argmax(dim=1) == labels).float().mean().item()


def cut(model: nn.Sequential, share: float) -> None:
    """Sets the smallest weights of all layers together to zero: this share of those that are left."""
    layers = [(layer, "weight") for layer in model if hasattr(layer, "weight")]
    prune.global_unstructured(layers, pruning_method=prune.L1Unstructured, amount=share)


model = nn.Sequential(
    nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
    nn.Flatten(), nn.Linear(512, 64), nn.ReLU(), nn.Linear(64, 10),
).to(args.device)  # fmt: skip
history = cnnx.fit(model, train, epochs=args.epochs)
weights = sum(p.numel() for p in model.parameters() if p.ndim > 1)
whole = accuracy(model)
print(f"\n{weights:,} weights, test accuracy {whole:.4f}; now they are halved again and again")

left = [100 * 0.5**halvings for halvings in range(9)]
at_once, in_steps, masks = [whole], [whole], []
patient = copy.deepcopy(model)
for halvings in range(1, 9):
    hasty = copy.deepcopy(model)
    cut(hasty, 1 - 0.5**halvings)
    cut(patient, 0.5)
    # The masks are hooks, Python that a plan would leave out.
    cnnx.fit(patient, train, epochs=max(1, args.epochs // 5), plan=None, verbose=False)
    at_once.append(accuracy(hasty))
    in_steps.append(accuracy(patient))
    masks.append(patient[6].weight_mask.cpu().numpy())
    print(
        f"{left[halvings]:5.2f} % of the weights left: accuracy {at_once[-1]:.4f} cut at once, "
        f"{in_steps[-1]:.4f} in steps with training between",
        flush=True,
    )

figure, axes = plt.subplots(1, 2, figsize=(11, 4.4), layout="constrained", width_ratios=[3, 2])
axes[0].semilogx(left, at_once, "o-", color="tab:red", label="cut at once")
axes[0].semilogx(left, in_steps, "o-", color="tab:blue", label="halved in steps, trained between")
axes[0].set(xlabel="weights left, %", ylabel="test accuracy", ylim=(0, 1.03))
axes[0].set_xticks(left, [f"{value:.3g}" for value in left])
axes[0].minorticks_off()
axes[0].invert_xaxis()
axes[0].grid(alpha=0.3)
axes[0].legend(loc="lower left")
axes[1].imshow(masks[3], cmap="gray_r", aspect="auto", interpolation="nearest")
axes[1].set(
    xlabel="input",
    ylabel="output",
    title=f"the dense layer 512-64 at {left[4]:.3g} %: {masks[3].mean():.1%} left",
)
figure.suptitle("Most weights of a trained net can go, if it may learn between the cuts", fontsize=14)
figure.savefig(args.out / "pruning.png", dpi=144)
report(
    args,
    [
        ("test accuracy, all weights", None, whole),
        ("test accuracy, 6.25 % cut at once", None, at_once[4]),
        ("test accuracy, 6.25 % in steps", None, in_steps[4]),
    ],
    seconds_of(history, train),
)
