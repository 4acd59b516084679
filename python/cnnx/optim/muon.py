"""Muon."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import cnnx

from ..tensor import Tensor
from .fused import FusedOptimizer, check_range
from .optimizer import Params


def orthogonalized(matrix: Tensor, coefficients: Sequence[float], steps: int, eps: float) -> Tensor:
    """The nearest matrix with orthogonal rows or columns, roughly, by an iteration of Newton and Schulz.

    X = matrix / norm(matrix), then `steps` times X = a X + (b G + c G²) X with G = X Xᵀ: its singular values
    all come near 1.
    """
    a, b, c = coefficients
    is_tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if is_tall else matrix
    x = x / x.norm().clamp(min=eps)
    for _ in range(steps):
        gram = x @ x.T
        x = cnnx.addmm(x, cnnx.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if is_tall else x


class Muon(FusedOptimizer):
    """Momentum whose step is made orthogonal, for the weight matrices of hidden layers.

    m = momentum * m + (1 - momentum) * g, u = g + momentum * (m - g) with Nesterov's momentum or else m; p *=
    1 - lr * weight_decay, p -= lr * k * O(u), where O sets the singular values of u to about 1 and k evens
    out the shapes of matrices.

    Parameters
    ----------
    params : iterable of Tensor, dict or (str, Tensor)
        Matrices alone; biases, convolutions and embeddings go to another optimizer. See `Optimizer`.
    lr : float
        Default: 1e-3.
    weight_decay : float
        Taken off the parameter, as `AdamW` does. Default: 0.1.
    momentum : float
        Default: 0.95.
    nesterov : bool
        Default: True.
    ns_coefficients : triple of float
        a, b and c of the iteration X = a X + (b G + c G²) X, G = X Xᵀ. Default: (3.4445, -4.775, 2.0315).
    eps : float
        The least norm that u is divided by. Default: 1e-7.
    ns_steps : int
        Iterations, below 100. Default: 5.
    adjust_lr_fn : {"original", "match_rms_adamw"}, optional
        k of a matrix of shape (A, B): sqrt(max(1, A / B)), or 0.2 * sqrt(max(A, B)), with which rates of
        `AdamW` fit. Default: "original".

    Raises
    ------
    ValueError
        If a parameter is no matrix, a number is negative or not finite, or an option makes no sense.

    Notes
    -----
    Jordan et al., "Muon: an optimizer for hidden layers in neural networks" (2024); Liu et al., "Muon is
    scalable for LLM training" (2025). The iteration runs in the parameter's dtype; PyTorch rounds it to
    bfloat16, so its steps are those of here to two or three digits. A step is made of tensor operations, so a
    CUDA graph cannot hold it.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn, optim
    >>> layer = nn.Linear(8, 8)
    >>> hidden = optim.Muon([layer.weight], lr=0.02)
    >>> rest = optim.AdamW([layer.bias])
    >>> layer(cnnx.ones(2, 8)).sum().backward()
    >>> hidden.step()
    """

    _is_native = False

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "weight_decay": weight_decay,
                "momentum": momentum,
                "nesterov": nesterov,
                "ns_coefficients": ns_coefficients,
                "eps": eps,
                "ns_steps": ns_steps,
                "adjust_lr_fn": adjust_lr_fn,
            },
        )

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        check_range("momentum value", group["momentum"], 0.0)
        if len(group["ns_coefficients"]) != 3:
            raise ValueError(f"Invalid ns_coefficients: {group['ns_coefficients']}")
        for number in group["ns_coefficients"]:
            check_range("ns_coefficients value", number, -math.inf)
        if not (isinstance(group["ns_steps"], int) and 0 <= group["ns_steps"] < 100):
            raise ValueError(f"Invalid ns_steps value: {group['ns_steps']}")
        if group["adjust_lr_fn"] not in (None, "original", "match_rms_adamw"):
            raise ValueError(
                f"Muon: adjust_lr_fn must be 'original' or 'match_rms_adamw', got {group['adjust_lr_fn']!r}"
            )
        for p in group.get("params", ()):
            if p.ndim != 2:
                raise ValueError(f"Muon: parameters must be matrices, got one of shape {tuple(p.shape)}")

    @cnnx.no_grad()
    def _update(self, group: dict[str, Any]) -> None:
        lr, momentum = float(group["lr"]), group["momentum"]
        check_range("learning rate", lr, 0.0)
        for p in group["params"]:
            if p.grad is None:
                continue
            entry = self._entry(p)
            if entry.get("momentum_buffer") is None:
                entry["momentum_buffer"] = cnnx.zeros_like(p.grad)
            mean = entry["momentum_buffer"].lerp_(p.grad, 1 - momentum)
            update = p.grad.lerp(mean, momentum) if group["nesterov"] else mean
            update = orthogonalized(update, group["ns_coefficients"], group["ns_steps"], group["eps"])
            rows, columns = p.shape
            if group["adjust_lr_fn"] == "match_rms_adamw":
                factor = 0.2 * math.sqrt(max(rows, columns))
            else:
                factor = math.sqrt(max(1, rows / columns))
            p.mul_(1 - lr * group["weight_decay"]).add_(update, alpha=-lr * factor)
