"""The CUDA backend in Numba's simulator: `test_cuda.py` runs this module in a process with NUMBA_ENABLE_CUDASIM=1.

The simulator runs every GPU thread as Python code, so networks are tiny and blocks have a few threads; what they
compute is the same for any number. The tables of layers, losses and optimisers are those of the other backends.
"""

import signal
import sys
from functools import partial

import numpy as np
import pytest

import mlp_scratch as ms
from mlp_kernels.cuda import gemm, phases, shared_memory
from mlp_kernels.cuda.tiles import Tile
from mlp_scratch.backends import (
    cuda,
    cuda_data,
    cuda_device,
    cuda_fleet,
    cuda_lowering,
    cuda_population,
    cuda_ways,
    get_backend,
)
from mlp_scratch.backends.base import Plan, Records, Samples, State
from mlp_scratch.backends.cuda_lowering import Lowered
from mlp_scratch.backends.cuda_ways import Way
from mlp_scratch.errors import ArgumentError, BackendUnavailableError, DivergedError
from mlp_scratch.losses import BinaryCrossEntropy, CrossEntropy
from mlp_scratch.program import lower
from mlp_scratch.testing import Problem, check_backend
from tests.backends.test_parity import (
    FROZEN,
    LAYERS,
    LOSSES,
    OPTIMIZERS,
    build,
    check_gradients,
    check_training,
    everything_that_learns,
)
from tests.tolerances import assert_parity, eps

OWN_LAYERS, OWN_LOSSES = ([name for name in table if not name.startswith("given")] for table in (LAYERS, LOSSES))
"""Without a user's functions, which this backend refuses by name."""

WAYS = ("block in shared memory", "block", "grid", "launches")

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NaN and infinity are ordinary numbers on a GPU


@pytest.fixture(autouse=True)
def quick_threads():
    """The simulator's threads wait in loops: let them hand over soon."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    yield
    sys.setswitchinterval(before)


@pytest.fixture(params=WAYS)
def each_way(request, monkeypatch):
    return use(monkeypatch, request.param)


def way_of(name, update, side):
    return Way(name if update != "infer" or name == "matrices" else "launches", side)


def use(monkeypatch, way, side=2, threads=3):
    """Run all networks in this way, with blocks of a size that divides nothing."""
    choose = lambda _program, _size, update, **_: way_of(way, update, side)  # noqa: E731
    monkeypatch.setattr(cuda_ways, "way_for", choose)
    monkeypatch.setattr(cuda_ways, "THREADS", threads)
    return way


def trained(X, y, *, backend="cuda", dtype="float32", layers=None, **options):
    chosen = layers or [ms.Dense(X.shape[1], 5), ms.BatchNorm(), ms.ReLU(), ms.Dropout(0.2), ms.Dense(5, 3)]
    model = ms.Sequential(chosen, dtype=dtype, seed=3)
    options = {"loss": "cross_entropy", "batch_size": 4, "epochs": 2} | options
    model.fit(X, y, backend=backend, progress=False, **options)
    return model


@pytest.mark.parametrize("name", OWN_LAYERS)
def test_every_layer(name, monkeypatch, rng):
    use(monkeypatch, "launches")
    layers = [ms.Dense(3, 5), LAYERS[name], ms.Dense(5, 2)]
    X, y = rng.normal(size=(7, 3)), rng.normal(size=(7, 2))
    check_gradients(layers, X, y, ms.MSE(), backend="cuda")
    options = {"loss": "mse", "optimizer": ms.SGD(0.05), "batch_size": 4, "epochs": 2}
    check_training(partial(build, layers), X, y, backend="cuda", **options)


@pytest.mark.parametrize("name", OWN_LAYERS)
def test_every_layer_on_the_input_and_on_the_output(name, monkeypatch, rng):
    use(monkeypatch, "launches")
    X, y = rng.normal(size=(5, 3)), rng.normal(size=(5, 4))
    check_gradients([LAYERS[name], ms.Dense(3, 4), LAYERS[name]], X, y, ms.MSE(), backend="cuda")


@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@pytest.mark.parametrize("name", OWN_LOSSES)
def test_every_loss(name, weighted, monkeypatch, rng):
    use(monkeypatch, "launches")
    loss, targets = LOSSES[name]
    layers = [ms.Dense(3, 4), ms.Tanh(), ms.Dense(4, 3)]
    X, y = rng.normal(size=(9, 3)), targets(rng, 9, 3)
    weights = rng.uniform(size=9) * (rng.uniform(size=9) > 0.2) if weighted else None
    check_gradients(layers, X, y, loss, weights, backend="cuda")
    options = {"loss": loss, "sample_weight": weights, "optimizer": ms.SGD(0.1), "batch_size": 4, "epochs": 2}
    check_training(partial(build, layers), X, y, backend="cuda", **options)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer(name, monkeypatch, rng):
    use(monkeypatch, "block")
    layers = [ms.Dense(3, 5), ms.PReLU(), ms.BatchNorm(), ms.Dense(5, 4, bias=False), ms.GELU(), ms.Dense(4, 2)]
    X, y = rng.normal(size=(8, 3)), rng.integers(0, 2, 8)
    options = {"loss": "cross_entropy", "optimizer": OPTIMIZERS[name], "batch_size": 3, "epochs": 2}
    check_training(partial(build, layers), X, y, backend="cuda", **options)


@pytest.mark.parametrize("frozen", FROZEN, ids=str)
def test_frozen_layers(frozen, monkeypatch, rng):
    use(monkeypatch, "block")
    layers = everything_that_learns(3, 4, 2, frozen)
    X, y = rng.normal(size=(8, 3)), rng.integers(0, 2, 8)
    options = {"loss": "cross_entropy", "batch_size": 4, "epochs": 2}
    options["optimizer"] = ms.SGD(0.02, momentum=0.9, weight_decay=0.1)
    check_training(partial(build, layers), X, y, backend="cuda", **options)
    check_gradients(layers, X, y, CrossEntropy(), backend="cuda")
    model = build(layers)
    before = model.flat.copy()
    model.fit(X, y, backend="cuda", progress=False, **options)
    for part in lower(model, CrossEntropy(), ms.SGD()).frozen:
        assert np.array_equal(model.flat[part], before[part])
        assert not model.training.slots[:, part].any()


def test_the_way_back_ends_at_the_lowest_stage_that_learns():
    def phases_of(*frozen, update="train"):
        program = lower(build(everything_that_learns(3, 4, 2, frozen)), ms.MSE(), ms.Adam())
        rows = Lowered(program, 4, cuda_lowering.row_in_memory, update).phases.tolist()
        return [(kind, s) for kind, s in rows if kind in (phases.BACK, phases.COLUMNS_BACK, phases.LEARN)]

    columns_back, back, learn = phases.COLUMNS_BACK, phases.BACK, phases.LEARN
    whole = phases_of()
    assert whole == [(columns_back, 3), (back, 3), (columns_back, 2), (back, 2), (columns_back, 1), (back, 1),
                     (columns_back, 0), (learn, 0)]  # fmt: skip
    assert phases_of(0) == [*whole[:5], (learn, 1)]
    assert phases_of(0, 1) == phases_of(0)
    assert phases_of(0, 1, 2) == [*whole[:3], (learn, 2)]
    assert phases_of(0, 1, 2, 4, 5) == [*whole[:1], (learn, 2)]
    assert phases_of(*range(8)) == [(learn, 2)]
    assert phases_of(*range(8), update="gradient") == whole


def test_a_hundred_steps(monkeypatch, rng):
    use(monkeypatch, "block")
    layers = [ms.Dense(3, 4), ms.PReLU(), ms.BatchNorm(), ms.Dropout(0.2), ms.Dense(4, 2)]
    X, y = rng.normal(size=(8, 3)), rng.integers(0, 2, 8)
    options = {"loss": "cross_entropy", "optimizer": ms.Adam(0.01, eps=1e-3), "batch_size": 4, "epochs": 50}
    check_training(partial(build, layers), X, y, backend="cuda", **options)


def test_extreme_logits_lose_nothing(each_way, rng):
    X, y = np.array([[1e4, -1e4], [-1e4, 1e4], [300.0, 0.0]]), np.array([1, 1, 0])
    check_gradients([ms.Dense(2, 2)], X, y, CrossEntropy(), backend="cuda")
    check_gradients([ms.Dense(2, 2)], X, np.eye(2)[y], BinaryCrossEntropy(), backend="cuda")


@pytest.mark.parametrize(
    "layers",
    [
        [ms.BatchNorm(3), ms.Tanh()],
        [ms.Dense(3, 1)],
        [ms.Dense(3, 1), ms.Dense(1, 1), ms.Dense(1, 2)],
        [ms.PReLU(), ms.Dropout(0.3), ms.Dense(3, 4), ms.Dense(4, 2), ms.BatchNorm(), ms.PReLU(per_feature=True)],
    ],
    ids=["no dense layer", "one output", "widths of one", "columns at both ends"],
)
def test_unusual_networks(layers, each_way, rng):
    outputs = build(layers).n_outputs
    X, y = rng.normal(size=(6, 3)), rng.normal(size=(6, outputs))
    check_gradients(layers, X, y, ms.MSE(), backend="cuda")
    options = {"loss": "mse", "optimizer": "momentum", "batch_size": 4, "epochs": 2}
    check_training(partial(build, layers), X, y, backend="cuda", **options)


def test_batches_of_one_and_batches_larger_than_the_data(each_way, rng):
    X, y = rng.normal(size=(5, 2)), rng.normal(size=5)
    for batch in (1, 9):
        options = {"loss": "huber", "batch_size": batch, "epochs": 1}
        check_training(partial(build, [ms.Dense(2, 3), ms.ReLU(), ms.Dense(3, 1)]), X, y, backend="cuda", **options)


def test_the_suite_of_every_backend(monkeypatch, rng):
    layers = [ms.Dense(3, 4), ms.BatchNorm(), ms.ELU(), ms.Dropout(0.25), ms.Dense(4, 3)]
    X, y, w = rng.integers(-32, 32, (7, 3)) / 16, rng.integers(0, 3, 7), rng.uniform(0.1, 1, 7)
    use(monkeypatch, "block")
    check_backend("cuda", Problem(layers, CrossEntropy(0.1), ms.Adam(0.01), X, y, w, "float32", 1, 4))
    use(monkeypatch, "launches")
    check_backend("cuda", Problem(layers[:1], ms.MAE(), ms.SGD(0.1, 0.1), X, X[:, [0] * 4], None, "float64", 1, 3))


def test_the_same_bits_in_every_way_with_any_number_of_threads_and_any_tile(monkeypatch, rng):
    """All that a stage can be, so that the other tests need not go every way."""
    layers = [ms.PReLU(), ms.Dense(4, 5), ms.BatchNorm(), ms.ReLU(), ms.Dropout(0.2), ms.Dense(5, 3), ms.GELU()]
    layers += [ms.Dense(3, 3, trainable=False), ms.PReLU(trainable=False)]
    X, y = rng.normal(size=(10, 4)), rng.integers(0, 3, 10)
    results = []
    for way, side, threads in [(way, 2, 3) for way in WAYS] + [("launches", 4, 1), ("block", 1, 32)]:
        use(monkeypatch, way, side, threads)
        results.append(trained(X, y, layers=layers, optimizer="adam"))
    for other in results[1:]:
        assert np.array_equal(other.flat, results[0].flat)
        assert np.array_equal(other.buffer_vector, results[0].buffer_vector)
        assert np.array_equal(other.history.losses, results[0].history.losses)


@pytest.mark.parametrize("dtype", ["float16", "float64", "bool", ">f4", "uint8", "int64"])
def test_any_number_type_and_layout_of_the_data(dtype, rng):
    X, y = rng.integers(0, 100, (10, 3)).astype(dtype), rng.integers(0, 3, 10)
    expected = trained(X.astype("float32"), y).flat
    for data in (X, np.asfortranarray(X), X[::-1].copy()[::-1]):
        assert np.array_equal(trained(data, y).flat, expected)


def test_products_by_matrix_kernels(monkeypatch, rng):
    """A few products only: a block of these kernels has 32 threads even for the smallest tile."""
    tile = Tile(16, 32, 4, warp_rows=16, warp_columns=32, lane_rows=4, lane_columns=4)
    monkeypatch.setattr(gemm, "choose", lambda *_: tile)
    use(monkeypatch, "matrices")
    layers = [ms.Dense(3, 5), ms.GELU(), ms.Dropout(0.2), ms.Dense(5, 2, bias=False), ms.PReLU(), ms.Dense(2, 3)]
    layers += [ms.Dense(3, 3, trainable=False)]
    X, y = rng.normal(size=(5, 3)), rng.integers(0, 3, 5)
    options = {"loss": "cross_entropy", "optimizer": "adam", "batch_size": 3, "epochs": 1}
    check_training(partial(build, layers), X, y, backend="cuda", **options)
    model = build(layers)
    assert_parity(model.logits(X, backend="cuda"), model.logits(X, backend="numpy"), "logits")


def test_the_way_is_chosen_by_size():
    def way(widths, batch, **options):
        program = lower(ms.MLP(widths), ms.MSE(), ms.Adam())
        return cuda_ways.way_for(program, batch, "train", **options).name

    assert way([2, 24, 1], 32) == "block in shared memory"
    assert way([64, 64, 10], 32) == "block"
    assert way([784, 256, 10], 256) == "grid"
    assert way([784, 1024, 1024, 10], 256) == "matrices"
    assert way([784, 256, 10], 256, networks=10) == "block"


def test_more_shared_memory_is_asked_for_and_missed_by_nobody(monkeypatch):
    program = lower(ms.MLP([64, 64, 10]), ms.MSE(), ms.Adam())
    assert cuda_ways.way_for(program, 32, "train").name == "block"
    monkeypatch.setattr(shared_memory, "largest", lambda: 227 * 1024)
    asked = []
    monkeypatch.setattr(shared_memory, "_ask", lambda kernel, element, size: asked.append(size))
    assert cuda_ways.way_for(program, 32, "train").name == "block in shared memory"
    assert shared_memory.PLAIN < asked[0] <= 227 * 1024
    monkeypatch.delattr(shared_memory, "_ask")  # as where the driver, or a version of Numba, does it otherwise
    assert cuda_ways.way_for(program, 32, "train").name == "block"


def test_a_data_set_that_does_not_fit_is_streamed(each_way, monkeypatch, rng):
    X, y = rng.normal(size=(11, 3)), rng.integers(0, 3, 11)
    options = {"epochs": 3, "sample_weight": rng.uniform(0.5, 1, 11), "batch_size": 2}
    expected = trained(X, y, layers=[ms.Dense(3, 3)], **options)
    # Half of this is room for 9 samples of 4 numbers, and thus for two pieces of 2 batches.
    monkeypatch.setattr(cuda, "free_memory", lambda: 2 * 9 * 4 * 4.0)
    streamed = trained(X, y, layers=[ms.Dense(3, 3)], **options)
    assert np.array_equal(streamed.flat, expected.flat)
    assert np.array_equal(streamed.history.losses, expected.history.losses)


def test_what_does_not_fit_is_refused_with_the_numbers(monkeypatch, rng):
    X, y = rng.normal(size=(4, 3)), rng.integers(0, 3, 4)
    monkeypatch.setattr(cuda_fleet, "free_memory", lambda: 100.0)
    with pytest.raises(ArgumentError, match=r"'cuda' for this model, .* MB, expected at most 90% of the .* MB"):
        trained(X, y)
    monkeypatch.setattr(cuda_data, "free_memory", lambda: 100.0)
    monkeypatch.setattr(cuda_fleet, "free_memory", lambda: 1e9)
    monkeypatch.setattr(cuda, "free_memory", lambda: 100.0)
    with pytest.raises(ArgumentError, match="'cuda' for two batches of this size"):
        trained(X, y)


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


def test_resuming_is_exact(rng):
    X, y = rng.normal(size=(10, 3)), rng.integers(0, 3, 10)
    whole, parts = trained(X, y, optimizer="adam", epochs=3), trained(X, y, optimizer="adam", epochs=1)
    parts.fit(X, y, backend="cuda", batch_size=4, epochs=2, progress=False)
    assert np.array_equal(parts.flat, whole.flat)
    assert np.array_equal(parts.training.slots, whole.training.slots)


def test_threads_of_the_cpu_change_nothing(rng):
    X, y = rng.normal(size=(6, 3)), rng.integers(0, 3, 6)
    assert np.array_equal(trained(X, y, threads=1).flat, trained(X, y).flat)


@pytest.mark.parametrize("shuffled", ["on the GPU", "by the CPU", "never"])
def test_each_network_of_a_population_has_the_bits_of_training_it_alone(shuffled, monkeypatch, rng):
    X, y = rng.normal(size=(7, 2)), rng.normal(size=7)
    layers = [ms.Dense(2, 3), ms.BatchNorm(), ms.PReLU(), ms.Dropout(0.2), ms.Dense(3, 1, trainable=False)]
    options = {"batch_size": 4, "epochs": 3, "loss": "mae", "backend": "cuda", "shuffle": shuffled != "never"}
    options["sample_weight"] = rng.uniform(size=7) if shuffled == "by the CPU" else None
    nets = ms.Population(
        ms.Sequential(layers), seeds=(0, 2**63 + 5), lr=(0.1, 0.01), init=("he_uniform", "glorot_normal")
    )
    nets.fit(X, y, optimizer="adamw", **options)
    for network, rate in zip(nets.models, nets.lr, strict=True):
        alone = ms.Sequential(network.layers, seed=network.seed)
        optimizer = ms.Adam(rate, weight_decay=1e-2, decoupled=True)
        alone.fit(X, y, optimizer=optimizer, progress=False, **options)
        assert np.array_equal(network.flat, alone.flat)
        assert np.array_equal(network.buffer_vector, alone.buffer_vector)
        assert np.array_equal(network.training.slots, alone.training.slots)
        assert np.array_equal(network.history.losses, alone.history.losses)
        assert np.array_equal(network.history.column("loss"), alone.history.column("loss"))
        assert network.training.epoch == 3


def test_networks_of_a_population_that_differ_in_what_is_frozen_are_not_mixed_up(rng):
    X, y = rng.normal(size=(6, 2)), rng.normal(size=6)
    architectures = [ms.MLP([2, 3, 1]) for _ in range(3)]
    architectures[1].freeze(0)
    architectures[2].freeze(2)
    nets = ms.Population(architectures, seeds=[1]).fit(X, y, batch_size=4, epochs=2, backend="cuda")
    fresh = ms.MLP([2, 3, 1], seed=1)
    for network, frozen in zip(nets.models, ((), (0,), (2,)), strict=True):
        for name, view in network.parameters.items():
            assert np.array_equal(view, fresh.parameters[name]) == (int(name[0]) in frozen), (name, frozen)


def test_a_few_large_networks_train_one_after_the_other(monkeypatch, rng):
    X, y = rng.normal(size=(4, 2)), rng.normal(size=4)
    together = ms.Population(ms.MLP([2, 3, 1]), seeds=[1, 2]).fit(X, y, batch_size=2, epochs=2, backend="cuda")
    monkeypatch.setattr(cuda_population, "multiprocessors", lambda: 3)
    monkeypatch.setattr(cuda_ways, "ONE_BLOCK_LIMIT", 0)
    monkeypatch.setattr(cuda_population, "train_members", lambda *_, **__: pytest.fail("they train together"))
    in_turn = ms.Population(ms.MLP([2, 3, 1]), seeds=[1, 2]).fit(X, y, batch_size=2, epochs=2, backend="cuda")
    for one, other in zip(in_turn.models, together.models, strict=True):
        assert np.array_equal(one.flat, other.flat)
        assert np.array_equal(one.history.losses, other.history.losses)


def test_one_that_diverges_does_not_stop_the_others_of_a_population(rng):
    X, y = rng.normal(size=(6, 2)), rng.normal(size=6)
    architectures = [ms.MLP([2, width, 1]) for width in (2, 3)]
    nets = ms.Population(architectures, seeds=[1], lr=[1e38, 0.01])
    nets.fit(X, y, optimizer="sgd", loss="mse", batch_size=2, epochs=3, backend="cuda")
    for failed, fine in (nets.errors[:2], nets.errors[2:]):
        assert isinstance(failed, DivergedError)
        assert fine is None
    assert all(np.isfinite(model.flat).all() for model in nets.models)
    for model, error in zip(nets.models, nets.errors, strict=True):
        assert model.training.step == (9 if error is None else error.step - 1)
        assert len(model.history.losses) == model.training.step


def test_ctrl_c_ends_a_population_at_the_end_of_an_epoch(monkeypatch, rng):
    X, y = rng.normal(size=(6, 2)), rng.normal(size=6)
    advance = cuda_fleet.Fleet.advance

    def interrupted(self, first, count):
        signal.raise_signal(signal.SIGINT)
        advance(self, first, count)

    monkeypatch.setattr(cuda_fleet.Fleet, "advance", interrupted)
    nets = ms.Population(ms.MLP([2, 3, 1]), seeds=[1, 2])
    with pytest.raises(KeyboardInterrupt):
        nets.fit(X, y, batch_size=4, epochs=3, backend="cuda")
    for model in nets.models:
        assert (model.training.step, model.training.epoch, model.training.position) == (2, 1, 0)
        assert model.history.stopped == "interrupted"
