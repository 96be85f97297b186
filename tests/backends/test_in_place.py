"""Networks too large to be copied are trained where their parameters lie: to the same bits, and never past a number.

Here small ones are taken for large. The reference is the same network on panels, which `test_parity.py` holds to the
NumPy backend.
"""

from contextlib import nullcontext

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import mlp_scratch as ms
from mlp_kernels.cpu.features import panel_tile
from mlp_kernels.cpu.safe_steps import PARAMETERS, largest
from mlp_scratch.backends import numba as compiled
from mlp_scratch.backends import numba_cores, numba_pace, numba_run, numba_tables
from mlp_scratch.backends.base import Plan, Records, State
from mlp_scratch.backends.numba import NumbaBackend
from mlp_scratch.program import lower
from mlp_scratch.samples import prepare
from tests.backends.fits import all_in_place

OPTIMIZERS = {
    "sgd": ms.SGD(0.05),
    "momentum": ms.SGD(0.05, momentum=0.9, weight_decay=0.01),
    "nesterov": ms.SGD(0.05, momentum=0.9, nesterov=True),
    "adam": ms.Adam(),
    "adamw": ms.Adam(0.01, weight_decay=0.1, decoupled=True, eps_mode="keras"),
}
WIDTHS = st.one_of(st.integers(1, 40), st.sampled_from([8, 32, 64, 96, 128]), st.sampled_from([63, 65, 97, 300]))
"""Any; some that fill the tiles of any CPU, and some that are wide and fill none."""


@pytest.fixture
def taken(monkeypatch):
    """How many steps each call took in place, with what it was asked for."""
    calls, advance = [], numba_run.CompiledRun.advance

    def count(run, first, steps, **options):
        done = advance(run, first, steps, **options)
        if run.tables.in_place:
            calls.append((done, steps))
        return done

    monkeypatch.setattr(numba_run.CompiledRun, "advance", count)
    return calls


def data(n, widths, dtype="float32"):
    rng = np.random.default_rng([n, *widths])
    return rng.normal(size=(n, widths[0])).astype(dtype), rng.normal(size=(n, widths[-1])).astype(dtype)


def held(model):
    """All that a fit changes, as bytes."""
    learned = (model.flat, model.buffer_vector, model.training.slots, model.history.losses)
    return b"".join(array.tobytes() for array in learned)


def fitted(model, X, y, *, in_place, **options):
    with all_in_place() if in_place else nullcontext():
        model.fit(X, y, loss="mse", backend="numba", progress=False, **options)
    return model


@given(
    widths=st.lists(WIDTHS, min_size=2, max_size=4),
    batch=st.sampled_from([1, 2, 5, 31, 32, 33, 70]),
    n=st.integers(2, 150),
    optimizer=st.sampled_from(sorted(OPTIMIZERS)),
    activation=st.sampled_from(["relu", "gelu", "prelu"]),
    dtype=st.sampled_from(["float32", "float64"]),
    threads=st.integers(1, 3),
    frozen=st.booleans(),
)
@example([5, 9, 97, 101, 1], 1, 3, "adam", "relu", "float32", 1, False).via("the last panel elsewhere, for one sample")
@example([5, 20, 1109, 7], 40, 50, "sgd", "gelu", "float32", 2, False).via("sums of 1109 terms, in blocks")
@example([303, 1024, 3], 40, 400, "adam", "relu", "float32", 2, False).via("last inputs of many panels, on two threads")
def test_the_bits_are_those_of_panels(widths, batch, n, optimizer, activation, dtype, threads, frozen):
    X, y = data(n, widths, dtype)

    def fit(in_place):
        model = ms.MLP(widths, activation=activation, dropout=0.2, dtype=dtype, seed=1)
        if frozen:
            model.freeze(0)
        options = {"optimizer": OPTIMIZERS[optimizer], "batch_size": batch, "epochs": 2, "threads": threads}
        try:
            fitted(model, X, y, in_place=in_place, **options)
        except ms.DivergedError as error:
            return str(error), held(model)
        return "", held(model)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numba_cores, "usable_cores", lambda: 3)
        patch.setattr(compiled, "FLOPS_FOR_THREADS", 0)
        assert fit(True) == fit(False)


def test_they_are_those_of_panels_with_batch_normalisation_and_a_validation_set(taken):
    widths = [20, 64, 64, 3]
    X, y = data(200, widths)
    options = {"optimizer": "adam", "batch_size": 64, "epochs": 3, "validation": (X[:70], y[:70])}
    one, other = (
        fitted(ms.MLP(widths, batch_norm=True, seed=2), X, y, in_place=in_place, **options)
        for in_place in (True, False)
    )
    assert held(one) == held(other)
    assert [epoch.val_loss for epoch in one.history.epochs] == [epoch.val_loss for epoch in other.history.epochs]
    assert sum(done for done, _ in taken) == 3 * 4


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e38, 1e22])
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_planted_value_diverges_at_its_step_and_leaves_the_state_before_it(value, optimizer, threads, taken):
    widths, batch = [16, 64, 64, 3], 10
    X, y = data(90, widths)
    options = {"optimizer": OPTIMIZERS[optimizer], "batch_size": batch, "shuffle": False, "threads": threads}
    reference = ms.MLP(widths, batch_norm=True, seed=3)
    fitted(reference, X[: 6 * batch], y[: 6 * batch], in_place=True, epochs=1, **options)
    del taken[:]
    model = ms.MLP(widths, batch_norm=True, seed=3)
    samples = X.copy()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "FLOPS_FOR_THREADS", 0)
        patch.setattr(ms.checks, "finite", lambda *_: None)  # `fit` would refuse it in the data
        samples[6 * batch + 4, 2] = value
        with pytest.raises(ms.DivergedError) as caught:
            fitted(model, samples, y, in_place=True, epochs=1, **options)
    assert caught.value.step == 7
    assert held(model) == held(reference)
    assert taken[-1][0] < taken[-1][1], "the step was refused, and found out to be bad on a copy"


def test_a_loss_that_overflows_diverges_though_its_gradient_does_not():
    X, y = data(90, [16, 32])
    y[64] = 1e25
    model = ms.MLP([16, 32], seed=11)
    with pytest.raises(ms.DivergedError) as caught:
        fitted(model, X, y, in_place=True, optimizer="sgd", batch_size=10, epochs=1, shuffle=False)
    assert caught.value.step == 7


def test_a_shared_slope_that_overflows_diverges_at_its_step():
    """Its gradient is a sum over a layer's features, and all else in the step stays far below the largest number."""
    model = ms.Sequential([ms.Dense(4, 64), ms.PReLU(slope=0.0), ms.Dense(64, 64)], seed=0)
    model.parameters["0.weight"][:], model.parameters["2.weight"][:] = -1, 1e19
    X, y = np.full((40, 4), 1e20, "float32"), np.ones((40, 64), "float32")
    X[:20] = 0
    with pytest.raises(ms.DivergedError) as caught:
        fitted(model, X, y, in_place=True, optimizer=ms.SGD(1e-30), batch_size=10, epochs=1, shuffle=False)
    assert caught.value.step == 3
    assert np.isfinite(model.flat).all()


def test_an_infinity_is_seen_where_all_gradients_are_zero():
    """A ReLU overflows, the sigmoid behind it hides that from the loss, and 0 times infinity is NaN."""
    model = ms.Sequential([ms.Dense(2, 64), ms.ReLU(), ms.Dense(64, 64), ms.Sigmoid(), ms.Dense(64, 1)], seed=0)
    for layer, weight in {"0": 3e38, "2": 0.1, "4": 1.0}.items():
        model.parameters[f"{layer}.weight"][:] = weight
    before = model.flat.copy()
    with pytest.raises(ms.DivergedError) as caught:
        fitted(model, np.full((32, 2), 3.0), np.full(32, 64.0), in_place=True, optimizer="sgd", epochs=1)
    assert caught.value.step == 1
    assert np.array_equal(model.flat, before)


def test_a_step_that_might_not_be_finite_is_taken_on_a_copy(taken):
    """Parameters so large that the bound says nothing, and all is well."""
    widths = [16, 32, 1]
    X, y = data(100, widths)

    def fit(in_place):
        model = ms.MLP(widths, seed=4)
        model.parameters["0.bias"][7] = 3e37
        model.parameters["2.weight"][0, 7] = 0
        model.freeze(2)
        return fitted(model, X * 0, y, in_place=in_place, optimizer="sgd", batch_size=50, epochs=3)

    assert held(fit(True)) == held(fit(False))
    assert taken
    assert {done for done, _ in taken} == {0}


@given(
    widths=st.lists(WIDTHS, min_size=2, max_size=4),
    optimizer=st.sampled_from(sorted(OPTIMIZERS)),
    scale=st.sampled_from([1e-3, 1.0, 1e3]),
    same=st.booleans(),
    lr=st.sampled_from([1e-5, 1e-2, 1.0]),
)
def test_nothing_exceeds_its_bound(widths, optimizer, scale, same, lr):
    X, y = data(70, widths)
    if same:  # then no sum over the samples is smaller than its bound
        X[:], y[:] = X[0], y[0]
    model = ms.MLP(widths, seed=5)
    samples, optimizer = prepare(model, ms.losses.MSE(), scale * X, y, None), OPTIMIZERS[optimizer]
    program = lower(model, ms.losses.MSE(), optimizer)
    state = State(model.flat, model.buffer_vector, np.zeros((len(optimizer.slots), model.n_parameters), "float32"))
    backend, plan = NumbaBackend(1), Plan(np.arange(70), 35, np.full(4, lr), 0)
    with all_in_place(), pytest.MonkeyPatch.context() as patch:
        runs, advance = [], numba_run.CompiledRun.advance_until
        patch.setattr(numba_run.CompiledRun, "advance_until", lambda run, *how: runs.append(run) or advance(run, *how))
        patch.setattr(NumbaBackend, "_train_on_a_copy", lambda *_: 0)  # where training diverges, look no further
        backend.train(program, state, samples, plan, Records(np.empty(4), np.empty(4)), lambda: False)
    for vector, bound in zip((state.flat, *state.slots), runs[0].memory.bounds[PARAMETERS:], strict=False):
        assert np.abs(vector).max() <= bound * (1 + 1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [1, 5, 64, 1001])
def test_the_largest_magnitude(n, dtype, rng):
    values = rng.normal(size=n).astype(dtype)
    assert largest(values, 0, 1) == np.abs(values).max() == max(largest(values, 0, 2), largest(values, 1, 2))
    for bad in (np.nan, -np.nan, np.inf, -np.inf):
        values[n // 2] = bad
        assert largest(values, 0, 1) == np.inf


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_tile_reads_beyond_the_last_input_of_a_panel_and_not_beyond_the_vector(dtype):
    """So in the last layer a panel stays where it is only if something lies behind it, or its inputs fill tiles."""

    def staying(inputs, *, bias):
        model = ms.Sequential([ms.Dense(inputs, 2 * tile.columns, bias=bias)], dtype=dtype)
        layout = numba_tables.Tables(lower(model, ms.losses.MSE(), ms.SGD()), 2, 1, in_place=True).layout
        return [tuple(row) for row in layout.turned]

    tile = panel_tile(np.dtype(dtype))
    assert staying(tile.rows, bias=False) == [(0, 2 * tile.columns, tile.rows)]
    assert staying(tile.rows + 1, bias=False) == []
    assert staying(2 * tile.rows - 1, bias=True) == [(0, 2 * tile.columns, 2 * tile.rows - 1)]
    assert staying(2 * tile.rows - 3, bias=True) == [], "three rows, and two of biases"


def test_only_what_is_large_is_trained_in_place(taken, monkeypatch):
    X, y = data(70, [40, 30])
    monkeypatch.setattr(numba_tables, "MOST_COPIED", 2 * 4 * ms.MLP([40, 30]).n_parameters)

    def fit(optimizer):
        del taken[:]
        ms.MLP([40, 30], seed=7).fit(X, y, loss="mse", optimizer=optimizer, epochs=1, backend="numba")
        return bool(taken)

    assert [fit("sgd"), fit(OPTIMIZERS["momentum"]), fit("adam")] == [False, False, True]


def test_a_bound_that_grows_is_no_reason_to_copy(taken, monkeypatch):
    """Adam's, with decay as a part of the gradient: from what is there it is found anew."""
    widths = [16, 64, 64, 3]
    X, y = data(100, widths)
    options = {"optimizer": ms.Adam(1e-3, weight_decay=1e-2), "batch_size": 2, "epochs": 1}
    reference, model = (ms.MLP(widths, seed=9) for _ in range(2))
    fitted(reference, X, y, in_place=False, **options)
    monkeypatch.setattr(NumbaBackend, "_train_on_a_copy", None)
    fitted(model, X, y, in_place=True, **options)
    assert sum(done for done, _ in taken) == 50
    assert any(done < steps for done, steps in taken), "some step was refused"
    assert held(model) == held(reference)


@pytest.mark.parametrize("after", [0, 2])
def test_an_error_leaves_the_model_at_the_last_whole_step(after, monkeypatch):
    """Its weights are in panels when it comes."""
    widths, batch = [16, 64, 64, 3], 20
    X, y = data(100, widths)
    options = {"optimizer": "adam", "batch_size": batch, "shuffle": False, "epochs": 1}
    reference, model = (ms.MLP(widths, seed=9) for _ in range(2))
    if after:
        fitted(reference, X[: after * batch], y[: after * batch], in_place=True, **options)
    advance, steps = numba_run.CompiledRun.advance, iter(range(after))

    def fail(run, first, count, **how):
        if next(steps, None) is None:
            raise MemoryError
        return advance(run, first, 1, **how)

    monkeypatch.setattr(numba_run.CompiledRun, "advance", fail)
    monkeypatch.setattr(numba_pace, "SECONDS_BETWEEN_STOPS", 0.0)
    with pytest.raises(MemoryError):
        fitted(model, X, y, in_place=True, **options)
    assert np.array_equal(model.flat, reference.flat)
