"""Training that diverges: the step and the layer are named, and what was finite before them is kept."""

import numpy as np
import pytest

from mlp_scratch import MLP, SGD, BatchNorm, Dense, DivergedError, ReLU, Sequential
from tests.examples import data

pytestmark = pytest.mark.usefixtures("each_backend")


def test_divergence_names_step_and_layer_and_keeps_the_last_finite_parameters():
    X, y = data(20)
    model = Sequential([Dense(4, 8), ReLU(), Dense(8, 1)])
    with pytest.raises(DivergedError, match=r"step \d+; the model keeps") as caught:
        model.fit(X * 1e3, y * 1e3, loss="mse", optimizer=SGD(1e3), batch_size=5, epochs=50, shuffle=False)
    step = caught.value.step
    assert caught.value.layer.startswith(("layer 0 (dense)", "layer 1 (relu)", "layer 2 (dense)", "the loss (mse)"))
    assert "\n" not in str(caught.value)
    assert np.isfinite(model.flat).all()
    assert model.training.step == step - 1 == len(model.history.losses)
    assert np.isfinite(model.history.losses).all()
    # Exactly the parameters of the steps before: the same number of steps elsewhere gives the same bits.
    again = Sequential([Dense(4, 8), ReLU(), Dense(8, 1)])
    rows = np.resize(np.arange(20), 5 * (step - 1))
    if step > 1:
        again.fit(X[rows] * 1e3, y[rows] * 1e3, loss="mse", optimizer=SGD(1e3), batch_size=5, epochs=1, shuffle=False)
    assert np.array_equal(model.flat, again.flat)


@pytest.mark.parametrize("layer", [0, 2])
def test_divergence_names_the_layer_that_diverged_first(layer):
    X, y = data(20)
    model = Sequential([Dense(4, 8), ReLU(), Dense(8, 3)])
    model.parameters[f"{layer}.weight"][...] = 3e38
    before = model.flat.copy()
    with pytest.raises(DivergedError) as caught:
        model.fit(X + 10, y, epochs=1)
    assert (caught.value.step, caught.value.layer, caught.value.quantity) == (1, f"layer {layer} (dense)", "output")
    assert np.array_equal(model.flat, before)
    assert model.training.step == 0


def test_a_running_statistic_that_overflows_is_named():
    X, y = data(20)
    model = Sequential([BatchNorm(4), Dense(4, 3)], dtype="float32")
    with pytest.raises(DivergedError) as caught:
        model.fit(X * 1e25, y, epochs=1)
    named = caught.value.step, caught.value.layer, caught.value.quantity
    assert named == (1, "layer 0 (batch_norm)", "running statistic")


def test_epochs_before_a_divergence_are_on_record():
    X, y = data(20)
    model = MLP([4, 1])
    with pytest.raises(DivergedError) as caught:
        model.fit(X, y.astype(float), loss="mse", optimizer=SGD(1.5), batch_size=5, epochs=500)
    history, step = model.history, caught.value.step
    assert step > 8, "in a later epoch"
    assert len(history.losses) == model.training.step == step - 1
    assert (model.training.epoch, model.training.position) == divmod(step - 1, 4)
    assert [epoch.epoch for epoch in history.epochs] == list(range(1, model.training.epoch + 1))
    assert history.epochs[0].loss == pytest.approx(history.losses[:4].mean(), rel=1e-14)
