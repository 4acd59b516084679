"""Windows over planes: where they lie, and convolutions over them in NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import cnnx
from cnnx.c_export.writer import at
from cnnx.nn import functional as F

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Axis:
    """One axis of windows."""

    size: int  # of what the windows lie on
    cells: int  # how many windows
    kernel: int
    stride: int
    padding: int
    dilation: int

    def offset(self, tap: int) -> int:
        """Where a tap of the first window lies."""
        return tap * self.dilation - self.padding

    def reach(self, tap: int) -> tuple[int, int]:
        """The windows of which a tap lies within."""
        first = min(max(0, -(self.offset(tap) // self.stride)), self.cells)
        last = min(self.cells, (self.size - 1 - self.offset(tap)) // self.stride + 1)
        return first, max(first, last)

    @property
    def fits(self) -> bool:
        """Whether all windows lie within."""
        return self.padding <= 0 and self.end <= self.size

    @property
    def end(self) -> int:
        """Where the last window ends."""
        return (self.cells - 1) * self.stride + self.offset(self.kernel - 1) + 1

    def inside(self, name: str) -> str:
        """That an index lies within, in C."""
        below = [f"{name} >= 0"] if self.padding > 0 else []
        return " && ".join([*below, f"{name} < {self.size}"] if self.end > self.size else below)


@dataclass(frozen=True)
class ConvShape:
    """A convolution; of a transposed one, that whose input gradient it is."""

    batch: int
    in_channels: int
    out_channels: int
    groups: int
    rows: Axis
    columns: Axis

    @classmethod
    def of(cls, call: Any) -> ConvShape:
        """The shape of a recorded call."""
        s = {name: call[f"shape.{name}"] for name in ("batch", "in_channels", "out_channels", "groups")}
        return cls(**s, rows=axis_of(call, "height", "top"), columns=axis_of(call, "width", "left"))

    @property
    def group_in(self) -> int:
        """The channels of the input that a channel of the output sees."""
        return self.in_channels // self.groups

    @property
    def group_out(self) -> int:
        """The channels of the output in a group."""
        return self.out_channels // self.groups

    @property
    def taps(self) -> int:
        """The weights of an output channel."""
        return self.group_in * self.rows.kernel * self.columns.kernel

    def channel(self, o: str, c: str) -> str:
        """The input channel c of the group of the output channel o."""
        if self.groups == 1:
            return c
        group = o if self.group_out == 1 else f"{o} / {self.group_out}"
        return at((group, self.group_in), (c, 1)) if self.group_in > 1 else group

    def words(self) -> str:
        """Kernel, stride and the like where they are not the usual ones."""
        rows, columns = self.rows, self.columns
        parts = [f"kernel {rows.kernel}x{columns.kernel}"]
        for name, usual in (("stride", 1), ("padding", 0), ("dilation", 1)):
            a, b = getattr(rows, name), getattr(columns, name)
            if (a, b) != (usual, usual):
                parts.append(f"{name} {a}" if a == b else f"{name} {a}x{b}")
        if self.groups > 1:
            parts.append(f"groups {self.groups}")
        return ", ".join(parts)


def axis_of(call: Any, along: str, begin: str) -> Axis:
    """One axis of a recorded call."""
    size, cells, kernel, stride = (call[f"shape.{of}_{along}"] for of in ("in", "out", "kernel", "stride"))
    return Axis(size, cells, kernel, stride, call[f"shape.pad_{begin}"], call[f"shape.dilation_{along}"])


@dataclass(frozen=True)
class Numbers:
    """The types of the elements and of their sums."""

    element: str
    total: str


FLOAT = Numbers("float", "float")


def padded(x: Array, s: ConvShape) -> Array:
    """Images with what the windows need around them, and nothing else."""
    axes = s.rows, s.columns
    around = [(max(axis.padding, 0), max(axis.end - axis.size, 0)) for axis in axes]
    wide = np.pad(x, [(0, 0), (0, 0), *around])
    cut = [slice(max(-axis.padding, 0), axis.end + max(axis.padding, 0)) for axis in axes]
    return wide[:, :, cut[0], cut[1]]


def convolve(x: Array, weight: Array, s: ConvShape) -> Array:
    """The convolution of images (N, C, H, W), in their dtype."""
    shaped = weight.reshape(s.out_channels, s.group_in, s.rows.kernel, s.columns.kernel)
    return np.asarray(
        F.conv2d(
            cnnx.from_numpy(np.ascontiguousarray(padded(x, s))),
            cnnx.from_numpy(np.ascontiguousarray(shaped)),
            stride=(s.rows.stride, s.columns.stride),
            dilation=(s.rows.dilation, s.columns.dilation),
            groups=s.groups,
        ).numpy()
    )


def convolve_exactly(x: Array, weight: Array, s: ConvShape) -> Array:
    """The convolution of whole numbers (N, C, H, W): sums in float64, which are exact below 2^53."""
    wide = padded(x.astype(np.float64), s)
    rows, columns = s.rows, s.columns
    n = wide.shape[0]
    step = wide.strides
    windows = np.lib.stride_tricks.as_strided(
        wide,
        (n, s.groups, s.group_in, rows.kernel, columns.kernel, rows.cells, columns.cells),
        (step[0], step[1] * s.group_in, step[1], step[2] * rows.dilation, step[3] * columns.dilation)
        + (step[2] * rows.stride, step[3] * columns.stride),
    ).reshape(n, s.groups, s.taps, -1)
    factors = weight.astype(np.float64).reshape(1, s.groups, s.group_out, s.taps)
    y = (factors @ windows).reshape(n, s.out_channels, rows.cells, columns.cells)
    return np.asarray(y, np.int64)


def pooled(y: Array, pool: int) -> Array:
    """The maxima of squares of cells; what is left at the ends is dropped."""
    if pool == 1:
        return y
    n, c, h, w = y.shape
    cut = y[:, :, : h // pool * pool, : w // pool * pool]
    return np.asarray(cut.reshape(n, c, h // pool, pool, w // pool, pool).max((3, 5)))
