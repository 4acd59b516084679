"""Checks and measures cnnx on a GPU: `python benchmarks/gpu_check.py --out DIR [--part test train ...]`.

Needs an installed cnnx with the CUDA backend, PyTorch and pytest, and nothing from a network. Parts:

    test      the suite with device=cuda, file by file; agreement with the CPU and with float64
    sanitize  compute-sanitizer's memcheck and racecheck on short trainings, where the tool exists
    train     training steps against PyTorch: eager, with its default precision, under CUDA graphs
    compile   training steps against torch.compile(mode="max-autotune")
    epoch     whole epochs with data: MNIST from --data-dir, else generated images
    kernels   each kernel's share of the memory and arithmetic ceilings, both measured in the run

A part writes DIR/<part>.json after every case, begins no case after --minutes, and goes on where it was when
the same command runs again; the most important table comes last. Exit status: 0 all well, 1 a case failed, 3
cases are left. `--smoke` runs every part in miniature, also on the emulation with PyTorch on the CPU, to test
these scripts: its JSON says so, and its times mean nothing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from gpu import checks, data, kernels, train
from gpu.store import Part, Setting

import cnnx

PARTS: dict[str, Callable[[Part], None]] = {
    "test": checks.test,
    "sanitize": checks.sanitize,
    "train": train.train,
    "compile": train.compile,
    "epoch": data.epoch,
    "kernels": kernels.kernels,
}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--part", nargs="+", choices=list(PARTS), default=list(PARTS), help="default: all")
    parser.add_argument("--data-dir", type=Path, help="folder of MNIST, as of `cnnx train`")
    parser.add_argument("--minutes", type=float, default=7, help="no case of a part begins later; default: 7")
    parser.add_argument("--smoke", action="store_true", help="a miniature, to test these scripts")
    args = parser.parse_args()
    if not cnnx.cuda.is_available():
        parser.error(f"cnnx has no CUDA device: {cnnx.cuda.build_info()}")
    if not args.smoke and not torch.cuda.is_available():
        parser.error("PyTorch has no CUDA device; --smoke runs without one")
    args.out.mkdir(parents=True, exist_ok=True)

    setting = Setting(args.out, args.smoke, args.minutes * 60, args.data_dir)
    failed, left = [], []
    for name in args.part:
        print(f"\n== {name}: {setting.about()}", flush=True)
        part = Part(name, setting)
        PARTS[name](part)
        failed += [f"{name}: {case}" for case in part.failed()]
        left += [f"{name}: {case}" for case in part.open]
    if left:
        print(f"\n{len(left)} cases are left; the same command goes on with them: {', '.join(left)}")
    if failed:
        print(f"\n{len(failed)} cases failed: {', '.join(failed)}")
    return 1 if failed else 3 if left else 0


if __name__ == "__main__":
    sys.exit(main())
