"""Networks of middling size: a step is recorded as a CUDA graph and played again, one call of the CPU for each step.

Launching the dozen kernels of such a step one by one can take the CPU longer than they take the GPU, which would wait.
Smaller networks take many steps in one launch, and larger ones keep the GPU busy meanwhile.
"""

import warnings
from functools import cache

import numpy as np
import numpy.typing as npt
from numba import cuda

from mlp_kernels.cuda import graphs
from mlp_scratch.backends.cuda_runners import Arrays, LaunchRunner


class GraphRunner:
    """The launches of another runner, of which those of a step are recorded once and then played again.

    What changes from step to step lies in the GPU's memory, all but the size of the batch: each size has a recording.
    Addresses are part of it, so recordings are dropped when an array lies elsewhere. The first step of a size is
    launched, for that compiles and loads its kernels. Where nothing can be recorded, every step is launched.

    Args:
        launcher: of the step; it is given a stream of its own, for the default one can't be recorded. That and the
            default one, in which data is copied, wait for each other.
    """

    def __init__(self, launcher: LaunchRunner) -> None:
        self.launcher = launcher
        launcher.stream = cuda.stream()
        self.launched: set[int] = set()
        self.recordings: dict[int, graphs.Recording] = {}
        self.places: list[tuple[int, int]] = []
        self.records = True

    def load(self, arrays: Arrays) -> None:
        """As the launcher."""
        self.launcher.load(arrays)

    def save(self, arrays: Arrays) -> None:
        """As the launcher."""
        self.launcher.save(arrays)

    def advance(self, arrays: Arrays, sizes: npt.NDArray[np.int64], first: int) -> None:
        """As the launcher."""
        places = [graphs.place_of(array) for array in arrays]
        if places != self.places:
            self.places, self.recordings = places, {}
        self.launcher.begin(arrays, first)
        for n in sizes.tolist():
            self.step(arrays, n)

    def step(self, arrays: Arrays, n: int) -> None:
        """Take the next step, with a batch of n samples."""
        if n in self.launched and n not in self.recordings and self.records:
            try:
                self.recordings[n] = graphs.record(self.launcher.stream, lambda: self.launcher.step(arrays, n))
            except graphs.RefusedError as refusal:
                self.records = False
                _say_once(f"steps are launched one kernel at a time, for no CUDA graph can be recorded: {refusal}")
        if n in self.recordings:
            self.recordings[n].replay()
        else:
            self.launcher.step(arrays, n)
            self.launched.add(n)


@cache
def _say_once(message: str) -> None:
    warnings.warn(message, UserWarning, stacklevel=2)
