"""The options of all commands."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from typing import NoReturn

from cnnx import _C
from cnnx.cli import WRONG_USE, nearest
from cnnx.cli.terminal import complain
from cnnx.cli.values import (
    count,
    device_name,
    listed,
    model_name,
    path_name,
    positive_float,
    positive_int,
    seed_number,
    up_to,
)

MOST = 1_000_000  # epochs, and images of a batch
MOST_THREADS = 1024
MOST_BUSY = 64  # processes
LARGEST_SIDE = 4096  # of an image, in pixels


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        if found := re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message):
            message = message[: found.start()] + f"invalid choice: {found[1]!r}"
            message += nearest(found[1], re.findall(r"[\w.-]+", found[2])) or f" (choose from {found[2]})"
        complain(f"{self.prog}: {message} (see {self.prog} --help)")
        self.exit(WRONG_USE)

    def options_of(self, command: str) -> list[str]:
        """The names of a command's options."""
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                return list(action.choices[command]._option_string_actions)
        return []


def make_parser() -> _Parser:
    """The parser of the whole command line."""
    from cnnx.cli import native

    parser = _Parser(prog="cnnx", description="Small, fast convolutional networks.")
    parser.add_argument("--version", action="version", version=f"cnnx {_C.__version__}")
    native.add_options(parser)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    def add(name: str, about: str, description: str, *examples: str) -> argparse.ArgumentParser:
        return commands.add_parser(
            name,
            help=about,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            description=description,
            epilog="\n  ".join(["examples:" if len(examples) > 1 else "example:", *examples]),
        )

    _add_train(add)
    _add_find_lr(add)
    _add_use(add)
    _add_compare(add)
    _add_bench(add)
    _add_speedrun(add)
    info = add(
        "info",
        "what this installation, or a run, is",
        "Shows version, CPU target, threads, OpenMP, CUDA and the data folder; or what a run is.",
        "cnnx info --ops",
        "cnnx info runs/mnist",
    )
    info.add_argument("run", type=path_name, metavar="RUN", nargs="?", help="a run folder")
    info.add_argument("--ops", action="store_true", help="list the kernels and which implementation each has")
    return parser


def _add_train(add: Callable[..., argparse.ArgumentParser]) -> None:
    from cnnx.cli import settings

    train = add(
        "train",
        "train a net on MNIST and its like, the embedded digits, a folder or table of images",
        "Trains a net and writes a run folder: model.safetensors, run.json, checkpoint.safetensors,\n"
        "history.csv, curves.png. "
        "Ctrl-C stops after the current batch and saves;\n--resume goes on from there.",
        "cnnx train",
        "cnnx train --dataset mnist --model cnn-32-64 --epochs 20 --out runs/mnist",
        "cnnx train --dataset photos/ --image-size 48    (a folder of images for each class)",
        "cnnx train --dataset train.csv                  (a table: label, pixels)",
        "cnnx train --model net.py:Net    (a class or function of your own that makes a net)",
        "cnnx train --resume runs/mnist",
    )
    _add_trained(train)
    train.add_argument(
        "--validations",
        type=up_to(LARGEST_SIDE),
        metavar="N",
        help="1: a tenth of the training images validates; else each Nth part in turn, and then all train; "
        f"default: 1, of fewer than {settings.FEW} images {settings.REPEATS}",
    )
    train.add_argument(
        "--patience",
        type=up_to(MOST),
        metavar="N",
        help="epochs without a better validation loss after which to stop; the weights of the best epoch are "
        f"kept; default: {settings.PATIENCE:g} of the epochs, at least {settings.SHORTEST_PATIENCE}",
    )
    train.add_argument(
        "--epochs",
        type=up_to(MOST),
        metavar="N",
        help=f"passes over the training images; default: {settings.UPDATES:,} updates, from "
        f"{settings.FEWEST_EPOCHS} to {settings.MOST_EPOCHS} epochs",
    )
    rates = ", ".join(f"{name} {rate:g}" for name, rate in settings.OPTIMIZERS.items())
    train.add_argument("--lr", type=positive_float, metavar="X", help=f"learning rate; default: {rates}")
    train.add_argument(
        "--schedule", choices=list(settings.SCHEDULES), help="of the learning rate; default: cosine"
    )
    train.add_argument(
        "--out", type=path_name, metavar="DIR", help="the run folder; default: a new one in runs/"
    )
    train.add_argument("--resume", type=path_name, metavar="RUN", help="go on with the run in this folder")
    train.add_argument(
        "--quiet", action="store_true", help="print the results alone, without settings and epochs"
    )
    train.add_argument(
        "--tensorboard",
        action="store_true",
        help="also write the history for TensorBoard, to the run folder's tensorboard/",
    )
    train.add_argument(
        "--profile",
        action="store_true",
        help=f"also print what the time of {settings.PROFILED_STEPS} training steps went into, op by op",
    )


def _add_find_lr(add: Callable[..., argparse.ArgumentParser]) -> None:
    from cnnx.training.lr_finder import MAX_LR, MIN_LR, STEPS

    find = add(
        "find-lr",
        "a learning rate for a net and its data",
        "Trains for some steps while the learning rate rises, and suggests one: a tenth of that at which\n"
        "the loss is least, or that at which it falls fastest if that is less. Nothing is kept.",
        "cnnx find-lr --dataset mnist --model cnn-32-64 --chart rates.png",
    )
    _add_trained(find)
    find.set_defaults(validations=None, patience=None, epochs=None, lr=None, schedule=None)
    for option, metavar, read, about in (
        ("--min-lr", "X", positive_float, f"the first rate; default: {MIN_LR:g}"),
        ("--max-lr", "X", positive_float, f"the last one; default: {MAX_LR:g}"),
        ("--steps", "N", up_to(MOST), f"how many; default: {STEPS}"),
        ("--json", "FILE", path_name, "write rates and losses to this file"),
        ("--chart", "FILE", path_name, "draw them into this file"),
    ):
        find.add_argument(option, type=read, metavar=metavar, help=about)


def _add_trained(train: argparse.ArgumentParser) -> None:
    """The options of whatever trains: the net, the data, and how steps are made of them."""
    from cnnx.cli import settings
    from cnnx.cli.augment import FEW, KINDS
    from cnnx.cli.data import LARGEST_AS_IT_IS, SMALL
    from cnnx.cli.named import NAMES
    from cnnx.models import ALIASES, MODELS
    from cnnx.training.split import LARGEST_BATCH, STEPS

    models = "; ".join(f"{name}: {model.about}" for name, model in MODELS.items())
    aliases = ", ".join(f"{alias} is {name}" for alias, name in ALIASES.items())
    train.add_argument(
        "--model",
        type=model_name,
        metavar="NAME|FILE.py:NAME",
        help=f"the net ({models}; numbers are channels or widths; {aliases}), or FILE.py:NAME, a class or "
        "function of your own program that makes one; default: by size",
    )
    train.add_argument(
        "--dataset",
        type=path_name,
        metavar="NAME|DIR|CSV",
        help=f"{', '.join(NAMES)} (downloaded where it is missing, but for the embedded digits), a folder in "
        "IDX format, one with a folder of images for each class, or a table (.csv) with a label and the "
        "pixels of an image in each line; default: mnist if the data folder has it, else digits",
    )
    _add_data_dir(train)
    train.add_argument(
        "--image-size",
        type=up_to(LARGEST_SIDE),
        metavar="N",
        help="resize images of a folder by class to N x N; default: their size if all have one up to "
        f"{LARGEST_AS_IT_IS}, else {SMALL}",
    )
    train.add_argument(
        "--normalize",
        nargs="+",
        metavar=("MEAN", "STD"),
        help="subtract and divide pixels in [0, 1], or none; default: by those of the training images",
    )
    train.add_argument(
        "--augment",
        choices=["auto", *KINDS],
        help="small random changes of the training images: of digits (turned, moved, scaled), of pictures "
        f"(mirrored, too, and in other light), or none; default: auto, for up to {FEW:,} images in folders "
        "by class",
    )
    train.add_argument(
        "--from",
        dest="start",
        type=path_name,
        metavar="RUN",
        help="begin with the weights of this run, as far as they fit (the classes may be others)",
    )
    train.add_argument(
        "--batch-size",
        type=up_to(MOST),
        metavar="N",
        help=f"images a step; default: {LARGEST_BATCH}, less for fewer than {LARGEST_BATCH * STEPS:,} images",
    )
    train.add_argument(
        "--optimizer",
        choices=list(settings.OPTIMIZERS),
        help=f"default: {settings.OPTIMIZER}; sgd has momentum {settings.MOMENTUM}",
    )
    train.add_argument(
        "--seed",
        type=seed_number,
        metavar="N",
        help=f"of weights, order and dropout; default: {settings.SEED}",
    )
    train.add_argument(
        "--device", type=device_name, metavar="NAME", help="cpu, cuda, cuda:1 or auto (a GPU if there is one)"
    )
    train.add_argument(
        "--threads", type=up_to(MOST_THREADS), metavar="N", help="default: the CPUs this process may use"
    )
    _add_trust(train)


def _add_use(add: Callable[..., argparse.ArgumentParser]) -> None:
    from cnnx.cli.mistakes import DRAWN, SHOWN
    from cnnx.onnx import DEFAULT_OPSET

    evaluate = add(
        "eval",
        "how good a run is on the test images",
        "Prints accuracy, and precision and recall of each class; draws confusion.png and, of the most\n"
        "confident mistakes, mistakes.png.",
        "cnnx eval runs/mnist",
    )
    predict = add(
        "predict",
        "what is on images",
        "Prints the most probable classes of image files. For nets trained on bright drawings on black,\n"
        "such as digits, a drawing or photograph is cut out, inverted if it is dark on bright, scaled and\n"
        "centred.",
        "cnnx predict runs/mnist seven.png photo.jpg --picture seen.png",
    )
    export = add(
        "export",
        "a run's net as an ONNX file, or as a C file",
        "Writes an ONNX file; or, where the name ends in .c, a file of C99 and its header, which need\n"
        "nothing else, and says what they take: bytes of weights, code and workspace.",
        "cnnx export runs/mnist mnist.onnx",
        "cnnx export runs/mnist mnist.c --int8    (for microcontrollers: in whole numbers, 8 bits)",
    )
    show = add(
        "show",
        "filters and feature maps of a run as pictures, and what its answers depend on",
        "Draws the filters of each convolution (filters-*.png) and, of one image, the feature maps\n"
        "(feature-maps.png) and what the answer depends on: the pixels that change it (saliency.png) and\n"
        "where the last convolution sees what speaks for it (grad-cam.png).",
        "cnnx show runs/mnist",
        "cnnx show runs/mnist --image seven.png --class 1 --out pictures",
    )
    mistakes = add(
        "mistakes",
        "the test images that a run gets wrong",
        "Lists the test images that the net takes for something else, most confident first: their index\n"
        "(as cnnx show --index takes it), where the data are files also the file.",
        "cnnx mistakes runs/mnist -n 50 --out mistakes.png",
        "cnnx mistakes runs/mnist --class 8 --json eights.json",
    )
    for command in (evaluate, mistakes, predict, export, show):
        command.add_argument("run", type=path_name, metavar="RUN", help="the run folder")
        _add_trust(command)
    for command in (evaluate, mistakes, show, export):
        images = "training and test" if command is export else "test"
        _add_data_dir(command)
        command.add_argument(
            "--dataset",
            type=path_name,
            metavar="NAME|DIR|CSV",
            help=f"other {images} images; default: the run's",
        )
    mistakes.add_argument(
        "-n", dest="count", type=up_to(MOST), metavar="N", help=f"how many; default: {SHOWN}"
    )
    mistakes.add_argument("--class", dest="of_class", metavar="NAME", help="only images of this class")
    mistakes.add_argument(
        "--out", type=path_name, metavar="FILE", help=f"draw them, up to {DRAWN}, into this file"
    )
    for command in (evaluate, show):
        command.add_argument(
            "--out", type=path_name, metavar="DIR", help="where the pictures go; default: the run folder"
        )
    predict.add_argument("images", type=path_name, metavar="IMAGE", nargs="+", help="image files")
    predict.add_argument("--all", action="store_true", help="probabilities of all classes, not of three")
    for command in (evaluate, mistakes, predict):
        command.add_argument("--json", type=path_name, metavar="FILE", help="write the results here, too")
    predict.add_argument("--as-is", action="store_true", help="only resize, do not look for a drawing")
    predict.add_argument(
        "--picture", type=path_name, metavar="FILE", help="draw what the net sees into this file"
    )
    export.add_argument("file", type=path_name, metavar="FILE", help="the file to write: .onnx, or .c")
    export.add_argument(
        "--opset",
        type=positive_int,
        metavar="N",
        help=f"version of ONNX's operators; default: {DEFAULT_OPSET}",
    )
    export.add_argument(
        "--int8",
        action="store_true",
        help="of C: in whole numbers, with scales from training images; says what that costs in accuracy",
    )
    show.add_argument("--image", type=path_name, metavar="FILE", help="an image file; default: a test image")
    show.add_argument("--index", type=count, metavar="N", help="which test image; default: 0")
    show.add_argument(
        "--class",
        dest="class_name",
        type=path_name,
        metavar="NAME",
        help="what speaks for this class; default: for the net's answer and, if it is wrong, the true one",
    )


def _add_compare(add: Callable[..., argparse.ArgumentParser]) -> None:
    compare = add(
        "compare",
        "runs side by side",
        "Prints a table of runs: nets, epochs, validation and test accuracy.",
        "cnnx compare runs/*",
        "cnnx compare runs/a runs/b --chart curves.png",
    )
    compare.add_argument("runs", type=path_name, metavar="RUN", nargs="+", help="run folders")
    compare.add_argument("--json", type=path_name, metavar="FILE", help="write it to this file, too")
    compare.add_argument("--chart", type=path_name, metavar="FILE", help="draw the validation curves")


def _add_bench(add: Callable[..., argparse.ArgumentParser]) -> None:
    from cnnx.bench.peers import OURS, PEERS
    from cnnx.bench.rows import COMMANDS as KINDS
    from cnnx.models import ALIASES

    bench = add(
        "bench",
        "how fast it is here, beside other libraries",
        "Times cnnx and other libraries in turns, each in a process of its own, from the same weights on\n"
        "the same data, after it has seen that they compute the same.",
        "cnnx bench train --models mlp,lenet5 --against torch,jax",
        "cnnx bench infer --batch 1,64 --threads 1 --json infer.json --chart infer.png",
        "cnnx bench load --busy 2",
    )
    about = "; ".join(f"{name}: {command.about}" for name, command in KINDS.items())
    bench.add_argument("what", choices=list(KINDS), metavar="WHAT", help=about)
    nets = ", ".join(f"{alias} is {name}" for alias, name in ALIASES.items())
    bench.add_argument(
        "--models", type=listed(path_name), metavar="A,B", help=f"the nets ({nets}); default: all"
    )
    bench.add_argument(
        "--batch", type=listed(up_to(MOST)), metavar="N,M", help="batch sizes; default: 64; infer: 1,64,1000"
    )
    bench.add_argument(
        "--threads",
        type=listed(up_to(MOST_THREADS)),
        metavar="N,M",
        help="of all libraries alike; default: the CPUs this process may use; tiny: 1",
    )
    bench.add_argument(
        "--against",
        type=listed(path_name),
        metavar="A,B",
        help=f"peers ({', '.join(name for name in PEERS if name not in OURS)}), or none; "
        "default: those that fit and are installed",
    )
    bench.add_argument(
        "--device", type=device_name, metavar="NAME", default="cpu", help="cpu (the default) or cuda"
    )
    bench.add_argument(
        "--busy",
        type=up_to(MOST_BUSY),
        metavar="N",
        help="of load: how many processes never rest; default: 1",
    )
    bench.add_argument("--quick", action="store_true", help="a few rows, briefly: that it works, no figures")
    bench.add_argument("--json", type=path_name, metavar="FILE", help="write all figures to this file")
    bench.add_argument("--chart", type=path_name, metavar="FILE", help="draw them into this file")


def _add_speedrun(add: Callable[..., argparse.ArgumentParser]) -> None:
    speedrun = add(
        "speedrun",
        "MNIST to 99 %% in as little time as it takes",  # argparse formats it
        "Trains a small net on MNIST for one epoch, from several seeds, and prints the seconds from the\n"
        "first batch to the last update and the accuracy on the test images. Exit code 1 if their mean\n"
        "misses 99 %.",
        "cnnx speedrun",
        "cnnx speedrun --seeds 30 --threads 1 --json speedrun.json",
    )
    speedrun.add_argument(
        "--seeds", type=up_to(MOST), metavar="N", default=10, help="how many trainings; default: 10"
    )
    speedrun.add_argument(
        "--threads", type=up_to(MOST_THREADS), metavar="N", help="default: the CPUs this process may use"
    )
    speedrun.add_argument("--json", type=path_name, metavar="FILE", help="write all figures to this file")
    _add_data_dir(speedrun)


def _add_trust(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--trust",
        action="store_true",
        help="if the net of RUN was made by a program (--model FILE.py:NAME), run the copy of it in RUN",
    )


def _add_data_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data-dir",
        type=path_name,
        metavar="DIR",
        help="the folder of mnist and other data sets by name; default: a run's own, else CNNX_DATA_DIR, "
        "else the user's cache folder",
    )
