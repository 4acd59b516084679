"""Checksums of data files: once for each file, remembered by its size and time in a small file beside it."""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path
from typing import Any

from cnnx.datasets.idx_file import unpack
from cnnx.files import write_file

# {file: [bytes, time of change in ns, SHA256 of the content, or MD5 of the file where that is what is known]}
RECORD = ".cnnx-verified.json"


def verified(path: Path, checksum: str | None, size: int | None) -> bytes:
    """The (unpacked) content of a data set's file, after its checksum was found right, now or before.

    Parameters
    ----------
    path
        An IDX file, plain or gzip-compressed.
    checksum
        "sha256:" and the digest of the content, or "md5:" and that of the compressed file; None: unknown.
    size
        Bytes of the content that the checksum is of; files of other sizes are not the data set's, and pass.
        None: it is of any size.

    Raises
    ------
    ValueError
        If it is damaged.
    """
    data = path.read_bytes()
    content = unpack(data, str(path))
    if size not in (None, len(content)) or _unchanged(path):
        return content
    found = digest(content)
    kind, _, known = (checksum or "").partition(":")
    if kind != "sha256":  # of the compressed file, which gzip has checked: of its content a record tells
        known = _recorded(path) or found
    if found != known:
        raise ValueError(f"{path}: the file is damaged: its content has SHA256 {found}, expected {known}")
    remember(path, found)
    return content


def has_md5(path: Path, md5: str | None) -> bool:
    """Whether a file is there and has this MD5, found now or before; None: it need only be there."""
    if not path.is_file() or md5 is None:
        return path.is_file()
    if _unchanged(path) and _recorded(path) == md5:
        return True
    found = hashlib.md5(usedforsecurity=False)
    with open(path, "rb") as file:
        while part := file.read(1 << 20):
            found.update(part)
    if found.hexdigest() != md5:
        return False
    remember(path, md5)
    return True


def digest(content: bytes) -> str:
    """SHA256 of a file's (unpacked) content."""
    return hashlib.sha256(content).hexdigest()


def _recorded(path: Path) -> str | None:
    """The digest that a file had when it was downloaded or first read; None if that is not known."""
    entry = _entries(path.parent).get(path.name)
    return entry[2] if entry else None


def _unchanged(path: Path) -> bool:
    """Whether a file has the size and time that it had when it was verified."""
    entry = _entries(path.parent).get(path.name)
    return entry is not None and entry[:2] == _stamp(path)


def remember(path: Path, sha256: str) -> None:
    """Notes that a file is right as it is now; where nothing can be written it is verified each time."""
    entries = {**_entries(path.parent), path.name: [*_stamp(path), sha256]}
    record = path.parent / RECORD
    if record.is_symlink():  # which may lead to anything
        return
    with contextlib.suppress(OSError):
        write_file(record, json.dumps(entries, indent=1).encode("utf-8", "backslashreplace"))


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def _entries(folder: Path) -> dict[str, list[Any]]:
    """What is recorded in a folder; nothing if the file is missing or damaged."""
    try:
        entries = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(entries, dict):
        return {}
    return {name: entry for name, entry in entries.items() if isinstance(entry, list) and len(entry) == 3}
