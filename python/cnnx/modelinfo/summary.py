"""`cnnx.summary`: its arguments, and what they come to."""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

import cnnx
from cnnx import nn
from cnnx.dtypes import as_dtype
from cnnx.modelinfo.layers import finish
from cnnx.modelinfo.running import moved, run, tree
from cnnx.modelinfo.statistics import COLUMNS, ROWS, Formatting, ModelStatistics
from cnnx.plans import Static
from cnnx.signatures import checked

OF_A_PASS = ("input_size", "output_size", "mult_adds")  # columns that are empty without one


@checked
def summary(
    model: nn.Module,
    input_size: Sequence[int | Sequence[int]] | None = None,
    input_data: Any = None,
    batch_dim: int | None = None,
    cache_forward_pass: bool | None = None,
    col_names: Iterable[str] | None = None,
    col_width: int = 25,
    depth: int = 3,
    device: Any = None,
    dtypes: list[Any] | None = None,
    mode: str | None = None,
    row_settings: Iterable[str] | None = None,
    verbose: int | None = None,
    **kwargs: Any,
) -> ModelStatistics:
    """Prints what a model consists of: its layers as a tree, shapes, parameters, multiplications, memory.

    Arguments, table and numbers are those of the package torchinfo. The model runs once, without gradients,
    and stays as it was: modes, buffers such as the statistics of batch norms, gradients, the random state.
    Only lazy layers are initialised, as by any pass.

    Parameters
    ----------
    model
        The model, or what `cnnx.compile` made of it. Its hooks run as well.
    input_size
        The shape of the input, with the batch, or a sequence of shapes of several inputs.
    input_data
        Instead of it the input: a tensor or NumPy array, a list or tuple of arguments, or a dict of keyword
        arguments. With neither nothing is run, and layers have no shapes.
    batch_dim
        Where shapes in `input_size` lack the batch: a dimension of 1 goes there. Default: they have it.
    cache_forward_pass
        None or False: every call runs the model.
    col_names
        Columns, of ``"input_size"``, ``"output_size"``, ``"num_params"``, ``"params_percent"``,
        ``"kernel_size"``, ``"mult_adds"`` and ``"trainable"``. Default: ``("output_size", "num_params")``.
    col_width
        Characters of each column. Default: 25.
    depth
        Modules that lie deeper are not shown, but counted where they lie. Default: 3.
    device
        Where the model is run; it goes back afterwards. Default: where it is.
    dtypes
        Of each shape in `input_size`. Default: float32.
    mode
        ``"eval"`` or ``"train"``. Default: ``"eval"``.
    row_settings
        Of ``"depth"`` (numbers of depth and place), ``"var_names"`` (the names of attributes),
        ``"ascii_only"`` and ``"hide_recursive_layers"``. Default: ``("depth",)``.
    verbose
        0 prints nothing, 1 the table, 2 also the layers' parameters. Default: 1; 0 at a prompt, which shows
        the result anyway.
    **kwargs
        Further arguments of the model.

    Returns
    -------
    ModelStatistics
        ``total_params``, ``trainable_params``, ``total_mult_adds``, ``total_input``, ``total_output_bytes``,
        ``total_param_bytes``, and the rows, ``summary_list``. Printed it is the table.

    Raises
    ------
    ValueError
        If an argument is not one of those above.
    RuntimeError
        If the model fails, with the layer that had been run before.

    Notes
    -----
    Multiplications (with an addition each) are reckoned from parameters and outputs: each value of a
    convolution's weight and bias counts once for each place of the output, that of any other layer once for
    each sample of the batch, and what a model computes outside of layers without modules within them counts
    nothing. A weight that several modules share counts once, and bytes are those of all parameters, where
    torchinfo counts such a weight again and leaves out the bytes of parameters beside modules.

    Examples
    --------
    >>> from cnnx import nn
    >>> net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 26 * 26, 10))
    >>> found = summary(net, (8, 1, 28, 28), col_width=16)
    ========================================================================
    Layer (type:depth-idx)                   Output Shape     Param #
    ========================================================================
    Sequential                               [8, 10]          --
    ├─Conv2d: 1-1                            [8, 4, 26, 26]   40
    ├─ReLU: 1-2                              [8, 4, 26, 26]   --
    ├─Flatten: 1-3                           [8, 2704]        --
    ├─Linear: 1-4                            [8, 10]          27,050
    ========================================================================
    Total params: 27,090
    Trainable params: 27,090
    Non-trainable params: 0
    Total mult-adds (M): 0.43
    ========================================================================
    Input size (MB): 0.03
    Forward/backward pass size (MB): 0.17
    Params size (MB): 0.11
    Estimated Total Size (MB): 0.31
    ========================================================================
    >>> found.total_mult_adds
    432720
    """
    if isinstance(model, Static) and model.module is not None:
        model = model.module  # of `cnnx.compile(model, static=True)`
    if not isinstance(model, nn.Module):
        raise TypeError(f"summary: model must be a Module, got {type(model).__name__}")
    if cache_forward_pass is not None and cache_forward_pass is not False:
        raise ValueError(
            "summary: cache_forward_pass must be None or False; keep the result instead, its formatting may "
            "be changed"
        )
    train = mode is not None and _names("mode", mode, ("train", "eval")) == ("train",)
    form = _formatting(col_names, col_width, depth, row_settings, verbose, input_size is input_data is None)
    if input_size is input_data is None:
        for name, value in {"batch_dim": batch_dim, "dtypes": dtypes, **kwargs}.items():
            if value is not None:
                raise ValueError(f"summary: {name} needs input_size or input_data")
        result = ModelStatistics(finish(list(tree(model))), None, 0, form)
    else:
        with moved(model, device) as where:
            inputs = _inputs(input_size, input_data, batch_dim, dtypes, device, where)
            rows = run(model, inputs, _each(kwargs, _mover(device)), train)
            sizes: Any = _each(input_data, lambda t: t.shape) if input_size is None else _sizes(input_size)
            result = ModelStatistics(finish(rows), sizes, _bytes(inputs), form)
    if form.verbose:
        print(result)
    return result


def _formatting(
    col_names: Any, col_width: Any, depth: Any, row_settings: Any, verbose: Any, bare: bool
) -> Formatting:
    """The arguments that say how the table looks."""
    if col_names is None:
        col_names = ("num_params",) if bare else ("output_size", "num_params")
    columns = _names("col_names", col_names, COLUMNS)
    rows = _names("row_settings", ("depth",) if row_settings is None else row_settings, ROWS)
    if bare and (without := [name for name in columns if name in OF_A_PASS]):
        raise ValueError(f"summary: column {without[0]!r} needs input_size or input_data")
    if verbose is None:
        verbose = 0 if getattr(sys, "ps1", None) else 1
    return Formatting(
        columns,
        _whole("col_width", col_width, 1),
        _whole("depth", depth, 0),
        frozenset(rows),
        _whole("verbose", verbose, 0, 2),
    )


def _names(argument: str, given: Any, known: Iterable[str]) -> tuple[str, ...]:
    """A name or a sequence of names that must all be known."""
    names = (given,) if isinstance(given, str | cnnx.Tensor | np.ndarray) else tuple(given)
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"summary: {argument} must be names, got {type(name).__name__}")
        if name not in known:
            raise ValueError(f"summary: {argument} must be of {', '.join(known)}, got {name!r}")
    return names


def _whole(argument: str, value: Any, least: int, most: int = sys.maxsize) -> int:
    """A whole number within bounds."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"summary: {argument} must be a whole number, got {type(value).__name__}") from None
    if not least <= number <= most:
        bounds = f"from {least} on" if most == sys.maxsize else f"from {least} to {most}"
        raise ValueError(f"summary: {argument} must be a whole number {bounds}, got {number}")
    return number


def _sizes(input_size: Any) -> list[tuple[int, ...]]:
    """The shapes in `input_size`: one, or several."""
    several = isinstance(input_size, list | tuple) and any(isinstance(p, list | tuple) for p in input_size)
    sizes = input_size if several else [input_size]
    if not all(isinstance(size, list | tuple) for size in sizes):
        raise TypeError("summary: input_size must be a shape, a list or tuple of whole numbers, or several")
    if not all(sizes):
        raise ValueError(f"summary: input_size has no extents: {input_size}")
    return [tuple(_whole("each extent in input_size", extent, 1) for extent in size) for size in sizes]


def _inputs(
    input_size: Any, input_data: Any, batch_dim: int | None, dtypes: Any, device: Any, where: Any
) -> Any:
    """What the model gets: a list or tuple of arguments, or a dict of keyword arguments."""
    if input_size is None:
        if batch_dim is not None or dtypes is not None:
            raise ValueError("summary: batch_dim and dtypes go with input_size; input_data has its own")
        data = _each(input_data, _mover(device))
        return data if isinstance(data, list | tuple | Mapping) else [data]
    if input_data is not None:
        raise ValueError("summary: takes input_size or input_data, not both")
    shapes = _sizes(input_size)
    kinds = [cnnx.float32] * len(shapes) if dtypes is None else [as_dtype(dtype) for dtype in dtypes]
    if len(kinds) != len(shapes):
        raise ValueError(f"summary: dtypes has {len(kinds)} entries for {len(shapes)} shapes in input_size")
    inputs, generator = [], cnnx.Generator().manual_seed(0)
    for shape, dtype in zip(shapes, kinds, strict=True):
        if batch_dim is not None:
            place = _whole("batch_dim", batch_dim, -len(shape) - 1, len(shape)) % (len(shape) + 1)
            shape = (*shape[:place], 1, *shape[place:])
        inputs.append(cnnx.rand(*shape, generator=generator, device=where).to(dtype))
    return inputs


def _each(data: Any, function: Callable[[Any], Any]) -> Any:
    """A nest of lists, tuples and dicts with each tensor and array in it replaced by a function of it."""
    if isinstance(data, cnnx.Tensor | np.ndarray):
        return function(data)
    if isinstance(data, Mapping):
        return {name: _each(value, function) for name, value in data.items()}
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*(_each(value, function) for value in data))
    if isinstance(data, list | tuple):
        return type(data)(_each(value, function) for value in data)
    return data


def _mover(device: Any) -> Callable[[Any], cnnx.Tensor]:
    """Makes tensors of arrays, and moves them if a device is given."""
    return lambda data: cnnx.as_tensor(data) if device is None else cnnx.as_tensor(data).to(device)


def _bytes(inputs: Any) -> int:
    """Of all tensors in it."""
    found: list[int] = []
    _each(inputs, lambda tensor: found.append(int(tensor.nbytes)))
    return sum(found)
