"""The shared libcnnx of the package: what it shows, and where C++ programs find it."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from cnnx import _C
from cnnx.cli import main, native

pytestmark = pytest.mark.once

ROOT = Path(_C.__file__).resolve().parent
LIBRARY = ROOT / "lib" / "libcnnx.so"
# Its names are looked at, or those of another library: one that another compiler has built, for example.
NAMES_OF = Path(os.environ.get("CNNX_TEST_LIBRARY", LIBRARY))
SOURCES = Path(__file__).resolve().parent.parent
HEADERS = ROOT / "include" if LIBRARY.exists() else SOURCES / "csrc" / "include"
needs_library = pytest.mark.skipif(
    not LIBRARY.exists(), reason="this build has the library inside its module"
)
needs_names = pytest.mark.skipif(not NAMES_OF.exists(), reason="this build has the library inside its module")

# What csrc/ marks as CNNX_INTERNAL_API: the bindings use it, and nobody else should.
INTERNAL = {
    *("active_target", "available_targets", "fallback_kernels", "kernel_infos", "kernels", "name"),
    *("set_slow_kernel_hook", "slow_kernel_text", "kHost", "parallel_run", "pool_stats"),
    *("pool_release_cached", "cast", "plain_copy", "to_device", "unary", "unary_", "lanes_for_images"),
    *("to_lanes", "AtomicFile", "is_pinned", "pin", "move_async", "download_into"),
    "set_data",
    *(
        "pool_of",
        "queue_of",
    ),  # beside those, and inline: clang shows them where it does not inline
}
INTERNAL_SCOPES = {"cuda"}
SCOPES = {"detail", "init", "nn", "optim"}


def exported():
    """The names of the library, as the linker has them."""
    if shutil.which("nm") is None:
        pytest.skip("needs nm, of binutils")
    command = ["nm", "-D", "--defined-only", NAMES_OF]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return [line.split()[-1] for line in lines]


def parts_of(symbol):
    """Of _ZNK4cnnx6Tensor4sizeEi the names Tensor and size; none if it is not of the namespace."""
    mangled = re.match(r"_ZT?[A-Z]*N?K?4cnnx(.*)", symbol)
    names, rest = [], mangled[1] if mangled else ""
    while length := re.match(r"\d+", rest):
        start, end = length.end(), length.end() + int(length[0])
        names.append(rest[start:end])
        rest = rest[end:]
    return names


@needs_names
def test_the_library_shows_what_is_public_and_little_else():
    names = exported()
    assert len(names) > 300
    headers = "\n".join(path.read_text() for path in (HEADERS / "cnnx").rglob("*.h"))
    public = set(re.findall(r"\w+", re.sub(r"//.*", "", headers)))
    strange = []
    for symbol in names:
        if symbol.startswith("cnnx_"):  # the C API
            known = symbol in public
        elif parts := parts_of(symbol):
            first = parts[1] if parts[0] in SCOPES and len(parts) > 1 else parts[0]
            known = parts[0] in INTERNAL_SCOPES or first in public | INTERNAL
        else:
            known = bool(re.match(r"_ZNK?4cnnx(eq|ne|lt|gt|ls)", symbol))  # an operator
        if not known:
            strange.append(symbol)
    assert not strange


@needs_names
def test_what_the_headers_declare_is_in_the_library():
    names = {part for symbol in exported() for part in parts_of(symbol) or [symbol]}  # C's are as they are
    missing = []
    for header in (HEADERS / "cnnx").rglob("*.h"):
        text = re.sub(r"//.*", "", header.read_text())
        declared = re.findall(
            r"^(?! |inline|template|using|typedef)[\w:<>&*, ]+?[ &*](\w+)\([^{}]*?\);", text, re.MULTILINE
        )
        missing += [f"{header.name}: {name}" for name in declared if name not in names]
    assert not missing


@needs_library
def test_places_of_headers_and_library(capsys):
    assert main(["--includes"]) == 0
    assert capsys.readouterr().out == f"-I{ROOT / 'include'}\n"
    assert main(["--libs", "--includes"]) == 0
    assert capsys.readouterr().out == f"-I{ROOT}/include -L{ROOT}/lib -Wl,-rpath,{ROOT}/lib -lcnnx\n"
    assert main(["--cmake-dir"]) == 0
    folder = Path(capsys.readouterr().out.strip())
    assert {path.name for path in folder.iterdir()} >= {"cnnxConfig.cmake", "cnnxConfigVersion.cmake"}
    assert main(["--pkg-config-dir"]) == 0
    assert (Path(capsys.readouterr().out.strip()) / "cnnx.pc").is_file()
    assert {path.name for path in (ROOT / "include" / "cnnx").iterdir()} >= {
        "cnnx.h",
        "python.h",
        "pybind11.h",
    }


@pytest.mark.skipif(LIBRARY.exists(), reason="this build has the library")
def test_places_where_there_is_none(capsys):
    assert main(["--cmake-dir"]) == 1
    assert "holds no C++ library" in capsys.readouterr().err


def test_folders_stand_as_they_are_and_flags_are_quoted(tmp_path, monkeypatch, capsys):
    root = tmp_path / "my cnnx"
    (root / "lib").mkdir(parents=True)
    (root / "lib" / "libcnnx.so").touch()
    monkeypatch.setattr(native._C, "__file__", str(root / "_C.so"))
    for options, expected in {
        ("--cmake-dir",): f"{root}/lib/cmake/cnnx",
        ("--pkg-config-dir",): f"{root}/lib/pkgconfig",
        ("--lib-dir",): f"{root}/lib",
        ("--includes",): f"'-I{root}/include'",
        ("--libs",): f"'-L{root}/lib' '-Wl,-rpath,{root}/lib' -lcnnx",
        ("--includes", "--cmake-dir"): f"'-I{root}/include' '{root}/lib/cmake/cnnx'",
    }.items():
        assert main(list(options)) == 0
        assert capsys.readouterr().out == expected + "\n"


def test_places_and_commands_do_not_go_together(capsys):
    assert main(["--includes", "info"]) == 2
    assert "info goes with none of --includes" in capsys.readouterr().err
    assert main(["--includes", "--what"]) == 2
    assert capsys.readouterr().err == "cnnx: unrecognized arguments: --what (see cnnx --help)\n"


PROGRAM = r"""
#include <cnnx/cnnx.h>
#include <cstdio>
int main() { std::printf("%g\n", cnnx::add(cnnx::Tensor::full({2}, 1.5), 2.0).data<float>()[1]); }
"""


@needs_library
@pytest.mark.skipif(shutil.which("c++") is None, reason="needs a C++ compiler")
def test_a_program_compiles_with_the_flags_alone(tmp_path):
    (tmp_path / "program.cpp").write_text(PROGRAM)
    flags = subprocess.run(
        [sys.executable, "-m", "cnnx", "--includes", "--libs"], capture_output=True, text=True, check=True
    ).stdout.split()
    program = tmp_path / "program"
    subprocess.run(["c++", "-std=c++20", tmp_path / "program.cpp", "-o", program, *flags], check=True)
    assert subprocess.run([program], capture_output=True, text=True, check=True).stdout == "3.5\n"


# A module that offers what libcnnx would, so that it loads without one.
MODULE = r"""
#include <cnnx/version.h>
#ifdef OTHER_MINOR
#undef CNNX_VERSION_MINOR
#define CNNX_VERSION_MINOR OTHER_MINOR
#endif
#include <cnnx/python.h>
namespace cnnx { int lane_count() { return 1; } }
PyMODINIT_FUNC PyInit_stranger() {
  static PyModuleDef definition{.m_base = PyModuleDef_HEAD_INIT, .m_name = "stranger"};
  return cnnx::python::bridge() != nullptr ? PyModule_Create(&definition) : nullptr;
}
"""


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (
            ["-DOTHER_MINOR=999"],
            "was compiled with the headers of cnnx {}.999, the cnnx that is installed is {}.{}:",
        ),
        ([], "is linked with another libcnnx than the package cnnx is"),
    ],
)
@pytest.mark.skipif(shutil.which("c++") is None, reason="needs a C++ compiler")
def test_modules_of_another_cnnx_are_refused(flags, reason, tmp_path):
    python = Path(sysconfig.get_path("include"))
    if not (HEADERS / "cnnx" / "python.h").exists() or not (python / "Python.h").exists():
        pytest.skip("needs the headers of cnnx and of Python")
    (tmp_path / "stranger.cpp").write_text(MODULE)
    command = ["c++", "-std=c++20", "-shared", "-fPIC", *flags, f"-I{HEADERS}", f"-I{python}"]
    module = tmp_path / f"stranger{sysconfig.get_config_var('EXT_SUFFIX')}"
    subprocess.run([*command, tmp_path / "stranger.cpp", "-o", module], check=True)
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import stranger"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    major, minor = _C.__version__.split(".")[:2]
    assert done.stderr.splitlines()[-1].startswith(
        f"ImportError: cnnx: this module {reason.format(major, major, minor)}"
    )
