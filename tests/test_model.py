"""One flat vector with named views, laid out and named as PyTorch does, and the program that a model is lowered to."""

import copy
import pickle

import numpy as np
import pytest

from mlp_scratch import MLP, SGD, Adam, BatchNorm, Dense, Dropout, Identity, PReLU, ReLU, Sequential, Softplus
from mlp_scratch.errors import ArgumentError, UnknownNameError
from mlp_scratch.layers import LAYERS
from mlp_scratch.losses import LOSSES, Huber
from mlp_scratch.model import Model
from mlp_scratch.placing import place
from mlp_scratch.program import MAX_CONSTANTS, Column, lower
from tests import examples

BIG = [Dense(5, 4), BatchNorm(), PReLU(per_feature=True), Dropout(0.2), Dense(4, 4, bias=False), PReLU(), Dense(4, 3)]


def copies_of(model, tmp_path):
    """The ways to copy a model, all of which must keep its views inside its vector."""
    from mlp_scratch import load

    yield "deepcopy", copy.deepcopy(model)
    yield "pickle", pickle.loads(pickle.dumps(model))
    model.save(tmp_path / "m.safetensors")
    yield "load", load(tmp_path / "m.safetensors")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_parameters_tile_the_flat_vector_in_order(dtype):
    model = Model(BIG, dtype=dtype)
    model.flat[...] = np.arange(model.n_parameters)
    assert np.concatenate([view.ravel() for view in model.parameters.values()]).tolist() == list(
        range(model.n_parameters)
    )
    assert model.flat.dtype == model.buffer_vector.dtype == dtype
    assert model.n_parameters == model.flat.size == 5 * 4 + 4 + 4 + 4 + 4 + 4 * 4 + 1 + 4 * 3 + 3


def test_views_alias_the_flat_vector_both_ways():
    model = Model(BIG)
    for views, flat in ((model.parameters, model.flat), (model.buffers, model.buffer_vector)):
        assert len(views) > 0
        for name, view in views.items():
            assert np.shares_memory(view, flat)
            view[...] = 3.0
            assert (flat == 3.0).sum() == view.size, name
            flat[...] = 0.0
            assert not view.any(), name


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_a_model_that_came_as_views_of_read_only_memory_trains(backend):
    """As joblib hands large arrays to its workers."""
    X, y = np.random.default_rng(0).normal(size=(20, 5)), np.arange(20) % 3
    model = Sequential(BIG)
    model.fit(X, y, optimizer="adam", epochs=1, backend=backend, progress=False)
    buffers: list[pickle.PickleBuffer] = []
    pickled = pickle.dumps(model, protocol=5, buffer_callback=buffers.append)
    sent = [bytes(buffer.raw()) for buffer in buffers]
    assert sum(map(len, sent)) >= model.flat.nbytes + model.training.slots.nbytes
    received = pickle.loads(pickled, buffers=sent)
    for each in (model, received):
        each.fit(X, y, optimizer="adam", epochs=1, backend=backend, progress=False)
    assert np.array_equal(received.flat, model.flat)


@pytest.mark.parametrize("way", ["deepcopy", "pickle", "load"])
def test_copies_keep_their_views_in_their_own_vector(way, tmp_path):
    model = Sequential(BIG)
    made = dict(copies_of(model, tmp_path))[way]
    assert np.array_equal(made.flat, model.flat)
    for views, flat in ((made.parameters, made.flat), (made.buffers, made.buffer_vector)):
        for name, view in views.items():
            assert np.shares_memory(view, flat), f"{name} of the copy is cut off from its vector"
    made.flat[...] = 7.0
    assert (made.parameters["0.weight"] == 7.0).all()
    assert not (model.flat == 7.0).any()


def test_assigning_by_name_writes_into_the_vector_and_checks_shapes():
    model = Model([Dense(2, 3)])
    model.parameters["0.bias"] = [1, 2, 3]
    assert model.flat[-3:].tolist() == [1.0, 2.0, 3.0]
    before = model.flat.copy()
    with pytest.raises(ArgumentError, match=r"^0\.weight: got shape \(2, 3\), expected shape \(3, 2\)$"):
        model.parameters["0.weight"] = np.zeros((2, 3))
    with pytest.raises(UnknownNameError, match=r"did you mean '0\.weight'\?$"):
        model.parameters["0.wieght"]
    assert np.array_equal(model.flat, before)


def test_an_unknown_buffer_is_called_one():
    with pytest.raises(UnknownNameError, match=r"^buffer: got '1\.running_men', .*did you mean '1\.running_mean'\?$"):
        Model(BIG).buffers["1.running_men"]
    without = Model([Dense(2, 3)])
    for model in (without, copy.deepcopy(without)):
        with pytest.raises(UnknownNameError, match=r"^buffer: got 'x', expected no name: the model has no buffers$"):
            model.buffers["x"]
        assert "x" not in model.buffers


def test_a_gradient_vector_gets_the_same_names():
    model = Model(BIG)
    named = model.named(np.arange(model.n_parameters, dtype=float))
    assert {name: view.shape for name, view in named.items()} == {
        name: view.shape for name, view in model.parameters.items()
    }
    assert named["0.weight"][0, 1] == 1.0


@pytest.mark.parametrize("layer", examples.layers(), ids=examples.name)
def test_names_and_shapes_are_those_of_pytorch(layer):
    pytest.importorskip("torch")
    from tests import torch_counterparts

    model = Model([Dense(3, examples.WIDTH), layer])
    state = torch_counterparts.module(model.layers).state_dict()
    theirs = {name: tuple(value.shape) for name, value in state.items() if "num_batches" not in name}
    assert {name: view.shape for name, view in {**model.parameters, **model.buffers}.items()} == theirs


def test_initial_values_depend_on_seed_and_position_and_are_rounded_last():
    one, same, other = Model(BIG, seed=1), Model(BIG, seed=1), Model(BIG, seed=2)
    assert np.array_equal(one.flat, same.flat)
    assert not np.array_equal(one.flat, other.flat)
    twice = Model([Dense(4, 4), Dense(4, 4)])
    assert not np.array_equal(twice.parameters["0.weight"], twice.parameters["1.weight"])
    double = Model(BIG, seed=1, dtype="float64")
    assert np.array_equal(double.flat.astype(np.float32), one.flat)
    # A layer's draw depends on its position and not on what stands before it.
    behind = Model([Identity(), Dense(4, 4)]), Model([Dense(4, 4), Dense(4, 4)])
    assert np.array_equal(behind[0].parameters["1.weight"], behind[1].parameters["1.weight"])


def test_initialize_draws_anew_in_place():
    model = Model(BIG, seed=1)
    flat, first = model.flat, model.flat.copy()
    model.flat[...] = 9.0
    model.buffer_vector[...] = 9.0
    model.initialize(1)
    assert model.flat is flat
    assert np.array_equal(model.flat, first)
    assert np.array_equal(model.buffers["1.running_var"], np.ones(4))


@pytest.mark.parametrize(("seed", "said"), [(-1, "got -1"), ("a", r"got 'a' \(str\)"), (None, "got None")])
def test_a_seed_that_is_none_changes_nothing(seed, said):
    model = Model(BIG)
    before = model.flat.copy()
    with pytest.raises(ArgumentError, match=f"^seed: {said}.*, expected an integer"):
        model.initialize(seed)
    assert np.array_equal(model.flat, before)


def test_widths_are_filled_in():
    placed = place([Dropout(0.1), BatchNorm(), Dense(5, 4), PReLU(per_feature=True), Dense(4, 3)])
    assert [(op.n_in, op.n_out) for op in placed] == [(5, 5), (5, 5), (5, 4), (4, 4), (4, 3)]
    assert placed[1].layer.n_features == 5
    assert placed[3].layer.n_features == 4


def test_mlp_spells_out_its_layers():
    model = MLP([7, 6, 5, 4], activation="gelu_tanh", dropout=0.1, batch_norm=True)
    kinds = ["dense", "batch_norm", "gelu", "dropout"] * 2 + ["dense"]
    assert [layer.kind for layer in model.layers] == kinds
    assert [layer.kind for layer in MLP([7, 4]).layers] == ["dense"]
    assert [layer.kind for layer in MLP([7, 6, 4], activation="tanh").layers] == ["dense", "tanh", "dense"]


PROGRAM_LAYERS = [Dense(6, 4), BatchNorm(eps=1e-3, momentum=0.3), Softplus(2.0, 10.0), Dropout(0.25), Dense(4, 2)]


def test_table_and_constants():
    program = lower(Model(PROGRAM_LAYERS), Huber(0.5), SGD(0.1, momentum=0.9, nesterov=True))
    kinds = list(LAYERS)
    assert program.table.dtype == np.int64
    assert program.table.tolist() == [
        [kinds.index("dense"), 6, 4, 0, 0, 0, 1],
        [kinds.index("batch_norm"), 4, 4, 28, 0, 1, 1],
        [kinds.index("softplus"), 4, 4, 36, 8, 2, 1],
        [kinds.index("dropout"), 4, 4, 36, 8, 3, 1],
        [kinds.index("dense"), 4, 2, 36, 8, 4, 1],
    ]
    assert program.constants.tolist() == [
        [1, 0, 0, 0], [1e-3, 0.3, 0, 0], [2, 10, 0, 0], [0.25, 0, 0, 0], [1, 0, 0, 0],
    ]  # fmt: skip
    assert (program.n_parameters, program.n_buffers, program.dtype) == (46, 8, np.float32)


def test_listing():
    listing = str(lower(Model(PROGRAM_LAYERS), Huber(), Adam()))
    assert listing == (
        "index  kind        n_in  n_out  parameters  buffers  constants\n"
        "    0  dense          6      4           0        0  1\n"
        "    1  batch_norm     4      4          28        0  0.001 0.3\n"
        "    2  softplus       4      4          36        8  2 10\n"
        "    3  dropout        4      4          36        8  0.25\n"
        "    4  dense          4      2          36        8  1"
    )


@pytest.mark.parametrize("layer", examples.layers(), ids=examples.name)
def test_every_layer_can_be_lowered(layer):
    program = lower(Model([Dense(3, examples.WIDTH), layer]), LOSSES["mse"], SGD())
    assert list(LAYERS)[program.table[1, Column.KIND]] == layer.kind
    assert len(layer.constants()) <= MAX_CONSTANTS
    assert program.table[1, Column.PARAMETERS] == 3 * examples.WIDTH + examples.WIDTH
    assert layer.kind in str(program)


def test_decay_acts_on_weight_matrices_alone_where_asked():
    model = Model([Dense(2, 3), BatchNorm(), PReLU(), ReLU(), Dense(3, 1)])
    assert lower(model, LOSSES["mse"], SGD(weight_decay=0.1)).decayed == 1.0
    mask = lower(model, LOSSES["mse"], SGD(weight_decay=0.1, decay="weights")).decayed
    assert mask.dtype == np.float32
    assert {name: set(view.ravel().tolist()) for name, view in model.named(mask).items()} == {
        "0.weight": {1}, "0.bias": {0}, "1.weight": {0}, "1.bias": {0}, "2.weight": {0}, "4.weight": {1}, "4.bias": {0},
    }  # fmt: skip
