"""`cnnx info`: what this installation is and can do."""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
from collections.abc import Iterator
from pathlib import Path

from cnnx import _C, cuda
from cnnx.cli import UsageError
from cnnx.cli.compare import describe
from cnnx.cli.data import data_folder
from cnnx.cli.named import STORED
from cnnx.cli.terminal import say


def cpu_name() -> str:
    """The CPU's model name where the system tells it, else its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return platform.processor() or platform.machine()


def cuda_text() -> str:
    """Whether CUDA can be used, on which devices, and if not why."""
    if not cuda.is_built():
        return f"no: {cuda.build_info()}"
    if not cuda.is_available():
        return f"built ({cuda.build_info()}), but there is no device: {_C.cuda_no_device_text()}"
    names = [cuda.get_device_name(index) for index in range(cuda.device_count())]
    return f"{', '.join(names)} ({cuda.build_info()})"


def facts() -> Iterator[tuple[str, str]]:
    """The lines of `cnnx info`."""
    yield (
        "cnnx",
        f"{_C.__version__} on Python {platform.python_version()}, {platform.system()} {platform.machine()}",
    )
    yield "CPU", cpu_name()
    target, available = _C.active_target(), ", ".join(_C.available_targets())
    why = "forced by CNNX_TARGET" if os.environ.get("CNNX_TARGET") else "the fastest this CPU runs"
    yield "target", f"{target} ({why}; available: {available})"
    yield "lanes", f"{_C.lane_count()} images"
    threads = _C.get_num_threads()
    if os.environ.get("OMP_NUM_THREADS"):
        yield "threads", f"{threads} (OMP_NUM_THREADS is {os.environ['OMP_NUM_THREADS']})"
    else:
        yield "threads", f"{threads} (the CPUs this process may use)"
    yield (
        "OpenMP",
        "yes" if _C.has_openmp() else "no: the compiler had none, so everything runs on one thread",
    )
    yield "CUDA", cuda_text()
    folder = data_folder()
    source = "CNNX_DATA_DIR" if os.environ.get("CNNX_DATA_DIR") else "default; CNNX_DATA_DIR changes it"
    there = [name for name, data in STORED.items() if data.is_available(folder)]
    yield "data", f"{folder} ({source}), {'has ' + ', '.join(there) if there else 'without mnist'}"
    uses = {
        "tqdm": "progress bars",
        "matplotlib": "pictures",
        "PIL": "image files",
        "onnx": "exports to ONNX files",
        "sklearn": "scikit-learn classifiers",
        "tensorboardX": "TensorBoard files",
        "torch": "files of PyTorch",
    }
    for package, use in uses.items():
        yield package, "yes" if importlib.util.find_spec(package) else f"no: without it there are no {use}"


def info(options: argparse.Namespace) -> int:
    """The command `cnnx info`: the facts, and with `--ops` the implementation of every kernel; or a run's."""
    if options.run is not None:
        if options.ops:
            raise UsageError("--ops is about this installation, not about a run")
        describe(options.run)
        return 0
    for name, text in facts():
        say(f"{name + ':':<13} {text}")
    if not options.ops:
        return 0
    table: dict[str, dict[str, str]] = {}
    for kernel, dtype, implementation in _C.kernel_infos():
        table.setdefault(kernel, {})[dtype] = implementation
    width = max(map(len, table))
    say()
    say(f"{'kernel':<{width}}  {'float32':<10}  float64")
    for kernel, by_dtype in table.items():
        say(f"{kernel:<{width}}  {by_dtype['float32']:<10}  {by_dtype['float64']}")
    return 0
