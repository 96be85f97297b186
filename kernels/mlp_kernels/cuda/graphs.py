"""CUDA graphs: launches recorded once and played again, for which the CPU makes one call instead of one each.

    recording = record(stream, launch)      what `launch` puts into the stream is kept instead of run
    recording.replay()                      runs all of it, as often as it is called

Kept are kernels, sizes and arguments as they were: addresses and numbers. Whatever changes between two replays must
therefore lie in the GPU's memory. Not every stream can be recorded, the default one never; and a kernel's first
launch can't, for it compiles and loads the kernel.

Numba has no way to record, so the driver is asked past it: CUDA Driver API, "Stream Management" and "Graph Management".
It has not run on hardware yet. In the simulator, `simulated.record` keeps the launches.
"""

import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from mlp_kernels.cuda.device import IS_SIMULATOR

if IS_SIMULATOR:
    from mlp_kernels.cuda import simulated


class RefusedError(Exception):
    """Nothing can be recorded here; the message says why."""


class Recording(Protocol):
    """Launches that can be run again."""

    def replay(self) -> None:
        """Run them in their order; returns before the GPU is done."""


class Graph:
    """A recording by the driver.

    Args:
        driver: Numba's, whose functions raise an error for every call that failed.
        executable: what the driver made of the launches.
        stream: where they run.
    """

    def __init__(self, driver: Any, executable: Any, stream: Any) -> None:
        self._driver, self._executable, self._stream = driver, executable, stream
        weakref.finalize(self, _destroy, driver, executable).atexit = False  # the driver itself tidies up at exit

    def replay(self) -> None:
        """Run the launches; returns before the GPU is done."""
        self._driver.cuGraphLaunch(self._executable, self._stream.handle)


def record(stream: Any, launch: Callable[[], None]) -> Recording:
    """The launches that `launch` makes in a stream, which do not run now.

    Raises:
        RefusedError: where launches can't be recorded. They have not run then either.
    """
    if IS_SIMULATOR:
        return simulated.record(launch)
    from numba.cuda.cudadrv import driver

    return record_by(driver, stream, launch)


def record_by(module: Any, stream: Any, launch: Callable[[], None]) -> Graph:
    """`record` by the driver of Numba's module of that name.

    The mode is "relaxed": Python may give memory back at any moment, which the other modes forbid while they record.
    """
    try:
        driver, modes = module.driver, module.binding.CUstreamCaptureMode
        try:
            driver.cuStreamBeginCapture(stream.handle, modes.CU_STREAM_CAPTURE_MODE_RELAXED)
            launch()
            graph = driver.cuStreamEndCapture(stream.handle)
        except BaseException:  # Ctrl-C, too: a stream that still records would run nothing any more
            with suppress(Exception):
                driver.cuGraphDestroy(driver.cuStreamEndCapture(stream.handle))
            raise
        try:
            return Graph(driver, driver.cuGraphInstantiate(graph, 0), stream)
        finally:
            driver.cuGraphDestroy(graph)
    except Exception as error:  # whatever it is that this driver or this version of Numba does not do
        raise RefusedError(f"{type(error).__name__}: {error}") from error


def place_of(array: Any) -> tuple[int, int]:
    """Address and size of a device array: what a recording keeps of it."""
    address = id(array) if IS_SIMULATOR else int(array.__cuda_array_interface__["data"][0])
    return address, array.size


def _destroy(driver: Any, executable: Any) -> None:
    with suppress(Exception):  # after an error of the GPU nothing can be given back, and nothing need be
        driver.cuGraphExecDestroy(executable)
