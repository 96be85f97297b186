"""What a thread does, and leaves alone, in the sections of a step."""

import numpy as np
from numba import njit

import mlp_scratch as ms
from mlp_kernels.cpu.dense import finish_gradient
from mlp_kernels.cpu.frame import frame, gradient_of, transposed_of
from mlp_kernels.cpu.owners import owned_features
from mlp_kernels.cpu.references import reference
from mlp_scratch.backends.numba_tables import Tables
from mlp_scratch.losses import MSE
from mlp_scratch.optimizers import SGD
from mlp_scratch.program import lower

BATCH = 50


@njit
def finish(tile, net, memory, thread, threads):
    """The share of a thread in the gradient of the last stage, which has one output."""
    f = reference(frame(net, memory, net.places, net.places, net.places))
    begin, end = owned_features(tile, 1, thread, threads)
    finish_gradient(tile, f, 1, gradient_of(f, 1), transposed_of(f, 1), begin, end, BATCH)


def test_only_the_owner_of_an_output_sums_its_gradient():
    """While the others have nothing to do, the owner may be changing it."""
    tables = Tables(lower(ms.MLP([3, 1]), MSE(), SGD(0.1)), BATCH, 2)
    memory = tables.memory()
    memory.arena[:], memory.gradients[:] = 1.0, -7.0
    finish(tables.tile, tables.network, memory, 0, 2)  # without a share
    assert (memory.gradients == -7.0).all()
    finish(tables.tile, tables.network, memory, 1, 2)
    assert (memory.gradients == BATCH).sum() == 1
    assert np.isin(memory.gradients, [-7.0, BATCH]).all()
