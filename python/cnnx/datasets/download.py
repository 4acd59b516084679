"""Downloads with a checksum, a progress bar and a rename at the end."""

from __future__ import annotations

import gzip
import hashlib
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cnnx.files import write_file

TIMEOUT = 30.0  # seconds without any data
CHUNK = 1 << 16


class _SilentBar:
    """Stands in for tqdm where it is not installed: one line on stderr at the start."""

    def __init__(self, name: str) -> None:
        print(f"Downloading {name} ...", file=sys.stderr)

    def __enter__(self) -> _SilentBar:
        return self

    def __exit__(self, *unused: object) -> None:
        return

    def update(self, count: int) -> None:
        """Takes no notice."""


def _progress_bar(name: str, total: int | None) -> Any:
    try:
        from tqdm import tqdm
    except ImportError:
        return _SilentBar(name)
    return tqdm(desc=name, total=total, unit="B", unit_scale=True, unit_divisor=1024, leave=False)


def fetch(url: str) -> bytes:
    """The bytes behind `url`.

    Raises
    ------
    OSError
        If the server cannot be reached, refuses, or sends less than it announced.
    """
    import urllib.request  # takes longer to import than the rest of cnnx

    request = urllib.request.Request(url, headers={"User-Agent": "cnnx"})
    name = url.rpartition("/")[2]
    parts = []
    received = 0
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
        length = response.headers.get("Content-Length")
        total = int(length) if length is not None and length.isdecimal() else None
        with _progress_bar(name, total) as bar:
            while part := response.read(CHUNK):
                parts.append(part)
                received += len(part)
                bar.update(len(part))
    if total is not None and received != total:
        raise OSError(f"{received} of {total} bytes arrived")
    return b"".join(parts)


def decompress(data: bytes, name: str) -> bytes:
    """The content of gzip-compressed `data`; data without gzip's magic number is returned as it is.

    Raises
    ------
    ValueError
        If the compressed data is damaged; the message starts with `name`.
    """
    if data[:2] != b"\x1f\x8b":
        return data
    try:
        return gzip.decompress(data)
    except (EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{name}: damaged gzip data: {error}") from error


def download_gzip(file: str, checksum: str, mirrors: Sequence[str], folder: Path) -> Path:
    """Downloads `file`.gz from the first mirror that has it right and stores its content as folder/`file`.

    Parameters
    ----------
    file
        Name of the file without ".gz".
    checksum
        "sha256:" and the digest of the decompressed content, or "md5:" and that of the compressed file.
    mirrors
        Addresses to put before the name, tried in order.
    folder
        Where to; made if it is not there.

    Returns
    -------
    Path
        The stored file.

    Raises
    ------
    RuntimeError
        If no mirror delivers; the message says what each one did. Nothing is stored then.
    """
    failures = []
    for mirror in mirrors:
        url = f"{mirror.rstrip('/')}/{file}.gz"
        try:
            sent = fetch(url)
            content = decompress(sent, url)
        except (OSError, ValueError) as error:
            failures.append(f"{url}: {error}")
            continue
        kind, _, expected = checksum.partition(":")
        found = hashlib.new(kind, sent if kind == "md5" else content).hexdigest()
        if found == expected:
            folder.mkdir(parents=True, exist_ok=True)
            write_file(folder / file, content)
            return folder / file
        failures.append(f"{url}: the checksum differs: {kind.upper()} {found}, expected {expected}")
    raise RuntimeError(f"download of {file} failed:\n  " + "\n  ".join(failures))
