"""Averaged stochastic gradient descent."""

from __future__ import annotations

import math
from typing import Any

import cnnx

from .fused import FusedOptimizer, check_range
from .optimizer import Params


class ASGD(FusedOptimizer):
    """Stochastic gradient descent with a falling rate that also keeps the average of the parameters.

    p = p * (1 - lambd * eta) - eta * g, ax += mu * (p - ax); eta is lr in the first step and then lr / (1 +
    lambd * lr * step)^alpha, mu is 1 up to step t0 and then 1 / (step - t0). The average is
    ``state[p]["ax"]``.

    Parameters
    ----------
    params : iterable of Tensor, dict or (str, Tensor)
        See `Optimizer`.
    lr : float
        Default: 0.01.
    lambd : float
        Decay of the parameters and of the rate. Default: 1e-4.
    alpha : float
        Power of the rate's fall. Default: 0.75.
    t0 : float
        The step from which on parameters are averaged. Default: 1e6.
    weight_decay : float
        Times the parameter, added to the gradient. Default: 0.
    foreach : bool, optional
        Taken for compatibility: there is one way to make a step.
    maximize : bool
        Go up instead of down. Default: False.
    differentiable : bool
        Only False.
    capturable : bool
        Only False.

    Raises
    ------
    ValueError
        If a number is not finite, or lr or weight_decay negative.

    Notes
    -----
    Polyak & Juditsky, "Acceleration of stochastic approximation by averaging" (1992). As in PyTorch, eta and
    mu are kept as float32. A step is made of tensor operations, so a CUDA graph cannot hold it.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn, optim
    >>> p = nn.Parameter(cnnx.ones(1))
    >>> opt = optim.ASGD([p], lr=0.25, lambd=0.0)
    >>> (3 * p).sum().backward()
    >>> opt.step()
    >>> p.item(), opt.state[p]["ax"].item()
    (0.25, 0.25)
    """

    _numbers = ("step", "eta", "mu")
    _is_native = False

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "lambd": lambd,
                "alpha": alpha,
                "t0": t0,
                "weight_decay": weight_decay,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
                "capturable": capturable,
            },
        )

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        for name in ("lambd", "alpha", "t0"):
            check_range(f"{name} value", group[name], -math.inf)
        if group["capturable"]:
            raise NotImplementedError("ASGD: capturable=True is not available")

    @cnnx.no_grad()
    def _update(self, group: dict[str, Any]) -> None:
        lr, lambd = float(group["lr"]), group["lambd"]
        check_range("learning rate", lr, 0.0)
        for p in group["params"]:
            if p.grad is None:
                continue
            entry = self._entry(p)
            initial = {"step": 0.0, "eta": lr, "mu": 1.0}
            for name, value in initial.items():
                if not isinstance(entry.get(name), cnnx.Tensor):  # a number in old files
                    kept = entry.get(name)
                    entry[name] = cnnx.tensor(value if kept is None else float(kept), device="cpu")
            if entry.get("ax") is None:
                entry["ax"] = cnnx.zeros_like(p)
            grad = -p.grad if group["maximize"] else p.grad
            if group["weight_decay"] != 0:
                grad = grad.add(p, alpha=group["weight_decay"])
            eta, mu, ax = entry["eta"].item(), entry["mu"].item(), entry["ax"]
            p.mul_(1 - lambd * eta).add_(grad, alpha=-eta)
            if mu == 1:
                ax.copy_(p)
            else:
                ax.add_(p - ax, alpha=mu)
            step = entry["step"].add_(1).item()
            for name, value in (
                ("eta", lr / (1 + lambd * lr * step) ** group["alpha"]),
                ("mu", 1 / max(1.0, step - group["t0"])),
            ):
                entry[name].copy_(cnnx.tensor(value, device="cpu"))
