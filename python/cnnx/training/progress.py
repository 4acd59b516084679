"""What a training says as it goes: a line for each epoch and, on a terminal, a bar within it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cnnx.training.callbacks import Callback

if TYPE_CHECKING:
    from cnnx.training.trainer import Trainer


WORDS = {"train": "", "validation": "val "}  # few: a line has 80 columns


class Progress(Callback):
    """Says a line after each epoch; within it tqdm, where it is installed, draws a bar on a terminal.

    Parameters
    ----------
    say
        Gets the line. Default: `print`.
    every
        After how many epochs there is a line, the last one included always. Default: 1.
    bar
        Whether there is a bar within an epoch. Default: True.
    later
        Epochs that follow when this training is over, for the time that is left. Default: 0.
    """

    def __init__(
        self, say: Callable[[str], None] = print, *, every: int = 1, bar: bool = True, later: int = 0
    ) -> None:
        self._say, self._every, self._with_bar, self._later = say, every, bar, later
        self._bar: Bar | None = None
        self._began = 0.0
        self._first = 0

    def on_fit_begin(self, trainer: Trainer) -> None:
        """Looks at the clock."""
        self._began, self._first = time.perf_counter(), trainer.epoch

    def on_epoch_begin(self, trainer: Trainer) -> None:
        """Begins a bar."""
        if not self._with_bar:
            return
        self._bar = Bar(f"epoch {trainer.epoch + 1}/{trainer.epochs}", trainer.samples, trainer.means.count)

    def on_batch_end(self, trainer: Trainer) -> None:
        """Moves the bar."""
        if self._bar is not None and trainer.model.training:
            self._bar.move_to(trainer.means.count, trainer.means.values()["loss"])

    def on_epoch_end(self, trainer: Trainer) -> None:
        """Says the epoch's line."""
        self.close()
        if not (trainer.is_over or trainer.epoch % self._every == 0 or trainer.epoch == 1):
            return
        row = trainer.history.rows[-1]
        parts = []
        for part, word in WORDS.items():
            found = [
                f"{name.removeprefix(part + '_').replace('_', ' ')} {value:.4f}"
                for name, value in row.items()
                if name.startswith(part + "_")
            ]
            if found:
                parts.append(word + " ".join(found).replace("accuracy", "acc"))
        epochs = self._later + (0 if trainer.is_over else trainer.epochs - trainer.epoch)
        if epochs:
            spent = time.perf_counter() - self._began
            parts.append(f"{duration(spent / (trainer.epoch - self._first) * epochs)} left")
        self._say("  ".join([f"epoch {trainer.epoch}/{trainer.epochs}", *parts]))
        if trainer.why_stopped and trainer.is_over:
            self._say(f"stopped: {trainer.why_stopped}")

    def close(self) -> None:
        """Takes the bar away, as after an error."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class Bar:
    """A bar of samples with the running loss; without tqdm or a terminal nothing is drawn."""

    def __init__(self, label: str, total: int | None, done: int) -> None:
        self._bar: Any = None
        try:
            from tqdm import tqdm
        except ImportError:
            return
        self._bar = tqdm(
            desc=label,
            total=total,
            initial=done,
            unit="img",
            unit_scale=True,
            leave=False,
            disable=None,
            dynamic_ncols=True,
        )

    def move_to(self, done: int, loss: float) -> None:
        """Moves on to a number of samples."""
        if self._bar is not None and not self._bar.disable:
            try:
                self._bar.set_postfix_str(f"loss {loss:.4f}", refresh=False)
                self._bar.update(done - self._bar.n)
            except OSError:  # the terminal has gone, which must not cost what has been trained
                self._bar.disable = True

    def close(self) -> None:
        """Takes the bar away."""
        if self._bar is not None:
            self._bar.close()


def duration(seconds: float) -> str:
    """A time as a person says it.

    Examples
    --------
    >>> [duration(s) for s in (0.4, 75, 4000)]
    ['0:00', '1:15', '1:06:40']
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
