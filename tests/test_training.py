"""`cnnx.fit`: against the loop written out, callbacks, going on, what does not fit."""

from __future__ import annotations

import math

import numpy as np
import pytest

import cnnx
import cnnx.nn.functional as F
from cnnx import datasets, nn, optim, training
from cnnx.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR, ReduceLROnPlateau, StepLR
from cnnx.training.split import default_batch_size, folds, held_out
from cnnx.utils.data import DataLoader, TensorDataset


def data(count: int = 100) -> tuple[cnnx.Tensor, cnnx.Tensor]:
    digits = datasets.Digits(train=True)
    return cnnx.tensor(digits.data.numpy()[:count, None] / np.float32(16)), cnnx.tensor(
        digits.targets.numpy()[:count]
    )


def net() -> nn.Module:
    cnnx.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.2), nn.Linear(144, 10)
    )


class Wrapped(nn.Module):
    """A model with Python of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.calls = net(), 0

    def forward(self, x):
        self.calls += 1
        return self.inner(x)


def by_hand(model, x, y, epochs, batch, make, schedule=None, by_batch=False):
    """The loop that `fit` stands for."""
    optimizer = make(model.parameters())
    scheduler = schedule(optimizer) if schedule else None
    loader = DataLoader(TensorDataset(x, y), batch_size=batch, shuffle=True)
    cnnx.manual_seed(5)
    means = []
    for _ in range(epochs):
        model.train()
        total = 0.0
        for a, b in loader:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(a), b)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(b)
            if scheduler and by_batch:
                scheduler.step()
        means.append(total / len(y))
        if scheduler and not by_batch:
            scheduler.step()
    return means


SCHEDULES = {
    "none": (None, False),
    "step": (lambda o: StepLR(o, 1, 0.5), False),
    "one cycle": (lambda o: OneCycleLR(o, 0.05, total_steps=21), True),
    "cosine": (lambda o: CosineAnnealingLR(o, 3), False),
}


@pytest.mark.parametrize("plan", ["auto", "static", "matched", None])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_is_the_loop_written_out(plan, schedule) -> None:
    (x, y), (make, by_batch) = data(), SCHEDULES[schedule]
    expected, found = net(), net()
    means = by_hand(expected, x, y, 3, 16, lambda p: optim.SGD(p, lr=0.05, momentum=0.9), make, by_batch)
    history = cnnx.fit(
        found,
        (x, y),
        epochs=3,
        batch_size=16,
        optimizer=lambda p: optim.SGD(p, lr=0.05, momentum=0.9),
        scheduler=make,
        seed=5,
        plan=plan,
        verbose=False,
    )
    assert history["train_loss"] == means
    assert not found.training
    for a, b in zip(expected.state_dict().values(), found.state_dict().values(), strict=True):
        assert a.tolist() == b.tolist()


def test_a_model_with_python_of_its_own_runs_it() -> None:
    x, y = data(64)
    model, plain = Wrapped(), net()
    history = cnnx.fit(model, (x, y), epochs=4, batch_size=16, seed=5, verbose=False)
    assert model.calls == 16
    assert (
        history["train_loss"]
        == cnnx.fit(plain, (x, y), epochs=4, batch_size=16, seed=5, verbose=False)["train_loss"]
    )


def test_what_data_may_be() -> None:
    x, y = data(64)
    arrays = x.cpu().numpy().astype(np.float64), y.cpu().numpy().astype(np.int32)
    pairs = TensorDataset(x, y)
    batches = [(x[i : i + 16], y[i : i + 16]) for i in range(0, 64, 16)]

    def losses(given, **more):
        return cnnx.fit(net(), given, epochs=2, seed=3, verbose=False, **more)["train_loss"]

    expected = losses((x, y), batch_size=16)
    assert losses(arrays, batch_size=16) == expected
    assert losses(pairs, batch_size=16) == expected
    assert losses(DataLoader(pairs, batch_size=16, shuffle=True)) == expected
    in_order = losses(DataLoader(pairs, batch_size=16))
    assert losses(batches) == in_order != expected

    class Source:
        def __iter__(self):
            return iter(batches)

    assert losses(Source()) == in_order


def test_validation_and_metrics() -> None:
    x, y = data(200)

    def errors(output, target):
        return float((output.argmax(1) != target).float().mean())

    model = net()
    history = cnnx.fit(
        model,
        (x[:150], y[:150]),
        validation=(x[150:], y[150:]),
        epochs=3,
        metrics=[training.accuracy, training.top_k_accuracy(3), errors],
        verbose=False,
    )
    assert history.names[:5] == [
        "epoch",
        "train_loss",
        "train_accuracy",
        "train_top_3_accuracy",
        "train_errors",
    ]
    with cnnx.no_grad():
        scores = model(x[150:])
    row = history.rows[-1]
    ranks = np.argsort(-scores.cpu().numpy(), axis=1)
    labels = y[150:].cpu().numpy()
    assert row["validation_accuracy"] == np.mean(ranks[:, 0] == labels)
    assert row["validation_top_3_accuracy"] == np.mean((ranks[:, :3] == labels[:, None]).any(1))
    assert row["validation_errors"] == pytest.approx(1 - row["validation_accuracy"])
    assert row["validation_loss"] == pytest.approx(F.cross_entropy(scores, y[150:]).item(), rel=1e-6)


def test_regression_needs_a_loss_and_gets_no_accuracy() -> None:
    x = cnnx.randn(40, 3)
    y = x.sum(1, keepdim=True)
    model = nn.Linear(3, 1)
    with pytest.raises(ValueError, match="the targets are no integers: give a loss"):
        cnnx.fit(model, (x, y))
    history = cnnx.fit(model, (x, y), loss=nn.MSELoss(), lr=0.1, epochs=20, verbose=False)
    assert history.names == ["epoch", "train_loss", "lr", "samples_per_second"]
    assert history["train_loss"][-1] < 0.1 * history["train_loss"][0]


def test_a_share_is_held_out_class_by_class() -> None:
    x, y = data(100)
    y = y % 4
    seen = []

    class Note(training.Callback):
        def on_fit_begin(self, trainer):
            sets = [part.dataset for part in (trainer.train, trainer.validation)]
            seen.extend([part[i][1].item() for i in range(len(part))] for part in sets)

    cnnx.fit(net(), (x, y), validation=0.2, epochs=1, callbacks=[Note()], verbose=False)
    train, validation = (np.bincount(part, minlength=4) for part in seen)
    assert train.sum() == 80
    assert validation.sum() == 20
    np.testing.assert_allclose(validation, np.bincount(y.cpu().numpy()) * 0.2, atol=1)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.25, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("counts", [(30, 30, 30), (1, 1), (5, 1), (100, 3, 7), (2,)])
def test_parts_have_the_same_classes(counts, share) -> None:
    targets = np.repeat(np.arange(len(counts)), counts)
    out = held_out(targets, share, cnnx.Generator().manual_seed(0))
    assert out.sum() == min(max(1, round(len(targets) * share)), len(targets) - 1)
    for label, count in enumerate(counts):
        assert abs(out[targets == label].sum() - count * out.sum() / len(targets)) <= 1
    part = folds(targets, 5, cnnx.Generator().manual_seed(0))
    for label, count in enumerate(counts):
        sizes = np.bincount(part[targets == label], minlength=5)
        assert sizes.max() - sizes.min() <= 1, (label, count)
    sizes = np.bincount(part, minlength=5)
    assert sizes.max() - sizes.min() <= 1


def test_batches_fit_the_number_of_samples() -> None:
    assert [default_batch_size(n) for n in (1, 72, 255, 256, 1023, 1024, 10**6)] == [8, 8, 8, 16, 32, 64, 64]


def test_early_stopping_gives_the_best_weights() -> None:
    x, y = data(200)
    model = net()
    stopping = training.EarlyStopping(3, "validation_loss")
    history = cnnx.fit(
        model,
        (x[:50], y[:50]),
        validation=(x[50:], y[50:]),
        epochs=200,
        lr=0.02,
        callbacks=[stopping],
        verbose=False,
        seed=0,
    )
    assert len(history) < 200
    losses = history["validation_loss"]
    assert stopping.best_epoch == 1 + int(np.argmin(losses)) == len(history) - 3
    with cnnx.no_grad():
        assert F.cross_entropy(model(x[50:]), y[50:]).item() == pytest.approx(min(losses), rel=1e-6)
    again = cnnx.fit(
        net(),
        (x[:50], y[:50]),
        validation=(x[50:], y[50:]),
        epochs=200,
        lr=0.02,
        early_stopping=3,
        verbose=False,
        seed=0,
    )
    assert again["validation_loss"] == losses


def test_best_weights_by_a_metric() -> None:
    x, y = data(200)
    model, best = net(), training.BestWeights("validation_accuracy")
    history = cnnx.fit(model, (x, y), validation=0.3, epochs=6, callbacks=[best], verbose=False)
    assert best.best == max(history["validation_accuracy"])
    assert history.best("validation_accuracy")["epoch"] == best.best_epoch
    with pytest.raises(ValueError, match="BestWeights: there is no 'speed', there are epoch, train_loss"):
        cnnx.fit(net(), (x, y), epochs=1, callbacks=[training.BestWeights("speed")], verbose=False)


@pytest.mark.parametrize("scheduler", [None, "plateau", "one cycle"])
def test_goes_on_to_the_same_bits(tmp_path, scheduler) -> None:
    x, y = data(120)
    make = {
        None: None,
        "plateau": lambda o: ReduceLROnPlateau(o, patience=0),
        "one cycle": lambda o: OneCycleLR(o, 0.01, total_steps=6 * 15),
    }[scheduler]

    def run(epochs, **more):
        model = net()
        more.setdefault("seed", 2)
        stop = training.EarlyStopping(50)
        history = cnnx.fit(
            model,
            (x, y),
            validation=(x[:40], y[:40]),
            epochs=epochs,
            scheduler=make,
            callbacks=[stop],
            verbose=False,
            **more,
        )
        return [w.tolist() for w in model.state_dict().values()], history, stop

    weights, history, stop = run(6)
    path = tmp_path / "state.safetensors"
    run(2, checkpoint=path)
    weights_2, history_2, stop_2 = run(6, resume=path, seed=77)
    assert weights == weights_2
    assert stop.best_epoch == stop_2.best_epoch
    for name in set(history.names) - {"samples_per_second"}:
        assert history[name] == history_2[name]
    with pytest.raises(
        ValueError, match=r"the state is of the callbacks \['EarlyStopping'\], there are \[\]"
    ):
        cnnx.fit(net(), (x, y), resume=path, verbose=False)


def test_a_trainer_goes_on_within_an_epoch() -> None:
    x, y = data(100)

    class Halt(training.Callback):
        batches = 0

        def on_batch_end(self, trainer):
            self.batches += 1
            if self.batches == 9:
                raise KeyboardInterrupt

    def trainer(*callbacks):
        model = net()
        loader = DataLoader(TensorDataset(x, y), batch_size=16, shuffle=True)
        return training.Trainer(
            model,
            loader,
            loss=nn.CrossEntropyLoss(),
            optimizer=optim.Adam(model.parameters()),
            metrics={"accuracy": training.accuracy},
            callbacks=callbacks,
        )

    cnnx.manual_seed(3)
    whole = trainer(training.Callback())
    cnnx.manual_seed(3)
    whole.fit(3)
    first = trainer(Halt())
    cnnx.manual_seed(3)
    with pytest.raises(KeyboardInterrupt):
        first.fit(3)
    state = first.state_dict()
    second = trainer(training.Callback())
    second.load_state_dict(state)
    assert second.epoch == 1
    second.fit(3)
    assert second.history["train_loss"] == whole.history["train_loss"]
    assert second.history["train_accuracy"] == whole.history["train_accuracy"]
    cnnx.set_rng_state(state["random"])
    first.callbacks.clear()
    assert first.fit(3)["train_loss"] == whole.history["train_loss"]


def test_callbacks_are_called_in_order(capsys) -> None:
    x, y = data(32)
    calls = []

    class Note(training.Callback):
        def __getattribute__(self, name):
            if name.startswith("on_"):
                calls.append(name.removeprefix("on_"))
            return super().__getattribute__(name)

    class Stop(training.Callback):
        def on_epoch_end(self, trainer):
            trainer.stop("it is enough")

    history = cnnx.fit(net(), (x, y), validation=(x, y), epochs=5, batch_size=16, callbacks=[Note(), Stop()])
    assert calls == [
        "fit_begin", "epoch_begin", "batch_end", "batch_end", "batch_end", "epoch_end", "fit_end",
    ]  # fmt: skip
    assert len(history) == 1
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("epoch 1/5  train loss ")
    assert out[1] == "stopped: it is enough"


def test_lines_and_table(capsys) -> None:
    x, y = data(64)
    history = cnnx.fit(net(), (x, y), validation=0.25, epochs=2)
    lines, row = capsys.readouterr().out.splitlines(), history.rows[0]
    assert lines[0].split("  ")[:3] == ["epoch 1/2"] + [
        f"{part} loss {row[part + '_loss']:.4f} accuracy {row[part + '_accuracy']:.4f}"
        for part in ("train", "validation")
    ]
    assert lines[0].endswith(" left")
    assert not lines[1].endswith(" left")
    table = str(history).splitlines()
    assert table[0].split() == history.names
    assert len(table) == 3
    assert list(history.as_dict()) == history.names
    assert repr(history).startswith("History of 2 epochs: epoch, train_loss")
    with pytest.raises(KeyError, match="there is no 'f1'"):
        history["f1"]
    assert len(training.History()) == 0
    assert str(training.History()) == "no epochs"


def test_the_picture(tmp_path) -> None:
    pytest.importorskip("matplotlib")
    x, y = data(64)
    history = cnnx.fit(net(), (x, y), validation=0.25, epochs=2, verbose=False)
    figure = history.plot(tmp_path / "curves.png")
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "accuracy"]
    assert (tmp_path / "curves.png").stat().st_size > 1000


X, Y = np.zeros((8, 1, 8, 8), np.float32), np.zeros(8, np.int64)
WRONG = {
    "model": (lambda: cnnx.fit(3, (X, Y)), TypeError, "fit: model must be a Module, got int"),
    "epochs": (lambda: cnnx.fit(net(), (X, Y), epochs=0), ValueError, "fit: epochs must be a positive whole"),
    "batch": (lambda: cnnx.fit(net(), (X, Y), batch_size=1.5), ValueError, "fit: batch_size must be a pos"),
    "lengths": (lambda: cnnx.fit(net(), (X, Y[:5])), ValueError, "fit: 8 inputs and 5 targets"),
    "no data": (lambda: cnnx.fit(net(), (X[:0], Y[:0])), ValueError, "fit: there are no training data"),
    "kind": (lambda: cnnx.fit(net(), 5), TypeError, "fit: data must be a pair .*, got int"),
    "generator": (lambda: cnnx.fit(net(), (x for x in [1])), TypeError, "iterated over again, got generator"),
    "samples": (lambda: cnnx.fit(net(), [1, 2, 3]), TypeError, r"fit: data must give pairs"),
    "share": (lambda: cnnx.fit(net(), (X, Y), validation=1.5), ValueError, "share to hold out must lie"),
    "batches": (lambda: cnnx.fit(net(), [(X, Y)], validation=0.5), TypeError, "needs a pair or a data set"),
    "batch of batches": (
        lambda: cnnx.fit(net(), [(X, Y)], batch_size=4),
        ValueError,
        "these are batches already",
    ),
    "optimizer": (
        lambda: cnnx.fit(net(), (X, Y), optimizer="adam"),
        TypeError,
        "optimizer must be an Optimizer",
    ),
    "made": (
        lambda: cnnx.fit(net(), (X, Y), optimizer=list),
        TypeError,
        "the function for optimizer gave a list",
    ),
    "rate": (
        lambda: cnnx.fit(net(), (X, Y), optimizer=optim.SGD(net().parameters(), lr=1.0), lr=1.0),
        ValueError,
        "lr is for an optimizer that is made here",
    ),
    "metric": (lambda: cnnx.fit(net(), (X, Y), metrics=["f1"]), TypeError, "a metric must be a function"),
    "plan": (lambda: cnnx.fit(net(), (X, Y), plan="fast"), ValueError, "plan must be auto, static, matched"),
    "patience": (lambda: training.EarlyStopping(0), ValueError, "EarlyStopping: patience must be"),
    "delta": (lambda: training.EarlyStopping(min_delta=-1), ValueError, "EarlyStopping: min_delta must not"),
    "every": (lambda: training.Checkpoint("x", every=0), ValueError, "Checkpoint: every must be"),
    "k": (lambda: training.top_k_accuracy(0), ValueError, "top_k_accuracy: k must be"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_arguments(case) -> None:
    call, error, message = WRONG[case]
    with pytest.raises(error, match=message):
        call()


def test_a_loss_that_is_no_number_ends_it() -> None:
    x, y = data(32)
    with pytest.raises(
        FloatingPointError, match="fit: the loss became nan in epoch 1; a smaller learning rate"
    ):
        cnnx.fit(net(), (x * math.nan, y), verbose=False)
