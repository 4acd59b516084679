"""What a summary says: totals, and a table of the layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cnnx.modelinfo.layers import LayerInfo
from cnnx.text import printable

COLUMNS = {  # with their titles
    "input_size": "Input Shape",
    "output_size": "Output Shape",
    "num_params": "Param #",
    "params_percent": "Param %",
    "kernel_size": "Kernel Shape",
    "mult_adds": "Mult-Adds",
    "trainable": "Trainable",
}
ROWS = ("depth", "var_names", "ascii_only", "hide_recursive_layers")
NARROWEST_NAMES = 40  # characters of the first column, unless the table must be narrow
FEWEST_LETTERS = 8  # that are left of a layer's name where the table must be narrow
NONE = "--"


@dataclass
class Formatting:
    """How the table looks: the arguments of `cnnx.summary`, which may be changed later."""

    col_names: tuple[str, ...]
    col_width: int
    max_depth: int
    row_settings: frozenset[str]
    verbose: int

    def title(self, row: LayerInfo) -> str:
        """The name of a row, without its place in the tree."""
        name = row.class_name
        if "var_names" in self.row_settings:
            name += f" ({row.var_name})"
        if "depth" in self.row_settings and row.depth > 0:
            name += f": {row.depth}-{row.depth_index}"
        return printable(name)

    def branch(self, depth: int) -> str:
        """What stands before a name of this depth."""
        ascii_only = "ascii_only" in self.row_settings
        if depth == 0:
            return ""
        if depth == 1:
            return "+ " if ascii_only else "├─"
        return ("|    " if ascii_only else "│    ") * (depth - 1) + ("+ " if ascii_only else "└─")

    @property
    def head(self) -> str:
        """The title of the first column."""
        names = " (var_name)" if "var_names" in self.row_settings else ""
        return f"Layer (type{names}{':depth-idx' if 'depth' in self.row_settings else ''})"


class ModelStatistics:
    """What `cnnx.summary` returns; printed, it is a table.

    Attributes
    ----------
    summary_list
        The rows (`LayerInfo`): calls of layers in the order in which they ran, below what holds them.
    input_size
        The shapes of the model's inputs; None if nothing was run.
    total_params, trainable_params
        Parameters of the model, each counted once; a pruned one by the values that are left.
    total_mult_adds
        Multiplications with additions in the layers of one pass.
    total_input, total_param_bytes
        Bytes.
    total_output_bytes
        Bytes of the outputs of all layers that have parameters, twice, for their gradients.
    formatting
        How the table looks; its attributes are the arguments of `cnnx.summary`.
    """

    def __init__(
        self, rows: list[LayerInfo], input_size: Any, input_bytes: int, formatting: Formatting
    ) -> None:
        self.summary_list, self.input_size, self.formatting = rows, input_size, formatting
        model, layers = rows[0], [row for row in rows if row.is_leaf_layer]
        self.total_input = input_bytes
        self.total_params = model.num_params
        self.trainable_params = model.trainable_params
        self.total_param_bytes = model.param_bytes
        self.total_mult_adds = sum(row.macs for row in layers)
        self.total_output_bytes = 2 * sum(row.output_bytes for row in layers if row.num_params)

    def __repr__(self) -> str:
        return self.table()

    def table(self, width: int | None = None) -> str:
        """The layers and totals as text.

        Parameters
        ----------
        width
            Characters of a line: columns become as wide as what is in them, and the names of layers are cut
            to what is left. Default: columns of the summary's `col_width`.
        """
        form = self.formatting
        lines = [(form.head, [COLUMNS[name] for name in form.col_names])]
        for row in self.summary_list:
            if row.depth > form.max_depth or (
                row.is_recursive and "hide_recursive_layers" in form.row_settings
            ):
                continue
            lines.append((form.branch(row.depth) + form.title(row), self._cells(row)))
            if form.verbose == 2:
                lines += self._weights(row)
        if width is None:
            longest = max(5 * row.depth + 1 + len(form.title(row)) for row in self.summary_list)
            names = NARROWEST_NAMES if longest < NARROWEST_NAMES else -(-longest // 5) * 5
            columns = [form.col_width] * len(form.col_names)
            rule = "=" * (names + sum(columns))
        else:
            names = max(len(name) for name, _ in lines)
            columns = [max(map(len, cells)) + 1 for cells in zip(*(cells for _, cells in lines), strict=True)]
            columns[-1:] = [length - 1 for length in columns[-1:]]
            names = max(FEWEST_LETTERS, min(names, width - sum(columns) - len(columns)))
            lines = [(_cut(name, names), cells) for name, cells in lines]
            rule = "=" * (names + sum(columns) + len(columns))
        texts = [_line(name, cells, names, columns) for name, cells in lines]
        return "\n".join([rule, texts[0], rule, *texts[1:], rule, *self._totals(rule), rule])

    def _cells(self, row: LayerInfo) -> list[str]:
        """What a row says in each column."""
        whole = row.is_leaf_layer or row.depth == self.formatting.max_depth
        count = row.num_params if whole else row.own_params
        macs = row.macs if row.is_leaf_layer else sum(part.macs for part in row.children) if whole else 0
        params = f"{count:,}" if row.trainable_params or not whole else f"({count:,})"
        percent = f"{count / self.total_params:>7.2%}" if count > 0 else f"     {NONE}"
        if row.is_recursive:
            params = percent = "(recursive)"
        cells = {
            "input_size": str(row.input_size or NONE),
            "output_size": str(row.output_size or NONE),
            "num_params": params if count > 0 else NONE,
            "params_percent": percent if self.total_params else f"     {NONE}",
            "kernel_size": str(row.kernel_size or NONE),
            "mult_adds": f"{macs:,}" if macs else NONE,
            "trainable": row.trainable,
        }
        return [cells[name] for name in self.formatting.col_names]

    def _weights(self, row: LayerInfo) -> list[tuple[str, list[str]]]:
        """Lines for the parameters of a row; those of the model itself are its own alone."""
        form, found = self.formatting, [w for w in row.weights() if row.depth or "." not in w.name]
        lines = []
        for place, (name, shape, count, _) in enumerate(found, 1):
            cells = {
                "kernel_size": str(shape),
                "num_params": f"{'└─' if place == len(found) else '├─'}{count:,}",
            }
            lines.append(
                (form.branch(row.depth + 1) + printable(name), [cells.get(c, "") for c in form.col_names])
            )
        return lines

    def _totals(self, rule: str) -> list[str]:
        frozen = self.total_params - self.trainable_params
        lines = [
            f"Total params: {self.total_params:,}",
            f"Trainable params: {self.trainable_params:,}",
            f"Non-trainable params: {frozen:,}",
        ]
        if self.input_size is None:
            return lines
        sizes = {
            "Input size": self.total_input,
            "Forward/backward pass size": self.total_output_bytes,
            "Params size": self.total_param_bytes,
        }
        sizes["Estimated Total Size"] = sum(sizes.values())
        megabytes = [f"{name} (MB): {count / 1e6:.2f}" for name, count in sizes.items()]
        return [*lines, f"Total mult-adds {_in_units(self.total_mult_adds)}", rule, *megabytes]


def _in_units(count: int) -> str:
    """A number in millions, billions or trillions."""
    unit, size = next((u, s) for u, s in (("T", 1e12), ("G", 1e9), ("M", 1e6)) if count >= s or u == "M")
    value = count / size
    return f"({unit}): {value:,.0f}" if value.is_integer() else f"({unit}): {value:,.2f}"


def _cut(name: str, length: int) -> str:
    return name if len(name) <= length else name[: length - 2] + ".."


def _line(name: str, cells: Sequence[str], names: int, columns: Sequence[int]) -> str:
    padded = [cell.ljust(width) for cell, width in zip(cells, columns, strict=True)]
    return " ".join([name.ljust(names), *padded]).rstrip()
