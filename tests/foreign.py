"""Another library on the emulation, for tests of what cnnx shares with others; and which tests can be run."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

import cnnx
from cnnx import _C

emulation = pytest.mark.skipif(
    not hasattr(ctypes.CDLL(_C.__file__), "cuda_on_cpu_stream"),
    reason="plays another library on the emulation",
)
two_devices = pytest.mark.skipif(cnnx.cuda.device_count() < 2, reason="needs two devices")

DTYPES = ["float32", "float64", "int64", "int32", "uint8", "bool"]
BLOCKING, NON_BLOCKING = 0, 1


class Foreign:
    """Another library on the emulation: a stream, memory that it reuses, and arrays with the protocols."""

    def __init__(self, flags: int = NON_BLOCKING, device: int = 0) -> None:
        self.library = ctypes.CDLL(_C.__file__)
        self.library.cuda_on_cpu_stream.restype = ctypes.c_void_p
        self.library.cuda_on_cpu_malloc.restype = ctypes.c_void_p
        self.device = device
        self.stream = self.library.cuda_on_cpu_stream(device, flags)

    def array(self, values: np.ndarray) -> ForeignArray:
        pointer = self.library.cuda_on_cpu_malloc(self.device, max(values.nbytes, 1))
        self.copy(pointer, values.ctypes.data, values.nbytes)
        self.wait()
        return ForeignArray(self, pointer, values)

    def copy(self, to: int, source: int, count: int, stream: int | None = None) -> None:
        where = self.stream if stream is None else stream
        assert not self.library.cuda_on_cpu_copy(
            ctypes.c_void_p(to), ctypes.c_void_p(source), ctypes.c_size_t(count), ctypes.c_void_p(where)
        )

    def begin_capture(self) -> None:
        assert not self.library.cuda_on_cpu_begin_capture(ctypes.c_void_p(self.stream))

    def end_capture(self) -> int:
        return self.library.cuda_on_cpu_end_capture(ctypes.c_void_p(self.stream))

    def wait(self) -> None:
        assert not self.library.cuda_on_cpu_wait(ctypes.c_void_p(self.stream))

    def read(self, pointer: int, like: np.ndarray) -> np.ndarray:
        result = np.empty_like(like)
        self.copy(result.ctypes.data, pointer, like.nbytes)
        self.wait()
        return result


class ForeignArray:
    """A copy of `values` on the device, with the CUDA array interface; `extra` replaces its entries."""

    def __init__(self, library: Foreign, pointer: int, values: np.ndarray) -> None:
        self.library, self.pointer, self.values = library, pointer, values
        self.version = 3
        self.extra: dict[str, object] = {"stream": library.stream}

    @property
    def __cuda_array_interface__(self):
        return {
            "shape": self.values.shape,
            "typestr": self.values.dtype.str,
            "data": (self.pointer, False),
            "strides": None if self.values.flags.c_contiguous else self.values.strides,
            "version": self.version,
            **self.extra,
        }


class Producer:
    """A tensor of cnnx behind the DLPack protocol, so that `from_dlpack` cannot know it."""

    def __init__(self, tensor: cnnx.Tensor, old: bool = False) -> None:
        self.tensor, self.old, self.streams = tensor, old, []

    def __dlpack_device__(self):
        return self.tensor.__dlpack_device__()

    def __dlpack__(self, stream=None, **others):
        if self.old and others:
            raise TypeError("unexpected keyword")
        self.streams.append(stream)
        return self.tensor.__dlpack__(stream=stream, **others)


def on_gpu(dtype: str = "float32", device: str = "cuda") -> cnnx.Tensor:
    return cnnx.tensor(np.array([[0, 1, 2], [3, 0, 5]]).astype(dtype)).to(device)
