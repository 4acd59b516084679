"""What Nsight Compute says of the kernels of a training step."""

from __future__ import annotations

import csv
import re
from functools import partial

from gpu.runner import Part, run_program
from gpu.sanitize import tool, training
from gpu.store import ROOT, Case, Results, Row, Setting, line_of, table

# What is asked, and under which name it is kept.
METRICS = {
    "gpu__time_duration.sum": "ns",
    "sm__throughput.avg.pct_of_peak_sustained_elapsed": "arithmetic",
    "gpu__compute_memory_throughput.avg.pct_of_peak_sustained_elapsed": "memory",
    "sm__warps_active.avg.pct_of_peak_sustained_active": "warps",
    "launch__registers_per_thread": "registers",
    "launch__grid_size": "blocks",
    "launch__block_size": "threads",
}
NAMESPACES = r"^void |\(anonymous namespace\)::|<unnamed>::|cnnx::|cuda::"


def kernels_of(output: str) -> list[Row]:
    """The kernels in ncu's CSV: a head, a row of units, then a row for each."""
    lines = output.splitlines()
    begin = next((i for i, line in enumerate(lines) if line.startswith('"ID"')), None)
    if begin is None:
        return []
    head, units, *rows = csv.reader(lines[begin:])
    time_unit = dict(zip(head, units, strict=True)).get("gpu__time_duration.sum")
    if time_unit not in ("ns", "nsecond"):
        raise ValueError(f"ncu gives the time in {time_unit!r}, not in nanoseconds")
    found = []
    for row in rows:
        if len(row) != len(head):
            continue  # what the program printed
        values = dict(zip(head, row, strict=True))
        name = re.sub(
            r"^void |\(anonymous namespace\)::|<unnamed>::|cnnx::|cuda::|\(.*$", "", values["Kernel Name"]
        )
        given = {short: values[m].replace(",", "") for m, short in METRICS.items() if m in values}
        numbers = {short: float(text) for short, text in given.items() if re.fullmatch(r"[\d.]+", text)}
        found.append({"kernel": name, **numbers})
    return found


def profiled(net: str, smoke: bool) -> Row:
    """One eager step at batch 64."""
    program = tool("ncu")
    if program is None and not smoke:
        return {"absent": True, "says": "ncu is not on this machine"}
    options = ["--profile-from-start", "off", "--clock-control", "none", "--csv", "--page", "raw"]
    options += ["--print-units", "base", "--metrics", ",".join(METRICS)]
    prefix = [program, *options] if program else []
    done = run_program([*prefix, *training(net, "--profile")], ROOT)
    kernels = kernels_of(done.output)
    if done.status != 0 or "trained" not in done.output or (program and not kernels):
        how = "over its time" if done.status is None else f"ended with {done.status}"
        return {
            "error": f"{how}: {done.output.strip()[-200:]}",
            "output": done.output[-6000:],
            "kernels": kernels,
        }
    if program is None:
        return {"absent": True, "says": "ncu is not on this machine; the step ran without"}
    total = sum(kernel["ns"] for kernel in kernels) / 1e3
    return {"kernels": kernels, "us": total, "says": f"{len(kernels)} kernels, {total:.0f} us"}


def cases(setting: Setting) -> dict[str, Case]:
    """The net of the small kernels and that of the large ones."""
    nets = setting.choose(["s10"], ["lenet5", "s6"], ["lenet5", "s6", "s1", "s4", "s7", "s10", "s11"])
    return {net: partial(profiled, net, setting.smoke) for net in nets}


def longest(row: Row, count: int) -> list[Row]:
    """The kernels that took most of the step."""
    return sorted(row["kernels"], key=lambda kernel: -kernel["ns"])[:count]


def show(results: Results) -> list[str]:
    """The longest kernels of each net."""
    names = [name for name in METRICS.values() if name != "ns"]
    rows = [
        [
            f"{net} {kernel['kernel'][:60]}",
            f"{kernel['ns'] / 1e3:.1f}",
            *(f"{kernel.get(n, 0):.0f}" for n in names),
        ]
        for net, row in results.measured("profile")
        for kernel in longest(row, 12)
    ]
    return table("the longest kernels of a step at batch 64 (ncu)", ["net, kernel", "us", *names], rows)


def summary(results: Results) -> list[str]:
    """A line for each net, with its longest kernels."""
    lines = []
    for net, row in results.of("profile").items():
        top = [f"{k['kernel'][:24]} {k['ns'] / 1e3:.0f}" for k in longest(row, 3)] if "us" in row else []
        lines.append(", ".join([line_of(f"ncu {net}", row), *top]))
    return lines


PART = Part("profile", cases, show, summary, seconds=60, timed=True)
