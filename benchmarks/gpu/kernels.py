"""Each kernel's share of the ceilings of memory and arithmetic, both measured in the same run by PyTorch.

Counted are the bytes and operations that the definition needs, every operand once through memory: a kernel
that reads one twice shows a smaller share. A call lasts longer than its launch, and its operands are larger
than the cache.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import islice
from typing import Any

import torch
from conv import SHAPES, calls_of

import cnnx
import cnnx.nn
import cnnx.nn.functional as F
import cnnx.optim
from cnnx import transforms
from cnnx.datasets.images import ImageDataset
from cnnx.utils.data import DataLoader
from gpu.runner import Part
from gpu.steps import libraries, milliseconds, tf32
from gpu.store import Case, Results, Row, Setting, table

Call = Callable[[], Any]
Work = tuple[float, float, Call]  # bytes, operations, and what to call


def measured(library: Any, call: Call, smoke: bool) -> float:
    """The median of milliseconds a call, over bursts of about 10 ms."""
    warm = 1 if smoke else 3
    milliseconds(library, call, warm)
    repeats = 1 if smoke else max(3, min(200, int(10 / max(milliseconds(library, call, warm), 1e-3))))
    return statistics.median(milliseconds(library, call, repeats) for _ in range(1 if smoke else 9))


def ceilings(setting: Setting) -> Row:
    """Bytes a second of a copy and operations a second of a matrix product, in float32."""
    smoke, device = setting.smoke, setting.torch_device
    _, clock = libraries(setting)
    a = torch.ones(1 << (10 if smoke else 27), device=device)
    b = torch.empty_like(a)
    bandwidth = 2 * a.numel() * 4 / measured(clock, lambda: b.copy_(a), smoke) * 1e3
    n = 16 if smoke else 8192
    x, y = (torch.rand(n, n, device=device) for _ in range(2))
    with tf32(False):
        flops = 2.0 * n**3 / measured(clock, lambda: x @ y, smoke) * 1e3
    says = f"copy {bandwidth / 1e9:,.0f} GB/s, float32 matrix product {flops / 1e12:.1f} TFLOP/s"
    return {"bytes_per_second": bandwidth, "flops": flops, "says": says}


def random(*shape: int, grad: bool = False) -> cnnx.Tensor:
    """Random values on the device."""
    return cnnx.randn(*shape, device="cuda", requires_grad=grad)


def forward_and_back(function: Callable[..., Any], *inputs: cnnx.Tensor) -> tuple[Call, Call]:
    """The function without gradients, and the backward pass of a result of it."""
    leaves = [x.detach().requires_grad_() for x in inputs]
    outputs = function(*leaves)
    upstream = cnnx.ones_like(outputs)

    def forward() -> Any:
        with cnnx.no_grad():
            return function(*inputs)

    return forward, lambda: cnnx.autograd.grad(outputs, leaves, upstream, retain_graph=True)


def convolutions(batch: int) -> Iterator[tuple[str, Callable[[], list[Work]]]]:
    """Forward and both gradients for the shapes of the nets."""
    for inputs, outputs, kernel, padding, extent in SHAPES:

        def cases(
            i: int = inputs, o: int = outputs, k: int = kernel, p: int = padding, e: int = extent
        ) -> list[Work]:
            x, weight = random(batch, i, e, e), random(o, i, k, k)
            grad = cnnx.ones_like(F.conv2d(x, weight, padding=p))
            operations = 2.0 * grad.numel() * i * k * k
            traffic = 4.0 * (x.numel() + weight.numel() + grad.numel())
            return [(traffic, operations, call) for call in calls_of(x, weight, grad, padding=p)]

        yield f"conv {inputs}->{outputs} {kernel}x{kernel} p{padding} on {extent}", cases


def dense(batch: int) -> Iterator[tuple[str, Callable[[], list[Work]]]]:
    """Forward and both gradients of dense layers."""
    for inputs, outputs in ((784, 128), (784, 1024), (1024, 1024), (1024, 10)):

        def cases(i: int = inputs, o: int = outputs) -> list[Work]:
            x, weight, grad = random(batch, i), random(o, i), random(batch, o)
            leaf_x, leaf_w = x.detach().requires_grad_(), weight.detach().requires_grad_()
            of_x, of_w = F.linear(leaf_x, weight), F.linear(x, leaf_w)
            calls: list[Call] = [
                lambda: F.linear(x, weight),
                lambda: cnnx.autograd.grad(of_x, leaf_x, grad, retain_graph=True),
                lambda: cnnx.autograd.grad(of_w, leaf_w, grad, retain_graph=True),
            ]
            return [
                (4.0 * (x.numel() + weight.numel() + grad.numel()), 2.0 * batch * i * o, call)
                for call in calls
            ]

        yield f"linear {inputs}->{outputs}", cases


def streams(batch: int) -> Iterator[tuple[str, Callable[[], list[Work]]]]:
    """What only moves data: forward and backward, with the values that each reads and writes."""
    images = (batch, 32, 28, 28)
    n = float(batch * 32 * 28 * 28)
    quarter = n / 4

    # Made when a case runs: naming the cases asks nothing of the device.
    @cache
    def statistics() -> tuple[cnnx.Tensor, cnnx.Tensor]:
        return cnnx.zeros(32, device="cuda"), cnnx.ones(32, device="cuda")

    @cache
    def labels() -> cnnx.Tensor:
        return cnnx.randint(0, 10, (batch * 64,), device="cuda")

    functions: dict[str, tuple[Callable[..., Any], list[tuple[int, ...]], float, float]] = {
        "relu": (F.relu, [images], 2 * n, 3 * n),
        "tanh": (F.tanh, [images], 2 * n, 3 * n),
        "add": (lambda a, b: a + b, [images, images], 3 * n, 0),
        "add bias": (lambda a, b: a + b, [images, (1, 32, 1, 1)], 2 * n, n),
        "sum": (lambda x: x.sum(), [images], n, 0),  # the gradient is an expanded scalar
        "dropout": (lambda x: F.dropout(x, 0.5), [images], 2 * n, 2 * n),
        "max_pool2d": (lambda x: F.max_pool2d(x, 2), [images], n + quarter, n + quarter),
        "avg_pool2d": (lambda x: F.avg_pool2d(x, 2), [images], n + quarter, n + quarter),
        "batch_norm": (lambda x: F.batch_norm(x, *statistics(), training=True), [images], 2 * n, 3 * n),
        "cross_entropy": (
            lambda x: F.cross_entropy(x, labels()),
            [(batch * 64, 10)],
            640.0 * batch,
            1280.0 * batch,
        ),
    }
    for name, (function, shapes, forward, backward) in functions.items():

        def cases(
            function: Callable[..., Any] = function,
            shapes: list[tuple[int, ...]] = shapes,
            values: tuple[float, float] = (forward, backward),
        ) -> list[Work]:
            calls = forward_and_back(function, *(random(*shape) for shape in shapes))
            # The gradient of a sum of two is the gradient: nothing moves.
            return [(4 * count, 0.0, call) for count, call in zip(values, calls, strict=True) if count]

        yield name, cases


def optimizers(parameters: int) -> Iterator[tuple[str, Callable[[], list[Work]]]]:
    """A step over all parameters, with the values it reads and writes for each."""
    kinds: dict[str, tuple[Callable[..., Any], int]] = {
        "SGD": (lambda p: cnnx.optim.SGD(p, lr=1e-6), 3),
        "SGD momentum": (lambda p: cnnx.optim.SGD(p, lr=1e-6, momentum=0.9), 5),
        "Adam": (lambda p: cnnx.optim.Adam(p, lr=1e-6), 7),
        "Adadelta": (lambda p: cnnx.optim.Adadelta(p, lr=1e-6), 7),
    }
    for name, (make, values) in kinds.items():

        def cases(make: Callable[..., Any] = make, values: int = values) -> list[Work]:
            weight = cnnx.nn.Parameter(random(parameters))
            weight.grad = random(parameters)
            return [(4.0 * values * parameters, 0.0, make([weight]).step)]

        yield f"{name} step", cases


def loading(count: int) -> Iterator[tuple[str, Callable[[], list[Work]]]]:
    """A batch of uint8 images gathered, scaled and normalised."""

    def cases() -> list[Work]:
        transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))])
        images = cnnx.zeros(count, 28, 28, dtype=cnnx.uint8, device="cuda")
        labels = cnnx.zeros(count, dtype=cnnx.int64, device="cuda")
        loader = DataLoader(ImageDataset(images, labels, transform, None), batch_size=count)
        return [(count * (5.0 * 784 + 16 + 8), 0.0, lambda: next(iter(loader)))]

    yield "loading a batch", cases


def timed(setting: Setting, make: Callable[[], list[Work]]) -> Row:
    """Each pass's time, bytes and operations."""
    clock, _ = libraries(setting)
    passes = [
        {"ms": measured(clock, call, setting.smoke), "bytes": traffic, "operations": operations}
        for traffic, operations, call in make()
    ]
    names = ["forward", "input gradient", "weight gradient"] if len(passes) == 3 else ["forward", "backward"]
    row = dict(zip(names, passes, strict=False))
    return {"passes": row, "says": ", ".join(f"{name} {p['ms']:.4f} ms" for name, p in row.items())}


def cases(setting: Setting) -> dict[str, Case]:
    """The ceilings, and every kernel."""
    batch = setting.choose(3, 4096, 4096)
    families = [
        loading(64 * batch),
        streams(batch),
        optimizers(setting.choose(1000, 1 << 25, 1 << 25)),
        dense(4 * batch),
        convolutions(batch),
    ]
    found: dict[str, Case] = {"ceilings": partial(ceilings, setting)}
    for family in families:
        for name, make in islice(family, 2 if setting.smoke else None):
            found[name] = partial(timed, setting, make)
    return found


def show(results: Results) -> list[str]:
    """Every kernel's share of the ceilings."""
    top = results.of("kernels").get("ceilings", {"error": "not measured"})
    if "error" in top:
        return [f"no shares of the ceilings: {top['error']}"]
    rows = []
    for case, row in results.measured("kernels"):
        for name, p in row.get("passes", {}).items():
            shares = p["bytes"] / top["bytes_per_second"], p["operations"] / top["flops"]
            rows.append(
                [f"{case}, {name}", f"{p['ms']:.4f}", *(f"{1e5 * share / p['ms']:.0f}" for share in shares)]
            )
    title = f"shares of the ceilings: {top['says']}"
    return table(title, ["kernel", "ms", "memory %", "arithmetic %"], rows)


PART = Part("kernels", cases, show, show, seconds=60, timed=True)
