"""The arrays of a user's own layers and optimisers: numbers of any shape come back, each under its own name."""

from dataclasses import dataclass

import numpy as np

import mlp_scratch as ms
from mlp_scratch.layers import Layer

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
