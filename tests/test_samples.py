"""What users pass: any dtype and memory layout, never modified and never copied whole."""

import tracemalloc
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlp_scratch import MLP
from mlp_scratch.backends import Samples
from mlp_scratch.errors import ArgumentError
from mlp_scratch.layers import Dense
from mlp_scratch.losses import LOSSES
from mlp_scratch.model import Model
from mlp_scratch.samples import hold_out, prepare

pytestmark = pytest.mark.usefixtures("each_backend")

N, D = 30, 6
Y = np.random.default_rng(1).integers(0, 3, N)
BYTES = np.random.default_rng(0).integers(0, 2, (N, D)).astype(np.uint8)
"""Zeros and ones, so that every dtype can hold the same values."""


def read_only(X):
    X = X.copy()
    X.flags.writeable = False
    return X


def unaligned(X):
    raw = np.zeros(X.nbytes + 1, np.uint8)
    view = raw[1:].view(X.dtype).reshape(X.shape) if X.itemsize == 1 else np.ndarray(X.shape, X.dtype, raw.data, 1)
    view[...] = X
    return view


LAYOUTS = {
    "C order": np.ascontiguousarray,
    "Fortran order": np.asfortranarray,
    "read-only": read_only,
    "every second row": lambda X: np.repeat(X, 2, axis=0)[::2],
    "every third column": lambda X: np.repeat(X, 3, axis=1)[:, ::3],
    "negative strides": lambda X: X[::-1, ::-1].copy()[::-1, ::-1],
    "transposed": lambda X: np.ascontiguousarray(X.T).T,
    "unaligned": unaligned,
    "big-endian": lambda X: X.astype(X.dtype.newbyteorder(">")),
    "memory map": lambda X: X.view(np.memmap),
    "list": lambda X: X.tolist(),
}
DTYPES = ["uint8", "int8", "int64", "uint64", "bool", "float16", "float32", "float64", "longdouble"]


def everything(X, dtype="float32"):
    """All numbers that come out of a model given X."""
    model = MLP([D, 5, 3], seed=0, dtype=dtype)
    history = model.fit(X, Y, batch_size=7, epochs=2, validation=0.2)
    scores = model.evaluate(X, Y)
    _, grads = model.loss_and_gradients(X, Y)
    return [model.flat, history.losses, model.logits(X), [scores["loss"]], *grads.values()]


@cache
def expected_of(backend):
    """What "auto" computes while it finds `backend`."""
    return {dtype: everything(BYTES.astype(dtype), dtype) for dtype in ("float32", "float64")}


@pytest.fixture
def plain(each_backend):
    return expected_of(each_backend)


@pytest.mark.parametrize("model_dtype", ["float32", "float64"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layout_and_dtype_change_no_bits(layout, dtype, model_dtype, plain):
    X = LAYOUTS[layout](BYTES.astype(dtype))
    assert layout in ("list", "memory map") or np.array_equal(X, BYTES)
    for given_array, expected in zip(everything(X, model_dtype), plain[model_dtype], strict=True):
        assert np.array_equal(given_array, expected)


def test_nothing_that_users_pass_is_modified():
    X, y, weights = np.random.default_rng(0).normal(size=(N, D)), np.eye(3)[Y], np.linspace(0, 1, N)
    kept = X.copy(), y.copy(), weights.copy()
    for array in (X, y, weights):
        array.flags.writeable = False
    model = MLP([D, 5, 3])
    model.fit(X, y, sample_weight=weights, validation=(X, y))
    model.evaluate(X, y, sample_weight=weights)
    model.loss_and_gradients(X, y, sample_weight=weights)
    model.predict(X)
    for array, before in zip((X, y, weights), kept, strict=True):
        assert np.array_equal(array, before)


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
def test_the_data_set_is_never_copied_whole(dtype):
    """The memory that training, scoring and predicting take at once stays far below that of the data."""
    n, d = 40_000, 200
    X = np.zeros((n, d), dtype)
    y = np.zeros(n, np.int64)
    model = MLP([d, 3])
    model.fit(X[:64], y[:64], epochs=1)
    model.predict(X[:64])
    tracemalloc.start()
    try:
        model.fit(X, y, batch_size=1000, epochs=1)
        model.predict(X)
        model.evaluate(X, y)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # At most: blocks of 1e6 elements in float64 and their comparison while X is checked, 4,096 rows in the model's
    # dtype while scoring, and targets, order and outputs of some words a sample.
    allowed = 1e6 * (8 + 8 + 1) + 4096 * d * 8 + n * 8 * 12
    assert peak < allowed
    assert allowed < 2 * n * d * 4  # a float32 copy beside what is needed anyway would be seen


def test_the_memory_test_would_see_a_copy():
    X = np.zeros((40_000, 200))
    tracemalloc.start()
    try:
        copied = X.copy()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak >= copied.nbytes


def test_preparing_keeps_the_array_itself():
    model = Model([Dense(D, 3)])
    X = np.zeros((N, D), np.uint8)
    samples = prepare(model, LOSSES["cross_entropy"], X, Y, None)
    assert samples.X is X
    assert samples.weights is None


def test_a_batch_is_cast_and_in_c_order():
    samples = Samples(np.asfortranarray(BYTES), Y, np.linspace(0, 1, N))
    rows = np.array([5, 2, 2, 29])
    batch = samples.batch(rows, np.dtype("float32"))
    assert batch.X.dtype == np.float32
    assert batch.X.flags.c_contiguous
    assert np.array_equal(batch.X, BYTES[rows])
    assert np.array_equal(batch.targets, Y[rows])
    assert np.array_equal(batch.weights, samples.weights[rows])


@given(n=st.integers(2, 60), fraction=st.floats(0.01, 0.99), seed=st.integers(0, 2**32))
def test_a_fraction_splits_the_samples_in_two(n, fraction, seed):
    size = round(fraction * n)
    if not 0 < size < n:
        return
    model = Model([Dense(1, 2)])
    samples = Samples(np.arange(n, dtype=float)[:, np.newaxis], np.zeros(n, np.int64))
    rows, held_out = hold_out(model, LOSSES["cross_entropy"], samples, fraction, seed)
    assert len(held_out.X) == size
    assert sorted([*rows.tolist(), *held_out.X[:, 0].astype(int).tolist()]) == list(range(n))


def test_weights_that_are_all_zero_in_the_models_dtype_are_refused():
    X, weights = np.zeros((N, D)), np.full(N, 1e-46)
    with pytest.raises(ArgumentError, match="sample_weight: got none above 1e-46, which is 0 in float32"):
        MLP([D, 3]).fit(X, Y, sample_weight=weights, progress=False)
    assert MLP([D, 3], dtype="float64").fit(X, Y, sample_weight=weights, progress=False).losses[0] > 0


@pytest.mark.parametrize("alone", ["held out", "trained on"])
def test_a_fraction_that_leaves_a_side_without_weight_is_refused(alone):
    model = MLP([D, 3], seed=0)
    samples = prepare(model, model.task, np.zeros((N, D)), Y, None)
    rows, _ = hold_out(model, model.task, samples, 0.3, 0)
    weights = np.isin(np.arange(N), rows) == (alone == "held out")
    with pytest.raises(ArgumentError, match=r"validation: got 0\.3, which leaves one side with samples of weight 0"):
        model.fit(np.zeros((N, D)), Y, sample_weight=weights.astype(float), validation=0.3)
    assert model.training is None
