"""The arrays of a user's own layers and optimisers: numbers of any shape come back, each under its own name."""

from dataclasses import dataclass

import numpy as np
import pytest

import mlp_scratch as ms
from mlp_scratch.errors import ArgumentError
from mlp_scratch.layers import Layer
from mlp_scratch.optimizers import Optimizer
from tests.refusals import assert_refused

X = np.random.default_rng(0).normal(size=(12, 4))
Y = np.arange(12) % 3


@dataclass(frozen=True)
class Tempered(Layer):
    """y = t x, with one learned number t, that counts its steps: arrays without an axis."""

    kind = "tempered"

    def parameter_shapes(self):
        return {"t": ()}

    def initial_parameters(self, rng, default):
        return {"t": np.array(1.5)}

    def initial_buffers(self):
        return {"steps": np.zeros(())}

    def forward(self, parameters, x, context):
        return parameters["t"] * x, x

    def backward(self, parameters, cache, dy):
        return parameters["t"] * dy, {"t": (cache * dy).sum()}

    def next_buffers(self, buffers, cache):
        return {"steps": buffers["steps"] + 1}


def tempered():
    return ms.Sequential([ms.Dense(4, 5), Tempered(), ms.Dense(5, 3)], seed=1)


def test_a_parameter_and_a_buffer_without_an_axis_come_back(tmp_path):
    whole, half = tempered(), tempered()
    whole.fit(X, Y, batch_size=5, epochs=4)
    half.fit(X, Y, batch_size=5, epochs=2, callbacks=[ms.Checkpoint(tmp_path / "m")])
    again = ms.load(tmp_path / "m", custom=[Tempered])
    for name in ("1.t", "1.steps"):
        views = [model.parameters if name == "1.t" else model.buffers for model in (half, again)]
        assert [view[name].shape for view in views] == [(), ()]
        assert views[0][name] == views[1][name]
    again.fit(X, Y, batch_size=5, epochs=2)
    assert again.flat.tobytes() == whole.flat.tobytes()
    assert again.buffers["1.steps"] == 12
    assert again.training.slots.tobytes() == whole.training.slots.tobytes()


class Ambiguous(Tempered):
    kind = "ambiguous"

    def initial_buffers(self):
        return {"steps": np.zeros(()), "t": np.zeros(())}


def test_a_parameter_and_a_buffer_of_one_name_are_refused_when_the_model_is_made():
    with pytest.raises(
        ArgumentError,
        match=r"^layers: got layer 1 \(ambiguous\) with a parameter and a buffer of the name 't', expected a name for "
        r"each, by which a model file finds it; rename one of them$",
    ):
        ms.Sequential([ms.Dense(4, 5), Ambiguous()])


@dataclass(frozen=True)
class Doubled(Optimizer):
    kind = "doubled"
    slots = ("m", "v", "m")

    def update(self, p, g, slots, *, step, lr, decayed=1.0):
        return p - lr * g, slots


def test_two_slots_of_one_name_are_refused_before_the_first_step():
    model = ms.MLP([4, 5, 3])
    model.fit(X, Y, epochs=1)
    message = r"optimizer: got Doubled with 2 slots of the name 'm', expected a name for each, by which .*; rename them"
    assert_refused(lambda: model.fit(X, Y, optimizer=Doubled()), ArgumentError, message, model)
    population = ms.Population(model, seeds=[0])
    assert_refused(lambda: population.fit(X, Y, optimizer=Doubled()), ArgumentError, message)
