"""What the compiled backend promises besides its numbers: any layout, same bits, exact resumption, honest failure."""

import multiprocessing
import threading

import numpy as np
import pytest

import mlp_scratch as ms
from mlp_scratch import machine
from mlp_scratch.backends import get_backend, numba_cores
from mlp_scratch.backends import numba as compiled
from mlp_scratch.backends.base import Plan, Records, Samples, State
from mlp_scratch.backends.divergence import last_good_step
from mlp_scratch.errors import DivergedError
from mlp_scratch.losses import MSE
from mlp_scratch.program import lower
from tests.tolerances import assert_parity

DTYPES = ["float16", "float32", "float64", "longdouble", "bool", ">f4"] + [
    f"{s}int{b}" for s in ("", "u") for b in (8, 16, 32, 64)
]


def trained(X, y, *, backend="numba", threads=None, layers=None, **options) -> ms.Sequential:
    chosen = layers or [ms.Dense(X.shape[1], 37), ms.BatchNorm(), ms.ReLU(), ms.Dropout(0.2), ms.Dense(37, 3)]
    model = ms.Sequential(chosen, dtype=options.pop("dtype", "float32"), seed=3)
    options = {"loss": "cross_entropy", "batch_size": 33, "epochs": 2} | options
    model.fit(X, y, backend=backend, threads=threads, progress=False, **options)
    return model


def layouts(X):
    """The same numbers in memory in every way."""
    wide = np.zeros((len(X) * 2, X.shape[1] * 3), X.dtype)
    wide[::2, 1::3] = X
    read_only = X.copy()
    read_only.flags.writeable = False
    packed = np.zeros(len(X), [("skip", "u1"), ("x", X.dtype, X.shape[1])])  # rows at odd addresses
    packed["x"] = X
    return {
        "C": np.ascontiguousarray(X),
        "F": np.asfortranarray(X),
        "strided": wide[::2, 1::3],
        "rows reversed": X[::-1].copy()[::-1],
        "columns reversed": X[:, ::-1].copy()[:, ::-1],
        "read-only": read_only,
        "unaligned": packed["x"],
    }


@pytest.mark.parametrize("columns", [1, 5, 16, 35])
def test_any_layout_gives_the_same_bits(columns, rng):
    X, y = rng.normal(size=(80, columns)), rng.integers(0, 3, 80)
    results = {name: trained(data, y).flat for name, data in layouts(X).items()}
    for name, result in results.items():
        assert np.array_equal(result, results["C"]), name


@pytest.mark.parametrize("dtype", DTYPES)
def test_any_number_type_of_the_data(dtype, rng):
    X, y = rng.integers(0, 100, (80, 21)).astype(dtype), rng.integers(0, 3, 80)
    expected = trained(X.astype("float64"), y)
    for name, data in layouts(X).items():
        model = trained(data, y)
        assert np.array_equal(model.flat, expected.flat), name
        assert np.array_equal(model.logits(data, backend="numba"), expected.logits(X, backend="numba")), name


@pytest.mark.parametrize("dtype", ["float32", "float16"])  # the kernels know the one, NumPy gathers the other
def test_a_short_batch_forgets_the_longer_one_before_it(dtype, rng):
    """A shared slope sums over all lanes of a panel, also over those that only the longer batch filled."""
    X, y = rng.integers(-9, 9, (17, 3)).astype(dtype), rng.integers(0, 5, 17)
    options = {"layers": [ms.Dense(3, 5), ms.PReLU()], "batch_size": 14, "dtype": "float64"}
    fast, slow = (trained(X, y, backend=backend, **options) for backend in ("numba", "numpy"))
    assert_parity(fast.flat, slow.flat, "parameters", 1e-9)


def test_targets_and_weights_of_any_layout(rng):
    X, y, w = rng.normal(size=(50, 4)), rng.normal(size=(50, 3)), rng.uniform(size=50)
    expected = trained(X, y, loss="mse", sample_weight=w)
    model = trained(X, np.asfortranarray(y), loss="mse", sample_weight=np.repeat(w, 2)[::2])
    assert np.array_equal(model.flat, expected.flat)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layers", [None, [ms.Dropout(0.2), ms.Dense(9, 70), ms.PReLU(), ms.Dense(70, 3), ms.PReLU()]])
@pytest.mark.parametrize("batch_size", [70, 20])  # of which two threads gather each all, of one panel
def test_the_same_bits_for_any_number_of_threads(dtype, layers, batch_size, rng, monkeypatch):
    monkeypatch.setattr(compiled, "FLOPS_FOR_THREADS", 0)
    monkeypatch.setattr(numba_cores, "usable_cores", lambda: 5)
    X, y = rng.normal(size=(200, 9)), rng.integers(0, 3, 200)
    options = {"dtype": dtype, "layers": layers, "batch_size": batch_size}
    results = [trained(X, y, threads=k, **options) for k in (1, 1, 2, 3, 5)]
    for other in results[1:]:
        assert np.array_equal(other.flat, results[0].flat)
        assert np.array_equal(other.history.losses, results[0].history.losses)
        assert np.array_equal(other.buffer_vector, results[0].buffer_vector)


def test_no_thread_outlives_a_fit(rng, monkeypatch):
    monkeypatch.setattr(compiled, "FLOPS_FOR_THREADS", 0)
    monkeypatch.setattr(numba_cores, "usable_cores", lambda: 3)
    before = threading.active_count()
    trained(rng.normal(size=(90, 4)), rng.integers(0, 3, 90), threads=3)
    assert threading.active_count() == before


def test_several_fits_at_once(rng):
    X, y = rng.normal(size=(90, 4)), rng.integers(0, 3, 90)
    expected = trained(X, y).flat
    results: list[np.ndarray] = []
    workers = [threading.Thread(target=lambda: results.append(trained(X, y).flat)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(results) == 4
    assert all(np.array_equal(result, expected) for result in results)


def test_resuming_is_exact_and_can_change_backends_on_the_way(rng):
    X, y = rng.normal(size=(90, 4)), rng.integers(0, 3, 90)
    whole = trained(X, y, optimizer="adam", epochs=5)
    parts = trained(X, y, optimizer="adam", epochs=2)
    parts.fit(X, y, backend="numba", batch_size=33, epochs=3, progress=False)
    assert np.array_equal(parts.flat, whole.flat)
    assert np.array_equal(parts.training.slots, whole.training.slots)
    mixed = trained(X, y, optimizer="adam", epochs=2, dtype="float64")
    mixed.fit(X, y, backend="numpy", batch_size=33, epochs=3, progress=False)
    expected = trained(X, y, optimizer="adam", epochs=5, dtype="float64")
    assert_parity(mixed.flat, expected.flat, "parameters", 1e-9)


def run(X, y, *, steps, batch, lr=0.1, answers=(), optimizer=None, layers=None):
    """`train` itself, past the checks of `fit`, by both backends: state, records, and the number of steps or the error.

    `stop` says what `answers` holds, and True after those.
    """
    layers = layers or [ms.Dense(X.shape[1], 8), ms.ReLU(), ms.Dense(8, 1)]
    model, optimizer = ms.Sequential(layers, dtype="float32"), optimizer or ms.SGD(0.1)
    slots = np.zeros((len(optimizer.slots), model.n_parameters), np.float32)
    state = State(model.flat, model.buffer_vector, slots, 0)
    samples = Samples(X, MSE().prepare(y, 1, np.dtype("float32")))
    records = Records(np.full(steps, np.nan), np.full(steps, np.nan))
    plan = Plan(np.arange(steps * batch) % len(X), batch, np.full(steps, lr), 0)
    outcomes = {}
    for name in ("numpy", "numba"):
        own = State(state.flat.copy(), state.buffers.copy(), slots.copy(), 0)
        own_records = Records(records.losses.copy(), records.accuracies.copy())
        calls = iter(answers)
        try:
            end = get_backend(name).train(
                lower(model, MSE(), optimizer),
                own,
                samples,
                plan,
                own_records,
                lambda calls=calls: next(calls, bool(answers)),
            )
        except DivergedError as error:
            end = error
        outcomes[name] = own, own_records, end
    return outcomes


def same_divergence(outcomes, step):
    (slow, slow_records, specified), (fast, fast_records, error) = outcomes["numpy"], outcomes["numba"]
    assert isinstance(specified, DivergedError)
    assert isinstance(error, DivergedError)
    assert error.step == specified.step == step
    assert str(error) == str(specified)
    assert fast.step == slow.step == step - 1
    np.testing.assert_allclose(fast.flat, slow.flat, rtol=1e-4, atol=1e-6)
    assert np.isfinite(fast.flat).all()
    assert np.array_equal(np.isnan(fast_records.losses), np.isnan(slow_records.losses))


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e38])
@pytest.mark.parametrize("step", [1, 2, 7])
@pytest.mark.parametrize("optimizer", [ms.SGD(0.1), ms.SGD(0.1, momentum=0.9), ms.Adam()])
def test_a_planted_value_diverges_at_its_step_and_leaves_the_state_before_it(optimizer, step, value, rng):
    X, y = rng.normal(size=(50, 3)), rng.normal(size=50)
    X[(step - 1) * 5 + 2, 1] = value
    same_divergence(run(X, y, steps=10, batch=5, optimizer=optimizer), step)


def test_parameters_that_overflow_behind_a_finite_loss_are_found_too():
    # The loss stays finite for long: the second output has no target of any size, only its bias explodes.
    X, y = np.ones((8, 1)), np.full(8, 3e18)
    outcomes = run(X, y, steps=12, batch=8, lr=1e19, layers=[ms.Dense(1, 1)])
    same_divergence(outcomes, outcomes["numpy"][2].step)


@pytest.mark.parametrize("shown", [True, False])
@pytest.mark.parametrize("behind", [0, 1, 2, 6, 100])
def test_the_last_good_step_is_sought_from_the_first_loss_that_shows_it(behind, shown):
    """Steps are taken again from the start for each look."""
    losses, asked = np.ones(5001), []
    if shown:
        losses[4000:] = np.nan
    good = (4000 if shown else 4999) - behind

    def is_good_after(steps):
        asked.append(steps)
        return steps <= good

    assert last_good_step(is_good_after, losses) == good
    assert len(asked) <= 1 + 2 * (behind + 1).bit_length()
    assert last_good_step(lambda steps: steps <= 0, losses) == last_good_step(is_good_after, losses[:0]) == 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("output", [0, 1, 2])
@pytest.mark.parametrize(("loss", "y"), [
    ("cross_entropy", np.array([0, 2, 1, 1, 0])),
    ("cross_entropy", np.full((5, 3), 1 / 3)),
    ("binary_cross_entropy", np.eye(5, 3)),
    *[(name, np.eye(5, 3)) for name in ("mse", "mae", "huber")],
])  # fmt: skip
def test_a_logit_that_is_nan_is_a_loss_that_is_nan(loss, y, output, dtype, rng):
    model = ms.MLP([4, 3], dtype=dtype, seed=0)
    model.parameters["0.bias"][output] = np.nan
    value, _ = model.loss_and_gradients(rng.normal(size=(5, 4)), y, loss=loss, backend="numba")
    assert np.isnan(value)


def test_memory_in_which_a_step_diverged_is_not_taken_again(rng):
    """NaN in its padding, which is no parameter, would be found and looked into at the end of every later call."""
    model, backend = ms.Sequential([ms.Dense(3, 8), ms.ReLU(), ms.Dense(8, 1)]), compiled.NumbaBackend()
    program, X, targets = lower(model, MSE(), ms.SGD()), rng.normal(size=(10, 3)), np.ones((10, 1), model.dtype)
    state = State(model.flat, model.buffer_vector, np.zeros((0, model.n_parameters)))
    plan, records = Plan(np.arange(10), 5, np.full(2, 0.01), 0), Records(np.empty(2), np.empty(2))
    bad = np.where(np.arange(10)[:, None] == 7, np.nan, X)
    with pytest.raises(DivergedError):
        backend.train(program, state, Samples(bad, targets), plan, records, lambda: False)
    assert backend.train(program, state, Samples(X, targets), plan, records, lambda: False) == 2
    assert np.isfinite(backend._kept[1].packed).all()


def test_stop_is_asked_between_steps_and_the_state_is_whole(rng):
    X, y = rng.normal(size=(50, 3)), rng.normal(size=50)
    state, records, taken = run(X, y, steps=40, batch=5, answers=[False, False])["numba"]
    assert 0 < taken < 40
    assert state.step == taken
    assert np.isfinite(records.losses[:taken]).all()
    assert np.isnan(records.losses[taken:]).all()
    assert np.array_equal(state.flat, run(X[: 5 * taken], y[: 5 * taken], steps=taken, batch=5)["numba"][0].flat)


def test_threads_obey_the_environment_and_the_affinity(monkeypatch):
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda _: set(range(6)), raising=False)
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
    assert numba_cores.usable_threads() == 6
    for value, expected in {"4": 4, "+3": 3, " 02 ": 2, "8": 6}.items():  # as Numba reads it
        monkeypatch.setenv("NUMBA_NUM_THREADS", value)
        assert numba_cores.usable_threads() == expected


@pytest.mark.parametrize("loss", [ms.CrossEntropy(label_smoothing=0), ms.CrossEntropy(label_smoothing=1)])
def test_a_number_given_as_an_integer_is_the_same_number(loss, rng):
    X, y = rng.normal(size=(40, 6)), rng.integers(0, 5, 40)
    model = ms.MLP([6, 5], dtype="float64")
    losses = [model.loss_and_gradients(X, y, loss=loss, backend=backend)[0] for backend in ("numpy", "numba")]
    assert_parity(losses[1], losses[0])


# JAX, where another test has imported it, warns at every fork of the process.
@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_worker_processes_give_the_same_bits(method, rng):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system cannot {method}")
    X, y = rng.normal(size=(60, 4)), rng.integers(0, 3, 60)
    model = trained(X, y)
    with multiprocessing.get_context(method).Pool(1) as pool:
        there = pool.apply(model.logits, (X,), {"backend": "numba"})
    assert np.array_equal(there, model.logits(X, backend="numba"))
