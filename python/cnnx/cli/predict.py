"""`cnnx predict`: classes of image files."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from cnnx import plot
from cnnx.cli.picture import read_picture
from cnnx.cli.trained import Trained

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
        print(f"{file}: " + ", ".join(f"{trained.classes[i]} {row[i]:.4f}" for i in order))
        titles.append(f"{Path(file).name}\n{trained.classes[order[0]]}  {row[order[0]]:.3f}")
    if options.picture:
        plot.images(pictures, titles, options.picture, title="what the net sees")
        print(f"what the net sees: {options.picture}")
    return 0
