"""The command line: `cnnx train` and `cnnx info`."""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

INTERRUPTED = 130
WRONG_USE = 2


class UsageError(Exception):
    """Wrong use of the command line: one clear line, exit code 2."""


class CommandError(Exception):
    """The command cannot go on: one clear line, exit code 1."""


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(WRONG_USE, f"{self.prog}: {message} (see {self.prog} --help)\n")


def positive_int(text: str) -> int:
    """An option's value as an integer above zero."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")
    return value


def seed_number(text: str) -> int:
    """An option's value as an integer from 0 to 2^63 - 1."""
    if not text.isdecimal() or int(text) >= 2**63:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 2^63 - 1")
    return int(text)


def positive_float(text: str) -> float:
    """An option's value as a finite number above zero."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return value


def device_name(text: str) -> str:
    """An option's value as a device that is there."""
    from cnnx.devices import check_device

    try:
        check_device("device", text)
    except RuntimeError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def make_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    from cnnx.cli.settings import DATASETS, OPTIMIZERS
    from cnnx.models import MODELS

    parser = _Parser(prog="cnnx", description="Small, fast convolutional networks.")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    raw = argparse.RawDescriptionHelpFormatter

    train = commands.add_parser(
        "train",
        help="train a net on MNIST or on the embedded digits",
        formatter_class=raw,
        description="Trains a net and writes a run folder: model.safetensors, checkpoint.safetensors,\n"
        "history.csv, curves.png. "
        "Ctrl-C stops after the current batch and saves;\n--resume goes on from there.",
        epilog="examples:\n"
        "  cnnx train\n"
        "  cnnx train --dataset mnist --model s6 --epochs 20 --out runs/s6\n"
        "  cnnx train --resume runs/s6",
    )
    models = "; ".join(f"{name}: {model.about}" for name, model in MODELS.items())
    train.add_argument(
        "--model", choices=list(MODELS), metavar="NAME", help=f"the net ({models}); default: by size"
    )
    train.add_argument(
        "--dataset",
        choices=DATASETS,
        help="mnist is downloaded where it is missing; default: mnist if the data folder has it, else digits",
    )
    train.add_argument(
        "--data-dir", metavar="DIR", help="data folder; default: CNNX_DATA_DIR, else the user's cache folder"
    )
    train.add_argument(
        "--epochs",
        type=positive_int,
        metavar="N",
        help="passes over the training images; default: 5, digits 30",
    )
    train.add_argument("--batch-size", type=positive_int, metavar="N", help="images per step; default: 64")
    train.add_argument("--optimizer", choices=list(OPTIMIZERS), help="default: adam; sgd has momentum 0.9")
    rates = ", ".join(f"{name} {rate:g}" for name, rate in OPTIMIZERS.items())
    train.add_argument("--lr", type=positive_float, metavar="X", help=f"learning rate; default: {rates}")
    train.add_argument(
        "--seed", type=seed_number, metavar="N", help="of weights, order and dropout; default: 0"
    )
    train.add_argument("--device", type=device_name, metavar="NAME", help="default: cpu")
    train.add_argument(
        "--threads", type=positive_int, metavar="N", help="default: the CPUs this process may use"
    )
    train.add_argument("--out", metavar="DIR", help="the run folder; default: a new one in runs/")
    train.add_argument("--resume", metavar="RUN", help="go on with the run in this folder")

    info = commands.add_parser(
        "info",
        help="what this installation is and can do",
        formatter_class=raw,
        description="Shows version, CPU target, threads, OpenMP, CUDA and the data folder.",
        epilog="example:\n  cnnx info --ops",
    )
    info.add_argument("--ops", action="store_true", help="list the kernels and which implementation each has")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Parameters
    ----------
    argv
        The arguments; default: those of the process.

    Returns
    -------
    int
        The exit code: 0, 1 if the command failed, 130 if it was interrupted. Wrong use leaves with
        SystemExit(2).
    """
    parser = make_parser()
    arguments = parser.parse_args(argv)
    name = f"{parser.prog} {arguments.command}"
    try:
        if arguments.command == "info":
            from cnnx.cli.info import info

            info(ops=arguments.ops)
            return 0
        from cnnx.cli.train import train

        return train(arguments)
    except UsageError as error:
        print(f"{name}: {error} (see {name} --help)", file=sys.stderr)
        return WRONG_USE
    except CommandError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader of a pipe (`| head`) has gone: nothing more can be said, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        return INTERRUPTED
