"""`cnnx eval`: how good a run is on the test images."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from cnnx import plot
from cnnx.cli import as_path
from cnnx.cli.figures import Figures
from cnnx.cli.mistakes import draw_mistakes, judge
from cnnx.cli.terminal import say, say_lines
from cnnx.cli.trained import Trained, output_folder
from cnnx.files import as_json, write_file
from cnnx.plot.confusion import most_confused
from cnnx.text import printable
from cnnx.training.metrics import Share

MISTAKES = 24
Array = np.ndarray[Any, Any]


def confusion(labels: Array, predicted: Array, classes: int) -> Array:
    """Counts (classes, classes): rows are true classes, columns predicted ones."""
    return np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)


def class_table(matrix: Array, classes: list[str]) -> str:
    """Precision, recall and number of images of each class; a dash where there is nothing to divide by."""
    right, found, true = np.diag(matrix), matrix.sum(0), matrix.sum(1)

    def share(part: int, whole: int) -> str:
        return f"{part / whole:9.4f}" if whole else f"{'-':>9}"

    classes = [printable(name) for name in classes]
    width = max(5, *map(len, classes))
    lines = [f"{'class':<{width}}  precision     recall     images"]
    for name, hits, guesses, count in zip(classes, right, found, true, strict=True):
        lines.append(f"{name:<{width}}  {share(hits, guesses)}  {share(hits, count)}  {count:>9,}")
    return "\n".join(lines)


def confused_lines(matrix: Array, classes: list[str]) -> list[str]:
    """The commonest mistakes, one in a line."""
    totals, names = matrix.sum(1), [printable(name) for name in classes]
    pairs = [
        (f"{names[row]} taken for {names[column]}", f"{count:,} of {totals[row]:,}")
        for count, row, column in most_confused(matrix)
    ]
    width = max((len(pair) for pair, _ in pairs), default=0)
    heads = ["most confused: ", *[" " * 15] * len(pairs)]
    return [f"{head}{pair:<{width}}  {amount}" for head, (pair, amount) in zip(heads, pairs, strict=False)]


def evaluate(options: argparse.Namespace) -> int:
    """The command `cnnx eval`; returns the exit code."""
    trained = Trained.open(options.run, options.trust)
    judged = judge(trained, options.data_dir, options.dataset)
    labels, predicted, probabilities = judged.labels, judged.predicted, judged.probabilities
    matrix = confusion(labels, predicted, len(trained.classes))
    likelihood = np.maximum(probabilities[np.arange(len(labels)), labels], 1e-12)
    say_lines(class_table(matrix, trained.classes))
    say()
    share, chance = Share(int((predicted == labels).sum()), len(labels)), matrix.sum(1).max() / len(labels)
    say(
        f"test accuracy {share}, chance {100 * chance:.2f} %, loss {-np.log(likelihood).mean():.4f}, "
        f"{len(labels):,} images"
    )
    for line in confused_lines(matrix, trained.classes):
        say(line)
    if options.json:
        results = {
            "run": str(trained.folder),
            "images": len(labels),
            "accuracy": share.value,
            "error": share.error,
            "chance": float(chance),
            "loss": float(-np.log(likelihood).mean()),
            "classes": trained.classes,
            "confusion": matrix.tolist(),
        }
        write_file(as_path(options.json), as_json(results))
    folder, figures = output_folder(options.out, trained), Figures()
    path = folder / "confusion.png"
    figures.draw("confusion matrix", path, plot.confusion_matrix, matrix, trained.classes)
    wrong = judged.wrong()
    if len(wrong) == 0:
        say("mistakes: none")
        return int(figures.failed)
    worst = wrong[:MISTAKES]
    draw_mistakes(figures, folder / "mistakes.png", judged, trained.classes, worst, len(wrong))
    return int(figures.failed)
