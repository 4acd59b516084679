"""Names that PyTorch has and cnnx has not: why, and which of cnnx's comes nearest.

`tools/names.py` makes docs/names.md of this table and of both libraries.
"""

from __future__ import annotations

import difflib
import opcode
import re
import sys
from collections.abc import Callable, Iterable
from types import FrameType, ModuleType
from typing import Any, NamedTuple


class Reason(NamedTuple):
    """Why names are left out, in words that follow "cnnx has", and which ones."""

    words: str
    pattern: str


# The first pattern that is found in a name tells why it is not there.
REASONS = (
    Reason(
        "no complex numbers",
        r"complex|conj|^chalf|^c(float|double)$|^(imag|real|angle|polar|H|mH)$|stft|resolve_neg|is_neg",
    ),
    Reason(
        "no sparse tensors",
        r"[Ss]parse|coalesce|crow_|ccol_|col_indices|row_indices|[Ee]mbedding_?[Bb]ag|is_nested|padded_tensor"
        r"|^(hsmm|hspmm|smm|spmm|dsmm|saddmm|values|indices|dense_dim|to_dense|jagged)$",
    ),
    Reason(
        "no quantized numbers",
        r"quantize|_quant|qint|quint|^q_|qscheme|qparams|int_repr|per_(channel|tensor)_|fbgemm",
    ),
    Reason(
        "no floats of 16 bits or fewer but bfloat16 under autocast",
        r"^half$|has_half|HalfTensor|HalfStorage|float16|float8|float4|BFloat16|bfloat16|bf16",
    ),
    Reason("no integers but uint8, int32 and int64", r"u?int\d+$|^(short|char)$|^bits|Short|Char|Byte"),
    Reason(
        "no attention",
        r"Transformer|[Aa]ttention",
    ),
    Reason("images and signals, no volumes", r"3d|[Tt]rilinear"),
    Reason(
        "no decompositions and inverses of matrices",
        r"cholesky|(^|_)eig|symeig|svd|^(qr|lu|lobpcg|geqrf|orgqr|ormqr|det|cond)$|^lu_|lstsq|solve|inv(erse)?(_ex)?$|logdet|ldl_"
        r"|matrix_(norm|rank)|nuclear_norm|householder|tensorinv|LinAlgError|pca_lowrank",
    ),
    Reason(
        "no work shared by processes",
        r"[Dd]istributed|DataParallel|SyncBatchNorm|share_memory|is_shared|ipc_|^(fork|multiprocessing|wait)$",
    ),
    Reason("the CPU and CUDA, no other device", r"xpu|ipu|mtia|maia|vulkan|xla|mps|(^|_)hpu|is_meta|mkldnn"),
    Reason(
        "no way to the memory behind tensors",
        r"as_strided|[Ss]torage|^set_$|^resize|data_ptr|empty_(strided|permuted)|frombuffer|weight_memory_format"
        r"|^(legacy_contiguous_format|strided|layout|enforce_grad_layout_policy)$",
    ),
    Reason(
        "no data pipes (data sets and loaders do that)",
        r"DataPipe|datapipe|DataChunk|runtime_validation|argument_validation|non_deterministic",
    ),
)


def reason(name: str) -> str | None:
    """Why a name is left out; None if there is no reason but that it is not there."""
    return next((words for words, pattern in REASONS if re.search(pattern, name)), None)


class MissingNameError(AttributeError):
    """A name that is not there. The text is made when somebody reads it: `hasattr` asks for it in vain."""

    def __init__(self, room: str, name: str, there: Callable[[], Iterable[str]] = tuple) -> None:
        super().__init__(room, name)
        self.room = room
        self._there = there

    def __str__(self) -> str:
        _, name = self.args
        text = f"{self.room} has no {name!r}"
        why = reason(name)
        if why is not None:
            text += f": cnnx has {why}"
        near = difflib.get_close_matches(name, list(self._there()), 1, 0.7 if why is None else 0.8)
        return f"{text}; did you mean {near[0]!r}?" if near else f"{text}; see dir({self.room})"


def names_of(module: str) -> Callable[[str], Any]:
    """The `__getattr__` of a module of this name, which raises for what is not there."""

    def missing(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        error = MissingNameError(module, name, lambda: _public(sys.modules[module]))
        if _is_import(sys._getframe(1)):
            raise ImportError(str(error), name=module)
        raise error

    return missing


def _public(room: ModuleType) -> list[str]:
    """The names of a room, without the files it is made of, of which more are there the more is imported."""
    listed = getattr(room, "__all__", None)
    names = dir(room)
    if listed is None:
        return names
    return [name for name in names if name in listed or not isinstance(vars(room).get(name), ModuleType)]


def _is_import(frame: FrameType | None) -> bool:
    """Whether who asks for a name is ``from room import name``, which makes an error of its own of ours.

    What else asks (`hasattr`, the import system itself, which looks for a module of that name then) needs an
    AttributeError.
    """
    if frame is not None and frame.f_code.co_name == "__getattr__":  # of a room that has one of its own
        frame = frame.f_back
    return frame is not None and frame.f_code.co_code[frame.f_lasti] == opcode.opmap["IMPORT_FROM"]
