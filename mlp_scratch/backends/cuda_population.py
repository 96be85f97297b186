"""Many networks of one architecture on the GPU at once, a block of threads each, many epochs a launch."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np
import numpy.typing as npt

from mlp_kernels.cuda.gemm import multiprocessors
from mlp_scratch._types import Array
from mlp_scratch.backends import cuda_ways
from mlp_scratch.backends.base import Plan, Records, Samples, State, Stop
from mlp_scratch.backends.cuda import SECONDS_A_LAUNCH, CudaBackend
from mlp_scratch.backends.cuda_data import DataSet
from mlp_scratch.backends.cuda_fleet import Course, Fleet
from mlp_scratch.errors import DivergedError
from mlp_scratch.program import Program
from mlp_scratch.random import permutation


@dataclass
class Member:
    """A network of the population.

    Attributes:
        state: what it begins with; at the end, what it has come to.
        seed, lr: its own.
        error: what ended its training early.
    """

    state: State
    seed: int
    lr: float
    error: DivergedError | None = None


def pays_together(program: Program, networks: int, batch_size: int) -> bool:
    """Whether a block for each network does more than the whole GPU for one network after the other."""
    alone = cuda_ways.way_for(program, batch_size, "train").name
    return alone in (cuda_ways.BLOCK_IN_SHARED, cuda_ways.BLOCK) or networks >= multiprocessors()


def train_members(
    program: Program,
    members: Sequence[Member],
    samples: Samples,
    batch_size: int,
    epochs: int,
    *,
    shuffle: bool,
    stop: Stop,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Train fresh networks and return the losses and accuracies of their steps, (networks, steps).

    Each goes the way that it would go alone. One that diverges stays as it was before that step, its later figures
    are NaN, and the others go on. `stop` is asked between launches, which end at the end of an epoch. States change at
    the end alone: where the GPU fails, all of them are what the members began with.
    """
    n = len(samples.X)
    steps = -(-n // batch_size)
    losses = np.full((len(members), epochs * steps), np.nan)
    accuracies = losses.copy()
    fleet = Fleet(program, len(members), batch_size)
    data = DataSet(samples, program.dtype)
    on_device = shuffle and samples.weights is None  # those of a batch are shared out by the CPU, which knows the order
    active = np.ones(len(members), np.bool_)
    last: Array | None = None
    diverged: dict[int, State] = {}
    done, count = 0, 1
    while done < epochs and active.any() and not stop():
        count = min(count, epochs - done)
        start = perf_counter()
        if on_device:
            orders = None
        else:
            count = 1  # the orders of several epochs would fill the memory
            orders = [permutation(m.seed, done, n) if shuffle else np.arange(n) for m in members]
        rates, seeds = np.array([member.lr for member in members]), [member.seed for member in members]
        lr = np.ones(count * steps)
        fleet.begin(Course(n, batch_size, orders, lr, rates, seeds, done * steps + 1, done, active), data)
        if last is None:
            fleet.load([member.state for member in members])
        fleet.advance(0, count * steps)
        figures, now = fleet.figures(0, count * steps), fleet.download()
        here = slice(done * steps, (done + count) * steps)
        losses[active, here], accuracies[active, here] = figures[active, :, 0], figures[active, :, 1]
        good = np.isfinite(figures[:, :, 0]).all(axis=1) & np.isfinite(now).all(axis=1)
        for k in np.flatnonzero(active & ~good).tolist():
            before = members[k].state if last is None else fleet.state_of(last[k])
            own = Records(losses[k, here], accuracies[k, here])
            epochs_again = range(done, done + count)
            state = _take_again(program, members[k], before, samples, batch_size, epochs_again, shuffle, own)
            active[k], now[k] = members[k].error is None, _row(state)
            if not active[k]:
                diverged[k] = state
        last, done, elapsed = now, done + count, perf_counter() - start
        count = max(1, min(8 * count, int(count * SECONDS_A_LAUNCH / max(elapsed, 1e-6))))
    if last is not None:
        for k, member in enumerate(members):
            _assign(member.state, diverged.get(k) or replace(fleet.state_of(last[k]), step=done * steps))
    return losses, accuracies


def _take_again(
    program: Program,
    member: Member,
    before: State,
    samples: Samples,
    size: int,
    epochs: range,
    shuffle: bool,
    records: Records,
) -> State:
    """The epochs in which a network diverged, by itself from the state before them: to find the step and the layer."""
    n, steps = len(samples.X), -(-len(samples.X) // size)
    state = State(before.flat.copy(), before.buffers.copy(), before.slots.copy(), epochs.start * steps)
    records.losses[:] = records.accuracies[:] = np.nan
    backend = CudaBackend()
    for e, epoch in enumerate(epochs):
        order = permutation(member.seed, epoch, n) if shuffle else np.arange(n)
        plan = Plan(order, size, np.full(steps, member.lr), member.seed)
        here = slice(e * steps, (e + 1) * steps)
        own = Records(records.losses[here], records.accuracies[here])
        try:
            backend.train(program, state, samples, plan, own, _never)
        except DivergedError as error:
            member.error = error
            break
    return state


def _never() -> bool:
    return False


def _row(state: State) -> Array:
    return np.concatenate([state.flat, state.slots.ravel(), state.buffers])


def _assign(state: State, result: State) -> None:
    state.flat[...], state.slots[...], state.buffers[...] = result.flat, result.slots, result.buffers
    state.step = result.step
