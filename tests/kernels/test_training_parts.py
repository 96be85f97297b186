"""Parts of the compiled training loop, each beside its reference."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from numba import njit

from mlp_kernels.cpu import dropout, threads
from mlp_kernels.cpu.compiling import inlined
from mlp_kernels.cpu.memory import pointer_to
from mlp_kernels.cpu.tile import Tile
from mlp_scratch.random import dropout_words, philox4x32


def test_the_plain_function_is_what_python_sees():
    assert inlined(len) is len


def test_philox_is_the_reference(rng):
    counters = rng.integers(0, 2**32, (20, 4))
    for seed in (0, 1, 2**64 - 1):
        for counter in counters:
            words = dropout.philox(*counter.astype(np.uint64), np.uint64(seed))
            assert [int(w) for w in words] == [int(w) for w in philox4x32(tuple(counter), seed)]


@pytest.mark.parametrize("step", [1, 2**32 + 5])
@pytest.mark.parametrize("features", [1, 4, 7, 16])
def test_masks_keep_what_the_reference_keeps(features, step):
    width, first_row, p, seed = 8, 24, 0.3, 11
    tile = Tile(np.dtype("float64"), lanes=4, rows=4, vectors=2)

    @njit
    def draw(tile, mask, seed, step):
        dropout.draw_mask(tile, pointer_to(mask), first_row, 0, features, p, seed, 3, step)

    mask = np.zeros((-(-features // 4) * 4, width))
    draw(tile, mask, np.uint64(seed), step)
    words = dropout_words(seed, step, 3, (first_row + width, features))
    kept = (words >= round(p * 2**32))[first_row:].T
    assert np.array_equal(mask[:features], kept / (1 - p))


@pytest.mark.parametrize("count", [2, 3, 7])
def test_nobody_leaves_a_meeting_before_all_have_come(count):
    counter, rounds = np.zeros(8, np.int64), 200
    arrived = np.zeros(count, np.int64)

    @njit(nogil=True)
    def attend(counter, arrived, me, count, rounds):
        late, number = 0, 1
        for r in range(1, rounds + 1):
            arrived[me] = r
            number = threads.meet(pointer_to(counter), number, count)
            for other in range(count):
                late += arrived[other] < r
            number = threads.meet(pointer_to(counter), number, count)
        return late

    attend(counter, arrived[:1], 0, 1, 1)
    late = [-1] * count

    def work(me):
        late[me] = attend(counter, arrived, me, count, rounds)

    workers = [threading.Thread(target=work, args=(me,)) for me in range(count)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert late == [0] * count
    assert counter[0] == 2 * rounds * count


@pytest.mark.parametrize("units", [0, 1, 5, 16])
@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_shares_cover_everything_once(units, count):
    owned = [unit for me in range(count) for unit in range(*threads.share(units, me, count))]
    assert owned == list(range(units))


SECOND_PROCESS = """
import numpy as np
from mlp_kernels.cpu import activations, gather, losses, native, rules, updates
from mlp_kernels.cpu.tile import Tile
tile = Tile(np.dtype("float32"), lanes=4, rows=4, vectors=2)
compiled, codes = native._compiled, []
native._compiled = lambda *arguments: codes.append(compiled(*arguments)) or codes[-1]
adam = rules.Rule("adam")
activations.forward_address("elu", tile), activations.backward_address("elu", tile)
losses.loss_address("mae", tile), updates.addresses(adam, adam, tile, [1, 2])
gather.describe(np.zeros((2, 2), np.int16), tile)
print([code.cache_hits for code in codes])
"""


def test_what_a_table_points_to_is_found_again_by_the_next_process(tmp_path):
    def run():
        environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
        command = [sys.executable, "-c", SECOND_PROCESS]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    assert run() == "[0, 0, 0, 0, 0, 0, 0]\n"
    assert run() == "[1, 1, 1, 1, 1, 1, 1]\n"
