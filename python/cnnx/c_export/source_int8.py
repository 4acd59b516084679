"""The text of the C file of a net in whole numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

from cnnx.c_export.int8 import Whole
from cnnx.c_export.memory import Plan
from cnnx.c_export.net import Layer, Net
from cnnx.c_export.source import APART, File, Texts, arguments, describe, layer_name
from cnnx.c_export.writer import Writer, comment, plus, real

TYPES = {"int8": "int8_t", "int32": "int32_t"}
HELPERS = r"""
/* product / 2^{shift}, rounded to the nearest, within limits. */
static int8_t limited(int64_t product, int low, int high) {{
    product += INT64_C({half});
    /* For a negative number C leaves to the compiler what >> does. */
    const int64_t x = product < 0 ? ~(~product >> {shift}) : product >> {shift};
    return (int8_t)(x < low ? low : x > high ? high : x);
}}
"""
QUANTISED = r"""
/* Multiples of a scale, the nearest ones; 1 / scale is given. */
static void quantised(const float *from, int8_t *to, int count, float factor) {
    for (int i = 0; i < count; ++i) {
        const float x = from[i] * factor;
        to[i] = (int8_t)(!(x > -127.0f) ? -127.0f : x > 127.0f ? 127.0f : x < 0.0f ? x - 0.5f : x + 0.5f);
    }
}
"""


def int8_texts(
    net: Net,
    ends: Sequence[Layer | None],
    scales: tuple[Sequence[float], Sequence[float]],
    name: str,
    header: str,
    caller: bool,
) -> tuple[Texts, Plan, int]:
    """The files of a net in whole numbers, its plan and the bytes of its constants.

    `ends` are layers in float32, in place, that follow the outputs of ``NAME_run``.
    """

    def scratch(layer: Layer) -> int:
        return 4 * layer.scratch()

    plan = Plan(net, 1, True, scratch)
    file = File(net, plan, name, "int8_t", caller)
    w = file.w
    w(*file.title(f"A neural net in C99, in whole numbers ({name}_run)"))
    w(f'#include "{header}"', "", *(["#include <math.h>"] if any(ends) else []), "#include <stdint.h>", "")
    constants = net.constants()
    arrays = [(d, d.constant) for d in constants if d.constant is not None]
    file.constants([(d, array, TYPES[str(array.dtype)]) for d, array in arrays])
    helpers_at = len(w.lines)
    calls = [file.function(layer, i + 1) for i, layer in enumerate(net.layers)]
    body = "\n".join(w.lines[helpers_at:])
    after = [
        "" if layer is None else _end(file, layer, len(calls) + i + 1, output)
        for i, (layer, output) in enumerate(zip(ends, arguments(len(ends), "output", ""), strict=True))
    ]
    helpers = []
    if "limited(" in body:
        shift = next(layer.shift for layer in net.layers if isinstance(layer, Whole))
        helpers += HELPERS.format(shift=shift, half=1 << (shift - 1)).strip("\n").split("\n") + [""]
    helpers += QUANTISED.strip("\n").split("\n") + [""]
    words = plan.size // 4
    if words and not caller:
        helpers += [f"static int32_t words[{words}]; {comment('the workspace')}", ""]
    w.lines[helpers_at:helpers_at] = helpers
    _run_int8(file, calls)
    _run(file, after, *scales)
    macros = [
        ("WORKSPACE_BYTES", str(plan.size), "of memory while it runs"),
        ("WEIGHT_BYTES", str(w.constant_bytes), "of constants"),
        ("MULTIPLY_ADDS", str(sum(layer.multiply_adds() for layer in net.layers)), "of a run"),
    ]
    for what, values in zip(("INPUT", "OUTPUT"), scales, strict=True):
        for i, scale in enumerate(values):
            number = "" if len(values) == 1 else str(i)
            end = ends[i] if what == "OUTPUT" else None
            text = "what 1 of int8 stands for" + (f", before {layer_name(end)}" if end is not None else "")
            macros.append((f"{what}{number}_SCALE", real(scale), text))
    where = f"; workspace: {file.macro}_WORKSPACE_BYTES bytes, aligned for int32_t" if caller else ""
    declarations = [
        comment(f"Runs the net{where}. {APART} Returns 0, or -1 if a pointer is null."),
        f"int {name}_run({file.parameters('float')});",
        "",
        comment(f"The same on int8: multiples of the scales. {APART}"),
        f"int {name}_run_int8({file.parameters('int8_t')});",
    ]
    about = "A neural net in C99, in whole numbers"
    return Texts(w.text(), file.header(macros, declarations, about)), plan, w.constant_bytes


def _end(file: File, layer: Layer, number: int, output: str) -> str:
    """Writes the function of a layer in float32 that works in place; returns the call of it."""
    name = file.names(f"{layer_name(layer)}_{number}")
    file.w(comment(f"{describe(layer, number)}, in float32"))
    with file.w.block(f"static void {name}(const float *in, float *out)"):
        layer.emit(file.w, ["in"], "out", "")
    file.w("")
    return f"{name}({output}, {output});"


def _memory(w: Writer, file: File, body: str) -> None:
    """Says where the workspace is, by the names that are used."""
    words = "(int32_t *)workspace" if file.caller else "words"
    if "sums" in body:
        w(f"int32_t *const sums = {words};")
    if "memory" in body:
        w(f"int8_t *const memory = (int8_t *){'workspace' if file.caller else 'words'};")
    if file.caller and "sums" not in body and "memory" not in body:
        w("(void)workspace;")


def _run_int8(file: File, calls: list[str]) -> None:
    w = file.w
    with w.block(f"int {file.name}_run_int8({file.parameters('int8_t')})"):
        w(f"if ({file.checked()}) return -1;")
        _memory(w, file, " ".join(calls))
        w(*calls, "return 0;")
    w("")


def _run(file: File, after: Sequence[str], inputs: Sequence[float], outputs: Sequence[float]) -> None:
    w, net = file.w, file.net
    places = [[plus("memory", str(file.plan.offset(d))) for d in of] for of in (net.inputs, net.outputs)]
    names = [arguments(len(of), what, "") for what, of in (("input", net.inputs), ("output", net.outputs))]
    with w.block(f"int {file.name}_run({file.parameters('float')})"):
        w(f"if ({file.checked()}) return -1;")
        _memory(w, file, "memory")
        for name, place, shape, scale in zip(names[0], places[0], net.input_shapes, inputs, strict=True):
            w(f"quantised({name}, {place}, {math.prod(shape)}, {real(1 / scale)});")
        given = [*places[0], *places[1], *(["workspace"] if file.caller else [])]
        w(f"{file.name}_run_int8({', '.join(given)});")
        for name, place, shape, scale in zip(names[1], places[1], net.output_shapes, outputs, strict=True):
            with w.block(f"for (int i = 0; i < {math.prod(shape)}; ++i)"):
                cell = f"({place})[i]" if " " in place else f"{place}[i]"
                w(f"{name}[i] = {real(scale)} * {cell};")
        w(*(call for call in after if call), "return 0;")
