"""What PyTorch lets a subclass override or register is called as PyTorch calls it, or refused at once.

Modules have their scenarios in test_module_scenarios.py.
"""

import copy

import numpy as np
import pytest

import cnnx
from cnnx import nn, transforms
from cnnx.transforms import functional as F
from scenarios import Scenarios, data, values

scenario = Scenarios()


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


@pytest.mark.parametrize("name", scenario)
def test_as_pytorch_calls_it(name):
    scenario.check(name)


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
