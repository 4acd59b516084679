"""The training loop: a model, its optimizer and its data, and how far it is."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from typing import Any

import cnnx
from cnnx import nn
from cnnx.optim import Optimizer
from cnnx.optim.lr_scheduler import CyclicLR, LRScheduler, OneCycleLR, ReduceLROnPlateau
from cnnx.tensor import Tensor
from cnnx.training.callbacks import Callback, Checkpoint
from cnnx.training.given import on_device
from cnnx.training.history import PARTS, History
from cnnx.training.metrics import Metric

Loss = Callable[[Tensor, Tensor], Tensor]


class Means:
    """Loss and metrics, summed over samples."""

    def __init__(self) -> None:
        self.sums: dict[str, float] = {}
        self.count = 0
        self.seconds = 0.0

    def add(self, name: str, value: Any, count: int) -> None:
        """Takes in a batch's values: one for each sample, or the mean of so many."""
        if isinstance(value, Tensor) and value.ndim > 0:
            # In equal parts for each sample, should a sample have several (the positions of a segmentation).
            total = value.sum().item() * (count / value.numel())
        else:
            total = float(value) * count
        self.sums[name] = self.sums.get(name, 0.0) + total

    def values(self) -> dict[str, float]:
        """The means so far."""
        return {name: total / self.count for name, total in self.sums.items()}

    def state_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {"sums": dict(self.sums), "count": self.count, "seconds": self.seconds}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes up what `state_dict` gave."""
        self.sums, self.count, self.seconds = dict(state["sums"]), state["count"], state["seconds"]


class Trainer:
    """What `cnnx.fit` runs: use it where a training must be saved within an epoch or driven by hand.

    Parameters
    ----------
    model
        The module to train, on `device`.
    train, validation
        Iterables of batches (inputs, targets), such as a `DataLoader`; they are iterated over anew for each
        epoch. `validation` may be None.
    loss
        A function (output, target) -> scalar.
    optimizer
        Of the model's parameters.
    scheduler
        Steps after each epoch, with the validation loss if it is a `ReduceLROnPlateau`; a `OneCycleLR` or a
        `CyclicLR` steps after each batch. Default: none.
    metrics
        By name: functions (output, target) that return one value for each sample, or the batch's mean.
    callbacks
        Called in this order.
    device
        Where batches go. Default: where the model's parameters are.
    plan
        ``"static"`` or ``"matched"`` (`cnnx.compile`), None to run without a plan, or ``"auto"`` (default):
        static for a model of cnnx's own layers, which run no other Python, else matched.

    Attributes
    ----------
    epoch
        How many epochs are complete.
    epochs
        How many are meant to be.
    history
        A `History` of these.
    means
        Loss and metrics of the training pass under way.
    samples
        In a training pass, None where that is not known.
    why_stopped
        What `stop` was told, else None.
    """

    def __init__(
        self,
        model: nn.Module,
        train: Iterable[Any],
        validation: Iterable[Any] | None = None,
        *,
        loss: Loss,
        optimizer: Optimizer,
        scheduler: LRScheduler | None = None,
        metrics: Mapping[str, Metric] | None = None,
        callbacks: Sequence[Callback] = (),
        device: Any = None,
        plan: str | None = "auto",
    ) -> None:
        if plan not in ("auto", "static", "matched", None):
            raise ValueError(f"Trainer: plan must be auto, static, matched or None, got {plan!r}")
        self.model, self.train, self.validation = model, train, validation
        self.loss, self.optimizer, self.scheduler = loss, optimizer, scheduler
        self.metrics = dict(metrics or {})
        if "loss" in self.metrics:
            raise ValueError("Trainer: a metric cannot be called loss")
        # Checkpoints come last, with what the others have noted.
        self.callbacks = sorted(callbacks, key=lambda callback: isinstance(callback, Checkpoint))
        self.split: int | None = None  # the seed of what was held out, if it was here
        parameter = next(model.parameters(), None)
        self.device = cnnx.device(device) if device is not None else None
        if self.device is None and parameter is not None:
            self.device = parameter.device
        self.epoch = self.epochs = 0
        self.history = History()
        self.means = Means()
        self.why_stopped: str | None = None
        self._trained = False  # the training pass of this epoch is complete
        self._pass: Iterator[Any] | None = None  # kept by an exception: fit() goes on with it
        self._score, self._step = self._plans(plan)

    @property
    def samples(self) -> int | None:
        """In a training pass, None where that is not known."""
        for part in (getattr(self.train, "sampler", None), getattr(self.train, "dataset", None)):
            if isinstance(part, Sized):
                return len(part)
        return None

    @property
    def is_over(self) -> bool:
        """Whether there is no further epoch."""
        return self.epoch >= self.epochs or self.why_stopped is not None

    def stop(self, why: str) -> None:
        """Ends the training after this epoch."""
        self.why_stopped = why

    def fit(self, epochs: int) -> History:
        """Trains until `epochs` are complete, those before included.

        Returns
        -------
        History
            Of all epochs. The model is left in eval mode.

        Raises
        ------
        FloatingPointError
            If the loss is no finite number any more.
        """
        self.epochs = epochs
        self._call("on_fit_begin")
        while not self.is_over:
            if not self._trained:
                self._train_epoch()
            row: dict[str, float] = {"epoch": self.epoch + 1, **_named("train", self.means.values())}
            if self.validation is not None:
                row.update(_named("validation", self.evaluate(self.validation)))
            row["lr"] = float(self.optimizer.param_groups[0]["lr"])
            seconds = self.means.seconds
            row["samples_per_second"] = round(self.means.count / seconds, 1) if seconds > 0 else 0.0
            self._schedule(row)
            self.history.rows.append(row)
            self.epoch, self._trained, self.means = self.epoch + 1, False, Means()
            self._call("on_epoch_end")
        self._call("on_fit_end")
        self.model.eval()
        return self.history

    def evaluate(self, batches: Iterable[Any]) -> dict[str, float]:
        """Mean loss and metrics over batches (inputs, targets), in eval mode.

        Raises
        ------
        ValueError
            If there is no batch.
        """
        means = Means()
        self.model.eval()
        with cnnx.no_grad():
            for batch in batches:
                inputs, targets = on_device("fit", batch, self.device)
                loss, output = self._score(inputs, targets)
                self._add(means, loss, output, targets)
                self._call("on_batch_end")
        if means.count == 0:
            raise ValueError("evaluate: there are no batches")
        return means.values()

    def state_dict(self) -> dict[str, Any]:
        """All that the rest of the training depends on, also within an epoch, for `load_state_dict`.

        It holds the states of model, optimizer, scheduler, callbacks, history, random numbers and, if the
        training batches come from a `DataLoader`, its place in the pass.
        """
        generator = getattr(self.train, "generator", None)
        return {
            "epoch": self.epoch,
            "trained": self._trained,
            "stopped": self.why_stopped,
            "means": self.means.state_dict(),
            "history": [dict(row) for row in self.history],
            "random": cnnx.get_rng_state(),
            "order": None if generator is None else generator.get_state(),
            "loader": self._place(),
            "split": self.split,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": None if self.scheduler is None else self.scheduler.state_dict(),
            "callbacks": [[_class_name(c), state] for c in self.callbacks if (state := c.state_dict())],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on where `state_dict` was taken, of an equal trainer.

        Raises
        ------
        ValueError, KeyError, TypeError, RuntimeError
            If the state does not fit.
        """
        stateful = [callback for callback in self.callbacks if callback.state_dict()]
        saved, here = [name for name, _ in state["callbacks"]], [_class_name(c) for c in stateful]
        if saved != here:
            raise ValueError(f"Trainer: the state is of the callbacks {saved}, there are {here}")
        if (state["scheduler"] is None) != (self.scheduler is None):
            raise ValueError("Trainer: only one of the state and the trainer has a scheduler")
        within = state["means"]["count"] > 0 and not state["trained"]
        if within and state["loader"] is None:
            raise ValueError(
                "Trainer: the state is within an epoch, and its batches have no place to go on at"
            )
        if state["history"]:
            names = {name for name in state["history"][0] if name.partition("_")[0] in PARTS}
            if names != (wanted := self._names()):
                raise ValueError(f"Trainer: the state has {sorted(names)}, here are {sorted(wanted)}")
        self._pass = None
        self.epoch, self._trained, self.why_stopped = state["epoch"], state["trained"], state["stopped"]
        self.means.load_state_dict(state["means"])
        self.history = History(state["history"])
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scheduler is not None:
            self.scheduler.load_state_dict(state["scheduler"])
            self.optimizer._opt_called = True  # in the life before, which the schedule asks about
        for callback, (_, kept) in zip(stateful, state["callbacks"], strict=True):
            callback.load_state_dict(kept)
        if (generator := getattr(self.train, "generator", None)) is not None and state["order"] is not None:
            generator.set_state(state["order"])
        if state["loader"] is not None:
            self.train.load_state_dict(state["loader"])  # type: ignore[attr-defined]
        cnnx.set_rng_state(state["random"])

    def _names(self) -> set[str]:
        """What a row of the history holds of both parts."""
        parts = PARTS if self.validation is not None else PARTS[:1]
        return {f"{part}_{name}" for part in parts for name in ("loss", *self.metrics)}

    def _place(self) -> Any:
        """Where the loader is in its pass; None if it cannot say."""
        if not hasattr(self.train, "state_dict"):
            return None
        try:
            return self.train.state_dict()
        except NotImplementedError:  # the order is the user's own
            return None

    def _next_batch(self) -> Any:
        """The next batch of the pass under way, None at its end."""
        if self._pass is None:
            self._pass = iter(self.train)
        try:
            return next(self._pass, None)
        except BaseException:  # which has ended the pass: the epoch begins anew
            self._pass, self.means = None, Means()
            raise

    def _train_epoch(self) -> None:
        self.model.train()
        self._call("on_epoch_begin")
        by_batch = isinstance(self.scheduler, OneCycleLR | CyclicLR)
        started = time.perf_counter() - self.means.seconds
        while (batch := self._next_batch()) is not None:
            inputs, targets = on_device("fit", batch, self.device)
            loss, output = self._step(inputs, targets)
            self._add(self.means, loss, output, targets)
            if not math.isfinite(self.means.sums["loss"]):
                self._pass, self.means = None, Means()
                raise FloatingPointError(
                    f"fit: the loss became {loss.item()} in epoch {self.epoch + 1}; "
                    "a smaller learning rate may help"
                )
            if by_batch and self.scheduler is not None:
                self.scheduler.step()
            self.means.seconds = time.perf_counter() - started
            self._call("on_batch_end")
        self._pass = None
        if self.means.count == 0:
            raise ValueError("fit: there are no batches to train on")
        self._trained = True

    def _schedule(self, row: dict[str, float]) -> None:
        if isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.step(row.get("validation_loss", row["train_loss"]))
        elif self.scheduler is not None and not isinstance(self.scheduler, OneCycleLR | CyclicLR):
            self.scheduler.step()

    def _plans(self, plan: str | None) -> tuple[Any, Any]:
        """Loss and outputs of a batch, without and with an update."""
        model, optimizer, loss_of = self.model, self.optimizer, self.loss

        def score(inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
            output = model(inputs)
            return loss_of(output, targets), output

        def step(inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
            optimizer.zero_grad()
            loss, output = score(inputs, targets)
            loss.backward()
            optimizer.step()
            return loss, output

        if plan is None:
            return score, step
        static = plan == "static" or (plan == "auto" and is_own(model) and is_own(loss_of))
        return cnnx.compile(score, static=static), cnnx.compile(step, static=static)

    def _add(self, means: Means, loss: Tensor, output: Tensor, targets: Tensor) -> None:
        count = len(targets)
        means.add("loss", loss.item(), count)
        for name, metric in self.metrics.items():
            means.add(name, metric(output.detach(), targets), count)
        means.count += count

    def _call(self, name: str) -> None:
        for callback in self.callbacks:
            getattr(callback, name)(self)


def is_own(function: Any) -> bool:
    """Whether a module with all below, or a function, is cnnx's: calling it runs no other Python."""
    if isinstance(function, nn.Module):
        return all(
            getattr(nn, type(module).__name__, None) is type(module) and "forward" not in vars(module)
            for module in function.modules()
        )
    return str(getattr(function, "__module__", "")).startswith("cnnx.")


def _class_name(callback: Callback) -> str:
    return type(callback).__name__


def _named(part: str, values: dict[str, float]) -> dict[str, float]:
    return {f"{part}_{name}": value for name, value in values.items()}
