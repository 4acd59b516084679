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


class Cnnx(Peer):
    """`cnnx`: eager; `cnnx-plan`: noted and replayed."""

    def __init__(self, name: str, threads: int, device: str) -> None:
        super().__init__(name, threads, device)
        cnnx.set_num_threads(threads)

    def version(self) -> str:
        """Of cnnx."""
        return str(cnnx.__version__)

    def prepare(self, row: Row, inputs: Inputs, dropout: bool) -> Call:
        """A row in the dialect."""
        compiled = planned if self.name == "cnnx-plan" else unchanged
        return prepared(cnnx, row, inputs, dropout, self.device, compiled)
