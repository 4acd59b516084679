"""What a run of gpu_check.py is about, and its results in one JSON file, by which it is taken up again."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).resolve().parent.parent.parent
Row = dict[str, Any]
Rows = dict[str, Row]
Case = Callable[[], Row]
T = TypeVar("T")


@dataclass(frozen=True)
class Setting:
    """How the parts run.

    `size` is "full", "first" (what fits into minutes) or "smoke", which proves that the lines work: tiny
    sizes, few steps, PyTorch on the CPU, a device that may be the emulation. Its times mean nothing.
    """

    size: str
    data_dir: Path | None = None

    @property
    def smoke(self) -> bool:
        """Whether this is a miniature."""
        return self.size == "smoke"

    @property
    def patience(self) -> float:
        """How many times as long as on a GPU a case may take."""
        return 8 if self.smoke else 1

    @property
    def torch_device(self) -> str:
        """Where PyTorch's tensors live."""
        return "cpu" if self.smoke else "cuda"

    def choose(self, smoke: T, first: T, full: T) -> T:
        """The one of three that fits the size."""
        return {"smoke": smoke, "first": first, "full": full}[self.size]

    def about(self) -> Row:
        """What the figures hold for. It uses the device: for a child process."""
        import cnnx

        cnnx.ones(1, device="cuda").item()  # where there is no device, its error says why
        (module,) = Path(cnnx.__file__).parent.glob("_C*.so")
        try:
            torch = metadata.version("torch")
        except metadata.PackageNotFoundError:
            torch = "missing"
        return {
            "smoke": self.smoke,
            "emulated": is_emulated(),
            "device": cnnx.cuda.get_device_name(),
            "cnnx": f"{cnnx.__version__}, {cnnx.cuda.build_info()}, {digest(module)}",
            "torch": torch,
            "python": platform.python_version(),
        }


def is_emulated() -> bool:
    """Whether cnnx's device is the emulation."""
    import cnnx

    return "emulated" in cnnx.cuda.build_info()


def digest(*paths: Path) -> str:
    """A short hash of what the files hold."""
    found = hashlib.sha256()
    for path in paths:
        found.update(path.read_bytes())
    return found.hexdigest()[:12]


class Results:
    """The rows of each part's cases, in FOLDER/results.json, which is written after every case."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "results.json"
        self.about: Row = {}
        self.parts: dict[str, Rows] = {}
        if self.path.exists():
            stored = json.loads(self.path.read_text())
            self.about, self.parts = stored["about"], stored["parts"]

    def hold_for(self, about: Row) -> None:
        """Ends the program where the stored results are of another machine or version."""
        if self.about and self.about != about:
            sys.exit(
                f"gpu_check: {self.path} holds results of {self.about}, this is {about}: give another --out"
            )
        self.about = about

    def put(self, part: str, case: str, row: Row) -> None:
        """Stores a result and says so."""
        self.parts.setdefault(part, {})[case] = row
        unfinished = self.path.with_suffix(".unfinished")
        unfinished.write_text(json.dumps({"about": self.about, "parts": self.parts}, indent=1) + "\n")
        os.replace(unfinished, self.path)
        print(f"{part} {line_of(case, row)}", flush=True)

    def failed(self) -> list[str]:
        """The cases that failed or disagreed."""
        return [
            f"{p} {case}" for p, rows in self.parts.items() for case, row in rows.items() if has_failed(row)
        ]

    def of(self, part: str) -> Rows:
        """The part's rows."""
        return self.parts.get(part, {})

    def measured(self, part: str) -> Iterator[tuple[str, Row]]:
        """The cases of a part that have a result, good or bad."""
        return (
            (case, row) for case, row in self.of(part).items() if "error" not in row and not row.get("absent")
        )


def has_failed(row: Row) -> bool:
    """Whether a case failed or disagreed; one that was cut off has not."""
    return ("error" in row and not row.get("cut")) or row.get("passed") is False


def is_done(row: Row | None) -> bool:
    """Whether a case need not run again: what failed, was cut off or lacked something does."""
    return row is not None and "error" not in row and row.get("passed") is not False and not row.get("absent")


def line_of(case: str, row: Row) -> str:
    """What became of a case, in a line of a summary."""
    return f"{case}: {row.get('error') or row.get('says', 'done')}".replace("\n", " ")[:150]


def table(title: str, head: list[str], rows: list[list[str]]) -> list[str]:
    """The lines of a table whose first column is text."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [title] if title else []
    for row in (head, *rows):
        cells = [row[0].ljust(widths[0])] + [
            cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return lines
