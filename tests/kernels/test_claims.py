"""Shares of a section, and the pieces that threads claim of them: each once, whoever comes."""

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import njit

from mlp_kernels.cpu.claims import LEAST_WORK, board_size, claim, next_owner, pieces
from mlp_kernels.cpu.memory import pointer_to
from mlp_kernels.cpu.threads import meet

UNITS = st.sampled_from([1, 4, 8, 32])


@njit(nogil=True)
def claim_all(board, section, edges, unit, times, thread):
    """Claim what there is of all shares, which lie between `edges`; returns how many pieces."""
    owners, found = len(edges) - 1, 0
    for turn in range(owners):
        owner = next_owner(thread, turn, owners)
        while True:
            begin, end = claim(pointer_to(board), section, owner, edges[owner], edges[owner + 1], unit, owners)
            if begin == end:
                break
            times[begin:end] += 1
            found += 1
    return found


@given(sizes=st.lists(st.integers(0, 300), min_size=2, max_size=4), unit=UNITS, sections=st.integers(1, 3))
def test_who_is_alone_takes_all_shares_in_each_section(sizes, unit, sections):
    """The others may come as late as they like, and find nothing left; nobody resets the board."""
    edges, board = np.cumsum([0, *sizes]), np.zeros(board_size(len(sizes)), np.int64)
    for section in range(1, sections + 1):
        times = np.zeros(edges[-1], np.int64)
        claim_all(board, section, edges, unit, times, 1)
        assert (times == 1).all()
        assert claim_all(board, section, edges, unit, times, 0) == 0


@given(size=st.integers(1, 5000), unit=UNITS)
def test_a_share_is_claimed_in_few_pieces_of_whole_units(size, unit):
    board, found, end = np.zeros(board_size(2), np.int64), [], 0

    @njit
    def next_piece(board, size, unit):
        return claim(pointer_to(board), 1, 1, 0, size, unit, 2)

    while True:
        begin, last = next_piece(board, size, unit)
        if begin == last:
            break
        assert begin == end
        assert begin % unit == 0
        assert last - begin <= max(unit, (size - begin + 1) // 2 + unit - 1), "whoever comes next finds as much"
        found.append(last - begin)
        end = last
    assert end == size
    assert len(found) <= 2 + np.log2(-(-size // unit)) * 2


@njit(nogil=True)
def take_part(board, edges, rounds, times, thread):
    """As a thread of a step does: section after section, meeting the others between them."""
    section, threads = 1, len(edges) - 1
    for i in range(rounds):
        claim_all(board, section, edges, 1, times[i], thread)
        section = meet(pointer_to(board), section, threads)


def test_threads_that_claim_at_once_have_each_piece_once():
    edges, rounds = np.array([0, 30, 37, 70]), 3000
    board, count = np.zeros(board_size(3), np.int64), 3
    times = np.zeros((count, rounds, edges[-1]), np.int64)
    take_part(board, edges, 0, times[0], 0)  # compiled before anybody waits for it
    workers = [threading.Thread(target=take_part, args=(board, edges, rounds, times[t], t)) for t in range(count)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert (times.sum(0) == 1).all()
    assert (times.sum((1, 2)) > 0).all()


@given(features=st.integers(1, 5000), work=st.integers(1, 10**10), threads=st.integers(1, 8), unit=UNITS)
def test_pieces_are_worth_claiming(features, work, threads, unit):
    least, claimants = pieces(features, unit, work, LEAST_WORK, threads)
    if claimants > 1:
        assert claimants == threads
        assert least * threads < features
        assert least * work >= LEAST_WORK * features
    else:
        assert threads == 1 or least * threads >= features
    assert least % unit == 0


@pytest.mark.parametrize("threads", [1, 2, 9])
def test_no_two_threads_share_a_cache_line(threads):
    assert board_size(threads) * 8 >= 128 * (threads + 1)
