"""The gradient of a block of weights, taken by the optimiser while it is still in registers.

    dW = x dzᵀ      a block of R inputs x w outputs; each step reads one lane of R rows of x, one row of dz, transposed

The block of dW is a block of W's own layout (see `layer_tiles.py`), and what the optimiser remembers lies in slots of
the same layout, `slot_step` elements apart. So W and its slots are read once, changed and written once, and no gradient
of a weight matrix is ever stored. The plain references are `register_tile.reference` and `rules.Rule.apply`, one after
the other.
"""

from typing import Any

from llvmlite import ir
from numba import from_dtype, types
from numba.extending import intrinsic

from mlp_kernels.cpu.lanes import Lanes
from mlp_kernels.cpu.panel_loops import accumulate_panels, place, while_positive
from mlp_kernels.cpu.prefetch import Prefetch, pair_of, prefetch_of
from mlp_kernels.cpu.register_tile import Block, narrowest, of_rows
from mlp_kernels.cpu.rules import Hyper, Rule
from mlp_kernels.cpu.vector_ir import Vectors, index


@intrinsic  # type: ignore[untyped-decorator]  # Numba's
def weights_tile(
    _context: Any,
    tile: Any,
    rule: Any,
    rows: Any,
    x: Any,
    hop: Any,
    dz: Any,
    depth: Any,
    weights: Any,
    slots: Any,
    slot_step: Any,
    hyper: Any,
    columns: Any,
    pace: Any,
    next_dz: Any,
) -> Any:
    """dW[i, j] = Σ_k x[i, k] dz[k, j], `rows` rows of w columns, for `depth` >= 1 samples; `rule` takes it at once.

    `rows` is what `blocks.next_rows` gives. x[i, k] lies as w[i, k] does for `input_tile`. `weights` is the block of W
    that this is the gradient of; what the rule remembers of it lies at `slots`, slot after slot. At least `columns`
    outputs of each row are worked out: where one vector or half of one is enough, no more. While the multiply-adds run,
    the block of weights and of each slot is prefetched, so that it is near when they end: `pace` bytes further at each
    step; and `next_dz`, see `prefetch.py`. Where half a vector is enough, nothing is.
    """
    element = types.CPointer(from_dtype(tile.value.dtype))
    ints = types.int64
    operands = (ints, element, ints, element, ints, element, element, ints, element, ints, ints)
    signature = types.void(tile, rule, *operands, pair_of(element))

    def generate(context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
        _, _, rows, x, hop, dz, depth, weights, slots, slot_step, hyper, columns, pace, next_dz = arguments

        def emit(height: int, v: Vectors, vectors: int) -> None:
            targets = [place(v, i, j) for i in range(height) for j in range(vectors)]
            memory = _with_slots(v, rule.value, weights, slots, slot_step)
            prefetches = []
            if v.lanes == v.tile.lanes:  # of fewer outputs there is little, in the caches for the most part
                prefetches += [Prefetch(v.bytes(block), pace, near=True) for block in memory]
                prefetches += prefetch_of(v, next_dz, near=False)
            zeros = [v.constant(0.0)] * len(targets)
            block = accumulate_panels(v, x, hop, dz, depth, zeros, vectors, prefetches=prefetches)
            h = _hyper(v, hyper)
            for value, target in zip(block, targets, strict=True):
                _update(v, rule.value, h, value, [v.address(each, target) for each in memory])

        of_rows(builder, tile.value, rows, columns, emit)
        return context.get_dummy_value()

    return signature, generate


@intrinsic  # type: ignore[untyped-decorator]  # Numba's
def weights_column(
    _context: Any,
    tile: Any,
    rule: Any,
    x: Any,
    hop: Any,
    dz: Any,
    dz_hop: Any,
    samples: Any,
    weights: Any,
    slot_step: Any,
    hyper: Any,
) -> Any:
    """dw[i] = Σ_k x[i, k] dz[k] of a layer with one output: R rows, a product of vectors each, over `samples` >= 1.

    `rule` takes it at once; the R weights are neighbours, see `column_tiles.py`. Here dz lies as the loss left it,
    lanes that are samples, its panels `dz_hop` elements apart. Beyond the last sample x and dz may hold anything. Of a
    few samples no more than one vector is taken, or half of one.
    """
    element = types.CPointer(from_dtype(tile.value.dtype))
    ints = types.int64
    signature = types.void(tile, rule, element, ints, element, ints, ints, element, ints, element)

    def generate(context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
        _, _, x, hop, dz, dz_hop, samples, weights, slot_step, hyper = arguments
        rows, zero = tile.value.rows, index(0)
        block = Vectors(builder, tile.value, rows)

        def emit(v: Vectors, vectors: int) -> None:
            def one_panel(x_here: ir.Value, dz_here: ir.Value, sums: Block, masks: list[Any]) -> Block:
                d = [v.load_part(dz_here, j * v.lanes, masks[j]) for j in range(vectors)]
                return [
                    v.multiply_add(v.load_part(x_here, place(v, i, j), masks[j]), d[j], sums[i * vectors + j])
                    for i in range(rows)
                    for j in range(vectors)
                ]

            def whole_panel(carried: list[ir.Value]) -> list[ir.Value]:
                left, x_here, dz_here, *sums = carried
                sums = one_panel(x_here, dz_here, sums, [None] * vectors)
                return [builder.sub(left, index(1)), v.address(x_here, hop), v.address(dz_here, dz_hop), *sums]

            # Whole panels by themselves: most are, and masks would take a few percent of the step of a small network.
            whole, rest = (f(samples, index(v.tile.columns)) for f in (builder.sdiv, builder.srem))
            carried = [whole, x, dz, *[v.constant(0.0)] * (rows * vectors)]
            if vectors * v.lanes == v.tile.columns:
                some = builder.icmp_signed(">", whole, zero)
                carried = v.when(some, carried, lambda old: while_positive(builder, old, whole_panel))
            _, x_rest, dz_rest, *sums = carried
            masks = v.row_masks(rest)[:vectors]
            some = builder.icmp_signed(">", rest, zero)
            sums = v.when(some, sums, lambda old: one_panel(x_rest, dz_rest, old, masks))
            gradient = block.constant(0.0)
            for i in range(rows):
                total = v.total(sums[i * vectors : (i + 1) * vectors])
                gradient = builder.insert_element(gradient, total, ir.Constant(ir.IntType(32), i))
            memory = _with_slots(block, rule.value, weights, block.address(weights, slot_step), slot_step)
            _update(block, rule.value, _hyper(block, hyper), gradient, memory)

        narrowest(builder, tile.value, samples, emit)
        return context.get_dummy_value()

    return signature, generate


@intrinsic  # type: ignore[untyped-decorator]  # Numba's
def update_lanes(_context: Any, tile: Any, rule: Any, p: Any, slot_step: Any, gradient: Any, hyper: Any) -> Any:
    """`rule` for one vector of parameters, whose gradient lies in memory."""
    element = types.CPointer(from_dtype(tile.value.dtype))
    signature = types.void(tile, rule, element, types.int64, element, element)

    def generate(context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
        _, _, p, slot_step, gradient, hyper = arguments
        v = Vectors(builder, tile.value)
        memory = _with_slots(v, rule.value, p, v.address(p, slot_step), slot_step)
        _update(v, rule.value, _hyper(v, hyper), v.load(gradient), memory)
        return context.get_dummy_value()

    return signature, generate


def _hyper(v: Vectors, row: ir.Value) -> Hyper:
    return Hyper(*(Lanes(v, v.broadcast(row, i)) for i in range(len(Hyper._fields))))


def _with_slots(v: Vectors, rule: Rule, p: ir.Value, slots: ir.Value, slot_step: ir.Value) -> list[ir.Value]:
    """Where parameters lie, and what `rule` remembers of them."""
    return [p, *(v.address(slots, v.builder.mul(slot_step, index(slot))) for slot in range(rule.slots))]


def _update(v: Vectors, rule: Rule, h: Hyper, gradient: ir.Value, memory: list[ir.Value]) -> None:
    """One vector of parameters and of its slots, from `memory` and back."""
    before, *slots = (Lanes(v, v.load(pointer)) for pointer in memory)
    after, slots = rule.apply(h, before, Lanes(v, gradient), slots)
    for value, pointer in zip([after, *slots], memory, strict=True):
        v.store(value.value, pointer)
