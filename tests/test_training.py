"""The training loop: which samples each step sees, that seeds fix everything, and that real digits are learned."""

import threading
from itertools import islice

import numpy as np
import pytest

from mlp_scratch import MLP, SGD, Adam, EarlyStopping
from mlp_scratch.backends import BACKENDS
from mlp_scratch.backends.numpy import NumpyBackend
from mlp_scratch.random import permutation
from mlp_scratch.samples import VALIDATION_EPOCH
from tests.examples import data
from tests.tolerances import assert_parity

pytestmark = pytest.mark.usefixtures("each_backend")


@pytest.fixture
def recorded(monkeypatch):
    """A backend called "recording" that works like "numpy" and keeps each step's row indices and parameters."""
    steps = []

    class Recording(NumpyBackend):
        def train(self, program, state, samples, plan, records, stop):
            taken = super().train(program, state, samples, plan, records, stop)
            steps.extend(rows.tolist() for rows in islice(plan.batches(), taken))
            return taken

    monkeypatch.setitem(BACKENDS, "recording", Recording)
    return steps


def fitted(seed=0, **options):
    X, y = data()
    model = MLP([4, 8, 3], dropout=0.3, batch_norm=True, seed=seed)
    model.fit(X, y, **{"epochs": 3, "batch_size": 5, **options})
    return model


def test_real_digits_are_learned():
    sklearn = pytest.importorskip("sklearn.datasets")
    images, labels = sklearn.load_digits(return_X_y=True)
    order = permutation(0, 0, len(images))
    train, held_out = order[:-360], order[-360:]
    model = MLP([64, 32, 10], activation="relu", seed=0)
    history = model.fit(
        images[train] / 16, labels[train], optimizer=Adam(3e-3), epochs=12, validation=(images[held_out] / 16,
        labels[held_out]), seed=0)  # fmt: skip
    scores = model.evaluate(images[held_out] / 16, labels[held_out])
    assert scores["accuracy"] >= 0.95
    assert history.epochs[-1].val_accuracy == scores["accuracy"]
    assert history.epochs[-1].val_loss == scores["loss"]
    assert np.mean(model.predict(images[held_out] / 16) == labels[held_out]) == scores["accuracy"]


@pytest.mark.parametrize(("n", "size"), [(23, 5), (17, 5), (20, 5), (3, 5), (1, 1), (7, 1)])
def test_every_sample_is_met_once_an_epoch_and_the_last_batch_may_be_short(n, size, recorded):
    X, y = data(n)
    history = MLP([4, 3]).fit(X, y, batch_size=size, epochs=3, backend="recording")
    per_epoch = -(-n // size)
    assert len(history.losses) == len(recorded) == 3 * per_epoch
    for epoch in range(3):
        batches = recorded[epoch * per_epoch : (epoch + 1) * per_epoch]
        assert [len(batch) for batch in batches[:-1]] == [size] * (per_epoch - 1)
        assert sorted(row for batch in batches for row in batch) == list(range(n))


def test_each_epoch_has_the_order_of_its_seed_and_number(recorded):
    X, y = data()
    MLP([4, 3]).fit(X, y, batch_size=5, epochs=2, seed=9, backend="recording")
    rows = [row for batch in recorded for row in batch]
    assert rows == [*permutation(9, 0, 23), *permutation(9, 1, 23)]
    assert rows[:23] != rows[23:]


def test_without_shuffling_the_order_is_kept(recorded):
    X, y = data()
    MLP([4, 3]).fit(X, y, batch_size=5, epochs=2, shuffle=False, backend="recording")
    assert [row for batch in recorded for row in batch] == 2 * list(range(23))


def test_a_validation_fraction_is_held_out_and_never_trained_on(recorded):
    X, y = data(40)
    model = MLP([4, 3])
    history = model.fit(X, y, batch_size=4, epochs=2, validation=0.25, backend="recording")
    met = {row for batch in recorded for row in batch}
    held_out = sorted(set(range(40)) - met)
    assert len(held_out) == 10
    scores = model.evaluate(X[held_out], y[held_out])
    assert history.epochs[-1].val_loss == scores["loss"]
    assert history.epochs[-1].val_accuracy == scores["accuracy"]
    # Which rows those are is fixed by the seed, so that a resumed fit holds out the same.
    model.fit(X, y, batch_size=4, epochs=1, validation=0.25, backend="recording")
    assert {row for batch in recorded for row in batch} == met
    other = MLP([4, 3], seed=1)
    recorded.clear()
    other.fit(X, y, batch_size=4, epochs=1, validation=0.25, backend="recording")
    assert {row for batch in recorded for row in batch} != met


def test_held_out_rows_have_no_influence():
    X, y = data(40)
    first = MLP([4, 3])
    first.fit(X, y, epochs=2, validation=0.25)
    seen = permutation(0, 2**32 - 1, 40)
    changed = X.copy()
    changed[np.sort(seen[:10])] += 100.0
    second = MLP([4, 3])
    second.fit(changed, y, epochs=2, validation=0.25)
    assert np.array_equal(first.flat, second.flat)
    assert first.history.epochs[-1].val_loss != second.history.epochs[-1].val_loss


def test_a_validation_pair_has_no_influence():
    X, y = data()
    with_pair, without = MLP([4, 8, 3], dropout=0.5), MLP([4, 8, 3], dropout=0.5)
    history = with_pair.fit(X, y, validation=data(7, seed=1))
    without.fit(X, y)
    assert np.array_equal(with_pair.flat, without.flat)
    assert history.epochs[-1].val_loss == with_pair.evaluate(*data(7, seed=1))["loss"]


def test_the_same_seed_gives_the_same_bits():
    one, same = fitted(), fitted()
    assert np.array_equal(one.flat, same.flat)
    assert np.array_equal(one.buffer_vector, same.buffer_vector)
    assert np.array_equal(one.training.slots, same.training.slots)
    assert np.array_equal(one.history.losses, same.history.losses)


def test_another_seed_gives_other_numbers():
    assert not np.array_equal(fitted(seed=0).flat, fitted(seed=1).flat)


def test_the_seed_of_fit_changes_order_and_masks():
    X, y = data()
    a, b = MLP([4, 8, 3], dropout=0.3), MLP([4, 8, 3], dropout=0.3)
    assert np.array_equal(a.flat, b.flat)
    a.fit(X, y, seed=1, epochs=1)
    b.fit(X, y, seed=2, epochs=1)
    assert not np.array_equal(a.flat, b.flat)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_number_of_threads_changes_no_bits(threads):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(600, 300)), rng.integers(0, 10, 600)
    models = [MLP([300, 257, 10], seed=0) for _ in range(2)]
    models[0].fit(X, y, batch_size=200, epochs=2)
    models[1].fit(X, y, batch_size=200, epochs=2, threads=threads)
    assert np.array_equal(models[0].flat, models[1].flat)


def test_zero_weights_leave_samples_out_and_weights_scale():
    X, y = data(12)
    ones, twos, none = MLP([4, 3], dtype="float64"), MLP([4, 3], dtype="float64"), MLP([4, 3], dtype="float64")
    ones.fit(X, y, sample_weight=np.ones(12), batch_size=4, epochs=2)
    none.fit(X, y, batch_size=4, epochs=2)
    twos.fit(X, y, sample_weight=np.full(12, 2.0), batch_size=4, epochs=2)
    assert np.array_equal(ones.flat, twos.flat)  # a factor of 2 is exact
    assert_parity(ones.flat, none.flat, tolerance=1e-13)
    weights = np.r_[np.ones(6), np.zeros(6)]
    part, whole = MLP([4, 3], dtype="float64"), MLP([4, 3], dtype="float64")
    whole.fit(X, y, sample_weight=weights, batch_size=12, epochs=3, shuffle=False)
    part.fit(X[:6], y[:6], batch_size=6, epochs=3, shuffle=False)
    assert_parity(whole.flat, part.flat, tolerance=1e-13)


def test_a_batch_whose_weights_are_all_zero_changes_nothing():
    X, y = data(8)
    model = MLP([4, 3], dtype="float64")
    model.fit(X, y, sample_weight=[0] * 4 + [1] * 4, batch_size=4, epochs=1, shuffle=False, optimizer=SGD(0.1))
    alone = MLP([4, 3], dtype="float64")
    alone.fit(X[4:], y[4:], batch_size=4, epochs=1, shuffle=False, optimizer=SGD(0.1))
    assert model.history.losses[0] == 0.0
    assert_parity(model.flat, alone.flat, tolerance=1e-13)


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize("batch_size", [2, 7, 23])
@pytest.mark.parametrize("shuffle", [True, False])
def test_the_loss_of_an_epoch_is_the_weighted_mean_over_its_samples(batch_size, shuffle, loss):
    """Of a model that stands still it is what `evaluate` says, in every epoch and in a fit that goes on."""
    rng = np.random.default_rng(0)
    X, classes = data(23)
    y = classes if loss == "cross_entropy" else rng.normal(size=(23, 3))
    for weights in (np.where(np.arange(23) < 3, 1.0, 0.0), rng.lognormal(0, 2, 23), 1e307 * rng.uniform(size=23)):
        model = MLP([4, 8, 3], dtype="float64")
        for epochs in (3, 2):
            options = {"batch_size": batch_size, "epochs": epochs, "shuffle": shuffle, "optimizer": SGD(1e-30)}
            history = model.fit(X, y, loss=loss, sample_weight=weights, **options)
            scores = model.evaluate(X, y, sample_weight=weights)
            assert history.column("loss") == pytest.approx([scores["loss"]] * epochs, rel=1e-13)
            if "accuracy" in scores:
                assert history.column("accuracy") == pytest.approx([scores["accuracy"]] * epochs, rel=1e-13)


def test_the_loss_of_an_epoch_leaves_out_what_is_held_out():
    X, y = data(23)
    weights = np.random.default_rng(0).lognormal(0, 2, 23)
    model = MLP([4, 8, 3], dtype="float64")
    history = model.fit(X, y, sample_weight=weights, batch_size=4, epochs=1, validation=0.3, optimizer=SGD(1e-30))
    together = model.evaluate(X, y, sample_weight=weights)["loss"]
    held_out = weights[np.sort(permutation(0, VALIDATION_EPOCH, 23)[:7])].sum() / weights.sum()
    (epoch,) = history.epochs
    assert (1 - held_out) * epoch.loss + held_out * epoch.val_loss == pytest.approx(together, rel=1e-13)


def test_the_rest_of_an_epoch_that_weighs_nothing_has_no_loss():
    X, y = data(8)
    options = {"sample_weight": [1] * 4 + [0] * 4, "batch_size": 4, "shuffle": False}
    model = MLP([4, 3])
    model.fit(X, y, epochs=1, **options)
    model.training.position = 1  # as Ctrl-C leaves it after one step of two
    history = model.fit(X, y, epochs=1, callbacks=[EarlyStopping(1)], **options)
    assert np.isnan(history.epochs[0].loss)


def test_training_works_outside_the_main_thread():
    models = []
    thread = threading.Thread(target=lambda: models.append(fitted()))
    thread.start()
    thread.join()
    assert np.array_equal(models[0].flat, fitted().flat)


def test_predictions_have_the_shape_of_the_targets():
    X, y = data()
    classes = MLP([4, 3])
    assert classes.predict(X).shape == (23,)
    classes.fit(X, y, epochs=1)
    assert classes.predict(X).shape == (23,)
    assert classes.predict_proba(X).shape == (23, 3)
    assert np.abs(classes.predict_proba(X).sum(axis=1) - 1).max() <= 8 * np.finfo(np.float32).eps
    flat, column = MLP([4, 1]), MLP([4, 1])
    flat.fit(X, y.astype(float), loss="mse", epochs=1)
    column.fit(X, y[:, np.newaxis].astype(float), loss="mse", epochs=1)
    assert flat.predict(X).shape == (23,)
    assert column.predict(X).shape == (23, 1)
    assert np.array_equal(flat.predict(X), column.predict(X)[:, 0])
    labels = MLP([4, 2])
    labels.fit(X, np.eye(3)[y][:, :2], loss="binary_cross_entropy", epochs=1)
    assert set(labels.predict(X).ravel()) <= {0, 1}
    assert labels.predict(X).shape == labels.predict_proba(X).shape == (23, 2)


def test_epoch_figures_are_means_over_samples():
    X, y = data()
    model = MLP([4, 3])
    history = model.fit(X, y, batch_size=5, epochs=2)
    sizes = np.array([5, 5, 5, 5, 3])
    for i, epoch in enumerate(history.epochs):
        steps = slice(5 * i, 5 * i + 5)
        assert epoch.epoch == i + 1
        assert epoch.loss == pytest.approx(history.losses[steps] @ sizes / 23, rel=1e-14)
        assert epoch.accuracy == pytest.approx(history.accuracies[steps] @ sizes / 23, rel=1e-14)
        assert epoch.samples_per_second > 0


@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy"])
def test_where_an_output_is_no_number_neither_is_the_accuracy(loss, each_backend):
    """And NumPy has nothing to warn of, which the tests would take for an error."""
    X, y = data()
    targets, far = np.eye(3)[y], np.where(X > 0, 3e38, -3e38)
    model = MLP([4, 8, 3], seed=0)
    model.flat *= 100
    stopping = EarlyStopping(2, monitor="val_accuracy")
    history = model.fit(
        X, targets, loss=loss, optimizer=SGD(1e-30), epochs=9, validation=(far, targets), callbacks=[stopping]
    )
    assert np.isnan(history.column("val_accuracy")).all()
    assert history.stopped == "val_accuracy has not improved for 2 epochs"
    assert len(history.epochs) == 2
    scores = model.evaluate(np.concatenate([X, far[:1]]), np.concatenate([targets, targets[:1]]))
    assert np.isnan(scores["accuracy"])
    assert not np.isfinite(scores["loss"])
    assert np.isfinite(list(model.evaluate(X, targets).values())).all()
    model.flat[:] = 3e38
    with np.errstate(over="ignore", invalid="ignore"):
        assert np.isinf(model.logits(np.abs(X))).all()
    assert np.isnan(list(model.evaluate(np.abs(X), targets).values())).all()
