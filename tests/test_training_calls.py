"""How a fit, or an evaluation, is cut into calls of a backend; the numbers don't show it."""

import numpy as np
import pytest

from mlp_scratch import MLP, Callback, training
from mlp_scratch.backends import BACKENDS
from mlp_scratch.backends import numpy as numpy_backend
from mlp_scratch.backends.numpy import NumpyBackend
from tests.examples import data

pytestmark = pytest.mark.usefixtures("each_backend")


class Watching(Callback):
    """A callback that does nothing."""


@pytest.mark.parametrize(("a_call", "a_number"), [(1e6, 0.0), (0.0, 1e6)])
@pytest.mark.parametrize("watched", [{}, {"callbacks": [Watching()]}, {"validation": data(7, seed=1)}])
def test_calls_go_on_through_epochs_that_nobody_looks_at_the_end_of(watched, a_call, a_number, monkeypatch):
    """And what is recorded is the same. Calls are as long as the clock asks for, or the size of the model."""
    calls = []

    class Counting(NumpyBackend):
        def train(self, program, state, samples, plan, records, stop):
            calls.append(len(plan.lr))
            return super().train(program, state, samples, plan, records, stop)

    monkeypatch.setitem(BACKENDS, "counting", Counting)
    monkeypatch.setattr(training, "SECONDS_A_CALL", a_call)
    monkeypatch.setattr(training, "SECONDS_A_NUMBER", a_number)
    X, y = data()
    model, plain = MLP([4, 8, 3], dropout=0.5), MLP([4, 8, 3], dropout=0.5)
    history = model.fit(X, y, batch_size=5, epochs=6, backend="counting", **watched)
    expected = ([1, 2, 2], [4, 1], *[[5]] * 4) if watched else ([1, 2, 4, 8, 15],)
    assert calls == [count for counts in expected for count in counts]
    for _ in range(6):
        plain.fit(X, y, batch_size=5, epochs=1, backend="numpy")
        (epoch,), ours = plain.history.epochs, history.epochs[plain.training.epoch - 1]
        assert (ours.epoch, ours.loss, ours.accuracy) == (epoch.epoch, epoch.loss, epoch.accuracy)
    assert np.array_equal(model.flat, plain.flat)
    assert [epoch.val_loss is None for epoch in history.epochs] == ["validation" not in watched] * 6


def test_a_call_ends_after_so_many_epochs_however_short_they_are(monkeypatch):
    """For each is written down afterwards, and Ctrl-C has to wait for that."""
    calls = []

    class Counting(NumpyBackend):
        def train(self, program, state, samples, plan, records, stop):
            calls.append((plan.position, len(plan.lr)))
            return super().train(program, state, samples, plan, records, stop)

    monkeypatch.setitem(BACKENDS, "counting", Counting)
    monkeypatch.setattr(training, "SECONDS_A_CALL", 1e6)
    monkeypatch.setattr(training, "EPOCHS_A_CALL", 3)
    history = MLP([4, 3]).fit(*data(), batch_size=12, epochs=20, backend="counting")
    assert len(history.epochs) == 20
    assert sum(count for _, count in calls) == 40
    assert max(position + count for position, count in calls) == 3 * 2


def test_evaluation_does_not_depend_on_how_it_is_cut(monkeypatch):
    X, y = data(50)
    model = MLP([4, 8, 3], dropout=0.5, batch_norm=True, dtype="float64")
    model.fit(X, y, epochs=1)
    whole = model.evaluate(X, y, sample_weight=np.arange(50.0))
    monkeypatch.setattr(training, "SCORED_AT_ONCE", 7)
    monkeypatch.setattr(numpy_backend, "ROWS_AT_ONCE", 3)
    cut = model.evaluate(X, y, sample_weight=np.arange(50.0))
    assert cut["accuracy"] == whole["accuracy"]
    assert cut["loss"] == pytest.approx(whole["loss"], rel=1e-14)
    values = [model.evaluate(X[i : i + 1], y[i : i + 1])["loss"] for i in range(50)]
    assert whole["loss"] == pytest.approx(np.average(values, weights=np.arange(50.0)), rel=1e-13)
