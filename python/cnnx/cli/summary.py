"""A model as a table: layer, output shape, parameters, FLOPs."""

from __future__ import annotations

from typing import Any, NamedTuple

import cnnx
from cnnx import nn


class Row(NamedTuple):
    """One layer. FLOPs are for one image, a multiplication and an addition counting as two."""

    name: str
    layer: str
    shape: tuple[int, ...]
    parameters: int
    flops: int


def flops(layer: nn.Module, inputs: tuple[int, ...], output: tuple[int, ...]) -> int:
    """Floating-point operations of a layer's forward pass, from the shapes of its input and output."""
    count = 1
    for extent in output:
        count *= extent
    if isinstance(layer, nn.Conv2d):
        kernel = int(layer.weight.numel() // layer.weight.shape[0])
        return count * (2 * kernel + (layer.bias is not None))
    if isinstance(layer, nn.Linear):
        return count * (2 * int(layer.in_features) + (layer.bias is not None))
    if isinstance(layer, nn.MaxPool2d | nn.AvgPool2d):
        window = layer.kernel_size
        return count * (window * window if isinstance(window, int) else window[0] * window[1])
    if isinstance(layer, nn.Flatten | nn.Dropout):
        return 0
    return count


def summarize(model: nn.Module, image_shape: tuple[int, ...]) -> list[Row]:
    """Runs one image through the model and notes each innermost layer.

    Parameters
    ----------
    model
        The net; its training mode and the random state are left as they were.
    image_shape
        (C, H, W) of one image.

    Returns
    -------
    list of Row
        In the order in which the layers ran.
    """
    rows: list[Row] = []
    handles = []

    def note(name: str) -> Any:
        def hook(layer: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            own = sum(parameter.numel() for parameter in layer.parameters())
            shape = tuple(output.shape)
            rows.append(Row(name, str(layer), shape[1:], own, flops(layer, tuple(inputs[0].shape), shape)))

        return hook

    for name, layer in model.named_modules():
        if next(iter(layer.children()), None) is None:
            handles.append(layer.register_forward_hook(note(name)))
    was_training = model.training
    try:
        model.eval()
        with cnnx.no_grad():
            weight = next(model.parameters(), None)
            model(cnnx.zeros(1, *image_shape, device=None if weight is None else weight.device))
    finally:
        model.train(was_training)
        for handle in handles:
            handle.remove()
    return rows


def format_table(rows: list[Row]) -> str:
    """The rows as text, with a line of sums."""
    head = ("", "layer", "output", "parameters", "FLOPs")
    cells = [
        (row.name, row.layer, "x".join(map(str, row.shape)), f"{row.parameters:,}", f"{row.flops:,}")
        for row in rows
    ]
    total = (
        "",
        "total",
        "",
        f"{sum(row.parameters for row in rows):,}",
        f"{sum(row.flops for row in rows):,}",
    )
    widths = [max(len(line[i]) for line in (head, *cells, total)) for i in range(len(head))]

    def line(values: tuple[str, ...]) -> str:
        left = [value.ljust(width) for value, width in zip(values[:3], widths[:3], strict=True)]
        right = [value.rjust(width) for value, width in zip(values[3:], widths[3:], strict=True)]
        return "  ".join(left + right).rstrip()

    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    return "\n".join([line(head), rule, *map(line, cells), rule, line(total)])
