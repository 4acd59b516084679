"""Eager, matched and static over generated networks, optimizers and what happens between their steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import cnnx
import cnnx.nn.functional as F
from cnnx import nn, optim
from cnnx.optim import lr_scheduler
from drawn import given, st

pytestmark = [pytest.mark.filterwarnings("error"), pytest.mark.cpu("plans run on the CPU")]

CHANNELS, SIDE, CLASSES = 4, 8, 5

# Layers that keep (N, 4, H, W) in form; pooling makes H and W smaller.
SPATIAL: dict[str, Callable[[], nn.Module]] = {
    "conv": lambda: nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1),
    "conv_tanh": lambda: nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, activation="tanh"),
    "grouped": lambda: nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, groups=2, bias=False),
    "transposed": lambda: nn.ConvTranspose2d(CHANNELS, CHANNELS, 3, padding=1),
    "relu": nn.ReLU,
    "relu_in_place": lambda: nn.ReLU(inplace=True),
    "sigmoid": nn.Sigmoid,
    "gelu": nn.GELU,
    "leaky": nn.LeakyReLU,
    "max_pool": lambda: nn.MaxPool2d(2, padding=1),
    "max_pool_overlapping": lambda: nn.MaxPool2d(3, stride=1, padding=1),
    "avg_pool": lambda: nn.AvgPool2d(3, stride=1, padding=1),
    "batch_norm": lambda: nn.BatchNorm2d(CHANNELS),
    "group_norm": lambda: nn.GroupNorm(2, CHANNELS),
    "dropout": lambda: nn.Dropout(0.3),
    "dropout2d": lambda: nn.Dropout2d(0.3),
}
FLAT: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: nn.Linear(12, 12),
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "layer_norm": lambda: nn.LayerNorm(12),
    "batch_norm": lambda: nn.BatchNorm1d(12),
    "dropout": lambda: nn.Dropout(0.5),
    "softmax": lambda: nn.Softmax(dim=1),
}
OPTIMIZERS: dict[str, Callable[[Any], optim.Optimizer]] = {
    "sgd": lambda p: optim.SGD(p, lr=0.05),
    "momentum": lambda p: optim.SGD(p, lr=0.02, momentum=0.9, nesterov=True, weight_decay=1e-3),
    "adam": lambda p: optim.Adam(p, lr=0.01),
    "adamw": lambda p: optim.AdamW(p, lr=0.01, amsgrad=True),
    "adadelta": optim.Adadelta,
    "rmsprop": lambda p: optim.RMSprop(p, lr=0.01, momentum=0.5),
    "adagrad": lambda p: optim.Adagrad(p, lr=0.05),
    "nadam": optim.NAdam,
    "radam": lambda p: optim.RAdam(p, lr=0.01),
    "adamax": optim.Adamax,
    "rprop": lambda p: optim.Rprop(p, lr=0.001),
    "asgd": optim.ASGD,
}


COMPILE: dict[str, Callable[[Any], Any]] = {
    "eager": lambda function: function,
    "matched": cnnx.compile,
    "static": lambda function: cnnx.compile(function, static=True, fullgraph=True),
}


class Program:
    """A network with its optimizer, whose steps and predictions are eager, matched or static."""

    def __init__(self, spatial: list[str], residual: bool, flat: list[str], optimizer: str, how: str) -> None:
        cnnx.manual_seed(11)
        self.body = nn.Sequential(*(SPATIAL[name]() for name in spatial))
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(CHANNELS, 12))
        self.tail = nn.Sequential(*(FLAT[name]() for name in flat), nn.Linear(12, CLASSES))
        self.stem = nn.Conv2d(1, CHANNELS, 3, padding=1)
        model = nn.Module()
        model.parts = nn.ModuleList([self.stem, self.body, self.head, self.tail])
        model.residual = residual
        self.model = model
        self.optimizer = OPTIMIZERS[optimizer](model.parameters())
        self.schedule = lr_scheduler.StepLR(self.optimizer, 2, 0.5)
        net, opt, schedule = self.net, self.optimizer, self.schedule

        def step(x: cnnx.Tensor, y: cnnx.Tensor) -> tuple[cnnx.Tensor, cnnx.Tensor]:
            opt.zero_grad()
            output = net(x)
            loss = F.cross_entropy(output, y)
            loss.backward()
            opt.step()
            schedule.step()
            return loss, output.argmax(1)

        compiled = COMPILE[how]
        self.step, self.predict = compiled(step), compiled(net)

    def net(self, x: cnnx.Tensor) -> cnnx.Tensor:
        """The stem, the body (with a way around it where its form allows), head and tail."""
        h = self.stem(x)
        deep = self.body(h.clone())
        if self.model.residual and deep.shape == h.shape:
            deep = deep + h
        return self.tail(self.head(deep))


def act(program: Program, action: str, size: int, seed: int) -> list[Any]:
    """One thing that happens, and what can be seen of it."""
    rng = np.random.default_rng(seed)
    x = cnnx.from_numpy(rng.standard_normal((size, 1, SIDE, SIDE)).astype(np.float32))
    y = cnnx.from_numpy(rng.integers(0, CLASSES, size))
    model, optimizer = program.model, program.optimizer
    first = next(iter(model.parameters()))
    if action == "train":
        return [t.tolist() for t in program.step(x, y)]
    if action == "predict":
        with cnnx.no_grad():
            return program.predict(x).tolist()
    if action == "eval":
        model.eval()
    elif action == "train_mode":
        model.train()
    elif action == "rate":
        optimizer.param_groups[0]["lr"] *= 0.5
    elif action == "edit":
        with cnnx.no_grad():
            first.mul_(0.5)
    elif action == "replace":
        first.data = first.detach() * 1.5
    elif action == "freeze":
        first.requires_grad_(not first.requires_grad)
    elif action == "no_grads":
        for p in model.parameters():
            p.grad = None
    elif action == "reload":
        model.load_state_dict({k: v.clone() for k, v in model.state_dict().items()})
        optimizer.load_state_dict(optimizer.state_dict())
    elif action == "seed":
        cnnx.manual_seed(seed)
    elif action == "eager":  # the same network beside the plan
        F.cross_entropy(program.net(x), y).backward()
    return [None if p.grad is None else p.grad.numpy().tobytes() for p in model.parameters()]


def outcome(program: Program, action: str, size: int, seed: int) -> Any:
    """What can be seen of it, or the error: an activation in place may overwrite what a gradient needs."""
    try:
        return act(program, action, size, seed)
    except RuntimeError as error:
        return str(error)


ACTIONS = ["eval", "train_mode", "rate", "edit", "replace", "freeze", "no_grads", "reload", "seed", "eager"]
turns = st.tuples(
    st.sampled_from(["train"] * 8 + ["predict"] * 4 + ACTIONS), st.sampled_from([40, 40, 40, 17])
)


@given(
    spatial=st.lists(st.sampled_from(list(SPATIAL)), max_size=5),
    residual=st.booleans(),
    flat=st.lists(st.sampled_from(list(FLAT)), max_size=3),
    optimizer=st.sampled_from(list(OPTIMIZERS)),
    program=st.lists(turns, min_size=10, max_size=24),
)
def test_a_plan_never_changes_what_a_program_means(spatial, residual, flat, optimizer, program) -> None:
    seen = []
    for how in COMPILE:
        made = Program(spatial, residual, flat, optimizer, how)
        told = [outcome(made, action, size, i) for i, (action, size) in enumerate(program)]
        state = {name: t.numpy().tobytes() for name, t in made.model.state_dict().items()}
        seen.append((told, state, made.optimizer.param_groups[0]["lr"], cnnx.rand(2).tolist()))
    for how, other in zip(COMPILE, seen, strict=True):
        for (action, _), expected, told in zip(program, seen[0][0], other[0], strict=True):
            assert told == expected, (how, action)
        assert other[1:] == seen[0][1:], how
