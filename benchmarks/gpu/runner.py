"""Runs the cases of parts, each in a process of its own with a time limit.

A case may hang, crash, or leave its CUDA context unusable: none of that reaches the next one. The processes
are forked, so what the parts import is imported once. CUDA does not survive a fork; therefore this process
itself must never ask for a device.
"""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import signal
import subprocess
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import NamedTuple

from gpu.store import Case, Results, Row, Setting, has_failed, is_done

FORK = multiprocessing.get_context("fork")
# NumPy's threads are idle at a fork, and its libraries are made for it.
warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)

_deadline = float("inf")  # of the case that this process runs


@dataclass(frozen=True)
class Part:
    """Cases and how their results are told.

    `cases(setting)` names them in their order; `show(results)` is a table, `summary(results)` the few lines
    that say the same. A part whose cases are measured runs them one by one and nothing beside them.
    """

    name: str
    cases: Callable[[Setting], dict[str, Case]]
    show: Callable[[Results], list[str]]
    summary: Callable[[Results], list[str]]
    seconds: float  # for one case
    timed: bool = False


class Child:
    """A process that runs one case."""

    def __init__(self, function: Case, seconds: float, threads: int | None = None) -> None:
        self.started = time.monotonic()
        self.seconds = seconds
        self.log = tempfile.TemporaryFile()  # noqa: SIM115  (it lives as long as the child)
        self.pipe, theirs = FORK.Pipe(duplex=False)
        self.process = FORK.Process(
            target=_work, args=(function, seconds, threads, theirs, self.log.fileno())
        )
        self.process.start()
        theirs.close()

    def left(self) -> float:
        """Seconds until it is over its time."""
        return self.started + self.seconds - time.monotonic()

    def output(self) -> str:
        """The end of what it printed."""
        self.log.seek(0)
        return self.log.read().decode(errors="replace")[-3000:]

    def end(self) -> Row:
        """Its row, once it has sent one, has ended or is over its time."""
        row: Row = {"error": f"not done in {self.seconds:.0f} s"}
        try:
            if self.pipe.poll():
                row = self.pipe.recv()
        except EOFError:
            self.process.join(10)
            code = self.process.exitcode
            how = signal.Signals(-code).name if code is not None and code < 0 else f"status {code}"
            row = {"error": f"the process ended with {how}"}
        self.stop(grace=0 if "error" in row else 5)
        if has_failed(row):
            row.setdefault("output", self.output())
        self.log.close()
        return {**row, "seconds": round(time.monotonic() - self.started, 2)}

    def stop(self, grace: float = 0) -> None:
        """Ends it and what it started, unless it ends by itself in time."""
        self.process.join(grace)
        if self.process.is_alive():
            try:
                os.killpg(self.process.pid or 0, signal.SIGKILL)
            except ProcessLookupError:  # it had no time to open its group
                self.process.kill()
        self.process.join()
        self.pipe.close()


def _work(function: Case, seconds: float, threads: int | None, pipe: Connection, log: int) -> None:
    """The whole life of a child."""
    if threads is not None:
        os.environ["OMP_NUM_THREADS"] = str(threads)  # cnnx asks for it at its first work
    global _deadline
    _deadline = time.monotonic() + seconds
    os.setpgid(0, 0)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for stream in (1, 2):
        os.dup2(log, stream)
    faulthandler.enable(2)
    try:
        row = function()
    except Exception as error:  # one case that fails does not end the others; the run's status tells
        traceback.print_exc()
        row = {"error": f"{type(error).__name__}: {error}"}
    pipe.send(row)


def isolated(function: Case, seconds: float) -> Row:
    """What the function returns in a process of its own, or its error."""
    child = Child(function, seconds)
    try:
        wait([child.pipe], seconds)
        return child.end()
    finally:
        if not child.pipe.closed:
            child.stop()


class Program(NamedTuple):
    """How a program ended: None for its status where its time was up."""

    status: int | None
    output: str


def run_program(command: list[str], folder: Path | None = None, **environment: str) -> Program:
    """Runs a program within the time of the case; a moment is left to tell what it said until then."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **environment}, stdout=output, stderr=subprocess.STDOUT
        )
        left = _deadline - time.monotonic() - 1.5
        status: int | None
        try:
            status = process.wait(None if left == float("inf") else max(left, 0.1))
        except subprocess.TimeoutExpired:
            status = None  # it is killed with this process, whose row says what it did
        output.seek(0)
        return Program(status, output.read().decode(errors="replace"))


def run_parts(parts: list[Part], setting: Setting, results: Results, seconds: float) -> list[str]:
    """Runs what has no result yet, then what failed before; the names of the cases that are left.

    Cases of several parts, and of one that is not timed, run at the same time, as many as there are
    processors for.
    """
    deadline = time.monotonic() + seconds
    waiting = [
        (case in results.of(part.name), rank, part, case, function)
        for part in parts
        for rank, (case, function) in enumerate(part.cases(setting).items())
        if not is_done(results.of(part.name).get(case))
    ]
    waiting.sort(key=lambda one: one[:2])  # the parts in turns
    at_once = 1 if any(part.timed for part in parts) else os.cpu_count() or 1
    running: dict[Connection, tuple[Part, str, Child, bool]] = {}
    left: list[str] = []
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                *_, part, case, function = waiting.pop(0)
                its_own, time_left = part.seconds * setting.patience, deadline - time.monotonic()
                if time_left < 3:  # too little for any
                    left.append(f"{part.name} {case}")
                    continue
                child = Child(function, min(its_own, time_left), None if at_once == 1 else 2)
                running[child.pipe] = part, case, child, time_left < its_own
            soonest = min((child.left() for _, _, child, _ in running.values()), default=0)
            ready = wait(list(running), max(soonest, 0))
            for pipe, (part, case, child, shortened) in list(running.items()):
                if pipe not in ready and child.left() > 0:
                    continue
                del running[pipe]
                row = child.end()
                if "error" in row and shortened and child.left() <= 2:
                    row["cut"] = True  # the time of all was up, not its own
                    left.append(f"{part.name} {case}")
                results.put(part.name, case, row)
    finally:
        for _, _, child, _ in running.values():
            child.stop()
    return left
