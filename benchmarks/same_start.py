"""A net on MNIST with cnnx and with PyTorch, from the same weights on the same batches.

What is left between the two test accuracies is rounding, which training amplifies; what the draw of weights
and orders does shows between the seeds.

    python benchmarks/same_start.py --data-dir path/to/mnist --net lenet5 --seeds 0 1 2
    python benchmarks/same_start.py --data-dir path/to/mnist --net s10 --seeds 0 1 2 3 4 5 6 7 8 9 \
        --json benchmarks/results/same_start.json

The file of --json keeps the figures of all nets; `examples/results.py` judges S10 and LeNet-5 by them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

import cnnx
from cnnx import _C, datasets
from cnnx.bench.nets import NETS
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
) -> dict[str, float]:
    """The losses of the first batch, the first pass and the last pass, and the test accuracy after it."""
    x, y, x_test, y_test = (lib.from_numpy(array) for array in data)
    model = NETS[net].build(lib.nn)
    model.load_state_dict({name: lib.from_numpy(array.copy()) for name, array in weights.items()})
    optimizer = SETTINGS[net].optimizer(lib, model.parameters())
    losses = []
    for order in orders:
        losses.append([])
        for start in range(0, len(order), BATCH):
            batch = lib.from_numpy(order[start : start + BATCH])
            optimizer.zero_grad()
            loss = lib.nn.functional.cross_entropy(model(x[batch]), y[batch])
            loss.backward()
            optimizer.step()
            losses[-1].append(loss.item())
    with lib.no_grad():
        parts = [
            model(x_test[i : i + 500]).argmax(1) == y_test[i : i + 500] for i in range(0, len(y_test), 500)
        ]
    return {
        "first batch's loss": losses[0][0],
        "mean loss, epoch 1": float(np.mean(losses[0])),
        "mean loss, last epoch": float(np.mean(losses[-1])),
        "test accuracy": sum(part.sum().item() for part in parts) / len(y_test),
    }


def keep(path: Path, net: str, content: dict[str, Any]) -> None:
    """Put a net's figures into the file, beside those of other nets."""
    kept = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(dict(sorted((kept | {net: content}).items())), indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", help="the folder with MNIST (default: as cnnx train)")
    parser.add_argument("--net", choices=SETTINGS, default="lenet5")
    parser.add_argument("--epochs", type=int, help="passes (default: those of the system)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--images", type=int, default=60_000, help="how many train (default: all)")
    parser.add_argument("--json", type=Path, help="a file to keep the figures in")
    args = parser.parse_args()
    setting = SETTINGS[args.net]
    data = []
    for part in (True, False):
        images = datasets.MNIST(data_folder(args.data_dir), train=part)
        pixels = images.data.numpy()[:, None].astype(np.float32) / 255
        data += [(pixels - np.float32(setting.mean)) / np.float32(setting.std), images.targets.numpy().copy()]
    data[:2] = data[0][: args.images], data[1][: args.images]

    epochs = args.epochs or setting.epochs
    runs: dict[str, list[dict[str, float]]] = {"cnnx": [], "PyTorch": []}
    for seed in args.seeds:
        torch.manual_seed(seed)
        state = NETS[args.net].build(torch.nn).state_dict()
        weights = {name: value.numpy().copy() for name, value in state.items()}
        orders = [torch.randperm(len(data[0])).numpy() for _ in range(epochs)]
        for name, lib in (("cnnx", cnnx), ("PyTorch", torch)):
            figures = train(lib, args.net, weights, orders, data)
            runs[name].append(figures)
            text = "  ".join(
                f"{what} {value:.4f}" if what == "test accuracy" else f"{what} {value:.6f}"
                for what, value in figures.items()
            )
            print(f"seed {seed}  {name:8} {text}", flush=True)
    for name, figures in runs.items():
        values = [run["test accuracy"] for run in figures]
        print(f"{name:8} mean {np.mean(values):.4f}, from {min(values):.4f} to {max(values):.4f}")
    if args.json:
        about = {"cnnx": cnnx.__version__, "target": _C.active_target(), "PyTorch": torch.__version__}
        setup = {"epochs": epochs, "images": len(data[0]), "seeds": args.seeds}
        keep(args.json, args.net, {"versions": about, **setup, "figures": runs})


if __name__ == "__main__":
    main()
