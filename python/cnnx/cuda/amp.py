"""The names of `cnnx.amp` in scripts for GPUs: `autocast()` and `GradScaler()` of the device "cuda"."""

from __future__ import annotations

from typing import Any

from cnnx import amp

__all__ = ["GradScaler", "autocast"]


class autocast(amp.autocast):  # noqa: N801
    """`cnnx.autocast` for the device "cuda", where everything runs in float32.

    Parameters
    ----------
    enabled : bool
        Default: True.
    dtype : optional
        `cnnx.bfloat16` is taken, and runs in float32 too.
    cache_enabled : bool
        For PyTorch's sake: there is nothing to cache.

    Examples
    --------
    >>> import cnnx
    >>> with cnnx.cuda.amp.autocast(enabled=cnnx.cuda.is_available()):
    ...     y = cnnx.ones(2) * 3
    >>> y.dtype
    cnnx.float32
    """

    def __init__(self, enabled: bool = True, dtype: Any = None, cache_enabled: bool = True) -> None:
        super().__init__("cuda", dtype, enabled, cache_enabled)


class GradScaler(amp.GradScaler):
    """`cnnx.amp.GradScaler` for the device "cuda", which has the same parameters without `device`.

    Examples
    --------
    >>> import cnnx
    >>> scaler = cnnx.cuda.amp.GradScaler(enabled=cnnx.cuda.is_available())
    >>> scaler.is_enabled() == cnnx.cuda.is_available()
    True
    """

    def __init__(
        self,
        init_scale: float = 65536.0,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        super().__init__("cuda", init_scale, growth_factor, backoff_factor, growth_interval, enabled)
