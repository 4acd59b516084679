"""The loader: a data set as batches."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from cnnx import _C
from cnnx.generator import _pack, _unpack
from cnnx.tensor import Tensor
from cnnx.utils.data.collate import default_collate, default_convert, pinned
from cnnx.utils.data.dataset import (
    IterableDataset,
    NativeBatches,
    Pass,
    index_tensor,
    native_batches,
    on_device,
)
from cnnx.utils.data.sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler, arange

_warned_about_workers = False


class DataLoader:
    """Iterates over a data set in batches.

    Image data sets with `ToTensor` and other transforms of `cnnx.transforms` (but no functions of the user's
    own), `TensorDataset`, and subsets and concatenations of these are gathered, transformed and normalised a
    whole batch at a time in native code. Any other data set is read sample by sample and put together by
    `collate_fn`.

    Where such data are on a device (`dataset.to("cuda")`, or tensors there), batches are made there: the
    order of the pass is copied to it once, and no batch waits for it.

    Random transforms of native batches draw from one call of the global generator for each pass, and from the
    index of each sample in the data set (its place in the pass, if a pass may have it twice): threads, batch
    size, order and device do not change what a sample gets.

    Parameters
    ----------
    dataset
        Anything with `__getitem__` and `__len__` (or `__getitems__` for a list of indices), or an
        `IterableDataset`.
    batch_size
        Samples per batch; None hands out single samples.
    shuffle
        A new random order for each pass.
    sampler, batch_sampler
        An iterable of indices, or of lists of them, in place of `shuffle`, and in place of `batch_size`,
        `shuffle`, `sampler` and `drop_last`.
    num_workers
        Accepted; loading is native and takes place in this process.
    collate_fn
        Makes a batch of a list of samples; default: `default_collate`.
    pin_memory
        Hand out batches in pinned memory, from which `to("cuda", non_blocking=True)` copies beside the GPU's
        work; those of a user's own class by its method `pin_memory()`. Without effect where there is no GPU.
    timeout, worker_init_fn, multiprocessing_context, prefetch_factor, persistent_workers, pin_memory_device,
    in_order
        Accepted and without effect.
    drop_last
        Leave out the last batch if it is smaller.
    generator
        A `cnnx.Generator` for the random order; default: the global one, which `cnnx.manual_seed` seeds.

    Raises
    ------
    ValueError
        If arguments exclude each other, `batch_size` is not positive, or an empty data set is to be shuffled.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx.utils.data import TensorDataset
    >>> loader = DataLoader(TensorDataset(cnnx.arange(5)), batch_size=2)
    >>> [batch.tolist() for (batch,) in loader]
    [[0, 1], [2, 3], [4]]
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Sampler[int] | Iterable[int] | None = None,
        batch_sampler: Sampler[list[int]] | Iterable[list[int]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        generator: Any = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        if num_workers < 0:
            raise ValueError(f"DataLoader: num_workers must not be negative, got {num_workers}")
        if timeout < 0:
            raise ValueError(f"DataLoader: timeout must not be negative, got {timeout}")
        if num_workers > 0:
            _warn_about_workers()
        self._iterable = isinstance(dataset, IterableDataset)
        if self._iterable and (shuffle or sampler is not None or batch_sampler is not None):
            raise ValueError(
                "DataLoader: an IterableDataset has its own order, without shuffle, sampler or batch_sampler"
            )
        if sampler is not None and shuffle:
            raise ValueError("DataLoader: sampler excludes shuffle")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError(
                    "DataLoader: batch_sampler excludes batch_size, shuffle, sampler and drop_last"
                )
            batch_size = None
        elif batch_size is None:
            if drop_last:
                raise ValueError(
                    "DataLoader: batch_size=None hands out single samples and excludes drop_last"
                )
        elif not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size <= 0:
            raise ValueError(f"DataLoader: batch_size must be a positive integer, got {batch_size!r}")
        if sampler is None and not self._iterable:
            sampler = RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)
        if batch_sampler is None and batch_size is not None and sampler is not None:
            batch_sampler = BatchSampler(sampler, batch_size, bool(drop_last))
        self.dataset = dataset
        self.batch_size = batch_size
        self.drop_last = bool(drop_last)
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.generator = generator
        self.num_workers = num_workers
        self.pin_memory = pin_memory
        self.timeout = timeout
        single = batch_sampler is None and batch_size is None
        self.collate_fn = collate_fn or (default_convert if single else default_collate)
        self._order: Tensor | None = None  # of the pass under way
        self._position = 0  # batches of it that were handed out
        self._call: tuple[int, int] | None = None  # that its random transforms draw from
        self._resume: tuple[Tensor, int, tuple[int, int] | None] | None = None

    def __len__(self) -> int:
        if self._iterable:
            count = len(self.dataset)
            if self.batch_size is None:
                return count
            return count // self.batch_size if self.drop_last else -(-count // self.batch_size)
        return len(self.sampler if self.batch_sampler is None else self.batch_sampler)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Any]:
        batches = self._iterate()
        return map(pinned, batches) if self.pin_memory and _C.cuda_device_count() else batches

    def _iterate(self) -> Iterator[Any]:
        if self._iterable:
            return self._iterate_stream()
        if self.batch_sampler is None:
            return (self.collate_fn(self.dataset[index]) for index in self.sampler)  # type: ignore[union-attr]
        native = native_batches(self.dataset) if self.collate_fn is default_collate else None
        if self._has_order():
            return self._iterate_order(native, *self._next_order())
        if native is None:
            return (self._fetch(indices) for indices in self.batch_sampler)
        return self._iterate_batches(native)

    def state_dict(self) -> dict[str, Any]:
        """The place in the pass under way: its order, the number of batches handed out, its random call.

        Returns
        -------
        dict
            `order` (int64 tensor, or None between passes), `position`, and with random
            transforms in native batches `call` (uint8 tensor), for `load_state_dict`.

        Raises
        ------
        NotImplementedError
            If a sampler of the user's own or an iterable data set gives the order.
        """
        self._check_resumable("state_dict")
        order, position, call = self._resume or (self._order, self._position, self._call)
        state = {"order": order, "position": position}
        return state if call is None else {**state, "call": _pack(*call)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The next pass goes on where `state` was taken.

        Parameters
        ----------
        state
            From `state_dict` of a loader of an equal data set and batch size.

        Raises
        ------
        ValueError
            If the order does not fit the data set.
        NotImplementedError
            As in `state_dict`.
        """
        self._check_resumable("load_state_dict")
        order, position = state["order"], int(state["position"])
        if order is None:
            self._resume = None
            return
        if len(order) != len(self.sampler):  # type: ignore[arg-type]
            raise ValueError(
                f"DataLoader.load_state_dict: the order has {len(order)} samples, a pass has "
                f"{len(self.sampler)}"  # type: ignore[arg-type]
            )
        if not 0 <= position <= len(self):
            raise ValueError(
                f"DataLoader.load_state_dict: position {position} is outside the {len(self)} batches"
            )
        call = state.get("call")
        self._resume = (
            order,
            position,
            None if call is None else _unpack("DataLoader.load_state_dict", call),
        )

    def _has_order(self) -> bool:
        return type(self.batch_sampler) is BatchSampler and hasattr(self.batch_sampler.sampler, "order")

    def _check_resumable(self, what: str) -> None:
        if not self._has_order():
            raise NotImplementedError(
                f"DataLoader.{what}: only loaders with shuffle or the samplers of cnnx.utils.data can resume"
            )

    def _fetch(self, indices: Iterable[Any]) -> Any:
        dataset = self.dataset
        if getattr(dataset, "__getitems__", None) is not None:
            return self.collate_fn(dataset.__getitems__(list(indices)))
        return self.collate_fn([dataset[i] for i in indices])

    def _next_order(self) -> tuple[Tensor, int, tuple[int, int] | None]:
        """The order of the pass that begins, the batches to leave out, and a resumed pass's random call."""
        if self._resume is not None:
            resume, self._resume = self._resume, None
            return resume
        order: Tensor = self.batch_sampler.sampler.order()  # type: ignore[union-attr]
        return order, 0, None

    def _iterate_order(
        self, native: NativeBatches | None, order: Tensor, position: int, call: tuple[int, int] | None
    ) -> Iterator[Any]:
        size, samples = self.batch_sampler.batch_size, len(order)  # type: ignore[union-attr]
        if native is None:
            indices = order.numpy()
        else:
            if native.random and call is None:
                call = _C.next_random_call()
            index = on_device(order, native.device)  # once for the pass
            keys = index if self._visits_once() or not native.random else arange(samples)
            drawn = Pass(call or (0, 0), on_device(keys, native.device))
            gather = native.gather
        if self.drop_last:
            samples -= samples % size
        for start in range(position * size, samples, size):
            count = min(size, samples - start)
            if native is None:
                batch = self._fetch(indices[start : start + count].tolist())
            else:
                batch = gather(index, start, count, drawn)
            # Set before the batch goes out: who saves while working on it, and goes on later, wants the next.
            position += 1
            self._order, self._position, self._call = order, position, call
            yield batch
        self._order, self._position, self._call = None, 0, None

    def _iterate_batches(self, native: NativeBatches) -> Iterator[Any]:
        call = _C.next_random_call() if native.random else (0, 0)
        length, place = len(self.dataset), 0
        for indices in map(list, self.batch_sampler):  # type: ignore[arg-type]
            count = len(indices)
            keys = arange(count, place)
            yield native.gather(index_tensor(indices, length), 0, count, Pass(call, keys))
            place += count

    def _visits_once(self) -> bool:
        """Whether no index comes twice in a pass."""
        sampler = self.batch_sampler.sampler  # type: ignore[union-attr]
        if isinstance(sampler, RandomSampler):
            return not sampler.replacement and sampler.num_samples <= len(sampler.data_source)
        return isinstance(sampler, SequentialSampler)

    def _iterate_stream(self) -> Iterator[Any]:
        if self.batch_size is None:
            for sample in self.dataset:
                yield self.collate_fn(sample)
            return
        samples = []
        for sample in self.dataset:
            samples.append(sample)
            if len(samples) == self.batch_size:
                yield self.collate_fn(samples)
                samples = []
        if samples and not self.drop_last:
            yield self.collate_fn(samples)


def _warn_about_workers() -> None:
    global _warned_about_workers
    if not _warned_about_workers:
        _warned_about_workers = True
        warnings.warn(
            "DataLoader: num_workers has no effect: batches are made by native code in this process",
            UserWarning,
            stacklevel=3,
        )
