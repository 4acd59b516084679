"""Negative log-likelihoods of numbers, as functions."""

from __future__ import annotations

import math

import cnnx

from ...signatures import checked
from ...tensor import Tensor
from .loss import _reduced, _reduction


@checked
def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """(log v + (x - t)^2 / v) / 2 of means x, variances v and targets t.

    Parameters
    ----------
    input, target : Tensor
        Of shapes that broadcast.
    var : Tensor or float
        0 or more: of the input's shape, or with 1 as its last extent, or without it.
    full : bool
        Adds log(2 pi) / 2. Default: False.
    eps : float
        What a variance is at least; gradients pass all the same. Default: 1e-6.
    reduction : {"mean", "sum", "none"}
        Default: ``"mean"``.

    Raises
    ------
    ValueError
        If a variance is negative, or of a shape that does not fit.

    Notes
    -----
    Nix & Weigend, "Estimating the mean and variance of the target probability distribution" (1994).
    """
    if not isinstance(var, cnnx.Tensor):
        var = cnnx.full_like(input, var)
    if bool((var < 0).any()):
        raise ValueError("gaussian_nll_loss: a variance is negative")
    if var.shape != input.shape:
        if var.shape == input.shape[:-1]:
            var = var.unsqueeze(-1)
        elif var.shape[:-1] != input.shape[:-1] or var.shape[-1] != 1:
            raise ValueError(
                f"gaussian_nll_loss: variances {tuple(var.shape)} do not fit the input {tuple(input.shape)}"
            )
    var = var + (var.detach().clamp(min=eps) - var.detach())
    losses = 0.5 * (var.log() + (input - target) ** 2 / var)
    return _reduced("gaussian_nll_loss", losses + 0.5 * math.log(2 * math.pi) if full else losses, reduction)


@checked
def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """exp(x) - t x of logarithms x of expected counts and of counts t; x - t log(x + eps) of the counts.

    Parameters
    ----------
    input, target : Tensor
        Of shapes that broadcast.
    log_input : bool
        Whether the input is a logarithm. Default: True.
    full : bool
        Adds Stirling's approximation of log(t!) for targets above 1: t log t - t + log(2 pi t) / 2.
        Default: False.
    size_average, reduce : bool, optional
        Deprecated; use `reduction`.
    eps : float
        Default: 1e-8.
    reduction : {"mean", "sum", "none"}
        Default: ``"mean"``.
    """
    reduction = _reduction(size_average, reduce, reduction, 5)
    losses = input.exp() - target * input if log_input else input - target * (input + eps).log()
    if full:
        counts = target.clamp(min=1)
        stirling = counts * counts.log() - counts + 0.5 * (2 * math.pi * counts).log()
        losses = losses + cnnx.where(target > 1, stirling, cnnx.zeros_like(stirling))
    return _reduced("poisson_nll_loss", losses, reduction)
