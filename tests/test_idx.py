"""IDX files: what is read, and the errors of what is not IDX."""

import gzip
import struct

import numpy as np
import pytest

from cnnx.datasets.idx_file import read_idx

pytestmark = pytest.mark.once

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx_bytes(array):
    code = CODES[array.dtype.str[1:]]
    header = struct.pack(">BBBB", 0, 0, code, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


@pytest.mark.parametrize("kind", CODES)
@pytest.mark.parametrize("shape", [(5,), (3, 4), (2, 3, 4), (2, 1, 3, 1), (0,), (4, 0, 2)])
def test_values_and_types(tmp_path, kind, shape):
    rng = np.random.default_rng(0)
    array = (rng.integers(0, 200, shape) - (0 if kind == "u1" else 100)).astype(kind)
    path = tmp_path / "array"
    path.write_bytes(idx_bytes(array))
    result = read_idx(path).numpy()
    assert result.dtype == (np.int32 if kind in ("i1", "i2") else np.dtype(kind))
    np.testing.assert_array_equal(result, array)


def test_gzip_is_recognised_by_content(tmp_path):
    array = np.arange(12, dtype=np.uint8).reshape(3, 4)
    path = tmp_path / "no-suffix"
    path.write_bytes(gzip.compress(idx_bytes(array)))
    np.testing.assert_array_equal(read_idx(str(path)).numpy(), array)


GOOD = idx_bytes(np.arange(6, dtype=np.uint8).reshape(2, 3))


@pytest.mark.parametrize(
    "data, offset, words",
    [
        (b"", 0, "magic"),
        (GOOD[:3], 3, "magic"),
        (b"\x89PNG" + GOOD, 0, "not an IDX file"),
        (b"\0\0\x07\x01" + GOOD[4:], 2, "element type 7"),
        (b"\0\0\x08\0" + GOOD[4:], 3, "dimensions"),
        (b"\0\0\x08\xff" + GOOD[4:], 3, "dimensions"),
        (GOOD[:10], 10, "header"),
        (GOOD[:-1], len(GOOD) - 1, "truncated"),
        (GOOD + b"x", len(GOOD), "too long"),
        (b"\0\0\x08\x03" + b"\xff" * 12, 8, "64 bits"),
        (b"\0\0\x0e\x02" + b"\x00\x01" * 4 + b"abc", 15, "truncated"),
    ],
)
def test_bad_files_are_named_with_the_offset(tmp_path, data, offset, words):
    path = tmp_path / "bad-images"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=words) as caught:
        read_idx(path)
    assert f"{path}: at byte {offset}:" in str(caught.value)


def test_every_truncation_is_an_error(tmp_path):
    path = tmp_path / "short"
    for length in range(len(GOOD)):
        path.write_bytes(GOOD[:length])
        with pytest.raises(ValueError, match="idx: "):
            read_idx(path)


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-9], lambda b: b[:20] + b"\0\0\0\0" + b[24:], lambda b: b[:12]]
)
def test_damaged_gzip(tmp_path, damage):
    path = tmp_path / "images.gz"
    path.write_bytes(damage(gzip.compress(idx_bytes(np.arange(100, dtype=np.uint8).reshape(10, 10)))))
    with pytest.raises(ValueError, match=r"images\.gz cannot be read as gzip data"):
        read_idx(path)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_idx(tmp_path / "nothing")
