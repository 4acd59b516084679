"""The data sets under the name of PyTorch's module: `from cnnx.utils.data.dataset import Subset`."""

from __future__ import annotations

from cnnx.utils.data.combined import ChainDataset, ConcatDataset, StackDataset, Subset, random_split
from cnnx.utils.data.sources import Dataset, IterableDataset, TensorDataset

__all__ = [
    "ChainDataset",
    "ConcatDataset",
    "Dataset",
    "IterableDataset",
    "StackDataset",
    "Subset",
    "TensorDataset",
    "random_split",
]
