"""`cnnx predict`: classes of image files."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from cnnx import plot
from cnnx.cli.figures import Figures
from cnnx.cli.picture import read_picture
from cnnx.cli.terminal import say
from cnnx.cli.trained import Trained
from cnnx.text import printable

SHOWN = 3  # classes with their probabilities


def predict(options: argparse.Namespace) -> int:
    """The command `cnnx predict`; returns the exit code."""
    trained = Trained.open(options.run)
    drawing = None if options.as_is else trained.drawing
    pictures = np.stack([read_picture(Path(file), trained.shape, drawing) for file in options.images])
    probabilities = trained.probabilities(trained.inputs(pictures))
    titles = []
    for file, row in zip(options.images, probabilities, strict=True):
        order = np.argsort(-row, kind="stable")[: len(row) if options.all else SHOWN]
        say(f"{file}: " + ", ".join(f"{trained.classes[i]} {row[i]:.4f}" for i in order))
        best = printable(trained.classes[order[0]])
        titles.append(f"{printable(Path(file).name)}\n{best}  {row[order[0]]:.3f}")
    figures = Figures(links=True)
    if options.picture:
        what = "what the net sees"
        figures.draw(what, Path(options.picture), plot.images, pictures, titles, title=what)
    return int(figures.failed)
