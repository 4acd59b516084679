"""The warning about what runs slower than it was asked to."""

from __future__ import annotations

import sys
import warnings
from types import FrameType

from cnnx import _C


class PerformanceWarning(UserWarning):
    """Something runs slower than it was asked to.

    A float32 operation has no kernel for the running CPU target, so the slow reference computes it: given
    once per kernel and process; `cnnx info --ops` lists the kernels of every operation. Or `autocast` is for
    a GPU, which runs in float32, or `channels_last` is asked for, which changes nothing: once per process.
    """


def warn_caller(text: str, category: type[Warning] = PerformanceWarning) -> None:
    """Warns with the line of who called cnnx."""
    level, frame = 2, sys._getframe(1)  # the caller's line, not one of ours
    outer: FrameType | None = frame
    while outer is not None and outer.f_globals.get("__name__", "").partition(".")[0] == "cnnx":
        level, outer = level + 1, outer.f_back
    warnings.warn(text, category, stacklevel=level)


_C._set_slow_kernel_warning(warn_caller)
