"""Puts cnnx with its CUDA backend where this program finds it: a wheel built beforehand, or a build here."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

from gpu.runner import isolated, run_program
from gpu.store import ROOT, Row, digest

MAJOR, MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_*
SOURCES = ("cmake", "csrc", "python")


class InstallError(Exception):
    """Why a wheel or a build does not serve."""


def architecture() -> Row:
    """The first card's architecture, such as 90, as the driver tells it; for a process of its own."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return {"error": "the driver (libcuda.so.1) is not installed"}
    numbers = [ctypes.c_int() for _ in range(3)]
    count, major, minor = (ctypes.byref(number) for number in numbers)
    for status in (
        driver.cuInit(0),
        driver.cuDeviceGetCount(count),
        driver.cuDeviceGetAttribute(major, MAJOR, 0),
        driver.cuDeviceGetAttribute(minor, MINOR, 0),
    ):
        if status != 0:
            return {"error": f"the driver found no card (CUDA's error {status})"}
    return {"architecture": f"{numbers[1].value}{numbers[2].value}"}


def pip(target: Path, what: Path, **environment: str) -> Row:
    """Installs into a folder, without a network; for a process of its own."""
    unfinished = target.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    command += ["--no-build-isolation", "--disable-pip-version-check", "--target", str(unfinished), str(what)]
    done = run_program(command, **environment)
    if done.status != 0:
        how = "over its time" if done.status is None else f"pip ended with {done.status}"
        return {"error": f"{how}: {done.output.strip()[-1500:]}"}
    unfinished.rename(target)
    return {}


TRIED = "import cnnx; cnnx.ones(1, device='cuda').item(); print(cnnx.cuda.build_info())"


def tried(environment: dict[str, str]) -> str:
    """What the cnnx that is found there was built for; it may lack the backend, or that of this card."""
    command = [sys.executable, "-c", TRIED]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode != 0:
        raise InstallError(done.stderr.strip()[-1500:])
    return done.stdout.strip()


def use(site: Path) -> str:
    """Lets this program and those that it starts find the package there; what it was built for."""
    paths = [str(site), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    says = tried(environment)
    os.environ["PYTHONPATH"] = environment["PYTHONPATH"]
    sys.path.insert(0, str(site))
    importlib.invalidate_caches()
    return says


def put(site: Path, what: Path, seconds: float, **environment: str) -> str:
    """Installs into the folder unless that was done before, and uses it."""
    if not site.exists():
        row = isolated(partial(pip, site, what, **environment), seconds)
        if "error" in row:
            raise InstallError(row["error"])
    return use(site)


def install(wheel: Path | None, work: Path, card: str | None, seconds: float) -> Row:
    """Uses the wheel; without one, what is installed; and where neither serves, builds for the card.

    `card` is its architecture; None builds for the emulation. What an earlier call left in `work` serves
    again, as long as the wheel or the sources are the same.
    """
    start = time.monotonic()
    work.mkdir(parents=True, exist_ok=True)
    unfit, what = "", wheel.name if wheel is not None else "what was installed before"
    if wheel is not None or importlib.util.find_spec("cnnx") is not None:
        try:
            found = (
                tried({**os.environ})
                if wheel is None
                else put(work / f"wheel-{digest(wheel)}", wheel, seconds)
            )
            return {"says": f"{what}: {found}", "seconds": round(time.monotonic() - start, 1)}
        except (InstallError, OSError, subprocess.TimeoutExpired) as error:
            unfit = f"; {what} does not serve: {error}"
            print(f"cnnx is built here{unfit}", flush=True)
    how = {"CNNX_CUDA": "ON" if card else "EMULATE", "CNNX_CUDA_ARCHITECTURES": card or ""}
    how["CMAKE_BUILD_PARALLEL_LEVEL"] = str(os.cpu_count() or 1)
    files = sorted(p for name in SOURCES for p in (ROOT / name).rglob("*") if p.suffix not in (".so", ".pyc"))
    site = work / f"built-{digest(ROOT / 'CMakeLists.txt', *(p for p in files if p.is_file()))}"
    try:
        row = {"says": f"built here: {put(site, ROOT, seconds - (time.monotonic() - start), **how)}{unfit}"}
    except (InstallError, subprocess.TimeoutExpired) as error:
        row = {"error": f"no cnnx: {error}{unfit}"}
    return {**row, "seconds": round(time.monotonic() - start, 1)}
