"""Files that `torch.save` wrote, read through PyTorch where it is installed."""

from __future__ import annotations

import os
import pickle
from collections import OrderedDict
from typing import IO, Any

from cnnx import _C

ZIP = b"PK\x03\x04"  # since PyTorch 1.6
OLD = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"  # before: a pickled magic number

File = str | os.PathLike[str] | IO[bytes]


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
    """What the file holds, with cnnx's tensors on a device.

    Raises
    ------
    ImportError
        If PyTorch is not installed.
    ValueError
        If the file is damaged or holds more than tensors and plain values.
    """
    name = os.fspath(f) if isinstance(f, str | os.PathLike) else str(getattr(f, "name", "the given file"))
    try:
        import torch
    except ImportError as error:
        raise ImportError(
            f"load: {name} was written by PyTorch, which is not installed; install it, or write the weights "
            "with safetensors.torch.save_file"
        ) from error
    try:
        content = torch.load(f, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"load: {name} holds more than tensors and plain values, such as a whole model; "
            "save its state_dict()"
        ) from error
    except (RuntimeError, EOFError, ValueError) as error:
        raise ValueError(f"load: {name}: PyTorch cannot read it: {error}") from error
    return _convert(content, torch, name, device)


def _versions(metadata: Any) -> dict[str, dict[str, int]]:
    """What a state dict says of the versions of its modules; anything else in its place is left out."""
    return {
        name: {"version": entry["version"]}
        for name, entry in (metadata.items() if isinstance(metadata, dict) else ())
        if isinstance(entry, dict) and isinstance(entry.get("version"), int)
    }


def _convert(value: Any, torch: Any, name: str, device: str) -> Any:
    if isinstance(value, torch.Tensor):
        if value.layout != torch.strided or value.is_quantized:
            raise ValueError(f"load: {name} holds a tensor that is not dense")
        try:
            return _C.to_device(_C.from_numpy(value.detach().numpy(), True), device)
        except TypeError as error:
            raise ValueError(f"load: {name} holds a tensor of {value.dtype}, which cnnx has not") from error
    if isinstance(value, dict):
        entries = {key: _convert(item, torch, name, device) for key, item in value.items()}
        versions = _versions(getattr(value, "_metadata", None))
        if not versions:
            return entries
        state: Any = OrderedDict(entries)
        state._metadata = versions
        return state
    if isinstance(value, list | tuple):
        items = [_convert(item, torch, name, device) for item in value]
        return items if isinstance(value, list) else tuple(items)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ValueError(
        f"load: {name} holds a {type(value).__name__}; cnnx loads tensors and plain values alone"
    )
