"""Valid files to start from, made small and the same on every run."""

from __future__ import annotations

import contextlib
import gzip
import io
import pickle
import signal
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import cnnx
from cnnx.cli import main
from cnnx.training import progress

IDX_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


class Run(NamedTuple):
    """The files of a run folder."""

    files: dict[str, bytes]

    def write(self, folder: Path) -> None:
        """Puts them into a folder."""
        for name, data in self.files.items():
            (folder / name).write_bytes(data)


def idx(code: int, shape: tuple[int, ...], seed: int = 0) -> bytes:
    """An IDX file of small numbers."""
    values = np.random.default_rng(seed).integers(0, 3, shape).astype(IDX_TYPES[code])
    return struct.pack(f">BBBB{len(shape)}I", 0, 0, code, len(shape), *shape) + values.tobytes()


def idx_files() -> list[bytes]:
    """IDX files of each type and several shapes."""
    shapes = ((5,), (3, 4), (2, 3, 4), (0,), (1, 2, 1, 2))
    return [idx(code, shape) for code in IDX_TYPES for shape in shapes]


def compressed(data: bytes) -> bytes:
    """The data as gzip writes it."""
    return gzip.compress(data, mtime=0)


def labelled_idx() -> dict[str, bytes]:
    """The four files of a small data set of 4x4 images of three classes."""
    files = {}
    for part, count in (("train", 40), ("t10k", 12)):
        files[f"{part}-images-idx3-ubyte"] = idx(0x08, (count, 4, 4), 1)
        files[f"{part}-labels-idx1-ubyte"] = idx(0x08, (count,), 2)
    return files


def tables() -> list[bytes]:
    """Tables of images: with names of columns and without, grey and in colour, the label first or last."""
    values = np.random.default_rng(0).integers(0, 256, (6, 16)).astype(str)
    rows = [[label, *row] for label, row in zip("010221", values, strict=True)]
    head = ["label", *(f"pixel{i}" for i in range(16))]
    turned = [[*row[1:], f'"class {row[0]}"'] for row in [["", *head[1:]], *rows]]
    turned[0][-1] = "class"
    colour = [row[:13] for row in rows]
    tables = (rows, [head, *rows], turned, colour)
    return [b"\r\n".join(",".join(row).encode() for row in table) + b"\n" for table in tables]


def nested() -> Any:
    """An object of all that `cnnx.save` takes."""
    return {
        "epoch": 3,
        "loss": 0.25,
        "bad": float("nan"),
        "name": "née",
        "flags": [True, False, None],
        "shape": (1, (2, 3)),
        5: {"w": cnnx.arange(6).reshape(2, 3), "b": [cnnx.ones(2), cnnx.tensor(True)]},
        "empty": cnnx.zeros(0, 3),
    }


def flat() -> dict[str, cnnx.Tensor]:
    """A state_dict."""
    state = dict(cnnx.nn.Sequential(cnnx.nn.Conv2d(1, 2, 3), cnnx.nn.BatchNorm2d(2)).state_dict())
    return {**state, "u": cnnx.tensor([1, 2], dtype=cnnx.uint8), "f": cnnx.ones(2, dtype=cnnx.float64)}


def saved(obj: Any) -> bytes:
    """The file that `cnnx.save` makes of an object."""
    file = io.BytesIO()
    cnnx.save(obj, file)
    return file.getvalue()


def _string(text: str) -> bytes:
    """A string of Python 2 in a pickle."""
    raw = text.encode()
    return b"U" + bytes([len(raw)]) + raw


def cifar_batch(count: int, label_name: str = "labels", classes: int = 10, seed: int = 0) -> bytes:
    """A batch of CIFAR as it was published: the pickle that Python 2 made of a dict with an array in it."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (count, 3072)).astype(np.uint8).tobytes()
    labels = b"".join(b"K" + bytes([label]) for label in rng.integers(0, classes, count).tolist())
    names = b"".join(_string(f"picture_{i}.png") for i in range(count))
    array = b"cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08K\x00\x85U\x01b\x87Rq\x09"
    array += b"(K\x01" + b"M" + struct.pack("<H", count) + b"M\x00\x0c\x86"
    array += (
        b"cnumpy\ndtype\nq\x0aU\x02u1K\x00K\x01\x87Rq\x0b(K\x03U\x01|NNN"
        + b"J\xff\xff\xff\xff" * 2
        + b"K\x00tb"
    )
    array += b"\x89T" + struct.pack("<i", len(pixels)) + pixels + b"tb"
    body = _string("batch_label") + _string("one of some") + _string(label_name) + b"](" + labels + b"e"
    body += _string("data") + array + _string("filenames") + b"](" + names + b"e"
    return b"\x80\x02}q\x01(" + body + b"u."


def cifar_names(key: str = "label_names", classes: int = 10) -> bytes:
    """The file of the classes' names."""
    names = b"".join(_string(f"class {i}") for i in range(classes))
    count = _string("num_vis") + b"M\x00\x0c"
    return b"\x80\x02}q\x01(" + _string(key) + b"](" + names + b"e" + count + b"u."


def usps(count: int) -> bytes:
    """Lines of USPS: a label, and 256 numbered pixels."""
    pixels = np.random.default_rng(0).integers(-10, 11, (count, 256)) / 10
    rows = (" ".join(f"{i}:{value:g}" for i, value in enumerate(row, 1)) for row in pixels)
    return "".join(f"{1 + i % 10} {row} \n" for i, row in enumerate(rows)).encode()


def _element(kind: int, data: bytes) -> bytes:
    return struct.pack("<II", kind, len(data)) + data + bytes(-len(data) % 8)


def svhn(count: int) -> list[bytes]:
    """The arrays X and y of a file of SVHN, as MATLAB stores them."""
    rng = np.random.default_rng(0)
    arrays = []
    for name, shape in (("X", (32, 32, 3, count)), ("y", (count, 1))):
        values = rng.integers(1, 11, shape).astype(np.uint8).tobytes()
        inner = _element(6, struct.pack("<II", 9, 0)) + _element(5, struct.pack(f"<{len(shape)}i", *shape))
        arrays.append(_element(14, inner + _element(1, name.encode()) + _element(2, values)))
    return arrays


def mat(arrays: list[bytes], packed: bool) -> bytes:
    """A file of MATLAB with these arrays."""
    header = b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM"
    if not packed:
        return header + b"".join(arrays)
    inner = [zlib.compress(array) for array in arrays]
    return header + b"".join(struct.pack("<II", 15, len(data)) + data for data in inner)


def _plain(value: Any) -> bytes:
    return pickle.dumps(value, 2)[2:-1]


def _tensor(kind: str, key: str, size: tuple[int, ...], numel: int, old: bool, parameter: bool) -> bytes:
    """The operations by which PyTorch's pickles make a tensor."""
    strides = tuple(int(np.prod(size[i + 1 :])) for i in range(len(size)))
    reference = b"(" + _plain("storage") + f"ctorch\n{kind}\n".encode() + _plain(key) + _plain("cpu")
    reference += _plain(numel) + (b"N" if old else b"") + b"tQ"
    hooks = b"ccollections\nOrderedDict\n)R"
    made = b"ctorch._utils\n_rebuild_tensor_v2\n(" + reference + _plain(0) + _plain(size) + _plain(strides)
    made += b"\x89" + hooks + b"tR"
    return b"ctorch._utils\n_rebuild_parameter\n" + made + b"\x88" + hooks + b"\x87R" if parameter else made


def _content(old: bool) -> tuple[bytes, dict[str, bytes]]:
    """A pickle of tensors and plain values, and the storages."""
    rows = (("w", "FloatStorage", (2, 3), "<f4", True), ("n", "LongStorage", (), "<i8", False),
            ("d", "DoubleStorage", (4,), "<f8", False), ("m", "BoolStorage", (3,), "u1", False))  # fmt: skip
    body, storages = b"\x80\x02}q\x00(", {}
    for i, (name, kind, size, form, parameter) in enumerate(rows):
        count = int(np.prod(size))
        body += _plain(name) + _tensor(kind, str(i), size, count, old, parameter)
        storages[str(i)] = np.ones(count, form).tobytes()
    plain = {"epoch": 3, "name": "née", "list": [1, 2.5, None, True, (1, "a")], "big": 1 << 70}
    return body + _plain("rest") + _plain(plain) + b"u.", storages


def torch_archive() -> dict[str, bytes]:
    """The records of a file that `torch.save` writes, made without PyTorch."""
    body, storages = _content(old=False)
    records = {"archive/data.pkl": body, "archive/byteorder": b"little"}
    records |= {f"archive/data/{key}": data for key, data in storages.items()}
    return {**records, "archive/version": b"3\n"}


def torch_old() -> tuple[bytes, bytes, bytes]:
    """The parts of a file in the form before PyTorch 1.6: the head, the pickle, the rest."""
    body, storages = _content(old=True)
    about = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    head = b"".join(pickle.dumps(value, 2) for value in (0x1950A86A20F9469CFC6C, 1001, about))
    counts = (6, 1, 4, 3)
    data = b"".join(
        struct.pack("<q", count) + raw for count, raw in zip(counts, storages.values(), strict=True)
    )
    return head, body, pickle.dumps(list(storages), 2) + data


def pictures() -> dict[str, bytes]:
    """A small picture in each format, by extension."""
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (13, 17, 3)).astype(np.uint8)
    image, found = Image.fromarray(pixels), {}

    def add(name: str, form: str, mode: str = "RGB", **options: Any) -> None:
        out = io.BytesIO()
        with contextlib.suppress(OSError, KeyError):  # a format that this Pillow does not write
            image.convert(mode).save(out, form, **options)
            found[name] = out.getvalue()

    exif = Image.Exif()
    exif[0x0112] = 6
    add("rgb.png", "PNG")
    add("palette.png", "PNG", "P")
    add("grey.png", "PNG", "L", exif=exif)
    add("alpha.png", "PNG", "RGBA")
    add("bits.png", "PNG", "1")
    add("exif.jpg", "JPEG", exif=exif)
    add("grey.jpg", "JPEG", "L", progressive=True)
    add("cmyk.jpg", "JPEG", "CMYK")
    add("rgb.bmp", "BMP")
    add("palette.bmp", "BMP", "P")
    add("frames.gif", "GIF", "P", save_all=True, append_images=[image.convert("P")])
    add("raw.tiff", "TIFF", exif=exif)
    add("lzw.tif", "TIFF", compression="tiff_lzw")
    add("packed.tif", "TIFF", "L", compression="packbits")
    add("rgb.ppm", "PPM")
    add("rgb.webp", "WEBP")
    return found


def runs(folder: Path) -> dict[str, Run]:
    """Runs of the data set in `folder`: complete, and interrupted in the second epoch and training."""
    made = {}
    for name, stop_at, validations in (("complete", None, 2), ("interrupted", 5, 1), ("second", 5, 2)):
        with interrupting(stop_at):
            arguments = [
                "--model",
                "mlp",
                "--epochs",
                "2",
                "--batch-size",
                "16",
                "--validations",
                str(validations),
                "--device",
                "cpu",
                "--out",
                str(folder / name),
            ]
            code = _quietly(["train", "--dataset", str(folder), *arguments])
        if code != (0 if stop_at is None else 130):
            raise RuntimeError(f"the sample run ended with {code}")
        state = cnnx.load(folder / name / "checkpoint.safetensors")
        # What the clock said would differ from run to run.
        state["means"]["seconds"] = 0.25 if stop_at else 0.0
        for rows in (state["history"], *(part["history"] for part in state["parts"])):
            for row in rows:
                row["samples_per_second"] = 1000.0
        cnnx.save(state, folder / name / "checkpoint.safetensors")
        names = ("run.json", "model.safetensors", "checkpoint.safetensors", "history.csv")
        made[name] = Run({file: (folder / name / file).read_bytes() for file in names})
    return made


def _quietly(arguments: list[str]) -> int:
    with contextlib.redirect_stdout(io.StringIO()):
        return main(arguments)


@contextlib.contextmanager
def interrupting(batches: int | None) -> Any:
    """Presses Ctrl-C after so many batches of all epochs; it is heard even where a shell had it ignored."""
    original: Callable[..., None] = progress.Bar.move_to
    count = 0

    def move_to(self: Any, *arguments: Any) -> None:
        nonlocal count
        count += 1
        if count == batches:
            signal.raise_signal(signal.SIGINT)
        original(self, *arguments)

    progress.Bar.move_to = move_to  # type: ignore[method-assign]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        progress.Bar.move_to = original  # type: ignore[method-assign]


def onnx_nets() -> list[bytes]:
    """Small nets in ONNX, which cnnx and others exported."""
    tests = Path(__file__).parent.parent
    files = [*(tests / "fuzz" / "corpus" / "onnx").glob("*.onnx"), *(tests / "onnx_files").glob("*.onnx")]
    return [data for data in (file.read_bytes() for file in sorted(files)) if len(data) < 10_000]


def corpus(folder: Path) -> None:
    """Writes what libFuzzer starts from: samples behind a byte that says which of the readers is meant."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, data in enumerate([*idx_files(), *(saved(obj) for obj in (flat(), nested()))]):
        (folder / f"sample-{i}").write_bytes((b"\1" if i < len(idx_files()) else b"\0") + data)


if __name__ == "__main__":
    corpus(Path(sys.argv[1]))
