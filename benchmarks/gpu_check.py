"""Checks and measures cnnx on a GPU: `python benchmarks/gpu_check.py --out DIR [--part first | PART ...]`.

Needs PyTorch and pytest, and nothing from a network. cnnx with the CUDA backend comes from --wheel FILE, or
is installed already; where neither serves, it is built here. Parts:

    agree     a step of each net against the CPU and float64; captures, cold and warm, against eager steps
    test      the suite with device=cuda, file by file, several at a time
    sanitize  compute-sanitizer's memcheck, racecheck and synccheck on short trainings, where it exists
    cost      what a launch, a node of a graph and a replay take
    train     training steps against PyTorch: eager, with its default precision, under CUDA graphs
    compile   training steps against torch.compile(mode="max-autotune")
    epoch     whole epochs with data: MNIST from --data-dir, else generated images
    mnist     `cnnx train --device cuda` on MNIST has to reach 98.5 %
    kernels   each kernel's share of the memory and arithmetic ceilings, both measured in the run
    profile   Nsight Compute's figures for the kernels of a step, where ncu exists
    first     for the first minutes on a card: of most parts the cases that tell most, by their value

Every case is a process with a time limit and is written to DIR/results.json as it ends; the same command goes
on where the last one was cut, and tries again what failed. All ends after --budget seconds, with a summary.
Exit status: 0 all well, 1 a case failed, 3 cases are left. `--smoke` runs everything in miniature, also on
the emulation with PyTorch on the CPU and without NVIDIA's tools, to test these scripts: its times mean
nothing.
"""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from gpu.first import STAGES, Stage, summary
from gpu.install import architecture, install
from gpu.runner import Part, isolated, run_parts
from gpu.store import ROOT, Results, Setting

# The module of each part.
PARTS = {
    "agree": "agree",
    "test": "suite",
    "sanitize": "sanitize",
    "cost": "cost",
    "train": "train",
    "compile": "compiled",
    "epoch": "data",
    "mnist": "mnist",
    "kernels": "kernels",
    "profile": "ncu",
}


def stop(signal_number: int, frame: FrameType | None) -> None:
    """Ends the running case and tells what there is."""
    raise KeyboardInterrupt


def prepare(args: argparse.Namespace, results: Results, setting: Setting) -> str | None:
    """Sees that there is a card and cnnx for it; else what is wrong, in a line."""
    card = None
    if not setting.smoke:
        found = isolated(architecture, 60)
        if "error" in found:
            return f"there is no GPU here: {found['error']}; --smoke rehearses on the emulation"
        card = found["architecture"]
    installed = install(args.wheel, args.work, card, args.budget * 0.6)
    results.put("install", card or "emulation", installed)
    if "error" in installed:
        return str(installed["error"])
    about = isolated(setting.about, 90)
    if "error" in about:
        return f"cnnx finds no device: {about['error']}"
    about.pop("seconds")
    results.hold_for(about)
    return None


def load(name: str, results: Results) -> Part | None:
    """A part, unless what it needs is not installed."""
    try:
        part: Part = importlib.import_module(f"gpu.{PARTS[name]}").PART
    except ImportError as error:
        results.put(name, "import", {"error": f"{type(error).__name__}: {error}"})
        return None
    results.of(name).pop("import", None)
    return part


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument(
        "--part", nargs="+", choices=[*PARTS, "first"], default=list(PARTS), help="default: all but first"
    )
    parser.add_argument("--wheel", type=Path, help="a wheel of cnnx with the CUDA backend")
    parser.add_argument("--data-dir", type=Path, help="folder of MNIST, as of `cnnx train`")
    parser.add_argument("--budget", type=float, default=480, help="seconds for everything; default: 480")
    parser.add_argument(
        "--work",
        type=Path,
        default=ROOT / "build" / "gpu_check",
        help="where cnnx is put; default: %(default)s",
    )
    parser.add_argument("--smoke", action="store_true", help="a miniature, to test these scripts")
    args = parser.parse_args()
    if "first" in args.part and len(args.part) > 1:
        parser.error("--part first stands alone")
    first = args.part == ["first"]
    if args.data_dir is None and "CNNX_DATA_DIR" in os.environ:
        args.data_dir = Path(os.environ["CNNX_DATA_DIR"])

    start = time.monotonic()
    signal.signal(signal.SIGTERM, stop)
    setting = Setting("smoke" if args.smoke else "first" if first else "full", args.data_dir)
    results = Results(args.out)
    stages = STAGES if first else [Stage((name,), args.budget) for name in args.part]
    names = [name for stage in stages for name in stage.parts]
    said: dict[str, list[str]] = {}
    left: list[str] = []
    try:
        if wrong := prepare(args, results, setting):
            print(f"gpu_check: {wrong}", file=sys.stderr)
            return 1
        for stage in stages:
            print(f"\n== {' and '.join(stage.parts)}, at {time.monotonic() - start:.0f} s", flush=True)
            parts = [part for name in stage.parts if (part := load(name, results)) is not None]
            seconds = min(stage.seconds * setting.patience, args.budget - (time.monotonic() - start))
            left += run_parts(parts, setting, results, seconds)
            for part in parts:
                print("\n" + "\n".join(part.show(results)), flush=True)
                said[part.name] = part.summary(results)
    except KeyboardInterrupt:
        left.append("what comes after the interruption")
    print(summary(results, names, said, left, time.monotonic() - start), flush=True)
    return 1 if results.failed() else 3 if left else 0


if __name__ == "__main__":
    sys.exit(main())
