"""Models as plain C: `cnnx.export_c`."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnx import dtypes
from cnnx.c_export.result import CNet
from cnnx.files import write_file
from cnnx.signatures import checked
from cnnx.tensor import Tensor

if TYPE_CHECKING:
    from cnnx.nn import Module

__all__ = ["CNet", "export_c"]

Array = np.ndarray[Any, Any]


@checked
def export_c(
    model: Module,
    sample: Tensor | Sequence[Tensor],
    path: str | os.PathLike[str] | None = None,
    *,
    name: str | None = None,
    workspace: str = "static",
    int8: bool = False,
    calibration: Tensor | Sequence[Tensor] | None = None,
    note: str | None = None,
) -> CNet:
    """Writes a model as one C99 file and its header, which need no library but that of mathematics.

    `forward` runs in eval mode without gradients on inputs of the sample's shapes, and the calls of ops that
    it makes become loops with fixed bounds. Weights are constant arrays; what lies between layers is planned
    into one workspace, where it is overwritten as soon as nothing reads it any more. Batch normalisation goes
    into the weights before it, activations and max-pooling into the loops before them. The layers are
    compared with the model before anything is written. Nothing is allocated when the net runs.

    Parameters
    ----------
    model
        The net; its mode is left as it was.
    sample
        An input, or a tuple of several, as `forward` takes them, float32. Its shape is that of the C
        function's inputs, the batch included; its values do not matter.
    path
        Where to write the C file; the header goes beside it, under the same name with ``.h``. Default:
        nowhere.
    name
        What functions and macros are called after: ``int NAME_run(const float *input, float *output)``, with
        several inputs or outputs ``input0, input1, ...``. Default: the file's name, else ``"net"``.
    workspace
        ``"static"``: an array of the C file, so that one run is under way at a time; ``"caller"``: a further
        argument of ``NAME_WORKSPACE_BYTES`` bytes, for several at once. Default: ``"static"``.
    int8
        Quantise: weights by channel and arrays as a whole to 8 bits, symmetric, sums in 32 bits, all in whole
        numbers, so that every machine gives the same bytes. There is ``NAME_run_int8`` beside ``NAME_run``.
        A softmax at the end stays in float32 and is of ``NAME_run`` alone. The sample must have a batch of 1.
        Default: False.
    calibration
        For `int8`: inputs (N, ...) that are typical, a hundred or more; for several inputs a tuple. The
        scales of all arrays follow from what they are for these. Default: None, which int8 refuses.
    note
        A line for the header, such as what inputs and outputs mean. Default: None.

    Returns
    -------
    CNet
        Both texts, the sizes of weights and workspace in bytes, the multiply-adds; of int8 nets also the
        scales, and `simulate`, which gives what the C gives to the byte.

    Raises
    ------
    TypeError
        If an argument is of another type, or an input or output of the net is not float32.
    NotImplementedError
        If an op has no C; all of them are named at once. Also for a forward pass whose course depends on its
        values, and with `int8` for a layer that has no form in whole numbers.
    ValueError
        If a name is no identifier of C, if arguments contradict each other, or if what `forward` does cannot
        be traced.
    RuntimeError
        If a profile is under way.
    OSError
        If a file cannot be written.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(676, 10))
    >>> made = cnnx.export_c(net, cnnx.zeros(1, 1, 28, 28))
    >>> print(made)
    net: 27,240 bytes of weights, 2,808 bytes of workspace, 31,096 multiply-adds
    >>> "int net_run(const float *input, float *output);" in made.header
    True
    """
    from cnnx.c_export.build import build
    from cnnx.c_export.quantise import whole_net, without_softmax
    from cnnx.c_export.source import float_texts
    from cnnx.c_export.source_int8 import int8_texts
    from cnnx.c_export.writer import comment
    from cnnx.nn.module import Module

    if not isinstance(model, Module):
        raise TypeError(f"export_c: model must be an nn.Module, got {type(model).__name__}")
    if path is not None and not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"export_c: path must be a string or a path, got {type(path).__name__}")
    inputs = tuple(sample) if isinstance(sample, (tuple, list)) else (sample,)
    if not inputs:
        raise ValueError("export_c: there is no sample")
    for tensor in inputs:
        if not isinstance(tensor, Tensor):
            raise TypeError(f"export_c: sample must be a tensor or several, got {type(tensor).__name__}")
        if tensor.dtype != dtypes.float32:
            raise TypeError(f"export_c: inputs must be float32, the sample is {tensor.dtype}")
        if tensor.numel() == 0:
            raise ValueError(f"export_c: a sample of shape {tuple(tensor.shape)} has no elements")
    file = None if path is None else Path(path)
    name = _name(name, file)
    if not isinstance(workspace, str):
        raise TypeError(f"export_c: workspace must be a string, got {type(workspace).__name__}")
    if workspace not in ("static", "caller"):
        raise ValueError(f"export_c: workspace must be 'static' or 'caller', got {workspace!r}")
    if not isinstance(int8, bool):
        raise TypeError(f"export_c: int8 must be a bool, got {type(int8).__name__}")
    net, header = build(model, inputs), f"{file.stem if file is not None else name}.h"
    caller = workspace == "caller"
    if int8:
        if calibration is None:
            raise ValueError("export_c: int8 needs calibration, typical inputs of the net")
        for shape in net.output_shapes:
            if shape[:1] != (1,):
                raise ValueError(f"export_c: int8 needs outputs with a batch of 1, got {shape}")
        net, ends = without_softmax(net)
        whole, *scales = whole_net(net, _typical(calibration, inputs))
        texts, plan, weights = int8_texts(whole, ends, (scales[0], scales[1]), name, header, caller)
        more: tuple[Any, ...] = (tuple(scales[0]), tuple(scales[1]), whole, tuple(ends))
    else:
        if calibration is not None:
            raise ValueError("export_c: calibration is for int8=True")
        texts, plan, weights = float_texts(net, name, header, caller)
        more = ()
    products = sum(layer.multiply_adds() for layer in net.layers)
    header_text = texts.header if note is None else f"{comment(note)}\n{texts.header}"
    made = CNet(name, header, texts.source, header_text, weights, plan.size, products, *more)
    if file is not None:
        write_file(file, made.source.encode())
        write_file(file.with_suffix(".h"), made.header.encode())
    return made


def _typical(calibration: Tensor | Sequence[Tensor], inputs: Sequence[Tensor]) -> list[Array]:
    """The arrays for calibration."""
    given = tuple(calibration) if isinstance(calibration, (tuple, list)) else (calibration,)
    if len(given) != len(inputs):
        raise ValueError(f"export_c: calibration has {len(given)} tensors for {len(inputs)} inputs")
    arrays = []
    for tensor, like in zip(given, inputs, strict=True):
        if not isinstance(tensor, Tensor) or tensor.dtype != dtypes.float32:
            raise TypeError("export_c: calibration must be float32 tensors, one for each input")
        if like.ndim == 0 or like.shape[0] != 1:
            raise ValueError(f"export_c: int8 needs a sample with a batch of 1, got {tuple(like.shape)}")
        if tensor.shape[1:] != like.shape[1:] or tensor.shape[0] == 0:
            raise ValueError(
                f"export_c: calibration must be (N, ...) like the sample {tuple(like.shape)}, "
                f"got {tuple(tensor.shape)}"
            )
        array = tensor.detach().cpu().numpy()
        if not array.any():
            raise ValueError("export_c: calibration is zero everywhere, which gives no scales")
        arrays.append(array)
    if len({len(array) for array in arrays}) > 1:
        raise ValueError("export_c: calibration must have as many entries for each input")
    return arrays


def _name(name: str | None, file: Path | None) -> str:
    """What the net is called in C."""
    if name is None:
        name = "net" if file is None else file.stem
    if not isinstance(name, str):
        raise TypeError(f"export_c: name must be a string, got {type(name).__name__}")
    if file is not None and file.suffix != ".c":
        raise ValueError(f"export_c: {str(file)!r} does not end in .c")
    if file is not None and not re.fullmatch(r"[\w .+-]+", file.stem):
        raise ValueError(f"export_c: {str(file)!r} cannot be named in an #include")
    if not (name.isascii() and name.isidentifier()):
        raise ValueError(f"export_c: {name!r} is no identifier of C; name= gives one")
    return name
