"""Rung 5, warp tile: lanes arranged to share what they read, and memory that arrives while they work.

A warp makes a part of the block that is as square as can be. With 64 x 32 of it, and 8 x 8 a lane, its lanes stand in
8 rows of 4: for 64 + 32 numbers read from shared memory, each by several lanes at once, it does 64 · 32 multiply-adds.

    lanes of a warp        first of the 4 rows and columns of each; the next four are 32 rows, 16 columns further on
    |  0  1  2  3 |        |  0,0    0,4    0,8    0,12 |
    |  4  5  6  7 |        |  4,0    4,4    4,8    4,12 |
    |  ...        |        |  ...                       |
    | 28 29 30 31 |        | 28,0   28,4   28,8   28,12 |

Slabs come through the `pipeline`. One factory makes every layout, epilogue and float type. The plain references are
`naive.reference` and `epilogues.reference`.
"""

from functools import cache
from typing import Any

from mlp_kernels.cuda import pipeline
from mlp_kernels.cuda.device import device
from mlp_kernels.cuda.epilogues import STORE, Epilogue, make_finish_block
from mlp_kernels.cuda.register_tile import make_outer_products
from mlp_kernels.cuda.slabs import Layout, slabs_for
from mlp_kernels.cuda.tiles import WARP, Tile


@cache
def make_kernel(
    element: Any,
    tile: Tile,
    layout: Layout = "NN",
    epilogue: Epilogue = STORE,
    *,
    aligned: bool = True,
    row_sums: bool = False,
) -> Any:
    """The kernel C = epilogue(op(A) @ op(B)); see `pipeline.make_kernel` for its arguments."""
    lanes_in_row = tile.warp_columns // tile.lane_columns
    if tile.warp_rows // tile.lane_rows * lanes_in_row != WARP:
        raise ValueError(f"tile: got {tile}, expected {WARP} lanes that fill a warp's part")
    row_hop, column_hop = 4 * (tile.warp_rows // tile.lane_rows), 4 * lanes_in_row

    @device
    def place(lane: Any) -> Any:
        return lane // lanes_in_row * 4, lane % lanes_in_row * 4

    slabs = slabs_for(tile, layout, by_k=True)
    steps_of_k = (slab.k_step for slab in slabs)
    multiplication = pipeline.Multiplication(
        size=tile.lane_rows * tile.lane_columns,
        operands=place,
        result=place,
        add=make_outer_products(element, tile, *steps_of_k, row_hop, column_hop),
        finish=make_finish_block(tile, epilogue, row_hop, column_hop, aligned=aligned),
    )
    return pipeline.make_kernel(element, tile, slabs, multiplication, aligned=aligned, row_sums=row_sums)
