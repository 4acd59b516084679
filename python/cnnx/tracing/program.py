"""Recorded passes as one program: values that never change, made by calls.

Passes with batches of several sizes are read side by side. Each must have made the same calls; what differs
in their extents and attributes follows the batch, or varies. Memory is followed, so that views and changes in
place become values: a change through a view makes a new value of the whole, and whoever reads the memory
later through another view gets a part of that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

from cnnx import _C
from cnnx.tracing.extent import Extent, Follows, Varies, fit
from cnnx.tracing.record import Pass

Recorded = Sequence[_C.RecordedTensor]  # one for each pass
SIZE, VALUES = "the size of the batch", "its values"


@dataclass(eq=False)
class Value:
    """A tensor at one moment."""

    shapes: list[tuple[int, ...]]  # in each pass
    shape: list[Extent]
    dtype: Any
    maker: Call | None = None
    traced: bool = False  # it depends on the inputs of the model
    recorded: Recorded = ()  # where it lay; empty for parts of a program that no call made

    @property
    def layer(self) -> str:
        """The layer that made it."""
        return self.maker.layer if self.maker is not None else ""

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self.shape)

    @property
    def follows(self) -> bool:
        """Whether an extent differs between the passes."""
        return any(not isinstance(extent, int) for extent in self.shape)


@dataclass(eq=False)
class Call:
    """A call of an op."""

    op: str
    layer: str
    attributes: dict[str, Any]  # with what follows the batch, or varies
    inputs: list[Value | None]
    results: list[Value | None] = field(default_factory=list)
    sizes: Sequence[int] = ()  # of the batches of the passes
    unread: set[int] = field(default_factory=set)  # which inputs it overwrites without reading them
    by: str = ""  # the exporter, for errors

    @property
    def place(self) -> str:
        """The op and its layer, for errors."""
        return f"{self.op} ({self.layer})" if self.layer else self.op

    @property
    def differs(self) -> str:
        """What the passes differ in."""
        return SIZE if len(set(self.sizes)) > 1 else VALUES

    def __getitem__(self, name: str) -> Any:
        """An attribute that must be the same in all passes."""
        value = self.attributes[name]
        if any(isinstance(v, (Follows, Varies)) for v in (value if isinstance(value, list) else [value])):
            raise ValueError(f"{self.by}: an argument of {self.place} depends on {self.differs}")
        return value

    def read(self) -> Iterator[Value]:
        """The inputs that it reads."""
        for i, value in enumerate(self.inputs):
            if value is not None and i not in self.unread:
                yield value


@dataclass(eq=False)
class Memory:
    """What a storage holds: its views that are up to date, by their geometry.

    `wholes` are the geometries that show all of it; one of them at least is always up to date.
    """

    views: dict[Any, Value]
    wholes: list[Any]
    versions: list[int]

    def shows_all(self, where: Any) -> bool:
        """Whether a view shows all there is, in the order in which it lies."""
        if where not in self.wholes:
            for a, b in zip(self.wholes[0], where, strict=True):
                if (
                    a[0] != b[0]
                    or prod(a[1]) != prod(b[1])
                    or not (is_contiguous(*a[1:]) and is_contiguous(*b[1:]))
                ):
                    return False
            self.wholes.append(where)
        return True

    def whole(self) -> Value:
        """All of it, in one of its shapes."""
        return next(self.views[where] for where in self.wholes if where in self.views)


def geometry(tensors: Recorded) -> tuple[Any, ...]:
    """How tensors lie in their storages: offset, shape and strides in each pass."""
    return tuple(
        (t.tensor.storage_offset(), tuple(t.tensor.shape), tuple(t.tensor.stride())) for t in tensors
    )


def is_contiguous(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Row-major without gaps."""
    expected = 1
    for extent, step in zip(reversed(shape), reversed(strides), strict=True):
        if extent != 1 and step != expected:
            return False
        expected *= extent
    return True


def part_of(whole: Any, view: Any) -> dict[str, Any] | None:
    """What a view shows of a whole, like the attributes of a slice; None if that is no such part."""
    (offset, shape, strides), (at, extents, steps) = whole, view
    inner = sorted((d for d in range(len(shape)) if shape[d] > 1), key=lambda d: -strides[d])
    if any(strides[d] == 0 for d in inner):
        return None
    rest, start = at - offset, [0] * len(shape)
    for d in inner:
        start[d], rest = divmod(rest, strides[d])
    source, step = [], []
    for extent, by in zip(extents, steps, strict=True):
        d = next((d for d in inner if by >= strides[d]), -1) if extent > 1 and by > 0 else -1
        if d >= 0 and (by % strides[d] or d in source):
            return None
        source.append(d)
        step.append(by // strides[d] if d >= 0 else 0)
    ends = {d: start[d] + (e - 1) * s for d, e, s in zip(source, extents, step, strict=True) if d >= 0}
    if (
        rest
        or at < offset
        or any(start[d] >= shape[d] or ends.get(d, 0) >= shape[d] for d in range(len(shape)))
    ):
        return None
    return {"shape": list(extents), "step": step, "start": start, "source": source}


class Program:
    """The calls of several passes, side by side.

    Parameters
    ----------
    passes
        The passes.
    sizes
        The sizes of their batches, all different or all the same.
    by
        The exporter, for errors.
    """

    def __init__(self, passes: Sequence[Pass], sizes: Sequence[int], by: str) -> None:
        self.sizes = sizes
        self.by = by
        self.differs = SIZE if sizes[0] != sizes[1] else VALUES
        self.calls: list[Call] = []
        self._memory: dict[tuple[int, ...], Memory] = {}
        self._of_pass: list[dict[int, tuple[int, ...]]] = [{} for _ in passes]
        counts = {len(one.calls) for one in passes} | {-len(one.outputs) for one in passes}
        if len(counts) > 2:
            raise self._different()
        self.inputs = [self._external(list(tensors)) for tensors in self._side_by_side(passes, "inputs")]
        for value in self.inputs:
            value.traced = True
        for i, calls in enumerate(self._side_by_side(passes, "calls")):
            self._add(calls, passes[0].layers[i])
        self.outputs = [self._value(tensors, "output") for tensors in self._side_by_side(passes, "outputs")]

    @staticmethod
    def _side_by_side(passes: Sequence[Pass], what: str) -> Iterator[tuple[Any, ...]]:
        return zip(*(getattr(one, what) for one in passes), strict=True)

    def _different(self) -> ValueError:
        return ValueError(f"{self.by}: what the model computes depends on {self.differs}")

    def _add(self, calls: Sequence[_C.RecordedCall], layer: str) -> None:
        one = calls[0]
        attributes = [call.attributes for call in calls]
        alike = {(c.op, len(c.inputs), len(c.results), c.is_read) for c in calls}
        if len(alike) > 1 or any(a.keys() != attributes[0].keys() for a in attributes):
            raise self._different()
        merged = {name: fit([a[name] for a in attributes], self.sizes) for name in attributes[0]}
        unread = {i for i, t in enumerate(one.inputs) if t is not None and t.is_unread}
        call = Call(one.op, layer, merged, [], sizes=self.sizes, unread=unread, by=self.by)
        for tensors in zip(*(c.inputs for c in calls), strict=True):
            call.inputs.append(self._value(tensors, call.place) if self._given(tensors) else None)
        traced = any(value.traced for value in call.read())
        if one.is_read:
            if traced:
                raise NotImplementedError(
                    f"{self.by}: {call.place} takes a value out of the traced pass: a model whose course "
                    "depends on its values cannot be exported"
                )
            return
        self.calls.append(call)
        for tensors in zip(*(c.results for c in calls), strict=True):
            value = None
            if self._given(tensors):
                value = self._new(tensors, call, traced)
                self._made(value, one.is_view)
            call.results.append(value)

    def _given(self, tensors: Recorded) -> bool:
        if len({t is None for t in tensors}) > 1:
            raise self._different()
        return tensors[0] is not None

    def _new(self, tensors: Recorded, maker: Call | None, traced: bool = False) -> Value:
        shapes = [tuple(t.tensor.shape) for t in tensors]
        if len({len(shape) for shape in shapes}) > 1 or len({t.tensor.dtype for t in tensors}) > 1:
            raise self._different()
        extents = [fit(column, self.sizes) for column in zip(*shapes, strict=True)]
        return Value(shapes, extents, tensors[0].tensor.dtype, maker, traced, tensors)

    def _storage(self, tensors: Recorded) -> tuple[int, ...]:
        """The storages of the passes that correspond to each other."""
        key = tuple(t.storage for t in tensors)
        for known, storage in zip(self._of_pass, key, strict=True):
            if known.setdefault(storage, key) != key:
                raise self._different()
        return key

    def _external(self, tensors: Recorded) -> Value:
        """A tensor that no call has made."""
        value = self._new(tensors, None)
        where = geometry(tensors)
        self._memory[self._storage(tensors)] = Memory({where: value}, [where], [t.version for t in tensors])
        return value

    def _value(self, tensors: Recorded, place: str) -> Value:
        """What these tensors hold now."""
        memory = self._memory.get(self._storage(tensors))
        if memory is None:
            return self._external(tensors)
        if memory.versions != [t.version for t in tensors]:
            raise NotImplementedError(
                f"{self.by}: {place} uses memory that was changed by something else than an op, or by one "
                "with statistics of its own; that cannot be traced"
            )
        where = geometry(tensors)
        if where not in memory.views:
            whole = memory.whole()
            if whole.maker is None and not whole.traced:
                memory.views[where] = self._new(tensors, None)
            elif memory.shows_all(where):
                memory.views[where] = self._made_of(
                    [whole], Call("reshape", whole.layer, {}, []), self._new(tensors, None)
                )
            else:
                basis, call = self._part("slice", memory, where, place)
                memory.views[where] = self._made_of([basis], call, self._new(tensors, None))
        return memory.views[where]

    def _made_of(self, inputs: Sequence[Value], call: Call, result: Value) -> Value:
        """Adds a call that nobody made, and its result."""
        call.sizes, call.inputs, call.results, call.by = self.sizes, list(inputs), [result], self.by
        self.calls.append(call)
        result.maker, result.traced = call, any(value.traced for value in inputs)
        return result

    def _part(self, op: str, memory: Memory, where: Any, place: str) -> tuple[Value, Call]:
        """The whole in a shape of which the view is a part, and a call whose attributes say which."""
        for basis in memory.wholes:
            found = [part_of(a, b) for a, b in zip(basis, where, strict=True)]
            parts = [part for part in found if part is not None]
            if len(parts) < len(found):
                continue
            merged = {name: fit([part[name] for part in parts], self.sizes) for name in parts[0]}
            whole = memory.whole()
            if basis not in memory.views:
                shapes = [shape for _, shape, _ in basis]
                extents = [fit(column, self.sizes) for column in zip(*shapes, strict=True)]
                shaped = Value(shapes, extents, whole.dtype)
                memory.views[basis] = self._made_of([whole], Call("reshape", whole.layer, {}, []), shaped)
            return memory.views[basis], Call(op, whole.layer, merged, [])
        raise NotImplementedError(
            f"{self.by}: {place} uses memory that was changed in place through another view of it, of "
            "which it sees no part that can be traced; use the op that is not in place"
        )

    def _made(self, value: Value, is_view: bool) -> None:
        """Takes a result in: new memory, a further view, or a change."""
        tensors, where = value.recorded, geometry(value.recorded)
        key, versions = self._storage(tensors), [t.version for t in tensors]
        memory = self._memory.get(key)
        if memory is None:
            self._memory[key] = Memory({where: value}, [where], versions)
            return
        if is_view:
            # The same elements again are the same value, but for a part that a larger batch would cut off.
            cut = value.maker.attributes.get("cut", 0) if value.maker is not None else 0
            if where not in memory.views or cut != 0:
                memory.views[where] = value
            memory.shows_all(where)
            return
        memory.versions = versions
        if memory.shows_all(where):
            memory.views = {where: value}
            return
        assert value.maker is not None
        before, call = self._part("write", memory, where, value.maker.place)
        after = self._made_of([before, value], call, Value(before.shapes, before.shape, before.dtype))
        basis = next(basis for basis in memory.wholes if memory.views.get(basis) is before)
        memory.views = {basis: after, where: value}
