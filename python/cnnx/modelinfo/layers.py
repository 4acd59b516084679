"""The rows of a summary: a layer's place in the tree, its sizes, parameters and multiplications."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

import cnnx
from cnnx import nn
from cnnx.nn.uninitialized import is_lazy


class Weights(NamedTuple):
    """A parameter: its name, its shape with inputs before outputs, and how many of its values are used."""

    name: str
    shape: list[int]
    used: int
    parameter: nn.Parameter


@dataclass(eq=False)
class LayerInfo:
    """A row of a summary: one call of a module, or the module where nothing was run.

    Attributes
    ----------
    var_name
        The attribute of the parent that holds the module; of the model itself, the name of its class.
    module
        The module.
    depth
        How many modules it lies within; 0 is the model.
    depth_index
        Which row of its depth it is, from 1 on.
    children
        The rows of all that lies within it.
    is_recursive
        Whether an earlier row has the same module, so that its parameters have been counted.
    executed
        Whether it was called.
    input_size, output_size
        The shapes of the first tensor that it got and gave; empty if there is none.
    output_bytes
        Of the first tensor that it gave.
    num_params, trainable_params, param_bytes
        Of all parameters within it, each counted once; a pruned one by the values that are left.
    macs
        Multiplications with additions of the call.
    """

    var_name: str
    module: nn.Module
    depth: int
    depth_index: int = 0
    children: list[LayerInfo] = field(default_factory=list)
    is_recursive: bool = False
    executed: bool = False
    input_size: list[int] = field(default_factory=list)
    output_size: list[int] = field(default_factory=list)
    output_bytes: int = 0
    num_params: int = 0
    trainable_params: int = 0
    param_bytes: int = 0
    macs: int = 0

    @property
    def class_name(self) -> str:
        """The name of the module's class."""
        return type(self.module).__name__

    @property
    def is_leaf_layer(self) -> bool:
        """Whether no module lies within it."""
        return next(self.module.children(), None) is None

    @property
    def kernel_size(self) -> int | list[int] | None:
        """The module's attribute of this name; None if it has none."""
        size = getattr(self.module, "kernel_size", None)
        return size if size is None or isinstance(size, int) else list(size)

    @property
    def trainable(self) -> str:
        """``"True"``, ``"False"`` or ``"Partial"``; ``"--"`` without parameters."""
        if self.num_params == 0:
            return "--"
        if self.trainable_params == 0:
            return "False"
        return "True" if self.trainable_params == self.num_params else "Partial"

    @property
    def own_params(self) -> int:
        """Parameters that no row within it has: its own, and those of modules that were not called."""
        rows = (row for row in self.children if not row.is_recursive)
        return self.num_params - sum(row.num_params if row.is_leaf_layer else row.own_params for row in rows)

    def weights(self) -> Iterator[Weights]:
        """The parameters within it."""
        for name, parameter in self.module.named_parameters():
            if is_lazy(parameter):
                continue
            shape, count = list(parameter.shape), parameter.numel()
            owner, _, attribute = name.rpartition(".")
            if attribute.endswith("_orig"):  # perhaps pruned
                whole = attribute.removesuffix("_orig")
                mask = self.module.get_submodule(owner)._buffers.get(whole + "_mask")
                if mask is not None:
                    name, count = name.removesuffix("_orig"), int(mask.sum())
            if name == "weight" and len(shape) > 1:
                shape[:2] = shape[1], shape[0]
            yield Weights(name, shape, count, parameter)

    def count(self) -> None:
        """Counts parameters and, of a call, multiplications."""
        self.num_params = self.trainable_params = self.param_bytes = self.macs = 0
        for name, _, count, parameter in self.weights():
            self.num_params += count
            self.param_bytes += count * parameter.element_size()
            self.trainable_params += count if parameter.requires_grad else 0
            if self.executed and self.is_leaf_layer:
                self.macs += count * self._uses(name)

    def _uses(self, name: str) -> int:
        """How often a call takes each value of a parameter: by its name, as torchinfo reckons it."""
        size = self.output_size
        if name in ("weight", "bias"):
            return math.prod(size[:1] + size[2:] if "Conv" in self.class_name else size[:1])
        return math.prod(size[:2]) if "weight" in name or "bias" in name else 0


def first_tensor(data: Any) -> tuple[list[int], int]:
    """Shape and bytes of the first tensor in a nest of them; an empty shape if there is none."""
    if isinstance(data, cnnx.Tensor | np.ndarray):
        return list(data.shape), int(data.nbytes)
    values = list(data.values()) if isinstance(data, Mapping) else data
    if isinstance(values, list | tuple):
        for value in values:
            size, count = first_tensor(value)
            if size or count:
                return size, count
    return [], 0


def with_containers(calls: list[LayerInfo], ancestors: dict[int, list[LayerInfo]]) -> list[LayerInfo]:
    """The rows of all calls, each below the modules that hold it, though a list of modules is not called.

    Parameters
    ----------
    calls
        In the order in which they began.
    ancestors
        For each module's `id` those that it lies within, the model first.
    """
    rows: list[LayerInfo] = []
    path: list[nn.Module] = []  # from the model to the last row
    for call in calls:
        for depth, holder in enumerate(ancestors[id(call.module)]):
            if depth < len(path) and path[depth] is holder.module:
                continue
            rows.append(LayerInfo(holder.var_name, holder.module, depth))
            path[depth:] = [holder.module]
        rows.append(call)
        path[call.depth :] = [call.module]
    return rows


def finish(rows: list[LayerInfo]) -> list[LayerInfo]:
    """Counts what is in the rows, numbers them, and tells each what lies within it."""
    seen: set[int] = set()
    numbers: dict[int, int] = {}
    for place, row in enumerate(rows):
        row.count()
        row.is_recursive = id(row.module) in seen
        seen.add(id(row.module))
        row.depth_index = numbers[row.depth] = numbers.get(row.depth, 0) + 1
        end = next((i for i in range(place + 1, len(rows)) if rows[i].depth <= row.depth), len(rows))
        row.children = rows[place + 1 : end]
    return rows
