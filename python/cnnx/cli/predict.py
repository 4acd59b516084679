"""`cnnx predict`: classes of image files."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from cnnx import plot
from cnnx.cli import CommandError, as_path
from cnnx.cli.figures import Figures
from cnnx.cli.picture import Seen, see_picture
from cnnx.cli.terminal import complain, say
from cnnx.cli.trained import Trained
from cnnx.files import as_json, write_file
from cnnx.text import printable

SHOWN = 3  # classes with their probabilities


def predict(options: argparse.Namespace) -> int:
    """The command `cnnx predict`; returns the exit code."""
    trained = Trained.open(options.run, options.trust)
    drawing = None if options.as_is else trained.drawing
    seen: list[Seen] = []
    titles, results = [], []
    for file in options.images:
        try:
            one = see_picture(as_path(file), trained.shape, drawing)
        except (CommandError, OSError) as error:  # the others may be better
            why = f"{file}: {error.strerror}" if isinstance(error, OSError) else str(error)
            complain(f"cnnx predict: {why}")
            results.append({"file": file, "error": why})
            continue
        seen.append(one)
        (row,) = trained.probabilities(trained.inputs(one.pixels[None]))
        order = np.argsort(-row, kind="stable")[: len(row) if options.all else SHOWN]
        doubt = f"  (it seems to hold {one.drawings} drawings)" if one.drawings > 1 else ""
        say(f"{file}: " + ", ".join(f"{trained.classes[i]} {row[i]:.4f}" for i in order) + doubt)
        best = printable(trained.classes[order[0]])
        titles.append(f"{printable(Path(file).name)}\n{best}  {row[order[0]]:.3f}")
        shares = {name: float(share) for name, share in zip(trained.classes, row, strict=True)}
        results.append({"file": file, "drawings": one.drawings, "probabilities": shares})
    figures = Figures(links=True)
    if options.picture and seen:
        what = "what the net sees"
        pictures = [one.pixels for one in seen]
        figures.draw(what, as_path(options.picture), plot.images, pictures, titles, title=what)
    if options.json:
        write_file(as_path(options.json), as_json(results))
    return int(figures.failed or len(seen) < len(options.images))
