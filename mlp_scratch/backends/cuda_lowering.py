"""From a program to the tables that the CUDA kernels read (see `mlp_kernels.cuda.network`): what lies where.

Nothing here touches a GPU. Sizes are known before anything is allocated, so what does not fit is refused in time.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlp_kernels.cuda import activations, losses, operations, phases, updates
from mlp_kernels.cuda import network as nw
from mlp_scratch._types import Array, IntArray
from mlp_scratch.backends.refusals import refusal
from mlp_scratch.errors import ArgumentError
from mlp_scratch.layers import GELU, BatchNorm, Dense, Dropout, Identity, PReLU
from mlp_scratch.losses import CrossEntropy
from mlp_scratch.optimizers import SGD, Adam
from mlp_scratch.placing import Placed
from mlp_scratch.program import Program


def row_in_memory(width: int) -> int:
    """The distance between rows so that each begins at a multiple of 16 bytes."""
    return -(-width // 4) * 4


def row_in_shared(width: int) -> int:
    """An odd distance between rows, so that the same column of 32 rows lies in 32 banks."""
    return width | 1


@dataclass
class Lowered:
    """The tables of one architecture, for batches up to a size.

    Args:
        program: what to lower.
        batch_size: samples of the largest batch.
        row_of: the distance from row to row of a matrix of some width.
        update: "train"; "gradient" to store gradients in the first slot instead; "infer" to stop at the logits.
        stores_gradients: whether there is room for the gradient of the largest weight matrix.

    Attributes:
        stages, ops, phases: the rows that the kernels read.
        places: where in `work` each parameter lies, (P,).
        packed: elements of the parameters in `work`, and of each slot.
        slots: how many slots there are.
        work_size: elements of `work`.

    Raises:
        ArgumentError: for a layer, loss or optimiser that there are no kernels for.
    """

    program: Program
    batch_size: int
    row_of: Callable[[int], int]
    update: str = "train"
    stores_gradients: bool = False

    def __post_init__(self) -> None:
        if unknown := refusal(self.program, functions=False):
            raise ArgumentError(
                "backend",
                given=f"'cuda' for a model with {unknown}",
                expected="layers, losses and optimisers of the package itself",
                mend="use backend='numpy'",
            )
        optimizer = self.program.optimizer
        self.slots = {"train": len(optimizer.slots), "gradient": 1, "infer": 0}[self.update]
        self._size = 0
        stages = self._cut()
        self.places = np.zeros(self.program.n_parameters, np.int64)
        self.stages = np.zeros((len(stages), nw.STAGE_COLUMNS), np.int64)
        self.ops = np.zeros((max(1, sum(len(ops) for _, ops in stages)), nw.OP_COLUMNS), np.int64)
        self._op_constants = np.zeros((len(self.ops), nw.OP_CONSTANTS))
        self._place_parameters(stages)
        self.packed = self._size
        self._size *= 1 + self.slots
        self._fill(stages)
        self.values, self.accuracies = self._reserve(self.batch_size), self._reserve(self.batch_size)
        matrices = self.stages[:, nw.N_OUT] * self.stages[:, nw.WEIGHT_ROW]
        self.weight_gradient = self._reserve(int(matrices.max())) if self.stores_gradients else 0
        self.work_size = self._size
        self.phases = np.array(self._phases(self._lowest(stages)), np.int64).reshape(-1, nw.PHASE_COLUMNS)

    def constants(self) -> npt.NDArray[np.float64]:
        """What the kernels read from CONSTANTS on."""
        leading = np.zeros(nw.LEADING_CONSTANTS)
        loss, optimizer = self.program.loss, self.program.optimizer
        if isinstance(loss, CrossEntropy):
            leading[nw.SMOOTHING] = loss.label_smoothing
        else:
            leading[nw.LOSS_CONSTANT] = (*loss.constants(), 0.0)[0]
        leading[nw.DECAY if optimizer.decoupled else nw.L2] = optimizer.weight_decay
        if isinstance(optimizer, Adam):
            leading[nw.BETA1], leading[nw.ONE_MINUS_BETA1] = optimizer.beta1, 1 - optimizer.beta1
            leading[nw.BETA2], leading[nw.ONE_MINUS_BETA2] = optimizer.beta2, 1 - optimizer.beta2
        elif isinstance(optimizer, SGD):
            leading[nw.BETA1] = optimizer.momentum
        return np.concatenate([leading, self._op_constants.ravel()])

    def hyper_parameters(self, lr: npt.NDArray[np.float64], first_step: int) -> npt.NDArray[np.float64]:
        """The rows of HYPER for steps from `first_step` on, with these learning rates."""
        optimizer = self.program.optimizer
        rows = np.zeros((len(lr), nw.HYPER_COLUMNS))
        rows[:, nw.RATE] = lr
        if isinstance(optimizer, Adam):
            t = np.arange(first_step, first_step + len(lr), dtype=np.float64)
            root = np.sqrt(1 - optimizer.beta2**t)
            rows[:, nw.CORRECTION] = root / (1 - optimizer.beta1**t)
            rows[:, nw.EPS] = optimizer.eps * (root if optimizer.eps_mode == "torch" else 1.0)
        return rows

    def header(self, *, training: bool) -> npt.NDArray[np.int64]:
        """What of a header is the same for all networks and calls."""
        header = np.zeros(nw.HEADER, np.int64)
        header[nw.TRAINING], header[nw.LOSS] = training, losses.KINDS[self.program.loss.kind]
        header[nw.OPTIMIZER], header[nw.DECAYS_ALL] = self._update_kind(), self.program.optimizer.decay == "all"
        header[nw.N_STAGES], header[nw.N_PHASES] = len(self.stages), len(self.phases)
        header[nw.FLAT_SIZE], header[nw.PACKED], header[nw.SLOTS] = self.program.n_parameters, self.packed, self.slots
        header[nw.VALUES], header[nw.ACCURACIES] = self.values, self.accuracies
        header[nw.WEIGHT_GRADIENT] = self.weight_gradient
        return header

    def _update_kind(self) -> int:
        optimizer, name = self.program.optimizer, self.program.optimizer.kind
        if isinstance(optimizer, SGD) and optimizer.momentum:
            name = "nesterov" if optimizer.nesterov else "momentum"
        return updates.KINDS[name if self.update == "train" else "gradient"]

    def _cut(self) -> list[tuple[Placed | None, list[Placed]]]:
        """The operations in stages, each a dense layer, none for the input, and what follows it."""
        stages: list[tuple[Placed | None, list[Placed]]] = [(None, [])]
        for op in self.program.operations:
            if isinstance(op.layer, Dense):
                stages.append((op, []))
            elif not isinstance(op.layer, Identity):
                stages[-1][1].append(op)
        return stages

    def _place_parameters(self, stages: list[tuple[Placed | None, list[Placed]]]) -> None:
        o = 0
        for row, (dense, ops) in zip(self.stages, stages, strict=True):
            row[nw.BIAS] = -1
            if dense is not None:
                row[nw.N_IN], row[nw.WEIGHT_ROW] = dense.n_in, self.row_of(dense.n_in)
                weight = dense.parameters[0]
                row[nw.WEIGHTS] = start = self._reserve(dense.n_out * int(row[nw.WEIGHT_ROW]))
                rows = start + row[nw.WEIGHT_ROW] * np.arange(dense.n_out)
                self.places[weight.start : weight.stop] = (rows[:, np.newaxis] + np.arange(dense.n_in)).ravel()
                row[nw.LEARNS] = not self._is_frozen(dense)
                if len(dense.parameters) > 1:
                    row[nw.BIAS] = self._place_vector(dense, 1)
            for placed in ops:
                for number, column in zip(range(len(placed.parameters)), (nw.SCALES, nw.OFFSETS), strict=False):
                    self.ops[o, column] = self._place_vector(placed, number)
                o += 1

    def _place_vector(self, placed: Placed, number: int) -> int:
        field = placed.parameters[number]
        start = self._reserve(field.stop - field.start)
        self.places[field.start : field.stop] = start + np.arange(field.stop - field.start)
        return start

    def _fill(self, stages: list[tuple[Placed | None, list[Placed]]]) -> None:
        o = 0
        for s, (row, (dense, ops)) in enumerate(zip(self.stages, stages, strict=True)):
            width = dense.n_out if dense is not None else self.program.operations[0].n_in
            row[nw.N_OUT], row[nw.ROW] = width, self.row_of(width)
            matrix = self.batch_size * int(row[nw.ROW])
            row[nw.PRODUCT] = row[nw.OUTPUT] = self._reserve(matrix)
            row[nw.FIRST_OP], row[nw.LAST_OP] = o, o + len(ops)
            row[nw.BY_COLUMNS] = any(isinstance(placed.layer, BatchNorm | PReLU) for placed in ops)
            for placed in ops:
                self.ops[o, nw.SOURCE] = row[nw.OUTPUT]
                if row[nw.BY_COLUMNS]:
                    row[nw.OUTPUT] = self._reserve(matrix)
                self.ops[o, nw.RESULT] = row[nw.OUTPUT]
                self._fill_op(placed, o)
                o += 1
            if ops and not row[nw.BY_COLUMNS]:
                row[nw.OUTPUT] = self._reserve(matrix)
            if self.update != "infer" and (s > 0 or row[nw.BY_COLUMNS] or len(stages) == 1):
                row[nw.GRADIENT] = self._reserve(matrix)

    def _fill_op(self, placed: Placed, o: int) -> None:
        layer, row, constants = placed.layer, self.ops[o], self._op_constants[o]
        row[nw.LAYER], row[nw.OP_LEARNS] = placed.index, not self._is_frozen(placed)
        own = layer.constants()
        constants[: len(own)] = own
        if isinstance(layer, Dropout):
            row[nw.KIND], row[nw.THRESHOLD] = operations.DROPOUT, layer.threshold()
            constants[1] = 1 / (1 - layer.p)
        elif isinstance(layer, BatchNorm):
            row[nw.KIND], row[nw.RUNNING] = operations.BATCH_NORM, placed.buffers[0].start
            row[nw.KEPT], row[nw.BY_BATCH] = self._reserve(2 * placed.n_out), layer.trainable
        elif isinstance(layer, PReLU):
            row[nw.KIND] = operations.SLOPES if layer.per_feature else operations.SLOPE
            row[nw.KEPT] = self._reserve(placed.n_out)
        else:
            name = "gelu_tanh" if isinstance(layer, GELU) and layer.approximate == "tanh" else layer.kind
            row[nw.KIND] = activations.KINDS[name]

    def _is_frozen(self, op: Placed) -> bool:
        """Whether nobody asks for the layer's gradient; where gradients are all that is asked for, it counts too."""
        return not op.layer.trainable and self.update == "train"

    def _lowest(self, stages: list[tuple[Placed | None, list[Placed]]]) -> int:
        """The first stage in which anything learns, beyond the last if nothing does."""
        for s, (dense, ops) in enumerate(stages):
            if any(op and op.parameters and not self._is_frozen(op) for op in (dense, *ops)):
                return s
        return len(stages)

    def _phases(self, lowest: int) -> list[tuple[int, int]]:
        """A step; between any two of these everybody waits. The way back ends at the lowest stage that learns."""
        by_columns, last = self.stages[:, nw.BY_COLUMNS], len(self.stages) - 1
        rows = [(phases.GATHER, 0)]
        for s in range(len(self.stages)):
            if s:
                rows.append((phases.DENSE, s))
            if by_columns[s]:
                rows.append((phases.COLUMNS, s))
        if self.update == "infer":
            return rows
        rows.append((phases.LOSS, last))
        if by_columns[last] and last >= lowest:
            rows.append((phases.COLUMNS_BACK, last))
        for s in range(last, lowest, -1):
            rows.append((phases.BACK, s))
            if by_columns[s - 1]:
                rows.append((phases.COLUMNS_BACK, s - 1))
        return [*rows, (phases.LEARN, max(0, min(lowest, last - 1)))]

    def _reserve(self, size: int) -> int:
        place = self._size
        self._size += row_in_memory(size)
        return place


def shares_of(weights: Array | None, order: IntArray, batch_size: int, dtype: "np.dtype[np.floating]") -> Array:
    """What each sample of each batch contributes to the batch's mean, (n,): see `Loss.shares`.

    >>> shares_of(None, np.arange(3), 2, np.dtype("float64"))
    array([0.5, 0.5, 1. ])
    >>> shares_of(np.array([1.0, 3.0, 0.0]), np.arange(3), 2, np.dtype("float64"))
    array([0.25, 0.75, 0.  ])
    """
    starts = np.arange(0, len(order), batch_size)
    sizes = np.minimum(batch_size, len(order) - starts)
    if weights is None:
        return np.repeat(1 / sizes, sizes).astype(dtype)
    w = weights[order]
    largest = np.maximum(np.maximum.reduceat(w, starts), np.finfo(w.dtype).tiny)
    relative = w / np.repeat(largest, sizes)
    totals = np.repeat(np.add.reduceat(relative, starts), sizes)
    return np.divide(relative, totals, out=np.zeros_like(relative), where=totals > 0)
