"""Samplers for programs of several processes, each of which takes its share of the data."""

from __future__ import annotations

from collections.abc import Iterator, Sized

from cnnx.generator import Generator
from cnnx.random import randperm
from cnnx.utils.data.sampler import Sampler


class DistributedSampler(Sampler[int]):
    """The share of one process among several: every `num_replicas`-th sample, from the `rank`-th on.

    All processes draw the same order, so that together they have each sample.

    Parameters
    ----------
    dataset
        Anything with a length.
    num_replicas, rank
        How many processes there are, and which one this is, from 0 on. cnnx has no process groups that could
        tell, so both must be given.
    shuffle
        A random order, another one for each epoch that `set_epoch` names. Default: True.
    seed
        Of the order, the same in all processes. Default: 0.
    drop_last
        Leave out samples until all shares are of one length, instead of taking the first ones twice.

    Raises
    ------
    RuntimeError
        If `num_replicas` or `rank` is not given.
    ValueError
        If there is no such process.

    Examples
    --------
    >>> list(DistributedSampler(range(5), num_replicas=2, rank=1, shuffle=False))
    [1, 3, 0]
    """

    def __init__(
        self,
        dataset: Sized,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        if num_replicas is None or rank is None:
            raise RuntimeError(
                "DistributedSampler: num_replicas and rank must be given: cnnx has no process groups"
            )
        if num_replicas < 1 or not 0 <= rank < num_replicas:
            raise ValueError(
                f"DistributedSampler: rank must be one of num_replicas, got {rank} of {num_replicas}"
            )
        self.dataset = dataset
        self.num_replicas, self.rank = num_replicas, rank
        self.shuffle, self.seed, self.drop_last = shuffle, seed, drop_last
        self.epoch = 0
        count = len(dataset)
        self.num_samples = count // num_replicas if drop_last else -(-count // num_replicas)
        self.total_size = self.num_samples * num_replicas

    def __iter__(self) -> Iterator[int]:
        count = len(self.dataset)
        order = list(range(count))
        if self.shuffle:
            generator = Generator().manual_seed(self.seed + self.epoch)
            order = randperm(count, generator=generator, device="cpu").tolist()
        share = range(self.rank, self.total_size, self.num_replicas)
        return iter([order[place % count] for place in share])

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Names the epoch that begins, for an order of its own."""
        self.epoch = epoch
