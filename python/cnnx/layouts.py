"""PyTorch's memory formats: taken, and said to change nothing, since cnnx chooses the layout itself."""

from __future__ import annotations

import warnings
from typing import Any

from cnnx.performance import PerformanceWarning


class memory_format:  # noqa: N801 - PyTorch's name
    """How a tensor lies in memory, in PyTorch: `contiguous_format`, `preserve_format` or `channels_last`.

    cnnx chooses the layout of a batch itself (images in the lanes of a vector register), whatever is asked
    for. `channels_last` is taken where PyTorch takes it, changes nothing, and says so once.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return f"cnnx.{self._name}"

    def __reduce__(self) -> str:
        return self._name


contiguous_format = memory_format("contiguous_format")
preserve_format = memory_format("preserve_format")
channels_last = memory_format("channels_last")
_told = False


def accept(op: str, wanted: Any, stacklevel: int = 3) -> None:
    """Takes a memory format, or None; the warning is of the caller's caller.

    Raises
    ------
    TypeError
        If it is none.
    """
    global _told
    if wanted is not None and not isinstance(wanted, memory_format):
        raise TypeError(f"{op}: memory_format must be a cnnx.memory_format, got {type(wanted).__name__}")
    if wanted is channels_last and not _told:
        _told = True
        warnings.warn(
            "channels_last changes nothing: cnnx chooses the layout of a batch itself",
            PerformanceWarning,
            stacklevel=stacklevel,
        )
