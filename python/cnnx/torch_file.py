"""Files that `torch.save` wrote, read without PyTorch: tensors and plain values, and nothing is run."""

from __future__ import annotations

import io
import math
import os
import struct
from collections import OrderedDict
from collections.abc import Callable
from typing import IO, Any, NamedTuple

import numpy as np

from cnnx import _C
from cnnx.reading import reading

ZIP = b"PK\x03\x04"  # since PyTorch 1.6
OLD = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"  # before: a pickled magic number
OLD_PROTOCOL = 1001

# A tensor may show an element many times (`expand`), and several may share a storage. All together take no
# more than this many times the file and what every file may take.
SHOWN = 16
ALLOWED = 16 << 20

DTYPES = {  # classes of storages, and PyTorch's names of their elements
    "FloatStorage": "float32",
    "DoubleStorage": "float64",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
}
FORMATS = {"float32": "f4", "float64": "f8", "int64": "i8", "int32": "i4", "uint8": "u1", "bool": "u1"}
MAX_DIMS = 8
NOT_DENSE = {f"_rebuild_{kind}_tensor" for kind in ("sparse", "sparse_csr", "nested")} | {"_rebuild_qtensor"}

File = str | os.PathLike[str] | IO[bytes]


class Storage(NamedTuple):
    """Elements that tensors share."""

    dtype: str
    key: str
    elements: int

    def bytes(self) -> int:
        """Its size."""
        if self.dtype not in FORMATS:
            raise ValueError(f"it holds a tensor of torch.{self.dtype}, which cnnx has not")
        return self.elements * np.dtype(FORMATS[self.dtype]).itemsize


class Content(NamedTuple):
    """What a file holds, as its pickle says it."""

    value: Any
    stored: Callable[[Storage], bytes]
    big_endian: bool


def recognised(f: File) -> bool:
    """Whether a path, or a file that can be read again from where it stands, holds PyTorch's format."""
    if isinstance(f, str | os.PathLike):
        if not os.path.isfile(f):
            return False
        with open(f, "rb") as file:
            start = file.read(len(OLD))
    elif hasattr(f, "read") and hasattr(f, "seek"):
        place = f.tell()
        start = f.read(len(OLD))
        f.seek(place)
    else:
        return False
    return start.startswith(ZIP) or start == OLD


def load(f: File, device: str = "cpu") -> Any:
    """What the file holds, with tensors on a device.

    Raises
    ------
    ValueError
        If the file is damaged or holds more than tensors and plain values.
    """
    if isinstance(f, str | os.PathLike):
        with open(f, "rb") as file:
            return _load(file, os.fspath(f), device)
    return _load(f, str(getattr(f, "name", "the given file")), device)


def _versions(metadata: Any) -> dict[str, dict[str, int]]:
    """What a state dict says of the versions of its modules; anything else in its place is left out."""
    return {
        name: {"version": entry["version"]}
        for name, entry in (metadata.items() if isinstance(metadata, dict) else ())
        if isinstance(entry, dict) and isinstance(entry.get("version"), int)
    }


def _load(file: IO[bytes], name: str, device: str) -> Any:
    with reading("load", name, "a file of PyTorch"):
        start = file.tell()
        size = file.seek(0, os.SEEK_END) - start
        file.seek(start)
        is_zip = file.read(len(ZIP)) == ZIP
        file.seek(start)
        content = _read_zip(file, size) if is_zip else _read_old(file)
        return _Converter(content, SHOWN * size + ALLOWED, device).convert(content.value)


def _read_zip(file: IO[bytes], size: int) -> Content:
    import zipfile

    from cnnx import pickled

    archive = zipfile.ZipFile(file)
    if sum(entry.compress_size for entry in archive.infolist()) > size:
        raise ValueError("its records lie within each other")
    top = archive.namelist()[0].partition("/")[0]

    def record(name: str) -> bytes:
        entry = archive.getinfo(f"{top}/{name}")
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
            raise ValueError(f"its record {name} is compressed, which PyTorch never does")
        return archive.read(entry)

    def stored(storage: Storage) -> bytes:
        return record(f"data/{storage.key}")

    if f"{top}/constants.pkl" in archive.NameToInfo:
        raise ValueError("it is a TorchScript archive; save the state_dict() of the model")
    order = record("byteorder") if f"{top}/byteorder" in archive.NameToInfo else b"little"
    value = pickled.load(io.BytesIO(record("data.pkl")), _storage)
    return Content(value, stored, {b"little": False, b"big": True}[order])


def _read_old(file: IO[bytes]) -> Content:
    """The form before PyTorch 1.6: four pickles, the keys of the storages, and these one after another."""
    from cnnx import pickled

    stream = io.BytesIO(file.read())
    storages: dict[str, Storage] = {}

    def note(reference: Any) -> Storage:
        storage = _storage(reference)
        return storages.setdefault(storage.key, storage)

    pickled.load(stream)  # the magic number
    if pickled.load(stream) != OLD_PROTOCOL:
        raise ValueError("it is of an unknown version")
    big_endian = not pickled.load(stream)["little_endian"]
    value = pickled.load(stream, note)
    data: dict[str, bytes] = {}
    for key in pickled.load(stream):
        (count,) = struct.unpack(">q" if big_endian else "<q", stream.read(8))
        if count != storages[key].elements:
            raise ValueError(f"storage {key} has {count} elements, {storages[key].elements} were announced")
        data[key] = stream.read(storages[key].bytes())
    return Content(value, lambda storage: data[storage.key], big_endian)


def _storage(reference: Any) -> Storage:
    """The storage that a pickle refers to."""
    from cnnx.pickled import Named

    if type(reference) is not tuple or len(reference) not in (5, 6) or reference[0] != "storage":
        raise ValueError("it refers to something that is no storage")
    _, kind, key, _, count = reference[:5]
    if not isinstance(kind, Named) or not isinstance(key, str):
        raise ValueError("it refers to a storage without a type or a key")
    if reference[5:] not in ((), (None,)):
        raise ValueError("it holds a part of a storage, as PyTorch before 0.4 wrote them")
    return Storage(DTYPES.get(kind.name, kind.name), key, *_numbers("elements of a storage", [count]))


def _numbers(what: str, values: Any) -> tuple[int, ...]:
    """Sizes and their like: integers from 0 on that fit 63 bits."""
    for value in values:
        if type(value) is not int or not 0 <= value < 1 << 63:
            kind = "negative or too large" if type(value) is int else f"a {type(value).__name__}"
            raise ValueError(f"the {what} in it are {kind}")
    return tuple(values)


class _Converter:
    """Makes tensors of the calls in a value, and a value of its own of all else."""

    def __init__(self, content: Content, room: int, device: str) -> None:
        self.content, self.room, self.device = content, room, device
        self.read: dict[str, bytes] = {}  # of the storages
        self.done: dict[int, Any] = {}  # by the identity of what it was made from, which may come again

    def convert(self, value: Any) -> Any:
        from cnnx.pickled import PLAIN, Call, Ordered

        if type(value) in PLAIN:
            return value
        if id(value) in self.done:
            return self.done[id(value)]
        if isinstance(value, dict):
            versions = _versions(value.attributes.get("_metadata")) if isinstance(value, Ordered) else {}
            into: Any = OrderedDict() if versions else {}
            if versions:
                into._metadata = versions
            self.done[id(value)] = into
            into.update((key, self.convert(item)) for key, item in value.items())
            return into
        if type(value) is list:
            items = self.done[id(value)] = []
            items.extend(self.convert(item) for item in value)
            return items
        if type(value) is tuple:
            result: Any = tuple(self.convert(item) for item in value)
        elif isinstance(value, Call):
            result = self.call(value)
        else:
            raise _refusal(value)
        self.done[id(value)] = result
        return result

    def call(self, call: Any) -> Any:
        module, name = call.function
        arguments = call.arguments
        if module == "torch._tensor" and name == "_rebuild_from_type_v2" and not call.has_state:
            # A tensor with attributes, which are left out.
            from cnnx.pickled import Call

            function, _, inner, _ = arguments
            return self.call(Call(function, inner))
        if module == "torch" and name == "Size":
            return _numbers("extents", *arguments)
        if module == "torch._utils" and not call.has_state:
            if name in ("_rebuild_tensor", "_rebuild_tensor_v2"):
                if any(arguments[6:]):
                    raise ValueError("it holds a tensor that is a conjugate or negative of what is stored")
                return self.tensor(*arguments[:4])
            if name in ("_rebuild_parameter", "_rebuild_parameter_with_state"):
                return self.convert(arguments[0])
            if name == "_rebuild_tensor_v3":
                raise ValueError(f"it holds a tensor of {arguments[6]}, which cnnx has not")
            if name in NOT_DENSE:
                raise ValueError("it holds a tensor that is not dense")
        raise _refusal(call.function)

    def tensor(self, storage: Any, offset: Any, shape: Any, strides: Any) -> Any:
        if not isinstance(storage, Storage):
            raise ValueError("it holds a tensor without a storage")
        size = storage.bytes()
        (offset,) = _numbers("offsets", [offset])
        shape, strides = _numbers("extents", shape), _numbers("strides", strides)
        if len(shape) != len(strides) or len(shape) > MAX_DIMS:
            raise ValueError(f"it holds a tensor of {len(shape)} extents and {len(strides)} strides")
        last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
        if 0 not in shape and last >= storage.elements:
            raise ValueError(
                f"a tensor's last element is number {last} of a storage of {storage.elements} elements"
            )
        dtype = np.dtype((">" if self.content.big_endian else "<") + FORMATS[storage.dtype])
        self.room -= math.prod(shape) * dtype.itemsize
        if self.room < 0:
            raise ValueError("its tensors show the same elements so often that they would not fit in memory")
        if storage.key not in self.read:
            self.read[storage.key] = self.content.stored(storage)
        data = self.read[storage.key]
        if len(data) != size:
            raise ValueError(f"storage {storage.key} has {len(data)} bytes, {size} were announced")
        if 0 in shape:
            array = np.empty(shape, dtype.newbyteorder("="))
        else:
            steps = [step * dtype.itemsize for step in strides]
            array = np.ndarray(shape, dtype, data, offset * dtype.itemsize, steps)
            array = array.astype(dtype.newbyteorder("="), order="C")
        if storage.dtype == "bool":
            if array.size and array.max() > 1:
                raise ValueError(f"a bool of storage {storage.key} is {array.max()}")
            array = array.view(np.bool_)
        return _C.to_device(_C.from_numpy(array, True), self.device)


def _refusal(value: Any) -> ValueError:
    from cnnx.pickled import Named

    what = str(value) if isinstance(value, Named) else type(value).__name__
    return ValueError(
        f"it holds a {what}, which is more than tensors and plain values; of a model, save the state_dict()"
    )
