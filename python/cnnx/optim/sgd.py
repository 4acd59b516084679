"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Any

from .. import _C
from .fused import FusedOptimizer, check_range
from .optimizer import Params


class SGD(FusedOptimizer):
    """Stochastic gradient descent with momentum.

    With gradient g (plus weight_decay * p): v = momentum * v + (1 - dampening) * g, the first v being g; p
    -= lr * v, or with Nesterov's momentum p -= lr * (g + momentum * v).

    Parameters
    ----------
    params : iterable of Tensor, dict or (str, Tensor)
        See `Optimizer`.
    lr : float
        Learning rate. Default: 1e-3.
    momentum : float
        Default: 0.
    dampening : float
        Default: 0.
    weight_decay : float
        Times the parameter, added to the gradient. Default: 0.
    nesterov : bool
        Needs a momentum and no dampening. Default: False.
    maximize : bool
        Go up instead of down. Default: False.
    foreach, fused : bool, optional
        Taken for compatibility: every step is one fused pass.
    differentiable : bool
        Only False.

    Raises
    ------
    ValueError
        If a number is negative or not finite.

    Notes
    -----
    Sutskever et al., "On the importance of initialization and momentum in deep learning" (2013), in
    PyTorch's form.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn, optim
    >>> p = nn.Parameter(cnnx.ones(1))
    >>> opt = optim.SGD([p], lr=0.25)
    >>> (3 * p).sum().backward()
    >>> opt.step()
    >>> p.item()
    0.25
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "dampening": dampening,
                "weight_decay": weight_decay,
                "nesterov": nesterov,
                "maximize": maximize,
                "foreach": foreach,
                "differentiable": differentiable,
                "fused": fused,
            },
        )

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        check_range("momentum value", group["momentum"], 0.0)
        check_range("dampening value", group["dampening"], float("-inf"))
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")

    def _update(self, group: dict[str, Any]) -> None:
        _C.sgd_step(
            group["params"],
            self.state,
            float(group["lr"]),
            group["momentum"],
            group["dampening"],
            group["weight_decay"],
            group["nesterov"],
            group["maximize"],
        )
