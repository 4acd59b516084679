"""The text of the C file and its header."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

import cnnx
from cnnx.c_export.memory import Plan
from cnnx.c_export.net import Array, Data, Layer, Net
from cnnx.c_export.writer import Writer, comment, extents, plus


@dataclass(frozen=True)
class Texts:
    """What is written: a C file and its header."""

    source: str
    header: str


#: What a name can be by chance, as `row` and `weight`, or `int8` and `t`.
OTHERS = {
    "row_weight",
    "column_weight",
    "int8_t",
    "uint8_t",
    "int16_t",
    "uint16_t",
    "int32_t",
    "int64_t",
    "INT64_C",
}


class Names:
    """Names of one file that are used once: all begin with that of the net, which no variable does.

    `counts` are the numbers of inputs and outputs, by ``INPUT`` and ``OUTPUT``.
    """

    def __init__(self, net: str, counts: dict[str, int]) -> None:
        self._net = net
        macros = ["H", "WORKSPACE_BYTES", "WEIGHT_BYTES", "MULTIPLY_ADDS"]
        for what, count in counts.items():
            macros += [f"{name}_{of}" for name in arguments(count, what, "") for of in ("SIZE", "SCALE")]
        self._taken = {
            f"{net}_run",
            f"{net}_run_int8",
            *(f"{net.upper()}_{macro}" for macro in macros),
            *OTHERS,
        }

    def __call__(self, wanted: str) -> str:
        """The name, or one like it."""
        base = f"{self._net}_{re.sub(r'[^A-Za-z0-9_]', '_', wanted)}"
        name, count = base, 1
        while name in self._taken:
            count += 1
            name = f"{base}_{count}"
        self._taken.add(name)
        return name


def layer_name(layer: Layer) -> str:
    """The op alone."""
    return layer.place.partition(" ")[0]


def describe(layer: Layer, number: int) -> str:
    """A layer in words."""
    title = layer.title()
    functions = "".join(f", {name}" for name in layer.functions())
    shapes = " and ".join(extents(d.shape) for d in layer.inputs if d.constant is None) or "constants"
    what = f": {title}" if title else ""
    return f"{number}. {layer.place}{what}{functions}; {shapes} -> {extents(layer.output.shape)}"


def arguments(count: int, what: str, kind: str) -> list[str]:
    """Parameters of a function."""
    return [f"{kind}{what}{'' if count == 1 else i}" for i in range(count)]


APART = "No two arrays may overlap."


class File:
    """A C file under construction: what float and int8 nets share.

    Parameters
    ----------
    net, plan
        The layers and their places.
    name
        What functions, macros and files are called after.
    element
        The C type of an element.
    caller
        Whether the caller provides the workspace.
    """

    def __init__(self, net: Net, plan: Plan, name: str, element: str, caller: bool) -> None:
        self.net, self.plan, self.name, self.element, self.caller = net, plan, name, element, caller
        self.width = 1 if element == "int8_t" else 4
        self.names = Names(name, {"INPUT": len(net.inputs), "OUTPUT": len(net.outputs)})
        self.w = Writer()
        self.of: dict[Data, str] = {}

    @property
    def macro(self) -> str:
        """The prefix of macros."""
        return self.name.upper()

    def constants(self, values: Sequence[tuple[Data, Array, str]]) -> None:
        """Writes constant arrays, each with its C type."""
        for data, array, kind in values:
            self.of[data] = self.names(data.name)
            self.w(comment(f"{data.name}: {extents(data.shape)}"))
            self.w.table(self.of[data], array, kind)
            self.w("")

    def function(self, layer: Layer, number: int) -> str:
        """Writes a layer's function; returns the call of it."""
        name = self.names(f"{layer_name(layer)}_{number}")
        varying = [data for data in dict.fromkeys(layer.inputs) if data.constant is None]
        names = {data: f"in{i or ''}" for i, data in enumerate(varying)}
        scratch = self.plan.scratch.get(layer)
        total = "int32_t" if self.element == "int8_t" else "float"
        parameters = [f"const {self.element} *{names[data]}" for data in varying] + [f"{self.element} *out"]
        if scratch is not None:
            parameters.append(f"{total} *sums")
        self.w(comment(describe(layer, number)))
        with self.w.block(f"static void {name}({', '.join(parameters)})"):
            x = [self.of[data] if data.constant is not None else names[data] for data in layer.inputs]
            layer.emit(self.w, x, "out", "sums" if scratch is not None else "")
        self.w("")
        given = [self.where(data) for data in (*varying, layer.output)]
        if scratch is not None:
            given.append(plus("sums" if self.width == 1 else "memory", str(scratch.offset // 4)))
        return f"{name}({', '.join(given)});"

    def where(self, data: Data) -> str:
        """Where an array lies, in `run`."""
        root = self.plan.of(data)
        for what, given in (("input", self.net.inputs), ("output", self.net.outputs)):
            if root in given:
                return arguments(len(given), what, "")[given.index(root)]
        return plus("memory", str(self.plan.offset(root) // self.width))

    def parameters(self, kind: str) -> str:
        """Those of a function from inputs to outputs."""
        given = arguments(len(self.net.inputs), "input", f"const {kind} *")
        given += arguments(len(self.net.outputs), "output", f"{kind} *")
        return ", ".join([*given, "void *workspace"] if self.caller else given)

    def checked(self) -> str:
        """That a pointer is null, in C."""
        names = arguments(len(self.net.inputs), "input", "") + arguments(len(self.net.outputs), "output", "")
        if self.caller and self.plan.size:
            names.append("workspace")
        return " || ".join(f"{name} == 0" for name in names)

    def title(self, what: str) -> list[str]:
        """The comment at the top."""
        return [comment(f"{what}, written by cnnx {cnnx.__version__}.")]

    def header(self, more: Sequence[tuple[str, str, str]], declarations: Sequence[str], about: str) -> str:
        """The header: macros (name, value, comment) and declarations."""
        w, guard = Writer(), f"{self.macro}_H"
        w(*self.title(about), f"#ifndef {guard}", f"#define {guard}", "")
        if self.element == "int8_t":
            w("#include <stdint.h>", "")
        macros = []
        for what, given, shapes in (
            ("INPUT", self.net.inputs, self.net.input_shapes),
            ("OUTPUT", self.net.outputs, self.net.output_shapes),
        ):
            for i, shape in enumerate(shapes):
                number = "" if len(given) == 1 else str(i)
                macros.append((f"{what}{number}_SIZE", str(math.prod(shape)), f"elements: {extents(shape)}"))
        macros += more
        for name, value, text in macros:
            w(f"#define {self.macro}_{name} {value} {comment(text)}")
        w("", "#ifdef __cplusplus", 'extern "C" {', "#endif", "", *declarations)
        w("", "#ifdef __cplusplus", "}", "#endif", "", "#endif")
        return w.text()


def float_texts(net: Net, name: str, header: str, caller: bool) -> tuple[Texts, Plan, int]:
    """The files of a net in float32, its plan and the bytes of its constants."""
    plan = Plan(net, 4, False, lambda layer: 4 * layer.scratch())
    file = File(net, plan, name, "float", caller)
    w = file.w
    w(*file.title(f"A neural net in C99 ({name}_run)"), f'#include "{header}"', "")
    head = len(w.lines)
    constants = net.constants()
    file.constants([(d, d.constant, "float") for d in constants if d.constant is not None])
    code = len(w.lines)
    if plan.size and not caller:
        w(f"static float memory[{plan.size // 4}];", "")
    calls = [file.function(layer, i + 1) for i, layer in enumerate(net.layers)]
    with w.block(f"int {name}_run({file.parameters('float')})"):
        w(f"if ({file.checked()}) return -1;")
        if caller:
            w("float *const memory = (float *)workspace;" if plan.size else "(void)workspace;")
        w(*calls, "return 0;")
    used = "\n".join(w.lines[code:])
    finite = all(np.isfinite(d.constant).all() for d in constants if d.constant is not None)
    needed = {"math.h": r"\b[a-z0-9]+f\(|INFINITY|NAN|isfinite", "stdint.h": r"int(8|16|32)_t"}
    includes = [f"#include <{header}>" for header, names in needed.items() if re.search(names, used)]
    if not finite and "#include <math.h>" not in includes:
        includes.insert(0, "#include <math.h>")
    w.lines[head:head] = [*includes, ""] if includes else []
    macros = [
        ("WORKSPACE_BYTES", str(plan.size), "of memory while it runs"),
        ("WEIGHT_BYTES", str(w.constant_bytes), "of constants"),
        ("MULTIPLY_ADDS", str(sum(layer.multiply_adds() for layer in net.layers)), "of a run"),
    ]
    where = f"; workspace: {name.upper()}_WORKSPACE_BYTES bytes, aligned for float" if caller else ""
    declarations = [
        comment(f"Runs the net{where}. {APART} Returns 0, or -1 if a pointer is null."),
        f"int {name}_run({file.parameters('float')});",
    ]
    return Texts(w.text(), file.header(macros, declarations, "A neural net in C99")), plan, w.constant_bytes
