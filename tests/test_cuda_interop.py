"""Memory of a device shared with other libraries, streams, events and copies that nobody waits for.

On the emulation another library is played by streams and memory of its own (`Foreign`), and with
CNNX_EMU_DEFER=1 work runs so late that a missing dependency shows. On a GPU PyTorch and CuPy play themselves.
"""

from __future__ import annotations

import ctypes
import gc
import os
import subprocess
import sys
import threading
import weakref

import numpy as np
import pytest

import cnnx
import cnnx.nn.functional as F
from cnnx import _C
from cnnx.utils.data import DataLoader, TensorDataset

pytestmark = pytest.mark.skipif(not cnnx.cuda.is_available(), reason="no CUDA device")

emulation = pytest.mark.skipif(
    not hasattr(ctypes.CDLL(_C.__file__), "cuda_on_cpu_stream"),
    reason="plays another library on the emulation",
)
two_devices = pytest.mark.skipif(cnnx.cuda.device_count() < 2, reason="needs two devices")

DTYPES = ["float32", "float64", "int64", "int32", "uint8", "bool"]
BLOCKING, NON_BLOCKING = 0, 1


class Foreign:
    """Another library on the emulation: a stream, memory that it reuses, and arrays with the protocols."""

    def __init__(self, flags: int = NON_BLOCKING, device: int = 0) -> None:
        self.library = ctypes.CDLL(_C.__file__)
        self.library.cuda_on_cpu_stream.restype = ctypes.c_void_p
        self.library.cuda_on_cpu_malloc.restype = ctypes.c_void_p
        self.device = device
        self.stream = self.library.cuda_on_cpu_stream(device, flags)

    def array(self, values: np.ndarray) -> ForeignArray:
        pointer = self.library.cuda_on_cpu_malloc(self.device, max(values.nbytes, 1))
        self.copy(pointer, values.ctypes.data, values.nbytes)
        self.wait()
        return ForeignArray(self, pointer, values)

    def copy(self, to: int, source: int, count: int, stream: int | None = None) -> None:
        where = self.stream if stream is None else stream
        assert not self.library.cuda_on_cpu_copy(
            ctypes.c_void_p(to), ctypes.c_void_p(source), ctypes.c_size_t(count), ctypes.c_void_p(where)
        )

    def begin_capture(self) -> None:
        assert not self.library.cuda_on_cpu_begin_capture(ctypes.c_void_p(self.stream))

    def end_capture(self) -> int:
        return self.library.cuda_on_cpu_end_capture(ctypes.c_void_p(self.stream))

    def wait(self) -> None:
        assert not self.library.cuda_on_cpu_wait(ctypes.c_void_p(self.stream))

    def read(self, pointer: int, like: np.ndarray) -> np.ndarray:
        result = np.empty_like(like)
        self.copy(result.ctypes.data, pointer, like.nbytes)
        self.wait()
        return result


class ForeignArray:
    """A copy of `values` on the device, with the CUDA array interface; `extra` replaces its entries."""

    def __init__(self, library: Foreign, pointer: int, values: np.ndarray) -> None:
        self.library, self.pointer, self.values = library, pointer, values
        self.version = 3
        self.extra: dict[str, object] = {"stream": library.stream}

    @property
    def __cuda_array_interface__(self):
        return {
            "shape": self.values.shape,
            "typestr": self.values.dtype.str,
            "data": (self.pointer, False),
            "strides": None if self.values.flags.c_contiguous else self.values.strides,
            "version": self.version,
            **self.extra,
        }


class Producer:
    """A tensor of cnnx behind the DLPack protocol, so that `from_dlpack` cannot know it."""

    def __init__(self, tensor: cnnx.Tensor, old: bool = False) -> None:
        self.tensor, self.old, self.streams = tensor, old, []

    def __dlpack_device__(self):
        return self.tensor.__dlpack_device__()

    def __dlpack__(self, stream=None, **others):
        if self.old and others:
            raise TypeError("unexpected keyword")
        self.streams.append(stream)
        return self.tensor.__dlpack__(stream=stream, **others)


def on_gpu(dtype: str = "float32", device: str = "cuda") -> cnnx.Tensor:
    return cnnx.tensor(np.array([[0, 1, 2], [3, 0, 5]]).astype(dtype)).to(device)


# --- DLPack --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("old", [False, True])
def test_dlpack_shares_memory(dtype: str, old: bool) -> None:
    tensor = on_gpu(dtype)
    producer = Producer(tensor, old)
    ours = cnnx.from_dlpack(producer)
    assert producer.streams == [cnnx.cuda.current_stream().cuda_stream]
    assert ours.data_ptr() == tensor.data_ptr()
    assert ours.device == tensor.device
    assert ours.tolist() == tensor.tolist()
    tensor.zero_()
    assert not ours.any()


@pytest.mark.parametrize(
    "view",
    [lambda t: t.T, lambda t: t[1:, ::2], lambda t: t[0, 0], lambda t: t[:0], lambda t: t.expand(2, 3, 4)],
)
def test_dlpack_strides(view) -> None:
    tensor = view(cnnx.arange(12, device="cuda").reshape(3, 4))
    assert cnnx.from_dlpack(Producer(tensor)).tolist() == tensor.tolist()
    assert cnnx.from_dlpack(tensor.__dlpack__()).tolist() == tensor.tolist()
    assert cnnx.from_cuda_array(tensor).tolist() == tensor.tolist()


def test_dlpack_arguments() -> None:
    tensor = on_gpu()
    assert tensor.__dlpack_device__() == (2, 0)
    for stream in (None, -1, 1, 2, cnnx.cuda.current_stream().cuda_stream):
        assert cnnx.from_dlpack(tensor.__dlpack__(stream=stream)).data_ptr() == tensor.data_ptr()
    for stream in (0, -2):
        with pytest.raises(ValueError, match="is no stream"):
            tensor.__dlpack__(stream=stream)
    with pytest.raises(TypeError, match="stream"):
        tensor.__dlpack__(stream="1")
    copied = cnnx.from_dlpack(tensor.__dlpack__(copy=True))
    assert copied.data_ptr() != tensor.data_ptr()
    assert copied.tolist() == tensor.tolist()
    here = cnnx.from_dlpack(tensor.__dlpack__(dl_device=(1, 0)))
    assert here.device.type == "cpu"
    assert here.tolist() == tensor.tolist()
    with pytest.raises(BufferError, match="streams on the CPU"):
        tensor.__dlpack__(dl_device=(1, 0), stream=1)
    with pytest.raises(BufferError, match="copy=False"):
        tensor.__dlpack__(dl_device=(1, 0), copy=False)
    with pytest.raises(BufferError, match="asked for"):
        tensor.__dlpack__(dl_device=(10, 0))
    with pytest.raises(RuntimeError, match="cuda:99"):
        tensor.__dlpack__(dl_device=(2, 99))
    with pytest.raises(BufferError, match="grad"):
        cnnx.ones(2, device="cuda", requires_grad=True).__dlpack__()
    np.testing.assert_array_equal(np.from_dlpack(Producer(tensor.cpu())), tensor.tolist())
    moved = cnnx.from_dlpack(Producer(tensor), device="cpu")
    assert moved.device.type == "cpu"
    assert moved.tolist() == tensor.tolist()
    with pytest.raises(BufferError, match="copy=False"):
        cnnx.from_dlpack(Producer(tensor), device="cpu", copy=False)
    assert cnnx.from_dlpack(Producer(tensor), copy=True).data_ptr() != tensor.data_ptr()


def test_dlpack_of_a_device_that_is_not_there() -> None:
    class Elsewhere:
        def __init__(self, *device) -> None:
            self.device = device

        def __dlpack_device__(self):
            return self.device

        def __dlpack__(self, **kwargs):
            raise AssertionError("must not be asked")

    with pytest.raises(BufferError, match=f"cuda:9.*{cnnx.cuda.device_count()} CUDA devices"):
        cnnx.from_dlpack(Elsewhere(2, 9))


def test_a_consumer_on_our_stream_frees_at_once() -> None:
    tensor = cnnx.empty(5000, device="cuda")
    address = tensor.data_ptr()
    taken = cnnx.from_dlpack(tensor.__dlpack__(stream=cnnx.cuda.current_stream().cuda_stream))
    del tensor
    assert cnnx.empty(5000, device="cuda").data_ptr() != address
    cnnx.cuda.synchronize()
    del taken
    cnnx.cuda.synchronize()
    gc.collect()
    assert cnnx.empty(5000, device="cuda").data_ptr() == address


def test_capsules_that_nobody_takes_are_freed() -> None:
    before = cnnx.cuda.memory_allocated()
    capsules = [on_gpu().__dlpack__(stream=s, max_version=v) for s in (None, -1) for v in (None, (1, 0))]
    assert cnnx.cuda.memory_allocated() > before
    del capsules
    assert cnnx.cuda.memory_allocated() == before


def test_memory_of_an_unknown_consumer_waits_for_an_idle_device() -> None:
    tensor = cnnx.empty(7000, device="cuda")
    address = tensor.data_ptr()
    taken = cnnx.from_dlpack(tensor.__dlpack__(stream=-1))
    del tensor, taken
    cnnx.cuda.current_stream().synchronize()  # our own use is over
    before = cnnx.cuda.memory_allocated()
    cnnx.cuda.synchronize()
    assert before - cnnx.cuda.memory_allocated() >= 28000
    assert cnnx.empty(7000, device="cuda").data_ptr() == address


def test_the_pool_waits_rather_than_grows() -> None:
    cnnx.cuda.empty_cache()  # other tests have left blocks of this size
    tensor = cnnx.empty(9000, device="cuda")
    address = tensor.data_ptr()
    taken = cnnx.from_dlpack(tensor.__dlpack__(stream=-1))
    del tensor, taken
    cnnx.cuda.current_stream().synchronize()
    assert cnnx.empty(9000, device="cuda").data_ptr() == address


@emulation
@pytest.mark.parametrize("flags", [BLOCKING, NON_BLOCKING])
def test_a_consumer_reads_what_we_were_given_before(flags: int) -> None:
    foreign = Foreign(flags)
    tensor = cnnx.zeros(1000, device="cuda")
    for _ in range(5):
        tensor.add_(1)
    capsule = tensor.__dlpack__(stream=foreign.stream)
    np.testing.assert_array_equal(foreign.read(tensor.data_ptr(), np.empty(1000, np.float32)), 5)
    del capsule


@emulation
@pytest.mark.parametrize("flags", [BLOCKING, NON_BLOCKING])
def test_a_block_is_not_reused_before_its_consumer_is_done(flags: int) -> None:
    foreign = Foreign(flags)
    tensor = cnnx.full((1000,), 3.0, device="cuda")
    address, size = tensor.data_ptr(), 4000
    target = foreign.library.cuda_on_cpu_malloc(0, size)
    taken = cnnx.from_dlpack(tensor.__dlpack__(stream=foreign.stream))
    cnnx.cuda.current_stream().synchronize()
    foreign.copy(target, address, size)  # under way when the memory is let go
    del tensor, taken
    cnnx.cuda.current_stream().synchronize()  # our own use is over: the owner, ourselves, gets it back
    after = cnnx.full((1000,), 7.0, device="cuda")
    np.testing.assert_array_equal(after.cpu().numpy(), 7)
    np.testing.assert_array_equal(foreign.read(target, np.empty(1000, np.float32)), 3)


@emulation
def test_memory_goes_back_to_its_owner_when_our_work_is_done() -> None:
    foreign = Foreign()
    array = foreign.array(np.arange(6.0))
    alive = weakref.ref(array)
    tensor = cnnx.from_cuda_array(array)
    doubled = tensor * 2
    del array, tensor
    gc.collect()
    kept = alive() is not None
    assert kept or cnnx.cuda.current_stream().query()
    assert doubled.tolist() == [0, 2, 4, 6, 8, 10]
    cnnx.cuda.synchronize()
    gc.collect()
    assert alive() is None


# --- the CUDA array interface --------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_array_interface_out(dtype: str) -> None:
    tensor = on_gpu(dtype)
    interface = tensor.__cuda_array_interface__
    assert interface == {
        "shape": (2, 3),
        "typestr": np.dtype(dtype).str,
        "data": (tensor.data_ptr(), False),
        "strides": None,
        "version": 3,
        "stream": cnnx.cuda.current_stream().cuda_stream,
    }
    size = tensor.itemsize
    turned = tensor.T[1:].__cuda_array_interface__
    assert turned["strides"] == (size, 3 * size)
    assert turned["data"] == (tensor.data_ptr() + size, False)
    assert tensor[:0].__cuda_array_interface__["data"][0] == 0
    assert not hasattr(cnnx.ones(2), "__cuda_array_interface__")
    with pytest.raises(RuntimeError, match="requires a gradient"):
        _ = cnnx.ones(2, device="cuda", requires_grad=True).__cuda_array_interface__


@emulation
@pytest.mark.parametrize("dtype", DTYPES)
def test_array_interface_in(dtype: str) -> None:
    values = np.array([[0, 1, 2], [3, 0, 5]]).astype(dtype)
    array = Foreign().array(values)
    shared = [cnnx.from_cuda_array(array), cnnx.as_tensor(array)]
    copied = [cnnx.tensor(array), cnnx.from_cuda_array(array, copy=True)]
    for tensor in shared + copied:
        assert tensor.device == cnnx.device("cuda", 0)
        assert str(tensor.dtype) == f"cnnx.{dtype}"
        np.testing.assert_array_equal(tensor.cpu().numpy(), values)
    assert all(tensor.data_ptr() == array.pointer for tensor in shared)
    assert all(tensor.data_ptr() != array.pointer for tensor in copied)
    assert cnnx.as_tensor(array, dtype=cnnx.float64).dtype == cnnx.float64
    assert cnnx.tensor(array, device="cpu").device.type == "cpu"


@emulation
def test_array_interface_waits_for_the_producer() -> None:
    foreign = Foreign()
    array = foreign.array(np.zeros(1000, np.float32))
    source = foreign.array(np.ones(1000, np.float32))
    foreign.copy(array.pointer, source.pointer, 4000)
    assert cnnx.as_tensor(array).sum().item() == 1000
    # Before version 3 producers worked on the legacy default stream and named none.
    array.version, array.extra = 2, {}
    source = foreign.array(np.full(1000, 2, np.float32))
    foreign.copy(array.pointer, source.pointer, 4000, stream=1)
    assert cnnx.as_tensor(array).sum().item() == 2000


@emulation
def test_array_interface_strides_and_flags() -> None:
    foreign = Foreign()
    array = foreign.array(np.arange(12.0).reshape(3, 4))
    array.extra |= {"shape": (4, 3), "strides": (8, 32)}
    assert cnnx.from_cuda_array(array).tolist() == np.arange(12.0).reshape(3, 4).T.tolist()
    array.extra |= {"shape": (3,), "strides": (-32,), "data": (array.pointer + 64, True)}
    assert cnnx.from_cuda_array(array).tolist() == [8, 4, 0]
    with pytest.raises(ValueError, match="negative strides"):
        cnnx.from_cuda_array(array, copy=False)
    array.extra |= {"strides": (32,), "data": (array.pointer, True)}
    tensor = cnnx.from_cuda_array(array)
    assert tensor.tolist() == [0, 4, 8]
    with pytest.raises(RuntimeError, match="read-only"):
        tensor.zero_()
    assert tensor.__cuda_array_interface__["data"][1] is True
    array.extra |= {"shape": (0, 3), "strides": None, "data": (0, False)}
    assert cnnx.from_cuda_array(array).shape == (0, 3)


@emulation
@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"typestr": "<f2"}, TypeError, "<f2"),
        ({"typestr": ">f8"}, TypeError, ">f8"),
        ({"typestr": "<c8"}, TypeError, "<c8"),
        ({"strides": (12,)}, ValueError, "multiples of 8"),
        ({"stream": 0}, ValueError, "stream 0"),
        ({"mask": object()}, ValueError, "mask"),
        ({"data": (4096, False)}, ValueError, "not in the memory of a GPU"),
        ({"shape": (1,) * 9}, ValueError, "dimensions"),
    ],
)
def test_array_interface_refusals(change, error, text: str) -> None:
    array = Foreign().array(np.arange(3.0))
    array.extra |= change
    with pytest.raises(error, match=text):
        cnnx.from_cuda_array(array)
    with pytest.raises(TypeError, match="__cuda_array_interface__"):
        cnnx.from_cuda_array([1.0])


@emulation
def test_a_block_whose_address_was_told_is_not_reused_before_the_reader_is_done() -> None:
    foreign = Foreign(BLOCKING)
    tensor = cnnx.full((1000,), 3.0, device="cuda")
    target = foreign.library.cuda_on_cpu_malloc(0, 4000)
    cnnx.cuda.ExternalStream(foreign.stream).wait_stream(cnnx.cuda.current_stream())
    foreign.copy(target, tensor.__cuda_array_interface__["data"][0], 4000)
    del tensor
    after = cnnx.full((1000,), 7.0, device="cuda")
    np.testing.assert_array_equal(after.cpu().numpy(), 7)
    np.testing.assert_array_equal(foreign.read(target, np.empty(1000, np.float32)), 3)


# --- streams and events --------------------------------------------------------------------------------


def test_events() -> None:
    start, end = (cnnx.cuda.Event(enable_timing=True, blocking=b) for b in (False, True))
    assert start.query()
    start.synchronize()
    start.wait()
    assert start.device is None
    with pytest.raises(RuntimeError, match="elapsed_time: both events have to be recorded"):
        start.elapsed_time(end)
    start.record()
    x = cnnx.ones(300, 300, device="cuda")
    x = x @ x
    end.record(cnnx.cuda.current_stream())
    assert end.device == cnnx.device("cuda", 0)
    assert end.cuda_event != 0
    end.synchronize()
    assert end.query()
    assert start.query()
    assert 0 < start.elapsed_time(end) < 60000
    plain = cnnx.cuda.Event()
    plain.record()
    with pytest.raises(RuntimeError, match="enable_timing"):
        start.elapsed_time(plain)
    with pytest.raises(TypeError, match="stream"):
        plain.record(1)


def test_an_event_tells_what_kernels_found_wrong() -> None:
    logits = cnnx.zeros(2, 3, device="cuda")
    F.cross_entropy(logits, cnnx.tensor([0, 7]).to("cuda"))
    event = cnnx.cuda.current_stream().record_event()
    with pytest.raises(IndexError, match="class index"):
        event.synchronize()


def test_streams() -> None:
    stream = cnnx.cuda.current_stream()
    assert stream == cnnx.cuda.default_stream("cuda:0")
    assert stream.device == cnnx.device("cuda", 0)
    assert stream.__cuda_stream__() == (0, stream.cuda_stream)
    assert len({stream, cnnx.cuda.ExternalStream(stream.cuda_stream)}) == 1
    x = cnnx.ones(100, device="cuda") * 2
    stream.synchronize()
    assert stream.query()
    with pytest.raises(NotImplementedError, match="every device has one stream"):
        cnnx.cuda.Stream()
    with cnnx.cuda.stream(stream) as inside, cnnx.cuda.stream(None):
        assert inside == stream
        assert x.sum().item() == 200
    with pytest.raises(NotImplementedError, match="cannot be moved"):
        cnnx.cuda.stream(cnnx.cuda.ExternalStream(1))
    legacy = cnnx.cuda.ExternalStream(1)
    stream.wait_event(legacy.record_event())
    legacy.wait_stream(stream)
    legacy.synchronize()
    assert legacy.query()


@pytest.mark.parametrize(
    "act",
    [
        lambda x, pinned: x.__dlpack__(),
        lambda x, pinned: cnnx.from_dlpack(x),
        lambda x, pinned: cnnx.from_cuda_array(Foreign().array(np.ones(2))),
        lambda x, pinned: cnnx.cuda.Event().record(),
        lambda x, pinned: cnnx.cuda.current_stream().query(),
        lambda x, pinned: cnnx.cuda.current_stream().synchronize(),
        lambda x, pinned: cnnx.cuda.synchronize(),
        lambda x, pinned: pinned.to("cuda", non_blocking=True),
        lambda x, pinned: x.to("cpu", non_blocking=True),
    ],
)
@emulation
def test_what_a_capture_refuses(act) -> None:
    x, pinned = cnnx.ones(3, device="cuda"), cnnx.ones(3).pin_memory()
    with pytest.raises(RuntimeError, match="captured"), cnnx.cuda.graph(cnnx.cuda.CUDAGraph()):
        act(x, pinned)
    assert (x + pinned.to("cuda", non_blocking=True)).tolist() == [2, 2, 2]


@emulation
def test_a_capture_of_another_library_goes_on() -> None:
    foreign = Foreign()
    event = cnnx.cuda.Event()
    cnnx.cuda.empty_cache()
    foreign.begin_capture()
    x = cnnx.ones(123_457, device="cuda") + 1
    event.record()
    event.query()
    back = x.to("cpu", non_blocking=True)
    y = back.to("cuda", non_blocking=True)
    del x, back
    cnnx.ones(7, device="cuda")
    assert foreign.end_capture() == 0
    assert y.unique().tolist() == [2]


@emulation
def test_the_pool_grows_if_it_cannot_wait() -> None:
    cnnx.cuda.empty_cache()
    foreign = Foreign()
    tensor = cnnx.full((9000,), 3.0, device="cuda")
    taken = cnnx.from_dlpack(tensor.__dlpack__(stream=-1))
    address = tensor.data_ptr()
    del tensor, taken
    cnnx.cuda.current_stream().synchronize()
    foreign.begin_capture()
    other = cnnx.full((9000,), 4.0, device="cuda")
    foreign.end_capture()  # CUDA has ended it
    assert other.data_ptr() != address
    cnnx.cuda.synchronize()
    assert cnnx.empty(9000, device="cuda").data_ptr() == address


def test_memory_that_goes_during_a_capture() -> None:
    """The wait for the last reader is made up for afterwards."""
    x = cnnx.ones(4000, device="cuda")
    taken = [cnnx.from_dlpack(cnnx.zeros(4000, device="cuda").__dlpack__(stream=s)) for s in (1, -1)]
    batch = cnnx.ones(4000).pin_memory().to("cuda", non_blocking=True)
    before = cnnx.cuda.memory_allocated()
    graph = cnnx.cuda.CUDAGraph()
    with cnnx.cuda.graph(graph):
        y = x * 2
        del taken, batch
    graph.replay()
    assert y.sum().item() == 8000
    cnnx.cuda.synchronize()
    del graph, y
    cnnx.cuda.synchronize()
    assert before - cnnx.cuda.memory_allocated() >= 3 * 16000


def test_device_properties() -> None:
    properties = cnnx.cuda.get_device_properties()
    assert properties.name == cnnx.cuda.get_device_name()
    assert (properties.major, properties.minor) == cnnx.cuda.get_device_capability()
    assert properties.multi_processor_count > 0
    free, total = cnnx.cuda.mem_get_info()
    assert 0 < free <= total
    assert abs(total - properties.total_memory) < total / 10
    assert properties.name in repr(properties)


# --- copies that nobody waits for ----------------------------------------------------------------------


def test_pinned_memory() -> None:
    x = cnnx.arange(24, dtype=cnnx.float32).reshape(2, 3, 4)
    assert not x.is_pinned()
    pinned = x.transpose(0, 2).pin_memory()
    assert pinned.is_pinned()
    assert pinned.is_contiguous()
    assert pinned.pin_memory() is pinned
    assert pinned.tolist() == x.transpose(0, 2).tolist()
    assert pinned[1:].is_pinned()
    assert not (pinned + 1).is_pinned()
    address = pinned.data_ptr()
    del pinned
    assert x.pin_memory().data_ptr() == address
    assert not cnnx.empty(0).pin_memory().is_pinned()
    with pytest.raises(RuntimeError, match="pin_memory"):
        x.to("cuda").pin_memory()


@pytest.mark.parametrize("dtype", DTYPES)
def test_copies_without_a_wait(dtype: str) -> None:
    values = np.random.default_rng(0).integers(0, 2, (37, 5)).astype(dtype)
    source = cnnx.tensor(values).pin_memory()
    for tensor in (source, source.T, cnnx.tensor(values)):
        there = tensor.to("cuda", non_blocking=True)
        assert there.is_cuda
        back = there.to("cpu", non_blocking=True)
        assert back.is_pinned()
        cnnx.cuda.synchronize()
        assert back.tolist() == tensor.tolist()
    assert source.cuda(non_blocking=True).tolist() == values.tolist()
    for arguments in (("cpu", cnnx.float64, True), ("cpu", cnnx.float64, True, True)):
        as_double = source.to("cuda").to(*arguments)
        assert as_double.is_pinned()
        cnnx.cuda.synchronize()
        assert as_double.tolist() == values.astype(np.float64).tolist()


def test_a_loop_that_reads_ahead() -> None:
    """Each batch is copied while the step before it is under way, into the same few blocks."""
    rng = np.random.default_rng(0)
    batches = [rng.normal(size=(64, 33)).astype(np.float32) for _ in range(12)]
    weight = cnnx.tensor(rng.normal(size=(33, 33)).astype(np.float32)).to("cuda")
    results, addresses = [], set()
    ahead = cnnx.tensor(batches[0]).pin_memory().to("cuda", non_blocking=True)
    for i in range(12):
        x = ahead
        addresses.add(x.data_ptr())
        y = x @ weight
        if i + 1 < 12:  # the pinned tensor goes at once, its memory stays until the copy is done
            ahead = cnnx.tensor(batches[i + 1]).pin_memory().to("cuda", non_blocking=True)
        results.append(y.sum(0).to("cpu", non_blocking=True))
    cnnx.cuda.synchronize()
    assert len(addresses) <= 4
    for batch, result in zip(batches, results, strict=True):
        expected = (batch.astype(np.float64) @ weight.cpu().numpy()).sum(0)
        np.testing.assert_allclose(result.numpy(), expected, rtol=1e-4, atol=1e-3)


def test_pinned_memory_is_not_reused_before_its_copy_is_done() -> None:
    copies = [cnnx.full((5000,), i).pin_memory().to("cuda", non_blocking=True) for i in range(4)]
    assert [copy.unique().tolist() for copy in copies] == [[0], [1], [2], [3]]
    result = copies[3]
    for _ in range(5):
        result = result + 1
    result.to("cpu", non_blocking=True)  # nobody wants it
    other = cnnx.zeros_like(result, device="cpu").pin_memory()
    cnnx.cuda.synchronize()
    assert not other.any()


@pytest.mark.parametrize("part", [slice(None), slice(4000, None)])
@pytest.mark.parametrize("in_place", [False, True])
def test_pinned_memory_is_uploaded_after_it_is_written(part: slice, in_place: bool) -> None:
    y = cnnx.zeros(5000, device="cuda")
    y[part].to("cpu").pin_memory().to("cuda", non_blocking=True)  # leaves a block whose last use is over
    cnnx.cuda.synchronize()
    for _ in range(8):
        y = y + 1
    host = y.to("cpu", non_blocking=True)[part]
    if in_place:
        back = cnnx.empty(*host.shape, device="cuda").copy_(host, non_blocking=True)
    else:
        back = host.to("cuda", non_blocking=True)
    assert back.unique().tolist() == [8]


@two_devices
def test_pinned_memory_is_uploaded_to_another_device_after_it_is_written() -> None:
    y = cnnx.zeros(3000, device="cuda:0")
    for _ in range(8):
        y = y + 1
    assert y.to("cpu", non_blocking=True).to("cuda:1", non_blocking=True).unique().tolist() == [8]


def test_copy_in_place_without_a_wait() -> None:
    source = cnnx.arange(6, dtype=cnnx.float32).pin_memory()
    target = cnnx.zeros(6, device="cuda")
    assert target.copy_(source, non_blocking=True) is target
    back = cnnx.empty(6).pin_memory()
    version = back._version
    back.copy_(target, non_blocking=True)
    assert back._version > version
    cnnx.cuda.synchronize()
    assert back.tolist() == [0, 1, 2, 3, 4, 5]
    wide = cnnx.empty(2, 6).pin_memory()
    wide.copy_(target, non_blocking=True)  # has to be broadcast, so it waits
    assert wide[1].tolist() == [0, 1, 2, 3, 4, 5]


def test_gradients_pass_through_a_copy_without_a_wait() -> None:
    x = cnnx.ones(3).pin_memory().requires_grad_()
    (x.to("cuda", non_blocking=True) * 3).sum().backward()
    assert x.grad.device.type == "cpu"
    assert x.grad.tolist() == [3, 3, 3]
    y = cnnx.ones(3, device="cuda", requires_grad=True)
    z = y.to("cpu", non_blocking=True)
    cnnx.cuda.synchronize()
    z.sum().backward()
    assert y.grad.is_cuda


def test_memory_of_copies_is_counted() -> None:
    cnnx.cuda.empty_cache()
    before = cnnx.cuda.memory_allocated()
    source = cnnx.zeros(100_000).pin_memory()
    x = source.to("cuda", non_blocking=True)
    assert cnnx.cuda.memory_allocated() - before >= 400_000
    address = x.data_ptr()
    del x
    assert cnnx.cuda.memory_allocated() == before
    assert cnnx.cuda.memory_reserved() - before >= 400_000
    assert source.to("cuda", non_blocking=True).data_ptr() == address
    cnnx.cuda.synchronize()
    cnnx.cuda.empty_cache()
    assert cnnx.cuda.memory_reserved() == cnnx.cuda.memory_allocated()


def test_a_loader_with_pinned_batches() -> None:
    data = TensorDataset(cnnx.arange(10, dtype=cnnx.float32).reshape(5, 2), cnnx.arange(5))
    loader = DataLoader(data, batch_size=2, pin_memory=True)
    batches = list(loader)
    assert all(t.is_pinned() for batch in batches for t in batch)
    assert [y.tolist() for _, y in batches] == [[0, 1], [2, 3], [4]]
    samples = [{"a": cnnx.ones(2), "b": [1, "text"]}] * 3
    (batch,) = DataLoader(samples, batch_size=3, pin_memory=True)
    assert batch["a"].is_pinned()
    assert batch["b"][1] == ["text"] * 3
    assert not next(iter(DataLoader(data)))[0].is_pinned()


def test_a_loss_that_is_read_a_step_later() -> None:
    """As in docs/cuda.md."""
    cnnx.manual_seed(0)
    model = cnnx.nn.Linear(4, 1).to("cuda")
    optimizer = cnnx.optim.SGD(model.parameters(), lr=0.1)
    x = cnnx.randn(32, 4).to("cuda")
    y = x.sum(1, keepdim=True)
    losses, pending = [], None
    for _ in range(10):
        optimizer.zero_grad()
        loss = F.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        copy, ready = loss.detach().to("cpu", non_blocking=True), cnnx.cuda.Event()
        ready.record()
        if pending is not None:
            pending[1].synchronize()
            losses.append(pending[0].item())
        pending = copy, ready
    assert len(losses) == 9
    assert losses[-1] < losses[0] / 5
    assert losses == sorted(losses, reverse=True)


# --- no device ------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_child_is_told_so() -> None:
    x = cnnx.ones(2, device="cuda")
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            for act in (lambda: x + 1, lambda: cnnx.ones(2, device="cuda"), cnnx.cuda.current_device):
                with pytest.raises(RuntimeError) as caught:
                    act()
                os.write(writing, f"{caught.value}\n".encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        texts = pipe.read().splitlines()
    assert len(texts) == 3
    assert all("forked after CUDA was used" in text for text in texts), texts
    assert (x + 1).tolist() == [2, 2]


@emulation
def test_why_there_is_no_device() -> None:
    program = "import cnnx, cnnx.cli.info as i; print(i.cuda_text()); cnnx.ones(2, device='cuda')"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"CNNX_EMU_DEVICES": "0", "CNNX_TEST_DEVICE": ""},
        capture_output=True,
        text=True,
    )
    assert "no CUDA-capable device is detected" in done.stdout
    assert "no CUDA device is available: no CUDA-capable device is detected" in done.stderr


# --- several devices -----------------------------------------------------------------------------------


@two_devices
def test_the_current_device() -> None:
    assert cnnx.cuda.current_device() == 0
    with cnnx.cuda.device(1):
        assert cnnx.cuda.current_device() == 1
        assert cnnx.ones(2, device="cuda").device.index == 1
        assert cnnx.ones(2).cuda().get_device() == 1
        assert cnnx.cuda.current_stream().device.index == 1
        with cnnx.cuda.device_of(cnnx.ones(1, device="cuda:0")), cnnx.cuda.device(None):
            assert cnnx.ones(2, device="cuda").get_device() == 0
        seen = []
        thread = threading.Thread(target=lambda: seen.append(cnnx.ones(1, device="cuda").get_device()))
        thread.start()
        thread.join()
        assert seen == [0]  # each thread has its own
    assert cnnx.cuda.current_device() == 0
    cnnx.cuda.set_device("cuda:1")
    assert cnnx.cuda.current_device() == 1
    cnnx.cuda.set_device(-1)
    assert cnnx.cuda.current_device() == 1
    cnnx.cuda.set_device(0)
    with pytest.raises(RuntimeError, match="cuda:99"):
        cnnx.cuda.set_device(99)
    with pytest.raises(ValueError, match="CUDA device"):
        cnnx.cuda.set_device("cpu")


@two_devices
def test_work_on_another_device_leaves_the_current_one() -> None:
    """PyTorch and CuPy in the same thread rely on it, and change it as they like between our calls."""
    here, there = cnnx.randn(9, 5).to("cuda:0"), cnnx.randn(9, 5).to("cuda:1")
    for current in (0, 1, 0):
        cnnx.cuda.set_device(current)
        for x in (here, there, here):
            y = (x.relu() @ x.T).sum(0)
            assert y.device == x.device
            assert cnnx.cuda.current_device() == current
            np.testing.assert_allclose(
                y.cpu().numpy(),
                (np.maximum(x.cpu().numpy(), 0) @ x.cpu().numpy().T).sum(0),
                rtol=1e-4,
                atol=1e-5,
            )
    cnnx.cuda.set_device(0)


@two_devices
def test_between_devices() -> None:
    x = cnnx.arange(6, device="cuda:0").reshape(2, 3)
    y = x.to("cuda:1")
    assert y.device.index == 1
    assert y.tolist() == x.tolist()
    assert y.T.to("cuda:0").tolist() == x.T.tolist()
    with pytest.raises(RuntimeError, match=r"cuda:0.*cuda:1"):
        x + y
    x.copy_(y * 2)
    assert x.tolist() == [[0, 2, 4], [6, 8, 10]]
    model = cnnx.nn.Linear(3, 2).to("cuda:1")
    model(y.float()).sum().backward()
    assert model.weight.grad.device.index == 1
    before = cnnx.cuda.memory_allocated(0)
    big = cnnx.empty(10_000, device="cuda:1")
    assert cnnx.cuda.memory_allocated(0) == before
    assert cnnx.cuda.memory_allocated(big.device) >= 40_000
    assert y.__dlpack_device__() == (2, 1)
    assert cnnx.from_dlpack(Producer(y)).device.index == 1
    assert cnnx.from_dlpack(x.__dlpack__(dl_device=(2, 1))).device.index == 1
    assert cnnx.from_cuda_array(y).device.index == 1
    assert y.__cuda_array_interface__["stream"] == cnnx.cuda.current_stream(1).cuda_stream
    pinned = cnnx.ones(4).pin_memory()
    assert (pinned.to("cuda:1", non_blocking=True) + 1).tolist() == [2] * 4
    event = cnnx.cuda.current_stream(1).record_event()
    cnnx.cuda.current_stream(0).wait_event(event)
    cnnx.cuda.current_stream(0).wait_stream(cnnx.cuda.current_stream(1))
    with pytest.raises(RuntimeError, match="belongs to cuda:1"):
        event.record(cnnx.cuda.current_stream(0))


@emulation
def test_emptying_the_cache_uses_no_other_device() -> None:
    program = """if True:
        import ctypes, cnnx
        x = cnnx.ones(3, device="cuda:0")
        cnnx.cuda.empty_cache()
        count = ctypes.CDLL(cnnx._C.__file__).cuda_on_cpu_stream_count
        assert (count(0), count(1)) == (1, 0), (count(0), count(1))
        assert x.tolist() == [1, 1, 1]
    """
    subprocess.run([sys.executable, "-c", program], env=os.environ | {"CNNX_EMU_DEVICES": "2"}, check=True)


@two_devices
@emulation
def test_an_array_of_another_device() -> None:
    array = Foreign(device=1).array(np.arange(3.0))
    assert cnnx.as_tensor(array).device.index == 1


# --- with the libraries themselves, on a GPU -----------------------------------------------------------


def torch_on_gpu():
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("PyTorch has no CUDA device")
    return torch


@pytest.mark.parametrize("own_stream", [False, True])
def test_with_torch(own_stream: bool) -> None:
    torch = torch_on_gpu()
    with torch.cuda.stream(torch.cuda.Stream() if own_stream else torch.cuda.default_stream()):
        for _ in range(20):
            x = cnnx.randn(1000, 1000, device="cuda")
            want = (x * 2).cpu().numpy()
            theirs = torch.from_dlpack(x)
            assert theirs.data_ptr() == x.data_ptr()
            doubled = theirs * 2
            ours = cnnx.from_dlpack(doubled)
            assert ours.data_ptr() == doubled.data_ptr()
            del theirs, doubled, x
            noise = torch.randn(1000, 1000, device="cuda")  # wants the memory that we still read
            more = cnnx.zeros(1000, 1000, device="cuda")
            np.testing.assert_array_equal((ours + more).cpu().numpy(), want)
            del noise
        cnnx.cuda.synchronize()


def test_torch_tensors_are_taken() -> None:
    torch = torch_on_gpu()
    theirs = torch.arange(6, device="cuda").reshape(2, 3).T
    shared = cnnx.as_tensor(theirs)
    assert shared.data_ptr() == theirs.data_ptr()
    assert shared.tolist() == theirs.tolist()
    assert cnnx.tensor(theirs).data_ptr() != theirs.data_ptr()
    assert cnnx.from_cuda_array(theirs).tolist() == theirs.tolist()
    cnnx.cuda.synchronize()  # PyTorch's reader of the array interface waits for nobody
    assert torch.as_tensor(shared, device="cuda").tolist() == theirs.tolist()
    device = torch.cuda.current_device()
    assert cnnx.cuda.current_device() == device


def test_with_cupy() -> None:
    cupy = pytest.importorskip("cupy")
    for stream in (cupy.cuda.Stream.null, cupy.cuda.Stream(non_blocking=True)):
        with stream:
            x = cnnx.randn(500, 500, device="cuda")
            for theirs in (cupy.asarray(x), cupy.from_dlpack(x)):
                assert theirs.data.ptr == x.data_ptr()
                for ours in (cnnx.as_tensor(theirs * 2), cnnx.from_cuda_array(theirs * 2)):
                    np.testing.assert_array_equal(ours.cpu().numpy(), x.cpu().numpy() * 2)
