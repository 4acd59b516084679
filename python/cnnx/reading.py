"""The border to files that may hold anything, and the one error of it."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator

MAX_REASON = 500  # characters


def one_line(error: BaseException) -> str:
    """What an error says, in one line, with its type where that says more than the message."""
    text = " ".join(str(error).split())
    text = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
    if len(text) > MAX_REASON:
        text = text[:MAX_REASON] + " ..."
    if isinstance(error, ValueError | OSError | RuntimeError) and text:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


@contextlib.contextmanager
def reading(op: str, name: str | os.PathLike[str], what: str) -> Iterator[None]:
    """For a block that reads a file that may hold anything: whatever is wrong with it is one ValueError.

    Which exceptions a reader of pictures, zip archives or JSON raises over a damaged file is not known; that
    it is the file's fault is. Errors of the system, such as a file that is not there, stay as they are, and
    so do an interrupt and the like; a memory that is full stays a MemoryError, which names the file.

    Parameters
    ----------
    op
        The function that reads, with which the message starts; may be empty.
    name
        The file.
    what
        What it should be: "an image".

    Raises
    ------
    ValueError
        "op: name cannot be read as what: reason", in one line.
    """
    start = f"{op}: " if op else ""
    try:
        yield
    except MemoryError as error:
        raise MemoryError(f"{start}{os.fspath(name)}: there is not enough memory to read it") from error
    except Exception as error:
        # A place before the start of the file, which a damaged one may name, is an invalid argument.
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            if error.filename is None:
                error.filename = os.fspath(name)
            raise
        raise ValueError(f"{start}{os.fspath(name)} cannot be read as {what}: {one_line(error)}") from error
