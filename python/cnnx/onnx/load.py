"""Nets from ONNX files as modules."""

from __future__ import annotations

import os
from typing import Any

from cnnx import _C
from cnnx.devices import CPU, as_device
from cnnx.nn import Module, Parameter
from cnnx.tensor import Tensor

__all__ = ["OnnxModule", "load"]

Value = tuple[str, Any, tuple[int | str | None, ...] | None]


class OnnxModule(Module):
    """A net that `load` has read: a module like any other, which computes its nodes by cnnx's own ops.

    Weights that training changes are its parameters, running statistics its buffers, both under the names
    that they have in the file (where these have dots, in modules within it); other constants are no part of
    its `state_dict`. In training mode dropout drops, and batch normalisation uses the statistics of the batch
    and moves the running ones. Where no gradient is needed, what has run with such shapes runs again as a
    plan.

    Attributes
    ----------
    inputs, outputs : list of (name, dtype, shape)
        As the file says them. A shape is None where it says none; a free extent is its name, or None.
    """

    def __init__(self, net: _C.OnnxNet) -> None:
        super().__init__()
        if not isinstance(net, _C.OnnxNet):
            raise TypeError(f"OnnxModule: cnnx.onnx.load makes these, of a file; got {type(net).__name__}")
        self._net = net
        self.inputs: list[Value] = net.inputs
        self.outputs: list[Value] = net.outputs
        self._weights: list[Tensor] = [tensor for _, tensor in net.weights]
        self._places: list[tuple[int, Module, str]] = []  # which weight, the module that has it, its name
        where = as_device("onnx.load", None)
        for numbers, is_parameter in ((net.parameters, True), (net.buffers, False)):
            for i in numbers:
                holder, name = self._place(net.weights[i][0])
                weight = self._weights[i].to(where)
                if is_parameter:
                    holder.register_parameter(name, Parameter(weight))
                else:
                    holder.register_buffer(name, weight)
                self._places.append((i, holder, name))
        self.eval()

    def _place(self, name: str) -> tuple[Module, str]:
        """The module for a weight, which is made if need be, and the name there."""
        *path, last = name.split(".")
        holder: Module = self
        for part in path:
            child = holder._modules.get(part)
            if child is None and (not part or hasattr(holder, part)):
                last = name.replace(".", "_")  # no path: a name as it is
                holder = self
                break
            if child is None:
                child = Module()
                holder.register_module(part, child)
            holder = child
        last = last or "weight"
        while hasattr(holder, last):
            last += "_"
        return holder, last

    def forward(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        """The net's output; a tuple of them if it has several."""
        for tensor in inputs:
            if not isinstance(tensor, Tensor):
                raise TypeError(f"onnx: inputs must be tensors, got {type(tensor).__name__}")
        weights = list(self._weights)
        for i, holder, name in self._places:
            weights[i] = getattr(holder, name)
            if weights[i].device == CPU and any(tensor.is_cuda for tensor in inputs):
                raise RuntimeError(
                    f"onnx: an input is on a CUDA device, '{name}' on the CPU; to() moves the net"
                )
        results = self._net.run(list(inputs), weights, self.training)
        return results[0] if len(results) == 1 else tuple(results)


def load(path: str | os.PathLike[str]) -> OnnxModule:
    """Reads an ONNX file as a module, which can be run, fine-tuned and exported again.

    The reader is cnnx's own: the package `onnx` is not needed. It takes opsets 7 to 28; docs/onnx.md lists
    the operators.

    Parameters
    ----------
    path
        The file. Weights that it keeps in other files are read from its folder, and from nowhere else.

    Returns
    -------
    OnnxModule
        The net in eval mode, on the default device; its inputs are those of the file, in their order.

    Raises
    ------
    TypeError
        If `path` is no path.
    OSError
        If the file cannot be read.
    ValueError
        If it is no ONNX model; the message names the byte.
    NotImplementedError
        For operators that cnnx lacks, all at once, and for what tensors cannot hold here: float16 and other
        element types, sequences, strings.

    Examples
    --------
    >>> import cnnx
    >>> net = cnnx.onnx.load("net.onnx")  # doctest: +SKIP
    >>> scores = net(images)  # doctest: +SKIP
    """
    return OnnxModule(read(path, "onnx.load"))


def read(path: str | os.PathLike[str], op: str) -> _C.OnnxNet:
    """The net of a file."""
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"{op}: path must be a path, got {type(path).__name__}")
    return _C.load_onnx(os.fspath(path))
