"""ONNX export: ONNX Runtime gives what cnnx gives, for every size of the batch."""

import math

import numpy as np
import pytest

import cnnx
import cnnx.nn as nn
import cnnx.nn.functional as F
from cnnx import models
from exported import compare, of, operators

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

NETS = list(models.MODELS)


@pytest.mark.big
@pytest.mark.parametrize("name", NETS)
def test_the_named_nets(name, tmp_path):
    shape = (1, 8, 8) if name == "digits" else (1, 28, 28)
    net = models.build_model(name, shape)
    path = tmp_path / "net.onnx"
    proto = compare(net, shape, path=path, opset=13)
    assert onnx.load(path) == proto
    # How many batches a batch norm has seen is of no use outside training.
    weights = {weight for weight in net.state_dict() if not weight.endswith("num_batches_tracked")}
    assert {constant.name for constant in proto.graph.initializer} == weights
    assert proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    assert proto.graph.output[0].type.tensor_type.shape.dim[0].dim_param == "batch"


class Functional(nn.Module):
    """As PyTorch users write it: functions, view by size, sums, cat, an unused layer."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(2, 4, 3, padding=1)
        self.conv2 = nn.Conv2d(4, 4, 3, padding="same", groups=2)
        self.fc = nn.Linear(8 * 4 * 4, 5)
        self.unused = nn.Linear(3, 3)

    def forward(self, x):
        x = F.relu(self.conv1(x))
        skip = x
        x = F.relu(self.conv2(x), inplace=True) + skip * 0.5
        x = cnnx.cat([x, skip], dim=1)
        x = F.max_pool2d(x, 2)
        x = x.view(x.size(0), -1)
        x = F.dropout(x, 0.5, training=self.training)
        return F.log_softmax(self.fc(x), dim=1)


def test_a_class_with_functions():
    net = Functional().train()
    proto = compare(net, (2, 8, 8), input_names=["image"], output_names=["scores"])
    assert [value.name for value in proto.graph.input] == ["image"]
    assert [value.name for value in proto.graph.output] == ["scores"]
    assert "unused.weight" not in {constant.name for constant in proto.graph.initializer}
    assert operators(proto) == ["Conv", "Relu", "Conv", "Relu", "Mul", "Add", "Concat", "MaxPool", "Reshape",
                                "Gemm", "LogSoftmax"]  # fmt: skip
    assert proto.graph.node[0].name == "/conv1/Conv"


class UNet1d(nn.Module):
    """The 1-D U-Net of S12."""

    def __init__(self):
        super().__init__()
        self.enter = nn.Conv1d(1, 16, 3, padding=1)
        self.down = nn.Conv1d(16, 32, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose1d(32, 16, 3, stride=2, padding=1, output_padding=1)
        self.leave = nn.Conv1d(32, 1, 3, padding=1)

    def forward(self, x):
        first = F.relu(self.enter(x))
        second = F.relu(self.up(F.relu(self.down(first))))
        return cnnx.sigmoid(self.leave(cnnx.cat((second, first), dim=1)))


def test_a_unet():
    proto = compare(UNet1d(), (1, 100), opset=13)
    assert operators(proto).count("ConvTranspose") == 1
    assert [d.dim_param or d.dim_value for d in proto.graph.output[0].type.tensor_type.shape.dim] == [
        "batch",
        1,
        100,
    ]


def test_batch_norm_in_training_statistics_of_its_own():
    net = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU())
    for _ in range(3):
        net(cnnx.randn(8, 1, 6, 6) * 2 + 1)
    proto = compare(net, (1, 6, 6))
    assert operators(proto) == ["Conv", "BatchNormalization", "Relu"]
    with pytest.raises(NotImplementedError, match="by the statistics of the batch"):
        cnnx.onnx.export(nn.BatchNorm2d(3, track_running_stats=False), cnnx.rand(2, 3, 4, 4))


def test_export_leaves_the_model_as_it_was():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Dropout(), nn.ReLU(inplace=True)).train()
    net[1].eval()
    before = cnnx._C.conv2d
    sample = cnnx.randn(2, 1, 5, 5)
    kept = sample.numpy().copy()
    cnnx.onnx.export(net, sample)
    assert [m.training for m in net.modules()] == [True, True, False, True]
    assert cnnx._C.conv2d is before
    np.testing.assert_array_equal(sample.numpy(), kept)
    with pytest.raises(NotImplementedError):
        cnnx.onnx.export(of(lambda x: cnnx.unique(x)), sample)
    assert cnnx._C.conv2d is before


LAYERS = [
    (nn.Linear(6, 3), (6,)),
    (nn.Linear(6, 3, bias=False), (4, 6)),
    (nn.Linear(6, 3), (2, 4, 6)),
    (nn.Conv2d(3, 4, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), bias=False), (3, 9, 8)),
    (nn.Conv2d(4, 8, 3, groups=4, padding="same"), (4, 6, 6)),
    (nn.MaxPool2d((3, 2), stride=2, padding=1, dilation=1), (2, 9, 8)),
    (nn.MaxPool2d(3, stride=2, ceil_mode=True), (2, 8, 8)),
    (nn.AvgPool2d(3, stride=2, padding=1), (2, 9, 8)),
    (nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False), (2, 9, 8)),
    (nn.AvgPool2d(2, divisor_override=3), (2, 8, 8)),
    # Ceil mode, with windows that start in the padding and are dropped, or reach beyond it.
    (nn.MaxPool2d((4, 2), (1, 3), 1, ceil_mode=True), (2, 8, 11)),
    (nn.MaxPool2d(3, 2, 1, dilation=3, ceil_mode=True), (2, 10, 11)),
    (nn.AvgPool2d(3, 2, 1, ceil_mode=True), (2, 8, 9)),
    (nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False), (2, 8, 9)),
    (nn.AvgPool2d(3, 2, 1, ceil_mode=True, divisor_override=5), (2, 8, 9)),
    (nn.ConvTranspose2d(2, 4, 3, 1, 1, output_padding=1, dilation=2), (2, 5, 6)),
    (nn.Flatten(), (2, 3, 4)),
    (nn.Flatten(2), (2, 3, 4)),
    (nn.Unflatten(1, (2, 3)), (6, 2)),
    (nn.Softmax(dim=1), (5,)),
    (nn.LogSoftmax(dim=-1), (3, 5)),
    (nn.LeakyReLU(0.2), (5,)),
    (nn.Tanh(), (5,)),
    (nn.Sigmoid(), (5,)),
    (nn.Identity(), (5,)),
    (nn.Dropout(0.3), (5,)),
]


@pytest.mark.parametrize("layer, shape", LAYERS, ids=lambda value: str(value)[:60])
def test_layers(layer, shape):
    compare(layer, shape)


# Layers that carry state or have an eval form of their own.
MORE_LAYERS = [
    ("Conv1d", (3, 4, 3), {"stride": 2, "padding": 1}, (3, 11)),
    ("ConvTranspose1d", (4, 2, 3), {"stride": 2, "padding": 1, "output_padding": 1}, (4, 7)),
    ("ConvTranspose2d", (4, 6, 3), {"stride": 2, "groups": 2, "dilation": 2}, (4, 5, 6)),
    ("BatchNorm1d", (4,), {}, (4,)),
    ("BatchNorm1d", (4,), {}, (4, 5)),
    ("BatchNorm2d", (3,), {"affine": False}, (3, 4, 5)),
    ("LayerNorm", (5,), {}, (4, 5)),
    ("LayerNorm", ((4, 5),), {"elementwise_affine": False}, (4, 5)),
    ("GroupNorm", (2, 6), {}, (6, 4, 5)),
    ("MaxPool1d", (2,), {}, (3, 8)),
    ("AvgPool1d", (2,), {}, (3, 8)),
    ("AdaptiveAvgPool1d", (1,), {}, (3, 8)),
    ("AdaptiveAvgPool2d", (1,), {}, (3, 8, 6)),
    ("AdaptiveAvgPool2d", ((4, 3),), {}, (3, 8, 6)),
    ("AdaptiveMaxPool2d", (2,), {}, (3, 8, 6)),
    ("Dropout2d", (0.5,), {}, (3, 4, 4)),
    ("Unfold", (3,), {"padding": 1, "stride": 2}, (2, 7, 8)),
    ("Fold", ((5, 6), (2, 3)), {}, (12, 16)),
    ("ZeroPad2d", ((1, 2, 3, 0),), {}, (2, 4, 5)),
    ("ConstantPad1d", ((1, 2), 0.5), {}, (2, 4)),
    ("ReflectionPad2d", (2,), {}, (2, 4, 5)),
    ("ZeroPad2d", (-1,), {}, (2, 4, 5)),
    ("Conv2d", (2, 3, 3), {"padding": 2, "padding_mode": "reflect"}, (2, 6, 5)),
    ("ReplicationPad2d", (2,), {}, (2, 4, 5)),
    ("Upsample", (), {"scale_factor": 2}, (2, 4, 5)),
    ("Upsample", (7,), {"mode": "nearest-exact"}, (2, 4)),
    ("Upsample", ((9, 3),), {"mode": "bilinear"}, (2, 4, 5)),
    ("Upsample", (), {"scale_factor": 2, "mode": "bicubic"}, (2, 4, 5)),
    ("Upsample", (), {"scale_factor": (1.4, 2.3), "mode": "bilinear"}, (2, 5, 5)),
    ("Upsample", (), {"scale_factor": (1.4, 2.3), "recompute_scale_factor": True}, (2, 5, 5)),
    ("Upsample", (8,), {"mode": "linear", "align_corners": True}, (2, 5)),
    ("Upsample", (2,), {"mode": "area"}, (2, 4, 6)),
    ("UpsamplingBilinear2d", ((7, 9),), {}, (2, 4, 5)),
    ("ELU", (0.7,), {"inplace": True}, (9,)),
    ("SELU", (), {}, (9,)),
    ("CELU", (0.6,), {}, (9,)),
    ("GELU", (), {}, (9,)),
    ("GELU", ("tanh",), {}, (9,)),
    ("SiLU", (), {}, (9,)),
    ("Mish", (), {}, (9,)),
    ("Softplus", (2.0,), {}, (9,)),
    ("Softsign", (), {}, (9,)),
    ("Softmin", (1,), {}, (9,)),
    ("Softshrink", (0.3,), {}, (9,)),
    ("Hardshrink", (0.3,), {}, (9,)),
    ("Tanhshrink", (), {}, (9,)),
    ("Threshold", (0.2, 3.0), {}, (9,)),
    ("Threshold", (0.2, 3.0), {"inplace": True}, (9,)),
    ("LogSigmoid", (), {}, (9,)),
    ("Hardtanh", (-0.5, 0.7), {}, (9,)),
    ("Hardswish", (), {}, (9,)),
    ("Hardsigmoid", (), {}, (9,)),
    ("ReLU6", (), {"inplace": True}, (9,)),
    ("GLU", (), {}, (8,)),
    ("PReLU", (4,), {}, (4, 3)),
    ("Softmax2d", (), {}, (3, 2, 2)),
]


@pytest.mark.parametrize("name, args, kwargs, shape", MORE_LAYERS)
def test_more_layers(name, args, kwargs, shape):
    if name not in dir(nn):
        pytest.skip(f"there is no nn.{name}")
    layer = getattr(nn, name)(*args, **kwargs)
    for buffer_name, buffer in layer.named_buffers():
        if buffer.is_floating_point():
            buffer.copy_(cnnx.rand(*buffer.shape) + (0.5 if buffer_name == "running_var" else 0))
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, 0.2, 1.0)
    proto = compare(layer, shape)
    if name.startswith("BatchNorm"):
        assert operators(proto) == ["BatchNormalization"]


def set_(x, index, value):
    """The tensor, changed in place."""
    x[index] = value
    return x


CELL = nn.GRUCell(5, 4)
RECURRENT = {
    name: getattr(nn, name)(1, 3, num_layers=2, batch_first=True, bidirectional=True)
    for name in ("RNN", "LSTM", "GRU")
}
FUNCTIONS = {
    **{name: lambda x, layer=layer: layer(x.unsqueeze(2))[0] for name, layer in RECURRENT.items()},
    "last states": lambda x: RECURRENT["LSTM"](x.unsqueeze(2))[1],
    "cell": lambda x: nn.functional.relu(CELL(x, CELL(x * 2))),
    "arithmetic": lambda x: (2 - x) * x / 3 + x**2 - (x.abs() + 1) ** 0.5,
    "alpha": lambda x: cnnx.add(x, x * x, alpha=2),
    "broadcast": lambda x: x + cnnx.arange(5.0) * x[:, :1],
    "compare": lambda x: ((x > 0) & (x <= 1) | ~(x != x)).float() + (x == 0.5),
    "where": lambda x: cnnx.where(x > 0.5, x, 0.0),
    "masked fill": lambda x: x.masked_fill(x > 0.5, -1.0),
    "clamp": lambda x: x.clamp(-0.5, 0.5) + x.clamp(min=0),
    "exponentials": lambda x: x.exp() + x.abs().log1p() + (x.abs() + 1).log2() - x.expm1(),
    "roots": lambda x: x.square().add(1).rsqrt() + x.abs().sqrt(),
    "rounding": lambda x: (x * 3).floor() + (x * 3).ceil() + (x * 3).round() + (x * 3).trunc() + x.sign(),
    "remainder": lambda x: (x * 5) % 2 + cnnx.fmod(x * 5, 2) + (x * 5) // 2,
    "extremes": lambda x: cnnx.maximum(x, -x) + cnnx.minimum(x, x * 2),
    "trigonometry": lambda x: x.sin() + x.cos() + cnnx.erf(x) + x.tanh(),
    "sum": lambda x: x.sum(dim=1),
    "sum keepdim": lambda x: x - x.sum(1, keepdim=True) / 5,
    "mean": lambda x: x.mean(-1),
    "amax": lambda x: x.amax(1) - x.amin(dim=(1,)),
    "max": lambda x: x.max(1).values + x.min(dim=1)[0],
    "max indices": lambda x: x.max(1).indices,
    "argmax": lambda x: x.argmax(1),
    "logsumexp": lambda x: x.logsumexp(1),
    "var": lambda x: x.var(1) + x.std(1) + x.var(dim=1, correction=0),
    "norm": lambda x: x.norm(dim=1),
    "hyperbolic": lambda x: cnnx.sinh(x) + cnnx.cosh(x) + cnnx.logit(x.sigmoid()),
    "hypot": lambda x: cnnx.hypot(x, 1 - x) + cnnx.xlogy(x.abs(), x.abs() + 1) + cnnx.hypot(x * 0, x * 0),
    "cdist": lambda x: cnnx.cdist(x, cnnx.ones(3, 5)) + cnnx.cdist(x, cnnx.zeros(3, 5), p=1),
    "cumsum": lambda x: x.cumsum(1),
    "any": lambda x: (x > 1).any(1),
    "topk": lambda x: x.topk(2, dim=1)[0],
    "sort": lambda x: x.sort(dim=1, descending=True)[0],
    "topk of many": lambda x: x.flatten(1).repeat(1, 9).topk(3)[0],
    "sort of many": lambda x: x.flatten(1).repeat(1, 9).sort(1)[0],
    "view": lambda x: x.view(x.size(0), 5, 1).squeeze(2),
    "reshape": lambda x: x.reshape(-1, 1, 5),
    "more rows": lambda x: x.reshape(x.shape[0] * 5, 1),
    "flatten": lambda x: cnnx.flatten(x.unsqueeze(1).unsqueeze(1), 1),
    "transpose": lambda x: x.unsqueeze(1).transpose(1, 2).permute(0, 2, 1).movedim(1, 2),
    "T": lambda x: x.t() @ x,
    "matmul": lambda x: x.unsqueeze(1) @ x.unsqueeze(2),
    "index": lambda x: x[:, 1] + x[..., -1],
    "slices": lambda x: x[:, 1:4:2] * x[:, None, -2:].squeeze(1),
    "index tensor": lambda x: x[:, cnnx.tensor([0, 3, 3])],
    "index_select": lambda x: x.index_select(1, cnnx.tensor([4, 0])),
    "narrow": lambda x: x.narrow(1, 1, 2) + x.narrow(-1, -2, 2),
    "split": lambda x: cnnx.cat(x.split(2, dim=1)[::-1], 1),
    "chunk": lambda x: cnnx.stack(x[:, :4].chunk(2, dim=1), dim=1),
    "unbind": lambda x: cnnx.stack(x.unbind(1), dim=-1),
    "flip": lambda x: x.flip(1),
    "roll": lambda x: x.roll(2, 1),
    "expand": lambda x: x.unsqueeze(1).expand(-1, 3, 5),
    "expand by size": lambda x: x.unsqueeze(1).expand(x.size(0), 3, x.size(1)),
    "repeat": lambda x: x.repeat(1, 2),
    "dtype": lambda x: (x * 10).long().float() + x.double().float() + (x > 0).sum(1, keepdim=True),
    "detach": lambda x: x.detach() * x.data + x.clone().contiguous(),
    "in place": lambda x: F.relu(x.mul_(2).add_(0.1)),
    "in place through another view": lambda x: x.view(-1).add_(1).view(5, -1).t() + x,
    "zeros by size": lambda x: cnnx.cat([x, cnnx.zeros(len(x), 1), x.new_ones(len(x), 2)], 1),
    "numbers by size": lambda x: x + (cnnx.arange(len(x)) * 0.5 + cnnx.arange(1, 2 * len(x), 2))[:, None],
    "expand a row by size": lambda x: x.sum(0).expand(len(x), 5),
    "rows and columns": lambda x: x.unsqueeze(1).expand(-1, len(x), 5).reshape(len(x), len(x), 5).sum(2),
    "positions": lambda x: x + (cnnx.arange(300.0)[: len(x)] * 0.1)[:, None],
    "set a row": lambda x: set_(x, 0, 1.0),
    "set the last row": lambda x: set_(x, -1, x[0] * 2),
    "set a column": lambda x: set_(x, (slice(None), 2), x.sum(1)),
    "set a block": lambda x: set_(x, (slice(1, None), slice(1, 3)), -1.0),
    "set by an index": lambda x: set_(x, cnnx.tensor([0, -1]), 7.0),
    "fill a part": lambda x: [y := x * 1, y[:, 1:3].fill_(2.0), y][2],
    "change a part": lambda x: [y := x * 1, y[:, 3].mul_(y[:, 0]), y.t() + y[:, 3]][2].t(),
    "change a part of a part": lambda x: [y := x.view(-1, 5, 1), y[:, 1:][:, :2].squeeze(2).neg_(), x][2],
    "copy into a part": lambda x: [y := cnnx.zeros(len(x), 7), y[:, 1:6].copy_(x), y + 1][2],
    "copy a row into all": lambda x: [y := x * 1, y.copy_(x[0]), y][2],
    "part of what changed": lambda x: [y := x * 1, z := y[:, 2:], y.add_(1), z * y[:, :3]][3],
    "several index tensors": lambda x: x.unsqueeze(2)[:, cnnx.tensor([0, 3]), cnnx.tensor([0, 0])],
    "scatter": lambda x: x.scatter(1, cnnx.tensor([[0, 2]]).expand(len(x), 2), x[:, :2] * 3),
    "median": lambda x: x.median(1)[0],
    "median with NaN": lambda x: cnnx.where(x > 0.5, math.nan, x).median(1)[0],
    "median of a part": lambda x: (x[0] * 1).median() + x,
    "kthvalue": lambda x: x.kthvalue(2, 1, True)[0],
    "kthvalue, indices": lambda x: x.kthvalue(4, 1)[1].float(),
    "sort the batch": lambda x: x.sort(0)[0],
    "several outputs": lambda x: (x, x + 1, cnnx.ones(2)),
    "constant": lambda x: x * cnnx.tensor([1.0, 2.0, 3.0, 4.0, 5.0]),
    "softmax": lambda x: F.softmax(x, dim=1) + F.log_softmax(x, 1),
    "conv": lambda x: F.conv2d(x.view(-1, 1, 1, 5), cnnx.ones(2, 1, 1, 3)),
    "linear": lambda x: F.linear(x, cnnx.ones(2, 5), cnnx.ones(2)),
    "unbatched conv": lambda x: F.conv2d(x.unsqueeze(0), cnnx.ones(2, 1, 1, 3)),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("opset", [13, 18])
def test_functions(name, opset):
    if (name, opset) == ("unbatched conv", 13):
        pytest.skip("once is enough")
    compare(of(FUNCTIONS[name]), (5,), opset=opset)


def test_several_inputs_and_the_newest_opset():
    newest = min(onnx.defs.onnx_opset_version(), 22)
    proto = compare(of(lambda a, b: (a + b, a @ b.t())), (3,), (3,), opset=newest, output_names=["x", "y"])
    assert [value.name for value in proto.graph.input] == ["input_0", "input_1"]
    assert [value.name for value in proto.graph.output] == ["x", "y"]


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_antialias(mode):
    net = of(lambda x: F.interpolate(x, (4, 5), mode=mode, antialias=True))
    assert operators(compare(net, (2, 9, 8), opset=18)) == ["Shape", "Slice", "Concat", "Resize"]
    with pytest.raises(ValueError, match="Resize, which opset 17 has not; opset 18 has it"):
        cnnx.onnx.export(net, cnnx.zeros(1, 2, 9, 8), opset=17)


@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
def test_grid_sample(mode, padding):
    for align in (False, True):
        net = of(lambda x, grid, align=align: F.grid_sample(x, grid, mode, padding, align))
        assert operators(compare(net, (2, 5, 6), (3, 4, 2), opset=20, tolerance=1e-4)) == ["GridSample"]


def test_affine_grid():
    """A spatial transformer that turns images by what it is told."""
    net = of(lambda x, theta: F.grid_sample(x, F.affine_grid(theta, x.shape, False), align_corners=False))
    compare(net, (2, 5, 6), (2, 3), opset=20, tolerance=1e-4)
    with pytest.raises(ValueError, match="GridSample, which opset 17 has not; opset 20 has it"):
        cnnx.onnx.export(net, (cnnx.zeros(1, 2, 5, 6), cnnx.zeros(1, 2, 3)), opset=17)


def test_fixed_batch():
    proto = cnnx.onnx.export(nn.Linear(3, 2), cnnx.zeros(4, 3), dynamic_batch=False)
    assert [d.dim_value for d in proto.graph.input[0].type.tensor_type.shape.dim] == [4, 3]
    assert [d.dim_value for d in proto.graph.output[0].type.tensor_type.shape.dim] == [4, 2]


def test_shared_weights_appear_once():
    layer = nn.Linear(4, 4)
    proto = compare(nn.Sequential(layer, nn.ReLU(), layer), (4,))
    assert [constant.name for constant in proto.graph.initializer] == ["0.weight", "0.bias"]


M, V = cnnx.zeros(5), cnnx.ones(5)
REFUSED = {
    "unique takes a value out": lambda x: cnnx.unique(x),
    "item takes a value out": lambda x: x * x.sum().item(),
    "item takes": lambda x: x if x.sum() > 0 else -x,
    "numpy takes": lambda x: cnnx.from_numpy(x.numpy() * 2),
    "in training mode": lambda x: F.dropout(x, 0.5),
    "depends on the size": lambda x: x if len(x) < 12 else -x,
    "forward makes anew": lambda x: x + cnnx.from_numpy(np.zeros((len(x), 1), np.float32)),
    "an argument of mul depends": lambda x: x * len(x),
    "use of max-pooling's indices": lambda x: F.max_pool2d(x[:, None, None], (1, 2), return_indices=True)[1],
    "sees no part": lambda x: [x.view(-1)[:4].view(2, 2).zero_(), x][1],
    "with steps": lambda x: [x[:, ::2].zero_(), x][1],
    "random numbers": lambda x: x + cnnx.rand(5),
    "what the model computes depends on the size": lambda x: x.split(1)[0],
    "an argument of narrow depends": lambda x: x.chunk(2)[0],
    "slice asks for more of the batch than there is": lambda x: x[:50],
    "slice asks for more": lambda x: x[:5000] * 2,
    "narrow asks for more": lambda x: x.split(5000)[0],
    "by something else than an op": lambda x: [F.batch_norm(x, M, V, training=True), x + M][1],
}  # fmt: skip


TO_NUMPY = pytest.param("numpy takes", marks=pytest.mark.cpu("memory that tensors share with NumPy"))


@pytest.mark.parametrize("message", [TO_NUMPY, *(key for key in REFUSED if key != "numpy takes")])
def test_what_cannot_be_exported_says_so(message):
    with pytest.raises(
        (NotImplementedError, ValueError), match=f"onnx.export: .*{message}|onnx.export: {message}"
    ):
        cnnx.onnx.export(of(REFUSED[message]), cnnx.rand(2, 5))


def test_bad_arguments(tmp_path):
    net, sample = nn.Linear(5, 2), cnnx.rand(2, 5)
    for options, message in (
        ({"opset": 12}, "opset must be from 13"),
        ({"opset": 1000}, "opset must be"),
        ({"input_names": ["a", "b"]}, "2 input_names for 1 inputs"),
        ({"input_names": ["a"], "output_names": ["a"]}, "used twice"),
        ({"output_names": ["weight"]}, "used twice"),
    ):
        with pytest.raises(ValueError, match=message):
            cnnx.onnx.export(net, sample, tmp_path / "x.onnx", **options)
    with pytest.raises(TypeError, match="sample must be a tensor"):
        cnnx.onnx.export(net, np.zeros((2, 5)))
    with pytest.raises(ValueError, match="has no batch"):
        cnnx.onnx.export(net, cnnx.tensor(1.0))
    with pytest.raises(ValueError, match="needs the ONNX operator BitwiseAnd"):
        cnnx.onnx.export(of(lambda x: x.long() & 3), sample, opset=13)
    with pytest.raises(TypeError, match="returns a int"):
        cnnx.onnx.export(of(lambda x: 3), sample)
    with pytest.raises(OSError):
        cnnx.onnx.export(net, sample, tmp_path / "missing" / "x.onnx")
    assert list(tmp_path.iterdir()) == []


def test_without_onnx(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"pip install 'cnnx\[onnx\]'"):
        cnnx.onnx.export(nn.Linear(5, 2), cnnx.rand(2, 5))
