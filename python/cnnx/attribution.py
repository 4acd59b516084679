"""Which pixels a classifier's answer depends on: saliency maps and Grad-CAM.

Both are gradients of a class's score, the output before softmax. They leave the model as it was: its mode,
its gradients and its hooks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import cnnx
from cnnx import nn
from cnnx.autograd import enable_grad, grad
from cnnx.nn import functional as F
from cnnx.plans import Static
from cnnx.signatures import checked
from cnnx.tensor import Tensor

__all__ = ["grad_cam", "saliency"]

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d)
MOST = 1000  # samples
RESIZE = {1: "linear", 2: "bilinear"}  # by how many dimensions a map has


@checked
def saliency(
    model: nn.Module,
    inputs: Tensor,
    target: int | Tensor | None = None,
    *,
    samples: int = 1,
    noise: float = 0.15,
    generator: cnnx.Generator | None = None,
) -> Tensor:
    r"""How much the score of a class changes with each pixel (Simonyan et al., 2013).

    Of the gradient of the score :math:`S_c` it is the largest magnitude among the channels,
    :math:`\max_k |\partial S_c / \partial x_k|`. With several samples the gradient is a mean over inputs with
    Gaussian noise added (SmoothGrad, Smilkov et al., 2017), which shows fewer specks.

    Parameters
    ----------
    model
        A module from floating-point inputs (N, C, ...) to scores (N, classes). It runs in eval mode.
    inputs
        A batch, as the model takes it.
    target
        The class, of all inputs or shape (N,) of each. Default: the one with the largest score, of each.
    samples
        How many noisy inputs are averaged over, up to 1,000; more than 50 change little. Default: 1, the
        input itself without noise.
    noise
        The standard deviation of the noise, as a share of an input's range of values. Default: 0.15.
    generator
        What draws the noise. Default: the global one.

    Returns
    -------
    Tensor
        Shape (N, ...), that of the inputs without channels, on their device.

    Raises
    ------
    ValueError
        If inputs, scores, target, samples or noise have another shape or range.
    TypeError
        If the inputs are not floating-point.

    Examples
    --------
    The score of class 1 is twice the second pixel:

    >>> import cnnx
    >>> from cnnx import nn
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2, bias=False))
    >>> _ = model[1].weight.data.copy_(cnnx.tensor([[1.0, 0, 0, 0], [0, 2, 0, 0]]))
    >>> saliency(model, cnnx.ones(1, 1, 2, 2), 1)
    tensor([[[0., 2.],
             [0., 0.]]])
    """
    _check("saliency", model, inputs)
    if not 1 <= samples <= MOST:
        raise ValueError(f"saliency: samples must be from 1 to {MOST:,}, got {samples}")
    if not 0 <= noise < float("inf"):
        raise ValueError(f"saliency: noise must be a number that is not negative, got {noise}")
    model, inputs = _plain(model), inputs.detach()
    with _undisturbed(model):
        if target is None:  # of the inputs themselves, not of noisy ones
            target = _scores("saliency", model, inputs).argmax(1)
        chosen = _target("saliency", target, inputs)
        inner = tuple(range(1, inputs.ndim))
        spread = noise * (inputs.amax(inner, keepdim=True) - inputs.amin(inner, keepdim=True))
        total = cnnx.zeros_like(inputs)
        for _ in range(samples):
            x = inputs.clone()
            if samples > 1:
                x += spread * cnnx.randn(
                    inputs.shape, generator=generator, dtype=inputs.dtype, device=inputs.device
                )
            x.requires_grad_()
            score = _score("saliency", _scores("saliency", model, x), chosen)
            slope = _slope(score, x)
            if slope is not None:  # else the score does not depend on the input
                total += slope
    return (total / samples).abs().amax(1)


@checked
def grad_cam(
    model: nn.Module,
    inputs: Tensor,
    target: int | Tensor | None = None,
    *,
    layer: nn.Module | str | None = None,
) -> Tensor:
    r"""Where a layer has seen what speaks for a class (Grad-CAM, Selvaraju et al., 2017).

    The maps :math:`A_k` of the layer, weighted by the means of their gradients, where the sum is positive:
    :math:`\mathrm{ReLU}(\sum_k \alpha_k A_k)` with :math:`\alpha_k` the mean of
    :math:`\partial S_c / \partial A_k` over the positions, resized linearly to the input's size.

    Parameters
    ----------
    model
        A module from floating-point inputs (N, C, ...) to scores (N, classes). It runs in eval mode.
    inputs
        A batch of signals (N, C, L) or images (N, C, H, W), as the model takes it.
    target
        The class, of all inputs or shape (N,) of each. Default: the one with the largest score, of each.
    layer
        A module of the model, or its name, with outputs (N, K, ...); of several runs of it the last one
        counts. Default: the convolution that runs last, an `nn.Conv1d` of signals or `nn.Conv2d` of images.

    Returns
    -------
    Tensor
        Shape (N, L) or (N, H, W), not negative, on the inputs' device. It is 0 everywhere where nothing
        speaks for the class.

    Raises
    ------
    ValueError
        If inputs, scores, target or the layer's outputs have another shape, the model has no such layer, or
        its scores do not depend on it.
    TypeError
        If the inputs are not floating-point.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn
    >>> model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))
    >>> grad_cam(model, cnnx.rand(5, 1, 8, 8)).shape
    cnnx.Size([5, 8, 8])
    """
    _check("grad_cam", model, inputs)
    if inputs.ndim - 2 not in RESIZE:
        raise ValueError(
            f"grad_cam: inputs must be (N, C, L) or (N, C, H, W), got shape {tuple(inputs.shape)}"
        )
    model = _plain(model)
    layers = _layers(model, layer, inputs.ndim - 2)
    maps: list[Tensor] = []

    def note(_: nn.Module, __: Any, output: Any) -> Any:
        if not isinstance(output, Tensor) or output.ndim != inputs.ndim:
            found = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise ValueError(
                f"grad_cam: the layer must give {inputs.ndim} dimensions (N, K, ...), it gives {found}"
            )
        maps[:] = [output]
        return output.clone()  # what follows may change it in place

    with _undisturbed(model):
        handles = [each.register_forward_hook(note) for each in layers]
        try:
            scores = _scores("grad_cam", model, inputs.detach().clone().requires_grad_())
        finally:
            for handle in handles:
                handle.remove()
        if not maps:
            raise ValueError("grad_cam: the layer did not run")
        target = scores.argmax(1) if target is None else target
        score = _score("grad_cam", scores, _target("grad_cam", target, inputs))
        slope = _slope(score, maps[0])
    if slope is None:
        raise ValueError("grad_cam: the scores do not depend on the layer, or it runs without gradients")
    inner = tuple(range(2, inputs.ndim))
    seen = (slope.mean(inner, keepdim=True) * maps[0].detach()).sum(1, keepdim=True).relu()
    mode = RESIZE[len(inner)]
    return F.interpolate(seen, size=tuple(inputs.shape[2:]), mode=mode, align_corners=False)[:, 0]


def _plain(model: nn.Module) -> nn.Module:
    """The module itself, also of `cnnx.compile(model, static=True)`, whose replay calls no hooks."""
    return model.module if isinstance(model, Static) and model.module is not None else model


def _check(name: str, model: nn.Module, inputs: Tensor) -> None:
    if not isinstance(_plain(model), nn.Module):
        raise TypeError(f"{name}: model must be an nn.Module, got {type(model).__name__}")
    if not inputs.dtype.is_floating_point:
        raise TypeError(f"{name}: inputs must be floating-point, got {inputs.dtype}")
    if inputs.ndim < 3 or inputs.numel() == 0:
        raise ValueError(f"{name}: inputs must be a batch (N, C, ...), got shape {tuple(inputs.shape)}")


def _layers(model: nn.Module, layer: nn.Module | str | None, dimensions: int) -> list[nn.Module]:
    """The layers of which the one that runs last is meant; without one those for inputs of so many."""
    named = dict(model.named_modules())
    if layer is None:
        kind = CONVOLUTIONS[dimensions - 1]
        found: list[nn.Module] = [each for each in named.values() if isinstance(each, kind)]
        if not found:
            raise ValueError(
                f"grad_cam: the model has no convolution of such inputs (nn.{kind.__name__}): name a layer"
            )
        return found
    if isinstance(layer, str):
        if layer not in named:
            raise ValueError(f"grad_cam: the model has no layer {layer!r}")
        return [named[layer]]
    if all(layer is not each for each in named.values()):
        raise ValueError(f"grad_cam: {type(layer).__name__} is no layer of the model")
    return [layer]


@contextmanager
def _undisturbed(model: nn.Module) -> Iterator[None]:
    """Eval mode with gradients within; each module's own mode again behind it."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        with enable_grad():
            yield
    finally:
        for module, training in modes:
            module.training = training


def _scores(name: str, model: nn.Module, inputs: Tensor) -> Tensor:
    scores = model(inputs)
    if not isinstance(scores, Tensor) or scores.ndim != 2 or len(scores) != len(inputs):
        found = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
        raise ValueError(f"{name}: the model must give scores ({len(inputs)}, classes), it gives {found}")
    return scores


def _slope(score: Tensor, of: Tensor) -> Tensor | None:
    """The gradient of the score; None if it does not depend on what it is asked for."""
    if not score.requires_grad or not of.requires_grad:
        return None
    (slope,) = grad(score, of, allow_unused=True)
    return slope


def _target(name: str, target: int | Tensor, inputs: Tensor) -> Tensor:
    """The class of each input."""
    if not isinstance(target, Tensor):
        target = cnnx.full((len(inputs),), target.__index__(), dtype=cnnx.int64)
    if target.dtype.is_floating_point or target.shape != inputs.shape[:1]:
        raise ValueError(
            f"{name}: target must be a class or ({len(inputs)},) of them, "
            f"got {target.dtype} of shape {tuple(target.shape)}"
        )
    return target.to(device=inputs.device, dtype=cnnx.int64)


def _score(name: str, scores: Tensor, target: Tensor) -> Tensor:
    """The sum of the chosen scores: each depends on its own input alone."""
    classes = scores.shape[1]
    low, high = int(target.min()), int(target.max())
    if low < 0 or high >= classes:
        raise ValueError(f"{name}: target {low if low < 0 else high} is not within 0 to {classes - 1}")
    return scores.gather(1, target[:, None]).sum()
