"""Names of files and classes that hold anything: on the terminal, in pictures, in files."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import cnnx
from cnnx import plot
from cnnx.cli import main
from cnnx.serialization import save_file
from cnnx.text import printable
from test_cli import own_folders, run  # noqa: F401

pytestmark = pytest.mark.once

NASTY = {
    "escape": "\x1b[31mred\x1b[0m",
    "title": "\x1b]0;owned\x07",
    "C1": "\x9b2Jcat",
    "lines": "a\nb\rc\x0bd\u2028e",
    "backspace": "good\b\b\b\bbad",
    "bidi": "\u202egpj.exe",
    "math": "$x^{bad$",
    "dollars": r"\$a_b$ $",
    "bytes": os.fsdecode(b"caf\xe9-\xff"),
    "umlaut": "Möhre",
    "script": "猫",
}
BAD = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\ud800-\udfff]")


@given(st.text(st.characters(exclude_categories=[]), max_size=20))
def test_printable(text):
    shown = printable(text)
    assert shown.isprintable()
    assert printable(shown) == shown
    shown.encode()
    assert all(unicodedata.category(char)[0] not in "C" for char in shown)
    if text.isprintable():
        assert shown == text
    assert printable(text, lines=True).split("\n") == [printable(line) for line in text.split("\n")]


@given(st.text(st.characters(exclude_categories=[], exclude_characters="\0"), min_size=1, max_size=10))
def test_what_is_saved_comes_back(text):
    file = io.BytesIO()
    value = {text: text, "list": [text, {"tensor": cnnx.ones(2)}], "more": {text: cnnx.zeros(1)}}
    # Two halves of a pair, side by side, are read as their character: JSON cannot tell them apart.
    assume(not re.search("[\ud800-\udbff][\udc00-\udfff]", text))
    cnnx.save(value, file)
    file.seek(0)
    found = cnnx.load(file)
    assert found[text] == text
    assert found["list"][0] == text
    assert found["more"][text].item() == 0


def test_paths_that_are_not_utf8(tmp_path):
    folder = tmp_path / NASTY["bytes"]
    folder.mkdir()
    cnnx.save({"a": cnnx.ones(2)}, folder / "x.safetensors")
    assert cnnx.load(folder / "x.safetensors")["a"].sum().item() == 2
    (folder / "x.safetensors").write_bytes(b"nonsense")
    with pytest.raises(ValueError, match="at byte") as caught:
        cnnx.load(folder / "x.safetensors")
    assert str(folder) in str(caught.value)
    with pytest.raises(OSError, match="No such file") as missing:
        cnnx.load(folder / "none")
    assert missing.value.errno == 2
    assert str(folder) in str(missing.value)
    with pytest.raises(ValueError, match="cannot be written as UTF-8"):
        save_file({NASTY["bytes"]: cnnx.ones(1)}, folder / "y")


@pytest.mark.parametrize("name", NASTY.values(), ids=NASTY)
def test_pictures_of_any_name(tmp_path, name):
    pytest.importorskip("matplotlib")
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # fonts lack some scripts
        figure = plot.confusion_matrix(np.eye(2), [name, "b"], title=name)
        figure.savefig(io.BytesIO())
        assert figure.axes[0].get_xticklabels()[0].get_text() == printable(name)
        assert figure.get_suptitle() == printable(name, lines=True)
        plot.curves({name: {name: [1.0]}}, xlabel=name, title=name).savefig(io.BytesIO())
        plot.images([np.zeros((2, 2))], [name], title=name).savefig(io.BytesIO())
        plot.overlays([np.zeros((2, 2))], [None], [name], title=name, note=name).savefig(io.BytesIO())
        plot.feature_maps({name: np.ones((1, 2, 2))}, title=name).savefig(io.BytesIO())
        plot.filters(np.ones((1, 1, 2, 2)), title=name).savefig(io.BytesIO())


def test_a_users_settings_stay(monkeypatch):
    matplotlib = pytest.importorskip("matplotlib")
    with matplotlib.rc_context({"text.usetex": True}):  # TeX need not be there
        plot.confusion_matrix(np.eye(2), ["$", "b"]).savefig(io.BytesIO())
        assert matplotlib.rcParams["text.usetex"]
        assert matplotlib.rcParams["text.parse_math"]


@pytest.fixture(scope="module")
def nasty_folder(tmp_path_factory):
    """A folder of images with such classes, below such a path."""
    image_module = pytest.importorskip("PIL.Image")
    base = tmp_path_factory.mktemp("nasty") / (NASTY["escape"] + NASTY["bytes"])
    rng = np.random.default_rng(0)
    for name in NASTY.values():
        (base / name.replace("/", "")).mkdir(parents=True)
        for i in range(5):
            pixels = rng.integers(0, 256, (8, 8)).astype(np.uint8)
            image_module.fromarray(pixels).save(base / name / f"{i}{NASTY['escape']}.png")
    return base


def check(result, code=0):
    """Nothing but printable characters and line ends came out."""
    out, err = (stream.decode("utf-8") for stream in (result.stdout, result.stderr))
    assert result.returncode == code, err
    assert not BAD.search(out + err)
    assert "Traceback" not in err
    return out, err


@pytest.mark.cpu("the command line names its device: --device")
@pytest.mark.parametrize("locale", ["C.UTF-8", pytest.param("C", marks=pytest.mark.slow), "ascii"])
def test_the_command_line_on_such_a_folder(nasty_folder, tmp_path, locale):
    pytest.importorskip("matplotlib")
    environment = {
        **os.environ,
        "LC_ALL": "C" if locale == "ascii" else locale,
        "LANG": "C",
        "OMP_NUM_THREADS": "1",
    }
    if locale == "ascii":
        environment |= {"PYTHONIOENCODING": "ascii:strict", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}

    def cnnx_(*arguments):
        command = [sys.executable, "-m", "cnnx", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, env=environment, cwd=tmp_path, timeout=120)

    folder = tmp_path / f"run{NASTY['escape']}{NASTY['bytes']}$"
    options = ("--dataset", nasty_folder, "--model", "mlp", "--epochs", 1, "--threads", 1, "--out", folder)
    out, _ = check(cnnx_("train", *options, "--validations", 1))
    assert r"\x1b[31mred" in out
    assert r"caf\xe9-\xff" in out
    out, _ = check(cnnx_("eval", folder))
    assert (folder / "confusion.png").exists()
    assert "test accuracy" in out
    check(cnnx_("show", folder))
    picture = next((nasty_folder / NASTY["math"]).iterdir())
    check(cnnx_("predict", folder, picture, "--picture", folder / "seen.png"))
    assert (folder / "seen.png").exists()
    check(cnnx_("train", "--resume", folder, "--epochs", 2, "--threads", 1))
    about = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert sorted(map(os.fsencode, about["classes"])) == sorted(map(os.fsencode, NASTY.values()))
    for wrong in (
        ("train", "--resume", tmp_path / NASTY["lines"]),
        ("eval", NASTY["escape"]),
        (NASTY["title"],),
    ):
        _, err = check(cnnx_(*wrong), 2)
        assert err.count("\n") == 1
    shutil.copytree(folder, tmp_path / "damaged")
    (tmp_path / "damaged" / "run.json").write_text(json.dumps({**about, "model": NASTY["escape"]}))
    _, err = check(cnnx_("eval", tmp_path / "damaged"), 1)
    assert err.count("\n") == 1


@pytest.mark.cpu("the command line names its device: --device")
def test_export_and_tensorboard_under_such_a_path(tmp_path):
    pytest.importorskip("onnx")
    pytest.importorskip("tensorboardX")
    folder = tmp_path / NASTY["bytes"]
    assert run("--model", "mlp", "--epochs", 1, "--out", folder, "--tensorboard") == 0
    assert len(os.listdir(folder / "tensorboard")) == 1
    assert main(["export", str(folder), str(folder / "net.onnx")]) == 0
    assert (folder / "net.onnx").stat().st_size > 0


@pytest.mark.cpu("the command line names its device: --device")
def test_a_name_as_long_as_a_file(tmp_path, capsys):
    assert run("--model", "mlp", "--epochs", 1, "--out", "run") == 0
    header = json.dumps({"n" * 1_000_000: {"dtype": "XX", "shape": [1], "data_offsets": [0, 4]}}).encode()
    data = len(header).to_bytes(8, "little") + header + bytes(4)
    (tmp_path / "run" / "model.safetensors").write_bytes(data)
    capsys.readouterr()
    assert main(["eval", "run"]) == 1
    err = capsys.readouterr().err
    assert "run/model.safetensors" in err
    assert err.count("\n") == 1
    assert len(err) < 11_000


def test_commands_print_through_one_place():
    """Only `terminal.py` calls print."""
    folder = Path(cnnx.__file__).parent / "cli"
    spoken = re.compile(r"\bprint\(|std(out|err)\.write")
    callers = {path.name for path in folder.glob("*.py") if spoken.search(path.read_text())}
    assert callers == {"terminal.py"}
