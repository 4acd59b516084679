"""The command line: `cnnx train`, `eval`, `predict`, `compare`, `show`, `export`, `info` and others."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import importlib
import logging
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from cnnx import _C
from cnnx.cli.terminal import OutputClosedError, complain, say_lines

WRONG_USE = 2
SIGNALLED = 128  # plus the signal's number, as shells have it: 130 after Ctrl-C
COMMANDS = {  # where each is; imported when it is asked for
    "bench": ("cnnx.cli.bench", "bench"),
    "compare": ("cnnx.cli.compare", "compare"),
    "eval": ("cnnx.cli.evaluate", "evaluate"),
    "export": ("cnnx.cli.export", "export"),
    "find-lr": ("cnnx.cli.find_lr", "find_rate"),
    "info": ("cnnx.cli.info", "info"),
    "mistakes": ("cnnx.cli.mistakes", "mistakes"),
    "predict": ("cnnx.cli.predict", "predict"),
    "show": ("cnnx.cli.show", "show"),
    "speedrun": ("cnnx.cli.speedrun", "speedrun"),
    "train": ("cnnx.cli.train", "train"),
}


class UsageError(Exception):
    """Wrong use of the command line: one clear line, exit code 2."""


class CommandError(Exception):
    """The command cannot go on: one clear line, exit code 1."""


def as_path(text: str) -> Path:
    """A path, with a home folder in place of a `~` at its start; CommandError if there is none."""
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise CommandError(f"{text}: it is not known where this home folder is") from error


class StoppedError(KeyboardInterrupt):
    """A second signal: the command ends at once."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def nearest(word: str, there: Sequence[str]) -> str:
    """What may have been meant, as the end of a sentence; empty if nothing is near."""
    near = difflib.get_close_matches(word, there, 1, 0.6)
    return f", did you mean {near[0]}?" if near else ""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Parameters
    ----------
    argv
        The arguments; default: those of the process.

    Returns
    -------
    int
        The exit code: 0, 1 if the command failed, 128 and the signal's number if it was interrupted (130
        after Ctrl-C). Wrong use leaves with SystemExit(2).
    """
    # Libraries that read damaged files have much to say; what matters is in their exceptions.
    logging.getLogger("PIL").addHandler(logging.NullHandler())
    name = "cnnx"
    try:
        from cnnx.cli import native
        from cnnx.cli.parser import make_parser

        parser = make_parser()
        if not (sys.argv[1:] if argv is None else argv):
            say_lines(parser.format_help().rstrip())
            return 0
        arguments, unknown = parser.parse_known_args(argv)
        if native.places(arguments, unknown):
            return 0
        if arguments.command is None:
            parser.error("the following arguments are required: COMMAND")
        name = f"{parser.prog} {arguments.command}"
        _check_target()
        if unknown:
            options = parser.options_of(arguments.command)
            meant = nearest(unknown[0].partition("=")[0], options) if unknown[0].startswith("-") else ""
            raise UsageError(f"unrecognized arguments: {' '.join(unknown)}{meant}")
        module, function = COMMANDS[arguments.command]
        run: Callable[[argparse.Namespace], int] = getattr(importlib.import_module(module), function)
        return run(arguments)
    except UsageError as error:
        return _failed(f"{name}: {error} (see {name} --help)", WRONG_USE)
    except OutputClosedError as error:
        return 1 if error.gone else _failed(f"{name}: the output cannot be written: {error}", 1)
    except (CommandError, ImportError, OSError) as error:
        return _failed(f"{name}: {error}", 1)
    except MemoryError as error:
        return _failed(f"{name}: {str(error) or 'there is not enough memory'}", 1)
    except KeyboardInterrupt as stop:
        number = stop.number if isinstance(stop, StoppedError) else signal.SIGINT
        return _failed(f"{name}: interrupted", SIGNALLED + number)


def _check_target() -> None:
    try:
        _C.active_target()
    except ValueError as error:  # CNNX_TARGET
        raise CommandError(str(error)) from None


def _failed(text: str, code: int) -> int:
    """Says why, if anybody still reads, and gives the exit code."""
    with contextlib.suppress(OutputClosedError):
        complain(text)
    return code
