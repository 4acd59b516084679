"""The other end of a worker's lines, and what is written for the workers of a row."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import cnnx
from cnnx import nn
from cnnx.bench.nets import batch_of
from cnnx.bench.rows import Row

PACKAGES = str(Path(cnnx.__file__).parent.parent)
PATIENCE = 600.0
"""Seconds that an answer may take: compilers are at work in some."""


class PeerError(Exception):
    """A peer fails, or computes something else: one line."""


class Worker:
    """A peer at work in its process.

    Parameters
    ----------
    name
        A key of `cnnx.bench.peers.PEERS`.
    threads, device
        As of a `Peer`.
    command
        What is run; default: the worker of this package.

    Raises
    ------
    PeerError
        If it cannot start.
    """

    def __init__(
        self, name: str, threads: int, device: str = "cpu", command: Sequence[str] | None = None
    ) -> None:
        self.name = name
        self._said = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 - closed with the process
        number = str(threads)
        environment = {
            **os.environ,
            # Of OpenMP, MKL and XLA, which look at them when they are loaded.
            **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NPROC"), number),
            "PYTHONPATH": os.pathsep.join(filter(None, [PACKAGES, os.environ.get("PYTHONPATH")])),
        }
        if device == "cpu":
            environment["JAX_PLATFORMS"] = "cpu"
        self._process = subprocess.Popen(
            command or [sys.executable, "-m", "cnnx.bench.worker", name, number, device],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
            env=environment,
        )
        try:
            self.version = str(self._answer("version"))
        except PeerError:
            self.close()
            raise

    def prepare(self, row: Row, folder: Path) -> list[float]:
        """Has it make a row ready; the values to compare."""
        row_fields = [*vars(row).values()]
        return list(self._ask("values", do="prepare", row=row_fields, folder=str(folder)))

    def run(self, samples: int, calls: int, warm: float) -> list[float]:
        """Seconds that a call took, so many times, each over so many calls."""
        return list(self._ask("seconds", do="run", samples=samples, calls=calls, warm=warm))

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.communicate()
        self._said.close()

    def _ask(self, key: str, **command: Any) -> Any:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(command) + "\n")
            self._process.stdin.flush()
        except OSError:
            raise PeerError(self._ended()) from None
        return self._answer(key)

    def _answer(self, key: str) -> Any:
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], PATIENCE)[0]:
            raise PeerError(f"{self.name}: no answer within {PATIENCE:g} s")
        line = self._process.stdout.readline()
        try:
            answer = json.loads(line)
        except ValueError:
            text = f"{self.name}: no answer but {line.strip()!r}" if line else self._ended()
            raise PeerError(text) from None
        if "error" in answer:
            first, *more = str(answer["error"]).strip().splitlines()
            raise PeerError(f"{self.name}: {first}{' ...' if more else ''}")
        return answer[key]

    def _ended(self) -> str:
        """Why there is no answer: the last line that the process said."""
        self._process.wait(5)
        self._said.seek(0)
        lines = self._said.read().strip().splitlines()
        return f"{self.name}: its process ended: {lines[-1] if lines else 'without a word'}"


def write_inputs(row: Row, folder: Path, onnx: bool) -> None:
    """Writes what all peers of a row start from: the batch, the weights, the net as an ONNX file."""
    cnnx.manual_seed(0)
    model = row.net.build(nn)
    x, y = batch_of(row.net, row.batch)
    weights = {name: value.numpy() for name, value in model.state_dict().items()}
    np.savez(folder / "inputs.npz", x=x, y=y, **weights)
    if onnx:
        sample = cnnx.from_numpy(x[:1].copy())
        cnnx.onnx.export(model.eval(), sample, folder / "model.onnx", input_names=["x"])


@contextmanager
def busy(count: int) -> Iterator[None]:
    """Beside so many processes that never rest; they end with this one, however it ends."""
    code = "import os\nparent = os.getppid()\nwhile os.getppid() == parent:\n for _ in range(99999): pass"
    others: list[subprocess.Popen[bytes]] = []
    try:
        others += [subprocess.Popen([sys.executable, "-S", "-c", code]) for _ in range(count)]
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()
