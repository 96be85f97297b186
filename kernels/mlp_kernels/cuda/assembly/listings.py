"""A kernel as it is launched, and what it became: how many instructions of each kind, which registers and memory."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mlp_kernels.cuda.tiles import Tile

Capability = tuple[int, int]
"""Of a GPU to compute, major and minor number."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """A kernel as it is used: what to compile, and for which block.

    Attributes:
        name: of the rung, of the precision of a product, or of the way to run a network.
        element: its float type, as Numba names it.
        threads: of a block.
        make: returns the kernel.
        arguments: the types of its arguments.
        layout: of a product.
        epilogue: of a product that has one.
        block: what a block of threads works on, in words; that of `tile` where there is one.
        tile: of a product.
        aligned: whether rows begin at multiples of 16 bytes.
        side: of the tiles of a thread in a network's own products; 0 where the kernel makes none.
        is_network: whether it belongs to the training of a network.
        representative: whether it stands for others, where compiling all takes too long.
    """

    name: str
    element: str
    threads: int
    make: Callable[[], Any]
    arguments: tuple[Any, ...]
    layout: str = ""
    epilogue: str = ""
    block: str = ""
    tile: Tile | None = None
    aligned: bool = True
    side: int = 0
    is_network: bool = False
    representative: bool = True

    @property
    def is_double(self) -> bool:
        """Whether it may use float64."""
        return self.element == "float64"

    @property
    def work_of_a_block(self) -> str:
        """In words."""
        if self.tile is not None:
            return f"{self.tile.rows} x {self.tile.columns} x {self.tile.depth}"
        return f"{self.side} x {self.side} a thread" if self.side else self.block

    def __str__(self) -> str:
        element = "" if self.element == self.name else self.element
        words = (self.name, element, self.layout, self.epilogue, self.work_of_a_block)
        return ", ".join(word for word in words if word) + ("" if self.aligned else ", not aligned")


@dataclass(frozen=True, slots=True)
class Listing:
    """What a configuration became for a compute capability; the last three are None without `ptxas`.

    Attributes:
        capability: what it was compiled for.
        counts: how often each of COUNTED occurs.
        registers: of a thread.
        shared_bytes: of a block, without what a launch asks for.
        spilled_bytes: to local memory, stored and loaded.
    """

    capability: Capability
    counts: dict[str, int]
    registers: int | None = None
    shared_bytes: int | None = None
    spilled_bytes: int | None = None


COUNTED = {
    "fma.f32": r"\bfma\.rn\.f32",
    "fma.f64": r"\bfma\.rn\.f64",
    "mma.tf32": r"\bmma\.sync\.aligned\.m16n8k8\.row\.col\.f32\.tf32",
    "mma.bf16": r"\bmma\.sync\.aligned\.m16n8k16\.row\.col\.f32\.bf16",
    "load.global.128": r"\bld\.global\.v(?:4\.[fb]32|2\.[fb]64)",
    "store.global.128": r"\bst\.global\.v(?:4\.[fb]32|2\.[fb]64)",
    "load.shared.128": r"\bld\.shared\.v(?:4\.[fb]32|2\.[fb]64)",
    "copy.128": r"\bcp\.async\.cg\.shared\.global \[\S+\], \[\S+\], 16",
    "copy.single": r"\bcp\.async\.ca\.shared\.global",
    "load.shared": r"\bld\.shared\b",
    "load.read-only": r"\bld\.global\.nc\b",
    "access.generic": r"\b(?:ld|st)\.(?:v[24]\.)?[busf]\d+\b",
    "barrier": r"\bbar(?:rier)?\.sync\b",
    "fence": r"\b(?:membar\.gl|fence\.(?:sc|acq_rel)\.gpu)\b",
    "atomic": r"\batom\.",
    "load.acquire": r"\bld\.acquire\.gpu\b",
    "float64": r"\.f64\b",
    "local": r"\.local\b",
    "call": r"\bcall\b",
}
"""Instructions that are counted, as patterns of PTX. A generic access goes to an address of which the compiler did not
find out in which memory it lies."""


def count(ptx: str) -> dict[str, int]:
    r"""How often each of COUNTED occurs in the bodies of kernels.

    >>> count(".visible .entry f(.param .u64 a)\n{\n\tfma.rn.f32 %f1, %f2, %f3, %f4;\n}")["fma.f32"]
    1
    """
    body = ptx[ptx.find("{\n") :]
    return {name: len(re.findall(pattern, body)) for name, pattern in COUNTED.items()}
