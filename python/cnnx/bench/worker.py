"""The process of one peer: `python -m cnnx.bench.worker PEER THREADS DEVICE`.

It reads commands as JSON, a line each, and answers each with a line:

- first, without being asked, `{"version": ...}`;
- to `{"do": "prepare", "row": [...], "folder": ...}` with `{"values": [...]}`, to be compared with
  those of other peers;
- to `{"do": "run", "samples": n, "calls": m, "warm": s}` with `{"seconds": [...]}`: n times that a call took,
  each over m calls, after s seconds that do not count;
- `{"do": "quit"}` or the end of the input ends it;
- what goes wrong is answered by `{"error": ...}`, and ends it too.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cnnx.bench.peers import Call, Inputs, Peer, start
from cnnx.bench.rows import STEP, Row

CHECKED_STEPS = 3
MOST_VALUES = 1000
"""Of each array that is compared: its first ones."""


def inputs_in(folder: Path) -> Inputs:
    """What `process.write_inputs` wrote."""
    with np.load(folder / "inputs.npz") as file:
        arrays = dict(file)
    onnx = folder / "model.onnx"
    x, y = arrays.pop("x"), arrays.pop("y")
    return Inputs(x, y, arrays, str(onnx) if onnx.exists() else None)


def values_of(call: Call, steps: int) -> list[float]:
    """The numbers that this many calls compute."""
    found = [np.ravel(array)[:MOST_VALUES] for _ in range(steps) for array in call.values(call.run())]
    return [float(value) for value in np.concatenate(found)]


def timed(run: Callable[[], Any], samples: int, calls: int, warm: float) -> list[float]:
    """Seconds that a call takes, so many times, each over so many calls."""
    clock, end = time.perf_counter, time.perf_counter() + warm
    run()
    while clock() < end:
        run()
    found = []
    for _ in range(samples):
        began = clock()
        for _ in range(calls):
            run()
        found.append((clock() - began) / calls)
    return found


class Server:
    """Answers commands for one peer."""

    def __init__(self, peer: Peer) -> None:
        self.peer, self.run = peer, lambda: None

    def answer(self, command: dict[str, Any]) -> dict[str, Any]:
        """The answer to one command."""
        if command["do"] == "prepare":
            row, inputs = Row(*command["row"]), inputs_in(Path(command["folder"]))
            # Random numbers differ between libraries, so what is compared is computed without them.
            call = self.peer.prepare(row, inputs, dropout=False)
            values = values_of(call, CHECKED_STEPS if row.work == STEP else 1)
            self.run = self.peer.prepare(row, inputs, dropout=True).run if row.net.random else call.run
            return {"values": values}
        return {"seconds": timed(self.run, command["samples"], command["calls"], command["warm"])}


def main() -> None:
    """Serves until the input ends."""
    name, threads, device = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # a library may print: not among the answers

    def answer(what: dict[str, Any]) -> None:
        answers.write(json.dumps(what) + "\n")
        answers.flush()

    try:
        server = Server(start(name, int(threads), device))
        answer({"version": server.peer.version()})
        for line in sys.stdin:
            command = json.loads(line)
            if command["do"] == "quit":
                return
            answer(server.answer(command))
    except Exception as error:  # a library may raise anything
        answer({"error": f"{type(error).__name__}: {error}"})


if __name__ == "__main__":
    main()
