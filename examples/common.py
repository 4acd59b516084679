"""What the examples share: their options, MNIST, and the figures at the end.

A script holds all that makes its system: the model, the data, the settings and how it trains.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import cnnx
import cnnx.nn as nn
from cnnx import datasets, plot
from cnnx.cli.data import data_folder
from cnnx.datasets.images import ImageDataset
from cnnx.training import History
from cnnx.utils.data import DataLoader

if TYPE_CHECKING:
    from matplotlib.axes import Axes

QUICK_IMAGES = 320


def start(doc: str | None, epochs: int = 0, needs_mnist: bool = False) -> argparse.Namespace:
    """Read the command line, say what runs, seed the random numbers and make the folder for pictures.

    Parameters
    ----------
    doc
        The script's docstring: what it shows, then how it is called.
    epochs
        Those of the system; 0 if it trains nothing, and then there is no such option.
    needs_mnist
        Whether there are options for MNIST's folder.

    Returns
    -------
    Namespace
        epochs, device (a cnnx.device), seed, quick, out (a folder that exists), comparable (whether this is
        the run whose figures are expected), and, where MNIST is needed, data_dir and download.
    """
    script = Path(sys.argv[0]).stem
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    if epochs:
        parser.add_argument("--epochs", type=positive, help=f"passes over the data (default: {epochs})")
    parser.add_argument("--device", choices=["cpu", "cuda", "auto"], default="auto", help="default: auto")
    if needs_mnist:
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
    args.comparable = not epochs or (args.epochs == epochs and not args.quick)
    args.out = args.out or Path("runs/examples") / script
    args.out.mkdir(parents=True, exist_ok=True)
    cnnx.manual_seed(args.seed)
    print((doc or "").partition("\n    python ")[0].rstrip())
    print(f"\n--- device {args.device}, seed {args.seed}{', a quick run' * args.quick}", flush=True)
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


def accuracy(labels: cnnx.Tensor, classes: cnnx.Tensor) -> float:
    """The share of the images whose class is that of the label."""
    return int((labels == classes).sum()) / len(labels)


def confusion(labels: cnnx.Tensor, classes: cnnx.Tensor) -> cnnx.Tensor:
    """The confusion matrix (10, 10): how often the true class (row) was taken for another (column)."""
    return cnnx.bincount(10 * labels + classes, minlength=100).reshape(10, 10)


def draw_curves(history: History, path: Path, title: str, held_out: str = "validation") -> None:
    """The curves of a training by `cnnx.fit`; `held_out` is what its validation data are for."""
    panels = {
        quantity: {"train": parts["train"], held_out: parts["validation"]}
        for quantity, parts in history.curves().items()
    }
    plot.curves(panels, path, title=title)


def draw_numbers(axes: Axes, values: cnnx.Tensor, title: str, largest: float) -> None:
    """A small image (H, W), from black at 0 to white at `largest`, with its numbers written into it."""
    axes.imshow(values, cmap="gray", vmin=0, vmax=largest)
    axes.set(xticks=[], yticks=[])
    axes.set_title(title, fontsize=11)
    for (i, j), value in np.ndenumerate(values.numpy()):
        colour = "black" if value > 0.55 * largest else "white"
        axes.text(j, i, f"{value:.0f}", ha="center", va="center", fontsize=11, color=colour)


def seconds_of(history: History, train: DataLoader) -> list[float]:
    """How long each training pass of `cnnx.fit` took."""
    return [len(train.dataset) / pace for pace in history["samples_per_second"]]


def report(
    args: argparse.Namespace,
    figures: Sequence[tuple[str, float | str | None, float]],
    seconds: Sequence[float] = (),
) -> None:
    """Print what is expected beside the figures of this run, and write the latter to figures.json.

    Parameters
    ----------
    args
        What `start` returned.
    figures
        (name, what is expected, such as the text's figure, or None, the figure of this run).
    seconds
        Of the training passes, if there were any.
    """
    width = max(len(name) for name, _, _ in figures)
    columns = [(name, shown(expected), shown(own)) for name, expected, own in figures]
    alone = all(expected is None for _, expected, _ in figures)
    if alone:
        lines = [f"{name:{width}}  {own:>12}" for name, _, own in columns]
    else:
        heading = ("", "expected", "this run")
        lines = [f"{name:{width}}  {expected:>12}  {own:>12}" for name, expected, own in [heading, *columns]]
    print("", *lines, sep="\n")
    if args.quick:
        print("(a quick run shows that the script works: too short to learn, for figures and pictures alike)")
    elif not args.comparable and not alone:
        print("(another number of epochs: not comparable with what is expected)")
    print(f"pictures in {args.out}: {', '.join(sorted(path.name for path in args.out.glob('*.png')))}")
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
    if isinstance(value, str):
        return value
    return f"{value:.6g}" if value == 0 or abs(value) >= 1e-3 else f"{value:.1e}"
