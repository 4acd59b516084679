"""A few pictures of one's own: what `cnnx train` makes of plain shapes, and how it says so."""

from __future__ import annotations

import csv
import json
import shutil
import signal

import numpy as np
import pytest

import cnnx
import plain_shapes
from cnnx.cli import main
from cnnx.cli.settings import Settings, stages
from test_cli import own_folders, run, test_accuracy, wrong_use  # noqa: F401

pytestmark = [pytest.mark.once, pytest.mark.cpu("the command line names its device: --device")]
pytest.importorskip("PIL")


@pytest.mark.parametrize(
    ("seeds", "enough"),
    [pytest.param(1, 75, marks=pytest.mark.slow), pytest.param(5, 90, marks=pytest.mark.long)],
)
def test_plain_shapes_are_told_apart(tmp_path, capsys, seeds, enough):
    """Thirty pictures of each of three classes, by default settings; with chance at a third."""
    found = []
    for seed in range(seeds):
        folder = plain_shapes.write(tmp_path / f"shapes{seed}", seed=seed)
        assert main(["train", "--dataset", str(folder), "--out", str(tmp_path / f"run{seed}")]) == 0
        found.append(test_accuracy(capsys.readouterr().out.splitlines()))
    assert np.mean(found) >= enough, found


def test_few_pictures_validate_in_turn(tmp_path, capsys):
    folder = plain_shapes.write(tmp_path / "shapes", each=10)
    options = ("--dataset", folder, "--image-size", 24, "--epochs", 3, "--patience", 2)
    assert run(*options, "--out", "run") == 0
    out = capsys.readouterr().out.splitlines()
    assert out[1].startswith("images: 24 to train (4 parts in turn to validate), 6 to test, of 3 classes")
    assert "pixels: 3x24x24" in out[2]
    assert out[2].endswith("augmented: pictures")
    assert out[3].startswith("model: pictures, adam lr 0.002 (cosine), batch 8, ")
    for i in range(1, 5):
        assert f"part {i} of 4 validates" in out
    assert any(line.startswith("all images train, for ") for line in out)
    (line,) = (line for line in out if line.startswith("validation accuracy "))
    assert line.endswith(" on all 24 images, each once")
    assert test_accuracy(out) >= 0
    about = json.loads((tmp_path / "run" / "run.json").read_text())
    assert 0 <= about["validation"]["accuracy"] <= 1
    assert 0 < about["validation"]["error"] < 0.2
    with open("run/history.csv") as file:
        rows = list(csv.DictReader(file))
    assert {row["training"] for row in rows} == set("12345")
    assert all((row["validation_loss"] == "") == (row["training"] == "5") for row in rows)
    best = [
        min((row for row in rows if row["training"] == str(i)), key=lambda row: float(row["validation_loss"]))
        for i in range(1, 5)
    ]
    assert sum(row["training"] == "5" for row in rows) == round(np.mean([int(row["epoch"]) for row in best]))


@pytest.mark.parametrize("at", [4, 10, 11, 19, 27, 31])
def test_interrupted_in_any_training_it_goes_on_to_the_same_bits(tmp_path, monkeypatch, at):
    from cnnx.cli import train as module

    folder = plain_shapes.write(tmp_path / "shapes", each=5)
    options = ("--dataset", folder, "--image-size", 24, "--epochs", 2, "--batch-size", 4)
    assert run(*options, "--out", "whole") == 0
    accuracy, calls = module.accuracy, 0

    def press(output, labels):
        nonlocal calls
        calls += 1
        if calls == at:
            signal.raise_signal(signal.SIGINT)
        return accuracy(output, labels)

    monkeypatch.setattr(module, "accuracy", press)
    assert run(*options, "--out", "parts") == 130
    assert run("--resume", "parts") == 0
    for name in ("model.safetensors", "run.json"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_net_that_guesses_is_told(tmp_path, capsys):
    folder = plain_shapes.write(tmp_path / "shapes", each=10)
    assert run("--dataset", folder, "--epochs", 1, "--lr", 1e-9, "--image-size", 24, "--out", "run") == 0
    assert "hardly better than guessing" in capsys.readouterr().out


def test_begins_with_the_weights_of_another_run(tmp_path, capsys):
    folder = plain_shapes.write(tmp_path / "shapes", each=10)
    other = plain_shapes.write(tmp_path / "other", each=10, seed=1)
    (other / "square").rename(other / "box")
    for name in ("box", "circle"):
        (other / name).rename(other / f"{name}es")
    (other / "triangle").rename(other / "x")
    shutil.rmtree(other / "x")
    options = ("--image-size", 24, "--validations", 1, "--epochs", 1)
    assert run("--dataset", folder, *options, "--out", "first") == 0
    capsys.readouterr()
    still = ("--validations", 1, "--epochs", 1, "--lr", 1e-12, "--dataset", other)
    assert run(*still, "--from", "first", "--out", "second") == 0
    assert ", from " in capsys.readouterr().out
    first, second = (cnnx.load(f"{name}/model.safetensors") for name in ("first", "second"))
    for name, tensor in first.items():
        if tensor.shape == second[name].shape and "running" not in name and "num_" not in name:
            np.testing.assert_allclose(tensor.numpy(), second[name].numpy(), atol=1e-6, err_msg=name)
    assert second["18.weight"].shape == (2, 64)
    abouts = [json.loads((tmp_path / name / "run.json").read_text()) for name in ("first", "second")]
    assert abouts[0]["normalize"] == abouts[1]["normalize"]
    assert abouts[1]["start"] == str(tmp_path / "first")
    assert "--from does not fit --resume" in wrong_use(
        capsys, "train", "--resume", "second", "--from", "first"
    )
    assert "is no run folder" in wrong_use(capsys, "train", "--from", "nowhere")


@pytest.mark.parametrize("kind", ["none", "digits", "pictures"])
def test_augmentations(tmp_path, capsys, kind):
    folder = plain_shapes.write(tmp_path / "shapes", each=4)
    options = ("--dataset", folder, "--image-size", 24, "--epochs", 1)
    assert run(*options, "--augment", kind, "--normalize", "none", "--out", "run") == 0
    assert f"normalised: none, augmented: {kind}" in capsys.readouterr().out
    assert json.loads((tmp_path / "run" / "run.json").read_text())["augment"] == kind


def test_wrong_use_of_the_options(tmp_path, capsys):
    for option, value, message in (
        ("--augment", "all", "invalid choice"),
        ("--schedule", "linear", "invalid choice"),
        ("--validations", 0, "not a positive whole number"),
        ("--patience", 0, "not a positive whole number"),
        ("--normalize", "some", "needs none, or a mean"),
    ):
        assert message in wrong_use(capsys, "train", "--dataset", "digits", option, value)


@pytest.mark.parametrize("counts", [(30, 30, 30), (5, 1), (2, 2)])
def test_the_parts_are_those_of_the_seed(counts):
    targets = np.repeat(np.arange(len(counts)), counts)
    values = dict.fromkeys(Settings.__dataclass_fields__, 1) | {"seed": 3, "validations": 4}
    turns = stages(targets, Settings(**values))
    assert len(turns) == 5
    assert turns[-1].validation is None
    assert sorted(np.concatenate([turn.validation for turn in turns[:-1]])) == list(range(len(targets)))
    for turn in turns[:-1]:
        assert sorted([*turn.train, *turn.validation]) == list(range(len(targets)))
    again = stages(targets, Settings(**values))
    assert all((a.train == b.train).all() for a, b in zip(turns, again, strict=True))
