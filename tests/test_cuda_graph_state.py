"""Edits of an optimizer between the replays of a CUDA graph: they count, or are refused."""

import pytest

import cnnx
from graphs import OPTIMIZERS, Training, assert_same

pytestmark = pytest.mark.skipif(not cnnx.cuda.is_available(), reason="no CUDA device")


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_values_that_are_edited_count_at_the_next_replay(name):
    def train(replays):
        training = Training("dense", name).run(0, 1)
        if replays:
            training.capture()
        training.run(1, 3)
        for i, entry in enumerate(training.optimizer.state.values()):
            for key, value in entry.items():
                if key != "step":
                    value.mul_(0.5)
                elif i % 2:
                    entry[key] = cnnx.tensor(0.0)
                else:
                    value.fill_(7)
        training.optimizer.param_groups = [dict(group) for group in training.optimizer.param_groups]
        return training.run(3, 5).everything()

    assert_same(train(False), train(True))


def parameter(training):
    return training.optimizer.param_groups[0]["params"][0]


EDITS = {
    "a state of the optimizer": lambda t: t.optimizer.state.__setitem__(parameter(t), {}),
    "the exp_avg_sq of parameter 0": lambda t: t.optimizer.state[parameter(t)].update(
        exp_avg_sq=cnnx.zeros_like(parameter(t).detach())
    ),
    "a state of the optimizer ": lambda t: t.optimizer.state.clear(),
    "the memory of parameter 0": lambda t: t.optimizer.param_groups[0]["params"].reverse(),
    "the number of inputs": lambda t: t.optimizer.param_groups[0]["params"].pop(),
    "the number of inputs ": lambda t: t.optimizer.param_groups[0]["params"].__setitem__(
        0, cnnx.nn.Parameter(parameter(t).detach().clone())
    ),
}


@pytest.mark.parametrize("changed", EDITS)
def test_memory_that_is_exchanged_is_refused_until_the_next_capture(changed):
    training = Training("dense", "Adam").run(0, 1).capture().run(1, 2)
    before = [p.detach().cpu().tolist() for p in training.net.parameters()]
    EDITS[changed](training)
    with pytest.raises(RuntimeError, match=f"{changed.strip()} has changed since"):
        training.graph.replay()
    assert [p.detach().cpu().tolist() for p in training.net.parameters()] == before
    training.run(2, 3, eager=True).capture().run(3, 4)
