"""Every backend held to the specification; the specification held to its own contract."""

import pytest

from mlp_scratch import SGD, Adam, BatchNorm, CrossEntropy, Dense, ReLU
from mlp_scratch.backends import usable_backends
from mlp_scratch.backends.numpy import NumpyBackend
from mlp_scratch.testing import Problem, PropertyError, check_backend, strategies


@pytest.mark.parametrize("backend", usable_backends())
def test_every_backend_has_every_property(backend):
    check_backend(backend)


@pytest.mark.parametrize("backend", usable_backends())
def test_widths_across_tile_edges(backend):
    check_backend(backend, strategies.problems(max_depth=6, max_width=70), only=["same_gradient", "same_training"])


def test_numbers_that_float32_rounds_are_no_fault_of_a_backend(rng):
    layers, X, y = [Dense(3, 4), ReLU(), Dense(4, 2)], rng.normal(size=(9, 3)), rng.integers(0, 2, 9)
    check_backend("numpy", Problem(layers, CrossEntropy(), Adam(), X, y))


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
