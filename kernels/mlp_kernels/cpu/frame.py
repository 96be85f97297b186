"""A network, its memory and its data as pointers, and how the functions of a step look things up in them."""

from typing import Any, NamedTuple

from numba import from_dtype, types

from mlp_kernels.cpu.compiling import inlined, kernel
from mlp_kernels.cpu.memory import load, pointer_to, shift
from mlp_kernels.cpu.network import (
    GRADIENT,
    IN_PLACE,
    N_OUT,
    OP_COLUMNS,
    REST,
    STAGE_COLUMNS,
    TRANSPOSED,
    WEIGHT_PANELS,
    WEIGHT_ROWS,
    WEIGHTS,
)
from mlp_kernels.cpu.references import ReferenceType
from mlp_kernels.cpu.tile import Tile


class Frame(NamedTuple):
    """What `Network`, `Memory` and a data set hold: a few words, where a dozen arrays would be a hundred.

    Nor do pointers count references. Functions of a step get them all as one, see `references.py`.

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
    board: Any
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
        pointer_to(memory.board),
        pointer_to(memory.bounds),
        pointer_to(memory.before),
        pointer_to(data),
        pointer_to(targets),
        pointer_to(weights),
    )


def frame_type(tile: Tile) -> Any:
    """The type of a reference to what `frame` gives, for networks of a tile's dtype."""
    ints, reals = types.CPointer(types.int64), types.CPointer(types.float64)
    floats = types.CPointer(from_dtype(tile.dtype))
    tables = ints, ints, reals, ints, ints, reals, reals
    memory = floats, floats, floats, floats, ints, reals, floats
    counts = types.int64, types.int64, types.int64, types.boolean
    return ReferenceType(types.NamedTuple((*counts, *tables, *memory, ints, ints, ints), Frame))


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
