"""Data sets: MNIST and its relatives, the 8x8 digits of the package, folders of images or IDX files."""

from __future__ import annotations

from cnnx.datasets.digits import Digits
from cnnx.datasets.folder import DatasetFolder, ImageFolder
from cnnx.datasets.idx import IDXFolder
from cnnx.datasets.mnist import KMNIST, MNIST, FashionMNIST
from cnnx.datasets.vision import VisionDataset

__all__ = [
    "KMNIST",
    "MNIST",
    "DatasetFolder",
    "Digits",
    "FashionMNIST",
    "IDXFolder",
    "ImageFolder",
    "VisionDataset",
]
