"""The products of a dense layer for a batch of a few samples: vectors of outputs, where else lanes are samples.

A tile of `layer_tiles` multiplies a whole vector of samples by each weight. Of one sample it would use one lane. Here
a vector of weights is multiplied by one number, as the panels of W have it (see `layer_tiles.py` for the layout):

    z  = W x + b     a row of sums for each sample over one panel of outputs; each step reads one row of W's panel and
                     one number of each sample
    dx = Wᵀ dz       a dot product for each input and sample over all panels; dz transposed, as dW reads it

The weights are read once, a whole vector at a time, so such a step takes about as long as reading them. The plain
reference of both is `register_tile.reference`.
"""

from functools import partial
from typing import Any

from llvmlite import ir
from numba import from_dtype, types
from numba.extending import intrinsic

from mlp_kernels.cpu.compiling import kernel
from mlp_kernels.cpu.layer_tiles import relu_slope
from mlp_kernels.cpu.memory import shift
from mlp_kernels.cpu.panel_loops import place, while_positive
from mlp_kernels.cpu.tile import Tile
from mlp_kernels.cpu.vector_ir import Vectors, index

MOST_FORWARD, MOST_BACKWARD = 4, 2
"""Samples up to which this way is taken. So many gain by it, as measured, on a CPU with 16 registers, which the sums of
six forward, or of four back, no longer fit. With 32 there is room for more, eight forward."""
INPUTS_A_SAMPLE, OUTPUTS_A_SAMPLE = 8, 32
"""Terms that sums must have for each sample of the batch: inputs of the layer forward, outputs back. What this way
saves grows with them; what it costs, storing results one by one or adding up lanes, with the samples alone. The numbers
are on the safe side: fewer terms did where it was measured."""


def _forward_of(samples: int, panels: int) -> Any:
    """The product for so many samples, of so many panels of outputs at once.

    A sum waits four cycles for its last addition, so there have to be several sums to work on in the meantime.
    """

    @intrinsic  # type: ignore[untyped-decorator]  # Numba's
    def forward(
        _context: Any, tile: Any, w: Any, hop: Any, x: Any, depth: Any, z: Any, bias: Any, floor: Any, outputs: Any
    ) -> Any:
        element, ints = types.CPointer(from_dtype(tile.value.dtype)), types.int64
        signature = types.void(tile, element, ints, element, ints, element, element, element.dtype, ints)
        width, vectors = tile.value.columns, tile.value.vectors
        places = [(panel, j) for panel in range(panels) for j in range(vectors)]

        def generate(context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
            _, w, hop, x, depth, z, bias, floor, outputs = arguments
            v = Vectors(builder, tile.value)

            # Where there is no such panel, the first one does once more, for nothing.
            there = [builder.icmp_signed(">", outputs, index(panel * width)) for panel in range(panels)]
            number = [builder.select(exists, index(panel), index(0)) for panel, exists in enumerate(there)]
            hops = [builder.mul(hop, panel) for panel in number]
            biases = [v.address(bias, builder.mul(panel, index(width))) for panel in number]

            def one_input(carried: list[ir.Value]) -> list[ir.Value]:
                left, w_here, x_here, *sums = carried
                inputs = [v.broadcast(x_here, i) for i in range(samples)]
                added = []
                for vector, (panel, j) in enumerate(places):
                    weights = v.load(v.address(w_here, hops[panel]), j * v.lanes)
                    for i, value in enumerate(inputs):
                        added.append(v.multiply_add(value, weights, sums[vector * samples + i]))
                return [builder.sub(left, index(1)), v.address(w_here, width), v.address(x_here, width), *added]

            start = [v.load(biases[panel], j * v.lanes) for panel, j in places for _ in range(samples)]
            _, _, _, *sums = while_positive(builder, [depth, w, x, *start], one_input)
            low = v.splat(floor)
            for vector in range(len(places)):
                with builder.if_then(builder.icmp_signed(">", outputs, index(vector * v.lanes))):
                    for i in range(samples):
                        value = sums[vector * samples + i]
                        value = builder.select(builder.fcmp_ordered("<", value, low), low, value)
                        for lane in range(v.lanes):
                            number = builder.extract_element(value, ir.Constant(ir.IntType(32), lane))
                            builder.store(number, v.address(z, (vector * v.lanes + lane) * width + i))
            return context.get_dummy_value()

        return signature, generate

    return forward


def _input_of(samples: int) -> Any:
    """A tile's rows of dx for so many samples."""

    @intrinsic  # type: ignore[untyped-decorator]  # Numba's
    def gradient(
        _context: Any,
        tile: Any,
        w: Any,
        hop: Any,
        rest: Any,
        after: Any,
        dz: Any,
        dz_hop: Any,
        outputs: Any,
        dx: Any,
        x: Any,
        cut: Any,
    ) -> Any:
        element, ints = types.CPointer(from_dtype(tile.value.dtype)), types.int64
        signature = types.void(tile, element, ints, element, ints, element, ints, ints, element, element, ints)
        rows, width, vectors = tile.value.rows, tile.value.columns, tile.value.vectors

        def generate(context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
            _, w, hop, rest, after, dz, dz_hop, outputs, dx, x, cut = arguments
            v = Vectors(builder, tile.value)
            zero, behind_relu = v.constant(0.0), builder.icmp_signed("!=", cut, index(0))

            def through_relu(offset: int, row: list[ir.Value]) -> list[ir.Value]:
                return [builder.fmul(row[0], relu_slope(v, x, offset))]

            def one_panel(carried: list[ir.Value]) -> list[ir.Value]:
                left, w_here, dz_here, *sums = carried
                for k in range(vectors):
                    # Beyond the last output lies anything.
                    mask = v.first_lanes(builder.sub(left, index(k * v.lanes)))
                    d = [v.masked_load(dz_here, j * width + k * v.lanes, mask) for j in range(samples)]
                    for i in range(rows):
                        weights = v.masked_load(w_here, place(v, i, k), mask)
                        for j in range(samples):
                            sums[i * samples + j] = v.multiply_add(weights, d[j], sums[i * samples + j])
                left = builder.sub(left, index(width))
                w_here = builder.select(builder.icmp_signed("==", left, after), rest, v.address(w_here, hop))
                return [left, w_here, v.address(dz_here, dz_hop), *sums]

            start = [outputs, w, dz, *[zero] * (rows * samples)]
            _, _, _, *sums = while_positive(builder, start, one_panel)
            for i in range(rows):
                row = zero
                for j in range(samples):
                    lane = ir.Constant(ir.IntType(32), j)
                    row = builder.insert_element(row, v.total([sums[i * samples + j]]), lane)
                (row,) = v.when(behind_relu, [row], partial(through_relu, place(v, i, 0)))
                v.store(row, dx, place(v, i, 0))
                for k in range(1, vectors):
                    v.store(zero, dx, place(v, i, k))
            return context.get_dummy_value()

        return signature, generate

    return gradient


_forward_1, _forward_1_wide = _forward_of(1, 2), _forward_of(1, 4)
_forward_2, _forward_4 = _forward_of(2, 2), _forward_of(4, 1)
_input_1, _input_2 = (_input_of(samples) for samples in (1, 2))


@kernel
def forward_panels(
    tile: Tile, w: Any, hop: int, x: Any, depth: int, z: Any, bias: Any, floor: float, outputs: int, samples: int
) -> None:
    """z[i, j] = b[i] + Σ_k w[k, i] x[k, j], for `outputs`, `depth` >= 1 inputs and up to `MOST_FORWARD` samples.

    The panels of w are `hop` apart. Results below `floor` become `floor`, as those of `layer_tiles.forward_tile` do,
    and the bits are the same: each sum is taken in the same order. Rows of z are written up to the next multiple of a
    vector behind `outputs`, and of each row the first `samples` columns, or one more.
    """
    width = tile.columns
    wide = samples == 1 and outputs > 2 * width
    at_once = 4 if wide else 2 if samples <= 2 else 1
    for h in range(0, outputs, at_once * width):
        left = outputs - h
        panel, to, start = shift(w, h // width * hop), shift(z, h * width), shift(bias, h)
        if wide:
            _forward_1_wide(tile, panel, hop, x, depth, to, start, floor, left)
        elif samples == 1:
            _forward_1(tile, panel, hop, x, depth, to, start, floor, left)
        elif samples == 2:
            _forward_2(tile, panel, hop, x, depth, to, start, floor, left)
        else:
            _forward_4(tile, panel, hop, x, depth, to, start, floor, left)


@kernel
def input_rows(
    tile: Tile,
    w: Any,
    hop: int,
    rest: Any,
    after: int,
    dz: Any,
    dz_hop: int,
    outputs: int,
    dx: Any,
    x: Any,
    cut: int,
    samples: int,
) -> None:
    """dx[i, j] = Σ_k w[i, k] dz[j, k], R rows of inputs, for up to `MOST_BACKWARD` samples.

    The panels of w are `hop` apart, but where `after` outputs are left the next one is `rest`; those of dz,
    transposed, are `dz_hop` apart. There are `outputs` >= 1 outputs. Where `cut`
    is not 0, `x` are the results of a ReLU and dx goes on to its input. All columns beyond `samples` become zero.
    """
    if samples == 1:
        _input_1(tile, w, hop, rest, after, dz, dz_hop, outputs, dx, x, cut)
    else:
        _input_2(tile, w, hop, rest, after, dz, dz_hop, outputs, dx, x, cut)
