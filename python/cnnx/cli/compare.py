"""`cnnx compare` and `cnnx info RUN`: what runs are, and which is better."""

from __future__ import annotations

import argparse
import csv
import math
import textwrap
from pathlib import Path
from typing import Any

from cnnx import plot
from cnnx.cli import CommandError, UsageError, as_path
from cnnx.cli.figures import Figures
from cnnx.cli.run_folder import RunFolder
from cnnx.cli.run_schema import count_saved, read_about
from cnnx.cli.terminal import complain, say, say_lines
from cnnx.files import as_json, write_file
from cnnx.reading import reading
from cnnx.text import printable

COLUMNS = ("run", "model", "data", "epochs", "values", "validation", "test")
SHOWN = ("optimizer", "lr", "schedule", "batch_size", "augment", "validations", "patience", "seed")
WRAPPER = textwrap.TextWrapper(80 - 14, break_long_words=False, break_on_hyphens=False)
CURVES = ("validation_loss", "validation_accuracy")
LONGEST = 1 << 24  # bytes of history.csv

History = dict[str, list[float]]


def is_run(option: str) -> bool:
    """Whether a folder is one of a run."""
    return RunFolder(as_path(option)).about.exists()


def no_run(option: str) -> str:
    """Why it is none."""
    about = RunFolder(as_path(option)).about
    return f"{option} is no run folder of cnnx train: there is no {about}"


class Seen:
    """A run as its folder tells it, whether it is complete or not."""

    def __init__(self, option: str) -> None:
        run = RunFolder(as_path(option))
        if not is_run(option):
            raise UsageError(no_run(option))
        try:
            self.about = read_about(run.about)
            self.trainings = read_trainings(run.history)
            self.parameters = count_saved(self.about, run.model)
        except (OSError, ValueError) as error:
            raise CommandError(f"{option} cannot be read as a run: {error}") from error
        self.name = str(Path(option))

    @property
    def epochs(self) -> int:
        """Those of the last training, whose net is kept."""
        return len(self.trainings[-1].get("epoch", []))

    def validated(self, name: str) -> list[float]:
        """A validation curve; of several trainings their mean, for as long as all go on."""
        found = [training[name] for training in self.trainings if training.get(name)]
        return [sum(values) / len(found) for values in zip(*found, strict=False)]

    def test(self) -> float | None:
        """The accuracy on the test images; None before the end."""
        return _number(self.about.get("test"), "accuracy")

    def row(self) -> dict[str, Any]:
        """What the table shows."""
        validated, test = self.about.get("validation"), self.about.get("test")
        found = _number(validated, "accuracy")
        best = max(filter(math.isfinite, self.validated("validation_accuracy")), default=None)
        return {
            "run": self.name,
            "model": self.about["model"],
            "data": Path(self.about["dataset"]).name,
            "epochs": self.epochs,
            "values": self.parameters,
            "validation": best if found is None else found,
            "validation_error": None if found is None else _number(validated, "error"),
            "test": self.test(),
            "test_error": _number(test, "error"),
        }


def read_trainings(path: Path) -> list[History]:
    """The columns of history.csv, without empty cells, for each training in it.

    Raises
    ------
    ValueError
        If it is no table of numbers.
    """
    if not path.exists():
        return [{}]
    if path.stat().st_size > LONGEST:
        raise ValueError(f"{path}: is larger than {LONGEST:,} bytes")
    with reading("", path, "a table"), open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    trainings: dict[str, History] = {}
    for row in rows:
        columns = trainings.setdefault(str(row.get("training")), {})
        for name, text in row.items():
            if not isinstance(name, str) or not isinstance(text, str):
                raise ValueError(f"{path}: a line has not as many cells as the first")
            try:
                number = float(text) if text else None
            except ValueError as error:
                raise ValueError(f"{path}: {name} is {text[:40]!r}, no number") from error
            columns.setdefault(name, []).extend([] if number is None else [number])
    return list(trainings.values()) or [{}]


def compare(options: argparse.Namespace) -> int:
    """The command `cnnx compare`; returns the exit code."""
    paths = list(dict.fromkeys(options.runs))
    others = [path for path in paths if not is_run(path)]  # runs/* may hold more than runs
    if len(others) == len(paths):
        raise UsageError(no_run(paths[0]))
    for path in others:
        complain(f"cnnx compare: {no_run(path)}")
    runs = [Seen(path) for path in paths if path not in others]
    rows = [run.row() for run in runs]
    say_lines(_table(rows))
    of_data: dict[str, list[Seen]] = {}  # what other images measure is not compared
    for run in runs:
        if run.test() is not None:
            of_data.setdefault(run.about["dataset"], []).append(run)
    for dataset, done in of_data.items():
        if len(done) > 1:
            best = max(done, key=lambda run: run.test() or 0.0)
            where = (
                "the test images" if len(of_data) == 1 else f"{printable(Path(dataset).name)}'s test images"
            )
            say(f"best on {where}: {best.name}")
    if options.json:
        both = zip(rows, runs, strict=True)
        write_file(as_path(options.json), as_json([{**row, "settings": run.about} for row, run in both]))
    figures = Figures(links=True)
    if options.chart:
        panels: dict[str, dict[str, list[float]]] = {}
        for name in CURVES:
            found = {run.name: curve for run in runs if (curve := run.validated(name))}
            if found:
                panels[name.replace("_", " ")] = found
        figures.draw("chart", as_path(options.chart), plot.curves, panels)
    return int(figures.failed or bool(others))


def describe(option: str) -> None:
    """Says what a run is."""
    run = Seen(option)
    about, row = run.about, run.row()
    epochs = f"{row['epochs']} of {about.get('epochs', '?')}"
    facts = {
        "run": run.name,
        "model": f"{row['model']}, {row['values']:,} values",
        "data": about["dataset"],
        "images": "x".join(map(str, about["shape"])),
        "classes": ", ".join(about["classes"]),
        "epochs": epochs + ("" if run.test() is not None else " (not complete: --resume goes on)"),
        "settings": ", ".join(f"{name.replace('_', '-')} {about[name]}" for name in SHOWN if name in about),
        **{name: _percent(row, name) for name in ("validation", "test")},
    }
    for name, text in facts.items():
        lines = WRAPPER.wrap(printable(text))
        for head, line in zip([f"{name}:", *[""] * len(lines)], lines, strict=False):
            say(f"{head:<13} {line}")


def _number(found: Any, name: str) -> float | None:
    value = found.get(name) if isinstance(found, dict) else None
    return value if type(value) is float and math.isfinite(value) else None


def _percent(row: dict[str, Any], name: str) -> str:
    """An accuracy of a row, with its error where that is known."""
    value, error = row[name], row[f"{name}_error"]
    if value is None:
        return "-"
    return f"{100 * value:.2f} %" if error is None else f"{100 * value:.2f} ± {100 * error:.2f} %"


def _table(rows: list[dict[str, Any]]) -> str:
    def cell(row: dict[str, Any], name: str) -> str:
        if name in ("validation", "test"):
            return _percent(row, name)
        value = row[name]
        return f"{value:,}" if isinstance(value, int) else printable(str(value))

    cells = [COLUMNS, *(tuple(cell(row, name) for name in COLUMNS) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for line in cells:
        left = [text.ljust(width) for text, width in zip(line[:3], widths[:3], strict=True)]
        right = [text.rjust(width) for text, width in zip(line[3:], widths[3:], strict=True)]
        lines.append("  ".join([*left, *right]))
    return "\n".join(lines)
