"""Parametrizations, weight norm, spectral norm and pruning do what PyTorch's do, with its names of state."""

from __future__ import annotations

import copy
import importlib
import pickle
import warnings

import numpy as np
import pytest

import cnnx
from cnnx import nn
from cnnx.nn.utils import parametrize, prune
from scenarios import Scenarios, alike, data, linear, values

scenario = Scenarios()


def state(module):
    return {name: values(tensor) for name, tensor in module.state_dict().items()}


def grads(module):
    return {name: None if p.grad is None else values(p.grad) for name, p in module.named_parameters()}


def set_vectors(lib, module):
    """What is drawn at random, set to the same."""
    with lib.no_grad():
        for name, buffer in module.named_buffers():
            if name.endswith(("_u", "_v")):
                buffer.copy_(lib.nn.functional.normalize(lib.arange(buffer.numel()) + 1.0, dim=0))


def quietly(call):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return call()


def symmetric(lib):
    class Symmetric(lib.nn.Module):
        def forward(self, x):
            return x.triu() + x.triu(1).t()

        def right_inverse(self, value):
            return value.triu()

    return Symmetric()


def scaled(lib):
    class Scaled(lib.nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = lib.nn.Parameter(lib.ones(1) * 2)

        def forward(self, x):
            return x * self.scale

    return Scaled()


def halves(lib):
    class Halves(lib.nn.Module):
        def forward(self, first, second):
            return lib.cat([first, second])

        def right_inverse(self, value):
            return value[:1] * 1, value[1:] * 1

    return Halves()


@scenario
def one_after_the_other(lib):
    p = lib.nn.utils.parametrize
    log, layer = [], linear(lib, 3, 3)
    weight = layer.weight
    log.append(p.register_parametrization(layer, "weight", symmetric(lib)) is layer)
    log += [state(layer), layer.parametrizations.weight.original is weight, type(layer).__name__]
    p.register_parametrization(layer, "weight", scaled(lib))
    log += [list(state(layer)), [n for n, _ in layer.named_parameters()], len(layer.parametrizations.weight)]
    log += [values(layer.weight), p.is_parametrized(layer), p.is_parametrized(layer, "bias")]
    layer(data(lib, 2, 3)).square().sum().backward()
    log.append(grads(layer))
    log += [p.type_before_parametrizations(layer).__name__, repr(layer)]
    p.remove_parametrizations(layer, "weight")
    log += [state(layer), type(layer).__name__, layer.weight is weight, p.is_parametrized(layer)]
    return log


@scenario
def assigned_and_taken_back(lib):
    p = lib.nn.utils.parametrize
    log, layer = [], linear(lib, 2, 2)
    p.register_parametrization(layer, "weight", symmetric(lib))
    layer.weight = data(lib, 2, 2)
    log += [values(layer.weight), state(layer)]
    p.register_parametrization(layer, "weight", scaled(lib))
    with pytest.raises(RuntimeError, match="right_inverse"):
        layer.weight = data(lib, 2, 2)
    p.register_parametrization(layer, "bias", scaled(lib))
    p.remove_parametrizations(layer, "weight", leave_parametrized=False)
    log += [state(layer), type(layer).__name__]
    p.remove_parametrizations(layer, "bias")
    return [*log, state(layer), type(layer).__name__]


@scenario
def several_tensors(lib):
    p = lib.nn.utils.parametrize
    log, layer = [], linear(lib, 2, 3)
    p.register_parametrization(layer, "weight", halves(lib))
    log += [state(layer), values(layer.weight)]
    layer.weight = layer.weight * 2
    log += [state(layer)]
    with pytest.raises(ValueError, match="leave_parametrized=False"):
        p.remove_parametrizations(layer, "weight", leave_parametrized=False)
    p.remove_parametrizations(layer, "weight")
    return [*log, state(layer), type(layer.weight).__name__]


@scenario
def buffers_and_caches(lib):
    p = lib.nn.utils.parametrize
    layer = lib.nn.BatchNorm1d(2)
    p.register_parametrization(layer, "running_mean", scaled(lib))
    log = [list(state(layer)), values(layer.running_mean)]
    with p.cached():
        log.append(layer.running_mean is layer.running_mean)
        with p.cached():
            log.append(layer.running_mean is layer.running_mean)
        log.append(layer.running_mean is layer.running_mean)
    return [*log, layer.running_mean is layer.running_mean]


@scenario
def copies_and_pickles(lib):
    p = lib.nn.utils.parametrize
    layer = linear(lib, 2, 2)
    p.register_parametrization(layer, "weight", symmetric(lib))
    other = copy.deepcopy(layer)
    with lib.no_grad():
        other.parametrizations.weight.original.fill_(7.0)
    log = [values(layer.weight), values(other.weight), values(other(data(lib, 2)))]
    with pytest.raises(RuntimeError, match="only supported through state_dict"):
        pickle.dumps(layer)
    fresh = p.register_parametrization(linear(lib, 2, 2), "weight", symmetric(lib))
    fresh.load_state_dict(other.state_dict())
    log.append(values(fresh.weight))
    third = linear(lib, 2, 2)
    p.transfer_parametrizations_and_params(layer, third)
    return [*log, state(third), values(layer.double().weight), values(layer.float()(data(lib, 2)))]


@scenario
def refused(lib):
    p = lib.nn.utils.parametrize

    class Short(lib.nn.Module):
        def forward(self, x):
            return x[:1]

    class Double(lib.nn.Module):
        def forward(self, x):
            return x.double()

    for wrong in (Short(), Double()):
        layer = linear(lib, 2, 2)
        with pytest.raises(ValueError, match=r"shape|dtype"):
            p.register_parametrization(layer, "weight", wrong)
        with pytest.raises(ValueError, match=r"shape|dtype"):
            p.register_parametrization(
                p.register_parametrization(layer, "weight", symmetric(lib)), "weight", wrong
            )
        p.register_parametrization(linear(lib, 2, 2), "weight", wrong, unsafe=True)
    with pytest.raises(ValueError, match="nothing"):
        p.register_parametrization(linear(lib, 2, 2), "nothing", symmetric(lib))
    with pytest.raises(ValueError, match="parametrization on"):
        p.remove_parametrizations(linear(lib, 2, 2), "weight")
    return []


def norms(lib):
    """Layers with their inputs, and the dimension of their norm."""
    return [
        (linear(lib, 3, 4), data(lib, 2, 3), 0),
        (linear(lib, 3, 4), data(lib, 2, 3), None),
        (linear(lib, 3, 4), data(lib, 2, 3), 1),
        (linear(lib, 2, 3, 3, kind=lib.nn.Conv2d), data(lib, 2, 2, 5, 4), 0),
        (linear(lib, 2, 3, 3, kind=lib.nn.ConvTranspose2d), data(lib, 2, 2, 4, 3), 1),
        (linear(lib, 2, 3, 3, kind=lib.nn.Conv1d), data(lib, 2, 2, 5), -2),
    ]


@scenario
def weight_norms(lib):
    u, log = lib.nn.utils, []
    for layer, x, dim in norms(lib):
        old = copy.deepcopy(layer)
        u.parametrizations.weight_norm(layer, dim=dim)
        quietly(lambda old=old, dim=dim: u.weight_norm(old, dim=dim))
        for module in (layer, old):
            module(x).square().sum().backward()
            log += [state(module), grads(module), values(module(x))]
        layer.load_state_dict(old.state_dict())
        u.parametrize.remove_parametrizations(layer, "weight")
        u.remove_weight_norm(old)
        log += [state(layer), state(old), values(old(x))]
    with pytest.raises(ValueError, match="not found"):
        u.remove_weight_norm(old)
    quietly(lambda: u.weight_norm(old))
    with pytest.raises(RuntimeError, match="two weight_norm hooks"):
        quietly(lambda: u.weight_norm(old))
    return log


@scenario
def spectral_norms(lib):
    u, log = lib.nn.utils, []
    for layer, x, _ in norms(lib):
        old = copy.deepcopy(layer)
        u.parametrizations.spectral_norm(layer, n_power_iterations=2)
        u.spectral_norm(old, n_power_iterations=2)
        for module in (layer, old):
            set_vectors(lib, module)
            for _ in range(2):
                module(x).square().sum().backward()
            log += [state(module), grads(module)]
            module.eval()
            log += [values(module(x)), state(module), dict(module.state_dict()._metadata[""])]
        u.parametrize.remove_parametrizations(layer, "weight")
        u.remove_spectral_norm(old)
        log += [state(layer), state(old), dict(old.state_dict()._metadata[""])]
    with pytest.raises(ValueError, match="not found"):
        u.remove_spectral_norm(old)
    with pytest.raises(ValueError, match="to be positive"):
        u.spectral_norm(old, n_power_iterations=0)
    with pytest.raises(ValueError, match="to be positive"):
        u.parametrizations.spectral_norm(old, n_power_iterations=0)
    with pytest.raises(IndexError, match="out of range"):
        u.parametrizations.spectral_norm(old, dim=5)
    vector = linear(lib, 2, 2)
    u.parametrizations.spectral_norm(vector, "bias")
    return [*log, state(vector), values(vector.bias)]


# Pruning.


def part(lib):
    return importlib.import_module(lib.__name__ + ".nn.utils.prune")  # PyTorch imports it on demand


@scenario
def pruned_once(lib):
    p, log = part(lib), []
    for prune_it in (
        lambda m: p.l1_unstructured(m, "weight", amount=3),
        lambda m: p.l1_unstructured(
            m, "weight", 0.4, importance_scores=(lib.arange(12) * 5 % 12 - 5.5).reshape(4, 3)
        ),
        lambda m: p.ln_structured(m, "weight", amount=2, n=2, dim=0),
        lambda m: p.ln_structured(m, "weight", amount=0.34, n=float("inf"), dim=-1),
        lambda m: p.ln_structured(m, "weight", amount=0, n=1, dim=1),
        lambda m: p.identity(m, "bias"),
        lambda m: p.custom_from_mask(m, "bias", lib.tensor([0, 1, 1, 0])),
        lambda m: p.random_unstructured(m, "weight", 1.0),
        lambda m: p.random_structured(m, "weight", 4, dim=0),
    ):
        layer = linear(lib, 3, 4)
        with lib.no_grad():
            layer.weight += (lib.arange(12) / 100).reshape(4, 3)  # without ties
        log += [p.is_pruned(layer), prune_it(layer) is layer, p.is_pruned(layer)]
        log += [list(state(layer)), state(layer), values(layer(data(lib, 2, 3)))]
        layer(data(lib, 2, 3)).sum().backward()
        log.append(grads(layer))
        copied = copy.deepcopy(lib.nn.Sequential(linear(lib, 3, 4)))
        log.append(p.is_pruned(copied))
        p.remove(layer, "weight" if "weight_mask" in layer.state_dict() else "bias")
        log += [state(layer), [n for n, _ in layer.named_parameters()], p.is_pruned(layer)]
    return log


@scenario
def pruned_again(lib):
    p, log = part(lib), []
    layer = linear(lib, 2, 3, 3, kind=lib.nn.Conv2d)
    with lib.no_grad():
        layer.weight += (lib.arange(layer.weight.numel()) / 100).reshape(layer.weight.shape)
    p.ln_structured(layer, "weight", amount=1, n=2, dim=0)
    p.l1_unstructured(layer, "weight", amount=0.5)
    p.ln_structured(layer, "weight", amount=1, n=1, dim=1)
    p.custom_from_mask(layer, "weight", lib.ones(layer.weight.shape))
    (hook,) = layer._forward_pre_hooks.values()
    log += [type(hook).__name__, len(hook), [type(h).__name__ for h in hook], type(hook[0]).__name__]
    log += [values(layer.weight_mask), values(layer(data(lib, 1, 2, 4, 4)))]
    state_dict = layer.state_dict()
    other = p.identity(linear(lib, 2, 3, 3, kind=lib.nn.Conv2d), "weight")
    other.load_state_dict(state_dict)
    return [*log, values(other(data(lib, 1, 2, 4, 4)))]


@scenario
def pruned_together(lib):
    p = part(lib)
    net = lib.nn.Sequential(linear(lib, 3, 4), linear(lib, 4, 2))
    with lib.no_grad():
        for i, parameter in enumerate(net.parameters()):
            parameter += (lib.arange(parameter.numel()) / (90 + i)).reshape(parameter.shape)
    places = [(net[0], "weight"), (net[1], "weight"), (net[1], "bias")]
    p.global_unstructured(places, pruning_method=p.L1Unstructured, amount=0.4)
    log = [state(net)]
    p.global_unstructured(
        places, p.L1Unstructured, importance_scores={(net[1], "bias"): lib.ones(2) * 9}, amount=3
    )
    log.append(state(net))
    with pytest.raises(TypeError, match="unstructured"):
        p.global_unstructured(places, p.LnStructured, amount=1, n=2)
    return log


@scenario
def pruned_by_own_method(lib):
    class EveryOther(part(lib).BasePruningMethod):
        PRUNING_TYPE = "unstructured"

        def compute_mask(self, t, default_mask):
            mask = default_mask.clone()
            mask.view(-1)[::2] = 0
            return mask

    layer = linear(lib, 3, 4)
    EveryOther.apply(layer, "bias")
    log = [state(layer)]
    EveryOther.apply(layer, "bias")
    return [*log, state(layer), values(EveryOther().prune(data(lib, 2, 3)))]


@scenario
def not_pruned(lib):
    p, log = part(lib), []
    for error, call in (
        (ValueError, lambda m: p.l1_unstructured(m, "weight", -1)),
        (ValueError, lambda m: p.l1_unstructured(m, "weight", 1.5)),
        (ValueError, lambda m: p.l1_unstructured(m, "weight", 100)),
        (TypeError, lambda m: p.l1_unstructured(m, "weight", "many")),
        (ValueError, lambda m: p.random_structured(m, "bias", 1, 0)),
        (IndexError, lambda m: p.random_structured(m, "weight", 1, 2)),
        (ValueError, lambda m: p.remove(m, "weight")),
        (AttributeError, lambda m: p.identity(m, "nothing")),
    ):
        layer = linear(lib, 3, 4)
        with pytest.raises(error):
            call(layer)
        log += [sorted(state(layer).items()), type(layer.weight).__name__, len(layer._forward_pre_hooks)]
    return log


@pytest.mark.parametrize("name", scenario)
def test_as_pytorch_does(name):
    scenario.check(name)


def test_masks_drop_as_many_as_they_should():
    cnnx.manual_seed(0)
    layer = nn.Linear(40, 30)
    prune.random_unstructured(layer, "weight", 0.25)
    assert int((layer.weight_mask == 0).sum()) == 300
    prune.random_unstructured(layer, "weight", 0.5)
    assert int((layer.weight_mask == 0).sum()) == 300 + 450
    prune.random_structured(layer, "weight", 10, dim=1)
    assert int((layer.weight_mask.sum(0) == 0).sum()) == 10


def test_a_copy_is_a_class_of_its_own():
    layer = nn.utils.parametrizations.weight_norm(nn.Linear(2, 2))
    other = copy.deepcopy(layer)
    parametrize.remove_parametrizations(layer, "weight")
    assert type(layer) is nn.Linear
    assert parametrize.is_parametrized(other, "weight")
    assert other(cnnx.ones(1, 2)).shape == (1, 2)


def test_batch_norms_worked_into_layers():
    torch = pytest.importorskip("torch")

    def pair(lib, kind, norm, sizes, **affine):
        return linear(lib, *sizes, kind=getattr(lib.nn, kind)), getattr(lib.nn, norm)(3, **affine)

    for args, affine, transpose, shape in (
        (("Conv2d", "BatchNorm2d", (2, 3, 3)), {}, False, (2, 2, 5, 4)),
        (("Conv1d", "BatchNorm1d", (2, 3, 1)), {"affine": False}, False, (2, 2, 5)),
        (("ConvTranspose2d", "BatchNorm2d", (2, 3, 3)), {}, True, (1, 2, 3, 3)),
        (("Linear", "BatchNorm1d", (2, 3)), {}, None, (4, 2)),
    ):
        states = []
        for lib in (cnnx, torch):
            layer, bn = pair(lib, *args, **affine)
            with lib.no_grad():
                for i, tensor in enumerate([*bn.parameters(), *list(bn.buffers())[:2], layer.weight]):
                    tensor.copy_((lib.arange(tensor.numel()) % 4 + 1.0 + i / 2).reshape(tensor.shape))
            layer.eval()
            bn.eval()
            u = lib.nn.utils
            fused = (
                u.fuse_linear_bn_eval(layer, bn)
                if transpose is None
                else u.fusion.fuse_conv_bn_eval(layer, bn, transpose)
            )
            x = data(lib, *shape)
            np.testing.assert_allclose(
                fused(x).detach().cpu().numpy(), bn(layer(x)).detach().cpu().numpy(), rtol=1e-5, atol=1e-4
            )
            states.append({k: v.cpu().numpy() for k, v in fused.state_dict().items()})
        ours, theirs = states
        for name, value in theirs.items():
            np.testing.assert_allclose(ours[name], value, rtol=1e-6)
    with pytest.raises(RuntimeError, match="only for eval"):
        nn.utils.fuse_conv_bn_eval(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1))
    with pytest.raises(AssertionError, match="To fuse"):
        nn.utils.fuse_linear_bn_eval(nn.Linear(1, 2), nn.BatchNorm1d(3))


def test_norms_of_gradients():
    torch = pytest.importorskip("torch")
    for order in (2.0, 1.0, float("inf")):
        found = []
        for lib in (cnnx, torch):
            net = lib.nn.Sequential(linear(lib, 3, 2), linear(lib, 2, 2))
            net(data(lib, 2, 3)).square().sum().backward()
            total = lib.nn.utils.get_total_norm([p.grad for p in net.parameters()], order)
            lib.nn.utils.clip_grads_with_norm_(net.parameters(), 0.5, total)
            found.append([total.item(), *(values(p.grad) for p in net.parameters())])
        assert alike(*found)
    assert nn.utils.get_total_norm([]).item() == 0.0
    with pytest.raises(RuntimeError, match="not finite"):
        nn.utils.get_total_norm(cnnx.tensor([float("inf")]), error_if_nonfinite=True)


def test_parametrized_nets_are_replayed():
    p = nn.utils.parametrizations

    def losses(compiled):
        cnnx.manual_seed(0)
        net = nn.Sequential(p.spectral_norm(nn.Linear(6, 5)), nn.ReLU(), p.weight_norm(nn.Linear(5, 3)))
        optimizer = cnnx.optim.SGD(net.parameters(), lr=0.1)

        def step(x, y):
            loss = nn.functional.cross_entropy(net(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss.detach()

        x, y = cnnx.rand(8, 6), cnnx.arange(8) % 3
        function = cnnx.compile(step, static=True) if compiled else step
        return [function(x, y).item() for _ in range(5)]

    with warnings.catch_warnings():
        warnings.simplefilter("error")  # that there is no plan
        assert losses(True) == losses(False)
