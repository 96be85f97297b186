"""Samples on the GPU: all of them, or, where they are too many, the batches that come next."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numba import cuda

from mlp_scratch._types import IntArray
from mlp_scratch.backends.base import Plan, Samples
from mlp_scratch.backends.cuda_device import device_errors, free_memory, refuse_beyond

COPIED_AT_ONCE = 4096
"""Samples that are converted and copied to the GPU together."""


class DataSet:
    """Samples on the GPU, in the program's float type: rows of X, then the targets.

    Args:
        samples: what to copy.
        dtype: of the copy.
        capacity: how many samples there is room for; None takes all of them now.
    """

    def __init__(self, samples: Samples, dtype: "np.dtype[np.floating]", capacity: int | None = None) -> None:
        self.samples, self.dtype = samples, dtype
        self.features = samples.X.shape[1]
        self.n_targets = samples.targets.shape[1] if samples.targets.ndim > 1 else 0
        self.capacity = len(samples.X) if capacity is None else capacity
        self.targets_at = self.capacity * self.features
        with device_errors():
            self.array: Any = cuda.device_array(max(1, self.capacity * self.width(samples)), dtype)
        if capacity is None:
            for first in range(0, self.capacity, COPIED_AT_ONCE):
                self.copy(np.arange(first, min(first + COPIED_AT_ONCE, self.capacity)), first)

    @staticmethod
    def width(samples: Samples) -> int:
        """Numbers that a sample takes."""
        return int(samples.X.shape[1]) + (int(samples.targets.shape[1]) if samples.targets.ndim > 1 else 1)

    def places(self, order: IntArray) -> IntArray:
        """Where the samples of a plan lie."""
        return order

    def pieces(self, plan: Plan, first: int, count: int) -> Iterator[tuple[int, int]]:
        """Steps `first` to `first + count` in pieces whose samples are there when the piece is handed out."""
        yield first, count

    def prefetch(self, plan: Plan, step: int) -> None:
        """Get ready for step `step`, while the GPU is busy."""

    def copy(self, rows: IntArray, at: int) -> None:
        """Copy samples to the places from number `at` on."""
        batch = self.samples.batch(rows, self.dtype)
        targets = np.ascontiguousarray(batch.targets, self.dtype).ravel()
        each = max(1, self.n_targets)
        x_at, t_at = at * self.features, self.targets_at + at * each
        with device_errors():
            self.array[x_at : x_at + batch.X.size].copy_to_device(batch.X.ravel())
            self.array[t_at : t_at + targets.size].copy_to_device(targets)


_NO_PLAN = Plan(np.empty(0, np.int64), 1, np.empty(0), 0)


class StreamedDataSet(DataSet):
    """Room for two pieces of a plan: while the GPU trains on one, the other is gathered.

    Args:
        samples: all of them.
        dtype: of what is copied.
        room: samples that may be on the GPU at a time.
        batch_size: samples a step.
    """

    def __init__(self, samples: Samples, dtype: "np.dtype[np.floating]", room: int, batch_size: int) -> None:
        self.steps = max(1, min(COPIED_AT_ONCE, room // 2) // batch_size)
        self.batch_size, self.halves = batch_size, [(_NO_PLAN, -1), (_NO_PLAN, -1)]
        capacity = 2 * self.steps * batch_size
        refuse_beyond(capacity * self.width(samples) * dtype.itemsize, free_memory(), "two batches of this size")
        super().__init__(samples, dtype, capacity)

    def places(self, order: IntArray) -> IntArray:
        return np.arange(len(order)) % self.capacity

    def pieces(self, plan: Plan, first: int, count: int) -> Iterator[tuple[int, int]]:
        end = first + count
        while first < end:
            self.prefetch(plan, first)
            some = min(end, (first // self.steps + 1) * self.steps) - first
            yield first, some
            first += some

    def prefetch(self, plan: Plan, step: int) -> None:
        piece, each = step // self.steps, self.steps * self.batch_size
        if step >= len(plan.lr):
            return
        half = self.halves[piece % 2]
        if half[0] is plan and half[1] == piece:
            return
        self.copy(plan.rows[piece * each : (piece + 1) * each], piece % 2 * each)
        self.halves[piece % 2] = plan, piece
