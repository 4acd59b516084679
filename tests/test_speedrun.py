"""`cnnx speedrun`, on images of noise and on the real ones."""

from __future__ import annotations

import json
import os

import pytest

from cnnx import speedrun
from cnnx.cli import main
from test_cli import write_mnist

pytestmark = pytest.mark.cpu("it trains on the CPU")


def test_table_and_figures(tmp_path, capsys):
    write_mnist(tmp_path / "mnist", 300)
    file = tmp_path / "figures.json"
    arguments = ["speedrun", "--data-dir", str(tmp_path), "--seeds", "2", "--threads", "1"]
    assert main([*arguments, "--json", str(file)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:5]] == ["seed", "0", "1", "mean"]
    assert lines[-2] == "mean accuracy misses 99.0%"
    figures = json.loads(file.read_text())
    assert figures["threads"] == 1
    assert len(figures["seconds"]) == len(figures["accuracy"]) == 2
    assert all(seconds > 0 for seconds in figures["seconds"])
    assert lines[2].split() == ["0", f"{figures['seconds'][0]:.3f}", f"{figures['accuracy'][0]:.4f}"]
    # A seed decides: the same again.
    assert main(arguments) == 1
    again = [line.split()[2] for line in capsys.readouterr().out.splitlines()[2:4]]
    assert again == [line.split()[2] for line in lines[2:4]]


@pytest.mark.parametrize(
    "count, size, message",
    [
        (100, 28, "mnist: 100 images are fewer than a batch of 128"),
        (300, 20, "mnist: the net takes images of 28x28, not 20x20"),
    ],
)
def test_images_that_it_cannot_take(tmp_path, capsys, count, size, message):
    write_mnist(tmp_path / "mnist", count, size)
    assert main(["speedrun", "--data-dir", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"cnnx speedrun: {message}\n"


def test_a_folder_for_the_figures_that_is_not_there(tmp_path, capsys):
    assert main(["speedrun", "--json", str(tmp_path / "none" / "figures.json")]) == 1
    assert "there is no such folder" in capsys.readouterr().err


def test_the_net_has_as_many_parameters_as_its_description_says():
    assert round(sum(p.numel() for p in speedrun.make_net().parameters()), -3) == 38_000


@pytest.mark.mnist
@pytest.mark.skipif(
    "CNNX_TEST_MNIST" not in os.environ, reason="CNNX_TEST_MNIST names no folder with the real MNIST files"
)
def test_real_mnist_reaches_99_percent(capsys):
    assert main(["speedrun", "--data-dir", os.environ["CNNX_TEST_MNIST"], "--seeds", "4"]) == 0
    assert "mean accuracy reaches 99.0%" in capsys.readouterr().out
