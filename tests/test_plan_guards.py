"""cnnx.compile(static=True): what has to be as it was for a replay, and what no plan repeats."""

from __future__ import annotations

import copy
import gc
import pickle
import threading
import warnings
import weakref

import numpy as np
import pytest

import cnnx
import cnnx.nn.functional as F
from cnnx import nn, plans

pytestmark = [pytest.mark.filterwarnings("error"), pytest.mark.cpu("plans run on the CPU")]


def test_variables_that_stand_for_something_else_count() -> None:
    factor = cnnx.full((2,), 2.0)

    def f(x):
        return x * factor

    run = cnnx.compile(f, static=True, fullgraph=True)
    x = cnnx.ones(2)
    for _ in range(4):
        assert run(x).tolist() == [2.0, 2.0]
    factor = cnnx.full((2,), 5.0)
    for _ in range(4):
        assert run(x).tolist() == [5.0, 5.0]
    factor.fill_(7.0)  # the same tensor with other values
    assert run(x).tolist() == [7.0, 7.0]


GLOBAL = cnnx.full((1,), 3.0)


def test_global_names_count(monkeypatch: pytest.MonkeyPatch) -> None:
    run = cnnx.compile(lambda x: x + GLOBAL, static=True, fullgraph=True)
    for _ in range(3):
        assert run(cnnx.zeros(1)).item() == 3.0
    monkeypatch.setitem(globals(), "GLOBAL", cnnx.full((1,), 4.0))
    for _ in range(3):
        assert run(cnnx.zeros(1)).item() == 4.0


def test_attributes_of_modules_count() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale, self.calls = 2.0, 0

        def forward(self, x):
            return x * self.scale

    model = Scaled()
    run = cnnx.compile(model, static=True, fullgraph=True)
    for scale in (2.0, 3.0):
        model.scale = scale
        for _ in range(3):
            assert run(cnnx.ones(1)).item() == scale

    class Counts(Scaled):
        def forward(self, x):
            self.calls += 1
            return x * self.calls

    class Listed(nn.Module):
        shift = 0.0

        def __init__(self) -> None:
            super().__init__()
            self.factors, self.options = [2.0], {"plus": 1.0}

        def forward(self, x):
            return x * self.factors[0] + self.options["plus"] - self.shift

    listed = Listed()
    run = cnnx.compile(listed, static=True, fullgraph=True)
    for factor, plus in ((2.0, 1.0), (3.0, 1.0), (3.0, 4.0)):
        listed.factors[0], listed.options["plus"] = factor, plus
        for _ in range(3):
            assert run(cnnx.ones(1)).item() == factor + plus
    Listed.shift = 1.0
    assert run(cnnx.ones(1)).item() == factor + plus - 1.0

    counted = Counts()
    run = cnnx.compile(counted, static=True)
    with pytest.warns(UserWarning, match="Counts: calls changes while it runs; it runs as it is"):
        assert [run(cnnx.ones(1)).item() for _ in range(5)] == [1.0, 2.0, 3.0, 4.0, 5.0]

    def outer():
        count = 0

        def step(x):
            nonlocal count
            count += 1
            return x * count

        return step

    run = cnnx.compile(outer(), static=True)
    with pytest.warns(UserWarning, match="count changes while it runs"):
        assert [run(cnnx.ones(1)).item() for _ in range(4)] == [1.0, 2.0, 3.0, 4.0]


def test_arrays_from_outside_are_not_frozen() -> None:
    values = iter(range(1, 9))

    def f(x):
        return x * cnnx.from_numpy(np.float32([next(values)]))

    run = cnnx.compile(f, static=True)
    with pytest.warns(UserWarning, match="read or written outside"):
        assert [run(cnnx.ones(1)).item() for _ in range(4)] == [1.0, 2.0, 3.0, 4.0]


def test_arguments_that_share_memory() -> None:
    weight = nn.Parameter(cnnx.ones(2, 3))

    def f(a, b):
        with cnnx.no_grad():
            a.mul_(2.0)
            return (a + b) @ weight.T

    run = cnnx.compile(f, static=True, fullgraph=True)
    data = cnnx.arange(24, dtype=cnnx.float32).reshape(8, 3)
    other = data.clone()
    for i in range(4):  # changes its argument, which is a part of `data`
        np.testing.assert_array_equal(
            run(data[2 * i : 2 * i + 2], cnnx.ones(2, 3)).numpy(),
            f(other[2 * i : 2 * i + 2], cnnx.ones(2, 3)).numpy(),
        )
    np.testing.assert_array_equal(data.numpy(), other.numpy())
    x, y = cnnx.ones(2, 3), cnnx.ones(2, 3)
    np.testing.assert_array_equal(run(x, x).numpy(), f(y, y).numpy())
    copy = weight.detach().clone()
    expected = ((copy * 2 + copy) @ (copy * 2).T).numpy()
    np.testing.assert_array_equal(
        run(weight.detach(), copy).numpy(), f(copy * 0 + 2, copy).numpy() * 0 + expected
    )


def in_step(make, calls: int = 8) -> None:
    """`make(compile)` returns what to call: eager and planned, it gives the same at every call."""

    def planned(function):
        return cnnx.compile(function, static=True)

    seen = []
    for wrap in (lambda function: function, planned):
        cnnx.manual_seed(4)
        call = make(wrap)
        seen.append([[t if t is None else t.detach().numpy().copy() for t in call(i)] for i in range(calls)])
    for i, (a, b) in enumerate(zip(*seen, strict=True)):
        for x, y in zip(a, b, strict=True):
            np.testing.assert_array_equal(x, y, err_msg=f"call {i}")


def gradients(model: nn.Module):
    return [p.grad for p in model.parameters()]


@pytest.mark.parametrize("zero", ["model", "optimizer"])
def test_gradients_of_parameters_that_nothing_is_computed_with(zero: str) -> None:
    def make(wrap):
        trunk, heads = nn.Linear(3, 3), [nn.Linear(3, 2), nn.Linear(3, 2)]
        model = nn.ModuleList([trunk, *heads])
        opt = cnnx.optim.SGD(model.parameters(), lr=0.1)

        def step_of(head):
            def step(x):
                (opt if zero == "optimizer" else model).zero_grad()
                loss = head(trunk(x)).square().sum()
                loss.backward()
                opt.step()
                return loss

            return wrap(step)

        steps = [step_of(head) for head in heads]
        return lambda i: [steps[i % 2](cnnx.randn(4, 3)), *model.parameters(), *gradients(model)]

    in_step(make, 12)


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.filterwarnings("ignore:compile")
def test_a_step_apart_from_its_gradients(clip: bool) -> None:
    def make(wrap):
        model = nn.Linear(3, 2)
        opt = cnnx.optim.SGD(model.parameters(), lr=0.1)

        @wrap
        def apply():
            if clip:
                nn.utils.clip_grad_norm_(model.parameters(), 0.1)
            opt.step()
            opt.zero_grad()

        def call(i):
            model(cnnx.randn(4, 3)).square().sum().backward()
            apply()
            return [*model.parameters(), *gradients(model)]

        return call

    in_step(make, 14)


def test_groups_of_the_optimizer_change() -> None:
    def make(wrap):
        model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2))
        opt = cnnx.optim.SGD(model.parameters(), lr=0.1, momentum=0.5)

        @wrap
        def step(x):
            opt.zero_grad()
            loss = model(x).square().sum()
            loss.backward()
            opt.step()
            return loss

        def call(i):
            if i == 4:
                opt.param_groups[0]["params"] = list(model[0].parameters())
            if i == 7:
                opt.add_param_group({"params": list(model[1].parameters()), "lr": 0.3})
            return [step(cnnx.randn(4, 3)), *model.parameters(), *gradients(model)]

        return call

    in_step(make, 11)


def test_gradients_are_gone_after_a_replay_that_raised() -> None:
    model = nn.Linear(4, 3)
    opt = cnnx.optim.SGD(model.parameters(), lr=0.1)

    @cnnx.compile(static=True, fullgraph=True)
    def step(x, y):
        opt.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        opt.step()
        return loss

    for y in ([0, 1], [2, 1], [0, 0], [1, 1]):
        step(cnnx.randn(2, 4), cnnx.tensor(y))
    with pytest.raises(IndexError, match="out of range"):
        step(cnnx.randn(2, 4), cnnx.tensor([0, 3]))
    assert gradients(model) == [None, None]


SCALE = 2.0


def scaled(x):
    return x * SCALE


def test_what_is_used_without_being_called(monkeypatch: pytest.MonkeyPatch) -> None:
    class Chain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(3, 3), nn.Linear(3, 3)])

        def forward(self, x):
            for layer in self.layers:
                x = layer(x)
            return scaled(x) + sum([SCALE for _ in range(2)])

    model, lone = Chain(), nn.Linear(3, 3)

    def f(x):
        return F.linear(model(x), lone.weight)

    run = cnnx.compile(f, static=True, fullgraph=True)
    x = cnnx.randn(2, 3)

    def check() -> None:
        for _ in range(3):
            np.testing.assert_array_equal(run(x).numpy(), f(x).numpy())

    with cnnx.no_grad():
        check()
        model.layers[1] = nn.Linear(3, 3)
        check()
        model.layers.append(nn.Linear(3, 3))
        check()
        lone.weight = nn.Parameter(cnnx.ones(3, 3))
        check()
        monkeypatch.setitem(globals(), "SCALE", 3.0)
        check()


def test_zeros_have_signs() -> None:
    run = cnnx.compile(lambda x, by: x * by, static=True, fullgraph=True)
    for by in (0.0, 0.0, 0.0, -0.0, -0.0, -0.0):
        np.testing.assert_array_equal(np.signbit(run(cnnx.ones(2), by).numpy()), np.signbit([by, by]))


def refused(function, why: str):
    run = cnnx.compile(function, static=True)

    def call(*args):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return run(*args)

    with pytest.raises(RuntimeError, match=why):
        cnnx.compile(function, static=True, fullgraph=True)(cnnx.zeros(3))
    return call


def test_seeds_and_generators_within() -> None:
    def seeds(x):
        cnnx.manual_seed(0)
        return x + cnnx.rand(3)

    run = refused(seeds, "random numbers are seeded anew")
    cnnx.manual_seed(0)
    assert len({tuple(run(cnnx.zeros(3)).tolist()) for _ in range(4)}) == 1

    own = cnnx.Generator().manual_seed(0)

    def both(x):
        return x + cnnx.rand(3) - cnnx.rand(3, generator=own)

    run = refused(both, "rand draws from a generator of its own")
    cnnx.manual_seed(0)
    own.manual_seed(0)
    for _ in range(4):
        assert run(cnnx.zeros(3)).tolist() == [0.0] * 3
    assert cnnx.rand(3).tolist() == cnnx.rand(3, generator=own).tolist()


def test_arguments_that_are_changed_as_objects() -> None:
    weight = cnnx.tensor([1.0, -2.0, 3.0])

    def attack(x):
        x.requires_grad_()
        (x * weight).sum().backward()
        return x.detach() + x.grad

    run = refused(attack, "an argument requires a gradient")
    for _ in range(4):
        x = cnnx.ones(3)
        assert run(x).tolist() == [2.0, -1.0, 4.0]
        assert x.grad.tolist() == weight.tolist()

    def moves(x):
        x.data = x.data * 2
        return x + 1

    run = refused(moves, "a tensor is given other memory")
    for _ in range(4):
        x = cnnx.ones(3)
        assert run(x).tolist() == [3.0] * 3
        assert x.tolist() == [2.0] * 3


class Trainer:
    def __init__(self) -> None:
        self.model = nn.Linear(3, 2)
        self.opt = cnnx.optim.SGD(self.model.parameters(), lr=0.1)
        self.scale = 2.0

    def as_it_is(self, x):
        """Trains."""
        self.opt.zero_grad()
        loss = (self.model(x) * self.scale).square().sum()
        loss.backward()
        self.opt.step()
        return loss

    step = cnnx.compile(as_it_is, static=True, fullgraph=True)


@pytest.mark.parametrize("form", ["decorated", "attribute"])
def test_methods(form: str) -> None:
    def make(wrap):
        planned = wrap(test_methods) is not test_methods
        trainers = [Trainer(), Trainer()]
        for t in trainers:
            if not planned:
                t.step = t.as_it_is
            elif form == "attribute":
                t.step = wrap(t.as_it_is)

        def call(i):
            if i == 5:
                trainers[0].scale = 3.0
            if i == 8:
                trainers[1].model = nn.Linear(3, 2)
                trainers[1].opt = cnnx.optim.SGD(trainers[1].model.parameters(), lr=0.1)
            losses = [t.step(cnnx.randn(4, 3)) for t in trainers]
            return losses + [p for t in trainers for p in t.model.parameters()]

        return call

    in_step(make, 12)
    trainer = Trainer()
    if form == "attribute":
        trainer.step = cnnx.compile(trainer.as_it_is, static=True)
    for _ in range(4):
        trainer.step(cnnx.ones(1, 3))
    assert trainer.step.__doc__ == "Trains."
    assert trainer.step.explain(cnnx.ones(1, 3)).steps
    alive = weakref.ref(trainer)
    del trainer
    gc.collect()
    assert alive() is None
    if form == "decorated":
        assert not Trainer.__dict__["step"]._methods


def test_copies_and_attributes_of_a_planned_module() -> None:
    run = cnnx.compile(nn.Linear(3, 2), static=True, fullgraph=True)
    x = cnnx.randn(2, 3)
    with cnnx.no_grad():
        for _ in range(3):
            expected = run(x).numpy()
        for other in (copy.deepcopy(run), pickle.loads(pickle.dumps(run))):
            for _ in range(3):
                np.testing.assert_array_equal(other(x).numpy(), expected)
            other.weight.zero_()
        np.testing.assert_array_equal(run(x).numpy(), expected)
        run.weight = nn.Parameter(cnnx.zeros(2, 3))
        assert run(x).tolist() == [run.bias.tolist()] * 2
    assert pickle.loads(pickle.dumps(planned_twice)) is planned_twice


@cnnx.compile(static=True)
def planned_twice(x):
    return x * 2


def test_threads_note_at_once() -> None:
    model = nn.Linear(16, 16).eval()
    fast = [cnnx.compile(model, static=True, fullgraph=True) for _ in range(30)]
    data = [cnnx.full((2, 16), float(k)) for k in range(8)]
    with cnnx.no_grad():
        expected = [model(x).numpy() for x in data]
    wrong = []

    def work(first: int) -> None:
        with cnnx.no_grad():
            for run in fast:
                wrong.extend(
                    k
                    for k in range(first, first + 5)
                    if not np.array_equal(run(data[k]).numpy(), expected[k])
                )

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_errors_while_noting_do_not_count_as_changes() -> None:
    model = nn.Linear(4, 3)
    run = cnnx.compile(lambda x, y: F.cross_entropy(model(x), y).detach(), static=True, fullgraph=True)
    x = cnnx.randn(2, 4)
    run(x, cnnx.tensor([0, 2]))
    for _ in range(plans.LIMIT + 2):
        with pytest.raises(IndexError, match="out of range"):
            run(x, cnnx.tensor([0, 3]))
    for _ in range(3):
        run(x, cnnx.tensor([0, 1]))
    assert all(c.noting is not None for c in run._cases.values())


def test_a_hook_of_the_update_calls_the_step() -> None:
    def make(wrap):
        model = nn.Linear(3, 3)
        opt = cnnx.optim.SGD(model.parameters(), lr=0.1)
        depth = [0]

        @wrap
        def step(x):
            opt.zero_grad()
            model(x).square().sum().backward()
            opt.step()

        def again(*args):
            if not depth[0]:
                depth[0] = 1
                step(cnnx.ones(2, 3))
                depth[0] = 0

        opt.register_step_post_hook(again)
        return lambda i: [step(cnnx.randn(2, 3)), *model.parameters()]

    in_step(make, 6)


def test_modes_that_are_left_behind() -> None:
    def quiet(x):
        cnnx.set_grad_enabled(False)
        return x * 2

    run = cnnx.compile(quiet, static=True)
    for i in range(4):
        try:
            with warnings.catch_warnings(record=True) as seen:
                warnings.simplefilter("always")
                run(cnnx.ones(2))
            assert not cnnx.is_grad_enabled()
        finally:
            cnnx.set_grad_enabled(True)
        assert [("it leaves another grad mode" in str(w.message)) for w in seen] == [True] * (i == 0)


@pytest.mark.parametrize("how", ["attribute", "itself", "closure"])
def test_what_holds_its_own_plan_is_freed(how: str) -> None:
    def make():
        model = nn.Linear(3, 3)
        if how == "attribute":
            model.fast = cnnx.compile(model, static=True, fullgraph=True)
            return model, model.fast
        owner = Trainer()

        @cnnx.compile(static=True, fullgraph=True)
        def step(x):
            return step(x[:1]) if how == "itself" and x.shape[0] > 1 else owner.model(x)

        owner.step = step
        return owner, step

    held, run = make()
    with cnnx.no_grad():
        for _ in range(4):
            run(cnnx.ones(2, 3))
    alive = weakref.ref(held)
    del held, run
    gc.collect()
    assert alive() is None


def test_a_compiled_module_is_no_part_of_another() -> None:
    whole = nn.Module()
    with pytest.raises(TypeError, match="cannot assign a compiled module as 'part'"):
        whole.part = cnnx.compile(nn.Linear(2, 2), static=True)
    whole.part = cnnx.compile(nn.Linear(2, 2))
    assert len(list(whole.parameters())) == 2
    whole.fast = cnnx.compile(whole, static=True)


def test_check(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, factors = [], [2.0]
    layer = nn.Linear(3, 40)

    def f(x):
        seen.append(len(seen))  # nobody can see that a list grows
        return F.dropout(layer(x) * factors[0], 0.5).detach()

    monkeypatch.setenv("CNNX_COMPILE", "check")
    run = cnnx.compile(f, static=True, fullgraph=True)
    x = cnnx.randn(5, 3)
    for _ in range(5):
        cnnx.manual_seed(1)
        expected = f(x)
        cnnx.manual_seed(1)
        np.testing.assert_array_equal(run(x).detach().numpy(), expected.detach().numpy())
    assert len(seen) == 10
    factors[0] = 3.0
    with pytest.raises(RuntimeError, match=r"function does: step \d+, mul\(.*: .*2.* has become .*3"):
        run(x)
