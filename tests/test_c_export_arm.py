"""Exported C on a 32-bit Arm Cortex-M, emulated by QEMU: the same bytes as its simulation.

It needs `arm-none-eabi-gcc` with newlib and `qemu-system-arm` (Debian: gcc-arm-none-eabi,
libnewlib-arm-none-eabi, qemu-system-arm).
"""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import cnnx
from c_code import STRICT, results, write
from c_models import MODELS
from cnnx.c_export.writer import real

GCC, QEMU = "arm-none-eabi-gcc", "qemu-system-arm"
BOARD = Path(__file__).parent / "cortex_m"
MACHINES = {"mps2-an385": "cortex-m3", "mps2-an386": "cortex-m4"}
pytestmark = [
    pytest.mark.once,
    pytest.mark.long,
    pytest.mark.skipif(not (shutil.which(GCC) and shutil.which(QEMU)), reason=f"needs {GCC} and {QEMU}"),
]
MAIN = """
#include "board.h"
#include "net.h"
static const {kind} inputs[] = {{ {values} }};
static {kind} output[NET_OUTPUT_SIZE];
int main(void) {{
    for (int i = 0; i < {count}; ++i) {{
        if ({run}(inputs + i * NET_INPUT_SIZE, output)) return 1;
        for (int k = 0; k < NET_OUTPUT_SIZE; ++k) {{
            board_print_number((long)({scale} * output[k]));
            board_print(k + 1 < NET_OUTPUT_SIZE ? " " : "\\n");
        }}
    }}
    return 0;
}}
"""


def run(folder, machine, level):
    """Compiles what is in a folder for a machine and runs it there; what it prints, as numbers."""
    program = folder / "program.elf"
    options = [f"-mcpu={MACHINES[machine]}", "-mthumb", level, "-ffunction-sections", "-fdata-sections"]
    strict = [flag for flag in STRICT if flag not in ("-Wdouble-promotion",)]
    net = folder / "net.o"
    subprocess.run([GCC, *strict, *options, "-c", folder / "net.c", "-o", net], check=True, timeout=120)
    sources = [folder / "main.c", BOARD / "board.c", net]
    linked = ["-nostartfiles", "-specs=nosys.specs", "-Wl,--gc-sections", f"-T{BOARD / 'board.ld'}", "-lm"]
    command = [GCC, *options, f"-I{BOARD}", f"-I{folder}", *sources, *linked, "-o", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    emulator = [QEMU, "-M", machine, "-nographic", "-monitor", "none", "-serial", "none"]
    semihosting = ["-semihosting-config", "enable=on,target=native", "-kernel", str(program)]
    done = subprocess.run([*emulator, *semihosting], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return np.array(
        [[int(word) for word in line.split()] for line in (done.stdout + done.stderr).splitlines()]
    )


@pytest.mark.parametrize("level", ["-Os", "-O2"])
@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("name", ["conv, norm, pool", "residual", "lstm"])
def test_int8_has_the_same_bytes(name, machine, level, tmp_path):
    make, shapes = MODELS[name]
    cnnx.manual_seed(3)
    model, x = make(), cnnx.randn(6, *shapes[0][1:])
    export = cnnx.export_c(model, x[:1], int8=True, calibration=x)
    write(export, tmp_path)
    whole = export._quantised(x.numpy(), export.input_scales[0])
    values = ", ".join(map(str, whole.reshape(-1)))
    text = MAIN.format(kind="signed char", values=values, count=6, run="net_run_int8", scale="1")
    (tmp_path / "main.c").write_text(text)
    (want,) = export.simulate_int8(whole)
    np.testing.assert_array_equal(run(tmp_path, machine, level), want.reshape(6, -1))


@pytest.mark.parametrize("int8", [False, True], ids=["float", "int8"])
def test_float_inputs(int8, tmp_path):
    make, shapes = MODELS["conv, norm, pool"]
    cnnx.manual_seed(3)
    model, x = make(), cnnx.randn(3, *shapes[0][1:])
    export = cnnx.export_c(model, x[:1], **({"int8": True, "calibration": x} if int8 else {}))
    write(export, tmp_path)
    values = ", ".join(real(v) for v in x.numpy().reshape(-1))
    text = MAIN.format(kind="float", values=values, count=3, run="net_run", scale="1e5f")
    (tmp_path / "main.c").write_text(text)
    want = export.simulate(x).numpy() if int8 else results(model, [x])[0]
    found = run(tmp_path, "mps2-an386", "-Os") / 1e5
    np.testing.assert_allclose(found, want.reshape(3, -1), rtol=1e-4, atol=3e-5)
