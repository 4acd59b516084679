"""Who is measured: the table of peers. Each is a file here, imported in that peer's own process alone."""

from __future__ import annotations

import importlib
import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from cnnx import amp
from cnnx.bench.rows import GRADIENT, OUTPUTS, STEP, Row

Array = np.ndarray[Any, Any]


class Inputs(NamedTuple):
    """What all peers of a row start from: a batch, the weights by their names, the net as an ONNX file."""

    x: Array
    y: Array
    weights: dict[str, Array]
    onnx: str | None


class Call(NamedTuple):
    """A row made ready: what is timed, and what tells whether it computed the right thing.

    Attributes
    ----------
    run : callable
        One call, to its very end: it returns once the loss or the outputs are in memory.
    values : callable
        Of what `run` returned, the arrays that must be the same for all peers.
    """

    run: Callable[[], Any]
    values: Callable[[Any], list[Array]]


class Peer(ABC):
    """A library at work in a process of its own.

    Parameters
    ----------
    name
        Its key in `PEERS`; one class may serve several.
    threads
        On how many it may work.
    device
        `"cpu"` or `"cuda"`.
    """

    def __init__(self, name: str, threads: int, device: str) -> None:
        self.name, self.threads, self.device = name, threads, device

    @abstractmethod
    def version(self) -> str:
        """Of the library."""

    @abstractmethod
    def prepare(self, row: Row, inputs: Inputs, dropout: bool) -> Call:
        """Makes a row ready, from these weights; without `dropout`, its layers let everything through."""


@dataclass(frozen=True)
class Entry:
    """A line of the table.

    Attributes
    ----------
    module : str
        The file in this folder.
    cls : str
        The class in it.
    packages : tuple of str
        What must be installed, by the names that are imported.
    work : frozenset of str
        What it can do: keys of `cnnx.bench.rows.WORK`.
    devices : tuple of str
    flat : bool
        Whether nets without images are something of their own to it.
    slow : bool
        Whether it takes long to prepare, so that `--quick` leaves it out unless it is asked for.
    bfloat16 : bool
        Whether it rounds the factors of products.
    """

    module: str
    cls: str
    packages: tuple[str, ...]
    work: frozenset[str]
    devices: tuple[str, ...] = ("cpu",)
    flat: bool = True
    slow: bool = False
    bfloat16: bool = False

    @property
    def is_ours(self) -> bool:
        """Whether it is cnnx in some form."""
        return self.module == "ours"

    @property
    def tolerance(self) -> float:
        """By how much its values may differ from those of cnnx, of the largest; up to 3e-6 was seen."""
        return 0.03 if self.bfloat16 else 2e-5

    def lacking(self) -> str:
        """What is not there that it needs; empty if nothing is."""
        packages = [name for name in self.packages if importlib.util.find_spec(name) is None]
        if packages:
            return f"not installed (pip install {' '.join(packages)})"
        if self.bfloat16 and self.is_ours and not amp.is_autocast_available("cpu"):
            return "this CPU has no AVX512_BF16"
        return ""

    def takes(self, row: Row) -> bool:
        """Whether it does this work on such a net."""
        return row.work in self.work and (self.flat or not row.net.flat)


EVERYTHING = frozenset({STEP, GRADIENT, OUTPUTS})
BOTH = ("cpu", "cuda")
OURS = ("cnnx", "cnnx-plan")
PEERS = {
    "cnnx": Entry("ours", "Cnnx", (), EVERYTHING, BOTH),
    "cnnx-plan": Entry("ours", "Cnnx", (), EVERYTHING),
    "torch": Entry("torch", "Torch", ("torch",), EVERYTHING, BOTH),
    "torch-channels-last": Entry("torch", "Torch", ("torch",), frozenset({STEP, OUTPUTS}), BOTH, flat=False),
    "torch-compile": Entry("torch", "Torch", ("torch",), EVERYTHING, BOTH, slow=True),
    "torch-bfloat16": Entry("torch", "Torch", ("torch",), EVERYTHING, bfloat16=True),
    "jax": Entry("jax", "Jax", ("jax",), EVERYTHING, BOTH),
    "onnxruntime": Entry("onnxruntime", "OnnxRuntime", ("onnxruntime", "onnx"), frozenset({OUTPUTS})),
    "openvino": Entry("openvino", "OpenVino", ("openvino", "onnx"), frozenset({OUTPUTS})),
    "cnnx-bfloat16": Entry("ours", "Cnnx", (), EVERYTHING, bfloat16=True),
}


def start(name: str, threads: int, device: str) -> Peer:
    """The peer of this name, its library imported."""
    entry = PEERS[name]
    peer: Peer = getattr(importlib.import_module(f"{__name__}.{entry.module}"), entry.cls)(
        name, threads, device
    )
    return peer
