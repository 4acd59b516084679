"""The test suite on the device, several files at a time."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections import Counter
from functools import partial
from pathlib import Path

from gpu.runner import Part, run_program
from gpu.store import ROOT, Case, Results, Row, Setting, table

TESTS = ROOT / "tests"
# These use the device where they say so, with the CPU as the default.
NAME_THEIR_DEVICE = ("test_cuda", "test_examples")
# Those that take longest, in so many processes.
SHARES = {"test_cuda_elements": 3, "test_cuda_data": 2, "test_cuda_graph_use": 2}


def run_tests(name: str, share: str) -> Row:
    """A share of one file, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder) / "lines"
        options = ["-q", "-p", "no:cacheprovider", "-p", "gpu.lines", "-m", "not mnist"]
        done = run_program(
            [
                *(sys.executable, "-m", "pytest", *options),
                *(f"--lines={lines}", f"--share={share}", str(TESTS / f"{name}.py")),
            ],
            folder=ROOT,
            CNNX_TEST_DEVICE="cpu" if name.startswith(NAME_THEIR_DEVICE) else "cuda",
            MPLBACKEND="Agg",
            PYTHONPATH=os.pathsep.join(
                filter(None, [os.environ.get("PYTHONPATH"), str(ROOT / "benchmarks")])
            ),
        )
        events = [json.loads(line) for line in lines.read_text().splitlines()] if lines.exists() else []
    ended = [event for event in events if "test" in event]
    counts = Counter(event["outcome"] for event in ended)
    row: Row = {
        "good": counts["passed"],
        "failures": [{"test": e["test"], "message": e["message"]} for e in ended if e["outcome"] == "failed"],
        "skipped": dict(Counter(event["message"] for event in ended if event["outcome"] == "skipped")),
    }
    said = f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped"
    # 5: nothing was collected, as where a file is about the real MNIST alone
    if done.status in (0, 1, 5):
        return {**row, "passed": done.status != 1, "says": said}
    how = "was over its time" if done.status is None else f"ended with {done.status}"
    begun = next((event["begun"] for event in reversed(events) if "begun" in event), "its start")
    return {**row, "error": f"pytest {how} at {begun}; {said}", "output": done.output[-3000:]}


def cases(setting: Setting) -> dict[str, Case]:
    """The files that are about CUDA, or all."""
    everything = sorted(path.stem for path in TESTS.glob("test_*.py") if path.stem != "test_gpu_check")
    cuda = [name for name in everything if name.startswith("test_cuda")]
    found: dict[str, Case] = {}
    for name in setting.choose(["test_hooks", "test_init"], cuda, cuda + sorted({*everything} - {*cuda})):
        count = SHARES.get(name, 1)
        for number in range(1, count + 1):
            share = f"{number}/{count}"
            found[name if count == 1 else f"{name} {share}"] = partial(run_tests, name, share)
    return found


def failures(results: Results) -> list[list[str]]:
    """The tests that failed, and files that did not end."""
    found = []
    for case, row in results.of("test").items():
        found += [[item["test"], item["message"].replace("\n", " ")] for item in row.get("failures", [])]
        if "error" in row:
            found.append([case, row["error"]])
    return found


def counts(results: Results) -> list[int]:
    """How many passed, failed and were left out."""
    rows = results.of("test").values()
    return [
        sum(row.get("good", 0) for row in rows),
        sum(len(row.get("failures", [])) for row in rows),
        sum(sum(row.get("skipped", {}).values()) for row in rows),
    ]


def show(results: Results) -> list[str]:
    """The failures, and how many there were of each kind."""
    lines = table("failures on the device", ["test", "message"], [[t, m[:100]] for t, m in failures(results)])
    head = ["processes", "passed", "failed", "skipped"]
    numbers = [len(results.of("test")), *counts(results)]
    return lines + ["", *table("the suite on the device", head, [list(map(str, numbers))])]


def summary(results: Results) -> list[str]:
    """The counts, and the first failures."""
    passed, failed, skipped = counts(results)
    broken = failures(results)
    lines = [f"tests: {passed} passed, {failed} failed, {skipped} skipped"]
    lines += [f"  {test.split('/')[-1][:60]}: {message[:90]}" for test, message in broken[:4]]
    return lines + ([f"  and {len(broken) - 4} more"] if len(broken) > 4 else [])


PART = Part("test", cases, show, summary, seconds=70)
