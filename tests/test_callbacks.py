"""Callbacks: when they are called, what early stopping counts, what a checkpoint leaves behind."""

from pathlib import Path

import numpy as np
import pytest

from mlp_scratch import MLP, SGD, Callback, Checkpoint, DivergedError, EarlyStopping, load
from mlp_scratch.callbacks import Run
from mlp_scratch.errors import ArgumentError, ArgumentTypeError
from mlp_scratch.history import Epoch, History
from mlp_scratch.losses import MSE

X = np.random.default_rng(0).normal(size=(20, 4))
Y = np.random.default_rng(1).integers(0, 3, 20)


class Diary(Callback):
    """Writes down what it was called for."""

    def __init__(self):
        self.entries = []

    def on_fit_start(self, run):
        self.entries.append(("start", len(run.history.epochs)))

    def on_epoch_end(self, run):
        self.entries.append(("epoch", run.history.epochs[-1].epoch))

    def on_fit_end(self, run):
        self.entries.append(("end", len(run.history.epochs)))


class StopAt(Callback):
    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_end(self, run):
        if len(run.history.epochs) == self.epoch:
            run.stop("enough")


def test_the_order_of_calls():
    diary = Diary()
    model = MLP([4, 3])
    model.fit(X, Y, epochs=2, callbacks=[diary])
    assert diary.entries == [("start", 0), ("epoch", 1), ("epoch", 2), ("end", 2)]
    model.fit(X, Y, epochs=1, callbacks=[diary])
    assert diary.entries[4:] == [("start", 0), ("epoch", 3), ("end", 1)]


def test_a_callback_can_end_the_fit():
    diary, model = Diary(), MLP([4, 3])
    history = model.fit(X, Y, epochs=10, callbacks=[StopAt(3), diary])
    assert len(history.epochs) == 3
    assert history.stopped == "enough"
    assert diary.entries[-2:] == [("epoch", 3), ("end", 3)]  # the others of that epoch are still called
    assert MLP([4, 3]).fit(X, Y, epochs=2).stopped == ""


@pytest.mark.parametrize("reason", [(), ("",)])
def test_a_fit_ends_whatever_the_reason_is(reason):
    class Stop(Callback):
        def on_epoch_end(self, run):
            run.stop(*reason)

    history = MLP([4, 3]).fit(X, Y, epochs=5, callbacks=[Stop()])
    assert (len(history.epochs), history.stopped) == (1, "by a callback")


@pytest.mark.parametrize("reason", [None, 0, ValueError("enough")])
def test_a_reason_that_is_no_text_is_refused(reason):
    run = Run(FakeModel(), History(), ("loss",), lambda: None)
    with pytest.raises(ArgumentTypeError, match=r"^reason: got .*, expected a text; leave it out if there is none"):
        run.stop(reason)
    assert run.stopped == ""


def test_on_fit_end_is_not_called_after_an_error():
    diary, model = Diary(), MLP([4, 8, 1])
    with pytest.raises(DivergedError):
        model.fit(X * 1e9, Y * 1e9, loss="mse", optimizer=SGD(1e9), epochs=20, callbacks=[diary])
    assert all(what != "end" for what, _ in diary.entries)


class FakeModel:
    """What a callback sees of a model: its numbers are those of the epoch."""

    def __init__(self):
        self.flat, self.buffer_vector = np.zeros(1), np.zeros(1)


def run_early_stopping(stopping, values, monitor="val_loss"):
    """Feed figures to it as a fit would; the epochs taken and the model at the end."""
    model, history = FakeModel(), History()
    run = Run(model, history, ("loss", "accuracy", "val_loss", "val_accuracy"), lambda: None)
    stopping.on_fit_start(run)
    for i, value in enumerate(values):
        model.flat[...] = model.buffer_vector[...] = i + 1
        figures = {"loss": 1.0, "accuracy": 0.5, "val_loss": 1.0, "val_accuracy": 0.5, monitor: value}
        history.epochs.append(Epoch(i + 1, **figures, seconds=0.0, samples_per_second=0.0))
        stopping.on_epoch_end(run)
        if run.stopped:
            break
    stopping.on_fit_end(run)
    return len(history.epochs), float(model.flat[0]), float(model.buffer_vector[0])


@pytest.mark.parametrize(
    ("values", "patience", "epochs", "best"),
    [
        ([5, 4, 3, 2, 1], 1, 5, 5),  # improves to the end
        ([5, 6, 7], 1, 2, 1),  # one bad epoch is enough
        ([5, 6, 4, 6, 6, 6], 2, 5, 3),  # an improvement starts the count anew
        ([5, 5, 5, 5], 3, 4, 1),  # no change is no improvement; the first epoch is one
        ([5, 6, 7, 4, 9], 3, 5, 4),  # improves just in time, and ends before patience does
        ([np.nan, 5, np.nan, np.nan], 2, 4, 2),  # NaN is no improvement, and the first may be one
        ([5, np.inf, 4], 2, 3, 3),
    ],
)
def test_early_stopping_counts_epochs_without_improvement(values, patience, epochs, best):
    assert run_early_stopping(EarlyStopping(patience), values) == (epochs, best, best)


def test_early_stopping_can_leave_the_last_parameters():
    assert run_early_stopping(EarlyStopping(1, restore_best=False), [5, 6, 7]) == (2, 2, 2)


def test_early_stopping_asks_for_more_than_min_delta():
    assert run_early_stopping(EarlyStopping(2, min_delta=0.5), [5.0, 4.5, 4.4, 1.0])[:2] == (4, 4)
    assert run_early_stopping(EarlyStopping(2, min_delta=0.5), [5.0, 4.5, 4.5, 1.0])[0] == 3


@pytest.mark.parametrize("monitor", ["accuracy", "val_accuracy"])
def test_early_stopping_knows_that_accuracy_should_grow(monitor):
    stopping = EarlyStopping(2, monitor=monitor)
    assert run_early_stopping(stopping, [0.5, 0.6, 0.6, 0.55, 0.9], monitor) == (4, 2, 2)


def test_early_stopping_watches_the_loss_without_a_validation_set():
    model = MLP([4, 3])
    history = model.fit(X, Y, epochs=30, optimizer=SGD(1e-30), callbacks=[EarlyStopping(2, min_delta=0.1)])
    assert len(history.epochs) == 3
    assert history.stopped == "loss has not improved for 2 epochs"


def test_early_stopping_can_be_used_twice():
    stopping = EarlyStopping(1)
    assert run_early_stopping(stopping, [1, 2])[:2] == (2, 1)
    assert run_early_stopping(stopping, [9, 8, 10])[:2] == (3, 2)


def test_early_stopping_restores_the_epoch_that_was_best():
    best = {}

    class Keep(Callback):
        def on_epoch_end(self, run):
            best[run.history.epochs[-1].val_loss] = run.model.flat.copy(), run.model.buffer_vector.copy()

    X_val, y_val = X[::-1] + 0.5, (Y + 1) % 3  # labels that training makes worse
    model = MLP([4, 16, 3], batch_norm=True)
    history = model.fit(X, Y, epochs=60, optimizer="adam", batch_size=5, validation=(X_val, y_val),
                        callbacks=[Keep(), EarlyStopping(3)])  # fmt: skip
    assert len(history.epochs) < 60
    flat, buffers = best[min(history.column("val_loss"))]
    assert np.array_equal(model.flat, flat)
    assert np.array_equal(model.buffer_vector, buffers)
    assert model.evaluate(X_val, y_val)["loss"] == min(history.column("val_loss"))


def test_a_checkpoint_is_the_model_after_the_epoch(tmp_path):
    path = tmp_path / "m.safetensors"
    whole, stopped = MLP([4, 8, 3], dropout=0.3), MLP([4, 8, 3], dropout=0.3)
    whole.fit(X, Y, batch_size=6, epochs=5)

    class Die(Callback):
        def on_epoch_end(self, run):
            if len(run.history.epochs) == 3:
                raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        stopped.fit(X, Y, batch_size=6, epochs=5, callbacks=[Checkpoint(path), Die()])
    resumed = load(path)
    assert resumed.training.epoch == 3
    resumed.fit(X, Y, batch_size=6, epochs=2)
    assert np.array_equal(resumed.flat, whole.flat)


def test_a_fit_that_had_all_its_epochs_was_not_stopped():
    class Enough(Callback):
        def on_epoch_end(self, run):
            run.stop(f"enough after {len(run.history.epochs)}")

    assert MLP([4, 3]).fit(X, Y, epochs=1, callbacks=[Enough()]).stopped == ""
    assert MLP([4, 3]).fit(X, Y, epochs=2, callbacks=[Enough()]).stopped == "enough after 1"


@pytest.mark.parametrize("first", [0, 1])
def test_a_checkpoint_at_the_end_is_the_best_epoch_that_early_stopping_goes_back_to(first, tmp_path):
    callbacks = [Checkpoint(tmp_path / "m"), EarlyStopping(2, monitor="loss")]
    model = MLP([4, 3, 3], seed=0)
    model.fit(X, Y, optimizer=SGD(30.0), epochs=20, callbacks=[callbacks[first], callbacks[1 - first]])
    assert model.history.stopped
    assert np.array_equal(load(tmp_path / "m").flat, model.flat)


@pytest.mark.parametrize("monitor", [np.array(["loss", "accuracy"]), 3])
def test_a_figure_that_is_no_name_is_refused(monitor):
    with pytest.raises(ArgumentError, match="monitor: got"):
        EarlyStopping(monitor=monitor)


def test_a_checkpoint_that_cannot_be_written_is_refused_before_the_first_step(tmp_path):
    with pytest.raises(ArgumentTypeError, match=r"^path: got None \(NoneType\), expected the path of a file"):
        Checkpoint(None)
    model = MLP([4, 3])
    for path in (tmp_path, tmp_path / "none" / "m"):
        with pytest.raises(ArgumentError, match=r"^path: got "):
            model.fit(X, Y, epochs=1, callbacks=[Checkpoint(path)])
    assert model.training is None


def test_a_model_or_fit_that_no_file_can_hold_is_refused_before_the_first_step(tmp_path):
    class Mine(MSE):
        """A loss that has no kind of its own."""

    named, model = MLP([4, 3]), MLP([4, 3])
    named.metadata = {"a": {1, 2}}
    for bad, loss, said in ((named, "mse", r"metadata: got "), (model, Mine(), r"loss: got Mine of the kind ")):
        with pytest.raises(ArgumentError, match=f"^{said}"):
            bad.fit(X, np.zeros((len(X), 3)), loss=loss, epochs=1, callbacks=[Checkpoint(tmp_path / "m")])
        assert bad.training is None
    assert list(tmp_path.iterdir()) == []


def test_checkpoints_every_few_epochs_and_at_the_end(monkeypatch):
    saved = []
    monkeypatch.setattr(MLP, "save", lambda self, path: saved.append((path, self.training.epoch)))
    MLP([4, 3]).fit(X, Y, epochs=5, callbacks=[Checkpoint("there", every=2)])
    assert saved == [(Path("there"), 2), (Path("there"), 4), (Path("there"), 5)]
