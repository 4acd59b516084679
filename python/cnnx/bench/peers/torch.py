"""PyTorch, as it is, with images in channels_last, compiled, and with products in bfloat16."""

from __future__ import annotations

from typing import Any

import torch

from cnnx.bench.peers import Call, Inputs, Peer
from cnnx.bench.peers.dialect import prepared, unchanged
from cnnx.bench.rows import Row


def channels_last(value: Any) -> Any:
    """A model or images in that layout."""
    return value.to(memory_format=torch.channels_last)


def in_bfloat16(function: Any) -> Any:
    """A function or a model under `torch.autocast`, its result in float32."""

    def call(*args: Any) -> Any:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return function(*args).float()

    return call


COMPILED: dict[str, Any] = {"torch-compile": torch.compile, "torch-bfloat16": in_bfloat16}


class Torch(Peer):
    """`torch`: eager; `torch-channels-last`; `torch-compile`: with Inductor; `torch-bfloat16`."""

    def __init__(self, name: str, threads: int, device: str) -> None:
        super().__init__(name, threads, device)
        torch.set_num_threads(threads)
        torch.backends.cudnn.allow_tf32 = False  # float32 throughout, as the others

    def version(self) -> str:
        """Of PyTorch."""
        return str(torch.__version__)

    def prepare(self, row: Row, inputs: Inputs, dropout: bool) -> Call:
        """A row in the dialect."""
        compiled = COMPILED.get(self.name, unchanged)
        arranged = channels_last if self.name == "torch-channels-last" else unchanged
        return prepared(torch, row, inputs, dropout, self.device, compiled, arranged)
