"""`cnnx.fit`: a model trained in one call."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

import cnnx
from cnnx import nn
from cnnx.optim import Optimizer
from cnnx.optim.lr_scheduler import LRScheduler
from cnnx.training.callbacks import Callback, Checkpoint, EarlyStopping
from cnnx.training.given import (
    EVALUATION_BATCH,
    as_data_set,
    as_loader,
    as_optimizer,
    check_arguments,
    check_maker,
    check_own,
    hold_classes,
    is_data_set,
    loss_for,
)
from cnnx.training.history import History
from cnnx.training.metrics import Metric, accuracy
from cnnx.training.progress import Progress
from cnnx.training.split import held_out, targets_of
from cnnx.training.trainer import Loss, Trainer
from cnnx.utils.data import Subset


def fit(
    model: nn.Module,
    data: Any,
    *,
    validation: Any = None,
    epochs: int = 10,
    batch_size: int | None = None,
    loss: Loss | None = None,
    optimizer: Optimizer | Callable[..., Optimizer] | None = None,
    lr: float | None = None,
    scheduler: LRScheduler | Callable[[Optimizer], LRScheduler] | None = None,
    metrics: Sequence[Metric] | Mapping[str, Metric] | None = None,
    callbacks: Sequence[Callback] = (),
    early_stopping: int | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    resume: str | os.PathLike[str] | None = None,
    device: Any = None,
    seed: int | None = None,
    plan: str | None = "auto",
    verbose: bool = True,
) -> History:
    """Trains a model, and returns what happened.

    Each epoch is a pass over the training data in batches, with an update for each, and one over the
    validation data. Steps run as plans (`cnnx.compile`), with the same bits as without.

    Parameters
    ----------
    model
        Takes a batch of inputs and returns outputs. It is moved to `device`, trained in place and left in
        eval mode.
    data
        A pair (inputs, targets) of tensors or arrays, a data set of such pairs, a `DataLoader`, or anything
        that gives batches (inputs, targets) each time it is iterated over. Floats of arrays become float32,
        integers int64.
    validation
        The same, or a number between 0 and 1: the share of `data` (a pair or a data set) to hold out, in
        equal parts of each class where the targets are classes. Default: none.
    epochs
        Passes over the data, those of a training that goes on included. Default: 10.
    batch_size
        Samples per update, where `data` is no loader. Default: 64, less (down to 8) for fewer than 1,024
        samples.
    loss
        A function or module (output, target) -> scalar. Default: `nn.CrossEntropyLoss` for integer targets;
        others need one.
    optimizer
        An optimizer of the model's parameters, or a function that makes one of them (`optim.SGD`). Default:
        `optim.Adam`.
    lr
        Learning rate, for an optimizer that is made here. Default: 0.001 for Adam, else the function's.
    scheduler
        A schedule of the optimizer, or a function that makes one of it. It steps after each epoch, a
        `OneCycleLR` or `CyclicLR` after each batch; `ReduceLROnPlateau` gets the validation loss.
    metrics
        Functions (output, target) that return a value for each sample or the batch's mean, named by
        ``__name__`` or by a dict. Default: `accuracy` for integer targets, else none.
    callbacks
        `Callback` objects.
    early_stopping
        Patience in epochs: a short form of the callback `EarlyStopping`, which also gives the model its best
        weights. Default: train to the end.
    checkpoint
        A file for the state after each epoch: a short form of the callback `Checkpoint`.
    resume
        A file from `checkpoint` to go on from, to the same bits.
    device
        Default: where the model is.
    seed
        Of the random numbers drawn from here on: split, order, dropout, augmentation. Default: go on with
        those of the process.
    plan
        ``"auto"``, ``"static"``, ``"matched"`` or None: see `Trainer`.
    verbose
        Print a line for each epoch. Default: True.

    Returns
    -------
    History
        Losses, metrics, learning rate and pace of each epoch.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit.
    FloatingPointError
        If the loss is no finite number any more.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import datasets, nn
    >>> digits = datasets.Digits(train=True)
    >>> x, y = digits.data[:600] / 16, digits.targets[:600]
    >>> rng = cnnx.manual_seed(0)
    >>> net = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    >>> history = cnnx.fit(net, (x, y), validation=0.1, epochs=5, lr=0.01, verbose=False)
    >>> history.best("validation_accuracy")["validation_accuracy"] > 0.7
    True
    """
    counts = {"epochs": epochs, "batch_size": batch_size, "early_stopping": early_stopping}
    check_arguments("fit", model, loss, optimizer, **counts)
    check_maker("fit", "scheduler", scheduler, LRScheduler)
    every: Any = callbacks
    if not isinstance(every, list | tuple) or not all(isinstance(one, Callback) for one in every):
        raise TypeError(f"fit: callbacks must be a list of Callback objects, got {every!r}")
    if resume is not None and lr is not None:
        raise ValueError("fit: lr does not fit resume: the checkpoint has its learning rate")
    state = None if resume is None else _checkpoint(resume, epochs)
    if seed is not None:
        cnnx.manual_seed(seed)
    if device is not None:
        model.to(device)
    # What is held out follows from a number of its own, so that a training that goes on holds out the same.
    split = None if state is None else state["split"]
    if state is None and _is_share(validation):
        split = int(cnnx.randint(0, 2**31 - 1, (1,), device="cpu").item())
    train, validation = _parts(data, validation, batch_size, split)
    integers = None if loss is not None and metrics is not None else hold_classes("fit", train)
    loss = loss_for("fit", loss, integers)
    if metrics is None:
        metrics = [accuracy] if integers else []
    optimizer = as_optimizer("fit", optimizer, model, lr)
    if scheduler is not None and not isinstance(scheduler, LRScheduler):
        scheduler = scheduler(optimizer)
        if not isinstance(scheduler, LRScheduler):
            raise TypeError(f"fit: the function for scheduler gave a {type(scheduler).__name__}")
    check_own("fit", model, optimizer)
    if scheduler is not None and scheduler.optimizer is not optimizer:
        raise ValueError("fit: the scheduler is of another optimizer")
    found = list(callbacks)
    if early_stopping is not None:
        found.append(EarlyStopping(early_stopping))
    progress = Progress() if verbose else None
    if progress is not None:
        found.append(progress)
    if checkpoint is not None:
        found.append(Checkpoint(checkpoint))
    trainer = Trainer(
        model,
        train,
        validation,
        loss=loss,
        optimizer=optimizer,
        scheduler=scheduler,
        metrics=_named(metrics),
        callbacks=found,
        device=device,
        plan=plan,
    )
    trainer.split = split
    if state is not None:
        trainer.load_state_dict(state)
        trainer.why_stopped = None  # to go on is what is asked for
    try:
        return trainer.fit(epochs)
    finally:
        if progress is not None:
            progress.close()


def _checkpoint(path: str | os.PathLike[str], epochs: int) -> dict[str, Any]:
    """A state that `checkpoint` wrote."""
    state = cnnx.load(path)
    if not isinstance(state, dict) or not {"epoch", "history", "callbacks", "split"} <= set(state):
        raise ValueError(f"fit: {os.fspath(path)} is no checkpoint of fit")
    if state["epoch"] > epochs:
        raise ValueError(f"fit: epochs {epochs} does not fit resume: {state['epoch']} are complete")
    return state


def _parts(data: Any, validation: Any, batch_size: int | None, split: int | None) -> tuple[Any, Any]:
    """Batches of both parts."""
    if _is_share(validation):
        whole = as_data_set("fit", data)
        if not is_data_set(whole):
            raise TypeError(
                f"fit: a share to hold out needs a pair or a data set, got batches ({type(whole).__name__})"
            )
        if split is None:
            raise ValueError("fit: a share to hold out does not fit resume: the checkpoint has none")
        if not 0 < validation < 1 or len(whole) < 2:
            raise ValueError(
                f"fit: the share to hold out must lie between 0 and 1, got {validation!r} of {len(whole)}"
            )
        targets = targets_of(whole)
        classes = np.zeros(len(whole), np.int64) if targets is None else targets
        out = held_out(classes, validation, cnnx.Generator().manual_seed(split))
        data, validation = Subset(whole, np.nonzero(~out)[0]), Subset(whole, np.nonzero(out)[0])
    return as_loader("fit", data, batch_size, True), as_loader("fit", validation, EVALUATION_BATCH, False)


def _is_share(validation: Any) -> bool:
    return isinstance(validation, int | float) and not isinstance(validation, bool)


def _named(metrics: Any) -> dict[str, Metric]:
    """Metrics by their names."""
    if not isinstance(metrics, Mapping | Sequence) or isinstance(metrics, str):
        raise TypeError(f"fit: metrics must be a list or a dict of functions, got {metrics!r}")
    pairs = (
        metrics.items() if isinstance(metrics, Mapping) else [(_name(metric), metric) for metric in metrics]
    )
    found: dict[str, Metric] = {}
    for name, metric in pairs:
        if not callable(metric):
            raise TypeError(
                f"fit: a metric must be a function such as cnnx.training.accuracy, got {metric!r}"
            )
        if name in found:
            raise ValueError(f"fit: two metrics are called {name}: name them in a dict")
        found[name] = metric
    return found


def _name(metric: Any) -> str:
    return str(getattr(metric, "__name__", type(metric).__name__))
