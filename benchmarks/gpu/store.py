"""The results of a part in one JSON file, written after every case, so that a run can be taken up again."""

from __future__ import annotations

import json
import os
import platform
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import cnnx

Row = dict[str, Any]


@dataclass(frozen=True)
class Setting:
    """How a part runs.

    `smoke` proves that the lines work: tiny sizes, few steps, PyTorch on the CPU, a device that may be the
    emulation. Its times mean nothing.
    """

    out: Path
    smoke: bool
    seconds: float
    data_dir: Path | None

    @property
    def torch_device(self) -> str:
        """Where PyTorch's tensors live."""
        return "cpu" if self.smoke else "cuda"

    def about(self) -> Row:
        """What the figures hold for; those of another machine or version are not mixed with them."""
        return {
            "smoke": self.smoke,
            "emulated": "emulated" in cnnx.cuda.build_info(),
            "device": cnnx.cuda.get_device_name(),
            "cnnx": f"{cnnx.__version__}, {cnnx.cuda.build_info()}",
            "torch": f"{torch.__version__}, CUDA {torch.version.cuda}",
            "python": platform.python_version(),
        }


class Part:
    """The cases of a part: those done are skipped, and none is begun after the time is up."""

    def __init__(self, name: str, setting: Setting) -> None:
        self.name, self.setting = name, setting
        self.deadline = time.monotonic() + setting.seconds
        self.path = setting.out / f"{name}.json"
        self.rows: dict[str, Row] = {}
        self.open: list[str] = []
        self._lock = threading.Lock()
        about = setting.about()
        if self.path.exists():
            stored = json.loads(self.path.read_text())
            if stored["about"] != about:
                sys.exit(
                    f"gpu_check: {self.path} holds results of {stored['about']}, this is {about}: "
                    "give another --out"
                )
            self.rows = stored["rows"]

    def done(self, case: str) -> bool:
        """Whether the case has a result; one that failed is tried again."""
        return case in self.rows and case not in self.failed()

    def left(self) -> float:
        """Seconds until the time is up."""
        return self.deadline - time.monotonic()

    def run(self, case: str, function: Callable[[], Row]) -> None:
        """Runs a case and stores what it returns, or its error."""
        if self.done(case):
            return
        if self.left() <= 0:
            self.open.append(case)
            return
        start = time.perf_counter()
        try:
            row = function()
        except Exception as error:  # one case that fails does not end the others; main exits with 1 for it
            traceback.print_exc()
            row = {"error": f"{type(error).__name__}: {error}"}
        self.put(case, {**row, "seconds": round(time.perf_counter() - start, 2)})

    def put(self, case: str, row: Row) -> None:
        """Stores a result and says so."""
        with self._lock:
            self.rows[case] = row
            text = json.dumps({"about": self.setting.about(), "part": self.name, "rows": self.rows}, indent=1)
            unfinished = self.path.with_suffix(".part")
            unfinished.write_text(text + "\n")
            os.replace(unfinished, self.path)
        print(f"{self.name} {case}: {row.get('error') or row.get('says', 'done')}", flush=True)

    def failed(self) -> list[str]:
        """The cases that failed or disagreed."""
        return [case for case, row in self.rows.items() if "error" in row or row.get("passed") is False]

    def measured(self) -> Iterator[tuple[str, Row]]:
        """The cases with a result."""
        return ((case, row) for case, row in self.rows.items() if "error" not in row)


def table(title: str, head: list[str], rows: list[list[str]]) -> None:
    """Prints a table whose first column is text."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    print(f"\n{title}")
    for row in (head, *rows):
        cells = [row[0].ljust(widths[0])] + [
            cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)
        ]
        print("  ".join(cells).rstrip())


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """PyTorch's precision: float32 throughout, or its defaults, which allow TF32 in convolutions."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = allowed
    torch.backends.cuda.matmul.allow_tf32 = False  # the default
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before
