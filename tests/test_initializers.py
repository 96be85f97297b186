"""Initialisers: variance and bounds of what they draw, and which one a layer gets when none is named."""

import numpy as np
import pytest

from mlp_scratch import (
    ELU,
    GELU,
    MLP,
    SELU,
    BatchNorm,
    Constant,
    Dense,
    Dropout,
    Glorot,
    He,
    LeakyReLU,
    LeCun,
    Normal,
    PReLU,
    ReLU,
    Sequential,
    Sigmoid,
    Softplus,
    Tanh,
    TorchDefault,
    Uniform,
)  # fmt: skip
from mlp_scratch.errors import ArgumentError
from mlp_scratch.initializers import INITIALIZERS, KINDS
from mlp_scratch.layers import ACTIVATIONS
from mlp_scratch.model import default_initializers
from tests import examples
from tests.tolerances import assert_close, mean_bound, variance_bound

H, D = 300, 500
N = H * D

# Kurtosis of a standard normal variable cut at ±2: E z⁴ / (E z²)², both by integration by parts.
_PHI2, _MASS = np.exp(-2) / np.sqrt(2 * np.pi), 0.9544997361036416
_SECOND = 1 - 4 * _PHI2 / _MASS
TRUNCATED_KURTOSIS = (3 * _SECOND - 2 * 8 * _PHI2 / _MASS) / _SECOND**2

KURTOSIS = {"normal": 3.0, "uniform": 9 / 5, "truncated_normal": TRUNCATED_KURTOSIS}

RULES = {
    "he": 2 / D, "glorot": 2 / (D + H), "lecun": 1 / D, "torch": 1 / (3 * D), "normal": 0.01**2, "uniform": 0.05**2 / 3,
}  # fmt: skip
"""The variance of each kind with its default constants, for a weight of shape (H, D)."""


def draw(row, shape=(H, D), seed=0):
    return row.draw(np.random.default_rng(seed), shape)


@pytest.mark.parametrize("name", INITIALIZERS)
def test_mean_and_variance(name):
    row = INITIALIZERS[name]
    w = draw(row)
    assert w.shape == (H, D)
    assert w.dtype == np.float64
    if isinstance(row, Constant):
        assert (w == row.value).all()
        return
    variance = RULES[row.kind]
    shape = getattr(row, "distribution", "normal" if row.kind == "normal" else "uniform")
    assert_close(w.mean(), 0.0, mean_bound(np.sqrt(variance), N))
    assert_close(w.var(), variance, variance_bound(variance, KURTOSIS[shape], N))
    # The distribution has the shape that was asked for, not only the width.
    fourth = np.mean(w**4) / np.mean(w**2) ** 2
    assert_close(fourth, KURTOSIS[shape], 0.1)
    bound = {"uniform": np.sqrt(3 * variance), "normal": 7 * np.sqrt(variance)}.get(shape)
    bound = 2 * np.sqrt(variance / _SECOND) if shape == "truncated_normal" else bound
    assert 0.99 * bound < np.abs(w).max() <= bound * (1 + 1e-12) or (shape == "normal" and np.abs(w).max() < bound)


def test_the_bounds_would_see_a_wrong_fan():
    """With D and H swapped the variance is off by 40 %, far outside the bound."""
    swapped = He().draw(np.random.default_rng(0), (D, H))
    with pytest.raises(AssertionError):
        assert_close(swapped.var(), 2 / D, variance_bound(2 / D, 3, N))


@pytest.mark.parametrize("slope", [0.01, 0.25, 1.0])
def test_he_knows_the_slope_of_the_negative_side(slope):
    variance = 2 / (1 + slope**2) / D
    assert_close(draw(He(slope=slope)).var(), variance, variance_bound(variance, 3, N))


def test_constants_of_ones_own():
    assert_close(draw(Normal(0.3)).var(), 0.09, variance_bound(0.09, 3, N))
    w = draw(Uniform(-1.0, 3.0))
    assert_close(w.mean(), 1.0, mean_bound(4 / np.sqrt(12), N))
    assert -1 <= w.min() < -0.99
    assert 2.99 < w.max() < 3
    assert (draw(Constant(0.7)) == 0.7).all()
    for number in (3, 10**300):
        assert draw(Constant(number)).dtype == np.float64
        assert (draw(Constant(number)) == number).all()


def test_numbers_that_a_dtype_still_has():
    largest = float(np.finfo(np.float32).max)
    assert (MLP([3, 2], weight_init=Constant(largest)).parameters["0.weight"] == largest).all()
    assert (MLP([3, 2], weight_init=Constant(1e300), dtype="float64").parameters["0.weight"] == 1e300).all()
    assert np.abs(draw(He(slope=-1e100))).max() < 1e-99


def test_a_model_keeps_its_numbers_where_new_ones_do_not_fit():
    model = MLP([3, 4], weight_init=Normal(1.2e38), seed=0)
    before = model.flat.tobytes()
    with pytest.raises(ArgumentError, match=r"^weight_init: got 3.98.*e\+38 for 'weight' of layer 0 \(dense\), "):
        model.initialize(3)
    assert model.flat.tobytes() == before


def test_pytorchs_default_draws_the_bias_with_the_fan_of_the_weight():
    layer = Dense(D, 2000, weight_init="torch")
    own = layer.initial_parameters(np.random.default_rng(0), Glorot())
    bound = 1 / np.sqrt(D)
    for name, size in (("weight", 2000 * D), ("bias", 2000)):
        values = own[name]
        assert 0.98 * bound < np.abs(values).max() <= bound
        assert_close(values.var(), bound**2 / 3, variance_bound(bound**2 / 3, 9 / 5, size))


def test_pytorchs_default_for_the_bias_alone():
    assert Dense(4, 3, bias_init="torch").bias_init == TorchDefault()
    given, left_open = (MLP([9, 5, 2], weight_init="torch", bias_init=rule, seed=3) for rule in ("torch", None))
    assert np.array_equal(given.flat, left_open.flat)
    bias = MLP([D, 2000], bias_init="torch", dtype="float64").parameters["0.bias"]
    bound = 1 / np.sqrt(D)
    assert 0.98 * bound < np.abs(bias).max() <= bound
    assert_close(bias.var(), bound**2 / 3, variance_bound(bound**2 / 3, 9 / 5, 2000))


@pytest.mark.parametrize("name", INITIALIZERS)
def test_a_name_is_an_initialiser_of_biases_or_is_refused_at_once(name):
    for make in (lambda: Dense(4, 3, bias_init=name), lambda: MLP([4, 3], bias_init=name)):
        if "_" in name:
            with pytest.raises(ArgumentError, match=r"^bias_init: got .*, expected an initialiser of vectors, .*"):
                make()
        else:
            make()


def test_draws_depend_on_the_generator_alone():
    for row in INITIALIZERS.values():
        assert np.array_equal(draw(row, seed=1), draw(row, seed=1))
        assert isinstance(row, Constant) or not np.array_equal(draw(row, seed=1), draw(row, seed=2))


CHOICE = {
    "identity": Glorot(), "relu": He(), "leaky_relu": He(slope=0.01), "prelu": He(slope=0.25), "elu": LeCun(),
    "selu": LeCun(), "gelu": He(), "gelu_tanh": He(), "tanh": Glorot(), "sigmoid": Glorot(), "softplus": He(),
}  # fmt: skip


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_activation_chooses(name):
    """He for the ReLU family, LeCun for SELU and ELU, Glorot for tanh, sigmoid and the logits."""
    model = MLP([5, 4, 3], activation=name, batch_norm=True, dropout=0.1, dtype="float64", seed=6)
    expected = [CHOICE[name], Glorot()]
    for index, rule in zip((0, 4), expected, strict=True):
        shape = model.parameters[f"{index}.weight"].shape
        assert np.array_equal(model.parameters[f"{index}.weight"], rule.draw(np.random.default_rng([6, index]), shape))
        assert not model.parameters[f"{index}.bias"].any()


def test_only_the_activation_before_the_next_dense_layer_has_a_say():
    layers = [Dense(2, 2), BatchNorm(), Dropout(0.1), SELU(), Dense(2, 2), Dense(2, 2), ReLU(), Tanh(), Dense(2, 2)]
    rules = [rule for layer, rule in zip(layers, default_initializers(layers), strict=True) if layer.kind == "dense"]
    assert rules == [LeCun(), Glorot(), He(), Glorot()]


@pytest.mark.parametrize("layer", [ReLU(), LeakyReLU(), PReLU(), GELU(), Softplus(), ELU(), SELU(), Tanh(), Sigmoid()],
                         ids=examples.name)  # fmt: skip
def test_a_named_initialiser_is_used_whatever_the_activation(layer):
    model = Sequential([Dense(3, 3, weight_init=Constant(0.5), bias_init="ones"), layer, Dense(3, 1)])
    assert (model.parameters["0.weight"] == 0.5).all()
    assert (model.parameters["0.bias"] == 1).all()


def test_names_and_kinds():
    assert {row.kind for row in INITIALIZERS.values()} == set(KINDS) == {*RULES, "constant"}
    assert INITIALIZERS["torch"] == TorchDefault()
    for name, row in INITIALIZERS.items():
        if "_" in name:
            kind, distribution = name.split("_", 1)
            assert (row.kind, row.distribution) == (kind, distribution)


def test_signal_neither_fades_nor_explodes():
    """What the rules are for: twenty layers later the activations still have their size."""
    x = np.random.default_rng(0).normal(size=(200, 256))
    for activation in ("relu", "gelu", "tanh", "selu"):
        model = MLP([256] * 21, activation=activation, dtype="float64", seed=1)
        size = float((model.logits(x) ** 2).mean())
        assert 1e-4 < size < 1e2, activation
