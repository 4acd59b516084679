"""Where the arrays of a net lie in its workspace."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cnnx.c_export.net import Data, Layer, Net

ALIGNMENT = 4


@dataclass(eq=False)
class Lifetime:
    """Bytes that are needed from one layer to another."""

    size: int
    first: int
    last: int
    offset: int = 0

    @property
    def end(self) -> int:
        """Where it ends."""
        return self.offset + -(-self.size // ALIGNMENT) * ALIGNMENT


def place(lifetimes: list[Lifetime]) -> int:
    """Gives each an offset, the largest first, in the first gap that is free; returns the size of all."""
    placed: list[Lifetime] = []
    for one in sorted(lifetimes, key=lambda x: -x.size):
        for other in sorted(placed, key=lambda x: x.offset):
            if other.last < one.first or one.last < other.first:
                continue
            if one.end <= other.offset:
                break
            one.offset = max(one.offset, other.end)
        placed.append(one)
    return max((one.end for one in placed), default=0)


class Plan:
    """Offsets in bytes of the arrays that no caller provides, and of what layers need while they run.

    Parameters
    ----------
    net
        The layers.
    width
        The bytes of an element.
    own
        Whether inputs and outputs of the net lie in the workspace as well.
    scratch
        The bytes a layer needs while it runs.
    """

    def __init__(self, net: Net, width: int, own: bool, scratch: Callable[[Layer], int]) -> None:
        end = len(net.layers)
        last = {data: i for i, layer in enumerate(net.layers) for data in layer.inputs}
        last.update(dict.fromkeys(net.outputs, end))
        self.root: dict[Data, Data] = {}  # whose place it takes
        outside = set() if own else {*net.inputs, *net.outputs}
        made: dict[Data, tuple[int, int]] = dict.fromkeys(net.inputs, (-1, 0))
        for i, layer in enumerate(net.layers):
            made[layer.output] = (i, layer.output.size)
            source = layer.inputs[0] if layer.inputs else None
            if (
                source is not None
                and layer.in_place
                and source.constant is None
                and source not in net.inputs
                and source not in net.outputs
                and last[source] == i
                and source.size == layer.output.size
            ):
                self.root[source] = layer.output
        lifetimes: dict[Data, Lifetime] = {}
        for data, (first, _) in made.items():
            root = self.of(data)
            if root in outside:
                continue
            one = lifetimes.setdefault(root, Lifetime(root.size * width, first, first))
            one.first, one.last = min(one.first, first), max(one.last, last.get(data, first))
        self.scratch: dict[Layer, Lifetime] = {}
        for i, layer in enumerate(net.layers):
            if size := scratch(layer):
                self.scratch[layer] = Lifetime(size, i, i)
        self.lifetimes = lifetimes
        self.size = place([*lifetimes.values(), *self.scratch.values()])

    def of(self, data: Data) -> Data:
        """In whose place an array lies."""
        while data in self.root:
            data = self.root[data]
        return data

    def offset(self, data: Data) -> int:
        """In bytes."""
        return self.lifetimes[self.of(data)].offset
