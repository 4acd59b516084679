"""`cnnx show`: the filters of a run's net, and its feature maps for an image."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import cnnx
from cnnx import nn, plot
from cnnx.cli import UsageError
from cnnx.cli.figures import Figures
from cnnx.cli.picture import read_picture
from cnnx.cli.terminal import say
from cnnx.cli.trained import Trained, output_folder


def feature_maps(model: nn.Module, image: cnnx.Tensor) -> dict[str, Any]:
    """The spatial outputs of the innermost layers for one image (1, C, H, W), by name and kind."""
    found: dict[str, Any] = {"input": image[0]}
    handles = []

    def note(name: str) -> Any:
        def hook(layer: nn.Module, inputs: Any, output: Any) -> None:
            if output.ndim == 4 and output.shape[2] * output.shape[3] > 1:
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


def show(options: argparse.Namespace) -> int:
    """The command `cnnx show`; returns the exit code."""
    trained, index = Trained.open(options.run, options.trust), options.index or 0
    if options.image is not None:
        for name in ("index", "data_dir"):
            if getattr(options, name) is not None:
                raise UsageError(f"--{name.replace('_', '-')} is for a test image, and --image names another")
        pictures = read_picture(Path(options.image), trained.shape, trained.drawing)[None]
        image, what = trained.inputs(pictures), Path(options.image).name
    else:
        images = trained.test_images(options.data_dir)
        if index >= len(images):
            raise UsageError(f"--index {index}: there are {len(images)} test images")
        image, label = images[index]
        image, what = image[None], f"test image {index}, {trained.classes[label]}"
    folder, figures = output_folder(options.out, trained), Figures()
    convolutions = [(n, layer) for n, layer in trained.model.named_modules() if isinstance(layer, nn.Conv2d)]
    for name, layer in convolutions:
        weight = layer.weight
        title = f"{name} {type(layer).__name__} {'x'.join(map(str, weight.shape))}"
        figures.draw("filters", folder / f"filters-{name}.png", plot.filters, weight, title=title)
    if not convolutions:
        say(f"filters: {trained.name} has no convolution")
    maps, title = feature_maps(trained.model, image), f"{trained.name}, {what}"
    figures.draw("feature maps", folder / "feature-maps.png", plot.feature_maps, maps, title=title)
    return int(figures.failed)
