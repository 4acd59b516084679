"""The CUDA backend beside the CPU: the rows of a table run on both, forward and gradients.

Needs a device, or the emulation.
"""

from __future__ import annotations

import gc
import pickle

import numpy as np
import pytest

import cnnx
import cnnx.nn as nn
import cnnx.nn.functional as F

pytestmark = pytest.mark.skipif(not cnnx.cuda.is_available(), reason="no CUDA device")

# name: a function of tensors, the shapes of its operands (float) or arrays that take no gradient.
IMAGES = (5, 3, 9, 8)
TABLE = {
    "add": (lambda a, b: a + b, (4, 3, 5), (3, 1)),
    "to": (lambda a: a.to("cpu").to(a.device) * 2, (3, 4)),
}

# Input, weight and options: odd sizes, batch 1, a kernel larger than the image, a stride larger than the
# kernel, dilation, groups, kernels of 1 x 3 and 4 x 2; few channels (direct kernels) and many (matrix tiles).
CONVOLUTIONS = [
    ((5, 3, 9, 8), (4, 3, 3, 3), {"padding": 1}),
    ((1, 1, 7, 7), (1, 1, 3, 3), {}),
    ((4, 1, 28, 28), (8, 1, 3, 3), {"padding": 1}),
    ((3, 2, 6, 7), (6, 2, 5, 5), {"padding": 2}),
    ((2, 16, 7, 7), (16, 16, 3, 3), {"padding": 1}),
    ((2, 4, 5, 5), (8, 4, 3, 3), {"stride": 2, "padding": 1}),
    ((2, 4, 11, 9), (6, 2, 3, 3), {"stride": 2, "dilation": 2, "groups": 2}),
    ((3, 6, 8, 8), (6, 1, 3, 3), {"padding": 1, "groups": 6}),
    ((2, 3, 3, 3), (5, 3, 5, 5), {"padding": 3}),
    ((2, 3, 9, 9), (4, 3, 2, 2), {"stride": 3}),
    ((2, 3, 13, 12), (4, 3, 3, 3), {"stride": 3, "padding": 2, "dilation": 2}),
    ((2, 8, 12, 12), (16, 8, 3, 3), {"stride": 2, "padding": 3, "dilation": 4}),
    ((2, 3, 9, 7), (4, 3, 1, 3), {"padding": (0, 1)}),
    ((2, 3, 9, 7), (4, 3, 4, 2), {"stride": (2, 1), "padding": (1, 0), "dilation": (1, 2)}),
    ((3, 5, 8, 8), (17, 5, 3, 3), {"padding": 1}),
    ((2, 16, 6, 6), (32, 16, 3, 3), {"padding": 1}),
    ((2, 40, 6, 5), (70, 40, 3, 3), {"stride": 2, "padding": 1}),
    ((1, 33, 4, 4), (65, 33, 1, 1), {}),
    ((4, 7, 6), (5, 4, 3, 3), {}),
    ((3, 1, 9, 9), (20, 1, 3, 3), {"padding": 1}),
    ((3, 3, 9, 8), (33, 3, 3, 3), {"padding": 1}),
    # Pixels enough for the widest tiles of the direct kernels.
    ((42, 1, 80, 80), (8, 1, 5, 5), {"padding": 2}),
    ((21, 3, 80, 80), (16, 3, 3, 3), {"padding": 1}),
    ((42, 1, 81, 79), (6, 1, 3, 2), {}),
]
POOLINGS = [
    {"kernel_size": 2},
    {"kernel_size": 3, "stride": 2, "padding": 1},
    {"kernel_size": 2, "stride": 3, "ceil_mode": True},
    {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True},
    {"kernel_size": (2, 3), "stride": (1, 2), "padding": (0, 1)},
]
NORMALISED = [(5, 3, 4, 4), (64, 3, 7, 9), (300, 40), (2, 65, 3)]


def batch_norm(x, weight, bias):
    mean = cnnx.zeros(x.shape[1], dtype=x.dtype, device=x.device)
    variance = cnnx.ones(x.shape[1], dtype=x.dtype, device=x.device)
    y = F.batch_norm(x, mean, variance, weight, bias, True, 0.1)
    return y, mean, variance, F.batch_norm(x.detach(), mean, variance, weight.detach(), bias.detach())


TABLE |= {
    f"conv2d {i}": (lambda x, w, b, o=options: F.conv2d(x, w, b, **o), shape, weight, weight[:1])
    for i, (shape, weight, options) in enumerate(CONVOLUTIONS)
}
TABLE |= {
    f"conv2d {i} with {name}": (
        # Small weights, so that activations are not where they are flat or errors of sums are all there is.
        lambda x, w, b, o=CONVOLUTIONS[i][2], a=name: F.conv2d(x, w / 8, b, **o, activation=a),
        *CONVOLUTIONS[i][:2],
        CONVOLUTIONS[i][1][:1],
    )
    for i, name in [(0, "relu"), (4, "tanh"), (6, "sigmoid"), (16, "relu")]
}
TABLE |= {
    f"linear with {name}": (
        lambda x, w, b, a=name: F.linear(x, w, b, activation=a),
        (rows, 70),
        (40, 70),
        (40,),
    )
    for name, rows in [("relu", 5), ("tanh", 1), ("sigmoid", 300)]
}
TABLE |= {
    f"max_pool2d {o}": (lambda x, o=o: F.max_pool2d(x, return_indices=True, **o), IMAGES) for o in POOLINGS
}
TABLE |= {
    f"avg_pool2d {o}": (
        lambda x, o=o: F.avg_pool2d(x, **o) + F.avg_pool2d(x, count_include_pad=False, **o),
        IMAGES,
    )
    for o in POOLINGS
}
TABLE |= {
    f"adaptive pooling {size}": (
        lambda x, s=size: F.adaptive_avg_pool2d(x, s) - 2 * F.adaptive_max_pool2d(x, s), IMAGES,
    )
    for size in (1, 2, (5, 7), (9, 8), (12, 3))
}  # fmt: skip
# Windows of many taps, few to a plane.
RAMP = np.arange(128).reshape(1, 2, 8, 8)
LARGE = (2, 3, 19, 17)
TABLE |= {
    "global max_pool2d": (lambda x: F.max_pool2d(x, (9, 11), return_indices=True), (3, 5, 9, 11)),
    "global max_pool2d of NaN": (
        lambda x: F.max_pool2d(x, 8, return_indices=True), np.where(RAMP % 50 == 7, np.nan, RAMP % 9.0),
    ),
    "global max_pool2d of equals": (lambda x: F.max_pool2d(x, 8, return_indices=True), RAMP % 3.0),
    "large max_pool2d": (lambda x: F.max_pool2d(x, 7, 6, 3, return_indices=True), LARGE),
    "large avg_pool2d": (
        lambda x: F.avg_pool2d(x, 7, 6, 3) + F.avg_pool2d(x, 7, 6, 3, count_include_pad=False), LARGE,
    ),
    "adaptive pooling of large images": (
        lambda x: F.adaptive_avg_pool2d(x, (2, 3)) - 2 * F.adaptive_max_pool2d(x, (2, 3)), (2, 3, 23, 31),
    ),
}  # fmt: skip
TABLE |= {f"batch_norm {shape}": (batch_norm, shape, shape[1:2], shape[1:2]) for shape in NORMALISED}
TABLE |= {
    f"pad {mode}": (lambda x, mode=mode: F.pad(x, (2, 1, 0, 3), mode=mode), IMAGES)
    for mode in ("constant", "reflect", "replicate", "circular")
}
TABLE |= {
    "conv1d": (lambda x, w, b: F.conv1d(x, w, b, stride=2, padding=1), (3, 4, 11), (5, 4, 3), (5,)),
    "conv_transpose1d": (
        lambda x, w, b: F.conv_transpose1d(x, w, b, stride=3, dilation=2), (3, 4, 5), (4, 5, 3), (5,),
    ),
    "conv_transpose2d": (
        lambda x, w, b: F.conv_transpose2d(x, w, b, stride=2, padding=1, output_padding=1, groups=2),
        (3, 4, 5, 6), (4, 5, 3, 3), (10,),
    ),
    "max_pool2d dilated": (lambda x: F.max_pool2d(x, 3, 1, 1, 2), IMAGES),
    "max_pool2d of NaN": (
        lambda x: F.max_pool2d(x, 2, return_indices=True), np.array([[[1, np.nan, 2, 2.0], [3, 4, 2, 2]]]),
    ),
    "avg_pool2d divisor": (lambda x: F.avg_pool2d(x, 3, 2, 1, divisor_override=4), IMAGES),
    "max_pool1d": (lambda x: F.max_pool1d(x, 3, 2, 1), (3, 2, 9)),
    "dropout": (lambda x: F.dropout(x, 0.3), (7, 143)),
    "dropout of everything": (lambda x: F.dropout(x, 1.0), (5,)),
    "dropout2d": (lambda x: F.dropout2d(x, 0.5), IMAGES),
    "layer_norm": (lambda x, w, b: F.layer_norm(x, (3, 7), w, b), (40, 3, 7), (3, 7), (3, 7)),
    "layer_norm long": (lambda x, w, b: F.layer_norm(x, (700,), w, b), (9, 700), (700,), (700,)),
    "layer_norm bare": (lambda x: F.layer_norm(x, (33,)), (2, 9, 33)),
    "group_norm": (lambda x, w, b: F.group_norm(x, 2, w, b), (5, 6, 4, 3), (6,), (6,)),
    "group_norm large": (lambda x, w, b: F.group_norm(x, 3, w, b), (5, 6, 12, 11), (6,), (6,)),
    "pad negative": (lambda x: F.pad(x, (-1, 2, 1, -2), value=3.0), IMAGES),
    "pad by a large table": (lambda x: F.pad(x, (500, 400, 3, 3), mode="reflect"), (2, 1, 5, 600)),
    "unfold": (lambda x: F.unfold(x, 3, dilation=2, padding=1, stride=2), IMAGES),
    "unfold by a large table": (lambda x: F.unfold(x, (3, 5)), (2, 1, 300, 50)),
    "fold": (lambda x: F.fold(x, (6, 5), (3, 2), padding=1), (3, 12, 36)),
}  # fmt: skip


RESIZED = [
    ((5, 3, 9), {"size": 20, "mode": "linear"}),
    (IMAGES, {"scale_factor": 2}),
    (IMAGES, {"size": (4, 11), "mode": "nearest-exact"}),
    (IMAGES, {"size": (18, 5), "mode": "bilinear", "align_corners": True}),
    (IMAGES, {"scale_factor": (1, 1.7), "mode": "bicubic"}),
    (IMAGES, {"size": (3, 4), "mode": "bicubic", "antialias": True}),
    ((2, 1, 90, 80), {"size": (5, 7), "mode": "bilinear", "antialias": True}),  # columns first
    ((2, 1, 200, 210), {"scale_factor": 2, "mode": "bilinear"}),  # large tables
]
TABLE |= {
    f"interpolate {shape} {options}": (lambda x, o=options: F.interpolate(x, **o), shape)
    for shape, options in RESIZED
}
TABLE |= {
    f"grid_sample {mode} {padding} {align}": (
        lambda x, g, m=mode, p=padding, a=align: F.grid_sample(x, g, m, p, a), IMAGES, (5, 7, 4, 2),
    )
    for mode in ("bilinear", "nearest", "bicubic")
    for padding in ("zeros", "border", "reflection")
    for align in (False, True)
}  # fmt: skip


def on(device: str, values, dtype):
    made = []
    for value in values:
        if value.dtype.kind == "f":
            made.append(cnnx.tensor(value.astype(dtype)).to(device).requires_grad_())
        else:
            made.append(cnnx.tensor(value).to(device))
    return made


def run(device: str, function, values, dtype):
    """The results and the gradients as arrays."""
    tensors = on(device, values, dtype)
    cnnx.manual_seed(3)
    outputs = function(*tensors)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    assert all(str(output.device).startswith(device) for output in outputs)
    arrays = [output.detach().cpu().numpy() for output in outputs]
    if outputs[0].requires_grad:
        rng = np.random.default_rng(1)
        gradient = np.asarray(rng.normal(size=outputs[0].shape)).astype(dtype)
        outputs[0].backward(cnnx.tensor(gradient).to(device))
        for tensor in tensors:
            if tensor.grad is not None:
                assert str(tensor.grad.device).startswith(device)
                arrays.append(tensor.grad.cpu().numpy())
    return arrays


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", list(TABLE))
def test_as_on_the_cpu(name: str, dtype) -> None:
    function, *operands = TABLE[name]
    rng = np.random.default_rng(0)
    values = [rng.normal(size=o) if isinstance(o, tuple) else o for o in operands]
    expected, found = run("cpu", function, values, dtype), run("cuda", function, values, dtype)
    assert len(expected) == len(found)
    tolerance = 2e-5 if dtype == np.float32 else 1e-11
    for one, other in zip(expected, found, strict=True):
        assert one.dtype == other.dtype
        finite = np.abs(one[np.isfinite(one)].astype(np.float64))
        scale = max(1.0, float(finite.max(initial=0)))
        np.testing.assert_allclose(other, one, rtol=tolerance, atol=tolerance * scale)


def test_where_a_tensor_lives() -> None:
    x = cnnx.arange(6, dtype=cnnx.float32).reshape(2, 3).to("cuda")
    assert x.is_cuda
    assert x.device == cnnx.device("cuda", 0)
    assert x.get_device() == 0
    assert "device='cuda:0'" in repr(x)
    assert x.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert x[1, 2].item() == 5
    assert x.cpu().device.type == "cpu"
    assert x.to("cuda") is x
    assert cnnx.zeros_like(x).is_cuda
    assert x.new_ones(2).is_cuda
    assert cnnx.zeros(3, device="cuda").tolist() == [0, 0, 0]
    assert pickle.loads(pickle.dumps(x)).tolist() == x.tolist()
    with pytest.raises(TypeError, match=r"numpy: .*\.cpu\(\)"):
        x.numpy()
    np.testing.assert_array_equal(x.numpy(force=True), [[0, 1, 2], [3, 4, 5]])


def test_the_default_device() -> None:
    try:
        cnnx.set_default_device("cuda")
        assert cnnx.ones(2).is_cuda
        assert cnnx.tensor([1.0]).is_cuda
        assert cnnx.get_default_device() == cnnx.device("cuda", 0)
    finally:
        cnnx.set_default_device("cpu")
    assert not cnnx.ones(2).is_cuda


def test_wrong_devices() -> None:
    x = cnnx.ones(2, device="cuda")
    with pytest.raises(RuntimeError, match=r"add: .*cuda:0.*cpu"):
        x + cnnx.ones(2)
    with pytest.raises(RuntimeError, match="cuda:99"):
        cnnx.ones(2, device="cuda:99")


def test_memory_is_counted_and_reused() -> None:
    gc.collect()  # graphs that other tests have left keep memory of theirs
    before = cnnx.cuda.memory_allocated()
    x = cnnx.empty(1000, 1000, device="cuda")
    assert cnnx.cuda.memory_allocated() - before >= 4_000_000
    address = x.data_ptr()
    del x
    assert cnnx.cuda.memory_allocated() == before
    assert cnnx.empty(1000, 1000, device="cuda").data_ptr() == address
    cnnx.cuda.empty_cache()
    assert cnnx.cuda.memory_reserved() == cnnx.cuda.memory_allocated()
    with pytest.raises(RuntimeError, match="out of memory: asked for"):
        cnnx.empty(1 << 50, dtype=cnnx.uint8, device="cuda")
    assert cnnx.ones(2, device="cuda").tolist() == [1, 1]


def test_a_module_moves() -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)).to("cuda")
    assert all(p.is_cuda and p.requires_grad and p.is_leaf for p in module.parameters())
    assert all(b.is_cuda for b in module.buffers())
    assert all(not p.is_cuda for p in module.cpu().parameters())


def test_training_follows_the_cpu() -> None:
    """LeNet-5's layers with dropout and momentum, 20 steps: losses as on the CPU."""
    losses = {}
    for device in ("cpu", "cuda"):
        cnnx.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(1, 4, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 6, 3), nn.ReLU(),
            nn.Flatten(), nn.Linear(54, 20), nn.ReLU(), nn.Dropout(0.2), nn.Linear(20, 10),
        ).to(device)  # fmt: skip
        optimizer = cnnx.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
        x = cnnx.rand(19, 1, 10, 10).to(device)
        y = (cnnx.arange(19) % 10).to(device)
        losses[device] = []
        for _ in range(20):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            losses[device].append(loss.item())
    np.testing.assert_allclose(losses["cuda"], losses["cpu"], rtol=1e-3)


def test_manual_seed_of_the_device() -> None:
    cnnx.cuda.manual_seed(11)
    drawn = cnnx.rand(5, device="cuda")
    cnnx.manual_seed(11)
    assert drawn.tolist() == cnnx.rand(5).tolist()


def test_the_c_file_of_a_model_on_a_device_is_that_of_the_cpu():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(18, 3))
    x = cnnx.zeros(1, 1, 5, 5)
    expected = cnnx.export_c(net, x).source
    net.to("cuda")
    assert cnnx.export_c(net, x.to("cuda")).source == expected
    images = cnnx.rand(4, 1, 5, 5).to("cuda")
    assert cnnx.export_c(net, x.to("cuda"), int8=True, calibration=images).simulate(images).shape == (4, 3)
