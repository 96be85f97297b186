"""The ways to run a program on a GPU, and the choice among them."""

from dataclasses import dataclass

from mlp_kernels.cuda import network, shared_memory
from mlp_kernels.cuda.block_network import block_network_of
from mlp_kernels.cuda.device import IS_SIMULATOR, element_of
from mlp_scratch.backends.cuda_lowering import Lowered, row_in_memory, row_in_shared
from mlp_scratch.layers import Dense
from mlp_scratch.program import Program

THREADS = 4 if IS_SIMULATOR else network.THREADS
"""Threads of a block. The simulator gives each an operating-system thread, so there are few of them there."""

ONE_BLOCK_LIMIT, GRID_LIMIT, GRAPH_LIMIT = 1_000_000, 100_000_000, 10_000_000_000
"""Multiply-adds of a step up to which one block takes it alone, up to which all blocks share it in one launch, and up
to which the launches of a step are recorded. Counted on paper, from the time that barriers and launches are said to
take; not measured yet."""

BLOCKS_AT_MOST = 1024
"""Blocks of a launch; more work than their threads have is taken in turns."""


BLOCK_IN_SHARED, BLOCK, GRID = "block in shared memory", "block", "grid"
LAUNCHES, GRAPH, MATRICES = "launches", "graph", "matrices"
"""One block, its network in shared memory or in the GPU's; all blocks in one launch; a launch a phase, with the
products by the same threads, or by matrix kernels of their own: a step recorded as a graph, or each launched."""


@dataclass(frozen=True)
class Way:
    """How the steps of a network are run.

    Attributes:
        name: one of those above.
        side: of the tiles of a product that a thread holds.
    """

    name: str
    side: int

    @property
    def stores_gradients(self) -> bool:
        """Whether the gradient of a weight matrix goes to memory: matrix kernels leave it to another to learn."""
        return self.name in (GRAPH, MATRICES)

    def row_of(self, width: int) -> int:
        """The distance between the rows of a matrix."""
        return row_in_shared(width) if self.name == BLOCK_IN_SHARED else row_in_memory(width)


def way_for(program: Program, batch_size: int, update: str, *, networks: int = 1) -> Way:
    """The fastest way to run a program, by its size; each of several networks gets one block.

    A precision that rounds products is asked for by name, so networks of any size get it, by the only kernels with it.
    """
    work = 3 * batch_size * sum(op.n_in * op.n_out for op in program.operations if isinstance(op.layer, Dense))
    if update == "infer":
        return Way(MATRICES if work > GRID_LIMIT else LAUNCHES, network.GRID_SIDE)
    if networks == 1 and (work > GRID_LIMIT or program.rounds_products):
        return Way(GRAPH if work <= GRAPH_LIMIT else MATRICES, network.GRID_SIDE)
    if networks == 1 and work > ONE_BLOCK_LIMIT:
        return Way(GRID, network.GRID_SIDE)
    narrowest = min((op.n_out for op in program.operations), default=1)
    small, large = network.BLOCK_SIDES
    side = small if batch_size * narrowest < 4 * THREADS else large
    shared = Way(BLOCK_IN_SHARED, side)
    size = Lowered(program, batch_size, shared.row_of, update).work_size * program.dtype.itemsize
    if size <= shared_memory.PLAIN:
        return shared
    element = element_of(program.dtype)
    fits = size <= shared_memory.largest() and shared_memory.allow(
        block_network_of(element, side, True), element, THREADS, size
    )
    return shared if fits else Way(BLOCK, side)
