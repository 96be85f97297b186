"""Inference on the compiled backend: many samples in batches, or a few without any preparation.

What follows from the architecture alone is worked out once and stays with the program. Parameters are never kept:
whoever owns the model may write into its flat vector at any time, and nothing would tell.
"""

from collections.abc import Hashable
from contextlib import nullcontext
from functools import cache, partial
from typing import Any

import numpy as np
from numba import typeof

from mlp_kernels.cpu import few_samples
from mlp_kernels.cpu import network as nw
from mlp_kernels.cpu.announcing import announcing
from mlp_kernels.cpu.features import panel_tile
from mlp_kernels.cpu.few_samples import infer_few
from mlp_kernels.cpu.gather import describe
from mlp_kernels.cpu.training_loop import infer
from mlp_scratch._types import Array
from mlp_scratch.backends.base import State
from mlp_scratch.backends.numba_calls import is_first_call, is_readable, on_threads
from mlp_scratch.backends.numba_memory import aligned_zeros
from mlp_scratch.backends.numba_tables import Tables
from mlp_scratch.program import Program

BATCH = 256
"""Samples that go through the network together."""

WORK_A_CALL = 1e9
"""Of a call, in multiply-adds: a tenth of a second on one slow core. Between calls Python answers Ctrl-C."""

WORK_A_FEATURE = 16
"""Multiply-adds that a number counts as which a layer reads, or an operation works out."""


def many_logits(
    program: Program, state: State, X: Array, threads: int, constants: Hashable, packed: Array | None = None
) -> Array:
    """Logits (N, K) of any number of samples, with the weights packed first, into `packed` where there is such.

    `constants` are those of the user's functions, without which tables of the same program are others.
    """
    out = np.empty((len(X), program.operations[-1].n_out), program.dtype)
    size = min(BATCH, len(X))
    width = panel_tile(program.dtype).columns
    room = -(-size // width) * width  # whole panels, so that only a few tables are ever kept
    key = "tables", room, threads, constants
    tables = program.keep(key, lambda: Tables(program, room, threads, inference=True))
    memory = tables.memory(packed)
    memory.buffers[...] = state.buffers
    tables.layout.pack(state.flat, memory.packed[0])
    at_once = size * _batches_a_call(program, size) if is_readable(X) else size
    order = np.arange(min(at_once, len(X)))
    for first in range(0, len(X), at_once):
        rows = X[first : first + at_once]
        rows = rows if is_readable(rows) else np.ascontiguousarray(rows, program.dtype)
        data, order = describe(rows, tables.tile), order[: len(rows)]
        work = partial(infer, tables.tile, tables.network, memory, data)
        if is_first_call(infer, tables.tile):
            with announcing(f"inference for {program.dtype}"):
                work(order[:0], size, out[:0], 0, 1)
        on_threads(partial(work, order, size, out[first : first + at_once]), tables.threads, memory)
    return out


def _batches_a_call(program: Program, size: int) -> int:
    """How many batches of `size` samples go into one call of the compiled code."""
    features = sum(op.n_in + op.n_out for op in program.operations)
    return max(1, int(WORK_A_CALL / (size * (program.n_parameters + WORK_A_FEATURE * features))))


@cache
def most_samples(dtype: "np.dtype[np.floating]") -> int:
    """The samples that are still few."""
    return few_samples.most_samples(panel_tile(dtype))


class FewSamples:
    """A program made ready for a few samples at a time, the weights read where they lie.

    Several Python threads may call it at once: each call has memory of its own while it lasts.
    """

    def __init__(self, program: Program, threads: int) -> None:
        self.tile, self.dtype, self.threads = panel_tile(program.dtype), program.dtype, threads
        self.n_out, self._x_shape = program.operations[-1].n_out, (most_samples(self.dtype), program.operations[0].n_in)
        tables = Tables(program, most_samples(self.dtype), threads, inference=True, few=True)
        self.network, self.vectors = tables.network, tables.layout.vectors
        self._sizes = [(array.shape, array.dtype) for array in tables.memory()]
        self._free = [self._new()]
        examples = self._arguments(*self._free[0], np.empty(0, self.dtype), np.empty((0, self.n_out), self.dtype))
        # To be called as it is: the kernel itself would look up the types of its arguments at every call, for 4 us.
        with announcing(f"small batches of {self.dtype}") if is_first_call(infer_few, self.tile) else nullcontext():
            self._run = infer_few.compile(tuple(map(typeof, (*examples, 0, 1))))

    def logits(self, state: State, X: Array) -> Array:
        """Logits (N, K) of at most `most_samples`."""
        out = np.empty((len(X), self.n_out), self.dtype)
        try:
            memory, x = self._free.pop()
        except IndexError:  # all are in use by other threads
            memory, x = self._new()
        x[: len(X)] = X
        memory.buffers[...] = state.buffers
        arguments = self._arguments(memory, x, np.ascontiguousarray(state.flat, self.dtype), out)
        on_threads(partial(self._run, *arguments), self.threads, memory)
        self._free.append((memory, x))
        return out

    def _arguments(self, memory: nw.Memory, x: Array, flat: Array, out: Array) -> tuple[Any, ...]:
        """Those of `infer_few`, but for the threads."""
        return self.tile, self.network, memory, flat, self.vectors, x, out

    def _new(self) -> tuple[nw.Memory, Array]:
        """Memory for one call at a time, and room for its samples."""
        arrays = (aligned_zeros(int(np.prod(shape)), dtype).reshape(shape) for shape, dtype in self._sizes)
        return nw.Memory(*arrays), np.empty(self._x_shape, self.dtype)
