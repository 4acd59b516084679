"""What the functions of training are given, as what they work with: batches, a loss, an optimizer.

Each function takes the name of the one that was called, with which its errors begin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import cnnx
from cnnx import nn, optim
from cnnx.optim import Optimizer
from cnnx.tensor import Tensor
from cnnx.training.split import default_batch_size
from cnnx.utils.data import DataLoader, IterableDataset, TensorDataset

if TYPE_CHECKING:
    from cnnx.training.trainer import Loss

EVALUATION_BATCH = 250
RATE = 1e-3


def check_arguments(op: str, model: Any, loss: Any, optimizer: Any, **counts: Any) -> None:
    """Raises TypeError or ValueError if an argument is of another kind; counts are positive, or None."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"{op}: model must be a Module, got {type(model).__name__}")
    for name, value in counts.items():
        if value is not None and (isinstance(value, bool) or not hasattr(value, "__index__") or value < 1):
            raise ValueError(f"{op}: {name} must be a positive whole number, got {value!r}")
    check_maker(op, "optimizer", optimizer, Optimizer)
    if loss is not None and (isinstance(loss, type) or not callable(loss)):
        raise TypeError(f"{op}: loss must be a function of output and target, got {loss!r}")


def check_maker(op: str, name: str, given: Any, made: type) -> None:
    """Raises TypeError unless it is None, an object of the kind `made`, or a function, which may make one."""
    if given is not None and not callable(given) and not isinstance(given, made):
        what = f"{name} must be an object of {made.__name__}, or a class or function that makes one"
        raise TypeError(f"{op}: {what}, got {given!r}")


def check_own(op: str, model: nn.Module, optimizer: Optimizer) -> None:
    """Raises ValueError if the optimizer has no parameter of the model."""
    own = {id(parameter) for parameter in model.parameters()}
    if not any(id(p) in own for group in optimizer.param_groups for p in group["params"]):
        raise ValueError(f"{op}: the optimizer has no parameter of the model")


def loss_for(op: str, loss: Loss | None, are_classes: bool | None) -> Loss:
    """The loss: without one, of classes, it is cross-entropy."""
    if loss is None and not are_classes:
        raise ValueError(f"{op}: the targets are no integers: give a loss, such as nn.MSELoss()")
    return nn.CrossEntropyLoss() if loss is None else loss


def is_data_set(data: Any) -> bool:
    """Whether it gives samples by number, and not batches."""
    by_number = hasattr(data, "__getitem__") and hasattr(data, "__len__")
    return by_number and not isinstance(data, DataLoader | list | tuple)


def as_data_set(op: str, data: Any) -> Any:
    """A pair of arrays as a data set; anything else as it is."""
    if isinstance(data, tuple | list) and len(data) == 2 and all(hasattr(part, "shape") for part in data):
        inputs, targets = (_tensor(op, part) for part in data)
        if len(inputs) != len(targets):
            raise ValueError(f"{op}: {len(inputs)} inputs and {len(targets)} targets")
        return TensorDataset(inputs, targets)
    return data


def _tensor(op: str, values: Any) -> Tensor:
    """A tensor as it is; an array with floats as float32 and integers as int64."""
    if isinstance(values, Tensor):
        return values
    array = np.asarray(values)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{op}: arrays must hold numbers, got {array.dtype}")
    return cnnx.as_tensor(array.astype(np.float32 if array.dtype.kind == "f" else np.int64))


def as_loader(op: str, data: Any, batch_size: int | None, training: bool) -> Any:
    """Batches of data; None of None."""
    data = as_data_set(op, data)
    if data is None:
        return None
    if not is_data_set(data):
        if training and batch_size is not None:
            raise ValueError(f"{op}: batch_size is for a pair or a data set; these are batches already")
        if not hasattr(data, "__iter__") or hasattr(data, "__next__"):
            raise TypeError(
                f"{op}: data must be a pair (inputs, targets), a data set or batches that can be iterated "
                f"over again, got {type(data).__name__}"
            )
        return data
    if len(data) == 0:
        raise ValueError(f"{op}: there are no {'training' if training else 'validation'} data")
    return DataLoader(data, batch_size=batch_size or default_batch_size(len(data)), shuffle=training)


def on_device(op: str, batch: Any, device: Any) -> tuple[Any, Any]:
    """A batch (inputs, targets) as tensors on a device."""
    if not isinstance(batch, tuple | list) or len(batch) != 2:
        raise TypeError(f"{op}: a batch must be a pair (inputs, targets), got {type(batch).__name__}")
    inputs, targets = batch
    return _moved(inputs, device), _moved(targets, device)


def _moved(part: Any, device: Any) -> Tensor:
    """A part of a batch on a device, quickly if it is there: steps of tiny nets take 50 us."""
    tensor = part if isinstance(part, Tensor) else cnnx.as_tensor(part)
    here = tensor.device
    return tensor if here is device or here == device else tensor.to(device)


def hold_classes(op: str, train: Any) -> bool:
    """Whether the targets are integers, by the data set or, without one, by the first batch.

    A transform that draws leaves no trace: a run is the same whether its loss is named or found.
    """
    state = cnnx.get_rng_state()
    try:
        data: Any = train.dataset if isinstance(train, DataLoader) else None
        by_number = hasattr(data, "__getitem__") and not isinstance(data, IterableDataset)
        sample = data[0] if by_number else next(iter(train), None)
    finally:
        cnnx.set_rng_state(state)
    if not isinstance(sample, tuple | list) or len(sample) != 2:
        raise TypeError(f"{op}: data must give pairs (inputs, targets)")
    target = cnnx.as_tensor(sample[1])
    return not target.is_floating_point() and target.dtype != cnnx.bool


def as_optimizer(op: str, given: Any, model: nn.Module, lr: float | None) -> Optimizer:
    """An optimizer as it is, what a function makes of the model's parameters, or Adam."""
    if isinstance(given, Optimizer):
        if lr is not None:
            raise ValueError(f"{op}: lr is for an optimizer that is made here; this one has its own")
        return given
    if given is None:
        return optim.Adam(model.parameters(), lr=RATE if lr is None else lr)
    made = given(model.parameters(), **({} if lr is None else {"lr": lr}))
    if not isinstance(made, Optimizer):
        raise TypeError(f"{op}: the function for optimizer gave a {type(made).__name__}")
    return made
