"""What is said of results: the table, and the file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cnnx.bench.machine import description
from cnnx.bench.measure import Result
from cnnx.bench.peers import OURS, PEERS
from cnnx.files import as_json, write_file

WIDTH = 20
HEADER = (
    f"{'':{WIDTH}} {'min':>10} {'median':>10} {'spread':>7} {'x cnnx':>7} {'of peak':>8}",
    f" {'busy median':>12} {'x quiet':>8} {'x cnnx':>7}",
)


def time_text(seconds: float) -> str:
    """Three digits and a unit.

    Examples
    --------
    >>> time_text(0.0214), time_text(5.7e-6)
    ('21.4 ms', '5.70 us')
    """
    factor, unit = (1e3, "ms") if seconds >= 1e-3 else (1e6, "us")
    value = seconds * factor
    return f"{value:.{max(0, 3 - len(str(int(value))))}f} {unit}"


def lines(result: Result) -> Iterator[str]:
    """A row of the table: the machine meanwhile, then a line for each peer."""
    threads = f"{result.threads} thread{'s' * (result.threads > 1)}"
    steal = "" if result.steal is None else f", steal {result.steal:.1%}"
    reach = " to ".join(f"{r.peak / 1e9:.0f}" for r in (result.before, result.after))
    memory = " to ".join(f"{r.bandwidth / 1e9:.1f}" for r in (result.before, result.after))
    again = f", run {result.attempts} times" if result.attempts > 1 else ""
    loud = "" if result.quiet else f"  NOT QUIET: the machine moved by {result.moved:.0%}"
    yield f"{result.row}, {threads}; {reach} GFLOP/s, {memory} GB/s{steal}{again}{loud}"
    busy = result.figures.get("busy")
    yield HEADER[0] + (HEADER[1] if busy else "")
    for name, f in result.figures["quiet"].items():
        text = (
            f"  {name:{WIDTH - 2}} {time_text(f.minimum):>10} {time_text(f.median):>10} {f.spread:7.0%} "
            f"{result.ratio(name):7.2f} {result.share(name):8.1%}"
        )
        if busy:
            medians = busy[name].median / busy["cnnx"].median
            text += f" {time_text(busy[name].median):>12} {result.slowdown(name):8.2f} {medians:7.2f}"
        yield text
    for name, how in result.left_out.items():
        yield f"  {name:{WIDTH - 2}} left out: {how}"
    if best := best_ratio(result):
        yield f"  {best[0]} takes {best[2]:.2f} times as long as {best[1]}"


def best_ratio(result: Result) -> tuple[str, str, float] | None:
    """The fastest of the others, the faster form of cnnx, and the ratio of their minima."""
    return compare_fastest({name: found.minimum for name, found in result.figures["quiet"].items()})


def compare_fastest(minima: Mapping[str, float]) -> tuple[str, str, float] | None:
    """The same of seconds by the peers' names; None unless there are some of cnnx and of others."""
    ours = [name for name in minima if name in OURS]
    others = [name for name in minima if not PEERS[name].is_ours]
    if not (ours and others):
        return None
    us, them = (min(names, key=lambda name: minima[name]) for names in (ours, others))
    return them, us, minima[them] / minima[us]


def as_dict(
    command: str,
    results: Sequence[Result],
    versions: Mapping[str, str],
    missing: Mapping[str, str],
    notes: Sequence[str],
) -> dict[str, Any]:
    """All there is to a run, as a results file has it."""
    return {
        "command": command,
        "machine": description(),
        "versions": dict(versions),
        "missing": dict(missing),
        "notes": list(notes),
        "rows": [result.as_dict() for result in results],
    }


def write_json(path: str | os.PathLike[str], content: Mapping[str, Any]) -> None:
    """Writes a results file in one step."""
    write_file(Path(path), as_json(content, allow_nan=True))
