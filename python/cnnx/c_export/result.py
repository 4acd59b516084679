"""What an export made."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import cnnx
from cnnx.c_export.int8 import LARGEST
from cnnx.c_export.net import Array, Layer, Net
from cnnx.tensor import Tensor

#: How a file is compiled to see what it takes, by compiler; the first that is there is taken.
COMPILERS = {
    "arm-none-eabi-gcc": ("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"),
    "gcc": (),
    "clang": (),
    "cc": (),
}


@dataclass(frozen=True)
class CNet:
    """A net in C, as `cnnx.export_c` made it.

    Parameters
    ----------
    name, header_name
        What functions are called after, and the name of the header, which the source includes.
    source, header
        The texts.
    weight_bytes, workspace_bytes, multiply_adds
        Bytes of constants, bytes of memory while it runs, products that a run sums up.
    input_scales, output_scales
        Of an int8 net: what 1 of each input and output stands for. Else empty.
    """

    name: str
    header_name: str
    source: str
    header: str
    weight_bytes: int
    workspace_bytes: int
    multiply_adds: int
    input_scales: tuple[float, ...] = ()
    output_scales: tuple[float, ...] = ()
    _net: Net | None = field(default=None, repr=False, compare=False)
    _ends: tuple[Layer | None, ...] = field(default=(), repr=False, compare=False)

    def __str__(self) -> str:
        return (
            f"{self.name}: {self.weight_bytes:,} bytes of weights, "
            f"{self.workspace_bytes:,} bytes of workspace, "
            f"{self.multiply_adds:,} multiply-adds"
        )

    def simulate(self, *inputs: Tensor) -> Any:
        """What the C of an int8 net gives for float32 inputs: to the bit, but for a softmax at the end.

        Parameters
        ----------
        *inputs
            Tensors (N, ...): any number of inputs of the net, one after the other in the first dimension.

        Returns
        -------
        Tensor
            (N, ...), float32; a tuple of several if the net has several outputs.

        Raises
        ------
        TypeError
            If the net is not int8, or an input is no float32 tensor.
        ValueError
            If shapes do not fit.
        """
        for x in inputs:
            if not isinstance(x, Tensor) or x.dtype != cnnx.float32:
                raise TypeError("simulate: inputs must be float32 tensors")
        net = self._checked("simulate", inputs)
        given = [x.detach().cpu().numpy() for x in inputs]
        arrays = list(map(self._quantised, given, self.input_scales))
        outputs = []
        for y, scale, end in zip(self._run(net, arrays), self.output_scales, self._ends, strict=True):
            values = np.float32(scale) * y.astype(np.float32)
            outputs.append(
                cnnx.from_numpy(values if end is None else end.run([values]).reshape(values.shape))
            )
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def simulate_int8(self, *inputs: Array) -> list[Array]:
        """What ``NAME_run_int8`` gives.

        Parameters
        ----------
        *inputs
            int8 arrays (N, ...).

        Returns
        -------
        list of numpy.ndarray
            int8 arrays (N, ...), one for each output.

        Raises
        ------
        TypeError
            If the net is not int8, or an input is of another dtype.
        ValueError
            If shapes do not fit.
        """
        if any(not isinstance(x, np.ndarray) or x.dtype != np.int8 for x in inputs):
            raise TypeError("simulate_int8: inputs must be arrays of int8")
        return self._run(self._checked("simulate_int8", inputs), inputs)

    @staticmethod
    def _run(net: Net, inputs: Sequence[Array]) -> list[Array]:
        parts = [net([x[first : first + 64] for x in inputs]) for first in range(0, len(inputs[0]), 64)]
        return [
            np.concatenate(part).reshape(-1, *shape[1:])
            for part, shape in zip(zip(*parts, strict=True), net.output_shapes, strict=True)
        ]

    def flash(self, compiler: str | None = None) -> tuple[int, str] | None:
        """The bytes of code and constants of the compiled file, and how it was compiled.

        Parameters
        ----------
        compiler
            A C compiler. Default: ``arm-none-eabi-gcc``, for a Cortex-M4 with its floating-point unit, where
            it is installed, else the machine's own.

        Returns
        -------
        tuple of int and str, or None
            ``(bytes, command)``: all sections that are loaded and never written, of the object compiled with
            ``-Os``; library functions that it calls (``expf``) are not among them. None if there is no
            compiler, or one whose objects are not ELF.

        Raises
        ------
        FileNotFoundError
            If there is no compiler of that name.
        RuntimeError
            If it fails.
        """
        found = compiler or next((name for name in COMPILERS if shutil.which(name)), None)
        if found is None:
            return None
        options = ("-std=c99", "-Os", *COMPILERS.get(Path(found).name, ()))
        with tempfile.TemporaryDirectory() as folder:
            source = (Path(folder) / self.header_name).with_suffix(".c")
            source.write_text(self.source)
            (Path(folder) / self.header_name).write_text(self.header)
            command = [found, *options, "-c", str(source), "-o", str(source.with_suffix(".o"))]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                last = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
                raise RuntimeError(f"flash: {found} fails: {last}")
            made = source.with_suffix(".o").read_bytes()
        return (_loaded(made), " ".join((found, *options))) if made[:4] == b"\x7fELF" else None

    def _checked(self, by: str, inputs: Sequence[Tensor | Array]) -> Net:
        """The net, if it takes inputs of these shapes."""
        if self._net is None:
            raise TypeError(f"{by}: the net was not exported with int8=True")
        shapes = self._net.input_shapes
        if len(inputs) != len(shapes):
            raise ValueError(f"{by}: the net has {len(shapes)} inputs, got {len(inputs)}")
        given = [tuple(x.shape) for x in inputs]
        for x, shape in zip(given, shapes, strict=True):
            if len(x) != len(shape) or x[1:] != shape[1:] or x[0] == 0:
                raise ValueError(f"{by}: inputs must be (N, ...) like {shape}, got {x}")
        if len({x[0] for x in given}) > 1:
            raise ValueError(f"{by}: inputs must have as many entries each, got shapes {given}")
        return self._net

    @staticmethod
    def _quantised(x: Array, scale: float) -> Array:
        scaled = x * np.float32(1 / scale)
        with np.errstate(invalid="ignore"):
            near = np.where(scaled < 0, scaled - np.float32(0.5), scaled + np.float32(0.5))
        low = ~(scaled > -LARGEST)
        return np.where(low, -LARGEST, np.where(scaled > LARGEST, LARGEST, np.trunc(near))).astype(np.int8)


def _loaded(data: bytes) -> int:
    """The bytes of an ELF object's sections that are loaded and never written."""
    wide, order = data[4] == 2, "little" if data[5] == 1 else "big"
    word = 8 if wide else 4

    def number(at: int, size: int) -> int:
        return int.from_bytes(data[at : at + size], "little" if order == "little" else "big")

    table = number(40 if wide else 32, word)
    entry, count = (number(at, 2) for at in ((58, 60) if wide else (46, 48)))
    total = 0
    for i in range(count):
        at = table + i * entry
        kind, flags, size = number(at + 4, 4), number(at + 8, word), number(at + 8 + 3 * word, word)
        if kind == 1 and flags & 2 and not flags & 1:  # what has contents, is loaded and not writable
            total += size
    return total
