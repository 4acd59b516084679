"""`cnnx export`: a run's net as an ONNX file, or as a C file."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

import cnnx
from cnnx import onnx
from cnnx.c_export import CNet, export_c
from cnnx.cli import CommandError, UsageError
from cnnx.cli.own_model import of_program
from cnnx.cli.terminal import say
from cnnx.cli.trained import Trained
from cnnx.training.metrics import Share
from cnnx.utils.data import DataLoader

TYPICAL = 512  # training images that give the scales of int8
Array = np.ndarray[Any, Any]


def export(options: argparse.Namespace) -> int:
    """The command `cnnx export`; returns the exit code."""
    as_c = options.file.endswith(".c")
    if not as_c and not options.file.endswith(".onnx"):
        raise UsageError(f"{options.file!r} ends neither in .onnx nor in .c, which say what is written")
    if as_c and options.opset is not None:
        raise UsageError("--opset is of ONNX files, and a name that ends in .c asks for C")
    if options.int8 and not as_c:
        raise UsageError("--int8 is of C files: a name that ends in .c")
    if not options.int8 and (options.data_dir is not None or options.dataset is not None):
        raise UsageError("--data-dir and --dataset name images for --int8")
    trained = Trained.open(options.run, options.trust)
    try:
        return (_as_c if as_c else _as_onnx)(options, trained)
    except (NotImplementedError, TypeError, ValueError) as error:
        raise CommandError(str(error)) from error


def _as_onnx(options: argparse.Namespace, trained: Trained) -> int:
    version = {} if options.opset is None else {"opset": options.opset}
    with of_program(trained.own):
        proto = onnx.export(
            trained.model,
            cnnx.zeros(1, *trained.shape),
            options.file,
            input_names=["image"],
            output_names=["scores"],
            **version,
        )
    say(f"{options.file}: opset {proto.opset_import[0].version}, {_what(trained, 'batch x ')}")
    return 0


def _what(trained: Trained, batch: str) -> str:
    shape = "x".join(map(str, trained.shape))
    mean, std = trained.normalize or (0.0, 1.0)
    return (
        f"image ({batch}{shape}: pixels in [0, 1], minus {mean:g}, over {std:g}) "
        f"to scores ({batch}{len(trained.classes)}: {' '.join(trained.classes)})"
    )


def _as_c(options: argparse.Namespace, trained: Trained) -> int:
    more: dict[str, Any] = {}
    if options.int8:
        images = trained.training_images(options.data_dir, options.dataset)
        chosen = np.linspace(0, len(images) - 1, min(TYPICAL, len(images))).astype(np.int64)
        more = {"int8": True, "calibration": cnnx.stack([images[int(i)][0] for i in chosen])}
    with of_program(trained.own):
        made = export_c(
            trained.model, cnnx.zeros(1, *trained.shape), options.file, note=_what(trained, ""), **more
        )
    say(f"{options.file}, {made.header_name}: int {made.name}_run(const float *image, float *scores)")
    say(_what(trained, ""))
    say(
        f"weights {made.weight_bytes:,} bytes, {_with_code(made)}; workspace {made.workspace_bytes:,} bytes; "
        f"{made.multiply_adds:,} multiply-adds"
    )
    if options.int8:
        _judge(options, trained, made, len(chosen))
    return 0


def _with_code(made: CNet) -> str:
    """What the compiled file takes; the file is written whether a compiler is there or not."""
    try:
        found = made.flash()
    except RuntimeError as error:
        return str(error)
    if found is None:
        return "no compiler is there to tell that of the code"
    return f"{found[0]:,} with the code ({found[1]})"


def _judge(options: argparse.Namespace, trained: Trained, made: CNet, typical: int) -> None:
    """Says what whole numbers cost in accuracy."""
    images = trained.test_images(options.data_dir, options.dataset)
    known = trained.labels(images)
    rights = np.zeros(2, np.int64)
    for inputs, targets in DataLoader(images, batch_size=500):
        labels = known[targets.numpy()]
        scores = made.simulate(inputs)
        if isinstance(scores, tuple):
            raise CommandError("the net has several outputs, of which none is known to be the scores")
        rights += [
            int((trained.probabilities(inputs).argmax(1) == labels).sum()),
            int((scores.numpy().argmax(1) == labels).sum()),
        ]
    floats, whole = (Share(int(right), len(images)) for right in rights)
    say(
        f"test accuracy {floats}, in int8 {whole}: {100 * (floats.value - whole.value):.2f} points lost; "
        f"{len(images):,} images, scales from {typical} training images"
    )
