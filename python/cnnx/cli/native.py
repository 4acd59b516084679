"""Where C++ programs find cnnx: `python -m cnnx --cmake-dir`, `--includes`, `--libs` and the like."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

from cnnx import _C
from cnnx.cli import CommandError, UsageError
from cnnx.cli.terminal import say

OPTIONS: dict[str, tuple[str, Callable[[Path], list[str]]]] = {
    "includes": ("compiler flags for the C++ headers", lambda root: [f"-I{root / 'include'}"]),
    "libs": (
        "linker flags for the C++ library",
        lambda root: [f"-L{root / 'lib'}", f"-Wl,-rpath,{root / 'lib'}", "-lcnnx"],
    ),
    "lib_dir": ("the folder of libcnnx.so", lambda root: [str(root / "lib")]),
    "cmake_dir": (
        'the folder for CMake: -Dcnnx_DIR="$(python -m cnnx --cmake-dir)"',
        lambda root: [str(root / "lib" / "cmake" / "cnnx")],
    ),
    "pkg_config_dir": (
        "the folder for PKG_CONFIG_PATH",
        lambda root: [str(root / "lib" / "pkgconfig")],
    ),
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that print where headers and library are."""
    for name, (about, _) in OPTIONS.items():
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, action="store_true", help=f"print {about}, and end")


def places(arguments: argparse.Namespace, unknown: Sequence[str]) -> bool:
    """Prints, on one line, what the options ask for; whether there was one.

    Flags are quoted as a shell wants them; a folder by itself stands as it is, for ``"$(...)"``.
    """
    asked = [words for name, (_, words) in OPTIONS.items() if getattr(arguments, name)]
    if not asked:
        return False
    if unknown:
        raise UsageError(f"unrecognized arguments: {' '.join(unknown)}")
    if arguments.command is not None:
        raise UsageError(f"{arguments.command} goes with none of --includes, --libs and the like")
    root = Path(_C.__file__).resolve().parent  # in an editable installation the sources are elsewhere
    if not (root / "lib" / "libcnnx.so").exists():
        raise CommandError(f"{root} holds no C++ library: this build of cnnx has it inside its Python module")
    found = [word for words in asked for word in words(root)]
    alone = len(found) == 1 and not found[0].startswith("-")
    say(found[0] if alone else shlex.join(found))
    return True
