"""Downloads with a checksum, a progress bar and a rename at the end."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cnnx.bounds import LARGEST, decompress
from cnnx.datasets.verified import digest, remember
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


def fetch(url: str, limit: int = LARGEST) -> bytes:
    """The bytes behind `url`, an address of HTTP or HTTPS, also where the server sends on to another one.

    Parameters
    ----------
    url
        The address.
    limit
        The most bytes to take. Default: 256 MiB.

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
    parts = []
    received = 0
    try:
        with opener.open(request, timeout=TIMEOUT) as response:
            length = response.headers.get("Content-Length")
            total = int(length) if length is not None and length.isdecimal() else None
            if total is not None and total > limit:
                raise OSError(f"{total} bytes are announced, more than {limit}")
            with _progress_bar(name, total) as bar:
                while part := response.read(CHUNK):
                    parts.append(part)
                    received += len(part)
                    if received > limit:
                        raise OSError(f"more than {limit} bytes arrived")
                    bar.update(len(part))
    except http.client.HTTPException as error:
        raise OSError(f"{type(error).__name__}: {error}") from error
    if total is not None and received != total:
        raise OSError(f"{received} of {total} bytes arrived")
    return b"".join(parts)


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
            remember(folder / file, digest(content))
            return folder / file
        failures.append(f"{url}: the checksum differs: {kind.upper()} {found}, expected {expected}")
    raise RuntimeError(f"download of {file} failed: " + "; ".join(failures))
