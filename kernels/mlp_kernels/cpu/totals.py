"""Sums along rows of panels: of a gradient over its samples, of the losses of a batch.

The reference of `row_total` is `row[:samples].sum()`, that of `float64_total` the same in float64, of `row * weights`
where there are weights.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from llvmlite import ir
from numba import from_dtype, types
from numba.extending import intrinsic

from mlp_kernels.cpu.vector_ir import Vectors


@intrinsic  # type: ignore[untyped-decorator]  # Numba's
def row_total(_context: Any, tile: Any, row: Any, samples: Any) -> Any:
    """The sum of the first `samples` elements of one row of a panel."""
    element = types.CPointer(from_dtype(tile.value.dtype))

    def generate(_context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
        _, row, samples = arguments
        v = Vectors(builder, tile.value)
        return v.total([v.load_part(row, j * v.lanes, mask) for j, mask in enumerate(v.row_masks(samples))])

    return element.dtype(tile, element, types.int64), generate


@intrinsic  # type: ignore[untyped-decorator]  # Numba's
def float64_total(_context: Any, tile: Any, row: Any, weights: Any, samples: Any) -> Any:
    """The same in float64, each element times that of the row `weights`, unless it is None.

    What lies beyond the first `samples` elements of either may be anything, also NaN.
    """
    element = types.CPointer(from_dtype(tile.value.dtype))

    def generate(_context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
        _, row, factors, samples = arguments
        v = Vectors(builder, tile.value)
        wide = Vectors(builder, replace(tile.value, dtype=np.dtype(np.float64)), v.lanes)

        def part(pointer: ir.Value, j: int, mask: ir.Value) -> ir.Value:
            values = v.load_part(pointer, j * v.lanes, mask)
            return values if v.type == wide.type else builder.fpext(values, wide.type)

        terms = []
        for j, mask in enumerate(v.row_masks(samples)):
            term = part(row, j, mask)
            terms.append(term if weights is types.none else builder.fmul(term, part(factors, j, mask)))
        return wide.total(terms)

    return types.float64(tile, element, weights, types.int64), generate
