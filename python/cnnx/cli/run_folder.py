"""The folder of a run: what it is, weights, checkpoint, history and curves."""

from __future__ import annotations

import csv
import io
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import cnnx
from cnnx import plot
from cnnx.cli import CommandError, UsageError, as_path
from cnnx.cli.figures import Figures
from cnnx.cli.lock import Lock
from cnnx.cli.own_model import OwnModel, allowed, is_own
from cnnx.cli.run_schema import check_checkpoint, check_settings
from cnnx.files import as_json, write_file
from cnnx.training.history import Row, remark

CHECKPOINT_VERSION = 3
TEMPORARY = re.compile(r"(\.\d+)+\.tmp$")  # what files that are being written have behind their name


class RunFolder:
    """Where a run keeps its files.

    The checkpoint is the run: an epoch has happened once it is there. The program of the user's own net comes
    before it. All other files follow from it, are written after it, and are written again by `--resume` where
    they do not fit it. Each file is replaced in one step, so an error leaves the one before.

    Parameters
    ----------
    path
        The folder.
    made
        Whether it has just been made.
    """

    def __init__(self, path: Path, made: bool = False) -> None:
        self.path, self.made = path, made
        self.model = path / "model.safetensors"
        self.checkpoint = path / "checkpoint.safetensors"
        self.history = path / "history.csv"
        self.curves = path / "curves.png"
        self.about = path / "run.json"
        self.program = path / "model.py"  # of a net of the user's own

    @classmethod
    def create(cls, option: str | None, model: str, dataset: str) -> RunFolder:
        """The folder of a new run; a new name in `runs/` if the option gives none."""
        try:
            if option is not None:
                path = as_path(option)
                made = not path.exists()
                path.mkdir(parents=True, exist_ok=True)
                return cls(path, made)
            stem = Path("runs") / f"{model.rpartition(':')[2]}-{dataset}-{time.strftime('%Y%m%d-%H%M%S')}"
            stem.parent.mkdir(exist_ok=True)
            path, count = stem, 1
            while not _made(path):
                count += 1
                path = stem.with_name(f"{stem.name}-{count}")
        except OSError as error:
            raise CommandError(f"cannot make the run folder: {error}") from error
        return cls(path, made=True)

    def drop(self) -> None:
        """Takes the folder away again if it has been made for a run that has saved nothing."""
        if self.made:
            with suppress(OSError):  # there is something in it
                self.path.rmdir()

    @classmethod
    def existing(cls, option: str) -> RunFolder:
        """The folder of a run to go on with."""
        run = cls(as_path(option))
        if not run.checkpoint.exists():
            raise UsageError(f"--resume {option}: there is no {run.checkpoint}")
        return run

    @contextmanager
    def locked(self, new: bool, program: str | None = None) -> Iterator[None]:
        """Keeps other trainings out, and clears away what one that was ended had begun to write.

        Parameters
        ----------
        new
            Whether the run begins: then the folder must hold none yet, nor any of its files.
        program
            That of the new run's net, if it has one: the folder may hold it, and no other.

        Raises
        ------
        UsageError
            If it does.
        CommandError
            If another process trains in it, or one of its files is a link.
        """
        lock = Lock(self.path)
        try:
            if new and self.checkpoint.exists():
                raise UsageError(
                    f"--out {self.path} holds a run already; --resume {self.path} goes on with it"
                )
            files = (self.checkpoint, self.about, self.model, self.history, self.curves)
            kept = {} if program is None else {self.program: program.encode()}
            for path in (*files, *kept):
                refuse_link(path)
                if new and path.exists() and not (path in kept and holds(path, kept[path])):
                    raise UsageError(f"--out {self.path}: {path} is there already and would be lost")
            names = {path.name for path in (*files, self.program)}
            for path in self.path.glob("*.tmp"):
                if TEMPORARY.sub("", path.name) in names:
                    path.unlink()
            yield
        finally:
            lock.release()

    def load(self, trust: bool, given: OwnModel | None) -> tuple[dict[str, Any], OwnModel | None]:
        """The checkpoint, and the program that makes its net, if one does and may be run (`allowed`)."""
        try:
            state = cnnx.load(self.checkpoint)
        except (OSError, ValueError) as error:
            raise CommandError(str(error)) from error
        if (
            not isinstance(state, dict)
            or type(state.get("version")) is not int
            or state["version"] != CHECKPOINT_VERSION
            or "settings" not in state
        ):
            raise CommandError(f"{self.checkpoint} is no checkpoint of this version of cnnx train")
        try:
            check_settings(self.checkpoint, state)
            own, model = None, state["settings"]["model"]
            if is_own(model):
                own = allowed(self.program, model, trust, given, state["program"])
            check_checkpoint(self.checkpoint, state, own)
        except ValueError as error:
            raise CommandError(str(error)) from error
        return state, own

    def keep(self, program: str) -> None:
        """Writes the program of the net, which the checkpoint needs and so comes before it."""
        refuse_link(self.program)
        with saving():
            replace(self.program, program.encode())

    def commit(self, state: dict[str, Any]) -> None:
        """Writes the checkpoint, in one step."""
        with saving():
            cnnx.save(state, self.checkpoint)

    def derive(
        self,
        about: dict[str, Any],
        model_state: dict[str, Any],
        history: Sequence[Row],
    ) -> None:
        """Brings what the run is, its weights and history in line with the checkpoint."""
        weights, rows = io.BytesIO(), io.StringIO(newline="")
        cnnx.save(model_state, weights)
        names = list(dict.fromkeys(name for row in history for name in row))
        writer = csv.DictWriter(rows, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(history)
        with saving():
            replace(self.about, as_json(about))
            replace(self.model, weights.getvalue())
            replace(self.history, rows.getvalue().encode())

    def draw(self, panels: dict[str, dict[str, list[float]]], figures: Figures) -> None:
        """Draws the curves."""
        figures.draw("curves", self.curves, plot.curves, panels, title=self.path.name, note=remark(panels))


def _made(path: Path) -> bool:
    """Makes a folder; False if something has this name already."""
    try:
        path.mkdir()
    except FileExistsError:
        return False
    return True


def refuse_link(path: Path) -> None:
    """Raises CommandError for a link: in a folder that came from elsewhere it may lead to anything."""
    if path.is_symlink():
        raise CommandError(f"{path} is a link, and what it leads to would be lost")


@contextmanager
def saving() -> Iterator[None]:
    """Turns an error of the file system into one that says what is left."""
    try:
        yield
    except OSError as error:
        raise CommandError(
            f"the run could not be saved, what was saved before is still there: {error}"
        ) from error


def replace(path: Path, data: bytes) -> None:
    """Writes a file unless it has this content already."""
    if not holds(path, data):
        write_file(path, data)


def holds(path: Path, data: bytes) -> bool:
    """Whether a file is there and has this content."""
    return path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data
