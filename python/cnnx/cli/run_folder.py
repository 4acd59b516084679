"""The folder of a run: what it is, weights, checkpoint, history and curves."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cnnx
from cnnx.cli import CommandError, UsageError
from cnnx.cli.run_schema import check_checkpoint
from cnnx.files import write_file

CHECKPOINT_VERSION = 2


class Epoch(NamedTuple):
    """One line of history.csv."""

    epoch: int
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    images_per_second: float


class RunFolder:
    """Where a run keeps its files. Each is replaced in one step, so an error leaves the one before.

    Parameters
    ----------
    path
        The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.model = path / "model.safetensors"
        self.checkpoint = path / "checkpoint.safetensors"
        self.history = path / "history.csv"
        self.curves = path / "curves.png"
        self.about = path / "run.json"

    @classmethod
    def create(cls, option: str | None, model: str, dataset: str) -> RunFolder:
        """The folder of a new run; refuses one that holds a run already."""
        if option is not None:
            run = cls(Path(option).expanduser())
        else:
            stem = Path("runs") / f"{model}-{dataset}-{time.strftime('%Y%m%d-%H%M%S')}"
            path, count = stem, 1
            while path.exists():
                count += 1
                path = stem.with_name(f"{stem.name}-{count}")
            run = cls(path)
        if run.checkpoint.exists():
            raise UsageError(f"--out {run.path} holds a run already; --resume {run.path} goes on with it")
        try:
            run.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CommandError(f"cannot make the run folder: {error}") from error
        return run

    @classmethod
    def open(cls, option: str) -> tuple[RunFolder, dict[str, Any]]:
        """An existing run's folder and its checkpoint."""
        run = cls(Path(option).expanduser())
        if not run.checkpoint.exists():
            raise UsageError(f"--resume {option}: there is no {run.checkpoint}")
        try:
            state = cnnx.load(run.checkpoint)
        except (OSError, ValueError) as error:
            raise CommandError(str(error)) from error
        if (
            not isinstance(state, dict)
            or type(state.get("version")) is not int
            or state["version"] != CHECKPOINT_VERSION
            or "settings" not in state
        ):
            raise CommandError(f"{run.checkpoint} is no checkpoint of this version of cnnx train")
        try:
            check_checkpoint(run.checkpoint, state)
        except ValueError as error:
            raise CommandError(str(error)) from error
        return run, state

    def save(
        self,
        about: dict[str, Any],
        model_state: dict[str, Any],
        state: dict[str, Any],
        history: Sequence[Epoch],
    ) -> None:
        """Writes what the run is, weights, checkpoint and history."""
        try:
            write_file(self.about, (json.dumps(about, indent=1, ensure_ascii=False) + "\n").encode())
            cnnx.save(state, self.checkpoint)
            cnnx.save(model_state, self.model)
            text = io.StringIO(newline="")
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(Epoch._fields)
            writer.writerows(history)
            write_file(self.history, text.getvalue().encode())
        except OSError as error:
            raise CommandError(
                f"the run could not be saved, what was saved before is still there: {error}"
            ) from error

    def draw(self, history: Sequence[Epoch]) -> str:
        """Draws the curves; returns a line that says where they are, or why not."""
        if not history:
            return f"{self.curves}: not drawn, no epoch is complete"
        from cnnx import plot

        parts = ("train", "validation")
        panels = {
            what: {part: [getattr(row, f"{part}_{what}") for row in history] for part in parts}
            for what in ("loss", "accuracy")
        }
        try:
            plot.curves(panels, self.curves, title=self.path.name)
        except ImportError as error:
            return f"{self.curves}: not drawn: {error}"
        except OSError as error:
            raise CommandError(f"the curves could not be saved: {error}") from error
        return f"curves: {self.curves}"


def read_history(rows: Sequence[Sequence[Any]]) -> list[Epoch]:
    """The history from a checkpoint's plain rows."""
    return [Epoch(*row) for row in rows]
