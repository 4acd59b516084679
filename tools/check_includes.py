#!/usr/bin/env python3
"""Checks the floors of csrc/ (CONTRIBUTING.md, "Rooms"): no file includes one of a higher floor.

The kernels that are compiled once per instruction set reach C headers alone, by whatever way: an inline
function of the C++ library compiled with their flags could be the copy that the linker keeps for everybody.
Public headers show what they declare (CNNX_API), but for those of plain structs that such kernels include.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent / "csrc"


def headers(*names: str) -> list[str]:
    return [f"include/cnnx/{name}.h" for name in names]


# From the lowest floor to the highest: what the paths of its files begin with.
FLOORS: dict[str, list[str]] = {
    "numbers and names": [
        *headers(
            *("activation", "api", "device", "dims", "dtype", "error", "grid_mode", "inline_vector"),
            *("random_state", "threads", "version"),
        ),
        *headers("data/padding", "nn/optim_steps"),
        "build_config.h",  # CMake writes it
    ],
    "device": ["device/"],
    "kernels": ["kernels/", *headers("kernels")],
    "core": [
        "core/",
        *headers("autocast", "autograd", "number", "profiler", "random", "recording", "tensor"),
    ],
    "ops, plans": [
        *("ops/", "include/cnnx/ops/", "plan/"),
        *headers("compile", "foresight", "operators", "plan", "printing", "session"),
    ],
    "nn, optim, data, io": [
        *("nn/", "optim/", "data/", "io/"),
        *(f"include/cnnx/{room}/" for room in ("nn", "optim", "data", "io")),
        *headers("data", "models", "nn", "optim"),
    ],
    "onnx": ["onnx/", *headers("onnx")],
    "everything": ["capi/", *headers("c", "cnnx", "pybind11", "python"), "precompiled.h"],
}
FOR_EVERY_INSTRUCTION_SET = "kernels/cpu/"


def floor_of(path: str) -> int:
    for floor, prefixes in enumerate(FLOORS.values()):
        if path.startswith(tuple(prefixes)):
            return floor
    raise SystemExit(f"{path}: stands on no floor of tools/check_includes.py")


def included(path: str) -> list[str]:
    """The files of csrc/ that a file includes."""
    if not (ROOT / path).exists():
        return []
    names = re.findall(r'^#include "([^"]+)"', (ROOT / path).read_text(), re.MULTILINE)
    return [f"include/{name}" if (ROOT / "include" / name).exists() else name for name in names]


def system_headers(path: str) -> list[str]:
    return re.findall(r"^#include <([^>]+)>", (ROOT / path).read_text(), re.MULTILINE)


def hides(path: str) -> bool:
    """Whether a public header opens the namespace without CNNX_API (cnnx/api.h)."""
    return re.search(r"^namespace cnnx(?! CNNX_API \{)", (ROOT / path).read_text(), re.MULTILINE) is not None


def main() -> int:
    suffixes = {".cpp", ".h", ".cu", ".def"}
    files = sorted(p.relative_to(ROOT).as_posix() for p in ROOT.rglob("*") if p.suffix in suffixes)
    names = list(FLOORS)
    wrong = [
        f"{path} ({names[floor_of(path)]}) includes {other} ({names[floor_of(other)]})"
        for path in files
        for other in included(path)
        if floor_of(other) > floor_of(path)
    ]
    reached = [path for path in files if path.startswith(FOR_EVERY_INSTRUCTION_SET)]
    for path in reached:
        reached += [other for other in included(path) if other not in reached]
    wrong += [
        f"{path} includes <{header}>, no C header, and is compiled for each instruction set"
        for path in reached
        for header in system_headers(path)
        if not header.endswith(".h")
    ]
    wrong += [
        f"{path}: a shared library hides what `namespace cnnx` alone declares: `namespace cnnx CNNX_API`"
        for path in files
        if path.startswith("include/") and path not in reached and hides(path)
    ]
    for line in wrong:
        print(line)
    print(f"{len(files)} files on {len(FLOORS)} floors: {len(wrong)} faults")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
