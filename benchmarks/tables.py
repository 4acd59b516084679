"""Writes the tables of docs/performance.md anew, from the files that `cnnx bench --json` wrote.

A table stands between `<!-- table FILE -->` and `<!-- end -->`, FILE being one in benchmarks/results/.

    cnnx bench train --threads 1,2 --json benchmarks/results/train_epyc_zen5_2cores.json
    python benchmarks/tables.py            # --check: only sees whether they are as the files have it
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from cnnx.bench.peers import OURS
from cnnx.bench.report import compare_fastest, time_text

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "performance.md"
RESULTS = ROOT / "benchmarks" / "results"
PLACE = re.compile(r"(<!-- table (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
Row = dict[str, Any]


def fastest(row: Row) -> tuple[str, str, float] | None:
    """Of the others and of cnnx, and by how many times cnnx is faster; None if there are no others."""
    return compare_fastest({name: found["minimum"] for name, found in row["seconds"].items()})


def name_of(row: Row) -> str:
    """A net, and its images where they are not the usual ones."""
    size = row.get("size", 28)
    return row["model"] + f", {size}x{size}" * (size != 28)


def cells(*values: object) -> str:
    """A line of a table."""
    return "| " + " | ".join(map(str, values)) + " |"


def head(*names: str) -> list[str]:
    """The first two lines of a table."""
    return [cells(*names), "|" + "---|" * len(names)]


def compared(rows: Sequence[Row]) -> Iterator[str]:
    """Of training steps and inference: a line for each net, batch and number of threads."""
    yield from head(
        "net", "batch", "threads", "cnnx", "plan", "fastest of the others", "times faster", "of peak"
    )
    for row in rows:
        seconds = row["seconds"]
        ours = [time_text(seconds[n]["minimum"]) if n in seconds else "-" for n in OURS]
        found = fastest(row)
        share = max(seconds[n]["share_of_peak"] for n in OURS if n in seconds)
        noise = "" if row["quiet"] else " (not quiet)"
        yield cells(
            name_of(row) + noise,
            row["batch"],
            row["threads"],
            *ours,
            f"{found[0]} {time_text(seconds[found[0]]['minimum'])}" if found else "-",
            f"{found[2]:.2f}" if found else "-",
            f"{share:.0%}",
        )
    yield ""
    for threads, batch in dict.fromkeys((row["threads"], row["batch"]) for row in rows):
        among = [fastest(r) for r in rows if (r["threads"], r["batch"]) == (threads, batch)]
        ratios = [found[2] for found in among if found]
        if len(ratios) > 1:
            mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
            yield (
                f"Batch {batch}, {threads} thread{'s' * (threads > 1)}: geometric mean {mean:.2f}, "
                f"from {min(ratios):.2f} to {max(ratios):.2f}.  "
            )


def alone(rows: Sequence[Row]) -> Iterator[str]:
    """Of cnnx without others: how the time grows with the work."""
    yield from head("net", "batch", "threads", "cnnx", "plan", "plan, ns a sample", "of peak")
    for row in rows:
        seconds = row["seconds"]
        plan = seconds["cnnx-plan"]
        yield cells(
            name_of(row),
            row["batch"],
            row["threads"],
            *(time_text(seconds[n]["minimum"]) for n in OURS),
            f"{plan['minimum'] / row['batch'] * 1e9:.0f}",
            f"{plan['share_of_peak']:.0%}",
        )


def loaded(rows: Sequence[Row]) -> Iterator[str]:
    """Of steps beside a process that never rests: medians, quiet and busy."""
    yield from head("net", "cnnx", "busy", "times", "PyTorch", "busy", "times")
    for row in rows:
        line = [name_of(row)]
        for name in ("cnnx", "torch"):
            found = row["seconds"].get(name)
            if found is None:
                line += ["-"] * 3
                continue
            line += [
                time_text(found["median"]),
                time_text(found["busy"]["median"]),
                f"{found['slowdown']:.2f}",
            ]
        yield cells(*line)


def speedrun(content: Row) -> Iterator[str]:
    """Of trainings from several seeds."""
    seconds, accuracy = content["seconds"], content["accuracy"]
    yield from head(
        "threads", "seeds", "seconds: mean", "fastest", "slowest", "accuracy: mean", "lowest", "highest"
    )
    yield cells(
        content["threads"],
        len(seconds),
        *(f"{f(seconds):.3f}" for f in (mean_of, min, max)),
        *(f"{f(accuracy):.4f}" for f in (mean_of, min, max)),
    )


def mean_of(values: Sequence[float]) -> float:
    """The arithmetic mean."""
    return sum(values) / len(values)


KINDS: dict[str, Callable[[Sequence[Row]], Iterator[str]]] = {
    "train": compared,
    "infer": compared,
    "tiny": compared,
    "growth": alone,
    "load": loaded,
}


def table(content: Row) -> str:
    """The lines of a results file, and where and when they were measured."""
    machine = content["machine"]
    if content["command"] == "speedrun":
        lines = list(speedrun(content))
        peak = f"{content['gflops']:.0f} GFLOP/s together"
    else:
        rows = content["rows"]
        lines = list(KINDS[content["command"]](rows))
        one = [
            max(r["before"]["peak"], r["after"]["peak"]) for r in rows if r["threads"] == rows[0]["threads"]
        ]
        peak = f"{min(one) / 1e9:.0f} to {max(one) / 1e9:.0f} GFLOP/s on {rows[0]['threads']} thread"
        peak += "s" * (rows[0]["threads"] > 1)
    versions = ", ".join(
        f"{name} {version}"
        for name, version in content.get("versions", {}).items()
        if name not in ("cnnx-plan", "torch-channels-last", "torch-compile")
    )
    where = f"{machine['cpu']}, {machine['cores']} cores, {machine['target']}, {machine['date'][:10]}; {peak}"
    return "\n".join([*lines, "", f"{where}{'; ' + versions if versions else ''}.", ""])


def filled(text: str) -> str:
    """A document with its tables as the files have them."""

    def fill(found: re.Match[str]) -> str:
        content = json.loads((RESULTS / found[2]).read_text())
        return f"{found[1]}\n{table(content)}\n{found[3]}"

    return PLACE.sub(fill, text)


def main() -> int:
    """Writes the document, or tells whether it is current."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if a table differs")
    args = parser.parse_args()
    text = DOCUMENT.read_text()
    new = filled(text)
    if args.check and new != text:
        print(f"{DOCUMENT.relative_to(ROOT)} differs from benchmarks/results/: run benchmarks/tables.py")
        return 1
    if not args.check:
        DOCUMENT.write_text(new)
    return 0


if __name__ == "__main__":
    sys.exit(main())
