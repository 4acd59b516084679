"""benchmarks/gpu_check.py in miniature, every part of it: on the emulation, or on a GPU."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

import cnnx
from test_idx import idx_bytes

pytestmark = pytest.mark.once

SCRIPT = Path(__file__).resolve().parent.parent / "benchmarks" / "gpu_check.py"
PACKAGE = Path(cnnx.__file__).parent

on_a_device = pytest.mark.skipif(not cnnx.cuda.is_available(), reason="no CUDA device")

# What stands for NVIDIA's tools: they run the program and speak as those do.
SANITIZER = """#!/bin/sh
while [ "$1" != "{python}" ]; do shift; done
"$@" && echo "========= ERROR SUMMARY: 0 errors"
"""
NCU = """#!/bin/sh
while [ "$1" != "{python}" ]; do shift; done
"$@" || exit
cat <<'CSV'
==PROF== Disconnected from process 7
"ID","Kernel Name","gpu__time_duration.sum","sm__warps_active.avg.pct_of_peak_sustained_active"
"","","ns","%"
"0","void cnnx::(anonymous namespace)::relu_kernel<float>(const float *, float *, long)","1,500","25.5"
"1","cnnx::<unnamed>::sum_kernel(float *)","2500","n/a"
CSV
"""


def environment(**more: str) -> dict[str, str]:
    """Where the package that is tested lies is told to the script."""
    paths = [str(PACKAGE.parent), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in paths if p), **more}


def run(script: Path, *options: str, status: int = 0, **more: str) -> str:
    """What a script prints."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(script), *options],
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == status, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout + done.stderr


def parts_of(folder: Path) -> dict[str, dict[str, dict]]:
    return json.loads((folder / "results.json").read_text())["parts"]


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """A wheel of the package that is tested."""
    path = tmp_path / "cnnx-0.1.0-py3-none-any.whl"
    about = "cnnx-0.1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        for folder, _, names in os.walk(PACKAGE, followlinks=True):
            for file in (Path(folder) / name for name in names):
                if file.suffix != ".pyc":
                    archive.write(file, f"cnnx/{file.relative_to(PACKAGE)}")
        archive.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: cnnx\nVersion: 0.1.0\n")
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")
    return path


@pytest.fixture
def tools(tmp_path: Path) -> str:
    """A PATH with stand-ins for compute-sanitizer and ncu."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in (("compute-sanitizer", SANITIZER), ("ncu", NCU)):
        (folder / name).write_text(text.replace("{python}", sys.executable))
        (folder / name).chmod(0o755)
    return os.pathsep.join([str(folder), os.environ["PATH"]])


@on_a_device
def test_first_is_cut_and_taken_up_again(tmp_path: Path, wheel: Path, tools: str) -> None:
    pytest.importorskip("torch")
    out = tmp_path / "out"
    options = ["--smoke", "--part", "first", "--out", str(out), "--wheel", str(wheel)]
    options += ["--work", str(tmp_path / "work"), "--budget", "900"]

    # Cut in the middle: what is done is kept and told.
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", str(SCRIPT), *options],
        env=environment(PATH=tools),
        stdout=subprocess.PIPE,
        text=True,
    )
    stored = out / "results.json"
    while process.poll() is None and not (stored.exists() and '"sanitize"' in stored.read_text()):
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    text = process.communicate(timeout=60)[0]
    assert process.returncode == 3, text
    assert "left for the same command: what comes after the interruption" in text
    before = parts_of(out)
    assert {"agree", "install", "sanitize"} <= set(before) <= {"agree", "install", "sanitize", "test"}

    # Taken up again, without what was done.
    (before_case, row), *_ = before["agree"].items()
    text = run(SCRIPT, *options, PATH=tools)
    assert f"agree {before_case}: " not in text
    after = parts_of(out)
    assert sorted(after) == ["agree", "cost", "install", "mnist", "profile", "sanitize", "test", "train"]
    assert after["agree"][before_case] == row
    assert f"{wheel.name}: " in after["install"]["emulation"]["says"]
    for name in ("agreement lenet5 5", "cold capture lenet5", "warm capture s10"):
        assert after["agree"][name]["passed"]
    assert sorted(after["sanitize"]) == ["memcheck s10", "racecheck s10", "synccheck s10"]
    assert after["sanitize"]["racecheck s10"]["says"] == "ERROR SUMMARY: 0 errors"
    assert after["test"]["test_hooks"]["good"] > 0
    assert {"op", "new", "node", "replay", "replay host"} <= set(after["cost"]["cnnx"])
    assert {"cnnx", "cnnx graph", "torch", "torch tf32"} <= set(after["train"]["lenet5 8"])
    assert after["mnist"]["digits"]["accuracy"] >= 0.5
    relu, total = after["profile"]["s10"]["kernels"]
    assert (relu["kernel"], relu["ns"], relu["warps"]) == ("relu_kernel<float>", 1500, 25.5)
    assert (total["kernel"], total["ns"]) == ("sum_kernel", 2500)

    # The summary comes last and is short.
    summary = text[text.index("== summary ==") :].splitlines()
    assert len(summary) <= 40
    assert "clean under memcheck 1 of 1, racecheck 1 of 1, synccheck 1 of 1" in summary
    assert "failed: nothing" in summary
    assert "left: nothing" in summary


@on_a_device
def test_the_other_parts(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    folder = tmp_path / "data" / "MNIST" / "raw"
    folder.mkdir(parents=True)
    images, labels = (np.zeros((64, 28, 28), np.uint8), np.zeros(64, np.uint8))
    for part in ("train", "t10k"):
        (folder / f"{part}-images-idx3-ubyte").write_bytes(idx_bytes(images))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(idx_bytes(labels))
    options = ["--smoke", "--out", str(tmp_path), "--part"]
    run(SCRIPT, *options, "compile", "epoch", "kernels", "--data-dir", str(tmp_path / "data"))
    parts = parts_of(tmp_path)
    assert not any("error" in row for rows in parts.values() for row in rows.values())
    assert {"cnnx", "cnnx graph", "torch compiled"} <= set(parts["compile"]["s10 8 tf32"])
    assert parts["epoch"]["s10 32"]["source"] == "MNIST"

    # What failed is done again; what the results are of must be the same.
    stored = json.loads((tmp_path / "results.json").read_text())
    stored["parts"]["kernels"]["relu"] = {"error": "as if"}
    (tmp_path / "results.json").write_text(json.dumps(stored))
    text = run(SCRIPT, *options, "kernels")
    assert "kernels relu: forward" in text
    assert "kernels tanh: " not in text
    assert "shares of the ceilings" in text
    stored["about"]["device"] = "another"
    (tmp_path / "results.json").write_text(json.dumps(stored))
    assert "give another --out" in run(SCRIPT, *options, "kernels", status=1)


def test_without_a_gpu(tmp_path: Path) -> None:
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        text = run(SCRIPT, "--part", "first", "--out", str(tmp_path), status=1)
        assert text.startswith("gpu_check: there is no GPU here: the driver (libcuda.so.1) is not installed")
    else:
        pytest.skip("there is a driver")


LARGEST = """
import sys
import numpy as np
sys.path.insert(0, sys.argv[1])
from gpu.agree import BOUNDS, largest
want = {"logits": np.ones(3), "loss": np.ones(()), "grad w": np.ones(2)}
print(*largest({**want, "logits": np.full(3, 1.5)}, want))
for odd in (np.nan, np.inf):
    value, place = largest({**want, "grad w": np.array([1, odd])}, want)
    print(value > BOUNDS["float32"], place)
"""


@pytest.mark.cpu("arithmetic of the script")
def test_a_nan_is_the_largest_difference(tmp_path: Path) -> None:
    script = tmp_path / "largest.py"
    script.write_text(LARGEST)
    assert run(script, str(SCRIPT.parent)).splitlines() == ["0.5 logits", "True grad w", "True grad w"]


INSTALL = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from gpu import install
install.put = lambda site, what, seconds, **how: f"built for {how['CNNX_CUDA_ARCHITECTURES']}"
print(install.install(None, Path(sys.argv[2]), "90", 60)["says"])
"""


@pytest.mark.skipif(cnnx.cuda.is_available(), reason="about a cnnx that finds no device")
def test_a_cnnx_without_the_card_is_not_taken(tmp_path: Path) -> None:
    script = tmp_path / "install.py"
    script.write_text(INSTALL)
    text = run(script, str(SCRIPT.parent), str(tmp_path / "work"))
    assert "built here: built for 90; what was installed before does not serve: " in text
    assert "no CUDA device is available" in text


CASES = """
import json, os, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from gpu.runner import Part, run_parts, run_program
from gpu.store import Results, Setting

def crash(): os.abort()
def fail(): print("before"); raise ValueError("no such thing")
def hang(): time.sleep(60)
def program():
    done = run_program([sys.executable, "-c", "print('so far', flush=True); import time; time.sleep(60)"])
    return {"says": f"{done.status} {done.output.strip()}"}
def good(): return {"says": "good"}

def cases(setting):
    return {f.__name__: f for f in (crash, fail, hang, program, good)}

part = Part("odd", cases, list, list, seconds=4, timed=True)
results = Results(Path(sys.argv[2]))
assert run_parts([part], Setting("first"), results, 60) == []
assert run_parts([part], Setting("first"), results, 2) == ["odd crash", "odd fail", "odd hang"]
assert run_parts([Part("late", cases, list, list, seconds=4)], Setting("first"), results, 3.5)
"""


@pytest.mark.cpu("processes")
def test_a_case_that_crashes_or_hangs_reaches_no_other(tmp_path: Path) -> None:
    script = tmp_path / "cases.py"
    script.write_text(CASES)
    start = time.monotonic()
    run(script, str(SCRIPT.parent), str(tmp_path))
    assert time.monotonic() - start < 40
    parts = parts_of(tmp_path)
    rows = parts["odd"]
    assert rows["crash"]["error"] == "the process ended with SIGABRT"
    assert rows["fail"]["error"] == "ValueError: no such thing"
    assert "before" in rows["fail"]["output"]
    assert "in fail" in rows["fail"]["output"]
    assert rows["hang"]["error"] == "not done in 4 s"
    assert rows["program"]["says"] == "None so far"
    assert rows["good"]["says"] == "good"
    # Cut by the end of the time of all, not by their own: not failed, but left.
    assert parts["late"]["hang"]["cut"]


@on_a_device
@pytest.mark.skipif("emulated" not in cnnx.cuda.build_info(), reason="the emulation counts launches")
def test_a_step_takes_few_launches() -> None:
    """The counts of docs/performance.md, for two of its nets."""
    out = run(SCRIPT.parent / "gpu" / "launches.py", "--batch", "3", "s10", "lenet5")
    rows = {
        cells[1].strip(): [int(c) for c in cells[2:8]]
        for row in out.splitlines()[2:]
        if (cells := row.split("|"))
    }
    assert rows == {"lenet5": [12, 19, 1, 1, 33, 29], "s10": [6, 9, 1, 1, 17, 15]}, out
