"""MNIST from files and over HTTP, the embedded digits, and what goes wrong with them."""

import gzip
import hashlib
import http.server
import os
import threading
import tracemalloc

import numpy as np
import pytest

import cnnx
from cnnx import datasets, transforms
from cnnx.datasets.download import fetch
from cnnx.datasets.idx_file import read_idx
from cnnx.datasets.mnist import Part
from cnnx.datasets.verified import RECORD
from test_idx import idx_bytes

pytestmark = pytest.mark.once

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
        (lambda f: {NAMES[True][1]: b"\x1f\x8b\x08\0 bad"}, "cannot be read as gzip data"),
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


class Redirected(http.server.BaseHTTPRequestHandler):
    """Sends on to wherever the path says, or sends without an end."""

    def do_GET(self):
        if self.path.startswith("/endless"):
            self.send_response(200)
            self.end_headers()
            try:
                while True:
                    self.wfile.write(bytes(1 << 16))
            except OSError:
                return  # the client has had enough
        self.send_response(302)
        self.send_header("Location", {"f": "ftp://127.0.0.1/x", "l": "file:///etc/passwd"}[self.path[1]])
        self.end_headers()

    def log_message(self, *arguments):
        pass


def test_what_is_not_downloaded(tmp_path, server, monkeypatch):
    """Other protocols, and more than there can be."""
    with pytest.raises(OSError, match="unknown url type: file"):
        fetch((tmp_path / "x").as_uri())
    server.files["/first/large"] = bytes(1001)
    assert len(fetch(server.mirror("first") + "large", 1001)) == 1001
    with pytest.raises(OSError, match="1001 bytes are announced, more than 1000"):
        fetch(server.mirror("first") + "large", 1000)
    other = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Redirected)
    thread = threading.Thread(target=other.serve_forever)
    thread.start()
    address = f"http://127.0.0.1:{other.server_address[1]}"
    try:
        for path in ("ftp", "local"):
            with pytest.raises(OSError, match=r"unknown url type|is not allowed"):
                fetch(f"{address}/{path}")
        with pytest.raises(OSError, match="more than 200000 bytes arrived"):
            fetch(f"{address}/endless", 200_000)
    finally:
        other.shutdown()
        thread.join()
        other.server_close()


@pytest.mark.parametrize("checksum", ["sha256", "md5"])
def test_a_cached_file_that_changed_is_named(tmp_path, server, monkeypatch, checksum):
    sent = {name: gzip.compress(data) for name, data in server.contents.items()}
    if checksum == "md5":
        parts = {
            train: tuple(Part(name, "md5:" + hashlib.md5(sent[name]).hexdigest()) for name in names)
            for train, names in NAMES.items()
        }
        monkeypatch.setattr(datasets.MNIST, "parts", parts)
    for name, data in sent.items():
        server.files[f"/first/{name}.gz"] = data
    datasets.MNIST(tmp_path, download=True)
    path = tmp_path / "MNIST" / "raw" / NAMES[True][0]
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(ValueError, match="the file is damaged: its content has SHA256") as caught:
        datasets.MNIST(tmp_path, download=True)
    assert str(path) in str(caught.value)
    assert "download=True fetches it again" in str(caught.value)
    assert "\n" not in str(caught.value)
    path.write_bytes(whole[:-1])
    with pytest.raises(ValueError, match=r"damaged|truncated"):
        datasets.MNIST(tmp_path)
    path.unlink()
    assert len(datasets.MNIST(tmp_path, download=True)) == 5


def test_files_are_verified_once(tmp_path, server, monkeypatch):
    from cnnx.datasets import verified as module

    store(tmp_path, server.contents, compress=True)
    digests, real = [], module.digest
    monkeypatch.setattr(module, "digest", lambda content: digests.append(1) or real(content))
    for expected in (2, 2):
        datasets.MNIST(tmp_path)
        assert len(digests) == expected
    os.utime(tmp_path / f"{NAMES[True][0]}.gz", ns=(0, 0))
    datasets.MNIST(tmp_path)
    assert len(digests) == 3
    (tmp_path / RECORD).write_text("[nonsense")
    datasets.MNIST(tmp_path)
    assert len(digests) == 5
    (tmp_path / "own").write_text("precious")
    (tmp_path / RECORD).unlink()
    (tmp_path / RECORD).symlink_to(tmp_path / "own")
    datasets.MNIST(tmp_path)
    assert (tmp_path / "own").read_text() == "precious"


def test_somebodys_own_files_of_another_size_pass(tmp_path):
    store(tmp_path, small_files())
    datasets.MNIST(tmp_path)
    assert not (tmp_path / RECORD).exists()
    store(tmp_path, {NAMES[True][1]: idx_bytes(np.full(5, 10, np.uint8))})
    with pytest.raises(ValueError, match="there is a label 10, and 10 classes"):
        datasets.MNIST(tmp_path)


def idx_header(*shape):
    return bytes([0, 0, 8, len(shape)]) + b"".join(extent.to_bytes(4, "big") for extent in shape)


@pytest.mark.parametrize(
    "header, words",
    [
        (idx_header(4_000_000, 28, 28), "say they unpack to 3136000016"),  # as much as there is
        (idx_header(2**32 - 1, 2**32 - 1, 28), "extents multiply beyond 64 bits"),
        (idx_header(10, 28, 28), "unpacks to more than 7856 bytes"),
        (b"no IDX file at all" * 3, "not an IDX file"),
        (b"\0\0\x08", "not an IDX file of 1 to 8 dimensions"),
    ],
)
def test_a_small_file_that_unpacks_to_gigabytes(tmp_path, header, words):
    """Refused before it is unpacked: the memory that Python takes stays small."""
    data = b"".join([gzip.compress(header), *[gzip.compress(bytes(1 << 24))] * 190])  # 3.2 GB
    path = tmp_path / "bomb.gz"
    path.write_bytes(data)
    assert len(data) < 4_000_000
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=words):
            read_idx(path)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def test_a_small_picture_of_many_pixels_is_refused(tmp_path):
    image_module = pytest.importorskip("PIL.Image")
    from cnnx.cli import CommandError
    from cnnx.cli.picture import read_picture

    (tmp_path / "a").mkdir()
    for name, side in (("large", 9000), ("too large", 10_000)):
        path = tmp_path / "a" / f"{name}.png"
        image_module.new("L", (side, side)).save(path)
        for mode in ("RGB", None):
            with pytest.raises(ValueError, match=rf"{name}.*pixels"):
                datasets.ImageFolder(tmp_path, mode=mode)[0]
        with pytest.raises(CommandError, match=rf"{name}.*pixels"):
            read_picture(path, (1, 28, 28), None)
        path.unlink()
    image_module.new("L", (2000, 2000)).save(tmp_path / "a" / "page.png")
    assert datasets.ImageFolder(tmp_path)[0][0].size == (2000, 2000)


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
