"""What the steps of a plan cost, one by one."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, NamedTuple

import cnnx
from cnnx import _C
from cnnx.profiler import FunctionEvent, _amount, _lines, profile

if TYPE_CHECKING:
    import os

__all__ = ["Explanation", "PlanStep"]


class PlanStep(NamedTuple):
    """A step of a plan: one kernel, or one call of what Python does in each replay.

    Attributes
    ----------
    name : str
        Of the op.
    input_shapes : tuple of tuple of int
    time : float
        Microseconds, the least of the calls that were measured.
    flops, bytes : float
        As `cnnx.profiler.FunctionEvent` counts them.
    blocks : int
        How many times it runs, on as many blocks of images; the shapes are those of the first, all else is
        of all together. Default: 1.
    """

    name: str
    input_shapes: tuple[tuple[int, ...], ...]
    time: float
    flops: float
    bytes: float
    blocks: int = 1


def copied_per_second(seconds: float = 0.05) -> float:
    """Bytes read and written per second by copies that no cache holds."""
    source = cnnx.zeros(16 * 1024 * 1024)
    target = cnnx.zeros_like(source)
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        target.copy_(source)
        best = min(best, time.perf_counter() - start)
    return 2 * 4 * source.numel() / best


_BY_BLOCKS = re.compile(r"by_blocks\((\d+)\)")  # a run of so many steps


def _steps(events: list[FunctionEvent]) -> list[PlanStep]:
    """The steps of one call, as it was profiled.

    Steps that run one behind the other on a block of images, and then on the next block, are one each.
    """
    steps: list[PlanStep] = []
    position = 0
    while position < len(events):
        event = events[position]
        position += 1
        run = _BY_BLOCKS.fullmatch(event.name)
        if run is None:
            steps.append(PlanStep(event.name, event.input_shapes, event.self_time, event.flops, event.bytes))
            continue
        within: list[FunctionEvent] = []
        while position < len(events) and events[position].end <= event.end:
            within.append(events[position])
            position += 1
        count = int(run[1])
        for first in range(count):
            every = within[first::count]
            steps.append(
                PlanStep(
                    every[0].name,
                    every[0].input_shapes,
                    sum(e.cpu_time for e in every),
                    sum(e.flops for e in every),
                    sum(e.bytes for e in every),
                    len(every),
                )
            )
    return steps


class Explanation:
    """What `explain` of a compiled function returns: its `steps`, and a table of them as text.

    Attributes
    ----------
    steps : list of PlanStep
    call_time : float
        Microseconds of a whole call from Python, without measuring, the least of as many calls.
    memory : int
        Bytes for what the plan computes in between.
    peak : float
        Floating-point operations per second of multiply-adds in registers, measured beside.
    bandwidth : float
        Bytes per second that a copy of 64 MiB reads and writes, measured beside.
    """

    def __init__(self, runs: list[profile], call_time: float, memory: int) -> None:
        self._last = runs[-1]
        calls = [_steps(run.events()) for run in runs]
        shortest = min(map(len, calls))  # a live step may do more once, such as making its state
        usual = [call for call in calls if len(call) == shortest]
        self.steps = [same[0]._replace(time=min(s.time for s in same)) for same in zip(*usual, strict=True)]
        self.call_time, self.memory = call_time, memory
        self.peak, self.bandwidth = _C.measure_peak(0.1), copied_per_second()

    def __str__(self) -> str:
        """The table: each step's time, operations and bytes per second, and their shares."""
        total = sum(step.time for step in self.steps) or 1.0
        rows = []
        for number, step in enumerate(self.steps):
            seconds = max(step.time, 1e-3) / 1e6
            flops, rate = step.flops / seconds, step.bytes / seconds
            rows.append(
                [
                    f"{number:3} {step.name}" + (f" x {step.blocks}" if step.blocks > 1 else ""),
                    f"{step.time:.1f}",
                    f"{100 * step.time / total:.1f}%",
                    _amount(flops),
                    f"{100 * flops / self.peak:.0f}%",
                    _amount(rate),
                    f"{100 * rate / self.bandwidth:.0f}%",
                    " ".join("x".join(map(str, shape)) or "1" for shape in step.input_shapes[:4]),
                ]
            )
        header = ["Step", "us", "Time", "FLOP/s", "of peak", "Byte/s", "of memory", "Inputs"]
        return "\n".join(
            [
                *_lines(header, rows),
                f"{len(self.steps)} steps: {total:.1f} us; a call: {self.call_time:.1f} us; "
                f"memory for what lies between: {_amount(self.memory)}B",
                f"peak {_amount(self.peak)}FLOP/s, memory {_amount(self.bandwidth)}B/s (a cache gives more)",
            ]
        )

    def save_trace(self, path: str | os.PathLike[str]) -> None:
        """Writes the last call's steps as a file for ``chrome://tracing`` or Perfetto."""
        self._last.export_chrome_trace(path)
