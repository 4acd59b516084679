"""`cnnx.export_c`: the C that it writes against the model, and against its simulation to the byte."""

import ctypes
import math
import re
import subprocess
import threading

import numpy as np
import pytest

import cnnx
from c_code import COMPILERS, SANITIZE, build, call, compare, compare_int8, compiler, results, write
from c_models import MODELS, of
from cnnx import nn
from cnnx.c_export.elements import OPS
from cnnx.c_export.functions import FORMS
from cnnx.c_export.memory import Lifetime, place
from cnnx.nn import functional as F
from cnnx.tracing.compare import differing

pytestmark = pytest.mark.once

# What has no form in whole numbers.
REFUSED_INT8 = {
    "transposed", "transposed, groups", "transposed 1d", "transposed, norm", "avg pool, what is within",
    "avg pool, ceil", "avg pool, ceil, what is within", "adaptive pool 1d", "layer norm",
    "layer norm without weights", "group norm", "instance norm", "softmax", "log softmax", "attention",
    "two in, three out", "upsample, bilinear", "upsample, corners", "upsample, bicubic",
    "downsample, antialias", "logsumexp", "arithmetic", "comparisons", "powers", "remainders", "matrices",
    "truth of numbers", "truth of numbers, copied",
}  # fmt: skip
NO_BATCH = {
    "dense without a batch", "conv without a batch", "twice one output", "expand", "constants", "numbers",
    "sums", "extremes", "variances",
}  # fmt: skip


def made(name, batch=None):
    """A model of the table and its inputs."""
    make, shapes = MODELS[name]
    cnnx.manual_seed(3)
    model = make()
    return model, [cnnx.randn(*(shape if batch is None else (batch, *shape[1:]))) for shape in shapes]


@pytest.mark.parametrize("name", MODELS)
def test_gives_what_the_model_gives(name, tmp_path):
    model, inputs = made(name)
    compare(model, inputs, tmp_path)


@pytest.mark.parametrize("name", [name for name in MODELS if name not in REFUSED_INT8 | NO_BATCH])
def test_int8_is_its_simulation_to_the_byte_and_near_the_model(name, tmp_path):
    model, inputs = made(name, 1)
    _, calibration = made(name, 9)
    export = compare_int8(model, inputs, calibration, tmp_path)
    simulated = export.simulate(*calibration)
    expected = [results(model, [x[i : i + 1] for x in calibration]) for i in range(9)]
    for k, got in enumerate(simulated if isinstance(simulated, tuple) else [simulated]):
        want = np.concatenate([one[k] for one in expected])
        assert np.abs(got.numpy() - want).max() < 0.025 * np.abs(want).max()


@pytest.mark.parametrize("name", sorted(REFUSED_INT8))
def test_int8_names_what_it_lacks(name):
    model, inputs = made(name, 1)
    _, calibration = made(name, 2)
    with pytest.raises(NotImplementedError, match=r"^export_c: there is no form in whole numbers for "):
        cnnx.export_c(model, inputs, int8=True, calibration=calibration)


def windows(seed):
    """A net of twenty layers with windows of any geometry, side by side on one input of odd sizes."""
    random = np.random.default_rng(seed)

    def number(low, high):
        return int(random.integers(low, high + 1))

    def pair(low, high):
        return number(low, high), number(low, high)

    height, width = pair(5, 11)
    layers = []
    while len(layers) < 20:
        kernel, stride, dilation = pair(1, 4), pair(1, 4), pair(1, 2)
        groups = (1, 2, 4)[number(0, 2)]
        half = tuple(number(0, k // 2) for k in kernel)
        kind = number(0, 4)
        if kind == 0:
            options = {"stride": stride, "padding": pair(0, 4), "dilation": dilation, "groups": groups}
            layers.append(nn.Conv2d(4, 4 * number(1, 2), kernel, bias=bool(number(0, 1)), **options))
        elif kind == 1:
            extra = tuple(number(0, s - 1) for s in stride)
            options = {"stride": stride, "padding": pair(0, 2), "output_padding": extra, "groups": groups}
            layers.append(nn.ConvTranspose2d(4, 4, kernel, **options))
        elif kind == 2:
            options = {"dilation": dilation, "ceil_mode": bool(number(0, 1))}
            layers.append(nn.MaxPool2d(kernel, stride, half, **options))
        elif kind == 3:
            options = {"ceil_mode": bool(number(0, 1)), "count_include_pad": bool(number(0, 1))}
            layers.append(nn.AvgPool2d(kernel, stride, half, **options))
        else:
            parts = nn.Conv2d(4, 3, kernel, padding=1), nn.ReLU(), nn.MaxPool2d(number(1, 2))
            layers.append(nn.Sequential(*parts))
        try:
            layers[-1](cnnx.zeros(1, 4, height, width))
        except (RuntimeError, ValueError):  # windows that do not fit
            layers.pop()
    net = of(lambda x, *layers: tuple(layer(x) for layer in layers))(*layers)
    return net, cnnx.randn(number(1, 2), 4, height, width)


@pytest.mark.parametrize("seed", range(3))
def test_windows_of_any_geometry(seed, tmp_path):
    cnnx.manual_seed(seed)
    net, x = windows(seed)
    compare(net, [x], tmp_path)


@pytest.mark.parametrize("kind", [nn.Softmax, nn.LogSoftmax])
def test_a_softmax_at_the_end_stays_in_float32(kind, tmp_path):
    cnnx.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 4), kind(1))
    x = cnnx.randn(7, 5)
    export = cnnx.export_c(model, x[:1], int8=True, calibration=x)
    library = ctypes.CDLL(str(build(write(export, tmp_path))))
    found = [call(library, "net_run", [row], [(4,)])[0] for row in x.numpy()]
    np.testing.assert_allclose(np.stack(found), export.simulate(x).numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.stack(found), results(model, [x])[0], atol=0.05)
    assert "before " + ("softmax" if kind is nn.Softmax else "log_softmax") in export.header
    last = nn.Sequential(nn.Linear(5, 4), nn.Softmax(1), nn.Linear(4, 2))
    with pytest.raises(NotImplementedError, match="whole numbers for softmax"):
        cnnx.export_c(last, x[:1], int8=True, calibration=x)


@pytest.mark.parametrize("name", nn.activation.__all__)
def test_activations(name, tmp_path):
    arguments = {"Threshold": (0.1, 20.0), "Softmax": (1,), "LogSoftmax": (1,), "Softmin": (1,)}
    module = getattr(nn, name)(*arguments.get(name, ()))
    x = cnnx.linspace(-6, 6, 48).reshape(1, 4, 3, 4)
    compare(module, [x], tmp_path, 2e-6)


FUNCTIONS = [
    "abs", "acos", "acosh", "asin", "asinh", "atan", "atanh", "ceil", "cos", "cosh", "erf", "erfc", "exp",
    "expm1", "floor", "lgamma", "log", "log10", "log1p", "log2", "neg", "reciprocal", "round", "rsqrt",
    "sigmoid", "sign", "sin", "sinh", "sqrt", "square", "tanh", "trunc",
]  # fmt: skip


def test_functions(tmp_path):
    names = [name for name in FUNCTIONS if hasattr(cnnx, name)]
    x = cnnx.linspace(0.05, 0.95, 13)
    compare(
        of(lambda x: tuple(getattr(cnnx, n)(x + 1 if n == "acosh" else x) for n in names))(), [x], tmp_path
    )


SPECIAL = [float("nan"), float("inf"), -float("inf"), 0.0, -0.0, 1e20, -1e20, 3e38, 1e-30]
NUMBERS = [*SPECIAL, 1.0, -1.0, 0.5, -0.5, 0.1, 0.3, 2.5, 3.0, -3.0, 5.0, 6.0, -20.0, 1e8, 16777215.0]
BINARY = {
    **{
        name: lambda a, b, name=name: getattr(cnnx, name)(a, b)
        for name in (
            "add", "sub", "mul", "div", "maximum", "minimum", "fmod", "remainder", "floor_divide", "hypot",
            "atan2", "pow", "eq", "ne", "lt", "le", "gt", "ge", "logical_and", "logical_or", "logical_xor",
        )
    },
    "div_trunc": lambda a, b: cnnx.div(a, b, rounding_mode="trunc"),
    "where": lambda a, b: cnnx.where(a.bool(), a, b),
}  # fmt: skip


def table_test(rows, ops, inputs, folder):
    """Compares, for each row by name, the compiled C of the values with the model's; all ops must occur."""
    net = of(lambda *x: tuple(function(*x).float() for function in rows.values()))()
    want = results(net, inputs)
    export = cnnx.export_c(net, inputs)
    library = ctypes.CDLL(str(build(write(export, folder))))
    found = call(library, "net_run", [x.numpy() for x in inputs], [y.shape for y in want])
    wrong = []
    for name, got, expected in zip(rows, found, want, strict=True):
        near = np.isclose(got, expected, rtol=1e-5, atol=1e-37, equal_nan=True)
        rows_of = zip(*(x.numpy()[~near] for x in inputs), got[~near], expected[~near], strict=True)
        wrong += [f"{name}{values[:-2]}: {values[-2]}, the model {values[-1]}" for values in rows_of]
    assert [op for op in ops if not re.search(rf"[:,] {op}[(,;]", export.source)] == []
    assert not wrong, "\n".join(wrong)


def test_binary_ops_of_special_values(tmp_path):
    a, b = (x.reshape(-1).contiguous() for x in cnnx.meshgrid(*[cnnx.tensor(NUMBERS)] * 2, indexing="ij"))
    table_test(BINARY, set(OPS) - {"copy"}, [a, b], tmp_path)


def test_functions_of_special_values(tmp_path):
    rows = {name: getattr(cnnx, name) for name in FUNCTIONS if hasattr(cnnx, name)}
    rows |= {
        "clamp": lambda x: x.clamp(-1, 2.5),
        "clamp, crossed": lambda x: x.clamp(3, -1),
        "gelu, tanh": lambda x: F.gelu(x, "tanh"),
        "logical_not": cnnx.logical_not,
        "logit": cnnx.logit,
        **{f"to the power {power}": lambda x, power=power: x**power for power in (3, -1, 2.5, -0.5, 1 / 3)},
    }
    arguments = {"Threshold": (0.1, 20.0)}
    of_rows = {"GLU", "LogSoftmax", "Softmax", "Softmax2d", "Softmin"}
    modules = [name for name in nn.activation.__all__ if name not in of_rows]
    rows.update({name: getattr(nn, name)(*arguments.get(name, ())).eval() for name in modules})
    table_test(rows, FORMS, [cnnx.cat([cnnx.tensor(NUMBERS), cnnx.linspace(-110, 110, 23)])], tmp_path)


def test_special_values(tmp_path):
    net = of(
        lambda x: (x.relu(), x.clamp(-1, 1), x.sigmoid(), x.tanh(), F.softplus(x), x.amax(0), x.amin(0))
    )()
    x = cnnx.tensor([float("nan"), float("inf"), -float("inf"), 0.0, -0.0, 100.0, -100.0])
    compare(of(net)(), [x], tmp_path)


@pytest.mark.parametrize("by", COMPILERS or ["none"])
@pytest.mark.parametrize(
    "flags", [("-O0",), ("-O2",), ("-Os", "-m32"), ("-O3", "-march=native")], ids=" ".join
)
def test_compilers_and_levels(by, flags, tmp_path):
    compiler()
    model, inputs = made("conv, norm, pool")
    source = write(cnnx.export_c(model, inputs), tmp_path)
    if "-m32" in flags:
        (tmp_path / "empty.c").write_text("#include <stdint.h>\n#include <math.h>\nint nothing;\n")
        try:
            build(tmp_path / "empty.c", by=by, flags=flags)
        except AssertionError:
            pytest.skip("no 32-bit libraries")
        build(source, by=by, flags=flags)
        return
    library = ctypes.CDLL(str(build(source, by=by, flags=flags)))
    (want,) = results(model, inputs)
    (got,) = call(library, "net_run", [inputs[0].numpy()], [want.shape])
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


MAIN = """
#include "net.h"
#include <stdio.h>
#include <string.h>
static float input[NET_INPUT_SIZE], output[NET_OUTPUT_SIZE];
int main(void) {
    for (int i = 0; i < NET_INPUT_SIZE; ++i) input[i] = (float)((i * 37) % 101) / 50.0f - 1.0f;
    if (net_run(input, output) || net_run(0, output) != -1 || net_run(input, 0) != -1) return 1;
    for (int i = 0; i < NET_OUTPUT_SIZE; ++i) printf("%.9g\\n", (double)output[i]);
    return 0;
}
"""


@pytest.mark.parametrize("int8", [False, True], ids=["float", "int8"])
@pytest.mark.parametrize("by", COMPILERS or ["none"])
def test_sanitizers_find_nothing(by, int8, tmp_path):
    compiler()
    model, inputs = made("conv, norm, pool", 1)
    options = {"int8": True, "calibration": cnnx.randn(5, *inputs[0].shape[1:])} if int8 else {}
    export = cnnx.export_c(model, inputs, **options)
    write(export, tmp_path)
    (tmp_path / "main.c").write_text(MAIN)
    flags = ("-O1", "-g", *SANITIZE)
    program = build(tmp_path / "main.c", tmp_path / "net.c", by=by, flags=flags, output="program")
    done = subprocess.run([program], capture_output=True, text=True, timeout=60, check=True)
    i = np.arange(inputs[0].numel())
    x = cnnx.from_numpy(((i * 37) % 101 / np.float32(50) - 1).astype(np.float32)).reshape(inputs[0].shape)
    want = export.simulate(x).numpy() if int8 else results(model, [x])[0]
    got = np.array([float(line) for line in done.stdout.split()], np.float32).reshape(want.shape)
    np.testing.assert_allclose(got, want, rtol=0 if int8 else 1e-4, atol=0 if int8 else 1e-5)


def test_a_workspace_of_the_callers_serves_threads(tmp_path):
    for int8 in (False, True):
        cnnx.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(144, 3))
        x = cnnx.randn(8, 1, 14, 14)
        options = {"int8": True, "calibration": x} if int8 else {}
        export = cnnx.export_c(model, x[:1], workspace="caller", name=f"net{int8:d}", **options)
        (tmp_path / str(int8)).mkdir()
        library = ctypes.CDLL(str(build(write(export, tmp_path / str(int8)))))
        assert "static float memory" not in export.source
        assert "words[" not in export.source
        found = {}

        def run(i, library=library, export=export, found=found, x=x):
            space = (ctypes.c_int32 * (export.workspace_bytes // 4))()
            for _ in range(50):
                (found[i],) = call(library, f"{export.name}_run", [x[i].numpy()], [(3,)], np.float32, space)

        threads = [threading.Thread(target=run, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        want = export.simulate(x).numpy() if int8 else results(model, [x])[0]
        np.testing.assert_allclose(np.stack([found[i] for i in range(8)]), want, rtol=1e-4, atol=1e-5)


def test_the_header_says_sizes_and_the_comments_what_layers_do(tmp_path):
    model, inputs = made("conv, norm, pool", 1)
    export = cnnx.export_c(model, inputs, tmp_path / "digit.c")
    assert (tmp_path / "digit.c").read_text() == export.source
    header = (tmp_path / "digit.h").read_text()
    assert header == export.header
    assert '#include "digit.h"' in export.source
    assert "int digit_run(const float *input, float *output);" in header
    numbers = dict(re.findall(r"#define DIGIT_(\w+) (\d+)", header))
    assert int(numbers["INPUT_SIZE"]) == 17 * 15
    assert int(numbers["WEIGHT_BYTES"]) == export.weight_bytes == 4 * (4 * 9 + 4 + 3 * 4 * 9 + 3) + 2 * 3
    assert int(numbers["MULTIPLY_ADDS"]) == export.multiply_adds == 4 * 16 * 14 * 9 + 3 * 6 * 3 * 36
    assert int(numbers["WORKSPACE_BYTES"]) == export.workspace_bytes
    assert (
        "conv2d (0) with batch_norm (1): kernel 3x3, padding 1, max pool 2x2, relu; 1x1x17x15 -> 1x4x8x7"
        in export.source
    )


@pytest.mark.parametrize("name", ["upsample, bicubic", "conv, padded", "conv, stride", "pad, circular"])
@pytest.mark.parametrize("int8", [False, True], ids=["float", "int8"])
def test_the_sizes_are_those_of_all_tables(name, int8):
    model, inputs = made(name, 1)
    if int8 and name in REFUSED_INT8:
        pytest.skip("float32 alone")
    export = cnnx.export_c(model, inputs, **({"int8": True, "calibration": inputs} if int8 else {}))
    tables = re.findall(r"static const (float|u?int(\d+)_t) \w+\[(\d+)\] = {", export.source)
    assert tables
    total = sum(int(count) * (4 if kind == "float" else int(bits) // 8) for kind, bits, count in tables)
    assert export.weight_bytes == total
    assert f"#define NET_WEIGHT_BYTES {total} " in export.header


@pytest.mark.parametrize("int8", [False, True], ids=["float", "int8"])
def test_what_pooling_drops_is_not_computed(int8, tmp_path):
    cnnx.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(4))
    x = cnnx.randn(9, 2, 11, 10)
    export = compare_int8(model, [x[:1]], [x], tmp_path) if int8 else compare(model, [x], tmp_path)
    assert "i < 8" in export.source
    assert "i < 10" not in export.source
    assert export.multiply_adds == (1 if int8 else 9) * 3 * 8 * 8 * 18
    if int8:  # once for each cell, not for each cell of its window
        assert re.search(
            r"if \(r % 4 == 3\) {\n +for \(int i = 0; i < 2; \+\+i\) {\n.*limited", export.source
        )
        assert export.source.count("limited(") == 2


def test_flash(tmp_path):
    compiler()
    model, inputs = made("conv, norm, pool", 1)
    export = cnnx.export_c(model, inputs)
    size, command = export.flash(COMPILERS[0])
    assert size > export.weight_bytes + 100
    assert command.startswith(f"{COMPILERS[0]} -std=c99 -Os")
    with pytest.raises(FileNotFoundError):
        export.flash("no-such-compiler")


def test_memory_is_reused_and_never_shared_by_what_lives_at_once():
    random = np.random.default_rng(0)
    for _ in range(50):
        lives = []
        for _ in range(12):
            first = int(random.integers(0, 10))
            lives.append(Lifetime(int(random.integers(1, 50)), first, first + int(random.integers(0, 4))))
        total = place(lives)
        for i, a in enumerate(lives):
            assert a.offset % 4 == 0
            assert a.end <= total
            for b in lives[:i]:
                apart = a.last < b.first or b.last < a.first or a.end <= b.offset or b.end <= a.offset
                assert apart


ONE, DENSE = cnnx.ones(1, 3), nn.Linear(3, 2)
INFINITE = cnnx.full((1, 3), float("inf"))


@pytest.mark.parametrize(
    "model, sample, options, error, text",
    [
        (of(lambda x: x.cumsum(0).sort(0).values), ONE, {}, NotImplementedError, "no C for cumsum, .*sort"),
        (of(lambda x: x.argmax(0)), ONE, {}, NotImplementedError, "no C for argmax"),
        (of(lambda x: x * 2 if x.sum() > 0 else x), ONE, {}, NotImplementedError, "takes a value out"),
        (of(lambda x: x > 0), ONE, {}, TypeError, "a net in C returns float32"),
        (DENSE, cnnx.ones(1, 4), {}, ValueError, "the model itself fails"),
        (nn.Embedding(3, 2), cnnx.zeros(3, dtype=cnnx.int64), {}, TypeError, "must be float32, the sample"),
        (nn.Linear(3, 2).double(), ONE.double(), {}, TypeError, "must be float32"),
        (3, ONE, {}, TypeError, "model must be an nn.Module, got int"),
        (DENSE, ONE, {"path": 3}, TypeError, "path must be a string or a path, got int"),
        (DENSE, [], {}, ValueError, "there is no sample"),
        (DENSE, cnnx.ones(0, 3), {}, ValueError, "has no elements"),
        (DENSE, ONE, {"name": "a-b"}, ValueError, "no identifier of C"),
        (DENSE, ONE, {"name": 3}, TypeError, "name must be"),
        (DENSE, ONE, {"path": "a-b.c"}, ValueError, "no identifier of C; name= gives one"),
        (DENSE, ONE, {"path": 'a"b.c', "name": "net"}, ValueError, "cannot be named in an #include"),
        (DENSE, ONE, {"path": "net.txt"}, ValueError, "does not end in .c"),
        (DENSE, ONE, {"workspace": np.ones(2)}, TypeError, "workspace must be "),
        (DENSE, ONE, {"workspace": "heap"}, ValueError, "'static' or 'caller'"),
        (DENSE, ONE, {"int8": 1}, TypeError, "int8 must be a bool"),
        (DENSE, ONE, {"int8": True}, ValueError, "needs calibration"),
        (DENSE, ONE, {"calibration": ONE}, ValueError, "calibration is for int8"),
        (DENSE, ONE, {"int8": True, "calibration": [ONE, ONE]}, ValueError, "2 tensors for 1 inputs"),
        (DENSE, cnnx.ones(2, 3), {"int8": True, "calibration": ONE}, ValueError, "a batch of 1"),
        (DENSE, ONE, {"int8": True, "calibration": cnnx.ones(1, 4)}, ValueError, "like the sample"),
        (DENSE, ONE, {"int8": True, "calibration": INFINITE}, ValueError, "not finite"),
        (DENSE, ONE, {"int8": True, "calibration": ONE * 0}, ValueError, "zero everywhere"),
        (DENSE, ONE, {"note": 1}, TypeError, "note must be str"),
        (DENSE, ONE, {"int8": True, "calibration": ONE * 1e-42}, ValueError, "values too near 0"),
        (of(lambda x: x.sum()), ONE, {"int8": True, "calibration": ONE}, ValueError, "a batch of 1"),
    ],
)
def test_bad_input(model, sample, options, error, text):
    with pytest.raises(error, match=rf"^export_c: .*{text}"):
        cnnx.export_c(model() if isinstance(model, type) else model, sample, **options)


def test_the_mode_of_the_model_stays_and_training_is_refused():
    model = nn.Sequential(nn.Dropout(), nn.BatchNorm1d(3))
    cnnx.export_c(model, cnnx.ones(2, 3))
    assert model.training
    with pytest.raises(NotImplementedError, match=r"^export_c: there is no C for dropout in training mode"):
        cnnx.export_c(of(lambda x: F.dropout(x))(), cnnx.ones(2, 3))


def test_names_of_weights_never_clash(tmp_path):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            for name in ("int", "memory", "weights", "run", "a_b", "f\u00fc"):
                setattr(self, name, nn.Parameter(cnnx.randn(3)))

        def forward(self, x):
            for value in self.parameters():
                x = x * value
            return x

    compare(Net(), [cnnx.ones(3)], tmp_path)


@pytest.mark.parametrize(
    "net, weights",
    [
        (
            "NET",
            ["H", "INPUT_SIZE", "OUTPUT_SIZE", "WEIGHT_BYTES", "WORKSPACE_BYTES", "MULTIPLY_ADDS", "run"],
        ),
        ("int8", ["t", "run_int8"]),
        ("row", ["weight"]),
        ("memory", ["sums", "in", "out"]),
    ],
)
def test_names_of_nets_and_weights_together_never_clash(net, weights, tmp_path):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            for name in weights:
                self.register_parameter(name, nn.Parameter(cnnx.randn(1, 1, 1, 3)))

        def forward(self, x):
            return F.interpolate(math.prod(self.parameters(), start=x), scale_factor=1.5, mode="bicubic")

    compare(Net(), [cnnx.randn(1, 1, 4, 3)], tmp_path, name=net)


@pytest.mark.parametrize("name", ["*\\", "*/", "/*", "a\\", "*\\/"])
def test_names_of_layers_never_end_a_comment(name, tmp_path):
    model = nn.Module()
    model.add_module(name, nn.Linear(3, 2))
    model.forward = lambda x: next(model.children())(x)
    compare(model, [cnnx.ones(1, 3)], tmp_path)


def test_simulate_refuses_what_does_not_fit():
    x = cnnx.ones(1, 3)
    with pytest.raises(TypeError, match=r"^simulate: the net was not exported with int8=True"):
        cnnx.export_c(nn.Linear(3, 2), x).simulate(x)
    export = cnnx.export_c(nn.Linear(3, 2), x, int8=True, calibration=x)
    cases = [(cnnx.ones(1, 4),), (x, x), (), (cnnx.ones(3),), (cnnx.ones(0, 3),), (cnnx.ones(1, 3, 1),)]
    for given in cases:
        with pytest.raises(ValueError, match=r"^simulate: "):
            export.simulate(*given)
        with pytest.raises(ValueError, match=r"^simulate_int8: "):
            export.simulate_int8(*[one.numpy().astype(np.int8) for one in given])
    for given in (x.double(), x.numpy()):
        with pytest.raises(TypeError, match=r"^simulate: "):
            export.simulate(given)
    with pytest.raises(TypeError, match=r"^simulate_int8: "):
        export.simulate_int8(np.ones((1, 3)))
    both = cnnx.export_c(of(lambda x, y: x + y)(), [x, x], int8=True, calibration=[x, x])
    with pytest.raises(ValueError, match=r"^simulate: inputs must have as many entries each"):
        both.simulate(cnnx.ones(2, 3), x)
    with pytest.raises(ValueError, match=r"^simulate_int8: inputs must have as many entries each"):
        both.simulate_int8(np.ones((1, 3), np.int8), np.ones((2, 3), np.int8))


@pytest.mark.parametrize("weights", [1e-6, 1e-9, 0.0])
def test_int8_with_channels_that_are_next_to_dead(weights, tmp_path):
    cnnx.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 4 * 5, 3))
    for layer in (model[0], model[3]):
        layer.weight.data[1] *= weights
        layer.bias.data[1] = 0.5
    x = cnnx.randn(9, 2, 6, 7)
    export = compare_int8(model, [x[:1]], [x], tmp_path)
    (want,) = results(model, [x])
    assert np.abs(export.simulate(x).numpy() - want).max() < 0.025 * np.abs(want).max()


def test_what_counts_as_the_same_result():
    random = np.random.default_rng(0)
    exact = np.maximum(random.standard_normal(1000) - 1, 0).astype(np.float32)  # most of it is 0
    rounded = exact + random.uniform(-1e-6, 1e-6, exact.shape).astype(np.float32)
    assert np.median(exact) == 0
    assert differing(rounded, exact) == 0
    assert differing(1.01 * exact, exact) > 0.9 * np.count_nonzero(exact)
    residues = np.where(np.arange(1000) % 3 == 0, 100 * exact, 1e-7 * exact).astype(np.float32)
    assert differing(residues + np.float32(1e-6), residues) == 0
    assert differing(np.full(5, 1e-6, np.float32), np.zeros(5, np.float32)) == 5
    masked = np.where(np.arange(1000) % 3 == 0, -1e9, exact + 1).astype(np.float32)
    assert differing(np.where(masked < 0, masked, masked * 1.1), masked) == 666
    special = np.array([np.nan, np.inf, -np.inf, 0], np.float32)
    assert differing(special, special) == 0
    assert differing(special[::-1], special) == 4
