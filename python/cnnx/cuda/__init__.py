"""The CUDA devices: what there is, which is the current one, their memory, streams, events and graphs."""

from __future__ import annotations

import importlib
from typing import Any

from cnnx import _C, random
from cnnx.absent import names_of as _names_of
from cnnx.cuda_graph import CUDAGraph as CUDAGraph
from cnnx.cuda_graph import graph as graph
from cnnx.cuda_graph import is_current_stream_capturing as is_current_stream_capturing
from cnnx.devices import cuda_index
from cnnx.streams import Event as Event
from cnnx.streams import ExternalStream as ExternalStream
from cnnx.streams import Stream as Stream
from cnnx.streams import StreamContext as StreamContext
from cnnx.streams import current_stream as current_stream
from cnnx.streams import default_stream as default_stream
from cnnx.streams import stream as stream


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


def get_device_name(device: Any = None) -> str:
    """The model of a GPU (the current one, if none is named)."""
    return str(_C.cuda_device_name(cuda_index("get_device_name", device)))


def get_device_properties(device: Any = None) -> _C.CudaDeviceProperties:
    """What a GPU is: `name`, `total_memory` (bytes), `major`, `minor`, `multi_processor_count` and more."""
    return _C.cuda_device_properties(cuda_index("get_device_properties", device))


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """The compute capability of a GPU: its major and minor number."""
    properties = _C.cuda_device_properties(cuda_index("get_device_capability", device))
    return properties.major, properties.minor


def current_device() -> int:
    """The number of the GPU that `"cuda"` means in this thread; 0 before `set_device`.

    It is CUDA's own setting, so PyTorch and CuPy see the same.
    """
    return int(_C.cuda_current_device())


def set_device(device: Any) -> None:
    """Makes a GPU the one that `"cuda"` means in this thread; a negative number changes nothing.

    Raises
    ------
    RuntimeError
        If it is not there.
    """
    if not isinstance(device, int) or device >= 0:
        _C.cuda_set_device(cuda_index("set_device", device))


class device:  # noqa: N801
    """A context in which `"cuda"` means another GPU, in this thread.

    Parameters
    ----------
    device
        The GPU or its number; None or a negative number changes nothing.

    Examples
    --------
    with cnnx.cuda.device(1):
        x = cnnx.zeros(3, device="cuda")  # on cuda:1
    """

    def __init__(self, device: Any) -> None:
        unchanged = device is None or (isinstance(device, int) and device < 0)
        self.idx = -1 if unchanged else cuda_index("device", device)
        self.prev_idx = -1

    def __enter__(self) -> device:
        self.prev_idx = current_device()
        set_device(self.idx)
        return self

    def __exit__(self, *exception: object) -> None:
        set_device(self.prev_idx)


class device_of(device):  # noqa: N801
    """A context in which `"cuda"` means the GPU that a tensor lives on; no change for one on the CPU."""

    def __init__(self, obj: Any) -> None:
        super().__init__(obj.get_device())


def synchronize(device: Any = None) -> None:
    """Waits until everything given to the device is done, by other libraries as well."""
    _C.cuda_synchronize(cuda_index("synchronize", device))


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """The free and the total bytes of a device, as the driver sees them."""
    free, total = _C.cuda_free_memory(cuda_index("mem_get_info", device))
    return int(free), int(total)


def memory_allocated(device: Any = None) -> int:
    """The bytes that tensors on the device hold, rounded up to the blocks of the allocator."""
    return int(_C.cuda_memory(cuda_index("memory_allocated", device))[0])


def max_memory_allocated(device: Any = None) -> int:
    """The largest `memory_allocated` since the start or the last `reset_peak_memory_stats`."""
    return int(_C.cuda_memory(cuda_index("max_memory_allocated", device))[1])


def memory_reserved(device: Any = None) -> int:
    """`memory_allocated` and what the allocator keeps for later."""
    in_use, _, cached = _C.cuda_memory(cuda_index("memory_reserved", device))
    return int(in_use + cached)


def reset_peak_memory_stats(device: Any = None) -> None:
    """Starts `max_memory_allocated` anew."""
    _C.cuda_reset_peak(cuda_index("reset_peak_memory_stats", device))


def empty_cache() -> None:
    """Gives the memory that the allocator keeps for later back to the devices."""
    for index in range(device_count()):
        _C.cuda_release_cached(index)


def manual_seed(seed: int) -> None:
    """Seeds the generator of all devices, as `cnnx.manual_seed` does; ignored where there is no GPU."""
    if is_available():
        random.manual_seed(seed)


def manual_seed_all(seed: int) -> None:
    """The same as `manual_seed`: one generator serves all devices."""
    manual_seed(seed)


def __getattr__(name: str) -> Any:
    if name == "amp":  # loaded when first used
        return importlib.import_module("cnnx.cuda.amp")
    return _missing(name)


_missing = _names_of(__name__)
