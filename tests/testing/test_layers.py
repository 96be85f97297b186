"""Every layer of the engine, at any width and batch, held to every property of the kit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlp_scratch.layers import ACTIVATIONS, LAYERS, BatchNorm, Context, Dense, Dropout
from mlp_scratch.testing import check_layer, check_running_statistics, from_engine, strategies

WIDTH = 8


@st.composite
def layers_with_batches(draw, kind):
    """A layer of one kind, its parameters, and a batch; batch normalisation gets two samples at least."""
    width = draw(strategies.widths(WIDTH))
    layer = draw(strategies.layers(width, WIDTH, kind=kind))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    parameters = {name: rng.normal(0.3, 0.5, shape) for name, shape in layer.parameter_shapes().items()}
    x = draw(strategies.batches(width, min_size=2 if kind == "batch_norm" else 1, max_size=6))
    return from_engine(layer, parameters, training=draw(st.booleans()), seed=draw(st.integers(0, 99))), x


@pytest.mark.parametrize("kind", LAYERS)
def test_every_layer_has_every_property(kind):
    @given(layers_with_batches(kind))
    def check(drawn):
        check_layer(*drawn)

    check()


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_element_alone_is_right_wherever_it_lies(name):
    """No larger one is beside it, beside which its own rounding would be nothing."""
    for x in np.arange(-9.0, 9.25, 0.25):
        check_layer(ACTIVATIONS[name], np.array([[x]]))


@pytest.mark.parametrize("momentum", [0.0, 0.1, 1.0])
def test_running_statistics_are_unbiased(momentum):
    check_running_statistics(BatchNorm(momentum=momentum))


@pytest.mark.parametrize("p", [0.0, 0.25, 0.5, 0.875])
def test_dropout_leaves_the_mean(p):
    assert check_layer(Dropout(p), strategies.batches(3, max_size=1), only=["unbiased"]).derivatives == 0


@given(
    st.sampled_from(sorted(ACTIVATIONS)),
    strategies.dtypes().flatmap(lambda dtype: strategies.batches(3, dtype=dtype, magnitudes="any")),
)
def test_activations_stay_finite_at_huge_and_denormal_inputs(name, x):
    layer = ACTIVATIONS[name].bind(3)
    parameters = {key: np.full(shape, 0.25, x.dtype) for key, shape in layer.parameter_shapes().items()}
    with np.errstate(over="ignore", under="ignore"):  # inside a saturated function, as in a training step
        y, cache = layer.forward(parameters, x, Context())
        dx, grads = layer.backward(parameters, cache, np.ones_like(x))
    assert all(np.isfinite(array).all() for array in (y, dx, *grads.values()))
    assert y.dtype == dx.dtype == x.dtype


def test_complex_step_and_differences_agree():
    """The two ways to differentiate forward, one exact and one with an error estimate, on the same function."""
    x = np.linspace(-2, 2, 12).reshape(3, 4)
    for layer in (Dense(4, 3), ACTIVATIONS["tanh"], ACTIVATIONS["gelu"], BatchNorm(4)):
        exact = from_engine(layer)
        assert exact.analytic
        differenced = type(exact)(**{**vars(exact), "analytic": False})
        assert check_layer(exact, x).unresolved == check_layer(differenced, x).unresolved == 0
