"""A run folder when the process is killed, or the disk is full, at each operation on a file in turn."""

import csv
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import cnnx
from cnnx.cli.trained import Trained
from test_idx import idx_bytes

pytestmark = [
    pytest.mark.once,
    pytest.mark.cpu("the command line names its device: --device"),
    pytest.mark.skipif(sys.platform != "linux", reason="preloads a library as Linux does"),
    pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler"),
]
pytest.importorskip("matplotlib")

HERE = Path(__file__).parent / "faults"
RUN = "marked-run"  # what is counted is all below a folder of this name
NOTHING, KILL, TORN, FULL, STAYS_FULL = range(5)
EPOCHS = 2


class Runner:
    """Starts commands with faults."""

    def __init__(self, folder):
        library = folder / "faults.so"
        subprocess.run(
            ["cc", "-Wall", "-Werror", "-O1", "-shared", "-fPIC", "-o", library, HERE / "faults.c", "-ldl"],
            check=True,
        )
        self.process = subprocess.Popen(
            [sys.executable, HERE / "serve.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "LD_PRELOAD": str(library), "MPLBACKEND": "agg"},
        )
        self.data = folder / "data"
        self.data.mkdir()
        rng = np.random.default_rng(0)
        for part, count in (("train", 60), ("t10k", 10)):
            images = rng.integers(0, 256, (count, 8, 8)).astype(np.uint8)
            (self.data / f"{part}-images-idx3-ubyte").write_bytes(idx_bytes(images))
            labels = (np.arange(count) % 3).astype(np.uint8)
            (self.data / f"{part}-labels-idx1-ubyte").write_bytes(idx_bytes(labels))

    def __call__(self, folder, *arguments, at=0, mode=NOTHING):
        folder.mkdir(exist_ok=True)
        job = {
            "folder": str(folder),
            "count": RUN,
            "at": at,
            "mode": mode,
            "arguments": [*map(str, arguments)],
        }
        print(json.dumps(job), file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())

    def train(self, folder, model="mlp", **fault):
        """A new run, or the one that is there if it has a checkpoint."""
        if (folder / RUN / "checkpoint.safetensors").exists():
            trust = ["--trust"] if ".py:" in model else []
            return self(folder, "train", "--threads", 1, "--resume", RUN, *trust, **fault)
        options = (
            "--dataset",
            self.data,
            "--model",
            model,
            "--epochs",
            EPOCHS,
            "--batch-size",
            20,
            "--validations",
            1,
        )
        return self(folder, "train", "--threads", 1, *options, "--out", RUN, **fault)

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(60) == 0
        self.process.stdout.close()


@pytest.fixture(scope="module")
def runner(tmp_path_factory):
    runner = Runner(tmp_path_factory.mktemp("faults"))
    yield runner
    runner.close()


@pytest.fixture(scope="module")
def whole(runner, tmp_path_factory):
    """What an undisturbed run leaves, and its operations."""
    folder = tmp_path_factory.mktemp("whole")
    result = runner.train(folder)
    assert result["code"] == 0, result["err"]
    return snapshot(folder / RUN), result["operations"]


def plain(value):
    """A checkpoint as values that compare."""
    if isinstance(value, cnnx.Tensor):
        return (str(value.dtype), tuple(value.shape), value.numpy().tobytes())
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def snapshot(folder):
    """All that a run folder holds, but how fast the training was."""
    found = {path.name: path.read_bytes() for path in folder.iterdir()}
    state = cnnx.load(folder / "checkpoint.safetensors")
    for row in state["history"]:
        del row["samples_per_second"]
    found["checkpoint.safetensors"] = plain(state)
    with open(folder / "history.csv") as file:
        found["history.csv"] = [row[:-1] for row in csv.reader(file)]
    return found


def assert_whole(folder, whole):
    found = snapshot(folder / RUN)
    assert sorted(found) == sorted(whole)
    for name, content in whole.items():
        assert found[name] == content, name


def assert_usable(folder):
    """What is there is a run of an earlier epoch, or none yet."""
    if (folder / RUN / "model.safetensors").exists():
        trained = Trained.open(str(folder / RUN))
        assert np.isfinite(trained.probabilities(cnnx.zeros(2, 1, 8, 8))).all()


def check_kill(runner, whole, folder, at, mode, operation, **model):
    result = runner.train(folder, at=at, mode=mode, **model)
    assert result["code"] == -9, (operation, result)
    assert result["operations"][-1].split()[0] == operation.split()[0]
    result = runner.train(folder, **model)
    assert result["code"] == 0, (operation, result["err"])
    assert_whole(folder, whole)
    shutil.rmtree(folder)


def points(operations, number):
    """So many operations, spread over all; with number None all."""
    every = range(1, len(operations) + 1)
    return every if number is None else sorted(random.Random(0).sample(every, min(number, len(operations))))


def test_operations_are_in_an_order_that_a_crash_cannot_turn(whole):
    """A file is flushed before it gets its name, the name after; the checkpoint comes before what follows."""
    _, operations = whole
    pending, committed = set(), []
    for place, line in enumerate(operations):
        operation, path = line.split(" ", 1)
        name = os.path.basename(path)
        if operation == "write":
            pending.add(path)
        elif operation == "fsync":
            pending.discard(path)
        elif operation == "rename":
            assert not [left for left in pending if left.startswith(path)], line
            assert operations[place + 1] == f"fsync {os.path.dirname(path)}"
            committed.append(name)
    epoch = ["checkpoint.safetensors", "run.json", "model.safetensors", "history.csv"]
    # What the run is stays the same, and so do the best weights: the second epoch is no better.
    again = [name for name in epoch if name not in ("run.json", "model.safetensors")]
    assert committed == [*epoch, *again, "run.json", "curves.png"]


@pytest.mark.parametrize(
    "number", [14, pytest.param(None, marks=pytest.mark.long)], ids=["sample", "every operation"]
)
def test_killed_at_an_operation(runner, whole, tmp_path, number):
    expected, operations = whole
    for at in points(operations, number):
        check_kill(runner, expected, tmp_path / str(at), at, KILL, operations[at - 1])


def test_killed_in_the_first_epoch_of_a_net_of_the_users_own(runner, tmp_path):
    """Its program comes before the checkpoint, which is of no use without it."""
    program = tmp_path / "net.py"
    program.write_text(
        "from cnnx import nn\ndef Net(): return nn.Sequential(nn.Flatten(), nn.Linear(64, 3))\n"
    )
    model = f"{program}:Net"
    result = runner.train(tmp_path / "whole", model=model)
    assert result["code"] == 0, result["err"]
    operations = result["operations"]
    renames = [at for at, line in enumerate(operations, 1) if line.startswith("rename ")]
    names = [os.path.basename(operations[at - 1].split(" ", 1)[1]) for at in renames]
    assert names[:3] == ["model.py", "checkpoint.safetensors", "run.json"]
    expected = snapshot(tmp_path / "whole" / RUN)
    for at in sorted({place + more for place in renames[:4] for more in (0, 1, 2)}):
        check_kill(runner, expected, tmp_path / str(at), at, KILL, operations[at - 1], model=model)


@pytest.mark.parametrize(
    "number", [4, pytest.param(None, marks=pytest.mark.long)], ids=["sample", "every write"]
)
def test_killed_within_a_write(runner, whole, tmp_path, number):
    expected, operations = whole
    writes = [at for at, line in enumerate(operations, 1) if line.startswith("write ")]
    for place in points(writes, number):
        at = writes[place - 1]
        check_kill(runner, expected, tmp_path / str(at), at, TORN, operations[at - 1])


@pytest.mark.parametrize("number", [4, pytest.param(60, marks=pytest.mark.long)], ids=["some", "many"])
def test_killed_again_while_resuming(runner, whole, tmp_path, number):
    expected, operations = whole
    draw = random.Random(number)
    for i in range(number):
        folder = tmp_path / str(i)
        runner.train(folder, at=draw.randint(1, len(operations)), mode=KILL)
        for _ in range(2):
            runner.train(folder, at=draw.randint(1, 25), mode=draw.choice((KILL, TORN)))
        result = runner.train(folder)
        assert result["code"] == 0, result["err"]
        assert_whole(folder, expected)


@pytest.mark.parametrize(
    "number", [10, pytest.param(None, marks=pytest.mark.long)], ids=["sample", "every operation"]
)
@pytest.mark.parametrize("mode", [FULL, STAYS_FULL], ids=["for a moment", "from then on"])
def test_full_disk_at_an_operation(runner, whole, tmp_path, number, mode):
    expected, operations = whole
    for at in points(operations, number):
        folder, line = tmp_path / str(at), operations[at - 1]
        result = runner.train(folder, at=at, mode=mode)
        if result["code"] != 0:
            assert result["code"] == 1, (line, result)
            assert result["err"].count("\n") == 1, (line, result["err"])
            assert "No space left on device" in result["err"], line
            assert_usable(folder)
            result = runner.train(folder)
            assert result["code"] == 0, (line, result["err"])
        elif mode == FULL:  # a folder that cannot be flushed is none of our errors
            assert line.startswith("fsync "), line
            assert line.endswith(RUN), line
        else:  # nothing came after it that needs room
            after = {line.split()[0] for line in operations[at - 1 :]}
            assert after <= {"fsync", "unlink"}, line
        assert_whole(folder, expected)
        shutil.rmtree(folder)
