"""safetensors files: round trips, the format's own library, and every way a file can lie."""

import errno
import io
import json
import os
import resource
import struct
import subprocess
import sys

import numpy as np
import pytest

import cnnx
from cnnx import nn
from cnnx.serialization import load_file, save_file
from drawn import HealthCheck, given, settings, st


def file_bytes(header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def sample_arrays():
    rng = np.random.default_rng(3)
    return {
        "weight": rng.standard_normal((4, 3, 2)).astype(np.float32),
        "double": rng.standard_normal(5),
        "long": rng.integers(-(2**62), 2**62, 7),
        "int": rng.integers(-100, 100, (3, 3)).astype(np.int32),
        "byte": rng.integers(0, 256, 5).astype(np.uint8),
        "flags": rng.random(3) > 0.5,
        "scalar": np.asarray(2.5, np.float32),
        "empty": np.zeros((0, 4), np.float32),
        'name with "quotes", \\ and é 😀\n': np.ones(1, np.float64),
    }


def assert_same(result, arrays):
    assert list(result) == list(arrays)
    for name, array in arrays.items():
        assert result[name].numpy().dtype == array.dtype
        np.testing.assert_array_equal(result[name].numpy(), array)


def as_tensors(arrays):
    return {name: cnnx.from_numpy(array) for name, array in arrays.items()}


def test_round_trip(tmp_path):
    arrays = sample_arrays()
    path = tmp_path / "t.safetensors"
    save_file(as_tensors(arrays), path, {"note": "a \t b"})
    assert_same(load_file(path), arrays)
    assert os.listdir(tmp_path) == ["t.safetensors"]
    data = path.read_bytes()
    header = json.loads(data[8 : 8 + struct.unpack("<Q", data[:8])[0]])
    assert header["__metadata__"] == {"note": "a \t b"}


def test_views_are_stored_as_they_look(tmp_path):
    array = np.arange(24, dtype=np.float32).reshape(4, 6)
    path = tmp_path / "t.safetensors"
    save_file(as_tensors({"t": array.T, "s": array[1:3, ::2]}), path)
    assert_same(load_file(path), {"t": array.T, "s": array[1:3, ::2]})


def test_library_reads_ours(tmp_path):
    library = pytest.importorskip("safetensors.numpy")
    arrays = sample_arrays()
    save_file(as_tensors(arrays), tmp_path / "t")
    loaded = library.load_file(tmp_path / "t")
    assert set(loaded) == set(arrays)
    for name, array in arrays.items():
        assert loaded[name].dtype == array.dtype
        np.testing.assert_array_equal(loaded[name], array)


def test_ours_reads_library(tmp_path):
    library = pytest.importorskip("safetensors.numpy")
    arrays = sample_arrays()
    library.save_file(arrays, tmp_path / "t", metadata={"k": "v"})
    loaded = load_file(tmp_path / "t")
    assert set(loaded) == set(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(loaded[name].numpy(), array)


def test_torch_model_weights_travel(tmp_path):
    torch = pytest.importorskip("torch")
    library = pytest.importorskip("safetensors.torch")
    theirs = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.Linear(5, 2))
    library.save_file(theirs.state_dict(), tmp_path / "t")
    ours = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Linear(5, 2))
    ours.load_state_dict(cnnx.load(tmp_path / "t"))
    cnnx.save(ours.state_dict(), tmp_path / "back")
    for name, tensor in library.load_file(tmp_path / "back").items():
        assert torch.equal(tensor, theirs.state_dict()[name])


LIES = {
    "empty file": (b"", 0, "header length"),
    "seven bytes": (b"\0" * 7, 7, "header length"),
    "header longer than the file": (file_bytes({}, length=1000), 0, "1000 bytes"),
    "huge header": (file_bytes({}, length=2**63), 0, "100 MB"),
    "zip archive": (b"PK\x03\x04" + b"\0\0\x10\x20" * 10, 0, "zip archive"),
    "no brace": (file_bytes(b"  {}"), 8, "start with"),
    "empty header": (file_bytes(b""), 8, "start with"),
    "not an object": (file_bytes(b"[]"), 8, "start with"),
    "header ends early": (file_bytes(b'{"a":'), 13, "ends early"),
    "text behind": (file_bytes(b"{} x"), 11, "more text"),
    "name twice": (file_bytes(b'{"a":{},"a":{}}'), 16, "given twice"),
    "no dtype": (file_bytes({"a": {"shape": [], "data_offsets": [0, 4]}}), None, "dtype"),
    "unknown key": (file_bytes({"a": {**entry(), "x": 1}}, b"\0" * 8), None, "unknown key"),
    "unknown dtype": (file_bytes({"a": entry("F13")}, b"\0" * 8), None, "F13"),
    "lying end": (
        file_bytes({"a": entry(offsets=(0, 800), shape=(200,))}, b"\0" * 8),
        None,
        "ends at byte 800 of 8",
    ),
    "offsets reversed": (file_bytes({"a": entry(offsets=(8, 0))}, b"\0" * 8), None, "before it begins"),
    "wrong size": (file_bytes({"a": entry(shape=(3,))}, b"\0" * 8), None, "takes 12 bytes"),
    "overlap": (file_bytes({"a": entry(), "b": entry(offsets=(4, 12))}, b"\0" * 12), None, "overlaps"),
    "same place": (file_bytes({"a": entry(), "b": entry()}, b"\0" * 8), None, "overlaps"),
    "hole": (file_bytes({"a": entry(), "b": entry(offsets=(12, 20))}, b"\0" * 20), None, "hole of 4"),
    "hole at the start": (file_bytes({"a": entry(offsets=(4, 12))}, b"\0" * 12), None, "hole of 4"),
    "bytes behind": (file_bytes({"a": entry()}, b"\0" * 9), None, "too long"),
    "bytes without tensors": (file_bytes({}, b"\0"), 10, "too long"),
    "truncated": (file_bytes({"a": entry()}, b"\0" * 7), None, "ends at byte 8 of 7"),
    "negative extent": (file_bytes({"a": entry(shape=(-2,))}, b"\0" * 8), None, "non-negative"),
    "fraction": (file_bytes({"a": entry(shape=(2.0,))}, b"\0" * 8), None, "non-negative"),
    "overflowing extents": (file_bytes({"a": entry(shape=(2**40, 2**40))}), None, "63 bits"),
    "overflow behind a zero": (
        file_bytes({"a": entry(shape=(0, 2**40, 2**40), offsets=(0, 0))}),
        None,
        "63 bits",
    ),
    "number beyond 64 bits": (file_bytes({"a": entry(shape=(2**64,))}), None, "64 bits"),
    "nine dimensions": (
        file_bytes({"a": entry(shape=(1,) * 9, offsets=(0, 4))}, b"\0" * 4),
        None,
        "9 dimensions",
    ),
    "three offsets": (file_bytes({"a": entry(offsets=(0, 4, 8))}, b"\0" * 8), None, "data_offsets"),
    "metadata no object": (file_bytes({"__metadata__": 1}), None, "__metadata__"),
    "metadata no strings": (file_bytes({"__metadata__": {"a": 1}}), None, "__metadata__"),
    "bool of two": (file_bytes({"a": entry("BOOL", (2,), (0, 2))}, b"\1\2"), None, "a BOOL is 2"),
    "long name": (file_bytes({"ä" * 100_000: {**entry(), "x": 1}}, b"\0" * 8), None, "unknown key"),
    "long dtype": (file_bytes({"a": entry("F" * 100_000)}, b"\0" * 8), None, r"F\.\.\. is not one of|dtype"),
    "bad utf-8": (file_bytes(b'{"\xff":{}}'), 10, "UTF-8"),
    "overlong utf-8": (file_bytes(b'{"\xc0\x80":{}}'), 10, "UTF-8"),
    "encoded surrogate": (file_bytes(b'{"\xed\xa0\x80":{}}'), 10, "UTF-8"),
    "lone surrogate": (file_bytes(b'{"\\ud800":{}}'), None, "surrogate"),
    "bad escape": (file_bytes(b'{"\\x":{}}'), None, "escape"),
    "control character": (file_bytes(b'{"\n":{}}'), None, "control"),
    "leading zero": (file_bytes(b'{"a":{"shape":[02]}}'), None, "start with 0"),
    "trailing comma": (file_bytes(b'{"a":{},}'), None, "expected"),
    "deep": (file_bytes(b'{"a":' + b"[" * 100_000), None, "levels"),
}


@pytest.mark.parametrize("name", LIES)
def test_lying_files(tmp_path, name):
    data, offset, words = LIES[name]
    path = tmp_path / "lie.safetensors"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=words) as caught:
        load_file(path)
    assert str(caught.value).startswith(f"safetensors: {path}: at byte ")
    assert len(str(caught.value)) < 1000
    if offset is not None:
        assert f"at byte {offset}:" in str(caught.value)


def test_trailing_spaces_and_escapes_are_read(tmp_path):
    path = tmp_path / "t.safetensors"
    header = b'{ "\\u00e9\\ud83d\\ude00\\/" : {"shape":[2], "data_offsets":[0,8] , "dtype":"F32"} }   '
    path.write_bytes(file_bytes(header, struct.pack("<2f", 1, 2)))
    ((name, tensor),) = load_file(path).items()
    assert name == "é😀/"
    assert tensor.tolist() == [1, 2]


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    position=st.integers(0, 10**6), bits=st.integers(1, 255), cut=st.one_of(st.none(), st.integers(0, 10**6))
)
def test_damage_never_crashes(tmp_path, position, bits, cut):
    path = tmp_path / "t.safetensors"
    save_file({"a": cnnx.ones(3, 2), "b": cnnx.zeros(4, dtype=cnnx.bool)}, path, {"k": "v"})
    data = bytearray(path.read_bytes())
    data[position % len(data)] ^= bits
    path.write_bytes(data if cut is None else data[: cut % len(data)])
    try:
        loaded = load_file(path)
    except ValueError as error:
        if "at byte" not in str(error):
            raise
    else:
        assert len(loaded) == 2


def test_missing_and_unreadable(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing"):
        load_file(tmp_path / "nothing")
    with pytest.raises(IsADirectoryError):
        load_file(tmp_path)
    with pytest.raises(FileNotFoundError):
        save_file({"a": cnnx.ones(1)}, tmp_path / "no" / "folder")


def test_bad_arguments(tmp_path):
    with pytest.raises(TypeError, match="'a' is a list"):
        save_file({"a": [1.0]}, tmp_path / "t")
    with pytest.raises(ValueError, match="reserved"):
        save_file({"__metadata__": cnnx.ones(1)}, tmp_path / "t")
    with pytest.raises(RuntimeError, match="device"):
        load_file(tmp_path / "t", device="tpu")
    assert os.listdir(tmp_path) == []


def test_other_arguments_are_named(tmp_path):
    """None of them ends in an error from within."""
    deep = []
    for _ in range(5000):
        deep = [deep]
    one, text = cnnx.ones(1), tmp_path / "text"
    text.write_text("PK")
    with open(text) as opened:
        for call, error, words in (
            (lambda: cnnx.load(opened), TypeError, "load: the file must be opened in binary mode"),
            (lambda: load_file(io.StringIO()), TypeError, "load: the file must be opened in binary mode"),
            (
                lambda: cnnx.save({"a": one}, io.StringIO()),
                TypeError,
                "save: the file must be opened in binary",
            ),
            (lambda: cnnx.load("a\0b"), ValueError, "load: 'a.x00b' has a null character"),
            (lambda: cnnx.save(deep, text), ValueError, "save: the object is nested too deeply"),
            (lambda: save_file(None, text), TypeError, "save_file: tensors must be a mapping, got NoneType"),
            (
                lambda: save_file({"a": one}, text, [1]),
                TypeError,
                "save_file: metadata must be a mapping, got list",
            ),
            (
                lambda: save_file({"a": one}, text, {"a": 1}),
                TypeError,
                "save_file: .* must be strings, got int",
            ),
            (lambda: save_file({1: one}, text), TypeError, "save_file: .* must be strings, got int"),
        ):
            with pytest.raises(error, match=words) as caught:
                call()
            assert "\n" not in str(caught.value)
    assert text.read_text() == "PK"


@pytest.mark.cpu("files are read there")
@pytest.mark.parametrize("file", [{"a": cnnx.ones(2)}, [1, cnnx.ones(2)]], ids=["flat", "nested"])
def test_a_pipe_is_read(file):
    reader, writer = os.pipe()
    with os.fdopen(writer, "wb") as end:
        cnnx.save(file, end)
    with os.fdopen(reader, "rb") as end:
        assert str(cnnx.load(end)) == str(file)


def test_full_disk_leaves_the_old_file(tmp_path):
    path = tmp_path / "t.safetensors"
    save_file({"a": cnnx.ones(4)}, path)
    old = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(OSError, match=r"t\.safetensors") as caught:
            save_file({"a": cnnx.ones(4096)}, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.errno == errno.EFBIG
    assert path.read_bytes() == old
    assert os.listdir(tmp_path) == ["t.safetensors"]


FULL_DISK = """
import os, subprocess, sys
import cnnx
from cnnx import nn
from cnnx.serialization import load_file, save_file
folder = sys.argv[1]
mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder]
if subprocess.run(mount, capture_output=True).returncode:
    sys.exit(77)
save_file({"a": cnnx.ones(4)}, folder + "/t")
try:
    save_file({"a": cnnx.ones(100000)}, folder + "/t")
except OSError as error:
    assert "No space left on device" in str(error), error
else:
    sys.exit("no error")
assert load_file(folder + "/t")["a"].tolist() == [1, 1, 1, 1]
assert os.listdir(folder) == ["t"]
"""


def test_really_full_disk(tmp_path):
    """On a file system of 64 KiB, where the user may mount one."""
    command = ["unshare", "-rm", sys.executable, "-c", FULL_DISK, str(tmp_path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    except FileNotFoundError:
        pytest.skip("unshare is not installed")
    if done.returncode == 77 or done.stderr.startswith("unshare"):
        pytest.skip("file systems cannot be mounted here")
    assert done.returncode == 0, done.stderr


def test_access_rights_stay(tmp_path):
    path = tmp_path / "t"
    save_file({"a": cnnx.ones(1)}, path)
    path.chmod(0o600)
    save_file({"a": cnnx.ones(2)}, path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_file(path)["a"].tolist() == [1, 1]


def test_devices_and_pipes_are_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    cnnx.save({"a": cnnx.ones(1)}, pipe)
    assert os.read(reader, 65536)[8:9] == b"{"
    os.close(reader)
    assert pipe.is_fifo()
    with pytest.raises(IsADirectoryError):
        cnnx.save({"a": cnnx.ones(1)}, tmp_path)
    assert os.listdir(tmp_path) == ["pipe"]


def test_links_stay_links(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "real")
    cnnx.save({"a": cnnx.ones(1)}, tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert list(load_file(tmp_path / "real")) == ["a"]
