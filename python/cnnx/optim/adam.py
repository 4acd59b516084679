"""Adam and AdamW."""

from __future__ import annotations

from typing import Any

from .. import _C
from .fused import FusedOptimizer
from .optimizer import Params


class Adam(FusedOptimizer):
    """Adam: steps scaled by running means of the gradient and of its square.

    m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g², p -= lr * m / (1 - beta1^t) / (sqrt(v / (1 -
    beta2^t)) + eps).

    Parameters
    ----------
    params : iterable of Tensor, dict or (str, Tensor)
        See `Optimizer`.
    lr : float
        Learning rate. Default: 1e-3.
    betas : pair of float
        Decay of the two means. Default: (0.9, 0.999).
    eps : float
        Added to the root. Default: 1e-8.
    weight_decay : float
        Times the parameter, added to the gradient (`AdamW`: taken off the parameter). Default: 0.
    amsgrad : bool
        Use the largest v so far. Default: False.
    foreach, fused : bool, optional
        Taken for compatibility: every step is one fused pass.
    maximize : bool
        Go up instead of down. Default: False.
    capturable : bool
        Taken for compatibility: a step can be captured in a CUDA graph in either case.
    differentiable : bool
        Only False.
    decoupled_weight_decay : bool
        Decay as `AdamW` does. Default: False.

    Raises
    ------
    ValueError
        If a number is negative or not finite, or a beta not below 1.

    Notes
    -----
    Kingma & Ba, "Adam: a method for stochastic optimization" (2015); amsgrad: Reddi et al., "On the
    convergence of Adam and beyond" (2018).

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn, optim
    >>> p = nn.Parameter(cnnx.ones(1))
    >>> opt = optim.Adam([p], lr=0.5)
    >>> (3 * p).sum().backward()
    >>> opt.step()  # the first step is lr times the gradient's sign
    >>> round(p.item(), 6)
    0.5
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "amsgrad": amsgrad,
                "maximize": maximize,
                "foreach": foreach,
                "capturable": capturable,
                "differentiable": differentiable,
                "fused": fused,
                "decoupled_weight_decay": decoupled_weight_decay,
            },
        )

    def _update(self, group: dict[str, Any]) -> None:
        beta1, beta2 = group["betas"]
        _C.adam_step(
            group["params"],
            self.state,
            float(group["lr"]),
            beta1,
            beta2,
            group["eps"],
            group["weight_decay"],
            group["decoupled_weight_decay"],
            group["amsgrad"],
            group["maximize"],
        )


class AdamW(Adam):
    """Adam with decoupled weight decay: p *= 1 - lr * weight_decay, then the step of `Adam` without decay.

    Parameters as of `Adam`, with a weight decay of 0.01 by default.

    Notes
    -----
    Loshchilov & Hutter, "Decoupled weight decay regularization" (2019).
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:  # also when the state was that of an Adam
            group["decoupled_weight_decay"] = True
