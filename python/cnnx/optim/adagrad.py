"""Adagrad."""

from __future__ import annotations

from typing import Any

import cnnx

from .. import _C
from .fused import FusedOptimizer, check_range
from .optimizer import Params


class Adagrad(FusedOptimizer):
    """Adagrad: the step is the gradient over the root of the sum of all its squares.

    s += g², p -= lr / (1 + (step - 1) * lr_decay) * g / (sqrt(s) + eps). The state exists from the start.

    Parameters
    ----------
    params : iterable of Tensor, dict or (str, Tensor)
        See `Optimizer`.
    lr : float
        Default: 0.01.
    lr_decay : float
        Default: 0.
    weight_decay : float
        Times the parameter, added to the gradient. Default: 0.
    initial_accumulator_value : float
        What s starts from. Default: 0.
    eps : float
        Default: 1e-10.
    foreach, fused : bool, optional
        Taken for compatibility: every step is one fused pass.
    maximize : bool
        Go up instead of down. Default: False.
    differentiable : bool
        Only False.

    Raises
    ------
    ValueError
        If a number is negative or not finite.

    Notes
    -----
    Duchi, Hazan & Singer, "Adaptive subgradient methods for online learning and stochastic optimization"
    (2011).
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "lr_decay": lr_decay,
                "eps": eps,
                "weight_decay": weight_decay,
                "initial_accumulator_value": initial_accumulator_value,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
                "fused": fused,
            },
        )

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        check_range("lr_decay value", group["lr_decay"], 0.0)
        check_range("initial_accumulator_value value", group["initial_accumulator_value"], 0.0)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds a group of parameters, and their state."""
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        for param in group["params"]:
            self.state[param] = {
                "step": cnnx.tensor(0.0, device="cpu"),
                "sum": cnnx.full(
                    param.shape,
                    float(group["initial_accumulator_value"]),
                    dtype=param.dtype,
                    device=param.device,
                ),
            }

    def _update(self, group: dict[str, Any]) -> None:
        _C.adagrad_step(
            group["params"],
            self.state,
            float(group["lr"]),
            group["lr_decay"],
            group["weight_decay"],
            group["initial_accumulator_value"],
            group["eps"],
            group["maximize"],
        )
