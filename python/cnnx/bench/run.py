"""A run: the workers, and row after row."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path

import cnnx
from cnnx.bench import process
from cnnx.bench.machine import reach
from cnnx.bench.measure import Pace, Result, compare, take_turns, until_quiet
from cnnx.bench.peers import PEERS, Entry, start
from cnnx.bench.process import PeerError, Worker
from cnnx.bench.rows import Row
from cnnx.bench.worker import inputs_in
from cnnx.profiler import profile


def choose(
    names: Sequence[str],
    rows: Sequence[Row],
    device: str,
    without_slow: bool = False,
    table: Mapping[str, Entry] = PEERS,
) -> tuple[list[str], dict[str, str]]:
    """Which of these peers can be measured, and of the others why not."""
    there, missing = [], {}
    for name in names:
        entry = table[name]
        if lacking := entry.lacking():
            missing[name] = lacking
        elif device.split(":")[0] not in entry.devices:
            missing[name] = f"nothing of it runs on {device}"
        elif not any(map(entry.takes, rows)):
            missing[name] = "it takes part in none of these rows"
        elif entry.slow and without_slow:
            missing[name] = "left out by --quick"
        else:
            there.append(name)
    return there, missing


def operations(row: Row, folder: Path) -> float:
    """Floating-point operations of a call, as the profiler counts them in one of cnnx."""
    call = start("cnnx", cnnx.get_num_threads(), "cpu").prepare(row, inputs_in(folder), dropout=True)
    call.run()
    with profile() as run:
        call.run()
    return float(sum(event.flops for event in run.events()))


class Run:
    """Peers at work, each in its process, on one number of threads.

    Parameters
    ----------
    names
        Keys of `cnnx.bench.peers.PEERS`, those of cnnx first.
    threads, device
        As of a `Peer`.
    pace
        How long things take.
    load
        Beside how many processes that never rest rows are measured too.

    Attributes
    ----------
    versions : dict of str to str
        Of the peers that have started.
    failed : dict of str to str
        Why others have not started, or not gone on.
    """

    def __init__(self, names: Sequence[str], threads: int, device: str, pace: Pace, load: int = 0) -> None:
        self.threads, self.device, self.pace = threads, device, pace
        self.conditions: dict[str, Callable[[], AbstractContextManager[None]]] = {"quiet": nullcontext}
        if load:
            self.conditions["busy"] = lambda: process.busy(load)
        self.failed: dict[str, str] = {}
        self._stack, self._workers = ExitStack(), list[Worker]()
        cnnx.set_num_threads(threads)
        try:
            for name in names:
                self._start(name)
        except BaseException:
            self._stack.close()
            raise
        self.versions = {worker.name: worker.version for worker in self._workers}

    def _start(self, name: str) -> None:
        try:
            worker = Worker(name, self.threads, self.device)
        except PeerError as error:
            self._drop(name, error)
        else:
            self._stack.callback(worker.close)
            self._workers.append(worker)

    def _drop(self, name: str, error: PeerError) -> None:
        """Goes on without a peer that fails, unless it is the one that all are compared with."""
        if name == "cnnx":
            raise error
        self._workers = [worker for worker in self._workers if worker.name != name]
        self.failed[name] = str(error).removeprefix(f"{name}: ")

    def _prepared(self, row: Row, folder: Path) -> tuple[list[Worker], dict[str, str]]:
        """Those that take part in a row, which have computed the same, and the others."""
        onnx = any("onnx" in PEERS[worker.name].packages for worker in self._workers)
        process.write_inputs(row, folder, onnx)
        values = {}
        for worker in self._workers:
            if PEERS[worker.name].takes(row):
                try:
                    values[worker.name] = worker.prepare(row, folder)
                except PeerError as error:
                    self._drop(worker.name, error)
        differing = compare(row, values)
        same = [w for w in self._workers if w.name in values and w.name not in differing]
        return same, differing

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def measure(self, rows: Sequence[Row]) -> Iterator[Result]:
        """Row after row, as they are done.

        Raises
        ------
        PeerError
            If cnnx fails, or computes something else than all other peers.
        """
        for row in rows:
            with tempfile.TemporaryDirectory(prefix="cnnx-bench-") as name:
                folder = Path(name)
                workers, differing = self._prepared(row, folder)
                flops = operations(row, folder)
            result = until_quiet(
                row,
                self.threads,
                flops,
                functools.partial(take_turns, workers, self.pace, self.conditions),
                functools.partial(reach, self.pace.reach, self.device),
            )
            result.left_out = differing
            yield result
