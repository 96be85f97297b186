"""What cannot be run, fails or diverges: said in words, the model as it was before."""

import numpy as np
import pytest

import mlp_scratch as ms
from mlp_scratch import backends, population
from mlp_scratch.backends import cuda, cuda_device, cuda_fleet, get_backend
from mlp_scratch.backends.base import Plan, Records, Samples, State
from mlp_scratch.errors import ArgumentError, BackendUnavailableError, DivergedError
from mlp_scratch.program import lower
from tests.backends.simulated_cuda.networks import trained
from tests.tolerances import assert_parity, eps

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NaN and infinity are ordinary numbers on a GPU


class OwnLayer(ms.ReLU):
    """A subclass of a known layer, which may compute something else."""


def test_a_layer_without_a_kernel_is_refused_by_name(rng):
    X, y, layers = rng.normal(size=(4, 2)), rng.normal(size=4), [ms.Dense(2, 2), OwnLayer(), ms.Dense(2, 1)]
    expected = r"backend: got 'cuda' for a model with OwnLayer, .*backend='numpy'"
    for use_it in (
        lambda: trained(X, y, layers=layers, loss="mse"),
        lambda: ms.Sequential(layers).logits(X, backend="cuda"),
        lambda: ms.Population(ms.Sequential(layers), seeds=[0]).fit(X, y, backend="cuda"),
    ):
        with pytest.raises(ArgumentError, match=expected):
            use_it()


def test_auto_can_pass_over_a_gpu_that_is_too_small(monkeypatch):
    program = lower(ms.MLP([3, 4, 1]), ms.MSE(), ms.Adam())
    assert cuda.CudaBackend().refusal(program) == ""
    monkeypatch.setattr(cuda, "free_memory", lambda: 500.0)
    assert cuda.CudaBackend().refusal(program) == "21 parameters on a GPU with 0.0 MB free"


def test_auto_trains_a_population_that_the_gpu_has_no_kernels_for(monkeypatch, rng):
    monkeypatch.setattr(backends, "_has_gpu", lambda: True)
    X, y = rng.normal(size=(4, 2)), rng.normal(size=4)
    for layer, name in (ms.ReLU(), "cuda"), (ms.ScalarActivation("square", np.square, np.abs), "numba"):
        used = []
        monkeypatch.setattr(population, "on_gpu", lambda *_, used=used: used.append("cuda"))
        monkeypatch.setattr(population, "on_threads", lambda *_, used=used: used.append("numba"))
        ms.Population(ms.Sequential([ms.Dense(2, 2), layer, ms.Dense(2, 1)]), seeds=[0]).fit(X, y, epochs=1)
        assert used == [name]


class DriverError(Exception):
    """An error as Numba's own."""


DriverError.__module__ = "numba.cuda.cudadrv.driver"


def test_a_launch_that_fails_leaves_the_model_at_the_last_finished_call(monkeypatch, rng):
    X, y = rng.normal(size=(8, 3)), rng.integers(0, 3, 8)
    expected = trained(X, y, epochs=1)
    advance, calls = cuda_fleet.Fleet.advance, []

    def failing(self, first, count):
        calls.append(count)
        if len(calls) > 2:
            with cuda_device.device_errors():
                raise DriverError("[2] Call to cuMemAlloc results in CUDA_ERROR_OUT_OF_MEMORY")
        advance(self, first, count)

    model = ms.Sequential(expected.layers, seed=3)
    monkeypatch.setattr(cuda_fleet.Fleet, "advance", failing)
    with pytest.raises(BackendUnavailableError, match=r"the GPU failed: DriverError: .*OUT_OF_MEMORY.*last finished"):
        model.fit(X, y, loss="cross_entropy", batch_size=4, epochs=2, backend="cuda", progress=False)
    assert model.training.step == 2
    assert np.array_equal(model.flat, expected.flat)
    assert np.array_equal(model.history.losses, expected.history.losses)


def test_an_allocation_that_failed_is_tried_again(monkeypatch, rng):
    """The arrays of a fit's steps: where there was no memory for them, the next call must not take them for there."""
    program = lower(ms.MLP([3, 2]), ms.MSE(), ms.SGD())
    fleet, samples = cuda_fleet.Fleet(program, 1, 4), Samples(rng.normal(size=(4, 3)), rng.normal(size=(4, 2)))
    course = cuda_fleet.Course.of_plan(Plan(np.arange(4), 4, np.zeros(1), 0), 1)
    data = cuda_fleet.DataSet(samples, program.dtype)
    with monkeypatch.context() as patch:
        patch.setattr(cuda_fleet, "free_memory", lambda: 0.0)
        with pytest.raises(ArgumentError, match="'cuda' for the order of the samples"):
            fleet.begin(course, data)
    fleet.begin(course, data)


def test_a_gpu_that_does_not_answer_any_more_is_an_error_of_the_package(monkeypatch, rng):
    def broken():
        raise DriverError("[700] Call to cuMemGetInfo results in CUDA_ERROR_ILLEGAL_ADDRESS")

    monkeypatch.setattr(cuda_device.cuda, "current_context", broken)
    with pytest.raises(BackendUnavailableError, match=r"the GPU failed: DriverError: .*ILLEGAL_ADDRESS"):
        trained(rng.normal(size=(4, 3)), rng.integers(0, 3, 4))


def test_an_error_that_is_not_the_drivers_stays_what_it_is():
    with pytest.raises(ZeroDivisionError), cuda_device.device_errors():
        raise ZeroDivisionError


@pytest.mark.parametrize("value", [np.nan, 1e38])
@pytest.mark.parametrize("step", [1, 3])
def test_a_planted_value_diverges_at_its_step_and_leaves_the_state_before_it(step, value, each_way, rng):
    X, y = rng.normal(size=(8, 2)), rng.normal(size=(8, 1)).astype("float32")
    X[(step - 1) * 2, 1] = value
    model = ms.Sequential([ms.Dense(2, 3), ms.ReLU(), ms.Dense(3, 1)], seed=0)
    program, outcomes = lower(model, ms.MSE(), ms.SGD(0.1, momentum=0.5)), {}
    for name in ("numpy", "cuda"):
        state = State(model.flat.copy(), model.buffer_vector.copy(), np.zeros((1, model.n_parameters), "float32"))
        records = Records(np.full(4, np.nan), np.full(4, np.nan))
        plan = Plan(np.arange(8), 2, np.full(4, 0.1), 0)
        with pytest.raises(DivergedError) as error:
            get_backend(name).train(program, state, Samples(X, y), plan, records, lambda: False)
        outcomes[name] = state, records, str(error.value)
    (slow, noted, specified), (fast, records, message) = outcomes["numpy"], outcomes["cuda"]
    assert (fast.step, message) == (slow.step, specified)
    assert fast.step == step - 1
    assert_parity(fast.flat, slow.flat, "parameters", 100 * eps("float32"))
    assert np.array_equal(np.isnan(records.losses), np.isnan(noted.losses))
