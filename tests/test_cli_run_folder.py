"""A run folder: signals, two trainings at once, old folders, links, what a picture that fails costs."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import cnnx
from cnnx import plot
from cnnx.cli import main
from test_cli import assert_same_run, command, own_folders, run, wrong_use  # noqa: F401

pytestmark = [pytest.mark.once, pytest.mark.cpu("the command line names its device: --device")]

SMALL = ("--dataset", "digits", "--model", "mlp", "--schedule", "none", "--patience", 1_000_000)


def started(folder, *more, **options):
    """A long training, after its first epoch."""
    process = command("train", *SMALL, "--threads", 1, "--epochs", 100_000, "--out", folder, *more, **options)
    deadline = time.monotonic() + 60
    while not (folder / "history.csv").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    return process


def to_epochs(folder, epochs):
    """Shortens a run, so that it can be finished."""
    path = folder / "checkpoint.safetensors"
    state = cnnx.load(path)
    cnnx.save({**state, "settings": {**state["settings"], "epochs": epochs}}, path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_saves_and_ends(tmp_path, number):
    process = started(tmp_path / "run")
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number, err
    assert f"saved in {tmp_path / 'run'}" in out
    assert err == ""
    assert not (tmp_path / "run" / "lock").exists()
    epochs = cnnx.load(tmp_path / "run" / "checkpoint.safetensors")["epoch"] + 1
    to_epochs(tmp_path / "run", epochs)
    assert run("--resume", tmp_path / "run") == 0
    assert run(*SMALL, "--epochs", epochs, "--out", "whole") == 0
    assert_same_run(tmp_path / "run", "whole")


def test_hangup_with_a_terminal_that_is_gone(tmp_path):
    leader, follower = os.openpty()
    options = [*map(str, SMALL), "--threads", "1", "--epochs", "100000", "--out", "run"]
    process = subprocess.Popen(
        [sys.executable, "-m", "cnnx", "train", *options],
        stdin=follower, stdout=follower, stderr=follower, start_new_session=True,
    )  # fmt: skip
    os.close(follower)
    while b"epoch 1/" not in os.read(leader, 65536):
        pass
    os.close(leader)
    process.send_signal(signal.SIGHUP)
    assert process.wait(60) in (129, 1)  # 1: the line of an epoch came before the signal was seen
    assert cnnx.load("run/checkpoint.safetensors")["epoch"] >= 1
    to_epochs(tmp_path / "run", cnnx.load("run/checkpoint.safetensors")["epoch"] + 1)
    assert run("--resume", "run") == 0


def test_nohup_is_respected(tmp_path):
    process = started(tmp_path / "run", preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    process.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    assert process.poll() is None
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM


def test_a_second_signal_ends_at_once(monkeypatch, capsys):
    from cnnx.cli import train as module

    def press(output, labels):
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        raise AssertionError("went on")

    monkeypatch.setattr(module, "accuracy", press)
    assert run(*SMALL, "--epochs", 1, "--out", "run") == 128 + signal.SIGTERM
    assert capsys.readouterr().err == "cnnx train: interrupted\n"
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_two_trainings_in_one_folder(tmp_path, capsys):
    process = started(tmp_path / "run")
    try:
        for option in ("--out", "--resume"):
            data = SMALL if option == "--out" else ()
            assert run(option, tmp_path / "run", *data) == 1
            err = capsys.readouterr().err
            assert f"is in use: process {process.pid} on " in err
            assert ", since 20" in err
            assert err.count("\n") == 1
    finally:
        process.kill()
        process.communicate()
    # The killed process has left its lock, which nobody holds.
    assert json.loads((tmp_path / "run" / "lock").read_text())["pid"] == process.pid
    to_epochs(tmp_path / "run", cnnx.load(tmp_path / "run" / "checkpoint.safetensors")["epoch"] + 1)
    assert run("--resume", tmp_path / "run") == 0
    assert not (tmp_path / "run" / "lock").exists()


def test_trainings_that_begin_together_lose_nothing(tmp_path):
    """Of several with one --out, one trains and the others say who does."""
    together = [command("train", *SMALL, "--threads", 1, "--epochs", 3, "--out", "run") for _ in range(4)]
    ends = [(*process.communicate(timeout=120), process.returncode) for process in together]
    assert sorted(code for *_, code in ends)[0] == 0
    assert sum(code == 0 for *_, code in ends) == 1
    for _, err, code in ends:
        assert code == 0 or "is in use: " in err or "holds a run already" in err
    assert run(*SMALL, "--epochs", 3, "--out", "alone") == 0
    assert_same_run("run", "alone")


def test_names_chosen_at_the_same_time_differ(monkeypatch):
    from cnnx.cli.run_folder import RunFolder

    monkeypatch.setattr("time.strftime", lambda *unused: "now")
    paths = {str(RunFolder.create(None, "mlp", "digits").path) for _ in range(3)}
    assert paths == {"runs/mlp-digits-now", "runs/mlp-digits-now-2", "runs/mlp-digits-now-3"}


def test_a_file_system_without_locks(monkeypatch, capsys):
    import errno
    import fcntl

    def none(*unused):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    assert run(*SMALL, "--epochs", 1, "--out", "run") == 0
    assert (
        "no locks here (No locks available): a second training would not be noticed"
        in capsys.readouterr().err
    )


def test_a_folder_written_before_there_were_locks_goes_on(tmp_path, monkeypatch):
    """Half an epoch, as versions without lock and test result left it, with a file half written."""
    from cnnx.cli import train as module

    accuracy, calls = module.accuracy, 0

    def press(output, labels):
        nonlocal calls
        calls += 1
        if calls == 30:
            signal.raise_signal(signal.SIGINT)
        return accuracy(output, labels)

    monkeypatch.setattr(module, "accuracy", press)
    assert run(*SMALL, "--epochs", 3, "--out", "run") == 130
    assert run(*SMALL, "--epochs", 3, "--out", "whole") == 0
    folder = tmp_path / "run"
    state = cnnx.load(folder / "checkpoint.safetensors")
    keys = [
        "version",
        "settings",
        "stage",
        "parts",
        "epoch",
        "trained",
        "stopped",
        "means",
        "history",
        "random",
        "order",
        "loader",
        "split",
        "model",
        "optimizer",
        "scheduler",
        "callbacks",
    ]
    assert list(state) == keys
    assert state["version"] == 3
    assert state["epoch"] == 1
    # Of the epoch before: as killed between the checkpoint and the model.
    cnnx.save(
        {name: cnnx.zeros_like(tensor) for name, tensor in state["model"].items()},
        folder / "model.safetensors",
    )
    (folder / "history.csv").write_text((folder / "history.csv").read_text().splitlines()[0] + "\n")
    (folder / "model.safetensors.77.0.tmp").write_bytes(b"half")
    (folder / "history.csv.77.tmp").write_bytes(b"half")
    (folder / "notes.77.tmp").write_bytes(b"somebody's own")
    assert main(["predict", "run", "none.png"]) == 1
    assert run("--resume", "run") == 0
    assert_same_run("run", "whole")
    assert sorted(os.listdir("run")) == sorted([*os.listdir("whole"), "notes.77.tmp"])


def test_resuming_a_finished_run_mends_its_files(tmp_path):
    """Killed in the last epoch between the checkpoint and what follows from it."""
    assert run(*SMALL, "--epochs", 2, "--out", "run") == 0
    kept = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    for name in ("model.safetensors", "history.csv", "run.json", "curves.png"):
        (tmp_path / "run" / name).unlink()
    assert main(["eval", "run"]) == 1
    assert run("--resume", "run") == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == kept


def test_an_ended_run_without_its_model_is_named(tmp_path, capsys):
    assert run(*SMALL, "--epochs", 1, "--out", "run") == 0
    (tmp_path / "run" / "model.safetensors").unlink()
    capsys.readouterr()
    assert main(["eval", "run"]) == 1
    assert "cnnx train --resume run writes it" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), ValueError("no such font"), MemoryError()]
)
def test_a_failing_picture_costs_no_result(monkeypatch, capsys, error):
    pytest.importorskip("matplotlib")

    def fail(*unused, **more):
        raise error

    monkeypatch.setattr(plot, "curves", fail)
    assert run(*SMALL, "--epochs", 1, "--out", "run") == 1
    captured = capsys.readouterr()
    assert "test accuracy " in captured.out
    assert captured.err == f"run/curves.png: not drawn: {str(error) or 'MemoryError'}\n"
    assert 0 < json.loads(Path("run/run.json").read_text())["test"]["accuracy"] < 1
    monkeypatch.setattr(plot, "confusion_matrix", fail)
    assert main(["eval", "run"]) == 1
    captured = capsys.readouterr()
    assert "test accuracy " in captured.out
    assert "mistakes: run/mistakes.png" in captured.out
    assert captured.err.count("\n") == 1


def test_amounts_that_options_ask_for(capsys):
    for option in ("--threads", "--epochs", "--batch-size", "--image-size"):
        for value in ("100000000", "9" * 30):
            assert f"argument {option}: '{value}' is not within 1 to " in wrong_use(
                capsys, "train", option, value
            )


def test_a_net_that_diverged_in_its_last_step_can_be_read(tmp_path, capsys):
    """The loss of the one batch is finite, that of the test images is not, and JSON has no NaN."""
    wild = ("--optimizer", "sgd", "--lr", 1e30, "--batch-size", 2000)
    assert run(*SMALL, *wild, "--epochs", 1, "--out", "run") == 0
    assert "loss nan" in capsys.readouterr().out
    about = json.loads(Path("run/run.json").read_text(), parse_constant=lambda name: pytest.fail(name))
    assert about["test"]["loss"] is None
    assert main(["eval", "run"]) == 0
    assert run("--resume", "run") == 0


@pytest.mark.parametrize("name", ["model.safetensors", "run.json", "history.csv", "curves.png"])
def test_what_is_there_is_not_lost_to_a_new_run(tmp_path, capsys, name):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).write_text("somebody's own")
    capsys.readouterr()
    err = wrong_use(capsys, "train", *SMALL, "--epochs", 1, "--out", "run")
    assert f"run/{name} is there already" in err
    assert [(path.name, path.read_text()) for path in (tmp_path / "run").iterdir()] == [
        (name, "somebody's own")
    ]


@pytest.mark.parametrize("name", ["lock", "model.safetensors", "run.json", "history.csv", "curves.png"])
def test_a_link_in_a_run_folder_is_not_followed(tmp_path, capsys, name):
    """A folder that came from elsewhere may hold links to the user's own files."""
    assert run(*SMALL, "--epochs", 1, "--out", "run") == 0
    (tmp_path / "own").write_text("precious")
    (tmp_path / "run" / name).unlink(missing_ok=True)
    (tmp_path / "run" / name).symlink_to(tmp_path / "own")
    capsys.readouterr()
    assert run("--resume", "run") == 1
    err = capsys.readouterr().err
    assert f"run/{name}" in err
    assert err.count("\n") == 1
    assert (tmp_path / "own").read_text() == "precious"


def test_a_picture_is_not_drawn_over_a_link(tmp_path, capsys):
    assert run(*SMALL, "--epochs", 1, "--out", "run") == 0
    (tmp_path / "own").write_text("precious")
    (tmp_path / "run" / "confusion.png").symlink_to(tmp_path / "own")
    capsys.readouterr()
    assert main(["eval", "run"]) == 1
    captured = capsys.readouterr()
    assert "confusion.png: not drawn: it is a link" in captured.err
    assert "mistakes: run/mistakes.png" in captured.out
    assert (tmp_path / "own").read_text() == "precious"


def test_a_lock_that_says_anything(tmp_path, capsys):
    """The lock file of another process is shown, and may hold what is no owner."""
    import fcntl

    (tmp_path / "run").mkdir()
    for content in (b"", b"[" * 1000, b'{"pid": 1}', b"\xff", b"[1]"):
        (tmp_path / "run" / "lock").write_bytes(content)
        with open(tmp_path / "run" / "lock") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            assert run(*SMALL, "--epochs", 1, "--out", "run") == 1
        assert "is in use: another process is training in it" in capsys.readouterr().err
