"""The type of a shape."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    _Tuple = tuple[int, ...]
else:
    _Tuple = tuple


class Size(_Tuple):
    """A shape: a tuple of ints that can also say `numel()`.

    Examples
    --------
    >>> Size((2, 3)).numel()
    6
    >>> Size((2, 3))
    cnnx.Size([2, 3])
    """

    __slots__ = ()

    def numel(self) -> int:
        """The number of elements of a tensor of this shape; 1 for a scalar."""
        return math.prod(self)

    def __repr__(self) -> str:
        return f"cnnx.Size([{', '.join(map(str, self))}])"

    def __getitem__(self, index: Any) -> Any:
        item = tuple.__getitem__(self, index)
        return Size(item) if isinstance(index, slice) else item

    def __add__(self, other: Any) -> Any:
        return Size(tuple.__add__(self, tuple(other)))
