"""Data sets: MNIST from its files or the network, and the 8x8 digits that come with the package."""

from __future__ import annotations

from cnnx.datasets.digits import Digits
from cnnx.datasets.mnist import MNIST

__all__ = ["MNIST", "Digits"]
