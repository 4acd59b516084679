"""RAdam."""

from __future__ import annotations

from typing import Any

from .. import _C
from .fused import FusedOptimizer
from .optimizer import Params


class RAdam(FusedOptimizer):
    """Rectified Adam: without the root of the squares while too few of them have been seen.

    m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g², n = 2 / (1 - beta2) - 1, k = n - 2 t beta2^t /
    (1 - beta2^t). Where k > 5, p -= lr * r * m / (1 - beta1^t) * sqrt(1 - beta2^t) / (sqrt(v) + eps) with r =
    sqrt((k - 4) (k - 2) n / ((n - 4) (n - 2) k)); before, p -= lr * m / (1 - beta1^t).

    Parameters
    ----------
    params : iterable of Tensor, dict or (str, Tensor)
        See `Optimizer`.
    lr : float
        Default: 1e-3.
    betas : pair of float
        Decay of the two means. Default: (0.9, 0.999).
    eps : float
        Added to the root. Default: 1e-8.
    weight_decay : float
        Times the parameter, added to the gradient. Default: 0.
    decoupled_weight_decay : bool
        Take lr * weight_decay off the parameter instead, as `AdamW` does. Default: False.
    foreach : bool, optional
        Taken for compatibility: every step is one fused pass.
    maximize : bool
        Go up instead of down. Default: False.
    capturable : bool
        Taken for compatibility: a step can be captured in a CUDA graph in either case.
    differentiable : bool
        Only False.

    Raises
    ------
    ValueError
        If a number is negative or not finite, or a beta not below 1.

    Notes
    -----
    Liu et al., "On the variance of the adaptive learning rate and beyond" (2020).

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn, optim
    >>> p = nn.Parameter(cnnx.ones(1))
    >>> opt = optim.RAdam([p], lr=0.25)
    >>> (3 * p).sum().backward()
    >>> opt.step()  # the first steps follow the mean gradient
    >>> round(p.item(), 6)
    0.25
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "maximize": maximize,
                "foreach": foreach,
                "capturable": capturable,
                "decoupled_weight_decay": decoupled_weight_decay,
                "differentiable": differentiable,
            },
        )

    def _update(self, group: dict[str, Any]) -> None:
        beta1, beta2 = group["betas"]
        _C.radam_step(
            group["params"],
            self.state,
            float(group["lr"]),
            beta1,
            beta2,
            group["eps"],
            group["weight_decay"],
            group["decoupled_weight_decay"],
            group["maximize"],
        )
