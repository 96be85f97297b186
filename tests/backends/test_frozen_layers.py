"""Training with frozen layers, on any backend: neither their parameters nor the optimiser's memory of them change."""

from itertools import combinations

import numpy as np
import pytest

import mlp_scratch as ms
from mlp_scratch.backends import usable_backends
from mlp_scratch.errors import ArgumentError
from mlp_scratch.program import lower
from tests.frozen_networks import fit, held, network, samples
from tests.tolerances import assert_parity

LEARNING = (0, 1, 2, 4, 5, 6)
"""The layers of `network` that have something to learn."""

OPTIMIZERS = {
    "sgd, decay": ms.SGD(0.05, weight_decay=0.1),
    "nesterov": ms.SGD(0.05, momentum=0.9, nesterov=True),
    "adamw": ms.Adam(0.01, weight_decay=0.1, decoupled=True),
}
EVERY_OPTIMIZER = pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
EVERY_BACKEND = pytest.mark.parametrize("backend", usable_backends())


@pytest.fixture
def data(rng):
    return samples(rng)


def choices():
    """Each layer that learns alone, two of them, all but one, and all."""
    for count in (1, 2, len(LEARNING) - 1, len(LEARNING)):
        yield from combinations(LEARNING, count)


@EVERY_BACKEND
@EVERY_OPTIMIZER
def test_frozen_layers_keep_every_bit_and_the_others_learn(optimizer, backend, data):
    for frozen in choices():
        model = fit(network(), data, backend, optimizer=optimizer)
        before = held(model)
        model.freeze(*frozen)
        after = held(fit(model, data, backend, optimizer=optimizer))
        for position in LEARNING:
            assert (before[position] == after[position]) == (position in frozen), (frozen, position)


@EVERY_BACKEND
def test_with_all_layers_frozen_a_fit_runs_and_changes_nothing(backend, data):
    model = fit(network(), data, backend)
    before = held(model), model.training.step
    model.freeze()
    history = model.fit(*data, batch_size=8, epochs=2, backend=backend, progress=False)
    assert held(model) == before[0]
    assert model.training.step == before[1] + 6
    assert np.isfinite(history.losses).all()


@EVERY_BACKEND
@EVERY_OPTIMIZER
def test_the_layers_that_learn_learn_as_if_the_others_were_constants(optimizer, backend, data):
    """With a frozen first layer the rest trains like a network of its own on what that layer makes of the data."""
    X, y = data
    whole = ms.Sequential([ms.Dense(3, 4), ms.BatchNorm(), ms.Tanh(), ms.Dense(4, 2)], dtype="float64", seed=3)
    whole.freeze(0, 1)
    rest = ms.Sequential([ms.Tanh(), ms.Dense(4, 2)], dtype="float64", seed=3)
    rest.flat[...] = whole.flat[-rest.n_parameters :]
    features = whole.parameters["1.weight"] * (X @ whole.parameters["0.weight"].T) / np.sqrt(1 + 1e-5)
    fit(whole, (X, y), backend, optimizer=optimizer)
    fit(rest, (features, y), backend, optimizer=optimizer)
    assert_parity(whole.flat[-rest.n_parameters :], rest.flat)
    assert_parity(whole.history.losses, rest.history.losses)


@EVERY_BACKEND
def test_gradients_pass_through_a_frozen_layer_and_its_own_is_reported(backend, data):
    """With a frozen layer whose forward pass does not change, freezing changes no gradient."""
    model = network()
    model.freeze(1)
    loss, gradients = model.loss_and_gradients(*data, backend=backend)
    model.freeze(0, 2, 4, 5, 6)
    again, same = model.loss_and_gradients(*data, backend=backend)
    assert loss == again
    for name, gradient in gradients.items():
        assert np.array_equal(gradient, same[name])
        assert gradient.any(), name
    assert ms.gradcheck(model, *data, backend=backend).passed


@EVERY_BACKEND
@pytest.mark.parametrize("batch", [1, 2, 3, 5])
@pytest.mark.parametrize("bias", [True, False])
def test_a_gradient_passes_through_a_wide_frozen_layer_whatever_the_batch(backend, batch, bias, rng):
    """Batches of one or two samples go back through a wide layer in a way of their own."""
    X, y = rng.normal(size=(2 * batch, 3)), rng.normal(size=(2 * batch, 2))
    ends = []
    for each in (backend, "numpy"):
        layers = [ms.Dense(3, 2), ms.Tanh(), ms.Dense(2, 150, bias=bias), ms.Tanh(), ms.Dense(150, 2)]
        model = ms.Sequential(layers, dtype="float64", seed=1)
        model.freeze(2)
        ends.append(fit(model, (X, y), each, loss="mse", batch_size=batch, epochs=3).flat)
    assert_parity(*ends)


@EVERY_BACKEND
def test_the_optimiser_goes_on_from_where_it_was(backend, data):
    """Adam's m and v of a layer are, after a freeze, those from before it; the count of steps is the model's."""
    model = fit(network(), data, backend)
    slots = model.training.slots.copy()
    model.freeze(4)
    fit(model, data, backend)
    model.unfreeze(4)
    span = slice(model.placed[4].parameters[0].start, model.placed[4].parameters[-1].stop)
    assert np.array_equal(model.training.slots[:, span], slots[:, span])
    before, step = model.flat[span].copy(), model.training.step + 1
    X, y = data[0][:8], data[1][:8]
    g = np.concatenate([g.ravel() for g in model.loss_and_gradients(X, y, backend=backend)[1].values()])[span]
    model.fit(X, y, optimizer="adamw", batch_size=8, epochs=1, backend=backend, shuffle=False, progress=False)
    expected, _ = ms.Adam(weight_decay=1e-2, decoupled=True).update(before, g, slots[:, span], step=step, lr=1e-3)
    assert_parity(model.flat[span], expected)


@EVERY_BACKEND
def test_frozen_batch_normalisation_is_that_of_inference(backend, data):
    """Also for a batch of one sample, which has no statistics of its own."""
    X, y = data
    model = ms.Sequential([ms.Dense(3, 4), ms.BatchNorm(trainable=False), ms.Dense(4, 2)], dtype="float64")
    for n in (1, 8):
        in_training, in_inference = (
            model.loss_and_gradients(X[:n], y[:n], backend=backend, training=training) for training in (True, False)
        )
        assert in_training[0] == in_inference[0]
        assert all(np.array_equal(gradient, in_inference[1][name]) for name, gradient in in_training[1].items())
    fit(model, data, backend, batch_size=1)
    assert (model.buffers["1.running_mean"] == 0).all()
    model.unfreeze(1)
    with pytest.raises(ArgumentError, match="expected batches of at least 2 samples"):
        fit(model, data, backend, batch_size=1)


@EVERY_BACKEND
def test_dropout_drops_in_front_of_a_frozen_layer(backend, data):
    model = ms.Sequential([ms.Dense(3, 40), ms.Dropout(0.5), ms.Dense(40, 2)])
    model.freeze()
    first, second = fit(model, data, backend, batch_size=20).history.losses
    assert abs(first - second) > 1e-3  # another order of the samples would change the rounding alone


@EVERY_BACKEND
def test_a_gradient_that_nobody_asks_for_may_overflow(backend):
    """dW of the frozen layer is beyond float32; what is passed on and what the other layer learns are not."""
    model = ms.Sequential([ms.Dense(1, 1, bias=False), ms.Tanh(), ms.Dense(1, 1, bias=False)])
    model.flat[...] = 1e-30, 1e20
    X, y = np.full((4, 1), 1e30), np.zeros(4)
    with pytest.raises(ms.DivergedError, match=r"layer 0 \(dense\)"):
        model.fit(X, y, loss="mae", optimizer=ms.SGD(1e-3), epochs=1, backend=backend, progress=False)
    model.freeze(0)
    model.fit(X, y, loss="mae", optimizer=ms.SGD(1e-3), epochs=1, backend=backend, progress=False)
    assert model.training.step == 1


@EVERY_BACKEND
def test_a_frozen_layer_is_not_named_as_what_diverged(backend):
    """The gradients of both layers 0 and 1 overflow; the one that learns is to blame."""
    layers = [ms.Dense(1, 1, bias=False), ms.Dense(1, 1, bias=False), ms.Tanh(), ms.Dense(1, 1, bias=False)]
    for frozen, named in (((), 1), ((1,), 0)):
        model = ms.Sequential(layers)
        model.flat[...] = 1e-18, 1e-20, 1e25
        for position in frozen:
            model.freeze(position)
        with pytest.raises(ms.DivergedError, match=rf"layer {named} \(dense\)"):
            model.fit(np.full((4, 1), 1e38), np.zeros(4), loss="mae", optimizer="sgd", backend=backend, progress=False)


def test_the_compiled_loop_spares_the_work():
    """No gradient of a frozen matrix, no optimiser's step for a frozen vector, no way back below all that learns."""
    from mlp_kernels.cpu import network as nw
    from mlp_scratch.backends.numba_tables import Tables

    def tables(*frozen, **options):
        model = network()
        if frozen:
            model.freeze(*frozen)
        return Tables(lower(model, ms.CrossEntropy(), ms.Adam()), 8, 1, **options)

    def facts(t):
        return t.stages[1:, nw.LEARNS].tolist(), t.places[nw.LOWEST], t.places[nw.VECTORS]

    def rounded(*sizes):
        lanes = tables().tile.lanes
        return sum(-(-size // lanes) * lanes for size in sizes)

    # Vectors: γ, β and slopes of 9; biases of 5 and of 2 around the shared slope. Zeros of no bias lie behind them.
    assert facts(tables()) == ([1, 1, 1], 1, rounded(9, 9, 9, 5, 1, 2))
    assert facts(tables(0)) == ([0, 1, 1], 1, rounded(9, 9, 9, 5, 1, 2))
    assert facts(tables(0, 1, 2)) == ([0, 1, 1], 2, rounded(5, 1, 2))
    assert facts(tables(0, 1, 2, 4)) == ([0, 0, 1], 2, rounded(1, 2))
    assert facts(tables(0, 1, 2, 4, 5)) == ([0, 0, 1], 3, rounded(2))
    assert facts(tables(*LEARNING)) == ([0, 0, 0], 4, 0)
    assert facts(tables(*LEARNING, gradient=True)) == facts(tables(gradient=True))


@pytest.mark.parametrize("threads", [1, 2])
def test_each_network_of_a_population_is_frozen_like_its_model(threads, data):
    """And has the bits of training it alone."""
    model = network(dtype="float32")
    model.freeze(0, 5)
    nets = ms.Population(model, seeds=[1, 2], lr=[0.1, 0.01], init=["he_uniform", "glorot_normal"])
    first = [held(each) for each in nets.models]
    nets.fit(*data, batch_size=8, epochs=2, threads=threads, backend="numba")
    for each, rate, before in zip(nets.models, nets.lr, first, strict=True):
        alone = ms.Sequential(each.layers, seed=each.seed)
        assert held(alone) == before
        fit(alone, data, "numba", optimizer=ms.Adam(rate))
        assert held(each) == held(alone)
        for position in (0, 5):
            size = len(before[position])
            assert held(each)[position][:size] == before[position]
            assert not any(held(each)[position][size:])  # m and v
