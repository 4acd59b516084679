"""The warning about kernels that this CPU target lacks."""

from __future__ import annotations

import sys
import warnings
from types import FrameType

from cnnx import _C


class PerformanceWarning(UserWarning):
    """A float32 operation has no kernel for the running CPU target, so the slow reference computes it.

    Given once per kernel and process. `cnnx info --ops` lists the kernels of every operation.
    """


def _warn(text: str) -> None:
    level, frame = 2, sys._getframe(1)  # the caller's line, not one of ours
    outer: FrameType | None = frame
    while outer is not None and outer.f_globals.get("__name__", "").partition(".")[0] == "cnnx":
        level, outer = level + 1, outer.f_back
    warnings.warn(text, PerformanceWarning, stacklevel=level)


_C._set_slow_kernel_warning(_warn)
