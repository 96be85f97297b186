"""Inference on the compiled backend: many samples in batches, or a few without any preparation.

What follows from the architecture alone is worked out once and stays with the program. Parameters are never kept:
whoever owns the model may write into its flat vector at any time, and nothing would tell.
"""

from functools import cache, partial

import numpy as np

from mlp_kernels.cpu import few_samples
from mlp_kernels.cpu import network as nw
from mlp_kernels.cpu.announcing import announcing
from mlp_kernels.cpu.few_samples import infer_few
from mlp_kernels.cpu.gather import GATHER, describe
from mlp_kernels.cpu.training_loop import infer
from mlp_scratch._types import Array
from mlp_scratch.backends.base import State
from mlp_scratch.backends.numba_calls import is_compiled, is_readable, on_threads
from mlp_scratch.backends.numba_tables import Tables, aligned_zeros, tile_of
from mlp_scratch.program import Program

BATCH = 256
"""Samples that go through the network together."""


def many_logits(program: Program, state: State, X: Array, threads: int) -> Array:
    """Logits (N, K) of any number of samples, with the weights packed first."""
    out = np.empty((len(X), program.operations[-1].n_out), program.dtype)
    size = min(BATCH, len(X))
    tables = Tables(program, size, threads, inference=True)
    memory = tables.memory()
    memory.buffers[...] = state.buffers
    tables.pack(state.flat, memory.packed[0])
    at_once = len(X) if is_readable(X) else size
    for first in range(0, len(X), at_once):
        rows = X[first : first + at_once]
        rows = rows if is_readable(rows) else np.ascontiguousarray(rows, program.dtype)
        data, order = describe(rows, tables.tile), np.arange(len(rows))
        work = partial(infer, tables.tile, tables.network, memory, data)
        if not is_compiled(infer, tables.tile):
            with announcing(f"inference for {program.dtype}"):
                work(order[:0], size, out[:0], 0, 1)
        on_threads(partial(work, order, size, out[first : first + at_once]), tables.threads, memory)
    return out


@cache
def most_samples(dtype: "np.dtype[np.floating]") -> int:
    """The samples that are still few."""
    return few_samples.most_samples(tile_of(dtype))


class FewSamples:
    """A program made ready for a few samples at a time, the weights read where they lie.

    Several Python threads may call it at once: each call has memory of its own while it lasts.
    """

    def __init__(self, program: Program, threads: int) -> None:
        self.tile, self.dtype, self.threads = tile_of(program.dtype), program.dtype, threads
        self.outputs, most = program.operations[-1].n_out, most_samples(program.dtype)
        tables = Tables(program, most, threads, inference=True, in_place=True)
        self.network, self.parts = tables.network, tables.parts
        memory = tables.memory()
        self._sizes = [(array.shape, array.dtype) for array in memory]
        self._free = [(memory, np.zeros(4, np.int64))]
        self._orders = [np.arange(n) for n in range(most + 1)]
        self._readers: dict[np.dtype[np.generic], int] = {}

    @staticmethod
    def of(program: Program, threads: int) -> "FewSamples":
        """That of `program`, made when it is first wanted."""
        found = program.kept.get(("few samples", threads))
        if found is None:
            found = program.kept["few samples", threads] = FewSamples(program, threads)
        assert isinstance(found, FewSamples)
        return found

    def logits(self, state: State, X: Array) -> Array:
        """Logits (N, K) of at most `most_samples`."""
        X = X if is_readable(X) else np.ascontiguousarray(X, self.dtype)
        out = np.empty((len(X), self.outputs), self.dtype)
        try:
            memory, data = free = self._free.pop()
        except IndexError:  # all are in use by other threads
            memory, data = free = self._new_memory(), np.zeros(4, np.int64)
        if X.dtype not in self._readers:
            self._readers[X.dtype] = int(describe(X, self.tile)[GATHER])
        data[:] = X.__array_interface__["data"][0], *X.strides, self._readers[X.dtype]
        memory.buffers[...] = state.buffers
        flat = np.ascontiguousarray(state.flat, self.dtype)
        order = self._orders[len(X)]
        work = partial(infer_few, self.tile, self.network, memory, flat, *self.parts, data, order, out)
        if not is_compiled(infer_few, self.tile):
            with announcing(f"inference of a few samples for {self.dtype}"):
                work(0, 1)
        on_threads(work, self.threads, memory)
        self._free.append(free)
        return out

    def _new_memory(self) -> nw.Memory:
        return nw.Memory(*(aligned_zeros(int(np.prod(shape)), dtype).reshape(shape) for shape, dtype in self._sizes))
