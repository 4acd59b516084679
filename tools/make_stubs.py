"""Writes python/cnnx/_C.pyi, the stubs of the native module; --check says whether they are up to date.

Needs cnnx importable and pybind11-stubgen and ruff (the `dev` extra). What pybind11 cannot know is added
here: which arguments may be None, and that results are of the class cnnx.Tensor.
"""

from __future__ import annotations

import argparse
import difflib
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from cnnx import _C

TARGET = Path(__file__).resolve().parent.parent / "python" / "cnnx" / "_C.pyi"

HEADER = '''"""Stubs of the native module. Written by tools/make_stubs.py."""

import builtins
import collections.abc
import os
import typing

from cnnx.size import Size
from cnnx.tensor import Tensor

'''

# Parameters that take None for "no tensor".
OPTIONAL_TENSORS = {
    "bias",
    "weight",
    "grad_output",
    "min",
    "max",
    "mask",
    "pos_weight",
    "out",
    "running_mean",
    "running_var",
    "sorter",
}
# Functions some of whose results may be None.
OPTIONAL_RESULTS = {"grad"}

REPLACEMENTS = [
    (r"collections\.abc\.Callable(?!\[)", "collections.abc.Callable[..., typing.Any]"),
    (r"typing\.SupportsInt \| typing\.SupportsIndex", "int"),
    (r"typing\.SupportsFloat \| typing\.SupportsIndex", "float"),
    (r'typing\.Annotated\[(collections\.abc\.Sequence\[\w+\]), "FixedSize\(\d+\)"\]', r"\1"),
    (r"(: |-> |\[)list(?=[,)\]:]| [|=])", r"\1list[typing.Any]"),
    (r"(: |-> |\[)dict(?=[,)\]:]| [|=])", r"\1dict[str, typing.Any]"),
    (r"(: |-> |\[)tuple(?=[,)\]:]| [|=])", r"\1tuple[typing.Any, ...]"),
    (r"os\.PathLike(?!\[)", "os.PathLike[str]"),
    (r"typing_extensions\.Buffer", "bytes | bytearray | memoryview"),
    (r"(\w+): (\w+) = None", r"\1: \2 | None = None"),
    (r"numpy\.ndarray(?!\[)", "typing.Any"),
]


def signature(line: str) -> str:
    """One `def` line with the result's class and the optional arguments put in."""
    name = line.split("(")[0].split()[-1]
    head, arrow, result = line.rpartition(" -> ")
    if not arrow:
        return line
    result = result.replace("TensorBase", "Tensor | None" if name in OPTIONAL_RESULTS else "Tensor")
    head = head.replace("tuple[int, ...]", "collections.abc.Sequence[int]")  # lists are accepted as well
    for parameter in OPTIONAL_TENSORS:
        head = re.sub(
            rf"\b{parameter}: TensorBase(?! \| None)\b( \| float)?(?! \|)",
            rf"{parameter}: TensorBase\1 | None",
            head,
        )
    return f"{head} -> {result}"


def functions_of_one_tensor(text: str) -> str:
    """The methods that python/cnnx/unary.py adds to the class, and the names that it takes from here."""
    methods = "".join(
        f"    def {name}(self) -> Tensor: ...\n    def {name}_(self) -> Tensor: ...\n" for name in _C.unary
    )
    text = text.replace("class TensorBase:\n", f"class TensorBase:\n{methods}", 1)
    return f"{text}\n\n__all__ = {list(_C.unary)}  # for python/cnnx/unary.py\n"


def polish(text: str) -> str:
    """Turn the raw stubs into the ones kept in the repository."""
    text = re.sub(r'^""".*?"""\n', "", text, flags=re.DOTALL)
    text = re.sub(r"^(from __future__.*|import .*|__all__.*)\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"^__version__: str = .*$", "__version__: str", text, flags=re.MULTILINE)
    text = re.sub(r"^unary: dict = .*$", "unary: dict[str, str]", text, flags=re.MULTILINE)
    # Methods that say nothing about types.
    untyped = r'    @staticmethod\n    def \w+\(\*args, \*\*kwargs\):\n +""".*?"""\n'
    text = re.sub(untyped, "", text, flags=re.DOTALL)
    text = re.sub(r"    @typing\.overload\n    def __(eq|ne)__.*\n +\.\.\.\n", "", text)
    text = re.sub(r'(class .*:)\n +""".*?"""(?=\n)', r"\1", text, flags=re.DOTALL)
    text = re.sub(r'\n( +)""".*?"""(?=\n)', r"\n\1...", text, flags=re.DOTALL)
    text = text.replace("cnnx._C.", "")
    for pattern, replacement in REPLACEMENTS:
        text = re.sub(pattern, replacement, text)
    lines, inside = [], ""
    for line in text.splitlines():
        if found := re.match(r"class (\w+)", line):
            inside = found.group(1)
        elif line and not line.startswith(" "):
            inside = ""
        if inside == "DType":  # its member `bool` hides the type
            line = re.sub(r"(-> |: )bool\b", r"\1builtins.bool", line)
            line = re.sub(r"^    builtins\.bool", "    bool", line)
        if re.match(r" *def ", line):
            line = signature(line)
        lines.append(line)
    text = "\n".join(lines)
    text = re.sub(r"\n    grad: TensorBase\n", "\n    grad: Tensor | None\n", text)
    text = text.replace("def shape(self) -> typing.Any:", "def shape(self) -> Size:")
    text = functions_of_one_tensor(text)
    return HEADER + text.rstrip() + "\n"


def generate() -> str:
    """Return the stubs of the module that `import cnnx` finds."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pybind11_stubgen", "cnnx._C", "-o", folder]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        raw = (Path(folder) / "cnnx" / "_C.pyi").read_text()
    layout = ["format", "--line-length", "110", "--stdin-filename", "_C.pyi", "-"]
    command = [sys.executable, "-m", "ruff", *layout]
    return subprocess.run(command, check=True, input=polish(raw), capture_output=True, text=True).stdout


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="fail with the difference instead of writing")
    check = parser.parse_args().check
    made = generate()
    if not check:
        TARGET.write_text(made)
        return 0
    kept = TARGET.read_text() if TARGET.exists() else ""
    difference = difflib.unified_diff(kept.splitlines(True), made.splitlines(True), str(TARGET), "generated")
    sys.stdout.writelines(difference)
    if made != kept:
        print("the stubs are out of date: run python tools/make_stubs.py", file=sys.stderr)
    return int(made != kept)


if __name__ == "__main__":
    sys.exit(main())
