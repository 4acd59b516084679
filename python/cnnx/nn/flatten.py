"""Layers that change shapes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..tensor import Tensor
from .module import Module


class Flatten(Module):
    """Merges the dimensions `start_dim` to `end_dim` into one.

    Parameters
    ----------
    start_dim : int
        Default: 1.
    end_dim : int
        Included. Default: -1.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> nn.Flatten()(cnnx.zeros(4, 16, 5, 5)).shape
    cnnx.Size([4, 400])
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, input: Tensor) -> Tensor:
        """Flattens."""
        return input.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        """First and last dimension."""
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Splits the dimension `dim` into several.

    Parameters
    ----------
    dim : int
        The dimension.
    unflattened_size : sequence of int
        What it becomes; one extent may be -1.

    Raises
    ------
    TypeError
        If `unflattened_size` is no sequence of ints.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> nn.Unflatten(1, (16, 5, 5))(cnnx.zeros(4, 400)).shape
    cnnx.Size([4, 16, 5, 5])
    """

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        super().__init__()
        if not isinstance(dim, int):
            raise TypeError("Unflatten: named dimensions are not available, dim must be an int")
        if not isinstance(unflattened_size, (tuple, list)) or not all(
            isinstance(n, int) for n in unflattened_size
        ):
            raise TypeError(f"Unflatten: unflattened_size must be a tuple of ints, got {unflattened_size!r}")
        self.dim = dim
        self.unflattened_size = tuple(unflattened_size)

    def forward(self, input: Tensor) -> Tensor:
        """Unflattens."""
        if not -input.ndim <= self.dim < input.ndim:
            raise IndexError(f"unflatten: dim {self.dim} is out of range for shape {tuple(input.shape)}")
        dim = self.dim % input.ndim
        shape = tuple(input.shape)
        sizes = list(self.unflattened_size)
        known = math.prod(n for n in sizes if n != -1)
        if sizes.count(-1) == 1 and known > 0 and shape[dim] % known == 0:
            sizes[sizes.index(-1)] = shape[dim] // known
        if math.prod(sizes) != shape[dim] or -1 in sizes:
            raise RuntimeError(
                f"unflatten: sizes {self.unflattened_size} don't multiply up to the size of dim {dim} "
                f"({shape[dim]})"
            )
        return input.reshape(*shape[:dim], *sizes, *shape[dim + 1 :])

    def extra_repr(self) -> str:
        """Dimension and sizes."""
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
