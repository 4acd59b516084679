"""Which values of a program are constants, and what they hold."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnx import _C
from cnnx.tracing.program import Value, geometry


class Constants:
    """Knows which values are the same in all passes, and as they were when they were used."""

    def __init__(self) -> None:
        self._fixed: dict[Value, bool] = {}

    def holds(self, value: Value) -> bool:
        """Whether a value is a constant."""
        if value not in self._fixed:
            self._fixed[value] = not value.traced and self._same_in_all(value)
        return self._fixed[value]

    @staticmethod
    def _same_in_all(value: Value) -> bool:
        if not value.recorded or value.follows or any(t.tensor._changes != t.version for t in value.recorded):
            return False
        first, *others = value.recorded
        if all(t.storage == first.storage and geometry([t]) == geometry([first]) for t in others):
            return True
        return all(array_of(t).tobytes() == array_of(first).tobytes() for t in others)


def place_of(recorded: _C.RecordedTensor) -> Any:
    """Where a tensor lies."""
    return recorded.storage, recorded.tensor.dtype, geometry([recorded])


def array_of(recorded: _C.RecordedTensor) -> np.ndarray[Any, Any]:
    """The elements."""
    return np.array(_C.numpy(_C.to_device(recorded.tensor, "cpu")))


def made_anew(by: str, place: str, value: Value) -> ValueError:
    """The error for a tensor that neither the inputs nor the weights explain."""
    shape = value.shapes[0] if value.shapes else ()
    return ValueError(
        f"{by}: {place} uses a tensor that forward makes anew, of shape {shape}, and that depends on "
        "the input in a way that cannot be traced; make it from the input by tensor functions"
    )
