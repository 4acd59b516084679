"""Adadelta."""

from __future__ import annotations

from typing import Any

from .. import _C
from .fused import FusedOptimizer, check_range
from .optimizer import Params


class Adadelta(FusedOptimizer):
    """Adadelta: the step is the gradient times the ratio of the roots of two running means.

    v = rho v + (1 - rho) g², d = sqrt(u + eps) / sqrt(v + eps) * g, u = rho u + (1 - rho) d², p -= lr * d.

    Parameters
    ----------
    params : iterable of Tensor, dict or (str, Tensor)
        See `Optimizer`.
    lr : float
        Factor on the step. Default: 1.
    rho : float
        Decay of the means. Default: 0.9.
    eps : float
        Default: 1e-6.
    weight_decay : float
        Times the parameter, added to the gradient. Default: 0.
    foreach : bool, optional
        Taken for compatibility: every step is one fused pass.
    capturable : bool
        Taken for compatibility: a step can be captured in a CUDA graph in either case.
    differentiable : bool
        Only False.
    maximize : bool
        Go up instead of down. Default: False.

    Raises
    ------
    ValueError
        If a number is negative or not finite, or rho above 1.

    Notes
    -----
    Zeiler, "ADADELTA: an adaptive learning rate method" (2012).
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "rho": rho,
                "eps": eps,
                "weight_decay": weight_decay,
                "maximize": maximize,
                "capturable": capturable,
                "foreach": foreach,
                "differentiable": differentiable,
            },
        )

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        check_range("rho value", group["rho"], 0.0, 1.0)

    def _update(self, group: dict[str, Any]) -> None:
        _C.adadelta_step(
            group["params"],
            self.state,
            float(group["lr"]),
            group["rho"],
            group["eps"],
            group["weight_decay"],
            group["maximize"],
        )
