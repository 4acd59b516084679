"""Downloads with a checksum, a progress bar and a rename at the end."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cnnx.bounds import LARGEST, decompress
from cnnx.datasets.verified import digest, remember
from cnnx.files import write_file

TIMEOUT = 30.0  # seconds without any data
CHUNK = 1 << 16
LARGEST_ARCHIVE = 1 << 30  # bytes: the largest that is known, EMNIST's, has 562 million


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


def fetch(url: str, limit: int = LARGEST) -> bytes:
    """The bytes behind `url`, as `receive` gets them."""
    parts: list[bytes] = []
    receive(url, parts.append, limit)
    return b"".join(parts)


def receive(url: str, take: Callable[[bytes], object], limit: int) -> None:
    """Hands on what is behind `url`, an address of HTTP or HTTPS, also where the server sends on to another.

    Parameters
    ----------
    url
        The address.
    take
        Called with one part of the bytes after the other.
    limit
        The most bytes to take.

    Raises
    ------
    OSError
        If the address is of another kind, the server cannot be reached, refuses, sends less than it
        announced, or more than `limit` bytes.
    """
    import http.client  # these take longer to import than the rest of cnnx
    import urllib.request

    # Made of these alone, the opener knows no files and no FTP, wherever it is sent.
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.UnknownHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPErrorProcessor,
    ):
        opener.add_handler(handler())
    request = urllib.request.Request(url, headers={"User-Agent": "cnnx"})
    name = url.rpartition("/")[2]
    received = 0
    try:
        with opener.open(request, timeout=TIMEOUT) as response:
            length = response.headers.get("Content-Length")
            total = int(length) if length is not None and length.isdecimal() else None
            if total is not None and total > limit:
                raise OSError(f"{total} bytes are announced, more than {limit}")
            with _progress_bar(name, total) as bar:
                while part := response.read(CHUNK):
                    received += len(part)
                    if received > limit:
                        raise OSError(f"more than {limit} bytes arrived")
                    take(part)
                    bar.update(len(part))
    except http.client.HTTPException as error:
        raise OSError(f"{type(error).__name__}: {error}") from error
    if total is not None and received != total:
        raise OSError(f"{received} of {total} bytes arrived")


def download_gzip(file: str, checksum: str | None, mirrors: Sequence[str], folder: Path) -> Path:
    """Downloads `file`.gz from the first mirror that has it right and stores its content as folder/`file`.

    Parameters
    ----------
    file
        Name of the file without ".gz".
    checksum
        "sha256:" and the digest of the decompressed content, or "md5:" and that of the compressed file; None:
        whatever arrives is right.
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
        kind, _, expected = (checksum or "sha256:").partition(":")
        found = hashlib.new(kind, sent if kind == "md5" else content).hexdigest()
        if checksum is None or found == expected:
            folder.mkdir(parents=True, exist_ok=True)
            write_file(folder / file, content)
            remember(folder / file, digest(content))
            return folder / file
        failures.append(f"{url}: the checksum differs: {kind.upper()} {found}, expected {expected}")
    raise RuntimeError(f"download of {file} failed: " + "; ".join(failures))


def download_file(url: str, path: Path, md5: str | None, limit: int = LARGEST_ARCHIVE) -> None:
    """Stores what is behind `url` as the file `path`, without having all of it in memory.

    Parameters
    ----------
    url
        The address.
    path
        The file; its folder is made if it is not there. What was there is replaced when all has arrived.
    md5
        What it must be; None: anything.
    limit
        The most bytes to take. Default: 1 GiB.

    Raises
    ------
    RuntimeError
        If it does not arrive, or is another file; the message says why. Nothing is stored then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    found = hashlib.md5(usedforsecurity=False)
    descriptor, part = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(descriptor, "wb") as file:

            def take(data: bytes) -> None:
                found.update(data)
                file.write(data)

            receive(url, take, limit)
        if md5 not in (None, found.hexdigest()):
            raise OSError(f"the checksum differs: MD5 {found.hexdigest()}, expected {md5}")
        os.replace(part, path)
    except OSError as error:
        raise RuntimeError(f"download of {path.name} failed: {url}: {error}") from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part)
