"""Tables of images, as competitions give them: CSV files, each line a label and the pixels of an image."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cnnx import datasets
from cnnx.reading import reading

LABELS = ("label", "class", "target", "y")  # what the column may be called
BLOCK = 1 << 22  # bytes that are read at once
LONGEST_LINE = 1 << 24  # bytes
LONGEST_LABEL = 200  # bytes
WHAT = "a table of images"

Array = np.ndarray[Any, Any]


class Table(NamedTuple):
    """Images (uint8, (N, H, W), in colour (N, 3, H, W)), their labels, and the line of the file of each."""

    images: Array
    labels: list[str]
    lines: list[int]


class Layout(NamedTuple):
    """How many cells a line has, whether the label is the last of them or the first, and if names begin."""

    cells: int
    label_last: bool
    header: bool

    def shape(self) -> tuple[int, ...]:
        """Of an image: a square, in grey or with three values for each pixel."""
        pixels = self.cells - 1
        for shape in ((pixels,), (pixels // 3, 3)):
            side = math.isqrt(shape[0])
            if side and side**2 * math.prod(shape[1:]) == pixels:
                return (side, side, *shape[1:])
        raise ValueError(
            f"{pixels} columns of pixels make no square image: neither n x n (grey) nor 3 x n x n (colour)"
        )


def read_table(path: Path) -> Table:
    """The images in a CSV file.

    Each line holds the label of an image, a number or a name, and its pixels row by row, whole numbers from 0
    to 255; in colour red, green and blue of one pixel after the other. The label comes first, or last if the
    first line, of names, says so.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    ValueError
        If it holds anything else; the message names file, line and cell.
    OSError
        If it cannot be read.
    """
    labels: list[str] = []
    numbers: list[int] = []
    parts: list[Array] = []
    layout, number, rest, total = None, 0, b"", 0
    with reading("", path, WHAT), open(path, "rb") as file:
        while True:
            block = file.read(BLOCK)
            lines = (rest + block).split(b"\n")
            rest = lines.pop() if block else b""
            if len(rest) > LONGEST_LINE:
                raise ValueError(f"line {number + len(lines) + 1} is longer than {LONGEST_LINE:,} bytes")
            texts: list[bytes] = []
            for line in lines:
                number += 1
                if not line.strip():
                    continue
                if layout is None:
                    layout = _layout(line)
                    layout.shape()
                    if layout.header:
                        continue
                label, text = _parted(line, layout, number)
                labels.append(label)
                texts.append(text)
                numbers.append(number)
            if layout is not None and texts:
                total += len(texts) * (layout.cells - 1)
                if total > datasets.ImageFolder.cache_bytes:
                    raise ValueError(f"there are more than {datasets.ImageFolder.cache_bytes:,} pixels")
                parts.append(_pixels(texts, layout, numbers[-len(texts) :]))
            if not block:
                break
        if layout is None or not parts:
            raise ValueError("there is no line with an image")
        images = np.concatenate(parts).reshape(-1, *layout.shape())
    return Table(images if images.ndim == 3 else images.transpose(0, 3, 1, 2), labels, numbers)


def class_order(labels: Sequence[str]) -> list[str]:
    """The different labels in order: numbers by their value, else names as text."""
    names = set(labels)
    if all(name.isascii() and name.isdigit() for name in names):
        return sorted(names, key=lambda name: (int(name), name))
    return sorted(names)


def first_cells(path: Path) -> list[str]:
    """The cells of the first line of a CSV file that is not empty; none if there is no such line."""
    with reading("", path, WHAT), open(path, "rb") as file:
        while line := file.readline(LONGEST_LINE):
            if line.strip():
                return _cells(line)
    return []


def is_unlabelled(cells: Sequence[str]) -> bool:
    """Whether these cells of a first line are names, none of them that of a column of labels."""
    return _is_header(cells) and not any(_are_labels(cells))


def _cells(line: bytes) -> list[str]:
    """The texts between the commas of a line, without the quotes that may stand around them."""
    return [cell.strip() for cell in next(csv.reader([line.decode("utf-8-sig")], skipinitialspace=True))]


def _are_labels(cells: Sequence[str]) -> tuple[bool, bool]:
    """Whether the first and the last cell are names of a column of labels."""
    return cells[0].lower() in LABELS, cells[-1].lower() in LABELS


def _is_header(cells: Sequence[str]) -> bool:
    """Whether cells are names: some that are no numbers, or numbers behind a name, all different.

    Numbers are what pandas calls columns; the pixels of an image behind a class's name are not all different.
    """
    pixels = cells[1:]
    if not all(map(_is_number, pixels)):
        return True
    return bool(pixels) and not _is_number(cells[0]) and len(set(pixels)) == len(pixels)


def _layout(line: bytes) -> Layout:
    """What the first line says, with names or without."""
    cells = _cells(line)
    if len(cells) < 2:
        raise ValueError("the first line has no commas")
    if not _is_header(cells):
        return Layout(len(cells), label_last=False, header=False)
    first, last = _are_labels(cells)
    if not first and not last:
        where = "neither the first nor the last column" if len(cells) > 2 else "no column"
        raise ValueError(f"{where} is called {', '.join(LABELS[:-1])} or {LABELS[-1]}")
    return Layout(len(cells), label_last=last and not first, header=True)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _parted(line: bytes, layout: Layout, number: int) -> tuple[str, bytes]:
    """The label of a line, and its pixels."""
    line = line.rstrip(b"\r")
    quoted = _cells(line) if b'"' in line else None
    count = line.count(b",") + 1 if quoted is None else len(quoted)
    if count != layout.cells:
        raise ValueError(f"line {number} has {count:,} cells, the first has {layout.cells:,}")
    if quoted is not None:
        label = quoted.pop(-1 if layout.label_last else 0).encode()
        text = ",".join(quoted).encode()
        if text.count(b",") != len(quoted) - 1:
            raise ValueError(f"line {number} has a pixel with a comma in it")
    elif layout.label_last:
        text, _, label = line.rpartition(b",")
    else:
        label, _, text = line.partition(b",")
    if len(label) > LONGEST_LABEL:
        raise ValueError(f"the label in line {number} is longer than {LONGEST_LABEL} bytes")
    name = label.decode("utf-8-sig").strip()
    if not name:
        raise ValueError(f"line {number} has no label")
    return name, text


def _pixels(texts: list[bytes], layout: Layout, numbers: list[int]) -> Array:
    """The pixels (lines, cells) of lines of whole numbers with commas in between.

    All digits of all lines at once: a number is its last digit, ten times that before, a hundred times that
    before.
    """
    data = np.frombuffer(b",".join([*texts, b""]), np.uint8)
    ends = np.flatnonzero(data == ord(","))
    digits = data - np.uint8(ord("0"))  # of anything else it is above 9
    lengths = np.diff(ends, prepend=-1) - 1
    strange = digits > 9
    strange[ends] = False
    wrong = (lengths < 1) | (lengths > 3)
    values = np.zeros(len(ends), np.int16)
    for place, factor in enumerate((1, 10, 100), 1):
        values += np.where(lengths >= place, digits[np.maximum(ends - place, 0)], 0).astype(np.int16) * factor
    wrong |= values > 255
    wrong[np.searchsorted(ends, np.flatnonzero(strange))] = True
    columns = layout.cells - 1
    if wrong.any():
        row, column = divmod(int(wrong.argmax()), columns)
        cell = texts[row].split(b",")[column][:40].decode("ascii", "replace")
        where = f"line {numbers[row]}, column {column + 1 + (not layout.label_last)}"
        raise ValueError(f"{where}: {cell!r} is no whole number from 0 to 255")
    return values.astype(np.uint8).reshape(-1, columns)
