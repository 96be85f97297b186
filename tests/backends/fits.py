"""Fits for tests that need a process of their own, or a worker that can import what it is to run."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

import mlp_scratch as ms
from mlp_scratch.backends import numba as compiled
from mlp_scratch.backends import numba_run, numba_tables


def fitted(threads: int | None = None, *, epochs: int = 3) -> ms.Sequential:
    """A model whose steps are worth two threads, after some epochs on the compiled backend."""
    rng = np.random.default_rng(5)
    X, y = rng.normal(size=(700, 150)).astype(np.float32), rng.integers(0, 10, 700)
    model = ms.MLP([150, 70, 10], batch_norm=True, dropout=0.1, seed=4)
    weights = 150 * 70 + 70 * 10
    assert 6 * 128 * weights >= compiled.FLOPS_FOR_THREADS
    model.fit(X, y, batch_size=128, epochs=epochs, backend="numba", threads=threads, progress=False)
    return model


@contextmanager
def all_in_place() -> Iterator[None]:
    """Train every network, however small, where its parameters lie."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numba_tables, "MOST_COPIED", 0)
        yield


@contextmanager
def few_startable(count: int) -> Iterator[None]:
    """Let no more than so many threads be started beside those that there are."""
    before, start = threading.active_count(), threading.Thread.start

    def start_a_few(thread: threading.Thread) -> None:
        if threading.active_count() - before >= count:
            raise RuntimeError("can't start new thread")
        start(thread)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading.Thread, "start", start_a_few)
        yield


def digest(threads: int | None = None, *, epochs: int = 3) -> str:
    """The SHA-256 of all that such a fit has learned."""
    model = fitted(threads, epochs=epochs)
    assert model.training is not None
    learned = (model.flat, model.buffer_vector, model.training.slots, model.history.losses)
    return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in learned)).hexdigest()


def widest(threads: int | None = None) -> int:
    """How many threads took a step of such a fit together, at most."""
    used, on_threads = [], numba_run.on_threads

    def count(work, threads, memory):  # type: ignore[no-untyped-def]
        used.append(threads)
        return on_threads(work, threads, memory)

    numba_run.on_threads = count
    fitted(threads, epochs=1)
    numba_run.on_threads = on_threads
    return max(used)
