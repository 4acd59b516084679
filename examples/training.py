"""What the examples share: their options, MNIST, a pass of training, an evaluation, the figures at the end.

A script holds what makes its system: the model, the data and the settings.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import cnnx
import cnnx.nn as nn
import cnnx.optim as optim
from cnnx import datasets
from cnnx.cli.data import data_folder
from cnnx.datasets.images import ImageDataset
from cnnx.utils.data import DataLoader

Loss = Callable[[cnnx.Tensor, cnnx.Tensor], cnnx.Tensor]

QUICK_IMAGES = 320


def start(doc: str | None, epochs: int = 0) -> argparse.Namespace:
    """Read the command line, print what runs, seed the random numbers and make the folder for pictures.

    Parameters
    ----------
    doc
        The script's docstring.
    epochs
        Those of the system; 0 if it trains nothing, and then there is no such option.

    Returns
    -------
    Namespace
        epochs, device (a cnnx.device), data_dir, download, seed, quick, out (a folder that exists).
    """
    script = Path(sys.argv[0]).stem
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    if epochs:
        parser.add_argument("--epochs", type=positive, help=f"passes over the data (default: {epochs})")
    parser.add_argument("--device", choices=["cpu", "cuda", "auto"], default="auto", help="default: auto")
    parser.add_argument(
        "--data-dir", help="the folder with MNIST (default: CNNX_DATA_DIR or the user's cache)"
    )
    parser.add_argument(
        "--download", action="store_true", help="fetch MNIST into that folder if it is not there"
    )
    parser.add_argument("--seed", type=int, default=0, help="of all random numbers (default: 0)")
    parser.add_argument("--quick", action="store_true", help="a short run on little data that needs no MNIST")
    parser.add_argument("--out", type=Path, help=f"folder for pictures (default: runs/examples/{script})")
    args = parser.parse_args()
    if importlib.util.find_spec("matplotlib") is None:
        parser.error("the pictures need matplotlib: pip install matplotlib")
    if epochs and args.epochs is None:
        args.epochs = 2 if args.quick else epochs
    if args.device == "auto":
        args.device = "cuda" if cnnx.cuda.is_available() else "cpu"
    if args.device == "cuda" and not cnnx.cuda.is_available():
        parser.error("--device cuda: no CUDA device, or a build of cnnx without CUDA (see cnnx info)")
    args.device = cnnx.device(args.device)
    args.out = args.out or Path("runs/examples") / script
    args.out.mkdir(parents=True, exist_ok=True)
    cnnx.manual_seed(args.seed)
    print((doc or "").splitlines()[0], flush=True)
    return args


def positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not positive")
    return value


def mnist(
    args: argparse.Namespace, train: bool, transform: Callable[[Any], Any] | None = None
) -> ImageDataset:
    """MNIST's training or test images on args.device; with --quick a few 8x8 digits, enlarged to 28x28."""
    if args.quick:
        return enlarged_digits(train, transform).to(args.device)
    folder = data_folder(args.data_dir)
    try:
        images = datasets.MNIST(folder, train=train, transform=transform, download=args.download)
    except RuntimeError as error:
        if args.download:
            raise
        sys.exit(
            f"{error}\n--data-dir names the folder with the files, --download fetches them, "
            "--quick does without them"
        )
    return images.to(args.device)


def enlarged_digits(train: bool, transform: Callable[[Any], Any] | None) -> ImageDataset:
    digits = datasets.Digits(train=train)
    pixels = digits.data.numpy()[:QUICK_IMAGES].astype(np.float32) * (255 / 16)
    pixels = np.pad(pixels.repeat(3, axis=1).repeat(3, axis=2), ((0, 0), (2, 2), (2, 2)))
    data = cnnx.from_numpy(pixels.astype(np.uint8))
    return ImageDataset(data, digits.targets[:QUICK_IMAGES], transform, None)


@dataclass
class History:
    """Loss and accuracy per pass, of the images trained on and of those held out; seconds of training.

    `held_out` is what the latter are for: `validation` or `test`.
    """

    held_out: str = "validation"
    loss: dict[str, list[float]] = field(default_factory=dict)
    accuracy: dict[str, list[float]] = field(default_factory=dict)
    last_batch_loss: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def add(self, train: tuple[float, float], held_out: tuple[float, float], seconds: float) -> None:
        """Append a pass, given (loss, accuracy) twice and the seconds of training, and print it."""
        for part, (loss, accuracy) in {"train": train, self.held_out: held_out}.items():
            self.loss.setdefault(part, []).append(loss)
            self.accuracy.setdefault(part, []).append(accuracy)
        self.seconds.append(seconds)
        print(
            f"epoch {len(self.seconds):2}  train: loss {train[0]:.4f}, accuracy {train[1]:.4f}  "
            f"{self.held_out}: loss {held_out[0]:.4f}, accuracy {held_out[1]:.4f}  {seconds:.1f} s",
            flush=True,
        )

    def curves(self) -> dict[str, dict[str, list[float]]]:
        """What cnnx.plot.curves draws."""
        return {"loss": self.loss, "accuracy": self.accuracy}


def fit(
    args: argparse.Namespace,
    model: nn.Module,
    loss_function: Loss,
    optimizer: optim.Optimizer,
    train: DataLoader,
    held_out: DataLoader,
    name: str = "validation",
) -> History:
    """Train for args.epochs passes; after each, evaluate on the images held out and print a line."""
    history = History(name)
    model.to(args.device)
    step = training_step(model, loss_function, optimizer)
    if args.device.type == "cpu":
        step = cnnx.compile(step, static=True)  # the same bits, without Python between the layers
    for _ in range(args.epochs):
        begin = time.perf_counter()
        model.train()
        *trained, last_batch_loss = train_epoch(args, step, train)
        seconds = time.perf_counter() - begin
        history.last_batch_loss.append(last_batch_loss)
        history.add((trained[0], trained[1]), evaluate(args, model, loss_function, held_out), seconds)
    return history


Step = Callable[[cnnx.Tensor, cnnx.Tensor], tuple[cnnx.Tensor, cnnx.Tensor]]


def training_step(model: nn.Module, loss_function: Loss, optimizer: optim.Optimizer) -> Step:
    """What updates a model by a batch, and gives its loss and how many images were classified right."""

    def step(images: cnnx.Tensor, labels: cnnx.Tensor) -> tuple[cnnx.Tensor, cnnx.Tensor]:
        optimizer.zero_grad()
        output = model(images)
        loss = loss_function(output, labels)
        loss.backward()
        optimizer.step()
        return loss, (output.argmax(dim=1) == labels).sum()

    return step


def train_epoch(args: argparse.Namespace, step: Step, loader: DataLoader) -> tuple[float, float, float]:
    """Mean loss and accuracy of one pass with updates, and the loss of its last batch."""
    total, hits, count = 0.0, 0, 0
    for images, labels in loader:
        images, labels = images.to(args.device), labels.to(args.device)
        loss, right = step(images, labels)
        last = loss.item()
        total += last * len(labels)
        hits += int(right.item())
        count += len(labels)
    return total / count, hits / count, last


def evaluate(
    args: argparse.Namespace, model: nn.Module, loss_function: Loss, loader: DataLoader
) -> tuple[float, float]:
    """Mean loss and accuracy in eval mode."""
    model.eval()
    total, hits, count = 0.0, 0, 0
    with cnnx.no_grad():
        for images, labels in loader:
            images, labels = images.to(args.device), labels.to(args.device)
            output = model(images)
            total += loss_function(output, labels).item() * len(labels)
            hits += int((output.argmax(dim=1) == labels).sum().item())
            count += len(labels)
    return total / count, hits / count


def predict(
    args: argparse.Namespace, model: nn.Module, loader: DataLoader
) -> tuple[cnnx.Tensor, cnnx.Tensor]:
    """The labels of all images, and the classes that the model gives them in eval mode."""
    model.eval()
    with cnnx.no_grad():
        pairs = [
            (labels.cpu(), model(images.to(args.device)).argmax(dim=1).cpu()) for images, labels in loader
        ]
    return cnnx.cat([labels for labels, _ in pairs]), cnnx.cat([classes for _, classes in pairs])


def confusion(labels: cnnx.Tensor, classes: cnnx.Tensor) -> np.ndarray[Any, Any]:
    """The confusion matrix (10, 10): how often the true class (row) was taken for another (column)."""
    matrix = np.zeros((10, 10), dtype=np.int64)
    np.add.at(matrix, (labels.numpy(), classes.numpy()), 1)
    return matrix


def report(
    args: argparse.Namespace,
    figures: Sequence[tuple[str, float | str | None, float]],
    seconds: Sequence[float] = (),
) -> None:
    """Print the text's figures beside those of this run, and write the latter to figures.json.

    Parameters
    ----------
    args
        What `start` returned.
    figures
        (name, the text's figure or None, the figure of this run).
    seconds
        Of the training passes, if there were any.
    """
    width = max(len(name) for name, _, _ in figures)
    print(f"\n{'':{width}}  {'the text':>12}  {'this run':>12}")
    for name, text, own in figures:
        print(f"{name:{width}}  {shown(text):>12}  {shown(own):>12}")
    if args.quick and seconds:
        print("(--quick: a short run on little data, not comparable)")
    print(
        f"in {args.out}: {', '.join(sorted(path.name for path in args.out.glob('*.png'))) or 'no pictures'}"
    )
    content = {
        "epochs": getattr(args, "epochs", 0),
        "seed": args.seed,
        "device": str(args.device),
        "quick": args.quick,
        "figures": {name: own for name, _, own in figures},
        "seconds": list(seconds),
    }
    (args.out / "figures.json").write_text(json.dumps(content, indent=1) + "\n")


def shown(value: float | str | None) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else f"{value:.6g}"
