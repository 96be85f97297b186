"""Before a green check is trusted it is shown turning red: each property of models and backends on a lie of its own."""

import numpy as np
import pytest

from mlp_scratch.backends import BACKENDS
from mlp_scratch.backends.numpy import NumpyBackend
from mlp_scratch.errors import DivergedError
from mlp_scratch.layers import BatchNorm, Dense, ReLU
from mlp_scratch.losses import CrossEntropy
from mlp_scratch.optimizers import SGD, Adam
from mlp_scratch.testing import Problem, PropertyError, check_backend, check_model, check_optimizer
from mlp_scratch.testing.backends import PROPERTIES as OF_BACKENDS
from mlp_scratch.testing.models import PROPERTIES as OF_MODELS
from mlp_scratch.testing.optimizers import PROPERTIES as OF_OPTIMIZERS

X = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75], [-1.0, 1.0, 0.5], [2.0, -0.5, 1.0]])
Y = np.array([0, 1, 2, 1])
PLAIN = Problem([Dense(3, 4), ReLU(), Dense(4, 3)], CrossEntropy(), Adam(0.01), X, Y, batch_size=2)
NORMALISED = Problem([Dense(3, 4), BatchNorm(), ReLU(), Dense(4, 3)], CrossEntropy(), Adam(0.01), X, Y)


def first_bias(program, g, delta):
    """The first bias of the first layer, moved."""
    field = next(f for f in program.operations[0].parameters if f.name == "bias")
    g[field.start] += delta


def last_bias(program, g, delta):
    field = program.operations[-1].parameters[-1]
    g[field.start] += delta


class Lie(NumpyBackend):
    """The NumPy backend, with one thing wrong about its gradient."""

    name = "lie"

    def loss_and_gradient(self, program, state, samples, **rest):
        loss, g = super().loss_and_gradient(program, state, samples, **rest)
        return self.spoil(program, state, samples, loss, g)

    def spoil(self, program, state, samples, loss, g):
        return loss, g


class Scaled(Lie):
    def spoil(self, program, state, samples, loss, g):
        return loss, 1.0005 * g


class MindsTheFirstSample(Lie):
    def spoil(self, program, state, samples, loss, g):
        return loss, g * (1 + 1e-6 * samples.X[0, 0])


class MindsTheNumberOfSamples(Lie):
    def spoil(self, program, state, samples, loss, g):
        return loss, g * (1 + 1e-6 * len(samples.X))


class MindsThePlace(Lie):
    def spoil(self, program, state, samples, loss, g):
        first_bias(program, g, 1e-6)
        return loss, g


class MindsTheScale(Lie):
    def spoil(self, program, state, samples, loss, g):
        return loss + 1e-6 * float(np.abs(state.flat).sum()), g


class MovesTheLastBias(Lie):
    def spoil(self, program, state, samples, loss, g):
        last_bias(program, g, 1e-6)
        return loss, g


LIES = {
    "derivative": (Scaled, PLAIN),
    "batch_permutation": (MindsTheFirstSample, PLAIN),
    "batch_additivity": (MindsTheNumberOfSamples, PLAIN),
    "hidden_permutation": (MindsThePlace, PLAIN),
    "relu_rescaling": (MindsTheScale, PLAIN),
    "bias_before_normalisation": (MindsThePlace, NORMALISED),
    "softmax_shift": (MovesTheLastBias, PLAIN),
    "agreement": (Scaled, PLAIN),
}


@pytest.mark.parametrize("name", OF_MODELS)
def test_each_property_of_models_sees_a_lie(name, monkeypatch):
    lie, problem = LIES[name]
    monkeypatch.setitem(BACKENDS, "lie", lie)
    if name == "agreement":
        pytest.importorskip("torch")
    check_model(problem, only=[name])
    with pytest.raises(PropertyError) as caught:
        check_model(problem, backend="lie", only=[name])
    assert caught.value.property == name
    with pytest.raises(PropertyError):  # and the printed lines show it again
        exec(caught.value.code, {})


class WrongLogits(Lie):
    def logits(self, program, state, X):
        return super().logits(program, state, X) * (1 + 1e-6)


class LogitsOfAnotherDtype(Lie):
    def logits(self, program, state, X):
        return super().logits(program, state, X).astype(np.float32)


class ChangesTheState(Lie):
    def spoil(self, program, state, samples, loss, g):
        state.flat[0] += 1.0
        return loss, g


class WrongTraining(Lie):
    """Trains right, but for `after`."""

    def train(self, program, state, samples, plan, records, stop):
        taken = super().train(program, state, samples, plan, records, stop)
        self.after(state, records)
        return taken

    def after(self, state, records):
        raise NotImplementedError


class WrongSlots(WrongTraining):
    def after(self, state, records):
        state.slots *= 1 + 1e-6


class WrongLosses(WrongTraining):
    def after(self, state, records):
        records.losses[-1] += 1e-6


class TooManySteps(WrongTraining):
    def after(self, state, records):
        state.step += 1


class Diverges(WrongTraining):
    def after(self, state, records):
        raise DivergedError(1, "layer 0 (dense)", "output")


class NoTwoRunsAlike(WrongTraining):
    runs = 0

    def after(self, state, records):
        NoTwoRunsAlike.runs += 1
        state.flat[0] += 1e-15 * self.runs


class DecaysEverything(Lie):
    def train(self, program, state, samples, plan, records, stop):
        state.flat *= 1 - 0.1 * program.optimizer.weight_decay
        return super().train(program, state, samples, plan, records, stop)


class NeverStops(Lie):
    def train(self, program, state, samples, plan, records, stop):
        return super().train(program, state, samples, plan, records, lambda: False)


BACKEND_LIES = [
    (WrongLogits, "same_logits"),
    (LogitsOfAnotherDtype, "same_logits"),
    (Scaled, "same_gradient"),
    (ChangesTheState, "same_gradient"),
    (WrongSlots, "same_training"),
    (WrongLosses, "same_training"),
    (TooManySteps, "same_training"),
    (Diverges, "same_training"),
    (NoTwoRunsAlike, "deterministic"),
    (DecaysEverything, "decay_spares_biases"),
    (NeverStops, "stops"),
]


@pytest.mark.parametrize(("lie", "name"), BACKEND_LIES)
def test_each_property_of_backends_sees_a_lie(lie, name, monkeypatch):
    monkeypatch.setitem(BACKENDS, "lie", lie)
    with pytest.raises(PropertyError) as caught:
        check_backend("lie", PLAIN, only=[name])
    assert caught.value.property == name
    check_backend("numpy", PLAIN, only=[name])


def test_every_property_of_backends_has_a_lie():
    assert {name for _, name in BACKEND_LIES} == set(OF_BACKENDS)


class Ascends(SGD):
    def update(self, p, g, slots, *, step, lr, decayed=1.0):
        return super().update(p, -g, slots, step=step, lr=lr, decayed=decayed)


class Writes(SGD):
    def update(self, p, g, slots, *, step, lr, decayed=1.0):
        result = super().update(p, g, slots, step=step, lr=lr, decayed=decayed)
        g *= 2
        return result


class Clips(SGD):
    """By the norm of all gradients: the parameters see each other."""

    def update(self, p, g, slots, *, step, lr, decayed=1.0):
        g = g * min(1.0, 1.0 / float(np.abs(g[0]) + 1.0))
        return super().update(p, g, slots, step=step, lr=lr, decayed=decayed)


class ForgetsMomentum(SGD):
    def update(self, p, g, slots, *, step, lr, decayed=1.0):
        return super().update(p, g, slots * (1 - 1e-6), step=step, lr=lr, decayed=decayed)


class Normalises(SGD):
    def update(self, p, g, slots, *, step, lr, decayed=1.0):
        return super().update(p, np.tanh(g), slots, step=step, lr=lr, decayed=decayed)


class HalfDecay(SGD):
    def _with_decay(self, p, g, lr, decayed):
        return p, g + 0.5 * self.weight_decay * decayed * p


class DecaysAll(SGD):
    def _with_decay(self, p, g, lr, decayed):
        return super()._with_decay(p, g, lr, 1.0)


class AlwaysDouble(SGD):
    def update(self, p, g, slots, *, step, lr, decayed=1.0):
        return super().update(p.astype(np.float64), g, slots, step=step, lr=lr, decayed=decayed)


OPTIMIZER_LIES = {
    "pure": Writes(),
    "elementwise": Clips(),
    "descends": Ascends(),
    "constant_gradient": ForgetsMomentum(momentum=0.9),
    "scale_invariance": Normalises(),
    "coupled_decay": HalfDecay(),
    "decay_mask": DecaysAll(),
    "dtype": AlwaysDouble(),
}


@pytest.mark.parametrize("name", OF_OPTIMIZERS)
def test_each_property_of_optimizers_sees_a_lie(name):
    p = np.ones(3, np.float32) if name == "dtype" else None
    check_optimizer(SGD(momentum=0.9), p, only=[name])
    with pytest.raises(PropertyError) as caught:
        check_optimizer(OPTIMIZER_LIES[name], p, only=[name])
    assert caught.value.property == name
