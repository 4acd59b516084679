"""A learning rate for a model and its data, found by a short training in which the rate rises."""

from __future__ import annotations

import contextlib
import copy
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cnnx
from cnnx import nn
from cnnx.optim import Optimizer
from cnnx.training.given import (
    as_loader,
    as_optimizer,
    check_arguments,
    check_own,
    hold_classes,
    loss_for,
    on_device,
)
from cnnx.training.trainer import Loss, Trainer
from cnnx.utils.data import DataLoader

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MIN_LR, MAX_LR, STEPS = 1e-7, 10.0, 100
BEFORE = 10.0  # by how much the suggested rate is smaller than that of the least loss


@dataclass(frozen=True)
class LRRangeTest:
    """What `find_lr` saw.

    Attributes
    ----------
    rates
        The learning rate of each step.
    losses
        The loss of each step's batch, before its update.
    smoothed
        Their running mean.
    diverged
        Whether the test ended early, because the loss had risen too far.
    """

    rates: list[float]
    losses: list[float]
    smoothed: list[float]
    diverged: bool

    @property
    def best(self) -> int:
        """The step at which the smoothed loss is least."""
        return self.smoothed.index(min(self.smoothed))

    @property
    def suggestion(self) -> float | None:
        """A tenth of the rate of the least smoothed loss, or `steepest` if that is less; None without it."""
        return None if self.steepest is None else min(self.rates[self.best] / BEFORE, self.steepest)

    @property
    def steepest(self) -> float | None:
        """The rate at which the smoothed loss falls fastest, step by step; None if it has never fallen."""
        falls = [b - a for a, b in zip(self.smoothed, self.smoothed[1:], strict=False)][: self.best]
        return self.rates[falls.index(min(falls)) + 1] if falls else None

    def plot(self, path: str | os.PathLike[str] | None = None, *, title: str | None = None) -> Figure:
        """Draws the losses over the rates (`cnnx.plot.lr_range`) and, given a path, writes them there."""
        from cnnx import plot

        return plot.lr_range(self.rates, self.losses, self.smoothed, self.suggestion, path, title=title)

    def as_dict(self) -> dict[str, Any]:
        """All of it as plain values."""
        found = {name: getattr(self, name) for name in ("suggestion", "steepest", "diverged")}
        return {**found, "rates": self.rates, "losses": self.losses, "smoothed": self.smoothed}


def find_lr(
    model: nn.Module,
    data: Any,
    *,
    batch_size: int | None = None,
    loss: Loss | None = None,
    optimizer: Optimizer | Callable[..., Optimizer] | None = None,
    min_lr: float = MIN_LR,
    max_lr: float = MAX_LR,
    steps: int = STEPS,
    smoothing: float = 0.9,
    threshold: float = 4.0,
    device: Any = None,
    seed: int | None = None,
    plan: str | None = "auto",
) -> LRRangeTest:
    """The learning rate range test: trains for some steps while the rate rises, and suggests one.

    The rate of step :math:`i` of :math:`n` is :math:`min (max / min)^{i / (n - 1)}`. The losses are smoothed,
    :math:`a_i = b a_{i-1} + (1 - b) l_i`, divided by :math:`1 - b^{i+1}`, and the test ends where that is
    above `threshold` times its least value (of one below 0: higher than that by as much), or no number. What
    is suggested is a tenth of the rate at which the smoothed loss is least, where it is about to diverge, or
    the rate at which it falls fastest if that is less. Afterwards model, loss, optimizer, gradients,
    random numbers and the place of a `DataLoader` are as they were, to the bit.

    Parameters
    ----------
    model
        As `fit` takes it. It is moved to `device`.
    data
        A pair (inputs, targets), a data set or batches, as `fit` takes them; iterated over again and again.
    batch_size
        Samples per step, where `data` is no loader. Default: that of `fit`.
    loss
        Default: `nn.CrossEntropyLoss` for integer targets; others need one.
    optimizer
        An optimizer of the model's parameters, or a function that makes one. Of several parameter groups each
        keeps its ratio to the rate of the first. Default: `optim.Adam`.
    min_lr, max_lr
        The first rate and the last. Default: 1e-7 and 10.
    steps
        How many. Default: 100.
    smoothing
        :math:`b`, from 0 (none) to below 1. Default: 0.9.
    threshold
        Above 1. Default: 4.
    device
        Default: where the model is.
    seed
        Of the order of samples and other random numbers of the test. Default: those of the process.
    plan
        As for `fit`.

    Returns
    -------
    LRRangeTest
        With `rates`, `losses`, `suggestion`, and `plot`.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit.
    FloatingPointError
        If the loss of the first batch is no finite number.

    Notes
    -----
    The test is that of L. N. Smith, "Cyclical learning rates for training neural networks" (2015); that the
    rate rises exponentially, the losses are smoothed and a tenth of the best rate is taken follows S. Gugger,
    "How do you find a good learning rate" (2018), and that the steepest fall tells a rate, too, the library
    fastai. Of these two the smaller is suggested, since nets with batch normalisation diverge late.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import datasets, nn, training
    >>> digits = datasets.Digits(train=True)
    >>> rng = cnnx.manual_seed(0)
    >>> net = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    >>> found = training.find_lr(net, (digits.data / 16, digits.targets), seed=0)
    >>> 0.001 < found.suggestion < 0.1
    True
    """
    check_arguments("find_lr", model, loss, optimizer, batch_size=batch_size)
    if isinstance(steps, bool) or not hasattr(steps, "__index__") or steps < 2:
        raise ValueError(f"find_lr: steps must be a whole number from 2 on, got {steps!r}")
    bounds: tuple[tuple[str, float, Callable[[float], bool], str], ...] = (
        ("min_lr", min_lr, lambda v: 0 < v < math.inf, "a positive number"),
        ("max_lr", max_lr, lambda v: min_lr < v < math.inf, "a number above min_lr"),
        ("smoothing", smoothing, lambda v: 0 <= v < 1, "from 0 to below 1"),
        ("threshold", threshold, lambda v: v > 1, "above 1"),
    )
    for name, value, fits, words in bounds:
        if isinstance(value, bool) or not isinstance(value, int | float) or not fits(value):
            raise ValueError(f"find_lr: {name} must be {words}, got {value!r}")
    if device is not None:
        model.to(device)
    train = as_loader("find_lr", data, batch_size, True)
    if train is None:
        raise TypeError("find_lr: there are no data")
    with _as_it_was(model, train, loss, optimizer):
        if seed is not None:
            cnnx.manual_seed(seed)
        loss = loss_for("find_lr", loss, loss is None and hold_classes("find_lr", train))
        optimizer = as_optimizer("find_lr", optimizer, model, None)
        check_own("find_lr", model, optimizer)
        state = copy.deepcopy(optimizer.state_dict())
        try:
            trainer = Trainer(model, train, loss=loss, optimizer=optimizer, device=device, plan=plan)
            return _range_test(trainer, min_lr, max_lr, int(steps), smoothing, threshold)
        finally:
            optimizer.load_state_dict(state)


def _range_test(
    trainer: Trainer, min_lr: float, max_lr: float, steps: int, smoothing: float, threshold: float
) -> LRRangeTest:
    """Trains step by step, with a rate that rises."""
    groups = trainer.optimizer.param_groups
    first = float(groups[0]["lr"])
    if len(groups) > 1 and first == 0:
        raise ValueError("find_lr: the first parameter group has the rate 0, to which no other has a ratio")
    ratios = [1.0, *(float(group["lr"]) / first for group in groups[1:])]
    rates: list[float] = []
    losses: list[float] = []
    smoothed: list[float] = []
    mean = 0.0
    trainer.model.train()
    batches = _endless(trainer.train)
    for step in range(steps):
        rate = min_lr * (max_lr / min_lr) ** (step / (steps - 1))
        for group, ratio in zip(groups, ratios, strict=True):
            group["lr"] = rate * ratio
        found, _ = trainer._step(*on_device("find_lr", next(batches), trainer.device))
        value = float(found.item())
        if not math.isfinite(value):
            if step == 0:
                raise FloatingPointError(f"find_lr: the loss of the first batch is {value}")
            return LRRangeTest(rates, losses, smoothed, True)
        mean = smoothing * mean + (1 - smoothing) * value
        rates.append(rate)
        losses.append(value)
        smoothed.append(mean / (1 - smoothing ** (step + 1)))
        least = min(smoothed)
        if smoothed[-1] > least + (threshold - 1) * abs(least):
            return LRRangeTest(rates, losses, smoothed, True)
    return LRRangeTest(rates, losses, smoothed, False)


def _endless(train: Any) -> Iterator[Any]:
    """The batches again and again."""
    while True:
        count = 0
        for batch in train:
            count += 1
            yield batch
        if count == 0:
            raise ValueError("find_lr: there are no batches to train on")


@contextlib.contextmanager
def _as_it_was(model: nn.Module, train: Any, loss: Any, optimizer: Any) -> Iterator[None]:
    """Afterwards everything that a training changes is as before, the very tensors with their values."""
    # A dict, since a loss may hold the model, or a part of it.
    modules = list(
        dict.fromkeys([*model.modules(), *(loss.modules() if isinstance(loss, nn.Module) else ())])
    )
    kept: list[tuple[dict[str, Any], str, Any, Any]] = [
        (members, name, tensor, tensor.detach().clone())
        for module in modules
        for members in (module._parameters, module._buffers)
        for name, tensor in members.items()
        if tensor is not None
    ]
    groups = optimizer.param_groups if isinstance(optimizer, Optimizer) else []
    inside = {id(tensor) for _, _, tensor, _ in kept}
    beside = [p for group in groups for p in group["params"] if id(p) not in inside]
    values_beside = [parameter.detach().clone() for parameter in beside]
    own = (parameter for module in modules for parameter in module.parameters(recurse=False))
    gradients = [(parameter, parameter.grad) for parameter in (*own, *beside)]
    modes = [(module, module.training) for module in modules]
    random = cnnx.get_rng_state()
    parts = (train, *(getattr(train, name, None) for name in ("sampler", "batch_sampler")))
    generators = [g for part in parts if isinstance(g := getattr(part, "generator", None), cnnx.Generator)]
    orders = [generator.get_state() for generator in generators]
    place = train._where() if isinstance(train, DataLoader) else None
    for parameter, _ in gradients:
        parameter.grad = None
    try:
        yield
    finally:
        with cnnx.no_grad():
            for members, name, tensor, values in kept:
                tensor.copy_(values)
                members[name] = tensor
            for parameter, values in zip(beside, values_beside, strict=True):
                parameter.copy_(values)
        for parameter, gradient in gradients:
            parameter.grad = gradient
        for module, mode in modes:
            module.training = mode
        for generator, order in zip(generators, orders, strict=True):
            generator.set_state(order)
        if place is not None:
            train._go_to(place)
        cnnx.set_rng_state(random)
