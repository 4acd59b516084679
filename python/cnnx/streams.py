"""Streams and events of the CUDA devices; they are reached as `cnnx.cuda.Event` and its like."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from cnnx import _C
from cnnx.devices import cuda_index
from cnnx.devices import device as Device


class Event:
    """A mark in a stream that the host or another stream can wait for, and that can measure time.

    Parameters
    ----------
    enable_timing
        Whether `elapsed_time` is wanted.
    blocking
        Whether `synchronize` lets the processor rest while it waits, at the price of a later wake-up.
    interprocess
        Only False.

    Raises
    ------
    RuntimeError
        If there is no CUDA device.
    """

    __slots__ = ("_native",)

    def __init__(
        self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False
    ) -> None:
        if interprocess:
            raise NotImplementedError("Event: interprocess=True is not available")
        self._native = _C.CudaEvent(bool(enable_timing), bool(blocking))

    def record(self, stream: Stream | None = None) -> None:
        """Marks what the stream was given until now (default: the current device's).

        Raises
        ------
        RuntimeError
            If the event was recorded on another device before.
        """
        where = _or_current("Event.record", stream)
        self._native.record(where._index, where.cuda_stream)

    def wait(self, stream: Stream | None = None) -> None:
        """What the stream is given from now on waits for the mark; the host does not."""
        where = _or_current("Event.wait", stream)
        self._native.hold_back(where._index, where.cuda_stream)

    def query(self) -> bool:
        """Whether everything before the mark is done; True as well before the first `record`."""
        return bool(self._native.query())

    def synchronize(self) -> None:
        """Waits until everything before the mark is done."""
        self._native.synchronize()

    def elapsed_time(self, end_event: Event) -> float:
        """The milliseconds between this mark and a later one.

        Raises
        ------
        RuntimeError
            If one was made without `enable_timing`, was not recorded, is not done, or they are on two
            devices.
        """
        return float(self._native.milliseconds_until(end_event._native))

    @property
    def device(self) -> Device | None:
        """Where it was recorded; None before."""
        return None if self._native.device < 0 else Device("cuda", self._native.device)

    @property
    def cuda_event(self) -> int:
        """The address of the `cudaEvent_t`; 0 before the first `record`."""
        return int(self._native.address)

    def __repr__(self) -> str:
        return f"<cnnx.cuda.Event {self.cuda_event:#x}>"


class Stream:
    """The queue in which a device works off what it is given.

    Every device has one, which `current_stream()` returns and all work of cnnx goes to: so memory can be
    handed on without a wait, and results are the same on every run. A second one that work could be moved to
    is not offered; copies from pinned memory with `non_blocking=True` run beside the work by themselves. To
    wait for another library's stream, or let it wait, name it by `ExternalStream`.

    Raises
    ------
    NotImplementedError
        If one is to be made.
    """

    __slots__ = ("_index", "cuda_stream")
    _index: int
    cuda_stream: int  # the address of the cudaStream_t

    def __init__(self, device: Any = None, priority: int = 0) -> None:
        raise NotImplementedError(
            "Stream: every device has one stream, cnnx.cuda.current_stream(), and work cannot be moved to "
            "another (a warm-up before cnnx.cuda.graph needs none); another library's is "
            "ExternalStream(address)"
        )

    @property
    def device(self) -> Device:
        """The device it belongs to."""
        return Device("cuda", self._index)

    def synchronize(self) -> None:
        """Waits until everything it was given is done."""
        _C.cuda_synchronize_stream(self._index, self.cuda_stream)

    def query(self) -> bool:
        """Whether everything it was given is done."""
        return bool(_C.cuda_query_stream(self._index, self.cuda_stream))

    def record_event(self, event: Event | None = None) -> Event:
        """Records an event (default: a new one) in the stream and returns it."""
        event = Event() if event is None else event
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        """What the stream is given from now on waits for the event; the host does not."""
        event.wait(self)

    def wait_stream(self, stream: Stream) -> None:
        """What this stream is given from now on waits for what the other was given until now."""
        if stream._index == self._index:
            _C.cuda_order_streams(self._index, stream.cuda_stream, self.cuda_stream)
        else:
            self.wait_event(stream.record_event())

    def __cuda_stream__(self) -> tuple[int, int]:
        """NVIDIA's protocol for streams: its version and the address."""
        return (0, self.cuda_stream)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Stream)
            and self._index == other._index
            and self.cuda_stream == other.cuda_stream
        )

    def __hash__(self) -> int:
        return hash((self._index, self.cuda_stream))

    def __repr__(self) -> str:
        return f"<cnnx.cuda.{type(self).__name__} device={self.device} cuda_stream={self.cuda_stream:#x}>"


class ExternalStream(Stream):
    """Another library's stream, to wait for or to let wait.

    Parameters
    ----------
    stream_ptr
        The address of its `cudaStream_t` (`torch.cuda.current_stream().cuda_stream`,
        `cupy.cuda.get_current_stream().ptr`); 0 and 1 are the legacy default stream, 2 is the calling
        thread's default stream. It has to live as long as this object is used.
    device
        The device it belongs to; default: the current one.

    Raises
    ------
    RuntimeError
        If there is no such device.
    """

    __slots__ = ()

    def __init__(self, stream_ptr: int, device: Any = None) -> None:
        self._index = cuda_index("ExternalStream", device)
        self.cuda_stream = int(stream_ptr)


def current_stream(device: Any = None) -> Stream:
    """The stream that a device's work goes to (default: the current device's)."""
    stream = Stream.__new__(Stream)
    stream._index = cuda_index("current_stream", device)
    stream.cuda_stream = int(_C.cuda_stream(stream._index))
    return stream


default_stream = current_stream


def _or_current(op: str, stream: Stream | None) -> Stream:
    if stream is None:
        return current_stream()
    if not isinstance(stream, Stream):
        raise TypeError(f"{op}: expected a stream of cnnx.cuda or None, got {type(stream).__name__}")
    return stream


class StreamContext:
    """What `cnnx.cuda.stream(...)` returns.

    Parameters
    ----------
    stream
        None, or a device's own stream, which makes that device the current one inside `with`.

    Raises
    ------
    NotImplementedError
        For another stream: work cannot be moved to it.
    """

    def __init__(self, stream: Stream | None) -> None:
        if stream is not None and stream != current_stream(_or_current("stream", stream)._index):
            raise NotImplementedError(
                "stream: every device has one stream, and work cannot be moved to another; "
                "order them by wait_stream or an Event"
            )
        self._stream = stream
        self._before = -1

    def __enter__(self) -> Stream | None:
        if self._stream is not None:
            self._before = _C.cuda_current_device()
            _C.cuda_set_device(self._stream._index)
        return self._stream

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stream is not None:
            _C.cuda_set_device(self._before)


def stream(stream: Stream | None) -> StreamContext:
    """A context in which work goes to `stream`: a device's own one, or None for no change.

    Raises
    ------
    NotImplementedError
        For another stream: work cannot be moved to it.
    """
    return StreamContext(stream)
