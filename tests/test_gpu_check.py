"""benchmarks/gpu_check.py in miniature, every part of it: on the emulation, or on a GPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import cnnx
from test_idx import idx_bytes

pytest.importorskip("torch")
pytestmark = pytest.mark.skipif(not cnnx.cuda.is_available(), reason="no CUDA device")

SCRIPT = Path(__file__).resolve().parent.parent / "benchmarks" / "gpu_check.py"


def run(script: Path, *options: str) -> str:
    """What a script prints; where the package that is tested lies is told to it."""
    paths = [str(Path(cnnx.__file__).parent.parent), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(script), *options],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in paths if p)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


def check(folder: Path, *options: str) -> str:
    return run(SCRIPT, "--smoke", "--out", str(folder), *options)


def test_every_part_runs_and_is_taken_up_again(tmp_path: Path) -> None:
    first = check(tmp_path)
    parts = {path.stem: json.loads(path.read_text()) for path in tmp_path.glob("*.json")}
    assert sorted(parts) == ["compile", "epoch", "kernels", "sanitize", "test", "train"]
    for part in parts.values():
        assert part["about"]["smoke"]
        assert part["rows"]
        assert not any("error" in row for row in part["rows"].values())
    assert {"cnnx", "torch", "torch tf32"} <= set(parts["train"]["rows"]["s11 8"])
    assert parts["test"]["rows"]["agreement s11 5"]["passed"]
    assert first.count("kernels relu: ") == 1

    # Images from files.
    folder = tmp_path / "data" / "MNIST" / "raw"
    folder.mkdir(parents=True)
    images, labels = (np.zeros((64, 28, 28), np.uint8), np.zeros(64, np.uint8))
    for part in ("train", "t10k"):
        (folder / f"{part}-images-idx3-ubyte").write_bytes(idx_bytes(images))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(idx_bytes(labels))
    check(tmp_path / "mnist", "--part", "epoch", "--data-dir", str(tmp_path / "data"))
    rows = json.loads((tmp_path / "mnist" / "epoch.json").read_text())["rows"]
    assert rows["s10 32"]["source"] == "MNIST"

    # What is done is not done again; what failed is.
    path = tmp_path / "train.json"
    parts["train"]["rows"]["s10 8"] = {"error": "as if"}
    path.write_text(json.dumps(parts["train"]))
    second = check(tmp_path, "--part", "train", "kernels")
    assert "train s10 8: cnnx" in second
    assert "train s11 8: " not in second
    assert "kernels relu: " not in second
    assert "shares of the ceilings" in second


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
