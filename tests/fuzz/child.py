"""Many cases in child processes with limits: what the fuzzer of files runs on.

A case is a number; what it does follows from the seed and that number alone. A forked child works through
numbers one after another and notes the one it is at in memory shared with its parent, so when it dies or
hangs, the parent knows of which, writes that down and lets a new child go on behind it.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import mmap
import os
import resource
import select
import signal
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

MIB = 1 << 20
BATCH = 5000  # cases per child, so that what a child gathers goes with it


class Outcome(NamedTuple):
    """What became of a case: a word for the counts, and, if it should not have happened, what."""

    label: str
    finding: str | None = None


class Finding(NamedTuple):
    """A case that should not have ended as it did."""

    index: int
    text: str


class Limits(NamedTuple):
    """What a child may take."""

    seconds: float = 10.0  # for one case, by the clock
    memory: int = 2048 * MIB  # of address space, beyond what it has when it starts
    file: int = 256 * MIB  # for a file that it writes


class Result(NamedTuple):
    """What a run came to."""

    cases: int
    counts: Counter[str]
    findings: list[Finding]
    seconds: float


def address_space() -> int:
    """The bytes of address space that this process has."""
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


@contextlib.contextmanager
def memory_bound(extra: int) -> Iterator[None]:
    """Within the block no more than `extra` bytes beyond what is there can be allocated."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = address_space() + extra
    resource.setrlimit(
        resource.RLIMIT_AS, (wanted if soft == resource.RLIM_INFINITY else min(wanted, soft), hard)
    )
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


# What no case of a fuzzer has a reason to do. "import" and "open" are left to the single fuzzers.
FORBIDDEN = (
    "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.startfile", "os.kill",
    "pty.spawn", "subprocess.Popen", "socket.connect", "socket.bind", "socket.getaddrinfo", "ctypes.dlopen",
    "ftplib.connect", "http.client.connect", "urllib.Request", "webbrowser.open", "shutil.rmtree",
)  # fmt: skip


class Watch:
    """Notes what a case does that no case may: audit events of the interpreter. There is one per process."""

    def __init__(self, forbidden: tuple[str, ...] = FORBIDDEN) -> None:
        self.forbidden = frozenset(forbidden)
        self.seen: list[str] = []
        self.active = False
        self.writes = True
        sys.addaudithook(self._note)

    def _note(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.active:
            return
        writes = event == "open" and not self.writes and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if writes or event in self.forbidden:
            self.seen.append(f"{event} {arguments[0] if arguments else ''}")
            raise PermissionError(f"the fuzzer forbids {event}")

    @contextlib.contextmanager
    def __call__(self, writes: bool = True) -> Iterator[list[str]]:
        """Watches within the block, in which files may be written or not; gives the events seen in it."""
        self.seen = []
        self.active, self.writes = True, writes
        try:
            yield self.seen
        finally:
            self.active = False


def run(
    work: Callable[[int], Outcome],
    *,
    seconds: float,
    limits: Limits = Limits(),  # noqa: B008  # immutable
    first: int = 0,
    last: int | None = None,
    prepare: Callable[[], None] | None = None,
    report: Callable[[Finding], None] | None = None,
) -> Result:
    """Runs `work(first)`, `work(first + 1)`, ... in children until the time is over or `last` is done.

    Parameters
    ----------
    work
        Does a case. An exception that escapes from it is a finding too.
    seconds
        For all of it, by the clock.
    limits
        For each child.
    first, last
        The first case, and the one before which to stop; default: none.
    prepare
        Called in each child before its first case.
    report
        Called with each finding as soon as it is known.
    """
    started = time.monotonic()
    deadline = started + seconds
    counts: Counter[str] = Counter()
    findings: list[Finding] = []
    position = mmap.mmap(-1, 8)  # shared with the children
    done, index = 0, first

    def found(at: int, text: str) -> None:
        finding = Finding(at, text)
        findings.append(finding)
        if report is not None:
            report(finding)

    while time.monotonic() < deadline and (last is None or index < last):
        stop = index + BATCH if last is None else min(last, index + BATCH)
        told, at, text = _child(work, index, stop, deadline, limits, prepare, position, counts, found)
        done += at - index
        if at - index > told:  # what a child that died had not told of yet
            counts["untold"] += at - index - told
        index = at
        if text is not None:
            found(at, text)
            counts["died"] += 1
            done += 1
            index += 1
    position.close()
    return Result(done, counts, findings, time.monotonic() - started)


def _child(
    work: Callable[[int], Outcome],
    first: int,
    stop: int,
    deadline: float,
    limits: Limits,
    prepare: Callable[[], None] | None,
    position: mmap.mmap,
    counts: Counter[str],
    found: Callable[[int, str], None],
) -> tuple[int, int, str | None]:
    """One child's life: the cases it told of, the number it was at in the end, and how it died if it did."""
    position[:8] = struct.pack("<q", first)
    read_end, write_end = os.pipe()
    with tempfile.TemporaryFile() as errors:
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            os.close(read_end)
            _in_child(work, first, stop, deadline, limits, prepare, position, write_end, errors.fileno())
        os.close(write_end)
        done, rest, killed = 0, b"", False
        last_seen, since = -1, time.monotonic()
        try:
            while True:
                ready, _, _ = select.select([read_end], [], [], 0.1)
                if ready:
                    data = os.read(read_end, 1 << 16)
                    if not data:
                        break
                    *lines, rest = (rest + data).split(b"\n")
                    for line in lines:
                        message = json.loads(line)
                        done += message["done"]
                        counts.update(message["counts"])
                        if message["finding"] is not None:
                            found(message["index"], message["finding"])
                now, here = time.monotonic(), struct.unpack("<q", position[:8])[0]
                if here != last_seen:
                    last_seen, since = here, now
                elif now - since > limits.seconds and not killed:
                    os.kill(pid, signal.SIGKILL)
                    killed = True
        except BaseException:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
        os.close(read_end)
        status = os.waitpid(pid, 0)[1]
        at = struct.unpack("<q", position[:8])[0]
        errors.seek(0)
        said = errors.read()[-2000:].decode(errors="replace").strip()
    if killed:
        return done, at, f"hang: no end after {limits.seconds:g} s"
    if os.WIFSIGNALED(status):
        return done, at, f"crash: {signal.Signals(os.WTERMSIG(status)).name} {said}"
    if os.WEXITSTATUS(status) != 0:
        return done, at, f"crash: the process ended with status {os.WEXITSTATUS(status)} {said}"
    return done, at, None


def _in_child(
    work: Callable[[int], Outcome],
    first: int,
    stop: int,
    deadline: float,
    limits: Limits,
    prepare: Callable[[], None] | None,
    position: mmap.mmap,
    pipe: int,
    errors: int,
) -> None:
    """Works through the cases; never returns."""
    status = 70
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(errors, 2)
        faulthandler.enable(2)  # a crash says where
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (limits.file, limits.file))
        resource.setrlimit(resource.RLIMIT_AS, (address_space() + limits.memory,) * 2)
        if prepare is not None:
            prepare()
        counts: Counter[str] = Counter()
        done = 0

        def send(index: int, finding: str | None) -> None:
            nonlocal done
            message = {"index": index, "finding": finding, "done": done, "counts": counts}
            data = (json.dumps(message) + "\n").encode()
            while data:
                data = data[os.write(pipe, data) :]
            counts.clear()
            done = 0

        sent = time.monotonic()
        index = first
        while index < stop and time.monotonic() < deadline:
            position[:8] = struct.pack("<q", index)
            resource.setrlimit(
                resource.RLIMIT_CPU,
                (int(time.process_time() + 2 * limits.seconds) + 1, resource.RLIM_INFINITY),
            )
            try:
                outcome = work(index)
            except Exception as error:
                outcome = Outcome("escaped", f"escaped: {type(error).__name__}: {error}")
            counts[outcome.label] += 1
            done += 1
            if outcome.finding is not None or time.monotonic() - sent > 0.5:
                send(index, outcome.finding)
                sent = time.monotonic()
            index += 1
        position[:8] = struct.pack("<q", index)
        send(index, None)
        status = 0
    except BaseException as error:
        os.write(2, f"{type(error).__name__}: {error}".encode())
    finally:
        os._exit(status)
