"""The history for TensorBoard, through the package tensorboardX."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cnnx.cli import CommandError
from cnnx.cli.run_folder import Epoch


class Board:
    """Writes the scalars of history.csv to a folder of event files.

    Parameters
    ----------
    folder
        Where to.
    history
        The epochs that are there already, when a run goes on: written again, for the folder may lack them.
    """

    def __init__(self, folder: Path, history: Sequence[Epoch]) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError as error:
            raise CommandError(
                "--tensorboard needs tensorboardX (pip install 'cnnx[tensorboard]')"
            ) from error
        self._writer: Any = SummaryWriter(str(folder), purge_step=0 if history else None)
        for row in history:
            self.add(row)

    def add(self, row: Epoch) -> None:
        """Writes one epoch."""
        for name, value in zip(row._fields[1:], row[1:], strict=True):
            part, _, quantity = name.rpartition("_")
            # Panels by quantity, with train and validation side by side.
            tag = name if part.startswith("images") else f"{quantity}/{part}"
            self._writer.add_scalar(tag, value, row.epoch)
        self._writer.flush()

    def close(self) -> None:
        """Ends the file."""
        self._writer.close()
