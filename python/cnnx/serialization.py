"""Saving and loading: nested containers of tensors and plain values in one safetensors file, never pickled.

A flat dictionary of tensors, such as a `state_dict()`, becomes an ordinary safetensors file that other
programs read. Anything else keeps its tensors in the same way under names made from their places, and its
structure as JSON in the file's metadata. Files that PyTorch wrote are read as well (`torch_file.py`).
"""

from __future__ import annotations

import io
import json
import math
import os
from collections.abc import Callable, Mapping
from typing import IO, Any

import numpy as np

from cnnx import _C, torch_file
from cnnx.devices import CPU, as_device, device
from cnnx.files import replaceable, write_file
from cnnx.reading import reading
from cnnx.tensor import Tensor

__all__ = ["load", "load_file", "save", "save_file"]

STRUCTURE_KEY = "cnnx.structure"
FORMAT = ("format", "pt")  # what the safetensors readers of PyTorch look for

Path = str | os.PathLike[str]
MapLocation = str | Mapping[str, Any] | Callable[..., Any] | Any | None


def save(obj: Any, f: Path | IO[bytes], pickle_module: Any = None) -> None:
    """Saves tensors, numbers, strings, booleans, None and nested dicts, lists and tuples of them.

    The file is written under a temporary name, flushed and renamed, so an old file stays whole if this fails.

    Parameters
    ----------
    obj
        What to save. Keys of dicts may be strings, numbers, booleans and None. Tensors are stored without
        history; subclasses of dict, list and tuple come back as the plain class.
    f
        A path, or a binary file with `write`.
    pickle_module
        Must be None: nothing is pickled.

    Raises
    ------
    TypeError
        If `obj` holds anything else.
    ValueError
        If a container holds itself, or they are nested too deeply.
    OSError
        If the file cannot be written; what was there before is still there.

    Examples
    --------
    >>> import io, cnnx
    >>> f = io.BytesIO()
    >>> save({"epoch": 3, "weights": [cnnx.ones(2)]}, f)
    >>> _ = f.seek(0)
    >>> load(f)
    {'epoch': 3, 'weights': [tensor([1., 1.])]}
    """
    if pickle_module is not None:
        raise ValueError("save: nothing is pickled, pickle_module must be None")
    metadata = [FORMAT]
    if _is_flat(obj):
        tensors = list(obj.items())
    else:
        encoder = _Encoder()
        try:
            structure = encoder.encode(obj, ())
            text = json.dumps(structure, ensure_ascii=False, separators=(",", ":"))
        except RecursionError as error:
            raise ValueError("save: the object is nested too deeply") from error
        tensors = encoder.tensors
        metadata.append((STRUCTURE_KEY, _utf8(text)))
    _write(tensors, metadata, f)


def load(
    f: Path | IO[bytes],
    map_location: MapLocation = None,
    pickle_module: Any = None,
    *,
    weights_only: bool = True,
    mmap: bool | None = None,
) -> Any:
    """Loads what `save` wrote, any safetensors file (then a dict of tensors), or a PyTorch file of tensors.

    The content decides, not the name. A file that `torch.save` wrote, such as a `.pth` with a `state_dict`,
    may hold tensors, numbers, strings and containers of them. It is read without PyTorch, and nothing that it
    names is imported or called.

    Parameters
    ----------
    f
        A path, or a binary file with `read`.
    map_location
        The device for the tensors: a device, its name, or a mapping from names to names. The default is the
        CPU, wherever they were when they were saved.
    pickle_module
        Must be None: nothing is unpickled.
    weights_only
        Accepted and without effect: nothing but tensors and plain values is ever loaded.
    mmap
        Accepted and without effect.

    Returns
    -------
    Any
        The saved object, with fresh tensors that require no gradient.

    Raises
    ------
    ValueError
        If the file is not valid; the message names the file and the byte offset. If a PyTorch file holds more
        than tensors and plain values.
    OSError
        If the file cannot be read (FileNotFoundError if it is not there).
    """
    if pickle_module is not None:
        raise ValueError("load: nothing is unpickled, pickle_module must be None")
    where = _target(map_location)
    f = _readable(f)
    if torch_file.recognised(f):
        return torch_file.load(f, str(where))
    name, tensors, metadata = _read(f)
    tensors = {key: tensor.to(where) for key, tensor in tensors.items()}
    structure = metadata.get(STRUCTURE_KEY)
    if structure is None:
        return tensors
    with reading("load", name, "what save wrote, by the structure in its metadata"):
        return _decode(json.loads(structure), tensors)


def save_file(tensors: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Writes a safetensors file.

    Parameters
    ----------
    tensors
        Tensors by name.
    path
        Where to; replaced in one step.
    metadata
        Strings by name to keep with them.

    Raises
    ------
    TypeError
        If a value is no tensor, or a name or metadata no string.
    ValueError
        If a name or metadata cannot be written as UTF-8.
    OSError
        If the file cannot be written.
    """
    for what, given in (("tensors", tensors), ("metadata", metadata or {})):
        if not isinstance(given, Mapping):
            raise TypeError(f"save_file: {what} must be a mapping, got {type(given).__name__}")
    for name, tensor in tensors.items():
        if not isinstance(tensor, Tensor):
            raise TypeError(f"save_file: {name!r} is a {type(tensor).__name__}, not a tensor")
    for text in (*tensors, *(metadata or {}), *(metadata or {}).values()):
        if not isinstance(text, str):
            raise TypeError(f"save_file: names and metadata must be strings, got {type(text).__name__}")
        if text != _utf8(text):
            raise ValueError(f"save_file: {text!r} cannot be written as UTF-8")
    _write(list(tensors.items()), list((metadata or {}).items()), path)


def load_file(path: Path, device: Any = "cpu") -> dict[str, Tensor]:
    """The tensors of a safetensors file, by name.

    Parameters
    ----------
    path
        The file.
    device
        Where to put them.

    Raises
    ------
    ValueError
        If the file is not valid; the message names the file and the byte offset.
    OSError
        If it cannot be read.
    """
    where = as_device("load_file", device)
    return {name: tensor.to(where) for name, tensor in _read(_readable(path))[1].items()}


def _write(tensors: list[tuple[str, Tensor]], metadata: list[tuple[str, str]], f: Path | IO[bytes]) -> None:
    tensors = [(name, tensor.cpu()) for name, tensor in tensors]
    if isinstance(f, str | os.PathLike):
        path = replaceable(f)
        if path is not None:
            _C.save_safetensors(tensors, metadata, path)
        else:
            write_file(f, _C.serialize_safetensors(tensors, metadata))
    elif hasattr(f, "write"):
        _refuse_text("save", f)
        f.write(_C.serialize_safetensors(tensors, metadata))
    else:
        raise TypeError(f"save: needs a path or a file with write(), got {type(f).__name__}")


def _refuse_text(op: str, f: Any) -> None:
    if isinstance(f, io.TextIOBase):
        raise TypeError(f"{op}: the file must be opened in binary mode")


def _readable(f: Path | IO[bytes]) -> Path | IO[bytes]:
    """What can be read again from where it stands: of a pipe, all that comes."""
    _refuse_text("load", f)
    if isinstance(f, str | os.PathLike) and "\0" in os.fsdecode(f):
        raise ValueError(f"load: {os.fsdecode(f)!r} has a null character")
    if not isinstance(f, str | os.PathLike) and hasattr(f, "seekable") and not f.seekable():
        return io.BytesIO(f.read())
    return f


def _read(f: Path | IO[bytes]) -> tuple[str, dict[str, Tensor], dict[str, str]]:
    if isinstance(f, str | os.PathLike):
        name = os.fspath(f)
        tensors, metadata = _C.load_safetensors(name)
    elif hasattr(f, "read"):
        name = str(getattr(f, "name", "the given file"))
        tensors, metadata = _C.parse_safetensors(f.read(), name)
    else:
        raise TypeError(f"load: needs a path or a file with read(), got {type(f).__name__}")
    return name, dict(tensors), dict(metadata)


def _target(map_location: MapLocation) -> device:
    """Where `load` puts tensors. A file does not say where they were, so they come from the CPU."""
    if map_location is None or callable(map_location):
        return CPU  # a function would move storages between the devices that it is told of
    if isinstance(map_location, Mapping):
        return as_device("load", map_location.get("cpu", CPU))
    return as_device("load", map_location)


def _is_flat(obj: Any) -> bool:
    return (
        isinstance(obj, dict)
        and len(obj) > 0
        and all(
            isinstance(key, str) and key != "__metadata__" and key == _utf8(key) and isinstance(value, Tensor)
            for key, value in obj.items()
        )
    )


def _utf8(text: str) -> str:
    """Text with lone surrogates (from names of files that are no UTF-8) as JSON escapes them."""
    return text.encode("utf-8", "backslashreplace").decode()


class _Encoder:
    """Turns an object into JSON and a list of named tensors.

    None, booleans, integers, finite floats, strings and lists stand for themselves; the rest is an object
    with one member: {"dict": [[key, value], ...]}, {"tuple": [...]}, {"tensor": name}, {"float": "nan"}.
    """

    def __init__(self) -> None:
        self.tensors: list[tuple[str, Tensor]] = []
        self._names: set[str] = {"__metadata__"}
        self._open: set[int] = set()  # containers being encoded, to see one inside itself

    def encode(self, value: Any, place: tuple[str, ...]) -> Any:
        if isinstance(value, Tensor):
            return {"tensor": self._add(value, place)}
        if isinstance(value, dict | list | tuple):
            return self._container(value, place)
        if isinstance(value, np.generic):
            value = value.item()
        return self._plain(value, place)

    def _container(self, value: Any, place: tuple[str, ...]) -> Any:
        if id(value) in self._open:
            raise ValueError(f"save: {_at(place)} holds itself")
        self._open.add(id(value))
        try:
            if isinstance(value, dict):
                return {
                    "dict": [
                        [self._plain(key, place, "the key "), self.encode(item, (*place, str(key)))]
                        for key, item in value.items()
                    ]
                }
            items = [self.encode(item, (*place, str(i))) for i, item in enumerate(value)]
            return items if isinstance(value, list) else {"tuple": items}
        finally:
            self._open.discard(id(value))

    @staticmethod
    def _plain(value: Any, place: tuple[str, ...], what: str = "") -> Any:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int):
            return int(value)
        if isinstance(value, str):
            return str(value)
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else {"float": str(float(value))}
        hint = "; save its state_dict()" if hasattr(value, "state_dict") else ""
        if isinstance(value, np.ndarray):
            hint = "; make it a tensor with from_numpy"
        raise TypeError(
            f"save: {_at(place)}: {what}{type(value).__name__} cannot be saved, nothing is pickled{hint}"
        )

    def _add(self, tensor: Tensor, place: tuple[str, ...]) -> str:
        name = base = _utf8(".".join(place)) or "value"
        count = 1
        while name in self._names:
            count += 1
            name = f"{base}~{count}"
        self._names.add(name)
        self.tensors.append((name, tensor))
        return name


def _at(place: tuple[str, ...]) -> str:
    return "at " + ".".join(place) if place else "the object"


def _decode(node: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(node, list):
        return [_decode(item, tensors) for item in node]
    if not isinstance(node, dict):
        return node
    ((kind, value),) = node.items()
    if kind == "tensor":
        return tensors[value]
    if kind == "tuple":
        return tuple(_decode(item, tensors) for item in value)
    if kind == "dict":
        return {_decode(key, tensors): _decode(item, tensors) for key, item in value}
    if kind == "float":
        return float(value)
    raise ValueError(f"unknown node {kind!r}")
