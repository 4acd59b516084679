"""Devices: where a tensor lives."""

from __future__ import annotations

from typing import Any

from cnnx import _C


class device:  # noqa: N801
    """A device by name. `device("cpu")` equals the string `"cpu"` and its hash.

    Parameters
    ----------
    type
        `"cpu"`, `"cuda"`, `"cuda:1"` or another device. Making the object needs no such device; using it
        does.
    index
        The number of the device, if `type` does not name it. A `"cuda"` without one is the calling thread's
        current device when it is used (`cnnx.cuda.set_device`), at first 0.

    Raises
    ------
    RuntimeError
        If there is no such kind of device.

    Examples
    --------
    >>> device("cuda", 1)
    device(type='cuda', index=1)
    """

    __slots__ = ("index", "type")
    type: str
    index: int | None

    def __init__(self, type: str | device, index: int | None = None) -> None:
        if isinstance(type, device):
            self.type, self.index = type.type, type.index
            return
        kind, _, number = str(type).partition(":")
        if kind not in ("cpu", "cuda", "mps"):
            raise RuntimeError(f'device: unknown device "{type}"; known are "cpu" and "cuda"')
        if number:
            if index is not None or not number.isdecimal():
                raise RuntimeError(f'device: "{type}" is no device name')
            index = int(number)
        self.type = kind
        self.index = index

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            return str(self) == other
        return isinstance(other, device) and self.type == other.type and self.index == other.index

    def __hash__(self) -> int:
        return hash(str(self))

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __repr__(self) -> str:
        index = "" if self.index is None else f", index={self.index}"
        return f"device(type='{self.type}'{index})"

    def __reduce__(self) -> tuple[Any, ...]:
        return (device, (self.type, self.index))


CPU = device("cpu")


def as_device(op: str, where: str | device | int | None) -> device:
    """The device that `where` names (None: the default device; an int: a GPU by its number).

    Raises
    ------
    RuntimeError
        If tensors cannot live there.
    """
    if where is None:
        return _default
    if where is CPU or where == "cpu":
        return CPU
    chosen = device("cuda", where) if isinstance(where, int) else device(where)
    if chosen.type == "cuda":
        index = _C.cuda_current_device() if chosen.index is None else chosen.index
        _C.cuda_check_device(op, index)
        return device("cuda", index)
    if chosen.type != "cpu":
        raise RuntimeError(f'{op}: device "{chosen}" is not available: cnnx has no such backend')
    if chosen.index not in (None, 0):
        raise RuntimeError(f'{op}: there is one CPU device, "cpu"; got "{chosen}"')
    return CPU


def cuda_index(op: str, where: str | device | int | None) -> int:
    """The number of the GPU that `where` names; None is the calling thread's current one.

    Raises
    ------
    ValueError
        If it is no GPU.
    RuntimeError
        If it is not there.
    """
    chosen = as_device(op, device("cuda") if where is None else where)
    if chosen.type != "cuda" or chosen.index is None:
        raise ValueError(f"{op}: expected a CUDA device, got {chosen}")
    return chosen.index


def device_of(tensor: _C.TensorBase) -> device:
    """Where a tensor lives."""
    index = tensor._cuda_index
    return CPU if index < 0 else device("cuda", index)


def check_device(op: str, where: str | device | int | None) -> None:
    """Raises RuntimeError unless tensors can live on `where`."""
    as_device(op, where)


_default = CPU


def set_default_device(device: str | device | int | None) -> None:
    """Sets where the functions that create tensors put them when they are not told (None: the CPU).

    Raises
    ------
    RuntimeError
        For a device that is not there.
    """
    global _default
    _default = CPU if device is None else as_device("set_default_device", device)


def get_default_device() -> device:
    """Where the functions that create tensors put them when they are not told."""
    return _default
