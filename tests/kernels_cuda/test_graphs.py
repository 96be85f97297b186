"""Recordings: every call to the driver in its order, whichever of them fails, and Ctrl-C in their midst.

The driver here is a stand-in that keeps count; whether it is called as NVIDIA's functions want it is asked of those,
where they are installed. A GPU has not run this yet.
"""

import gc
from types import SimpleNamespace

import numpy as np
import pytest
from numba import cuda

from mlp_kernels.cuda import graphs
from mlp_kernels.cuda.availability import unavailability
from mlp_kernels.cuda.device import IS_SIMULATOR, jit, ld1, st1
from tests.kernels_cuda.on_gpu import needs_gpu

CALLS = ["cuStreamBeginCapture", "launch", "cuStreamEndCapture", "cuGraphInstantiate", "cuGraphDestroy"]
STREAM = SimpleNamespace(handle="the stream")


class Driver:
    """Notes what is called, and raises at calls of one name; whether the stream records, what graphs there are."""

    def __init__(self, fails_at="", error=None):
        self.fails_at, self.error = fails_at, error or ValueError(f"{fails_at} failed")
        self.calls, self.graphs, self.executables, self.is_recording = [], set(), set(), False

    def note(self, name):
        self.calls.append(name)
        if name == self.fails_at:
            raise self.error

    def launch(self):
        assert self.is_recording
        self.note("launch")

    def cuStreamBeginCapture(self, stream, mode):  # noqa: N802
        assert (stream, mode) == ("the stream", "relaxed")
        self.note("cuStreamBeginCapture")
        self.is_recording = True

    def cuStreamEndCapture(self, stream):  # noqa: N802
        assert stream == "the stream"
        if not self.is_recording:
            raise ValueError("the stream does not record")
        self.is_recording = False  # also where this fails
        self.note("cuStreamEndCapture")
        self.graphs.add("graph")
        return "graph"

    def cuGraphInstantiate(self, graph, flags):  # noqa: N802
        assert (graph, flags) == ("graph", 0)
        self.note("cuGraphInstantiate")
        self.executables.add("executable")
        return "executable"

    def cuGraphDestroy(self, graph):  # noqa: N802
        self.note("cuGraphDestroy")
        self.graphs.remove(graph)

    def cuGraphLaunch(self, executable, stream):  # noqa: N802
        assert (executable, stream) == ("executable", "the stream")
        self.note("cuGraphLaunch")

    def cuGraphExecDestroy(self, executable):  # noqa: N802
        self.executables.remove(executable)
        self.note("cuGraphExecDestroy")


def record_by(driver):
    modes = SimpleNamespace(CU_STREAM_CAPTURE_MODE_RELAXED="relaxed")
    module = SimpleNamespace(driver=driver, binding=SimpleNamespace(CUstreamCaptureMode=modes))
    return graphs.record_by(module, STREAM, driver.launch)


def test_launches_are_recorded_once_and_played_again():
    driver = Driver()
    graph = record_by(driver)
    assert driver.calls == CALLS
    graph.replay()
    graph.replay()
    assert driver.calls == [*CALLS, "cuGraphLaunch", "cuGraphLaunch"]
    assert (driver.graphs, driver.executables) == (set(), {"executable"})


@pytest.mark.parametrize("fails_at", ["", "cuGraphExecDestroy"])
def test_what_the_driver_made_goes_with_the_recording(fails_at):
    driver = Driver(fails_at)
    graph = record_by(driver)
    del graph
    gc.collect()
    assert driver.executables == set()


@pytest.mark.parametrize("error", [ValueError("out of memory"), KeyboardInterrupt()], ids=["failure", "Ctrl-C"])
@pytest.mark.parametrize("fails_at", CALLS)
def test_whatever_fails_the_stream_records_no_more_and_nothing_is_left(fails_at, error):
    driver = Driver(fails_at, error)
    if isinstance(error, KeyboardInterrupt):
        with pytest.raises(KeyboardInterrupt):
            record_by(driver)
    else:
        with pytest.raises(graphs.RefusedError, match="ValueError: out of memory"):
            record_by(driver)
    gc.collect()
    assert not driver.is_recording
    assert driver.executables == set()
    assert driver.graphs == (set() if fails_at != "cuGraphDestroy" else {"graph"})


def test_a_version_of_numba_without_graphs_refuses():
    with pytest.raises(graphs.RefusedError, match=r"AttributeError: .*CUstreamCaptureMode"):
        graphs.record_by(SimpleNamespace(driver=Driver(), binding=SimpleNamespace()), STREAM, lambda: None)


@pytest.mark.skipif(not unavailability(), reason="launches are recorded below")
def test_without_a_driver_numba_refuses():
    with pytest.raises(graphs.RefusedError):
        graphs.record(STREAM, lambda: pytest.fail("nothing is recorded, yet something is launched"))


@pytest.mark.skipif(not unavailability(), reason="they are called below")
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("cuStreamBeginCapture", ("CUstream", "CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_RELAXED")),
        ("cuStreamEndCapture", ("CUstream",)),
        ("cuGraphInstantiate", ("CUgraph", 0)),
        ("cuGraphLaunch", ("CUgraphExec", "CUstream")),
        ("cuGraphDestroy", ("CUgraph",)),
        ("cuGraphExecDestroy", ("CUgraphExec",)),
    ],
)
def test_nvidias_functions_take_what_they_are_given(name, arguments):
    """Without a driver they look for it, but not before they have looked at their arguments."""
    binding = pytest.importorskip("cuda.bindings.driver", reason="no cuda-bindings here")

    def value(argument):
        if not isinstance(argument, str):
            return argument
        kind, _, member = argument.partition(".")
        return getattr(getattr(binding, kind), member) if member else getattr(binding, kind)(0)

    values = [value(argument) for argument in arguments]
    with pytest.raises(TypeError):
        getattr(binding, name)(*values, 0)
    with pytest.raises(RuntimeError, match="driver"):
        getattr(binding, name)(*values)


@jit
def count_up(cell, by):
    st1(cell, 0, ld1(cell, 0) + by)


@needs_gpu
def test_recorded_launches_run_when_they_are_played_and_not_before():
    stream, cell = cuda.stream(), cuda.to_device(np.ones(1, "int64"))
    count_up[1, 1, stream](cell, 1)  # compiles it

    def launch():
        for by in (10, 100):
            count_up[1, 1, stream](cell, by)

    recording = graphs.record(stream, launch)
    stream.synchronize()
    assert cell.copy_to_host()[0] == 2
    for expected in (112, 222):
        recording.replay()
        stream.synchronize()
        assert cell.copy_to_host()[0] == expected


@pytest.mark.skipif(not IS_SIMULATOR, reason="of the simulator")
def test_an_error_while_launches_are_kept_leaves_the_simulator_as_it_was():
    cell = np.zeros(1, "int64")
    with pytest.raises(KeyboardInterrupt):
        graphs.record(0, lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    count_up[1, 1](cell, 1)
    assert cell[0] == 1


@needs_gpu
def test_a_recording_knows_an_array_by_where_it_lies_and_how_long_it_is():
    array, other = cuda.to_device(np.zeros(8)), cuda.to_device(np.zeros(8))
    assert graphs.place_of(array) == graphs.place_of(array)
    assert len({graphs.place_of(array), graphs.place_of(other), graphs.place_of(cuda.to_device(np.zeros(4)))}) == 3
