"""C text: lines, blocks and numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
BYTES = {"float": 4, "int8_t": 1, "uint8_t": 1, "int16_t": 2, "uint16_t": 2, "int32_t": 4}


class Writer:
    """Lines of C, indented by blocks."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.constant_bytes = 0  # of all tables
        self._depth = 0

    def __call__(self, *lines: str) -> None:
        """Adds lines."""
        self.lines.extend("    " * self._depth + line if line else "" for line in lines)

    @contextmanager
    def block(self, head: str = "") -> Iterator[None]:
        """A block; what is written within is indented."""
        self(f"{head} {{" if head else "{")
        self._depth += 1
        yield
        self._depth -= 1
        self("}")

    @contextmanager
    def loop(self, name: str, count: int, start: int = 0) -> Iterator[str]:
        """A loop up to a count, which gives the index; of one turn the number, and no loop."""
        if count - start == 1:
            yield str(start)
            return
        with self.block(f"for (int {name} = {start}; {name} < {count}; ++{name})"):
            yield name

    def table(self, name: str, values: Array, kind: str) -> None:
        """A constant array."""
        items = reals(values) if kind == "float" else list(map(str, values.reshape(-1).tolist()))
        items = items or ["0"]
        in_line = 8 if kind == "float" else 20
        lines = [f"    {', '.join(items[i : i + in_line])}," for i in range(0, len(items), in_line)]
        self(f"static const {kind} {name}[{len(items)}] = {{", *lines, "};")
        self.constant_bytes += len(items) * BYTES[kind]

    def text(self) -> str:
        """All of it."""
        return "\n".join(self.lines) + "\n"


def real(value: Any) -> str:
    """A number of float32 in C, exactly."""
    return reals(np.asarray(value, np.float32))[0]


def reals(values: Array) -> list[str]:
    """Numbers of float32 in C: nine digits tell each from all others."""
    flat = values.astype(np.float32).reshape(-1)
    texts = [f"{value:.9g}" for value in flat.tolist()]
    texts = [f"{text}f" if "." in text or "e" in text else f"{text}.0f" for text in texts]
    for i in np.nonzero(~np.isfinite(flat))[0].tolist():
        texts[i] = "NAN" if math.isnan(flat[i]) else "INFINITY" if flat[i] > 0 else "-INFINITY"
    return texts


def plus(*terms: str) -> str:
    """A sum in C, without what is 0; numbers are added up."""
    number, kept = 0, []
    for term in terms:
        if term.lstrip("-").isdigit():
            number += int(term)
        else:
            kept.append(term)
    if number or not kept:
        kept.append(str(number))
    return " + ".join(kept).replace("+ -", "- ")


def times(a: str, factor: int) -> str:
    """A product in C; nothing where the factor is 1."""
    if factor == 0 or a == "0":
        return "0"
    if a.isdigit():
        return str(int(a) * factor)
    if factor == 1:
        return a
    return f"({a}) * {factor}" if " " in a else f"{a} * {factor}"


def smallest(values: Sequence[int]) -> str:
    """The smallest integer type that holds all of these."""
    low, high = min(values, default=0), max(values, default=0)
    for bits in (8, 16):
        if low >= 0 and high < 2**bits:
            return f"uint{bits}_t"
        if -(2 ** (bits - 1)) <= low and high < 2 ** (bits - 1):
            return f"int{bits}_t"
    return "int32_t"


def extents(shape: Sequence[int]) -> str:
    """A shape in words: 1x28x28; one number is one."""
    return "x".join(map(str, shape)) if shape else "1"


def comment(text: str) -> str:
    """A comment: nothing in it ends it."""
    safe = text.replace("\\", "/").replace("*/", "* /").replace("/*", "/ *")
    return "/* " + "".join(c if 32 <= ord(c) < 127 else "_" for c in safe) + " */"


def at(*steps: tuple[str, int]) -> str:
    """An index: a sum of products."""
    return plus(*(times(name, factor) for name, factor in steps))
