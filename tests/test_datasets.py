"""MNIST from files and over HTTP, the embedded digits, and what goes wrong with them."""

import gzip
import hashlib
import http.server
import os
import threading

import numpy as np
import pytest

import cnnx
from cnnx import datasets, transforms
from cnnx.datasets.mnist import Part
from cnnx.datasets.verified import RECORD
from test_idx import idx_bytes

NAMES = {
    True: ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    False: ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


def small_files(count=5):
    """Four files like MNIST's with `count` images of 6x4 pixels, by name."""
    rng = np.random.default_rng(1)
    files = {}
    for images, labels in NAMES.values():
        files[images] = idx_bytes(rng.integers(0, 256, (count, 6, 4)).astype(np.uint8))
        files[labels] = idx_bytes(rng.integers(0, 10, count).astype(np.uint8))
    return files


def store(folder, files, compress=False):
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / (name + ".gz" * compress)).write_bytes(gzip.compress(data) if compress else data)


@pytest.mark.parametrize("place", [".", "mnist", "MNIST/raw"])
@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("train", [False, True])
def test_places_and_compression(tmp_path, place, compress, train):
    files = small_files()
    assert not datasets.MNIST.is_available(tmp_path)
    store(tmp_path / place, files, compress)
    assert datasets.MNIST.is_available(tmp_path)
    data = datasets.MNIST(str(tmp_path), train=train)
    images = np.frombuffer(files[NAMES[train][0]][16:], np.uint8).reshape(5, 6, 4)
    labels = np.frombuffer(files[NAMES[train][1]][8:], np.uint8)
    assert data.data.dtype == cnnx.uint8
    assert data.targets.dtype == cnnx.int64
    np.testing.assert_array_equal(data.data.numpy(), images)
    np.testing.assert_array_equal(data.targets.numpy(), labels)
    assert len(data) == 5
    assert data[3][1] == data[-2][1] == labels[3]
    np.testing.assert_array_equal(np.asarray(data[3][0]), images[3])


def test_transforms_and_description(tmp_path):
    store(tmp_path, small_files())
    data = datasets.MNIST(tmp_path, True, transforms.ToTensor(), lambda label: label + 100)
    image, label = data[1]
    assert image.shape == (1, 6, 4)
    assert label == data.targets[1].item() + 100
    assert data.classes[7] == "7 - seven"
    assert data.class_to_idx["3 - three"] == 3
    assert repr(data).startswith(
        f"Dataset MNIST\n    Number of datapoints: 5\n    Root location: {tmp_path}\n"
    )
    for index in (5, -6):
        with pytest.raises(IndexError, match="MNIST: index"):
            data[index]


def test_image_without_pillow(tmp_path, monkeypatch):
    store(tmp_path, small_files())
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    image, _ = datasets.MNIST(tmp_path)[0]
    assert isinstance(image, np.ndarray)
    assert image.dtype == np.uint8
    assert image.shape == (6, 4)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(RuntimeError, match=r"train-images-idx3-ubyte .*download=True"):
        datasets.MNIST(tmp_path)


def broken(change):
    files = small_files()
    return {**files, **change(files)}


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda f: {NAMES[True][0]: f[NAMES[True][0]][:-1]}, "truncated"),
        (lambda f: {NAMES[True][0]: f[NAMES[True][0]] + b"0"}, "too long"),
        (lambda f: {NAMES[True][0]: b"<html>not found</html>"}, "not an IDX file"),
        (lambda f: {NAMES[True][0]: f[NAMES[True][1]]}, "not images, but"),
        (lambda f: {NAMES[True][1]: f[NAMES[True][0]]}, "not labels, but"),
        (lambda f: {NAMES[True][1]: idx_bytes(np.zeros(4, np.uint8))}, "5 images.* 4 labels"),
        (lambda f: {NAMES[True][1]: b"\x1f\x8b\x08\0 bad"}, "damaged gzip data"),
    ],
)
def test_bad_files(tmp_path, change, words):
    store(tmp_path, broken(change))
    with pytest.raises(ValueError, match=words) as caught:
        datasets.MNIST(tmp_path)
    assert str(tmp_path) in str(caught.value)


class Server:
    """Mirrors on 127.0.0.1: files by path; a path may be cut short."""

    def __init__(self):
        self.files, self.asked, self.announce_more = {}, [], set()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked.append(self.path)
                data = outer.files.get(self.path)
                self.send_response(404 if data is None else 200)
                data = data or b""
                extra = 10 if self.path in outer.announce_more else 0
                self.send_header("Content-Length", str(len(data) + extra))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *arguments):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.http.serve_forever)
        self.thread.start()

    def mirror(self, name):
        return f"http://127.0.0.1:{self.http.server_address[1]}/{name}/"

    def close(self):
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Server()
    files = small_files()
    parts = {
        train: tuple(Part(name, "sha256:" + hashlib.sha256(files[name]).hexdigest()) for name in names)
        for train, names in NAMES.items()
    }
    monkeypatch.setattr(datasets.MNIST, "parts", parts)
    monkeypatch.setattr(datasets.MNIST, "mirrors", (server.mirror("first"), server.mirror("second")))
    server.contents = files
    yield server
    server.close()


def test_download(tmp_path, server):
    for name, data in server.contents.items():
        server.files[f"/first/{name}.gz"] = gzip.compress(data)
    data = datasets.MNIST(tmp_path / "new", train=False, download=True)
    assert len(data) == 5
    raw = tmp_path / "new" / "MNIST" / "raw"
    assert sorted(os.listdir(raw)) == [RECORD, *sorted(NAMES[False])]
    assert (raw / NAMES[False][0]).read_bytes() == server.contents[NAMES[False][0]]
    assert server.asked == [f"/first/{name}.gz" for name in NAMES[False]]
    server.asked.clear()
    datasets.MNIST(tmp_path / "new", train=False, download=True)
    assert server.asked == []


def test_second_mirror_and_checksum(tmp_path, server):
    images, labels = NAMES[True]
    server.files[f"/first/{images}.gz"] = gzip.compress(server.contents[images][:-1] + b"?")
    server.files[f"/second/{images}.gz"] = gzip.compress(server.contents[images])
    server.files[f"/first/{labels}.gz"] = gzip.compress(server.contents[labels])[:-5]
    server.files[f"/second/{labels}.gz"] = gzip.compress(server.contents[labels])
    server.announce_more.add(f"/first/{labels}.gz")
    assert len(datasets.MNIST(tmp_path, download=True)) == 5
    assert len(server.asked) == 4


def test_no_mirror_delivers(tmp_path, server):
    images = NAMES[True][0]
    server.files[f"/first/{images}.gz"] = gzip.compress(b"something else")
    with pytest.raises(RuntimeError) as caught:
        datasets.MNIST(tmp_path, download=True)
    message = str(caught.value)
    assert "download of train-images-idx3-ubyte failed" in message
    assert (
        f"/first/{images}.gz: the checksum differs: SHA256 {hashlib.sha256(b'something else').hexdigest()}"
        in message
    )
    assert f"/second/{images}.gz: HTTP Error 404" in message
    assert not (tmp_path / "MNIST" / "raw").exists()


def test_unreachable_mirror(tmp_path, server, monkeypatch):
    monkeypatch.setattr(datasets.MNIST, "mirrors", ("http://127.0.0.1:9/",))
    with pytest.raises(RuntimeError, match=r"127\.0\.0\.1:9/train-images-idx3-ubyte\.gz: .*refused"):
        datasets.MNIST(tmp_path, download=True)


def test_download_without_tqdm(tmp_path, server, monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "tqdm", None)
    for name, data in server.contents.items():
        server.files[f"/first/{name}.gz"] = gzip.compress(data)
    datasets.MNIST(tmp_path, download=True)
    assert "Downloading train-images-idx3-ubyte.gz" in capsys.readouterr().err


def test_digits_against_scikit_learn():
    source = pytest.importorskip("sklearn.datasets").load_digits()
    everything = datasets.Digits(train=None)
    np.testing.assert_array_equal(everything.data.numpy(), source.images)
    np.testing.assert_array_equal(everything.targets.numpy(), source.target)


def test_digits_split():
    train, test, everything = (datasets.Digits(train=part) for part in (True, False, None))
    assert (len(train), len(test), len(everything)) == (1437, 360, 1797)
    rows = np.concatenate([d.data.numpy().reshape(len(d), -1) for d in (train, test)])
    expected = everything.data.numpy().reshape(1797, -1)
    np.testing.assert_array_equal(np.unique(rows, axis=0), np.unique(expected, axis=0))
    assert min(np.bincount(test.targets.numpy())) >= 20
    assert train.data.numpy().max() == train.max_value == 16


def test_digits_samples():
    digits = datasets.Digits(transform=transforms.ToTensor())
    image, label = digits[10]
    np.testing.assert_array_equal(image.numpy()[0], digits.data.numpy()[10] / np.float32(16))
    assert label == digits.targets.numpy()[10]
    plain, _ = datasets.Digits()[10]
    assert plain.dtype == np.float32
    np.testing.assert_array_equal(plain, image.numpy()[0])


@pytest.mark.mnist
@pytest.mark.skipif(
    "CNNX_TEST_MNIST" not in os.environ, reason="CNNX_TEST_MNIST names no folder with the real MNIST files"
)
def test_real_mnist():
    folder = os.environ["CNNX_TEST_MNIST"]
    for train, count in ((True, 60000), (False, 10000)):
        data = datasets.MNIST(folder, train=train)
        assert tuple(data.data.shape) == (count, 28, 28)
        for part in datasets.MNIST.parts[train]:
            path = datasets.MNIST.find(folder, part.file)
            content = path.read_bytes()
            content = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
            assert "sha256:" + hashlib.sha256(content).hexdigest() == part.checksum
