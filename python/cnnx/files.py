"""Writing files so that a full disk or a crash never leaves half of one."""

from __future__ import annotations

import json
import os
from typing import Any

from cnnx import _C


def replaceable(path: str | os.PathLike[str]) -> str | None:
    """The file that is replaced when `path` is written; None if that is a device, a pipe or a folder.

    The renamed file takes the place of what a link points to, and not of the link.
    """
    target = os.path.realpath(path)
    return target if not os.path.exists(target) or os.path.isfile(target) else None


def write_file(path: str | os.PathLike[str], data: bytes) -> None:
    """Writes `data` under a temporary name beside `path`, flushes it and renames it.

    Parameters
    ----------
    path
        Where the file shall be; what is there is replaced in one step. A device or a pipe is written to and
        never replaced.
    data
        The content.

    Raises
    ------
    OSError
        If it cannot be written; what was at `path` is still there.
    """
    target = replaceable(path)
    if target is not None:
        _C.write_file(target, data)
        return
    with open(path, "wb") as file:
        file.write(data)


def as_json(content: Any, *, allow_nan: bool = False) -> bytes:
    """Content as the text of a JSON file.

    A name that is no UTF-8 holds lone surrogates; they are written as JSON escapes them.
    """
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=allow_nan) + "\n"
    return text.encode("utf-8", "backslashreplace")
