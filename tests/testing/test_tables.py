"""Names and defaults: what a model file, a command line and a reader of the documentation rely on."""

from dataclasses import fields

import numpy as np
import pytest

from mlp_scratch.initializers import INITIALIZERS, Constant, Glorot, He, LeCun, Normal, TorchDefault, Uniform
from mlp_scratch.initializers import KINDS as INITIALIZER_KINDS
from mlp_scratch.layers import (
    ACTIVATIONS,
    ELU,
    GELU,
    LAYERS,
    SELU,
    BatchNorm,
    Context,
    Dense,
    Dropout,
    Identity,
    LeakyReLU,
    PReLU,
    ReLU,
    Sigmoid,
    Softplus,
    Tanh,
)
from mlp_scratch.losses import LOSSES, MAE, MSE, BinaryCrossEntropy, CrossEntropy, Huber
from mlp_scratch.optimizers import KINDS as OPTIMIZER_KINDS
from mlp_scratch.optimizers import OPTIMIZERS, SGD, Adam

RULE = {"lr": 0.01, "weight_decay": 0.0, "decoupled": False, "decay": "all"}
DEFAULTS = {
    ("dense", Dense): None,
    ("identity", Identity): {},
    ("relu", ReLU): {},
    ("leaky_relu", LeakyReLU): {"slope": 0.01},
    ("prelu", PReLU): {"slope": 0.25, "per_feature": False, "n_features": None},
    ("elu", ELU): {"alpha": 1.0},
    ("selu", SELU): {},
    ("gelu", GELU): {"approximate": "none"},
    ("tanh", Tanh): {},
    ("sigmoid", Sigmoid): {},
    ("softplus", Softplus): {"beta": 1.0, "threshold": 20.0},
    ("dropout", Dropout): {"p": 0.5},
    ("batch_norm", BatchNorm): {"n_features": None, "eps": 1e-5, "momentum": 0.1},
    ("mse", MSE): {},
    ("mae", MAE): {},
    ("huber", Huber): {"delta": 1.0},
    ("cross_entropy", CrossEntropy): {"label_smoothing": 0.0},
    ("binary_cross_entropy", BinaryCrossEntropy): {},
    ("sgd", SGD): RULE | {"momentum": 0.0, "nesterov": False},
    ("adam", Adam): RULE | {"lr": 0.001, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "eps_mode": "torch"},
    ("glorot", Glorot): {"distribution": "uniform"},
    ("he", He): {"distribution": "uniform", "slope": 0.0},
    ("lecun", LeCun): {"distribution": "uniform"},
    ("torch", TorchDefault): {},
    ("normal", Normal): {"sigma": 0.01},
    ("uniform", Uniform): {"a": -0.05, "b": 0.05},
    ("constant", Constant): {"value": 0.0},
}
"""Every kind with its class and what its constructor assumes."""


@pytest.mark.parametrize(("kind", "row"), DEFAULTS)
def test_kinds_and_defaults(kind, row):
    assert row.kind == kind
    thing = row(3, 4) if row is Dense else row()
    wanted = DEFAULTS[kind, row]
    if row is Dense:
        wanted = {"n_in": 3, "n_out": 4, "bias": True, "weight_init": None, "bias_init": None}
    if kind in LAYERS:
        wanted = wanted | {"trainable": True}
    assert {field.name: getattr(thing, field.name) for field in fields(thing)} == wanted


def test_every_table_has_every_row_under_its_name():
    layers = [row for kind, row in DEFAULTS if kind in LAYERS]
    assert {kind: row for kind, row in LAYERS.items() if row in layers} == {row.kind: row for row in layers}
    assert {kind: type(row) for kind, row in LOSSES.items()} == {
        row.kind: row for row in (MSE, MAE, Huber, CrossEntropy, BinaryCrossEntropy)
    }
    assert {"sgd": SGD, "adam": Adam}.items() <= OPTIMIZER_KINDS.items()
    rules = (He, Glorot, LeCun, TorchDefault, Normal, Uniform, Constant)
    assert {row.kind: row for row in rules} == INITIALIZER_KINDS


def test_the_names_that_a_command_line_takes():
    activations = {
        "identity": Identity(),
        "relu": ReLU(),
        "leaky_relu": LeakyReLU(),
        "prelu": PReLU(),
        "elu": ELU(),
        "selu": SELU(),
        "gelu": GELU(),
        "gelu_tanh": GELU("tanh"),
        "tanh": Tanh(),
        "sigmoid": Sigmoid(),
        "softplus": Softplus(),
    }
    assert activations.items() <= ACTIVATIONS.items()
    for rule in (He, Glorot, LeCun):
        for distribution in ("normal", "truncated_normal", "uniform"):
            assert INITIALIZERS[f"{rule.kind}_{distribution}"] == rule(distribution)
    assert INITIALIZERS["torch"] == TorchDefault()
    assert INITIALIZERS["normal"] == Normal()
    assert INITIALIZERS["uniform"] == Uniform()
    assert INITIALIZERS["zeros"] == Constant(0.0)
    assert INITIALIZERS["ones"] == Constant(1.0)


@pytest.mark.parametrize("layer", [Dense(1, 1), Identity(), Tanh(), Sigmoid(), GELU(), Dropout(), BatchNorm(1)])
def test_layers_that_a_complex_step_goes_through(layer):
    assert layer.analytic is True


@pytest.mark.parametrize("layer", [ReLU(), LeakyReLU(), PReLU(), ELU(), SELU(), Softplus(), MAE(), Huber()])
def test_layers_and_losses_with_corners(layer):
    assert layer.analytic is False


@pytest.mark.parametrize("loss", [MSE(), CrossEntropy(), BinaryCrossEntropy()])
def test_losses_without_corners(loss):
    assert loss.analytic is True


@pytest.mark.parametrize(("loss", "answer"), [(CrossEntropy(), True), (BinaryCrossEntropy(), True), (MSE(), False)])
def test_losses_that_count_right_answers(loss, answer):
    assert loss.classifies is answer


def test_a_context_is_that_of_inference_unless_said():
    assert Context() == Context(training=False, seed=0, step=0, layer=0, buffers={})


def test_optimizers_by_name():
    rows = {
        "sgd": SGD(),
        "momentum": SGD(momentum=0.9),
        "nesterov": SGD(momentum=0.9, nesterov=True),
        "adam": Adam(),
        "adamw": Adam(weight_decay=1e-2, decoupled=True),
    }
    assert rows.items() <= OPTIMIZERS.items()


def test_constants_of_activations():
    """SELU's fixed point and GELU's cubic term, by the values that they lead to."""
    x = np.array([-1.0, 1.0])
    assert SELU().function(x) == pytest.approx([-1.1113307378125625, 1.0507009873554805], rel=1e-12)
    assert GELU("tanh").function(x) == pytest.approx([-0.15880800939172324, 0.8411919906082768], rel=1e-12)
