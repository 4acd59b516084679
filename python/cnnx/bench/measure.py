"""Turns, statistics, and rows that are run again until the machine was quiet."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np

from cnnx.bench.machine import Reach, Steal, moved
from cnnx.bench.peers import PEERS
from cnnx.bench.process import PeerError
from cnnx.bench.rows import Row

QUIET = 0.10
"""By what share the machine may change in a row."""
ATTEMPTS = 3
SHORTEST_SAMPLE = 5e-4
"""Seconds: shorter calls are timed several together."""


class Pace(NamedTuple):
    """How long things take.

    Attributes
    ----------
    rounds : int
        Turns of each peer.
    burst : float
        Seconds of a turn.
    warm : float
        Seconds at the start of a turn that do not count, and that a peer rests before it.
    warm_up : float
        Seconds before the first turn.
    reach : float
        Seconds to see what the machine reaches.
    """

    rounds: int = 10
    burst: float = 0.15
    warm: float = 0.01
    warm_up: float = 0.3
    reach: float = 0.2


QUICK = Pace(rounds=2, burst=0.02, warm=0.002, warm_up=0.02, reach=0.04)


@dataclass(frozen=True)
class Figures:
    """Of the seconds that a call took.

    Attributes
    ----------
    minimum, median : float
    spread : float
        From the first to the third quartile, as a share of the median.
    samples : int
    """

    minimum: float
    median: float
    spread: float
    samples: int


def figures(seconds: Sequence[float]) -> Figures:
    """The figures of samples.

    Examples
    --------
    >>> figures([1.0, 2.0, 3.0, 4.0, 5.0])
    Figures(minimum=1.0, median=3.0, spread=0.6666666666666666, samples=5)
    """
    low, median, high = np.quantile(seconds, [0.25, 0.5, 0.75])
    return Figures(min(seconds), float(median), float((high - low) / median), len(seconds))


class Runner(Protocol):
    """What takes turns: a `Worker`."""

    name: str

    def run(self, samples: int, calls: int, warm: float) -> list[float]:
        """Seconds that a call took, so many times, each over so many calls."""


def amounts(seconds: float, burst: float) -> tuple[int, int]:
    """How many samples, of how many calls each, make a burst of calls that take so many seconds.

    Examples
    --------
    >>> amounts(0.02, burst=0.1), amounts(1e-5, burst=0.1)
    ((5, 1), (200, 50))
    """
    calls = max(1, math.ceil(round(SHORTEST_SAMPLE / seconds, 6)))
    return max(3, round(burst / (seconds * calls))), calls


def take_turns(
    runners: Sequence[Runner],
    pace: Pace,
    conditions: Mapping[str, Callable[[], AbstractContextManager[None]]] | None = None,
) -> dict[str, dict[str, list[float]]]:
    """Seconds of all peers, by condition and name, from bursts in turns.

    Who begins moves on by one in each round, so that nobody always follows the same one.
    """
    conditions = conditions or {"quiet": nullcontext}
    sizes = {}
    for runner in runners:
        guess = min(runner.run(3, 1, pace.warm_up))
        sizes[runner.name] = amounts(min(runner.run(*amounts(guess, pace.burst / 4), pace.warm)), pace.burst)
    found: dict[str, dict[str, list[float]]] = {c: {r.name: [] for r in runners} for c in conditions}
    for turn in range(pace.rounds):
        first = turn % len(runners)
        for condition, held in conditions.items():
            with held():
                for runner in [*runners[first:], *runners[:first]]:
                    time.sleep(pace.warm)  # the threads of the one before go to sleep meanwhile
                    found[condition][runner.name] += runner.run(*sizes[runner.name], pace.warm)
    return found


def compare(row: Row, values: Mapping[str, Sequence[float]]) -> dict[str, str]:
    """What peers computed that did not compute what cnnx did, by their names.

    Raises
    ------
    PeerError
        If cnnx's own forms differ, or all others differ from it: then it is cnnx that is wrong.
    """
    (first, expected), *others = values.items()
    wanted = np.asarray(expected)
    if not np.isfinite(wanted).all():
        raise PeerError(f"{row}: {first} computes {wanted[~np.isfinite(wanted)][0]}")
    scale = max(float(np.abs(wanted).max()), 1e-6)
    differing = {}
    for name, found in others:
        if len(found) != len(wanted):
            differing[name] = f"computes {len(found)} values, {first} {len(wanted)}"
            continue
        worst = int(np.argmax(np.abs(np.asarray(found) - wanted)))
        if not abs(found[worst] - wanted[worst]) <= PEERS[name].tolerance * scale:
            differing[name] = f"computes something else: {found[worst]:g} where {first} has {wanted[worst]:g}"
    foreign = [name for name, _ in others if not PEERS[name].is_ours]
    for name, how in differing.items():
        if PEERS[name].is_ours or all(other in differing for other in foreign):
            raise PeerError(f"{row}: {name} {how}")
    return differing


@dataclass
class Result:
    """A row as it was measured.

    Attributes
    ----------
    row : Row
    threads : int
    flops : float
        Floating-point operations of a call, by the definitions of its layers.
    figures : dict of str to dict of str to Figures
        By condition (`"quiet"`, and `"busy"` where there is a load) and peer.
    before, after : Reach
    steal : float or None
        The share of the processors' time that a host took meanwhile.
    attempts : int
        How often it was run.
    left_out : dict of str to str
        Peers that were not measured since they compute something else, and what.
    """

    row: Row
    threads: int
    flops: float
    figures: dict[str, dict[str, Figures]]
    before: Reach
    after: Reach
    steal: float | None = None
    attempts: int = 1
    left_out: dict[str, str] = field(default_factory=dict)
    moved: float = field(init=False)

    def __post_init__(self) -> None:
        self.moved = moved(self.before, self.after)

    @property
    def quiet(self) -> bool:
        """Whether the machine was the same before and after."""
        return self.moved <= QUIET

    def ratio(self, name: str, condition: str = "quiet") -> float:
        """A peer's minimum over that of cnnx."""
        found = self.figures[condition]
        return found[name].minimum / found["cnnx"].minimum

    def slowdown(self, name: str) -> float:
        """A peer's median beside a load over its median without."""
        return self.figures["busy"][name].median / self.figures["quiet"][name].median

    def share(self, name: str) -> float:
        """Of the peak, at a peer's minimum."""
        peak = max(self.before.peak, self.after.peak)
        return self.flops / self.figures["quiet"][name].minimum / peak

    def as_dict(self) -> dict[str, Any]:
        """As a results file has it."""
        peers: dict[str, dict[str, Any]] = {}
        for name, quiet in self.figures["quiet"].items():
            peers[name] = {**vars(quiet), "ratio": self.ratio(name), "share_of_peak": self.share(name)}
            if "busy" in self.figures:
                peers[name] |= {"busy": vars(self.figures["busy"][name]), "slowdown": self.slowdown(name)}
        return {
            **vars(self.row),
            "threads": self.threads,
            "flops": self.flops,
            "before": self.before._asdict(),
            "after": self.after._asdict(),
            "moved": self.moved,
            "quiet": self.quiet,
            "steal": self.steal,
            "attempts": self.attempts,
            "left_out": self.left_out,
            "seconds": peers,
        }


def until_quiet(
    row: Row,
    threads: int,
    flops: float,
    turns: Callable[[], dict[str, dict[str, list[float]]]],
    reach: Callable[[], Reach],
    attempts: int = ATTEMPTS,
) -> Result:
    """Measures a row; again, a few times at most, if the machine changed meanwhile.

    Returns the first result for which it did not, else the one for which it changed least.
    """
    best: Result | None = None
    for attempt in range(1, attempts + 1):
        before, steal = reach(), Steal()
        found = turns()
        share = steal.share()
        by_condition = {c: {name: figures(s) for name, s in peers.items()} for c, peers in found.items()}
        result = Result(row, threads, flops, by_condition, before, reach(), share, attempt)
        if best is None or result.moved < best.moved:
            best = result
        best.attempts = attempt
        if best.quiet:
            break
    assert best is not None
    return best
