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

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.floating]

# Columns of the stages. Places of weights and slots are counted from `packed`, though they may lie in the model's own
# vectors; all other places are in the arena.
STAGE_COLUMNS = 21
(
    N_IN,  # features that the dense layer reads
    N_OUT,  # features of the stage; of stage 0, those of the samples
    WEIGHTS,  # where the weights lie,
    WEIGHT_ROWS,  # the rows of each of their panels,
    WEIGHT_PANELS,  # and how many panels lie there, one after the other
    REST,  # where the last panel lies, if it is kept elsewhere for having too few outputs to fill it
    SLOTS,  # where what the optimiser remembers of the weights lies, slot after slot,
    SLOT_STEP,  # so many elements apart
    BIAS,  # where the bias lies among the vectors of parameters
    LEARNS_BIAS,  # 1 if its gradient is wanted
    INPUT,  # the panel set that the dense layer reads, OUTPUT of the stage before,
    INPUT_ROWS,  # and the rows of each of its panels
    PRODUCT,  # the panel set of z = W x + b
    ROWS,  # the rows of each panel of PRODUCT and OUTPUT
    OUTPUT,  # the panel set that the next stage reads
    FIRST_OP,  # the first operation
    LAST_OP,  # the first one that is no more of this stage
    CUT,  # 0, or a ReLU in the product itself: the address of its way back, or 1 where the next product has that in it
    LEARNS,  # 0 where the dense layer is frozen
    GRADIENT,  # where the gradient of the product goes: two places in turn for all stages, or in place one for each
    TRANSPOSED,  # where the same goes as panels of outputs, for dW
) = range(STAGE_COLUMNS)

# Columns of the operations.
OP_COLUMNS = 10
(
    KIND,  # one of those below
    FORWARD,  # the address of an activation's code, forward
    BACKWARD,  # and back
    SOURCE,  # the panel set that it reads
    RESULT,  # and the one that it writes
    KEPT,  # what it keeps for its way back: a mask, or a row of features
    PARAMETERS,  # where its parameters lie among the vectors
    BUFFERS,  # where its running statistics lie
    LAYER,  # the number of its layer, which its random numbers depend on
    BY_BATCH,  # 1 for a batch normalisation by the batch's own statistics in training, 0 for a frozen one
) = range(OP_COLUMNS)

# Kinds of operations.
(
    ACTIVATION,
    SLOPE,  # a PReLU that all features share
    SLOPES,  # one with a slope for each feature
    DROPOUT,
    BATCH_NORM,
) = range(5)

# Numbers of the network as a whole: `Network.places`.
PLACES = 15
(
    SHARES,  # place in the arena: each sample's share of the loss
    VALUES,  # place: each sample's loss
    ACCURACIES,  # place: each sample's accuracy
    HYPER,  # place: `rules.Hyper` of the step
    SCRATCH,  # place: room for each thread,
    SCRATCH_STEP,  # so many elements
    PANELS,  # panels of the largest batch
    VECTORS,  # how much of `packed` is vectors that learn
    UNUSED,  # place: takes gradients that nobody wants
    LOWEST,  # the first stage in which anything learns, beyond the last if nothing does
    PACE,  # how many of the next weights a tile prefetches at each step, so that the tiles of a batch prefetch all
    OWN_INPUT,  # 1 where each thread gathers the whole batch, to where its own stages say
    IN_PLACE,  # 1 where weights stay in the model's own vectors, see `in_place.py`
    N_SLOTS,  # vectors that the optimiser remembers
    LEAST,  # `claims.LEAST_WORK`: read from here, so that tests can share pieces of any size without compiling again
) = range(PLACES)

# Numbers of the loss.
(
    LOSS_CONSTANT,  # Huber's delta, say; of class labels their smoothing
    SMOOTHING,  # of rows of targets
) = range(2)

# What `Network.code` holds: addresses.
(
    LOSS,
    UPDATE_VECTOR,  # the optimiser's three forms, see `updates.py`
    UPDATE_WEIGHTS,
    UPDATE_COLUMN,
    NOTE,  # what only in place is needed, see `safe_steps.py`
    JUDGE,
    UPDATE_IN_PLACE,  # and `in_place.py`
    WAY_FORWARD,  # the sections of a step, see `sections.py`
    WAY_BACK,
) = range(9)


class Network(NamedTuple):
    """The tables of a network, a loss and an optimiser.

    Attributes:
        stages, ops: int64 rows as described above.
        constants: float64, two for each operation.
        places: int64, numbers of the network as a whole, most of them places in the arena.
        code: the loss and the optimiser, int64.
        loss_constants: float64 (2,), as listed above.
        optimizer_constants: float64, as listed in `updates`.
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
        board: int64, 0 at the start: where the threads meet, and claim their pieces; see `claims.board_size`.
        bounds: where weights stay in the model's own vectors, what no parameter and no element of the optimiser's
            vectors exceeds, and the like; float64, see `safe_steps.py`.
        before: the buffers as they were before the step under way.
    """

    packed: Floats
    gradients: Floats
    arena: Floats
    buffers: Floats
    board: Ints
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
