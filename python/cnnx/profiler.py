"""What a program's time goes into: every call of an op with its shapes, time, operations and bytes.

Examples
--------
>>> import cnnx
>>> from cnnx.profiler import profile
>>> net = cnnx.nn.Linear(4, 2)
>>> with profile() as run:
...     _ = net(cnnx.ones(3, 4)).sum()
>>> sorted(row.key for row in run.key_averages())
['full', 'linear', 'sum']
"""

from __future__ import annotations

import contextlib
import enum
import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cnnx import _C
from cnnx.files import write_file

__all__ = [
    "EventList",
    "FunctionEvent",
    "ProfilerAction",
    "ProfilerActivity",
    "profile",
    "record_function",
    "schedule",
    "tensorboard_trace_handler",
]


class ProfilerActivity(enum.Enum):
    """Where time is taken: on the CPU always; on a GPU, by events around each call, where calls run there."""

    CPU = 0
    CUDA = 2


class ProfilerAction(enum.Enum):
    """What a step of a `schedule` does."""

    NONE = 0
    WARMUP = 1
    RECORD = 2
    RECORD_AND_SAVE = 3


class FunctionEvent(NamedTuple):
    """One call of an op, or one block of `record_function`.

    Attributes
    ----------
    name : str
    input_shapes : tuple of tuple of int
    thread : int
        Threads are numbered as they come.
    start, end : float
        Microseconds since the profile began.
    flops : float
        Floating-point operations. Convolutions, dense layers and products of matrices count two for each
        multiply-add, all other ops one for each element of their results (updates: of what they read).
    bytes : float
        Of the inputs and results.
    device_time : float
        Microseconds on the GPU, 0 for a call on the CPU.
    is_label : bool
        Whether it is a block of `record_function`.
    self_time : float
        Microseconds without those of the calls within.
    """

    name: str
    input_shapes: tuple[tuple[int, ...], ...]
    thread: int
    start: float
    end: float
    flops: float
    bytes: float
    device_time: float
    is_label: bool
    self_time: float

    @property
    def key(self) -> str:
        """The name."""
        return self.name

    @property
    def cpu_time(self) -> float:
        """Microseconds from start to end."""
        return self.end - self.start


class Average:
    """All calls of one op, or of one op with inputs of the same shapes. Times are in microseconds.

    Attributes
    ----------
    key : str
        The op's name.
    input_shapes : tuple of tuple of int
        Empty if calls of all shapes are taken together.
    count : int
    cpu_time_total, self_cpu_time_total, device_time_total : float
    flops, bytes : float
        Of all calls.
    """

    def __init__(self, key: str, input_shapes: tuple[tuple[int, ...], ...], is_label: bool) -> None:
        self.key = key
        self.input_shapes = input_shapes
        self.is_label = is_label
        self.count = 0
        self.cpu_time_total = self.self_cpu_time_total = self.device_time_total = 0.0
        self.flops = self.bytes = 0.0

    def _add(self, event: FunctionEvent) -> None:
        self.count += 1
        self.cpu_time_total += event.cpu_time
        self.self_cpu_time_total += event.self_time
        self.device_time_total += event.device_time
        self.flops += event.flops
        self.bytes += event.bytes

    @property
    def cpu_time(self) -> float:
        """The average of a call."""
        return self.cpu_time_total / self.count

    @property
    def device_time(self) -> float:
        """The average of a call on the GPU."""
        return self.device_time_total / self.count

    @property
    def cuda_time_total(self) -> float:
        """`device_time_total`."""
        return self.device_time_total

    @property
    def busy_time(self) -> float:
        """The time that operations and bytes are to be divided by: on the GPU, else that of the CPU."""
        return self.device_time_total or self.self_cpu_time_total


_SORTED_BY = {
    "count",
    "cpu_time",
    "cpu_time_total",
    "self_cpu_time_total",
    "device_time",
    "device_time_total",
    "flops",
    "bytes",
}


def _time(microseconds: float) -> str:
    if microseconds >= 1e6:
        return f"{microseconds / 1e6:.3f} s"
    return f"{microseconds / 1e3:.3f} ms" if microseconds >= 1e3 else f"{microseconds:.3f} us"


def _amount(number: float) -> str:
    for unit, scale in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= scale:
            return f"{number / scale:.2f} {unit}"
    return f"{number:.0f}"


def _lines(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    body = [list(row) for row in rows]
    widths = [max(len(row[i]) for row in [list(header), *body]) for i in range(len(header))]
    rule = "  ".join("-" * width for width in widths)

    def line(cells: Sequence[str]) -> str:
        first, *others = (cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
        return "  ".join([first.strip().ljust(widths[0]), *others]).rstrip()

    return [rule, line(header), rule, *map(line, body), rule]


class EventList(list[Any]):
    """Averages, as `profile.key_averages` gives them, the most expensive first."""

    def __init__(self, rows: Iterable[Average], peak: float, by_shape: bool) -> None:
        super().__init__(rows)
        self._peak, self._by_shape = peak, by_shape

    def table(
        self, sort_by: str | None = None, row_limit: int = 100, max_name_column_width: int | None = 55
    ) -> str:
        """A table for people.

        Parameters
        ----------
        sort_by : str, optional
            ``"cpu_time_total"``, ``"self_cpu_time_total"``, ``"cpu_time"``, ``"cuda_time_total"``,
            ``"count"``, ``"flops"`` or ``"bytes"``. Default: the order they are in.
        row_limit : int
            Default: 100; -1 for all.
        max_name_column_width : int, optional
            Default: 55.

        Returns
        -------
        str
            For each op: its share of the time and the time itself, without and with the calls within it,
            the average, the number of calls, operations per second and their share of the CPU's peak,
            bytes per second. Operations are counted as `FunctionEvent` says.
        """
        rows: list[Average] = list(self)
        if sort_by is not None:
            keys = {"cuda_time_total": "device_time_total", "cuda_time": "device_time"}
            key = keys.get(sort_by, sort_by)
            if key not in _SORTED_BY:
                raise ValueError(f"table: cannot sort by {sort_by!r}; by {', '.join(sorted(_SORTED_BY))}")
            rows.sort(key=lambda row: -getattr(row, key))
        total = sum(row.self_cpu_time_total for row in self) or 1.0
        on_device = sum(row.device_time_total for row in self)
        header = ["Name", "Self CPU %", "Self CPU", "CPU total %", "CPU total", "CPU time avg"]
        if on_device:
            header += ["CUDA total", "CUDA time avg"]
        header += ["# of Calls", "FLOP/s", "% of peak", "Byte/s"]
        if self._by_shape:
            header.append("Input Shapes")
        cells = []
        for row in rows if row_limit < 0 else rows[:row_limit]:
            name = row.key
            if max_name_column_width is not None and len(name) > max_name_column_width:
                name = name[: max_name_column_width - 3] + "..."
            seconds = row.busy_time / 1e6
            rate = row.flops / seconds if seconds > 0 else 0.0
            line = [
                name,
                f"{100 * row.self_cpu_time_total / total:.2f}%",
                _time(row.self_cpu_time_total),
                f"{100 * row.cpu_time_total / total:.2f}%",
                _time(row.cpu_time_total),
                _time(row.cpu_time),
            ]
            if on_device:
                line += [_time(row.device_time_total), _time(row.device_time)]
            measured = not row.is_label and rate > 0
            share = f"{100 * rate / self._peak:.1f}%" if measured and not row.device_time_total else "--"
            line += [str(row.count), _amount(rate) if measured else "--", share]
            line.append(_amount(row.bytes / seconds) if row.bytes and seconds > 0 else "--")
            if self._by_shape:
                line.append(str([list(shape) for shape in row.input_shapes]))
            cells.append(line)
        ends = [f"Self CPU time total: {_time(total)}"]
        if on_device:
            ends.append(f"CUDA time total: {_time(on_device)}")
        return "\n".join([*_lines(header, cells), *ends])

    def __str__(self) -> str:
        """The table."""
        return self.table()


def schedule(
    *, wait: int, warmup: int, active: int, repeat: int = 0, skip_first: int = 0
) -> Callable[[int], ProfilerAction]:
    """Which steps are profiled: `wait` are not, `warmup` neither, `active` are; so `repeat` times.

    Parameters
    ----------
    wait, warmup, active : int
        Steps. `active` is at least 1.
    repeat : int
        Default: 0, on and on.
    skip_first : int
        Steps before all that. Default: 0.

    Returns
    -------
    callable
        From the number of a step to what is done in it, for `profile`.
    """
    if active < 1 or min(wait, warmup, repeat, skip_first) < 0:
        raise ValueError(
            f"schedule: needs active > 0 and no negative numbers, got wait {wait}, warmup {warmup}, active "
            f"{active}, repeat {repeat}, skip_first {skip_first}"
        )
    length = wait + warmup + active

    def action(step: int) -> ProfilerAction:
        if step < 0:
            raise ValueError(f"schedule: there is no step {step}")
        place = step - skip_first
        if place < 0 or (repeat > 0 and place >= repeat * length):
            return ProfilerAction.NONE
        place %= length
        if place < wait:
            return ProfilerAction.NONE
        if place < wait + warmup:
            return ProfilerAction.WARMUP
        return ProfilerAction.RECORD if place < length - 1 else ProfilerAction.RECORD_AND_SAVE

    return action


def _nested(calls: list[tuple[Any, ...]]) -> list[FunctionEvent]:
    """Events in the order in which they began, with the time of those within taken off."""
    ordered = sorted(calls, key=lambda c: (c[2], c[3], -c[4]))
    inner = [0.0] * len(ordered)
    open_calls: list[int] = []
    for i, (_, _, thread, begin, end, *_) in enumerate(ordered):
        while open_calls and (ordered[open_calls[-1]][2] != thread or ordered[open_calls[-1]][4] <= begin):
            open_calls.pop()
        if open_calls:
            inner[open_calls[-1]] += end - begin
        open_calls.append(i)
    return [
        FunctionEvent(
            name,
            shapes,
            thread,
            begin / 1e3,
            end / 1e3,
            flops,
            size,
            max(device, 0.0) / 1e3,
            label,
            max(end - begin - within, 0.0) / 1e3,
        )
        for (name, shapes, thread, begin, end, flops, size, device, label), within in zip(
            ordered, inner, strict=True
        )
    ]


class profile:  # noqa: N801
    """Takes down the calls of ops in a ``with`` block, of all threads.

    Parameters
    ----------
    activities : iterable of ProfilerActivity, optional
        Default: all. Calls on a GPU are always timed there as well.
    schedule : callable, optional
        Which steps are taken down, see `schedule`; the program calls `step` after each. Default: all.
    on_trace_ready : callable, optional
        Called with the profile when a round of the schedule, or the block, has ended.
    record_shapes : bool
        For `key_averages` by shape. Shapes are always there. Default: False.
    with_flops : bool
        Operations are always counted. Default: False.
    profile_memory, with_stack, with_modules : bool
        Only False.
    use_cuda : bool, optional
        Of no effect, as in PyTorch.

    Raises
    ------
    RuntimeError
        If there is a profile under way already.
    NotImplementedError
        For `profile_memory`, `with_stack` and `with_modules`.

    Notes
    -----
    A call costs about a microsecond more while it is taken down; without a profile nothing. The share of the
    peak is that of what multiply-adds in registers reach on as many threads, measured for a tenth of a second
    when the first table is asked for.
    """

    def __init__(
        self,
        *,
        activities: Iterable[ProfilerActivity] | None = None,
        schedule: Callable[[int], ProfilerAction] | None = None,
        on_trace_ready: Callable[[profile], Any] | None = None,
        record_shapes: bool = False,
        profile_memory: bool = False,
        with_stack: bool = False,
        with_flops: bool = False,
        with_modules: bool = False,
        use_cuda: bool | None = None,
    ) -> None:
        for name, value in (
            ("profile_memory", profile_memory),
            ("with_stack", with_stack),
            ("with_modules", with_modules),
        ):
            if value:
                raise NotImplementedError(f"profile: {name} is not available")
        if activities is not None:
            for activity in activities:
                if not isinstance(activity, ProfilerActivity):
                    raise TypeError(f"profile: {activity!r} is no ProfilerActivity")
        self._schedule = schedule
        self._ready = on_trace_ready
        self._events: list[FunctionEvent] = []
        self._peak: float | None = None
        self._recording = False
        self.step_num = 0

    def __enter__(self) -> profile:
        """Starts, or begins with step 0 of the schedule."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stops."""
        self.stop()

    def start(self) -> None:
        """As entering the block."""
        self._follow(self._action())

    def stop(self) -> None:
        """As leaving the block."""
        if self._recording:
            self._end()

    def step(self) -> None:
        """Says that the next step begins."""
        done = self._action()
        self.step_num += 1
        if self._schedule is None:
            return
        if done is ProfilerAction.RECORD_AND_SAVE and self._recording:
            self._end()
        self._follow(self._action())

    def _action(self) -> ProfilerAction:
        return ProfilerAction.RECORD if self._schedule is None else self._schedule(self.step_num)

    def _follow(self, action: ProfilerAction) -> None:
        wanted = action in {ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE}
        if wanted and not self._recording:
            _C.profiler_start()
            self._recording = True
        elif not wanted and self._recording:
            self._end()

    def _end(self) -> None:
        self._recording = False
        self._events = _nested(_C.profiler_stop())
        if self._ready is not None:
            self._ready(self)

    def events(self) -> list[FunctionEvent]:
        """All calls, by thread and in the order in which they began."""
        return list(self._events)

    def key_averages(self, group_by_input_shape: bool = False) -> EventList:
        """The calls of each op taken together, those with the most time of their own first.

        Parameters
        ----------
        group_by_input_shape : bool
            Take only calls with inputs of the same shapes together. Default: False.
        """
        if self._peak is None:
            self._peak = _C.measure_peak(0.1)
        rows: dict[Any, Average] = {}
        for event in self._events:
            shapes = event.input_shapes if group_by_input_shape else ()
            key = event.name, shapes, event.is_label
            rows.setdefault(key, Average(*key))._add(event)
        ordered = sorted(rows.values(), key=lambda row: -row.self_cpu_time_total)
        return EventList(ordered, self._peak, group_by_input_shape)

    def export_chrome_trace(self, path: str | os.PathLike[str]) -> None:
        """Writes the calls as a file for ``chrome://tracing`` or Perfetto (the Trace Event Format, JSON)."""
        events = [
            {
                "name": event.name,
                "cat": "user_annotation" if event.is_label else "cpu_op",
                "ph": "X",
                "ts": event.start,
                "dur": event.cpu_time,
                "pid": os.getpid(),
                "tid": event.thread,
                "args": {
                    "Input Dims": [list(shape) for shape in event.input_shapes],
                    "FLOPs": event.flops,
                    "Bytes": event.bytes,
                    "CUDA time (us)": event.device_time,
                },
            }
            for event in self._events
        ]
        text = json.dumps({"traceEvents": events, "displayTimeUnit": "ms"})
        write_file(Path(path), text.encode())


class record_function(contextlib.ContextDecorator):  # noqa: N801
    """Names what happens in a block, or in a function, for a profile.

    Parameters
    ----------
    name : str

    Examples
    --------
    >>> import cnnx
    >>> from cnnx.profiler import profile, record_function
    >>> with profile() as run, record_function("mine"):
    ...     _ = cnnx.ones(2) + 1
    >>> sorted(row.key for row in run.key_averages())
    ['add', 'full', 'mine']
    """

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name = str(name)
        self.args = args

    def __enter__(self) -> record_function:
        """Begins the block."""
        _C.profiler_begin_label(self.name)
        return self

    def __exit__(self, *_: object) -> None:
        """Ends it."""
        _C.profiler_end_label()


def tensorboard_trace_handler(
    dir_name: str, worker_name: str | None = None, use_gzip: bool = False
) -> Callable[[profile], None]:
    """An `on_trace_ready` that writes a trace file for each round into a folder.

    Parameters
    ----------
    dir_name : str
        The folder, which is made.
    worker_name : str, optional
        What the files' names begin with. Default: the number of the process.
    use_gzip : bool
        Only False.
    """
    if use_gzip:
        raise NotImplementedError("tensorboard_trace_handler: use_gzip is not available")
    counter = iter(range(1_000_000_000))

    def write(run: profile) -> None:
        folder = Path(dir_name)
        folder.mkdir(parents=True, exist_ok=True)
        run.export_chrome_trace(folder / f"{worker_name or os.getpid()}.{next(counter)}.pt.trace.json")

    return write
