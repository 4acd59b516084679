"""Training steps of cnnx and PyTorch from the same weights on the same batch, eager and as CUDA graphs.

A step is zero_grad, forward, loss, backward and optimizer step; nobody reads the loss.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

import cnnx
import cnnx.nn
import cnnx.nn.functional
import cnnx.optim
from cnnx.bench.nets import Net, Step, batch_of, make_step
from gpu.store import Row, Setting


def weights_of(net: Net) -> dict[str, np.ndarray]:
    """PyTorch's initial parameters and buffers."""
    torch.manual_seed(0)
    return {name: value.numpy() for name, value in net.build(torch.nn).state_dict().items()}


def cnnx_step(net: Net, batch: int, weights: dict[str, np.ndarray]) -> Step:
    """A step of cnnx on its device."""
    model = net.build(cnnx.nn).to("cuda")
    model.load_state_dict({name: cnnx.tensor(values) for name, values in weights.items()})
    x, y = (cnnx.from_numpy(values).to("cuda") for values in batch_of(net, batch))
    return make_step(
        model, net.optimizer(cnnx.optim, model.parameters()), cnnx.nn.functional.cross_entropy, x, y
    )


def capture_cnnx(step: Step) -> Step:
    """The step as a CUDA graph of cnnx."""
    for _ in range(3):
        step()
    graph = cnnx.cuda.CUDAGraph()
    with cnnx.cuda.graph(graph):
        step()
    return graph.replay


def torch_model(net: Net, weights: dict[str, np.ndarray], device: str) -> Any:
    """PyTorch's net on a device, with these weights."""
    model = net.build(torch.nn)
    model.load_state_dict({name: torch.tensor(values) for name, values in weights.items()})
    return model.to(device)


def torch_step(
    net: Net,
    batch: int,
    weights: dict[str, np.ndarray],
    device: str,
    capturable: bool = False,
    wrap: Callable[[Any], Any] = lambda model: model,
) -> Step:
    """A step of PyTorch; `wrap` is what happens to the model first."""
    model = torch_model(net, weights, device)
    x, y = (torch.from_numpy(values).to(device) for values in batch_of(net, batch))
    optimizer = torch_optimizer(net, model, capturable)
    return make_step(wrap(model), optimizer, torch.nn.functional.cross_entropy, x, y)


def torch_optimizer(net: Net, model: Any, capturable: bool) -> Any:
    """PyTorch's optimizer of a net, perhaps one that a graph can hold."""
    optimizer = net.optimizer(torch.optim, model.parameters())
    for group in optimizer.param_groups:
        if "capturable" in group:
            group["capturable"] = capturable
    return optimizer


def capture_torch(step: Step) -> Step:
    """The step as a CUDA graph of PyTorch, the way its documentation shows."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return lambda: graph.replay()


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """PyTorch's precision: float32 throughout, or its defaults, which allow TF32 in convolutions."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = allowed
    torch.backends.cuda.matmul.allow_tf32 = False  # the default
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def in_precision(step: Step, defaults: bool) -> Step:
    """The step with PyTorch's default precision, or with TF32 off."""

    def call() -> Any:
        with tf32(defaults):
            return step()

    return call


def libraries(setting: Setting) -> tuple[Any, Any]:
    """Whose events measure cnnx and PyTorch; None is the host's clock."""
    return cnnx.cuda, None if setting.smoke else torch.cuda


def milliseconds(library: Any, step: Step, repeats: int) -> float:
    """Milliseconds a step in a burst: between two events of the device, or on the host's clock (None)."""
    if library is None:
        start = time.perf_counter()
        for _ in range(repeats):
            step()
        return (time.perf_counter() - start) / repeats * 1e3
    first, last = library.Event(enable_timing=True), library.Event(enable_timing=True)
    first.record()
    for _ in range(repeats):
        step()
    last.record()
    library.synchronize()
    return float(first.elapsed_time(last)) / repeats


def in_turns(steps: dict[str, tuple[Any, Step]], smoke: bool, burst_ms: float = 20, rounds: int = 15) -> Row:
    """Medians and quartiles of steps {name: (library, step)} that take turns in bursts."""
    rounds, warm = (2, 1) if smoke else (rounds, 5)
    repeats, times = {}, {}
    until = time.perf_counter() + (0 if smoke else 0.3)  # in which the clocks of an idle card rise
    while time.perf_counter() < until:
        for library, step in steps.values():
            milliseconds(library, step, warm)
    for name, (library, step) in steps.items():
        milliseconds(library, step, warm)
        guess = milliseconds(library, step, warm)
        repeats[name] = 1 if smoke else max(3, min(200, int(burst_ms / max(guess, 1e-3))))
        times[name] = []
    for _ in range(rounds):
        for name, (library, step) in steps.items():
            step()
            times[name].append(milliseconds(library, step, repeats[name]))
    return {
        name: {
            "median_ms": statistics.median(t),
            "quartiles_ms": [float(q) for q in np.quantile(t, [0.25, 0.75])],
            "bursts": len(t),
            "steps_a_burst": repeats[name],
        }
        for name, t in times.items()
    }
