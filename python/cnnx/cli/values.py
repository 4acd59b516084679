"""Values of options: what reads them says in one line what is wrong with them."""

from __future__ import annotations

import argparse
import functools
import math
import struct
from collections.abc import Callable

LONGEST_NUMBER = 100  # digits


def whole(text: str) -> int:
    """The whole number from 0 on that a text says; -1 if it says none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= LONGEST_NUMBER else -1


def positive_int(text: str, largest: int = 2**63 - 1) -> int:
    """An option's value as an integer above zero, and not above `largest`."""
    value = whole(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")
    if value > largest:
        raise argparse.ArgumentTypeError(f"{text!r} is not within 1 to {largest:,}")
    return value


def up_to(largest: int) -> Callable[[str], int]:
    """What reads an option's value as an integer from 1 to `largest`: an amount that memory could hold."""
    return functools.partial(positive_int, largest=largest)


def seed_number(text: str) -> int:
    """An option's value as an integer from 0 to 2^63 - 1."""
    if not 0 <= whole(text) < 2**63:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 2^63 - 1")
    return whole(text)


def in_float32(value: float) -> float:
    """What is left of a number in float32, in which nets compute: an infinity or 0 of one beyond it."""
    try:
        (kept,) = struct.unpack("<f", struct.pack("<f", value))
    except OverflowError:
        return math.copysign(math.inf, value)
    return float(kept)


def positive_float(text: str) -> float:
    """An option's value as a number above zero, and not beyond float32."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < in_float32(value) < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number of float32")
    return value


def device_name(text: str) -> str:
    """An option's value as the name of a device that is there; `auto` is a GPU if there is one."""
    from cnnx import cuda
    from cnnx.devices import as_device

    if text == "auto":
        text = "cuda" if cuda.is_available() else "cpu"
    try:
        return str(as_device("device", text))
    except RuntimeError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def count(text: str) -> int:
    """An option's value as an integer from 0 on."""
    if whole(text) < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 on")
    return whole(text)


def model_name(text: str) -> str:
    """An option's value as a net: one by name, or a program and what makes a net in it."""
    from cnnx.models import MODELS, canonical

    text = canonical(text)
    file, _, name = text.rpartition(":")
    if text in MODELS or (file.endswith(".py") and name.isidentifier()):
        return text
    if text.endswith((".py", ".py:")):
        raise argparse.ArgumentTypeError(f"{text!r} needs what makes the net in it: {text.rstrip(':')}:NAME")
    raise argparse.ArgumentTypeError(f"invalid choice: {text!r} (choose from {', '.join(MODELS)})")


def path_name(text: str) -> str:
    """An option's value as the name of a file or folder: an empty one would be the current folder."""
    if not text:
        raise argparse.ArgumentTypeError("the name is empty")
    return text


def listed(read: Callable[[str], object]) -> Callable[[str], list[object]]:
    """What reads an option's value as a list, with commas in between."""

    def values(text: str) -> list[object]:
        return [read(part) for part in text.split(",")]

    return values
