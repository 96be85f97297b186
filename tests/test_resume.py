"""Training that stops and goes on gives the same bits as training that never stopped."""

import numpy as np
import pytest

from mlp_scratch import SGD, Adam, BatchNorm, Dense, Dropout, PReLU, Sequential, load
from mlp_scratch.losses import LOSSES
from mlp_scratch.optimizers import OPTIMIZERS
from tests import examples

pytestmark = pytest.mark.usefixtures("each_backend")

X = np.random.default_rng(0).normal(size=(22, 4))
Y = np.random.default_rng(1).integers(0, 3, 22)


def build(dtype="float32"):
    """Everything that has a state: running statistics, dropout's position, a learned slope."""
    return Sequential(
        [Dense(4, 8), BatchNorm(), PReLU(per_feature=True), Dropout(0.3), Dense(8, 3)], dtype=dtype, seed=5
    )


def assert_same_state(one, other):
    assert one.flat.dtype == other.flat.dtype
    assert np.array_equal(one.flat, other.flat)
    assert np.array_equal(one.buffer_vector, other.buffer_vector)
    a, b = one.training, other.training
    assert np.array_equal(a.slots, b.slots)
    assert a.slots.shape == (len(a.optimizer.slots), one.n_parameters)
    assert (a.loss, a.optimizer, a.seed, a.step, a.epoch, a.position) == (
        b.loss, b.optimizer, b.seed, b.step, b.epoch, b.position,
    )  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("way", ["in place", "through a file"])
@pytest.mark.parametrize("optimizer", examples.optimizers(), ids=examples.name)
def test_two_fits_are_one(optimizer, way, dtype, tmp_path):
    whole, parts = build(dtype), build(dtype)
    whole.fit(X, Y, optimizer=optimizer, batch_size=5, epochs=5, seed=8)
    parts.fit(X, Y, optimizer=optimizer, batch_size=5, epochs=2, seed=8)
    losses = parts.history.losses
    if way == "through a file":
        parts.save(tmp_path / "model.safetensors")
        parts = load(tmp_path / "model.safetensors")
    parts.fit(X, Y, batch_size=5, epochs=3)  # loss, optimiser and seed are those of the first fit
    assert_same_state(parts, whole)
    assert np.array_equal(np.concatenate([losses, parts.history.losses]), whole.history.losses)
    assert parts.history.column("epoch") == [3, 4, 5]


@pytest.mark.parametrize("loss", LOSSES)
def test_two_fits_are_one_with_every_loss(loss, tmp_path):
    y = examples.TARGETS[loss][0](np.random.default_rng(1), 22, 3)
    whole, parts = build(), build()
    whole.fit(X, y, loss=loss, epochs=4)
    parts.fit(X, y, loss=loss, epochs=1)
    parts.save(tmp_path / "m")
    parts = load(tmp_path / "m")
    parts.fit(X, y, epochs=3)
    assert_same_state(parts, whole)


def test_a_validation_fraction_stays_the_same_when_resumed():
    whole, parts = build(), build()
    whole.fit(X, Y, epochs=4, validation=0.3)
    parts.fit(X, Y, epochs=2, validation=0.3)
    parts.fit(X, Y, epochs=2, validation=0.3)
    assert_same_state(parts, whole)


def test_resume_false_starts_afresh_from_the_parameters_as_they_are():
    model, fresh = build(), build()
    model.fit(X, Y, epochs=2)
    fresh.flat[...], fresh.buffer_vector[...] = model.flat, model.buffer_vector
    model.fit(X, Y, epochs=2, resume=False)
    fresh.fit(X, Y, epochs=2)
    assert_same_state(model, fresh)
    assert model.training.epoch == 2


@pytest.mark.parametrize(
    "change", [{"optimizer": SGD(0.01, momentum=0.9)}, {"optimizer": "sgd"}, {"loss": "binary_cross_entropy"}]
)
def test_another_kind_of_optimiser_or_loss_starts_afresh(change):
    y = np.eye(3)[Y]
    model, fresh = build(), build()
    model.fit(X, y, loss="cross_entropy", optimizer="adam", epochs=2)
    fresh.flat[...], fresh.buffer_vector[...] = model.flat, model.buffer_vector
    options = {"loss": "cross_entropy", "optimizer": "adam", **change}
    model.fit(X, y, epochs=1, **options)
    fresh.fit(X, y, epochs=1, **options)
    assert_same_state(model, fresh)
    assert model.training.epoch == 1


def test_momentum_switched_on_starts_afresh():
    model = build()
    model.fit(X, Y, optimizer=SGD(0.1), epochs=1)
    model.fit(X, Y, optimizer=SGD(0.1, momentum=0.9), epochs=1)
    assert model.training.epoch == 1
    assert model.training.slots.shape == (1, model.n_parameters)


def test_another_learning_rate_goes_on_with_the_same_state():
    model, constant = build(), build()
    model.fit(X, Y, optimizer=Adam(1e-2), epochs=2)
    constant.fit(X, Y, optimizer=Adam(1e-2), epochs=2)
    model.fit(X, Y, optimizer=Adam(1e-3), epochs=1)
    assert model.training.epoch == 3
    constant.fit(X, Y, epochs=1)
    assert not np.array_equal(model.flat, constant.flat)
    assert model.training.optimizer == Adam(1e-3)


def test_a_saved_optimiser_is_the_one_that_was_used(tmp_path):
    for optimizer in OPTIMIZERS.values():
        model = build()
        model.fit(X, Y, optimizer=optimizer, epochs=1)
        model.save(tmp_path / "m")
        assert load(tmp_path / "m").training.optimizer == optimizer
