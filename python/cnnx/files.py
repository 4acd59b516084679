"""Writing files so that a full disk or a crash never leaves half of one."""

from __future__ import annotations

import errno
import os
from pathlib import Path


def write_file(path: Path, data: bytes) -> None:
    """Writes `data` under a temporary name beside `path`, flushes it and renames it.

    Parameters
    ----------
    path
        Where the file shall be; what is there is replaced in one step.
    data
        The content.

    Raises
    ------
    OSError
        If it cannot be written; what was at `path` is still there.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        if not path.parent.is_dir():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path.parent))
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
