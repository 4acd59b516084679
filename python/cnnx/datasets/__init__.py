"""Data sets: MNIST and its relatives, the 8x8 digits of the package, folders of images or IDX files."""

from __future__ import annotations

from cnnx.datasets.digits import Digits
from cnnx.datasets.folder import ImageFolder
from cnnx.datasets.idx import IDXFolder
from cnnx.datasets.mnist import KMNIST, MNIST, FashionMNIST

__all__ = ["KMNIST", "MNIST", "Digits", "FashionMNIST", "IDXFolder", "ImageFolder"]
