"""A net on MNIST with cnnx and with PyTorch, from the same weights on the same batches.

What is left between the two test accuracies is rounding, which training amplifies; what the draw of weights
and orders does shows between the seeds.

    python benchmarks/same_start.py --data-dir path/to/mnist --net lenet5 --seeds 0 1 2
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from nets import NETS

import cnnx
from cnnx import datasets
from cnnx.cli.data import data_folder

BATCH = 64


class Setting(NamedTuple):
    """How a system of examples/ trains: passes, what is subtracted and divided by, the optimizer."""

    epochs: int
    mean: float
    std: float
    optimizer: Callable[[Any, Any], Any]


SETTINGS = {
    "lenet5": Setting(5, 0.0, 1.0, lambda lib, weights: lib.optim.Adam(weights, lr=0.001)),
    "s10": Setting(10, 0.5, 0.5, lambda lib, weights: lib.optim.SGD(weights, lr=0.003, momentum=0.9)),
}


def train(
    lib: Any, net: str, weights: dict[str, np.ndarray], orders: list[np.ndarray], data: list[np.ndarray]
) -> tuple[float, float]:
    """The first batch's loss and, after a pass for each order, the test accuracy."""
    x, y, x_test, y_test = (lib.from_numpy(array) for array in data)
    model = NETS[net].build(lib.nn)
    model.load_state_dict({name: lib.from_numpy(array.copy()) for name, array in weights.items()})
    optimizer = SETTINGS[net].optimizer(lib, model.parameters())
    first = None
    for order in orders:
        for start in range(0, len(order), BATCH):
            batch = lib.from_numpy(order[start : start + BATCH])
            optimizer.zero_grad()
            loss = lib.nn.functional.cross_entropy(model(x[batch]), y[batch])
            loss.backward()
            optimizer.step()
            first = loss.item() if first is None else first
    with lib.no_grad():
        parts = [
            model(x_test[i : i + 500]).argmax(1) == y_test[i : i + 500] for i in range(0, len(y_test), 500)
        ]
    return first, sum(part.sum().item() for part in parts) / len(y_test)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", help="the folder with MNIST (default: as cnnx train)")
    parser.add_argument("--net", choices=SETTINGS, default="lenet5")
    parser.add_argument("--epochs", type=int, help="passes (default: those of the system)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--images", type=int, default=60_000, help="how many train (default: all)")
    args = parser.parse_args()
    setting = SETTINGS[args.net]
    data = []
    for part in (True, False):
        images = datasets.MNIST(data_folder(args.data_dir), train=part)
        pixels = images.data.numpy()[:, None].astype(np.float32) / 255
        data += [(pixels - np.float32(setting.mean)) / np.float32(setting.std), images.targets.numpy().copy()]
    data[:2] = data[0][: args.images], data[1][: args.images]

    accuracies: dict[str, list[float]] = {"cnnx": [], "PyTorch": []}
    for seed in args.seeds:
        torch.manual_seed(seed)
        state = NETS[args.net].build(torch.nn).state_dict()
        weights = {name: value.numpy().copy() for name, value in state.items()}
        orders = [torch.randperm(len(data[0])).numpy() for _ in range(args.epochs or setting.epochs)]
        for name, lib in (("cnnx", cnnx), ("PyTorch", torch)):
            first, accuracy = train(lib, args.net, weights, orders, data)
            accuracies[name].append(accuracy)
            print(f"seed {seed}  {name:8} first loss {first:.6f}  test accuracy {accuracy:.4f}", flush=True)
    for name, values in accuracies.items():
        print(f"{name:8} mean {np.mean(values):.4f}, from {min(values):.4f} to {max(values):.4f}")


if __name__ == "__main__":
    main()
