"""What the commands say. Everything goes through here, since names, headers and errors may hold anything."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TextIO

from cnnx.text import printable

LONGEST = 10_000  # characters of a complaint: a path may have 4,096


class OutputClosedError(Exception):
    """The output cannot be written.

    Attributes
    ----------
    gone
        Whether that is nobody's fault: the reader of a pipe (`| head`) or the terminal has gone.
    """

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.gone = error.errno in (errno.EPIPE, errno.EIO)


_hushed = False


@contextmanager
def hushed(quiet: bool = True) -> Iterator[None]:
    """Says nothing within, or all; complaints are always heard."""
    global _hushed
    before, _hushed = _hushed, quiet
    try:
        yield
    finally:
        _hushed = before


def is_hushed() -> bool:
    """Whether nothing is said now."""
    return _hushed


def heard() -> AbstractContextManager[None]:
    """Says what is said within, though it is hushed around it."""
    return hushed(False)


def can_say(text: str) -> bool:
    """Whether the standard output has all characters of a text."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def say(text: str = "") -> None:
    """One line on the standard output; what is not printable in it comes as escapes.

    Raises
    ------
    OutputClosedError
        If it cannot be written.
    """
    if not _hushed:
        _write(text, sys.stdout)


def say_lines(text: str) -> None:
    """A table, line by line; line breaks in its cells must have been escaped before."""
    for line in text.split("\n"):
        say(line)


def complain(text: str) -> None:
    """One line on the standard error output, as `say` does it; the end of a very long one is left out.

    A message may quote a name in a file that is as long as the file.
    """
    _write(text if len(text) <= LONGEST else f"{text[:LONGEST]} ...", sys.stderr)


def _write(text: str, stream: TextIO | None) -> None:
    if stream is None:  # it was closed when Python started (`>&-`), which is no error of `print` either
        return
    encoding = stream.encoding or "utf-8"  # none: what a test or a notebook put in the stream's place
    line = printable(text).encode(encoding, "backslashreplace").decode(encoding)
    try:
        print(line, file=stream, flush=True)
    except OSError as error:
        # Python would try once more at exit, complain and change the exit code.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        raise OutputClosedError(error) from error
