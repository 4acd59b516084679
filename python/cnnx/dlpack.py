"""Exchange with other array libraries through DLPack, without a copy where the memory allows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnnx import _C
from cnnx.devices import as_device

if TYPE_CHECKING:
    from cnnx.tensor import Tensor

CPU_DEVICE = (1, 0)
CUDA = 2


def export(
    tensor: Tensor,
    *,
    stream: Any = None,
    max_version: tuple[int, int] | None = None,
    dl_device: tuple[int, int] | None = None,
    copy: bool | None = None,
) -> Any:
    """A DLPack capsule of the tensor: of version 1.0 if the consumer takes it, else of the form before.

    Raises
    ------
    BufferError
        If the tensor requires a gradient, is on another device than the CPU or asked for there, or is
        read-only while the consumer knows no such flag.
    """
    if tensor.is_cuda:
        raise BufferError(f"__dlpack__: the tensor is on {tensor.device}; call .cpu() first")
    if stream is not None:
        raise BufferError(f"__dlpack__: there are no streams on the CPU, got stream={stream!r}")
    if dl_device is not None and tuple(dl_device) != CPU_DEVICE:
        raise BufferError(f"__dlpack__: the tensor is on the CPU {CPU_DEVICE}, asked for {tuple(dl_device)}")
    return _C.to_dlpack(tensor, max_version is not None and max_version[0] >= 1, bool(copy))


def from_dlpack(ext_tensor: Any, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """A tensor that shares the memory of another library's array.

    Parameters
    ----------
    ext_tensor
        An object with `__dlpack__` (NumPy, PyTorch, JAX, ...) or a DLPack capsule.
    device
        Where to put it; another device than the CPU copies.
    copy
        True: always copy. False: raise where sharing is impossible. None: share where possible; data with
        negative strides is copied.

    Raises
    ------
    BufferError
        If the data is not on the CPU or of an element type that cnnx lacks.
    TypeError
        If the object has no `__dlpack__`.
    """
    where = as_device("from_dlpack", device)
    capsule = ext_tensor
    if hasattr(ext_tensor, "__dlpack__"):
        if hasattr(ext_tensor, "__dlpack_device__"):
            kind = ext_tensor.__dlpack_device__()
            if int(kind[0]) != CPU_DEVICE[0]:
                raise BufferError(
                    f"from_dlpack: the data is on DLPack device {tuple(map(int, kind))}; cnnx takes CPU data"
                )
        try:
            capsule = ext_tensor.__dlpack__(max_version=(1, 0))
        except TypeError:  # an exporter from before version 1.0
            capsule = ext_tensor.__dlpack__()
    result: Tensor = _C.to_device(_C.from_dlpack(capsule, copy), str(where))
    return result


__all__ = ["from_dlpack"]
