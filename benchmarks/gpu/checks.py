"""What must hold on a device: the suite passes, results agree with the CPU and float64, nothing strays."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from nets import NETS, Net, batch_of

import cnnx
import cnnx.nn
import cnnx.nn.functional as F
from gpu.store import Part, Row, table

ROOT = Path(__file__).resolve().parent.parent.parent
TESTS = ROOT / "tests"
SMOKE_TESTS = ["test_hooks", "test_norm"]
# These use the device where they say so, with the CPU as the default.
NAME_THEIR_DEVICE = ("test_cuda", "test_examples")

# A float64 result may differ by the order of its sums; a float32 one by that and by its functions' rounding.
BOUNDS = {"float64": 1e-10, "float32": 2e-4}


def run_tests(name: str, seconds: float) -> Row:
    """One file of the suite, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-m",
            "not mnist",
            f"--junitxml={report}",
        ]
        device = "cpu" if name.startswith(NAME_THEIR_DEVICE) else "cuda"
        environment = {**os.environ, "CNNX_TEST_DEVICE": device, "OMP_NUM_THREADS": "2", "MPLBACKEND": "Agg"}
        done = subprocess.run(
            [*command, str(TESTS / f"{name}.py")],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        if not report.exists():
            raise RuntimeError(f"pytest ended with {done.returncode}: {(done.stdout + done.stderr)[-2000:]}")
        suite = next(ElementTree.parse(report).getroot().iter("testsuite"))
        failures = [
            {
                "test": f"{case.get('classname')}::{case.get('name')}",
                "message": (found.get("message") or "")[:500],
            }
            for case in suite.iter("testcase")
            for found in (*case.iter("failure"), *case.iter("error"))
        ]
        reasons: dict[str, int] = {}
        for skipped in suite.iter("skipped"):
            reason = (skipped.get("message") or "")[:200]
            reasons[reason] = reasons.get(reason, 0) + 1
    total, left_out = int(suite.get("tests", 0)), sum(reasons.values())
    good = total - left_out - len(failures)
    # 5: nothing was collected, as where a file is about the real MNIST alone
    return {
        "passed": done.returncode in (0, 5),
        "good": good,
        "failures": failures,
        "skipped": reasons,
        "says": f"{good} passed, {len(failures)} failed, {left_out} skipped",
    }


def gradients(
    net: Net, batch: int, device: str, dtype: Any, start: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The logits, loss and gradients of one step, without dropout: its mask is not what is compared here."""
    model = net.build(cnnx.nn).to(device=device, dtype=dtype)
    model.load_state_dict({key: cnnx.tensor(values, device=device) for key, values in start.items()})
    for module in model.modules():
        if isinstance(module, cnnx.nn.Dropout):
            module.eval()
    images, labels = batch_of(net, batch)
    logits = model(cnnx.tensor(images, dtype=dtype, device=device))
    loss = F.cross_entropy(logits, cnnx.tensor(labels, device=device))
    loss.backward()
    found = {"logits": logits, "loss": loss, **{f"grad {k}": p.grad for k, p in model.named_parameters()}}
    return {key: value.detach().double().cpu().numpy() for key, value in found.items()}


def largest(got: dict[str, np.ndarray], want: dict[str, np.ndarray]) -> tuple[float, str]:
    """The largest difference relative to the largest value of its array, and where.

    A gradient that is zero but for rounding (of a bias before batch norm) is measured by the others.
    """
    floor = 1e-3 * max(float(np.abs(values).max()) for key, values in want.items() if key.startswith("grad"))
    differences = {
        key: float(np.abs(got[key] - values).max()) / max(float(np.abs(values).max()), floor)
        for key, values in want.items()
    }
    worst = max(differences, key=lambda key: differences[key])
    return differences[worst], worst


def agreement(net: Net, batch: int) -> Row:
    """The device in float32 and float64, and the CPU in float32, against the CPU in float64."""
    cnnx.manual_seed(0)
    start = {key: value.numpy() for key, value in net.build(cnnx.nn).state_dict().items()}
    exact = gradients(net, batch, "cpu", cnnx.float64, start)
    row: Row = {"bounds": BOUNDS}
    for name, device, dtype in (
        ("cuda float32", "cuda", cnnx.float32),
        ("cpu float32", "cpu", cnnx.float32),
        ("cuda float64", "cuda", cnnx.float64),
    ):
        row[name], row[f"{name} at"] = largest(gradients(net, batch, device, dtype, start), exact)
    again = [gradients(net, batch, "cuda", cnnx.float32, start) for _ in range(2)]
    row["same bits"] = all(np.array_equal(again[0][key], again[1][key]) for key in again[0])
    # What float32 loses on the CPU, as in batch norm of few images, it may lose here.
    allowed = max(BOUNDS["float32"], 3 * row["cpu float32"])
    exactly = row["cuda float64"] <= BOUNDS["float64"]
    row["passed"] = row["cuda float32"] <= allowed and exactly and row["same bits"]
    row["says"] = (
        f"float32 {row['cuda float32']:.1e} (CPU {row['cpu float32']:.1e}), float64 {row['cuda float64']:.1e}"
    )
    return row


def test(part: Part) -> None:
    """The suite with device=cuda, file by file, several at a time; and agreement, net by net."""
    smoke = part.setting.smoke
    for name in ["s10", "s11"] if smoke else NETS:
        for batch in [5] if smoke else [64, 1000]:
            part.run(f"agreement {name} {batch}", lambda name=name, batch=batch: agreement(NETS[name], batch))
    files = SMOKE_TESTS if smoke else sorted(path.stem for path in TESTS.glob("test_*.py"))

    def one(name: str) -> None:
        part.run(f"suite {name}", lambda: run_tests(name, max(part.left(), 30)))

    # Every process holds a context on the device; the tests themselves are small.
    with ThreadPoolExecutor(max(1, min(6, (os.cpu_count() or 1) // 2))) as pool:
        list(pool.map(one, files))
    table(
        "largest relative difference from the CPU in float64, over logits, loss and gradients of a step",
        ["net, batch", "cuda float32", "cpu float32", "cuda float64", "same bits twice"],
        [
            [
                case[10:],
                *(f"{row[key]:.1e}" for key in ("cuda float32", "cpu float32", "cuda float64")),
                str(row["same bits"]),
            ]
            for case, row in part.measured()
            if case.startswith("agreement")
        ],
    )
    suite = [(case[6:], row) for case, row in part.measured() if case.startswith("suite")]
    failures = [
        [item["test"], item["message"].replace("\n", " ")[:100]]
        for _, row in suite
        for item in row["failures"]
    ]
    table("failures of the suite with device=cuda", ["test", "message"], failures)
    counts = [
        sum(row["good"] for _, row in suite),
        len(failures),
        sum(sum(row["skipped"].values()) for _, row in suite),
    ]
    table(
        "the suite with device=cuda",
        ["files", "passed", "failed", "skipped"],
        [[str(len(suite)), *map(str, counts)]],
    )


def sanitizer() -> str | None:
    """Where compute-sanitizer is."""
    for folder in (os.environ.get("CUDA_HOME"), "/usr/local/cuda"):
        if folder and (Path(folder) / "bin" / "compute-sanitizer").exists():
            return str(Path(folder) / "bin" / "compute-sanitizer")
    return shutil.which("compute-sanitizer")


def sanitized(prefix: list[str], net: str, seconds: float) -> Row:
    """A short training under a tool, or without one."""
    command = [*prefix, sys.executable, str(ROOT / "benchmarks" / "gpu" / "short_training.py"), net]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    output = done.stdout + done.stderr
    found = [line.strip("= ") for line in output.splitlines() if "SUMMARY" in line]
    trained = "trained" in output
    return {
        "passed": done.returncode == 0 and trained,
        "returncode": done.returncode,
        "output": output[:6000] if done.returncode or not trained else "",  # the first faults
        "says": found[-1] if found else f"ended with {done.returncode}",
    }


def sanitize(part: Part) -> None:
    """compute-sanitizer's memcheck and racecheck on short trainings."""
    tool = sanitizer()
    prefixes: dict[str, Callable[[], list[str]]] = {
        name: lambda name=name: [str(tool), "--tool", name, "--error-exitcode", "9"]
        for name in ("memcheck", "racecheck")
    }
    if part.setting.smoke:
        prefixes = {"no tool": list}
    elif tool is None:
        part.put("no tool", {"says": "compute-sanitizer is not on this machine: nothing was checked"})
        prefixes = {}
    for name, prefix in prefixes.items():
        for net in ["s10"] if part.setting.smoke else ["lenet5", "s11", "s7", "s6"]:
            part.run(
                f"{name} {net}", lambda net=net, prefix=prefix: sanitized(prefix(), net, max(part.left(), 30))
            )
    table("compute-sanitizer", ["case", "result"], [[case, row["says"]] for case, row in part.measured()])
