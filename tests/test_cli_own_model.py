"""`cnnx train --model FILE.py:NAME`: nets of the user's own, their runs, and when a copy is run."""

from __future__ import annotations

import json
import os
import shutil

import pytest

import cnnx
from cnnx.cli.own_model import OwnModel, OwnModelError, is_own
from test_cli import main, own_folders, run, weights, wrong_use  # noqa: F401

pytestmark = [pytest.mark.once, pytest.mark.cpu("the command line names its device: --device")]

NET = """
from pathlib import Path
import cnnx.nn.functional as F
from cnnx import nn
Path("ran").touch()

class Net(nn.Module):
    def __init__(self, num_classes, in_channels=1, width=4):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, width, 3)
        self.norm = nn.BatchNorm2d(width)
        self.out = nn.LazyLinear(num_classes)
        self.drop = nn.Dropout(0.2)
        self.unused = nn.Linear(2, 2)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.norm(self.conv(x))), 2)
        return self.out(self.drop(x.flatten(1)))
"""


@pytest.fixture
def net(tmp_path):
    """A program with a net; it notes each time that it is run."""
    path = tmp_path / "net.py"
    path.write_text(NET)
    return path


@pytest.fixture
def own_run(net):
    """A run of it; what has been run is forgotten."""
    assert run("--dataset", "digits", "--model", f"{net}:Net", "--epochs", 2, "--out", "run") == 0
    (net.parent / "ran").unlink()
    return net.parent / "run"


def said(capsys, *arguments, code=0):
    """What a command says; it must not run the program unless it is trusted."""
    capsys.readouterr()
    try:
        ended = main([*map(str, arguments)])
    except SystemExit as end:
        ended = end.code
    assert ended == code
    out = capsys.readouterr()
    return out.err if code else out.out


def test_a_run_has_the_program_and_its_name(own_run, net):
    assert (own_run / "model.py").read_bytes() == net.read_bytes()
    assert json.loads((own_run / "run.json").read_text())["model"] == "net.py:Net"
    assert {"conv.weight", "out.weight", "norm.running_mean"} <= {*weights(own_run)}


def test_the_default_folder_is_named_after_the_net(net, tmp_path):
    assert run("--dataset", "digits", "--model", f"{net}:Net", "--epochs", 1) == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.startswith("Net-digits-")


COMMANDS = {
    "eval": ["eval", "run"],
    "mistakes": ["mistakes", "run"],
    "show": ["show", "run"],
    "export": ["export", "run", "net.onnx"],
    "predict": ["predict", "run", "seven.ppm"],
    "resume": ["train", "--resume", "run"],
    "from": ["train", "--from", "run", "--dataset", "digits", "--epochs", "1", "--out", "next"],
    "find-lr": ["find-lr", "--from", "run", "--dataset", "digits", "--steps", "20"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_copy_is_run_if_it_is_trusted(name, own_run, capsys, tmp_path):
    for package in {"export": ["onnx"], "predict": ["PIL"]}.get(name, ["matplotlib"]):
        pytest.importorskip(package)
    (tmp_path / "seven.ppm").write_bytes(b"P5 8 8 255\n" + bytes(range(64)))
    text = said(capsys, *COMMANDS[name], code=2)
    assert text.count("\n") == 1
    assert "the run's net is net.py:Net, of the program run/model.py; read it" in text
    assert not (tmp_path / "ran").exists()
    said(capsys, *COMMANDS[name], "--trust")
    assert (tmp_path / "ran").exists()


def test_find_lr_of_a_program(net, capsys, tmp_path):
    """As cnnx train begins with it: the same words without a copy of the program."""
    text = said(capsys, "find-lr", "--dataset", "digits", "--model", f"{net}:Net")
    assert "model: net.py:Net, adam" in text
    assert "suggested: --lr " in text
    assert not (tmp_path / "runs").exists()
    text = said(capsys, "find-lr", "--model", f"{net}:Net", "--trust", code=2)
    assert "--trust is for a run that is there, of --from (see" in text


@pytest.mark.parametrize("command", ["info", "compare"])
def test_what_a_run_is_needs_no_program(command, own_run, capsys, tmp_path):
    text = said(capsys, command, own_run)
    assert "net.py:Net" in text
    values = sum(value.size for value in weights(own_run).values())
    assert f"{values:,}" in text
    assert not (tmp_path / "ran").exists()


def test_eval_says_what_train_said(net, capsys):
    trained = said(
        capsys, "train", "--dataset", "digits", "--model", f"{net}:Net", "--epochs", 2, "--out", "run"
    )
    assert trained.splitlines()[-1] in said(capsys, "eval", "run", "--trust")


def test_resume_is_as_if_it_had_not_ended(own_run, net):
    assert (
        run(
            "--dataset",
            "digits",
            "--model",
            f"{net}:Net",
            "--epochs",
            3,
            "--out",
            "whole",
            "--schedule",
            "none",
        )
        == 0
    )
    assert (
        run(
            "--dataset",
            "digits",
            "--model",
            f"{net}:Net",
            "--epochs",
            2,
            "--out",
            "part",
            "--schedule",
            "none",
        )
        == 0
    )
    assert run("--resume", "part", "--epochs", 3, "--trust") == 0
    ours, theirs = weights(net.parent / "part"), weights(net.parent / "whole")
    assert all((ours[name] == theirs[name]).all() for name in theirs)


def test_what_an_interrupted_run_says(net, capsys):
    stop = "        if self.training and 2 < len(x) < 64:\n            os.kill(os.getpid(), 2)\n"
    net.write_text("import os" + NET.replace("        x = F", stop + "        x = F"))
    capsys.readouterr()
    code = main(["train", "--dataset", "digits", "--model", f"{net}:Net", "--out", "run", "--threads", "1"])
    assert code == 130
    assert "go on with: cnnx train --resume run --trust\n" in capsys.readouterr().out
    assert "net.py:Net" in said(capsys, "info", "run")


def test_resume_runs_no_program_outside_the_run(own_run, net, capsys, tmp_path):
    """Trainings that have not begun need the weights of the run that --from named: no more than those."""
    stop = "        if len(x) > 2 and pathlib.Path('stop').exists():\n            os.kill(os.getpid(), 2)\n"
    net.write_text("import os, pathlib" + NET.replace("        x = F", stop + "        x = F"))
    (own_run / "model.py").write_bytes(net.read_bytes())
    (tmp_path / "stop").touch()
    options = ("--dataset", "digits", "--validations", 2, "--epochs", 1, "--out", "next", "--trust")
    assert run("--from", "run", *options) == 130
    (tmp_path / "stop").unlink()
    shutil.copytree(own_run, tmp_path / "next" / "sub")
    (tmp_path / "next" / "sub" / "model.py").write_text("import pathlib; pathlib.Path('marker').touch()")
    state = cnnx.load("next/checkpoint.safetensors")
    assert state["stage"] == 0
    state["settings"]["start"] = str(tmp_path / "next" / "sub")
    cnnx.save(state, "next/checkpoint.safetensors")
    shutil.copytree("next", "without")
    assert run("--resume", "next", "--trust") == 0
    assert not (tmp_path / "marker").exists()
    (tmp_path / "next" / "sub" / "model.safetensors").unlink()
    text = said(capsys, "train", "--resume", "without", "--trust", code=1)
    assert "the weights that the run began with cannot be read: " in text
    assert text.count("\n") == 1


def test_naming_the_same_program_trusts_it(own_run, net, capsys):
    assert run("--resume", "run", "--model", f"{net}:Net", "--epochs", 3) == 0
    assert (
        run("--from", "run", "--model", f"{net}:Net", "--dataset", "digits", "--epochs", 1, "--out", "next")
        == 0
    )
    net.write_text(NET + "\n# another one\n")
    for more in (["--resume", "run"], ["--from", "run", "--dataset", "digits", "--out", "third"]):
        text = said(capsys, "train", *more, "--model", f"{net}:Net", code=2)
        assert "net.py:Net: the run has another program, run/model.py" in text


def test_the_program_that_is_trusted_is_the_one_that_can_be_read(own_run, net, capsys, tmp_path):
    """The checkpoint has the program, too; what lies beside it must be the same."""
    (own_run / "model.py").write_text("# harmless")
    text = said(capsys, "train", "--resume", own_run, "--trust", code=2)
    assert "model.py is not the program of the checkpoint" in text
    (own_run / "model.py").unlink()
    text = said(capsys, "train", "--resume", own_run, "--trust", code=2)
    assert "model.py; --model names the program" in text
    assert not (tmp_path / "ran").exists()
    assert run("--resume", "run", "--model", f"{net}:Net") == 0
    assert (own_run / "model.py").read_bytes() == net.read_bytes()


def test_a_run_of_a_named_net_is_no_program(capsys, tmp_path):
    assert run("--dataset", "digits", "--model", "mlp", "--epochs", 1, "--out", "run") == 0
    assert not (tmp_path / "run" / "model.py").exists()
    about = json.loads((tmp_path / "run" / "run.json").read_text())
    (tmp_path / "run" / "run.json").write_text(json.dumps({**about, "model": "net.py:Net"}))
    assert "there is no run/model.py" in said(capsys, "eval", "run", "--trust", code=2)


def test_a_program_in_the_way_is_not_lost(net, capsys, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "model.py").write_text("mine")
    options = ("--dataset", "digits", "--epochs", 1, "--out", "run")
    text = said(capsys, "train", *options, "--model", f"{net}:Net", code=2)
    assert "model.py is there already and would be lost" in text
    assert run(*options, "--model", "mlp") == 0  # which keeps no program
    assert (tmp_path / "run" / "model.py").read_text() == "mine"


def test_a_folder_that_holds_the_program_alone(net, capsys, tmp_path):
    """What a training leaves that was killed before its first checkpoint."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "model.py").symlink_to(net)
    options = ("--dataset", "digits", "--model", f"{net}:Net", "--epochs", 1, "--out", "run")
    assert "model.py is a link" in said(capsys, "train", *options, code=1)
    (tmp_path / "run" / "model.py").unlink()
    shutil.copy(net, tmp_path / "run" / "model.py")
    assert run(*options) == 0


def test_what_comes_next(net, capsys):
    text = said(
        capsys, "train", "--dataset", "digits", "--model", f"{net}:Net", "--epochs", 1, "--out", "run"
    )
    lines = text.partition("next: ")[2].splitlines()[:3]
    for line in lines:
        assert " --trust" in line
    said(capsys, *lines[0].partition("  ")[0].split()[1:])
    (net.parent / "run" / "model.safetensors").unlink()
    text = said(capsys, "eval", "run", "--trust", code=1)
    assert text.endswith("cnnx train --resume run --trust writes it\n")


def test_a_few_images_train_it_in_turn(tmp_path, net):
    image_module = pytest.importorskip("PIL.Image")
    for label, value in (("dark", 20), ("bright", 220)):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for i in range(8):
            image_module.new("RGB", (12, 10), (value + i, value, i)).save(
                tmp_path / "photos" / label / f"{i}.png"
            )
    assert (
        run("--dataset", "photos", "--model", f"{net}:Net", "--epochs", 2, "--validations", 2, "--out", "run")
        == 0
    )
    assert weights(tmp_path / "run")["conv.weight"].shape == (4, 3, 3, 3)


@pytest.mark.parametrize(
    ("body", "arguments"),
    [
        ("def make(): return plain", "()"),
        ("def make(classes): return plain", "(classes)"),
        ("def make(shape, classes): return plain", "(shape, classes)"),
        ("def make(num_classes=7, *, shape, in_channels): return plain", "(shape, num_classes, in_channels)"),
        ("def make(width=3, **more): assert not more; return plain", "()"),
    ],
)
def test_what_it_is_called_with(body, arguments, tmp_path):
    path = tmp_path / "net.py"
    names = [name.strip() for name in arguments.strip("()").split(",") if name.strip()]
    notes = "".join(f"    got[{name!r}] = {name}\n" for name in names)
    head, _, rest = body.partition(": ")
    path.write_text(
        "from cnnx import nn\ngot = {}\nplain = nn.Sequential(nn.Flatten(), nn.Linear(24, 5))\n"
        f"{head}:\n{notes}    {rest}\n"
    )
    own = OwnModel.given(f"{path}:make")
    own.build((2, 3, 4), 5)
    offered = {"shape": (2, 3, 4), "classes": 5, "num_classes": 5, "in_channels": 2}
    assert own._make.__globals__["got"] == {name: offered[name] for name in names}


WRONG = {
    "no name": ("x = 1", "no Net"),
    "a near name": ("def Nett(): pass", "no Net, did you mean Nett?"),
    "no function": ("Net = 3", "Net of {path} is no class or function, but a int"),
    "a net": ("from cnnx import nn\nNet = nn.Linear(1, 1)", "is a net already"),
    "syntax": ("x = 1\ndef Net(:\n  pass", "{path}, line 2: SyntaxError: "),
    "an error": ("x = 1\n\nx.y", "{path}, line 3: AttributeError: 'int' object has no attribute 'y'"),
    "the end": ("import sys\nsys.exit(3)", "{path}, line 2: SystemExit: 3"),
    "an import": (
        "import nowhere_at_all",
        "{path}, line 1: ModuleNotFoundError: No module named 'nowhere_at_all'",
    ),
    "beside": (
        "import blocks_beside",
        "(blocks_beside lies beside it, but a run keeps one file: put it all in that)",
    ),
    "no text": ("# \udcff", "{path} is no text in UTF-8"),
    "much": ("#" * (1 << 20) + "\n", "{path} is larger than 1,048,576 bytes"),
    "needs more": (
        "def Net(width, classes): pass",
        "Net of {path} needs width, but is given classes, num_classes",
    ),
    "no module": ("def Net(): return {}", "Net of {path} makes a dict, not a cnnx.nn.Module"),
    "another's": ("class Module: pass\nNet = Module", "makes a _cnnx_model_net.Module, not a cnnx.nn.Module"),
    "an error in it": ("def Net():\n  return 1 / 0", "{path}, line 2: ZeroDivisionError: division by zero"),
    "few scores": (
        "from cnnx import nn\ndef Net(): return nn.Sequential(nn.Flatten(), nn.Linear(64, 3))",
        "Net of {path} makes (2, 3) of two images of 1x8x8, where a score of each class is needed: (2, 10)",
    ),
    "planes": (
        "from cnnx import nn\ndef Net(): return nn.Conv2d(1, 2, 3)",
        "makes (2, 2, 6, 6) of two images",
    ),
    "a tuple": (
        "from cnnx import nn\nclass Net(nn.Module):\n  def forward(self, x): return x, x",
        "makes a tuple of two images",
    ),
    "sizes": (
        "from cnnx import nn\ndef Net(): return nn.Linear(7, 10)",
        "weight (10, 7) expects 7 input features, input is (2, 1, 8, 8) (images are 1x8x8)",
    ),
    "a line of forward": (
        "from cnnx import nn\nclass Net(nn.Module):\n  def forward(self, x):\n    return x.nothing",
        "{path}, line 4: MissingNameError: cnnx.Tensor has no 'nothing'",
    ),
    "no parameters": (
        "from cnnx import nn\nclass Net(nn.Module):\n  def forward(self, x): return x.flatten(1)[:, :10]",
        "Net of {path} makes a net that has no parameters to train",
    ),
    "frozen": (
        "from cnnx import nn\n"
        "def Net(): return nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).requires_grad_(False)",
        "Net of {path} makes a net that has no parameters to train",
    ),
    "whole numbers": (
        "from cnnx import nn\nclass Net(nn.Linear):\n  def __init__(self): super().__init__(64, 10)\n"
        "  def forward(self, x): return super().forward(x.flatten(1)).long()",
        "Net of {path} makes scores of cnnx.int64, not of floats",
    ),
    "no gradient": (
        "from cnnx import nn\nclass Net(nn.Linear):\n  def __init__(self): super().__init__(64, 10)\n"
        "  def forward(self, x): return super().forward(x.flatten(1)).detach()",
        "Net of {path}: backward",
    ),
    "two at a time": (
        "from cnnx import nn\nclass Net(nn.Linear):\n  def __init__(self): super().__init__(64, 10)\n"
        "  def forward(self, x): return super().forward(x.flatten(1)).reshape(-1, 2, 10)[:, 0].repeat(2, 1)",
        "{path}, line 4: ",
    ),
    "squeezed": (
        "from cnnx import nn\nclass Net(nn.Linear):\n  def __init__(self): super().__init__(64, 10)\n"
        "  def forward(self, x): return super().forward(x.flatten(1)).squeeze()",
        "makes (10,) of one image of 1x8x8, where a score of each class is needed: (1, 10)",
    ),
    "more in training": (
        "from cnnx import nn\nclass Net(nn.Linear):\n  def __init__(self): super().__init__(64, 10)\n"
        "  def forward(self, x): return [x] * 2 if self.training else super().forward(x.flatten(1))",
        "makes a list of two images",
    ),
    "more than tensors": (
        "from cnnx import nn\nclass Net(nn.Linear):\n  def __init__(self): super().__init__(64, 10)\n"
        "  def forward(self, x): return super().forward(x.flatten(1))\n"
        "  def get_extra_state(self): return 3\n  def set_extra_state(self, state): pass",
        "Net of {path} keeps a int as _extra_state",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_programs(name, tmp_path, capsys):
    body, text = WRONG[name]
    path = tmp_path / "net.py"
    path.write_bytes(body.encode("utf-8", "surrogateescape"))
    (tmp_path / "blocks_beside.py").write_text("")
    said_of_it = said(capsys, "train", "--dataset", "digits", "--model", f"{path}:Net", code=2)
    assert said_of_it.startswith(f"cnnx train: --model {path}:Net: ")
    assert text.format(path=path) in said_of_it
    assert said_of_it.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_an_error_while_it_trains(net, capsys, tmp_path):
    net.write_text(
        NET.replace(
            "        x = F",
            "        if self.training and 2 < len(x) < 64:\n            x = x.nothing\n        x = F",
        )
    )
    for command in ("train", "find-lr"):
        text = said(capsys, command, "--dataset", "digits", "--model", f"{net}:Net", code=1)
        line = f"cnnx {command}: {net}, line 18: MissingNameError: cnnx.Tensor has no 'nothing'; "
        assert text.startswith(line)
        assert text.count("\n") == 1
    assert not list((tmp_path / "runs").iterdir())
    (tmp_path / "mine").mkdir()
    for folder in ("mine", "new"):
        said(
            capsys,
            "train",
            "--dataset",
            "digits",
            "--model",
            f"{net}:Net",
            "--out",
            folder,
            "--quiet",
            code=1,
        )
    assert (tmp_path / "mine").exists()
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["eval", "mistakes", "show", "export", "predict", "resume", "find-lr"])
def test_an_error_when_a_run_is_used(name, net, capsys, tmp_path):
    for package in {"export": ["onnx"], "predict": ["PIL"]}.get(name, ["matplotlib"]):
        pytest.importorskip(package)
    (tmp_path / "seven.ppm").write_bytes(b"P5 8 8 255\n" + bytes(range(64)))
    wrong = "        if len(x) != 2 and Path('wrong').exists():\n            return self.nothing\n"
    net.write_text(NET.replace("        x = F", wrong + "        x = F"))
    assert run("--dataset", "digits", "--model", f"{net}:Net", "--epochs", 1, "--out", "run") == 0
    (tmp_path / "wrong").touch()
    more = ["--quiet", "--epochs", 2] if name == "resume" else []
    text = said(capsys, *COMMANDS[name], "--trust", *more, code=2 if name == "find-lr" else 1)
    assert "model.py, line 18: " in text
    assert "has no attribute 'nothing'" in text
    assert text.count("\n") == 1


def test_show_of_a_net_with_a_recurrent_layer(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    (tmp_path / "net.py").write_text(
        "from cnnx import nn\nclass Net(nn.Module):\n"
        "  def __init__(self):\n    super().__init__()\n"
        "    self.rows, self.out = nn.LSTM(8, 4, batch_first=True), nn.Linear(4, 10)\n"
        "  def forward(self, x): return self.out(self.rows(x.squeeze(1))[0][:, -1])\n"
    )
    options = ("--dataset", "digits", "--model", "net.py:Net", "--epochs", 1, "--out", "run")
    assert run(*options) == 0
    assert "feature maps: net.py:Net has none" in said(capsys, "show", "run", "--trust")


def test_a_net_in_float64_goes_on(net, tmp_path):
    net.write_text(
        NET.replace("class Net", "class Inner")
        + "\nclass Net(Inner):\n  def __init__(self, num_classes):\n    super().__init__(num_classes)\n"
        "    self.double()\n  def forward(self, x): return super().forward(x.double())\n"
    )
    for optimizer in ("adam", "sgd", "adadelta"):
        options = ("--model", f"{net}:Net", "--optimizer", optimizer, "--out", optimizer)
        assert run("--dataset", "digits", "--epochs", 1, *options) == 0
        assert run("--resume", optimizer, "--epochs", 2, "--trust") == 0
        assert weights(tmp_path / optimizer)["conv.weight"].dtype == "float64"


def test_a_pipe_is_no_program(own_run, net, capsys, tmp_path):
    """It would be waited for."""
    (own_run / "model.py").unlink()
    os.mkfifo(own_run / "model.py")
    assert "add --trust" in said(capsys, "eval", "run", code=2)
    for command in (["eval", "run"], ["train", "--resume", "run"]):
        assert "run/model.py is no file" in said(capsys, *command, "--trust", code=1)
    os.mkfifo(tmp_path / "pipe.py")
    assert "pipe.py is no file" in said(capsys, "train", "--model", "pipe.py:Net", code=2)


def test_wrong_use_of_it(net, capsys, tmp_path):
    for option, text in [
        ("net.py", "'net.py' needs what makes the net in it: net.py:NAME"),
        ("net.py:", "'net.py:' needs what makes the net in it: net.py:NAME"),
        ("net.py:a b", "invalid choice: 'net.py:a b'"),
        ("lenet", "invalid choice: 'lenet', did you mean lenet5?"),
        ("there/is/none.py:Net", "--model there/is/none.py:Net: there is no there/is/none.py"),
        ("a:b.py:Net", "--model a:b.py:Net: a run cannot keep this name"),
        (".py:Net", "--model .py:Net: a run cannot keep this name"),
        (f"{net}:{'N' * 300}", "a run cannot keep this name"),
    ]:
        text_of_it = said(capsys, "train", "--model", option, code=2)
        assert text in text_of_it
    assert "--trust is for a run that is there" in said(capsys, "train", "--trust", code=2)
    assert run("--dataset", "digits", "--model", "mlp", "--epochs", 1, "--out", "run") == 0
    for more in (["--resume", "run"], ["--from", "run"]):
        assert "does not fit" in said(capsys, "train", *more, "--model", f"{net}:Net", code=2)


@pytest.mark.parametrize(
    ("model", "own"),
    [
        ("net.py:Net", True), ("größe.py:Netz", True), ("lenet5", False), ("a/net.py:Net", False),
        ("net.py:", False), ("..\\net.py:Net", False), ("net.py:a.b", False), ("net.py:1", False),
        ("n" * 300 + ".py:Net", False),
    ],
)  # fmt: skip
def test_names_in_run_json(model, own):
    assert is_own(model) == own


def test_a_checkpoint_needs_its_program(own_run, capsys):
    state = cnnx.load(own_run / "checkpoint.safetensors")
    assert state.pop("program").startswith("\nfrom pathlib")
    cnnx.save(state, own_run / "checkpoint.safetensors")
    assert "'program' is missing" in said(capsys, "train", "--resume", own_run, "--trust", code=1)


def test_a_net_whose_weights_do_not_fit(own_run, capsys):
    state = cnnx.load(own_run / "model.safetensors")
    state.pop("conv.weight")
    cnnx.save(state, own_run / "model.safetensors")
    text = said(capsys, "eval", own_run, "--trust", code=1)
    assert "model.safetensors cannot be read as the weights of net.py:Net" in text


def test_errors_are_errors_of_values(tmp_path):
    path = tmp_path / "net.py"
    path.write_text("")
    with pytest.raises(OwnModelError):
        OwnModel("", path, "net.py:Net")
