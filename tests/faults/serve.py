"""Runs commands of cnnx in forks of one process with faults.so preloaded: starting Python each time is slow.

Each line of the input is a command as JSON (arguments, folder, what to count, which operation meets what);
each line of the output is what came of it.
"""

import ctypes
import io
import json
import os
import sys
import traceback

from cnnx import plot
from cnnx.cli import main

LOG = "operations.log"


def work(job):
    """Runs one command in the forked process, and never returns."""
    os.chdir(job["folder"])
    for number, name in ((1, "out.log"), (2, "err.log")):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666), number)
    log = os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    ctypes.CDLL(None).faults_begin(job["count"].encode(), job["at"], job["mode"], log)
    code = 99
    try:
        code = main(job["arguments"])
    except SystemExit as error:
        code = error.code
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def read(folder, name):
    with open(os.path.join(folder, name)) as file:
        return file.read()


plot.curves({"loss": {"train": [1.0]}}).savefig(io.BytesIO())  # loads what pictures need
for line in sys.stdin:
    job = json.loads(line)
    pid = os.fork()
    if pid == 0:
        work(job)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    result = {
        "code": status,
        "out": read(job["folder"], "out.log"),
        "err": read(job["folder"], "err.log"),
        "operations": read(job["folder"], LOG).splitlines(),
    }
    print(json.dumps(result), flush=True)
