"""`state` and `param_groups` are all that an optimizer has: what is changed there counts at the next step.

Random sequences of edits are made on an optimizer of cnnx and on PyTorch's, and everything is compared after
each step.
"""

from __future__ import annotations

import copy
import pickle
import random
from collections import defaultdict
from typing import Any

import numpy as np
import pytest

import cnnx
from cnnx import nn, optim
from drawn import given, settings, st

OPTIMIZERS: dict[str, tuple[str, dict[str, Any]]] = {
    "SGD": ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.2}),
    "plain SGD": ("SGD", {"lr": 0.1}),
    "Nesterov": ("SGD", {"lr": 0.1, "momentum": 0.8, "nesterov": True, "weight_decay": 0.01}),
    "Adam": ("Adam", {"lr": 0.05}),
    "AMSGrad": ("Adam", {"lr": 0.05, "amsgrad": True}),
    "AdamW": ("AdamW", {"lr": 0.05, "weight_decay": 0.1}),
    "Adadelta": ("Adadelta", {"lr": 1.0}),
    "RMSprop": ("RMSprop", {"lr": 0.02, "momentum": 0.5, "centered": True}),
    "plain RMSprop": ("RMSprop", {"lr": 0.02}),
    "Adagrad": ("Adagrad", {"lr": 0.1, "lr_decay": 0.1, "initial_accumulator_value": 0.3}),
    "NAdam": ("NAdam", {"lr": 0.05, "momentum_decay": 0.1}),
    "RAdam": ("RAdam", {"lr": 0.05, "betas": (0.8, 0.9)}),
    "Adamax": ("Adamax", {"lr": 0.05}),
    "Rprop": ("Rprop", {"lr": 0.05}),
    "ASGD": ("ASGD", {"lr": 0.05, "lambd": 0.01, "t0": 3}),
}
NUMBERS = {"step", "mu_product", "eta", "mu"}
SHAPES = [(3, 2), (4,), (), (2, 3)]


class Side:
    """An optimizer of one of the two libraries. Edits draw from `chance`, which is seeded alike for both."""

    def __init__(self, lib: Any, kind: str, seed: int) -> None:
        self.lib, self.kind = lib, kind
        self.chance = random.Random(seed)
        self.numbers = np.random.default_rng(seed)
        self.name, self.options = OPTIMIZERS[kind]
        params = [self.parameter(shape) for shape in SHAPES]
        groups = [{"params": params[:3]}, {"params": params[3:], "lr": 0.03}]
        self.opt = getattr(lib.optim, self.name)(groups, **self.options)

    def tensor(self, shape: tuple[int, ...], low: float = 0.0) -> Any:
        return self.lib.tensor(self.numbers.uniform(low, 1, shape).tolist(), dtype=self.lib.float64)

    def parameter(self, shape: tuple[int, ...]) -> Any:
        return self.lib.nn.Parameter(self.tensor(shape, -1.0))

    def params(self) -> list[Any]:
        return [p for group in self.opt.param_groups for p in group["params"]]

    def group(self) -> dict[str, Any]:
        return self.chance.choice(self.opt.param_groups)

    def restarted(self, p: Any) -> dict[str, Any]:
        """An entry that starts anew. PyTorch's Adagrad makes none in its step and needs it whole."""
        if self.name != "Adagrad":
            return {}
        return {"step": self.lib.tensor(0.0), "sum": self.lib.full_like(p.detach(), 0.3)}

    def with_state(self) -> Any:
        """A parameter that has tensors in its state, or None."""
        found = [p for p in self.params() if self.opt.state.get(p)]
        return self.chance.choice(found) if found else None

    def step(self) -> None:
        for p in self.params():
            p.grad = self.tensor(tuple(p.shape), -1.0) if self.chance.random() < 0.8 else None
        self.opt.step()


def clear_entry(side: Side) -> None:
    p = side.chance.choice(side.params())
    side.opt.state[p] = side.restarted(p)


def delete_entry(side: Side) -> None:
    if (p := side.with_state()) is not None:
        del side.opt.state[p]
        if side.restarted(p):
            side.opt.state[p] = side.restarted(p)


def clear_all(side: Side) -> None:
    side.opt.state.clear()
    side.opt.state.update({p: entry for p in side.params() if (entry := side.restarted(p))})


def other_state_dict(side: Side) -> None:
    side.opt.state = defaultdict(dict, dict(side.opt.state))


def replace_tensor(side: Side) -> None:
    if (p := side.with_state()) is not None:
        name = side.chance.choice(sorted(set(side.opt.state[p]) - NUMBERS))
        # RMSprop takes a root of square_avg - grad_avg²: that is kept above zero.
        value = side.tensor(tuple(p.shape))
        side.opt.state[p][name] = {"grad_avg": value * 0, "square_avg": value + 1}.get(name, value)


def in_place(side: Side) -> None:
    if (p := side.with_state()) is not None:
        for name in sorted(set(side.opt.state[p]) - {"step"}):
            side.opt.state[p][name].mul_(0.5).add_(0.25)


def set_step(side: Side) -> None:
    if (p := side.with_state()) is not None and "step" in side.opt.state[p]:
        count = side.chance.choice([0, 1, 10])
        if side.chance.random() < 0.5:
            side.opt.state[p]["step"] = side.lib.tensor(float(count))
        else:
            side.opt.state[p]["step"].fill_(count)


def exchange_states(side: Side) -> None:
    group = side.group()["params"]
    pairs = [(p, q) for p in group for q in group if p is not q and p.shape == q.shape]
    if pairs:
        p, q = side.chance.choice(pairs)
        side.opt.state[p], side.opt.state[q] = side.opt.state[q], side.opt.state[p]


def new_parameter(side: Side) -> Any:
    p = side.parameter(side.chance.choice(SHAPES))
    if side.restarted(p):
        side.opt.state[p] = side.restarted(p)
    return p


def replace_parameter(side: Side) -> None:
    params = side.group()["params"]
    if params:
        i = side.chance.randrange(len(params))
        fresh = side.parameter(tuple(params[i].shape))  # of the same shape: the state would fit
        if side.restarted(fresh):
            side.opt.state[fresh] = side.restarted(fresh)
        side.opt.state.pop(params[i], None)
        params[i] = fresh


def append_parameter(side: Side) -> None:
    side.group()["params"].append(new_parameter(side))


def remove_parameter(side: Side) -> None:
    params = side.group()["params"]
    if len(params) > 1:
        side.opt.state.pop(params.pop(side.chance.randrange(len(params))), None)


def reverse_parameters(side: Side) -> None:
    side.group()["params"].reverse()


def other_list(side: Side) -> None:
    group = side.group()
    group["params"] = list(reversed(group["params"]))


def move_parameter(side: Side) -> None:
    first, last = side.opt.param_groups[0]["params"], side.opt.param_groups[-1]["params"]
    if first is not last and len(first) > 1:
        last.insert(0, first.pop())


def append_group(side: Side) -> None:
    side.opt.param_groups.append({**side.opt.param_groups[0], "lr": 0.2, "params": [new_parameter(side)]})


def add_group(side: Side) -> None:
    p = side.parameter((2,))
    side.opt.add_param_group({"params": [p], "lr": 0.07})
    if side.restarted(p):  # PyTorch's Adagrad does not
        side.opt.state[p] = side.restarted(p)


def other_groups(side: Side) -> None:
    side.opt.param_groups = list(reversed(side.opt.param_groups))


def other_options(side: Side) -> None:
    group = side.group()
    group["lr"] = side.chance.choice([0.0, 0.01, 0.3])
    group["maximize"] = side.chance.random() < 0.3
    if side.kind == "SGD":
        group["momentum"] = side.chance.choice([0.0, 0.5])


def load(side: Side) -> None:
    side.opt.load_state_dict(copy.deepcopy(side.opt.state_dict()))


def deep_copy(side: Side) -> None:
    side.opt = copy.deepcopy(side.opt)


def through_pickle(side: Side) -> None:
    side.opt = pickle.loads(pickle.dumps(side.opt))


def other_optimizer(side: Side) -> None:
    """One with the same groups and state, as wrappers make them."""
    state, groups = side.opt.state, side.opt.param_groups
    side.opt = getattr(side.lib.optim, side.name)(groups, **side.options)
    side.opt.param_groups, side.opt.state = groups, state


EDITS = [
    clear_entry,
    delete_entry,
    clear_all,
    other_state_dict,
    replace_tensor,
    in_place,
    set_step,
    exchange_states,
    replace_parameter,
    append_parameter,
    remove_parameter,
    reverse_parameters,
    other_list,
    move_parameter,
    append_group,
    add_group,
    other_groups,
    other_options,
    load,
    deep_copy,
    through_pickle,
    other_optimizer,
]


def compare(mine: Side, theirs: Side, what: str) -> None:
    assert len(mine.opt.param_groups) == len(theirs.opt.param_groups)
    assert len(mine.opt.state) == len(theirs.opt.state), what
    for ours, other in zip(mine.opt.param_groups, theirs.opt.param_groups, strict=True):
        for p, q in zip(ours["params"], other["params"], strict=True):
            close(p, q, what)
            a, b = mine.opt.state.get(p) or {}, theirs.opt.state.get(q) or {}
            assert set(a) == set(b), what
            for name, value in b.items():
                close(a[name], value, f"{what}: {name}")


def close(ours: Any, theirs: Any, what: str) -> None:
    np.testing.assert_allclose(
        ours.detach().cpu().numpy(), theirs.detach().numpy(), rtol=1e-11, atol=1e-13, err_msg=what
    )


def both(kind: str, seed: int) -> tuple[Side, Side]:
    torch = pytest.importorskip("torch")
    return Side(cnnx, kind, seed), Side(torch, kind, seed)


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_an_edit_counts_as_in_pytorch(kind, edit):
    mine, theirs = both(kind, 3)
    for turn in range(5):
        for side in (mine, theirs):
            if turn in (2, 3):
                edit(side)
            side.step()
        compare(mine, theirs, f"step {turn}")


@pytest.mark.parametrize("kind", OPTIMIZERS)
@settings(max_examples=12)
@given(edits=st.lists(st.sampled_from(EDITS), min_size=3, max_size=14), seed=st.integers(0, 10**6))
def test_any_sequence_of_edits_counts_as_in_pytorch(kind, edits, seed):
    mine, theirs = both(kind, seed)
    done = []
    for edit in edits:
        done.append(edit.__name__)
        for side in (mine, theirs):
            side.step()
            edit(side)
            side.step()
        compare(mine, theirs, ", ".join(done))


def trained(kind: str, steps: int = 3) -> tuple[Any, Any]:
    name, options = OPTIMIZERS[kind]
    p = nn.Parameter(cnnx.tensor([1.0, -2.0]))
    opt = getattr(optim, name)([p], **options)
    advance(opt, p, steps)
    return opt, p


def advance(opt: Any, p: Any, steps: int = 1) -> None:
    for _ in range(steps):
        p.grad = p.detach() * 2
        opt.step()


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_what_is_missing_starts_anew(kind):
    """A value that is removed or None, and a state that is a plain dict: PyTorch raises a KeyError there."""
    for remove in (
        lambda opt, p: opt.state[p].clear(),
        lambda opt, p: opt.state.update({p: dict.fromkeys(opt.state[p])}),
        lambda opt, p: setattr(opt, "state", {}),
    ):
        opt, p = trained(kind)
        remove(opt, p)
        name, options = OPTIMIZERS[kind]
        q = nn.Parameter(p.detach().clone())
        fresh = getattr(optim, name)([q], **options)
        for _ in range(2):
            advance(opt, p)
            advance(fresh, q)
        assert p.tolist() == q.tolist()
        assert set(opt.state.get(p, {})) == set(fresh.state.get(q, {}))


@pytest.mark.parametrize(
    "value", [0, 0.0, cnnx.tensor(0), cnnx.tensor([0]), cnnx.tensor(0.0, dtype=cnnx.float64)]
)
def test_a_step_may_be_any_number(value):
    opt, p = trained("Adam")
    opt.state[p]["step"] = value
    advance(opt, p, 2)
    assert float(opt.state[p]["step"]) == 2
    assert opt.state_dict()["state"][0]["step"] is opt.state[p]["step"]


class Mapping(dict):
    """Has ways of its own to find things."""

    def __getitem__(self, key: Any) -> Any:
        return super().__getitem__(key) if key in self else self.setdefault(key, {})


def test_a_mapping_of_ones_own():
    opt, p = trained("Adam")
    state = Mapping(opt.state)
    state[p] = Mapping(state[p])
    opt.state = state
    advance(opt, p)
    assert float(state[p]["step"]) == 4
    q = nn.Parameter(cnnx.ones(1))
    opt.param_groups[0]["params"].append(q)
    advance(opt, q)
    assert float(state[q]["step"]) == 1


def test_state_of_a_class_of_ones_own():
    class Prepared(defaultdict):
        def __missing__(self, p: Any) -> Any:
            self[p] = {"momentum_buffer": cnnx.full_like(p.detach(), 10.0)}
            return self[p]

    p = nn.Parameter(cnnx.zeros(1))
    opt = optim.SGD([p], lr=1.0, momentum=0.5)
    opt.state = Prepared(dict)
    p.grad = cnnx.ones(1)
    opt.step()
    assert p.item() == -6


def test_what_makes_no_sense_is_refused_and_nothing_is_changed():
    cases = [
        (
            "Adam",
            {"step": -1},
            ValueError,
            "adam_step: step of parameter 0 must be a whole number from 0, is -1",
        ),
        ("Adam", {"step": 1.5}, ValueError, "whole number"),
        ("Adam", {"step": float("nan")}, ValueError, "whole number"),
        ("Adam", {"step": cnnx.ones(2)}, RuntimeError, "step of parameter 0 must be a number"),
        ("Adam", {"exp_avg": [1.0, 2.0]}, TypeError, "exp_avg of parameter 0 must be a tensor, is list"),
        ("AdamW", {"exp_avg": 1.0}, RuntimeError, r"adamw_step: exp_avg of parameter 0 is float32 \(\)"),
        (
            "SGD",
            {"momentum_buffer": "x"},
            TypeError,
            "momentum_buffer of parameter 0 must be a tensor, is str",
        ),
        ("SGD", {"momentum_buffer": cnnx.ones(3)}, RuntimeError, "momentum_buffer"),
        ("NAdam", {"mu_product": cnnx.ones(2)}, RuntimeError, "mu_product of parameter 0 must be a number"),
        ("Rprop", {"step_size": cnnx.ones(3)}, RuntimeError, "rprop_step: step_size of parameter 0"),
    ]
    for kind, values, error, words in cases:
        opt, p = trained(kind)
        before = p.tolist()
        opt.state[p].update(values)
        with pytest.raises(error, match=words):
            advance(opt, p)
        assert p.tolist() == before
    opt, p = trained("SGD")
    opt.state[p] = 3
    with pytest.raises(TypeError, match="the state of parameter 0 must be a dict, is int"):
        advance(opt, p)
    opt.state.clear()
    opt.param_groups[0]["params"].append(p)
    with pytest.raises(ValueError, match="a parameter is in the group twice"):
        advance(opt, p)
    for wrong in (None, "p"):
        opt.param_groups[0]["params"] = [p, wrong]
        with pytest.raises(TypeError, match="parameter 1"):
            opt.step()
    opt.param_groups[0]["params"] = 7
    with pytest.raises(TypeError, match="params must be a list"):
        opt.step()


def test_an_error_in_one_state_makes_none_in_others():
    p, q = nn.Parameter(cnnx.ones(2)), nn.Parameter(cnnx.ones(2))
    opt = optim.Adam([p, q])
    opt.state[q] = {"exp_avg": cnnx.ones(3)}
    p.grad = q.grad = cnnx.ones(2)
    with pytest.raises(RuntimeError, match="exp_avg of parameter 1"):
        opt.step()
    assert p not in opt.state
    assert list(opt.state[q]) == ["exp_avg"]


def test_frozen_parameters_get_no_state():
    p, q = nn.Parameter(cnnx.ones(2)), nn.Parameter(cnnx.ones(2))
    opt = optim.Adam([p, q])
    p.grad = cnnx.ones(2)
    opt.step()
    assert list(opt.state) == [p]


def test_a_state_that_is_expanded_is_refused():
    opt, p = trained("SGD")
    opt.state[p]["momentum_buffer"] = cnnx.zeros(1).expand(2)
    with pytest.raises(RuntimeError, match="momentum_buffer of parameter 0"):
        advance(opt, p)


def test_the_state_of_another_optimizer_is_refused():
    """PyTorch's step misses the option; a file from before there were flags loads."""
    p = nn.Parameter(cnnx.ones(2))
    sgd, adam = optim.SGD([p], lr=0.1, momentum=0.9), optim.Adam([p])
    with pytest.raises(
        ValueError, match="SGD: load_state_dict: a group of another optimizer: it has no 'momentum'"
    ):
        sgd.load_state_dict(adam.state_dict())
    with pytest.raises(ValueError, match=r"Adam: load_state_dict: .* it has no 'betas'"):
        adam.load_state_dict(sgd.state_dict())
    assert sgd.param_groups[0]["momentum"] == 0.9
    old = sgd.state_dict()
    for flag in ("maximize", "foreach", "differentiable", "fused"):
        del old["param_groups"][0][flag]
    sgd.load_state_dict(old)
    assert sgd.param_groups[0]["maximize"] is False
