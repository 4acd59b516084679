"""L-BFGS."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import cnnx

from ..tensor import Tensor
from .fused import FusedOptimizer, check_range
from .line_search import Point, StrongWolfe
from .optimizer import Params


class LBFGS(FusedOptimizer):
    """L-BFGS: Newton's steps by an inverse Hessian that the last gradients tell of. For whole batches.

    One `step` makes up to `max_iter` iterations, so it needs a `closure` that it can call again. There is one
    group of parameters, all on one device.

    Parameters
    ----------
    params : iterable of Tensor, dict or (str, Tensor)
        See `Optimizer`.
    lr : float
        Length of a step, or of the first try of a line search. Default: 1.
    max_iter : int
        Iterations of one `step`. Default: 20.
    max_eval : int, optional
        Calls of the closure in one `step`, about. Default: max_iter * 5 // 4.
    tolerance_grad : float
        A gradient with no larger element ends the step. Default: 1e-7.
    tolerance_change : float
        A change of loss or parameters below that ends the step. Default: 1e-9.
    history_size : int
        How many gradients are remembered, each with as much memory as the parameters, twice. Default: 100.
    line_search_fn : {"strong_wolfe"}, optional
        How the length of a step is found. Default: none, steps of length lr.

    Raises
    ------
    ValueError
        If there are several groups, or a number makes no sense.
    RuntimeError
        If `line_search_fn` is another one.

    Notes
    -----
    Nocedal & Wright, "Numerical optimization" (2006), algorithm 7.4. The state, that of the first parameter,
    has PyTorch's names; its single numbers are Python's. Neither a plan nor a CUDA graph can hold a step.

    Examples
    --------
    >>> import cnnx
    >>> from cnnx import nn, optim
    >>> p = nn.Parameter(cnnx.tensor([-1.0, 2.0]))
    >>> opt = optim.LBFGS([p], line_search_fn="strong_wolfe")
    >>> def closure():  # Rosenbrock's function
    ...     opt.zero_grad()
    ...     loss = (1 - p[0]) ** 2 + 100 * (p[1] - p[0] ** 2) ** 2
    ...     loss.backward()
    ...     return loss
    >>> for _ in range(3):
    ...     first = opt.step(closure)
    >>> [round(x, 2) for x in p.tolist()]
    [1.0, 1.0]
    """

    _is_native = False

    def __init__(
        self,
        params: Params,
        lr: float = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        check_range("max_iter value", max_iter, 0.0)
        super().__init__(
            params,
            {
                "lr": lr,
                "max_iter": max_iter,
                "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
                "tolerance_grad": tolerance_grad,
                "tolerance_change": tolerance_change,
                "history_size": history_size,
                "line_search_fn": line_search_fn,
            },
        )

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        check_range("max_iter value", group["max_iter"], 0.0)
        check_range("max_eval value", group["max_eval"], 0.0)
        check_range("tolerance_grad value", group["tolerance_grad"], -math.inf)
        check_range("tolerance_change value", group["tolerance_change"], -math.inf)
        check_range("history_size value", group["history_size"], 1.0)
        if group["line_search_fn"] not in (None, "strong_wolfe"):
            raise RuntimeError(
                f"LBFGS: line_search_fn must be 'strong_wolfe' or None, got {group['line_search_fn']!r}"
            )

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds the group of parameters; there can be no second one."""
        if self.param_groups:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")
        super().add_param_group(param_group)

    @cnnx.no_grad()
    def step(self, closure: Callable[[], Any]) -> Any:  # type: ignore[override]
        """Makes up to `max_iter` iterations.

        Parameters
        ----------
        closure : callable
            Drops the gradients, computes the loss and its gradients, and returns the loss.

        Returns
        -------
        What the first call of `closure` returned.
        """
        if not callable(closure):
            raise TypeError(f"LBFGS: step needs a closure, got {type(closure).__name__}")
        (group,) = self.param_groups
        params = group["params"]
        state = self._entry(params[0])
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)

        def evaluate() -> Any:
            with cnnx.enable_grad():
                return closure()

        first = evaluate()
        loss, grad = float(first), flat_grad(params)
        evaluations = 1
        state["func_evals"] += 1
        if largest(grad) <= group["tolerance_grad"]:
            return first

        lr, direction, length = float(group["lr"]), state.get("d"), state.get("t")
        check_range("learning rate", lr, 0.0)
        grad_before, loss_before = state.get("prev_flat_grad"), state.get("prev_loss")
        for iteration in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            if state["n_iter"] == 1 or grad_before is None:
                direction = -grad
                state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1.0)
                norm = float(grad.abs().sum())
                length = (1 / norm if norm > 1 else 1.0) * lr
            else:
                self._remember(state, grad - grad_before, direction * float(length), group["history_size"])
                direction = self._direction(state, grad, group["history_size"])
                length = lr
            grad_before, loss_before = grad.clone(), loss
            slope = float(grad.dot(direction))
            if slope > -group["tolerance_change"]:
                break
            if group["line_search_fn"] is not None:
                start = Point(np.float64(0), np.float64(loss), grad, np.float64(slope))
                search = StrongWolfe(
                    along_line(params, direction, evaluate),
                    start,
                    largest(direction),
                    group["max_eval"] - evaluations,
                )
                found = search.search(length)
                loss, grad, length = float(found.loss), found.grad, float(found.step)
                move(params, direction, length)
                made = search.evaluations
            else:
                move(params, direction, length)
                made = 0
                if iteration != group["max_iter"]:  # nobody would look at the last one
                    loss, grad = float(evaluate()), flat_grad(params)
                    made = 1
            evaluations += made
            state["func_evals"] += made
            if (
                iteration == group["max_iter"]
                or evaluations >= group["max_eval"]
                or largest(grad) <= group["tolerance_grad"]
                or largest(direction * length) <= group["tolerance_change"]
                or abs(loss - loss_before) < group["tolerance_change"]
            ):
                break
        state.update(d=direction, t=length, prev_flat_grad=grad_before, prev_loss=loss_before)
        return first

    @staticmethod
    def _remember(state: Any, change: Tensor, step: Tensor, size: int) -> None:
        """Takes down how a step has changed the gradient, if the curvature along it is positive."""
        product = float(change.dot(step))
        if not product > 1e-10:
            return
        for name, value in (("old_dirs", change), ("old_stps", step), ("ro", 1 / product)):
            if len(state[name]) >= size:
                del state[name][0]
            state[name].append(value)
        state["H_diag"] = product / float(change.dot(change))

    @staticmethod
    def _direction(state: Any, grad: Tensor, size: int) -> Tensor:
        """The negative gradient times the inverse Hessian that the remembered steps make."""
        steps, changes, ro = state["old_stps"], state["old_dirs"], [float(r) for r in state["ro"]]
        al = state.setdefault("al", [None] * size)
        al.extend([None] * (len(steps) - len(al)))
        direction = -grad
        for i in reversed(range(len(steps))):
            al[i] = float(steps[i].dot(direction)) * ro[i]
            direction.add_(changes[i], alpha=-al[i])
        direction.mul_(float(state["H_diag"]))
        for i in range(len(steps)):
            direction.add_(steps[i], alpha=al[i] - float(changes[i].dot(direction)) * ro[i])
        return direction


def largest(values: Tensor) -> float:
    """The largest absolute value."""
    return float(values.abs().max())


def flat_grad(params: list[Tensor]) -> Tensor:
    """The gradients of all parameters in one row; zeros for those that have none."""
    return cnnx.cat([(cnnx.zeros_like(p) if p.grad is None else p.grad).reshape(-1) for p in params])


def move(params: list[Tensor], direction: Tensor, length: float) -> None:
    """Moves the parameters along a direction."""
    for p, part in zip(params, direction.split([p.numel() for p in params]), strict=True):
        p.add_(part.reshape(p.shape), alpha=length)


def along_line(
    params: list[Tensor], direction: Tensor, evaluate: Callable[[], Any]
) -> Callable[[np.float64], Point]:
    """The points on the line through the parameters, which stay where they are."""
    before = [p.clone() for p in params]

    def point(step: np.float64) -> Point:
        move(params, direction, float(step))
        loss, grad = float(evaluate()), flat_grad(params)
        for p, value in zip(params, before, strict=True):
            p.copy_(value)
        return Point(step, np.float64(loss), grad, np.float64(float(grad.dot(direction))))

    return point
