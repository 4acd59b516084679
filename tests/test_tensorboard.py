"""SummaryWriter hands tensors to tensorboardX, whose files tell what came of them."""

from __future__ import annotations

import sys

import pytest

import cnnx
from cnnx.utils.tensorboard import SummaryWriter


def events(folder):
    """What the event files of a folder hold, by tag."""
    import struct

    from tensorboardX.event_file_writer import EventFileWriter  # noqa: F401
    from tensorboardX.proto.event_pb2 import Event

    found = {}
    for path in sorted(folder.rglob("events.*")):
        content = path.read_bytes()
        while content:
            (length,) = struct.unpack("<Q", content[:8])
            event = Event.FromString(content[12 : 12 + length])
            content = content[16 + length :]
            for value in event.summary.value:
                found.setdefault(value.tag, []).append((event.step, value))
    return found


def test_what_is_written(tmp_path):
    pytest.importorskip("tensorboardX")
    parameter = cnnx.nn.Parameter(cnnx.arange(10.0))
    with SummaryWriter(tmp_path, filename_suffix=".cnnx") as writer:
        assert writer.log_dir == writer.get_logdir() == str(tmp_path)
        writer.add_scalar("loss", parameter.sum(), 3)
        writer.add_scalar("loss", 0.5, 4, walltime=1.0)
        writer.add_scalars("both", {"a": cnnx.tensor([2.0]), "b": 3}, 1)
        writer.add_histogram("weights", parameter, 2)
        writer.add_histogram("few", cnnx.arange(10), bins="auto", max_bins=4)
        writer.add_image("digit", cnnx.rand(3, 5, 7), 1)
        writer.add_image("flat", cnnx.zeros(5, 7, dtype=cnnx.uint8), dataformats="HW")
        writer.add_images("digits", cnnx.rand(4, 1, 5, 7), 2)
        writer.add_text("note", "**bold**", 1)
        writer.add_hparams({"lr": 0.1, "bn": True}, {"accuracy": cnnx.tensor(0.75)}, run_name="first")
        writer.flush()
    found = events(tmp_path)
    assert [(step, value.simple_value) for step, value in found["loss"]] == [(3, 45.0), (4, 0.5)]
    assert [value.simple_value for _, value in found["accuracy"]] == [0.75]
    assert found["weights"][0][1].histo.sum == 45.0
    assert found["weights"][0][1].histo.num == 10
    image = found["digit"][0][1].image
    assert (image.height, image.width) == (5, 7)
    assert found["digits"][0][1].image.height >= 5
    assert (found["flat"][0][1].image.height, found["flat"][0][1].image.width) == (5, 7)
    assert any("note" in tag for tag in found)
    assert sorted(v.simple_value for tag in found if tag.startswith("both") for _, v in found[tag]) == [
        2.0,
        3.0,
    ]
    assert any(path.name.endswith(".cnnx") for path in tmp_path.iterdir())


def test_figures(tmp_path):
    pytest.importorskip("tensorboardX")
    plt = pytest.importorskip("matplotlib.pyplot")
    with SummaryWriter(tmp_path) as writer:
        writer.add_figure("figure", plt.figure(), 1)
    assert events(tmp_path)["figure"][0][0] == 1


def test_what_is_not_supported(tmp_path, monkeypatch):
    pytest.importorskip("tensorboardX")
    with SummaryWriter(tmp_path) as writer:
        for call in (
            lambda: writer.add_graph(cnnx.nn.Identity()),
            lambda: writer.add_scalar("a", 1, new_style=True),
            lambda: writer.add_hparams({}, {}, hparam_domain_discrete={"a": [1]}),
        ):
            with pytest.raises(NotImplementedError, match="not supported"):
                call()


def test_without_tensorboardx(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ImportError, match=r"pip install 'cnnx\[tensorboard\]'"):
        SummaryWriter()
