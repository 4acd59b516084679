"""cnnx, as it is and as a plan."""

from __future__ import annotations

from typing import Any

import cnnx
import cnnx.nn
import cnnx.nn.functional
import cnnx.optim
from cnnx.bench.peers import Call, Inputs, Peer
from cnnx.bench.peers.dialect import prepared, unchanged
from cnnx.bench.rows import Row


def planned(function: Any) -> Any:
    """A function or a model as a plan; an error if there is none of it."""
    return cnnx.compile(function, static=True, fullgraph=True)


def planned_in_bfloat16(function: Any) -> Any:
    """The same under `cnnx.autocast`; RuntimeError where the CPU has no such instructions."""
    return cnnx.autocast("cpu")(planned(function))


COMPILED = {"cnnx": unchanged, "cnnx-plan": planned, "cnnx-bfloat16": planned_in_bfloat16}


class Cnnx(Peer):
    """`cnnx`: eager; `cnnx-plan`: noted and replayed; `cnnx-bfloat16`: that with products in bfloat16."""

    def __init__(self, name: str, threads: int, device: str) -> None:
        super().__init__(name, threads, device)
        cnnx.set_num_threads(threads)

    def version(self) -> str:
        """Of cnnx."""
        return str(cnnx.__version__)

    def prepare(self, row: Row, inputs: Inputs, dropout: bool) -> Call:
        """A row in the dialect."""
        return prepared(cnnx, row, inputs, dropout, self.device, COMPILED[self.name])
