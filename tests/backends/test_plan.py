"""Plans: which samples each step takes, through epochs, and that every backend takes those."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mlp_scratch as ms
from mlp_scratch.backends import Plan, Records, Samples, State, base, get_backend
from mlp_scratch.backends import numba as compiled
from mlp_scratch.errors import DivergedError
from mlp_scratch.losses import MSE
from mlp_scratch.program import lower
from mlp_scratch.random import permutation


@st.composite
def plans(draw):
    n, size = draw(st.integers(1, 12)), draw(st.integers(1, 14))
    rows = np.arange(n) * 2 + 1
    position, steps = draw(st.integers(0, -(-n // size) - 1)), draw(st.integers(0, 30))
    return Plan(rows, size, np.arange(steps) + 1.0, draw(st.integers(0, 9)), draw(st.booleans()), 5, position)


@given(plans())
def test_epochs_follow_one_another_each_in_its_own_order(plan):
    whole, epoch = [], plan.epoch
    while len(whole) < plan.position + len(plan.lr):
        order = plan.rows[permutation(plan.seed, epoch, len(plan.rows))] if plan.shuffle else plan.rows
        whole += [order[i : i + plan.batch_size].tolist() for i in range(0, len(order), plan.batch_size)]
        epoch += 1
    assert [rows.tolist() for rows in plan.batches()] == whole[plan.position :][: len(plan.lr)]


def test_an_order_is_drawn_once_for_all_steps_of_an_epoch(monkeypatch):
    drawn = []
    monkeypatch.setattr(base, "permutation", lambda *key: drawn.append(key) or permutation(*key))
    plan = Plan(np.arange(12), 3, np.full(8, 0.1), 6, shuffle=True)
    parts = [next(plan.part(i, 1).batches()).tolist() for i in range(8)]
    assert drawn == [(6, 0, 12), (6, 1, 12)]
    assert parts == [rows.tolist() for rows in plan.batches()]
    for changed in ({"seed": 7}, {"rows": np.arange(12) + 1}, {"epoch": 3}):
        other = replace(plan, **changed)
        expected = other.rows[permutation(other.seed, other.epoch, 12)]
        assert np.array_equal(other.order(other.epoch), expected)


@given(plans(), st.data())
def test_a_part_takes_those_steps_of_the_whole(plan, data):
    first = data.draw(st.integers(0, len(plan.lr)))
    count = data.draw(st.integers(0, len(plan.lr) - first))
    part = plan.part(first, count)
    assert part.lr.tolist() == plan.lr[first : first + count].tolist()
    expected = [rows.tolist() for rows in plan.batches()][first : first + count]
    assert [rows.tolist() for rows in part.batches()] == expected


def take(name, plan, X, parts, threads=None, optimizer=None):
    """The state after the parts of a plan, by one backend, with what was recorded, and the first error.

    A part that ends with an error is followed by the next one, from the step before.
    """
    model = ms.Sequential([ms.Dense(3, 40), ms.ReLU(), ms.Dropout(0.2), ms.Dense(40, 1)], seed=2)
    chosen = optimizer or ms.Adam(0.01)
    state = State(model.flat, model.buffer_vector, np.zeros((len(chosen.slots), model.n_parameters), np.float32))
    samples = Samples(X, MSE().prepare(X[:, 0].astype(float), 1, np.dtype("float32")))
    program, backend = lower(model, MSE(), chosen), get_backend(name, threads=threads)
    records = Records(np.full(len(plan.lr), np.nan), np.full(len(plan.lr), np.nan))
    first_error = None
    for part in parts:
        done = state.step
        here = slice(done, done + len(part.lr))
        own = Records(records.losses[here], records.accuracies[here])
        try:
            backend.train(program, state, samples, part, own, lambda: False)
        except DivergedError as error:
            first_error = first_error or error
    return state, records, first_error


@pytest.mark.parametrize("dtype", ["float32", "float16"])  # the kernels know the one, NumPy gathers the other
@pytest.mark.parametrize("shuffle", [True, False])
def test_a_call_of_many_epochs_has_the_bits_of_many_calls(shuffle, dtype, each_backend, rng, monkeypatch):
    monkeypatch.setattr(compiled, "FLOPS_FOR_THREADS", 0)
    X = rng.normal(size=(50, 3)).astype(dtype)
    rows = rng.permutation(50)[:43]
    plan = Plan(rows, 16, np.linspace(0.01, 0.001, 14), 7, shuffle, epoch=3, position=1)
    one, together, _ = take(each_backend, plan, X, [plan], threads=1)
    for threads, parts in (
        (1, plan.epochs()),
        (2, [plan]),
        (2, [plan.part(0, 3), plan.part(3, 1), plan.part(4, 10)]),
        (1, [plan.part(i, 1) for i in range(14)]),
    ):
        state, records, _ = take(each_backend, plan, X, parts, threads=threads)
        assert np.array_equal(state.flat, one.flat)
        assert np.array_equal(state.slots, one.slots)
        assert state.step == one.step == 14
        assert np.array_equal(records.losses, together.losses)


def test_a_backend_draws_anew_for_another_seed_and_for_none(each_backend, rng):
    X = rng.normal(size=(20, 3)).astype(np.float32)
    plan = Plan(np.arange(20), 8, np.full(3, 0.01), 7, shuffle=True)
    parts = [plan, replace(plan, seed=8), replace(plan, shuffle=False)]
    whole = replace(plan, lr=np.full(9, 0.01))
    fresh = [replace(part, rows=part.rows.copy()) for part in parts]
    assert np.array_equal(take(each_backend, whole, X, parts)[0].flat, take(each_backend, whole, X, fresh)[0].flat)


def test_a_step_that_diverges_in_a_later_epoch_is_found(each_backend, rng):
    X, bad = rng.normal(size=(20, 3)).astype(np.float32), 9
    plan = Plan(np.arange(20), 8, np.full(12, 0.01), 7, shuffle=True)
    rates = plan.lr.copy()
    rates[bad - 1 :] = 1e39  # more than a float32 holds
    state, records, error = take(each_backend, plan, X, [replace(plan, lr=rates)], optimizer=ms.SGD())
    expected, until, _ = take(each_backend, plan, X, [plan.part(0, bad - 1)], optimizer=ms.SGD())
    assert error is not None
    assert (error.step, state.step) == (bad, bad - 1)
    assert np.array_equal(state.flat, expected.flat)
    assert np.array_equal(records.losses[: bad - 1], until.losses[: bad - 1])
    assert np.isnan(records.losses[bad - 1 :]).all()
    parts = [replace(plan, lr=rates), plan.part(bad - 1, 13 - bad)]
    again, _, _ = take(each_backend, plan, X, parts, optimizer=ms.SGD())
    assert np.array_equal(again.flat, take(each_backend, plan, X, [plan], optimizer=ms.SGD())[0].flat)
