"""Nets from ONNX files for inputs of fixed shapes."""

from __future__ import annotations

import operator
import os
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from cnnx import _C, devices
from cnnx.dtypes import numpy_dtype
from cnnx.onnx.load import read
from cnnx.tensor import Tensor

__all__ = ["Session"]


def _kind(tensor: Tensor) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """The shape and dtype of an array that stands for the tensor."""
    return tuple(tensor.shape), numpy_dtype(tensor.dtype)


class Session:
    """An ONNX net made ready for inputs of fixed shapes: NumPy arrays in and out.

    What it runs is noted once, its memory planned, what comes from its weights alone computed. Several
    threads may share a session; their runs follow each other. Sessions of the same file may run at once.

    Parameters
    ----------
    path
        The file, as `load` takes it.
    batch
        The first extent of the inputs, where it is free. Default: 1.
    threads
        That a run may use. Default: as many as `cnnx.get_num_threads` says.
    shapes
        Of the inputs, where other extents are free too. Default: as the file says them.
    device
        Where it runs; on a CUDA device a run is the replay of a captured graph. Default: the default device.
    fold_batch_norm
        Whether batch normalisation behind a convolution becomes part of its weights. Default: True.

    Raises
    ------
    OSError, ValueError, NotImplementedError
        As `load` does.
    TypeError
        If an argument is of another type.
    ValueError
        If `batch` or `threads` is below 1, or an extent is free and not given.
    RuntimeError
        If the net cannot be planned, because its course depends on values or it draws random numbers, or if
        there is no such device.

    Examples
    --------
    >>> import cnnx
    >>> session = cnnx.onnx.Session("net.onnx", threads=1)  # doctest: +SKIP
    >>> scores = session.run(image)  # doctest: +SKIP
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        batch: int = 1,
        threads: int | None = None,
        shapes: Sequence[Sequence[int]] | None = None,
        device: str | devices.device | int | None = None,
        fold_batch_norm: bool = True,
    ) -> None:
        net = read(path, "onnx.Session")
        for name, value in (("batch", batch), ("threads", 1 if threads is None else threads)):
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(f"onnx.Session: {name} must be an integer, got {type(value).__name__}")
            if not 1 <= value < 2**31:
                raise ValueError(f"onnx.Session: {name} must be at least 1 and below 2**31, got {value}")
        try:
            given = [] if shapes is None else [tuple(operator.index(n) for n in shape) for shape in shapes]
        except TypeError:
            raise TypeError("onnx.Session: shapes must be a sequence of shapes") from None
        if any(extent < 0 for shape in given for extent in shape):
            raise ValueError(f"onnx.Session: a negative extent in shapes {given}")
        if not isinstance(fold_batch_norm, bool):
            raise TypeError(
                f"onnx.Session: fold_batch_norm must be a bool, got {type(fold_batch_norm).__name__}"
            )
        where = devices.as_device("onnx.Session", device)
        self._session = _C.Session(net, batch, threads or 0, given, str(where), fold_batch_norm)
        self._names = [name for name, *_ in net.inputs]
        self._inputs = [_kind(self._session.input(i)) for i in range(self._session.inputs)]
        self._outputs = [_kind(self._session.output(i)) for i in range(self._session.outputs)]
        self._lock = threading.Lock()

    @property
    def input_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of the inputs by their names."""
        return {name: shape for name, (shape, _) in zip(self._names, self._inputs, strict=True)}

    @property
    def output_shapes(self) -> list[tuple[int, ...]]:
        """The shapes of the outputs."""
        return [shape for shape, _ in self._outputs]

    @property
    def nbytes(self) -> int:
        """The memory for what a run computes in between; 0 on a device."""
        return self._session.bytes

    def run(self, *inputs: np.ndarray[Any, Any]) -> Any:
        """The output for these inputs; a tuple of them if there are several.

        Raises
        ------
        TypeError
            If an input is no array of the dtype that the file says.
        ValueError
            If the number of inputs or a shape is another.
        """
        if len(inputs) != len(self._inputs):
            raise ValueError(f"Session.run: the net has {len(self._inputs)} inputs, got {len(inputs)}")
        for name, array, (shape, dtype) in zip(self._names, inputs, self._inputs, strict=True):
            if not isinstance(array, np.ndarray) or array.dtype != dtype:
                found = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
                raise TypeError(f"Session.run: input '{name}' must be an array of {dtype}, got {found}")
            if array.shape != shape:
                raise ValueError(f"Session.run: input '{name}' has the shape {shape}, got {array.shape}")
        results = tuple(np.empty(shape, dtype) for shape, dtype in self._outputs)
        with self._lock:
            self._session.run(
                [np.ascontiguousarray(array).data for array in inputs],
                [array.data for array in results],
            )
        return results[0] if len(results) == 1 else results

    __call__ = run

    def __repr__(self) -> str:
        return f"Session({self.input_shapes}, outputs={self.output_shapes}, steps={self._session.steps})"
