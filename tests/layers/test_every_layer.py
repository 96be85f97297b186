"""What every layer promises, row by row: right derivatives, nothing modified, the dtype kept, nothing remembered."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mlp_scratch.layers import ACTIVATIONS, LAYERS, Context
from mlp_scratch.layers.base import Activation
from tests import examples
from tests.tolerances import assert_close, difference_bound

ROWS = pytest.mark.parametrize("layer", examples.layers(), ids=examples.name)
TRAINING = pytest.mark.parametrize("training", [True, False], ids=["training", "inference"])
FLOATS = [np.float16, np.float32, np.float64, np.longdouble]

BATCHES = arrays(np.float64, st.tuples(st.integers(2, 5), st.just(examples.WIDTH)), elements=st.floats(-4, 4, width=32))

STEP = 2.0**-14
"""Of central differences: truncation h²/6 and rounding 8 eps/h are both near 1e-9 for numbers of size 1."""


def pass_through(layer, x, training, seed=0):
    rng = np.random.default_rng(seed)
    own, context = examples.parameters(layer, rng), examples.context(layer, rng, training=training)
    dy = rng.normal(size=(len(x), layer.out_features(examples.WIDTH)))

    def objective(x, own):
        return float((layer.forward(own, x, context)[0] * dy).sum())

    dx, grads = layer.backward(own, layer.forward(own, x, context)[1], dy)
    return own, objective, dx, grads


def away_from_kinks(layer, x):
    """`x` with each element moved that has a kink within two steps: there no difference says anything."""
    below, above = layer.pieces({}, x - 2 * STEP), layer.pieces({}, x + 2 * STEP)
    return x if below is None else np.where(below == above, x, x + 8 * STEP)


@ROWS
@TRAINING
@given(x=BATCHES, seed=st.integers(0, 99), direction=st.integers(0, 99))
def test_backward_is_the_derivative_of_forward(layer, training, x, seed, direction):
    if layer.kind == "batch_norm":
        # A feature whose samples are all but equal is divided by a deviation near 0: a kink in all but name.
        x = x + np.arange(x.size).reshape(x.shape) % 7
        assume(x.var(axis=0).min() > 0.1)
    x = away_from_kinks(layer, x)
    own, objective, dx, grads = pass_through(layer, x, training, seed)
    rng = np.random.default_rng(direction)
    v = rng.choice([-1.0, 1.0], x.shape) / np.sqrt(x.size)
    w = {name: rng.choice([-1.0, 1.0], p.shape) / np.sqrt(p.size) for name, p in own.items()}
    slope = float((dx * v).sum() + sum((grads[name] * w[name]).sum() for name in own))

    def along(t):
        return objective(x + t * v, {name: p + t * w[name] for name, p in own.items()})

    numeric = (along(STEP) - along(-STEP)) / (2 * STEP)
    # |φ'''| from the activations' third derivatives (below 2 for all, GELU's is the largest), times Σ|dy| |v|³ with
    # |dy| below 5; batch normalisation divides by deviations above 0.3 up to three times more.
    third = 10.0 * x.size ** (-0.5) * (1000.0 if layer.kind == "batch_norm" else 10.0)
    scale = 10.0 * (1 + np.abs(x).max()) * x.size * examples.WIDTH
    assert_close(numeric, slope, difference_bound(STEP, third, scale, slope))


@pytest.mark.parametrize("layer", [layer for layer in examples.layers() if layer.analytic], ids=examples.name)
@TRAINING
def test_complex_step_where_the_layer_is_analytic(layer, training, rng):
    """Exact to rounding, so a much sharper test than differences where it is possible."""
    x = rng.normal(size=(5, examples.WIDTH))
    own, context = examples.parameters(layer, rng), examples.context(layer, rng, training=training)
    y, cache = layer.forward(own, x, context)
    dy = rng.normal(size=y.shape)
    dx, grads = layer.backward(own, cache, dy)
    h = 1e-100
    for index in np.ndindex(x.shape):
        moved = x.astype(complex)
        moved[index] += 1j * h
        slope = (layer.forward(own, moved, context)[0].imag * dy).sum() / h
        assert_close(dx[index], slope, 1e-13 * max(1.0, np.abs(dx).max()))
    for name, parameter in own.items():
        for index in np.ndindex(parameter.shape):
            moved = parameter.astype(complex)
            moved[index] += 1j * h
            slope = (layer.forward(own | {name: moved}, x, context)[0].imag * dy).sum() / h
            assert_close(grads[name][index], slope, 1e-13 * max(1.0, np.abs(grads[name]).max()))


@ROWS
@TRAINING
def test_nothing_is_modified_and_nothing_is_remembered(layer, training, rng):
    x = rng.normal(size=(5, examples.WIDTH))
    own, context = examples.parameters(layer, rng), examples.context(layer, rng, training=training)
    everything = [x, *own.values(), *context.buffers.values()]
    for array in everything:
        array.flags.writeable = False
    kept = [array.copy() for array in everything]
    y, cache = layer.forward(own, x, context)
    dy = rng.normal(size=y.shape)
    dy.flags.writeable = False
    kept_y = y.copy()
    first = layer.backward(own, cache, dy)
    again = layer.backward(own, cache, dy)  # a second call adds nothing to the first
    assert np.array_equal(first[0], again[0])
    assert all(np.array_equal(first[1][name], again[1][name]) for name in first[1])
    assert np.array_equal(layer.forward(own, x, context)[0], kept_y)
    assert np.array_equal(y, kept_y)
    assert all(np.array_equal(array, before) for array, before in zip(everything, kept, strict=True))
    if training:
        layer.next_buffers(context.buffers, cache)
        assert all(np.array_equal(array, before) for array, before in zip(everything, kept, strict=True))


@ROWS
@TRAINING
@pytest.mark.parametrize("dtype", FLOATS)
def test_dtype_is_kept(layer, training, dtype, rng):
    x = rng.normal(size=(5, examples.WIDTH)).astype(dtype)
    own, context = examples.parameters(layer, rng, dtype), examples.context(layer, rng, training=training, dtype=dtype)
    y, cache = layer.forward(own, x, context)
    dx, grads = layer.backward(own, cache, y)
    assert y.dtype == dx.dtype == dtype
    assert {grad.dtype for grad in grads.values()} <= {np.dtype(dtype)}
    if training:
        assert {buffer.dtype for buffer in layer.next_buffers(context.buffers, cache).values()} <= {np.dtype(dtype)}


@ROWS
def test_shapes(layer, rng):
    x = rng.normal(size=(5, examples.WIDTH))
    own, context = examples.parameters(layer, rng), examples.context(layer, rng, training=True)
    y, cache = layer.forward(own, x, context)
    assert y.shape == (5, layer.out_features(examples.WIDTH))
    dx, grads = layer.backward(own, cache, y)
    assert dx.shape == x.shape
    assert {name: grad.shape for name, grad in grads.items()} == layer.parameter_shapes()
    assert {name: p.shape for name, p in layer.initial_parameters(rng, _glorot()).items()} == layer.parameter_shapes()


def _glorot():
    from mlp_scratch import Glorot

    return Glorot()


@ROWS
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_samples_do_not_influence_each_other(layer, dtype, rng):
    """In inference each row of y is a function of that row of x; batch normalisation couples them in training only."""
    x = rng.normal(size=(6, examples.WIDTH)).astype(dtype)
    own, context = examples.parameters(layer, rng, dtype), examples.context(layer, rng, training=False, dtype=dtype)
    y, _ = layer.forward(own, x, context)
    moved = x.copy()
    moved[3:] += 1
    assert np.array_equal(layer.forward(own, moved, context)[0][:3], y[:3])


@ROWS
def test_a_row_of_the_table_knows_its_name(layer):
    assert LAYERS[layer.kind] is type(layer)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_keeps_infinity_and_nan_in_sight(name):
    layer = ACTIVATIONS[name].bind(1)
    if not isinstance(layer, Activation):
        return
    y = layer.function(np.array([np.nan]))
    assert np.isnan(y).all()


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("dtype", FLOATS)
def test_activations_are_finite_far_out(name, dtype):
    """No overflow on the branch that is not taken, no warning, no NaN."""
    layer = ACTIVATIONS[name].bind(1)
    far = 40.0 if dtype == np.float16 else 1e4  # the tanh form of GELU needs x³, which must be a number
    x = far * np.array([[-1], [-0.01], [-0.003], [0], [0.003], [0.01], [1]], dtype=dtype)
    own = {key: np.full(shape, 0.25, dtype) for key, shape in layer.parameter_shapes().items()}
    with np.errstate(under="ignore"):
        y, cache = layer.forward(own, x, Context())
        dx, _ = layer.backward(own, cache, np.ones_like(x))
    assert np.isfinite(y).all()
    assert np.isfinite(dx).all()


KINKS = {
    "identity": 1.0, "relu": 0.0, "leaky_relu": 0.01, "prelu": 0.25, "elu": 1.0, "selu": 1.0507009873554805 *
    1.6732632423543772, "gelu": 0.5, "gelu_tanh": 0.5, "tanh": 1.0, "sigmoid": 0.25, "softplus": 0.5,
}  # fmt: skip


@pytest.mark.parametrize("zero", [0.0, -0.0])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_derivative_at_zero(name, zero):
    layer = ACTIVATIONS[name].bind(1)
    own = layer.initial_parameters(np.random.default_rng(0), _glorot())
    _, cache = layer.forward(own, np.array([[zero]]), Context())
    dx, _ = layer.backward(own, cache, np.ones((1, 1)))
    assert_close(dx, [[KINKS[name]]], 2 * np.finfo(float).eps)


CONSTANTS = {
    "leaky_relu": lambda cls: {"slope": cls(0.1)}, "elu": lambda cls: {"alpha": cls(0.7)},
    "softplus": lambda cls: {"beta": cls(1.5), "threshold": cls(2.5)}, "dropout": lambda cls: {"p": cls(0.3)},
    "batch_norm": lambda cls: {"eps": cls(1e-3), "momentum": cls(0.3)}, "prelu": lambda cls: {"slope": cls(0.1)},
}  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("kind", CONSTANTS)
def test_a_constant_that_is_a_numpy_float_changes_no_dtype(kind, dtype, rng):
    """NumPy's scalars are strong: unlike a Python float, np.float64(0.1) turns a float32 array into float64."""
    layer = LAYERS[kind](**CONSTANTS[kind](np.float64)).bind(examples.WIDTH)
    plain = LAYERS[kind](**CONSTANTS[kind](float)).bind(examples.WIDTH)
    x = rng.normal(size=(5, examples.WIDTH)).astype(dtype)
    own, context = examples.parameters(layer, rng, dtype), examples.context(layer, rng, training=True, dtype=dtype)
    y, cache = layer.forward(own, x, context)
    expected, plain_cache = plain.forward(own, x, context)
    assert y.dtype == dtype
    assert np.array_equal(y, expected)
    dx, _ = layer.backward(own, cache, y)
    assert dx.dtype == dtype
    assert np.array_equal(dx, plain.backward(own, plain_cache, y)[0])
    for name, buffer in layer.next_buffers(context.buffers, cache).items():
        assert buffer.dtype == dtype, name
