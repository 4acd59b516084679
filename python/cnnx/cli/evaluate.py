"""`cnnx eval`: how good a run is on the test images."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from cnnx import plot
from cnnx.cli import UsageError, as_path
from cnnx.cli.data import NAMED, class_names
from cnnx.cli.figures import Figures
from cnnx.cli.terminal import say, say_lines
from cnnx.cli.trained import Trained, output_folder
from cnnx.files import as_json, write_file
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


def evaluate(options: argparse.Namespace) -> int:
    """The command `cnnx eval`; returns the exit code."""
    trained = Trained.open(options.run, options.trust)
    dataset = options.dataset
    if dataset is not None and dataset not in NAMED:
        if not as_path(dataset).is_dir():
            raise UsageError(f"--dataset {dataset}: neither {' nor '.join(NAMED)}, and no such folder")
        dataset = str(as_path(dataset).resolve())
    images = trained.test_images(options.data_dir, dataset)
    classes = class_names(images)
    if unknown := [name for name in classes if name not in trained.classes]:
        raise UsageError(
            f"the data set has a class {unknown[0]!r}, the run knows {', '.join(trained.classes)}"
        )
    probabilities, labels = trained.classify(images)
    labels = np.array([trained.classes.index(name) for name in classes])[labels]
    predicted = probabilities.argmax(1)
    matrix = confusion(labels, predicted, len(trained.classes))
    likelihood = np.maximum(probabilities[np.arange(len(labels)), labels], 1e-12)
    say_lines(class_table(matrix, trained.classes))
    say()
    share, chance = Share(int((predicted == labels).sum()), len(labels)), matrix.sum(1).max() / len(labels)
    say(
        f"test accuracy {share}, chance {100 * chance:.2f} %, loss {-np.log(likelihood).mean():.4f}, "
        f"{len(labels):,} images"
    )
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
    wrong = np.nonzero(predicted != labels)[0]
    if len(wrong) == 0:
        say("mistakes: none")
        return int(figures.failed)
    path = folder / "mistakes.png"
    worst = wrong[np.argsort(-probabilities[wrong].max(1), kind="stable")][:MISTAKES]
    data = images.data.numpy()
    names = [printable(name) for name in trained.classes]
    titles = [
        f"{names[labels[i]]} taken for {names[predicted[i]]}\n{probabilities[i].max():.2f}" for i in worst
    ]
    heading = f"the {len(worst)} most confident of {len(wrong):,} mistakes, and their probabilities"
    if len(worst) == len(wrong):
        heading = "the only mistake" if len(wrong) == 1 else f"all {len(wrong)} mistakes"
    figures.draw("mistakes", path, plot.images, [data[i] for i in worst], titles, title=heading)
    return int(figures.failed)
