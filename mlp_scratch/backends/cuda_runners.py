"""The ways to run steps: which kernels are launched, and with how many blocks."""

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from numba import cuda

from mlp_kernels.cuda import gemm, matrix_network, phases
from mlp_kernels.cuda import network as nw
from mlp_kernels.cuda.block_network import block_network_of
from mlp_kernels.cuda.device import element_of
from mlp_kernels.cuda.grid_network import grid_network_of
from mlp_kernels.cuda.launched_network import launched_network_of
from mlp_kernels.cuda.slabs import Layout
from mlp_scratch.backends import cuda_ways
from mlp_scratch.backends.cuda_lowering import Lowered

Arrays = tuple[Any, Any, Any, Any]
"""`tables`, `data`, `feed` and `state`."""


class Runner(Protocol):
    """What launches the kernels of one way. Every method returns before the GPU is done."""

    def load(self, arrays: Arrays) -> None:
        """Bring parameters from `state` to where the kernels keep them between launches."""

    def save(self, arrays: Arrays) -> None:
        """The way back."""

    def advance(self, arrays: Arrays, sizes: npt.NDArray[np.int64], first: int) -> None:
        """Take steps from number `first` on, with batches of these sizes."""


class BlockRunner:
    """A block of threads for each network, many steps a launch.

    Args:
        lowered: the network.
        way: in shared memory or not.
        networks: how many there are.
    """

    def __init__(self, lowered: Lowered, way: cuda_ways.Way, networks: int) -> None:
        in_shared = way.name == cuda_ways.BLOCK_IN_SHARED
        self.kernel = block_network_of(element_of(lowered.program.dtype), way.side, in_shared)
        self.shared = lowered.work_size * lowered.program.dtype.itemsize if in_shared else 0
        self.networks = networks

    def load(self, arrays: Arrays) -> None:
        """Every launch loads by itself."""

    def save(self, arrays: Arrays) -> None:
        """Every launch saves by itself."""

    def advance(self, arrays: Arrays, sizes: npt.NDArray[np.int64], first: int) -> None:
        self.kernel[self.networks, cuda_ways.THREADS, 0, self.shared](*arrays, first, len(sizes))


class LaunchRunner:
    """All of the GPU for one network, a launch a phase."""

    stream: Any = 0

    def __init__(self, lowered: Lowered, way: cuda_ways.Way) -> None:
        self.lowered, self.way = lowered, way
        self.element = element_of(lowered.program.dtype)
        kernels = launched_network_of(self.element, way.side)
        self.load_kernel, self.save_kernel, self.phase_kernel, self.turn_kernel = kernels

    def load(self, arrays: Arrays) -> None:
        self.load_kernel[self.grid(self.lowered.program.n_parameters)](*arrays)

    def save(self, arrays: Arrays) -> None:
        self.save_kernel[self.grid(self.lowered.program.n_parameters)](*arrays)

    def advance(self, arrays: Arrays, sizes: npt.NDArray[np.int64], first: int) -> None:
        self.begin(arrays, first)
        for n in sizes.tolist():
            self.step(arrays, n)

    def begin(self, arrays: Arrays, first: int) -> None:
        """Say which step is the next."""
        arrays[0][nw.TURN : nw.TURN + 1].copy_to_device(np.array([first], np.int64))

    def step(self, arrays: Arrays, n: int) -> None:
        """Launch the next step, a batch of n samples."""
        for kind, s in self.lowered.phases.tolist():
            self.phase(arrays, kind, s, n)
        self.turn_kernel[1, 1, self.stream](arrays[0])

    def phase(self, arrays: Arrays, kind: int, s: int, n: int) -> None:
        """Launch a phase of stage s, with a batch of n samples."""
        self.phase_kernel[self.grid(self.tasks(kind, s, n))](*arrays, kind, s)

    def grid(self, tasks: int) -> tuple[int, int, Any]:
        """Blocks and threads for so many tasks, of which a thread may take several, and the stream."""
        blocks = max(1, min(cuda_ways.BLOCKS_AT_MOST, -(-tasks // cuda_ways.THREADS)))
        return blocks, cuda_ways.THREADS, self.stream

    def tasks(self, kind: int, s: int, n: int) -> int:
        """How many threads find work in a phase."""
        stages, side = self.lowered.stages, self.way.side
        width = int(stages[s, nw.N_OUT])

        def tiles(rows: int, columns: int) -> int:
            return -(-rows // side) * -(-columns // side)

        first = s + 1 if kind == phases.BACK else 1
        learning = max((tiles(int(row[nw.N_OUT]), int(row[nw.N_IN])) for row in stages[first : s + 2]), default=1)
        return {
            phases.GATHER: n * width,
            phases.DENSE: tiles(n, width),
            phases.LOSS: n,
            phases.BACK: max(tiles(n, int(stages[s, nw.N_IN])), learning),
            phases.LEARN: learning,
        }.get(kind, width)


class GridRunner(LaunchRunner):
    """All of the GPU for one network, many steps a launch."""

    def __init__(self, lowered: Lowered, way: cuda_ways.Way) -> None:
        super().__init__(lowered, way)
        self.kernel = grid_network_of(self.element, way.side)
        self.arrivals = cuda.to_device(np.zeros(1, np.int64))
        most = max(self.tasks(kind, s, lowered.batch_size) for kind, s in lowered.phases.tolist())
        # All must run at once, or they would wait for each other for ever.
        self.blocks = min(gemm.multiprocessors(), self.grid(most)[0])

    def load(self, arrays: Arrays) -> None:
        """Every launch loads by itself."""

    def save(self, arrays: Arrays) -> None:
        """Every launch saves by itself."""

    def advance(self, arrays: Arrays, sizes: npt.NDArray[np.int64], first: int) -> None:
        self.kernel[self.blocks, cuda_ways.THREADS](*arrays, self.arrivals, first, len(sizes))


class MatrixRunner(LaunchRunner):
    """As `LaunchRunner`, with the products by matrix kernels of their own.

    Args:
        lowered: the network.
        way: of the other phases.
        work_at: where `work` begins in `state`.
    """

    def __init__(self, lowered: Lowered, way: cuda_ways.Way, work_at: int) -> None:
        super().__init__(lowered, way)
        self.finish_kernel = matrix_network.matrix_network_of(self.element)
        # Inference is always in the model's own type: the scores of a fit are those that `evaluate` gives afterwards.
        program, rounds = lowered.program, lowered.update != "infer"
        self.precision: Any = program.precision if rounds else program.dtype.name
        self.work_at = work_at
        self.matrices: dict[tuple[int, int, int, int], gemm.Matrix] = {}

    def phase(self, arrays: Arrays, kind: int, s: int, n: int) -> None:
        stages, state = self.lowered.stages, arrays[3]
        if kind == phases.DENSE:
            x, z = self.batch(state, s - 1, nw.OUTPUT, n), self.batch(state, s, nw.PRODUCT, n)
            self.multiply(x, self.weights(state, s), z, "NT")
            self.finish(arrays, matrix_network.ACTIVATE, s, n * int(stages[s, nw.N_OUT]))
        elif kind in (phases.BACK, phases.LEARN):
            if kind == phases.BACK:
                dz, dx = self.batch(state, s, nw.GRADIENT, n), self.batch(state, s - 1, nw.GRADIENT, n)
                self.multiply(dz, self.weights(state, s), dx, "NN")
                self.finish(arrays, matrix_network.DIFFERENTIATE, s - 1, n * int(stages[s, nw.N_IN]))
            for above in range(s + 1 if kind == phases.BACK else 1, min(s + 2, len(stages))):
                if not stages[above, nw.LEARNS]:
                    continue
                dz, x = self.batch(state, above, nw.GRADIENT, n), self.batch(state, above - 1, nw.OUTPUT, n)
                dw = self.weights(state, above, self.lowered.weight_gradient)
                self.multiply(dz, x, dw, "TN")
                self.finish(arrays, matrix_network.LEARN, above, dw.rows * dw.columns)
            if kind == phases.LEARN:
                super().phase(arrays, phases.CONCLUDE, 0, n)
        else:
            super().phase(arrays, kind, s, n)

    def multiply(self, a: gemm.Matrix, b: gemm.Matrix, c: gemm.Matrix, layout: Layout) -> None:
        """Launch a product."""
        gemm.multiply(a, b, c, layout=layout, precision=self.precision, stream=self.stream)

    def finish(self, arrays: Arrays, kind: int, s: int, elements: int) -> None:
        """Launch what follows a product."""
        self.finish_kernel[self.grid(elements)](*arrays, kind, s)

    def batch(self, state: Any, s: int, column: int, n: int) -> gemm.Matrix:
        """A matrix of stage s with a row for each of n samples."""
        row = self.lowered.stages[s]
        return self.matrix(state, int(row[column]), n, int(row[nw.N_OUT]), int(row[nw.ROW]))

    def weights(self, state: Any, s: int, place: int | None = None) -> gemm.Matrix:
        """The weights of stage s, or what lies in the same way elsewhere."""
        row = self.lowered.stages[s]
        start = int(row[nw.WEIGHTS]) if place is None else place
        return self.matrix(state, start, int(row[nw.N_OUT]), int(row[nw.N_IN]), int(row[nw.WEIGHT_ROW]))

    def matrix(self, state: Any, place: int, rows: int, columns: int, step: int) -> gemm.Matrix:
        """A matrix in `work`; views of device arrays are slow to make, so they are kept."""
        key = (place, rows, columns, step)
        if key not in self.matrices:
            start = self.work_at + place
            self.matrices[key] = gemm.Matrix(state[start : start + rows * step], rows, columns, step)
        return self.matrices[key]
