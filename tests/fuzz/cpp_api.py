"""Writes the calls of every public C++ function that tests/fuzz/cpp_api.cpp makes, from the headers.

    python tests/fuzz/cpp_api.py --compiler g++ --include csrc/include --out build/fuzz_calls

A function, constructor or method that a header declares gets a call, whose arguments `Maker<T>` (cpp_api.h)
makes by their types: a new one is fuzzed without anybody's doing. A type that has no maker does not compile;
what cannot be called so stands in LEFT_OUT with its reason, and an entry that fits nothing any more is an
error.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from cpp_declarations import Class, Function, Header, declarations

POINTERS = "a pointer and a size, or an address, that the caller vouches for"
INSIDE = "for the library itself, which installs it for its inline functions"
# By path, or by path and parameters; `X::*` is all of a class, `x::y::*` of a namespace.
LEFT_OUT = {
    "nn::*": "layers hold what they were made of; tests/cpp/nn_odd.cpp gives them odd arguments",
    "optim::*": "the same of optimizers and schedules",
    "data::*": "the same of data sets and loaders",
    "Compiled::*": "a template; tests/cpp/nn_odd.cpp",
    "CallPlans::*": "what Compiled is made of",
    "compile": "a template; tests/cpp/nn_odd.cpp",
    "detail::*": INSIDE,
    "message": "a template, in use by every error",
    "Storage::*": "what tensors share; needs an allocator, and no header makes one",
    "InlineVector::*": "a container like std::vector, as unchecked; tests/cpp/core_basics.cpp",
    "Tensor::Tensor(std::shared_ptr<TensorImpl>)": "of a tensor's inside, which no header fills",
    "Tensor::empty(const Dims&, const TensorOptions&, Allocator&)": "no header makes an allocator",
    "Tensor::empty_lanes": "no header makes an allocator",
    "Tensor::empty_later": "no header makes an allocator",
    "Tensor::from_memory": POINTERS + "; the makers of tensors call it",
    "Tensor::lanes_data": "only for a tensor in lanes, of which there is no other use",
    "Tensor::data": "a template; called for floats by read() of every result",
    "Tensor::pointer": "a template",
    "Dims::Dims(std::initializer_list<int64_t>)": "has no other form than a literal",
    "Dims::Dims(Iterator, Iterator)": "a template",
    "Dims::begin": POINTERS,
    "Dims::end": POINTERS,
    "dispatch": "a template",
    "dispatch_floating": "a template",
    "dtype_of": "a template",
    "holds": "a template",
    "Number::Number(T)": "a template; the maker calls it",
    "Number::wrapped": "a template",
    "Number::fits": "a template",
    "Number::to": "a template",
    "TensorOrNumber::TensorOrNumber(T)": "a template; the maker calls it",
    "TensorData::TensorData(T)": "a template; the maker calls it",
    "TensorData::TensorData(std::initializer_list<TensorData>)": "the same",
    "tensor(const Range&, const CreateOptions&)": "a template; tests/cpp/ops_create.cpp",
    "tensor_of": POINTERS,
    "operator<<(std::ostream&, const Tensor&)": "writes what to_string gives",
    "Needs::*": "only the library makes one, for a gradient",
    "GradHooks::*": "what register_hook fills and a backward pass runs",
    "needs_grad(std::initializer_list<Tensor>)": "has no other form than a literal",
    "PackedValue::*": "for the user to derive from; the maker does",
    "OnnxNet::OnnxNet(std::shared_ptr<const State>)": "of a net's inside, which no header makes",
    "parse_onnx": POINTERS + "; tests/fuzz/readers",
    "parse_idx": POINTERS + "; tests/fuzz/readers",
    "idx_size": POINTERS + "; tests/fuzz/readers",
    "parse_safetensors": POINTERS + "; tests/fuzz/readers",
    "save_safetensors": "writes files; serialize_safetensors does all but that",
    "set_num_threads": "starts threads, for the calls behind it; tests/cpp/kernels_parallel.cpp",
}


def is_listed(f: Function, unused: set[str]) -> bool:
    outer = f.namespace.split("::")[1:]
    paths = [f.path, f.signature, *(f"{'::'.join(outer[: i + 1])}::*" for i in range(len(outer)))]
    if f.owner:
        paths += [f"{f.owner.split('::')[0]}::*", f"{f.owner}::*"]
    found = [p for p in paths if p in LEFT_OUT]
    unused.difference_update(found)
    return bool(found)


def qualified(text: str, owner: Class | None) -> str:
    """The type of a parameter as it reads outside of the class."""
    for name in owner.types if owner else ():
        text = re.sub(rf"(?<![\w:]){name}\b", f"{owner.name}::{name}", text)  # type: ignore[union-attr]
    return text


def call_of(f: Function, owner: Class | None, name: str) -> str:
    types = [qualified(t, owner) for t in f.params]
    params = [f"{t} a{i}" if "(*)" not in t else t.replace("(*)", f"(*a{i})") for i, t in enumerate(types)]
    given = ", ".join(f"static_cast<decltype(a{i})&&>(a{i})" for i in range(len(types)))
    if f.is_constructor:
        body = (
            f"{{ const {f.owner} made{{{given}}}; (void)made; }}"
            if given
            else f"{{ const {f.owner} made; (void)made; }}"
        )
        # Braces would prefer a list; a constructor is called by parentheses, which a declaration needs apart.
        if given:
            body = f"{{ [[maybe_unused]] const {f.owner} made({given}); }}"
        return f'f.call("{name}", +[]({", ".join(params)}) {body});'
    if f.owner is None or f.is_static:
        target = f"{f.owner}::{f.name}" if f.owner else f"{f.namespace}::{f.name}"
        return (
            f'f.call("{name}", +[]({", ".join(params)}) -> decltype(auto) {{ return {target}({given}); }});'
        )
    all_params = ", ".join([f"{f.owner}& self", *params])
    body = f"{{ return self.{f.name}({given}); }}"
    return f'f.call("{name}", +[]({all_params}) -> decltype(auto) {body});'


def makers(header: Header) -> str:
    text = ""
    for namespace, name, values in header.enums:
        full = f"{namespace}::{name}"
        listed = ", ".join(f"{full}::{v}" for v in values)
        text += f"template <>\nstruct Maker<{full}> : EnumMaker<{full}, {listed}> {{}};\n"
    for c in header.classes:
        if not c.is_aggregate or not c.fields or "detail" in c.namespace:
            continue
        fields = "".join(f"    f.maybe(value.{field});\n" for field in c.fields)
        full = f"{c.namespace}::{c.name}"
        make = f"  static {full} make(Fuzz& f) {{\n    {full} value{{}};\n{fields}    return value;\n  }}\n"
        text += f"template <>\nstruct Maker<{full}> {{\n{make}}};\n"
    return text


def write(path: Path, text: str) -> None:
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--compiler", required=True)
    parser.add_argument("--include", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="a folder")
    parser.add_argument("--files", type=int, default=4, help="as many parts, which compile side by side")
    parser.add_argument("flags", nargs="*", help="for the preprocessor, behind --")
    args = parser.parse_args()
    header = declarations(args.compiler, args.include.resolve(), args.flags)
    classes = {(c.namespace, c.name): c for c in header.classes}
    unused = set(LEFT_OUT)
    calls: list[str] = []
    templates: list[str] = []
    seen: set[str] = set()
    for f in header.functions:
        owner = classes[f.namespace, f.owner] if f.owner else None
        if is_listed(f, unused):
            continue
        if f.is_template or (owner is not None and owner.is_template):
            templates.append(f.signature)
            continue
        if owner is not None and owner.is_abstract and f.is_constructor:
            continue
        full = f"{f.namespace}::{f.signature}"
        if full in seen:  # const and not, of which the call takes one
            continue
        seen.add(full)
        inner = "::".join([*f.namespace.split("::")[1:], f.path])
        body = call_of(f, owner, inner)
        calls.append(
            f"namespace {f.namespace} {{\nvoid fuzz_call_{len(calls)}(fuzz::Fuzz& f) {{ {body} }}\n}}\n"
        )
    if templates:
        raise SystemExit(
            f"cpp_api: templates are called by hand and named in LEFT_OUT: {', '.join(templates)}"
        )
    if unused:
        raise SystemExit(
            f"cpp_api: nothing fits these entries of LEFT_OUT any more: {', '.join(sorted(unused))}"
        )
    args.out.mkdir(parents=True, exist_ok=True)
    write(args.out / "makers.inc", makers(header))
    for part in range(args.files):
        chosen = calls[part :: args.files]
        write(args.out / f"calls_{part}.cpp", '#include "cpp_api.h"\n\n' + "\n".join(chosen))
    declared = [re.search(r"namespace (\S+) \{\nvoid (fuzz_call_\d+)", c) for c in calls]
    names = [(m[1], m[2]) for m in declared if m]
    table = "".join(f"namespace {n} {{ void {f}(fuzz::Fuzz&); }}\n" for n, f in names)
    table += (
        "void (*const fuzz::calls[])(Fuzz&) = {\n" + "".join(f"    {n}::{f},\n" for n, f in names) + "};\n"
    )
    write(args.out / "table.inc", table + f"const int fuzz::call_count = {len(calls)};\n")
    print(f"cpp_api: {len(calls)} calls of {len(header.functions)} declarations")


if __name__ == "__main__":
    main()
