"""Steps captured as CUDA graphs: replays give the bits of eager steps. Needs a device, or the emulation."""

from __future__ import annotations

import numpy as np
import pytest

import cnnx
import cnnx.nn as nn
import cnnx.nn.functional as F
from cnnx import optim
from graphs import NETS, OPTIMIZERS, Training, assert_replays_are_steps, assert_same, batch, captured
from test_cuda import TABLE

pytestmark = pytest.mark.skipif(not cnnx.cuda.is_available(), reason="no CUDA device")


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("optimizer", ["SGD", "momentum", "Adam"])
def test_replays_give_the_bits_of_eager_steps(net, optimizer):
    losses = assert_replays_are_steps(net, optimizer)[0]
    assert len(set(losses)) == 6


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(
    "schedule",
    [
        lambda o: optim.lr_scheduler.ExponentialLR(o, 0.7),
        lambda o: optim.lr_scheduler.LambdaLR(o, lambda epoch: 1.0 if epoch % 2 else 0.0),
    ],
    ids=["exponential", "on and off"],
)
def test_a_scheduler_acts_between_replays(optimizer, schedule):
    assert_replays_are_steps("dense", optimizer, schedule)


@pytest.mark.parametrize("optimizer", ["momentum", "AdamW"])
def test_a_scheduler_that_cycles_momentum_or_betas(optimizer):
    def schedule(o):
        return optim.lr_scheduler.OneCycleLR(o, max_lr=0.1, total_steps=8)

    assert_replays_are_steps("conv", optimizer, schedule)


def test_float64():
    assert_replays_are_steps("conv", "Adam", dtype=cnnx.float64)


def test_eager_steps_between_replays_and_after_reset():
    eager = Training().run(0, 8).everything()
    mixed = Training().run(0, 1).capture().run(1, 3).run(3, 5, eager=True).run(5, 7)
    mixed.graph.reset()
    assert_same(eager, mixed.run(7, 8, eager=True).everything())


def test_a_capture_leaves_no_trace_in_the_numbers():
    eager = Training().run(0, 3).everything()
    captured = Training().run(0, 2).capture().run(2, 3, eager=True).everything()
    assert_same(eager, captured)


def test_two_graphs_of_one_model():
    def train(replays):
        training = Training().run(0, 1)
        x, y = (t.to("cuda") for t in batch(100, 3))

        def small_step():
            training.optimizer.zero_grad()
            loss = 0.5 * F.cross_entropy(training.net(x), y)
            loss.backward()
            training.optimizer.step()
            return loss

        small = cnnx.cuda.CUDAGraph()
        if replays:
            training.capture()
            with cnnx.cuda.graph(small):
                small_loss = small_step()
        for i in range(1, 4):
            training.run(i, i + 1)
            for t, values in zip((x, y), batch(100 + i, 3), strict=True):
                t.copy_(values)
            if replays:
                small.replay()
                training.losses.append(small_loss.item())
            else:
                training.losses.append(small_step().item())
        return training.everything()

    assert_same(train(False), train(True))


def test_many_parameters_in_groups_and_strided():
    def train(replays):
        cnnx.manual_seed(1)
        params = [cnnx.randn(3, 5, device="cuda").requires_grad_() for _ in range(90)]
        turned = [cnnx.randn(4, 3, device="cuda").t().requires_grad_() for _ in range(2)]
        optimizer = optim.AdamW(
            [{"params": params[:85]}, {"params": params[85:] + turned, "lr": 0.5}], lr=0.1
        )

        def step():
            optimizer.zero_grad()
            sum((p**2).sum() for p in params + turned).backward()
            optimizer.step()

        step()
        graph = cnnx.cuda.CUDAGraph()
        if replays:
            with cnnx.cuda.graph(graph):
                step()
        for i in range(3):
            optimizer.param_groups[1]["lr"] = 0.1 * i
            optimizer.param_groups[0]["weight_decay"] = 0.2 * i
            graph.replay() if replays else step()
        return [p.detach().cpu().numpy() for p in params + turned]

    assert_same(train(False), train(True))


def test_accumulated_and_clipped_gradients():
    def train(replays):
        training = Training("dense", "momentum")

        def step():
            training.optimizer.zero_grad(set_to_none=False)
            for part in (slice(0, 2), slice(2, None)):
                F.cross_entropy(training.net(training.x[part]), training.y[part]).backward()
            norm = nn.utils.clip_grad_norm_(training.net.parameters(), 0.5)
            training.optimizer.step()
            return norm

        training.step = step
        training.run(0, 2)
        if replays:
            training.capture()
        return training.run(2, 5).everything()

    assert_same(train(False), train(True))


def test_the_seed_may_change_between_replays():
    x = cnnx.ones(1000, device="cuda")
    graph = cnnx.cuda.CUDAGraph()
    with cnnx.cuda.graph(graph):
        y = F.dropout(x)
        z = F.dropout(x)
    seen = []
    for seed in (3, 3, 4):
        cnnx.manual_seed(seed)
        graph.replay()
        seen.append((y.tolist(), z.tolist()))
        cnnx.manual_seed(seed)
        assert seen[-1] == (F.dropout(x).tolist(), F.dropout(x).tolist())
    assert seen[0] == seen[1] != seen[2]
    assert seen[0][0] != seen[0][1]


def test_a_mask_drawn_before_the_capture_stays():
    cnnx.manual_seed(7)
    x = cnnx.ones(200, device="cuda", requires_grad=True)
    y = F.dropout(x, 0.5)
    graph = cnnx.cuda.CUDAGraph()
    with cnnx.cuda.graph(graph):
        (gradient,) = cnnx.autograd.grad(y.sum(), x, retain_graph=True)
    cnnx.rand(4)
    graph.replay()
    assert gradient.tolist() == y.tolist()


def test_tables_of_any_size():
    x = cnnx.randn(1, 2, 90, 70, device="cuda", requires_grad=True)

    def run():
        y = F.unfold(F.pad(x, (40, 30, 50, 60), mode="reflect"), 3)
        return y, *cnnx.autograd.grad((y * y).sum(), x)

    graph = cnnx.cuda.CUDAGraph()
    with cnnx.cuda.graph(graph):
        captured = run()
    with cnnx.no_grad():
        x.copy_(cnnx.randn(1, 2, 90, 70))
    graph.replay()
    for a, b in zip(captured, run(), strict=True):
        assert cnnx.equal(a, b)


def results_and_gradients(function, tensors):
    outputs = function(*tensors)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    if outputs[0].requires_grad:
        leaves = [t for t in tensors if t.requires_grad]
        outputs += cnnx.autograd.grad(outputs[0], leaves, cnnx.ones_like(outputs[0]), allow_unused=True)
    return [t.detach() for t in outputs if t is not None]


def is_small(operands):
    return sum(np.prod(o) for o in operands if isinstance(o, tuple)) < 1e5


@pytest.mark.parametrize("name", [name for name in TABLE if name != "to" and is_small(TABLE[name][1:])])
def test_ops(name):
    function, *operands = TABLE[name]
    rng = np.random.default_rng(0)

    def values():
        made = [rng.normal(size=o) if isinstance(o, tuple) else o for o in operands]
        return [cnnx.tensor(v.astype(np.float32) if v.dtype.kind == "f" else v) for v in made]

    tensors = [t.to("cuda").requires_grad_(t.is_floating_point()) for t in values()]
    graph = cnnx.cuda.CUDAGraph()
    captured_results = captured(lambda: results_and_gradients(function, tensors), graph)
    with cnnx.no_grad():
        for tensor, new in zip(tensors, values(), strict=True):
            tensor.copy_(new)
    cnnx.manual_seed(3)
    graph.replay()
    cnnx.manual_seed(3)
    for a, b in zip(captured_results, results_and_gradients(function, tensors), strict=True):
        np.testing.assert_array_equal(a.cpu().numpy(), b.cpu().numpy())


def test_inference():
    net = NETS["conv"]().to("cuda").eval()
    x = batch(0)[0].to("cuda")
    graph = cnnx.cuda.CUDAGraph()
    with cnnx.no_grad(), cnnx.cuda.graph(graph):
        probabilities = F.softmax(net(x), dim=1)
    for i in range(3):
        x.copy_(batch(i)[0])
        graph.replay()
        with cnnx.no_grad():
            assert cnnx.equal(probabilities, F.softmax(net(x), dim=1))


def test_batches_are_counted():
    training = Training().run(0, 1).capture().run(1, 5)
    assert training.net.get_submodule("1").num_batches_tracked.item() == 5
    steps = {float(entry["step"]) for entry in training.optimizer.state_dict()["state"].values()}
    assert steps == {5.0}
    assert len(training.optimizer.state) == len(list(training.net.parameters()))
