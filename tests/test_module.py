"""Module and containers: registration, state dicts, modes, hooks, printing; form and names as PyTorch's."""

import copy
from collections import OrderedDict

import numpy as np
import pytest

import cnnx
from cnnx import nn


def lenet(nn):
    class LeNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.features = nn.Sequential(
                nn.Conv2d(1, 6, 5, padding=2),
                nn.Tanh(),
                nn.AvgPool2d(2),
                nn.Conv2d(6, 16, (5, 3), bias=False),
            )
            self.pool = nn.MaxPool2d(2, stride=1, padding=1)
            self.head = nn.Sequential(
                OrderedDict(
                    [
                        ("fc1", nn.Linear(16, 8)),
                        ("act", nn.ReLU(inplace=True)),
                        ("fc2", nn.Linear(8, 2, bias=False)),
                    ]
                )
            )
            self.drop = nn.Dropout(0.25)
            self.blocks = nn.ModuleList(
                [nn.Linear(2, 2), nn.Linear(2, 2), nn.Sequential(nn.Flatten(), nn.Sigmoid())]
            )
            self.named = nn.ModuleDict({"a": nn.Identity(), "b": nn.LogSoftmax(dim=1)})
            self.loss = nn.CrossEntropyLoss(label_smoothing=0.1)

        def forward(self, x):
            return x

    return LeNet()


def test_repr_is_pytorchs():
    torch = pytest.importorskip("torch")
    assert repr(lenet(nn)) == repr(lenet(torch.nn))


def test_names_are_pytorchs():
    torch = pytest.importorskip("torch")
    mine, theirs = lenet(nn), lenet(torch.nn)
    assert list(mine.state_dict()) == list(theirs.state_dict())
    for name in ("named_parameters", "named_modules", "named_children", "named_buffers"):
        assert [n for n, _ in getattr(mine, name)()] == [n for n, _ in getattr(theirs, name)()]
    for (_, a), (_, b) in zip(mine.named_parameters(), theirs.named_parameters(), strict=True):
        assert tuple(a.shape) == tuple(b.shape)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 2)
        self.scale = nn.Parameter(cnnx.ones(2))
        self.register_buffer("count", cnnx.zeros(1))
        self.register_buffer("hidden", cnnx.zeros(1), persistent=False)
        self.register_parameter("absent", None)
        self.note = "plain attribute"

    def forward(self, x, times=1.0):
        return self.fc(x) * self.scale * times


def test_what_is_missing_is_named_in_a_short_line():
    with pytest.raises(AttributeError, match=r"^cnnx.nn has no .Sequental.; did you mean .Sequential.\?$"):
        nn.Sequental  # noqa: B018


def test_registration():
    net = Net()
    assert [n for n, _ in net.named_parameters()] == ["scale", "fc.weight", "fc.bias"]
    assert [n for n, _ in net.named_parameters(recurse=False)] == ["scale"]
    assert [n for n, _ in net.named_buffers()] == ["count", "hidden"]
    assert list(net.state_dict()) == ["scale", "count", "fc.weight", "fc.bias"]
    assert net.absent is None
    assert next(net.parameters()) is net.scale
    assert {"fc", "scale", "count"} <= set(dir(net))
    weight = net.fc.weight
    net.fc.weight = nn.Parameter(cnnx.zeros(2, 3))
    assert net.fc.weight is not weight
    net.extra = nn.Buffer(cnnx.ones(2), persistent=False)
    assert "extra" in dict(net.named_buffers())
    assert "extra" not in net.state_dict()
    del net.extra
    assert not hasattr(net, "extra")
    net.fc = None
    assert [n for n, _ in net.named_parameters()] == ["scale"]


def test_bad_registration():
    net = Net()
    with pytest.raises(TypeError, match="as parameter 'scale'"):
        net.scale = cnnx.ones(2)
    with pytest.raises(TypeError, match="as child module 'fc'"):
        net.fc = 3
    with pytest.raises(TypeError, match="as buffer 'count'"):
        net.count = 3
    with pytest.raises(KeyError, match="already exists"):
        net.register_parameter("note", nn.Parameter(cnnx.ones(1)))
    with pytest.raises(KeyError, match="contain"):
        net.add_module("a.b", nn.Identity())
    with pytest.raises(KeyError, match="empty"):
        net.register_buffer("", cnnx.ones(1))
    with pytest.raises(TypeError, match="Module subclass"):
        net.add_module("x", 3)
    with pytest.raises(TypeError, match="required"):
        net.register_parameter("x", cnnx.ones(1))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        net.nothing  # noqa: B018
    with pytest.raises(TypeError, match="must be a Tensor"):
        nn.Parameter([1.0])

    class Early(nn.Module):
        def __init__(self):
            self.fc = nn.Linear(1, 1)

    with pytest.raises(AttributeError, match="before Module"):
        Early()
    with pytest.raises(NotImplementedError, match="forward"):
        nn.Module()(1)


def test_parameter():
    data = cnnx.ones(2, 2)
    p = nn.Parameter(data)
    assert p.requires_grad
    assert p.is_leaf
    assert isinstance(p, cnnx.Tensor)
    assert repr(p).startswith("Parameter containing:\ntensor(")
    with cnnx.no_grad():
        data[0, 0] = 5
    assert p[0, 0].item() == 5
    assert not nn.Parameter(data, requires_grad=False).requires_grad
    again = copy.deepcopy(p)
    assert type(again) is nn.Parameter
    assert again.requires_grad
    with cnnx.no_grad():
        again.zero_()
    assert p[0, 0].item() == 5


def test_shared_parameters_are_listed_once():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    net[1].weight = net[0].weight
    assert [n for n, _ in net.named_parameters()] == ["0.weight", "0.bias", "1.bias"]
    assert len(list(net.named_parameters(remove_duplicate=False))) == 4
    assert "1.weight" in net.state_dict()
    assert len(list(nn.Sequential(net[0], net[0]).modules())) == 2


def test_state_dict_shares_memory_and_loads():
    a, b = Net(), Net()
    a.count += 3
    state = a.state_dict()
    assert not state["scale"].requires_grad
    assert a.state_dict(keep_vars=True)["scale"] is a.scale
    assert list(a.fc.state_dict(prefix="x.")) == ["x.weight", "x.bias"]
    scale = b.scale
    result = b.load_state_dict(state)
    assert repr(result) == "<All keys matched successfully>"
    assert b.scale is scale
    for name, value in b.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), state[name].numpy())
    with cnnx.no_grad():
        a.scale.zero_()
    assert state["scale"].tolist() == [0, 0]
    assert b.scale.tolist() == [1, 1]


def test_load_state_dict_reports_what_does_not_fit():
    net = Net()
    before = net.scale.tolist()
    state = dict(net.state_dict())
    state["scale"] = cnnx.zeros(2)
    state["more"] = cnnx.zeros(1)
    state["fc.weight"] = cnnx.zeros(3, 3)
    del state["fc.bias"]
    with pytest.raises(RuntimeError) as error:
        net.load_state_dict(state)
    text = str(error.value)
    assert text.startswith("Error(s) in loading state_dict for Net:\n\t")
    assert 'Missing key(s) in state_dict: "fc.bias". ' in text
    assert 'Unexpected key(s) in state_dict: "more". ' in text
    assert "size mismatch for fc.weight: copying a param with shape" in text
    assert net.scale.tolist() == before
    state["fc.weight"] = cnnx.zeros(2, 3)
    result = net.load_state_dict(state, strict=False)
    assert result.missing_keys == ["fc.bias"]
    assert result.unexpected_keys == ["more"]
    assert net.scale.tolist() == [0, 0]
    with pytest.raises(TypeError, match="dict-like"):
        net.load_state_dict([1])
    with pytest.raises(RuntimeError, match="expected a cnnx"):
        net.load_state_dict({"scale": np.zeros(2)}, strict=False)


def test_load_state_dict_assign():
    net = Net()
    value = cnnx.full((2,), 4.0)
    net.load_state_dict({"scale": value}, strict=False, assign=True)
    assert isinstance(net.scale, nn.Parameter)
    value.zero_()
    assert net.scale.tolist() == [0, 0]


def test_modes_apply_and_gradients():
    net = lenet(nn)
    assert net.eval() is net
    assert not any(m.training for m in net.modules())
    net.train()
    assert all(m.training for m in net.modules())
    with pytest.raises(ValueError, match="boolean"):
        net.train("yes")
    seen = []
    net.apply(lambda m: seen.append(type(m).__name__))
    assert seen[-1] == "LeNet"
    assert seen[0] == "Conv2d"
    net = Net()
    net(cnnx.ones(1, 3)).sum().backward()
    net.zero_grad(set_to_none=False)
    assert net.scale.grad.tolist() == [0, 0]
    net.zero_grad()
    assert net.scale.grad is None
    net.requires_grad_(False)
    assert not any(p.requires_grad for p in net.parameters())


def test_dtype_and_device():
    net = Net()
    scale = net.scale
    net.register_buffer("number", cnnx.zeros(1, dtype=cnnx.int64))
    net(cnnx.ones(1, 3)).sum().backward()
    assert net.double() is net
    assert net.scale is scale
    assert scale.dtype == cnnx.float64
    assert scale.grad.dtype == cnnx.float64
    assert net.count.dtype == cnnx.float64
    assert net.number.dtype == cnnx.int64
    assert net(cnnx.ones(1, 3, dtype=cnnx.float64)).dtype == cnnx.float64
    assert net.to(cnnx.float32).scale.dtype == cnnx.float32
    assert net.to("cpu", cnnx.float64).scale.dtype == cnnx.float64
    assert net.to(cnnx.ones(1)).scale.dtype == cnnx.float32
    assert net.double().to(tensor=cnnx.ones(1)).scale.dtype == cnnx.float32
    assert net.to(dtype=cnnx.float64).float().cpu().scale.dtype == cnnx.float32
    assert net.to(cnnx.device("cpu")).number.dtype == cnnx.int64
    assert net.to("cpu", cnnx.float64, True).to("cpu", non_blocking=True).scale.dtype == cnnx.float64
    with pytest.raises(TypeError, match="floating point"):
        net.to(cnnx.int64)
    with pytest.raises(TypeError, match="deepcopy"):
        net.to("cpu", copy=True)
    with pytest.raises(RuntimeError):
        net.to("abacus")


def test_hooks():
    net, log = Net(), []
    x = cnnx.ones(1, 3)
    plain = net(x).detach()
    first = net.register_forward_hook(lambda m, args, out: log.append(("post", len(args))))
    doubled = net.register_forward_hook(lambda m, args, out: out * 2)
    pre = net.register_forward_pre_hook(lambda m, args: (args[0] * 3,))
    out = net(x)
    assert log == [("post", 1)]
    expected = 2 * (net.fc(3 * x) * net.scale)
    np.testing.assert_allclose(out.detach().numpy(), expected.detach().numpy(), rtol=1e-6)
    for handle in (first, doubled, pre):
        handle.remove()
        handle.remove()
    np.testing.assert_array_equal(net(x).detach().numpy(), plain.numpy())
    with net.register_forward_pre_hook(lambda m, args, kwargs: (args, {"times": 2.0}), with_kwargs=True):
        np.testing.assert_allclose(net(x).detach().numpy(), 2 * plain.numpy(), rtol=1e-6)
    order = []
    net.register_forward_hook(lambda m, a, o: order.append(1))
    net.register_forward_hook(lambda m, a, o: order.append(0), prepend=True)
    net.register_forward_hook(lambda m, a, kw, o: order.append(kw["times"]), with_kwargs=True)
    net(x, times=5.0)
    assert order == [0, 1, 5.0]
    failing = nn.Linear(2, 2)
    failing.register_forward_hook(lambda m, a, o: order.append(o), always_call=True)
    with pytest.raises(RuntimeError):
        failing(x)
    assert order[-1] is None
    with pytest.raises(NotImplementedError, match="use register_full_backward_hook"):
        net.register_backward_hook(lambda *a: None)


def test_lookup_by_name():
    net = Net()
    assert net.get_submodule("") is net
    assert net.get_submodule("fc") is net.fc
    assert net.get_parameter("fc.weight") is net.fc.weight
    assert net.get_buffer("count") is net.count
    for method, name in (("get_submodule", "fc.x"), ("get_parameter", "fc.x"), ("get_buffer", "x")):
        with pytest.raises(AttributeError, match="x"):
            getattr(net, method)(name)


def test_deepcopy_is_independent():
    net = Net()
    other = copy.deepcopy(net)
    assert repr(other) == repr(net)
    with cnnx.no_grad():
        other.fc.weight.zero_()
    assert net.fc.weight.abs().sum().item() > 0
    assert [n for n, _ in other.named_parameters()] == [n for n, _ in net.named_parameters()]
    assert isinstance(other.scale, nn.Parameter)


def test_sequential():
    a, b, c = nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)
    net = nn.Sequential(a, b)
    assert net.append(c) is net
    assert len(net) == 3
    assert net[0] is a
    assert net[-1] is c
    assert list(net) == [a, b, c]
    assert b in net
    assert isinstance(net[1:], nn.Sequential)
    assert list(net[1:]) == [b, c]
    assert net(cnnx.ones(5, 2)).shape == (5, 1)
    net[1] = nn.Tanh()
    assert isinstance(net[1], nn.Tanh)
    net.insert(1, nn.Identity())
    assert [n for n, _ in net.named_children()] == ["0", "1", "2", "3"]
    del net[1]
    assert len(net) == 3
    assert isinstance(net.pop(1), nn.Tanh)
    assert [n for n, _ in net.named_children()] == ["0", "1"]
    assert len(net + nn.Sequential(b)) == 3
    net.add_module("last", b)
    assert net[-1] is b
    with pytest.raises(IndexError):
        net[3]
    with pytest.raises(TypeError, match="Module subclass"):
        nn.Sequential(a, 3)
    assert nn.Sequential()(7) == 7


def test_module_list_and_dict():
    a, b = nn.Linear(2, 3), nn.ReLU()
    modules = nn.ModuleList([a])
    modules += [b]
    assert len(modules.extend([nn.Tanh()])) == 3
    assert list(modules[:2]) == [a, b]
    assert [n for n, _ in modules.named_parameters()] == ["0.weight", "0.bias"]
    table = nn.ModuleDict({"a": a})
    table["b"] = b
    table.update([("c", nn.Tanh())])
    assert list(table) == ["a", "b", "c"] == list(table.keys())
    assert table["a"] is a
    assert "b" in table
    assert table.pop("b") is b
    assert len(table) == 2
    del table["c"]
    assert list(dict(table.items()).values()) == list(table.values()) == [a]
    table.clear()
    assert len(table) == 0
    with pytest.raises(TypeError):
        table["x"] = 3
