"""Models as ONNX files, and back.

`export` needs the package `onnx` (`pip install 'cnnx[onnx]'`); `load` and `Session` need nothing.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cnnx.files import write_file
from cnnx.onnx.load import OnnxModule, load
from cnnx.onnx.session import Session
from cnnx.tensor import Tensor

if TYPE_CHECKING:
    import onnx

    from cnnx.nn import Module

__all__ = ["OnnxModule", "Session", "export", "load"]

OLDEST_OPSET = 13
DEFAULT_OPSET = 18


def export(
    model: Module,
    sample: Tensor | Sequence[Tensor],
    path: str | os.PathLike[str] | None = None,
    *,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    opset: int = DEFAULT_OPSET,
    dynamic_batch: bool = True,
) -> onnx.ModelProto:
    """Writes a model as an ONNX file.

    `forward` runs in eval mode without gradients, and the calls of ops that it makes are recorded and become
    the nodes, whether they come from layers, functions or tensor methods, also in place and on views. Weights
    keep the names they have in `state_dict()`. The result is checked by `onnx.checker`, with shape inference,
    and run beside the model on random inputs before the file is written: in the sample's shape, and with 1 to
    8 images.

    Parameters
    ----------
    model
        The net; its mode is left as it was.
    sample
        An input, or a tuple of several, as `forward` takes them. Of floating-point ones the values do not
        matter; integers are taken to be what the net may get, such as indices.
    path
        Where to write the file. Default: nowhere.
    input_names, output_names
        Default: ``"input"`` and ``"output"``, numbered if there are several.
    opset
        Version of ONNX's operators, 13 or above. Default: 18.
    dynamic_batch
        The first extent of the inputs may be anything. `forward` is then recorded with four or five sizes,
        from 9 to 37 or 257; what is a multiple of the size and something in all of them follows the batch
        (`x.view(x.size(0), -1)` works for every size), what differs in another way is refused. Default: True.

    Returns
    -------
    onnx.ModelProto
        The model that was written.

    Raises
    ------
    ImportError
        If `onnx` is not installed.
    TypeError
        If `sample`, a name or `opset` is of another type.
    NotImplementedError
        For an op without a counterpart in ONNX, and for a forward pass whose course depends on its values.
    RuntimeError
        If a profile is under way.
    ValueError
        If what the net does depends on the batch's size in a way that cannot be traced or that ONNX cannot
        express, so that the exported net would differ from the model; or an operator needs a newer opset.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> net = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(5408, 10))
    >>> proto = export(net, cnnx.zeros(1, 1, 28, 28), "net.onnx")  # doctest: +SKIP
    >>> [node.op_type for node in proto.graph.node]  # doctest: +SKIP
    ['Conv', 'Relu', 'Flatten', 'Gemm']
    """
    try:
        import onnx as package
    except ImportError as error:
        raise ImportError("onnx.export: onnx is not installed (pip install 'cnnx[onnx]')") from error
    from cnnx.onnx.build import build

    newest = package.defs.onnx_opset_version()
    if isinstance(opset, bool) or not isinstance(opset, int):
        raise TypeError(f"onnx.export: opset must be an integer, got {type(opset).__name__}")
    if not OLDEST_OPSET <= opset <= newest:
        raise ValueError(f"onnx.export: opset must be from {OLDEST_OPSET} to {newest}, got {opset}")
    inputs = tuple(sample) if isinstance(sample, (tuple, list)) else (sample,)
    for tensor in inputs:
        if not isinstance(tensor, Tensor):
            raise TypeError(f"onnx.export: sample must be a tensor or several, got {type(tensor).__name__}")
        if dynamic_batch and (tensor.ndim == 0 or tensor.shape[0] == 0):
            raise ValueError(f"onnx.export: a sample of shape {tuple(tensor.shape)} has no batch")
    proto = build(model, inputs, input_names, output_names, opset, dynamic_batch)
    if path is not None:
        write_file(Path(path), proto.SerializeToString())
    return proto
