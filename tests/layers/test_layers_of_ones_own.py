"""A user's own layer gives what it says that it has: whatever is missing or does not fit is named, with the layer."""

from dataclasses import dataclass, field

import numpy as np
import pytest

import mlp_scratch as ms
from mlp_scratch.errors import ArgumentError, ArgumentTypeError
from mlp_scratch.layers import Layer
from tests.refusals import assert_refused

X = np.random.default_rng(0).normal(size=(12, 4))
Y = np.arange(12) % 3


@dataclass(frozen=True)
class Affine(Layer):
    """y = a x + b, with two learned vectors, that remembers the sum of the means that it has seen."""

    kind = "affine"
    initial: object = field(default_factory=lambda: {"a": np.ones(5), "b": np.zeros(5)})
    gradients: dict = field(default_factory=dict)
    without: str = ""
    remembered: object = None

    def parameter_shapes(self):
        return {"a": (5,), "b": (5,)}

    def initial_parameters(self, rng, default):
        return self.initial

    def initial_buffers(self):
        return {"seen": np.zeros(5)}

    def forward(self, parameters, x, context):
        return parameters["a"] * x + parameters["b"], x

    def backward(self, parameters, cache, dy):
        grads = {"a": (cache * dy).sum(axis=0), "b": dy.sum(axis=0)} | self.gradients
        grads.pop(self.without, None)
        return parameters["a"] * dy, grads

    def next_buffers(self, buffers, cache):
        return self.remembered or {"seen": buffers["seen"] + cache.mean(axis=0)}


def model(layer):
    return ms.Sequential([ms.Dense(4, 5), layer, ms.Dense(5, 3)])


@pytest.mark.parametrize(
    ("initial", "kind", "said"),
    [
        ({}, ArgumentError, "got no 'a' from {}, expected one array for each of its parameters: a, b"),
        ({"a": np.ones(5)}, ArgumentError, "got no 'b' from {}, expected one array for each .*"),
        (
            {"a": np.ones(5), "b": np.ones(5), "c": np.ones(5)},
            ArgumentError,
            "got 'c' from {}, expected one array for .*",
        ),
        ({"a": np.ones(5), "b": 0.0}, ArgumentError, r"got 'b' of shape \(\) from {}, expected shape \(5,\)"),
        ({"a": np.ones((5, 1)), "b": np.ones(5)}, ArgumentError, r"got 'a' of shape \(5, 1\) from {}, .*"),
        (None, ArgumentTypeError, r"got None \(NoneType\) from {}, expected arrays by name"),
    ],
)
def test_initial_parameters_are_those_that_the_layer_says_it_has(initial, kind, said):
    method = r"initial_parameters of layer 1 \(affine\)"
    assert_refused(lambda: model(Affine(initial)), kind, "layers: " + said.replace("{}", method))


def test_lists_and_numbers_are_arrays_too():
    assert (model(Affine({"a": [1, 2, 3, 4, 5], "b": [0.5] * 5})).parameters["1.b"] == 0.5).all()


@pytest.mark.parametrize(("number", "dtype"), [(np.nan, "float64"), (-np.inf, "float64"), (-1e39, "float32")])
def test_initial_parameters_are_finite(number, dtype):
    layer = Affine({"a": np.ones(5), "b": [0.0, 0.0, 0.0, number, 0.0]})
    message = rf"layers: got {number} for 'b' of layer 1 \(affine\), expected finite numbers that fit {dtype}"
    make = lambda: ms.Sequential([ms.Dense(4, 5), layer], dtype=dtype)  # noqa: E731
    assert_refused(make, ArgumentError, message.replace("+", r"\+"))


def test_a_layer_that_gives_less_the_second_time_changes_nothing():
    initial = {"a": np.ones(5), "b": np.zeros(5)}
    changing = model(Affine(initial))
    before = changing.flat.tobytes()
    del initial["b"]
    with pytest.raises(ArgumentError, match=r"^layers: got no 'b' from initial_parameters of layer 1 "):
        changing.initialize(1)
    assert changing.flat.tobytes() == before


def test_initial_buffers_are_the_same_at_each_call():
    answers = iter([{"seen": np.zeros(5)}, {}])

    class Forgetful(Affine):
        """Whose buffers are another thing at each call."""

        def initial_buffers(self):
            return next(answers)

    with pytest.raises(ArgumentError, match=r"^layers: got no 'seen' from initial_buffers of layer 1 \(affine\), .*"):
        model(Forgetful())


def test_a_layer_without_a_kind_is_named_by_its_class():
    @dataclass(frozen=True)
    class Nameless(Layer):
        def parameter_shapes(self):
            return {"a": (2,)}

    with pytest.raises(ArgumentError, match=r"^layers: got no 'a' from initial_parameters of layer 1 \(Nameless\), "):
        model(Nameless())


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (Affine(without="b"), r"no 'b' from {}, expected the gradient of each parameter, here of shape \(5,\)"),
        (Affine(gradients={"a": None}), "no 'a' from {}, .*"),
        (Affine(gradients={"b": np.ones(1)}), r"'b' of shape \(1,\) from {}, .*, here of shape \(5,\)"),
        (Affine(gradients={"a": 1.0}), r"'a' of shape \(\) from {}, .*"),
        (Affine(gradients={"a": np.ones((12, 5))}), r"'a' of shape \(12, 5\) from {}, .*"),
    ],
)
def test_backward_gives_a_gradient_of_each_parameter(layer, said):
    wrong = model(layer)
    before = wrong.flat.tobytes()
    message = "layers: got " + said.replace("{}", r"backward of layer 1 \(affine\)")
    for call in (wrong.loss_and_gradients, wrong.fit):
        assert_refused(lambda call=call: call(X, Y), ArgumentError, message)
    assert wrong.flat.tobytes() == before


def test_lists_are_gradients_too():
    grads = model(Affine(gradients={"b": [1.0, 2.0, 3.0, 4.0, 5.0]})).loss_and_gradients(X, Y)[1]
    assert grads["1.b"].tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]


@pytest.mark.parametrize(
    ("remembered", "said"),
    [
        ({"sene": np.zeros(5)}, r"'sene' of shape \(5,\) from {}, expected its buffers: 'seen' of shape \(5,\)"),
        ({"seen": np.zeros(1)}, r"'seen' of shape \(1,\) from {}, expected its buffers: 'seen' of shape \(5,\)"),
        ({"seen": 0.0}, r"'seen' of shape \(\) from {}, .*"),
    ],
)
def test_next_buffers_are_those_that_the_layer_has(remembered, said):
    wrong = model(Affine(remembered=remembered))
    before = wrong.flat.tobytes(), wrong.buffer_vector.tobytes()
    message = "layers: got " + said.replace("{}", r"next_buffers of layer 1 \(affine\)")
    assert_refused(lambda: wrong.fit(X, Y), ArgumentError, message)
    assert (wrong.flat.tobytes(), wrong.buffer_vector.tobytes()) == before
