"""Files out of archives: those that are asked for, under names of ours, and nothing else."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

from cnnx.bounds import LARGEST
from cnnx.datasets.download import download_file
from cnnx.datasets.verified import has_md5
from cnnx.files import write_file
from cnnx.reading import reading

#: Gives the size of a member and what reads it; KeyError if there is no such file.
Opener = Callable[[str], tuple[int, IO[bytes]]]


def extract(archive: Path, members: Mapping[str, Path], limit: int = LARGEST) -> None:
    """Stores files of an archive, `.zip` or else a tar, plain or compressed.

    Parameters
    ----------
    archive
        The archive.
    members
        Where each of its files goes. Names within the archive are looked up and never used as paths, and
        links, devices and folders are no files.
    limit
        The most bytes of one file. Default: 256 MiB.

    Raises
    ------
    ValueError
        If it is damaged, lacks a file, or has a larger one; the message names it.
    """
    zipped = archive.suffix == ".zip"
    with (
        reading("", archive, "a zip archive" if zipped else "a tar archive"),
        zipfile.ZipFile(archive) if zipped else tarfile.open(archive) as opened,
    ):
        opener = _in_zip(opened) if isinstance(opened, zipfile.ZipFile) else _in_tar(opened)
        for name, path in members.items():
            try:
                size, file = opener(name)
            except KeyError:
                raise ValueError(f"there is no file {name} in it") from None
            if size > limit:
                raise ValueError(f"{name} in it has {size} bytes, more than {limit}")
            with file:
                content = file.read(size + 1)
            if len(content) != size:
                raise ValueError(f"{name} in it has not the {size} bytes that were announced")
            path.parent.mkdir(parents=True, exist_ok=True)
            write_file(path, content)


def fetch_archive(url: str, archive: Path, md5: str | None, members: Mapping[str, Path]) -> None:
    """`extract` of an archive, which is downloaded where it is not there with this MD5.

    Raises
    ------
    RuntimeError
        If it cannot be downloaded, or lacks what is asked for.
    """
    if not has_md5(archive, md5):
        download_file(url, archive, md5)
    try:
        extract(archive, members)
    except ValueError as error:
        raise RuntimeError(f"{url}: {error}") from error


def _in_zip(opened: zipfile.ZipFile) -> Opener:
    def member(name: str) -> tuple[int, IO[bytes]]:
        info = opened.getinfo(name)
        return info.file_size, opened.open(info)

    return member


def _in_tar(opened: tarfile.TarFile) -> Opener:
    # By the last of a name, as unpacking all would leave it.
    found = {info.name: info for info in opened if info.isreg()}

    def member(name: str) -> tuple[int, IO[bytes]]:
        file = opened.extractfile(found[name])
        assert file is not None  # of a regular file it is one
        return found[name].size, file

    return member
