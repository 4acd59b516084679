"""Lazy layers do what PyTorch's do."""

from __future__ import annotations

import copy
import pickle

import pytest

import cnnx
from cnnx import nn, optim
from scenarios import Scenarios, data, values

scenario = Scenarios()


def fill(lib, module):
    with lib.no_grad():
        for parameter in module.parameters():
            parameter.copy_((lib.arange(parameter.numel()) % 5 - 2.0).reshape(parameter.shape))


def text(lib, module):
    return repr(module).replace(lib.__name__, "lib")


LAYERS = {
    "LazyLinear": [((4,), {}, (2, 5)), ((4,), {"bias": False}, (5,))],
    "LazyConv1d": [((4, 3), {"padding": 1}, (2, 3, 7)), ((4, 3), {"bias": False}, (3, 7))],
    "LazyConv2d": [((4, 3), {"groups": 2}, (1, 6, 5, 5)), ((4, (1, 2)), {"stride": 2}, (3, 5, 5))],
    "LazyConvTranspose1d": [((4, 3), {"stride": 2, "output_padding": 1}, (2, 3, 5))],
    "LazyConvTranspose2d": [((4, 3), {"groups": 2, "padding": 1}, (3, 2, 5, 4)), ((1, 1), {}, (2, 3, 4))],
    "LazyBatchNorm1d": [((), {}, (3, 2)), ((), {"affine": False}, (3, 2, 4))],
    "LazyBatchNorm2d": [
        ((1e-3, None), {"bias": False}, (3, 2, 4, 3)),
        ((), {"track_running_stats": False}, (1, 2, 3, 3)),
    ],
    "LazyInstanceNorm1d": [((), {}, (3, 2, 4)), ((), {"affine": False}, (3, 2, 4))],
    "LazyInstanceNorm2d": [((), {"track_running_stats": False}, (3, 2, 4, 5))],
}


@scenario
def layers(lib):
    log = []
    for name, cases in LAYERS.items():
        for args, options, shape in cases:
            layer = getattr(lib.nn, name)(*args, **options)
            log += [text(lib, layer), list(layer.state_dict()), layer.has_uninitialized_params()]
            log += [[type(v).__name__ for v in layer.state_dict().values()]]
            result = layer(data(lib, *shape))
            log += [text(lib, layer), type(layer).__name__, list(result.shape), len(layer._forward_pre_hooks)]
            log += [{k: list(v.shape) for k, v in layer.state_dict().items()}]
            fill(lib, layer)
            log.append(values(layer(data(lib, *shape))))
    return log


@scenario
def uninitialized(lib):
    log, layer = [], lib.nn.LazyLinear(3, dtype=lib.float64)
    p = layer.weight
    log += [repr(p), p.requires_grad, p.is_leaf, p.grad, str(p.dtype).split(".")[-1]]
    for call in (
        lambda: p + 1,
        lambda: lib.add(p, p),
        lambda: p.sum(),
        lambda: p.numel(),
        lambda: lib.cat([p]),
    ):
        with pytest.raises(ValueError, match="Attempted to use an uninitialized parameter"):
            call()
    with pytest.raises(RuntimeError, match="Can't access the shape"):
        p.shape  # noqa: B018
    log += [[n for n, _ in layer.named_parameters()], isinstance(p, lib.nn.Parameter)]
    layer.float().zero_grad()
    log += [str(p.dtype).split(".")[-1], p.requires_grad]
    layer(data(lib, 2, 4))
    log += [layer.weight is p, type(p).__name__, list(p.shape), p.requires_grad, str(p.dtype).split(".")[-1]]
    own = lib.nn.UninitializedParameter()
    own.materialize((2, 3))
    return [*log, type(own).__name__, list(own.shape), own.requires_grad, own.is_leaf]


@scenario
def state(lib):
    log = []

    def make():
        return lib.nn.Sequential(
            lib.nn.LazyConv2d(2, 3), lib.nn.LazyBatchNorm2d(), lib.nn.Flatten(), lib.nn.LazyLinear(3)
        )

    x = data(lib, 2, 1, 5, 4)
    net, other, third, empty = make(), make(), make(), make().state_dict()
    net(x)
    fill(lib, net)
    net[1].reset_running_stats()
    log.append(repr(other.load_state_dict(net.state_dict())).split("Keys")[-1])
    log += [
        text(lib, other),
        other[0].has_uninitialized_params(),
        values(other.eval()(x)),
        type(other[0]).__name__,
    ]
    log += [values(net.eval()(x))]
    log += [third.load_state_dict(empty).missing_keys, third[0].has_uninitialized_params()]
    with pytest.raises(RuntimeError):
        net.load_state_dict(empty)
    log.append(third(x).shape == net(x).shape)
    return log


@scenario
def optimizers(lib):
    layer = lib.nn.LazyLinear(2)
    optimizer = lib.optim.SGD(layer.parameters(), lr=0.5)
    optimizer.zero_grad()
    layer(data(lib, 3, 4))
    fill(lib, layer)
    layer(data(lib, 3, 4)).square().sum().backward()
    optimizer.step()
    return [values(layer.weight), values(layer.bias)]


@scenario
def wrong_input(lib):
    for call in (
        lambda: lib.nn.LazyConv2d(2, 3)(data(lib, 2, 2)),
        lambda: lib.nn.LazyConv1d(2, 3)(data(lib, 2, 2, 3, 3)),
    ):
        with pytest.raises(RuntimeError, match="Expected"):
            call()
    for call in (
        lambda: lib.nn.LazyConv2d(4, 3, groups=2)(data(lib, 1, 3, 4, 4)),
        lambda: lib.nn.LazyBatchNorm2d()(data(lib, 2, 3)),
    ):
        with pytest.raises(ValueError, match=r"divisible|expected 4D"):
            call()
    return []


@scenario
def own_lazy_module(lib):
    base = lib.nn.modules.lazy.LazyModuleMixin

    class Scale(base, lib.nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = lib.nn.UninitializedParameter()

        def initialize_parameters(self, x):
            self.scale.materialize((x.shape[-1],))
            with lib.no_grad():
                self.scale.fill_(2.0)

        def forward(self, x):
            return x * self.scale

    module = Scale()
    log = [module.has_uninitialized_params(), values(module(data(lib, 2, 3))), type(module).__name__]

    class Forgets(Scale):
        def initialize_parameters(self, x):
            pass

    with pytest.raises(RuntimeError, match="has not been fully initialized"):
        Forgets()(data(lib, 2))
    return log


@pytest.mark.parametrize("name", scenario)
def test_as_pytorch_does(name):
    scenario.check(name)


def test_pickles_and_errors():
    layer = pickle.loads(pickle.dumps(nn.LazyLinear(2)))
    assert layer(cnnx.ones(1, 3)).shape == (1, 2)
    buffer = copy.deepcopy(nn.UninitializedBuffer(dtype=cnnx.float64))
    buffer.materialize((2,))
    assert type(buffer) is cnnx.Tensor
    assert buffer.dtype == cnnx.float64
    with pytest.raises(TypeError, match="LazyConv2d: out_channels must be an int"):
        nn.LazyConv2d("3", 2)
    with pytest.raises(ValueError, match="out_channels must be divisible"):
        nn.LazyConv2d(3, 2, groups=2)
    lazy = nn.LazyLinear(2)
    with pytest.raises(ValueError, match="uninitialized parameter"):
        nn.init.ones_(lazy.weight)
    with pytest.raises(ValueError, match="uninitialized parameter"):
        optim.SGD(lazy.parameters(), lr=1.0).step()
    with pytest.raises(ValueError, match="has none"):
        lazy.weight.grad = cnnx.ones(1)
