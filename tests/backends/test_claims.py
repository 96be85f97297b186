"""Threads that claim pieces of each other's shares learn the bits that one thread learns.

Steps of small networks are too short to be shared so; here pieces are worth claiming whatever they cost.
"""

import threading
from time import sleep

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import mlp_scratch as ms
from mlp_kernels.cpu.claims import LINE
from mlp_scratch.backends import numba as compiled
from mlp_scratch.backends import numba_cores, numba_run, numba_tables
from tests.backends.fits import all_in_place

SIZES = st.one_of(st.integers(1, 40), st.sampled_from([64, 65, 97, 160]))


@pytest.fixture(scope="module", autouse=True)
def pieces_of_any_size():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numba_cores, "usable_cores", lambda: 4)
        patch.setattr(compiled, "FLOPS_FOR_THREADS", 0)
        patch.setattr(numba_tables, "LEAST_WORK", 0)
        yield


@pytest.fixture
def boards(monkeypatch):
    """What the words of the claims were after each call on threads."""
    found, on_threads = [], numba_run.on_threads

    def look(work, threads, memory):
        result = on_threads(work, threads, memory)
        found.append(memory.board[LINE::LINE].copy())
        return result

    monkeypatch.setattr(numba_run, "on_threads", look)
    return found


def learned(
    widths, threads, *, n=90, batch=40, activation="relu", batch_norm=False, dtype="float32", frozen=False, **more
):
    """All that a fit of three epochs changes, and what the model then predicts, as bytes."""
    rng = np.random.default_rng([n, *widths])
    X, y = rng.normal(size=(n, widths[0])), rng.normal(size=(n, widths[-1]))
    model = ms.MLP(widths, activation=activation, batch_norm=batch_norm, dropout=0.1, dtype=dtype, seed=1)
    if frozen:
        model.freeze(0)
    options = {"loss": "mse", "optimizer": "adam", "batch_size": batch, "epochs": 3, "backend": "numba"} | more
    # Validation ends a call with each epoch, and the next one begins with the board that it has left.
    model.fit(X, y, validation=(X[:9], y[:9]), threads=threads, progress=False, **options)
    arrays = model.flat, model.buffer_vector, model.training.slots, model.history.losses, model.predict(X)
    return b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)


@given(
    widths=st.lists(SIZES, min_size=2, max_size=4),
    n=st.integers(2, 150),
    batch=st.sampled_from([1, 3, 31, 33, 70, 150]),
    activation=st.sampled_from(["relu", "gelu", "prelu"]),
    batch_norm=st.booleans(),
    dtype=st.sampled_from(["float32", "float64"]),
    frozen=st.booleans(),
    threads=st.integers(2, 4),
)
@example([30, 128, 50, 3], 150, 150, "gelu", True, "float32", False, 2).via("each keeps its panels, forward and back")
@example([300, 65, 97, 10], 150, 150, "relu", False, "float64", False, 4).via("ragged shares of four threads")
def test_the_bits_are_those_of_one_thread(widths, n, batch, activation, batch_norm, dtype, frozen, threads):
    options = {"n": n, "batch": batch, "activation": activation, "dtype": dtype, "frozen": frozen}
    options["batch_norm"] = batch_norm and batch > 1 and n % batch != 1
    assert learned(widths, threads, **options) == learned(widths, 1, **options)


@pytest.mark.parametrize("threads", [2, 3])
def test_they_are_in_place_too(threads):
    with all_in_place():
        assert learned([40, 96, 70, 3], threads) == learned([40, 96, 70, 3], 1)


def test_every_thread_s_share_is_claimed(boards):
    learned([40, 96, 70, 3], 3)
    assert len(boards) > 0
    assert all((board > 0).all() for board in boards)


def test_a_share_that_is_no_work_is_nobody_s_but_its_owner_s(boards, monkeypatch):
    monkeypatch.setattr(numba_tables, "LEAST_WORK", 10**9)
    learned([40, 96, 70, 3], 3)
    assert len(boards) > 0
    assert all((board == 0).all() for board in boards)


def test_one_that_comes_late_changes_nothing(monkeypatch):
    """The other one has gathered the first batch alone by then, several panels at a time: no order has to be drawn."""
    whole = {"n": 150, "batch": 150, "shuffle": False}
    expected, run = learned([40, 96, 70, 3], 1, **whole), threading.Thread.run

    def run_late(thread):
        sleep(0.02)
        run(thread)

    monkeypatch.setattr(threading.Thread, "run", run_late)
    assert learned([40, 96, 70, 3], 2, **whole) == expected
