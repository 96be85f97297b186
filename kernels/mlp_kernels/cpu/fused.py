"""Rung 5, fused: bias and activation applied while the tile is still in registers.

    C = f(A @ B + bias)        bias of one element a column, f element by element

Done after the product, both would read C from memory and write it back once more each. Here they are
applied to the accumulators of the last block of K, just before the only store. The plain reference is
`reference` below; `blocked.multiply_blocked` runs the loops.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from llvmlite import ir

from mlp_kernels.cpu.constants import compile_time

if TYPE_CHECKING:  # the tile calls the epilogue, which needs its names for types only
    from mlp_kernels.cpu.register_tile import Block, Destination

Array: TypeAlias = npt.NDArray[Any]
Activation: TypeAlias = Literal["identity", "relu"]


@compile_time()
@dataclass(frozen=True, slots=True)
class Epilogue:
    """What happens to a tile between its last multiply-add and its store."""

    bias: bool = False
    activation: Activation = "identity"

    def emit(self, block: "Block", to: "Destination", bias: ir.Value) -> "Block":
        """Emit it for the accumulators `block`; `bias` is the address of the tile's first column's bias."""
        v = to.v
        if self.bias:
            row = [v.masked_load(v.pointer(bias), j * v.lanes, mask) for j, mask in enumerate(to.masks)]
            block = [v.builder.fadd(value, row[place % to.vectors]) for place, value in enumerate(block)]
        if self.activation == "relu":
            zero = v.constant(0.0)
            # Ordered and less: false for NaN, which passes. A maximum would drop it on x86.
            block = [v.builder.select(v.builder.fcmp_ordered("<", value, zero), zero, value) for value in block]
        return block


def reference(a: Array, b: Array, bias: Array | None = None, activation: Activation = "identity") -> Array:
    """f(A @ B + bias), one operation after the other.

    >>> reference(np.array([[1.0, 2.0]]), np.eye(2), np.array([0.5, -3.0]), "relu")
    array([[1.5, 0. ]])
    """
    product = a @ b if bias is None else a @ b + bias
    return np.where(product < 0, np.zeros((), product.dtype), product) if activation == "relu" else product
