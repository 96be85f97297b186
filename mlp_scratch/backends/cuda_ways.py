"""The ways to run a program on a GPU, and the choice among them."""

from dataclasses import dataclass

from mlp_kernels.cuda.device import IS_SIMULATOR
from mlp_scratch.backends.cuda_lowering import Lowered, row_in_memory, row_in_shared
from mlp_scratch.layers import Dense
from mlp_scratch.program import Program

THREADS = 4 if IS_SIMULATOR else 128
"""Threads of a block. The simulator gives each an operating-system thread, so there are few of them there."""

SHARED_BYTES = 48 * 1024
"""Shared memory that a block gets without asking the driver for more."""

ONE_BLOCK_LIMIT = 1_000_000
"""Multiply-adds of a step up to which one block takes it alone. Above, a launch for each phase costs less than the
multiprocessors that stay idle. Counted on paper, not measured yet."""

BLOCKS_AT_MOST = 1024
"""Blocks of a launch; more work than their threads have is taken in turns."""


@dataclass(frozen=True)
class Way:
    """How the steps of a network are run.

    Attributes:
        name: "block in shared memory", "block" or "launches".
        side: of the tiles of a product that a thread holds.
    """

    name: str
    side: int

    def row_of(self, width: int) -> int:
        """The distance between the rows of a matrix."""
        return row_in_shared(width) if self.name == "block in shared memory" else row_in_memory(width)


def way_for(program: Program, batch_size: int, update: str, *, networks: int = 1) -> Way:
    """The fastest way to run a program, by its size; each of several networks gets one block."""
    weights = sum(op.n_in * op.n_out for op in program.operations if isinstance(op.layer, Dense))
    narrowest = min((op.n_out for op in program.operations), default=1)
    side = 1 if batch_size * narrowest < 4 * THREADS else 2
    shared = Way("block in shared memory", side)
    if update == "infer" or (networks == 1 and 3 * batch_size * weights > ONE_BLOCK_LIMIT):
        return Way("launches", 4)
    lowered = Lowered(program, batch_size, shared.row_of, update)
    fits = lowered.work_size * program.dtype.itemsize <= SHARED_BYTES
    return shared if fits else Way("block", side)
