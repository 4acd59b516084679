"""Samples held out, class by class, and batches that fit the number of samples."""

from __future__ import annotations

from typing import Any

import numpy as np

import cnnx

LARGEST_BATCH, SMALLEST_BATCH = 64, 8
STEPS = 16  # at least so many updates per epoch, as far as the smallest batch allows

Array = np.ndarray[Any, Any]


def default_batch_size(samples: int) -> int:
    """The largest power of two from 8 to 64 that leaves 16 updates in an epoch, else 8.

    Examples
    --------
    >>> [default_batch_size(n) for n in (60_000, 600, 72)]
    [64, 32, 8]
    """
    batch = LARGEST_BATCH
    while batch > SMALLEST_BATCH and samples < batch * STEPS:
        batch //= 2
    return batch


def targets_of(data: Any) -> Array | None:
    """The class of each sample of a data set that says so (`targets`, or a `TensorDataset`), else None."""
    targets = getattr(data, "targets", None)
    if targets is None:
        tensors: Any = getattr(data, "tensors", ())
        targets = tensors[1] if len(tensors) == 2 else None
    if targets is None:
        return None
    array = targets.cpu().numpy() if isinstance(targets, cnnx.Tensor) else np.asarray(targets)
    return array if array.ndim == 1 and array.dtype.kind in "iu" and len(array) == len(data) else None


def folds(targets: Array, count: int, generator: cnnx.Generator) -> Array:
    """Deals samples into parts that have, as nearly as can be, the same number of each class.

    Parameters
    ----------
    targets
        Classes (N,).
    count
        How many parts.
    generator
        What shuffles the samples.

    Returns
    -------
    ndarray
        int64 (N,): the part of each sample, from 0.
    """
    order = cnnx.randperm(len(targets), generator=generator, device="cpu").numpy()
    by_class = order[np.argsort(targets[order], kind="stable")]
    part = np.empty(len(targets), np.int64)
    part[by_class] = np.arange(len(targets)) % count  # goes on dealing where the class before ended
    return part


def held_out(targets: Array, share: float, generator: cnnx.Generator) -> Array:
    """Which samples to hold out: about a share of each class, at least one sample, and never all.

    Returns
    -------
    ndarray
        bool (N,).
    """
    total = min(max(1, round(len(targets) * share)), len(targets) - 1)
    order = cnnx.randperm(len(targets), generator=generator, device="cpu").numpy()
    by_class = order[np.argsort(targets[order], kind="stable")]
    # Every so many-th of the samples in the order of their classes.
    chosen = np.zeros(len(targets), bool)
    chosen[by_class[(np.arange(total) * len(targets) + len(targets) // 2) // total]] = True
    return chosen
