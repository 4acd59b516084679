"""`cnnx show`: the filters of a run's net, its feature maps for an image, and what its answer depends on."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import cnnx
from cnnx import nn, plot
from cnnx.attribution import CONVOLUTIONS, grad_cam, saliency
from cnnx.cli import UsageError
from cnnx.cli.figures import Figures
from cnnx.cli.own_model import of_program
from cnnx.cli.picture import read_picture
from cnnx.cli.terminal import say
from cnnx.cli.trained import Trained, output_folder
from cnnx.text import printable

EXPLANATIONS = (
    ("saliency", "saliency.png", saliency, "bright: pixels that change the class's score most"),
    (
        "Grad-CAM",
        "grad-cam.png",
        grad_cam,
        "bright: where the last convolution sees what speaks for the class",
    ),
)


def feature_maps(model: nn.Module, image: cnnx.Tensor) -> dict[str, Any]:
    """The spatial outputs of the innermost layers for one image (1, C, H, W), by name and kind."""
    found: dict[str, Any] = {}
    handles = []

    def note(name: str) -> Any:
        def hook(layer: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(output, cnnx.Tensor) and output.ndim == 4 and output.shape[2] * output.shape[3] > 1:
                # A copy: an activation in place would overwrite it.
                found[f"{name} {type(layer).__name__}"] = output[0].clone()

        return hook

    for name, layer in model.named_modules():
        if next(iter(layer.children()), None) is None and not isinstance(layer, nn.Dropout):
            handles.append(layer.register_forward_hook(note(name)))
    try:
        with cnnx.no_grad():
            model(image)
    finally:
        for handle in handles:
            handle.remove()
    return found


class Subject(NamedTuple):
    """An image: its pixels, what the net gets, its name, and its class if that is known."""

    pixels: Any
    inputs: cnnx.Tensor
    name: str
    label: int | None = None


def subject(options: argparse.Namespace, trained: Trained) -> Subject:
    """The image that the options name."""
    if options.image is not None:
        for name in ("index", "data_dir", "dataset"):
            if getattr(options, name) is not None:
                raise UsageError(f"--{name.replace('_', '-')} is for a test image, and --image names another")
        pixels = read_picture(Path(options.image), trained.shape, trained.drawing)
        return Subject(pixels, trained.inputs(pixels[None]), printable(Path(options.image).name))
    index, images = options.index or 0, trained.test_images(options.data_dir, options.dataset)
    if index >= len(images):
        raise UsageError(f"--index {index}: there are {len(images)} test images")
    known = trained.labels(images)
    image, found = images[index]
    label = int(known[int(found)])
    name = f"test image {index}, {printable(trained.classes[label])}"
    return Subject(images.data[index], image[None], name, label)


def explain(
    attribute: Callable[..., cnnx.Tensor], trained: Trained, image: Subject, classes: list[int], **more: Any
) -> Any:
    """Draws what speaks for classes in an image: the image, and it under a map for each class."""
    (row,) = trained.probabilities(image.inputs)
    maps = [attribute(trained.model, image.inputs, which)[0] for which in classes]
    titles = [f"{printable(trained.classes[which])}\n{row[which]:.3f}" for which in classes]
    count = 1 + len(classes)
    return plot.overlays([image.pixels] * count, [None, *maps], [image.name, *titles], columns=count, **more)


def show(options: argparse.Namespace) -> int:
    """The command `cnnx show`; returns the exit code."""
    trained = Trained.open(options.run, options.trust)
    if options.class_name is not None and options.class_name not in trained.classes:
        raise UsageError(f"--class {options.class_name}: the run knows {', '.join(trained.classes)}")
    image = subject(options, trained)
    folder, figures = output_folder(options.out, trained), Figures()
    convolutions = [
        (n, layer) for n, layer in trained.model.named_modules() if isinstance(layer, CONVOLUTIONS)
    ]
    for name, layer in convolutions:
        weight = layer.weight
        title = f"{name} {type(layer).__name__} {'x'.join(map(str, weight.shape))}"
        figures.draw("filters", folder / f"filters-{name}.png", plot.filters, weight, title=title)
        if layer is convolutions[0][1] and trained.shape[0] == 3 == weight.shape[1]:
            path = folder / f"filters-{name}-colours.png"
            figures.draw("filters in colours", path, plot.filters, weight, title=title, colour=True)
    if not convolutions:
        say(f"filters: {trained.name} has no convolution")
    with of_program(trained.own):
        maps = feature_maps(trained.model, image.inputs)
    if maps:
        path, title = folder / "feature-maps.png", f"{trained.name}, {image.name}"
        figures.draw("feature maps", path, plot.feature_maps, maps, image=image.pixels, title=title)
    else:
        say(f"feature maps: {trained.name} has none")
    if options.class_name is not None:
        classes = [trained.classes.index(options.class_name)]
    else:  # what the net says, and what it should have said
        best = int(trained.probabilities(image.inputs)[0].argmax())
        classes = list(dict.fromkeys([best] if image.label is None else [best, image.label]))
    for what, file, attribute, note in EXPLANATIONS:
        if attribute is grad_cam and not any(isinstance(layer, nn.Conv2d) for _, layer in convolutions):
            kind = (
                "no convolution of images, only of signals (nn.Conv1d)" if convolutions else "no convolution"
            )
            say(f"{what}: {trained.name} has {kind}")
            continue
        title = f"{what}, {trained.name}"
        told = (attribute, trained, image, classes)
        figures.draw(what, folder / file, explain, *told, title=title, note=note)
    return int(figures.failed)
