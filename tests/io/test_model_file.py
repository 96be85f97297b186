"""Model files: what is saved comes back bit for bit, with PyTorch's names, for every row of every table."""

import json

import numpy as np
import pytest
from safetensors import safe_open

from mlp_scratch import (
    MLP,
    Adam,
    BatchNorm,
    Constant,
    CrossEntropy,
    Dense,
    Dropout,
    He,
    LeakyReLU,
    Normal,
    Sequential,
    Uniform,
    load,
)  # fmt: skip
from mlp_scratch.initializers import INITIALIZERS
from mlp_scratch.io.records import decode, encode
from mlp_scratch.layers import Layer
from mlp_scratch.losses import Loss
from mlp_scratch.optimizers import Optimizer
from tests import examples

X = np.random.default_rng(0).normal(size=(12, 4))


def assert_same(one, other):
    assert one.layers == other.layers
    assert (one.dtype, one.seed, one.metadata) == (other.dtype, other.seed, other.metadata)
    assert one.flat.tobytes() == other.flat.tobytes()
    assert one.buffer_vector.tobytes() == other.buffer_vector.tobytes()
    assert (one.training is None) == (other.training is None)
    if one.training is not None:
        mine, theirs = vars(one.training).copy(), vars(other.training).copy()
        a, b = mine.pop("slots"), theirs.pop("slots")
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        assert a.tobytes() == b.tobytes()
        assert mine == theirs


def round_trip(model, path):
    model.save(path)
    again = load(path)
    assert_same(model, again)
    assert np.array_equal(model.predict(X), again.predict(X))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layer", examples.layers(), ids=examples.name)
def test_every_layer(layer, dtype, tmp_path):
    model = Sequential([Dense(4, examples.WIDTH), layer], dtype=dtype, seed=9)
    model.flat[...] = np.random.default_rng(1).normal(size=model.n_parameters)
    model.buffer_vector[...] = np.random.default_rng(1).uniform(0.5, 2, model.buffer_vector.shape)
    round_trip(model, tmp_path / "m")


@pytest.mark.parametrize("row", list(examples.losses()), ids=examples.loss_name)
def test_every_loss(row, tmp_path):
    loss, targets = row
    model = MLP([4, 3])
    model.fit(X, targets(np.random.default_rng(2), 12, 3), loss=loss, epochs=1)
    round_trip(model, tmp_path / "m")


@pytest.mark.parametrize("optimizer", examples.optimizers(), ids=examples.name)
def test_every_optimiser(optimizer, tmp_path):
    model = MLP([4, 5, 3], batch_norm=True)
    model.fit(X, np.arange(12) % 3, optimizer=optimizer, epochs=2, seed=77)
    round_trip(model, tmp_path / "m")


@pytest.mark.parametrize("initializer", [*INITIALIZERS.values(), He("uniform", 0.3), Normal(0.3), Uniform(-2, 1),
                                         Constant(3)], ids=examples.name)  # fmt: skip
def test_every_initialiser(initializer, tmp_path):
    round_trip(Sequential([Dense(4, 3, weight_init=initializer, bias_init=initializer if initializer.kind in (
        "torch", "normal", "uniform", "constant") else None)]), tmp_path / "m")  # fmt: skip


def test_extreme_numbers_and_metadata(tmp_path):
    model = MLP([4, 3], dtype="float64")
    special = [5e-324, -0.0, np.finfo(float).max, 1 / 3, -np.finfo(float).tiny]
    model.flat[: len(special)] = special
    model.metadata = {"classes": ["a", "é", "\n"], "mean": [0.1, 1e-300], "nested": {"none": None, "true": True}}
    model.save(tmp_path / "m")
    assert_same(model, load(tmp_path / "m"))


@pytest.mark.parametrize("cls", [np.int64, np.int32, np.uint8])
def test_widths_that_are_numpy_integers(cls, tmp_path):
    """Widths are often counted from data: Dense(X.shape[1], y.max() + 1)."""
    model = Sequential([Dense(cls(4), cls(3)), BatchNorm(cls(3))])
    model.fit(X, np.arange(12) % 3, epochs=1)
    round_trip(model, tmp_path / "m")


@pytest.mark.parametrize("cls", [np.float64, np.float32])
def test_constants_that_are_numpy_floats(cls, tmp_path):
    """Learning rates often come from np.logspace."""
    model = Sequential([Dense(4, 3, weight_init=Normal(cls(0.5))), LeakyReLU(cls(0.25)), Dropout(cls(0.5))])
    model.fit(X, np.arange(12) % 3, loss=CrossEntropy(cls(0.25)), optimizer=Adam(cls(0.5), beta1=cls(0.5)), epochs=1)
    round_trip(model, tmp_path / "m")


def test_a_path_may_be_text_or_a_path_object(tmp_path):
    model = MLP([4, 3])
    model.save(str(tmp_path / "a"))
    model.save(tmp_path / "b")
    assert_same(load(tmp_path / "a"), load(str(tmp_path / "b")))


def test_saving_overwrites(tmp_path):
    first, second = MLP([4, 3], seed=1), MLP([4, 8, 3], seed=2)
    first.save(tmp_path / "m")
    second.save(tmp_path / "m")
    assert_same(load(tmp_path / "m"), second)
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def trained():
    layers = [Dense(4, 6), BatchNorm(), LeakyReLU(0.2), Dense(6, 3)]
    model = Sequential(layers, dtype="float64", seed=4)
    model.fit(X, np.arange(12) % 3, epochs=3, optimizer=Adam(0.01))
    return model


def test_any_safetensors_reader_finds_pytorchs_names(tmp_path):
    model = trained()
    model.save(tmp_path / "m.safetensors")
    with safe_open(tmp_path / "m.safetensors", framework="numpy") as file:
        names = set(file.keys())
        weight = file.get_tensor("0.weight")
    assert names == {
        "0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var", "3.weight", "3.bias",
        "optimizer.m", "optimizer.v",
    }  # fmt: skip
    assert np.array_equal(weight, model.parameters["0.weight"])


def test_pytorch_loads_the_file_and_predicts_the_same(tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file

    from tests import torch_counterparts
    from tests.tolerances import assert_parity

    model = trained()
    model.save(tmp_path / "m.safetensors")
    state = {k: v for k, v in load_file(tmp_path / "m.safetensors").items() if not k.startswith("optimizer.")}
    net = torch_counterparts.module(model.layers)
    net.load_state_dict(state, strict=True)
    net.eval()
    assert_parity(model.logits(X), net(torch.from_numpy(X)).detach().numpy())


@pytest.mark.parametrize(
    ("thing", "family"),
    [*((layer, Layer) for layer in examples.layers()),
     *((loss, Loss) for loss, _ in examples.losses()),
     *((row, Optimizer) for row in examples.optimizers())],
    ids=lambda x: "" if isinstance(x, type) else examples.name(x),
)  # fmt: skip
def test_records_go_through_json(thing, family):
    record = json.loads(json.dumps(encode(thing), allow_nan=False))
    assert decode(record, family) == thing
