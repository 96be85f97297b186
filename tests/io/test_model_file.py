"""Model files: what is saved comes back bit for bit, with PyTorch's names, for every row of every table."""

import json

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from mlp_scratch import (
    MLP,
    SGD,
    Adam,
    BatchNorm,
    Constant,
    CrossEntropy,
    Dense,
    Dropout,
    He,
    Huber,
    LeakyReLU,
    Normal,
    Sequential,
    Uniform,
    load,
)  # fmt: skip
from mlp_scratch.errors import ArgumentError, ArgumentTypeError, ModelFileError
from mlp_scratch.initializers import INITIALIZERS
from mlp_scratch.io.checkpoint import read, write
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
        "normal", "uniform", "constant") else None)]), tmp_path / "m")  # fmt: skip


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


HEADER = {
    "dtype": "float32", "seed": 0, "metadata": {}, "training": None,
    "layers": [{"kind": "dense", "n_in": 2, "n_out": 1, "bias": True, "weight_init": None, "bias_init": None}],
}  # fmt: skip
ARRAYS = {"0.weight": np.ones((1, 2), np.float32), "0.bias": np.zeros(1, np.float32)}
TRAINING = {
    "loss": encode(Huber()), "optimizer": encode(SGD(0.1, momentum=0.9)), "seed": 0, "flat_targets": True, "step": 1,
    "epoch": 1, "position": 0, "n_samples": 1, "batch_size": 1,
}  # fmt: skip
SLOT = {"optimizer.velocity": np.zeros(3, np.float32)}


def test_the_hand_written_file_is_a_model(tmp_path):
    """What the mistakes below are made in."""
    write(tmp_path / "m", ARRAYS | SLOT, HEADER | {"training": TRAINING})
    assert load(tmp_path / "m").predict([[1, 2]]).tolist() == [3.0]


@pytest.mark.parametrize(
    ("arrays", "header"),
    [
        ({"0.weight": ARRAYS["0.weight"]}, {}),
        ({**ARRAYS, "0.weight": np.ones((2, 1), np.float32)}, {}),
        ({**ARRAYS, "0.weight": np.ones((1, 2), np.float64)}, {}),
        (ARRAYS, {"dtype": "float16"}),
        (ARRAYS, {"dtype": None}),
        (ARRAYS, {"seed": -1}),
        (ARRAYS, {"layers": []}),
        (ARRAYS, {"layers": None}),
        (ARRAYS, {"layers": [{"kind": "conv2d"}]}),
        (ARRAYS, {"layers": [{"kind": "dense", "n_in": 2, "n_out": 0}]}),
        (ARRAYS, {"layers": [{**HEADER["layers"][0], "colour": "red"}]}),
        (ARRAYS, {"layers": [{**HEADER["layers"][0], "weight_init": {"kind": "orthogonal"}}]}),
        (ARRAYS, {"layers": ["dense"]}),
        (ARRAYS, {"training": TRAINING}),
        (ARRAYS | {"optimizer.velocity": np.zeros(4, np.float32)}, {"training": TRAINING}),
        (ARRAYS | {"optimizer.velocity": np.zeros(1, np.float32)}, {"training": TRAINING}),
        (ARRAYS | SLOT, {"training": {**TRAINING, "step": -1}}),
        (ARRAYS | SLOT, {"training": {**TRAINING, "step": "1"}}),
        (ARRAYS | SLOT, {"training": {**TRAINING, "optimizer": {"kind": "lion"}}}),
        (ARRAYS | SLOT, {"training": {**TRAINING, "loss": {"kind": "huber", "delta": -1}}}),
        (ARRAYS | SLOT, {"training": {k: v for k, v in TRAINING.items() if k != "seed"}}),
        (ARRAYS | SLOT, {"training": {**TRAINING, "surprise": 1}}),
        (ARRAYS | SLOT, {"training": []}),
        (ARRAYS | SLOT, {"training": "abc"}),
        (ARRAYS | SLOT, {"training": 3}),
        (ARRAYS | SLOT, {"training": {**TRAINING, "step": 2**70}}),
        (ARRAYS | SLOT, {"training": {**TRAINING, "optimizer": {"kind": "sgd", "lr": 10**400}}}),
        (ARRAYS | SLOT, {"training": {**TRAINING, "flat_targets": "no"}}),
        (ARRAYS | SLOT, {"training": {**TRAINING, "position": 1}}),
        (ARRAYS | SLOT, {"training": {**TRAINING, "position": 1, "batch_size": 0}}),
        (ARRAYS, {"layers": [{**HEADER["layers"][0], "bias": 1}]}),
        (ARRAYS, {"metadata": ["a"]}),
    ],
)
def test_parts_that_do_not_belong_together(arrays, header, tmp_path):
    write(tmp_path / "m", arrays, HEADER | header)
    with pytest.raises(ModelFileError) as caught:
        load(tmp_path / "m")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", HEADER)
def test_a_header_without_a_key(key, tmp_path):
    write(tmp_path / "m", ARRAYS, {k: v for k, v in HEADER.items() if k != key})
    with pytest.raises(ModelFileError, match=key):
        load(tmp_path / "m")


def test_metadata_that_json_cannot_hold_is_refused_before_anything_is_written(tmp_path):
    model = MLP([4, 3])
    model.save(tmp_path / "m")
    before = (tmp_path / "m").read_bytes()
    for bad in ({"a": float("nan")}, {"a": np.zeros(2)}, {"a": {1, 2}}, ["a"], None):
        model.metadata = bad
        with pytest.raises(ArgumentError, match=r"^metadata: got .*, expected a dict of what JSON can hold"):
            model.save(tmp_path / "m")
    assert (tmp_path / "m").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({1: 2}, r"the key 1 \(int\), expected keys that are text, all that JSON has; use str\(key\)"),
        ({"a": [{"b": {None: 2}}]}, r"the key None \(NoneType\), expected keys that are text, .*"),
        ({"a": ({True: 2},)}, r"the key True \(bool\), expected keys that are text, .*"),
    ],
)
def test_metadata_with_keys_that_would_become_text_are_refused(bad, said, tmp_path):
    model = MLP([4, 3])
    model.metadata = bad
    with pytest.raises(ArgumentTypeError, match=f"^metadata: got {said}$"):
        model.save(tmp_path / "m")
    assert list(tmp_path.iterdir()) == []


def nested(depth):
    """A list in a list in a list, so many of them."""
    value = []
    for _ in range(depth - 1):
        value = [value]
    return value


def test_metadata_may_be_nested_a_hundred_deep(tmp_path):
    model = MLP([4, 3])
    model.metadata = {"a": nested(99)}
    model.save(tmp_path / "m")
    assert load(tmp_path / "m").metadata == model.metadata
    round_about = {}
    round_about["me"] = round_about
    for bad in ({"a": nested(100)}, {"a": nested(100_000)}, round_about):
        model.metadata = bad
        with pytest.raises(ArgumentError, match=r"^metadata: got lists and dicts in one another, 101 levels, expected"):
            model.save(tmp_path / "m")
    write(tmp_path / "m", ARRAYS, HEADER | {"metadata": {"a": nested(100)}})
    with pytest.raises(ModelFileError, match="at most 100 levels"):
        load(tmp_path / "m")


def test_tuples_in_metadata_come_back_as_lists(tmp_path):
    model = MLP([4, 3])
    model.metadata = {"classes": ("a", ("b", 1))}
    model.save(tmp_path / "m")
    assert load(tmp_path / "m").metadata == {"classes": ["a", ["b", 1]]}


@pytest.mark.parametrize("text", ["", "abc", "[" * 100_000, "9" * 5000, "[]", "3", '"abc"', "null"])
def test_a_header_that_is_no_record(text, tmp_path, monkeypatch):
    monkeypatch.setattr(json, "dumps", lambda *_, **__: text)
    write(tmp_path / "m", ARRAYS, {})
    monkeypatch.undo()
    with pytest.raises(ModelFileError, match=f"^{tmp_path / 'm'}: got a header") as caught:
        load(tmp_path / "m")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("count", ["step", "epoch", "position", "n_samples", "batch_size"])
def test_counts_that_no_training_reaches(count, tmp_path):
    write(tmp_path / "m", ARRAYS | SLOT, HEADER | {"training": TRAINING | {count: 2**62 + 1}})
    with pytest.raises(ModelFileError, match=f"{count}: got {2**62 + 1}, expected at most {2**62}"):
        load(tmp_path / "m")


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_training_goes_on_from_the_largest_counts(backend, tmp_path):
    write(tmp_path / "m", ARRAYS | SLOT, HEADER | {"training": TRAINING | {"step": 2**62, "epoch": 2**62}})
    model = load(tmp_path / "m")
    model.fit([[1, 2]], [3], epochs=1, backend=backend)
    assert (model.training.step, model.training.epoch) == (2**62 + 1, 2**62 + 1)


def test_a_foreign_file_with_our_names_is_not_taken_for_ours(tmp_path):
    save_file(dict(trained().parameters), tmp_path / "m")
    with pytest.raises(ModelFileError, match=r"another program or version \(format None\), expected 'mlp-scratch-1'"):
        load(tmp_path / "m")
    save_file(ARRAYS, tmp_path / "m", {"format": "mlp-scratch-2"})
    with pytest.raises(ModelFileError, match="mlp-scratch-2"):
        read(tmp_path / "m")
