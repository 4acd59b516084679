"""Batches of sequences of different lengths: padded, or packed without the padding."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

import cnnx
from cnnx import _C
from cnnx.absent import names_of as _names_of
from cnnx.signatures import checked
from cnnx.tensor import Tensor

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]


class _Packed(NamedTuple):
    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None


class PackedSequence(_Packed):
    """Sequences sorted by length, time by time: what `pack_padded_sequence` and `pack_sequence` give.

    Parameters
    ----------
    data : Tensor
        (all elements of all sequences, *): first those at time 0, then those at time 1, and so on.
    batch_sizes : Tensor
        int64, on the CPU: how many sequences there are at each time.
    sorted_indices, unsorted_indices : Tensor, optional
        The order by length, and back; None if they were given in that order. The second comes of the first.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx.nn.utils.rnn import pack_sequence
    >>> pack_sequence([cnnx.tensor([1, 2, 3]), cnnx.tensor([4])])[:2]
    (tensor([1, 4, 2, 3]), tensor([2, 1, 1]))
    """

    def __new__(
        cls,
        data: Tensor,
        batch_sizes: Tensor | None = None,
        sorted_indices: Tensor | None = None,
        unsorted_indices: Tensor | None = None,
    ) -> PackedSequence:
        """Takes the four."""
        if not isinstance(batch_sizes, Tensor):
            raise TypeError(
                f"PackedSequence: batch_sizes must be a Tensor, got {type(batch_sizes).__name__}; "
                "pack_padded_sequence makes one"
            )
        if batch_sizes.device.type != "cpu":
            raise ValueError(f"PackedSequence: batch_sizes must be on the CPU, got {batch_sizes.device}")
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """With `data` in another dtype or on another device, where the orders go too; see `Tensor.to`."""
        data = self.data.to(*args, **kwargs)
        if data is self.data:
            return self
        orders = (None if order is None else order.to(data.device) for order in self[2:])
        return type(self)(data, self.batch_sizes, *orders)

    def cuda(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """On a GPU; see `Tensor.cuda`."""
        return self.to(self.data.cuda(*args, **kwargs).device)

    def cpu(self) -> PackedSequence:
        """On the CPU."""
        return self.to("cpu")

    def double(self) -> PackedSequence:
        """As float64."""
        return self.to(dtype=cnnx.float64)

    def float(self) -> PackedSequence:
        """As float32."""
        return self.to(dtype=cnnx.float32)

    def long(self) -> PackedSequence:
        """As int64."""
        return self.to(dtype=cnnx.int64)

    def int(self) -> PackedSequence:
        """As int32."""
        return self.to(dtype=cnnx.int32)

    def byte(self) -> PackedSequence:
        """As uint8."""
        return self.to(dtype=cnnx.uint8)

    def pin_memory(self) -> PackedSequence:
        """With `data` in memory that a GPU can read."""
        return type(self)(self.data.pin_memory(), *self[1:])

    @property
    def is_cuda(self) -> bool:
        """Whether `data` is on a GPU."""
        return self.data.is_cuda

    def is_pinned(self) -> bool:
        """Whether `data` is in memory that a GPU can read."""
        return self.data.is_pinned()


@checked
def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """The order that undoes an order of indices; None of None.

    Examples
    --------
    >>> import cnnx
    >>> cnnx.nn.utils.rnn.invert_permutation(cnnx.tensor([2, 0, 1]))
    tensor([1, 2, 0])
    """
    return None if permutation is None else cnnx.argsort(permutation)


def _numbers(op: str, lengths: Any) -> list[int]:
    """Lengths as ints."""
    listed = lengths.tolist() if isinstance(lengths, Tensor) else list(lengths)
    if not isinstance(listed, list) or not all(isinstance(n, (int, np.integer)) for n in listed):
        raise TypeError(f"{op}: lengths must be a list or a vector of integers")
    return [int(n) for n in listed]


def _is_there(lengths: Iterable[int], total: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """(total, N): whether a sequence has an element at a time."""
    return np.arange(total)[:, None] < np.asarray(list(lengths))[None, :]


def _rows(data: Tensor, index: np.ndarray[Any, Any]) -> Tensor:
    return _C.index_select(data, 0, cnnx.tensor(index, dtype=cnnx.int64, device=data.device))


def _pack(padded: Tensor, there: np.ndarray[Any, Any]) -> Tensor:
    """(T, N, *) to the elements that are there, time by time."""
    return _rows(padded.flatten(0, 1), np.flatnonzero(there))


def _pad(data: Tensor, there: np.ndarray[Any, Any], value: float) -> Tensor:
    """The opposite: (T, N, *), `value` where no element is."""
    filler = cnnx.full((1, *data.shape[1:]), value, dtype=data.dtype, device=data.device)
    index = np.full(there.shape, data.shape[0])
    index[there] = np.arange(data.shape[0])
    return _rows(_C.cat([data, filler], 0), index.ravel()).reshape(*there.shape, *data.shape[1:])


def _lengths(sequence: PackedSequence) -> np.ndarray[Any, Any]:
    """The lengths, from the longest on."""
    sizes = sequence.batch_sizes.numpy()
    is_whole = sizes.dtype.kind in "iu" and sizes.ndim == 1 and sizes.size > 0
    if not is_whole or (np.diff(sizes) > 0).any() or sizes[-1] <= 0 or sizes.sum() != len(sequence.data):
        raise RuntimeError(
            f"PackedSequence: batch_sizes must be integers above 0 that do not grow, with the sum "
            f"{len(sequence.data)}, got {sizes.tolist()}"
        )
    return np.asarray((sizes[:, None] > np.arange(sizes[0])[None, :]).sum(0))


def padded_steps(
    sequence: PackedSequence,
) -> tuple[Tensor, list[Tensor], Callable[[Tensor], PackedSequence]]:
    """For recurrent layers: (T, N, *), which sequences are there at each time (1, N, 1), and the way back."""
    lengths = _lengths(sequence)
    there = _is_there(lengths, len(sequence.batch_sizes))
    device = sequence.data.device
    masks = [cnnx.tensor(row[None, :, None], device=device) for row in there]
    return (
        _pad(sequence.data, there, 0.0),
        masks,
        lambda padded: PackedSequence(_pack(padded, there), *sequence[1:]),
    )


@checked
def pack_padded_sequence(
    input: Tensor, lengths: Tensor | list[int], batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Packs a padded batch of sequences.

    Parameters
    ----------
    input : Tensor
        (T, N, *), with `batch_first` (N, T, *).
    lengths : Tensor or list of int
        How long each sequence is, above 0.
    batch_first : bool
        Default: False.
    enforce_sorted : bool
        Whether the lengths must fall; else they are sorted here. Default: True.

    Raises
    ------
    RuntimeError
        If lengths are not above 0, not sorted although they must be, or do not fit the input.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx.nn.utils.rnn import pack_padded_sequence
    >>> padded = cnnx.tensor([[1, 4], [2, 0], [3, 0]])
    >>> pack_padded_sequence(padded, [3, 1]).data
    tensor([1, 4, 2, 3])
    """
    sizes = _numbers("pack_padded_sequence", lengths)
    if min(sizes, default=0) <= 0:
        raise RuntimeError(
            f"pack_padded_sequence: every length must be above 0, and there must be one, got {sizes}"
        )
    if input.ndim < 2:
        raise RuntimeError(f"pack_padded_sequence: needs (T, N, *), got shape {tuple(input.shape)}")
    padded = input.transpose(0, 1) if batch_first else input
    total, batch = padded.shape[:2]
    if len(sizes) != batch or max(sizes) > total:
        raise RuntimeError(
            f"pack_padded_sequence: {len(sizes)} lengths up to {max(sizes)} do not fit {batch} sequences "
            f"of {total}"
        )
    order = None
    if not enforce_sorted:
        by_length = np.argsort([-size for size in sizes], kind="stable")
        order = cnnx.tensor(by_length, device=input.device)
        padded, sizes = _C.index_select(padded, 1, order), [sizes[i] for i in by_length]
    elif sizes != sorted(sizes, reverse=True):
        raise RuntimeError(
            "pack_padded_sequence: the lengths must fall when enforce_sorted=True; with enforce_sorted=False "
            "they are sorted"
        )
    there = _is_there(sizes, max(sizes))
    data = _pack(padded.narrow(0, 0, max(sizes)), there)
    return PackedSequence(data, cnnx.tensor(there.sum(1), dtype=cnnx.int64, device="cpu"), order)


@checked
def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Pads a packed batch of sequences, the opposite of `pack_padded_sequence`.

    Parameters
    ----------
    sequence : PackedSequence
        The batch.
    batch_first : bool
        Whether the result is (N, T, *) instead of (T, N, *). Default: False.
    padding_value : float
        What stands behind the end of a sequence. Default: 0.
    total_length : int, optional
        T; not below the longest length, which it is by default.

    Returns
    -------
    padded : Tensor
        The sequences in the order in which they were packed.
    lengths : Tensor
        int64, on the CPU.

    Raises
    ------
    ValueError
        If `total_length` is below the longest length.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx.nn.utils.rnn import pack_sequence, pad_packed_sequence
    >>> packed = pack_sequence([cnnx.tensor([1, 2, 3]), cnnx.tensor([4])])
    >>> pad_packed_sequence(packed, batch_first=True)
    (tensor([[1, 2, 3],
            [4, 0, 0]]), tensor([3, 1]))
    """
    if not isinstance(sequence, PackedSequence):
        raise TypeError(
            f"pad_packed_sequence: sequence must be a PackedSequence, got {type(sequence).__name__}"
        )
    lengths, longest = _lengths(sequence), len(sequence.batch_sizes)
    total = longest if total_length is None else total_length
    if total < longest:
        raise ValueError(
            f"pad_packed_sequence: total_length {total} is below that of the longest sequence, {longest}"
        )
    padded = _pad(sequence.data, _is_there(lengths, total), padding_value)
    if sequence.unsorted_indices is not None:
        padded = _C.index_select(padded, 1, sequence.unsorted_indices)
        lengths = lengths[sequence.unsorted_indices.cpu().numpy()]
    sizes = cnnx.tensor(lengths, dtype=cnnx.int64, device="cpu")
    return padded.transpose(0, 1) if batch_first else padded, sizes


@checked
def pad_sequence(
    sequences: Tensor | list[Tensor],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Puts sequences of different lengths side by side: those of (L_i, *) give (T, N, *).

    Parameters
    ----------
    sequences : list of Tensor
        Each (L_i, *), of the same `*`. The result has the dtype of the first.
    batch_first : bool
        Whether the result is (N, T, *). Default: False.
    padding_value : float
        What fills the shorter ones up to the longest. Default: 0.
    padding_side : str
        Whether that stands on the "right" or the "left" of a sequence. Default: "right".

    Raises
    ------
    RuntimeError
        If there is no sequence, or shapes differ beyond the first dimension.

    Examples
    --------
    >>> import cnnx
    >>> cnnx.nn.utils.rnn.pad_sequence([cnnx.tensor([1, 2, 3]), cnnx.tensor([4])], batch_first=True)
    tensor([[1, 2, 3],
            [4, 0, 0]])
    """
    if padding_side not in ("left", "right"):
        raise RuntimeError(f"pad_sequence: padding_side must be 'left' or 'right', got {padding_side!r}")
    parts = list(sequences)
    if not parts:
        raise RuntimeError("pad_sequence: needs at least one sequence")
    shapes = [tuple(part.shape) for part in parts]
    if any(not shape or shape[1:] != shapes[0][1:] for shape in shapes):
        raise RuntimeError(f"pad_sequence: sequences may differ in their first extent alone, got {shapes}")
    total = max(shape[0] for shape in shapes)
    filled = []
    for part in parts:
        gap = (total - part.shape[0], *part.shape[1:])
        if gap[0] > 0:
            filler = cnnx.full(gap, padding_value, dtype=part.dtype, device=part.device)
            part = _C.cat([part, filler] if padding_side == "right" else [filler, part], 0)
        filled.append(_C.to(part, parts[0].dtype))
    return _C.stack(filled, 0 if batch_first else 1)


@checked
def unpad_sequence(
    padded_sequences: Tensor, lengths: Tensor | list[int], batch_first: bool = False
) -> list[Tensor]:
    """The sequences of a padded batch, each as long as it is: the opposite of `pad_sequence`.

    Examples
    --------
    >>> import cnnx
    >>> padded = cnnx.tensor([[1, 2, 3], [4, 0, 0]])
    >>> cnnx.nn.utils.rnn.unpad_sequence(padded, cnnx.tensor([3, 1]), batch_first=True)
    [tensor([1, 2, 3]), tensor([4])]
    """
    padded = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    sizes = _numbers("unpad_sequence", lengths)
    if len(sizes) != padded.shape[0] or not all(0 <= size <= padded.shape[1] for size in sizes):
        raise RuntimeError(
            f"unpad_sequence: the lengths {sizes} do not fit {padded.shape[0]} sequences of {padded.shape[1]}"
        )
    return [part[:size] for part, size in zip(padded.unbind(0), sizes, strict=True)]


@checked
def pack_sequence(sequences: list[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Packs sequences (L_i, *); see `pack_padded_sequence`.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx.nn.utils.rnn import pack_sequence
    >>> packed = pack_sequence([cnnx.tensor([4]), cnnx.tensor([1, 2])], enforce_sorted=False)
    >>> packed.data, packed.sorted_indices
    (tensor([1, 4, 2]), tensor([1, 0]))
    """
    sizes = [part.shape[0] if part.ndim > 0 else 0 for part in sequences]
    return pack_padded_sequence(pad_sequence(sequences), sizes, enforce_sorted=enforce_sorted)


@checked
def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The sequences of a packed batch in their first order: the opposite of `pack_sequence`.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx.nn.utils.rnn import pack_sequence, unpack_sequence
    >>> unpack_sequence(pack_sequence([cnnx.tensor([1, 2, 3]), cnnx.tensor([4])]))
    [tensor([1, 2, 3]), tensor([4])]
    """
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)


__getattr__ = _names_of(__name__)
