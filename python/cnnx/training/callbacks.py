"""What is called while a training runs."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

from cnnx.training.history import is_lower_better

if TYPE_CHECKING:
    from cnnx.training.trainer import Trainer


class Callback:
    """The base of what is called while a training runs: override what is of interest.

    Each method gets the `Trainer`: its ``model``, ``optimizer``, ``history``, ``epoch`` (complete ones) and
    ``means`` (of the pass under way) may be read, and ``trainer.stop(why)`` ends the training after the
    epoch.

    Examples
    --------
    >>> class Dots(Callback):
    ...     def on_epoch_end(self, trainer):
    ...         print(".", end="")
    """

    def on_fit_begin(self, trainer: Trainer) -> None:
        """Before the first epoch, and before the next one of a training that goes on."""

    def on_epoch_begin(self, trainer: Trainer) -> None:
        """Before an epoch's first batch."""

    def on_batch_end(self, trainer: Trainer) -> None:
        """After each batch, of training and of validation (``trainer.model.training`` tells them apart)."""

    def on_epoch_end(self, trainer: Trainer) -> None:
        """After validation; the epoch's row is the last of ``trainer.history``."""

    def on_fit_end(self, trainer: Trainer) -> None:
        """After the last epoch, but not after an error."""

    def state_dict(self) -> dict[str, Any]:
        """What a training that goes on needs of this callback. Default: nothing."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes up what `state_dict` gave."""


class BestWeights(Callback):
    """Keeps the weights of the best epoch, and gives them to the model at the end.

    Parameters
    ----------
    monitor
        A name in a row of the history; less is better of a loss or an error, more of anything else. Of equal
        epochs the first one is kept. Default: ``"validation_loss"``, or ``"train_loss"`` without validation.

    Attributes
    ----------
    best
        The best value, None before the first epoch.
    best_epoch
        Its epoch, from 1.
    """

    def __init__(self, monitor: str | None = None) -> None:
        self.monitor = monitor
        self.best: float | None = None
        self.best_epoch = 0
        self.weights: dict[str, Any] = {}

    def on_epoch_end(self, trainer: Trainer) -> None:
        """Keeps the weights if the epoch is the best one so far."""
        row = trainer.history.rows[-1]
        value = row[self.name(trainer)]
        if self.is_better(value, self.best):
            self.best, self.best_epoch = value, int(row["epoch"])
            self.weights = {name: t.detach().clone() for name, t in trainer.model.state_dict().items()}

    def on_fit_end(self, trainer: Trainer) -> None:
        """Gives the model the weights that were kept."""
        if self.weights:
            trainer.model.load_state_dict(self.weights)

    def name(self, trainer: Trainer) -> str:
        """What is watched.

        Raises
        ------
        ValueError
            If the history has no such name.
        """
        names = trainer.history.names
        if self.monitor is None:
            return "validation_loss" if "validation_loss" in names else "train_loss"
        if self.monitor not in names:
            raise ValueError(
                f"{type(self).__name__}: there is no {self.monitor!r}, there are {', '.join(names)}"
            )
        return self.monitor

    def is_better(self, value: float, best: float | None, margin: float = 0.0) -> bool:
        """Whether a value is better than the best one before, if any, by more than a margin."""
        if best is None:
            return not math.isnan(value)
        lower = is_lower_better(self.monitor or "loss")
        return value < best - margin if lower else value > best + margin

    def state_dict(self) -> dict[str, Any]:
        """The best value, its epoch and its weights."""
        return {"best": self.best, "best_epoch": self.best_epoch, "weights": self.weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes up what `state_dict` gave."""
        self.best, self.best_epoch, self.weights = state["best"], state["best_epoch"], state["weights"]


class EarlyStopping(BestWeights):
    """Ends a training that gets no better, and gives the model the weights of its best epoch.

    Parameters
    ----------
    patience
        After how many epochs without a better one. Default: 5.
    monitor
        As of `BestWeights`: without validation it is the training loss.
    min_delta
        By how much an epoch must be better than the one from which it is waited. Default: 0.

    Raises
    ------
    ValueError
        If `patience` is no positive whole number or `min_delta` is negative.
    """

    def __init__(self, patience: int = 5, monitor: str | None = None, *, min_delta: float = 0.0) -> None:
        super().__init__(monitor)
        if isinstance(patience, bool) or not isinstance(patience, int) or patience < 1:
            raise ValueError(f"EarlyStopping: patience must be a positive whole number, got {patience!r}")
        if not min_delta >= 0:
            raise ValueError(f"EarlyStopping: min_delta must not be negative, got {min_delta!r}")
        self.patience, self.min_delta = patience, min_delta
        self.waited = 0
        self.reference: float | None = None  # what an epoch must be better than by min_delta

    def on_epoch_end(self, trainer: Trainer) -> None:
        """Keeps weights, and stops when the patience is at its end."""
        value = trainer.history.rows[-1][self.name(trainer)]
        self.waited += 1
        if self.is_better(value, self.reference, self.min_delta):
            self.waited, self.reference = 0, value
        super().on_epoch_end(trainer)
        if self.waited >= self.patience:
            trainer.stop(f"no better {self.name(trainer).replace('_', ' ')} for {self.waited} epochs")

    def state_dict(self) -> dict[str, Any]:
        """What `BestWeights` has, and for how long it has waited."""
        return {**super().state_dict(), "waited": self.waited, "reference": self.reference}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes up what `state_dict` gave."""
        super().load_state_dict(state)
        self.waited, self.reference = state["waited"], state["reference"]


class Checkpoint(Callback):
    """Writes all that the rest of a training depends on to a file after each epoch.

    Parameters
    ----------
    path
        The file; it is replaced in one step. `cnnx.load` reads it, ``cnnx.fit(…, resume=path)`` goes on.
    every
        After how many epochs. Default: each one. The last epoch is written always.
    """

    def __init__(self, path: str | os.PathLike[str], every: int = 1) -> None:
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            raise ValueError(f"Checkpoint: every must be a positive whole number, got {every!r}")
        self.path, self.every = path, every

    def on_epoch_end(self, trainer: Trainer) -> None:
        """Writes the file."""
        if trainer.epoch % self.every == 0 or trainer.is_over:
            from cnnx.serialization import save

            save(trainer.state_dict(), self.path)
