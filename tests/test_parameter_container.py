"""ParameterList and ParameterDict, the same as PyTorch's."""

import copy
import pickle

import pytest

import cnnx
from cnnx import nn


def shapes(values):
    return [tuple(v.shape) if hasattr(v, "shape") else v for v in values]


def make(lib):
    class Net(lib.nn.Module):
        def __init__(self):
            super().__init__()
            parameter = lib.nn.Parameter(lib.ones(2))
            self.list = lib.nn.ParameterList([parameter, lib.zeros(3, 1), 5])
            self.dict = lib.nn.ParameterDict({"a": lib.nn.Parameter(lib.ones(1)), "b": lib.ones(2), "c": 3})

    return Net()


def registered(lib):
    net = make(lib)
    return [
        [name for name, _ in net.named_parameters()],
        list(net.state_dict()),
        repr(net.list).replace(lib.__name__, "lib"),
    ]


def lists(lib):
    values = make(lib).list
    log = [len(values), values.append(lib.ones(1)) is values]
    values += [lib.ones(4)]
    values[0] = lib.ones(7)
    values[-1] = lib.nn.Parameter(lib.ones(8))
    log += [shapes(values), len(list(values.parameters())), shapes(values[1:3]), shapes(values[::-2])]
    return [*log, type(values[1:3]).__name__, bool(lib.nn.ParameterList())]


def dicts(lib):
    values = make(lib).dict
    values["z"] = lib.ones(5)
    del values["a"]
    log = [list(values), list(values.keys()), shapes(values.values()), [k for k, _ in values.items()]]
    log += ["a" in values, "b" in values, values.get("q"), values.get("c"), values.pop("c"), len(values)]
    values.update({"k": lib.ones(1)})
    values.setdefault("s", lib.nn.Parameter(lib.ones(1)))
    log += [values.popitem()[0], list(values), [name for name, _ in values.named_parameters()]]
    log += [values == copy.deepcopy(values), values == values, values in {values}]
    values.clear()
    return [*log, len(values), list(values.parameters()), list(lib.nn.ParameterDict([("x", lib.ones(1))]))]


def merged(lib):
    values = make(lib).dict
    log = [
        list(values | {"q": lib.ones(1)}),
        list({"q": lib.ones(1), "a": 1} | values),
        list(reversed(values)),
    ]
    values |= {"last": 5}
    other = values.copy()
    other["only"] = 1
    log += [list(values), list(other), other["a"] is values["a"], type(other).__name__]
    return [*log, dict(values.fromkeys(["x", "y"], 3).items())]


def used(lib):
    net = copy.deepcopy(make(lib))
    optimizer = lib.optim.SGD(net.parameters(), lr=0.5)
    ((net.list[0] * 3).sum() + net.dict["a"].sum()).backward()
    optimizer.step()
    other = make(lib)
    other.load_state_dict(net.state_dict())
    other.double()
    return [other.list[0].tolist(), other.dict["a"].tolist(), other.list[1].dtype == lib.float64]


@pytest.mark.parametrize("script", [registered, lists, dicts, merged, used], ids=lambda s: s.__name__)
def test_as_in_pytorch(script):
    assert script(cnnx) == script(pytest.importorskip("torch"))


def test_pickles():
    values = pickle.loads(pickle.dumps(nn.ParameterDict({"a": cnnx.ones(2)})))
    assert values["a"].tolist() == [1.0, 1.0]
    assert len(list(values.parameters())) == 1


@pytest.mark.parametrize(
    ("misuse", "error", "message"),
    [
        (
            lambda: nn.ParameterList()[0],
            IndexError,
            "ParameterList: index 0 is out of range for a length of 0",
        ),
        (lambda: nn.ParameterList(cnnx.ones(2)), TypeError, "needs an iterable, got Tensor"),
        (lambda: nn.ParameterList(3), TypeError, "needs an iterable, got int"),
        (lambda: nn.ParameterDict()["a"], KeyError, "a"),
        (lambda: nn.ParameterDict([(1, cnnx.ones(1))]), TypeError, "keys must be strings, got int"),
        (lambda: nn.ParameterDict({"keys": cnnx.ones(1)}), KeyError, "attribute 'keys' already exists"),
        (lambda: nn.ParameterDict({"a.b": cnnx.ones(1)}), KeyError, "contain"),
        (lambda: nn.ParameterDict().popitem(), KeyError, "is empty"),
        (lambda: nn.ParameterList()(1), NotImplementedError, "missing the required"),
    ],
)
def test_misuse(misuse, error, message):
    with pytest.raises(error, match=message):
        misuse()


def test_a_refused_value_leaves_no_entry():
    values = nn.ParameterDict({"a": cnnx.ones(1)})
    with pytest.raises(KeyError):
        values["a.b"] = cnnx.ones(1)
    assert list(values) == ["a"]
