"""Which files are samples of which class, and how a picture is read."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from cnnx import pictures
from cnnx.datasets.images import class_numbers

IMG_EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")

Samples = list[tuple[str, int]]
Valid = Callable[[str], bool]


def has_file_allowed_extension(filename: str, extensions: str | Sequence[str]) -> bool:
    """Whether a file's name ends in one of `extensions`, in letters of either size."""
    return filename.lower().endswith((extensions,) if isinstance(extensions, str) else tuple(extensions))


def is_image_file(filename: str) -> bool:
    """Whether a file's name is that of a picture, by `IMG_EXTENSIONS`."""
    return has_file_allowed_extension(filename, IMG_EXTENSIONS)


def find_classes(directory: str | os.PathLike[str]) -> tuple[list[str], dict[str, int]]:
    """The classes, and the label of each: the names of the folders in `directory`, sorted.

    Raises
    ------
    FileNotFoundError
        If there is none.
    """
    classes = sorted(entry.name for entry in os.scandir(directory) if entry.is_dir())
    if not classes:
        raise FileNotFoundError(f"find_classes: {directory} holds no folder, so there are no classes")
    return classes, class_numbers(classes)


def make_dataset(
    directory: str | os.PathLike[str],
    class_to_idx: dict[str, int] | None = None,
    extensions: str | Sequence[str] | None = None,
    is_valid_file: Valid | None = None,
    allow_empty: bool = False,
) -> Samples:
    """(path, label) of the files in the folders of the classes, sorted.

    Parameters
    ----------
    directory
        The folder.
    class_to_idx
        The label of each class. Default: as `find_classes` finds them.
    extensions
        Of the files that are samples; in place of `is_valid_file`.
    is_valid_file
        Says of a path whether it is a sample; in place of `extensions`.
    allow_empty
        Accept classes without files.

    Raises
    ------
    ValueError
        If both or none of `extensions` and `is_valid_file` are given, or there is no class.
    FileNotFoundError
        If a class has no file, unless `allow_empty`.
    """
    if (extensions is None) == (is_valid_file is None):
        raise ValueError("make_dataset: needs either extensions or is_valid_file")
    labels = find_classes(directory)[1] if class_to_idx is None else class_to_idx
    if not labels:
        raise ValueError("make_dataset: class_to_idx has no class")
    endings = (extensions,) if isinstance(extensions, str) else tuple(extensions or ())
    valid = is_valid_file or (lambda path: has_file_allowed_extension(path, endings))
    samples = [
        (path, labels[name])
        for name in sorted(labels)
        for path in _files(os.path.join(directory, name))
        if valid(path)
    ]
    found = {label for _, label in samples}
    empty = [name for name, label in labels.items() if label not in found]
    if empty and not allow_empty:
        raise FileNotFoundError(
            f"make_dataset: no file in the classes {', '.join(empty)} of {directory}"
            + (f" (with an extension of {', '.join(endings)})" if endings else "")
        )
    return samples


def pil_loader(path: str | os.PathLike[str]) -> Any:
    """The picture in a file, in mode RGB, as `ImageFolder` reads it.

    Raises
    ------
    ImportError
        If Pillow is not installed.
    ValueError, OSError
        If the file is no picture; the message names it.
    """
    return pictures.read("pil_loader", path, lambda image: pictures.in_bytes(image, "RGB"))


default_loader = pil_loader


def _files(folder: str) -> list[str]:
    return [
        os.path.join(place, name)
        for place, _, names in sorted(os.walk(folder, followlinks=True))
        for name in sorted(names)
    ]
