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
from cnnx.utils.data import DataLoader, Dataset, TensorDataset


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


def test_goes_on_with_the_samples_that_were_held_out(tmp_path) -> None:
    x, y = data(60)
    path, seen = tmp_path / "state.safetensors", []

    class Note(training.Callback):
        def on_fit_begin(self, trainer):
            seen.append(sorted(trainer.validation.dataset.indices))

    for more in ({"epochs": 1, "checkpoint": path}, {"epochs": 2, "resume": path}):
        cnnx.fit(net(), (x, y), validation=0.25, callbacks=[Note()], verbose=False, **more)
    assert list(seen[0]) == list(seen[1])
    cnnx.fit(net(), (x, y), validation=0.25, epochs=2, resume=path, checkpoint=path, verbose=False)
    with pytest.raises(ValueError, match="epochs 1 does not fit resume: 2 are complete"):
        cnnx.fit(net(), (x, y), epochs=1, resume=path, verbose=False)
    with pytest.raises(
        ValueError, match=r"the state has \[.*\], here are \['train_accuracy', 'train_loss'\]"
    ):
        cnnx.fit(net(), (x, y), epochs=3, resume=path, verbose=False)
    with pytest.raises(ValueError, match="lr does not fit resume"):
        cnnx.fit(net(), (x, y), epochs=3, resume=path, lr=0.1, verbose=False)


def test_a_pass_that_failed_begins_anew() -> None:
    x, y = data(64)

    class Fails(TensorDataset):
        calls = 0

        def __getitem__(self, index):
            self.calls += 1
            if self.calls == 20:
                raise OSError("the disk is away")
            return super().__getitem__(index)

    model = net()
    loader = DataLoader(Fails(x, y), batch_size=16)
    trainer = training.Trainer(
        model, loader, loss=nn.CrossEntropyLoss(), optimizer=optim.SGD(model.parameters(), lr=0.1)
    )
    seen = []

    class Count(training.Callback):
        def on_batch_end(self, trainer):
            seen.append(trainer.means.count)

    trainer.callbacks.append(Count())
    with pytest.raises(OSError, match="the disk is away"):
        trainer.fit(1)
    trainer.fit(1)
    assert seen == [16, 16, 32, 48, 64]


def test_a_state_begins_a_pass_anew() -> None:
    x, y = data(64)
    model = net()
    loader = DataLoader(TensorDataset(x, y), batch_size=8, shuffle=True)
    make = optim.SGD(model.parameters(), lr=0.1)
    trainer = training.Trainer(model, loader, loss=nn.CrossEntropyLoss(), optimizer=make)
    state = trainer.state_dict()

    class Halt(training.Callback):
        batches = 0

        def on_batch_end(self, trainer):
            self.batches += 1
            if self.batches == 3:
                raise KeyboardInterrupt

    trainer.callbacks.append(halt := Halt())
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(1)
    trainer.load_state_dict(state)
    trainer.fit(1)
    assert halt.batches == 3 + 8
    batches = [(x[i : i + 16], y[i : i + 16]) for i in range(0, 64, 16)]
    other = training.Trainer(model, batches, loss=nn.CrossEntropyLoss(), optimizer=make, callbacks=[Halt()])
    with pytest.raises(KeyboardInterrupt):
        other.fit(1)
    with pytest.raises(ValueError, match="within an epoch, and its batches have no place"):
        other.load_state_dict(other.state_dict())


def test_early_stopping_waits_from_what_was_better_by_the_margin() -> None:
    def stopped_at(values, **options):
        stopping = training.EarlyStopping(monitor="train_loss", **options)

        class Trainer:
            history = training.History()
            model = nn.Linear(1, 1)
            why = None

            def stop(self, why):
                self.why = why

        trainer = Trainer()
        for epoch, value in enumerate(values, 1):
            trainer.history = training.History([*trainer.history.rows, {"epoch": epoch, "train_loss": value}])
            stopping.on_epoch_end(trainer)
            if trainer.why:
                return epoch
        return None

    assert stopped_at([5, 4.4, 3.8, 3.2, 2.6, 2.0], patience=2, min_delta=1) is None
    assert stopped_at([5, 5, 5, 5], patience=2) == 3
    assert stopped_at([math.nan] * 9, patience=3) == 3
    assert stopped_at([math.nan, 1.0, 0.5, 0.6, 0.7], patience=2) == 5


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
    assert out[0].startswith("epoch 1/5  loss ")
    assert out[1] == "stopped: it is enough"


def test_lines_and_table(capsys) -> None:
    x, y = data(64)
    history = cnnx.fit(net(), (x, y), validation=0.25, epochs=2)
    lines, row = capsys.readouterr().out.splitlines(), history.rows[0]
    assert lines[0].split("  ")[:3] == ["epoch 1/2"] + [
        f"{word}loss {row[part + '_loss']:.4f} acc {row[part + '_accuracy']:.4f}"
        for word, part in (("", "train"), ("val ", "validation"))
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


@pytest.mark.parametrize(
    ("quantity", "train", "validation", "leads"),
    [
        ("loss", [3.0, 2.0], [3.5, 1.5], True),
        ("loss", [3.0, 2.0], [3.0, 2.5], False),
        ("accuracy", [0.5, 0.6], [0.4, 0.7], True),
        ("accuracy", [0.5, 0.6], [0.5, 0.5], False),
    ],
)
def test_the_picture_says_why_validation_can_be_better(quantity, train, validation, leads):
    pytest.importorskip("matplotlib")
    rows = [
        {"epoch": 1 + i, f"train_{quantity}": a, f"validation_{quantity}": b}
        for i, (a, b) in enumerate(zip(train, validation, strict=True))
    ]
    note = training.History(rows).plot().get_supxlabel()
    assert ("training values are means over the epoch" in " ".join(note.split())) == leads
    assert training.History([{"epoch": 1, "train_loss": 1.0}]).plot().get_supxlabel() == ""


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
        "optimizer must be an object",
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
    "loss": (lambda: cnnx.fit(net(), (X, Y), loss="mse"), TypeError, "loss must be a fun"),
    "class of loss": (lambda: cnnx.fit(net(), (X, Y), loss=nn.MSELoss), TypeError, "loss must be a fun"),
    "schedule": (
        lambda: cnnx.fit(net(), (X, Y), scheduler="cosine"),
        TypeError,
        "scheduler must be an object",
    ),
    "callback": (
        lambda: cnnx.fit(net(), (X, Y), callbacks=[print]),
        TypeError,
        "callbacks must be a list of",
    ),
    "metrics": (
        lambda: cnnx.fit(net(), (X, Y), metrics=training.accuracy),
        TypeError,
        "must be a list or a dict",
    ),
    "twice": (
        lambda: cnnx.fit(net(), (X, Y), metrics=[training.accuracy] * 2),
        ValueError,
        "two metrics are called accuracy",
    ),
    "called loss": (
        lambda: cnnx.fit(net(), (X, Y), metrics={"loss": training.accuracy}),
        ValueError,
        "a metric cannot be called loss",
    ),
    "letters": (lambda: cnnx.fit(net(), (X, np.array(["a"] * 8))), TypeError, "arrays must hold numbers"),
    "other model": (
        lambda: cnnx.fit(net(), (X, Y), optimizer=optim.SGD(net().parameters(), lr=1.0)),
        ValueError,
        "the optimizer has no parameter of the model",
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


def test_a_loss_that_is_found_draws_nothing():
    class Noisy(Dataset):
        def __len__(self):
            return 8

        def __getitem__(self, index):
            return cnnx.rand(3), index % 2

    losses = []
    for named in ({}, {"loss": F.cross_entropy, "metrics": {}}):
        cnnx.manual_seed(3)
        model = nn.Linear(3, 2)
        loader = DataLoader(Noisy(), batch_size=4)
        losses.append(cnnx.fit(model, loader, epochs=1, verbose=False, **named)["train_loss"])
    assert losses[0] == losses[1]
