"""The history for TensorBoard, through the package tensorboardX."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cnnx.cli import CommandError
from cnnx.training import Callback, Trainer
from cnnx.training.history import PARTS, Row


class Board(Callback):
    """Writes the scalars of history.csv to a folder of event files.

    Parameters
    ----------
    folder
        Where to.
    history
        The epochs that are there already, when a run goes on: written again, for the folder may lack them.
    """

    def __init__(self, folder: Path, history: Sequence[Row]) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError as error:
            raise CommandError(
                "--tensorboard needs tensorboardX (pip install 'cnnx[tensorboard]')"
            ) from error
        self._writer: Any = SummaryWriter(str(folder), purge_step=0 if history else None)
        for row in history:
            self.add(row)

    def add(self, row: Row) -> None:
        """Writes one epoch."""
        for name, value in row.items():
            if name == "epoch":
                continue
            part, _, quantity = name.partition("_")
            # Panels by quantity, with train and validation side by side.
            tag = f"{quantity}/{part}" if part in PARTS else name
            self._writer.add_scalar(tag, value, row["epoch"])
        self._writer.flush()

    def on_epoch_end(self, trainer: Trainer) -> None:
        """Writes the epoch that has ended."""
        self.add(trainer.history.rows[-1])

    def close(self) -> None:
        """Ends the file."""
        self._writer.close()
