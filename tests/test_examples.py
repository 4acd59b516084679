"""Every example runs with --quick and prints what needs no MNIST; S1 is checked on the real files."""

import ast
import importlib
import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import cnnx

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
SCRIPTS = sorted(path.stem for path in EXAMPLES.glob("*.py") if path.stem not in ("common", "results"))
#: Scripts that need packages beyond those of the tests.
EXTRAS = {"s09_image_filters": ["sklearn", "PIL"], "baselines": ["sklearn"], "own_pictures": ["PIL"]}
EXACT = {
    "s02_filter_demo": {"largest difference of a probability": 1e-6},
    "s03_smoothing": {"largest difference from numpy.convolve": 1e-12},
    "s05_convolution_arithmetic": {
        "largest difference from the text": 5e-5,
        "largest difference from NumPy": 1e-12,
    },
    "s08_own_layer": {"largest difference of a batch's loss": 1e-5},
    "hessian_vector": {"asymmetry of the Hessian": 1e-12},
    "s09_image_filters": {"largest difference of layer and filter": 1e-5},
}

pytestmark = [
    pytest.mark.once,
    pytest.mark.cpu("scripts name their device: --device"),
    pytest.mark.skipif(not EXAMPLES.is_dir(), reason="not in a clone"),
    pytest.mark.skipif(
        cnnx._C.active_target() == "reference", reason="training in the reference's plain loops takes minutes"
    ),
]


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib").use("Agg")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CNNX_DATA_DIR", str(tmp_path / "nothing"))
    monkeypatch.syspath_prepend(str(EXAMPLES))
    yield
    import matplotlib.pyplot as plt

    plt.close("all")
    sys.modules.pop("common", None)


def run(script, *arguments, monkeypatch):
    monkeypatch.setattr(sys, "argv", [f"{script}.py", *arguments])
    runpy.run_path(str(EXAMPLES / f"{script}.py"), run_name="__main__")


@pytest.mark.parametrize("script", SCRIPTS)
def test_example_runs_and_draws(script, tmp_path, monkeypatch, capsys):
    for package in EXTRAS.get(script, []):
        pytest.importorskip(package)
    run(script, "--quick", "--device", "cpu", monkeypatch=monkeypatch)
    folder = tmp_path / "runs" / "examples" / script
    content = json.loads((folder / "figures.json").read_text())
    printed = capsys.readouterr().out
    assert all(name in printed for name in content["figures"])
    assert all(value == value for value in content["figures"].values()), "NaN"
    pictures = list(folder.glob("*.png"))
    assert pictures
    assert all(picture.stat().st_size > 5000 for picture in pictures)
    for name, bound in EXACT.get(script, {}).items():
        assert content["figures"][name] <= bound


def test_each_example_is_listed_and_says_what_it_shows():
    page = (EXAMPLES / "README.md").read_text()
    for script in SCRIPTS:
        assert f"]({script}.py) | " in page, script
        about = ast.get_docstring(ast.parse((EXAMPLES / f"{script}.py").read_text()))
        assert f"\n    python examples/{script}.py" in about, script
        assert len(about.splitlines()) >= 7, script


def test_seed_decides_everything(tmp_path, monkeypatch):
    figures = []
    for seed in (1, 1, 2):
        out = tmp_path / f"out{len(figures)}"
        run("s04_cnn_adadelta", "--quick", "--seed", str(seed), "--out", str(out), monkeypatch=monkeypatch)
        figures.append(json.loads((out / "figures.json").read_text())["figures"])
    assert figures[0] == figures[1] != figures[2]


def test_weights_are_loaded_where_they_are(monkeypatch, capsys):
    for trained in (True, False):
        run("s07_cnn_augmented", "--quick", "--device", "cpu", monkeypatch=monkeypatch)
        printed = capsys.readouterr().out
        assert ("epoch 1/2" in printed) is trained
        assert ("quick.safetensors is there: no training" in printed) is not trained


def test_without_mnist_the_way_out_is_named(monkeypatch):
    with pytest.raises(SystemExit, match=r"(?s)t10k-images.*--data-dir.*--download.*--quick"):
        run("s04_cnn_adadelta", monkeypatch=monkeypatch)


def test_wrong_use_is_one_clear_line(monkeypatch, capsys):
    for arguments, message in [
        (["--epochs", "0"], "0 is not positive"),
        (["--device", "tpu"], "invalid choice: 'tpu'"),
        *([] if cnnx.cuda.is_available() else [(["--device", "cuda"], "no CUDA device")]),
    ]:
        with pytest.raises(SystemExit) as caught:
            run("lenet5", *arguments, monkeypatch=monkeypatch)
        assert caught.value.code == 2
        assert message in capsys.readouterr().err


def test_results_resume_judge_and_write(tmp_path):
    def results(*arguments):
        return subprocess.run(
            [sys.executable, str(EXAMPLES / "results.py"), "--quick", *arguments],
            capture_output=True,
            text=True,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([str(Path(cnnx.__file__).parent.parent), *sys.path]),
            },
            check=False,
        )

    page = tmp_path / "page.md"
    page.write_text("before\n<!-- made by examples/results.py -->\nold\n<!-- end -->\nafter\n")
    first = results("--only", "s2,s7", "--seeds", "3", "4", "--write", str(page))
    assert first.returncode == 0, first.stderr
    assert "== s7, seed 4" in first.stderr
    lines = first.stdout.splitlines()
    # A short run over a few digits does not reach the figure of a whole one over MNIST.
    verdicts = [line.split("|")[6].strip() for line in lines if line.startswith("| [")]
    assert verdicts[0] == "reached"
    assert verdicts[1].startswith("missed by")
    # Nothing in S2 is random: one run says all.
    assert "== s2, seed 4" not in first.stderr
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert all(line in text for line in lines)

    (tmp_path / "runs/results/s7/seed4/figures.json").unlink()
    second = results("--only", "s2,s7", "--seeds", "3", "4")
    assert second.stderr.count("== ") == 1, second.stderr
    assert second.stdout.split() != []

    wrong = results("--only", "s99")
    assert wrong.returncode == 2
    assert "s99" in wrong.stderr


def test_results_judge_by_pytorch(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    results = importlib.import_module("results")
    monkeypatch.setattr(results, "SAME_START", tmp_path / "same_start.json")
    assert "has not been run" in results.against_pytorch("s10")[0][1]

    def verdicts(shift):
        pairs = [(0.97 + shift + 0.001 * i, 0.97 + 0.001 * (i ^ 1)) for i in range(10)]
        figures = {
            name: [dict.fromkeys(results.SYSTEMS["s10"].as_pytorch, pair[side]) for pair in pairs]
            for side, name in enumerate(("cnnx", "PyTorch"))
        }
        (tmp_path / "same_start.json").write_text(json.dumps({"s10": {"figures": figures}}))
        return {verdict for _, verdict in results.against_pytorch("s10")}

    assert verdicts(0) == verdicts(0.0005) == {"reached"}
    assert verdicts(-0.002) == {"differs by -0.002, 6.0 standard errors"}
    assert results.against_pytorch("s2") == []


@pytest.mark.mnist
@pytest.mark.skipif(
    "CNNX_TEST_MNIST" not in os.environ, reason="CNNX_TEST_MNIST names no folder with the real MNIST files"
)
def test_s1_to_the_digit(tmp_path, monkeypatch):
    run("s01_mlp_sgd", "--data-dir", os.environ["CNNX_TEST_MNIST"], monkeypatch=monkeypatch)
    content = json.loads((tmp_path / "runs/examples/s01_mlp_sgd/figures.json").read_text())
    assert content["figures"]["train accuracy"] == pytest.approx(0.80437505, abs=1e-6)
    assert content["figures"]["validation accuracy"] == pytest.approx(0.7725, abs=1e-6)
