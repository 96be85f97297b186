"""Every backend held to the specification; the specification held to its own contract."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from mlp_scratch import MSE, SGD, Adam, BatchNorm, CrossEntropy, Dense, ReLU, Tanh
from mlp_scratch.backends import State, usable_backends
from mlp_scratch.backends.numpy import NumpyBackend
from mlp_scratch.testing import Problem, PropertyError, check_backend, strategies


@pytest.mark.parametrize("backend", usable_backends())
def test_every_backend_has_every_property(backend):
    check_backend(backend)


@pytest.mark.parametrize("backend", [name for name in usable_backends() if name != "numpy"])
@settings(max_examples=3 * settings().max_examples)  # a compiled backend has many ways, and pairs of them are rare
@given(problem=strategies.problems(max_depth=6, max_width=300, max_samples=70))
def test_widths_and_batches_across_tile_edges(backend, problem):
    check_backend(backend, problem, only=["same_gradient", "same_training"])


def test_numbers_that_float32_rounds_are_no_fault_of_a_backend(rng):
    layers, X, y = [Dense(3, 4), ReLU(), Dense(4, 2)], rng.normal(size=(9, 3)), rng.integers(0, 2, 9)
    check_backend("numpy", Problem(layers, CrossEntropy(), Adam(), X, y))


def test_a_backend_that_rounds_less_is_no_worse(monkeypatch):
    """Training explodes here, and rounding in the middle of it grows more than any at its start."""

    class Exact(NumpyBackend):
        def train(self, program, state, *rest):
            wide = State(*(a.astype(np.float64) for a in (state.flat, state.buffers, state.slots)))
            taken = super().train(replace(program, dtype=np.dtype("float64")), wide, *rest)
            state.flat[...], state.slots[...], state.step = wide.flat, wide.slots, wide.step
            return taken

    monkeypatch.setattr(
        "mlp_scratch.testing.backends.get_backend", lambda name: {"exact": Exact()}.get(name, NumpyBackend())
    )
    rng, layers = np.random.default_rng(0), [Dense(5, 8), Tanh(), Dense(8, 3)]
    X, y, optimizer = rng.normal(size=(12, 5)), rng.normal(size=(12, 3)), SGD(3.0, momentum=0.9)
    check_backend("exact", Problem(layers, MSE(), optimizer, X, y, dtype="float32", seed=4), only=["same_training"])


@pytest.mark.parametrize("what", ["same_gradient", "same_training"])
def test_a_millionth_is_a_difference_however_much_a_problem_amplifies_rounding(what, rng, monkeypatch):
    class Wrong(NumpyBackend):
        def loss_and_gradient(self, *args, **options):
            loss, gradient = super().loss_and_gradient(*args, **options)
            return loss, gradient * (1 + 1e-6)

        def train(self, program, state, *rest):
            taken = super().train(program, state, *rest)
            state.flat *= 1 + 1e-6
            return taken

    monkeypatch.setattr(
        "mlp_scratch.testing.backends.get_backend", lambda name: {"wrong": Wrong()}.get(name, NumpyBackend())
    )
    layers, X, y = [Dense(3, 4), BatchNorm(), Dense(4, 2)], rng.normal(size=(9, 3)), rng.integers(0, 2, 9)
    with pytest.raises(PropertyError, match=what):
        check_backend("wrong", Problem(layers, CrossEntropy(), SGD(), X, y, batch_size=3), only=[what])


def test_an_accuracy_may_differ_where_logits_are_equal_but_for_rounding_and_nowhere_else(rng, monkeypatch):
    """Both logits are 1 where tanh is saturated; a tanh that gives the float below 1 tells them apart."""

    class Otherwise(NumpyBackend):
        def train(self, program, state, samples, plan, records, stop):
            taken = super().train(program, state, samples, plan, records, stop)
            records.accuracies[1] = 1 - records.accuracies[1]
            return taken

    monkeypatch.setattr(
        "mlp_scratch.testing.backends.get_backend", lambda name: {"otherwise": Otherwise()}.get(name, NumpyBackend())
    )
    X, y = np.full((4, 1), 1e3), np.array([0, 1, 1, 1])
    saturated = Problem([Dense(1, 2), Tanh()], CrossEntropy(), SGD(1e-9), X, y, seed=1)
    assert (saturated.model().logits(X) == 1).all()
    check_backend("otherwise", saturated, only=["same_training"])
    apart = Problem([Dense(1, 2)], CrossEntropy(), SGD(1e-9), rng.normal(size=(4, 1)), y)
    with pytest.raises(PropertyError, match=r"accuracies\[1\]"):
        check_backend("otherwise", apart, only=["same_training"])
