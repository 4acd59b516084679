"""What a launch, a node of a graph and a replay cost: an op of one element, in cnnx and in PyTorch."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

import torch

import cnnx
from gpu.runner import Part
from gpu.steps import capture_cnnx, capture_torch, libraries, milliseconds
from gpu.store import Case, Results, Row, Setting, line_of, table

NODES = (1, 16, 256)
COLUMNS = {
    "op": "an op in place: us until it is done, one after the other",
    "op host": "until the call returns",
    "new": "an op with a new result",
    "node": "a node of a graph",
    "replay": "a replay of a graph of one node",
    "replay host": "until the call returns",
}


def host_microseconds(synchronize: Callable[[], None], call: Callable[[], Any], repeats: int) -> float:
    """Until a call returns, while the device is behind."""
    times = []
    for _ in range(5):
        synchronize()
        start = time.perf_counter()
        for _ in range(repeats):
            call()
        times.append((time.perf_counter() - start) / repeats * 1e6)
    synchronize()
    return median(times)


def cost(setting: Setting, name: str) -> Row:
    """Microseconds of one library."""
    ours = name == "cnnx"
    library: Any = cnnx if ours else torch
    clock = libraries(setting)[0 if ours else 1]
    synchronize = clock.synchronize if clock is not None else lambda: None
    x = library.zeros(1, device="cuda" if ours else setting.torch_device)
    repeats = setting.choose(5, 500, 500)  # fewer than the launches that a stream takes before the host waits

    def device(call: Callable[[], Any]) -> float:
        milliseconds(clock, call, repeats)
        return median(milliseconds(clock, call, repeats) for _ in range(5)) * 1e3

    def chain(nodes: int) -> Callable[[], None]:
        def call() -> None:
            for _ in range(nodes):
                x.add_(1.0)

        return call

    with library.no_grad():
        row: Row = {
            "op": device(chain(1)),
            "op host": host_microseconds(synchronize, chain(1), repeats),
            "new": device(lambda: x + 1.0),
        }
        if ours or not setting.smoke:  # PyTorch has graphs on a GPU alone
            capture = capture_cnnx if ours else capture_torch
            graphs = {nodes: capture(chain(nodes)) for nodes in NODES}
            times = row["replays"] = {nodes: device(graph) for nodes, graph in graphs.items()}
            row["node"] = (times[NODES[-1]] - times[NODES[1]]) / (NODES[-1] - NODES[1])
            row["replay"] = times[1]
            row["replay host"] = host_microseconds(synchronize, graphs[1], repeats)
    row["says"] = ", ".join(f"{key} {row[key]:.2f}" for key in COLUMNS if key in row) + " us"
    return row


def cases(setting: Setting) -> dict[str, Case]:
    """Both libraries."""
    return {name: partial(cost, setting, name) for name in ("cnnx", "torch")}


def show(results: Results) -> list[str]:
    """Microseconds."""
    rows = [
        [name, *(f"{row[key]:.2f}" if key in row else "-" for key in COLUMNS)]
        for name, row in results.measured("cost")
    ]
    return table("us of an op on one element", ["library", *COLUMNS], rows)


def summary(results: Results) -> list[str]:
    """A line for each library."""
    return [line_of(f"cost {name}", row) for name, row in results.of("cost").items()]


PART = Part("cost", cases, show, summary, seconds=30, timed=True)
