"""CIFAR and EMNIST from archives over HTTP, images of noise, and what goes wrong with them."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import pickle
import struct
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

import cnnx
from cnnx import datasets, transforms
from cnnx.datasets.archive import extract
from cnnx.datasets.download import download_file
from cnnx.datasets.verified import RECORD
from cnnx.utils.data import DataLoader
from cnnx.utils.data.native import native_batches
from test_datasets import Server
from test_idx import idx_bytes

sys.path.insert(0, str(Path(__file__).parent / "fuzz"))
import samples

pytestmark = pytest.mark.once
MD5 = {"usedforsecurity": False}


def md5(data):
    return hashlib.md5(data, **MD5).hexdigest()


def tar_of(files, kind="w:gz"):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=kind) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            if isinstance(data, bytes):
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
            else:  # a link to that
                info.type, info.linkname = tarfile.SYMTYPE, data
                archive.addfile(info)
    return out.getvalue()


def zip_of(files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def cifar_files(kind):
    """Small files of the published format, by name within the folder."""
    if kind is datasets.CIFAR10:
        lists = [*kind.train_list, *kind.test_list]
        files = {name: samples.cifar_batch(4 + i, seed=i) for i, (name, _) in enumerate(lists)}
        return {**files, "batches.meta": samples.cifar_names()}
    files = {
        name: samples.cifar_batch(7 + i, "fine_labels", 100, i) for i, name in enumerate(("train", "test"))
    }
    return {**files, "meta": samples.cifar_names("fine_label_names", 100)}


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Server()
    yield server
    server.close()


def published(server, monkeypatch, kind):
    """The archive of a data set on the server, with its checksums in place of the real ones."""
    files = cifar_files(kind)
    for name in ("train_list", "test_list"):
        monkeypatch.setattr(kind, name, [[file, md5(files[file])] for file, _ in getattr(kind, name)])
    monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": md5(files[kind.meta["filename"]])})
    members = {f"{kind.base_folder}/{name}": data for name, data in files.items()}
    archive = tar_of({**members, f"{kind.base_folder}/readme.html": b"<html>", "../outside": b"no"})
    monkeypatch.setattr(kind, "tgz_md5", md5(archive))
    monkeypatch.setattr(kind, "url", server.mirror("data") + kind.filename)
    server.files[f"/data/{kind.filename}"] = archive
    return files


@pytest.mark.parametrize("kind", [datasets.CIFAR10, datasets.CIFAR100])
@pytest.mark.parametrize("train", [True, False])
def test_cifar_as_pickle_reads_it(tmp_path, server, monkeypatch, kind, train):
    files = published(server, monkeypatch, kind)
    data = kind(tmp_path, train=train, download=True)
    names = [name for name, _ in (kind.train_list if train else kind.test_list)]
    entries = [pickle.loads(files[name], encoding="latin1") for name in names]
    pixels = np.vstack([entry["data"] for entry in entries]).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    labels = [label for entry in entries for label in entry.get("labels", entry.get("fine_labels"))]
    assert type(data.data) is np.ndarray
    assert data.data.dtype == np.uint8
    np.testing.assert_array_equal(data.data, pixels)
    assert data.targets == labels
    assert data.classes == [f"class {i}" for i in range(len(data.classes))]
    assert data.class_to_idx["class 3"] == 3
    assert len(data) == len(labels)
    image, label = data[-2]
    np.testing.assert_array_equal(np.asarray(image), pixels[-2])
    assert label == labels[-2]
    assert f"Split: {'Train' if train else 'Test'}" in repr(data)
    assert not (tmp_path.parent / "outside").exists()
    found = sorted(path.name for path in (tmp_path / kind.base_folder).iterdir())
    assert found == sorted([*files, RECORD])
    server.files.clear()
    assert len(kind(tmp_path, train=train, download=True)) == len(labels)
    assert len(server.asked) == 1


def test_cifar_out_of_an_archive_that_is_there(tmp_path, server, monkeypatch):
    kind = datasets.CIFAR10
    published(server, monkeypatch, kind)
    (tmp_path / kind.filename).write_bytes(server.files.popitem()[1])
    assert len(kind(tmp_path, download=True)) == 4 + 5 + 6 + 7 + 8
    assert server.asked == []


@pytest.mark.parametrize("what", ["missing", "damaged"])
def test_cifar_wrong_files_are_named(tmp_path, server, monkeypatch, what):
    kind = datasets.CIFAR10
    published(server, monkeypatch, kind)
    with pytest.raises(RuntimeError, match=r"data_batch_1 .*test_batch.*download=True"):
        kind(tmp_path)
    kind(tmp_path, download=True)
    path = tmp_path / kind.base_folder / "data_batch_3"
    if what == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(RuntimeError, match="data_batch_3 missing or damaged") as caught:
        kind(tmp_path, train=False)
    assert "\n" not in str(caught.value)
    (tmp_path / kind.filename).unlink()
    assert len(kind(tmp_path, train=False, download=True)) == 9
    assert len(server.asked) == 2


def test_cifar_archives_that_are_not_the_published_one(tmp_path, server, monkeypatch):
    kind, address = datasets.CIFAR10, "/data/" + datasets.CIFAR10.filename
    published(server, monkeypatch, kind)
    right = server.files[address]
    server.files[address] = right[:-1] + bytes([right[-1] ^ 1])
    with pytest.raises(RuntimeError, match=f"the checksum differs: MD5 {md5(server.files[address])}"):
        kind(tmp_path, download=True)
    server.files[address] = right
    server.announce_more.add(address)
    with pytest.raises(RuntimeError, match=r"bytes arrived|IncompleteRead"):
        kind(tmp_path, download=True)
    del server.files[address]
    with pytest.raises(RuntimeError, match="HTTP Error 404"):
        kind(tmp_path, download=True)
    assert list(tmp_path.iterdir()) == []
    server.files[address] = right
    server.announce_more.clear()
    with pytest.raises(RuntimeError, match="more than 10"):
        download_file(kind.url, tmp_path / "x", None, limit=10)
    assert list(tmp_path.iterdir()) == []


def test_cifar_a_subclass_names_its_files(tmp_path):
    class Own(datasets.CIFAR10):
        base_folder = "mine"
        train_list: ClassVar = [["a", None], ["b", None]]
        test_list: ClassVar = [["c", None]]
        meta: ClassVar = {"filename": "names", "key": "label_names", "md5": None}

    class Coarse(Own):
        def _check_integrity(self):
            return True

        def _load_meta(self):
            self.classes = list("abcdefghij")
            self.class_to_idx = {"a": 0}

    folder = tmp_path / "mine"
    folder.mkdir()
    for i, name in enumerate("abc"):
        (folder / name).write_bytes(samples.cifar_batch(3, seed=i))
    with pytest.raises(RuntimeError, match="names missing or damaged"):
        Own(tmp_path)
    assert Coarse(tmp_path).class_to_idx == {"a": 0}
    (folder / "names").write_bytes(samples.cifar_names(classes=2))
    with pytest.raises(ValueError, match=r"mine: there is a label \d, and 2 classes"):
        Own(tmp_path)
    (folder / "names").write_bytes(samples.cifar_names())
    assert len(Own(tmp_path)) == 6


def pickled_array(
    shape=(2, 3072), kind="u1", data=None, fortran=b"\x89", name=b"cnumpy\ndtype\n", tail=b"tb"
):
    raw = bytes(2 * 3072) if data is None else data
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01"
    array += pickle.dumps(shape, 2)[2:-1] + name + b"U\x02" + kind.encode() + b"K\x00K\x01\x87R"
    return array + fortran + b"T" + len(raw).to_bytes(4, "little") + raw + tail


def batch(data=None, labels=b"](K\x01K\x02e", key=b"U\x06labels"):
    entries = b"U\x04data" + (pickled_array() if data is None else data) + key + labels
    return b"\x80\x02}(" + entries + b"u."


BROKEN = {
    "truncated": (samples.cifar_batch(3)[:-100], "cannot be read as a batch of CIFAR"),
    "no pickle": (b"<html>not found</html>", "cannot be read as a batch"),
    "a list": (pickle.dumps([1], 2), "a list in it where a dict must be"),
    "no array": (batch(data=b"K\x01"), "no NumPy array"),
    "another function": (batch(data=b"cos\nsystem\nU\x04true\x85R"), "no NumPy array"),
    "array without content": (batch(data=b"cnumpy.core.multiarray\n_reconstruct\n)R"), "no NumPy array"),
    "incomplete": (batch(data=b"cnumpy.core.multiarray\n_reconstruct\n)R)b"), "incomplete"),
    "floats": (batch(data=pickled_array(kind="f4")), "not of uint8"),
    "objects": (batch(data=pickled_array(kind="O8")), "not of uint8"),
    "dtype of another kind": (batch(data=pickled_array(name=b"cos\nsystem\n")), "not of uint8"),
    "columns first": (batch(data=pickled_array(fortran=b"\x88")), "row by row"),
    "huge": (batch(data=pickled_array((1 << 40, 3072))), "has 6144 bytes"),
    "negative": (batch(data=pickled_array((-2, -3072))), "no numbers"),
    "extents that are none": (batch(data=pickled_array(("a", 2))), "no numbers"),
    "small images": (batch(data=pickled_array((6, 1024))), r"shape \(6, 1024\)"),
    "other count": (batch(labels=b"](K\x01e"), "2 images and 1 labels"),
    "labels that are none": (batch(labels=b"](K\x01U\x01ae"), "no list of ints"),
    "bools": (batch(labels=b"](\x88\x89e"), "no list of ints"),
    "negative labels": (batch(labels=b"](K\x01J\xff\xff\xff\xffe"), "there is a label -1"),
    "no labels": (batch(key=b"U\x05other"), "no list of ints"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_cifar_broken_batches(tmp_path, name):
    from cnnx.datasets.cifar_file import read_batch

    data, message = BROKEN[name]
    path = tmp_path / "data_batch_1"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=message) as caught:
        read_batch(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    path.write_bytes(batch())
    assert read_batch(path)[1] == [1, 2]


@pytest.mark.parametrize("content", [{"label_names": []}, {"label_names": [1]}, {"other": ["a"]}, [1]])
def test_cifar_broken_names(tmp_path, content):
    from cnnx.datasets.cifar_file import read_names

    (tmp_path / "meta").write_bytes(pickle.dumps(content, 2))
    with pytest.raises(ValueError, match=r"meta cannot be read as names of CIFAR's classes: there is"):
        read_names(tmp_path / "meta", "label_names")


PLAIN = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5, 0.4, 0.3), (0.2, 0.3, 0.4))])
STEPS = transforms.Compose(
    [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip(), *PLAIN.transforms]
)


@pytest.mark.parametrize("change", [None, "cut", "tensors", "array of labels"])
def test_cifar_batches_are_native_and_equal_single_samples(tmp_path, server, monkeypatch, change):
    published(server, monkeypatch, datasets.CIFAR10)
    data = datasets.CIFAR10(tmp_path, transform=PLAIN, download=True)
    if change == "cut":
        data.data, data.targets = data.data[3:14].copy(), data.targets[3:14]
    elif change == "tensors":
        data.data, data.targets = cnnx.tensor(data.data), cnnx.tensor(data.targets)
    elif change == "array of labels":
        data.targets = np.asarray(data.targets, np.int32)
    assert native_batches(data) is not None
    images = np.concatenate([batch.numpy(force=True) for batch, _ in DataLoader(data, 7)])
    labels = [label for _, batch in DataLoader(data, 7) for label in batch.tolist()]
    np.testing.assert_array_equal(images, np.stack([data[i][0].numpy(force=True) for i in range(len(data))]))
    assert labels == [data[i][1] for i in range(len(data))]
    data.transform = STEPS
    assert native_batches(data) is not None
    assert next(iter(DataLoader(data, 5)))[0].shape == (5, 3, 32, 32)


def test_cifar_that_is_changed_goes_sample_by_sample(tmp_path, server, monkeypatch):
    published(server, monkeypatch, datasets.CIFAR10)
    data = datasets.CIFAR10(tmp_path, transform=PLAIN, download=True)
    expected = data[1][0].numpy()
    for change in ({"targets": [0.5] * 30}, {"targets": [1] * 29}, {"data": data.data.astype(np.float32)}):
        before = {name: getattr(data, name) for name in change}
        for name, value in change.items():
            setattr(data, name, value)
        assert native_batches(data) is None
        for name, value in before.items():
            setattr(data, name, value)
    data.data[1] //= 2  # in place: the next pass has it
    assert not np.array_equal(next(iter(DataLoader(data, 2)))[0][1].numpy(), expected)


def test_cifar_on_a_device(tmp_path, server, monkeypatch):
    published(server, monkeypatch, datasets.CIFAR10)
    where = "cuda" if cnnx.cuda.is_available() else "cpu"
    data = datasets.CIFAR10(tmp_path, transform=PLAIN, download=True)
    before = [batch.numpy(force=True) for batch, _ in DataLoader(data, 8)]
    image, label = data[2]
    assert data.to(where) is data
    assert data.data.shape == (30, 32, 32, 3)
    assert data.data.device.type == data.targets.device.type == where
    assert native_batches(data).device.type == where
    for batch, (images, _) in zip(before, DataLoader(data, 8), strict=True):
        assert images.device.type == where
        np.testing.assert_array_equal(images.numpy(force=True), batch)
    np.testing.assert_array_equal(data[2][0].numpy(force=True), image.numpy(force=True))
    assert data[2][1] == label


def emnist_files(split):
    rng = np.random.default_rng(3)
    count = len(datasets.EMNIST.classes_split_dict[split])
    files = {}
    for part, images in (("train", 6), ("test", 4)):
        start = f"emnist-{split}-{part}"
        files[f"{start}-images-idx3-ubyte"] = idx_bytes(rng.integers(0, 256, (images, 5, 4)).astype(np.uint8))
        files[f"{start}-labels-idx1-ubyte"] = idx_bytes(rng.integers(0, count, images).astype(np.uint8))
    return files


@pytest.fixture
def emnist(server, monkeypatch):
    files = {name: data for split in datasets.EMNIST.splits for name, data in emnist_files(split).items()}
    archive = zip_of({f"gzip/{name}.gz": gzip.compress(data) for name, data in files.items()})
    monkeypatch.setattr(datasets.EMNIST, "url", server.mirror("data") + "gzip.zip")
    monkeypatch.setattr(datasets.EMNIST, "md5", md5(archive))
    server.files["/data/gzip.zip"] = archive
    return files


@pytest.mark.parametrize("split", datasets.EMNIST.splits)
def test_emnist(tmp_path, server, emnist, split):
    with pytest.raises(RuntimeError, match=f"emnist-{split}-train-images-idx3-ubyte .*download=True"):
        datasets.EMNIST(tmp_path, split)
    assert not datasets.EMNIST.is_available(tmp_path, split)
    for train, part, count in ((True, "train", 6), (False, "test", 4)):
        data = datasets.EMNIST(tmp_path, split=split, train=train, download=True)
        content = emnist[f"emnist-{split}-{part}-images-idx3-ubyte"]
        np.testing.assert_array_equal(
            data.data.numpy(), np.frombuffer(content[16:], np.uint8).reshape(-1, 5, 4)
        )
        assert len(data) == count
        assert data[0][1] == int(data.targets[0]) < len(data.classes)
    assert datasets.EMNIST.is_available(tmp_path, split)
    assert not datasets.EMNIST.is_available(tmp_path)
    datasets.EMNIST(tmp_path, "digits", download=True)
    assert server.asked == ["/data/gzip.zip"]


def test_emnist_classes():
    classes = datasets.EMNIST.classes_split_dict
    assert {name: len(names) for name, names in classes.items()} == {
        "byclass": 62, "bymerge": 47, "balanced": 47, "letters": 27, "digits": 10, "mnist": 10
    }  # fmt: skip
    assert "".join(classes["balanced"]) == "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt"


def test_emnist_refuses(tmp_path, server, emnist, monkeypatch):
    with pytest.raises(ValueError, match=r"EMNIST: split must be one of byclass, .*got 'x'"):
        datasets.EMNIST(tmp_path, "x")
    with pytest.raises(TypeError):
        datasets.EMNIST(tmp_path)
    server.files["/data/gzip.zip"] = zip_of({"gzip/other.gz": b""})
    with pytest.raises(RuntimeError, match=r"gzip\.zip: the checksum differs"):
        datasets.EMNIST(tmp_path, "digits", download=True)
    monkeypatch.setattr(datasets.EMNIST, "md5", None)
    with pytest.raises(RuntimeError, match="there is no file gzip/emnist-digits-train-images"):
        datasets.EMNIST(tmp_path, "digits", download=True)


LINKED = {"a/x": b"content", "a/link": "/etc/passwd", "a/folder": "."}


@pytest.mark.parametrize("name", ["a/link", "a/folder", "b"])
def test_links_and_names_that_are_not_there_are_no_files(tmp_path, name):
    (tmp_path / "x.tar.gz").write_bytes(tar_of(LINKED))
    with pytest.raises(
        ValueError, match=f"x.tar.gz cannot be read as a tar archive: there is no file {name}"
    ):
        extract(tmp_path / "x.tar.gz", {name: tmp_path / "out"})
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("make, name", [(tar_of, "x.tar.gz"), (zip_of, "x.zip")])
def test_archives_that_are_damaged_or_too_large(tmp_path, make, name):
    path, out = tmp_path / name, tmp_path / "deep" / "out"
    whole = make({"a/x": b"content" * 1000})
    path.write_bytes(whole)
    extract(path, {"a/x": out}, limit=7000)
    assert out.read_bytes() == b"content" * 1000
    with pytest.raises(ValueError, match="a/x in it has 7000 bytes, more than 6999"):
        extract(path, {"a/x": out}, limit=6999)
    for wrong in (whole[: len(whole) // 2], b"", whole.replace(b"contentcontent", b"contenTcontent")):
        if wrong == whole:  # compressed
            continue
        path.write_bytes(wrong)
        with pytest.raises(ValueError, match=f"{name} cannot be read as a"):
            extract(path, {"a/x": out})


def test_images_of_noise():
    data = datasets.FakeData(5, (1, 7, 6), 3, random_offset=2)
    again, other = datasets.FakeData(5, (1, 7, 6), 3, random_offset=2), datasets.FakeData(5, (1, 7, 6), 3)
    state = cnnx.get_rng_state()
    for i in range(5):
        image, label = data[i]
        assert np.array_equal(np.asarray(image), np.asarray(again[i - 5][0]))
        assert 0 <= label < 3
        assert np.asarray(image).shape == (7, 6)
    assert (cnnx.get_rng_state() == state).all()
    assert np.array_equal(np.asarray(other[4][0]), np.asarray(data[2][0]))
    assert not np.array_equal(np.asarray(other[4][0]), np.asarray(other[3][0]))
    colour = datasets.FakeData(64, (3, 4, 5), transform=transforms.ToTensor(), target_transform=lambda y: -y)
    images, labels = next(iter(DataLoader(colour, 64)))
    assert images.shape == (64, 3, 4, 5)
    assert labels.max().item() <= 0
    assert images.mean().item() == pytest.approx(0.5, abs=0.02)
    with pytest.raises(IndexError, match="FakeData: index 5"):
        data[5]


@pytest.mark.parametrize("arguments", [{"size": -1}, {"num_classes": 0}, {"image_size": (2, 4, 4)},
                                       {"image_size": (3, 4)}, {"image_size": (3, 0, 4)}])  # fmt: skip
def test_images_of_noise_refuse(arguments):
    with pytest.raises(ValueError, match="FakeData: "):
        datasets.FakeData(**arguments)


def usps_text(pixels, labels):
    lines = (
        f"{label} " + " ".join(f"{i}:{value:g}" for i, value in enumerate(row, 1))
        for row, label in zip(pixels, labels, strict=True)
    )
    return "".join(f"{line} \n" for line in lines).encode()


PIXELS = np.random.default_rng(5).integers(-10, 11, (6, 256)) / 10
USPS_TEXT = usps_text(PIXELS, [1, 10, 3, 4, 5, 6])


@pytest.mark.parametrize("train", [True, False])
def test_usps(tmp_path, server, monkeypatch, train):
    name = "usps.bz2" if train else "usps.t.bz2"
    whole = bz2.compress(USPS_TEXT)
    entry = [server.mirror("data") + name, name, md5(whole)]
    monkeypatch.setattr(datasets.USPS, "split_list", {"train" if train else "test": entry})
    with pytest.raises(RuntimeError, match=rf"{name} is missing or damaged; download=True"):
        datasets.USPS(tmp_path, train)
    server.files[f"/data/{name}"] = whole[:-1]
    with pytest.raises(RuntimeError, match="the checksum differs"):
        datasets.USPS(tmp_path, train, download=True)
    server.files[f"/data/{name}"] = whole
    data = datasets.USPS(tmp_path, train, transforms.ToTensor(), download=True)
    assert data.targets == [0, 9, 2, 3, 4, 5]
    expected = ((PIXELS.astype(np.float32) + 1) / 2 * 255).astype(np.uint8).reshape(-1, 16, 16)
    np.testing.assert_array_equal(data.data, expected)
    assert data.class_to_idx["9"] == 9
    assert native_batches(data) is not None
    images, labels = next(iter(DataLoader(data, 6)))
    assert images.shape == (6, 1, 16, 16)
    assert labels.tolist() == data.targets
    np.testing.assert_array_equal(images[3].numpy(force=True), data[3][0].numpy(force=True))
    (tmp_path / name).write_bytes(whole[:-1] + b"?")
    with pytest.raises(RuntimeError, match="is missing or damaged"):
        datasets.USPS(tmp_path, train)


WRONG_LINES = {
    "words": (USPS_TEXT.replace(b"256:", b""), "line 1 of it has 512 words, not 513"),
    "no numbers": (USPS_TEXT.replace(b" 7:", b" 7:x"), "could not convert"),
    "other numbers": (USPS_TEXT.replace(b" 7:", b" 8:"), "not numbered"),
    "too bright": (usps_text(PIXELS * 3, [1] * 6), "beyond 1"),
    "not a number": (usps_text(PIXELS * float("nan"), [1] * 6), "beyond 1"),
    "label 0": (usps_text(PIXELS, [0] * 6), "a label 0 in line 1"),
    "label 11": (usps_text(PIXELS, [1, 2, 11, 1, 1, 1]), "a label 11 in line 3"),
    "label between": (usps_text(PIXELS, [1.5] * 6), "a label 1.5"),
    "a long line": (bytes(1 << 20), "1 words"),
}


@pytest.mark.parametrize("name", WRONG_LINES)
def test_usps_broken_files(tmp_path, name):
    from cnnx.datasets.usps import read_usps

    text, message = WRONG_LINES[name]
    (tmp_path / "usps.bz2").write_bytes(bz2.compress(text))
    with pytest.raises(
        ValueError, match=rf"usps.bz2 cannot be read as images of USPS: .*{message}"
    ) as caught:
        read_usps(tmp_path / "usps.bz2")
    assert "\n" not in str(caught.value)
    for wrong in (b"plain text", bz2.compress(USPS_TEXT)[:-20]):
        (tmp_path / "usps.bz2").write_bytes(wrong)
        with pytest.raises(ValueError, match="cannot be read as images of USPS"):
            read_usps(tmp_path / "usps.bz2")
    (tmp_path / "usps.bz2").write_bytes(bz2.compress(b""))
    assert read_usps(tmp_path / "usps.bz2")[0].shape == (0, 16, 16)


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_svhn_as_scipy_writes_it(tmp_path, server, monkeypatch, compress, dtype):
    savemat = pytest.importorskip("scipy.io").savemat
    rng = np.random.default_rng(6)
    images = rng.integers(0, 256, (32, 32, 3, 5)).astype(np.uint8)
    labels = np.array([1, 10, 3, 9, 2]).astype(dtype).reshape(-1, 1)
    out = io.BytesIO()
    others = {"before": np.arange(3.0), "text": "abc", "cell": {"a": np.ones(2)}, "c": np.ones(2) * 1j}
    savemat(out, {**others, "X": images, "y": labels}, do_compression=compress)
    content = out.getvalue()
    entry = [server.mirror("data") + "test_32x32.mat", "test_32x32.mat", md5(content)]
    monkeypatch.setattr(datasets.SVHN, "split_list", {"test": entry})
    with pytest.raises(RuntimeError, match=r"test_32x32.mat is missing or damaged; download=True"):
        datasets.SVHN(tmp_path, "test")
    with pytest.raises(ValueError, match="SVHN: split must be one of test, got 'x'"):
        datasets.SVHN(tmp_path, "x")
    server.files["/data/test_32x32.mat"] = content
    data = datasets.SVHN(tmp_path, "test", PLAIN, download=True)
    np.testing.assert_array_equal(data.data, images.transpose(3, 2, 0, 1))
    assert data.labels.tolist() == [1, 0, 3, 9, 2]
    assert data.labels is data.targets
    assert data.labels.dtype == np.int64
    assert native_batches(data) is not None
    batch, targets = next(iter(DataLoader(data, 5)))
    np.testing.assert_array_equal(batch[2].numpy(force=True), data[2][0].numpy(force=True))
    assert targets.tolist() == data.labels.tolist()
    data.transform = None
    np.testing.assert_array_equal(np.asarray(data[1][0]), images[..., 1])
    data.labels = [0] * 5
    assert data[1][1] == 0
    assert "Split: test" in repr(data)


def matrix(name=b"X", flags=9, extents=(1,), kind=2, values=b"\1", order=(6, 5, 1)):
    parts = (struct.pack("<II", flags, 0), struct.pack(f"<{len(extents)}i", *extents), name)
    inner = b"".join(samples._element(code, part) for code, part in zip(order, parts, strict=True))
    return samples._element(14, inner + samples._element(kind, values))


X, Y = samples.svhn(2)
WRONG_MATS = {
    "another version": (b"MATLAB 7.3".ljust(124) + b"\0\2IM" + X + Y, "not of version 5"),
    "big-endian": (b" " * 124 + b"\1\0MI" + X + Y, "another byte order"),
    "nothing": (b"", "not of version 5"),
    "no y": (samples.mat([X], False), "no array y"),
    "cut": (samples.mat([X, Y], False)[:-30], "announces"),
    "cut where it is packed": (samples.mat([X, Y], True)[:-9], "announces"),
    "no numbers": (samples.mat([matrix(flags=4)], False), "no array of real numbers"),
    "complex": (samples.mat([matrix(flags=9 | 0x800)], False), "no array of real numbers"),
    "no extents": (samples.mat([matrix(order=(6, 1, 1))], False), "no flags, extents and name"),
    "huge": (samples.mat([matrix(extents=(1 << 30, 1 << 30))], False), "has 1 values"),
    "negative": (samples.mat([matrix(extents=(-1, -1))], False), "has 1 values"),
    "small images": (samples.mat([matrix(), Y], False), "X is uint8 of shape"),
    "label 11": (samples.mat([X, matrix(b"y", extents=(2, 1), values=b"\1\x0b")], False), "from 0 to 10"),
    "one label": (samples.mat([X, matrix(b"y")], False), "2 images and 1 labels"),
}


@pytest.mark.parametrize("name", WRONG_MATS)
def test_svhn_broken_files(tmp_path, name):
    from cnnx.datasets.svhn import read_svhn

    path = tmp_path / "x.mat"
    data, message = WRONG_MATS[name]
    path.write_bytes(data)
    with pytest.raises(ValueError, match=message) as caught:
        read_svhn(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    for packed in (False, True):
        path.write_bytes(samples.mat([matrix(b"other"), X, Y], packed))
        assert read_svhn(path)[0].shape == (2, 3, 32, 32)


def test_svhn_that_unpacks_to_gigabytes(tmp_path):
    from cnnx.datasets.svhn import read_svhn

    tag = struct.pack("<II", 14, 1 << 31)
    packed = zlib.compress(tag + bytes(1 << 24))
    (tmp_path / "x.mat").write_bytes(samples.mat([], True) + struct.pack("<II", 15, len(packed)) + packed)
    with pytest.raises(ValueError, match="say they unpack to 2147483656"):
        read_svhn(tmp_path / "x.mat")
