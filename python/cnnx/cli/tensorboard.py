"""The history for TensorBoard, through the package tensorboardX."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from cnnx.cli import CommandError
from cnnx.cli.terminal import say
from cnnx.training import Callback, Trainer
from cnnx.training.history import PARTS, Row


class Board(Callback):
    """Writes the scalars of history.csv to a folder of event files.

    Parameters
    ----------
    folder
        Where to.
    new
        Whether the run begins; one that goes on is written again from its first epoch.
    """

    def __init__(self, folder: Path, new: bool) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError as error:
            raise CommandError(
                "--tensorboard needs tensorboardX (pip install 'cnnx[tensorboard]')"
            ) from error
        self._writer: Any = SummaryWriter(str(folder), purge_step=None if new else 0)
        self._rows: Callable[[], list[Row]] = list
        say(f"TensorBoard: tensorboard --logdir {folder}")

    def follow(self, rows: Callable[[], list[Row]]) -> None:
        """Takes what gives the history, and writes what is in it."""
        self._rows = rows
        for row in rows():
            self.add(row)

    def add(self, row: Row) -> None:
        """Writes one epoch; of several trainings each has its own panels."""
        training = f"training {row['training']} " if "training" in row else ""
        for name, value in row.items():
            if name in ("epoch", "training"):
                continue
            part, _, quantity = name.partition("_")
            # Panels by quantity, with train and validation side by side.
            tag = f"{quantity}/{part}" if part in PARTS else name
            self._writer.add_scalar(training + tag, value, row["epoch"])
        self._writer.flush()

    def on_epoch_end(self, trainer: Trainer) -> None:
        """Writes the epoch that has ended."""
        self.add(self._rows()[-1])

    def close(self) -> None:
        """Ends the file."""
        self._writer.close()
