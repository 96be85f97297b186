"""A network as tables: what the training loop reads, and where everything lies.

A network is cut into stages. Stage 0 is the input; every dense layer begins another, and the layers up to the next
dense one, which act on each feature by itself, are its operations:

    Dense 64->32 | BatchNorm, ReLU, Dropout || Dense 32->10        stage 0: the batch
                                                                   stage 1: z = W x + b, then three operations
                                                                   stage 2: z = W x + b

So a thread that owns some features of a stage runs the product and all operations on them without meeting the
others. Stages and operations are rows of int64, whatever the architecture: one compiled function serves all.

Memory, in elements; rows are rounded up to a multiple of what tiles write, so that they write whole blocks:

    packed       parameters, then slot after slot in the same order: vectors (biases, slopes) first, those of frozen
                 layers behind the others, then the weights in panels
    arena        one panel set [ceil(N/w)][rows][w] for each output that is kept, and what a step needs besides
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mlp_kernels.cpu.compiling import inlined, kernel
from mlp_kernels.cpu.memory import load, pointer_to, shift

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.floating]

# Columns of the stages.
N_IN, N_OUT, WEIGHTS, WEIGHT_ROWS, WEIGHT_PANELS, REST, SLOTS, SLOT_STEP, BIAS, LEARNS_BIAS, INPUT = range(11)
INPUT_ROWS, PRODUCT, ROWS, OUTPUT, FIRST_OP, LAST_OP, CUT, LEARNS, GRADIENT, TRANSPOSED = range(11, 21)
STAGE_COLUMNS = 21
"""WEIGHTS is where WEIGHT_PANELS panels of WEIGHT_ROWS rows lie, SLOTS where what the optimiser remembers of them does,
slot after slot SLOT_STEP apart: all counted from `packed`, though they may be the model's own vectors. Then the last
panel, if its outputs are too few to fill it, lies at REST instead, in `packed`. PRODUCT is where z goes, OUTPUT what
the next stage reads; FIRST_OP to LAST_OP are its operations, the last not included. Where CUT is not 0 the product
itself replaces negative values by 0, a ReLU that needs no pass of its own, and CUT is the address of its way back, or 1
where the product of the next stage is all that needs one. LEARNS is 0 where the dense layer is frozen. GRADIENT is
where the gradient of the product goes, as panels of samples, TRANSPOSED the same as panels of outputs: two places in
turn, for it is needed until that of the stage below is there, or one for each stage where all are needed until the last
is."""

# Columns of the operations.
KIND, FORWARD, BACKWARD, SOURCE, RESULT, KEPT, PARAMETERS, BUFFERS, LAYER, BY_BATCH = range(10)
OP_COLUMNS = 10
"""FORWARD and BACKWARD are the addresses of an activation's code, SOURCE and RESULT panel sets, KEPT what the operation
keeps for its way back: a mask, or a row of features; BY_BATCH is 1 for a batch normalisation that uses the batch's own
statistics while training, 0 for a frozen one."""

# Kinds of operations.
ACTIVATION, SLOPE, SLOPES, DROPOUT, BATCH_NORM = range(5)
"""SLOPE is a PReLU that all features share, SLOPES one for each feature."""

# Places in the arena, and sizes.
SHARES, VALUES, ACCURACIES, HYPER, SCRATCH, SCRATCH_STEP, PANELS, VECTORS, UNUSED, LOWEST, PACE, OWN_INPUT = range(12)
IN_PLACE, N_SLOTS, LEAST = 12, 13, 14
PLACES = 15
"""SCRATCH has SCRATCH_STEP elements for each thread; PANELS is the largest number of panels of a batch, VECTORS how
much of `packed` is vectors that learn; UNUSED takes gradients that nobody wants; LOWEST is the first stage with
anything that learns, beyond the last if there is none; PACE is how many of the next weights a tile asks for at each
step, so that those of a batch ask for all; OWN_INPUT is 1 where each thread gathers the whole batch, to where its own
stages say; IN_PLACE is 1 where weights stay in the model's own vectors, see `in_place.py`; N_SLOTS is how many vectors
the optimiser remembers; LEAST is `claims.LEAST_WORK`."""

# What `Network.code` holds.
LOSS, UPDATE_VECTOR, UPDATE_WEIGHTS, UPDATE_COLUMN, NOTE, JUDGE, UPDATE_IN_PLACE = range(7)
"""Addresses of the loss, of the three forms of the optimiser, and of what `safe_steps.py` and `in_place.py` have."""


class Network(NamedTuple):
    """The tables of a network, a loss and an optimiser.

    Attributes:
        stages, ops: int64 rows as described above.
        constants: float64, two for each operation.
        places: int64, where things lie in the arena.
        code: the loss and the optimiser, int64.
        loss_constants: the loss's own constant, of class labels their smoothing, then the smoothing of rows of targets;
            float64 (2,).
        optimizer_constants: see `updates.set_hyper_parameters`.
    """

    stages: Ints
    ops: Ints
    constants: npt.NDArray[np.float64]
    places: Ints
    code: Ints
    loss_constants: npt.NDArray[np.float64]
    optimizer_constants: npt.NDArray[np.float64]


class Memory(NamedTuple):
    """The arrays that a step works on, all of the network's float type but for the counters.

    Attributes:
        packed: parameters and slots, (1 + S, P'), padding between them included.
        gradients: of the vectors among the parameters.
        arena: activations and their gradients.
        buffers: running statistics, as the model keeps them.
        meeting: int64, 0 at the start: where the threads meet, and claim their pieces; see `claims.board_size`.
        bounds: where weights stay in the model's own vectors, what no parameter and no element of the optimiser's
            vectors exceeds, and the like; float64, see `safe_steps.py`.
        before: the buffers as they were before the step under way.
    """

    packed: Floats
    gradients: Floats
    arena: Floats
    buffers: Floats
    meeting: Ints
    bounds: npt.NDArray[np.float64]
    before: Floats


class Batches(NamedTuple):
    """The data set and the order in which to take it.

    Attributes:
        data, targets, weights: descriptions as in `gather`; a weights address of 0 is none.
        rows: the numbers of the samples of an epoch.
        order: the same in the order in which to take them; of the epoch `drawn` where each has its own.
        drawn: one int64, an epoch's number or -1.
        shuffle: whether each epoch has its own order.
        size: samples a step; the last batch of an epoch may be short.
        lr: of each step.
        seed: of dropout masks and of the orders.
        step: the number of the first step, counted from 1.
        epoch: the number of its epoch, counted from 0.
        position: the number of the first step within its epoch.
    """

    data: Ints
    targets: Ints
    weights: Ints
    rows: Ints
    order: Ints
    drawn: Ints
    shuffle: bool
    size: int
    lr: npt.NDArray[np.float64]
    seed: np.uint64
    step: int
    epoch: int
    position: int


class Frame(NamedTuple):
    """The same as pointers: a few words, where a dozen arrays would be a hundred and count references.

    Functions of a step get them as one, see `references.py`.

    Attributes:
        n_stages: number of stages.
        slot_step: elements from a parameter to its first slot, and from slot to slot.
        n_buffers: running statistics.
        in_place: whether any weights may lie elsewhere than in `packed`: in most networks there is nothing to look up.
    """

    n_stages: int
    slot_step: int
    n_buffers: int
    in_place: bool
    stages: Any
    ops: Any
    constants: Any
    places: Any
    code: Any
    loss_constants: Any
    optimizer_constants: Any
    packed: Any
    gradients: Any
    arena: Any
    buffers: Any
    meeting: Any
    bounds: Any
    before: Any
    data: Any
    targets: Any
    weights: Any


@kernel
def frame(net: Any, memory: Any, data: Any, targets: Any, weights: Any) -> Any:
    """The pointers that a call works with; the caller keeps the arrays alive."""
    return Frame(
        net.stages.shape[0],
        memory.packed.shape[1],
        memory.buffers.size,
        net.places[IN_PLACE] != 0,
        pointer_to(net.stages),
        pointer_to(net.ops),
        pointer_to(net.constants),
        pointer_to(net.places),
        pointer_to(net.code),
        pointer_to(net.loss_constants),
        pointer_to(net.optimizer_constants),
        pointer_to(memory.packed),
        pointer_to(memory.gradients),
        pointer_to(memory.arena),
        pointer_to(memory.buffers),
        pointer_to(memory.meeting),
        pointer_to(memory.bounds),
        pointer_to(memory.before),
        pointer_to(data),
        pointer_to(targets),
        pointer_to(weights),
    )


@inlined
def stage(f: Any, s: int, column: int) -> int:
    """A number of stage s."""
    return load(f.stages, s * STAGE_COLUMNS + column)


@inlined
def op(f: Any, o: int, column: int) -> int:
    """A number of operation o."""
    return load(f.ops, o * OP_COLUMNS + column)


@inlined
def weights_of(f: Any, s: int, panel: int, width: int) -> Any:
    """Where a panel of the weights of stage s lies, `width` being a panel's."""
    if f.in_place and panel == stage(f, s, WEIGHT_PANELS):
        return shift(f.packed, stage(f, s, REST))
    return shift(f.packed, stage(f, s, WEIGHTS) + panel * stage(f, s, WEIGHT_ROWS) * width)


@inlined
def in_line(f: Any, s: int, width: int) -> int:
    """Of how many outputs of stage s the weights lie in panels one after the other; the rest, if any, has one panel."""
    outputs = stage(f, s, N_OUT)
    return min(outputs, stage(f, s, WEIGHT_PANELS) * width) if f.in_place else outputs


@inlined
def gradient_of(f: Any, s: int) -> Any:
    """Where the gradient of the product of stage s lies."""
    return shift(f.arena, stage(f, s, GRADIENT))


@inlined
def transposed_of(f: Any, s: int) -> Any:
    """The same, transposed."""
    return shift(f.arena, stage(f, s, TRANSPOSED))
