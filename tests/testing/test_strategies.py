"""The strategies: what they draw is valid, varied, prints as Python, and next to nothing is thrown away."""

import numpy as np
import pytest
from hypothesis import find, given, seed, settings
from hypothesis import strategies as st
from hypothesis.control import current_build_context
from hypothesis.errors import StopTest, UnsatisfiedAssumption
from hypothesis.internal.conjecture.data import Status

import mlp_scratch.layers
import mlp_scratch.losses
import mlp_scratch.optimizers
from mlp_scratch.layers import LAYERS, BatchNorm, Dense, Dropout, PReLU
from mlp_scratch.testing import Problem, strategies

MOST_DISCARDED = 0.1

ROWS = {
    "batches": strategies.batches(strategies.widths()),
    "architectures": strategies.architectures(),
    "problems": strategies.problems(max_depth=6, max_width=70),
    "optimizers": strategies.optimizers(),
    "losses": strategies.losses(),
    "sample_weights": strategies.sample_weights(7),
}


@pytest.mark.parametrize("name", ROWS)
def test_the_share_of_discarded_examples_is_small(name, record_property):
    """Discarded by a filter or an assumption, that is: in search of small ones Hypothesis cuts others short itself."""
    started = completed = discarded = 0

    @st.composite
    def counted(draw):
        nonlocal started, discarded
        started += 1
        try:
            return draw(ROWS[name])
        except (StopTest, UnsatisfiedAssumption):
            discarded += current_build_context().data.status is not Status.OVERRUN
            raise

    @settings(max_examples=400, database=None)
    @given(counted())
    def check(_):
        nonlocal completed
        completed += 1

    check()
    record_property("discarded", f"{discarded} of {started}")
    assert completed >= 6  # a strategy of few values ends early
    assert discarded <= MOST_DISCARDED * started


@given(strategies.problems())
def test_problems_print_themselves(problem):
    names = {"np": np, "Problem": Problem}
    for module in (mlp_scratch.layers, mlp_scratch.losses, mlp_scratch.optimizers):
        names |= vars(module)
    again = eval(repr(problem), names)
    assert repr(again) == repr(problem)
    assert np.array_equal(again.model().flat, problem.model().flat)
    assert np.array_equal(again.X, problem.X)
    exec(problem.code(), {})


def test_failures_shrink_to_the_smallest_network():
    smallest = find(strategies.architectures(), lambda layers: any(isinstance(x, BatchNorm) for x in layers))
    assert [type(layer) for layer in smallest] == [Dense, BatchNorm, Dense]
    assert [smallest[0].n_in, smallest[0].n_out, smallest[2].n_out] == [1, 1, 1]


@pytest.mark.parametrize(
    "wanted",
    [
        lambda X: len(X) == 1,
        lambda X: len(X) > 1 and np.array_equal(X[0], X[-1]),
        lambda X: (X == 0).any() and (X < 0).any(),
    ],
    ids=["one sample", "a sample twice", "zeros and negative numbers"],
)
def test_batches_contain(wanted):
    assert wanted(find(strategies.batches(3), wanted))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_any_magnitudes_contain_denormal_and_huge_numbers(dtype):
    info = np.finfo(dtype)
    draws = strategies.batches(2, dtype=dtype, magnitudes="any")
    assert find(draws, lambda X: ((X != 0) & (np.abs(X) < info.tiny)).any()).dtype == dtype
    assert find(draws, lambda X: (np.abs(X) > np.sqrt(float(info.max)) / 64).any()).dtype == dtype


def test_any_magnitudes_contain_those_between_ordinary_and_huge():
    for exponent in (7, 10, 20):
        least = 2.0**exponent
        find(strategies.batches(2, magnitudes="any"), lambda X, least=least: least < np.abs(X).max() <= 4 * least)


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
def test_layouts_keep_the_numbers_and_their_type(dtype):
    @given(strategies.layouts(), strategies.batches(3))
    def check(layout, X):
        X = np.abs(X).astype(dtype)
        assert np.array_equal(layout(X), X)
        assert layout(X).dtype == dtype

    check()
    X = np.ones((2, 3))
    assert find(strategies.layouts(), lambda layout: layout(X).strides[-1] < 0)
    assert find(strategies.layouts(), lambda layout: not layout(X).flags.writeable)


@pytest.mark.parametrize("kind", LAYERS)
def test_every_kind_of_layer_is_drawn(kind):
    assert find(strategies.layers(4), lambda layer: layer.kind == kind).kind == kind


def draws(strategy):
    """900 of them, by three seeds that stay: how often something is drawn differs widely from seed to seed."""
    found = []
    for number in range(3):

        @seed(number)
        @settings(max_examples=300, database=None)
        @given(strategy)
        def look(drawn):
            found.append(drawn)

        look()
    return found


def test_last_short_batches_and_weights_of_zero_are_drawn():
    wanted = {
        "a short last batch": lambda p: len(p.X) % p.batch_size,
        "a batch of one": lambda p: p.batch_size == 1,
        "as many samples as go in a batch": lambda p: len(p.X) == p.batch_size > 1,
        "a frozen layer": lambda p: not all(layer.trainable for layer in p.layers),
        "a weight of 0": lambda p: p.sample_weight is not None and (p.sample_weight == 0).any(),
        "dropout": lambda p: any(isinstance(layer, Dropout) for layer in p.layers),
        "a slope for each feature": lambda p: any(isinstance(x, PReLU) and x.per_feature for x in p.layers),
        "float32": lambda p: p.dtype == "float32",
        "no hidden layer": lambda p: len(p.layers) == 1,
    }
    problems = draws(strategies.problems())
    assert {name for name, holds in wanted.items() if any(map(holds, problems))} == set(wanted)


def test_few_samples_often_meet_a_wide_frozen_layer_above_what_learns():
    """One of the pairs that a kernel has a way of its own for; sizes that are all small or all large miss them."""

    def meets(problem):
        fewest = len(problem.X) % problem.batch_size or problem.batch_size
        learns = False
        for layer in problem.layers:
            if fewest <= 2 and learns and isinstance(layer, Dense) and layer.n_out >= 32 and not layer.trainable:
                return True
            learns |= isinstance(layer, Dense | BatchNorm | PReLU) and layer.trainable
        return False

    problems = draws(strategies.problems(max_depth=6, max_width=300, max_samples=70))
    assert sum(map(meets, problems)) >= 30


def test_initializers_draw_finite_weights():
    @given(strategies.initializers(), strategies.widths(), strategies.widths())
    def check(rule, n_in, n_out):
        weight = rule.draw(np.random.default_rng(0), (n_out, n_in))
        assert weight.shape == (n_out, n_in)
        assert np.isfinite(weight).all()

    check()
