"""Every kernel in every configuration that is launched: products at all tiles, and networks in all ways to run them."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from numba import types

from mlp_kernels.cuda import coalesced, gemm, naive, register_tile, shared_tile
from mlp_kernels.cuda.assembly.listings import Configuration
from mlp_kernels.cuda.block_network import block_network_of
from mlp_kernels.cuda.device import device
from mlp_kernels.cuda.epilogues import STORE, Epilogue
from mlp_kernels.cuda.grid_network import grid_network_of
from mlp_kernels.cuda.launched_network import launched_network_of
from mlp_kernels.cuda.matrix_network import matrix_network_of
from mlp_kernels.cuda.network import BLOCK_SIDES, GRID_SIDE, THREADS
from mlp_kernels.cuda.slabs import Layout


@device
def _relu(x: Any) -> Any:
    return x if x > 0 else x - x


@device
def _relu_slope(x: Any) -> Any:
    return types.float32(1.0) if x > 0 else types.float32(0.0)


FUSED: dict[Layout, Epilogue] = {
    "NT": Epilogue("bias", _relu),
    "NN": Epilogue("slope", _relu_slope),
    "TN": Epilogue("adam"),
}
"""The three products of training: forward, gradient of the input, gradient of the weights with its update."""


def configurations() -> Iterator[Configuration]:
    """All of them; those that share the most code follow each other."""
    yield from networks()
    yield from rungs()
    yield from products()


def networks() -> Iterator[Configuration]:
    """Every kernel that trains networks: by a block, by the grid, a phase a launch, and what follows a product."""
    integer = types.int64
    for element in (types.float32, types.float64):
        arrays = (integer[::1], element[::1], element[::1], element[::1])
        two_numbers = (*arrays, integer, integer)
        one = partial(
            Configuration,
            element=str(element),
            threads=THREADS,
            is_network=True,
            representative=element is types.float32,
        )
        for side in BLOCK_SIDES:
            for name, in_shared in [("block in shared memory", True), ("block", False)]:
                make = partial(block_network_of, element, side, in_shared)
                yield one(name, make=make, arguments=two_numbers, side=side)
        make = partial(grid_network_of, element, GRID_SIDE)
        yield one("grid", make=make, arguments=(*arrays, integer[::1], integer, integer), side=GRID_SIDE)
        launched = [
            ("load", arrays, 0),
            ("save", arrays, 0),
            ("phase", two_numbers, GRID_SIDE),
            ("turn", arrays[:1], 0),
        ]
        for number, (name, arguments, side) in enumerate(launched):
            yield one(name, make=partial(_launched, element, number), arguments=arguments, side=side)
        yield one("finish", make=partial(matrix_network_of, element), arguments=two_numbers)


def _launched(element: Any, number: int) -> Any:
    return launched_network_of(element, GRID_SIDE)[number]


def rungs() -> Iterator[Configuration]:
    """The rungs of the ladder below those that `gemm` chooses from."""
    square, flat = (types.float32[:, ::1],) * 3, (types.float32[::1],) * 3
    for name, rung in [("naive", naive), ("coalesced", coalesced), ("shared tile", shared_tile)]:
        make = partial(rung.make_kernel, types.float32)
        yield Configuration(name, "float32", 1024, make, square, block="32 x 32")
    tile = gemm.TILES["float32"][0]
    for layout in FUSED:
        make = partial(register_tile.make_kernel, types.float32, tile, layout)
        arguments = (*flat, *(types.int64,) * 6)
        yield Configuration("register tile", "float32", tile.threads, make, arguments, layout=layout, tile=tile)


def products() -> Iterator[Configuration]:
    """Every kernel that `gemm` may choose: bare, as the training of large networks has it, and with its epilogue."""
    for precision, tiles in gemm.TILES.items():
        element = "float64" if precision == "float64" else "float32"
        arguments = (getattr(types, element)[::1],) * 7 + (types.int64,) * 6
        for tile in tiles:
            for aligned in (True, False):
                for layout, fused in FUSED.items():
                    for epilogue in (STORE, fused):
                        sums = epilogue.kind == "adam"
                        make = partial(gemm.kernel_for, precision, tile, layout, epilogue)
                        yield Configuration(
                            precision,
                            element,
                            tile.threads,
                            partial(make, aligned=aligned, row_sums=sums),
                            arguments,
                            layout=layout,
                            epilogue=epilogue.kind,
                            tile=tile,
                            aligned=aligned,
                            representative=aligned and tile is tiles[0],
                        )
