"""Whole epochs end to end: shuffling, gathering, scaling, the step, and a read of the loss at the end."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from nets import NETS, Net
from torch.utils.data import DataLoader as TorchLoader
from torch.utils.data import TensorDataset as TorchDataset

import cnnx
import cnnx.nn
import cnnx.nn.functional
import cnnx.optim
from cnnx import datasets, transforms
from cnnx.cli.data import data_folder
from cnnx.datasets.images import ImageDataset
from cnnx.utils.data import DataLoader
from gpu.steps import torch_model, weights_of
from gpu.store import Part, Row, Setting, table

MEAN, STD = 0.1307, 0.3081
Batches = Callable[[], Iterator[tuple[Any, Any]]]


def images_of(setting: Setting) -> tuple[np.ndarray, np.ndarray, str]:
    """Images (N, 28, 28) of uint8, labels of int64, and where they come from."""
    if setting.data_dir is not None:
        mnist = datasets.MNIST(data_folder(setting.data_dir, "mnist"), train=True)
        return mnist.data.numpy(), mnist.targets.numpy(), "MNIST"
    rng, count = np.random.default_rng(0), 100 if setting.smoke else 60000
    return rng.integers(0, 256, (count, 28, 28), dtype=np.uint8), rng.integers(0, 10, count), "generated"


def cnnx_batches(images: np.ndarray, labels: np.ndarray, batch: int, where: str) -> Batches:
    """Batches of cnnx's loader from uint8 images that lie on the device or on the host."""
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((MEAN,), (STD,))])
    data = ImageDataset(
        cnnx.tensor(images, device="cpu"), cnnx.tensor(labels, device="cpu"), transform, None
    ).to(where)
    loader = DataLoader(data, batch_size=batch, shuffle=True)
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
            return ((x[chosen], y[chosen]) for chosen in order.split(batch))

        return gathered
    pinned = device != "cpu"
    loader = TorchLoader(TorchDataset(x, y), batch_size=batch, shuffle=True, pin_memory=pinned)
    return lambda: ((a.to(device, non_blocking=True), b.to(device, non_blocking=True)) for a, b in loader)


def epoch_of(library: Any, net: Net, model: Any, batches: Batches) -> Callable[[], float]:
    """A pass over the data, as a function that returns the mean of the batches' losses, read once."""
    optimizer = net.optimizer(library.optim, model.parameters())

    def run() -> float:
        total, steps = None, 0
        for x, y in batches():
            optimizer.zero_grad()
            loss = library.nn.functional.cross_entropy(model(x.flatten(1) if net.flat else x), y)
            loss.backward()
            optimizer.step()
            total = loss.detach() if total is None else total + loss.detach()
            steps += 1
        return float(total.item()) / steps

    return run


def case(setting: Setting, net: Net, batch: int) -> Row:
    """Images a second of every way to feed one net."""
    images, labels, source = images_of(setting)
    weights, device = weights_of(net), setting.torch_device
    ways: dict[str, Callable[[], float]] = {}
    for where, name in (("cuda", "device"), ("cpu", "host")):
        model = net.build(cnnx.nn).to("cuda")
        model.load_state_dict({key: cnnx.tensor(values) for key, values in weights.items()})
        batches = cnnx_batches(images, labels, batch, where)
        ways[f"cnnx, data on the {name}"] = epoch_of(cnnx, net, model, batches)
        other = torch_batches(images, labels, batch, name == "device", device)
        ways[f"torch, data on the {name}"] = epoch_of(torch, net, torch_model(net, weights, device), other)
    row: Row = {"source": source, "images": len(images)}
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(2 if setting.smoke else 4):
        for name, way in ways.items():
            start = time.perf_counter()
            loss = way()  # ends with a read, so the device is done
            if number:  # the first warms up
                times[name].append(time.perf_counter() - start)
            row.setdefault(name, {"losses": []})["losses"].append(loss)
    for name, seconds in times.items():
        row[name]["images_per_second"] = round(len(images) / statistics.median(seconds), 1)
    row["says"] = ", ".join(f"{name} {row[name]['images_per_second']:,.0f}/s" for name in ways)
    return row


def epoch(part: Part) -> None:
    """Four nets with data."""
    cases = [("lenet5", 64), ("lenet5", 128), ("lenet5", 1024), ("s10", 64), ("s6", 128), ("s11", 64)]
    for net, batch in [("s10", 32)] if part.setting.smoke else cases:
        part.run(f"{net} {batch}", lambda net=net, batch=batch: case(part.setting, NETS[net], batch))
    names = [f"{lib}, data on the {where}" for where in ("device", "host") for lib in ("cnnx", "torch")]
    table(
        "images a second over whole epochs, medians",
        ["net, batch", *names],
        [[c, *(f"{row[name]['images_per_second']:,.0f}" for name in names)] for c, row in part.measured()],
    )
