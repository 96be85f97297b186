"""Steps that are recorded and played again: when, how often, and what happens where nothing can be recorded.

That they compute the same is shown where all ways are: in `test_ways`, and wherever a test goes each way.
"""

import warnings

import numpy as np
import pytest

import mlp_scratch as ms
from mlp_kernels.cuda import graphs
from mlp_scratch.backends import cuda, cuda_fleet, cuda_graph
from mlp_scratch.backends.base import Plan, Records, Samples, State
from mlp_scratch.errors import BackendUnavailableError
from mlp_scratch.program import lower
from tests.backends.simulated_cuda.networks import use


@pytest.fixture(autouse=True)
def by_graph(monkeypatch):
    use(monkeypatch, "graph")


@pytest.fixture
def seen(monkeypatch):
    """What is recorded and played, as it happens."""
    events, record = [], graphs.record

    class Watched:
        def __init__(self, number, recording):
            self.number, self.recording = number, recording

        def replay(self):
            events.append(self.number)
            self.recording.replay()

    def watch(stream, launch):
        events.append("record")
        return Watched(events.count("record"), record(stream, launch))

    monkeypatch.setattr(graphs, "record", watch)
    return events


def three_epochs(n):
    """The parameters after three epochs of n samples in batches of 4."""
    model, rng = ms.MLP([3, 4, 2], seed=1), np.random.default_rng(2)
    program = lower(model, ms.MSE(), ms.Adam())
    state = State(model.flat, model.buffer_vector, np.zeros((2, model.n_parameters), "float32"))
    steps = 3 * -(-n // 4)
    records, plan = Records(np.empty(steps), np.empty(steps)), Plan(np.arange(n), 4, np.full(steps, 0.1), 0)
    samples = Samples(rng.normal(size=(n, 3)), rng.normal(size=(n, 2)).astype("float32"))
    assert cuda.CudaBackend().train(program, state, samples, plan, records, lambda: False) == steps
    assert np.isfinite(records.losses).all()
    return state.flat


def test_each_size_of_a_batch_is_launched_once_then_recorded_then_played(seen):
    three_epochs(10)  # batches of 4, 4 and 2
    assert seen == ["record", 1, *(1, 1), "record", 2, *(1, 1), 2]


def test_a_recording_is_dropped_when_an_array_lies_elsewhere(seen, monkeypatch):
    expected = three_epochs(8)
    assert seen == ["record", 1, *(1, 1), *(1, 1)]
    begin, held = cuda_fleet.Fleet.begin, []

    def moved(fleet, course, samples):
        held.append((getattr(fleet, "tables", None), getattr(fleet, "feed", None)))  # their places are not given again
        fleet.steps_room = 0  # so that every epoch asks for memory
        begin(fleet, course, samples)

    monkeypatch.setattr(cuda_fleet.Fleet, "begin", moved)
    seen.clear()
    assert np.array_equal(three_epochs(8), expected)
    assert seen == ["record", 1, "record", 2, 2, "record", 3, 3]


def test_where_nothing_can_be_recorded_it_says_so_once_and_launches(monkeypatch):
    expected, tries = three_epochs(8), []

    def refuse(_stream, _launch):
        tries.append(1)
        raise graphs.RefusedError("CudaAPIError: [801] Call to cuStreamBeginCapture results in NOT_SUPPORTED")

    monkeypatch.setattr(graphs, "record", refuse)
    cuda_graph._say_once.cache_clear()
    with pytest.warns(UserWarning, match=r"one kernel at a time, .*: CudaAPIError: \[801\] Call to cuStreamBegin"):
        result = three_epochs(8)
    assert len(tries) == 1
    assert np.array_equal(result, expected)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        three_epochs(8)


def test_a_replay_that_fails_is_an_error_of_the_gpu(monkeypatch):
    error = type("CudaAPIError", (Exception,), {"__module__": "numba.cuda.cudadrv.driver"})

    class Broken:
        def replay(self):
            raise error("[700] Call to cuGraphLaunch results in CUDA_ERROR_ILLEGAL_ADDRESS")

    monkeypatch.setattr(graphs, "record", lambda *_: Broken())
    with pytest.raises(BackendUnavailableError, match=r"the GPU failed: CudaAPIError: \[700\] Call to cuGraphLaunch"):
        three_epochs(8)
