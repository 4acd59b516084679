"""The CUDA devices: what there is, their memory, waiting for them, and graphs."""

from __future__ import annotations

from typing import Any

from cnnx import _C
from cnnx.cuda_graph import CUDAGraph as CUDAGraph
from cnnx.cuda_graph import graph as graph
from cnnx.cuda_graph import is_current_stream_capturing as is_current_stream_capturing
from cnnx.devices import as_device
from cnnx.devices import device as Device


def is_built() -> bool:
    """Whether this installation has the CUDA backend; `build_info` says for which cards, or why not."""
    return bool(_C.cuda_is_built())


def build_info() -> str:
    """The CUDA version and architectures of the backend, or why there is none."""
    return str(_C.cuda_build_text())


def is_available() -> bool:
    """Whether tensors can live on a GPU: the backend is built, and there is a driver with a device."""
    return device_count() > 0


def device_count() -> int:
    """The number of GPUs; 0 without the backend or a driver."""
    return int(_C.cuda_device_count())


def _index(op: str, device: Any) -> int:
    where = as_device(op, Device("cuda") if device is None else device)
    if where.type != "cuda":
        raise ValueError(f"{op}: expected a CUDA device, got {where}")
    return where.index or 0


def get_device_name(device: Any = None) -> str:
    """The model of a GPU (the first, if none is named)."""
    return str(_C.cuda_device_name(_index("get_device_name", device)))


def current_device() -> int:
    """The number of the GPU that `"cuda"` means: 0."""
    return 0


def synchronize(device: Any = None) -> None:
    """Waits until everything given to the device is done."""
    _C.cuda_synchronize(_index("synchronize", device))


def memory_allocated(device: Any = None) -> int:
    """The bytes that tensors on the device hold, rounded up to the blocks of the allocator."""
    return int(_C.cuda_memory(_index("memory_allocated", device))[0])


def max_memory_allocated(device: Any = None) -> int:
    """The largest `memory_allocated` since the start or the last `reset_peak_memory_stats`."""
    return int(_C.cuda_memory(_index("max_memory_allocated", device))[1])


def memory_reserved(device: Any = None) -> int:
    """`memory_allocated` and what the allocator keeps for later."""
    in_use, _, cached = _C.cuda_memory(_index("memory_reserved", device))
    return int(in_use + cached)


def reset_peak_memory_stats(device: Any = None) -> None:
    """Starts `max_memory_allocated` anew."""
    _C.cuda_reset_peak(_index("reset_peak_memory_stats", device))


def empty_cache() -> None:
    """Gives the memory that the allocator keeps for later back to the devices."""
    for index in range(device_count()):
        _C.cuda_release_cached(index)


def manual_seed(seed: int) -> None:
    """Does nothing: the generator that `cnnx.manual_seed` seeds serves all devices."""


def manual_seed_all(seed: int) -> None:
    """Does nothing: the generator that `cnnx.manual_seed` seeds serves all devices."""
