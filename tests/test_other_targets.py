"""The tests of what each CPU target has kernels of its own for, on those that this process does not run.

The number of lanes is fixed per process, so another target means another process.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import cnnx
from cnnx import _C

pytestmark = pytest.mark.cpu("the CPU's targets")

# What of a file is run there, as pytest's -k has it; empty for all.
FILES = {
    "test_activation.py": "",
    "test_batch_norm.py": "matches_torch or survives or lanes",
    "test_conv.py": "test_layers or in_lanes or converts_no_layout or dead_images or adjoint",
    "test_elementwise.py": "",
    "test_loss.py": "",
    "test_norm.py": "matches_torch or bounded or lanes",
    "test_number_line.py": "",
    "test_padding.py": "lanes or test_layers or convolutions",
    "test_pair_loss.py": "",
    "test_reduce.py": "",
    "test_special_values.py": "",
    "test_unfold.py": "windows or layers",
    "test_vec_math.py": "",
}
# Without which all of a file is skipped.
NEEDS = {"test_number_line.py": ["torch", "scipy"], "test_special_values.py": ["torch"]}


@pytest.mark.parametrize("target", [t for t in _C.available_targets() if t != _C.active_target()])
@pytest.mark.parametrize("file", FILES)
def test_file(file: str, target: str) -> None:
    for package in NEEDS.get(file, ()):
        pytest.importorskip(package)
    paths = [str(Path(cnnx.__file__).parent.parent), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "CNNX_TARGET": target, "PYTHONPATH": os.pathsep.join(p for p in paths if p)}
    chosen = ["-k", FILES[file]] if FILES[file] else []
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", file, *chosen],
        env=environment,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent,
        check=False,
    )
    assert done.returncode == 0, f"{target}:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
