"""What scripts set or ask of PyTorch's backends. cnnx is deterministic whatever they set."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from cnnx import cuda as _cuda


def _no() -> bool:
    return False


def _backend(**settings: Any) -> Any:
    return SimpleNamespace(is_available=_no, is_built=_no, **settings)


cudnn = _backend(enabled=False, benchmark=False, deterministic=True, allow_tf32=False)
cuda = SimpleNamespace(is_built=_cuda.is_built, matmul=SimpleNamespace(allow_tf32=False))
mps = _backend()
mkldnn = _backend()
