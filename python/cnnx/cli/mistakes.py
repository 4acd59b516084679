"""What a run's net makes of the test images, and `cnnx mistakes`: those that it gets wrong."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cnnx import plot
from cnnx.cli import UsageError, as_path, nearest
from cnnx.cli.data import Images
from cnnx.cli.figures import Figures
from cnnx.cli.terminal import say, say_lines
from cnnx.cli.trained import Trained
from cnnx.datasets.images import ImageDataset
from cnnx.files import as_json, write_file
from cnnx.text import printable
from cnnx.training.metrics import Share

SHOWN = 20
DRAWN = 100  # at most: so many can still be looked at, and a picture of a million cannot be drawn
Array = np.ndarray[Any, Any]


class Judged(NamedTuple):
    """Test images, their classes and what the net takes them for (N,), and probabilities (N, classes)."""

    images: ImageDataset
    labels: Array
    predicted: Array
    probabilities: Array

    def wrong(self) -> Array:
        """The indices of the images that are mistaken, most confident first."""
        found = np.nonzero(self.predicted != self.labels)[0]
        return found[np.argsort(-self.probabilities[found].max(1), kind="stable")]

    def source(self, index: int) -> str | None:
        """Where an image is, a file or a line of one; None where only its index tells."""
        sources = self.images.sources if isinstance(self.images, Images) else None
        return None if sources is None else sources[index]


def judge(trained: Trained, data_dir: str | None, dataset: str | None) -> Judged:
    """What a run's net makes of the test images that the options --data-dir and --dataset name."""
    images = trained.test_images(data_dir, dataset)
    known = trained.labels(images)
    probabilities, found = trained.classify(images)
    labels = known[found]
    return Judged(images, labels, probabilities.argmax(1), probabilities)


def draw_mistakes(
    figures: Figures, path: Path, judged: Judged, classes: list[str], chosen: Array, total: int
) -> None:
    """Draws mistaken images, the most confident of so many, up to DRAWN."""
    asked, chosen = len(chosen), chosen[:DRAWN]
    data, names = judged.images.data.numpy(), [printable(name) for name in classes]
    titles = [
        f"{names[judged.labels[i]]} taken for {names[judged.predicted[i]]}\n"
        f"{judged.probabilities[i].max():.2f}"
        for i in chosen
    ]
    heading = f"the {len(chosen)} most confident of {total:,} mistakes, and their probabilities"
    if len(chosen) < asked:
        heading += f" (a picture has {DRAWN} at most)"
    elif len(chosen) == total:
        heading = "the only mistake" if total == 1 else f"all {total} mistakes"
    figures.draw("mistakes", path, plot.images, [data[i] for i in chosen], titles, title=heading)


def mistakes(options: argparse.Namespace) -> int:
    """The command `cnnx mistakes`; returns the exit code."""
    trained, only = Trained.open(options.run, options.trust), options.of_class
    if only is not None and only not in trained.classes:
        there = nearest(only, trained.classes) or f" (classes are {', '.join(trained.classes)})"
        raise UsageError(f"--class {only}: the run knows no such class{there}")
    judged = judge(trained, options.data_dir, options.dataset)
    wrong, total, of_class = judged.wrong(), len(judged.labels), ""
    if only is not None:
        label = trained.classes.index(only)
        wrong, total = wrong[judged.labels[wrong] == label], int((judged.labels == label).sum())
        of_class = f" of {printable(only)}"
    chosen = wrong[: options.count or SHOWN]
    found = [
        {
            "index": int(i),
            "true": trained.classes[judged.labels[i]],
            "predicted": trained.classes[judged.predicted[i]],
            "probability": float(judged.probabilities[i].max()),
            "file": judged.source(i),
        }
        for i in chosen
    ]
    if found:
        say_lines(_table(found))
        say()
    if total == 0:
        say(f"there are no test images{of_class}")
    else:
        shown = f", {len(found):,} shown" if len(found) < len(wrong) else ""
        share = Share(len(wrong), total)
        say(f"{len(wrong):,} of {total:,} test images{of_class} are mistaken, {share}{shown}")
    if options.json:
        results = {"run": str(trained.folder), "images": total, "wrong": len(wrong), "mistakes": found}
        write_file(as_path(options.json), as_json(results))
    figures = Figures(links=True)
    if options.out and found:
        draw_mistakes(figures, as_path(options.out), judged, trained.classes, chosen, len(wrong))
    elif options.out:
        say(f"{options.out}: not drawn: there are no mistakes")
    return int(figures.failed)


def _table(found: list[dict[str, Any]]) -> str:
    """A line for each mistake; the column of files only where there are some."""
    columns = [name for name in found[0] if found[0][name] is not None]
    heads = {"predicted": "taken for"}

    def cell(name: str, value: Any) -> str:
        return f"{value:.4f}" if name == "probability" else printable(str(value))

    lines = [[heads.get(name, name) for name in columns]]
    lines += [[cell(name, row[name]) for name in columns] for row in found]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    numbers = [name in ("index", "probability") for name in columns]
    return "\n".join(
        "  ".join(
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(line, widths, numbers, strict=True)
        ).rstrip()
        for line in lines
    )
