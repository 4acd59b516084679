"""The package as a whole: its examples, its import, what it ships and what the README says."""

import doctest
import importlib
import importlib.metadata
import os
import pkgutil
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy
import pytest

import cnnx

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted(
    m.name for m in pkgutil.walk_packages(cnnx.__path__, "cnnx.") if not m.name.endswith("__main__")
)
NEED_EXTRAS = [
    name for name in MODULES if name == "cnnx.sklearn" or name.startswith(("cnnx.onnx.", "cnnx.bench.peers."))
]


def load(name):
    """The module; skips the test where a package it is made for is missing."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        if name not in NEED_EXTRAS:
            raise
        pytest.skip(str(error))


def run(code, *, cwd, **environment):
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, **environment},
        timeout=300,
        check=False,
    )


@pytest.mark.cpu("the examples print tensors of the CPU")
@pytest.mark.parametrize("name", ["cnnx", *MODULES])
def test_examples_of_the_docstrings(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = load(name)
    state = cnnx.get_rng_state() if hasattr(cnnx, "get_rng_state") else None
    options = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    result = doctest.testmod(module, optionflags=options)
    if state is not None:
        cnnx.set_rng_state(state)
    assert result.failed == 0


def test_every_public_name_is_documented():
    missing = [
        f"{name}.{attribute}"
        for name in ["cnnx", *MODULES]
        if not name.rpartition(".")[2].startswith("_") and name not in NEED_EXTRAS
        for attribute in getattr(importlib.import_module(name), "__all__", [])
        if callable(value := getattr(importlib.import_module(name), attribute)) and not value.__doc__
    ]
    assert missing == []


def installed():
    try:
        importlib.metadata.version("cnnx")
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


needs_install = pytest.mark.skipif(not installed(), reason="run from a build folder, not installed")


@needs_install
def test_version_is_that_of_the_distribution():
    assert cnnx.__version__ == importlib.metadata.version("cnnx")


def test_one_version_everywhere():
    """A build has CMake's; the others are read before there is a build, or by a compiler."""
    header = (ROOT / "csrc/include/cnnx/version.h").read_text()
    versions = {
        "csrc/include/cnnx/version.h": ".".join(re.findall(r"VERSION_(?:MAJOR|MINOR|PATCH) (\d+)", header))
    }
    for name, pattern in {
        "CMakeLists.txt": r"project\(cnnx VERSION ([\d.]+) ",
        "pyproject.toml": r'^version = "(.+)"$',
        "packaging/vcpkg/vcpkg.json": r'^  "version": "(.+)",$',
        "packaging/conan/conanfile.py": r'^    version = "(.+)"$',
    }.items():
        [versions[name]] = re.findall(pattern, (ROOT / name).read_text(), re.MULTILINE)
    assert set(versions.values()) == {cnnx.__version__}, versions


def test_typed_marker_and_stubs_are_shipped():
    folder = Path(cnnx.__file__).parent
    assert (folder / "py.typed").exists()
    assert (folder / "_C.pyi").exists()


def test_import_needs_numpy_alone(tmp_path):
    code = """
import sys
import textwrap
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "tqdm", "matplotlib", "scipy", "sklearn", "pytest", "hypothesis"}:
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
import cnnx
cnnx.nn.Conv2d(1, 2, 3)(cnnx.ones(1, 1, 5, 5))
"""
    done = run(code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_import_is_quick_on_top_of_numpy(tmp_path):
    code = """
import numpy, time
start = time.process_time()
import cnnx
print(time.process_time() - start)
"""
    seconds = min(float(run(code, cwd=tmp_path).stdout) for _ in range(3))
    assert seconds <= 0.15


@pytest.mark.parametrize("setting", ["OMP_NUM_THREADS=2", "OMP_NUM_THREADS=1"])
def test_omp_num_threads_is_respected(setting, tmp_path):
    name, _, value = setting.partition("=")
    done = run("import cnnx; print(cnnx.get_num_threads())", cwd=tmp_path, **{name: value})
    assert done.stdout.split() == [value]


def test_unknown_target_is_refused_with_the_known_ones(tmp_path):
    done = run("import cnnx; cnnx.ones(2).exp()", cwd=tmp_path, CNNX_TARGET="v9")
    assert done.returncode != 0
    assert "CNNX_TARGET=v9" in done.stderr
    assert "reference" in done.stderr


@pytest.mark.skipif(not (ROOT / "README.md").exists(), reason="not in a clone")
def test_readme_script_runs_and_learns(tmp_path):
    script = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL).group(1)
    done = run(script, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.split()[-1]) >= 0.95
    assert (tmp_path / "digits.safetensors").exists()


def blocks_of_the_docs():
    text = (ROOT / "docs" / "tools.md").read_text() if (ROOT / "docs" / "tools.md").exists() else ""
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


@pytest.mark.parametrize("block", blocks_of_the_docs())
def test_the_code_in_the_docs_runs(block, tmp_path):
    for name in re.findall(r"^(?:import|from) (?!cnnx)(\w+)", block, re.MULTILINE):
        pytest.importorskip(name)
    done = run(f"import warnings; warnings.simplefilter('default')\n{block}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@needs_install
def test_numpy_is_the_only_requirement():
    needed = [r for r in importlib.metadata.requires("cnnx") if "extra ==" not in r]
    assert [re.match(r"\w+", r).group() for r in needed] == [numpy.__name__]


def test_a_kernel_that_the_target_lacks_warns_once_at_the_callers_line(tmp_path):
    code = """
        import threading, warnings
        import cnnx
        def call():
            return cnnx._C._run_slow_kernel()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            thread = threading.Thread(target=call)  # the report waits for the main thread
            thread.start()
            thread.join()
            for _ in range(3):
                assert call() == (4.0, 6.0)
        [warning] = caught
        assert warning.category is cnnx.PerformanceWarning
        assert str(warning.message).startswith("axpy: no kernel for the CPU target"), warning.message
        assert "cnnx/" not in warning.filename, warning.filename
    """
    ran = run(textwrap.dedent(code), cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    ran = run("import cnnx\ncnnx._C._run_slow_kernel()\nx = 1\nprint(x)", cwd=tmp_path)
    assert ran.returncode == 1
    assert "PerformanceWarning" in ran.stderr


@pytest.mark.parametrize("name", ["lenet5", "tour"])
def test_a_cpp_program_of_the_documents_is_the_one_that_is_built(name):
    program = (ROOT / f"tests/install/{name}.cpp").read_text()
    assert program in (ROOT / "docs/embedding.md").read_text()


def test_one_header_includes_all_others():
    folder = ROOT / "csrc/include"
    # C's own; the kernels without tensors; those that need Python's headers.
    doors = {"cnnx/c.h", "cnnx/cnnx.h", "cnnx/kernels.h", "cnnx/python.h", "cnnx/pybind11.h"}
    headers = {str(path.relative_to(folder)) for path in folder.rglob("*.h")} - doors
    assert set(re.findall(r'#include "(.+)"', (folder / "cnnx/cnnx.h").read_text())) == headers
