"""Numbers of passes with batches of several sizes: the same, a multiple of the size and more, or neither."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

# No division, remainder, minimum or other whole-number arithmetic gives the same number at all of them, or a
# multiple and something, unless it does so at every size between (tests/test_onnx_sizes.py). A large one is
# added where memory allows, against bounds above them.
SIZES = (9, 14, 23, 37)
LARGE = 257


@dataclass(frozen=True)
class Follows:
    """A number that follows the batch: factor * size + more."""

    factor: int
    more: int


@dataclass(frozen=True)
class Varies:
    """A number that differs between the passes in another way."""

    values: tuple[Any, ...]


Extent = int | Follows | Varies


def same(a: Any, b: Any) -> bool:
    """Equal; a NaN is itself."""
    return type(a) is type(b) and bool(a == b or (a != a and b != b))


def fit(values: Sequence[Any], sizes: Sequence[int]) -> Any:
    """What the values of the passes are; lists item by item."""
    first = values[0]
    if all(same(first, value) for value in values):
        return first
    if all(isinstance(v, (list, tuple)) and len(v) == len(first) for v in values):
        return [fit(items, sizes) for items in zip(*values, strict=True)]
    if all(type(v) is int for v in values) and sizes[0] != sizes[1]:
        factor, rest = divmod(values[1] - first, sizes[1] - sizes[0])
        more = first - factor * sizes[0]
        if rest == 0 and all(v == factor * n + more for v, n in zip(values, sizes, strict=True)):
            return Follows(factor, more)
    return Varies(tuple(values))


def in_passes(extent: Extent, sizes: Sequence[int]) -> list[int]:
    """An extent in each of the passes."""
    if isinstance(extent, Varies):
        return list(extent.values)
    return [extent.factor * n + extent.more if isinstance(extent, Follows) else extent for n in sizes]


def difference(a: Extent, b: Extent) -> Extent:
    """One minus the other, where neither varies."""
    if isinstance(a, Varies) or isinstance(b, Varies):
        return Varies((a, b))
    (p, q), (r, t) = ((x.factor, x.more) if isinstance(x, Follows) else (0, x) for x in (a, b))
    return Follows(p - r, q - t) if p != r else q - t
