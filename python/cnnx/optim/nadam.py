"""NAdam."""

from __future__ import annotations

from typing import Any

from .. import _C
from .fused import FusedOptimizer, check_range
from .optimizer import Params


class NAdam(FusedOptimizer):
    """Adam with Nesterov's momentum: a step takes the gradient itself and the mean as the next step will.

    m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g², mu_t = beta1 * (1 - 0.96^(t * momentum_decay) /
    2), p -= lr * (mu_{t+1} * m / (1 - mu_1 ... mu_{t+1}) + (1 - mu_t) * g / (1 - mu_1 ... mu_t)) / (sqrt(v /
    (1 - beta2^t)) + eps).

    Parameters
    ----------
    params : iterable of Tensor, dict or (str, Tensor)
        See `Optimizer`.
    lr : float
        Default: 2e-3.
    betas : pair of float
        Decay of the two means. Default: (0.9, 0.999).
    eps : float
        Added to the root. Default: 1e-8.
    weight_decay : float
        Times the parameter, added to the gradient. Default: 0.
    momentum_decay : float
        How fast the momentum comes to beta1. Default: 4e-3.
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
    Dozat, "Incorporating Nesterov momentum into Adam" (2016).

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn, optim
    >>> p = nn.Parameter(cnnx.ones(1))
    >>> opt = optim.NAdam([p], lr=0.5)
    >>> (3 * p).sum().backward()
    >>> opt.step()
    >>> sorted(opt.state[p])
    ['exp_avg', 'exp_avg_sq', 'mu_product', 'step']
    """

    _numbers = ("step", "mu_product")

    def __init__(
        self,
        params: Params,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
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
                "momentum_decay": momentum_decay,
                "decoupled_weight_decay": decoupled_weight_decay,
                "maximize": maximize,
                "foreach": foreach,
                "capturable": capturable,
                "differentiable": differentiable,
            },
        )

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        check_range("momentum_decay value", group["momentum_decay"], 0.0)

    def _update(self, group: dict[str, Any]) -> None:
        beta1, beta2 = group["betas"]
        _C.nadam_step(
            group["params"],
            self.state,
            float(group["lr"]),
            beta1,
            beta2,
            group["eps"],
            group["weight_decay"],
            group["momentum_decay"],
            group["decoupled_weight_decay"],
            group["maximize"],
        )
