"""CUDA graphs: a step is captured once and then given to the device as a whole."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

from cnnx import _C
from cnnx.streams import Stream, current_stream

if TYPE_CHECKING:
    from cnnx.tensor import Tensor


class _Thread(threading.local):
    capture: CUDAGraph | None = None


_thread = _Thread()


def current() -> CUDAGraph | None:
    """The graph that the calling thread is capturing, if any."""
    return _thread.capture


def is_current_stream_capturing() -> bool:
    """Whether the calling thread is capturing a CUDA graph."""
    return bool(_C.cuda_is_capturing())


class CUDAGraph:
    """Work of a device, captured once, that `replay` gives to it as a whole.

    A capture runs nothing: it takes down the kernels and the memory they work on. A replay runs them on that
    memory again. So inputs are written into the tensors that the step was captured with (``x.copy_(batch)``),
    and results are read from the tensors that it made, until the next replay writes them anew.

    What an eager step would do next, a replay does: dropout and other random numbers go on where the
    generator stands, and optimizers take the options (learning rate, betas, ...) that their ``param_groups``
    then have, and count the step. Everything that Python or C++ decides is as it was at the capture: shapes,
    branches, train or eval, other numbers. Nothing in a capture may need a value from the device: `item`,
    printing, copies from and to the CPU, checks of indices raise `RuntimeError`. An optimizer makes its state
    in its first step, so one step has to run before one is captured.

    The graph keeps alive all tensors that it works on. What it made itself lies in memory of its own, which
    goes back to the device after `reset`, or when the graph is gone, as soon as no tensor holds it.

    Parameters
    ----------
    keep_graph : bool
        Only False.

    Examples
    --------
    ::

        step(x, y)  # once, so that the optimizer has its state
        g = cnnx.cuda.CUDAGraph()
        with cnnx.cuda.graph(g):
            loss = step(x, y)
        for images, targets in batches:
            x.copy_(images)
            y.copy_(targets)
            g.replay()
        print(loss.item())
    """

    def __init__(self, keep_graph: bool = False) -> None:
        if keep_graph:
            raise NotImplementedError("CUDAGraph: keep_graph=True is not available")
        self._native = _C.CudaGraph()
        self._steps: list[tuple[Callable[[], None], list[tuple[Tensor, Tensor | None]]]] = []
        self._device = -1

    def capture_begin(self, pool: Any = None, capture_error_mode: str = "global") -> None:
        """From here on, what this thread gives to the current device is captured instead of run.

        `graph` is the same as a context manager, which also ends the capture after an error.

        Parameters
        ----------
        pool
            Only None: every graph has memory of its own.
        capture_error_mode : str
            ``"global"``, ``"thread_local"`` or ``"relaxed"``, for compatibility: other threads cannot use the
            device during a capture, and what cannot be captured is refused.

        Raises
        ------
        RuntimeError
            If a capture is under way, or the graph holds one already.
        """
        self._begin(_C.cuda_current_device(), pool, capture_error_mode)

    def _begin(self, device: int, pool: Any, capture_error_mode: str) -> None:
        if pool is not None:
            raise NotImplementedError("capture_begin: pool: every graph has memory of its own")
        if capture_error_mode not in ("global", "thread_local", "relaxed"):
            raise ValueError(f"capture_begin: unknown capture_error_mode {capture_error_mode!r}")
        gc.collect()  # a capture begins by giving back to CUDA what nobody uses
        self._native.capture_begin(device)
        self._device = device
        self._steps.clear()
        _thread.capture = self

    def capture_end(self) -> None:
        """Ends the capture."""
        if _thread.capture is self:
            _thread.capture = None
        self._native.capture_end()

    def _abort(self) -> None:
        _thread.capture = None
        self._steps.clear()
        self._native.capture_abort()

    def optimizer_step(self, name: str, update: Callable[[], None], params: list[Tensor]) -> None:
        """For optimizers: captures a step, which every replay makes again for its numbers alone.

        In replays the parameters have the gradients of the capture while `update` runs, whatever they have
        then: the captured kernels read those.
        """
        for i, p in enumerate(params):
            if p.grad is not None and not (p.is_cuda and p.device.index == self._device):
                raise RuntimeError(
                    f"{name}: parameter {i} is on {p.device}, but cuda:{self._device} is being captured"
                )
        self._native.capture_step(update)
        self._steps.append((update, [(p, p.grad) for p in params]))

    def _refresh(self) -> None:
        for update, captured in self._steps:
            now = [p.grad for p, _ in captured]
            try:
                for p, grad in captured:
                    p.grad = grad
                update()
            finally:
                for (p, _), grad in zip(captured, now, strict=True):
                    p.grad = grad

    def replay(self) -> None:
        """Runs the captured work. Does not wait for it.

        Raises
        ------
        RuntimeError
            If nothing was captured; or if an optimizer has other parameters, state or kinds of update than
            in the capture (after ``load_state_dict``, for example): capture the step again.
        """
        self._native.replay(self._refresh)

    def reset(self) -> None:
        """Forgets the captured work and lets go of its memory."""
        self._native.reset()
        self._steps.clear()


class graph:  # noqa: N801 (PyTorch's name)
    """Captures the work of a block into a `CUDAGraph`.

    Parameters
    ----------
    cuda_graph : CUDAGraph
        What to capture into.
    pool, capture_error_mode
        See `CUDAGraph.capture_begin`.
    stream : Stream, optional
        That of the device to capture; the current device's by default. Every device has one stream.

    Raises
    ------
    RuntimeError
        If something in the block cannot be captured. The capture is then over and the graph empty.
    """

    def __init__(
        self,
        cuda_graph: CUDAGraph,
        pool: Any = None,
        stream: Any = None,
        capture_error_mode: str = "global",
    ) -> None:
        if stream is None:
            stream = current_stream()
        elif not isinstance(stream, Stream) or stream != current_stream(stream.device):
            raise NotImplementedError(
                "graph: stream: has to be cnnx.cuda.current_stream(device), the one that work goes to"
            )
        self._graph = cuda_graph
        self._begin = (stream.device.index, pool, capture_error_mode)

    def __enter__(self) -> None:
        self._graph._begin(*self._begin)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._graph.capture_end()
        else:
            self._graph._abort()
