"""What is left of C where its columns end: a few of them, with the rows of C in the lanes.

The tile of `register_tile` multiplies each element of A by a vector of B. Where one column is left, one lane of that
vector does something of use. Here a vector of A is multiplied by each element of B, so all lanes do:

    registers        B[k, 0]   B[k, 1]           memory
    A[0:R, k]   -->  C 0:R,0   C 0:R,1           a:  the panels of A, packed
    A[R:2R, k]  -->  C R:2R,0  C R:2R,1          b:  the last panel of B, packed as for other tiles
      ...              ...       ...

A sum waits four cycles for its last addition, so several panels of A are multiplied side by side. The sums have the
order, and so the bits, of the other tile, whose plain reference is that of this one: `register_tile.reference`.
"""

from functools import partial
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from mlp_kernels.cpu.panel_loops import while_positive
from mlp_kernels.cpu.register_tile import Destination
from mlp_kernels.cpu.vector_ir import Vectors, index

COLUMNS, PANELS = 4, 2
"""Of the tile: eight sums. Two columns of four panels take longer: then all of A is read twice where three are left."""


@intrinsic  # type: ignore[untyped-decorator]  # Numba's
def multiply_few_columns(
    _context: Any,
    tile: Any,
    epilogue: Any,
    a: Any,
    panel_bytes: Any,
    b: Any,
    bias: Any,
    c: Any,
    c_row_bytes: Any,
    depth: Any,
    rows: Any,
    columns: Any,
    add: Any,
    last: Any,
) -> Any:
    """`multiply_tile` for up to `COLUMNS` columns, and `PANELS` panels of A that are `panel_bytes` apart.

    Of more `rows` and `columns`, those beyond are left to other tiles.
    """
    signature = types.void(tile, epilogue, *[types.int64] * 9, types.boolean, types.boolean)
    most_rows, step = tile.value.rows, tile.value.panel_rows

    def generate(context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
        _, _, a, panel_bytes, b, bias, c, c_row_bytes, depth, rows, columns, add, last = arguments
        down, across = Vectors(builder, tile.value, step), Vectors(builder, tile.value, COLUMNS)
        panels = []
        for panel in range(PANELS):  # where there are fewer, the first one does once more, for nothing
            there = builder.icmp_signed(">", rows, index(panel * most_rows))
            hop = builder.select(there, builder.mul(panel_bytes, index(panel)), index(0))
            panels.append(down.pointer(builder.add(a, hop)))

        def one_step(carried: list[ir.Value]) -> list[ir.Value]:
            left, b_here, *others = carried
            a_here, sums = others[:PANELS], others[PANELS:]
            numbers = [down.broadcast(b_here, j) for j in range(COLUMNS)]
            vectors = [down.load(panel) for panel in a_here]
            added = [
                down.multiply_add(vector, number, sums[i * COLUMNS + j])
                for i, vector in enumerate(vectors)
                for j, number in enumerate(numbers)
            ]
            a_next = [down.address(panel, step) for panel in a_here]
            return [builder.sub(left, index(1)), down.address(b_here, tile.value.columns), *a_next, *added]

        start = [depth, down.pointer(b), *panels, *[down.constant(0.0)] * (PANELS * COLUMNS)]
        sums = while_positive(builder, start, one_step)[2 + PANELS :]
        for panel in range(PANELS):
            first = index(panel * most_rows)
            place = builder.add(c, builder.mul(first, c_row_bytes))
            to = Destination(across, place, c_row_bytes, builder.sub(rows, first), columns, most_rows, 1)
            columns_of_c = sums[panel * COLUMNS : (panel + 1) * COLUMNS]
            block = to.add_to([_row(across, columns_of_c, i) for i in range(most_rows)], add)
            finished = partial(epilogue.value.emit, to=to, bias=bias)
            to.store(across.when(last, block, finished))
        return context.get_dummy_value()

    return signature, generate


def _row(v: Vectors, columns: list[ir.Value], i: int) -> ir.Value:
    """Row i of a block whose columns are vectors."""
    row: ir.Value = ir.Constant(v.type, ir.Undefined)
    for j, column in enumerate(columns):
        element = v.builder.extract_element(column, ir.Constant(ir.IntType(32), i))
        row = v.builder.insert_element(row, element, ir.Constant(ir.IntType(32), j))
    return row
