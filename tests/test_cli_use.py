"""The command line on trained runs: eval, predict, export, show; folders of images; TensorBoard."""

import json
import re
import sys

import numpy as np
import pytest

import cnnx
from cnnx import datasets
from test_cli import NET, main, own_folders, run, weights, write_mnist, wrong_use  # noqa: F401
from test_idx import idx_bytes

pytestmark = [pytest.mark.once, pytest.mark.cpu("the command line names its device: --device")]

image_module = pytest.importorskip("PIL.Image")
pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def digits_run(tmp_path_factory):
    """A run on the digits, good enough to look at."""
    folder = tmp_path_factory.mktemp("digits") / "run"
    assert run("--dataset", "digits", "--model", "mlp", "--epochs", 12, "--out", folder) == 0
    return folder


def lines(capsys, *arguments):
    capsys.readouterr()
    assert main([str(a) for a in arguments]) == 0
    return capsys.readouterr().out.splitlines()


def is_png(path):
    return path.read_bytes()[:4] == b"\x89PNG"


def drawn(pixels, factor=20, margin=40):
    """A digit as somebody draws it: large, black on white, off the centre."""
    large = np.kron(pixels, np.ones((factor, factor)))
    return (255 * (1 - np.pad(large, ((margin, 3 * margin), (2 * margin, margin))))).astype(np.uint8)


def test_run_json_says_what_is_needed(digits_run):
    about = json.loads((digits_run / "run.json").read_text())
    assert about["model"] == "mlp"
    assert about["shape"] == [1, 8, 8]
    assert about["classes"] == [str(i) for i in range(10)]
    pixels = datasets.Digits(train=True).data.numpy() / 16
    np.testing.assert_allclose(about["normalize"], [pixels.mean(), pixels.std()], atol=1e-4)
    assert 0.9 <= about["drawing"] <= 1


def test_eval(digits_run, capsys, tmp_path):
    out = lines(capsys, "eval", digits_run, "--out", tmp_path / "pictures")
    assert out[0].split() == ["class", "precision", "recall", "images"]
    table = np.array([[float(cell) for cell in line.split()] for line in out[1:11]])
    images = datasets.Digits(train=False)
    assert table[:, 3].sum() == len(images) == 360
    accuracy = float(out[12].split()[2]) / 100
    assert accuracy == pytest.approx((table[:, 2] * table[:, 3]).sum() / 360, abs=1e-3)
    assert accuracy > 0.85
    assert out[13].startswith("most confused: ")
    pairs = [line[15:].split() for line in out[13:-2]]
    assert all(pair[1:3] == ["taken", "for"] and pair[5] == "of" for pair in pairs)
    counts = [int(pair[4]) for pair in pairs]
    assert 1 <= len(counts) <= 5
    assert counts == sorted(counts, reverse=True)
    assert is_png(tmp_path / "pictures" / "confusion.png")
    assert is_png(tmp_path / "pictures" / "mistakes.png")


def test_eval_beside_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    from cnnx.cli.evaluate import class_table, confusion

    rng = np.random.default_rng(0)
    labels, predicted = rng.integers(0, 4, 200), rng.integers(0, 3, 200)
    matrix = confusion(labels, predicted, 5)
    np.testing.assert_array_equal(matrix, metrics.confusion_matrix(labels, predicted, labels=range(5)))
    rows = [line.split() for line in class_table(matrix, list("abcde")).splitlines()[1:]]
    precision, recall, _, _ = metrics.precision_recall_fscore_support(
        labels, predicted, labels=range(5), zero_division=np.nan
    )
    for row, p, r in zip(rows, precision, recall, strict=True):
        assert row[1:3] == ["-" if np.isnan(v) else f"{v:.4f}" for v in (p, r)]


def test_eval_normalizes_as_training_did(capsys):
    arguments = (
        "--dataset",
        "digits",
        "--model",
        "mlp",
        "--epochs",
        1,
        "--normalize",
        0.5,
        0.25,
        "--out",
        "run",
    )
    trained = lines(capsys, "train", "--threads", 1, *arguments)[-1]
    assert trained in " ".join(lines(capsys, "eval", "run"))


def test_predict_drawn_digits(digits_run, capsys, tmp_path):
    test = datasets.Digits(train=False)
    files = []
    for i in range(40):
        files.append(tmp_path / f"{i}.png")
        image_module.fromarray(drawn(test[i][0])).save(files[-1])
    out = lines(capsys, "predict", digits_run, *files, "--picture", tmp_path / "seen.png")
    assert is_png(tmp_path / "seen.png")
    hits = [line.split()[1] == str(int(test[i][1])) for i, line in enumerate(out[:-1])]
    assert sum(hits) >= 28  # 38 of the same digits as they are in the data set
    (line,) = lines(capsys, "predict", digits_run, files[0], "--all")
    shares = [float(part.split()[-1]) for part in line.partition(": ")[2].split(", ")]
    assert len(shares) == 10
    assert sum(shares) == pytest.approx(1, abs=1e-3)
    assert shares == sorted(shares, reverse=True)


def test_a_digit_is_found_wherever_and_however_it_is_drawn(tmp_path):
    from cnnx.cli.picture import read_picture

    stroke = np.zeros((300, 400))
    stroke[60:200, 90:110] = 1
    stroke[60:80, 90:180] = 1
    light = np.linspace(0.55, 1, 400)[None, :] * np.linspace(0.8, 1, 300)[:, None]
    noise = np.random.default_rng(0).normal(0, 0.02, stroke.shape)
    versions = {
        "black on white": 1 - stroke,
        "white on black": stroke,
        "pale pencil": 0.9 - 0.3 * stroke,
        "photograph": np.clip(light * (1 - 0.75 * stroke) + noise, 0, 1),
    }
    seen = []
    for name, pixels in versions.items():
        path = tmp_path / f"{name}.png"
        image_module.fromarray((pixels * 255).astype(np.uint8)).save(path)
        seen.append(read_picture(path, (1, 28, 28), 20 / 28)[0])
    clear = image_module.new("RGBA", (400, 300))
    clear.paste((0, 0, 0, 255), (0, 0), image_module.fromarray((stroke * 255).astype(np.uint8)))
    clear.save(tmp_path / "transparent.png")
    seen.append(read_picture(tmp_path / "transparent.png", (1, 28, 28), 20 / 28)[0])
    for picture in seen:
        rows, columns = (np.nonzero((picture > 0.25).any(axis))[0] for axis in (1, 0))
        assert 19 <= np.ptp(rows) + 1 <= 21
        assert 12 <= np.ptp(columns) + 1 <= 15
        np.testing.assert_allclose(picture, seen[0], atol=0.5)
        assert np.abs(picture - seen[0]).mean() < 0.03
        mass = picture.sum(1)
        assert abs((mass * np.arange(28)).sum() / mass.sum() - 13.5) <= 1


def test_a_picture_like_the_training_images_is_taken_as_it_is(digits_run, tmp_path):
    from cnnx.cli.picture import read_picture

    pixels = (datasets.Digits(train=False)[3][0] * 255).astype(np.uint8)
    image_module.fromarray(pixels).save(tmp_path / "a.png")
    np.testing.assert_allclose(read_picture(tmp_path / "a.png", (1, 8, 8), 1.0)[0] * 255, pixels, atol=1e-4)


def test_predict_goes_on_after_a_bad_file(digits_run, capsys, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"nonsense")
    good = tmp_path / "good.png"
    image_module.fromarray(drawn(datasets.Digits(train=False)[0][0])).save(good)
    capsys.readouterr()
    files = [str(tmp_path / "bad.png"), str(good)]
    assert main(["predict", str(digits_run), *files, "--json", str(tmp_path / "out.json")]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("cnnx predict: ")
    assert captured.err.count("\n") == 1
    assert captured.out.startswith(f"{good}: ")
    bad, fine = json.loads((tmp_path / "out.json").read_text())
    assert "bad.png" in bad["error"]
    assert sum(fine["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert fine["drawings"] == 1


@pytest.mark.parametrize(("digits", "found"), [((3,), 1), ((1, 7), 2), ((2, 0, 5), 3)])
def test_several_digits_on_a_picture_are_noticed(digits_run, capsys, tmp_path, digits, found):
    test = datasets.Digits(train=False)
    where = {int(test[i][1]): i for i in range(len(test))}
    parts = [drawn(test[where[digit]][0]) for digit in digits]
    image_module.fromarray(np.concatenate(parts, axis=1)).save(tmp_path / "x.png")
    (line,) = lines(capsys, "predict", digits_run, tmp_path / "x.png")
    assert line.endswith(f"(it seems to hold {found} drawings)") == (found > 1)


def test_compare_and_info(capsys, tmp_path):
    for name, epochs in (("a", 2), ("b", 3)):
        assert run("--model", "mlp", "--epochs", epochs, "--out", name) == 0
    out = lines(capsys, "compare", "a", "b", "--json", "both.json", "--chart", "both.png")
    assert out[0].split() == ["run", "model", "data", "epochs", "values", "validation", "test"]
    assert [line.split()[:4] for line in out[1:3]] == [
        ["a", "mlp", "digits", "2"],
        ["b", "mlp", "digits", "3"],
    ]
    assert all(re.search(r"(  \d+\.\d\d ± \d+\.\d\d %){2}$", line) for line in out[1:3])
    assert out[3].startswith("best on the test images: ")
    assert is_png(tmp_path / "both.png")
    both = json.loads((tmp_path / "both.json").read_text())
    assert both[1]["test"] == json.loads((tmp_path / "b" / "run.json").read_text())["test"]["accuracy"]
    out = lines(capsys, "info", "b")
    assert "epochs:       3 of 3" in out
    for name in ("test", "validation"):
        (line,) = (line for line in out if line.startswith(f"{name}: "))
        assert re.fullmatch(r"\w+: +\d+\.\d\d ± \d+\.\d\d %", line)
    assert max(map(len, out)) <= 80
    assert main(["compare", "a", str(tmp_path), "b"]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith(f"cnnx compare: {tmp_path} is no run folder")
    assert "best on the test images: " in captured.out
    assert "is no run folder" in wrong_use(capsys, "compare", tmp_path)
    assert "--ops is about this installation" in wrong_use(capsys, "info", "b", "--ops")
    # A run of a version that kept no error of the validation.
    about = json.loads((tmp_path / "a" / "run.json").read_text())
    del about["validation"]
    (tmp_path / "a" / "run.json").write_text(json.dumps(about))
    assert re.search(r" \d+\.\d\d %  \d+\.\d\d ± ", lines(capsys, "compare", "a")[1])
    (tmp_path / "a" / "history.csv").write_text("epoch,train_loss\n1,much\n")
    assert main(["compare", "a"]) == 1
    assert "train_loss is 'much', no number" in capsys.readouterr().err


def test_nets_by_their_other_names(capsys, tmp_path):
    assert run("--model", "s10", "--epochs", 1, "--out", "run") == 0
    about = json.loads((tmp_path / "run" / "run.json").read_text())
    assert about["model"] == "mlp"
    # As a run of a version that had no other names.
    (tmp_path / "run" / "run.json").write_text(json.dumps({**about, "model": "s10"}))
    state = cnnx.load("run/checkpoint.safetensors")
    state["settings"]["model"] = "s10"
    cnnx.save(state, "run/checkpoint.safetensors")
    assert "model:        mlp, " in "\n".join(lines(capsys, "info", "run"))
    lines(capsys, "eval", "run")
    assert run("--from", "run", "--model", "s10", "--epochs", 1, "--out", "second") == 0
    assert run("--resume", "run", "--model", "mlp", "--epochs", 2) == 0
    assert run("--resume", "run", "--model", "s10", "--epochs", 3) == 0
    assert cnnx.load("run/checkpoint.safetensors")["settings"]["model"] == "mlp"
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    assert "s4 is cnn-32-64" in " ".join(capsys.readouterr().out.split())


def test_quiet(capsys):
    assert run("--model", "mlp", "--epochs", 2, "--quiet", "--out", "run") == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("test accuracy ")
    assert captured.out.count("\n") == 1


def test_eval_as_json(digits_run, capsys, tmp_path):
    lines(capsys, "eval", digits_run, "--out", tmp_path, "--json", tmp_path / "eval.json")
    found = json.loads((tmp_path / "eval.json").read_text())
    assert np.trace(found["confusion"]) / found["images"] == pytest.approx(found["accuracy"])
    assert len(found["classes"]) == 10


def test_mistakes(digits_run, capsys, tmp_path):
    from cnnx.cli.trained import Trained

    trained = Trained.open(str(digits_run))
    images = trained.test_images(None)
    probabilities, labels = trained.classify(images)
    predicted = probabilities.argmax(1)
    wrong = sorted(np.nonzero(predicted != labels)[0], key=lambda i: -probabilities[i].max())
    assert len(wrong) > 5
    files = ("--out", tmp_path / "x.png", "--json", tmp_path / "x.json")
    out = lines(capsys, "mistakes", digits_run, "-n", 4, *files)
    assert out[0].split() == ["index", "true", "taken", "for", "probability"]
    rows = [line.split() for line in out[1:5]]
    assert [int(row[0]) for row in rows] == list(wrong[:4])
    assert [[int(row[1]), int(row[2])] for row in rows] == [[labels[i], predicted[i]] for i in wrong[:4]]
    share = 100 * len(wrong) / 360
    assert out[6].startswith(f"{len(wrong)} of 360 test images are mistaken, {share:.2f} ± ")
    assert out[6].endswith(" %, 4 shown")
    assert out[7] == f"mistakes: {tmp_path / 'x.png'}"
    assert is_png(tmp_path / "x.png")
    found = json.loads((tmp_path / "x.json").read_text())
    assert (found["images"], found["wrong"]) == (360, len(wrong))
    assert [row["index"] for row in found["mistakes"]] == [int(i) for i in wrong[:4]]
    assert {row["file"] for row in found["mistakes"]} == {None}
    # Of each class; together they are all.
    count = 0
    for name in trained.classes:
        out = lines(capsys, "mistakes", digits_run, "--class", name, "-n", 360)
        assert f" test images of {name} are mistaken, " in out[-1]
        assert all(line.split()[1] == name for line in out[1:-2])
        count += max(len(out) - 3, 0)
    assert count == len(wrong)
    lines(capsys, "show", digits_run, "--index", wrong[0], "--out", tmp_path)
    assert "--class x: the run knows no such class (classes are 0, 1," in wrong_use(
        capsys, "mistakes", digits_run, "--class", "x"
    )
    assert "-n: '0' is not a positive" in wrong_use(capsys, "mistakes", digits_run, "-n", 0)
    assert "folder of data sets that are downloaded" in wrong_use(
        capsys, "mistakes", digits_run, "--data-dir", "x"
    )


def test_a_picture_of_mistakes_has_a_bound(digits_run, capsys, monkeypatch, tmp_path):
    from cnnx import plot
    from cnnx.cli import mistakes

    seen = []
    monkeypatch.setattr(
        plot, "images", lambda images, titles, **more: seen.append((len(images), titles, more))
    )
    monkeypatch.setattr(mistakes, "DRAWN", 3)
    options = ("mistakes", digits_run, "--out", tmp_path / "x.png", "-n")
    (total,) = re.findall(r"^(\d+) of 360", lines(capsys, *options, 1_000_000)[-2])
    assert seen[0][0] == len(seen[0][1]) == 3
    assert seen[0][2]["title"] == (
        f"the 3 most confident of {total} mistakes, and their probabilities (a picture has 3 at most)"
    )
    assert len(lines(capsys, *options, 5)) == 5 + 4  # all that were asked for are listed
    lines(capsys, *options, 3)
    assert seen[2][2]["title"] == f"the 3 most confident of {total} mistakes, and their probabilities"


def test_mistakes_in_files(capsys, tmp_path):
    photos = tmp_path / "photos"
    write_folder(photos / "train", True)
    write_folder(photos / "test", True, count=3)
    arguments = ("--model", "mlp", "--epochs", 4, "--batch-size", 8, "--validations", 1, "--out", "run")
    assert run("--dataset", photos, *arguments) == 0
    out = lines(capsys, "mistakes", "run", "--out", "x.png")
    assert out == [
        "0 of 6 test images are mistaken, 0.00 ± 13.50 %",
        "x.png: not drawn: there are no mistakes",
    ]
    (photos / "test" / "above" / "1.png").rename(photos / "test" / "below" / "9.png")
    out = lines(capsys, "mistakes", "run", "--json", "x.json")
    assert out[0].split()[-1] == "file"
    assert out[1].split()[:3] == ["5", "below", "above"]
    assert out[1].split()[-1] == "test/below/9.png"
    assert json.loads((tmp_path / "x.json").read_text())["mistakes"][0]["file"] == "test/below/9.png"
    (photos / "test" / "above" / "0.png").unlink()
    (photos / "test" / "above" / "2.png").unlink()
    assert lines(capsys, "mistakes", "run", "--class", "above") == ["there are no test images of above"]


def test_find_lr(digits_run, capsys, tmp_path):
    files = ("--chart", tmp_path / "x.png", "--json", tmp_path / "x.json")
    options = ("--dataset", "digits", "--model", "mlp", "--threads", 1)
    out = lines(capsys, "find-lr", *options, *files)
    assert out[:2] == ["data: digits (embedded)", "model: mlp, adam, batch 64, seed 0, cpu"]
    found = json.loads((tmp_path / "x.json").read_text())
    assert out[-1] == f"suggested: --lr {found['suggestion']:.2g} (the default of adam is 0.002)"
    assert out[2].startswith(f"{len(found['rates'])} steps, from 1e-07 to ")
    assert out[3] == f"chart: {tmp_path / 'x.png'}"
    assert is_png(tmp_path / "x.png")
    assert max(map(len, out)) <= 80 + len(str(tmp_path))
    assert not (tmp_path / "runs").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.json", "x.png"]
    assert lines(capsys, "find-lr", *options) == [line for line in out if not line.startswith("chart: ")]
    assert lines(capsys, "find-lr", *options, "--seed", 1) != out
    # As cnnx train begins, with the weights of another run.
    options = ("--from", digits_run, "--dataset", "digits", "--seed", 3, "--optimizer", "sgd")
    still = ("--steps", 25, "--min-lr", 1e-30, "--max-lr", 1e-20)
    assert main([str(a) for a in ("find-lr", *options, *still, "--json", "still.json")]) in (0, 1)
    losses = json.loads((tmp_path / "still.json").read_text())["losses"]
    still = ("--epochs", 1, "--lr", 1e-30, "--schedule", "none", "--out", "still")
    assert run(*options, *still) == 0
    with open("still/history.csv") as file:
        loss = float(file.readlines()[1].split(",")[1])
    assert len(losses) == 25  # batches of 1,293 images, the last of 13
    assert (sum(losses[:20]) * 64 + losses[20] * 13) / 1293 == pytest.approx(loss, rel=1e-4)
    assert "--min-lr 1 is not below --max-lr 0.5" in wrong_use(
        capsys, "find-lr", "--min-lr", 1, "--max-lr", 0.5
    )
    assert "--steps 1: there must be two or more" in wrong_use(capsys, "find-lr", "--steps", 1)
    assert "unrecognized arguments: --epochs 3" in wrong_use(capsys, "find-lr", "--epochs", 3)
    assert main(["find-lr", "--dataset", "digits", "--min-lr", "1e6", "--max-lr", "1e7", "--steps", "5"]) == 1
    assert "the loss does not fall at any of these rates" in capsys.readouterr().err


def test_export(digits_run, capsys, tmp_path):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    path = tmp_path / "digits.onnx"
    (line,) = lines(capsys, "export", digits_run, path, "--opset", 15)
    assert "opset 15" in line
    images = cnnx.rand(5, 1, 8, 8)
    (scores,) = runtime.InferenceSession(path).run(None, {"image": images.numpy()})
    from cnnx.cli.trained import Trained

    model = Trained.open(str(digits_run)).model
    np.testing.assert_allclose(scores, model(images).detach().numpy(), atol=1e-5)
    assert main(["export", str(digits_run), str(path), "--opset", "3"]) == 1
    assert "opset must be from 13" in capsys.readouterr().err
    assert main(["export", str(digits_run), "no/such/x.onnx"]) == 1
    assert "No such file" in capsys.readouterr().err


def test_export_as_c(digits_run, capsys, tmp_path):
    path = tmp_path / "digits.c"
    printed = lines(capsys, "export", digits_run, path)
    assert "digits.c, digits.h: int digits_run(const float *image, float *scores)" in printed[0]
    assert "weights " in printed[2]
    header = (tmp_path / "digits.h").read_text()
    assert "int digits_run(const float *input, float *output);" in header
    assert header.startswith("/* image (1x8x8: pixels in [0, 1], minus ")
    printed = lines(capsys, "export", digits_run, path, "--int8")
    assert "int digits_run_int8(" in (tmp_path / "digits.h").read_text()
    before, after = map(float, re.findall(r"(?:accuracy|int8) ([\d.]+) ", printed[3]))
    assert abs(before - after) < 3
    assert "360 images, scales from 512 training images" in printed[3]
    for arguments, message in (
        (["x.c", "--opset", 15], "--opset is of ONNX files"),
        (["x.txt"], "'x.txt' ends neither in .onnx nor in .c"),
        (["x.onnx", "--int8"], "--int8 is of C files"),
        (["x.c", "--dataset", "digits"], "--data-dir and --dataset name images for --int8"),
    ):
        assert message in wrong_use(capsys, "export", digits_run, *arguments)
    assert main(["export", str(digits_run), "a-b.c"]) == 1
    assert "'a-b' is no identifier of C" in capsys.readouterr().err


def test_show(capsys, tmp_path):
    write_mnist(tmp_path / "data" / "mnist", 24)
    assert run("--model", "s7", "--epochs", 1, "--out", "run") == 0
    out = lines(capsys, "show", "run", "--index", 7, "--out", "pictures")
    names = [f"filters-{layer}.png" for layer in (0, 2, 5, 7)]
    names += ["feature-maps.png", "saliency.png", "grad-cam.png"]
    assert [line.partition(": ")[2] for line in out] == [f"pictures/{name}" for name in names]
    assert all(is_png(tmp_path / "pictures" / name) for name in names)
    image_module.fromarray(drawn(datasets.Digits(train=False)[0][0])).save("seven.png")
    lines(capsys, "show", "run", "--image", "seven.png", "--class", "3")
    assert all(is_png(tmp_path / "run" / name) for name in names)
    assert "--class x: the run knows 0, 1, 2" in wrong_use(capsys, "show", "run", "--class", "x")
    assert "there are 24 test images" in wrong_use(capsys, "show", "run", "--index", 24)


def test_show_of_convolutions_of_signals(capsys, tmp_path):
    (tmp_path / "net.py").write_text(
        "from cnnx import nn\n\n\ndef net(num_classes):\n"
        "    layers = nn.Flatten(2), nn.Conv1d(1, 4, 3), nn.Flatten(), nn.LazyLinear(num_classes)\n"
        "    return nn.Sequential(*layers)\n"
    )
    assert run("--dataset", "digits", "--model", "net.py:net", "--epochs", 1, "--out", "run") == 0
    out = lines(capsys, "show", "run", "--trust")
    assert "filters: run/filters-1.png" in out
    assert out[-1] == "Grad-CAM: net.py:net has no convolution of images, only of signals (nn.Conv1d)"
    assert is_png(tmp_path / "run" / "filters-1.png")


def test_show_explains_the_answer_and_what_it_should_be(digits_run, monkeypatch, tmp_path):
    """Two classes where the net is wrong, one where it is right or one was chosen; no Grad-CAM of an MLP."""
    from cnnx import plot
    from cnnx.cli.trained import Trained

    trained = Trained.open(str(digits_run))
    images = trained.test_images(None)
    probabilities, labels = trained.classify(images)
    wrong = int(np.nonzero(probabilities.argmax(1) != labels)[0][0])
    right = int(np.nonzero(probabilities.argmax(1) == labels)[0][0])
    best, true = int(probabilities[wrong].argmax()), int(labels[wrong])
    seen = []
    monkeypatch.setattr(plot, "overlays", lambda *args, **more: seen.append(args))
    for options in (("--index", wrong), ("--index", right), ("--index", right, "--class", 3)):
        assert main(["show", str(digits_run), "--out", str(tmp_path), *map(str, options)]) == 0
    titles = [[title.split("\n")[0] for title in args[2]] for args in seen]
    assert titles == [
        [f"test image {wrong}, {true}", str(best), str(true)],
        [f"test image {right}, {labels[right]}", str(labels[right])],
        [f"test image {right}, {labels[right]}", "3"],
    ]
    image = images[wrong][0][None]
    for which, drawn_map in zip((best, true), seen[0][1][1:], strict=True):
        assert (drawn_map == cnnx.attribution.saliency(trained.model, image, which)[0]).all()


def write_folder(folder, colour, sizes=((20, 24),), count=30):
    """Images of two classes: bright above, and bright below; in colour red and blue."""
    rng = np.random.default_rng(0)
    for label, name in enumerate(("above", "below")):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            height, width = sizes[i % len(sizes)]
            pixels = rng.integers(0, 60, (height, width, 3))
            half = slice(0, height // 2) if label == 0 else slice(height // 2, None)
            pixels[half, :, (2 * label if colour else slice(None))] += 150
            if not colour:
                pixels[..., 1:] = pixels[..., :1]
            image_module.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{i}.png")


@pytest.mark.parametrize("colour", [False, True])
def test_a_folder_of_images(colour, tmp_path, capsys):
    write_folder(tmp_path / "photos", colour)
    arguments = ("--dataset", "photos", "--model", NET, "--epochs", 4, "--batch-size", 8, "--validations", 1)
    out = lines(capsys, "train", "--threads", 1, *arguments, "--out", "run")
    assert out[0] == "data: images by class in photos"
    assert out[-1].startswith("test accuracy 100.00")
    about = json.loads((tmp_path / "run" / "run.json").read_text())
    assert about["shape"] == [3 if colour else 1, 20, 24]
    assert about["classes"] == ["above", "below"]
    assert about["drawing"] is None
    out = lines(capsys, "eval", "run")
    assert out[1].split() == ["above", "1.0000", "1.0000", out[1].split()[-1]]
    assert "test accuracy 100.00" in out[4]
    assert out[-1] == "mistakes: none"
    (line,) = lines(capsys, "predict", "run", tmp_path / "photos" / "below" / "3.png")
    assert line.split()[1] == "below"
    out = lines(capsys, "show", "run")
    assert ("filters in colours: run/filters-0-colours.png" in out) == colour
    assert run("--resume", "run", "--epochs", 5) == 0


def test_a_folder_with_a_test_folder_and_images_of_many_sizes(tmp_path, capsys):
    write_folder(tmp_path / "photos" / "train", True, sizes=((30, 40), (100, 80)), count=10)
    write_folder(tmp_path / "photos" / "test", True, sizes=((50, 50),), count=3)
    arguments = ["--dataset", "photos", "--model", "mlp", "--epochs", 1, "--out", "run"]
    assert run(*arguments) == 0
    assert json.loads((tmp_path / "run" / "run.json").read_text())["shape"] == [3, 64, 64]
    assert " 6 images" in " ".join(lines(capsys, "eval", "run"))
    assert run(*arguments[:-1], "small", "--image-size", 16) == 0
    assert json.loads((tmp_path / "small" / "run.json").read_text())["shape"] == [3, 16, 16]
    assert "--image-size does not fit" in wrong_use(capsys, "train", "--resume", "small", "--image-size", 20)


def test_a_folder_in_idx_format(tmp_path, capsys):
    rng = np.random.default_rng(0)
    folder = tmp_path / "signs"
    folder.mkdir()
    labels = rng.integers(0, 3, 60)
    images = np.zeros((60, 14, 14), np.uint8)
    images[np.arange(60), 3 + 3 * labels] = 200
    for part, chosen in (("train", slice(0, 50)), ("t10k", slice(50, 60))):
        (folder / f"{part}-images-idx3-ubyte").write_bytes(idx_bytes(images[chosen]))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(idx_bytes(labels[chosen].astype(np.uint8)))
    arguments = ("--dataset", folder, "--model", NET, "--epochs", 20, "--batch-size", 10, "--lr", 0.01)
    assert run(*arguments, "--out", "run") == 0
    out = lines(capsys, "eval", "run")
    assert len(out[: out.index("")]) == 4
    assert "test accuracy 100.00" in " ".join(out)
    (folder / "t10k-labels-idx1-ubyte").unlink()
    assert main(["eval", "run"]) == 1
    assert "IDXFolder: no file in" in capsys.readouterr().err
    (folder / "t10k-images-idx3-ubyte").unlink()
    assert "10 images" in " ".join(lines(capsys, "eval", "run"))


def test_tensorboard(capsys, tmp_path):
    pytest.importorskip("tensorboardX")
    assert run("--model", "mlp", "--epochs", 2, "--schedule", "none", "--out", "run", "--tensorboard") == 0
    assert run("--resume", "run", "--epochs", 3, "--tensorboard") == 0
    scalars = read_events(tmp_path / "run" / "tensorboard")
    rows = np.genfromtxt("run/history.csv", delimiter=",", names=True)
    assert sorted(scalars) == [
        "accuracy/train", "accuracy/validation", "loss/train", "loss/validation", "lr", "samples_per_second",
    ]  # fmt: skip
    for tag, column in (("loss/train", "train_loss"), ("accuracy/validation", "validation_accuracy")):
        np.testing.assert_allclose([scalars[tag][step] for step in (1, 2, 3)], rows[column], rtol=1e-6)


def read_events(folder):
    """Scalars by tag and step, from the event files' records (length, checksum, Event, checksum)."""
    from tensorboardX.proto.event_pb2 import Event

    found = {}
    for path in sorted(folder.iterdir()):
        data, at = path.read_bytes(), 0
        while at < len(data):
            length = int.from_bytes(data[at : at + 8], "little")
            event = Event.FromString(data[at + 12 : at + 12 + length])
            for value in event.summary.value:
                found.setdefault(value.tag, {})[event.step] = value.simple_value
            at += 16 + length
    return found


def test_wrong_use(digits_run, capsys, tmp_path, monkeypatch):
    for command in ("eval", "mistakes", "predict", "export", "show"):
        more = {"predict": ["x.png"], "export": ["x.onnx"]}.get(command, [])
        assert "the following arguments are required: RUN" in wrong_use(capsys, command)
        assert "is no run folder of cnnx train" in wrong_use(capsys, command, tmp_path, *more)
    assert "no name of a data set, and no such folder or table" in wrong_use(
        capsys, "train", "--dataset", "nowhere"
    )
    assert "no such folder" in wrong_use(capsys, "eval", digits_run, "--dataset", "nowhere")
    for std in ("0", "nan"):
        assert "positive standard deviation" in wrong_use(capsys, "train", "--normalize", 0.5, std)
    assert "not a positive" in wrong_use(capsys, "export", digits_run, "x.onnx", "--opset", 0)
    assert "not a whole number" in wrong_use(capsys, "show", digits_run, "--index", -1)
    for arguments, message in (
        (["predict", digits_run, "missing.png"], "missing.png: No such file or directory"),
        (["eval", digits_run, "--out", __file__], "cannot make"),
    ):
        assert main([str(a) for a in arguments]) == 1
        captured = capsys.readouterr()
        assert message in captured.err
        assert captured.err.count("\n") == 1
    image_module.new("L", (30, 30), 255).save("white.png")
    assert main(["predict", str(digits_run), "white.png"]) == 1
    assert "there is nothing drawn on it" in capsys.readouterr().err
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "run.json").write_text("{}")
    (tmp_path / "bad" / "model.safetensors").write_bytes((digits_run / "model.safetensors").read_bytes())
    assert main(["eval", "bad"]) == 1
    assert "bad cannot be read as a run: bad/run.json: 'model' is missing" in capsys.readouterr().err
    for name, arguments, hint in (
        ("matplotlib.figure", ["eval", digits_run], "cnnx[cli]"),
        ("onnx", ["export", digits_run, "x.onnx"], "cnnx[onnx]"),
        ("tensorboardX", ["train", "--model", "mlp", "--epochs", 1, "--tensorboard"], "cnnx[tensorboard]"),
    ):
        monkeypatch.setitem(sys.modules, name, None)
        assert main([str(a) for a in arguments]) == 1
        assert hint in capsys.readouterr().err


def test_bad_folders(tmp_path, capsys):
    def fails(message):
        assert run("--dataset", "photos", "--out", "run") == 1
        err = capsys.readouterr().err
        assert message in err
        assert err.count("\n") == 1
        assert not (tmp_path / "run").exists()

    (tmp_path / "photos").mkdir()
    fails("needs a folder of images for each of two or more classes")
    for name in "ab":
        (tmp_path / "photos" / name).mkdir()
    fails("there are no images")
    (tmp_path / "photos" / "a" / "x.png").write_bytes(b"nonsense")
    fails("class b has no image; a class needs two or more, to train and to test")
    for name in ("a/y.png", "b/x.png", "b/y.png"):
        (tmp_path / "photos" / name).write_bytes(b"nonsense")
    fails("a/x.png")


@pytest.mark.parametrize("command", ["eval", "predict", "export", "show"])
def test_help_has_an_example(command, capsys):
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    assert f"\n  cnnx {command} runs/" in out


def test_eval_compares_classes_by_name(digits_run, capsys, tmp_path):
    pytest.importorskip("PIL")
    from PIL import Image

    for name in ("7", "circle"):
        (tmp_path / "odd" / name).mkdir(parents=True)
        (tmp_path / "known" / ("7" if name == "circle" else "3")).mkdir(parents=True)
    for folder in [*(tmp_path / "odd").iterdir(), *(tmp_path / "known").iterdir()]:
        for i in range(5):
            Image.new("L", (8, 8), 20 * i).save(folder / f"{i}.png")
    assert main(["eval", str(digits_run), "--dataset", str(tmp_path / "odd"), "--out", str(tmp_path)]) == 2
    assert "has a class 'circle', the run knows 0, 1, 2" in capsys.readouterr().err
    found = lines(capsys, "eval", digits_run, "--dataset", tmp_path / "known", "--out", tmp_path)
    counts = {line.split()[0]: line.split()[-1] for line in found if line[:1].isdigit()}
    assert counts["3"] == counts["7"] == "5"
    assert counts["0"] == "0"


def test_other_data_without_a_test_part_test_whole(digits_run, capsys, tmp_path):
    test = datasets.Digits(train=False)
    pixels = (test.data.numpy().reshape(-1, 8, 8)[:30] * 15).astype(np.uint8)
    labels = test.targets.numpy()[:30]

    def write(folder, chosen):
        for i in chosen:
            (folder / str(labels[i])).mkdir(parents=True, exist_ok=True)
            image_module.fromarray(pixels[i]).save(folder / str(labels[i]) / f"{i}.png")

    def table(path, chosen):
        rows = [",".join(map(str, [labels[i], *pixels[i].ravel()])) for i in chosen]
        path.write_text("\n".join(rows))

    write(tmp_path / "all", range(30))
    write(tmp_path / "one", [4])
    write(tmp_path / "train-alone" / "train", range(7))
    write(tmp_path / "parts" / "train", range(9))
    write(tmp_path / "parts" / "test", range(9, 20))
    table(tmp_path / "all.csv", range(30))
    table(tmp_path / "one.csv", [4])
    (tmp_path / "idx").mkdir()
    (tmp_path / "idx" / "train-images-idx3-ubyte").write_bytes(idx_bytes(pixels))
    (tmp_path / "idx" / "train-labels-idx1-ubyte").write_bytes(idx_bytes(labels.astype(np.uint8)))
    (tmp_path / "test-idx").mkdir()
    (tmp_path / "test-idx" / "t10k-images-idx3-ubyte").write_bytes(idx_bytes(pixels[:5]))
    (tmp_path / "test-idx" / "t10k-labels-idx1-ubyte").write_bytes(idx_bytes(labels[:5].astype(np.uint8)))
    counts = {
        "test-idx": 5,
        "all": 30,
        "one": 1,
        "train-alone": 7,
        "parts": 11,
        "all.csv": 30,
        "one.csv": 1,
        "idx": 30,
    }
    for name, count in counts.items():
        options = (digits_run, "--dataset", name, "--out", tmp_path / "x.png")
        out = lines(capsys, "mistakes", *options)
        why = (
            f"test images: {count} of {name}, all of them: it is not the run's own data and has no test part"
        )
        assert (out[0] == why) == (name not in ("parts", "test-idx")), out
        assert f" of {count} test images" in " ".join(out)
        lines(capsys, "show", *options[:3], "--out", tmp_path, "--index", count - 1)
        assert f"{count} images" in " ".join(lines(capsys, "eval", *options[:3], "--out", tmp_path))
    (tmp_path / "parts" / "test" / str(labels[9])).rename(tmp_path / "parts" / "test" / "new")
    err = wrong_use(capsys, "eval", digits_run, "--dataset", "parts")
    assert "the data set has a class 'new', the run knows 0" in err


def test_show_names_classes_of_other_data(digits_run, capsys, monkeypatch, tmp_path):
    from cnnx import plot

    for place in ("known/3", "known/7", "odd/3", "odd/circle"):
        (tmp_path / place).mkdir(parents=True)
        for i in range(2):
            image_module.new("L", (8, 8), 20 * i).save(tmp_path / place / f"{i}.png")
    seen = []
    monkeypatch.setattr(plot, "overlays", lambda *args, **more: seen.append(args[2]))
    options = ("show", digits_run, "--out", tmp_path, "--dataset")
    lines(capsys, *options, tmp_path / "known", "--index", 3)
    assert seen[0][0] == "test image 3, 7"
    assert seen[0][-1].split("\n")[0] == "7"
    assert "has a class 'circle', the run knows 0, 1, 2" in wrong_use(capsys, *options, tmp_path / "odd")


def test_the_data_folder_is_remembered(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("CNNX_DATA_DIR", raising=False)
    write_mnist(tmp_path / "data" / "mnist")
    run_folder = tmp_path / "run"
    options = ("--data-dir", tmp_path / "data", "--model", "mlp", "--epochs", 1, "--out", run_folder)
    assert run(*options, "--validations", 1) == 0
    assert "54 to train, 6 to validate, 60 to test, of 10" in capsys.readouterr().out
    assert main(["eval", str(run_folder)]) == 0
    assert main(["show", str(run_folder)]) == 0
    assert run("--resume", run_folder, "--epochs", 2) == 0


def test_damaged_test_files_are_found_before_the_training(tmp_path, capsys):
    write_mnist(tmp_path / "mnist")
    (tmp_path / "mnist" / "t10k-images-idx3-ubyte.gz").unlink()
    (tmp_path / "mnist" / "t10k-images-idx3-ubyte").write_bytes(
        idx_bytes(np.zeros((60, 28, 28), np.uint8))[:-5]
    )
    assert run("--dataset", tmp_path / "mnist", "--model", "mlp", "--out", tmp_path / "run") == 1
    captured = capsys.readouterr()
    assert "the file is truncated" in captured.err
    assert "epoch 1" not in captured.out
    assert not (tmp_path / "run").exists()


def test_options_that_do_not_apply(capsys, tmp_path):
    line = wrong_use(capsys, "train", "--dataset", "digits", "--image-size", 20)
    assert "--image-size is for folders of images by class" in line
    assert "there is no mnist" in wrong_use(capsys, "train", "--data-dir", tmp_path)
    assert "cnnx train --help" in wrong_use(capsys, "train", "--modle", "mlp")


def test_no_option_is_ignored(digits_run, capsys, tmp_path):
    for command in (
        ["train", "--dataset", "digits", "--data-dir", tmp_path],
        ["train", "--resume", digits_run, "--data-dir", tmp_path],
        ["eval", digits_run, "--data-dir", tmp_path],
        ["show", digits_run, "--data-dir", tmp_path],
    ):
        assert "--data-dir is the folder of data sets that are downloaded; the data are digits" in wrong_use(
            capsys, *command
        )
    for option, value in (("--index", 0), ("--data-dir", tmp_path)):
        line = wrong_use(capsys, "show", digits_run, "--image", "x.png", option, value)
        assert f"{option} is for a test image, and --image names another" in line


def test_numbers_that_float32_does_not_hold(digits_run, capsys, tmp_path):
    for value in ("1e39", "1e308", "1e-320"):
        assert "is not a positive number of float32" in wrong_use(capsys, "train", "--lr", value)
    for mean, std in (("0", "1e-300"), ("1e300", "1"), ("0", "1e39")):
        assert "of float32" in wrong_use(capsys, "train", "--dataset", "digits", "--normalize", mean, std)
    about = json.loads((digits_run / "run.json").read_text())
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "model.safetensors").write_bytes((digits_run / "model.safetensors").read_bytes())
    (tmp_path / "run" / "run.json").write_text(json.dumps({**about, "normalize": [0, 1e-300]}))
    assert main(["eval", "run"]) == 1
    assert "'normalize' must be a mean and a positive standard deviation" in capsys.readouterr().err


def test_classes_that_changed_are_not_trained_on(tmp_path, capsys):
    for label, name in enumerate("ab"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(5):
            image_module.new("L", (8, 8), 50 * i + label).save(tmp_path / "photos" / name / f"{i}.png")
    options = ("--dataset", "photos", "--model", "mlp", "--epochs", 1, "--validations", 1)
    assert run(*options, "--out", "run") == 0
    (tmp_path / "photos" / "b").rename(tmp_path / "photos" / "A")  # now a is the second class
    capsys.readouterr()
    assert run("--resume", "run", "--epochs", 2) == 1
    captured = capsys.readouterr()
    assert "photos: the classes are A, a; the run in run has a, b" in captured.err
    assert captured.err.count("\n") == 1


def test_names_of_folders_are_whole_names(tmp_path):
    """MNIST calls its classes '0 - zero'; a folder's dash is part of its name."""
    for name in ("cat - big", "cat - small"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(5):
            image_module.new("L", (8, 8), 50 * i).save(tmp_path / "photos" / name / f"{i}.png")
    assert run("--dataset", "photos", "--model", "mlp", "--epochs", 1, "--out", "run") == 0
    assert json.loads((tmp_path / "run" / "run.json").read_text())["classes"] == ["cat - big", "cat - small"]
    assert main(["eval", "run"]) == 0


def test_a_home_folder_that_is_not_known(digits_run, capsys, monkeypatch):
    for command in (
        ["eval", "~nobody-of-this-name/run"],
        ["eval", digits_run, "--out", "~nobody-of-this-name"],
        ["train", "--resume", "~nobody-of-this-name/run"],
        ["train", "--dataset", "~nobody-of-this-name"],
        ["train", "--dataset", "digits", "--out", "~nobody-of-this-name/x"],
    ):
        assert main([str(argument) for argument in command]) == 1
        err = capsys.readouterr().err
        assert "~nobody-of-this-name" in err
        assert err.count("\n") == 1
    # As in a container that runs under a number without a name.
    for name in ("CNNX_DATA_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    assert main(["train"]) == 1
    assert "~/.cache: it is not known where this home folder is" in capsys.readouterr().err


def test_an_empty_name_is_not_the_current_folder(capsys, tmp_path):
    """As where a variable of the shell is not set."""
    for arguments in (
        ["train", "--out", ""],
        ["train", "--resume", ""],
        ["train", "--dataset", ""],
        ["train", "--data-dir", ""],
        ["eval", ""],
        ["export", "run", ""],
        ["predict", "run", ""],
        ["show", "run", "--image", ""],
    ):
        assert "the name is empty" in wrong_use(capsys, *arguments)
    assert list(tmp_path.iterdir()) == []


def test_numbers_of_any_length(capsys):
    for command, option in (
        ("train", "--seed"),
        ("train", "--epochs"),
        ("export", "--opset"),
        ("show", "--index"),
    ):
        names = ["run", "x"][: {"export": 2, "show": 1}.get(command, 0)]
        for digits in ("9" * 5000, "²"):
            line = wrong_use(capsys, command, *names, option, digits)
            assert f"argument {option}: '{digits}' is not " in line


def test_a_folder_may_be_named_again_in_another_way(tmp_path, capsys):
    folders = [tmp_path / "photos" / name for name in "ab"]
    for label, folder in enumerate(folders):
        folder.mkdir(parents=True)
        for i in range(5):
            image_module.new("L", (8, 8), 50 * i + label).save(folder / f"{i}.png")
    assert run("--dataset", "photos", "--model", "mlp", "--epochs", 1, "--out", "run") == 0
    assert run("--resume", "run", "--dataset", "./photos/../photos") == 0
    assert "--dataset digits does not fit --resume" in wrong_use(
        capsys, "train", "--resume", "run", "--dataset", "digits"
    )
