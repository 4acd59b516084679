"""The C API: its header as C, its functions from C, from ctypes and from Rust, against Python's results."""

import ctypes
import os
import re
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest

import cnnx
import cnnx.nn as nn
from cnnx import _C

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parent.parent
HEADER = ROOT / "csrc" / "include" / "cnnx" / "c.h"
PACKAGE = Path(_C.__file__).resolve().parent
LIBRARY = PACKAGE / "lib" / "libcnnx.so"
COMPILERS = [c for c in ("gcc", "clang") if shutil.which(c)]
needs_library = pytest.mark.skipif(
    not LIBRARY.exists(), reason="this build has the library inside its module"
)
FUNCTIONS = re.findall(r"^CNNX_C_API [^;]*?\b(cnnx_\w+)\(", HEADER.read_text(), re.MULTILINE)


def run(*command, **options):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.skipif(not COMPILERS, reason="needs a C compiler")
@pytest.mark.parametrize("language", ["c99", "c11", "c++17"])
@pytest.mark.parametrize("compiler", COMPILERS)
def test_header_is_strict_c(compiler, language, tmp_path):
    kind = "c++" if "++" in language else "c"
    source = tmp_path / f"use.{'cpp' if kind == 'c++' else 'c'}"
    source.write_text(
        "#include <cnnx/c.h>\n"
        "cnnx_session_options options = CNNX_SESSION_OPTIONS;\n"
        "cnnx_value value = CNNX_VALUE;\n"
    )
    flags = ["-Wall", "-Wextra", "-pedantic", "-Werror", f"-std={language}", "-fsyntax-only"]
    run(compiler, "-x", kind, *flags, f"-I{HEADER.parent.parent}", source)


def test_every_function_is_documented():
    guide = (ROOT / "docs" / "embedding.md").read_text()
    assert len(FUNCTIONS) >= 18
    assert [name for name in FUNCTIONS if f"`{name}`" not in guide] == []


@needs_library
def test_every_function_is_exported_and_nothing_else_of_its_name():
    if shutil.which("nm") is None:
        pytest.skip("needs nm, of binutils")
    listed = run("nm", "-D", "--defined-only", LIBRARY)
    assert sorted(re.findall(r" T (cnnx_\w+)$", listed, re.MULTILINE)) == sorted(FUNCTIONS)


class Options(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_size_t),
        ("batch", ctypes.c_int64),
        ("threads", ctypes.c_int32),
        ("keep_batch_norm", ctypes.c_int32),
        ("device", ctypes.c_char_p),
        ("shapes", ctypes.POINTER(ctypes.POINTER(ctypes.c_int64))),
        ("ranks", ctypes.POINTER(ctypes.c_int32)),
        ("shape_count", ctypes.c_size_t),
    ]


class Value(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_size_t),
        ("name", ctypes.c_char_p),
        ("dtype", ctypes.c_int32),
        ("rank", ctypes.c_int32),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("bytes", ctypes.c_uint64),
    ]


class Buffer(ctypes.Structure):
    """cnnx_input and cnnx_output."""

    _fields_ = [
        ("data", ctypes.c_void_p),
        ("bytes", ctypes.c_uint64),
        ("dtype", ctypes.c_int32),
        ("reserved", ctypes.c_int32),
    ]


LAYOUTS = {
    "cnnx_session_options": Options,
    "cnnx_value": Value,
    "cnnx_input": Buffer,
    "cnnx_output": Buffer,
}


@pytest.mark.skipif(not COMPILERS, reason="needs a C compiler")
def test_layout_of_the_structs_stays(tmp_path):
    """As other languages declare them: sizes and offsets, and the numbers of the enumerations."""
    lines = ["#include <cnnx/c.h>", "#include <stdio.h>", "int main(void) {"]
    for name, layout in LAYOUTS.items():
        lines.append(f'  printf("%d\\n", (int)sizeof({name}));')
        for field, _ in layout._fields_:
            lines.append(f'  printf("%d\\n", (int)offsetof({name}, {field}));')
    numbers = {"CNNX_OUT_OF_MEMORY": 8, "CNNX_BAD_SHAPE": 3, "CNNX_FLOAT32": 1, "CNNX_BOOL": 9}
    lines += [f'  printf("%d\\n", {name});' for name in numbers]
    lines += ["  return 0;", "}"]
    (tmp_path / "layout.c").write_text("\n".join(lines) + "\n")
    run(COMPILERS[0], f"-I{HEADER.parent.parent}", tmp_path / "layout.c", "-o", tmp_path / "layout")
    expected = []
    for layout in LAYOUTS.values():
        expected.append(ctypes.sizeof(layout))
        expected += [getattr(layout, field).offset for field, _ in layout._fields_]
    assert [int(n) for n in run(tmp_path / "layout").split()] == expected + list(numbers.values())


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    """A small net, as an ONNX file, an image of bytes, and the class that Python gives it."""
    folder = tmp_path_factory.mktemp("c_api")
    cnnx.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4 * 14 * 14, 10)
    ).eval()
    pytest.importorskip("onnx")
    cnnx.onnx.export(model, cnnx.rand(2, 1, 28, 28), folder / "net.onnx")
    image = np.random.default_rng(0).integers(0, 256, (1, 1, 28, 28), np.uint8)
    (folder / "image").write_bytes(image.tobytes())
    pixels = (image / np.float32(255)).astype(np.float32)
    with cnnx.no_grad():
        scores = model(cnnx.tensor(pixels)).numpy()
    return folder, pixels, scores


@needs_library
def test_from_ctypes(net):
    folder, pixels, scores = net
    library = ctypes.CDLL(str(LIBRARY))
    library.cnnx_last_error.restype = library.cnnx_version.restype = ctypes.c_char_p
    assert library.cnnx_version().decode() == cnnx.__version__
    handle, session = ctypes.c_void_p(), ctypes.c_void_p()
    assert library.cnnx_load_onnx(str(folder / "net.onnx").encode(), ctypes.byref(handle)) == 0
    options = Options(struct_size=ctypes.sizeof(Options), batch=1, threads=1)
    made = library.cnnx_session_create(handle, ctypes.byref(options), ctypes.byref(session))
    assert made == 0, library.cnnx_last_error()
    library.cnnx_net_free(handle)
    value = Value(struct_size=ctypes.sizeof(Value))
    assert library.cnnx_session_input(session, ctypes.c_size_t(0), ctypes.byref(value)) == 0
    assert list(value.shape[: value.rank]) == [1, 1, 28, 28]
    found = np.zeros((1, 10), np.float32)
    given = Buffer(pixels.ctypes.data, pixels.nbytes, 1)
    taken = Buffer(found.ctypes.data, found.nbytes, 1)
    one = ctypes.c_size_t(1)
    ran = library.cnnx_session_run_many(session, ctypes.byref(given), one, ctypes.byref(taken), one)
    assert ran == 0, library.cnnx_last_error()
    np.testing.assert_allclose(found, scores, rtol=1e-5, atol=1e-5)
    given.bytes -= 1
    assert library.cnnx_session_run_many(session, ctypes.byref(given), one, ctypes.byref(taken), one) == 3
    words = b"cnnx_session_run_many: input 0 of shape (1, 1, 28, 28) takes 3136 bytes"
    assert library.cnnx_last_error().startswith(words)
    library.cnnx_session_free(session)


def build_c(compiler, folder):
    source = ROOT / "examples" / "cpp" / "onnx" / "classify.c"
    flags = ["-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror", f"-I{HEADER.parent.parent}"]
    libraries = [f"-L{LIBRARY.parent}", f"-Wl,-rpath,{LIBRARY.parent}", "-lcnnx"]
    run(compiler, *flags, source, "-o", folder / "classify_c", *libraries)
    return folder / "classify_c"


@needs_library
@pytest.mark.parametrize("compiler", COMPILERS)
def test_from_c(net, compiler, tmp_path):
    folder, _, scores = net
    program = build_c(compiler, tmp_path)
    assert int(run(program, folder / "net.onnx", folder / "image")) == scores.argmax()
    for wrong in (["missing.onnx", folder / "image"], [folder / "net.onnx", tmp_path / "missing"]):
        done = subprocess.run([program, *wrong], capture_output=True, text=True)
        assert done.returncode == 1
        assert re.fullmatch(r"classify_c: .*\n", done.stderr)


@pytest.mark.slow
@needs_library
@pytest.mark.skipif(not shutil.which("cmake"), reason="needs CMake")
def test_examples_build_by_find_package(net, tmp_path):
    folder, _, scores = net
    source, build = ROOT / "examples" / "cpp" / "onnx", tmp_path / "build"
    run("cmake", "-S", source, "-B", build, f"-Dcnnx_DIR={LIBRARY.parent / 'cmake' / 'cnnx'}")
    run("cmake", "--build", build)
    image = (folder / "image").read_bytes()
    (tmp_path / "images").write_bytes(struct.pack(">4B3I", 0, 0, 8, 3, 2, 28, 28) + bytes(784) + image)
    out = run(build / "classify", folder / "net.onnx", tmp_path / "images", 1)
    assert re.fullmatch(r"(\d)\nloaded in \d+ us, run in [\d.]+ us\n", out)[1] == str(scores.argmax())
    assert int(run(build / "classify_c", folder / "net.onnx", folder / "image")) == scores.argmax()


@pytest.mark.slow
@needs_library
@pytest.mark.skipif(not shutil.which("cargo"), reason="needs Rust")
def test_from_rust(net, tmp_path):
    folder, _, scores = net
    source = shutil.copytree(ROOT / "examples" / "rust", tmp_path / "rust")
    environment = {**os.environ, "CNNX_LIB_DIR": str(LIBRARY.parent), "RUSTFLAGS": "-D warnings"}
    options = {"cwd": source, "env": environment}
    out = run("cargo", "run", "--quiet", "--offline", "--", folder / "net.onnx", folder / "image", **options)
    assert int(out) == scores.argmax()
    command = ["cargo", "run", "--quiet", "--offline", "--", "missing.onnx", str(folder / "image")]
    done = subprocess.run(command, capture_output=True, text=True, **options)
    assert done.returncode == 1
    error = "cnnx_load_onnx: load_onnx: cannot open missing.onnx: No such file or directory"
    assert done.stderr == f"classify: {error}\n"
