"""What PyTorch lets a subclass of Module override, or a user register, is called as PyTorch calls it."""

import copy
import pickle
import warnings
from collections import OrderedDict

import pytest

from scenarios import Scenarios, data, linear, values

scenario = Scenarios()


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
def hooks_of_all_modules(lib):
    log, where = [], lib.nn.modules.module
    net = lib.nn.Sequential(linear(lib, 3, 2), lib.nn.Tanh())
    net[0].register_forward_pre_hook(lambda m, args: log.append("own before"))
    net[0].register_forward_hook(lambda m, args, out: log.append("own after"))
    net[0].register_full_backward_hook(lambda m, into, out: log.append("own backward"))
    handles = [
        where.register_module_forward_pre_hook(lambda m, args: log.append(["before", type(m).__name__])),
        where.register_module_forward_hook(lambda m, args, out: out * 2),
        where.register_module_forward_hook(lambda m, a, kw, out: log.append(list(kw)), with_kwargs=True),
        where.register_module_forward_hook(
            lambda m, a, out: log.append(["last", out is None]), always_call=True
        ),
        where.register_module_full_backward_pre_hook(lambda m, out: log.append(["grad", type(m).__name__])),
        where.register_module_full_backward_hook(lambda m, into, out: log.append(values(out))),
    ]
    x = data(lib, 2, 3, grad=True)
    net(x).sum().backward()
    with pytest.raises(RuntimeError):
        net(data(lib, 5))
    log.append(values(x.grad))
    for handle in handles:
        handle.remove()
    log.append(values(net(x)))
    return log


@scenario
def hooks_of_registrations(lib):
    log, where = [], lib.nn.modules.module

    def note(module, name, value):
        log.append([type(module).__name__, name, type(value).__name__])

    handles = [
        where.register_module_parameter_registration_hook(note),
        where.register_module_buffer_registration_hook(note),
        where.register_module_module_registration_hook(note),
        where.register_module_module_registration_hook(
            lambda m, name, value: lib.nn.Tanh() if isinstance(value, lib.nn.ReLU) else None
        ),
    ]
    net = lib.nn.Sequential(lib.nn.Linear(2, 3), lib.nn.ReLU())
    net.more = lib.nn.ReLU()
    net.scale = lib.nn.Parameter(lib.ones(1))
    net.register_buffer("state", lib.ones(1))
    for handle in handles:
        handle.remove()
    net.last = lib.nn.ReLU()
    return [log, [type(m).__name__ for m in net]]


@scenario
def submodules_by_name(lib):
    log = []
    net = lib.nn.Sequential(lib.nn.Sequential(linear(lib, 2, 2)), lib.nn.Tanh())
    net.set_submodule("0.0", lib.nn.Identity())
    net.set_submodule("0.new", lib.nn.ReLU())
    net.set_submodule("1", lib.nn.Sigmoid(), strict=True)
    log.append([name + type(m).__name__ for name, m in net.named_modules()])
    for error, call in (
        (ValueError, lambda: net.set_submodule("", lib.nn.Identity())),
        (AttributeError, lambda: net.set_submodule("0.gone", lib.nn.Identity(), strict=True)),
        (AttributeError, lambda: net.set_submodule("gone.0", lib.nn.Identity())),
        (ValueError, lambda: net.set_submodule("0", 3)),
    ):
        with pytest.raises(error):
            call()
    layer = linear(lib, 2, 3)
    kept = layer.weight
    log += [
        layer.to_empty(device="cpu") is layer,
        list(layer.weight.shape),
        isinstance(kept, lib.nn.Parameter),
    ]
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


@pytest.mark.parametrize("name", scenario)
def test_as_pytorch_calls_it(name):
    scenario.check(name)
