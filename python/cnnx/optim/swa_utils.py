"""Averages of a model's parameters over its training."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any

import cnnx

from ..nn.batchnorm import _BatchNorm
from ..nn.instancenorm import _InstanceNorm
from ..nn.module import Module
from ..tensor import Tensor
from .fused import check_range
from .lr_scheduler import LRScheduler
from .lr_scheduler.momentum import per_group
from .optimizer import Optimizer

__all__ = [
    "SWALR",
    "AveragedModel",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]

AvgFn = Callable[[Tensor, Tensor, Any], Tensor]
MultiAvgFn = Callable[[list[Tensor], list[Tensor], Any], None]


def _for_each(avg_fn: AvgFn) -> MultiAvgFn:
    """The same average, written over those of a list."""

    @cnnx.no_grad()
    def update(averages: list[Tensor], currents: list[Tensor], num_averaged: Any) -> None:
        for average, current in zip(averages, currents, strict=True):
            average.copy_(avg_fn(average, current, num_averaged))

    return update


def get_ema_avg_fn(decay: float = 0.999) -> AvgFn:
    """The exponential moving average as a function ``(average, current, num_averaged)`` for `AveragedModel`.

    Parameters
    ----------
    decay : float
        average = decay * average + (1 - decay) * current. Default: 0.999.

    Raises
    ------
    ValueError
        If it is not in [0, 1].

    Examples
    --------
    >>> import cnnx
    >>> get_ema_avg_fn(0.75)(cnnx.tensor(4.0), cnnx.tensor(8.0), 1)
    tensor(5.)
    """
    check_range("decay value", decay, 0.0, 1.0)

    @cnnx.no_grad()
    def ema_update(average: Tensor, current: Tensor, num_averaged: Any) -> Tensor:
        mixed: Tensor = average * decay + current * (1 - decay)
        return mixed

    return ema_update


def get_swa_avg_fn() -> AvgFn:
    """The mean as a function ``(average, current, num_averaged)``: average + (current - average) / (n + 1).

    Examples
    --------
    >>> import cnnx
    >>> get_swa_avg_fn()(cnnx.tensor(4.0), cnnx.tensor(8.0), 3)
    tensor(5.)
    """

    @cnnx.no_grad()
    def swa_update(average: Tensor, current: Tensor, num_averaged: Any) -> Tensor:
        mean: Tensor = average + (current - average) / (num_averaged + 1)
        return mean

    return swa_update


def get_ema_multi_avg_fn(decay: float = 0.999) -> MultiAvgFn:
    """As `get_ema_avg_fn`, for lists of tensors: writes the averages in place."""
    return _for_each(get_ema_avg_fn(decay))


def get_swa_multi_avg_fn() -> MultiAvgFn:
    """As `get_swa_avg_fn`, for lists of tensors: writes the averages in place."""
    return _for_each(get_swa_avg_fn())


class AveragedModel(Module):
    """A copy of a model whose parameters are averages over those that the model has had.

    Parameters
    ----------
    model : Module
        Copied as ``self.module``.
    device : optional
        Where the copy lives. Default: where the model does.
    avg_fn : callable, optional
        ``avg_fn(average, current, num_averaged)`` returns a new average. Default: the mean.
    multi_avg_fn : callable, optional
        ``multi_avg_fn(averages, currents, num_averaged)`` writes the averages of lists of tensors in place,
        those of a device and dtype at a time; instead of `avg_fn`.
    use_buffers : bool
        Average buffers too. Default: False, they are those of the model.

    Attributes
    ----------
    n_averaged : Tensor
        How many models are averaged, a buffer of int64.

    Raises
    ------
    ValueError
        If both functions are given; in `update_parameters`, if the model is another one.

    Notes
    -----
    Izmailov et al., "Averaging weights leads to wider optima and better generalization" (2018). The functions
    are not in the `state_dict`. Behind `BatchNorm` the averages need statistics of their own: `update_bn`.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> model = nn.Linear(1, 1, bias=False)
    >>> average = AveragedModel(model)
    >>> for value in (1.0, 2.0, 6.0):
    ...     _ = nn.init.constant_(model.weight, value)
    ...     average.update_parameters(model)
    >>> average.module.weight.item(), average.n_averaged.item()
    (3.0, 3)
    """

    n_averaged: Tensor

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: AvgFn | None = None,
        multi_avg_fn: MultiAvgFn | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if not isinstance(model, Module):
            raise TypeError(f"AveragedModel: model must be a Module, got {type(model).__name__}")
        if avg_fn is not None and multi_avg_fn is not None:
            raise ValueError("AveragedModel: only one of avg_fn and multi_avg_fn can be given")
        for name, function in (("avg_fn", avg_fn), ("multi_avg_fn", multi_avg_fn)):
            if function is not None and not callable(function):
                raise TypeError(f"AveragedModel: {name} must be a function, got {type(function).__name__}")
        self.module = deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", cnnx.tensor(0, dtype=cnnx.int64, device=device))
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the copy makes of the arguments."""
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Takes the parameters that `model` has now into the averages; the first ones are copied."""
        averages = self._averaged(self.module)
        currents = self._averaged(model)
        if [t.shape for t in averages] != [t.shape for t in currents]:
            raise ValueError(f"AveragedModel: update_parameters: {type(model).__name__} has other parameters")
        currents = [c.to(a.device) for a, c in zip(averages, currents, strict=True)]
        if self.n_averaged == 0:
            for average, current in zip(averages, currents, strict=True):
                average.copy_(current)
        elif self.multi_avg_fn is not None:
            groups: dict[Any, tuple[list[Tensor], list[Tensor]]] = {}
            for average, current in zip(averages, currents, strict=True):
                lists = groups.setdefault((str(average.device), average.dtype), ([], []))
                lists[0].append(average)
                lists[1].append(current)
            for group in groups.values():
                self.multi_avg_fn(*group, self.n_averaged.to(group[0][0].device))
        else:
            avg_fn = self.avg_fn or get_swa_avg_fn()
            for average, current in zip(averages, currents, strict=True):
                average.copy_(avg_fn(average, current, self.n_averaged.to(average.device)))
        if not self.use_buffers:
            for own, given in zip(self.module.buffers(), model.buffers(), strict=True):
                own.detach().copy_(given.detach().to(own.device))
        self.n_averaged.add_(1)

    def _averaged(self, model: Module) -> list[Tensor]:
        """What of a model is averaged."""
        buffers = model.buffers() if self.use_buffers else ()
        return [t.detach() for t in itertools.chain(model.parameters(), buffers)]


@cnnx.no_grad()
def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Sets the running statistics of all `BatchNorm` layers to those of a pass over data.

    Parameters
    ----------
    loader : iterable
        Batches, or lists and tuples that begin with one.
    model : Module
        Called with each of them in training mode, which it then leaves as it was.
    device : optional
        Where batches are moved to before.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> norm = nn.BatchNorm1d(1)
    >>> update_bn([cnnx.tensor([[1.0], [2.0]]), cnnx.tensor([[6.0], [7.0]])], norm)
    >>> norm.running_mean
    tensor([4.])
    """
    if not isinstance(model, Module):
        raise TypeError(f"update_bn: model must be a Module, got {type(model).__name__}")
    layers = [m for m in model.modules() if isinstance(m, _BatchNorm) and not isinstance(m, _InstanceNorm)]
    if not layers:
        return
    momenta = [layer.momentum for layer in layers]
    was_training = model.training
    model.train()
    try:
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None
        for batch in loader:
            x = batch[0] if isinstance(batch, (list, tuple)) else batch
            model(x if device is None else x.to(device))
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
        model.train(was_training)


class SWALR(LRScheduler):
    """From the learning rate of now to a fixed one, in which models are then averaged.

    lr = a * swa_lr + (1 - a) * lr_0, where a goes from 0 to 1 within `anneal_epochs`.

    Parameters
    ----------
    optimizer : Optimizer
        Its groups get ``"swa_lr"``.
    swa_lr : float or list
        The rate at the end; a list has one value per group.
    anneal_epochs : int
        Default: 10.
    anneal_strategy : {"cos", "linear"}
        Default: "cos".
    last_epoch : int
        Default: -1.

    Raises
    ------
    ValueError
        If an option makes no sense.

    Notes
    -----
    As in PyTorch each step goes on from the rate that the group has, so other schedules may step before.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn, optim
    >>> opt = optim.SGD([nn.Parameter(cnnx.ones(1))], lr=0.5)
    >>> schedule = optim.swa_utils.SWALR(opt, swa_lr=0.25, anneal_epochs=2, anneal_strategy="linear")
    >>> for _ in range(3):
    ...     opt.step()
    ...     schedule.step()
    ...     print(opt.param_groups[0]["lr"])
    0.375
    0.25
    0.25
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float | list[float],
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"SWALR: anneal_strategy must be 'cos' or 'linear', got {anneal_strategy!r}")
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"SWALR: anneal_epochs must be a whole number from 0, got {anneal_epochs!r}")
        rates = per_group("swa_lr", optimizer, swa_lr)
        for rate in rates:
            check_range("swa_lr value", rate, -math.inf)
        for rate, group in zip(rates, optimizer.param_groups, strict=True):
            group["swa_lr"] = rate
        self._anneal_strategy = anneal_strategy
        self.anneal_epochs = anneal_epochs
        super().__init__(optimizer, last_epoch)

    def anneal_func(self, t: float) -> float:
        """How much of the way is gone after this share of the epochs."""
        return t if self._anneal_strategy == "linear" else (1 - math.cos(math.pi * t)) / 2

    def _gone(self, step: int) -> float:
        return self.anneal_func(max(0.0, min(1.0, step / max(1, self.anneal_epochs))))

    def get_lr(self) -> list[float]:
        """The learning rates, one per group."""
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before, now = self._gone(step - 1), self._gone(step)
        rates = []
        for group in self.optimizer.param_groups:
            last = group["swa_lr"]
            first = last if before == 1 else (group["lr"] - before * last) / (1 - before)
            rates.append(last * now + first * (1 - now))
        return rates
