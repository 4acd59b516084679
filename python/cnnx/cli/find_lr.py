"""`cnnx find-lr`: a learning rate for a net and its data."""

from __future__ import annotations

import argparse
from pathlib import Path

import cnnx
from cnnx.cli import CommandError, UsageError, as_path
from cnnx.cli.figures import Figures
from cnnx.cli.own_model import of_program
from cnnx.cli.run_folder import RunFolder
from cnnx.cli.settings import OPTIMIZERS
from cnnx.cli.terminal import say
from cnnx.cli.train import Run, prepare, program_of, weights_of
from cnnx.files import as_json, write_file
from cnnx.training.lr_finder import MAX_LR, MIN_LR, STEPS, find_lr


def find_rate(options: argparse.Namespace) -> int:
    """The command `cnnx find-lr`; returns the exit code."""
    least, most, steps = options.min_lr or MIN_LR, options.max_lr or MAX_LR, options.steps or STEPS
    if least >= most:
        raise UsageError(f"--min-lr {least:g} is not below --max-lr {most:g}")
    if steps < 2:
        raise UsageError("--steps 1: there must be two or more")
    if options.threads is not None:
        cnnx.set_num_threads(options.threads)
    settings, images, start, own = prepare(options, program_of(options))
    # The first training of a run; nothing of it goes to the folder.
    trainer = Run(settings, images, RunFolder(Path()), [], weights_of(start), own).trainer
    name, batch = settings.optimizer, settings.batch_size
    say(f"model: {settings.model}, {name}, batch {batch}, seed {settings.seed}, {settings.device}")
    try:
        with of_program(own):
            found = find_lr(
                trainer.model,
                trainer.train,
                loss=trainer.loss,
                optimizer=trainer.optimizer,
                min_lr=least,
                max_lr=most,
                steps=steps,
                device=settings.device,
            )
    except FloatingPointError as error:
        raise CommandError(str(error).removeprefix("find_lr: ")) from error
    rates = found.rates
    ended = ", where the loss had risen too far" if found.diverged else ""
    say(f"{len(rates)} steps, from {rates[0]:.2g} to {rates[-1]:.2g}{ended}")
    if options.json:
        write_file(as_path(options.json), as_json({**found.as_dict(), "settings": settings.as_dict()}))
    figures = Figures(links=True)
    if options.chart:
        title = f"{settings.model}, {name}, batch {batch}"
        figures.draw("chart", as_path(options.chart), found.plot, title=title)
    if found.suggestion is None:
        raise CommandError("the loss does not fall at any of these rates, so none is suggested")
    say(f"the loss is least at {rates[found.best]:.2g} and falls fastest at {found.steepest:.2g}")
    if found.best == len(rates) - 1:
        say("note: it still falls at the last rate; a larger --max-lr, or more --steps, may tell more")
    say(f"suggested: --lr {found.suggestion:.2g} (the default of {name} is {OPTIMIZERS[name]:g})")
    return int(figures.failed)
