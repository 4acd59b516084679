"""What the backward pass keeps: hooks that see every tensor that is saved for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cnnx import _C

if TYPE_CHECKING:
    from cnnx.tensor import Tensor

__all__ = ["save_on_cpu", "saved_tensors_hooks"]


class _Thread(threading.local):
    def __init__(self) -> None:
        self.hooks: list[tuple[Any, Any]] = []


_thread = _Thread()


class saved_tensors_hooks:  # noqa: N801
    """Within it, `pack_hook` sees what ops save for their gradients; what it returns is kept instead.

    Parameters
    ----------
    pack_hook : callable
        Gets a tensor, cut off from the graph, and returns anything. It must not change the tensor.
    unpack_hook : callable
        Gets what `pack_hook` returned, in the backward pass, and returns a tensor of the same values, shape,
        dtype and device. It may be called more than once.

    Notes
    -----
    Neither is recorded. Of nested ones the innermost is called. That a saved tensor was changed in place is
    not noticed. A function under `cnnx.compile` that uses hooks is not replayed.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx.autograd.graph import saved_tensors_hooks
    >>> x = cnnx.tensor([2.0, 3.0], requires_grad=True)
    >>> with saved_tensors_hooks(lambda t: t.tolist(), cnnx.tensor):
    ...     y = x * x
    >>> y.sum().backward()
    >>> x.grad
    tensor([4., 6.])
    """

    def __init__(self, pack_hook: Callable[[Tensor], Any], unpack_hook: Callable[[Any], Tensor]) -> None:
        for name, hook in (("pack_hook", pack_hook), ("unpack_hook", unpack_hook)):
            if not callable(hook):
                raise TypeError(f"saved_tensors_hooks: {name} must be callable, got {type(hook).__name__}")
        self.pack_hook = pack_hook
        self.unpack_hook = unpack_hook

    def __enter__(self) -> None:
        from cnnx import noting

        noting.refuse("hooks of saved tensors would have to be called")
        _thread.hooks.append((self.pack_hook, self.unpack_hook))
        _C.set_saved_hooks(self.pack_hook, self.unpack_hook)

    def __exit__(self, *error: object) -> None:
        _thread.hooks.pop()
        _C.set_saved_hooks(*(_thread.hooks[-1] if _thread.hooks else (None, None)))


class save_on_cpu(saved_tensors_hooks):  # noqa: N801
    """Within it, what the backward pass needs waits in the memory of the CPU instead of the GPU's.

    Parameters
    ----------
    pin_memory : bool
        Use pinned memory, which is copied while the GPU computes. Default: False.
    device_type : str
        ``"cuda"``.
    """

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        if device_type != "cuda":
            raise ValueError(f"save_on_cpu: device_type must be 'cuda', got {device_type!r}")

        def pack(tensor: Tensor) -> tuple[Any, Tensor]:
            if not tensor.is_cuda:
                return None, tensor.clone()
            kept = tensor.cpu()
            return tensor.device, kept.pin_memory() if pin_memory else kept

        def unpack(packed: tuple[Any, Tensor]) -> Tensor:
            device, tensor = packed
            return tensor if device is None else tensor.to(device, non_blocking=pin_memory)

        super().__init__(pack, unpack)
