"""The compiled loop works on whole vectors, so its memory is wider than the batch: what lies there is never used.

Memory starts as zeros, and holds what other batches and other layers have left later on. Zeros hide a number that was
never written, and NaN hides nothing: so here all memory that a call begins with is NaN, but for what it is given.
"""

import math
from contextlib import contextmanager, nullcontext

import numpy as np
import pytest
from hypothesis import given

import mlp_scratch as ms
from mlp_kernels.cpu import network as nw
from mlp_scratch.backends import numba_pace, numba_run
from mlp_scratch.backends.numba_tables import Tables
from mlp_scratch.layers import Dense
from mlp_scratch.testing import check_backend, strategies
from tests.backends.fits import all_in_place
from tests.tolerances import assert_parity


@contextmanager
def memory_of_nan():
    """Arenas are NaN before every step, parameters that are none and gradients of those from the start.

    A call takes one step only, so that nothing is handed on from step to step but what the model learns.
    """

    def memory(tables, packed=None):
        fresh = new(tables, packed)
        for array in (fresh.gradients, fresh.arena, *(() if packed is not None else [fresh.packed])):
            array[...] = np.nan
        for row, layer in zip(tables.stages[1:], dense_layers(tables.program), strict=True):
            if not layer.bias:  # a layer without a bias adds zeros
                fresh.packed[:, row[nw.BIAS] : row[nw.BIAS] + row[nw.N_OUT]] = 0
        return fresh

    def take(run, *arguments):
        run.memory.arena[...] = np.nan
        return step(run, *arguments)

    new, step = Tables.memory, numba_run.CompiledRun._take
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Tables, "memory", memory)
        patch.setattr(numba_run.CompiledRun, "_take", take)
        patch.setattr(numba_pace, "SECONDS_BETWEEN_STOPS", 0.0)
        yield


def dense_layers(program):
    return [op.layer for op in program.operations if isinstance(op.layer, Dense)]


def test_nan_in_memory_that_is_read_is_seen(monkeypatch):
    """Were the arena not NaN, or NaN without effect, the next test could not fail."""
    monkeypatch.setattr(numba_run.CompiledRun, "load", lambda run, state: None)
    model, X = ms.Sequential([ms.Dense(3, 2)], dtype="float64"), np.ones((2, 3))
    with memory_of_nan():
        loss, gradients = model.loss_and_gradients(X, X[:, :2], loss="mse", backend="numba")
    assert np.isnan(loss)
    assert np.isnan(gradients["0.weight"]).all()


@pytest.mark.parametrize("place", ["panels", "in place"])
@given(strategies.problems(max_depth=3, max_width=70))
def test_nothing_is_read_that_was_not_written(place, problem):
    with memory_of_nan(), all_in_place() if place == "in place" else nullcontext():
        check_backend("numba", problem, only=["same_logits", "same_gradient", "same_training"])


@pytest.mark.parametrize("batch", [1, 2, 3, 5, 8, 17])
@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("hidden", [False, True], ids=["on the input", "hidden"])
def test_a_given_function_need_not_be_defined_where_there_is_no_sample(batch, outputs, hidden, rng):
    """The logarithm of every sample is a number, that of a zero beyond the last one is none."""
    log = ms.ScalarActivation("log", math.log, lambda x: 1 / x)
    positive = ms.Dense(3, 3, bias=False, weight_init=ms.Constant(0.5))
    first = [positive, log] if hidden else [log]
    X, y = rng.uniform(1, 2, (2 * batch, 3)), rng.normal(size=(2 * batch, outputs))
    ends = []
    for backend in ("numba", "numpy"):
        layers = [*first, ms.Dense(3, 4), ms.PReLU(), ms.Dense(4, outputs)]
        model = ms.Sequential(layers, dtype="float64", seed=1)
        model.fit(X, y, loss="mse", batch_size=batch, epochs=2, backend=backend, progress=False)
        ends.append(model.flat)
    assert_parity(*ends)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_adam_without_eps_makes_no_bias_of_a_layer_that_has_none(dtype, rng):
    """0 / 0, which no parameter here comes to, is what it would make of padding."""
    X, y, model = rng.normal(size=(6, 3)), rng.normal(size=(6, 2)), None
    model = ms.Sequential([ms.Dense(3, 4, bias=False), ms.Tanh(), ms.Dense(4, 2, bias=False)], dtype=dtype)
    history = model.fit(X, y, loss="mse", optimizer=ms.Adam(eps=0.0), batch_size=3, backend="numba", progress=False)
    assert np.isfinite(history.losses).all()
