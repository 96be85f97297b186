"""What tiles prefetch: all of it, by those tiles that have instructions to spare."""

import re

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numba import njit

from mlp_kernels.cpu import network as nw
from mlp_kernels.cpu.memory import load, pointer_to
from mlp_kernels.cpu.prefetch import LEAST_ROWS, part_prefetch
from mlp_scratch import MLP
from mlp_scratch.backends.numba_tables import Tables
from mlp_scratch.losses import LOSSES
from mlp_scratch.optimizers import SGD
from mlp_scratch.program import lower
from tests.kernels.tiles import forward, normal


@njit
def first_of_part(tile, numbers, part, steps, pace):
    place, same = part_prefetch(tile, pointer_to(numbers), part, steps, pace)
    return load(place, 0), same


@given(part=st.integers(0, 9), steps=st.integers(1, 9), pace=st.integers(1, 9))
def test_the_next_part_begins_where_one_ends(tile, part, steps, pace):
    numbers = np.arange(1000).astype(tile.dtype)
    assert first_of_part(tile, numbers, part, steps, pace) == (part * steps * pace, pace)


@given(batch=st.integers(1, 999), dtype=st.sampled_from(["float32", "float64"]))
def test_the_tiles_of_a_batch_prefetch_all_of_a_panel(batch, dtype):
    tables = Tables(lower(MLP([3, 4, 2], dtype=dtype), LOSSES["cross_entropy"], SGD(0.1)), batch, 1, inference=True)
    tiles = tables.panels * tables.tile.columns // tables.tile.rows
    assert tiles * tables.places[nw.PACE] >= tables.tile.columns


def test_only_tiles_with_instructions_to_spare_ask(tile):
    w, x, z = (normal(tile, 3, tile.columns) for _ in range(3))
    forward(tile, tile.rows, w, x, 3, np.tile(z, (tile.rows, 1)), z[0], 1, tile.dtype.type(0), tile.columns)
    code = next(text for signature, text in forward.inspect_llvm().items() if signature[0].value == tile)
    assert bool(re.search(r"call .*@llvm\.prefetch", code)) is (tile.rows >= LEAST_ROWS)
