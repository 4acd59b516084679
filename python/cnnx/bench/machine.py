"""The machine: what it reaches at the moment, what its host takes of it, and its description."""

from __future__ import annotations

import datetime
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import cnnx
from cnnx import _C
from cnnx.cli.info import cpu_name
from cnnx.explain import copied_per_second


class Reach(NamedTuple):
    """What the machine reaches at one moment.

    Attributes
    ----------
    peak : float
        Floating-point operations per second of multiply-adds in registers, on the threads of cnnx.
    bandwidth : float
        Bytes per second that a copy of 64 MiB reads and writes.
    """

    peak: float
    bandwidth: float


def reach(seconds: float, device: str = "cpu") -> Reach:
    """Measures it, for about so long; a GPU's by a matrix product and a copy of cnnx there."""
    if device == "cpu":
        return Reach(_C.measure_peak(seconds / 2), copied_per_second(seconds / 2))
    side = 4096
    a, b = cnnx.rand(side, side, device=device), cnnx.zeros(side, side, device=device)
    product = _shortest(lambda: cnnx.mm(a, a), seconds / 2)
    return Reach(2 * side**3 / product, 2 * 4 * side**2 / _shortest(lambda: b.copy_(a), seconds / 2))


def _shortest(call: Callable[[], Any], seconds: float) -> float:
    """Of calls on a GPU, repeated for so long."""
    call()
    cnnx.cuda.synchronize()
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        call()
        cnnx.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return best


def moved(before: Reach, after: Reach) -> float:
    """By what share the machine changed: the larger of the two.

    Examples
    --------
    >>> moved(Reach(100.0, 20.0), Reach(95.0, 22.0))
    0.1
    """
    return round(max(abs(b / a - 1) for a, b in zip(before, after, strict=True)), 4)


class Steal:
    """The share of all processors' time that the host of a virtual machine has taken since this was made."""

    def __init__(self, stat: str = "/proc/stat") -> None:
        self._stat = stat
        self._began, self._taken = time.perf_counter(), self._seconds()

    def _seconds(self) -> float | None:
        try:
            fields = Path(self._stat).read_text().split("\n", 1)[0].split()
            return int(fields[8]) / os.sysconf("SC_CLK_TCK")
        except (OSError, IndexError, ValueError):
            return None

    def share(self) -> float | None:
        """None where the system does not tell."""
        now = self._seconds()
        if now is None or self._taken is None:
            return None
        return (now - self._taken) / max(time.perf_counter() - self._began, 1e-9) / (os.cpu_count() or 1)


def description() -> dict[str, Any]:
    """The machine and what cnnx runs there, as a results file tells it."""
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "target": _C.active_target(),
        "lanes": _C.lane_count(),
    }
