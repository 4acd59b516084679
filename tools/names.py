#!/usr/bin/env python3
"""Writes docs/names.md: which of PyTorch's public names cnnx has, and why others are left out.

Needs PyTorch. `--check` compares the file with what would be written.
"""

from __future__ import annotations

import argparse
import inspect
import re
import sys
from pathlib import Path
from typing import Any

import torch
import torch.nn.utils.parametrizations
import torch.nn.utils.parametrize
import torch.nn.utils.prune
import torch.nn.utils.rnn

import cnnx
from cnnx.absent import REASONS, reason

FILE = Path(__file__).resolve().parent.parent / "docs" / "names.md"
# Rooms by PyTorch's name: where they are in both libraries.
ROOMS = (
    "", "Tensor", "nn", "nn.functional", "nn.init", "nn.utils", "nn.utils.parametrizations",
    "nn.utils.parametrize", "nn.utils.prune", "nn.utils.rnn", "optim", "optim.lr_scheduler",
    "optim.swa_utils", "utils.data", "autograd", "amp", "distributions", "linalg", "special", "cuda",
)  # fmt: skip
# PyTorch's own machinery: its compiler's types, hooks for other libraries, annotations, deprecated names.
MACHINERY = re.compile(
    r"^(jit|sym_|Sym|native_|quantized_|unsafe_|import_ir|parse_|autocast_|has_torch_function|batch_norm_"
    r"|grid_sampler|boolean_dispatch|handle_torch|unify_type|merge_type|is_autocast|set_autocast|get_autocast"
    r"|cudnn|miopen|mkldnn|get_file_path)"
    r"|_copy$|_ex$|_notes$|^[A-Z]+_[A-Z_]+$"
    r"|^(AVG|SUM|Callable|DType|Optional|Tensor|BroadcastingList\d|ScalingType|SwizzleType|Type|Value)$"
    r"|^(classproperty|compiled_with_cxx11_abi|init_num_threads|cudart|current_\w+_handle|hash_tensor|from_file"
    r"|prepare_multiprocessing_environment|profiler_allow\w+|thread_safe_generator|factory_kwargs|Container"
    r"|assert_int_or_pair|NLLLoss2d|is_storage|volatile|name|output_nr|newaxis|norm_except_dim|cudaStatus"
    r"|CudaError|check_error|default_generators|Variable|variable|NestedIOFunction|CrossMapLRN2d|symeig"
    r"|triangular_solve|range|fused_moving_avg_obs_fake_quant|convolution|segment_reduce|while_loop"
    r"|slice_inverse|conv_tbc|typename|vulkan)$"
)
# In the room of all functions anything with a capital belongs to it, but for these.
CLASSES = {"Tensor", "Generator", "Size"}
OLD_INITIALISERS = re.compile(r"[^_]$")  # without the underscore they are deprecated


def room(library: Any, path: str) -> Any:
    """A module or class of a library by its path."""
    found = library
    for part in filter(None, path.split(".")):
        found = getattr(found, part)
    return found


def public_names(path: str) -> list[str]:
    """PyTorch's names of a room, without its machinery."""
    where = room(torch, path)
    listed = None if path == "" else getattr(where, "__all__", None)
    names = [
        name
        for name in sorted(set(listed or dir(where)))
        if not name.startswith("_")
        and not inspect.ismodule(getattr(where, name, None))
        and not MACHINERY.search(name)
    ]
    if path == "":
        names = [name for name in names if name == name.lower() or name in CLASSES]
    if path == "nn.init":
        names = [name for name in names if not OLD_INITIALISERS.search(name) or name == "calculate_gain"]
    return names


def text() -> str:
    """The file."""
    rows: list[tuple[str, int, int]] = []
    left_out: dict[str | None, dict[str, list[str]]] = {}
    total = there = 0
    for path in ROOMS:
        names, own = public_names(path), room(cnnx, path)
        missing = [name for name in names if not hasattr(own, name)]
        total, there = total + len(names), there + len(names) - len(missing)
        rows.append((path or "torch", len(names), len(names) - len(missing)))
        for name in missing:
            left_out.setdefault(reason(name), {}).setdefault(path or "torch", []).append(name)
    version = torch.__version__.partition("+")[0]
    lines = [
        "# Names of PyTorch",
        "",
        f"Made by `python tools/names.py` beside PyTorch {version}: of its {total:,} names in these rooms",
        f"cnnx has {there:,}, {there / total:.0%}. PyTorch's own machinery (its compiler's types, deprecated",
        "names) is not counted.",
        "",
        "| room | names | of them here | share |",
        "|---|---|---|---|",
        *(f"| `{path}` | {count:,} | {have:,} | {have / count:.0%} |" for path, count, have in rows),
        "",
        "## What is left out, and why",
        "",
        "A name that is not there says so in one line, with the reason and the nearest name that is.",
        "",
    ]
    order: list[str | None] = [*(entry.words for entry in REASONS), None]
    for why in order:
        if why in left_out:
            names = "; ".join(f"`{path}`: {' '.join(found)}" for path, found in left_out[why].items())
            lines.append(f"- **{'not there yet' if why is None else 'cnnx has ' + why}**: {names}")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only compare")
    wanted = text()
    if parser.parse_args().check:
        if FILE.read_text(encoding="utf-8") != wanted:
            print(f"{FILE.name} is not what both libraries say: run python tools/names.py")
            return 1
        return 0
    FILE.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
