"""How the arguments of spatial functions and losses are read: pairs, padding, deprecated flags."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

Size2 = int | Sequence[int]


def per_axis(op: str, name: str, value: Any, axes: int) -> tuple[int, ...]:
    """An int for all axes, or a sequence of one or `axes` ints, as a tuple of `axes`."""
    if type(value) is int:  # this and the next at once, because every forward pass comes by
        return (value,) * axes
    if type(value) is tuple and len(value) == axes and set(map(type, value)) == {int}:
        return value
    if hasattr(value, "__index__") and not isinstance(value, bool):
        return (int(value),) * axes
    if isinstance(value, (tuple, list)) and all(hasattr(v, "__index__") for v in value):
        if len(value) == axes:
            return tuple(int(v) for v in value)
        if len(value) == 1:
            return (int(value[0]),) * axes
    wanted = {1: "an int", 2: "an int or a pair of ints"}.get(axes, f"an int or {axes} ints")
    raise TypeError(f"{op}: {name} must be {wanted}, got {value!r}")


def pair(op: str, name: str, value: Any) -> tuple[int, int]:
    """An int or a sequence of one or two as (height, width)."""
    height, width = per_axis(op, name, value, 2)
    return (height, width)


def conv_padding(
    op: str, padding: str | Size2, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> tuple[int, ...]:
    """Padding before and after each axis: (left, right) or (top, bottom, left, right)."""
    axes = len(stride)
    if not isinstance(padding, str):
        pads = per_axis(op, "padding", padding, axes)
        return pads * 2 if axes == 1 else (pads[0], pads[0], pads[1], pads[1])
    reach = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    if padding == "valid":
        return (0,) * (2 * axes)
    if padding == "full":
        return tuple(r for r in reach for _ in range(2))
    if padding == "same":
        if any(s != 1 for s in stride):
            raise ValueError(f"{op}: padding='same' is not supported for strided convolutions")
        # An odd total has its extra row or column at the bottom or right.
        return tuple(p for r in reach for p in (r // 2, r - r // 2))
    raise ValueError(f"{op}: padding must be numbers, 'same', 'valid' or 'full', got {padding!r}")


def pool_axes(
    op: str, kernel_size: Any, stride: Any, padding: Any, axes: int
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Kernel, stride (None or empty: the kernel) and padding, per axis."""
    kernel = per_axis(op, "kernel_size", kernel_size, axes)
    given = stride is not None and stride != [] and stride != ()
    strides = per_axis(op, "stride", stride, axes) if given else kernel
    return kernel, strides, per_axis(op, "padding", padding, axes)


def adaptive_size(op: str, output_size: Any, extents: Sequence[int]) -> tuple[int, ...]:
    """An int for all axes or a sequence of ints and Nones, which keep the input's extent."""
    axes = len(extents)
    if isinstance(output_size, (tuple, list)) and len(output_size) == axes:
        output_size = tuple(
            extent if size is None else size for size, extent in zip(output_size, extents, strict=True)
        )
    return per_axis(op, "output_size", output_size, axes)


def legacy_reduction(
    size_average: bool | None, reduce: bool | None, reduction: str, stacklevel: int = 3
) -> str:
    """The reduction that the two deprecated flags, if given, stand for."""
    if size_average is None and reduce is None:
        return reduction
    if reduce is not None and not reduce:
        legacy = "none"
    else:
        legacy = "mean" if size_average is None or size_average else "sum"
    warnings.warn(
        f"size_average and reduce args are deprecated, please use reduction='{legacy}' instead.",
        stacklevel=stacklevel,
    )
    return legacy
