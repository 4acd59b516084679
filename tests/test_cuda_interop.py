"""Memory of a device shared with other libraries, streams and events.

On the emulation another library is played by streams and memory of its own (`foreign.py`), and with
CNNX_EMU_DEFER=1 work runs so late that a missing dependency shows. On a GPU PyTorch and CuPy play themselves.
"""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import cnnx
import cnnx.nn.functional as F
from foreign import (
    BLOCKING,
    DTYPES,
    NON_BLOCKING,
    Foreign,
    Producer,
    emulation,
    on_gpu,
)

pytestmark = pytest.mark.skipif(not cnnx.cuda.is_available(), reason="no CUDA device")


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
    with pytest.raises(RuntimeError, match="timing enabled"):
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
