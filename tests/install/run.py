"""Builds programs outside the project with an installed cnnx, by each way, and compares them with Python.

    python tests/install/run.py --build DIR [--prefix DIR]... [--inference DIR] [--python PYTHON] [--within]
        [--compiler CXX]...

A prefix is what `cmake --install` made; PYTHON has cnnx installed, with its shared library, and NumPy; where
it has pybind11, the custom op of the examples is built as well. --within builds cnnx as a part of another
project, which takes minutes. --inference: a prefix of a static build with CNNX_INFERENCE_ONLY for one CPU
target.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
EXAMPLE = HERE.parent.parent / "examples" / "cpp" / "custom_op"
PROGRAMS = ("consumer", "lenet5")
LARGEST_FOR_INFERENCE = 2_000_000  # bytes of a program with a static library for one CPU target


class Failure(Exception):
    """A step that did not do what it must."""


def run(*command: object, **environment: str) -> str:
    """The output of a command."""
    env = os.environ | environment
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, env=env, cwd="/", timeout=1500, check=False)
    if done.returncode != 0:
        raise Failure(f"{' '.join(words)}\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


def sys_path() -> list[str]:
    """What PYTHONPATH has."""
    return [os.environ["PYTHONPATH"]] if "PYTHONPATH" in os.environ else []


class Matrix:
    """All ways for all compilers."""

    def __init__(self, build: Path, python: str, compilers: list[str]) -> None:
        self.build, self.python, self.compilers = build, python, compilers
        self.expected = ""
        self.failed: list[str] = []

    def check(self, name: str, way, *arguments: object) -> None:
        """One way with each compiler."""
        for compiler in self.compilers:
            folder = self.build / f"{name}-{Path(compiler).name}".replace(" ", "-")
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            try:
                way(folder, compiler, *arguments)
                print(f"ok      {name}, {compiler}", flush=True)
            except Failure as failure:
                self.failed.append(f"{name}, {compiler}")
                print(f"FAILED  {name}, {compiler}: {failure}", flush=True)

    def runs(self, folder: Path) -> None:
        """The programs in a folder do what they must."""
        run(folder / "consumer")
        self.classifies(folder)

    def classifies(self, folder: Path) -> None:
        """The net that Python wrote gives in C++ what it gives in Python."""
        if not self.expected:
            self.expected = run(self.python, HERE / "lenet5.py", self.build)
        found = run(folder / "lenet5", self.build / "lenet5.safetensors", self.build / "image")
        if found != self.expected:
            raise Failure(f"Python: {self.expected}, C++: {found}")

    def built(self, folder: Path, compiler: str, *arguments: object) -> None:
        """Builds by find_package."""
        run("cmake", "-S", HERE, "-B", folder, f"-DCMAKE_CXX_COMPILER={compiler}", *arguments)
        run("cmake", "--build", folder)

    def find_package(self, folder: Path, compiler: str, *arguments: object) -> None:
        self.built(folder, compiler, *arguments)
        self.runs(folder)

    def trains(self, folder: Path, compiler: str, *arguments: object) -> None:
        """The same, and training in C++ gives the bits that it gives in Python, on every CPU target."""
        self.find_package(folder, compiler, *arguments)
        run(folder / "kernels")
        run(folder / "tour")
        last = run(folder / "own_data").splitlines()[-1]
        if float(last.split()[-1]) < 0.9:
            raise Failure(f"own_data: {last}")
        targets = run(self.python, "-c", "from cnnx import _C; print(*_C.available_targets())").split()
        for target in targets:
            said = run(self.python, HERE / "parity.py", folder, CNNX_TARGET=target)
            print(f"        {target}: {said}")

    def inference(self, folder: Path, compiler: str, root: Path) -> None:
        """A library for inference alone: the programs run, what it lacks is refused, and it is small."""
        self.built(folder, compiler, f"-DCMAKE_PREFIX_PATH={root}", "-DINFERENCE=ON")
        self.classifies(folder)
        print("        " + run(folder / "inference").replace("\n", "\n        "))
        run("strip", folder / "lenet5")
        size = (folder / "lenet5").stat().st_size
        print(f"        lenet5 without symbols: {size:,} bytes")
        if size > LARGEST_FOR_INFERENCE:
            raise Failure(f"larger than {LARGEST_FOR_INFERENCE:,} bytes")

    def pkg_config(self, folder: Path, compiler: str, place: str) -> None:
        flags = run("pkg-config", "--cflags", "--libs", "cnnx", PKG_CONFIG_PATH=place).split()
        library = next(flag.removeprefix("-L") for flag in flags if flag.startswith("-L"))
        for program in PROGRAMS:
            run(
                compiler,
                "-std=c++20",
                "-O1",
                HERE / f"{program}.cpp",
                "-o",
                folder / program,
                *flags,
                f"-Wl,-rpath,{library}",
            )
        self.runs(folder)
        in_c = folder / "version"
        run("cc", "-std=c99", HERE / "version.c", "-o", in_c, *flags, f"-Wl,-rpath,{library}")
        found, expected = run(in_c), run(self.python, "-c", "import cnnx; print(cnnx.__version__)")
        if found != expected:
            raise Failure(f"Python: {expected}, C: {found}")

    def within(self, folder: Path, compiler: str, how: str, *arguments: object) -> None:
        run(
            "cmake",
            "-S",
            HERE / "within",
            "-B",
            folder,
            f"-DHOW={how}",
            f"-DCMAKE_CXX_COMPILER={compiler}",
            "-DCNNX_CUDA=OFF",
            *arguments,
        )
        run("cmake", "--build", folder, "--target", "consumer", "-j", os.cpu_count())
        run(folder / "consumer")

    def custom_op(self, folder: Path, compiler: str, *arguments: object) -> None:
        run(
            "cmake",
            "-S",
            EXAMPLE,
            "-B",
            folder,
            f"-DCMAKE_CXX_COMPILER={compiler}",
            f"-DPython_EXECUTABLE={self.python}",
            *arguments,
        )
        run("cmake", "--build", folder)
        print(
            "        "
            + run(
                self.python, EXAMPLE / "use.py", PYTHONPATH=os.pathsep.join([str(folder), *sys_path()])
            ).replace("\n", "\n        ")
        )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--prefix", type=Path, action="append", default=[])
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--inference", type=Path)
    parser.add_argument("--within", action="store_true")
    parser.add_argument("--compiler", action="append")
    arguments = parser.parse_args()
    build = arguments.build.resolve()
    build.mkdir(parents=True, exist_ok=True)
    # As it is called, not where it leads to: a virtual environment is known by that.
    python = str(Path(shutil.which(arguments.python) or arguments.python).absolute())
    matrix = Matrix(build, python, arguments.compiler or [os.environ.get("CXX", "c++")])

    for prefix in arguments.prefix:
        root = prefix.resolve()
        (place,) = root.glob("lib*/**/pkgconfig")
        matrix.check(f"find_package {root.name}", matrix.trains, f"-DCMAKE_PREFIX_PATH={root}")
        if shutil.which("pkg-config"):
            matrix.check(f"pkg-config {root.name}", matrix.pkg_config, str(place))

    if arguments.inference:
        matrix.check("inference only", matrix.inference, arguments.inference.resolve())

    said = {name: run(python, "-m", "cnnx", f"--{name}") for name in ("cmake-dir", "pkg-config-dir")}
    matrix.check("find_package wheel", matrix.find_package, f"-Dcnnx_DIR={said['cmake-dir']}")
    if shutil.which("pkg-config"):
        matrix.check("pkg-config wheel", matrix.pkg_config, said["pkg-config-dir"])
    try:
        pybind11 = run(python, "-m", "pybind11", "--cmakedir")
    except Failure:
        print("left out: the custom op, since there is no pybind11")
    else:
        matrix.check(
            "custom op", matrix.custom_op, f"-Dcnnx_DIR={said['cmake-dir']}", f"-Dpybind11_DIR={pybind11}"
        )

    if arguments.within:
        matrix.check("add_subdirectory static", matrix.within, "add_subdirectory", "-DCNNX_ONLY_TARGETS=v2")
        matrix.check(
            "FetchContent shared",
            matrix.within,
            "FetchContent",
            "-DCNNX_ONLY_TARGETS=v2",
            "-DBUILD_SHARED_LIBS=ON",
        )
    print(f"{len(matrix.failed)} failed")
    return 1 if matrix.failed else 0


if __name__ == "__main__":
    sys.exit(main())
