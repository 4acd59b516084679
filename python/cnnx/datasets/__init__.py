"""Data sets: MNIST and its relatives, CIFAR, the package's own 8x8 digits, folders of images or IDX files."""

from __future__ import annotations

from cnnx.absent import names_of as _names_of
from cnnx.datasets.cifar import CIFAR10, CIFAR100
from cnnx.datasets.digits import Digits
from cnnx.datasets.emnist import EMNIST
from cnnx.datasets.fake import FakeData
from cnnx.datasets.folder import DatasetFolder, ImageFolder
from cnnx.datasets.idx import IDXFolder
from cnnx.datasets.mnist import KMNIST, MNIST, FashionMNIST
from cnnx.datasets.svhn import SVHN
from cnnx.datasets.usps import USPS
from cnnx.datasets.vision import VisionDataset

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "EMNIST",
    "KMNIST",
    "MNIST",
    "SVHN",
    "USPS",
    "DatasetFolder",
    "Digits",
    "FakeData",
    "FashionMNIST",
    "IDXFolder",
    "ImageFolder",
    "VisionDataset",
]

__getattr__ = _names_of(__name__)
