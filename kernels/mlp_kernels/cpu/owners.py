"""What of a step is whose: each thread has features, or panels of weights, which only those who help it write, too."""

from typing import Any

from mlp_kernels.cpu.compiling import kernel
from mlp_kernels.cpu.dense import few_forward
from mlp_kernels.cpu.frame import stage
from mlp_kernels.cpu.memory import load
from mlp_kernels.cpu.network import LOWEST, N_OUT
from mlp_kernels.cpu.threads import share
from mlp_kernels.cpu.tile import Tile


@kernel
def owned_outputs(tile: Tile, f: Any, s: int, n: int, thread: int, threads: int) -> Any:
    """The features of stage `s` that a thread owns on the way forward: whole rows of tiles, or whole panels."""
    features = stage(f, s, N_OUT)
    unit = tile.columns if few_forward(f, s, n) or keeps_panels(tile, f, s, threads) else tile.rows
    begin, end = share((features + unit - 1) // unit, thread, threads)
    return begin * unit, min(end * unit, features)


@kernel
def keeps_panels(tile: Tile, f: Any, s: int, threads: int) -> bool:
    """Whether the panels of weights of stage `s` belong to one thread each, forward and back.

    Where no gradient goes on to the stage below, each thread then updates the weights that it reads, and unless another
    one helps, they never change cores.
    """
    panels = (stage(f, s, N_OUT) + tile.columns - 1) // tile.columns
    return s > 0 and not passes_on(f, s) and panels % threads == 0


@kernel
def passes_on(f: Any, s: int) -> bool:
    """Whether there is anything to learn below stage `s`, so that it has to hand on a gradient."""
    return s > load(f.places, LOWEST)


@kernel
def owned_features(tile: Tile, features: int, thread: int, threads: int) -> Any:
    """The features that a thread owns on the way back: whole squares of the transposition."""
    unit = max(tile.rows, tile.lanes)
    begin, end = share((features + unit - 1) // unit, thread, threads)
    return begin * unit, min(end * unit, features)


@kernel
def owned_weights(tile: Tile, f: Any, s: int, thread: int, threads: int) -> Any:
    """Of the weights of stage `s` those that a thread has on the way back: inputs and panels, first and end of each."""
    inputs, panels = stage(f, s - 1, N_OUT), (stage(f, s, N_OUT) + tile.columns - 1) // tile.columns
    if keeps_panels(tile, f, s, threads):
        first, end = share(panels, thread, threads)
        return 0, inputs, first, end
    begin, end = owned_features(tile, inputs, thread, threads)
    return begin, end, 0, panels
