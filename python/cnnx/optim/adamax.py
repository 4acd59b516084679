"""Adamax."""

from __future__ import annotations

from typing import Any

from .. import _C
from .fused import FusedOptimizer
from .optimizer import Params


class Adamax(FusedOptimizer):
    """Adam by the largest gradient: the step is the mean gradient over a decaying maximum of its size.

    m = beta1 m + (1 - beta1) g, u = max(beta2 u, |g| + eps), p -= lr / (1 - beta1^t) * m / u.

    Parameters
    ----------
    params : iterable of Tensor, dict or (str, Tensor)
        See `Optimizer`.
    lr : float
        Default: 2e-3.
    betas : pair of float
        Decay of the mean and of the maximum. Default: (0.9, 0.999).
    eps : float
        Added to the gradient's size. Default: 1e-8.
    weight_decay : float
        Times the parameter, added to the gradient. Default: 0.
    foreach : bool, optional
        Taken for compatibility: every step is one fused pass.
    maximize : bool
        Go up instead of down. Default: False.
    differentiable : bool
        Only False.
    capturable : bool
        Taken for compatibility: a step can be captured in a CUDA graph in either case.

    Raises
    ------
    ValueError
        If a number is negative or not finite, or a beta not below 1.

    Notes
    -----
    Kingma & Ba, "Adam: a method for stochastic optimization" (2015), section 7.1.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn, optim
    >>> p = nn.Parameter(cnnx.ones(1))
    >>> opt = optim.Adamax([p], lr=0.5)
    >>> (3 * p).sum().backward()
    >>> opt.step()  # the first step is lr times the gradient's sign
    >>> round(p.item(), 6)
    0.5
    """

    def __init__(
        self,
        params: Params,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
                "capturable": capturable,
            },
        )

    def _update(self, group: dict[str, Any]) -> None:
        beta1, beta2 = group["betas"]
        _C.adamax_step(
            group["params"],
            self.state,
            float(group["lr"]),
            beta1,
            beta2,
            group["eps"],
            group["weight_decay"],
            group["maximize"],
        )
