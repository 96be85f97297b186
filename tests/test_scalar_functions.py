"""An activation or a loss from plain functions of numbers: on every backend, in files, and where it can't be."""

import math
from functools import partial
from types import ModuleType

import numba
import numpy as np
import pytest

import mlp_scratch as ms
from mlp_scratch.backends import get_backend
from mlp_scratch.errors import ArgumentError, DivergedError, ModelFileError
from mlp_scratch.program import lower


def cube(x):
    return x * x * x / 10 + x


def cube_slope(x):
    return 0.3 * x * x + 1


def times(k):
    return lambda x: k * x


def rendered(x):
    return float(str(x))  # nothing that Numba compiles


FACTOR = 0.5
"""What functions read below, until a test changes it."""

CUBE = ms.ScalarActivation("cube", cube, cube_slope)
QUARTIC = ms.ScalarLoss("quartic", lambda z, t: (z - t) ** 4, lambda z, t: 4 * (z - t) ** 3)
HINGE = ms.ScalarLoss(
    "hinge", lambda z, t: max(0.0, 1 - t * z), lambda z, t: -t if t * z < 1 else 0.0, piece=lambda z, t: t * z < 1
)
RENDERED = ms.ScalarActivation("rendered", rendered, lambda x: 1.0)


@pytest.fixture
def data(rng):
    return rng.normal(size=(40, 3)), rng.normal(size=(40, 2))


def network(activation, dtype="float64"):
    return ms.MLP([3, 9, 2], activation=activation, dtype=dtype, seed=1)


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("loss", [QUARTIC, HINGE], ids=lambda loss: loss.name)
@pytest.mark.parametrize(
    "activation",
    [CUBE, ms.ScalarActivation("ramp", lambda x: min(max(x, -0.5), 0.5), lambda x: abs(x) < 0.5, kinks=(0.5, -0.5))],
    ids=lambda activation: activation.name,
)
def test_gradcheck(activation, loss, backend, data):
    X, y = data
    assert ms.gradcheck(network(activation), X, np.sign(y), loss=loss, backend=backend).passed


@pytest.mark.parametrize("wrong", [ms.ScalarActivation("cube", cube, lambda x: 0.301 * x * x + 1)])
def test_gradcheck_finds_a_wrong_derivative(wrong, data):
    X, y = data
    assert not ms.gradcheck(network(wrong), X, y, loss="mse", backend="numba").passed
    loss = ms.ScalarLoss("quartic", QUARTIC.f, lambda z, t: 4.01 * (z - t) ** 3)
    assert not ms.gradcheck(network(CUBE), X, y, loss=loss).passed


@pytest.mark.parametrize(
    "f",
    [math.tanh, np.tanh, numba.njit(lambda x: math.tanh(x)), lambda x: np.tanh(x), lambda x: np.float32(math.tanh(x))],
    ids=["math", "numpy", "compiled", "lambda", "another type"],
)
def test_functions_of_every_kind(f, data):
    X, _ = data
    model = network(ms.ScalarActivation("mine", f, lambda x: 1 - math.tanh(x) ** 2))
    expected = network("tanh").logits(X, backend="numpy")
    tolerance = 1e-6 if f(0.3) == np.float32(math.tanh(0.3)) else 1e-12
    for backend in ("numpy", "numba"):
        np.testing.assert_allclose(model.logits(X, backend=backend), expected, rtol=0, atol=tolerance)


def test_closures_over_other_numbers_are_other_functions(data):
    X, _ = data
    scaled = [ms.ScalarActivation("scaled", lambda x, k=k: k * x, lambda x: 1.0) for k in (1.0, 2.0)]
    closed = [ms.ScalarActivation("scaled", times(k), lambda x: 1.0) for k in (1.0, 2.0)]
    for one, other in (scaled, closed):
        a, b = (network(activation).logits(X, backend="numba") for activation in (one, other))
        np.testing.assert_allclose(b, 2 * a, rtol=1e-12)


def reading(where, monkeypatch):
    """A function that reads the number 0.5 somewhere, and what makes that 2."""
    k, pair, array, settings = 0.5, (1, 0.5), np.array([0.0, 0.5]), ModuleType("settings")
    settings.k, settings.own = 0.5, settings

    def change():
        nonlocal k, pair
        k, pair, array[1], settings.k = 2.0, (1, 2.0), 2.0, 2.0
        monkeypatch.setitem(globals(), "FACTOR", 2.0)

    functions = {
        "a global": lambda x: FACTOR * x,
        "a closure": lambda x: k * x,
        "a tuple": lambda x: pair[1] * x,
        "an array": lambda x: array[1] * x,
        "a module": lambda x: settings.own.k * x,
        "a function inside": lambda x: (lambda t: k * t * FACTOR)(x) / k,
    }
    return functions[where], change


@pytest.mark.parametrize("where", ["a global", "a closure", "a tuple", "an array", "a module", "a function inside"])
def test_what_a_function_reads_counts_as_it_is_at_the_call(where, monkeypatch, data):
    """Also for a model that has predicted before, a few samples or many."""
    X, _ = data
    f, change = reading(where, monkeypatch)
    model = network(ms.ScalarActivation("scaled", f, lambda x: 1.0))
    before = [model.logits(rows, backend="numba") for rows in (X[:2], X)]
    change()
    for network_now in (model, network(ms.ScalarActivation("scaled", f, lambda x: 1.0))):
        for rows, old in zip((X[:2], X), before, strict=True):
            now = network_now.logits(rows, backend="numba")
            np.testing.assert_allclose(now, network_now.logits(rows, backend="numpy"), rtol=0, atol=1e-12)
            np.testing.assert_allclose(now, 4 * old, rtol=1e-12)  # there are no biases yet


@pytest.mark.parametrize("read", ["f", "df"])
def test_what_a_loss_reads_counts_as_it_is_at_the_call(read, monkeypatch, data):
    functions = {"f": lambda z, t: (z - t) ** 2 / 2, "df": lambda z, t: z - t}
    functions[read] = {"f": lambda z, t: FACTOR * (z - t) ** 2, "df": lambda z, t: 2 * FACTOR * (z - t)}[read]
    model, loss = network("tanh"), ms.ScalarLoss("scaled", **functions)
    value, grads = model.loss_and_gradients(*data, loss=loss, backend="numba")
    monkeypatch.setitem(globals(), "FACTOR", 2.0)
    value_now, grads_now = model.loss_and_gradients(*data, loss=loss, backend="numba")
    assert value_now == pytest.approx(4 * value if read == "f" else value, rel=1e-12)
    times = 4 if read == "df" else 1
    np.testing.assert_allclose(grads_now["2.bias"], times * grads["2.bias"], rtol=1e-12)


def test_a_compiled_fit_keeps_to_what_functions_read_as_it_began(monkeypatch, data):
    """In its steps and in its validation."""

    class Change(ms.Callback):
        def on_epoch_end(self, run):
            monkeypatch.setitem(globals(), "FACTOR", 2.0)

    activation = ms.ScalarActivation("scaled", lambda x: FACTOR * x, lambda x: FACTOR)
    options = {"loss": "mse", "epochs": 3, "validation": 0.5, "backend": "numba"}
    kept, changing = network(activation), network(activation)
    expected = kept.fit(*data, **options)
    history = changing.fit(*data, callbacks=[Change()], **options)
    assert np.array_equal(kept.flat, changing.flat)
    assert history.column("val_loss") == expected.column("val_loss")


def test_float32_is_worked_out_in_float64_and_rounded(data):
    """exp(100) is no float32: a function that works with it must give its number all the same."""
    X, _ = data
    naive = ms.ScalarActivation("softplus", lambda x: np.log(1 + np.exp(100 * x + 100)), lambda x: 1.0)
    results = [network(naive, "float32").logits(X, backend=backend) for backend in ("numpy", "numba")]
    assert np.isfinite(results[0]).all()
    np.testing.assert_allclose(*results, rtol=1e-5)


def test_it_is_compiled_with_any_other_layer_and_trains_to_the_same_bits_on_any_number_of_threads(data, monkeypatch):
    from mlp_scratch.backends import numba as compiled
    from mlp_scratch.backends import numba_cores

    monkeypatch.setattr(compiled, "FLOPS_FOR_THREADS", 0)
    monkeypatch.setattr(numba_cores, "usable_cores", lambda: 3)
    layers = [ms.Dense(3, 20), CUBE, ms.BatchNorm(), ms.Dropout(0.2), ms.Dense(20, 2), CUBE]
    flats = []
    for threads in (1, 3):
        model = ms.Sequential(layers, seed=2)
        model.fit(*data, loss=QUARTIC, optimizer=ms.SGD(1e-3), epochs=3, backend="numba", threads=threads)
        flats.append(model.flat)
    assert np.array_equal(*flats)


def test_the_program_lists_it_by_its_name():
    assert "cube" in str(lower(network(CUBE), QUARTIC, ms.Adam()))


def test_what_numba_cannot_compile_trains_on_numpy_when_the_backend_is_left_open(data):
    X, y = data
    program = lower(network(RENDERED), ms.MSE(), ms.Adam())
    assert get_backend("auto", program).name == "numpy"
    auto, specified = network(RENDERED), network(RENDERED)
    auto.fit(X, y, loss="mse", epochs=1)
    specified.fit(X, y, loss="mse", epochs=1, backend="numpy")
    assert np.array_equal(auto.flat, specified.flat)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: (RENDERED, QUARTIC), "rendered, whose f Numba can't compile: "),
        (lambda: (ms.ScalarActivation("cube", cube, lambda x: [x]), QUARTIC), "cube, whose df Numba can't .* list"),
        (lambda: (ms.ScalarActivation("cube", cube, partial(pow, 2)), QUARTIC), "cube, whose df Numba can't compile"),
        (lambda: (CUBE, ms.ScalarLoss("r", lambda z, t: rendered(z), QUARTIC.df)), "r, whose f Numba can't compile"),
    ],
)
def test_the_compiled_backend_refuses_it_by_name_with_the_reason(make, said, data):
    activation, loss = make()
    with pytest.raises(ArgumentError, match=f"backend: got 'numba' for a model with {said}.*backend='numpy'"):
        network(activation).fit(*data, loss=loss, epochs=1, backend="numba")


@pytest.mark.parametrize("result", ["text", None, 1j, np.complex128(1j)])
def test_numpy_says_what_a_function_did_instead_of_returning_a_number(result, data):
    with pytest.raises(ArgumentError, match=r"f of odd: got .* for [-\d.]+, expected a real number"):
        network(ms.ScalarActivation("odd", lambda x: result, lambda x: 1.0)).logits(data[0], backend="numpy")


def test_a_function_that_raises_is_named_by_numpy_and_diverges_when_compiled(data):
    def picky(x):
        if x > 0:
            raise ValueError("too large")
        return x

    activation = ms.ScalarActivation("picky", picky, lambda x: 1.0)
    with pytest.raises(ArgumentError, match=r"f of picky: got ValueError \(too large\) for "):
        network(activation).fit(*data, loss="mse", epochs=1, backend="numpy")
    model = network(activation)
    before = model.flat.copy()
    with pytest.raises(DivergedError, match="the value of f of picky is not finite at step 1"):
        model.fit(*data, loss="mse", epochs=1, backend="numba")
    assert np.array_equal(model.flat, before)


@pytest.mark.parametrize("rounded", [np.trunc, np.rint, np.floor])
def test_rounding_that_keeps_floats_is_the_same_compiled(rounded):
    """As `int`, `round` and `math.floor` are not, of what 64 bits can't hold."""
    model = ms.Sequential([ms.Dense(1, 1), ms.ScalarActivation("steps", lambda x: rounded(x), lambda x: 0.0)])
    z = np.array([[-1.5], [2.5], [1e30], [np.inf], [-np.inf], [np.nan]], "float32")
    model.flat[:] = 1, 0
    backends = (get_backend(name) for name in ("numpy", "numba"))
    slow, fast = (backend.logits(model._program(model.task), model._state(), z) for backend in backends)
    assert np.array_equal(fast, slow, equal_nan=True)
    assert np.array_equal(fast, rounded(z), equal_nan=True)


def test_a_file_keeps_the_name_and_the_functions_are_given_again(data, tmp_path):
    whole, model = network(CUBE), network(CUBE)
    whole.fit(*data, loss=QUARTIC, optimizer=ms.SGD(1e-3), epochs=3)
    model.fit(*data, loss=QUARTIC, optimizer=ms.SGD(1e-3), epochs=2)
    model.save(tmp_path / "m")
    resumed = ms.load(tmp_path / "m", custom=[QUARTIC, CUBE])
    assert resumed.layers[1] is CUBE
    resumed.fit(*data, epochs=1)
    assert np.array_equal(resumed.flat, whole.flat)
    for given, missing in (((), "cube"), ((CUBE,), "quartic"), ((QUARTIC,), "cube")):
        with pytest.raises(ModelFileError, match=rf"user's own '{missing}'.*load\(path, custom="):
            ms.load(tmp_path / "m", custom=given)


def test_a_given_function_never_takes_the_place_of_a_layer_of_the_package(tmp_path):
    network("relu").save(tmp_path / "m")
    assert ms.load(tmp_path / "m", custom=[ms.ScalarActivation("relu", cube, cube_slope)]).layers[1] == ms.ReLU()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: ms.ScalarActivation("a b", cube, cube), "name: got 'a b'"),
        (lambda: ms.ScalarActivation(cube, cube, cube), "name: got <function"),
        (lambda: ms.ScalarActivation("cube", 3.0, cube), "f: got 3.0"),
        (lambda: ms.ScalarActivation("cube", cube, None), "df: got None"),
        (lambda: ms.ScalarActivation("cube", cube, cube, kinks=0.0), "kinks: got 0.0"),
        (lambda: ms.ScalarActivation("cube", cube, cube, kinks=(np.nan,)), "kinks: got nan"),
        (lambda: ms.ScalarLoss("", cube, cube), "name: got ''"),
        (lambda: ms.ScalarLoss("l", "mse", cube), "f: got 'mse'"),
        (lambda: ms.ScalarLoss("l", cube, "mse"), "df: got 'mse'"),
        (lambda: ms.ScalarLoss("l", cube, cube, piece=0), "piece: got 0"),
    ],
)
def test_bad_arguments(make, said):
    with pytest.raises(ArgumentError, match=said):
        make()


def test_a_backend_that_compiles_no_functions_refuses_them():
    from mlp_scratch.backends.refusals import refusal

    program = lower(network(CUBE), ms.MSE(), ms.Adam())
    assert refusal(program) == ""
    assert refusal(program, functions=False) == "ScalarActivation"
