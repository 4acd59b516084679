"""`cnnx train --device cuda` on MNIST: a whole training has to learn."""

from __future__ import annotations

import re
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from cnnx import datasets
from cnnx.cli.data import data_folder
from gpu.runner import Part, run_program
from gpu.store import Case, Results, Row, Setting, line_of

ENOUGH = 0.985


def trained(data: list[str], enough: float) -> Row:
    """The test accuracy at the end, and what the training took."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "cnnx", "train", "--device", "cuda", "--seed", "0", *data]
        done = run_program([*command, "--out", str(Path(folder) / "run")])
    found = re.findall(r"test accuracy ([\d.]+) ± ", done.output)
    if done.status != 0 or not found:
        how = "over its time" if done.status is None else f"ended with {done.status}"
        return {"error": f"{how}: {done.output.strip()[-200:]}", "output": done.output[-3000:]}
    accuracy, seconds = float(found[-1]) / 100, time.perf_counter() - start
    return {
        "passed": accuracy >= enough,
        "accuracy": accuracy,
        "training_seconds": round(seconds, 2),
        "output": done.output[-2000:],
        "says": f"test accuracy {accuracy} in {seconds:.1f} s, {enough} is due",
    }


def lacking() -> Row:
    """What is said where the data are not there."""
    return {"absent": True, "says": "no MNIST: name its folder by --data-dir or CNNX_DATA_DIR"}


def cases(setting: Setting) -> dict[str, Case]:
    """LeNet-5 with the command's defaults; in miniature a small net on the embedded digits."""
    if setting.smoke:
        return {"digits": partial(trained, ["--dataset", "digits", "--model", "s10", "--epochs", "1"], 0.5)}
    folder = data_folder(None if setting.data_dir is None else str(setting.data_dir))
    if setting.data_dir is None and not datasets.MNIST.is_available(folder):
        return {"lenet5": lacking}
    data = ["--dataset", "mnist", "--data-dir", str(folder), "--model", "lenet5"]
    return {"lenet5": partial(trained, data, ENOUGH)}


def show(results: Results) -> list[str]:
    """The accuracy."""
    return [line_of(f"cnnx train, {case}", row) for case, row in results.of("mnist").items()]


PART = Part("mnist", cases, show, show, seconds=90, timed=True)
