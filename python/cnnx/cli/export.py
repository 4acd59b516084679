"""`cnnx export`: a run's net as an ONNX file."""

from __future__ import annotations

import argparse

import cnnx
from cnnx import onnx
from cnnx.cli import CommandError
from cnnx.cli.own_model import of_program
from cnnx.cli.terminal import say
from cnnx.cli.trained import Trained


def export(options: argparse.Namespace) -> int:
    """The command `cnnx export`; returns the exit code."""
    trained = Trained.open(options.run, options.trust)
    version = {} if options.opset is None else {"opset": options.opset}
    try:
        with of_program(trained.own):
            proto = onnx.export(
                trained.model,
                cnnx.zeros(1, *trained.shape),
                options.file,
                input_names=["image"],
                output_names=["scores"],
                **version,
            )
    except (NotImplementedError, ValueError) as error:
        raise CommandError(str(error)) from error
    shape = "x".join(map(str, trained.shape))
    mean, std = trained.normalize or (0.0, 1.0)
    say(
        f"{options.file}: opset {proto.opset_import[0].version}, "
        f"image (batch x {shape}: pixels in [0, 1], minus {mean:g}, over {std:g}) "
        f"to scores (batch x {len(trained.classes)}: {' '.join(trained.classes)})"
    )
    return 0
