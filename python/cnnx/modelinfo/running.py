"""The pass of a summary: where a model runs, what is noted of it, and how it becomes again what it was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import cnnx
from cnnx import nn
from cnnx.devices import as_device
from cnnx.modelinfo.layers import LayerInfo, first_tensor, with_containers
from cnnx.nn.uninitialized import is_lazy


@contextmanager
def moved(model: nn.Module, device: Any) -> Iterator[Any]:
    """Has the model on a device meanwhile; gives the device, that of the model if none is named."""
    places = {member.device for member in (*model.parameters(), *model.buffers())}
    own = next(iter(places), as_device("summary", None))
    where = own if device is None else as_device("summary", device)
    if places <= {where} or device is None:
        yield where
        return
    if len(places) > 1:
        raise ValueError("summary: the model is on several devices; device cannot bring it back to them")
    model.to(where)
    try:
        yield where
    finally:
        model.to(own)


def _walk(model: nn.Module) -> Iterator[tuple[str, list[LayerInfo], nn.Module]]:
    """All modules in order, each with its name and what holds it, once for each place that it has."""
    stack: list[tuple[str, list[LayerInfo], nn.Module]] = [(type(model).__name__, [], model)]
    while stack:
        name, holders, module = stack.pop()
        yield name, holders, module
        within = [*holders, LayerInfo(name, module, len(holders))]
        stack += [(key, within, part) for key, part in reversed(module._modules.items()) if part is not None]


def tree(model: nn.Module) -> Iterator[LayerInfo]:
    """A row for each module, in the order in which they were made."""
    for name, holders, module in _walk(model):
        yield LayerInfo(name, module, len(holders))


def run(model: nn.Module, inputs: Any, kwargs: dict[str, Any], train: bool) -> list[LayerInfo]:
    """The rows of one pass."""
    places = {id(module): (name, holders, module) for name, holders, module in _walk(model)}
    calls: list[LayerInfo] = []
    open_calls: list[LayerInfo] = []

    def begin(module: nn.Module, args: Any) -> None:
        name, holders, _ = places[id(module)]
        row = LayerInfo(name, module, len(holders))
        row.input_size, _ = first_tensor(args)
        calls.append(row)
        open_calls.append(row)

    def end(module: nn.Module, args: Any, output: Any) -> None:
        while (row := open_calls.pop()).module is not module:
            pass  # a call within that failed, which the module has caught
        row.executed = True
        row.output_size, row.output_bytes = first_tensor(output)

    with ExitStack() as after:
        after.enter_context(unchanged(model))
        for _, _, module in places.values():
            after.callback(module.register_forward_pre_hook(begin).remove)
            after.callback(module.register_forward_hook(end).remove)
        model.train(train)
        try:
            with cnnx.no_grad():
                if isinstance(inputs, Mapping):
                    model(**inputs, **kwargs)
                else:
                    model(*inputs, **kwargs)
        except Exception as error:
            layers = [row for row in calls if row.executed]
            behind = f" behind {type(layers[-1].module).__name__} ({layers[-1].var_name})" if layers else ""
            what = str(error).partition("\n")[0]
            raise RuntimeError(f"summary: the model failed{behind}: {what}") from error
    return with_containers(calls, {key: holders for key, (_, holders, _) in places.items()})


@contextmanager
def unchanged(model: nn.Module) -> Iterator[None]:
    """Brings back modes, buffers and, unless lazy layers were initialised within, the random state."""
    modules = list(model.modules())
    modes = [module.training for module in modules]
    buffers = [
        (module, name, buffer, buffer._version, buffer.clone())
        for module in modules
        for name, buffer in module._buffers.items()
        if buffer is not None and not is_lazy(buffer)
    ]
    lazy = any(is_lazy(member) for member in (*model.parameters(), *model.buffers()))
    state = cnnx.get_rng_state()
    try:
        yield
    finally:
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode
        with cnnx.no_grad():
            for module, name, buffer, version, values in buffers:
                module._buffers[name] = buffer
                if buffer._version != version:
                    buffer.copy_(values)
        if not lazy:  # whose weights have been drawn, and nobody shall draw the same
            cnnx.set_rng_state(state)
