"""cnnx.summary: its numbers and tables against those of torchinfo, and that a model stays as it was."""

from __future__ import annotations

import importlib
import io
import subprocess
import sys

import numpy as np
import pytest

import cnnx
from cnnx import models, nn
from cnnx.modelinfo import ModelStatistics

COLUMNS = (
    "input_size", "output_size", "num_params", "params_percent", "kernel_size", "mult_adds", "trainable",
)  # fmt: skip


def residual(nn):
    """Modules of the user's own within each other, one of them called twice, one never."""

    class Block(nn.Module):
        def __init__(self, channels):
            super().__init__()
            self.body = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels))
            self.act = nn.ReLU()

        def forward(self, x):
            return self.act(self.body(x) + x)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = nn.Conv2d(1, 4, 3)
            self.block = Block(4)
            self.blocks = nn.ModuleList([Block(4), Block(4)])
            self.unused = nn.Linear(3, 3)
            self.pool = nn.AdaptiveAvgPool2d(2)
            self.out = nn.Linear(16, 5)

        def forward(self, x):
            x = self.block(self.stem(x))
            for block in self.blocks:
                x = block(x)
            return self.out(self.pool(self.block(x)).flatten(1))

    return Net()


def frozen(nn):
    """Some parameters do not train."""
    net = nn.Sequential(
        nn.Sequential(nn.Conv2d(1, 3, 3), nn.PReLU(), nn.MaxPool2d(2)),
        nn.Flatten(),
        nn.Linear(108, 4, bias=False),
    )
    net[0][0].bias.requires_grad_(False)
    net[2].requires_grad_(False)
    return net


def signals(nn):
    """One dimension, transposed and grouped convolutions, normalisations."""
    return nn.Sequential(
        nn.Conv1d(4, 8, 5, stride=2, groups=2), nn.GroupNorm(2, 8), nn.ConvTranspose1d(8, 4, 3),
        nn.LayerNorm(16), nn.AvgPool1d(2), nn.Tanh(), nn.Flatten(), nn.Linear(32, 2), nn.LogSoftmax(1),
    )  # fmt: skip


def several(nn):
    """Two inputs and two outputs, in a tuple."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.words, self.mix = nn.Embedding(10, 6), nn.Bilinear(6, 3, 4)

        def forward(self, words, numbers, scale=1):
            mixed = self.mix(self.words(words), numbers) * scale
            return mixed, numbers

    return Net()


def pruned(nn):
    """Masks leave some of the weights."""
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(16, 3))
    prune = importlib.import_module(nn.__name__ + ".utils.prune")
    prune.ln_structured(net[0], "weight", 2, n=2, dim=0)
    return net


def lazy(nn):
    """Layers that learn their sizes from the input."""
    return nn.Sequential(nn.LazyConv2d(3, 3), nn.Flatten(), nn.LazyLinear(4))


NETS = {
    **{
        name: (lambda nn, name=name: models.MODELS[name].build((1, 28, 28), 10, nn), (4, 1, 28, 28))
        for name in models.MODELS
    },
    "residual": (residual, (2, 1, 9, 9)),
    "frozen": (frozen, (1, 1, 14, 14)),
    "signals": (signals, (3, 4, 31)),
    "several": (several, [(5,), (5, 3)]),
    "pruned": (pruned, (2, 1, 4, 4)),
    "lazy": (lazy, (2, 2, 5, 5)),
    "one layer": (lambda nn: nn.Linear(3, 2), (7, 3)),
    "three dimensions": (lambda nn: nn.Linear(3, 2), (7, 5, 3)),
    "no layer": (lambda nn: nn.Sequential(), (2, 2)),
}
TOTALS = ("total_params", "trainable_params", "total_mult_adds", "total_output_bytes", "total_param_bytes")


def both(name, **options):
    """What torchinfo and cnnx find in the same net."""
    torch, torchinfo = pytest.importorskip("torch"), pytest.importorskip("torchinfo")
    make, shape = NETS[name]
    dtypes = ([torch.int64, torch.float32], [cnnx.int64, cnnx.float32]) if name == "several" else (None, None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", io.StringIO())
        theirs = torchinfo.summary(make(torch.nn), shape, device="cpu", dtypes=dtypes[0], **options)
        ours = cnnx.summary(make(nn), shape, dtypes=dtypes[1], **options)
    return ours, theirs


@pytest.mark.parametrize("name", NETS)
def test_numbers_equal_torchinfos(name):
    ours, theirs = both(name)
    unused = {"residual": 4 * 12}.get(
        name, 0
    )  # bytes of a layer that is not called, which torchinfo leaves out
    theirs.total_param_bytes += unused
    assert {n: getattr(ours, n) for n in TOTALS} == {n: getattr(theirs, n) for n in TOTALS}
    assert [tuple(size) for size in ours.input_size] == [tuple(size) for size in theirs.input_size]


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"col_names": COLUMNS, "verbose": 2, "col_width": 18},
        {"row_settings": ("var_names", "ascii_only"), "depth": 1, "col_names": COLUMNS},
        {"row_settings": ("depth", "hide_recursive_layers"), "depth": 2, "mode": "train"},
        {"row_settings": [], "depth": 0, "col_names": ["mult_adds", "trainable"]},
    ],
)
def test_tables_equal_torchinfos(name, options):
    ours, theirs = both(name, **options)
    table = str(theirs).replace("Units.MEGABYTES", "M")  # as enumerations print from Python 3.11 on
    ours, theirs = (
        # torchinfo knows no mult-adds of what was not called itself.
        [line for line in text.splitlines() if "ModuleList" not in line or options.get("depth") != 1]
        for text in (str(ours), table)
    )
    assert ours == theirs


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("lenet5", (61706, 61706, 4 * 423038, 4 * 52144, 4 * 61706)),
        ("frozen", (463, 28, 30 * 144 + 1 + 432, 2 * 4 * (2 * 432 + 4), 4 * 463)),
        ("several", (60 + 76, 136, 5 * 136, 2 * 4 * 5 * 10, 4 * 136)),
        ("pruned", (22 + 51, 73, 2 * (22 * 4 + 51), 2 * 4 * 2 * 19, 4 * 73)),
    ],
)
def test_numbers(name, numbers):
    make, shape = NETS[name]
    found = cnnx.summary(
        make(nn), shape, dtypes=[cnnx.int64, cnnx.float32] if name == "several" else None, verbose=0
    )
    assert tuple(getattr(found, total) for total in TOTALS) == numbers


def test_a_table():
    net = nn.Sequential(nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU()), nn.Flatten(), nn.Linear(8, 3))
    found = cnnx.summary(net, (5, 1, 4, 4), col_names=("output_size", "num_params", "mult_adds"), verbose=0)
    rows = """\
Layer (type:depth-idx)                   Output Shape              Param #                   Mult-Adds
Sequential                               [5, 3]                    --                        --
├─Sequential: 1-1                        [5, 2, 2, 2]              --                        --
│    └─Conv2d: 2-1                       [5, 2, 2, 2]              20                        400
│    └─ReLU: 2-2                         [5, 2, 2, 2]              --                        --
├─Flatten: 1-2                           [5, 8]                    --                        --
├─Linear: 1-3                            [5, 3]                    27                        135
Total params: 47
Trainable params: 47
Non-trainable params: 0
Total mult-adds (M): 0.00
Input size (MB): 0.00
Forward/backward pass size (MB): 0.00
Params size (MB): 0.00
Estimated Total Size (MB): 0.00"""
    assert [line for line in str(found).splitlines() if set(line) != {"="}] == rows.splitlines()


def test_rows_say_what_was_called():
    found = cnnx.summary(residual(nn), (2, 1, 9, 9), depth=1, col_names=("mult_adds",), verbose=0)
    rows = {f"{row.depth}-{row.depth_index}": row for row in found.summary_list}
    assert [row.var_name for row in found.summary_list if row.depth == 1] == [
        "stem", "block", "blocks", "block", "pool", "out",
    ]  # fmt: skip
    assert not rows["1-3"].executed
    assert rows["1-4"].is_recursive
    assert rows["1-4"].num_params == rows["1-2"].num_params == 4 * 4 * 9 + 4 + 8
    assert found.summary_list[0].own_params == 12  # of the layer that was not called
    listed = 2 * (148 * 2 * 7 * 7 + 2 * 8)
    assert sum(row.macs for row in rows["1-3"].children if row.is_leaf_layer) == listed
    assert f"{listed:,}" in next(line for line in str(found).splitlines() if "ModuleList" in line)


def test_weights_that_are_shared_count_once():
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    net[1].weight = net[0].weight
    found = cnnx.summary(net, (1, 4), verbose=0)
    assert found.total_params == sum(p.numel() for p in net.parameters()) == 24
    assert found.total_mult_adds == 40


@pytest.mark.parametrize("mode", ["train", "eval", None])
def test_a_model_stays_as_it_was(mode):
    cnnx.manual_seed(3)
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5), nn.Flatten(), nn.Linear(8, 2))
    net[2].eval()
    net(cnnx.rand(3, 1, 4, 4)).sum().backward()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    members = [*net.parameters(), *net.buffers()]
    grads = [(p.grad, p.grad.clone()) for p in net.parameters()]
    modes, state = [m.training for m in net.modules()], cnnx.get_rng_state()
    cnnx.summary(net, (4, 1, 4, 4), mode=mode, verbose=0)
    assert all(bool((value == before[name]).all()) for name, value in net.state_dict().items())
    assert all(a is b for a, b in zip(members, [*net.parameters(), *net.buffers()], strict=True))
    assert all(
        p.grad is g and bool((g == old).all()) for p, (g, old) in zip(net.parameters(), grads, strict=True)
    )
    assert [m.training for m in net.modules()] == modes
    assert bool((cnnx.get_rng_state() == state).all())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())


def test_a_model_stays_as_it_was_after_an_error():
    net = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(4, 2))
    with pytest.raises(RuntimeError, match=r"^summary: the model failed behind BatchNorm1d \(0\): linear: "):
        cnnx.summary(net, (2, 3), mode="train")
    assert net.training
    assert net[0].num_batches_tracked.item() == 0
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())


def test_a_graph_from_before_still_goes_back():
    net = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)).eval()
    loss = net(cnnx.rand(4, 3)).sum()
    cnnx.summary(net, (4, 3), verbose=0)
    loss.backward()


def test_a_call_that_fails_within():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(3, 3), nn.Linear(4, 2)

        def forward(self, x):
            try:
                return self.first(x)
            except RuntimeError:
                return self.second(x)

    found = cnnx.summary(Net(), (5, 4), verbose=0)
    assert [(row.executed, row.output_size) for row in found.summary_list] == [
        (True, [5, 2]), (False, []), (True, [5, 2]),
    ]  # fmt: skip
    assert found.total_mult_adds == 5 * 10


@pytest.mark.parametrize("static", [False, True])
def test_a_compiled_model(static):
    net = cnnx.compile(nn.Sequential(nn.Linear(3, 3), nn.ReLU()), static=static)
    with cnnx.no_grad():
        before = [net(cnnx.ones(2, 3)) for _ in range(3)][-1]
        assert cnnx.summary(net, (2, 3), verbose=0).total_mult_adds == 24
        assert bool((net(cnnx.ones(2, 3)) == before).all())


def test_lazy_layers_are_initialised():
    def draw():
        cnnx.manual_seed(0)
        net = lazy(nn)
        cnnx.summary(net, (2, 2, 5, 5), verbose=0)
        return net[0].weight, cnnx.rand(3)

    (weight, after), (again, after_again) = draw(), draw()
    assert bool((weight == again).all())
    assert bool((after == after_again).all())
    cnnx.manual_seed(0)
    assert not bool((after == cnnx.rand(3)).any())


@pytest.mark.parametrize(
    ("data", "sizes"),
    [
        (lambda: cnnx.rand(2, 3), (2, 3)),
        (lambda: np.zeros((2, 3), np.float32), (2, 3)),
        (lambda: [cnnx.rand(2, 3)], [(2, 3)]),
        (lambda: (cnnx.rand(2, 3), 2.0), ((2, 3), 2.0)),
        (lambda: {"x": cnnx.rand(2, 3), "by": 3}, {"x": (2, 3), "by": 3}),
    ],
)
def test_input_data(data, sizes):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.out = nn.Linear(3, 4)

        def forward(self, x, by=1.0, more=None):
            return {"out": self.out(x) * by, "more": more}

    found = cnnx.summary(Net(), input_data=data(), more=[1], verbose=0)
    assert found.input_size == sizes
    assert found.total_input == 24
    assert found.total_mult_adds == 2 * 16
    assert found.summary_list[0].output_size == [2, 4]


def test_without_an_input_nothing_runs(capsys):
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.LazyLinear(2))
    found = cnnx.summary(net, col_names=["num_params", "kernel_size", "trainable"])
    assert found.total_params == 16 + 8
    assert found.input_size is None
    printed = capsys.readouterr().out
    assert printed == f"{found}\n"
    assert "mult-adds" not in printed


@pytest.mark.parametrize("place", [0, 1, -1])
def test_batch_dim(place):
    found = cnnx.summary(nn.ReLU(), (3, 4), batch_dim=place, verbose=0)
    assert found.summary_list[0].output_size == list(
        np.zeros((3, 4))[(slice(None),) * (place % 3) + (None,)].shape
    )


def test_narrow_tables():
    class AModuleWithANameThatIsLongerThanMost(nn.Sequential):
        pass

    net = AModuleWithANameThatIsLongerThanMost(
        AModuleWithANameThatIsLongerThanMost(nn.Conv2d(1, 640, 3), nn.AdaptiveMaxPool2d(1)),
        AModuleWithANameThatIsLongerThanMost(nn.Flatten(), nn.Linear(640, 100)),
    )
    found = cnnx.summary(
        net, (1, 1, 300, 300), col_names=("output_size", "num_params", "mult_adds"), verbose=0
    )
    for width in (80, 60):
        lines = found.table(width).splitlines()
        assert max(map(len, lines)) == width
        assert any("Most: 1-1" not in line and ".. [1, 640, 1, 1]" in line for line in lines)
        assert "[1, 640, 298, 298]  6,400    568,345,600" in found.table(width)
    assert max(map(len, found.table(200).splitlines())) == 84
    bare = cnnx.summary(nn.Linear(1, 1), verbose=0).table(80)
    assert bare.splitlines()[1] == "Layer (type:depth-idx) Param #"


def test_at_a_prompt_the_result_is_shown_by_the_prompt(monkeypatch, capsys):
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    cnnx.summary(nn.Linear(1, 1), (1, 1))
    assert capsys.readouterr().out == ""


BAD = [
    (lambda: cnnx.summary(lambda x: x, (1,)), TypeError, "model must be a Module, got function"),
    (lambda: cnnx.summary(nn.Linear, (1,)), TypeError, "model must be a Module, got type"),
    (
        lambda: cnnx.summary(nn.ReLU(), (1, 0)),
        ValueError,
        "each extent in input_size must be a whole number from 1",
    ),
    (lambda: cnnx.summary(nn.ReLU(), ()), ValueError, "input_size has no extents: ()"),
    (lambda: cnnx.summary(nn.ReLU(), cnnx.tensor(3)), TypeError, "input_size must be Sequence"),
    (lambda: cnnx.summary(nn.ReLU(), cnnx.rand(3)), TypeError, "input_size must be a shape, a list or tuple"),
    (lambda: cnnx.summary(nn.ReLU(), 3), TypeError, "input_size must be Sequence"),
    (
        lambda: cnnx.summary(nn.ReLU(), (1.5, 2)),
        TypeError,
        "input_size must be Sequence",
    ),
    (
        lambda: cnnx.summary(nn.ReLU(), (1,), cnnx.rand(1)),
        ValueError,
        "takes input_size or input_data, not both",
    ),
    (
        lambda: cnnx.summary(nn.ReLU(), (1,), cache_forward_pass=True),
        ValueError,
        "cache_forward_pass must be",
    ),
    (
        lambda: cnnx.summary(nn.ReLU(), (1,), col_names=["size"]),
        ValueError,
        "col_names must be of input_size, ",
    ),
    (lambda: cnnx.summary(nn.ReLU(), (1,), col_names=3), TypeError, "col_names must be"),
    (
        lambda: cnnx.summary(nn.ReLU(), (1,), row_settings=["x"]),
        ValueError,
        "row_settings must be of depth, ",
    ),
    (
        lambda: cnnx.summary(nn.ReLU(), (1,), col_width=0),
        ValueError,
        "col_width must be a whole number from 1 on",
    ),
    (lambda: cnnx.summary(nn.ReLU(), (1,), depth=-1), ValueError, "depth must be a whole number from 0 on"),
    (lambda: cnnx.summary(nn.ReLU(), (1,), depth="a"), TypeError, "depth must be int, got str"),
    (
        lambda: cnnx.summary(nn.ReLU(), (1,), mode="same"),
        ValueError,
        "mode must be of train, eval, got 'same'",
    ),
    (
        lambda: cnnx.summary(nn.ReLU(), (1,), verbose=3),
        ValueError,
        "verbose must be a whole number from 0 to 2, got 3",
    ),
    (lambda: cnnx.summary(nn.ReLU(), (1,), dtypes=[]), ValueError, "dtypes has 0 entries for 1 shapes"),
    (
        lambda: cnnx.summary(nn.ReLU(), (1,), batch_dim=2),
        ValueError,
        "batch_dim must be a whole number from -2 to 1, got 2",
    ),
    (lambda: cnnx.summary(nn.ReLU(), input_data=cnnx.rand(1), batch_dim=0), ValueError, "go with input_size"),
    (lambda: cnnx.summary(nn.ReLU(), batch_dim=0), ValueError, "batch_dim needs input_size or input_data"),
    (lambda: cnnx.summary(nn.ReLU(), x=3), ValueError, "x needs input_size or input_data"),
    (lambda: cnnx.summary(nn.ReLU(), col_names=["mult_adds"]), ValueError, "column 'mult_adds' needs input"),
    (lambda: cnnx.summary(nn.ReLU(), (1,), y=3), RuntimeError, "the model failed: "),
    (lambda: cnnx.summary(nn.ReLU(), (1,), device="tpu"), RuntimeError, "unknown device"),
]


@pytest.mark.parametrize("case", range(len(BAD)))
def test_wrong_arguments(case):
    call, kind, text = BAD[case]
    with pytest.raises(kind) as caught:
        call()
    assert text in str(caught.value)
    assert str(caught.value).startswith(("summary: ", "device: "))
    assert "\n" not in str(caught.value)


def test_a_device_is_gone_to_and_come_back_from():
    if not cnnx.cuda.is_available():
        pytest.skip("needs a GPU")
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)).to("cpu")
    weight, before = net[0].weight, net[0].weight.clone()
    devices = []
    net[0].register_forward_hook(lambda module, args, output: devices.append(str(output.device)))
    found = cnnx.summary(net, (2, 3), device="cuda", verbose=0)
    assert found.total_mult_adds == 2 * (16 + 8)
    assert devices == ["cuda:0"]
    assert net[0].weight is weight
    assert {str(member.device) for member in (*net.parameters(), *net.buffers())} == {"cpu"}
    assert bool((weight == before).all())


def test_importing_cnnx_does_not_import_it():
    code = "import sys, cnnx; assert 'cnnx.modelinfo' not in sys.modules; cnnx.summary(cnnx.nn.ReLU(), (1,))"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert isinstance(cnnx.summary(nn.ReLU(), (1,), verbose=0), ModelStatistics)
