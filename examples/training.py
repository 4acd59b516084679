"""What the MNIST examples share: arguments, an epoch of training, an evaluation, runs over several seeds."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import cnnx
import cnnx.nn as nn
import cnnx.nn.functional as F
import cnnx.optim as optim
from cnnx.utils.data import DataLoader


def arguments(description: str, epochs: int) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data-dir", default="data", help="folder with the MNIST files")
    parser.add_argument("--epochs", type=int, default=epochs)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="one run for each")
    return parser.parse_args()


def train_epoch(model: nn.Module, loader: DataLoader, optimizer: optim.Optimizer) -> tuple[float, float]:
    """Mean loss and accuracy of one pass with updates."""
    model.train()
    total_loss, correct, count = 0.0, 0, 0
    for x, y in loader:
        optimizer.zero_grad()
        output = model(x)
        loss = F.cross_entropy(output, y)
        loss.backward()
        optimizer.step()
        total_loss += loss.item() * len(y)
        correct += int((output.argmax(1) == y).sum().item())
        count += len(y)
    return total_loss / count, correct / count


def evaluate(model: nn.Module, loader: DataLoader) -> float:
    """Accuracy in eval mode."""
    model.eval()
    correct, count = 0, 0
    with cnnx.no_grad():
        for x, y in loader:
            correct += int((model(x).argmax(1) == y).sum().item())
            count += len(y)
    return correct / count


def run_seeds(
    seeds: list[int],
    epochs: int,
    build: Callable[[], nn.Module],
    train: DataLoader,
    splits: dict[str, DataLoader],
) -> None:
    """Trains with Adam (lr 0.001) once for each seed; prints every epoch, then the mean and the spread."""
    finals: list[float] = []
    for seed in seeds:
        cnnx.manual_seed(seed)
        model = build()
        optimizer = optim.Adam(model.parameters(), lr=0.001)
        for epoch in range(1, epochs + 1):
            start = time.perf_counter()
            loss, train_accuracy = train_epoch(model, train, optimizer)
            seconds = time.perf_counter() - start
            scores = {name: evaluate(model, loader) for name, loader in splits.items()}
            print(
                f"seed {seed}  epoch {epoch:2}  loss {loss:.4f}  train {train_accuracy:.4f}  "
                + "  ".join(f"{name} {score:.4f}" for name, score in scores.items())
                + f"  {seconds:.1f} s",
                flush=True,
            )
        finals.append(scores["test"])
    print(f"test accuracy: mean {sum(finals) / len(finals):.4f}, from {min(finals):.4f} to {max(finals):.4f}")
