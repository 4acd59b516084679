"""Pickles of plain values, read without running anything.

Nothing that a pickle names is imported or called: a name becomes a `Named`, a call a `Call`, and what they
mean is for the reader of the format to say. Only what a pickle of lists, dicts, tuples, strings and numbers
needs is understood; the sizes in it are held against what there is before anything of that size is made.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from typing import IO, Any, NamedTuple, NoReturn

PLAIN = (str, int, float, bool, type(None))


class Named(NamedTuple):
    """A class or function, by name alone."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


class Call:
    """What a function or class would have made of arguments, if it had been called."""

    __slots__ = ("arguments", "function", "has_state", "state")

    def __init__(self, function: Named, arguments: tuple[Any, ...]) -> None:
        self.function, self.arguments = function, arguments
        self.has_state = False  # whether more was to be put into it
        self.state: Any = None


ORDERED_DICT = Named("collections", "OrderedDict")


class Ordered(dict[Any, Any]):
    """An OrderedDict, which may have attributes: a `state_dict()` keeps the versions of its modules so."""

    attributes: Mapping[Any, Any] = {}


# Operations that push their argument.
VALUES = {
    "BININT", "BININT1", "BININT2", "INT", "LONG", "LONG1", "LONG4", "BINFLOAT", "FLOAT",
    "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "UNICODE", "SHORT_BINSTRING", "BINSTRING", "STRING",
    "BINBYTES", "SHORT_BINBYTES",
}  # fmt: skip
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def load(stream: IO[bytes], elsewhere: Callable[[Any], Any] | None = None) -> Any:
    """The value of the pickle at the stream's position, which is moved behind it.

    Parameters
    ----------
    stream
        Its `read` must not make room for more than it has, or a length in the pickle could ask for much.
    elsewhere
        Gives what stands for a reference to something outside the pickle. Default: there must be none.

    Returns
    -------
    Any
        Lists, dicts, tuples and plain values, and `Named`, `Call` and what `elsewhere` gave within them.

    Raises
    ------
    ValueError
        If it holds an operation or a key that is not for plain values.
    Exception
        Of whatever kind, if it is damaged: an IndexError if a value is missing, a KeyError if a name is.
    """
    machine = _Machine(elsewhere)
    for opcode, argument, _ in pickletools.genops(stream):
        if opcode.name in VALUES:
            machine.stack.append(argument)
        elif opcode.name in CONSTANTS:
            machine.stack.append(CONSTANTS[opcode.name])
        elif opcode.name == "STOP":
            break
        else:
            machine.do(opcode.name, argument)
    return machine.stack.pop()


class _Machine:
    """The pickle machine: a stack of values, the stacks below the open marks, and what is kept by number."""

    def __init__(self, elsewhere: Callable[[Any], Any] | None) -> None:
        self.elsewhere = elsewhere
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def do(self, name: str, argument: Any) -> None:
        stack = self.stack
        match name:
            case "PROTO" | "FRAME":
                pass
            case "BINPUT" | "LONG_BINPUT" | "PUT":
                self.memo[argument] = stack[-1]
            case "MEMOIZE":
                self.memo[len(self.memo)] = stack[-1]
            case "BINGET" | "LONG_BINGET" | "GET":
                stack.append(self.memo[argument])
            case "MARK":
                self.below.append(stack)
                self.stack = []
            case "POP":
                stack.pop()
            case "POP_MARK":
                self.since_mark()
            case "EMPTY_DICT":
                stack.append({})
            case "EMPTY_LIST":
                stack.append([])
            case "TUPLE":
                self.push_over_mark(tuple(stack))
            case "LIST":
                self.push_over_mark(stack)
            case "DICT":
                self.push_over_mark(_filled({}, stack))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                items = self.top(TUPLES[name])
                stack.append(tuple(items))
            case "APPEND":
                item = stack.pop()
                _of_type(stack[-1], list).append(item)
            case "APPENDS":
                items = self.since_mark()
                _of_type(self.stack[-1], list).extend(items)
            case "SETITEM":
                items = self.top(2)
                _filled(stack[-1], items)
            case "SETITEMS":
                items = self.since_mark()
                _filled(self.stack[-1], items)
            case "GLOBAL":
                stack.append(Named(*argument.split(" ", 1)))
            case "STACK_GLOBAL":
                module, what = self.top(2)
                stack.append(Named(_of_type(module, str), _of_type(what, str)))
            case "BINPERSID" if self.elsewhere is not None:
                stack.append(self.elsewhere(stack.pop()))
            case "REDUCE" | "NEWOBJ":
                function, arguments = self.top(2)
                stack.append(_called(_of_type(function, Named), _of_type(arguments, tuple)))
            case "BUILD":
                state = stack.pop()
                if isinstance(stack[-1], Call):
                    stack[-1].has_state, stack[-1].state = True, state
                elif isinstance(stack[-1], Ordered):
                    stack[-1].attributes = _of_type(state, dict)
                else:
                    raise ValueError(f"there is a {type(stack[-1]).__name__} with attributes in it")
            case _:
                raise ValueError(f"the operation {name} in it is not for plain values")

    def top(self, count: int) -> list[Any]:
        """Takes so many values off."""
        if len(self.stack) < count:
            raise IndexError("a value is missing in it")
        items = self.stack[-count:]
        del self.stack[-count:]
        return items

    def since_mark(self) -> list[Any]:
        """Takes off what is above the last mark, and the mark."""
        items, self.stack = self.stack, self.below.pop()
        return items

    def push_over_mark(self, value: Any) -> None:
        self.since_mark()
        self.stack.append(value)


def _called(function: Named, arguments: tuple[Any, ...]) -> Any:
    if function != ORDERED_DICT:
        return Call(function, arguments)
    result = Ordered()
    for pairs in arguments:
        for key, value in _of_type(pairs, list):
            _filled(result, [key, value])
    return result


def _filled(target: Any, items: list[Any]) -> dict[Any, Any]:
    """A dict with the items, keys and values in turn, put into it."""
    result: dict[Any, Any] = _of_type(target, dict)
    if len(items) % 2:
        raise IndexError("a value is missing in it")
    for key, value in zip(items[::2], items[1::2], strict=True):
        # Not of anything: the hash of a tuple of tuples may take for ever.
        if not isinstance(key, PLAIN) and not (type(key) is tuple and all(isinstance(k, PLAIN) for k in key)):
            raise ValueError(f"a key in it is a {type(key).__name__}")
        result[key] = value
    return result


def _of_type(value: Any, kind: type) -> Any:
    if type(value) is not kind and not (kind is dict and type(value) is Ordered):
        _wrong(value, kind)
    return value


def _wrong(value: Any, kind: type) -> NoReturn:
    raise ValueError(f"there is a {type(value).__name__} in it where a {kind.__name__} must be")
