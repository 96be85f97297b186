"""From a program to the tables that the compiled training loop reads.

The loop knows stages and operations (see `mlp_kernels.cpu.network`); this module knows layers. Only the Numba
backend imports it, so that `import mlp_scratch` loads no Numba.
"""

from dataclasses import dataclass, replace

import numpy as np

from mlp_kernels.cpu import network as nw
from mlp_kernels.cpu.claims import LEAST_WORK, board_size
from mlp_kernels.cpu.features import panel_tile
from mlp_kernels.cpu.in_place import update_address
from mlp_kernels.cpu.loop_code import loop_code
from mlp_kernels.cpu.safe_steps import LARGEST, addresses
from mlp_kernels.cpu.sections import forward_address
from mlp_scratch._types import Array
from mlp_scratch.backends.base import State
from mlp_scratch.backends.numba_code import (
    backward_code,
    forward_code,
    loss_code,
    loss_constants,
    optimizer_code,
    optimizer_constants,
)
from mlp_scratch.backends.numba_cores import usable_threads
from mlp_scratch.backends.numba_layout import Layout
from mlp_scratch.backends.numba_memory import aligned_zeros
from mlp_scratch.backends.refusals import refusal
from mlp_scratch.errors import ArgumentError
from mlp_scratch.layers import BatchNorm, Dense, Dropout, Identity, PReLU, ReLU
from mlp_scratch.placing import Placed
from mlp_scratch.program import Program

MOST_COPIED = 24e6
"""Bytes of parameters and optimiser state up to which training makes a second copy, to fall back to the first."""


def is_wide(program: Program) -> bool:
    """Whether a program is too large to be copied."""
    return (1 + len(program.optimizer.slots)) * program.n_parameters * program.dtype.itemsize > MOST_COPIED


@dataclass
class Tables:
    """A program lowered for this machine's register tile, a largest batch and a number of threads.

    Args:
        program: what to lower.
        batch_size: samples of the largest batch.
        threads: how many will run it.
        gradient: whether to store the gradient in the first slot instead of updating.
        labels: whether targets are class labels.
        inference: whether only logits are wanted; then nothing is compiled that only training calls.
        few: whether weights are read where they lie in the flat vector, see `few_samples`.
        in_place: whether weights stay there while they are trained, as far as they can, see `in_place`.

    Attributes:
        tile: the register tile of the program's dtype.
        panels: of the largest batch.
        layout: where parameters lie, see `numba_layout`.
        stages, ops, constants, places: what `network` lists.
        network: these and what else the loop reads.
        networks: the same as each thread sees it.
    """

    program: Program
    batch_size: int
    threads: int
    gradient: bool = False
    labels: bool = False
    inference: bool = False
    few: bool = False
    in_place: bool = False

    def __post_init__(self) -> None:
        if unknown := refusal(self.program):
            raise ArgumentError(
                "backend",
                given=f"'numba' for a model with {unknown}",
                expected="layers, losses and optimisers of the package itself",
                mend="use backend='numpy'",
            )
        self.tile = panel_tile(self.program.dtype)
        self.panels = -(-self.batch_size // self.tile.columns)
        self._row_multiple = max(self.tile.rows, self.tile.lanes, 4)  # of masks `dropout` writes four rows at a time
        stages = self._cut()
        self.places = np.zeros(nw.PLACES, np.int64)
        self.layout = Layout(self.tile, self.program.operations, self._is_frozen, in_place=self.in_place)
        self.places[nw.IN_PLACE], self.places[nw.N_SLOTS] = self.in_place, self.slots
        self.places[nw.VECTORS], self.places[nw.LEAST] = self.layout.learning, LEAST_WORK
        self.places[nw.PANELS], self.places[nw.LOWEST] = self.panels, self._lowest(stages)
        self.places[nw.PACE] = -(-self.tile.rows // self.panels)
        self.stages = np.zeros((len(stages), nw.STAGE_COLUMNS), np.int64)
        self._arena_size = 0
        self._staying: dict[int, int] = {}
        most_ops = max(1, sum(not isinstance(op.layer, Dense) for op in self.program.operations))
        self.ops = np.zeros((most_ops, nw.OP_COLUMNS), np.int64)
        self.constants = np.zeros((most_ops, 2))
        self._fill(stages)
        self.layout.finish()
        self.stages[:, nw.SLOTS] = self.layout.size + self.stages[:, nw.WEIGHTS]
        self.stages[:, nw.SLOT_STEP] = self.layout.size
        if not self.inference:
            self._reserve_gradients()
        self._reserve_scratch()
        inputs = self._inputs(own=self.threads == 2 and self.panels == 1 and not (self.inference or stages[0]))
        self.network = nw.Network(
            self.stages,
            self.ops,
            self.constants,
            self.places,
            np.array(self._code(), np.int64),
            loss_constants(self.program.loss),
            optimizer_constants(None if self.gradient else self.program.optimizer),
        )
        self.networks = [self.network._replace(stages=stages) for stages in inputs]

    @property
    def slots(self) -> int:
        """Vectors that the optimiser remembers, or one for the gradient."""
        if self.inference:
            return 0
        return 1 if self.gradient else len(self.program.optimizer.slots)

    def work_on(self, state: State, memory: nw.Memory) -> None:
        """Let the weights that stay be those of `state`, in a call that works on `memory`."""
        first, *others = (vector.ctypes.data for vector in (memory.packed, state.flat, state.slots))
        flat, slots = ((other - first) // memory.packed.itemsize for other in others)
        for network in self.networks:
            for s, start in self._staying.items():
                network.stages[s, [nw.WEIGHTS, nw.SLOTS, nw.SLOT_STEP]] = flat + start, slots + start, state.flat.size

    def memory(self, packed: Array | None = None) -> nw.Memory:
        """Arrays to run in, fresh but for `packed`, where there is one that may be written over."""
        dtype = self.program.dtype
        if packed is None:
            packed = aligned_zeros((1 + self.slots) * self.layout.size, dtype).reshape(1 + self.slots, -1)
        return nw.Memory(
            packed,
            aligned_zeros(max(1, self.layout.vectors_size), dtype),
            aligned_zeros(self._arena_size, dtype),
            aligned_zeros(self.program.n_buffers, dtype),
            aligned_zeros(board_size(self.threads), np.dtype(np.int64)),
            np.zeros(LARGEST + 2 * self.threads),
            aligned_zeros(self.program.n_buffers, dtype),
        )

    def _cut(self) -> list[list[Placed]]:
        """The operations in stages: the first one before any dense layer, each other one led by its dense layer."""
        stages: list[list[Placed]] = [[]]
        for op in self.program.operations:
            if isinstance(op.layer, Dense):
                stages.append([])
            stages[-1].append(op)
        return stages

    def _is_frozen(self, op: Placed) -> bool:
        """Whether nobody asks for the layer's gradient; where gradients are all that is asked for, it counts too."""
        return not (op.layer.trainable or self.gradient)

    def _lowest(self, stages: list[list[Placed]]) -> int:
        """The first stage in which anything learns."""
        learning = (any(op.parameters and not self._is_frozen(op) for op in stage) for stage in stages)
        return next((s for s, learns in enumerate(learning) if learns), len(stages))

    def _fill(self, stages: list[list[Placed]]) -> None:
        output, rows = 0, 0
        o = 0
        for s, stage in enumerate(stages):
            row = self.stages[s]
            layers = stage[1:] if s else stage
            features = stage[0].n_out if s else self.program.operations[0].n_in
            row[nw.N_OUT] = features
            if s:
                dense = stage[0]
                row[nw.N_IN], row[nw.INPUT], row[nw.INPUT_ROWS] = dense.n_in, output, rows
                self._place_weights(dense, s)
            rows = self._rows(features)
            row[nw.ROWS] = rows
            output = row[nw.PRODUCT] = self._reserve_panels(rows)
            if s and layers and isinstance(layers[0].layer, ReLU):
                cut, layers = layers[0].layer, layers[1:]
                way_back = not self.inference and (layers or stage is stages[-1])  # elsewhere the next product's
                row[nw.CUT] = backward_code(cut, self.tile) if way_back else 1
            row[nw.FIRST_OP] = o
            for placed in layers:
                if isinstance(placed.layer, Identity):
                    continue
                output = self._fill_op(placed, o, output, rows)
                o += 1
            row[nw.LAST_OP], row[nw.OUTPUT] = o, output

    def _place_weights(self, dense: Placed, s: int) -> None:
        assert isinstance(dense.layer, Dense)
        row = self.stages[s]
        row[nw.BIAS] = self.layout.place(dense, "bias")
        row[nw.LEARNS] = not self._is_frozen(dense)
        row[nw.LEARNS_BIAS] = dense.layer.bias and row[nw.LEARNS]
        if self.few:
            row[nw.WEIGHTS] = dense.parameters[0].start
            return
        panels = self.layout.place_weights(dense)
        row[[nw.WEIGHTS, nw.WEIGHT_ROWS, nw.WEIGHT_PANELS, nw.REST]] = panels[:4]
        if panels.stay:
            self._staying[s] = panels.place

    def _fill_op(self, placed: Placed, o: int, source: int, rows: int) -> int:
        """One operation's row; returns where its result lies."""
        layer, row = placed.layer, self.ops[o]
        constants = layer.constants()
        self.constants[o, : len(constants)] = constants
        row[nw.SOURCE], row[nw.LAYER] = source, placed.index
        if placed.parameters:
            row[nw.PARAMETERS] = self.layout.place(placed, "weight")
        if isinstance(layer, Dropout):
            # In place: of the layers before it none needs its result but ReLU, whose zeros and signs survive.
            row[nw.KIND], row[nw.KEPT] = nw.DROPOUT, self._reserve_panels(rows)
            row[nw.RESULT] = source
        elif isinstance(layer, BatchNorm):
            row[nw.KIND], row[nw.KEPT] = nw.BATCH_NORM, self._reserve(2 * placed.n_out)
            row[nw.BUFFERS], row[nw.RESULT] = placed.buffers[0].start, self._reserve_panels(rows)
            row[nw.BY_BATCH] = layer.trainable
        elif isinstance(layer, PReLU):
            row[nw.KIND] = nw.SLOPES if layer.per_feature else nw.SLOPE
            row[nw.KEPT], row[nw.RESULT] = self._reserve(rows), self._reserve_panels(rows)
        else:
            row[nw.KIND] = nw.ACTIVATION
            row[nw.FORWARD] = forward_code(layer, self.tile)
            row[nw.BACKWARD] = 0 if self.inference else backward_code(layer, self.tile)
            row[nw.RESULT] = self._reserve_panels(rows)
        return int(row[nw.RESULT])

    def _inputs(self, own: bool) -> list[Array]:
        """The stages as each thread sees them, with the batch in the same place, or each thread's in its `own`.

        Two threads that share a batch of one panel wait for the half that the other one has gathered, and to gather
        their own half again they wait until the other's cache has given it up. More threads have less each to gather,
        and more panels take longer to work on.
        """
        self.places[nw.OWN_INPUT] = own
        found = [self.stages]
        for _ in range(1, self.threads):
            found.append(self.stages.copy() if own else self.stages)
            if own:
                place = self._reserve_panels(int(self.stages[0, nw.ROWS]))
                found[-1][0, [nw.PRODUCT, nw.OUTPUT]] = found[-1][1, nw.INPUT] = place
        return found

    def _reserve_gradients(self) -> None:
        """Room for the gradients of products: two places in turn, for each is needed until the one below is there.

        In place there is one for each stage, since all are needed until the last is there.
        """
        width, rows = self.tile.columns, self.stages[:, nw.ROWS]
        for column, sizes in (nw.GRADIENT, rows), (nw.TRANSPOSED, -(-rows // width) * width):
            if self.in_place:
                self.stages[:, column] = [self._reserve_panels(int(size)) for size in sizes]
            else:
                self.stages[0::2, column], self.stages[1::2, column] = (
                    self._reserve_panels(int(sizes.max())) for _ in range(2)
                )

    def _reserve_scratch(self) -> None:
        """Room for the figures of samples, for the step's hyper-parameters, and for what each thread works on."""
        width = self.tile.columns
        for place in (nw.SHARES, nw.VALUES, nw.ACCURACIES):
            self.places[place] = self._reserve(self.panels * width)
        self.places[nw.HYPER] = self._reserve(16)
        self.places[nw.UNUSED] = self._reserve(-(-int(self.stages[:, nw.ROWS].max()) // width) * width)
        targets = int(self.stages[-1, nw.N_OUT])
        # Two rows of sums, of batch normalisation; a panel of targets; a tile of weights and of slots, in place.
        scratch = max(2, targets, (1 + self.slots) * self.tile.rows) * width
        self.places[nw.SCRATCH_STEP] = -(-scratch // 64) * 64
        self.places[nw.SCRATCH] = self._reserve(self.threads * int(self.places[nw.SCRATCH_STEP]))

    def _rows(self, features: int) -> int:
        return -(-features // self._row_multiple) * self._row_multiple

    def _reserve(self, size: int) -> int:
        place = self._arena_size
        self._arena_size += -(-size // 16) * 16  # a cache line of float32, so that threads share none
        return place

    def _reserve_panels(self, rows: int) -> int:
        return self._reserve(self.panels * rows * self.tile.columns)

    def _code(self) -> tuple[int, ...]:
        """Where the compiled loss, the forms of the optimiser, what trains in place and the ways through a step lie."""
        if self.inference:
            return (*(0,) * nw.WAY_FORWARD, 0 if self.few else forward_address(self.tile), 0)
        optimizer, tile = None if self.gradient else self.program.optimizer, self.tile
        if self.batch_size <= tile.half_lanes:  # the same panels, in vectors that such a batch comes closer to filling
            tile = replace(tile, lanes=tile.half_lanes, vectors=tile.columns // tile.half_lanes)
        with loop_code(self.tile, usable_threads()) as ways:
            forms = optimizer_code(optimizer, self.tile, self.stages[1:, nw.N_OUT].tolist())
            wide = (*addresses(self.tile), update_address(self.tile)) if self.in_place else (0, 0, 0)
            return loss_code(self.program.loss, tile, self.labels), *forms, *wide, *ways()
