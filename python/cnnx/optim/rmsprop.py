"""RMSprop."""

from __future__ import annotations

from typing import Any

from .. import _C
from .fused import FusedOptimizer, check_range
from .optimizer import Params


class RMSprop(FusedOptimizer):
    """RMSprop: the step is the gradient over the root of the running mean of its square.

    v = alpha v + (1 - alpha) g², d = g / (sqrt(v) + eps), p -= lr * d. Centered, the squared running mean of
    the gradient is taken off v; with momentum, b = momentum * b + d, p -= lr * b.

    Parameters
    ----------
    params : iterable of Tensor, dict or (str, Tensor)
        See `Optimizer`.
    lr : float
        Default: 0.01.
    alpha : float
        Decay of the means. Default: 0.99.
    eps : float
        Default: 1e-8.
    weight_decay : float
        Times the parameter, added to the gradient. Default: 0.
    momentum : float
        Default: 0.
    centered : bool
        Default: False.
    capturable : bool
        Taken for compatibility: a step can be captured in a CUDA graph in either case.
    differentiable : bool
        Only False.
    foreach : bool, optional
        Taken for compatibility: every step is one fused pass.
    maximize : bool
        Go up instead of down. Default: False.

    Raises
    ------
    ValueError
        If a number is negative or not finite.

    Notes
    -----
    Hinton, "Neural networks for machine learning", lecture 6 (2012); centered: Graves, "Generating sequences
    with recurrent neural networks" (2013). A centered variance that rounding makes negative counts as 0;
    PyTorch's step gives NaN there.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "alpha": alpha,
                "eps": eps,
                "centered": centered,
                "weight_decay": weight_decay,
                "capturable": capturable,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
            },
        )

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        check_range("momentum value", group["momentum"], 0.0)
        check_range("alpha value", group["alpha"], 0.0)

    def _update(self, group: dict[str, Any]) -> None:
        _C.rmsprop_step(
            group["params"],
            self.state,
            float(group["lr"]),
            group["alpha"],
            group["eps"],
            group["weight_decay"],
            group["momentum"],
            group["centered"],
            group["maximize"],
        )
