"""The loops that the tiles of a layer share: sums that run over several panels, begun anew or gone on with."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from llvmlite import ir

from mlp_kernels.cpu.prefetch import Prefetch
from mlp_kernels.cpu.register_tile import Block, accumulate
from mlp_kernels.cpu.vector_ir import Vectors, index

Start: TypeAlias = Callable[[int, int], ir.Value]


def accumulate_panels(
    v: Vectors,
    a: ir.Value,
    hop: ir.Value,
    b: ir.Value,
    depth: ir.Value,
    start: Block,
    vectors: int,
    prefetches: Sequence[Prefetch] = (),
) -> Block:
    """The loop over the panels of A, the register tile's own loop over the lanes of each inside."""
    builder, width = v.builder, v.tile.columns

    def one_panel(carried: list[ir.Value]) -> list[ir.Value]:
        left, a_here, b_here, *others = carried
        lines, block = others[: len(prefetches)], others[len(prefetches) :]
        from_here = [each._replace(place=line) for each, line in zip(prefetches, lines, strict=True)]
        lanes = builder.select(builder.icmp_signed("<", left, index(width)), left, index(width))
        sums = accumulate(
            v,
            a_here,
            b_here,
            lanes,
            a_rows=range(0, len(block) // vectors * width, width),
            a_depth=1,
            b_depth=width,
            vectors=vectors,
            start=block,
            prefetches=from_here,
        )
        lines = [v.address(line, builder.mul(lanes, pace) if hop is None else hop) for line, pace, _, hop in from_here]
        a_next, b_next = v.address(a_here, hop), v.address(b_here, width * width)
        return [builder.sub(left, index(width)), a_next, b_next, *lines, *sums]

    lines = (each.place for each in prefetches)
    return while_positive(builder, [depth, a, b, *lines, *start], one_panel)[3 + len(prefetches) :]


def while_positive(
    builder: ir.IRBuilder, start: list[ir.Value], body: Callable[[list[ir.Value]], list[ir.Value]]
) -> list[ir.Value]:
    """A loop that hands its values on from turn to turn, until the first of them is no longer positive."""
    before = builder.block
    loop, after = builder.append_basic_block("panel"), builder.append_basic_block("panels_done")
    builder.branch(loop)
    builder.position_at_end(loop)
    carried = []
    for value in start:
        phi = builder.phi(value.type)
        phi.add_incoming(value, before)
        carried.append(phi)
    following = body(carried)
    for phi, value in zip(carried, following, strict=True):
        phi.add_incoming(value, builder.block)
    builder.cbranch(builder.icmp_signed(">", following[0], index(0)), loop, after)
    builder.position_at_end(after)
    return following


def start_of(v: Vectors, shape: tuple[int, int], first: ir.Value, fresh: Start, stored: Start) -> Block:
    """The values that sums of so many rows and vectors begin at: fresh ones, or those that an earlier part stored."""
    builder, (rows, vectors) = v.builder, shape
    with builder.if_else(builder.icmp_signed("!=", first, index(0))) as (begin, resume):
        with begin:
            new = [fresh(i, j) for i in range(rows) for j in range(vectors)]
            new_end = builder.block
        with resume:
            old = [stored(i, j) for i in range(rows) for j in range(vectors)]
            old_end = builder.block
    start = []
    for one, other in zip(new, old, strict=True):
        value = builder.phi(v.type)
        value.add_incoming(one, new_end)
        value.add_incoming(other, old_end)
        start.append(value)
    return start


def place(v: Vectors, i: int, j: int) -> int:
    """Where vector j of row i lies in a block of panels, in elements."""
    return i * v.tile.columns + j * v.lanes


def places(block: Block, vectors: int) -> list[tuple[int, int, ir.Value]]:
    """The vectors of a block, each with its row and its number in the row."""
    return [(*divmod(number, vectors), value) for number, value in enumerate(block)]
