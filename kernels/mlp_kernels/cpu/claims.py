"""How the threads of a step share a section of it: each begins with a share of its own, and then helps the others.

    thread 0's share                     thread 1's
    [    half    |  half of it |.. ]     [ half | half of it |..]       what is left is claimed from the front,
      thread 0      thread 0     `---- by thread 1, which is done       by whoever comes

A processor that is stolen for a while, or that is slower than the others, would otherwise keep all of them waiting at
the next meeting. What a piece holds follows from where it lies, so its bits don't depend on who computes it. Within a
share this is guided self-scheduling (C. Polychronopoulos, D. Kuck, IEEE Transactions on Computers 36, 1987).

A thread's word says how far its share is claimed, and in which section: the number of the meeting at its end. So
nobody has to reset it, and to claim a piece is one exchange of the word.
"""

from typing import Any

from mlp_kernels.cpu.compiling import kernel
from mlp_kernels.cpu.memory import shift
from mlp_kernels.cpu.threads import exchange, look

LINE = 16
"""Words from the counter of `threads.meet` to the first thread's, and from one thread's to the next: two cache lines,
which some processors fetch in pairs."""
PLACE_BITS = 32
"""Bits of a word for the place; the section has the others."""
LEAST_WORK = 500_000
"""Operations that make a piece worth claiming: where a share has no more, each keeps its own."""


def board_size(threads: int) -> int:
    """Words, 0 at the start of a call: the counter of `threads.meet`, then one for each thread.

    >>> board_size(2)
    48
    """
    return (1 + threads) * LINE


@kernel
def pieces(features: int, unit: int, work: int, least: int, threads: int) -> Any:
    """The smallest size of a piece, and how many threads may claim pieces of a share: all, or its owner alone.

    The size is `unit`, a power of two, or twice that, or four times, until it has `least` operations. `features` and
    `work`, the number of operations, are those of all shares.

    >>> pieces(1024, 8, 8_000_000, 500_000, 2), pieces(1024, 8, 8_000_000, 500_000, 1)
    ((64, 2), (8, 1))
    >>> pieces(128, 8, 1_000_000, 500_000, 2)
    (64, 1)
    """
    if threads == 1:
        return unit, 1
    while unit * threads < features and unit * work < least * features:
        unit *= 2
    return unit, threads if unit * threads < features else 1


@kernel
def next_owner(thread: int, i: int, threads: int) -> int:
    """Whose share a thread turns to after i others: first its own, then its neighbour's, and so on."""
    owner = thread + i
    return owner if owner < threads else owner - threads


@kernel
def claim(board: Any, section: int, owner: int, begin: int, end: int, unit: int, threads: int) -> Any:
    """The next piece of `owner`'s share: half of what is left before `end`, in whole units; empty if nothing is.

    So the words are seldom looked at, and whoever is done finds the others with no more to do than a unit, or half of
    what they have. `begin` is where the share begins or, after a claim, where the caller's last piece of it ended: only
    the first claim of a section needs it, and one where nobody else may claim, which gets all that is left.
    """
    if threads == 1:
        return begin, end
    word = shift(board, (1 + owner) * LINE)
    while True:
        seen = look(word)
        first = seen & ((1 << PLACE_BITS) - 1) if seen >> PLACE_BITS == section else begin
        if first >= end:
            return end, end
        last = min(first + (((end - first + 1) // 2 + unit - 1) & -unit), end)
        if exchange(word, seen, section << PLACE_BITS | last):
            return first, last
