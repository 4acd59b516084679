"""The loader: a data set as batches."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from cnnx import _C
from cnnx.generator import _pack, _unpack
from cnnx.overrides import refuse_overrides
from cnnx.tensor import Tensor
from cnnx.utils.data.collate import collates_as_shipped, default_collate, default_convert, pinned
from cnnx.utils.data.native import NativeBatches, Pass, index_tensor, native_batches, on_device
from cnnx.utils.data.sampler import (
    BatchSampler,
    Order,
    RandomSampler,
    Sampler,
    SequentialSampler,
    arange,
    order_of,
)
from cnnx.utils.data.sources import IterableDataset, samples_at

_FIXED = ("dataset", "batch_size", "sampler", "batch_sampler", "drop_last", "persistent_workers")
_NEVER_CALLED = {"_get_iterator": "define __iter__ instead", "_index_sampler": "pass a batch_sampler instead"}
_warned: set[str] = set()


def get_worker_info() -> Any:
    """None: samples are read in the main process, where PyTorch's function gives None too."""
    return None


class DataLoader:
    """Iterates over a data set in batches.

    Image data sets with `ToTensor` and other transforms of `cnnx.transforms` (but no functions of the user's
    own), `TensorDataset`, and subsets and concatenations of these are gathered, transformed and normalised a
    whole batch at a time in native code. Any other data set is read sample by sample and put together by
    `collate_fn`; so are those of a subclass with a `__getitem__`, `__getitems__` or `__len__` of its own, and
    proxies. Either way a pass over the loader gives what the data set's samples are when the pass begins; as
    with PyTorch's workers, it need not see what is changed on the way.

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
    num_workers, timeout, prefetch_factor, persistent_workers, multiprocessing_context, worker_init_fn
        Loading takes place in this process: a warning says that these have no effect, that no workers are
        started and `worker_init_fn` is not called. `get_worker_info()` is None, as in PyTorch's main process.
    collate_fn
        Makes a batch of a list of samples; default: `default_collate`, or `default_convert` for single ones.
    pin_memory
        Hand out batches in pinned memory, from which `to("cuda", non_blocking=True)` copies beside the GPU's
        work; those of a user's own class by its method `pin_memory()`. Without effect where there is no GPU.
    pin_memory_device
        For a CUDA device alone: `"cuda"`, or nothing.
    in_order
        Batches come in order, whatever it says.
    drop_last
        Leave out the last batch if it is smaller.
    generator
        A `cnnx.Generator` for the random order; default: the global one, which `cnnx.manual_seed` seeds.

    Raises
    ------
    ValueError
        If arguments exclude each other, `batch_size` is not positive, or an empty data set is to be shuffled;
        when `dataset`, `batch_size`, `sampler`, `batch_sampler` or `drop_last` is set later, as in PyTorch.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx.utils.data import TensorDataset
    >>> loader = DataLoader(TensorDataset(cnnx.arange(5)), batch_size=2)
    >>> [batch.tolist() for (batch,) in loader]
    [[0, 1], [2, 3], [4]]
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        refuse_overrides(cls, _NEVER_CALLED)

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
        workers = {
            "timeout": timeout,
            "worker_init_fn": worker_init_fn,
            "multiprocessing_context": multiprocessing_context,
            "prefetch_factor": prefetch_factor,
            "persistent_workers": persistent_workers,
        }
        _check_workers(num_workers, workers)
        if not isinstance(pin_memory_device, str):
            raise TypeError(f"DataLoader: pin_memory_device must be a str, got {pin_memory_device!r}")
        if pin_memory_device.partition(":")[0] not in ("", "cuda"):
            raise ValueError(f"DataLoader: pin_memory_device must be on CUDA, got {pin_memory_device!r}")
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
        self.pin_memory_device = pin_memory_device
        self.in_order = in_order
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = multiprocessing_context
        self.prefetch_factor = prefetch_factor
        self.persistent_workers = persistent_workers
        single = batch_sampler is None and batch_size is None
        self.collate_fn = collate_fn or (default_convert if single else default_collate)
        self._place = _Place()
        self._resume: tuple[Tensor, int, tuple[int, int] | None] | None = None
        self._ready = True

    def __setattr__(self, name: str, value: Any) -> None:
        # What the samplers were made of: set later, it would not reach them.
        if name in _FIXED and "_ready" in self.__dict__:
            raise ValueError(f"DataLoader: {name} cannot be set after the loader is made")
        super().__setattr__(name, value)

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
            return self._iterate_stream(iter(self.dataset))
        if self.batch_sampler is None:
            return (self.collate_fn(self.dataset[index]) for index in self.sampler)  # type: ignore[union-attr]
        native = native_batches(self.dataset) if collates_as_shipped(self.collate_fn) else None
        order = order_of(self.batch_sampler)
        if order is not None:
            return self._iterate_order(native, order, *self._next_order(order))
        lists = iter(self.batch_sampler)
        return map(self._fetch, lists) if native is None else self._iterate_lists(native, lists)

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
        order, position, call = self._resume or self._place.values()
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
        samples = len(self.batch_sampler.sampler)  # type: ignore[union-attr]
        if len(order) != samples:
            raise ValueError(
                f"DataLoader.load_state_dict: the order has {len(order)} samples, a pass has {samples}"
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

    def _where(self) -> tuple[Any, Any]:
        """Where the next pass begins and where the one under way is, for `_go_to`: of any loader, exactly."""
        return self._resume, self._place.values()

    def _go_to(self, where: tuple[Any, Any]) -> None:
        self._resume, (self._place.order, self._place.position, self._place.call) = where

    def _check_resumable(self, what: str) -> None:
        if order_of(self.batch_sampler) is None:
            raise NotImplementedError(
                f"DataLoader.{what}: only loaders with shuffle or the samplers of cnnx.utils.data can resume"
            )

    def _fetch(self, indices: Iterable[Any]) -> Any:
        return self.collate_fn(samples_at(self.dataset, list(indices)))

    def _next_order(self, order: Order) -> tuple[Tensor, int, tuple[int, int] | None]:
        """The indices of the pass that begins, the batches to leave out, and a resumed pass's random call."""
        if self._resume is not None:
            resume, self._resume = self._resume, None
            return resume
        return order.draw(), 0, None

    def _iterate_order(
        self,
        native: NativeBatches | None,
        order: Order,
        indices: Tensor,
        position: int,
        call: tuple[int, int] | None,
    ) -> Iterator[Any]:
        batches: BatchSampler = self.batch_sampler  # type: ignore[assignment]
        place = self._place
        size, samples = batches.batch_size, len(indices)
        if native is None:
            places = indices.numpy()
        else:
            if native.random and call is None:
                call = _C.next_random_call()
            # Those of a user's sampler may count from the end.
            counted = None if order.once else index_tensor(indices, len(self.dataset))
            index = on_device(indices if counted is None else counted, native.device)  # once for the pass
            keys = index if order.once or not native.random else arange(samples)
            drawn = Pass(call or (0, 0), on_device(keys, native.device))
            gather = native.gather
        if batches.drop_last:
            samples -= samples % size
        for start in range(position * size, samples, size):
            count = min(size, samples - start)
            if native is None:
                batch = self._fetch(places[start : start + count].tolist())
            else:
                batch = gather(index, start, count, drawn)
            # Set before the batch goes out: who saves while working on it, and goes on later, wants the next.
            position += 1
            place.order, place.position, place.call = indices, position, call
            yield batch
        place.order, place.position, place.call = None, 0, None

    def _iterate_lists(self, native: NativeBatches, lists: Iterator[Any]) -> Iterator[Any]:
        call = _C.next_random_call() if native.random else (0, 0)
        length, place = len(self.dataset), 0
        for given in lists:
            indices = given if isinstance(given, Tensor | np.ndarray) else list(given)
            index = _list_tensor(indices, length)
            if index is None:
                yield self._fetch(indices)
                continue
            count = len(index)
            yield native.gather(index, 0, count, Pass(call, arange(count, place)))
            place += count

    def _iterate_stream(self, stream: Iterator[Any]) -> Iterator[Any]:
        if self.batch_size is None:
            yield from map(self.collate_fn, stream)
            return
        samples = []
        for sample in stream:
            samples.append(sample)
            if len(samples) == self.batch_size:
                yield self.collate_fn(samples)
                samples = []
        if samples and not self.drop_last:
            yield self.collate_fn(samples)


class _Place:
    """Where the pass under way is: an object of its own, because each batch writes it."""

    __slots__ = ("call", "order", "position")

    def __init__(self) -> None:
        self.order: Tensor | None = None
        self.position = 0  # batches that were handed out
        self.call: tuple[int, int] | None = None  # that random transforms draw from

    def values(self) -> tuple[Tensor | None, int, tuple[int, int] | None]:
        return self.order, self.position, self.call


def _list_tensor(indices: Any, length: int) -> Tensor | None:
    """A batch sampler's list as a tensor; None if it holds anything but integers, or nothing."""
    if not isinstance(indices, Tensor | np.ndarray) and not set(map(type, indices)) <= {int, np.int64}:
        return None
    return index_tensor(indices, length) if len(indices) else None


def _check_workers(count: int, options: dict[str, Any]) -> None:
    """Refuses what PyTorch refuses of workers, and warns once of what has no effect."""
    if count < 0:
        raise ValueError(f"DataLoader: num_workers must not be negative, got {count}")
    if options["timeout"] < 0:
        raise ValueError(f"DataLoader: timeout must not be negative, got {options['timeout']}")
    context = options["multiprocessing_context"]
    if isinstance(context, str) and context not in ("fork", "forkserver", "spawn"):
        raise ValueError(f"DataLoader: multiprocessing_context {context!r} is no start method")
    given = [name for name, value in options.items() if value]
    if count == 0:
        for name in given:
            if name != "worker_init_fn":  # to be called in each worker, of which there are none
                raise ValueError(f"DataLoader: {name} needs num_workers > 0")
        return
    names = ", ".join(["num_workers", *given])
    text = f"DataLoader: {names} {'have' if given else 'has'} no effect: batches are made in this process" + (
        "; worker_init_fn is not called" if options["worker_init_fn"] else ""
    )
    if text not in _warned:
        _warned.add(text)
        warnings.warn(text, UserWarning, stacklevel=3)
