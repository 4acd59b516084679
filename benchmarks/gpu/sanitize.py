"""compute-sanitizer on short trainings, eager and captured."""

from __future__ import annotations

import os
import re
import shutil
import sys
from functools import partial
from pathlib import Path

from gpu.runner import Part, run_program
from gpu.store import ROOT, Case, Results, Row, Setting, line_of, table

TOOLS = ("memcheck", "racecheck", "synccheck")
NETS = ("lenet5", "s11", "s7", "s6")


def tool(name: str) -> str | None:
    """Where a program of the CUDA toolkit is."""
    folders = [os.environ.get("CUDA_HOME"), "/usr/local/cuda"]
    return shutil.which(name, path=os.pathsep.join([f"{f}/bin" for f in folders if f] + [os.environ["PATH"]]))


def training(*arguments: str) -> list[str]:
    """The command of a short training."""
    return [sys.executable, str(Path(__file__).with_name("short_training.py")), *arguments]


def sanitized(name: str, net: str, smoke: bool) -> Row:
    """A short training under a tool; a miniature does without one."""
    sanitizer = tool("compute-sanitizer")
    if sanitizer is None and not smoke:
        return {"absent": True, "says": "compute-sanitizer is not on this machine"}
    prefix = [sanitizer, "--tool", name, "--error-exitcode", "9"] if sanitizer else []
    done = run_program([*prefix, *training(net)], ROOT)
    found = [line.strip("= ") for line in done.output.splitlines() if "SUMMARY" in line]
    output = done.output[:6000]  # the first faults
    if done.status is None:
        return {"error": f"over its time; {' '.join(found)}", "output": output}
    if done.status != 0 or "trained" not in done.output:
        says = found[-1] if found else done.output.strip()[-200:]
        return {
            "error": f"ended with {done.status}: {says}",
            "output": done.output[:6000],
        }  # the first faults
    if sanitizer is None:
        return {"absent": True, "says": "compute-sanitizer is not on this machine; the training ran without"}
    clean = bool(found) and not re.search(
        r"[1-9]", found[-1]
    )  # racecheck's warnings too, which are no errors
    return {"says": found[-1] if found else "no summary", "passed": clean, "output": "" if clean else output}


def cases(setting: Setting) -> dict[str, Case]:
    """Every tool, on each of the nets."""
    return {
        f"{name} {net}": partial(sanitized, name, net, setting.smoke)
        for net in setting.choose(("s10",), NETS, NETS)
        for name in TOOLS
    }


def show(results: Results) -> list[str]:
    """What each run said."""
    rows = [[case, row.get("error") or row["says"]] for case, row in results.of("sanitize").items()]
    return table("compute-sanitizer", ["case", "result"], rows)


def summary(results: Results) -> list[str]:
    """How many runs are clean, by tool, and what the first other ones say."""
    rows = results.of("sanitize")
    bad = [(case, row) for case, row in rows.items() if not row.get("passed")]
    if bad and all(row.get("absent") for _, row in bad):
        return [bad[0][1]["says"]]
    said = []
    for name in TOOLS:
        of_tool = [row for case, row in rows.items() if case.startswith(name)]
        said.append(f"{name} {sum(bool(row.get('passed')) for row in of_tool)} of {len(of_tool)}")
    return ["clean under " + ", ".join(said), *(f"  {line_of(*one)}" for one in bad[:3])]


PART = Part("sanitize", cases, show, summary, seconds=70)
