"""The declarations of C++ headers, as far as the library's own style goes.

Headers go through the compiler's preprocessor, and what comes from other folders is dropped; what stays is
read token by token. There is no look into types: a parameter is its text. Whoever reads the result compiles
it, and the compiler knows.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

TOKEN = re.compile(
    r'\s+|(?P<token>"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|[A-Za-z_]\w*|\d[\w.\']*|::|->|&&|\|\||<=|>=|==|!=|\.\.\.|.)',
    re.S,
)
OPEN, CLOSE = {"(": ")", "[": "]", "{": "}"}, {")", "]", "}"}
FUNDAMENTAL = {"bool", "char", "short", "int", "long", "unsigned", "float", "double"}


@dataclass
class Function:
    namespace: str
    owner: str | None  # the class it is a member of, with the classes around that
    name: str
    params: list[str]  # types alone
    is_static: bool = False
    is_constructor: bool = False
    is_template: bool = False

    @property
    def path(self) -> str:
        return f"{self.owner}::{self.name}" if self.owner else self.name

    @property
    def signature(self) -> str:
        return f"{self.path}({', '.join(self.params)})"


@dataclass
class Class:
    namespace: str
    name: str  # with the classes around it
    is_template: bool = False
    is_abstract: bool = False
    bases: list[str] = field(default_factory=list)
    fields: list[str] = field(default_factory=list)
    hidden_fields: bool = False
    types: set[str] = field(default_factory=set)  # declared within
    functions: list[Function] = field(default_factory=list)
    has_constructor: bool = False  # any but the implicit ones
    has_deleted_copy: bool = False

    @property
    def is_aggregate(self) -> bool:
        return not (
            self.has_constructor or self.hidden_fields or self.is_abstract or self.bases or self.is_template
        )


@dataclass
class Header:
    functions: list[Function] = field(default_factory=list)
    classes: list[Class] = field(default_factory=list)
    enums: list[tuple[str, str, list[str]]] = field(default_factory=list)  # namespace, name, values


# Doors of their own. The first two need other packages' headers; functions of the others take pointers, which
# the caller vouches for: tests/cpp/capi.cpp and tests/cpp/door_kernels_*.cpp give them odd ones.
OTHER_DOORS = {"cnnx/python.h", "cnnx/pybind11.h", "cnnx/c.h", "cnnx/kernels.h"}


def preprocessed(compiler: str, include: Path, flags: list[str]) -> str:
    """All headers under `include` by the compiler's preprocessor, without those of other folders."""
    headers = sorted(path.relative_to(include) for path in include.rglob("*.h"))
    headers = [header for header in headers if str(header) not in OTHER_DOORS]
    source = "".join(f"#include <{header}>\n" for header in headers)
    command = [compiler, "-std=c++20", "-E", "-x", "c++", f"-I{include}", *flags, "-"]
    text = subprocess.run(command, input=source, capture_output=True, text=True, check=True).stdout
    kept, ours = [], False
    for line in text.splitlines():
        marker = re.match(r'# \d+ "([^"]*)"', line)
        if marker:
            ours = Path(marker[1]).is_absolute() and Path(marker[1]).is_relative_to(include)
        elif ours and not line.startswith("#"):
            kept.append(line)
    return "\n".join(kept)


class Reader:
    def __init__(self, text: str) -> None:
        self.tokens = [m["token"] for m in TOKEN.finditer(text) if m["token"]]
        self.at = 0
        self.header = Header()

    def peek(self, ahead: int = 0) -> str:
        if self.at + ahead >= len(self.tokens):
            raise SystemExit(f"cpp_declarations: the text ends within {' '.join(self.tokens[-10:])}")
        return self.tokens[self.at + ahead]

    def balanced(self) -> list[str]:
        """From an opening bracket to what closes it, both included."""
        begin, depth = self.at, 0
        while True:
            token = self.tokens[self.at]
            depth += (token in OPEN) - (token in CLOSE)
            self.at += 1
            if depth == 0:
                return self.tokens[begin : self.at]

    def attributes(self) -> None:
        while (self.peek() == "[" and self.peek(1) == "[") or self.peek() in ("__attribute__", "alignas"):
            if self.peek() != "[":
                self.at += 1
            self.balanced()

    def angles(self) -> list[str]:
        """From < to its >, both included."""
        begin, depth = self.at, 0
        while True:
            token = self.peek()
            if token in OPEN:
                self.balanced()
                continue
            depth += (token == "<") - (token == ">")
            self.at += 1
            if depth == 0:
                return self.tokens[begin : self.at]

    def read(self, namespace: str = "", owner: Class | None = None) -> None:
        """The declarations up to a closing brace or the end."""
        hidden = False
        while self.at < len(self.tokens) and self.peek() != "}":
            self.attributes()
            token = self.peek()
            if token == ";":
                self.at += 1
            elif token in ("public", "private", "protected") and self.peek(1) == ":":
                hidden = token != "public"
                self.at += 2
            elif token in ("namespace", "inline") and "namespace" in (token, self.peek(1)):
                self.namespace(namespace)
            elif token == "extern" and self.peek(1).startswith('"'):
                self.at += 2
                if self.peek() == "{":
                    self.at += 1
                    self.read(namespace, owner)
                    self.at += 1
            elif token in ("using", "typedef", "static_assert"):
                self.using(owner)
            else:
                self.declaration(namespace, owner, hidden)

    def namespace(self, outer: str) -> None:
        while self.peek() != "namespace":
            self.at += 1
        self.at += 1
        self.attributes()
        name = ""
        while self.peek() not in ("{", "="):
            name += self.peek()
            self.at += 1
            self.attributes()
        if self.peek() == "=":
            while self.peek() != ";":
                self.at += 1
            return
        self.at += 1
        self.read(f"{outer}::{name}" if outer else name)
        self.at += 1

    def using(self, owner: Class | None) -> None:
        if owner is not None and self.peek() == "using" and self.peek(2) == "=":
            owner.types.add(self.peek(1))
        while self.peek() != ";":
            if self.peek() in OPEN:
                self.balanced()
            else:
                self.at += 1

    def declaration(self, namespace: str, owner: Class | None, hidden: bool) -> None:
        is_template = self.peek() == "template"
        while self.peek() == "template":
            self.at += 1
            self.angles()
            if self.peek() == "requires":
                self.at += 1
                if self.peek() != "(":
                    raise SystemExit("cpp_declarations: a requires clause without brackets is not read yet")
                self.balanced()
        self.attributes()
        if self.peek() == "enum":
            self.enum(namespace, owner, hidden)
        elif self.peek() in ("class", "struct", "union") and self.is_class():
            self.class_(namespace, owner, is_template, hidden)
        else:
            self.function_or_variable(namespace, owner, is_template, hidden)

    def is_class(self) -> bool:
        """Whether what begins with `class` or `struct` is a class, not a variable of one."""
        i = self.at + 1
        while self.tokens[i] not in (";", "{", "(", "="):
            i += 1
        return self.tokens[i] in (";", "{")

    def enum(self, namespace: str, owner: Class | None, hidden: bool) -> None:
        self.at += 1
        if self.peek() in ("class", "struct"):
            self.at += 1
        self.attributes()
        name = self.peek()
        while self.peek() not in ("{", ";"):
            self.at += 1
        values, fresh = [], True
        if self.peek() == "{":
            for token in self.balanced()[1:-1]:
                if fresh and re.match(r"[A-Za-z_]", token):
                    values.append(token)
                    fresh = False
                elif token == ",":
                    fresh = True
        if owner is not None:
            owner.types.add(name)
            name = f"{owner.name}::{name}"
        if not hidden and values:
            self.header.enums.append((namespace, name, values))

    def class_(self, namespace: str, owner: Class | None, is_template: bool, hidden: bool) -> None:
        is_struct = self.peek() == "struct"
        self.at += 1
        self.attributes()
        name = self.peek()
        self.at += 1
        if owner is not None:
            owner.types.add(name)
        made = Class(namespace, f"{owner.name}::{name}" if owner else name, is_template=is_template)
        if self.peek() == "<":  # a specialisation
            self.angles()
            made.is_template = True
        bases: list[str] = []
        while self.peek() not in ("{", ";"):
            bases += self.angles() if self.peek() == "<" else [self.peek()]
            if self.peek() not in ("{", ";") and bases[-1] != ">":
                self.at += 1
        if self.peek() == ";":
            return
        made.bases = [b for b in bases if b not in ("final", ":", "public", "private", "protected", ",")]
        self.at += 1
        if not is_struct:
            self.tokens[self.at : self.at] = ["private", ":"]
        known = len(self.header.functions), len(self.header.classes), len(self.header.enums)
        self.read(namespace, made)
        self.at += 1
        self.header.classes.append(made)
        if hidden:
            del (
                self.header.functions[known[0] :],
                self.header.classes[known[1] :],
                self.header.enums[known[2] :],
            )
        while self.peek() != ";":
            self.at += 1

    def function_or_variable(
        self, namespace: str, owner: Class | None, is_template: bool, hidden: bool
    ) -> None:
        before: list[str] = []
        while True:
            token = self.peek()
            if token == "operator":
                before.append(token)
                self.at += 1
                symbol = ""
                while self.peek() != "(" or not symbol:
                    if self.peek() == "(":
                        symbol += "".join(self.balanced())
                    else:
                        symbol += (" " if symbol and symbol[-1].isalnum() else "") + self.peek()
                        self.at += 1
                before[-1] = f"operator{' ' if symbol[0].isalpha() else ''}{symbol}"
                break
            if token == "(" or token in (";", "=", "{", ":"):
                break
            if token == "<":
                before.append("".join(self.angles()))
                continue
            if token == "[":
                before.append("".join(self.balanced()))
                continue
            if token == "__attribute__":
                self.attributes()
                continue
            before.append(token)
            self.at += 1
        if self.peek() != "(" or self.peek(1) == "*":
            self.variable(before, owner, hidden)
            return
        params = self.balanced()[1:-1]
        self.function(namespace, owner, is_template, hidden, before, params)

    def variable(self, before: list[str], owner: Class | None, hidden: bool) -> None:
        if self.peek() == "(":  # a pointer to a function
            before = [*before, self.peek(2)]
        last = [i - 1 for i, token in enumerate(before) if token == ","] + [len(before) - 1]
        names, expect = [before[i] if not before[i].startswith("[") else before[i - 1] for i in last], False
        while self.peek() != ";":
            token = self.peek()
            if token in OPEN:
                self.balanced()
                continue
            if token == ",":  # of `int a = 0, b = 1`; no initialiser has one outside of brackets
                expect = True
            elif expect and re.match(r"[A-Za-z_]", token):
                names.append(token)
                expect = False
            self.at += 1
        if owner is None or "static" in before or "friend" in before:
            return
        if hidden:
            owner.hidden_fields = True
        else:
            owner.fields += names

    def function(
        self,
        namespace: str,
        owner: Class | None,
        is_template: bool,
        hidden: bool,
        before: list[str],
        params: list[str],
    ) -> None:
        name = before[-1]
        destructor = "~" in before
        rest: list[str] = []
        while self.peek() not in (";", "{"):
            if self.peek() == ":":  # initialisers of members
                self.at += 1
                while True:
                    while self.peek() not in ("(", "{"):
                        self.at += 1
                    self.balanced()
                    if self.peek() != ",":
                        break
                break
            if self.peek() in OPEN:
                self.balanced()
                continue
            rest.append(self.peek())
            self.at += 1
        if self.peek() == "{":
            self.balanced()
        short = owner.name.split("::")[-1] if owner else ""
        is_constructor = owner is not None and name == short and not destructor
        types = split_params(params)
        if owner is not None and is_constructor:
            own = [t.replace("const ", "").rstrip("&") for t in types] == [short]
            if own and "delete" in rest:
                owner.has_deleted_copy = True
            if not own:
                owner.has_constructor = True
            if own:
                return
        if owner is not None and "= 0" in " ".join(rest[-2:]):
            owner.is_abstract = True
        if "::" in before[-2:-1]:  # the definition of a member, which its class declares
            return
        if hidden or destructor or "delete" in rest or "friend" in before or name == "operator=":
            return
        found = Function(
            namespace,
            owner.name if owner else None,
            name,
            types,
            "static" in before,
            is_constructor,
            is_template,
        )
        if owner is not None:
            owner.functions.append(found)
        self.header.functions.append(found)


def split_params(tokens: list[str]) -> list[str]:
    """The types in a list of parameters, without names and defaults."""
    params: list[list[str]] = [[]]
    depth = angles = 0
    for token in tokens:
        depth += (token in OPEN) - (token in CLOSE)
        if depth == 0:
            angles += (token == "<") - (token == ">")
        if token == "," and depth == 0 and angles == 0:
            params.append([])
        else:
            params[-1].append(token)
    return [type_of(p) for p in params if p and p != ["void"]]


def type_of(tokens: list[str]) -> str:
    depth = angles = 0
    for i, token in enumerate(tokens):
        depth += (token in OPEN) - (token in CLOSE)
        angles += (token == "<") - (token == ">")
        if token == "=" and depth == 0 and angles == 0:
            tokens = tokens[:i]
            break
    # A name stands last, behind the type: "const Tensor & input", "int dim".
    last = len(tokens) - 1
    is_name = re.match(r"[A-Za-z_]", tokens[last]) and tokens[last] not in FUNDAMENTAL
    if is_name and last > 0 and tokens[last - 1] != "::" and tokens[:last] != ["const"]:
        tokens = tokens[:last]
    return re.sub(r" ?(::|<|>|&|,|\(|\)|\*) ?", lambda m: ", " if m[1] == "," else m[1], " ".join(tokens))


def declarations(compiler: str, include: Path, flags: list[str]) -> Header:
    """All that the headers under `include` declare for their users."""
    reader = Reader(preprocessed(compiler, include, flags))
    reader.read()
    if reader.at != len(reader.tokens):
        raise SystemExit("cpp_declarations: a brace closes nothing")
    return reader.header
