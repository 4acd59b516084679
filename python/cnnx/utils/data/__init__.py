"""Data sets, samplers and the loader that makes batches."""

from __future__ import annotations

from cnnx.absent import names_of as _names_of
from cnnx.utils.data.collate import default_collate, default_convert
from cnnx.utils.data.combined import ChainDataset, ConcatDataset, StackDataset, Subset, random_split
from cnnx.utils.data.distributed import DistributedSampler
from cnnx.utils.data.loader import DataLoader, get_worker_info
from cnnx.utils.data.sampler import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from cnnx.utils.data.sources import Dataset, IterableDataset, TensorDataset

__all__ = [
    "BatchSampler",
    "ChainDataset",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "DistributedSampler",
    "IterableDataset",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "StackDataset",
    "Subset",
    "SubsetRandomSampler",
    "TensorDataset",
    "WeightedRandomSampler",
    "default_collate",
    "default_convert",
    "get_worker_info",
    "random_split",
]

__getattr__ = _names_of(__name__)
