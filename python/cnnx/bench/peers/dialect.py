"""The calls of libraries that speak PyTorch's dialect, cnnx and PyTorch: the same lines for both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cnnx.bench.nets import training_step
from cnnx.bench.peers import Call, Inputs
from cnnx.bench.rows import GRADIENT, OUTPUTS, Row


def unchanged(value: Any) -> Any:
    """What it is given."""
    return value


def prepared(
    lib: Any,
    row: Row,
    inputs: Inputs,
    dropout: bool,
    device: str,
    compiled: Callable[[Any], Any] = unchanged,
    arranged: Callable[[Any], Any] = unchanged,
) -> Call:
    """A row made ready with the modules of `lib`.

    `compiled` is what happens to a step or a model before it is called, `arranged` what happens to a model
    and to its inputs.
    """
    net = row.net
    model = net.build(lib.nn)
    model.load_state_dict({name: lib.from_numpy(array.copy()) for name, array in inputs.weights.items()})
    model, x = arranged(model.to(device)), arranged(lib.from_numpy(inputs.x).to(device))
    y = lib.from_numpy(inputs.y).to(device)
    if not dropout:
        for module in model.modules():
            if isinstance(module, lib.nn.Dropout):
                module.eval()
    if row.work == OUTPUTS:
        forward = compiled(model.eval())

        def outputs() -> Any:
            with lib.no_grad():
                return forward(x).cpu().numpy()

        return Call(outputs, lambda found: [found])

    loss_function = getattr(lib.nn.functional, net.loss)
    if row.work == GRADIENT:
        parameters = list(model.parameters())

        def loss_and_gradient(x: Any, y: Any) -> Any:
            model.zero_grad()
            loss = loss_function(model(x), y)
            loss.backward()
            return loss

        call = compiled(loss_and_gradient)
        return Call(
            lambda: call(x, y).item(),
            lambda loss: [loss, *(p.grad.cpu().numpy() for p in parameters)],
        )

    optimizer = net.optimizer(lib.optim, model.parameters())
    step = compiled(training_step(model, optimizer, loss_function))
    return Call(lambda: step(x, y).item(), lambda loss: [loss])
