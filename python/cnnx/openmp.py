"""Loads the native module with OpenMP threads that do not spin for long.

The OpenMP runtimes let idle threads spin for a millisecond and more before they sleep. Between the short
parallel regions of a small net some spinning pays, but on a busy machine the spinners take the processor
from the very thread they wait for, and a step can take twenty times as long. The runtimes read their
settings once, when they are loaded; so these are set around that moment and put back after it. Whoever
sets one of them in the environment keeps it.
"""

from __future__ import annotations

import os

# GNU: five thousand rounds are some fifty microseconds. LLVM: milliseconds of spinning.
_SPIN = {"GOMP_SPINCOUNT": "5000", "KMP_BLOCKTIME": "0"}


def _load_native() -> None:
    """Import `cnnx._C` for the first time."""
    chosen_by_user = any(name in os.environ for name in ("OMP_WAIT_POLICY", *_SPIN))
    if not chosen_by_user:
        os.environ.update(_SPIN)
    try:
        from cnnx import _C  # noqa: F401
    finally:
        if not chosen_by_user:
            for name in _SPIN:
                del os.environ[name]


_load_native()
