"""Products of rounded factors, on CPUs that multiply them at twice the rate of float32."""

from __future__ import annotations

import functools
from types import TracebackType
from typing import Any

import cnnx
from cnnx import _C
from cnnx.absent import names_of as _names_of
from cnnx.autograd.grad_mode import _Switched
from cnnx.grad_scaler import GradScaler
from cnnx.performance import warn_caller

__all__ = ["GradScaler", "autocast", "bfloat16", "is_autocast_available"]


class _Bfloat16:
    """What `bfloat16` is: no dtype of tensors, but what `autocast` rounds to."""

    def __repr__(self) -> str:
        return "cnnx.bfloat16"

    def __reduce__(self) -> str:
        return "bfloat16"


bfloat16 = _Bfloat16()


def is_autocast_available(device_type: str) -> bool:
    """Whether `autocast` has anything to switch on: on the CPU, with AVX512_BF16 and the target v4 in use."""
    return device_type == "cpu" and _C.has_bfloat16()


class autocast(_Switched):  # noqa: N801
    """Rounds the factors of convolutions, dense layers and matrix products to bfloat16.

    In a `with` block or, as a decorator, in a function. Their sums stay float32, and so do all tensors, so
    nothing needs to be converted, scaled or kept twice; PyTorch's results would be bfloat16, rounded once
    more. A factor is off by 1/256 of itself at most, numbers below 1.2e-38 count as 0. Gradients of what
    was called inside are computed alike, wherever `backward()` stands. Tensors of float64 are left alone.

    What gains nothing runs in float32: convolutions of one input channel or by Winograd's way, a handful of
    images; and all that runs on a GPU. So ``autocast("cuda")`` changes nothing, and the first one says that
    in a `cnnx.PerformanceWarning`; without a GPU each says, as PyTorch's does, that it is off.

    Parameters
    ----------
    device_type : str
        ``"cpu"`` or ``"cuda"``.
    dtype : optional
        `cnnx.bfloat16`, which is the default. There is no float16.
    enabled : bool, optional
        Default: True.
    cache_enabled : bool, optional
        For PyTorch's sake: there is nothing to cache.

    Raises
    ------
    RuntimeError
        If it is for the CPU and that has no AVX512_BF16, or for another device.
    ValueError
        If the dtype is another one.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import amp
    >>> layer, x = cnnx.nn.Linear(256, 64), cnnx.ones(32, 256)
    >>> with cnnx.autocast("cpu", dtype=cnnx.bfloat16, enabled=amp.is_autocast_available("cpu")):
    ...     y = layer(x)
    >>> y.dtype, bool(((y - layer(x)).abs() < 0.02).all())
    (cnnx.float32, True)
    """

    _is_enabled = staticmethod(_C.is_autocast_enabled)
    _enable = staticmethod(_C.set_autocast_enabled)

    def __new__(cls, *args: Any, **kwargs: Any) -> autocast:  # noqa: D102
        return object.__new__(cls)  # without arguments it is no decorator

    def __init__(
        self, device_type: str, dtype: Any = None, enabled: bool = True, cache_enabled: bool | None = None
    ) -> None:
        super().__init__()
        if not isinstance(enabled, bool):
            raise TypeError(f"autocast: enabled must be a bool, got {enabled!r}")
        if device_type not in ("cpu", "cuda"):
            raise RuntimeError(f"autocast: device_type must be 'cpu' or 'cuda', got {device_type!r}")
        if dtype is not None and dtype is not bfloat16:
            raise ValueError(f"autocast: it rounds to cnnx.bfloat16, not to {dtype}")
        self._mode = enabled
        self._device_type = device_type
        if enabled and device_type == "cuda":
            if cnnx.cuda.is_available():
                _warn_of_float32()
            else:
                warn_caller("autocast: there is no CUDA device, so it is off", UserWarning)
        elif enabled and not _C.has_bfloat16():
            raise RuntimeError(
                "autocast: bfloat16 needs a CPU with AVX512_BF16 and the target v4; "
                f"the target here is {_C.active_target()}"
            )

    def __enter__(self) -> None:
        if self._device_type == "cpu":  # nothing changes for what runs on a GPU
            super().__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._device_type == "cpu":
            super().__exit__(kind, error, trace)

    def _again(self) -> autocast:
        again = object.__new__(autocast)  # made once, it has warned once
        _Switched.__init__(again)
        again._mode, again._device_type = self._mode, self._device_type
        return again


@functools.cache
def _warn_of_float32() -> None:
    warn_caller("autocast: on a GPU everything runs in float32")


__getattr__ = _names_of(__name__)
