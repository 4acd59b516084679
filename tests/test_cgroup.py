"""CPU quotas of control groups, end to end: folders mounted over /sys/fs/cgroup and /proc/self/cgroup."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import cnnx

pytestmark = [
    pytest.mark.once,
    pytest.mark.cpu("threads of the CPU backend"),
    pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one CPU: every quota looks alike"),
]

# The shell's number is that of the Python that replaces it.
SCRIPT = """
mount --bind "$1/groups" /sys/fs/cgroup && mount --bind "$1/cgroup" /proc/$$/cgroup || exit 77
shift
exec "$@"
"""


def threads(folder: Path, named: str, **quotas: str) -> int:
    """The default number of threads of a process in such groups; `quotas` are {file: text}."""
    (folder / "groups").mkdir()
    (folder / "cgroup").write_text(named)
    for file, text in quotas.items():
        path = folder / "groups" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    if shutil.which("unshare") is None:
        pytest.skip("there is no unshare")
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    environment["PYTHONPATH"] = str(Path(cnnx.__file__).parent.parent)
    program = [sys.executable, "-c", "import cnnx; print(cnnx.get_num_threads())"]
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", SCRIPT, "sh", str(folder), *program],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip(f"this process may not mount: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_a_unit_of_systemd(tmp_path: Path) -> None:
    quota = {"user.slice/run.scope/cpu.max": "100000 100000\n"}
    assert threads(tmp_path, "0::/user.slice/run.scope\n", **quota) == 1


def test_a_group_around_it(tmp_path: Path) -> None:
    quota = {"a/cpu.max": "50000 100000\n", "a/b/cpu.max": "max 100000\n"}
    assert threads(tmp_path, "0::/a/b\n", **quota) == 1


def test_version_1(tmp_path: Path) -> None:
    quota = {"cpu/job/cpu.cfs_quota_us": "100000\n", "cpu/job/cpu.cfs_period_us": "100000\n"}
    assert threads(tmp_path, "4:cpu,cpuacct:/job\n2:memory:/\n", **quota) == 1


def test_no_quota_of_its_own(tmp_path: Path) -> None:
    quota = {"a/cpu.max": "100000 100000\n", "b/cpu.max": "max 100000\n"}
    assert threads(tmp_path, "0::/b\n", **quota) == len(os.sched_getaffinity(0))
