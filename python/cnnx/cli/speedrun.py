"""`cnnx speedrun`: MNIST to 99 %, timed."""

from __future__ import annotations

import argparse

import numpy as np

import cnnx
from cnnx import datasets
from cnnx.bench.machine import description, reach
from cnnx.bench.report import write_json
from cnnx.cli import CommandError, as_path
from cnnx.cli.data import data_folder, image_shape, load_images
from cnnx.cli.info import cpu_name
from cnnx.cli.terminal import say
from cnnx.models import MNIST_SHAPE
from cnnx.speedrun import run

GOAL = 0.99


def speedrun(options: argparse.Namespace) -> int:
    """The command `cnnx speedrun`; returns the exit code."""
    if options.json and not as_path(options.json).resolve().parent.is_dir():
        raise CommandError(f"{options.json}: there is no such folder")
    if options.threads:
        cnnx.set_num_threads(options.threads)
    folder = data_folder(options.data_dir)
    if not datasets.MNIST.is_available(folder):
        say(f"mnist is not in {folder}: downloading it (--data-dir or CNNX_DATA_DIR name another folder)")
    training, test = (load_images("mnist", folder, part) for part in (True, False))
    if image_shape(training) != MNIST_SHAPE:
        size = "x".join(map(str, image_shape(training)[1:]))
        raise CommandError(f"mnist: the net takes images of 28x28, not {size}")
    threads = cnnx.get_num_threads()
    peak = reach(0.2, "cpu").peak * 1e-9
    say(f"{cpu_name()}, {threads} thread{'s' * (threads > 1)}, {peak:.0f} GFLOP/s together")
    say(f"{'seed':>6} {'seconds':>9} {'test accuracy':>14}")
    outcomes = []
    for seed in range(options.seeds):
        try:
            outcomes.append(run(seed, training, test))
        except ValueError as error:
            raise CommandError(f"mnist: {error}") from error
        say(f"{seed:>6} {outcomes[-1].seconds:>9.3f} {outcomes[-1].accuracy:>14.4f}")
    seconds, accuracies = (np.array(column) for column in zip(*outcomes, strict=True))
    mean, spread = accuracies.mean(), accuracies.std()
    say(f"{'mean':>6} {seconds.mean():>9.3f} {mean:>14.4f}")
    say(
        f"fastest {seconds.min():.3f} s, slowest {seconds.max():.3f} s; accuracy {accuracies.min():.4f} to "
        f"{accuracies.max():.4f}, standard deviation {spread:.4f}"
    )
    say(f"mean accuracy {'reaches' if mean >= GOAL else 'misses'} {GOAL:.1%}")
    if options.json:
        content = {
            "command": "speedrun",
            "machine": description(),
            "threads": threads,
            "gflops": peak,
            "seconds": seconds.tolist(),
            "accuracy": accuracies.tolist(),
        }
        write_json(as_path(options.json), content)
        say(f"figures: {options.json}")
    return int(mean < GOAL)
