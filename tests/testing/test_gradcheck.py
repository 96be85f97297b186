"""What a gradient check assumes, and what decides how it differentiates."""

from contextlib import nullcontext
from functools import partial
from importlib import import_module
from inspect import signature

import numpy as np
import pytest

import mlp_scratch as ms
from mlp_scratch.backends import State, get_backend
from mlp_scratch.backends.numpy import NumpyBackend
from mlp_scratch.derivatives import Derivative
from mlp_scratch.errors import ArgumentError
from mlp_scratch.gradcheck import STEP, TOLERANCE, gradcheck
from mlp_scratch.layers.base import Activation
from mlp_scratch.model import Model
from mlp_scratch.program import lower
from mlp_scratch.samples import prepare

module = import_module("mlp_scratch.gradcheck")  # whose name the package gives to its function
X = np.random.default_rng(0).normal(size=(5, 3))
Y = np.array([0, 1, 1, 0, 1])


def model(*middle, dtype="float64", width=4):
    return ms.Sequential([ms.Dense(3, width), *middle, ms.Dense(width, 2)], dtype=dtype, seed=3)


def test_what_is_assumed():
    defaults = {name: p.default for name, p in signature(gradcheck).parameters.items() if p.kind is p.KEYWORD_ONLY}
    assert defaults == {
        "loss": None,
        "sample_weight": None,
        "backend": "numpy",
        "method": "auto",
        "tolerance": 1e-7,
        "directions": 3,
        "seed": 0,
    }
    assert (TOLERANCE, STEP, module.EVERY_PARAMETER_UP_TO) == (1e-7, 1, 2_000)
    r = gradcheck(model(), X, Y)
    assert (r.tolerance, r.backend) == (1e-7, "numpy")


def test_the_report_names_the_backend_that_auto_stands_for():
    assert gradcheck(model(), X, Y, backend="auto").backend == get_backend("auto").name
    # A layer of one's own has no kernels, and is NumPy's on every machine.
    assert gradcheck(model(SoftSign()), X, Y, backend="auto").backend == "numpy"


@pytest.mark.parametrize(
    ("layer", "loss", "method", "used"),
    [
        (ms.Tanh(), "cross_entropy", "auto", "complex"),
        (ms.Tanh(), "cross_entropy", "complex", "complex"),
        (ms.Tanh(), "cross_entropy", "central", "central"),
        (ms.ReLU(), "cross_entropy", "auto", "central"),
        (ms.ReLU(), "cross_entropy", "central", "central"),
        (ms.Tanh(), "mae", "auto", "central"),
    ],
)
def test_the_complex_step_is_taken_where_it_is_exact(layer, loss, method, used, monkeypatch):
    other = {"complex": "central_difference", "central": "complex_step"}[used]
    monkeypatch.setattr(module, other, lambda line: Derivative(float("nan"), float("nan"), 0.0))
    r = gradcheck(model(layer), X, Y if loss == "cross_entropy" else np.eye(2)[Y], loss=loss, method=method)
    assert r.method == used
    assert r.passed


@pytest.mark.parametrize(("layer", "loss", "kind"), [(ms.ReLU(), "cross_entropy", "relu"), (ms.Tanh(), "mae", "mae")])
def test_a_complex_step_through_a_corner_is_refused(layer, loss, kind):
    with pytest.raises(ArgumentError, match=f"'complex' for a chain with {kind}") as caught:
        gradcheck(model(layer), X, Y if loss == "cross_entropy" else np.eye(2)[Y], loss=loss, method="complex")
    assert caught.value.argument == "method"


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("method", "symbolic"),
        ("tolerance", 0.0),
        ("directions", 0),
        ("loss", "hinges"),
        ("backend", "abacus"),
        ("seed", -1),
    ],
)
def test_a_refusal_names_its_argument(argument, value):
    with pytest.raises(ArgumentError) as caught:
        gradcheck(model(), X, Y, **{argument: value})
    assert caught.value.argument == argument


def test_what_is_no_model_is_named():
    with pytest.raises(ArgumentError, match=r"^model: got 3 \(int\), expected a model"):
        gradcheck(3, X, Y)


def test_the_loss_is_the_models_own_unless_one_is_given():
    fitted, y = ms.MLP([3, 1]), np.array([0.0, 1.0, 1.0, 0.0, 1.0])
    assert gradcheck(fitted, X, y).loss == gradcheck(fitted, X, y, loss="mse").loss
    fitted.fit(X, y, loss="binary_cross_entropy", epochs=1)
    assert gradcheck(fitted, X, y).loss == gradcheck(fitted, X, y, loss="binary_cross_entropy").loss


@pytest.mark.parametrize(("n_outputs", "loss"), [(1, "mse"), (2, "cross_entropy")])
def test_a_model_that_cannot_be_fitted_has_the_usual_loss(n_outputs, loss):
    bare = Model([ms.Dense(3, n_outputs)])
    assert gradcheck(bare, X, Y).loss == gradcheck(bare, X, Y, loss=loss).loss


def test_a_backend_gets_the_program_that_it_was_chosen_for_and_a_state_that_fits(monkeypatch):
    seen = []

    class Watched(NumpyBackend):
        def loss_and_gradient(self, program, state, *args, **options):
            seen.append((program, state))
            return super().loss_and_gradient(program, state, *args, **options)

    monkeypatch.setattr(module, "get_backend", lambda name, program: seen.append((name, program)) or Watched())
    assert gradcheck(model(), X, Y, backend="numba").passed
    (name, chosen_for), (program, state) = seen
    assert (name, program) == ("numba", chosen_for)
    assert program.optimizer == ms.SGD()
    assert state.slots.shape == (len(program.optimizer.slots), program.n_parameters)


@pytest.mark.parametrize(
    "broken",
    [lambda x: np.exp(1e4 + 0 * x), lambda x: (x + np.inf) - np.inf, lambda x: 1 / (0 * x)],
    ids=["overflow", "invalid", "division by zero"],
)
def test_what_is_not_finite_is_an_infinite_error_and_no_warning(broken, monkeypatch):
    monkeypatch.setattr(ms.Tanh, "function", lambda self, x: broken(x))
    r = gradcheck(model(ms.Tanh()), X, Y, method="central")
    assert not r.passed
    assert r.max_error == float("inf")


def test_a_loss_may_be_an_object():
    assert gradcheck(model(), X, Y, loss=ms.CrossEntropy(0.25)).passed


def test_each_element_of_a_small_model_and_the_smallest_allowed_numbers():
    r = gradcheck(model(), X, Y, tolerance=1e-9, directions=1)
    names = ["0.weight"] * 12 + ["0.bias"] * 4 + ["1.weight"] * 8 + ["1.bias"] * 2
    assert [entry.parameter for entry in r.entries] == names
    assert [entry.index for entry in r.entries][:4] == [(0, 0), (0, 1), (0, 2), (1, 0)]
    assert all(entry.analytic == pytest.approx(entry.numeric, rel=1e-9, abs=1e-12) for entry in r.entries)


def test_directions_of_a_large_model(monkeypatch):
    monkeypatch.setattr(module, "EVERY_PARAMETER_UP_TO", 26)
    assert len(gradcheck(model(), X, Y).entries) == 26
    monkeypatch.setattr(module, "EVERY_PARAMETER_UP_TO", 25)
    r = gradcheck(model(), X, Y)
    assert [(entry.parameter, entry.index) for entry in r.entries] == [
        (name, None) for name in ("0.weight", "0.bias", "1.weight", "1.bias") for _ in range(3)
    ]
    assert r.passed
    others = gradcheck(model(), X, Y, directions=2, seed=1).entries
    assert len(others) == 8
    assert others[0].analytic not in [entry.analytic for entry in r.entries]
    assert gradcheck(model(), X, Y).entries == r.entries


def test_directions_are_unit_vectors_of_signs(monkeypatch):
    m = model()
    for name, index, direction in module._directions(m, 2, 0):
        assert m.named(direction)[name][index] == 1
        assert np.count_nonzero(direction) == 1
    monkeypatch.setattr(module, "EVERY_PARAMETER_UP_TO", 25)
    for name, index, direction in module._directions(m, 2, 0):
        own = m.named(direction)[name]
        assert index is None
        assert np.array_equal(np.abs(own), np.full(own.shape, 1 / np.sqrt(own.size)))
        assert np.count_nonzero(direction) == own.size
        assert len(np.unique(own)) == 2 or own.size < 8


def test_a_model_is_left_as_it_is_and_checked_in_double_precision():
    m = model(ms.BatchNorm(), dtype="float32")
    m.buffer_vector += 0.25
    before = m.flat.copy(), m.buffer_vector.copy()
    r = gradcheck(m, X, Y)
    assert r.passed
    assert np.array_equal(m.flat, before[0])
    assert np.array_equal(m.buffer_vector, before[1])
    double = model(ms.BatchNorm())
    double.flat[...] = m.flat
    assert r.loss == gradcheck(double, X, Y).loss


def test_it_is_a_training_step_with_the_masks_of_a_seed():
    m = model(ms.Dropout(0.5), ms.Tanh(), width=9)
    r = gradcheck(m, X, Y, seed=2)
    assert r.passed
    assert r.loss != gradcheck(m, X, Y, seed=3).loss
    inference = m.loss_and_gradients(X, Y, loss="cross_entropy", training=False, backend="numpy")[0]
    assert r.loss != inference
    with_weights = gradcheck(m, X, Y, seed=2, sample_weight=np.arange(5.0))
    assert with_weights.passed
    assert with_weights.loss != r.loss


@pytest.mark.parametrize(("bias", "loss"), [([64.0, -64.0], 64.0), ([0.0, 64.0], 64.0), ([0.0, 0.0], np.log(2))])
def test_rounding_is_that_of_the_largest_number_on_the_way(bias, loss):
    """Of logits or of the loss: that of a wrong class is as large as its logit, that of a right one is nothing."""
    m = model()
    m.flat[...] = 0
    m.parameters["1.bias"][...] = bias
    program = lower(m, ms.CrossEntropy(), ms.SGD())
    state = State(m.flat, m.buffer_vector, np.empty((0, m.n_parameters)))
    samples = prepare(m, ms.CrossEntropy(), X, np.ones(5, int), None)
    value, scale, pieces = module._line(program, state, samples, np.zeros(m.n_parameters), 0)(0.0)
    assert scale == max(abs(value), 64.0 if any(bias) else 0.0)
    assert scale >= loss * (1 - 1e-12)
    assert pieces == []


def test_pieces_are_asked_of_each_layer_at_its_parameters_and_its_input(monkeypatch):
    monkeypatch.setattr(ms.PReLU, "pieces", lambda self, parameters, x: parameters["weight"] * x)
    m = model(ms.PReLU())
    program = lower(m, ms.CrossEntropy(), ms.SGD())
    state = State(m.flat, m.buffer_vector, np.empty((0, m.n_parameters)))
    line = module._line(program, state, prepare(m, ms.CrossEntropy(), X, Y, None), np.zeros(m.n_parameters), 0)
    _, _, (pieces,) = line(0.0)
    inputs = X @ m.parameters["0.weight"].T + m.parameters["0.bias"]
    assert np.allclose(pieces, m.parameters["1.weight"] * inputs, rtol=1e-12)


class SoftSign(Activation):
    """x / (1 + |x|), in a formula that NumPy takes for complex numbers too, and then is another function."""

    kind = "soft_sign"

    def function(self, x):
        return x / (1 + np.abs(x))

    def derivative(self, x):
        return 1 / (1 + np.abs(x)) ** 2


class ForgetsTheAbsoluteValue(SoftSign):
    """Its derivative for positive x only."""

    def derivative(self, x):
        return 1 / (1 + np.abs(x))


class Softer(ms.Tanh):
    """Of a class that is analytic, but itself is not."""

    def function(self, x):
        return np.abs(x) * np.tanh(x)

    def derivative(self, x):
        return np.sign(x) * np.tanh(x) + np.abs(x) * (1 - np.tanh(x) ** 2)


@pytest.mark.parametrize(("layer", "right"), [(SoftSign(), True), (Softer(), True), (ForgetsTheAbsoluteValue(), False)])
def test_a_layer_that_does_not_say_it_is_analytic_is_not_taken_for_it(layer, right):
    checked = gradcheck(ms.Sequential([ms.Dense(3, 4), layer, ms.Dense(4, 2)], seed=0), X, Y)
    assert (checked.method, checked.passed) == ("central", right)
    check = partial(ms.testing.check_layer, layer, X)
    with nullcontext() if right else pytest.raises(ms.testing.PropertyError):
        check()


def test_a_loss_that_does_not_say_it_is_analytic_is_not_taken_for_it():
    class Distance(ms.losses.MSE):
        def sample_values(self, z, t):
            return np.abs(z - t).mean(axis=1)

        def sample_gradients(self, z, t):
            return 0 * z

    checked = gradcheck(ms.MLP([3, 2], seed=0), X, np.ones((5, 2)), loss=Distance())
    assert (checked.method, checked.passed) == ("central", False)


def test_a_report_in_which_nothing_tells_says_so():
    model = ms.MLP([3, 4, 2], activation="tanh", seed=0)
    model.flat[...] = 0
    said = str(gradcheck(model, X, np.zeros((5, 2)), loss="mse")).splitlines()
    assert said[-2].startswith("FAILED at 1e-07")
    assert said[-1].startswith("nothing differs, but no derivative is large enough to tell: check more samples")
