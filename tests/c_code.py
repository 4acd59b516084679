"""Exported C compiled and called: what the tests of `cnnx.export_c` share."""

import ctypes
import shutil
import subprocess

import numpy as np
import pytest

import cnnx

COMPILERS = [name for name in ("gcc", "clang") if shutil.which(name)]
WARNINGS = ("-Wall", "-Wextra", "-pedantic", "-Wconversion", "-Wshadow", "-Wdouble-promotion")
STRICT = ("-std=c99", "-Werror", *WARNINGS)
SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def compiler():
    """One that is there; skips without."""
    if not COMPILERS:
        pytest.skip("no C compiler")
    return COMPILERS[0]


def write(made, folder):
    """Both files; returns the path of the source."""
    (folder / made.header_name).write_text(made.header)
    source = (folder / made.header_name).with_suffix(".c")
    source.write_text(made.source)
    return source


def build(source, *more, by=None, flags=("-O1",), output="net.so"):
    """Compiles with every warning an error; returns the path."""
    target = source.parent / output
    shared = ["-shared", "-fPIC"] if output.endswith(".so") else []
    command = [by or compiler(), *STRICT, *flags, *shared, "-o", target, source, *more, "-lm"]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return target


def pointer(array):
    return array.ctypes.data_as(ctypes.c_void_p)


def call(library, function, inputs, shapes, dtype=np.float32, *more):
    """What a function of a library gives: an array of each shape, with guards behind."""
    arrays = [np.ascontiguousarray(x, dtype) for x in inputs]
    guard = np.asarray(77, dtype)
    outputs = [np.full(int(np.prod(shape)) + 16, guard, dtype) for shape in shapes]
    code = getattr(library, function)(*map(pointer, (*arrays, *outputs)), *more)
    assert code == 0
    for output in outputs:
        assert (output[-16:] == guard).all()
    return [output[:-16].reshape(shape) for output, shape in zip(outputs, shapes, strict=True)]


def results(model, inputs):
    """What the model gives, in eval mode, as a list of arrays."""
    with cnnx.no_grad():
        given = model.eval()(*[x.clone() for x in inputs])
    given = given if isinstance(given, tuple) else (given,)
    return [t.cpu().numpy() for t in given]


def compare(model, inputs, folder, tolerance=2e-5, **options):
    """Exports a model, compiles the C and compares what both give; returns the export."""
    made = cnnx.export_c(model, inputs, **options)
    library = ctypes.CDLL(str(build(write(made, folder))))
    expected = results(model, inputs)
    arrays = [x.cpu().numpy() for x in inputs]
    found = call(library, f"{made.name}_run", arrays, [want.shape for want in expected])
    for got, want in zip(found, expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=tolerance * 10, atol=tolerance)
    return made


def compare_int8(model, inputs, calibration, folder, **options):
    """Exports in whole numbers, and compares the C with the simulation to the byte; returns the export."""
    made = cnnx.export_c(model, inputs, int8=True, calibration=calibration, **options)
    library = ctypes.CDLL(str(build(write(made, folder))))
    rows = [[x.numpy()[i : i + 1] for x in calibration] for i in range(len(calibration[0]))]
    simulated = made.simulate(*calibration)
    simulated = [t.numpy() for t in (simulated if isinstance(simulated, tuple) else (simulated,))]
    for i, row in enumerate(rows):
        shapes = [(1, *want.shape[1:]) for want in simulated]
        found = call(library, f"{made.name}_run", row, shapes)
        whole = [made._quantised(x, scale) for x, scale in zip(row, made.input_scales, strict=True)]
        bytes_found = call(library, f"{made.name}_run_int8", whole, shapes, np.int8)
        for want, got, small, scale in zip(simulated, found, bytes_found, made.output_scales, strict=True):
            np.testing.assert_array_equal(got, want[i : i + 1])
            np.testing.assert_array_equal(small.astype(np.float32) * np.float32(scale), want[i : i + 1])
    random = np.random.default_rng(0)
    for _ in range(3):  # any bytes, which typical inputs hardly reach
        row = [random.integers(-128, 128, x.shape).astype(np.int8) for x in inputs]
        expected = made.simulate_int8(*row)
        found = call(library, f"{made.name}_run_int8", row, [y.shape for y in expected], np.int8)
        for got, want in zip(found, expected, strict=True):
            np.testing.assert_array_equal(got, want)
    return made
