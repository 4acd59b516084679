"""One training at a time in a run folder."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import time
from pathlib import Path

from cnnx.cli import CommandError
from cnnx.cli.terminal import complain

UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL)


class Lock:
    """The right to write into a run folder, which one process has at a time.

    It is the system's lock (`flock`) on the file `lock` in the folder, which tells the others who has it. The
    system takes it away when the process ends, however it ends, so none is ever left over; it holds between
    containers on one machine, and between machines on file systems that share locks (NFS does). A child that
    the process forks has it too, as long as the child lives. Where a file system has no locks one line says
    so, and two trainings in one folder would not be noticed.

    Parameters
    ----------
    folder
        The run folder, which exists.

    Raises
    ------
    CommandError
        If another process has it.
    OSError
        If the file cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "lock"
        while not self._acquired():
            pass
        try:
            owner = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%F %T")}
            os.ftruncate(self._descriptor, 0)
            os.write(self._descriptor, (json.dumps(owner) + "\n").encode())
        except OSError:
            self.release()
            raise

    def release(self) -> None:
        """Gives it back and takes the file away."""
        try:
            self.path.unlink(missing_ok=True)
        finally:
            os.close(self._descriptor)

    def _acquired(self) -> bool:
        # No link is followed: it may lead to anything, which would be emptied.
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = _owner(os.pread(self._descriptor, 1000, 0))
            os.close(self._descriptor)
            raise CommandError(f"{self.path.parent} is in use: {owner} is training in it") from None
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                os.close(self._descriptor)
                raise
            complain(f"{self.path}: no locks here ({error.strerror}): a second training would not be noticed")
            return True
        # Whoever had it before may have taken the file away in between: then this is a lock on nothing.
        try:
            there = os.path.samestat(os.stat(self.path), os.fstat(self._descriptor))
        except FileNotFoundError:
            there = False
        if not there:
            os.close(self._descriptor)
        return there


def _owner(content: bytes) -> str:
    """Who has the lock, from what the file says."""
    try:
        owner = json.loads(content)
        return f"process {owner['pid']} on {owner['host']}, since {owner['since']},"
    except (ValueError, KeyError, TypeError, RecursionError):
        return "another process"  # it has just begun, and has not written its name yet
