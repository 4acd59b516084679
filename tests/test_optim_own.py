"""Own optimizers, wrappers and hooks: what PyTorch lets one override and register, on both libraries."""

from __future__ import annotations

import copy
import functools
import importlib
import pickle
from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import pytest

import cnnx
from cnnx import nn, optim
from cnnx.optim import lr_scheduler


def libraries() -> list[Any]:
    torch = pytest.importorskip("torch")
    return [cnnx, torch]


def parameters(lib: Any, *values: float) -> list[Any]:
    return [lib.nn.Parameter(lib.tensor([v, 2 * v], dtype=lib.float64)) for v in values]


def backward(params: list[Any]) -> Any:
    loss = sum(((p - 0.25) ** 2).sum() for p in params)
    loss.backward()
    return loss


def plain(value: Any) -> Any:
    """Numbers in place of tensors, rounded, so that logs of both libraries are equal."""
    if hasattr(value, "tolist"):
        value = value.detach().tolist()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return float(f"{value:.10g}") if isinstance(value, float) else value


def own(lib: Any) -> SimpleNamespace:
    """Classes that people write, for one of the libraries."""

    class Plain(lib.optim.Optimizer):
        """No weight_decay, and no lr in one of the groups' defaults."""

        def __init__(self, params: Any, rate: float) -> None:
            super().__init__(params, {"rate": rate})

        @lib.no_grad()
        def step(self, closure: Any = None) -> Any:
            loss = None
            if closure is not None:
                with lib.enable_grad():
                    loss = closure()
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is not None:
                        state = self.state[p]
                        state["step"] = state.get("step", 0) + 1
                        state.setdefault("history", []).append(p.grad.clone())
                        p.add_(p.grad, alpha=-group["rate"] / state["step"])
            return loss

    class Sam(lib.optim.Optimizer):
        """Shares its groups with the optimizer that it wraps."""

        def __init__(self, params: Any, base: Any, rho: float = 0.05, **options: Any) -> None:
            super().__init__(params, dict(rho=rho, **options))
            self.base = base(self.param_groups, **options)
            self.param_groups = self.base.param_groups
            self.defaults.update(self.base.defaults)

        def step(self, closure: Any = None) -> None:
            with lib.no_grad():
                for group in self.param_groups:
                    for p in group["params"]:
                        self.state[p]["old"] = p.detach().clone()
                        p.add_(p.grad, alpha=group["rho"])
            with lib.enable_grad():
                self.zero_grad()
                closure()
            with lib.no_grad():
                for group in self.param_groups:
                    for p in group["params"]:
                        p.copy_(self.state[p]["old"])
            self.base.step()

        def load_state_dict(self, state_dict: Any) -> None:
            super().load_state_dict(state_dict)
            self.base.param_groups = self.param_groups

    class Lookahead(lib.optim.Optimizer if lib is cnnx else object):  # PyTorch's Optimizer would raise
        """Does not call the constructor of its base class."""

        def __init__(self, inner: Any, k: int = 2, alpha: float = 0.5) -> None:
            self.optimizer, self.k, self.alpha, self.count = inner, k, alpha, 0
            self.param_groups = inner.param_groups
            self.defaults = inner.defaults
            self.state = defaultdict(dict)
            self.slow = {p: p.detach().clone() for g in self.param_groups for p in g["params"]}
            if lib is not cnnx:
                self.zero_grad = inner.zero_grad

        def step(self, closure: Any = None) -> Any:
            loss = self.optimizer.step(closure)
            self.count += 1
            if self.count % self.k == 0:
                with lib.no_grad():
                    for p, slow in self.slow.items():
                        slow.add_(p - slow, alpha=self.alpha)
                        p.copy_(slow)
            return loss

    class Clipped(lib.optim.SGD):
        """Changes some methods of an optimizer that exists."""

        def __init__(self, params: Any, **options: Any) -> None:
            self.log: list[Any] = []
            super().__init__(params, **options)

        def add_param_group(self, group: Any) -> None:
            self.log.append("add")
            group.setdefault("bound", 0.1)
            super().add_param_group(group)

        def zero_grad(self, set_to_none: bool = True) -> None:
            self.log.append("zero")
            super().zero_grad(set_to_none)

        def step(self, closure: Any = None) -> Any:
            self.log.append("step")
            for group in self.param_groups:
                for p in group["params"]:
                    p.grad.clamp_(-group["bound"], group["bound"])
            return super().step(closure)

        def state_dict(self) -> Any:
            return {**super().state_dict(), "extra": 7}

        def load_state_dict(self, state_dict: Any) -> None:
            assert state_dict["extra"] == 7
            super().load_state_dict({k: v for k, v in state_dict.items() if k != "extra"})

        def __setstate__(self, state: Any) -> None:
            super().__setstate__(state)
            for group in self.param_groups:
                group.setdefault("later", 3)

    return SimpleNamespace(Plain=Plain, Sam=Sam, Lookahead=Lookahead, Clipped=Clipped)


def train(opt: Any, params: list[Any], steps: int = 4) -> list[Any]:
    def closure() -> Any:
        opt.zero_grad()
        return backward(params)

    for _ in range(steps):
        closure()
        opt.step(closure)
    return [*params, *({k: v for k, v in g.items() if k != "params"} for g in opt.param_groups)]


def same(script: Any) -> None:
    """The script's log is that of PyTorch."""
    mine, theirs = (plain(script(lib)) for lib in libraries())
    assert mine == pytest.approx(theirs, rel=1e-9) if isinstance(theirs, float) else mine == theirs


def test_own_optimizers_with_any_defaults():
    def script(lib: Any) -> Any:
        params = parameters(lib, 1.0, 2.0)
        opt = own(lib).Plain([{"params": params[:1], "rate": 0.2}, {"params": params[1:]}], 0.1)
        result = train(opt, params)
        saved = copy.deepcopy(opt.state_dict())
        assert all(isinstance(entry["step"], int) for entry in saved["state"].values())
        again = own(lib).Plain([{"params": params[:1]}, {"params": params[1:]}], 9.0)
        again.load_state_dict(saved)
        assert all(isinstance(entry["step"], int) for entry in again.state.values())
        return [result, saved["state"], repr(again), train(again, params), again.state_dict()["state"]]

    same(script)


def test_required_options():
    def script(lib: Any) -> Any:
        module = importlib.import_module(f"{lib.__name__}.optim.optimizer")

        class Needs(lib.optim.Optimizer):
            def __init__(self, params: Any, lr: Any = module.required) -> None:
                super().__init__(params, {"lr": lr, "other": 1})

        log = [repr(module.required), repr(Needs(parameters(lib, 1.0), lr=2))]
        with pytest.raises(ValueError, match="required optimization parameter lr") as error:
            Needs(parameters(lib, 1.0))
        opt = Needs([{"params": parameters(lib, 1.0), "lr": 3}])
        with pytest.raises(NotImplementedError):
            opt.step()
        return [*log, str(error.value), opt.param_groups[0]["lr"]]

    same(script)


def test_a_wrapper_that_shares_the_groups():
    def script(lib: Any) -> Any:
        params = parameters(lib, 1.0, 2.0)
        opt = own(lib).Sam(params, lib.optim.SGD, lr=0.1, momentum=0.9)
        log = [sorted(opt.param_groups[0]), train(opt, params)]
        schedule = lib.optim.lr_scheduler.StepLR(opt, 1, 0.5)  # acts on both
        log += [train(opt, params)]
        schedule.step()
        log += [train(opt, params), opt.base.param_groups[0]["lr"]]
        opt.load_state_dict(copy.deepcopy(opt.state_dict()))
        opt.param_groups[0]["lr"] = 0.01
        return [*log, train(opt, params), opt.base.param_groups is opt.param_groups]

    same(script)


def test_loading_keeps_the_list_of_groups_that_a_wrapper_shares():
    opt = cnnx.optim.SGD(parameters(cnnx, 1.0), lr=0.5)
    saved, shared = opt.state_dict(), opt.param_groups
    saved["param_groups"][0]["lr"] = 0.25
    opt.load_state_dict(saved)
    assert opt.param_groups is shared
    assert shared[0]["lr"] == 0.25


def test_groups_given_to_two_optimizers_are_the_same_dicts():
    def script(lib: Any) -> Any:
        params = parameters(lib, 1.0)
        groups = [{"params": params}]
        first = lib.optim.SGD(groups, lr=0.5)
        second = lib.optim.SGD(groups, lr=0.25, momentum=0.5)
        first.param_groups[0]["lr"] = 0.125
        return [groups[0] is second.param_groups[0], second.param_groups[0]["lr"], train(second, params)]

    same(script)


def test_a_wrapper_that_does_not_call_its_base():
    def script(lib: Any) -> Any:
        params = parameters(lib, 1.0, 2.0)
        opt = own(lib).Lookahead(lib.optim.Adam(params, lr=0.1))
        schedule = lib.optim.lr_scheduler.ExponentialLR(opt.optimizer, 0.5)
        log = [train(opt, params)]
        schedule.step()
        return [*log, train(opt, params)]

    same(script)
    opt = own(cnnx).Lookahead(optim.SGD(parameters(cnnx, 1.0), lr=0.1))
    called = []
    opt.register_step_post_hook(lambda *_: called.append(1))  # PyTorch raises an AttributeError
    opt.step()
    assert called == [1]
    assert not opt.optimizer._optimizer_step_post_hooks


def test_overridden_methods_are_called():
    def script(lib: Any) -> Any:
        params = parameters(lib, 1.0, 2.0)
        opt = own(lib).Clipped([{"params": params[:1]}, {"params": params[1:], "bound": 0.2}], lr=0.1)
        log = [list(opt.log), train(opt, params, 2), list(opt.log)]
        saved = opt.state_dict()
        assert all(group.pop("later", None) is None for group in saved["param_groups"])
        opt.load_state_dict(saved)
        return [*log, [group["later"] for group in opt.param_groups]]

    same(script)


def test_copies_keep_what_a_subclass_added():
    opt = own(cnnx).Clipped(parameters(cnnx, 1.0), lr=0.1)
    opt.register_step_pre_hook(lambda *_: None)  # hooks are not copied
    twin = copy.deepcopy(opt)
    assert twin.log == opt.log
    assert twin.log is not opt.log
    assert twin.param_groups[0]["bound"] == 0.1
    assert not twin._optimizer_step_pre_hooks
    inner = pickle.loads(pickle.dumps(optim.SGD(parameters(cnnx, 1.0), lr=0.25)))
    assert inner.param_groups[0]["lr"] == 0.25


def steps_with_hooks(lib: Any, opt: Any, params: list[Any]) -> list[Any]:
    log: list[Any] = []

    def note(name: str) -> Any:
        return lambda o, args, kwargs: log.append((name, o is opt, args[0] is opt, len(args), sorted(kwargs)))

    module = importlib.import_module(f"{lib.__name__}.optim.optimizer")
    handles = [
        opt.register_step_post_hook(note("post 1")),
        opt.register_step_pre_hook(note("pre 1")),
        opt.register_step_pre_hook(note("pre 2")),
        opt.register_step_post_hook(note("post 2")),
        module.register_optimizer_step_pre_hook(note("all pre")),
        module.register_optimizer_step_post_hook(note("all post")),
    ]
    backward(params)
    opt.step()
    for closure in (lambda: log.append("closure"), None):
        handles[2].remove()
        opt.step(closure)
        opt.step(closure=closure)
    for handle in handles:
        handle.remove()
    opt.step()
    return [log, params]


@pytest.mark.parametrize(
    "make",
    [
        lambda lib, params: lib.optim.SGD(params, lr=0.1),
        lambda lib, params: lib.optim.AdamW(params, lr=0.1),
        lambda lib, params: own(lib).Plain(params, 0.1),
    ],
)
def test_step_hooks(make):
    def script(lib: Any) -> Any:
        params = parameters(lib, 1.0, 2.0)
        return steps_with_hooks(lib, make(lib, params), params)

    same(script)


def test_step_hooks_run_once_where_a_step_calls_that_of_its_base():
    params = parameters(cnnx, 1.0)
    log = steps_with_hooks(cnnx, own(cnnx).Clipped(params, lr=0.1), params)[0]
    assert [entry[0] for entry in log if entry != "closure"][:6] == [
        "all pre",
        "pre 1",
        "pre 2",
        "post 1",
        "post 2",
        "all post",
    ]


def test_a_step_pre_hook_may_change_the_arguments():
    def script(lib: Any) -> Any:
        params = parameters(lib, 1.0)
        opt = lib.optim.SGD(params, lr=0.1)
        opt.register_step_pre_hook(lambda o, args, kwargs: ((o, lambda: 5), kwargs))
        log = [opt.step()]
        opt.register_step_pre_hook(lambda o, args, kwargs: 3)
        with pytest.raises(RuntimeError, match="must return None or"):
            opt.step()
        return log

    same(script)


def test_hooks_of_state_dicts():
    def script(lib: Any) -> Any:
        log: list[Any] = []
        params = parameters(lib, 1.0)
        opt = lib.optim.SGD(params, lr=0.5, momentum=0.9)
        train(opt, params, 1)

        def half(o: Any, state: Any) -> Any:
            groups = [{**group, "lr": group["lr"] / 2} for group in state["param_groups"]]
            return {**state, "param_groups": groups}

        opt.register_state_dict_pre_hook(lambda o: log.append("before 2"))
        opt.register_state_dict_pre_hook(lambda o: log.append("before 1"), prepend=True)
        opt.register_state_dict_post_hook(lambda o, state: log.append(sorted(state)))
        handle = opt.register_state_dict_post_hook(half)
        saved = opt.state_dict()
        log.append(saved["param_groups"][0]["lr"])
        handle.remove()
        opt.register_load_state_dict_pre_hook(half)
        opt.register_load_state_dict_pre_hook(
            lambda o, state: log.append(state["param_groups"][0]["lr"]), prepend=True
        )
        opt.register_load_state_dict_post_hook(lambda o: log.append(o.param_groups[0]["lr"]))
        opt.register_load_state_dict_post_hook(lambda o: log.append("first"), prepend=True)
        opt.load_state_dict(saved)
        return [log, saved["param_groups"][0]["lr"], train(opt, params)]

    same(script)


def test_a_step_that_comes_later_or_from_a_mixin_is_hooked():
    calls = []

    class Mixin:
        def step(self) -> str:
            return "mixed in"

    class Mixed(Mixin, optim.Optimizer):
        pass

    class Late(optim.Optimizer):
        pass

    Late.step = lambda self: "late"

    class Wraps(optim.SGD):
        @functools.wraps(optim.SGD.step)
        def step(self) -> str:
            return "wraps"

    for cls in (Mixed, Late, Wraps):
        opt = cls(parameters(cnnx, 1.0), {"lr": 1.0}) if cls is not Wraps else cls(parameters(cnnx, 1.0))
        opt.register_step_post_hook(lambda *_: calls.append(1))
        assert opt.step() in ("mixed in", "late", "wraps")
        assert opt._opt_called
    assert len(calls) == 3


def test_a_step_of_ones_own_counts_for_schedulers(recwarn):
    opt = own(cnnx).Plain(parameters(cnnx, 1.0), 0.1)
    opt.param_groups[0]["lr"] = 1.0
    schedule = lr_scheduler.StepLR(opt, 1)
    opt.step()
    schedule.step()
    assert opt.param_groups[0]["lr"] == 0.1
    assert not recwarn


def test_names_of_parameters():
    def script(lib: Any) -> Any:
        log: list[Any] = []
        named = list(zip(("a", "b"), parameters(lib, 1.0, 2.0), strict=True))
        opt = lib.optim.SGD(named, lr=0.1)
        saved = opt.state_dict()
        log.append(saved["param_groups"][0]["param_names"])
        for wrong in ({"params": parameters(lib, 1.0)}, {"params": [("c", parameters(lib, 1.0)[0]), 3]}):
            with pytest.raises(ValueError, match="with/without names") as error:
                opt.add_param_group(wrong)
            log.append(str(error.value))
        saved["param_groups"][0]["param_names"] = ["x", "y"]
        opt.load_state_dict(saved)
        log.append(opt.param_groups[0]["param_names"])
        del saved["param_groups"][0]["param_names"]
        opt.load_state_dict(saved)
        return [*log, opt.param_groups[0]["param_names"]]

    same(script)


@pytest.mark.parametrize(
    "name",
    ["SGD", "Adam", "AdamW", "Adadelta", "RMSprop", "Adagrad", "NAdam", "RAdam", "Adamax", "Rprop"],
)
def test_flags(name):
    make = getattr(optim, name)

    def param() -> Any:
        return nn.Parameter(cnnx.ones(1))

    with pytest.raises(NotImplementedError, match=f"{name}: differentiable=True is not available"):
        make([param()], differentiable=True)
    with pytest.raises(NotImplementedError, match=f"{name}: differentiable=True is not available"):
        make([{"params": [param()], "differentiable": True}])
    results = []
    for options in ({}, {"foreach": True}, {"fused": True}, {"capturable": True}, {"foreach": False}):
        p = param()
        try:
            opt = make([p], lr=0.1, **options)
        except TypeError:  # PyTorch has no such option there either
            assert next(iter(options)) not in make([param()]).defaults
            continue
        p.grad = cnnx.ones(1)
        opt.step()
        results.append(p.item())
    assert len(set(results)) == 1
    if "fused" in make([param()]).defaults:
        with pytest.raises(RuntimeError, match="cannot be `True` together"):
            make([param()], foreach=True, fused=True)


def test_the_state_of_adam_in_adamw_and_back():
    def script(lib: Any) -> Any:
        log = []
        for first, second in (("Adam", "AdamW"), ("AdamW", "AdamW")):
            params = parameters(lib, 1.0)
            opt = getattr(lib.optim, first)(params, lr=0.1, weight_decay=0.2)
            train(opt, params)
            other = getattr(lib.optim, second)(params, lr=0.1)
            other.load_state_dict(opt.state_dict())
            log.append(train(other, params))
        return log

    same(script)


def test_state_with_keys_of_ones_own():
    opt = own(cnnx).Plain(parameters(cnnx, 1.0), 0.1)
    opt.state["calls"] = 4
    saved = opt.state_dict()
    opt.load_state_dict(saved)
    assert opt.state["calls"] == 4
