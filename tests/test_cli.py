"""The command line: training, the run folder, Ctrl-C and resume, info, wrong use."""

import csv
import fcntl
import gzip
import io
import json
import os
import pty
import re
import resource
import signal
import struct
import subprocess
import sys
import termios
import time

import numpy as np
import pytest

import cnnx
from cnnx import models
from cnnx.cli import main, settings
from cnnx.cli.train import describe

pytestmark = pytest.mark.cpu("the command line names its device: --device")

# Convolution in the reference's plain loops takes minutes; what is tested here does not depend on the net.
NET = "mlp" if cnnx._C.active_target() == "reference" else "digits"
MNIST_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    """No run reads or writes outside the test's folder."""
    monkeypatch.setenv("CNNX_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    threads = cnnx.get_num_threads()
    yield
    cnnx.set_num_threads(threads)


def run(*arguments):
    return main(["train", "--threads", "1", *map(str, arguments)])


def command(*arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "cnnx", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def weights(folder):
    return {name: tensor.numpy() for name, tensor in cnnx.load(f"{folder}/model.safetensors").items()}


def history(folder):
    """The rows without the speed."""
    with open(f"{folder}/history.csv") as file:
        return [row[:-1] for row in csv.reader(file)]


def assert_same_run(a, b):
    left, right = weights(a), weights(b)
    assert list(left) == list(right)
    for name in left:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)
    assert history(a) == history(b)


def wrong_use(capsys, *arguments):
    """The one line on stderr of a call that must end with exit code 2."""
    try:
        code = main([str(a) for a in arguments])
    except SystemExit as error:
        code = error.code
    captured = capsys.readouterr()
    assert code == 2
    assert captured.err.count("\n") == 1
    assert "Traceback" not in captured.err
    return captured.err


def test_accuracy(out):
    """Of the last line, "test accuracy 98.61 ± 0.67 %, chance 12.22 %, loss 0.0458", in percent."""
    found = re.fullmatch(r"test accuracy ([\d.]+) ± [\d.]+ %, chance [\d.]+ %, loss \S+", out[-1])
    assert found, out[-1]
    return float(found[1])


test_accuracy.__test__ = False


@pytest.mark.skipif(cnnx._C.active_target() == "reference", reason="plain loops take minutes for it")
def test_digits_reach_97_percent(tmp_path, capsys):
    assert run("--out", "run") == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("data: the embedded 8x8 digits; mnist is not in")
    assert test_accuracy(out) >= 97
    folder = tmp_path / "run"
    assert sorted(os.listdir(folder)) == [
        "checkpoint.safetensors",
        "curves.png",
        "history.csv",
        "model.safetensors",
        "run.json",
    ]
    assert (folder / "curves.png").read_bytes()[:4] == b"\x89PNG"
    header, *rows = history(folder)
    assert header == ["epoch", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "lr"]
    assert [int(row[0]) for row in rows] == list(range(1, 1 + len(rows)))
    assert sum(line.startswith("epoch ") for line in out) >= len(rows) // 2
    assert float(rows[-1][1]) < float(rows[0][1])
    net = models.build_model("digits", (1, 8, 8))
    net.load_state_dict(cnnx.load(folder / "model.safetensors"))
    about = json.loads((folder / "run.json").read_text())
    assert about["test"]["images"] == 360
    assert about["test"]["error"] == pytest.approx(0.007, abs=0.004)


@pytest.mark.parametrize("patience", [1, 9])
def test_the_end_says_what_was_and_what_comes_next(tmp_path, capsys, patience):
    rate = 1e-30 if patience == 1 else 1e-4  # so little that no epoch is better than the first
    options = ("--model", "mlp", "--optimizer", "sgd", "--lr", rate, "--schedule", "none", "--validations", 1)
    assert run("--dataset", "digits", *options, "--epochs", 3, "--patience", patience, "--out", "run") == 0
    out = capsys.readouterr().out.splitlines()
    end = out[next(i for i, line in enumerate(out) if line.startswith("the best epoch is ")) :]
    about = json.loads((tmp_path / "run" / "run.json").read_text())
    kept, error = (100 * about["validation"][name] for name in ("accuracy", "error"))
    best, count = (1, 2) if patience == 1 else (3, 3)
    assert end[0] == f"the best epoch is {best} of {count}: validation accuracy {kept:.2f} ± {error:.2f} %"
    words = rf"trained for \d+:\d\d; {count} epochs in all, [\d,]+ images a second"
    assert re.fullmatch(words, end[1]), end[1]
    assert end[2] == f"settings: mlp, sgd lr {rate:g} (none), batch 64, seed 0, {about['device']}"
    assert end[3] == "run: run"
    commands = re.findall(r"^(?:next: |      )(cnnx .*?)  ", "\n".join(end), re.MULTILINE)
    wanted = ["cnnx eval run", "cnnx mistakes run", "cnnx predict run IMAGE"]
    assert commands == wanted + ["cnnx train --resume run --epochs 6"] * (patience == 9)
    assert max(map(len, end)) <= 80
    if patience == 9:
        assert main(["train", *commands[-1].split()[2:]]) == 0


def test_seed_decides_and_threads_do_not(tmp_path):
    for name, seed, threads in (("a", 3, 1), ("b", 3, 2), ("c", 4, 1)):
        assert run("--model", NET, "--epochs", 2, "--seed", seed, "--threads", threads, "--out", name) == 0
    assert_same_run("a", "b")
    assert any((x != y).any() for x, y in zip(weights("a").values(), weights("c").values(), strict=True))


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "adadelta"])
def test_resuming_after_a_stop_ends_with_the_same_bits(monkeypatch, optimizer):
    from cnnx.cli import train as module

    arguments = ["--model", NET, "--epochs", 2, "--optimizer", optimizer, "--batch-size", 100]
    assert run(*arguments, "--out", "whole") == 0
    # Ctrl-C is pressed in the third batch, in the last one of the first epoch, and while validating.
    accuracy, calls = module.accuracy, 0

    def press(output, labels):
        nonlocal calls
        calls += 1
        if calls in (3, 13, 14):
            signal.raise_signal(signal.SIGINT)
        return accuracy(output, labels)

    monkeypatch.setattr(module, "accuracy", press)
    assert run(*arguments, "--out", "parts") == 130
    codes = []
    while not codes or codes[-1] == 130:
        assert not os.path.exists("parts/curves.png")
        codes.append(run("--resume", "parts"))
    assert codes == [130, 130, 0]
    assert_same_run("whole", "parts")


def test_real_sigint_and_resume(tmp_path):
    settled = ("--schedule", "none", "--patience", 1000)  # so that the number of epochs changes nothing
    arguments = ["train", "--epochs", 300, "--threads", 1, "--seed", 5, "--model", "mlp", *settled]
    process = command(*arguments, "--out", "run")
    checkpoint = tmp_path / "run" / "checkpoint.safetensors"
    deadline = time.monotonic() + 60
    while not checkpoint.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "saved in run" in out
    assert "cnnx train --resume run" in out
    assert "Traceback" not in err
    done = cnnx.load(checkpoint)
    assert 0 < done["epoch"] < 300
    # A shorter whole run than 300 epochs would do: both are brought to the same number of epochs.
    epochs = done["epoch"] + 2
    state = {**done, "settings": {**done["settings"], "epochs": epochs}}
    cnnx.save(state, checkpoint)
    assert run("--resume", "run") == 0
    assert run("--epochs", epochs, "--seed", 5, "--model", "mlp", *settled, "--out", "whole") == 0
    assert_same_run("run", "whole")


def test_a_finished_run_takes_more_epochs(capsys):
    settled = ("--model", "mlp", "--schedule", "none", "--patience", 9)
    assert run("--epochs", 1, *settled, "--out", "run") == 0
    assert run("--resume", "run", "--epochs", 3) == 0
    assert run("--epochs", 3, *settled, "--out", "whole") == 0
    assert_same_run("run", "whole")
    capsys.readouterr()
    assert run("--resume", "run") == 0
    assert "test accuracy" in capsys.readouterr().out


def write_mnist(folder, count=60, size=28):
    from test_idx import idx_bytes

    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for name in MNIST_FILES:
        shape = (count, size, size) if "images" in name else (count,)
        high = 256 if "images" in name else 10
        (folder / f"{name}.gz").write_bytes(
            gzip.compress(idx_bytes(rng.integers(0, high, shape).astype(np.uint8)))
        )


@pytest.mark.once
def test_mnist_in_the_data_folder_is_used(tmp_path, capsys):
    write_mnist(tmp_path / "data" / "mnist")
    assert run("--epochs", 1, "--out", "run") == 0
    out = capsys.readouterr().out
    assert out.startswith(f"data: mnist, found in {tmp_path / 'data'}\n")
    assert "model: lenet5," in out
    assert "61,706" in out
    assert run("--epochs", 1, "--dataset", "digits", "--out", "other") == 0
    assert capsys.readouterr().out.startswith("data: digits (embedded)\n")


@pytest.mark.big
@pytest.mark.parametrize("name", models.MODELS)
def test_every_model_trains(tmp_path, name):
    write_mnist(tmp_path / "data" / "mnist", 24)
    assert run("--model", name, "--epochs", 1, "--batch-size", 8, "--out", "run") == 0


def test_bad_data(tmp_path, capsys):
    folder = tmp_path / "data" / "mnist"
    write_mnist(folder, 0)
    assert run("--out", "run") == 1
    assert "is empty" in capsys.readouterr().err
    (folder / f"{MNIST_FILES[0]}.gz").write_bytes(b"nonsense")
    assert run("--out", "run") == 1
    err = capsys.readouterr().err
    assert f"{MNIST_FILES[0]}.gz: at byte 0" in err
    assert err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_test_images_of_classes_that_nothing_trains(tmp_path, capsys):
    image = pytest.importorskip("PIL.Image").new("L", (8, 8))
    for place in ("train/a", "train/b", "test/a", "test/c"):
        (tmp_path / "f" / place).mkdir(parents=True)
        for i in range(3):
            image.save(tmp_path / "f" / place / f"{i}.png")
    assert run("--dataset", "f", "--epochs", 1, "--out", "run") == 1
    assert capsys.readouterr().err == f"cnnx train: {tmp_path}/f/test: no images train the classes c\n"
    for place in ("g/a", "g/b"):
        (tmp_path / place).mkdir(parents=True)
        image.save(tmp_path / place / "0.png")
    assert run("--dataset", "g", "--epochs", 1, "--out", "run") == 1
    why = "class a has one image; a class needs two or more, to train and to test"
    assert capsys.readouterr().err == f"cnnx train: {tmp_path}/g: {why}\n"
    (tmp_path / "g" / "c").mkdir()
    image.save(tmp_path / "g/a/1.png")
    assert run("--dataset", "g", "--epochs", 1, "--out", "run") == 1
    assert "class c has no image; a class needs two" in capsys.readouterr().err
    (tmp_path / "g" / "c").rmdir()
    image.save(tmp_path / "g/b/1.png")
    assert run("--dataset", "g", "--epochs", 1, "--out", "run") == 0
    assert "2 to train (2 parts in turn to validate), 2 to test" in capsys.readouterr().out


def test_version_and_a_target_that_is_not_there(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"cnnx {cnnx.__version__}\n"
    for arguments in (["info"], ["train", "--epochs", "1"], ["predict", "run", "x.png"]):
        process = command(*arguments, env={**os.environ, "CNNX_TARGET": "foo"})
        _, err = process.communicate(timeout=60)
        assert process.returncode == 1
        assert err.startswith(f"cnnx {arguments[0]}: CNNX_TARGET=foo: this build and CPU have reference")
        assert err.count("\n") == 1


def test_a_diverging_run_stops(capsys):
    assert run("--optimizer", "sgd", "--lr", "1e30", "--out", "run") == 1
    assert "the loss became" in capsys.readouterr().err


def test_full_disk_keeps_the_old_checkpoint(tmp_path, capsys):
    assert run("--model", NET, "--epochs", 1, "--out", "run") == 0
    old = (tmp_path / "run" / "checkpoint.safetensors").read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        assert run("--resume", "run", "--epochs", 2) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "what was saved before is still there" in capsys.readouterr().err
    assert (tmp_path / "run" / "checkpoint.safetensors").read_bytes() == old
    assert run("--resume", "run", "--epochs", 2) == 0


def test_without_matplotlib_and_tqdm(monkeypatch, capsys):
    for name in ("tqdm", "matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    assert run("--epochs", 1, "--model", "mlp", "--out", "run") == 0
    assert "curves.png: not drawn: plot: matplotlib is not installed" in capsys.readouterr().out
    assert not os.path.exists("run/curves.png")


@pytest.mark.once
def test_progress_bar_on_a_terminal(tmp_path):
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "cnnx",
            "train",
            "--epochs",
            "3",
            "--model",
            "mlp",
            "--threads",
            "1",
            "--out",
            "run",
        ],
        stdout=subprocess.DEVNULL,
        stderr=follower,
    )
    os.close(follower)
    shown = b""
    try:
        while part := os.read(leader, 65536):
            shown += part
    except OSError:  # the terminal closes with the process
        assert process.wait(60) == 0
    os.close(leader)
    assert b"epoch 1/3" in shown
    assert b"img/s" in shown


def test_model_table(monkeypatch):
    lines = describe(models.build_model("lenet5"), (1, 28, 28)).splitlines()
    assert lines[1].split() == ["Layer", "(type:depth-idx)", "Output", "Shape", "Param", "#", "Mult-Adds"]
    assert lines[4].split(maxsplit=2) == ["├─Conv2d:", "1-1", "[1, 6, 28, 28]   156      122,304"]
    assert "Total params: 61,706" in lines
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO(), "ascii"))
    assert describe(models.build_model("lenet5"), (1, 28, 28)).isascii()


@pytest.mark.parametrize("name", models.MODELS)
def test_model_tables_have_80_columns(name):
    table = describe(models.build_model(name, (3, 64, 64)), (3, 64, 64))
    assert max(map(len, table.splitlines())) <= 80


def test_info(capsys, monkeypatch):
    assert main(["info"]) == 0
    out = capsys.readouterr().out
    for words in (
        cnnx.__version__,
        cnnx._C.active_target(),
        "threads:",
        "OpenMP:",
        "CUDA:",
        "data:",
        "without mnist",
    ):
        assert words in out
    assert main(["info", "--ops"]) == 0
    lines = capsys.readouterr().out.splitlines()
    table = {line.split()[0]: line.split()[1:] for line in lines[lines.index("") + 2 :]}
    assert table["conv2d_forward"][1] == cnnx._C.active_target()  # and all but products in float64 is
    assert table["softmax"][1] == "reference"
    assert len(table) == len({kernel for kernel, _, _ in cnnx._C.kernel_infos()})
    monkeypatch.delenv("CNNX_DATA_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    main(["info"])
    assert "/somewhere/cnnx (default" in capsys.readouterr().out


def test_wrong_use(tmp_path, capsys):
    assert "invalid choice: 'fly' (choose from train, " in wrong_use(capsys, "fly").replace(
        "'train'", "train"
    )
    assert "invalid choice: 'trian', did you mean train? (see cnnx --help)" in wrong_use(capsys, "trian")
    assert "--model: invalid choice" in wrong_use(capsys, "train", "--model", "resnet")
    assert "did you mean lenet5?" in wrong_use(capsys, "train", "--model", "lenet")
    assert "--modle x, did you mean --model?" in wrong_use(capsys, "train", "--modle", "x")
    for option, value in (
        ("--lr", "nan"),
        ("--lr", "-1"),
        ("--lr", "inf"),
        ("--lr", "fast"),
        ("--epochs", "0"),
        ("--epochs", "1.5"),
        ("--batch-size", "-3"),
        ("--threads", "0"),
        ("--seed", "-1"),
        ("--seed", "x"),
    ):
        line = wrong_use(capsys, "train", option, value)
        assert line.startswith(f"cnnx train: argument {option}: {value!r} is not ")
        assert line.endswith("(see cnnx train --help)\n")
    assert 'unknown device "tpu"' in wrong_use(capsys, "train", "--device", "tpu")
    assert "CUDA device" in wrong_use(capsys, "train", "--device", "cuda:99")
    assert "lenet5 takes images of 12x12 or more, digits has 8x8" in wrong_use(
        capsys, "train", "--model", "lenet5"
    )
    assert "there is no" in wrong_use(capsys, "train", "--resume", "nowhere")
    assert list(tmp_path.iterdir()) == []


def test_wrong_use_of_runs(capsys):
    assert run("--epochs", 1, "--model", "mlp", "--out", "run") == 0
    capsys.readouterr()
    assert "holds a run already" in wrong_use(capsys, "train", "--out", "run")
    assert "--model digits does not fit --resume" in wrong_use(
        capsys, "train", "--resume", "run", "--model", "digits"
    )
    assert "--out does not fit" in wrong_use(capsys, "train", "--resume", "run", "--out", "other")
    assert "--epochs 1 does not fit" not in str(main(["train", "--resume", "run", "--epochs", "1"]))
    with open("run/checkpoint.safetensors", "r+b") as file:
        file.truncate(100)
    assert main(["train", "--resume", "run"]) == 1
    assert "checkpoint.safetensors: at byte" in capsys.readouterr().err
    cnnx.save({"version": 3, "settings": {"a": 1}}, "run/checkpoint.safetensors")
    assert main(["train", "--resume", "run"]) == 1
    assert "has no settings" in capsys.readouterr().err
    cnnx.save({"a": 1}, "run/checkpoint.safetensors")
    assert main(["train", "--resume", "run"]) == 1
    assert "is no checkpoint" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_lists_the_commands(option, capsys):
    with pytest.raises(SystemExit) as stop:
        main([option])
    assert not stop.value.code
    listed = capsys.readouterr().out
    for name in ("train", "find-lr", "mistakes", "predict", "bench", "speedrun"):
        assert name in listed
    assert "99 % in as little time" in listed


def test_alone_it_helps(capsys):
    assert main([]) == 0
    assert "train a net on MNIST" in capsys.readouterr().out


def test_help_has_an_example(capsys):
    for arguments in (["train", "--help"], ["info", "--help"]):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 0
        out = capsys.readouterr().out
        assert "example" in out
        assert f"cnnx {arguments[0]} --" in out


def test_help_tells_the_defaults_as_they_are(monkeypatch, capsys):
    changed = {"UPDATES": 1234, "MOST_EPOCHS": 41, "REPEATS": 7, "SEED": 9, "MOMENTUM": 0.77}
    for name, value in changed.items():
        monkeypatch.setattr(settings, name, value)
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    out = " ".join(capsys.readouterr().out.split())
    for text in ("1,234 updates, from 5 to 41 epochs", "images 7", "default: 9", "momentum 0.77"):
        assert text in out


@pytest.mark.once
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_an_output_that_cannot_be_written():
    """A full disk is said; an output that was closed on purpose is none."""
    shell = f"{sys.executable} -m cnnx info"
    full = subprocess.run(f"{shell} >/dev/full", shell=True, capture_output=True, text=True)
    assert full.returncode == 1
    assert full.stderr == ("cnnx info: the output cannot be written: [Errno 28] No space left on device\n")
    closed = subprocess.run(f"{shell} >&-", shell=True, capture_output=True, text=True)
    assert (closed.returncode, closed.stderr) == (0, "")
    wrong = subprocess.run(f"{shell} --nonsense 2>&-", shell=True, capture_output=True, text=True)
    assert (wrong.returncode, wrong.stdout) == (2, "")


def test_closed_pipe():
    with command("info", "--ops") as process:
        process.stdout.close()
        assert process.wait(60) in (0, 1)  # all may have been written before
        assert process.stderr.read() == ""


def test_run_folders_get_new_names(tmp_path):
    for _ in range(2):
        assert run("--epochs", 1, "--model", "mlp") == 0
    assert len(os.listdir(tmp_path / "runs")) == 2


@pytest.mark.mnist
@pytest.mark.skipif(
    "CNNX_TEST_MNIST" not in os.environ, reason="CNNX_TEST_MNIST names no folder with the real MNIST files"
)
def test_one_epoch_of_real_mnist(capsys):
    assert main(["train", "--data-dir", os.environ["CNNX_TEST_MNIST"], "--epochs", "1", "--out", "run"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("data: mnist")
    assert test_accuracy(out) >= 95
