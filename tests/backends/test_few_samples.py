"""A few samples at a time: the same bits as in a large batch, from the parameters as they are now, with no copy."""

import copy
import pickle
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mlp_scratch as ms
from mlp_scratch.backends import numba as compiled
from mlp_scratch.backends import numba_cores
from mlp_scratch.backends.base import State
from mlp_scratch.backends.numba_inference import most_samples
from mlp_scratch.program import lower
from tests.backends.test_numba import DTYPES, layouts
from tests.backends.test_parity import build, networks
from tests.tolerances import assert_parity, eps


def compiled_logits(model, X, threads=None):
    program = lower(model, ms.MSE(), ms.SGD())
    state = State(model.flat, model.buffer_vector, np.empty((0, model.n_parameters), model.dtype))
    return compiled.NumbaBackend(threads).logits(program, state, X)


@given(networks(), st.integers(0, 3), st.integers(1, 5), st.sampled_from(["float32", "float64"]))
def test_any_network_gives_a_sample_the_same_bits_in_any_company(network, first, count, dtype):
    layers, X, *_ = network
    model = build(layers, dtype)
    X = np.vstack([X] * (1 + 40 // len(X)))  # so many that weights are packed for all of them together
    together = model.logits(X, backend="numba")
    few = model.logits(X[first : first + count], backend="numba")
    assert np.array_equal(few, together[first : first + count])
    terms = sum(p.n_in + p.n_out for p in model.placed)
    tolerance = 1e-12 if dtype == "float64" else 4 * terms * eps(dtype)
    assert_parity(few, model.logits(X[first : first + count], backend="numpy"), "logits", tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_number_of_samples(dtype, rng):
    model = build([ms.Dense(37, 70), ms.GELU(), ms.Dense(70, 19), ms.ReLU(), ms.Dense(19, 33)], dtype)
    X = rng.normal(size=(70, 37))
    together = model.logits(X, backend="numba")
    for n in range(1, most_samples(model.dtype) + 2):
        assert np.array_equal(model.logits(X[:n], backend="numba"), together[:n]), n


@pytest.mark.parametrize("dtype", DTYPES)
def test_any_number_type_and_layout_of_the_data(dtype, rng):
    X = rng.integers(0, 100, (3, 21)).astype(dtype)
    model = ms.MLP([21, 9, 2])
    expected = model.logits(X.astype("float64"), backend="numba")
    for name, data in layouts(X).items():
        assert np.array_equal(model.logits(data, backend="numba"), expected), name


def test_numbers_that_are_not_finite_go_where_they_go_in_a_large_batch(rng):
    model = ms.MLP([40, 20, 3], activation="relu")
    X = rng.normal(size=(60, 40))
    for place, value in ((3, np.inf), (700, np.nan), (801, -np.inf)):
        model.flat[place] = value
        few, together = (model.logits(rows, backend="numba") for rows in (X[:2], X))
        assert np.array_equal(few, together[:2], equal_nan=True)
        assert not np.isfinite(few).all()


def test_what_is_written_into_the_parameters_counts_at_once(rng):
    model = ms.Sequential([ms.Dense(5, 7), ms.BatchNorm(), ms.PReLU(), ms.Dense(7, 2)])
    X = rng.normal(size=(2, 5))
    for vector in (*model.parameters.values(), *model.buffers.values()):
        before = model.logits(X, backend="numba")
        vector += rng.uniform(0.5, 1.0, vector.shape)
        after = model.logits(X, backend="numba")
        assert not np.array_equal(after, before)
        assert_parity(after, model.logits(X, backend="numpy"), "logits", 200 * eps("float32"))


def test_a_model_keeps_nothing_of_one_loss_for_another(rng):
    X = rng.normal(size=(20, 3))
    model = ms.MLP([3, 4, 2], seed=1)
    assert model.predict(X[:1]).dtype == np.int64
    model.fit(X, X[:, :2], loss="mse", epochs=1, progress=False)
    assert np.array_equal(model.predict(X[:1]), model.logits(X[:1]))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_is_a_model_of_its_own(copied, rng):
    X, model = rng.normal(size=(1, 6)), ms.MLP([6, 5, 2])
    before = model.logits(X, backend="numba")
    other = copied(model)
    assert np.array_equal(other.logits(X, backend="numba"), before)
    other.flat *= 2
    assert not np.array_equal(other.logits(X, backend="numba"), before)
    assert np.array_equal(model.logits(X, backend="numba"), before)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_same_bits_for_any_number_of_threads(dtype, rng, monkeypatch):
    monkeypatch.setattr(compiled, "FEW_WORK_FOR_THREADS", 0)
    monkeypatch.setattr(numba_cores, "usable_cores", lambda: 5)
    layers = [ms.Dropout(0.5), ms.Dense(30, 100), ms.BatchNorm(), ms.Tanh(), ms.Dense(100, 3)]
    model = ms.Sequential(layers, dtype=dtype)
    X = rng.normal(size=(4, 30))
    expected = compiled_logits(model, X, 1)
    for threads in (2, 3, 5):
        assert np.array_equal(compiled_logits(model, X, threads), expected)


def test_several_python_threads_share_a_model(rng):
    model, X = ms.MLP([300, 200, 10]), rng.normal(size=(64, 300))
    together = model.logits(X, backend="numba")

    def same(first):
        rows = [*range(first, 64), *range(first)] * 5
        return all(np.array_equal(model.logits(X[j : j + 1], backend="numba"), together[j : j + 1]) for j in rows)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(same, [0, 16, 32, 48]))


def test_no_weight_is_copied(rng):
    model, X = ms.MLP([1000, 1000, 2]), rng.normal(size=(1, 1000))
    tracemalloc.start()
    try:
        model.logits(X, backend="numba")  # makes ready what is kept: activations of one panel
        model.logits(X, backend="numba")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < model.flat.nbytes / 3
