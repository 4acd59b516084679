"""The command line's data: sets by name, downloaded where they are missing, tables, and what has moved."""

import csv
import gzip
import json
import re

import numpy as np
import pytest

from cnnx import datasets
from cnnx.cli import CommandError, UsageError, data, main
from cnnx.cli.table import class_order, read_table
from test_cli import own_folders, run, write_mnist, wrong_use  # noqa: F401
from test_datasets import Server
from test_datasets_archives import emnist, published, server  # noqa: F401
from test_idx import idx_bytes

pytestmark = [pytest.mark.once, pytest.mark.cpu("the command line names its device: --device")]
pytest.importorskip("matplotlib")
MLP = ("--model", "mlp", "--epochs", 1, "--validations", 1)


def failed(capsys, *arguments, code=1):
    """The one line on stderr of a command that ends with this code."""
    capsys.readouterr()
    assert main([str(a) for a in arguments]) == code
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    return err


def clothes(monkeypatch, kind, server: Server):  # noqa: F811
    """A small data set in the format of MNIST on the server, with its own checksums."""
    rng = np.random.default_rng(1)
    monkeypatch.setattr(kind, "mirrors", (server.mirror("data"),))
    parts = {}
    for train, pair in kind.parts.items():
        parts[train] = tuple(part._replace(checksum=None) for part in pair)
        for part in pair:
            shape, high = ((30, 28, 28), 256) if "images" in part.file else ((30,), 10)
            content = idx_bytes(rng.integers(0, high, shape).astype(np.uint8))
            server.files[f"/data/{part.file}.gz"] = gzip.compress(content)
    monkeypatch.setattr(kind, "parts", parts)


@pytest.mark.parametrize("name, kind", [("fashion", datasets.FashionMNIST), ("kmnist", datasets.KMNIST)])
def test_relatives_of_mnist_are_downloaded(tmp_path, capsys, monkeypatch, server, name, kind):  # noqa: F811
    clothes(monkeypatch, kind, server)
    assert run("--dataset", name, "--model", "mlp", "--epochs", 1, "--out", "run") == 0
    assert f"data: {name} in {tmp_path / 'data'}" in capsys.readouterr().out
    about = json.loads((tmp_path / "run" / "run.json").read_text())
    assert about["classes"] == kind.classes
    assert about["data_dir"] == str(tmp_path / "data")
    assert len(server.asked) == 4
    assert main(["eval", "run"]) == 0
    assert main(["eval", "run", "--dataset", name, "--data-dir", "data"]) == 0
    assert len(server.asked) == 4
    assert main(["info"]) == 0
    assert f", has {name}\n" in capsys.readouterr().out


@pytest.mark.parametrize("split", ["balanced", "byclass", "bymerge", "letters", "digits"])
def test_emnist_lies_upright(tmp_path, split):
    name = "emnist" if split == "balanced" else f"emnist-{split}"
    names = datasets.EMNIST.classes_split_dict[split]
    labels = np.arange(names[0] == "N/A", len(names)).astype(np.uint8)
    images = np.random.default_rng(0).integers(0, 256, (len(labels), 5, 4)).astype(np.uint8)
    for kind, content in (("images-idx3", images), ("labels-idx1", labels)):
        (tmp_path / f"emnist-{split}-train-{kind}-ubyte").write_bytes(idx_bytes(content))
        (tmp_path / f"emnist-{split}-test-{kind}-ubyte").write_bytes(idx_bytes(0 * content))
    found = data.load_images(name, tmp_path, True)
    assert data.image_shape(found) == (1, 4, 5)
    np.testing.assert_array_equal(found.data.numpy(), images.transpose(0, 2, 1))
    assert [data.class_names(found)[i] for i in found.targets] == [names[i] for i in labels]
    assert "N/A" not in data.class_names(found)
    if split == "letters":
        with pytest.raises(CommandError, match="emnist-letters are from 1 on, there is a 0"):
            data.load_images(name, tmp_path, False)


def test_emnist_trains(capsys, emnist):  # noqa: F811
    assert run("--dataset", "emnist", *MLP, "--out", "run") == 0
    out = capsys.readouterr().out
    assert "of 47 classes: 0, 1, 2" in out
    assert main(["mistakes", "run"]) == 0


@pytest.mark.parametrize("name, kind", [("cifar10", datasets.CIFAR10), ("cifar100", datasets.CIFAR100)])
def test_cifar(tmp_path, capsys, monkeypatch, server, name, kind):  # noqa: F811
    published(server, monkeypatch, kind)
    assert run("--dataset", name, "--validations", 1, "--epochs", 1, "--batch-size", 10, "--out", "run") == 0
    assert "model: pictures," in capsys.readouterr().out
    about = json.loads((tmp_path / "run" / "run.json").read_text())
    assert about["shape"] == [3, 32, 32]
    assert about["classes"] == [f"class {i}" for i in range(10 if name == "cifar10" else 100)]
    found = data.load_images(name, tmp_path / "data", False)
    theirs = kind(tmp_path / "data", train=False)
    np.testing.assert_array_equal(found.data.numpy(), theirs.data.transpose(0, 3, 1, 2))
    assert found.targets.tolist() == theirs.targets
    assert main(["mistakes", "run"]) == 0


def test_what_cannot_be_downloaded(tmp_path, capsys, monkeypatch, server):  # noqa: F811
    monkeypatch.setattr(datasets.KMNIST, "mirrors", (server.mirror("data"),))
    err = failed(capsys, "train", "--dataset", "kmnist")
    assert err.startswith("cnnx train: download of train-images-idx3-ubyte failed: ")
    assert err.endswith(f"kmnist is not in {tmp_path / 'data'}: --data-dir names another folder\n")
    assert "no name of a data set, and no such folder or table, did you mean fashion?" in wrong_use(
        capsys, "train", "--dataset", "fashio"
    )
    assert "--data-dir is the folder of data sets that are downloaded; the data are digits" in wrong_use(
        capsys, "train", "--dataset", "digits", "--data-dir", "x"
    )


def stripes(count, colour=False, seed=0):
    """Images (N, 6, 6) or (N, 6, 6, 3) of three classes: where a bright row is."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    images = rng.integers(0, 40, (count, 6, 6, 3) if colour else (count, 6, 6))
    images[np.arange(count), 1 + labels] += 200
    return images, labels


def write_table(path, images, labels, names=True, last=False, end="\n"):
    cells = images.reshape(len(images), -1).astype(str)
    rows = [
        [*row, str(label)] if last else [str(label), *row] for row, label in zip(cells, labels, strict=True)
    ]
    pixels = [f"pixel{i}" for i in range(cells.shape[1])]
    head = [[*pixels, "class"] if last else ["label", *pixels]] if names else []
    path.write_bytes(end.join(",".join(row) for row in [*head, *rows, []]).encode())


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize(
    "names, last, end", [(True, False, "\n"), (True, True, "\r\n"), (False, False, "\n\n")]
)
def test_a_table_is_read(tmp_path, colour, names, last, end):
    images, labels = stripes(40, colour)
    write_table(tmp_path / "a.csv", images, labels, names, last, end)
    found = read_table(tmp_path / "a.csv")
    np.testing.assert_array_equal(found.images, images.transpose(0, 3, 1, 2) if colour else images)
    assert found.labels == [str(label) for label in labels]
    lines = (tmp_path / "a.csv").read_text().split("\n")
    cell = -1 if last else 0
    assert [lines[number - 1].strip().split(",")[cell] for number in found.lines] == found.labels


def test_a_table_of_several_blocks(tmp_path, monkeypatch):
    images, labels = stripes(500)
    write_table(tmp_path / "a.csv", images, labels)
    whole = read_table(tmp_path / "a.csv")
    monkeypatch.setattr("cnnx.cli.table.BLOCK", 1000)
    parts = read_table(tmp_path / "a.csv")
    np.testing.assert_array_equal(parts.images, whole.images)
    assert parts.labels == whole.labels
    assert parts.lines == whole.lines == list(range(2, 502))


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("start", [0, 1])
def test_columns_that_are_called_by_numbers(tmp_path, last, start):
    images, labels = stripes(9)
    write_table(tmp_path / "a.csv", images, labels, last=last)
    text = re.sub(r"pixel(\d+)", lambda found: str(int(found[1]) + start), (tmp_path / "a.csv").read_text())
    (tmp_path / "a.csv").write_text(text)
    found = read_table(tmp_path / "a.csv")
    np.testing.assert_array_equal(found.images, images)
    assert found.labels == [str(label) for label in labels]


@pytest.mark.parametrize("quoting", [csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_table_with_quotes(tmp_path, quoting, last, encoding):
    images, labels = stripes(9)
    names = np.array(["plain", 'a "b"', "one, two"])[labels]
    with open(tmp_path / "a.csv", "w", newline="", encoding=encoding) as file:
        writer = csv.writer(file, quoting=quoting)
        pixels = [f"pixel{i}" for i in range(36)]
        writer.writerow([*pixels, "label"] if last else ["label", *pixels])
        for name, row in zip(names, images.reshape(9, -1).tolist(), strict=True):
            writer.writerow([*row, name] if last else [name, *row])
    found = read_table(tmp_path / "a.csv")
    np.testing.assert_array_equal(found.images, images)
    assert found.labels == list(names)


def test_a_table_trains(tmp_path, capsys):
    images, labels = stripes(150)
    write_table(tmp_path / "train.csv", images, labels)
    options = ("--model", "mlp", "--epochs", 30, "--batch-size", 10, "--lr", 0.01, "--validations", 1)
    assert run("--dataset", "train.csv", *options, "--out", "run") == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "data: table train.csv, a fifth of each class tests"
    assert ", 30 to test, of 3 classes: 0, 1, 2" in out[1]
    assert out[-1].startswith("test accuracy 100.00 ")
    # As a competition hands it out: what is to be predicted has no labels.
    (tmp_path / "test.csv").write_text("\n".join(",".join(["7"] * 36) for _ in range(3)))
    assert run("--dataset", "train.csv", *options, "--out", "second") == 0
    assert "a fifth of each class tests (test.csv has no labels)" in capsys.readouterr().out
    head = "id," + HEAD.partition(",")[2]
    (tmp_path / "test.csv").write_text(head + "\n".join(",".join(["7"] * 37) for _ in range(3)))
    assert run("--dataset", "train.csv", *MLP, "--out", "with-id") == 0
    assert "a fifth of each class tests (test.csv has no labels)" in capsys.readouterr().out
    # With names for classes and a test part of its own, in which one is missing.
    names = np.array(["c", "b", "a"])
    write_table(tmp_path / "train.csv", images, names[labels], last=True)
    write_table(tmp_path / "test.csv", images[labels > 0], names[labels[labels > 0]], last=True)
    assert run("--dataset", "train.csv", *options, "--out", "third") == 0
    out = capsys.readouterr().out
    assert "data: table train.csv, test.csv tests\n" in out
    assert ", 100 to test, of 3 classes: a, b, c" in out
    assert "there are no test images of c" in out
    assert main(["eval", "third"]) == 0
    assert main(["eval", "third", "--dataset", "test.csv"]) == 0
    assert "test accuracy 100.00" in capsys.readouterr().out
    assert "is the test part of a table" in failed(capsys, "train", "--dataset", "test.csv")
    assert "--image-size is for folders" in wrong_use(
        capsys, "train", "--dataset", "train.csv", "--image-size", 8
    )
    write_table(tmp_path / "test.csv", images[:3], ["a", "d", "e"], last=True)
    assert "test.csv: no images train the classes d, e" in failed(capsys, "train", "--dataset", "train.csv")
    write_table(tmp_path / "test.csv", images[:3, :3, :3], ["a", "d", "e"])
    err = failed(capsys, "train", "--dataset", "train.csv")
    assert "test.csv: its first line has 10 cells, that of train.csv has 37" in err


def test_mistakes_in_a_table_tell_the_line(tmp_path, capsys):
    images, labels = stripes(60)
    write_table(tmp_path / "train.csv", images, labels)
    options = ("--epochs", 20, "--batch-size", 10, "--lr", 0.01)
    assert run("--dataset", "train.csv", *MLP, *options, "--out", "run") == 0
    write_table(tmp_path / "train.csv", images, (labels + 1) % 3)
    capsys.readouterr()
    assert main(["mistakes", "run", "--json", "wrong.json"]) == 0
    assert capsys.readouterr().out.splitlines()[0].split()[-1] == "file"
    lines = (tmp_path / "train.csv").read_text().splitlines()
    found = json.loads((tmp_path / "wrong.json").read_text())["mistakes"]
    assert len(found) == 12
    for mistake in found:
        name, _, number = mistake["file"].partition(":")
        assert name == "train.csv"
        assert lines[int(number) - 1].split(",")[0] == mistake["true"]


def line(*changed, count=36, label="1"):
    cells = [label, *["5"] * count]
    for place, text in changed:
        cells[place] = text
    return ",".join(cells) + "\n"


HEAD = "label," + ",".join(f"pixel{i}" for i in range(36)) + "\n"
REFUSED = {
    "nothing": ("", "there is no line with an image"),
    "names alone": (HEAD, "there is no line with an image"),
    "one cell": ("5\n", "the first line has no commas"),
    "no square": (line(count=35), "35 columns of pixels make no square image"),
    "no label": (HEAD.replace("label", "id"), "neither the first nor the last column is called label, class"),
    "a fraction": (HEAD + line() + line((3, "0.5")), "line 3, column 4: '0.5' is no whole number from 0 to"),
    "scaled": (line((36, "1.0")), "line 1, column 37: '1.0' is no whole number"),
    "negative": (line((1, "-3")), "line 1, column 2: '-3' is no"),
    "too large": (line((2, "256")), "line 1, column 3: '256' is no"),
    "much too large": (line((2, "1000")), "line 1, column 3: '1000' is no"),
    "empty": (line() + line((2, "")), "line 2, column 3: '' is no"),
    "words": (line() + line((2, "red")), "line 2, column 3: 'red' is no"),
    "blank": (line() + line((2, "1 2")), "line 2, column 3: '1 2' is no"),
    "few cells": (line() + "\n" + line(count=34), "line 3 has 35 cells, the first has 37"),
    "without a label": (line() + line(label=" "), "line 2 has no label"),
    "a long label": (line() + line(label="x" * 300), "the label in line 2 is longer than 200 bytes"),
    "not text": ((line() + line(label="\xff")).encode("latin1"), "UnicodeDecodeError|codec"),
    "a comma": (line() + line((3, '"1,2"')), "line 2 has a pixel with a comma in it"),
    "a quote": (line() + line((3, '"1')), "line 2 has 4 cells, the first has 37"),
    "much in quotes": (HEAD + line(label='"' + "x" * 200_000), "field larger than field limit"),
    "zeros": (bytes(5000), "the first line has no commas"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_no_table(tmp_path, capsys, name):
    content, words = REFUSED[name]
    (tmp_path / "a.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=re.escape(str(tmp_path / "a.csv"))) as error:
        read_table(tmp_path / "a.csv")
    assert re.search(words, str(error.value)), error.value
    err = failed(capsys, "train", "--dataset", "a.csv")
    assert err.startswith(f"cnnx train: {tmp_path / 'a.csv'} cannot be read as a table of images: ")


def test_tables_that_are_too_large_or_have_too_few_classes(tmp_path, capsys, monkeypatch):
    images, labels = stripes(30)
    write_table(tmp_path / "a.csv", images, labels * 0)
    assert "all images are of the class 0" in failed(capsys, "train", "--dataset", "a.csv")
    write_table(tmp_path / "a.csv", images, [*labels[:-1], 9])
    assert "class 9 has one image; a class needs two" in failed(capsys, "train", "--dataset", "a.csv")
    (tmp_path / "a.txt").write_text("1,2\n")
    assert "a file must be a table, with the ending .csv" in wrong_use(capsys, "train", "--dataset", "a.txt")
    monkeypatch.setattr(datasets.ImageFolder, "cache_bytes", 1000)
    assert "there are more than 1,000 pixels" in failed(capsys, "train", "--dataset", "a.csv")
    monkeypatch.setattr("cnnx.cli.table.BLOCK", 10)
    monkeypatch.setattr("cnnx.cli.table.LONGEST_LINE", 50)
    assert "line 1 is longer than 50 bytes" in failed(capsys, "train", "--dataset", "a.csv")


def test_classes_in_order():
    assert class_order(["10", "9", "2"]) == ["2", "9", "10"]
    assert class_order(["10", "9", "b"]) == ["10", "9", "b"]


def test_data_that_have_moved(tmp_path, capsys):
    images, labels = stripes(60)
    write_table(tmp_path / "train.csv", images, labels)
    assert run("--dataset", "train.csv", *MLP, "--out", "run") == 0
    (tmp_path / "there").mkdir()
    moved = (tmp_path / "train.csv").rename(tmp_path / "there" / "train.csv")
    for arguments in (["eval", "run"], ["show", "run"], ["train", "--resume", "run"]):
        err = failed(capsys, *arguments)
        assert f"{tmp_path / 'train.csv'}: the data are not there any more; --dataset names their new" in err
    capsys.readouterr()
    assert main(["eval", "run", "--dataset", str(moved)]) == 0
    why = (
        f"12 of {moved}, which takes the place of {tmp_path / 'train.csv'}: the fifth of each class that did"
    )
    assert capsys.readouterr().out.startswith(f"test images: {why} not train\n")
    assert main(["show", "run", "--dataset", str(moved)]) == 0
    assert run("--resume", "run", "--dataset", moved, "--epochs", 2) == 0
    assert json.loads((tmp_path / "run" / "run.json").read_text())["dataset"] == str(moved)
    assert run("--resume", "run", "--epochs", 3) == 0
    write_table(tmp_path / "train.csv", images, labels)
    assert "does not fit --resume: the run has" in wrong_use(
        capsys, "train", "--resume", "run", "--dataset", "train.csv"
    )


def test_a_data_folder_that_has_moved(tmp_path, capsys):
    write_mnist(tmp_path / "data" / "mnist")
    assert run("--dataset", "mnist", *MLP, "--out", "run") == 0
    (tmp_path / "data").rename(tmp_path / "elsewhere")
    for arguments in (["eval", "run"], ["show", "run"], ["train", "--resume", "run"]):
        err = failed(capsys, *arguments)
        assert f"{tmp_path / 'data'}, where the run had mnist, is gone; --data-dir names its new place" in err
    assert not (tmp_path / "data").exists()
    assert main(["eval", "run", "--data-dir", "elsewhere"]) == 0
    assert run("--resume", "run", "--data-dir", "elsewhere", "--epochs", 2) == 0
    with pytest.raises(UsageError):
        data.as_dataset("nothing")
