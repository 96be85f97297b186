"""What `save` refuses to write, and files that it has not written: parts that don't fit, no records, not ours."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from mlp_scratch import MLP, SGD, Huber, load
from mlp_scratch.errors import ArgumentError, ArgumentTypeError, ModelFileError
from mlp_scratch.io.checkpoint import read, write
from mlp_scratch.io.records import encode

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
    save_file(dict(MLP([4, 3]).parameters), tmp_path / "m")
    with pytest.raises(ModelFileError, match=r"another program or version \(format None\), expected 'mlp-scratch-1'"):
        load(tmp_path / "m")
    save_file(ARRAYS, tmp_path / "m", {"format": "mlp-scratch-2"})
    with pytest.raises(ModelFileError, match="mlp-scratch-2"):
        read(tmp_path / "m")
