"""`freeze` and `unfreeze`: which layers they take, and where it is kept; training is in `backends/`."""

import copy
import json
import pickle
from dataclasses import dataclass

import numpy as np
import pytest
from safetensors import safe_open

import mlp_scratch as ms
from mlp_scratch.errors import ArgumentError, ArgumentTypeError, ModelFileError
from mlp_scratch.io.records import decode, encode
from mlp_scratch.layers import Identity, Layer
from mlp_scratch.program import lower
from tests.frozen_networks import fit, held, network, samples


@pytest.fixture
def data(rng):
    return samples(rng)


def test_positions():
    model = ms.MLP([3, 4, 5, 2])
    frozen = lambda: [i for i, layer in enumerate(model.layers) if not layer.trainable]  # noqa: E731
    model.freeze(-1, np.int64(0))
    assert frozen() == [0, 4]
    model.unfreeze(4)
    model.freeze(*range(4))  # those without parameters have nothing to freeze
    assert frozen() == [0, 2]
    model.freeze()
    assert frozen() == [0, 2, 4]
    assert [placed.layer.trainable for placed in model.placed] == [layer.trainable for layer in model.layers]
    model.unfreeze()
    assert frozen() == []


@pytest.mark.parametrize(
    ("position", "message"),
    [
        (5, "positions: got 5, expected a position in layers, at most 4"),
        (-6, "positions: got -6, expected an integer of at least -5"),
        (
            1,
            r"positions: got 1 \(relu\), without parameters or buffers, expected layers that have some, of positions "
            "0, 2, 4",
        ),
        ("0.weight", r"positions: got '0.weight' \(str\), expected an integer"),
        (True, r"positions: got True \(bool\), expected an integer"),
    ],
)
def test_a_position_that_makes_no_sense(position, message):
    model = ms.MLP([3, 4, 5, 2])
    for method in (model.freeze, model.unfreeze):
        with pytest.raises((ArgumentError, ArgumentTypeError), match=message):
            method(position)
    assert all(layer.trainable for layer in model.layers)


@pytest.mark.parametrize("value", [0, "no", None])
def test_trainable_is_true_or_false(value):
    with pytest.raises(ArgumentTypeError, match=r"trainable: got .*, expected True or False"):
        ms.Dense(2, 3, trainable=value)


def test_a_listing_says_what_is_frozen():
    model = ms.MLP([3, 4, 2], batch_norm=True)
    model.freeze(0, 1)
    lines = str(lower(model, ms.CrossEntropy(), ms.Adam())).splitlines()
    assert ["frozen" in line for line in lines] == [False, True, True, False, False]
    assert "trainable=False" in repr(model.layers[0])


@pytest.mark.parametrize("way", ["file", "copy", "pickle", "its layers"])
def test_a_copy_is_frozen_where_the_model_is(way, data, tmp_path):
    model = fit(network(), data)
    model.freeze(1, 4)
    fit(model, data)
    model.save(tmp_path / "m")
    again = {
        "file": lambda: ms.load(tmp_path / "m"),
        "copy": lambda: copy.deepcopy(model),
        "pickle": lambda: pickle.loads(pickle.dumps(model)),
        "its layers": lambda: ms.Sequential(model.layers, dtype="float64"),
    }[way]()
    assert again.layers == model.layers
    if way != "its layers":
        assert held(fit(again, data)) == held(fit(model, data))


def test_files_say_so_only_where_a_layer_is_frozen(tmp_path):
    """A file of a model without frozen layers is what it was before there were any, and such files still load."""
    model = ms.MLP([3, 4, 2], batch_norm=True)
    model.freeze(1)
    model.save(tmp_path / "m")
    with safe_open(tmp_path / "m", framework="numpy") as file:
        records = json.loads(file.metadata()["header"])["layers"]
    assert [record.get("trainable") for record in records] == [None, False, None, None]
    old = {"kind": "dense", "n_in": 2, "n_out": 3, "bias": True, "weight_init": None, "bias_init": None}
    assert encode(ms.Dense(2, 3)) == old
    assert decode(old, Layer) == ms.Dense(2, 3)
    with pytest.raises(ModelFileError, match="expected True or False"):
        decode(old | {"trainable": 0}, Layer)


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_freezing_counts_at_once_wherever_the_model_was_asked_before(backend, data):
    X, y = data
    model = ms.MLP([3, 4, 2], batch_norm=True, seed=0)
    thawed = model.loss_and_gradients(X, y, backend=backend)[0]
    model.freeze(1)
    frozen = model.loss_and_gradients(X, y, backend=backend)[0]
    assert frozen == copy.deepcopy(model).loss_and_gradients(X, y, backend=backend)[0] != thawed
    model.unfreeze()
    assert model.loss_and_gradients(X, y, backend=backend)[0] == thawed


def test_a_layer_of_ones_own_can_be_frozen(data):
    class Scaled(ms.Dense):
        """A subclass, which only the NumPy backend can run."""

        def forward(self, parameters, x, context):
            y, cache = super().forward(parameters, x, context)
            return 2 * y, cache

        def backward(self, parameters, cache, dy):
            return super().backward(parameters, cache, 2 * dy)

    model = ms.Sequential([Scaled(3, 4, trainable=False), ms.Dense(4, 2)])
    before = held(model)
    after = held(fit(model, data, optimizer="sgd"))
    assert (before[0] == after[0], before[1] == after[1]) == (True, False)
    model.unfreeze()
    assert held(fit(model, data, optimizer="sgd"))[0] != before[0]


@dataclass(frozen=True)
class Averaging(Layer):
    """y = a x, that remembers the last batch's mean."""

    kind = "averaging"

    def parameter_shapes(self):
        return {"a": (4,)}

    def initial_parameters(self, rng, default):
        return {"a": np.ones(4)}

    def initial_buffers(self):
        return {"mean": np.zeros(4)}

    def forward(self, parameters, x, context):
        return parameters["a"] * x, x

    def backward(self, parameters, cache, dy):
        return parameters["a"] * dy, {"a": (cache * dy).sum(axis=0)}

    def next_buffers(self, buffers, cache):
        return {"mean": cache.mean(axis=0)}


@dataclass(frozen=True)
class Watching(Identity):
    """y = x, that remembers the last batch's mean and learns nothing."""

    kind = "watching"

    def initial_buffers(self):
        return {"mean": np.zeros(4)}

    def next_buffers(self, buffers, cache):
        return {"mean": cache.mean(axis=0)}


@pytest.mark.parametrize("cls", [Averaging, Watching])
def test_what_a_layer_of_ones_own_remembers_stays_while_it_is_frozen(cls, data):
    model = ms.Sequential([ms.Dense(3, 4), cls(trainable=False), ms.Dense(4, 2)])
    fit(model, data, optimizer="sgd")
    assert not model.buffers["1.mean"].any()
    model.unfreeze()
    fit(model, data, optimizer="sgd")
    assert (kept := model.buffers["1.mean"].copy()).any()
    for positions in ((), (1,)):
        model.unfreeze(1)
        model.freeze(*positions)
        fit(model, data, optimizer="sgd")
        assert not model.layers[1].trainable
        assert np.array_equal(model.buffers["1.mean"], kept)
