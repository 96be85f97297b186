"""Every optimiser against its formula, written out here element by element in plain Python floats.

PyTorch is the other judge, in `test_torch_parity.py`; here are also the forms that PyTorch does not have: Keras' Adam,
decoupled decay of SGD, decay of weight matrices alone.
"""

from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlp_scratch import SGD, Adam
from mlp_scratch.optimizers import KINDS, OPTIMIZERS
from tests import examples
from tests.tolerances import assert_parity

ROWS = pytest.mark.parametrize("row", examples.optimizers(), ids=examples.name)


def sgd(row, p, g, state, t):
    """PyTorch's: buf = μ buf + g, p -= lr buf; Nesterov steps along g + μ buf; the first buf is g."""
    if row.momentum == 0:
        return p - row.lr * g, state
    buf = g if t == 1 else row.momentum * state[0] + g
    return p - row.lr * (g + row.momentum * buf if row.nesterov else buf), (buf,)


def adam(row, p, g, state, t):
    """PyTorch's: √v/√bc2 + eps; Keras': lr √bc2/bc1 · m / (√v + eps)."""
    m0, v0 = state or (0.0, 0.0)
    m, v = row.beta1 * m0 + (1 - row.beta1) * g, row.beta2 * v0 + (1 - row.beta2) * g * g
    bc1, bc2 = 1 - row.beta1**t, 1 - row.beta2**t
    if row.eps_mode == "torch":
        return p - row.lr / bc1 * m / (sqrt(v) / sqrt(bc2) + row.eps), (m, v)
    return p - row.lr * sqrt(bc2) / bc1 * m / (sqrt(v) + row.eps), (m, v)


FORMULAS = {"sgd": sgd, "adam": adam}


def by_formula(row, p, gradients, decayed):
    """The parameters after steps along `gradients`, (T, P), one number at a time."""
    result, states = [], []
    for i, start in enumerate(p):
        value, state = float(start), ()
        for t, g in enumerate(gradients[:, i], start=1):
            if row.decoupled:
                value, step_gradient = value * (1 - row.lr * row.weight_decay * decayed[i]), float(g)
            else:
                step_gradient = float(g) + row.weight_decay * decayed[i] * value
            value, state = FORMULAS[row.kind](row, value, step_gradient, state, t)
        result.append(value)
        states.append(state)
    return np.array(result), np.array(states).T.reshape(len(row.slots), len(p))


@ROWS
@given(seed=st.integers(0, 10_000))
def test_a_hundred_steps_follow_the_formula(row, seed):
    rng = np.random.default_rng(seed)
    p, gradients = rng.normal(size=5), rng.normal(size=(100, 5))
    decayed = np.array([1.0, 0.0, 1.0, 1.0, 0.0]) if row.decay == "weights" else np.ones(5)
    expected, expected_slots = by_formula(row, p, gradients, decayed)
    slots = np.zeros((len(row.slots), 5))
    for t, g in enumerate(gradients, start=1):
        p, slots = row.update(p, g, slots, step=t, lr=row.lr, decayed=decayed)
    assert_parity(p, expected, tolerance=1e-13)
    assert_parity(slots, expected_slots, tolerance=1e-13)


@ROWS
def test_nothing_is_modified(row, rng):
    p, g = rng.normal(size=5), rng.normal(size=5)
    slots = rng.uniform(0.1, 1, (len(row.slots), 5))
    kept = p.copy(), g.copy(), slots.copy()
    for array in (p, g, slots):
        array.flags.writeable = False
    first = row.update(p, g, slots, step=3, lr=0.1)
    again = row.update(p, g, slots, step=3, lr=0.1)
    assert all(np.array_equal(a, b) for a, b in zip((p, g, slots), kept, strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], p)


@ROWS
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble])
def test_dtype_and_shapes_are_kept(row, dtype, rng):
    p, g = rng.normal(size=5).astype(dtype), rng.uniform(1, 2, 5).astype(dtype)  # g² · 0.001 is a float16
    slots = np.zeros((len(row.slots), 5), dtype)
    for t in (1, 2):
        p, slots = row.update(p, g, slots, step=t, lr=row.lr, decayed=np.ones(5, dtype))
    assert p.dtype == slots.dtype == dtype
    assert slots.shape == (len(row.slots), 5)


@ROWS
def test_the_learning_rate_is_the_one_passed(row, rng):
    """A schedule hands each step its own; the record's is only what `fit` starts from."""
    p, g, slots = rng.normal(size=5), rng.normal(size=5), np.zeros((len(row.slots), 5))
    a, _ = row.update(p, g, slots, step=1, lr=0.5)
    b, _ = row.update(p, g, slots, step=1, lr=0.25)
    assert_parity(a - p, 2 * (b - p), tolerance=1e-13)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_row_of_the_table_finds_the_minimum_of_a_bowl(name):
    row = OPTIMIZERS[name]
    p, slots = np.array([1.0, -2.0]), np.zeros((len(row.slots), 2))
    start = float(p @ p)
    for t in range(1, 2001):
        p, slots = row.update(p, 2 * p, slots, step=t, lr=row.lr)
    assert float(p @ p) < 0.1 * start


def test_the_names_mean_what_they_say():
    assert OPTIMIZERS["sgd"] == SGD(1e-2)
    assert OPTIMIZERS["momentum"] == SGD(1e-2, momentum=0.9)
    assert OPTIMIZERS["nesterov"] == SGD(1e-2, momentum=0.9, nesterov=True)
    assert OPTIMIZERS["adam"] == Adam(1e-3, beta1=0.9, beta2=0.999, eps=1e-8)
    assert OPTIMIZERS["adamw"] == Adam(1e-3, weight_decay=1e-2, decoupled=True)
    assert {row.kind for row in OPTIMIZERS.values()} == set(KINDS) == set(FORMULAS)


def test_the_first_step_of_adam_has_the_size_of_the_learning_rate():
    p, _ = Adam(0.1, eps=0.0).update(np.zeros(3), np.array([1e-6, -1.0, 1e6]), np.zeros((2, 3)), step=1, lr=0.1)
    assert_parity(p, [-0.1, 0.1, -0.1], tolerance=1e-14)


def test_the_two_places_of_eps_differ_as_documented():
    g, slots = np.array([1e-9]), np.zeros((2, 1))
    torch_form, _ = Adam(0.1).update(np.zeros(1), g, slots, step=1, lr=0.1)
    keras_form, _ = Adam(0.1, eps_mode="keras").update(np.zeros(1), g, slots, step=1, lr=0.1)
    assert_parity(torch_form, [-0.1 * 1e-9 / (1e-9 + 1e-8)], tolerance=1e-13)
    small = 1e-9 * sqrt(0.001)  # √v before the bias is undone
    assert_parity(keras_form, [-0.1 * sqrt(0.001) / 0.1 * 1e-10 / (small + 1e-8)], tolerance=1e-12)


@pytest.mark.parametrize("cls", [np.float64, np.float32])
@pytest.mark.parametrize(
    "make",
    [
        lambda c: SGD(0.5, momentum=c(0.5), weight_decay=c(0.25)),
        lambda c: SGD(0.5, weight_decay=c(0.25), decoupled=True),
        lambda c: Adam(0.5, beta1=c(0.5), beta2=c(0.75), eps=c(0.125)),
    ],
    ids=["sgd", "sgd decoupled", "adam"],
)
def test_a_constant_that_is_a_numpy_float_changes_no_bits(make, cls, rng):
    """NumPy's scalars are strong: np.float64(0.9) times a float32 array is float64, and rounds elsewhere."""
    p, g = rng.normal(size=50).astype(np.float16), rng.normal(size=50).astype(np.float16)
    row, plain = make(cls), make(float)
    slots = np.zeros((len(row.slots), 50), np.float16)
    given_p, given_slots = row.update(p, g, slots, step=1, lr=0.5)
    expected_p, expected_slots = plain.update(p, g, slots, step=1, lr=0.5)
    assert given_p.dtype == given_slots.dtype == np.float16
    assert np.array_equal(given_p, expected_p)
    assert np.array_equal(given_slots, expected_slots)
