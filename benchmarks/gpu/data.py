"""Whole epochs end to end: shuffling, gathering, scaling, the step, and a read of the loss at the end."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader as TorchLoader
from torch.utils.data import TensorDataset as TorchDataset

import cnnx
import cnnx.nn
import cnnx.nn.functional
import cnnx.optim
from cnnx import datasets, transforms
from cnnx.bench.nets import NETS, Net
from cnnx.datasets.images import ImageDataset
from cnnx.utils.data import DataLoader
from gpu.runner import Part
from gpu.steps import Step, capture_cnnx, capture_torch, torch_model, torch_optimizer, weights_of
from gpu.store import Case, Results, Row, Setting, table

MEAN, STD = 0.1307, 0.3081
Batches = Callable[[], Iterator[tuple[Any, Any]]]
# Name, where the data lie, and whether a step is captured.
WAYS = [("device", "cuda", False), ("device, graph", "cuda", True), ("host", "cpu", False)]


def images_of(setting: Setting) -> tuple[np.ndarray, np.ndarray, str]:
    """Images (N, 28, 28) of uint8, labels of int64, and where they come from."""
    count = 100 if setting.smoke else 60000
    if setting.data_dir is not None:
        mnist = datasets.MNIST(setting.data_dir, train=True)
        return mnist.data.numpy()[:count], mnist.targets.numpy()[:count], "MNIST"
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (count, 28, 28), dtype=np.uint8), rng.integers(0, 10, count), "generated"


def cnnx_batches(images: np.ndarray, labels: np.ndarray, batch: int, where: str) -> Batches:
    """Batches of cnnx's loader from uint8 images that lie on the device or on the host."""
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((MEAN,), (STD,))])
    data = ImageDataset(
        cnnx.tensor(images, device="cpu"), cnnx.tensor(labels, device="cpu"), transform, None
    ).to(where)
    loader = DataLoader(data, batch_size=batch, shuffle=True, drop_last=True)
    return lambda: ((x.to("cuda"), y.to("cuda")) for x, y in loader)


def torch_batches(
    images: np.ndarray, labels: np.ndarray, batch: int, on_device: bool, device: str
) -> Batches:
    """Batches of PyTorch: by index from normalised images on the device, or of its loader on the host."""
    x = ((torch.from_numpy(images).float() / 255 - MEAN) / STD).unsqueeze(1)
    y = torch.from_numpy(labels)
    if on_device:
        x, y = x.to(device), y.to(device)

        def gathered() -> Iterator[tuple[Any, Any]]:
            order = torch.randperm(len(x), device=device)
            return ((x[chosen], y[chosen]) for chosen in order.split(batch) if len(chosen) == batch)

        return gathered
    pinned = device != "cpu"
    loader = TorchLoader(
        TorchDataset(x, y), batch_size=batch, shuffle=True, drop_last=True, pin_memory=pinned
    )
    return lambda: ((a.to(device, non_blocking=True), b.to(device, non_blocking=True)) for a, b in loader)


def epoch_of(
    library: Any,
    net: Net,
    model: Any,
    optimizer: Any,
    batches: Batches,
    capture: Callable[[Step], Step] | None = None,
) -> Callable[[], float]:
    """A pass over the data, as a function that returns the mean of the batches' losses, read once.

    `capture` makes a graph of a step, which then takes every batch from the same memory.
    """
    x, y = (tensor.clone() for tensor in next(batches()))
    total = library.zeros_like(x[:1].sum())

    def step(x: Any = x, y: Any = y) -> None:
        optimizer.zero_grad()
        loss = library.nn.functional.cross_entropy(model(x.flatten(1) if net.flat else x), y)
        loss.backward()
        optimizer.step()
        total.add_(loss.detach())

    replay = None if capture is None else capture(step)

    def run() -> float:
        total.zero_()
        steps = 0
        for images, labels in batches():
            if replay is None:
                step(images, labels)
            else:
                x.copy_(images)
                y.copy_(labels)
                replay()
            steps += 1
        return float(total.item()) / steps

    return run


def fed(setting: Setting, net: Net, batch: int) -> Row:
    """Images a second of every way to feed one net."""
    images, labels, source = images_of(setting)
    weights, device = weights_of(net), setting.torch_device
    ways: dict[str, Callable[[], float]] = {}
    for name, where, graph in WAYS:
        feed = cnnx_batches(images, labels, batch, where)
        model = net.build(cnnx.nn).to("cuda")
        model.load_state_dict({key: cnnx.tensor(values) for key, values in weights.items()})
        optimizer = net.optimizer(cnnx.optim, model.parameters())
        ways[f"cnnx {name}"] = epoch_of(cnnx, net, model, optimizer, feed, capture_cnnx if graph else None)
        if graph and setting.smoke:
            continue  # PyTorch has graphs on a GPU alone
        feed = torch_batches(images, labels, batch, where == "cuda", device)
        other = torch_model(net, weights, device)
        optimizer = torch_optimizer(net, other, graph)
        ways[f"torch {name}"] = epoch_of(torch, net, other, optimizer, feed, capture_torch if graph else None)
    trained = len(images) // batch * batch  # full batches alone, which is what a graph takes
    row: Row = {"source": source, "images": trained}
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(2 if setting.smoke else 4):
        for name, way in ways.items():
            start = time.perf_counter()
            loss = way()  # ends with a read, so the device is done
            if number:  # the first warms up
                times[name].append(time.perf_counter() - start)
            row.setdefault(name, {"losses": []})["losses"].append(loss)
    for name, seconds in times.items():
        row[name]["images_per_second"] = round(trained / statistics.median(seconds), 1)
    row["says"] = ", ".join(f"{name} {row[name]['images_per_second']:,.0f}/s" for name in ways)
    return row


def cases(setting: Setting) -> dict[str, Case]:
    """Four nets with data."""
    some = [("lenet5", 64), ("lenet5", 128), ("lenet5", 1024), ("s10", 64), ("s6", 128), ("s11", 64)]
    return {
        f"{net} {batch}": partial(fed, setting, NETS[net], batch)
        for net, batch in setting.choose([("s10", 32)], some[:1], some)
    }


def show(results: Results) -> list[str]:
    """Images a second."""
    names = [f"{library} {name}" for name, _, _ in WAYS for library in ("cnnx", "torch")]

    def rate(row: Row, name: str) -> str:
        return f"{row[name]['images_per_second']:,.0f}" if name in row else "-"

    return table(
        "images a second over whole epochs, medians; by where the data lie",
        ["net, batch", *names],
        [[name, *(rate(row, way) for way in names)] for name, row in results.measured("epoch")],
    )


PART = Part("epoch", cases, show, show, seconds=240, timed=True)
