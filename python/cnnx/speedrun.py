"""MNIST to 99 % as fast as it goes: the recipe of `cnnx speedrun`, in the dialect.

One epoch of a net of 38,000 parameters: two convolutions, each followed by pooling and only then by batch
normalisation, which so has a quarter of the work; Adam under a one-cycle schedule (Smith & Topin, "Super-
Convergence", 2018), cross entropy with smoothed labels; no augmentation, for which one epoch is too short.
The whole step is a plan. What was tried beside it stands in docs/performance.md.
"""

from __future__ import annotations

import time
from typing import NamedTuple

import cnnx
from cnnx import nn, optim
from cnnx.datasets.images import ImageDataset
from cnnx.nn.functional import cross_entropy
from cnnx.tensor import Tensor
from cnnx.transforms import Compose, Normalize, ToTensor
from cnnx.utils.data import DataLoader

BATCH, RATE, SMOOTHING = 128, 0.01, 0.1
TRANSFORM = Compose([ToTensor(), Normalize((0.1307,), (0.3081,))])  # mean and deviation of MNIST's pixels


class Outcome(NamedTuple):
    """Of one training.

    Attributes
    ----------
    seconds : float
        From the first batch, which is still to be made, to the last update; the time that the plan takes to
        be noted is in it.
    accuracy : float
        On the test images, from 0 to 1.
    """

    seconds: float
    accuracy: float


def make_net() -> nn.Sequential:
    """The net for images of 28 x 28."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 5), nn.ReLU(), nn.MaxPool2d(2), nn.BatchNorm2d(8),
        nn.Conv2d(8, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.BatchNorm2d(16),
        nn.Flatten(), nn.Linear(16 * 4 * 4, 128), nn.ReLU(), nn.Linear(128, 10),
    )  # fmt: skip


def train(images: ImageDataset, net: nn.Module) -> float:
    """Trains a net for one epoch, in the random order that the seed gives; returns the seconds it took."""
    loader = DataLoader(images, batch_size=BATCH, shuffle=True, drop_last=True)
    if not len(loader):
        raise ValueError(f"{len(images)} images are fewer than a batch of {BATCH}")
    optimizer = optim.Adam(net.parameters(), lr=RATE, betas=(0.9, 0.99))
    schedule = optim.lr_scheduler.OneCycleLR(
        optimizer, RATE, len(loader), pct_start=0.2, div_factor=5, final_div_factor=100, cycle_momentum=False
    )

    def step(x: Tensor, labels: Tensor) -> Tensor:
        optimizer.zero_grad()
        loss = cross_entropy(net(x), labels, label_smoothing=SMOOTHING)
        loss.backward()
        optimizer.step()
        return loss

    plan = cnnx.compile(step, static=True)
    start = time.perf_counter()
    for x, labels in loader:
        plan(x, labels)
        schedule.step()
    return time.perf_counter() - start


def accuracy(images: ImageDataset, net: nn.Module) -> float:
    """The share of images whose class a net finds."""
    net.eval()
    with cnnx.no_grad():
        hits = sum(int((net(x).argmax(1) == y).sum()) for x, y in DataLoader(images, batch_size=1000))
    return hits / len(images)


def run(seed: int, training: ImageDataset, test: ImageDataset) -> Outcome:
    """One training from the weights and the order of a seed. The images are bytes of 28 x 28."""
    cnnx.manual_seed(seed)
    net = make_net()
    training.transform = test.transform = TRANSFORM
    return Outcome(train(training, net), accuracy(test, net))
