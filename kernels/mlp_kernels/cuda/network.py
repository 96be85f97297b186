"""A network as tables, and where everything lies: what the kernels of a training step read.

A network is cut into stages. Stage 0 is the input; every dense layer begins another, and the layers up to the next
dense one are its operations:

    Dense 64->32 | BatchNorm, ReLU, Dropout || Dense 32->10        stage 0: the batch
                                                                   stage 1: z = W x + b, then three operations
                                                                   stage 2: z = W x + b

A stage is pointwise where each element of its output depends on one element of z alone: its operations are then
part of the product that makes z. Batch normalisation and PReLU, which learn from a column of the batch, make it a
stage of columns: its operations run by themselves, a thread a column.

A step is a list of phases. A phase is work that nobody has to wait within, and everybody waits between two: at a
barrier of the block, at one of the whole grid, or by the end of a launch. So one list serves every way to run.

Five arrays hold all there is. Numbers in `tables` say where things lie in the other four:

    tables  int64       a header for each network, stages, operations, phases, the order of the samples
    data    real        X (N, D), then targets, as the user has them
    feed    real        constants, and for each step its hyper-parameters, the samples' shares, loss and accuracy
    state   real        each network's parameters, slots and running statistics; then what `work` holds
    work    real        parameters and slots, activations and gradients of one network: a part of `state`, or shared
                        memory that they were copied to

Rows of matrices may be longer than they are wide, so that they begin at multiples of 16 bytes, or so that
neighbouring rows lie in different banks of shared memory. No kernel reads what is beyond the width.
"""

from typing import Any, NamedTuple

from mlp_kernels.cuda.device import ld1
from mlp_kernels.cuda.pure import pure

# How a network is run.
THREADS = 128
"""Threads of a block."""
BLOCK_SIDES, GRID_SIDE = (1, 2), 4
"""Sides of the tiles that a thread holds: where one block makes all products, small or not; where all blocks do."""

# The header of a network: sizes, and what distinguishes one network of a population from another.
BATCH, SAMPLES, STEP, SEED, TRAINING, LOSS, OPTIMIZER, DECAYS_ALL = range(8)
"""Samples a step, and in all; the number of the first step, counted from 1; the seed, the bits of a uint64; whether
dropout drops; kinds of `losses` and `updates`; whether weight decay acts on biases, too."""
N_STAGES, STAGES, OPS, N_PHASES, PHASES, ORDER = range(8, 14)
"""How many stages and phases, and where in `tables` they and the operations and the samples' numbers begin."""
X, TARGETS, N_TARGETS, CONSTANTS, HYPER, SHARES, FIGURES = range(14, 21)
"""Where in `data` the samples and the targets lie, and how many numbers a sample's target is, 0 for a class index;
where in `feed` the constants begin, each step's hyper-parameters, each sample's share, each step's figures."""
STATE, BUFFERS, FLAT_SIZE, PLACES, PACKED = range(21, 26)
"""Where in `state` the network's parameters and slots begin, and its running statistics; how many parameters; where
in `tables` each one's place in `work` stands; the distance from a parameter to its first slot, and from slot to
slot."""
SLOTS, VALUES, ACCURACIES, WORK, LR = range(26, 31)
"""How many slots; where in `work` the loss and accuracy of each sample go; where `work` begins in `state`; where in
`feed` the network's learning rate is."""
EPOCH, SHUFFLES, WEIGHT_GRADIENT, TURN = range(31, 35)
"""The number of the first epoch, counted from 0; whether the kernel draws the order of each epoch itself; where in
`work` the gradient of a weight matrix goes if it is stored; the number of the step under way, where each phase is a
launch of its own."""
HEADER = 35

# Columns of the stages; places are in `work`.
N_IN, N_OUT, WEIGHTS, WEIGHT_ROW, BIAS, PRODUCT, OUTPUT, GRADIENT, ROW, FIRST_OP, LAST_OP, BY_COLUMNS = range(12)
LEARNS = 12
STAGE_COLUMNS = 13
"""WEIGHT_ROW and ROW are distances from row to row, of W and of the batch. PRODUCT is where z goes, OUTPUT what the
next stage reads, GRADIENT the gradient with respect to z. BIAS is -1 where there is none. LAST_OP is not included.
BY_COLUMNS is 1 for a stage of columns. LEARNS is 0 where the dense layer is frozen."""

# Columns of the operations.
KIND, LAYER, SOURCE, RESULT, KEPT, SCALES, OFFSETS, RUNNING, THRESHOLD, OP_LEARNS, BY_BATCH = range(11)
OP_COLUMNS = 11
"""LAYER and THRESHOLD are dropout's: its number among the layers, and the smallest random word that keeps. SOURCE and
RESULT are matrices like the stage's, where the stage is one of columns; KEPT two rows that the way back reads; SCALES
and OFFSETS parameters; RUNNING is counted from the network's BUFFERS. OP_LEARNS is 0 where the operation is frozen;
BY_BATCH is 1 for a batch normalisation that uses the batch's own statistics while training, 0 for a frozen one."""

# Columns of the phases.
PHASE, OF_STAGE = range(2)
PHASE_COLUMNS = 2

OP_CONSTANTS = 4
LOSS_CONSTANT, SMOOTHING, L2, DECAY, BETA1, ONE_MINUS_BETA1, BETA2, ONE_MINUS_BETA2 = range(8)
LEADING_CONSTANTS = 8
"""What CONSTANTS begins with: the loss's own constant, label smoothing, then the optimiser's, which hold for all steps.
L2 is a weight decay that is added to the gradient, DECAY one that shrinks the parameter: one of
them is 0. Behind these come OP_CONSTANTS for each operation."""

RATE, CORRECTION, EPS = range(3)
HYPER_COLUMNS = 3
"""What each step has of its own: a learning rate, which is multiplied by the network's, and Adam's corrections."""


class Frame(NamedTuple):
    """What a thread of a training step works with.

    Attributes:
        tables, data, feed, state, work: the arrays.
        header: where the network's header begins in `tables`.
        stages, ops, constants: where these begin, as in the header.
        worker, workers: the thread's number among all that work on this network, and how many these are.
    """

    tables: Any
    data: Any
    feed: Any
    state: Any
    work: Any
    header: Any
    stages: Any
    ops: Any
    constants: Any
    worker: Any
    workers: Any


@pure
def frame_of(tables: Any, data: Any, feed: Any, state: Any, work: Any, network: int, worker: int, workers: int) -> Any:
    """The frame of a thread."""
    header = network * HEADER
    return Frame(
        tables,
        data,
        feed,
        state,
        work,
        header,
        ld1(tables, header + STAGES),
        ld1(tables, header + OPS),
        ld1(tables, header + CONSTANTS),
        worker,
        workers,
    )


@pure
def about(f: Any, column: int) -> Any:
    """A number of the network's header."""
    return ld1(f.tables, f.header + column)


@pure
def stage(f: Any, s: int, column: int) -> Any:
    """A number of stage s."""
    return ld1(f.tables, f.stages + s * STAGE_COLUMNS + column)


@pure
def op(f: Any, o: int, column: int) -> Any:
    """A number of operation o."""
    return ld1(f.tables, f.ops + o * OP_COLUMNS + column)


@pure
def op_constant(f: Any, o: int, number: int) -> Any:
    """A constant of operation o."""
    return ld1(f.feed, f.constants + LEADING_CONSTANTS + o * OP_CONSTANTS + number)


@pure
def constant(f: Any, number: int) -> Any:
    """One of the constants of the loss or the optimiser."""
    return ld1(f.feed, f.constants + number)
