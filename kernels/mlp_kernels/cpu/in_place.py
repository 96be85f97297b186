"""The updates of weights that are trained where the model has them: in panels, each in the place of its rows.

A panel of w outputs and D inputs has as many elements as those w rows of W, so `weights.turn` needs no other place:

    rows in the flat vector     row 0 | row 1 | ... | row w-1 | row w | ...        each D long
    while training              panel 0, [D][w]               | panel 1 | ...      end to end, then too few outputs

Outputs too few for a panel have one of their own, filled up, in `packed`. And behind the last input of a panel begins
the next one, where otherwise it has rows to spare for a whole tile:

    inputs of a panel           tile of R rows | ... | tile | D % R rows | the next panel
                                                            `--- a tile would write here, too

So these go through a room aside, of a tile's size. `update_in_place` is called through an address, see `native.py`:
only wide networks need it compiled, see `safe_steps.py`.

Plain reference: the same network with all of its panels in `packed`; compared by `tests/backends/test_in_place.py`.
"""

from typing import Any

from mlp_kernels.cpu.compiling import kernel
from mlp_kernels.cpu.memory import load, shift, store
from mlp_kernels.cpu.native import FLOATS, INT, INTS, address, call
from mlp_kernels.cpu.network import N_OUT, REST, SLOT_STEP, SLOTS, WEIGHT_PANELS, WEIGHT_ROWS, WEIGHTS
from mlp_kernels.cpu.tile import Tile


def update_in_place(
    tile: Tile,
    row: Any,
    x: Any,
    hop: int,
    dz: Any,
    dz_step: int,
    first: int,
    last: int,
    begin: int,
    end: int,
    n: int,
    packed: Any,
    packed_step: int,
    hyper: Any,
    room: Any,
    n_slots: int,
    update: int,
) -> None:
    """What the code at `update` does, an `updates.weights_update_of`, to the weights of a stage wherever they lie.

    `row` is the stage's, `packed_step` the step from slot to slot in `packed`. A thread's own `room` has a tile for the
    weights and one for each slot.
    """
    width, step = tile.columns, tile.rows * tile.columns
    outputs, w_rows, panels = load(row, N_OUT), load(row, WEIGHT_ROWS), load(row, WEIGHT_PANELS)
    what = x, hop, dz, dz_step, outputs
    if last > panels:  # the one panel of the rest
        rest = shift(packed, load(row, REST) - panels * w_rows * width)  # so that its number leads there
        memory = rest, w_rows, shift(rest, packed_step), packed_step, hyper
        call(update, (tile, *what, panels, last, begin, end, n, *memory))
        last = panels
    weights, slots, slot_step = shift(packed, load(row, WEIGHTS)), shift(packed, load(row, SLOTS)), load(row, SLOT_STEP)
    if end == w_rows and w_rows % tile.rows != 0:  # the inputs that fill no tile
        end = w_rows // tile.rows * tile.rows
        size = (w_rows - end) * width
        for panel in range(first, last):
            place = (panel * w_rows + end) * width
            _move(shift(weights, place), shift(slots, place), slot_step, n_slots, room, step, size, False)
            aside = shift(room, -place)
            memory = aside, w_rows, shift(aside, step), step, hyper
            call(update, (tile, *what, panel, panel + 1, end, w_rows, n, *memory))
            _move(shift(weights, place), shift(slots, place), slot_step, n_slots, room, step, size, True)
    memory = weights, w_rows, slots, slot_step, hyper
    call(update, (tile, *what, first, last, begin, end, n, *memory))


@kernel
def _move(weights: Any, slots: Any, slot_step: int, n_slots: int, room: Any, step: int, size: int, back: bool) -> None:
    """Copy `size` weights, and as many elements of each slot, into `room`, where they lie `step` apart; or `back`."""
    for slot in range(-1, n_slots):
        here = weights if slot < 0 else shift(slots, slot * slot_step)
        there = shift(room, (1 + slot) * step)
        source, to = (there, here) if back else (here, there)
        for i in range(size):
            store(to, i, load(source, i))


def update_address(tile: Tile) -> int:
    """Where the code of `update_in_place` lies."""
    arguments = INTS, FLOATS, INT, FLOATS, INT, INT, INT, INT, INT, INT, FLOATS, INT, FLOATS, FLOATS, INT, INT
    return address(update_in_place, arguments, tile)
