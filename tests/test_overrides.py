"""What PyTorch lets a subclass override or register is called as PyTorch calls it, or refused at once.

Each scenario writes down what was called with what. It runs on cnnx and on PyTorch, and the logs are equal.
"""

import copy
import pickle
import warnings
from collections import OrderedDict

import numpy as np
import pytest

import cnnx
from cnnx import nn, transforms
from cnnx.transforms import functional as F

SCENARIOS = {}


def scenario(function):
    SCENARIOS[function.__name__] = function
    return function


def values(x):
    if isinstance(x, tuple | list):
        return [values(v) for v in x]
    return x.tolist() if hasattr(x, "tolist") else x


def linear(lib, *sizes, kind=None):
    """A dense layer with small whole numbers for weights."""
    layer = (kind or lib.nn.Linear)(*sizes)
    with lib.no_grad():
        for parameter in layer.parameters():
            parameter.copy_((lib.arange(parameter.numel()) % 5 - 2.0).reshape(parameter.shape))
    return layer


def data(lib, *shape, grad=False):
    x = (lib.arange(int(np.prod(shape))) % 7 - 3.0).reshape(shape)
    return x.requires_grad_() if grad else x


# Modules: hooks around the call.


@scenario
def forward_hooks(lib):
    log, layer = [], linear(lib, 2, 2)
    layer.register_forward_pre_hook(lambda m, args: log.append("second"))
    layer.register_forward_pre_hook(lambda m, args: (log.append("first"), (args[0] * 2,))[1], prepend=True)
    layer.register_forward_pre_hook(lambda m, a, kw: log.append(["kwargs", list(kw)]), with_kwargs=True)
    handle = layer.register_forward_hook(lambda m, args, out: out + 1)
    layer.register_forward_hook(lambda m, args, out: log.append(values(out)))
    layer.register_forward_hook(lambda m, a, kw, out: log.append(list(kw)), with_kwargs=True, prepend=True)
    log.append(values(layer(data(lib, 2))))
    handle.remove()
    layer._forward_pre_hooks.clear()
    log.append(
        [values(layer(data(lib, 2))), len(layer._forward_hooks), len(layer._forward_hooks_with_kwargs)]
    )
    return log


@scenario
def hooks_that_are_always_called(lib):
    log, layer = [], linear(lib, 2, 2)

    def fails(module, args, out):
        log.append("fails")
        raise KeyError("inner")

    layer.register_forward_hook(lambda m, a, out: log.append(["always", out is None]), always_call=True)
    with pytest.raises(RuntimeError):
        layer(data(lib, 5))
    layer.register_forward_hook(fails)
    layer.register_forward_hook(lambda m, a, out: log.append(["late", out is None]), always_call=True)
    with pytest.raises(KeyError):
        layer(data(lib, 2))
    layer.register_forward_hook(fails, always_call=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(RuntimeError):
            layer(data(lib, 5))
    return [*log, len(caught)]


@scenario
def backward_hooks(lib):
    log = []
    net = lib.nn.Sequential(linear(lib, 3, 2), lib.nn.Tanh(), linear(lib, 2, 1))
    for name, module in net.named_modules():
        module.register_full_backward_hook(
            lambda m, into, out, name=name: log.append([name, values(into), values(out)])
        )
        module.register_full_backward_pre_hook(
            lambda m, out, name=name: log.append(["before", name, values(out)])
        )
    net[1].register_full_backward_hook(lambda m, into, out: (into[0] * 2,))
    net[1].register_full_backward_hook(lambda m, into, out: log.append("first"), prepend=True)
    net[2].register_full_backward_pre_hook(lambda m, out: (out[0] * 10,))
    x = data(lib, 4, 3, grad=True)
    net(x).sum().backward()
    log += [values(x.grad), [values(p.grad) for p in net.parameters()]]
    net._modules["1"]._backward_hooks.clear()
    net(x).sum().backward()
    return log


@scenario
def backward_hooks_when_the_gradient_comes_past_the_results(lib):
    log = []

    class Keeps(lib.nn.Module):
        def forward(self, x):
            self.kept = x * 2
            return self.kept * 3

    module = Keeps()
    module.register_full_backward_hook(lambda m, into, out: log.append([values(into), values(out)]))
    x = data(lib, 2, grad=True)
    module(x).sum().backward(retain_graph=True)
    module.kept.sum().backward()
    return [*log, values(x.grad)]


@scenario
def backward_hooks_of_many_arguments(lib):
    log = []

    class Many(lib.nn.Module):
        def forward(self, a, word, b, c, scale=1):
            return a * b * scale, word, b.detach(), b + c

    net = Many()
    net.register_full_backward_hook(lambda m, into, out: log.append([values(into), values(out)]))
    a, b, c = (data(lib, 2, grad=True) for _ in range(3))
    first, word, constant, last = net(a, "word", b, c, scale=3)
    log.append([word, constant.requires_grad])
    (first.sum() + 2 * last.sum()).backward()
    first, _, _, last = net(a, "word", b, c)
    last.sum().backward()
    with lib.no_grad():
        net(a, "word", b, c)
    wrong = net.register_full_backward_hook(lambda m, into, out: into[:1])
    with pytest.raises(RuntimeError, match="invalid number of grad_input, got 1, but expected 4"):
        net(a, "word", b, c)[0].sum().backward()
    wrong.remove()
    inplace = lib.nn.ReLU(inplace=True)
    inplace.register_full_backward_hook(lambda m, into, out: None)
    with pytest.raises(RuntimeError, match="view"):
        inplace(a * 1)
    return [*log, values(a.grad), values(b.grad)]


@scenario
def backward_hooks_without_inputs_that_need_a_gradient(lib):
    log, layer = [], linear(lib, 2, 1)
    layer.register_full_backward_hook(lambda m, into, out: log.append([values(into), values(out)]))
    with pytest.warns(UserWarning, match="no inputs require gradients"):
        layer(data(lib, 3, 2)).sum().backward()
    layer.register_full_backward_hook(lambda m, into, out: (out[0],))
    loss = layer(data(lib, 3, 2)).sum()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(RuntimeError, match="None for all gradients"):
            loss.backward()
    listed = type("Listed", (lib.nn.Module,), {"forward": lambda self, x: [x]})()
    listed.register_full_backward_hook(lambda m, into, out: None)
    with pytest.warns(UserWarning, match="tuple of"):
        listed(data(lib, 2, grad=True))
    return log


@scenario
def copies_of_modules_keep_their_hooks(lib):
    log, layer = [], linear(lib, 2, 1)
    layer.register_forward_hook(count_call)
    handle = layer.register_forward_pre_hook(count_call)
    other, third = copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))
    handle.remove()
    for module in (layer, other, third):
        CALLS.clear()
        module(data(lib, 2))
        log.append(len(CALLS))
    return log


CALLS = []


def count_call(*args):
    CALLS.append(1)


# Modules: methods.


@scenario
def calls_of_children(lib):
    log = []

    class Child(lib.nn.Linear):
        def __call__(self, *args):
            log.append("call")
            return super().__call__(*args)

        def forward(self, x):
            log.append("forward")
            return super().forward(x) + 1

        def train(self, mode=True):
            log.append(["train", mode])
            return super().train(mode)

        def _apply(self, fn, recurse=True):
            log.append(["apply", recurse])
            return super()._apply(fn, recurse)

        def apply(self, fn):
            log.append("apply of a function")
            return super().apply(fn)

        def named_modules(self, *args, **kwargs):
            log.append("named_modules")
            return super().named_modules(*args, **kwargs)

        def _get_name(self):
            return "Renamed"

        def extra_repr(self):
            return "extra"

        def to(self, *args):
            log.append("to")
            return super().to(*args)

        def requires_grad_(self, requires_grad=True):
            log.append("requires_grad_")
            return super().requires_grad_(requires_grad)

        def zero_grad(self, set_to_none=True):
            log.append("zero_grad")
            return super().zero_grad(set_to_none)

        def reset_parameters(self):
            log.append("reset")
            super().reset_parameters()

    child = linear(lib, 2, 2, kind=Child)
    net = lib.nn.Sequential(child, lib.nn.ModuleDict({"inner": child}))
    log.append(values(lib.nn.Sequential(child)(data(lib, 2))))
    net.eval()
    net.double()
    net.to(lib.float32)
    net.cpu()
    net.apply(lambda m: log.append(type(m).__name__))
    net.requires_grad_(False)
    net.zero_grad()
    log.append([name for name, _ in net.named_parameters()])
    log.append(repr(child))
    child.forward = lambda x: x * 100  # on the object
    log.append(values(child(data(lib, 2))))
    return log


@scenario
def own_lists_of_parameters(lib):
    class Half(lib.nn.Sequential):
        def named_parameters(self, *args, **kwargs):
            return (pair for pair in super().named_parameters(*args, **kwargs) if "weight" in pair[0])

        def named_buffers(self, *args, **kwargs):
            return iter([("own", "buffer")])

        def named_children(self):
            return list(super().named_children())[:1]

    log, net = [], Half(linear(lib, 2, 2), linear(lib, 2, 2))
    net.requires_grad_(False)
    log.append([p.requires_grad for module in net._modules.values() for p in module.parameters()])
    log += [len(list(net.parameters())), list(net.buffers()), len(list(net.children()))]
    net.eval()
    log.append([module.training for module in net._modules.values()])
    return log


@scenario
def own_attributes(lib):
    log = []

    class Scaled(lib.nn.Linear):
        @property
        def weight(self):
            if "weight" not in self._parameters:
                raise AttributeError("weight")
            return self._parameters["weight"] * 10

    class Answers(lib.nn.Module):
        def __getattr__(self, name):
            return 42 if name == "answer" else super().__getattr__(name)

        def __setattr__(self, name, value):
            if name not in ("training", "log"):
                log.append(["set", name])
            super().__setattr__(name, value)

        def __delattr__(self, name):
            log.append(["del", name])
            super().__delattr__(name)

        def register_parameter(self, name, param):
            log.append(["parameter", name])
            super().register_parameter(name, param)

        def register_buffer(self, name, tensor, persistent=True):
            log.append(["buffer", name, persistent])
            super().register_buffer(name, tensor, persistent)

        def add_module(self, name, module):
            log.append(["module", name])
            super().add_module(name, module)

    class Dynamic(lib.nn.Linear):
        def __getattr__(self, name):
            found = super().__getattr__(name)
            return found * 2 if name == "bias" else found

    net = Answers()
    net.weight = lib.nn.Parameter(data(lib, 2))
    net.state = lib.nn.Buffer(data(lib, 2), persistent=False)
    net.child = lib.nn.Identity()
    net.register_module("other", lib.nn.Identity())
    del net.child
    log += [net.answer, list(net.state_dict()), "weight" in dir(net), hasattr(net, "nothing")]
    x = data(lib, 2)
    log.append(values(linear(lib, 2, 2, kind=Scaled)(x)))
    log.append(values(linear(lib, 2, 2, kind=Dynamic)(x)))
    return log


@scenario
def parameters_replaced_by_plain_attributes(lib):
    """Weight norms of old, which compute a layer's weight before each call."""
    log = []
    for layer, x in [
        (lib.nn.Linear(2, 2), data(lib, 2)),
        (lib.nn.Conv1d(2, 2, 1), data(lib, 1, 2, 3)),
        (lib.nn.Conv2d(2, 2, 1), data(lib, 1, 2, 3, 3)),
        (lib.nn.ConvTranspose2d(2, 2, 1), data(lib, 1, 2, 3, 3)),
        (lib.nn.BatchNorm1d(2), data(lib, 3, 2)),
    ]:
        weight = layer.weight
        del layer._parameters["weight"]
        layer.register_parameter("original", lib.nn.Parameter(lib.ones(*weight.shape)))
        layer.register_forward_pre_hook(lambda m, args: setattr(m, "weight", m.original * 3))
        layer.bias.data.fill_(1)
        log.append(layer(x).tolist())
        layer(x).sum().backward()
        log.append(layer.original.grad.tolist())
    return log


@scenario
def methods_of_layers(lib):
    log = []

    class Standardised(lib.nn.Conv2d):
        def _conv_forward(self, input, weight, bias):
            log.append("conv")
            return super()._conv_forward(input, weight * 2, bias)

    class AnyShape(lib.nn.BatchNorm2d):
        def _check_input_dim(self, input):
            log.append(["check", input.dim()])

        def reset_running_stats(self):
            log.append("reset")
            super().reset_running_stats()

    conv = linear(lib, 1, 2, 2, kind=Standardised)
    log.append(values(conv(data(lib, 1, 1, 3, 3))))
    log.append(AnyShape(2, affine=False)(data(lib, 5, 2)).tolist())
    return log


@scenario
def containers(lib):
    log = []

    class Reversed(lib.nn.Sequential):
        def __iter__(self):
            return reversed(list(super().__iter__()))

        def __getitem__(self, index):
            log.append(["item", index])
            return super().__getitem__(index)

    class Dict(lib.nn.ModuleDict):
        def __setitem__(self, key, module):
            log.append(["set", key])
            super().__setitem__(key, module)

        def __getitem__(self, key):
            log.append(["get", key])
            return super().__getitem__(key)

        def __delitem__(self, key):
            log.append(["del", key])
            super().__delitem__(key)

    class List(lib.nn.ModuleList):
        def add_module(self, name, module):
            log.append(["add", name])
            super().add_module(name, module)

        def forward(self, x):
            for module in self:
                x = module(x) + 1
            return x

    net = Reversed(linear(lib, 3, 2), linear(lib, 2, 3))
    log.append(values(net(data(lib, 2))))
    log.append(type(net[0]).__name__)
    modules = Dict({"a": lib.nn.Identity()})
    modules.update({"b": lib.nn.Identity()})
    modules.pop("a")
    log.append(list(modules))
    log.append(values(List([lib.nn.Identity(), lib.nn.ReLU()])(data(lib, 4))))
    return log


@scenario
def classes_that_are_modules_and_more(lib):
    log = []

    class Other:
        def __init__(self, name):
            log.append(name)

    class Both(lib.nn.Module, Other):
        call_super_init = True

        def __init__(self, name):
            super().__init__(name)

    Both("other")
    with pytest.raises(TypeError):
        type("Plain", (lib.nn.Module,), {"__init__": lambda self: lib.nn.Module.__init__(self, 1)})()
    return log


# Modules: state dicts.


def make_stateful(lib, log):
    class Stateful(lib.nn.Linear):
        _version = 3

        def get_extra_state(self):
            return {"seen": 5}

        def set_extra_state(self, state):
            log.append(["extra", state])

        def _save_to_state_dict(self, destination, prefix, keep_vars):
            log.append(["save", prefix, keep_vars])
            super()._save_to_state_dict(destination, prefix, keep_vars)
            destination[prefix + "more"] = 1

        def _load_from_state_dict(
            self, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        ):
            log.append(["load", prefix, local_metadata.get("version"), sorted(state_dict)])
            state_dict.pop(prefix + "more", None)
            if prefix + "old" in state_dict:
                state_dict[prefix + "weight"] = state_dict.pop(prefix + "old")
            super()._load_from_state_dict(
                state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
            )

    return Stateful


@scenario
def own_state(lib):
    log = []
    net = lib.nn.Sequential(linear(lib, 2, 2, kind=make_stateful(lib, log)))
    state = net.state_dict()
    log += [list(state), {k: dict(v) for k, v in state._metadata.items()}]
    log.append(repr(net.load_state_dict(state)).split("Keys")[-1])
    state["0.old"] = state.pop("0.weight") + 1
    del state["0.bias"], state["0._extra_state"]
    state["0.what"] = state["1.weight"] = state["0.old"]
    result = net.load_state_dict(state, strict=False)
    log += [result.missing_keys, result.unexpected_keys, values(net[0].weight)]
    with pytest.raises(RuntimeError, match="Missing key") as caught:
        net.load_state_dict(dict(state))
    log.append(str(caught.value).replace("\t", "").split("\n"))
    return log


@scenario
def hooks_of_state_dicts(lib):
    log = []
    net = lib.nn.Sequential(linear(lib, 2, 1), linear(lib, 2, 1))
    inner = net[0]
    inner.register_state_dict_pre_hook(lambda m, prefix, keep: log.append(["before", prefix, keep]))

    def change(module, state_dict, prefix, metadata):
        log.append(["after", prefix, dict(metadata), list(state_dict)])
        state_dict[prefix + "scale"] = lib.ones(1)

    inner.register_state_dict_post_hook(change)
    net._register_state_dict_hook(lambda m, state, prefix, meta: OrderedDict(reversed(state.items())))
    state = net.state_dict()
    log.append(list(state))

    def drop(module, state_dict, prefix, metadata, strict, missing, unexpected, errors):
        log.append(["load", type(module).__name__, prefix, strict, sorted(state_dict), missing, errors])
        state_dict.pop(prefix + "scale")

    handle = inner.register_load_state_dict_pre_hook(drop)
    inner._register_load_state_dict_pre_hook(
        lambda state_dict, prefix, *rest: log.append([prefix, len(rest)])
    )
    inner.register_load_state_dict_post_hook(lambda m, keys: log.append(["inner", values(m.weight)]))
    net.register_load_state_dict_post_hook(lambda m, keys: keys.missing_keys.clear())
    state["0.weight"] = state["0.weight"] + 5
    del state["1.bias"]
    net.load_state_dict(state)
    log.append(values(inner.weight))
    handle.remove()
    with pytest.raises(RuntimeError, match="Unexpected key"):
        net.load_state_dict(state)
    other = copy.deepcopy(net)
    other[0].register_load_state_dict_pre_hook(drop)
    other.load_state_dict(state)
    for register, hook in (
        ("register_state_dict_post_hook", lambda *a: {}),
        ("register_load_state_dict_post_hook", lambda *a: 1),
    ):
        module = linear(lib, 2, 1)
        getattr(module, register)(hook)
        with pytest.raises((RuntimeError, AssertionError)):
            module.load_state_dict(module.state_dict())
    return log


@scenario
def batch_norms_from_before_batches_were_counted(lib):
    log = []

    def net():
        return lib.nn.Sequential(lib.nn.Conv1d(1, 2, 1), lib.nn.BatchNorm1d(2), lib.nn.BatchNorm1d(2))

    state = net().state_dict()
    for key in ("1.num_batches_tracked", "2.num_batches_tracked"):
        del state[key]
    model = net()
    log.append(repr(model.load_state_dict(dict(state))).split("Keys")[-1])  # no version at all
    log.append([values(model[1].num_batches_tracked), values(model[2].num_batches_tracked)])
    with pytest.raises(RuntimeError, match=r"Missing key.*1\.num_batches_tracked"):
        model.load_state_dict(state)  # of version 2
    state._metadata["1"] = state._metadata["2"] = {"version": 1}
    model.load_state_dict(state)
    del state["1.running_mean"]
    with pytest.raises(RuntimeError) as caught:
        model.load_state_dict(state)
    log.append(str(caught.value).replace("\t", "").split("\n"))
    state["1.running_mean"] = lib.ones(2)
    log.append(values(net()[1].load_state_dict({k[2:]: v for k, v in state.items() if k[0] == "1"})))
    return log


@scenario
def assigned_state(lib):
    layer, names = linear(lib, 2, 2), []
    kind = type("Named", (type(layer),), {})
    kind.__setattr__ = lambda self, name, value: (
        names.append(name),
        super(kind, self).__setattr__(name, value),
    )[1]
    layer = linear(lib, 2, 2, kind=kind)
    names.clear()
    state = {"weight": lib.ones(2, 2), "bias": lib.nn.Parameter(lib.ones(2))}
    layer.bias.requires_grad_(False)
    layer.load_state_dict(state, assign=True)
    return [names, layer.bias is state["bias"], layer.bias.requires_grad, layer.weight.requires_grad]


# Functions.


@scenario
def functions(lib):
    log = []

    class Scale(lib.autograd.Function):
        @staticmethod
        def forward(x, factor, power=1):
            return x * factor**power

        @staticmethod
        def setup_context(ctx, inputs, output):
            log.append(["setup", inputs[1:]])
            ctx.factor = inputs[1] ** inputs[2]

        @staticmethod
        def vjp(ctx, grad):
            log.append(["vjp", ctx.needs_input_grad])
            return grad * ctx.factor, None, None

    class Pair(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x, y):
            ctx.set_materialize_grads(False)
            ctx.save_for_backward(x)
            flag = y > 0
            ctx.mark_non_differentiable(flag)
            return x * 2, y * 3, flag

        @staticmethod
        def backward(ctx, first, second, third):
            log.append([values(ctx.saved_tensors[0]), first is None, values(second), third is None])
            return None, second * 3

    x = data(lib, 3, grad=True)
    Scale.apply(x, 3.0).sum().backward()
    Scale.apply(x, 3.0, 2).sum().backward()
    Scale.apply(x, factor=2.0).sum().backward()
    log.append(values(x.grad))
    y = data(lib, 3, grad=True)
    Pair.apply(x, y)[1].sum().backward()
    log += [values(x.grad), values(y.grad)]
    return log


# Tensors.


@scenario
def hooks_of_tensors(lib):
    log = []
    x, y = data(lib, 3, grad=True), data(lib, 3, grad=True)
    x.register_hook(lambda g: log.append(["hook", values(g)]) or g * 2)
    handle = x.register_post_accumulate_grad_hook(lambda t: log.append([t is x, values(t.grad)]))
    (x * 2 + x * y).sum().backward()
    (x * 2).sum().backward()
    log.append(values(lib.autograd.grad((x * 3).sum(), x)))
    handle.remove()
    (x * 2).sum().backward()

    def step(parameter):
        with lib.no_grad():
            parameter.sub_(parameter.grad)
        parameter.grad = None

    z = lib.nn.Parameter(data(lib, 3))
    z.register_post_accumulate_grad_hook(step)
    (z * z + z).sum().backward()
    log += [values(z), z.grad]
    z.register_post_accumulate_grad_hook(lambda t: 1)
    with pytest.raises((RuntimeError, TypeError), match=r"must return None|expected Variable"):
        z.sum().backward()
    for bad in (x * 2, x.detach()):
        with pytest.raises(RuntimeError, match=r"non-leaf|does not require|doesn't require"):
            bad.register_post_accumulate_grad_hook(print)
    return log


@scenario
def subclasses_of_parameters(lib):
    class Named(lib.nn.Parameter):
        def describe(self):
            return "named"

    net = lib.nn.Module()
    net.p = Named(data(lib, 2))
    net.p.note = "kept"
    other = copy.deepcopy(net)
    return [
        type(other.p).__name__,
        other.p.describe(),
        isinstance(other.p, lib.nn.Parameter),
        list(net.state_dict()),
    ]


def alike(ours, theirs):
    """The same, but for the rounding of floats."""
    if isinstance(ours, (list, tuple)) and type(ours) is type(theirs):
        return len(ours) == len(theirs) and all(map(alike, ours, theirs))
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return list(ours) == list(theirs) and all(alike(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, float) and isinstance(theirs, float):
        return ours == pytest.approx(theirs, rel=1e-4, abs=2e-5, nan_ok=True)
    return ours == theirs


@pytest.mark.parametrize("name", SCENARIOS)
def test_as_pytorch_calls_it(name):
    torch = pytest.importorskip("torch")
    ours, theirs = SCENARIOS[name](cnnx), SCENARIOS[name](torch)
    assert alike(ours, theirs), f"{ours}\n{theirs}"


# What cnnx never uses is refused where it is defined.


@pytest.mark.parametrize(
    "base, name",
    [
        (nn.Module, "_call_impl"),
        (nn.Linear, "_slow_forward"),
        (cnnx.Tensor, "__torch_function__"),
        (nn.Parameter, "__torch_dispatch__"),
        (nn.Parameter, "module_load"),
        (cnnx.optim.Adam, "_init_group"),
    ],
)
def test_what_is_never_called_is_refused(base, name):
    with pytest.raises(TypeError, match=f"Own: cnnx never uses {name}; define"):
        type("Own", (base,), {name: lambda *a: None})
    mixin = type("Mixin", (), {name: lambda *a: None})
    with pytest.raises(TypeError, match=f"Own: cnnx never uses {name}; define"):
        type("Own", (mixin, base), {})


def test_a_loader_that_makes_its_iterators_elsewhere_is_refused():
    for name, instead in (("_get_iterator", "define __iter__"), ("_index_sampler", "pass a batch_sampler")):
        with pytest.raises(TypeError, match=f"Own: cnnx never uses {name}; {instead}"):
            type("Own", (cnnx.utils.data.DataLoader,), {name: lambda *a: None})


def test_an_own_step_may_have_helpers_of_any_name():
    class Own(cnnx.optim.SGD):
        def _init_group(self, log):
            log.append(1)

        def step(self, closure=None):
            self._init_group(log)

    log = []
    Own([nn.Parameter(cnnx.ones(1))]).step()
    assert log == [1]


def test_more_that_is_refused():
    with pytest.raises(TypeError, match="Both: backward and vjp are two names of one method"):
        type("Both", (cnnx.autograd.Function,), {"backward": staticmethod(print), "vjp": staticmethod(print)})
    with pytest.raises(NotImplementedError, match="use register_full_backward_hook"):
        nn.Linear(1, 1).register_backward_hook(print)
    plain = type("Plain", (cnnx.autograd.Function,), {"forward": staticmethod(lambda ctx, x: x * 2)})
    with pytest.raises(TypeError, match="Plain: apply takes no keyword arguments, got x"):
        plain.apply(x=cnnx.ones(2))


# Loading is all or nothing.


def test_a_failed_load_leaves_the_parameters_as_they_were():
    class Fails(nn.Linear):
        def _load_from_state_dict(self, *args):
            super()._load_from_state_dict(*args)
            raise KeyError("own")

    for last, assign in ((nn.Linear(2, 3), False), (Fails(2, 2), False), (Fails(2, 2), True)):
        net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), last)
        before = {k: v.clone() for k, v in net.state_dict().items()}
        state = {k: v + 1 for k, v in nn.Sequential(*net[:2], nn.Linear(2, 2)).state_dict().items()}
        held = dict(net.named_parameters())
        with pytest.raises((RuntimeError, KeyError)):
            net.load_state_dict(state, assign=assign)
        assert all(cnnx.equal(v, before[k]) for k, v in net.state_dict().items())
        assert all(parameter is held[k] for k, parameter in net.named_parameters())


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_old_files_of_batch_norms(tmp_path, suffix):
    torch = pytest.importorskip("torch")
    theirs = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2))
    state = theirs.state_dict()
    del state["1.num_batches_tracked"]
    file = tmp_path / ("old" + suffix)
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    if suffix == ".safetensors":
        cnnx.save({k: cnnx.tensor(v.numpy()) for k, v in state.items()}, file)
    else:
        torch.save(state, file)  # says version 2, which has the key
        with pytest.raises(RuntimeError, match="num_batches_tracked"):
            net.load_state_dict(cnnx.load(file))
        state._metadata["1"] = {"version": 1}
        state._metadata["0"] = "not what it should be"
        torch.save(state, file)
    assert not any(net.load_state_dict(cnnx.load(file)))
    assert net[1].num_batches_tracked.item() == 0
    np.testing.assert_array_equal(net[0].weight.detach().numpy(), state["0.weight"].numpy())


def test_pickles_of_older_versions_get_their_registries():
    layer = nn.Linear(2, 2)
    state = {k: v for k, v in vars(layer).items() if "hooks" not in k}
    older = nn.Linear.__new__(nn.Linear)
    older.__setstate__(state)
    older.register_full_backward_hook(lambda *a: None)
    assert older(cnnx.ones(2)).shape == (2,)
    assert list(older.state_dict()) == ["weight", "bias"]


# Transforms.


def picture():
    return cnnx.arange(48, dtype=cnnx.float32).reshape(1, 6, 8)


OWN = {
    "RandomCrop": (
        lambda log: type(
            "Own",
            (transforms.RandomCrop,),
            {"get_params": staticmethod(lambda img, size: log.append((img.shape, size)) or (1, 2, *size))},
        )((3, 4), padding=1),
        lambda x: F.crop(F.pad(x, 1), 1, 2, 3, 4),
        [((1, 8, 10), (3, 4))],
    ),
    "RandomRotation": (
        lambda log: type(
            "Own",
            (transforms.RandomRotation,),
            {"get_params": staticmethod(lambda degrees: log.append(degrees) or 30)},
        )(5, fill=2),
        lambda x: F.rotate(x, 30, fill=2),
        [[-5.0, 5.0]],
    ),
    "RandomAffine": (
        lambda log: type(
            "Own",
            (transforms.RandomAffine,),
            {"get_params": staticmethod(lambda *a: log.append(a) or (9, (1, -1), 1.2, (3.0, 0.0)))},
        )(5, (0.1, 0.2)),
        lambda x: F.affine(x, 9, (1, -1), 1.2, (3.0, 0.0), fill=0),
        [([-5.0, 5.0], (0.1, 0.2), None, None, [8, 6])],
    ),
    "RandomErasing": (
        lambda log: type(
            "Own",
            (transforms.RandomErasing,),
            {"get_params": staticmethod(lambda img, *a: log.append(a) or (1, 2, 3, 4, 9.0))},
        )(1.0, value=7),
        lambda x: F.erase(x, 1, 2, 3, 4, 9.0),
        [((0.02, 0.33), (0.3, 3.3), [7.0])],
    ),
}


@pytest.mark.parametrize("name", OWN)
def test_own_parameters_of_transforms(name):
    make, expected, calls = OWN[name]
    log = []
    transform = make(log)
    np.testing.assert_array_equal(transform(picture()).numpy(), expected(picture()).numpy())
    assert log == calls
    # The same set on an object of the library's class.
    plain = getattr(transforms, name).__new__(getattr(transforms, name))
    vars(plain).update(vars(transform), get_params=type(transform).get_params)
    np.testing.assert_array_equal(plain(picture()).numpy(), expected(picture()).numpy())


def test_parameters_lie_within_their_ranges():
    x = picture()
    for _ in range(50):
        top, left, height, width = transforms.RandomCrop.get_params(x, (4, 5))
        assert 0 <= top <= 2
        assert 0 <= left <= 3
        assert (height, width) == (4, 5)
        assert -5 <= transforms.RandomRotation.get_params([-5, 5]) <= 5
        angle, shift, scale, shear = transforms.RandomAffine.get_params(
            [1, 2], [0.5, 0.25], [0.5, 2], [1, 2, 3, 4], [8, 6]
        )
        assert 1 <= angle <= 2
        assert abs(shift[0]) <= 4
        assert abs(shift[1]) <= 2
        assert 0.5 <= scale <= 2
        assert 1 <= shear[0] <= 2
        assert 3 <= shear[1] <= 4
        top, left, height, width, content = transforms.RandomErasing.get_params(
            x, (0.1, 0.3), (0.5, 2), [3.0]
        )
        assert 0 < height <= 6 - top
        assert 0 < width <= 8 - left
        assert content.shape == (1, 1, 1)
    with pytest.raises(ValueError, match="larger than the image"):
        transforms.RandomCrop.get_params(x, (9, 5))


def test_own_forward_and_call():
    for name in ("forward", "__call__"):
        for kind, arguments in [
            (transforms.Resize, (4,)),
            (transforms.RandomHorizontalFlip, (1.0,)),
            (transforms.Normalize, ([0.5], [0.5])),
            (transforms.RandomErasing, (1.0,)),
            (transforms.RandomApply, ([],)),
            (transforms.Compose, ([],)),
        ]:
            if name == "forward" and kind is transforms.Compose:
                continue  # neither library's Compose has one
            own = type("Own", (kind,), {name: lambda self, img: img + 1})(*arguments)
            assert own(picture()).tolist() == (picture() + 1).tolist()


def test_loaders_see_what_is_a_users_own():
    from cnnx.transforms.base import is_native

    scaled = transforms.Normalize(0.5, 0.5)
    assert is_native(scaled)
    scaled.values = lambda: ([0.0], [9.0])
    assert not is_native(scaled)
    assert is_native(transforms.RandomCrop(4))
    changed = transforms.RandomCrop(4)
    changed.get_params = lambda img, size: (0, 0, *size)
    replaced = transforms.Resize(4)
    replaced.forward = lambda img: img
    own = type("Own", (transforms.RandomCrop,), {})
    for transform in (changed, replaced, own(4), transforms.RandomApply([changed])):
        assert not is_native(transform)


def test_edited_settings_of_transforms_hold():
    for transform, name, value, expected in [
        (transforms.Pad(1), "fill", 5, lambda x: F.pad(x, 1, 5)),
        (transforms.Pad(1), "padding", 2, lambda x: F.pad(x, 2)),
        (transforms.CenterCrop(3), "size", 4, lambda x: F.center_crop(x, 4)),
        (transforms.Resize(3), "size", (5, 4), lambda x: F.resize(x, (5, 4))),
        (transforms.RandomRotation((30, 30)), "fill", 3, lambda x: F.rotate(x, 30, fill=3)),
        (transforms.RandomRotation((30, 30)), "degrees", [10, 10], lambda x: F.rotate(x, 10, fill=0)),
        (transforms.RandomAffine((30, 30)), "fill", 3, lambda x: F.affine(x, 30, (0, 0), 1, 0, fill=3)),
        (transforms.RandomCrop(6), "padding", 2, lambda x: None),
        (transforms.RandomErasing(1.0, (0.2, 0.3)), "value", 500, lambda x: None),
    ]:
        setattr(transform, name, value)
        result, wanted = transform(picture()), expected(picture())
        if wanted is None:
            assert result.shape[-2:] == (6, 6) or result.max().item() == 500
        else:
            np.testing.assert_array_equal(result.numpy(), wanted.numpy())
