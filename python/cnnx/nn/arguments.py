"""How the arguments of spatial functions and losses are read: pairs, padding, deprecated flags."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

Size2 = int | Sequence[int]


def pair(op: str, name: str, value: Any) -> tuple[int, int]:
    """An int or a sequence of one or two as (height, width)."""
    if isinstance(value, int) and not isinstance(value, bool):
        return (value, value)
    if isinstance(value, (tuple, list)) and all(hasattr(v, "__index__") for v in value):
        if len(value) == 2:
            return (int(value[0]), int(value[1]))
        if len(value) == 1:
            return (int(value[0]), int(value[0]))
    if hasattr(value, "__index__") and not isinstance(value, bool):
        return (int(value), int(value))
    raise TypeError(f"{op}: {name} must be an int or a pair of ints, got {value!r}")


def conv_padding(
    padding: str | Size2, kernel: tuple[int, ...], stride: tuple[int, int], dilation: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Padding as (top, bottom, left, right)."""
    if not isinstance(padding, str):
        if isinstance(padding, int):
            return (padding, padding, padding, padding)
        height, width = pair("conv2d", "padding", padding)
        return (height, height, width, width)
    if padding == "valid":
        return (0, 0, 0, 0)
    reach = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    if padding == "full":
        return (reach[0], reach[0], reach[1], reach[1])
    if padding == "same":
        if stride != (1, 1):
            raise ValueError("conv2d: padding='same' is not supported for strided convolutions")
        # An odd total has its extra row or column at the bottom or right.
        top, left = reach[0] // 2, reach[1] // 2
        return (top, reach[0] - top, left, reach[1] - left)
    raise ValueError(f"conv2d: padding must be numbers, 'same', 'valid' or 'full', got {padding!r}")


def pool_pairs(
    op: str, kernel_size: Any, stride: Any, padding: Any
) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """Kernel, stride (None or empty: the kernel) and padding as pairs."""
    kernel = pair(op, "kernel_size", kernel_size)
    strides = kernel if stride is None or stride == [] or stride == () else pair(op, "stride", stride)
    return kernel, strides, pair(op, "padding", padding)


def legacy_reduction(size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    """The reduction that the two deprecated flags, if given, stand for."""
    if size_average is None and reduce is None:
        return reduction
    if reduce is not None and not reduce:
        legacy = "none"
    else:
        legacy = "mean" if size_average is None or size_average else "sum"
    warnings.warn(
        f"size_average and reduce args are deprecated, please use reduction='{legacy}' instead.", stacklevel=3
    )
    return legacy
