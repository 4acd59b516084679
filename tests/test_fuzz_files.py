"""Broken files: the fuzzer's cases of one seed, and those that it, or thought, found worth keeping."""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import pickle
import struct
import sys
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest

import cnnx
from cnnx import pickled
from cnnx.cli import main, run_schema
from cnnx.cli.settings import Settings
from cnnx.datasets.idx_file import read_idx
from cnnx.models import MODELS, build_model, count_values
from cnnx.reading import reading

sys.path.insert(0, str(Path(__file__).parent / "fuzz"))
import mutate
import samples

MIB = 1 << 20
pytestmark = [pytest.mark.once, pytest.mark.cpu("files are read the same way")]


def test_the_fuzzer_finds_nothing(capsys):
    import files

    result = files.run(60, 1, last=300)
    assert result.findings == [], capsys.readouterr().out
    assert result.cases == 300
    refused = sum(count for label, count in result.counts.items() if label.endswith(": refused"))
    assert refused > 150


def test_the_fuzzer_would_find_what_there_is_to_find(tmp_path):
    import child

    def work(index):
        if index == 1:
            import os

            os.abort()
        if index == 2:
            import time

            time.sleep(60)
        if index == 3:
            raise KeyError("name")
        if index == 4:
            with child.memory_bound(MIB):
                bytearray(64 * MIB)
        return child.Outcome("fine")

    result = child.run(work, seconds=60, limits=child.Limits(seconds=0.5), last=8)
    assert [(finding.index, finding.text.partition(":")[0]) for finding in result.findings] == [
        (1, "crash"), (2, "hang"), (3, "escaped"), (4, "escaped")
    ]  # fmt: skip
    assert result.cases == 8


@contextlib.contextmanager
def little_memory():
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < 8 * MIB
    finally:
        tracemalloc.stop()


def refused(call, path, match=None):
    with pytest.raises(ValueError, match=match) as caught:
        call(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def archive(body, **storages):
    records = {"a/data.pkl": body, "a/byteorder": b"little", "a/version": b"3\n"}
    return mutate.archive(records | {f"a/data/{key[1:]}": data for key, data in storages.items()})


def tensor(count=4, size=(2, 2), strides=(2, 1), offset=0, kind="FloatStorage"):
    parts = [b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((", samples._plain("storage")]
    parts += [
        f"ctorch\n{kind}\n".encode(),
        samples._plain("0"),
        samples._plain("cpu"),
        samples._plain(count),
        b"tQ",
    ]
    parts += [samples._plain(offset), samples._plain(size), samples._plain(strides)]
    return b"".join([*parts, b"\x89ccollections\nOrderedDict\n)RtR."])


def test_a_tensor_of_a_pth_as_its_strides_say(tmp_path):
    path = tmp_path / "x.pth"
    path.write_bytes(archive(tensor(6, (2, 2), (1, 3), 1), _0=np.arange(6, dtype="<f4").tobytes()))
    assert cnnx.load(path).tolist() == [[1, 4], [2, 5]]
    path.write_bytes(archive(tensor(6, (0, 9), (1, 1)), _0=bytes(24)))
    assert cnnx.load(path).shape == (0, 9)


BROKEN = {
    "storage shorter than it says": (archive(tensor(), _0=bytes(12)), "12 bytes, 16 were announced"),
    "storage that is not there": (archive(tensor()), "no item named"),
    "beyond the storage": (archive(tensor(size=(2, 3)), _0=bytes(16)), "number 4 of a storage of 4"),
    "offset beyond the storage": (archive(tensor(offset=1), _0=bytes(16)), "number 4 of a storage of 4"),
    "negative size": (archive(tensor(size=(-1, 2)), _0=bytes(16)), "negative"),
    "negative stride": (archive(tensor(strides=(-1, 1)), _0=bytes(16)), "negative"),
    "sizes that are no numbers": (archive(tensor(size=("a", 2)), _0=bytes(16)), "extents in it are a str"),
    "huge numbers": (archive(tensor(size=(1 << 20000, 2)), _0=bytes(16)), "too large"),
    "more dimensions than there are": (archive(tensor(1, (1,) * 9, (1,) * 9), _0=bytes(4)), "9 extents"),
    "one element shown often": (archive(tensor(4, (1 << 16, 1 << 16), (0, 0)), _0=bytes(16)), "so often"),
    "compressed": (mutate.archive({"a/data.pkl": tensor()}, frozenset(["a/data.pkl"])), "compressed"),
    "a bool of 2": (archive(tensor(kind="BoolStorage"), _0=b"\0\1\2\1"), "a bool of storage 0 is 2"),
    "unknown elements": (archive(tensor(kind="Float8Storage"), _0=bytes(4)), "torch.Float8Storage, which"),
    "torchscript": (mutate.archive({"a/constants.pkl": b"", "a/data.pkl": b""}), "TorchScript"),
    "hash of a tuple of tuples": (
        archive(b"\x80\x02}(K\x01" + b"q\x01h\x01\x86" * 100 + b"K\x01u."),
        "a key in it is a tuple",
    ),
    "huge memo": (archive(b"\x80\x02]r\xff\xff\xff\x7fj\xff\xff\xff\xff."), "KeyError"),
    "nothing": (archive(b"\x80\x02."), "IndexError"),
    "many bytes": (archive(b"\x80\x02cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R."), "builtins.bytearray"),
    "set": (archive(b"\x80\x04\x8f."), "EMPTY_SET"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_pth(name, tmp_path):
    data, message = BROKEN[name]
    path = tmp_path / "x.pth"
    path.write_bytes(data)
    with little_memory():
        refused(cnnx.load, path, message)


@pytest.mark.parametrize("function", [f"{module}.{name}" for module, name, _ in mutate.EVIL])
def test_nothing_that_a_pickle_names_is_called(function, tmp_path):
    import random

    module, name, _ = next(entry for entry in mutate.EVIL if f"{entry[0]}.{entry[1]}" == function)
    named = [entry for entry in mutate.EVIL if entry[:2] == (module, name)]
    marker, path = tmp_path / "marker", tmp_path / "x.pth"
    for draw in range(8):
        original, mutate.EVIL = mutate.EVIL, tuple(named)
        try:
            body = b"\x80\x02" + mutate.evil(random.Random(draw), str(marker)) + b"."
        finally:
            mutate.EVIL = original
        path.write_bytes(archive(body))
        refused(cnnx.load, path)
        assert not marker.exists()


def test_records_that_lie_within_each_other_are_refused(tmp_path):
    """Each storage holds all that follow, so a small file would become many times its size."""
    names = [f"a/data/{i:02}" for i in range(50)]
    inner, entries = bytes(4096), []
    for name in reversed(names):
        sizes = (zlib.crc32(inner), len(inner), len(inner), len(name), 0)
        inner = struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 0, 0, 0, *sizes) + name.encode() + inner
        entries.append((name.encode(), sizes, len(inner)))
    whole = archive(pickle.dumps(1, 2))
    start = whole.index(b"PK\1\2")
    directory = whole[start : whole.index(b"PK\5\6")]
    for name, sizes, behind in entries:
        place = start + len(inner) - behind
        row = (b"PK\1\2", 20, 20, 0, 0, 0, 0, *sizes, 0, 0, 0, 0, place)
        directory += struct.pack("<4s6H3L5H2L", *row) + name
    count, at = len(names) + 3, start + len(inner)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, len(directory), at, 0)
    path = tmp_path / "x.pth"
    path.write_bytes(whole[:start] + inner + directory + end)
    refused(cnnx.load, path, "within each other")


def test_shared_and_recursive_values_stay_so(tmp_path):
    path = tmp_path / "x.pth"
    path.write_bytes(
        archive(b"\x80\x02]q\x00" + b"]q\x01(h\x00h\x00eq\x00" * 60 + b".")
    )  # 2 ** 60 lists, were they copied
    value = cnnx.load(path)
    assert value[0] is value[1]
    path.write_bytes(archive(pickle.dumps((loop := [1], loop.append(loop))[0], 2)))
    value = cnnx.load(path)
    assert value[1] is value


@pytest.mark.parametrize("protocol", range(5))
def test_pickles_of_plain_values(protocol):
    import io

    value = {
        "a": [1, -5, 1 << 70, 2.5, None, True, "é" * 300],
        3: (1, (2, "x"), ()),
        (1, "k"): {},
        "long": "y" * 70000,
    }
    assert pickled.load(io.BytesIO(pickle.dumps(value, protocol))) == value


def test_what_an_idx_header_asks_for_is_checked_first(tmp_path):
    header = struct.pack(">BBBBIII", 0, 0, 8, 3, 60000, 1000, 1000)
    path = tmp_path / "images.gz"
    path.write_bytes(gzip.compress(header + bytes(MIB)))
    refused(read_idx, path, "say they unpack to 60000000016")
    small = gzip.compress(samples.idx(8, (2, 3, 4)))
    path.write_bytes(small + gzip.compress(bytes(MIB)) * 200)
    with little_memory():
        refused(read_idx, path, "unpacks to more than")
    path.write_bytes(header)
    refused(read_idx, path, "truncated")


@pytest.mark.parametrize("name", MODELS)
def test_values_are_counted_as_the_net_has_them(name):
    for shape, classes in (((1, 28, 28), 10), ((3, 20, 33), 2)):
        state = build_model(name, shape, classes).state_dict()
        assert count_values(name, shape, classes) == sum(tensor.numel() for tensor in state.values())


def test_errors_of_the_system_and_full_memory_are_not_the_files_fault():
    for error in (MemoryError(), KeyboardInterrupt(), FileNotFoundError(2, "No such file")):
        with pytest.raises(type(error)), reading("load", "x", "a file"):
            raise error
    with pytest.raises(MemoryError, match="load: x: there is not enough memory"), reading("load", "x", ""):
        raise MemoryError
    for error in (
        KeyError("a"),
        IndexError("b"),
        struct.error("c"),
        AssertionError(),
        OSError("d"),
        OSError(22, "e"),
    ):
        with (
            pytest.raises(ValueError, match=r"^load: x cannot be read as a file: .") as caught,
            reading("load", "x", "a file"),
        ):
            raise error
        assert "\n" not in str(caught.value)
    with pytest.raises(OSError, match="'x'"), reading("load", "x", "a file"):
        raise OSError(5, "Input/output error")


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    pytest.importorskip("numpy")
    folder = tmp_path_factory.mktemp("data")
    for name, content in samples.labelled_idx().items():
        (folder / name).write_bytes(content)
    patch = pytest.MonkeyPatch()
    patch.setitem(sys.modules, "matplotlib", None)
    yield samples.runs(folder)
    patch.undo()


ABOUT = {
    '"mlp"': ('"none"', "'model' must be one of"),
    "[\n  1,\n  4,\n  4\n ]": ("[1, 60000, 60000]", "values, the run's net has"),
    '"augment": "none"': ('"augment": "all"', "'augment' must be"),
    '"validations": 2': ('"validations": 0', "'validations' must be"),
    '"normalize"': ('"normal"', "'normalize' is missing"),
    '"epochs": 2': ('"epochs": 2, "epochs": 3', "given twice"),
    '"lr": 0.002': ('"lr": NaN', "NaN is no number"),
    '"drawing": ': ('"drawing": "a", "x": ', "'drawing' must be"),
    '"drawing": null': ('"drawing": 2', "'drawing' must be"),
    "{": ("[" * 100000, "maximum recursion depth"),
}


@pytest.mark.parametrize("place", ABOUT)
def test_run_json_is_held_against_its_rules(place, run_folder, tmp_path, capsys):
    other, message = ABOUT[place]
    run_folder["complete"].write(tmp_path)
    text = (tmp_path / "run.json").read_text()
    assert place in text
    (tmp_path / "run.json").write_text(text.replace(place, other, 1))
    (tmp_path / "x.ppm").write_bytes(b"P5 4 4 255\n" + bytes(range(0, 160, 10)))
    assert main(["predict", str(tmp_path), str(tmp_path / "x.ppm")]) == 1
    said = capsys.readouterr().err
    assert message in said
    assert str(tmp_path) in said
    assert said.count("\n") == 1


def test_every_setting_has_a_rule():
    assert set(run_schema.SETTINGS) == {field.name for field in dataclasses.fields(Settings)}


def set_to(*keys_and_value):
    *keys, last, value = keys_and_value

    def change(state):
        for key in keys:
            state = state[key]
        state[last] = value(state[last]) if callable(value) else value

    return change


STATE = {
    "epoch": (set_to("epoch", "1"), "'epoch' must be"),
    "more epochs than history": (set_to("epoch", 0), "history of 1"),
    "version": (set_to("version", cnnx.ones(2)), "no checkpoint"),
    "means": (set_to("means", "sums", [1.0, 2, 3]), "'means' must be"),
    "images": (set_to("means", "count", 35), "35 images are counted"),
    "more hits than images": (set_to("means", "sums", "accuracy", 1e4), "'means' must be"),
    "training": (set_to("stage", 1), "training 2 of 1"),
    "parts": (set_to("parts", [{}]), "behind 1 others"),
    "schedule": (set_to("scheduler", "last_epoch", 7), "schedule is at epoch 7"),
    "no schedule": (set_to("scheduler", None), "schedule is not that of the run"),
    "rates": (set_to("scheduler", "base_lrs", [cnnx.ones(2)]), "'base_lrs' must be"),
    "callbacks": (set_to("callbacks", []), "early stopping is missing"),
    "other callback": (set_to("callbacks", 0, 0, "Exec"), "'callbacks' must be"),
    "best epoch": (set_to("callbacks", 0, 1, "best_epoch", 9), "the best epoch is 9"),
    "best weights": (
        set_to("callbacks", 0, 1, "weights", "1.weight", lambda t: t[:1]),
        "values, the run's net",
    ),
    "history": (set_to("history", [{"epoch": 1}]), "'history' must be"),
    "accuracy": (set_to("history", 0, "train_accuracy", float("nan")), "'history' must be"),
    "huge": (set_to("history", 0, "train_loss", 10**400), "'history' must be"),
    "best": (set_to("callbacks", 0, 1, "best", 0.5), "the best epoch is 1 of 1"),
    "device": (set_to("settings", "device", "cuda:7"), "--device names another one"),
    "more state": (set_to("optimizer", "state", 0, "junk", 5), "the optimizer keeps"),
    "negative": (set_to("optimizer", "state", 0, "exp_avg_sq", lambda t: t - 1), "is negative somewhere"),
    "trained": (set_to("trained", True), "are counted"),
    "settings": (set_to("settings", "batch_size", 0), "'batch_size' must be"),
    "random": (set_to("random", cnnx.zeros(16)), "'random' must be"),
    "order": (set_to("loader", "order", lambda t: t * 0), "'order' must be"),
    "weights": (set_to("model", "1.weight", lambda t: t.reshape(-1)), "size mismatch"),
    "dtype": (set_to("model", "1.weight", lambda t: t.double()), "float64"),
    "moment": (set_to("optimizer", "state", 0, "exp_avg", lambda t: t[0]), "'exp_avg' must be"),
    "rate": (set_to("optimizer", "param_groups", 0, "lr", 0.5), "'lr' must be a learning rate"),
    "betas": (set_to("optimizer", "param_groups", 0, "betas", [0.5, 0.5]), "'betas' is [0.5, 0.5]"),
    "dataset": (set_to("settings", "dataset", "a\0b"), "'dataset' must be"),
}


@pytest.mark.parametrize("name", STATE)
def test_a_checkpoint_is_held_against_its_rules(name, run_folder, tmp_path, capsys):
    change, message = STATE[name]
    run_folder["interrupted"].write(tmp_path)
    state = cnnx.load(tmp_path / "checkpoint.safetensors")
    change(state)
    cnnx.save(state, tmp_path / "checkpoint.safetensors")
    assert main(["train", "--resume", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert message in said
    assert str(tmp_path / "checkpoint.safetensors") in said
    assert said.count("\n") == 1


def test_a_full_memory_is_one_line_of_the_command(capsys, monkeypatch):
    from cnnx.cli import info

    def fail(options):
        raise MemoryError

    monkeypatch.setattr(info, "info", fail)
    assert main(["info"]) == 1
    assert capsys.readouterr().err == "cnnx info: there is not enough memory\n"


def test_what_pillow_logs_of_a_damaged_picture_is_not_shown(run_folder, tmp_path):
    import subprocess

    run_folder["complete"].write(tmp_path)
    data = bytearray(samples.pictures()["raw.tiff"])
    at = data.index(struct.pack("<HH", 277, 3))  # samples per pixel
    data[at + 8 : at + 10] = struct.pack("<H", 53251)
    (tmp_path / "x.tiff").write_bytes(data)
    command = [sys.executable, "-m", "cnnx", "predict", tmp_path, tmp_path / "x.tiff"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "x.tiff cannot be read as an image" in done.stderr
