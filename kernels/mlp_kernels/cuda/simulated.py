"""The twins of `ptx` in plain Python, for Numba's CUDA simulator, which runs every thread of a block in Python.

Copies happen at once; a warp exchanges registers through an array that the whole block sees, so whatever needs
the lanes of a warp must here be called by all threads of a block, in a block of whole warps in one dimension.
"""

from collections.abc import Callable
from itertools import count
from typing import Any

import numpy as np
from numba import cuda

_numbers = count()
_THREADS = 1024


def ld1(array: Any, at: int) -> Any:
    """array[at]."""
    return array[at]


def st1(array: Any, at: int, value: Any) -> None:
    """array[at] = value."""
    array[at] = value


def _aligned(array: Any, at: int) -> None:
    """Refuse what would be a misaligned address on a GPU: by the index, for here arrays begin anywhere."""
    if at * array.dtype.itemsize % 16:
        raise ValueError(f"at: got element {at} of an array of {array.dtype}, expected one at a multiple of 16 bytes")


def ld4(array: Any, at: int) -> tuple[Any, Any, Any, Any]:
    """array[at], ..., array[at + 3] as a tuple."""
    _aligned(array, at)
    return array[at], array[at + 1], array[at + 2], array[at + 3]


def st4(array: Any, at: int, v0: Any, v1: Any, v2: Any, v3: Any) -> None:
    """array[at], ..., array[at + 3] = v0, v1, v2, v3."""
    _aligned(array, at)
    array[at], array[at + 1], array[at + 2], array[at + 3] = v0, v1, v2, v3


def shared_array(element: Any, size: int) -> Callable[[], Any]:
    """A function that kernels call for `size` elements of shared memory; each function stands for its own.

    The simulator tells arrays apart by the file and line that ask for them, hence a file name for each.
    """
    names = {"cuda": cuda, "size": size, "element": element}
    source = "def allocate():\n    return cuda.shared.array(size, element)"
    exec(compile(source, f"<shared array {next(_numbers)}>", "exec"), names)
    return cuda.jit(device=True)(names["allocate"])


def copy4_async(to: Any, to_at: int, source: Any, source_at: int, valid: int) -> None:
    """Copy four elements from global to shared memory: the first `valid`, 0 to 4, and zeros after them."""
    _aligned(to, to_at)
    _aligned(source, source_at)
    for i in range(4):
        to[to_at + i] = source[source_at + i] if i < valid else 0


def copy1_async(to: Any, to_at: int, source: Any, source_at: int, valid: int) -> None:
    """Copy one element from global to shared memory, or a zero where `valid` is 0."""
    to[to_at] = source[source_at] if valid else 0


def commit_copies() -> None:
    """Nothing to close: copies are done when they begin."""


def wait_for_copies_but(_groups: int) -> Callable[[], None]:
    """A function that has nothing to wait for."""
    return commit_copies


def load_acquire(array: Any, at: int) -> Any:
    """array[at]."""
    return array[at]


_LOW_BITS_OF_TF32 = np.uint32(0x1FFF)


def to_tf32(value: Any) -> Any:
    """A float32 rounded to 10 bits of fraction, to nearest, ties away from zero.

    >>> to_tf32(np.float32(1 + 2**-11)) == 1 + 2**-10
    True
    """
    if not np.isfinite(value):
        return np.float32(value)
    bits = np.float32(value).view(np.uint32) + np.uint32(0x1000)
    return (bits & ~_LOW_BITS_OF_TF32).view(np.float32)


def _to_bf16(value: Any) -> int:
    """The 16 bits of a float32 rounded to nearest, ties to even."""
    bits = int(np.float32(value).view(np.uint32))
    if np.isnan(value):
        return 0x7FFF
    return (bits + 0x7FFF + (bits >> 16 & 1)) >> 16


def pack_bf16(low: Any, high: Any) -> Any:
    """Two float32 rounded to bfloat16, in the low and the high half of 32 bits.

    >>> hex(pack_bf16(np.float32(1), np.float32(-2)))
    '0xc0003f80'
    """
    return np.uint32(_to_bf16(low) | _to_bf16(high) << 16)


def _registers_of_warp(thread: int, box: Any) -> Any:
    """What the 32 lanes of the thread's warp have put into the box: lanes x registers."""
    first = thread // 32 * 32
    return np.asarray(box[first : first + 32])


@cuda.jit(device=True)  # type: ignore[untyped-decorator]  # Numba's
def mma_tf32(*registers: Any) -> Any:
    """C (16, 8) + A (16, 8) B (8, 8) by a warp; of its operands a tensor core reads no more than tf32 has."""
    thread = cuda.threadIdx.x
    box = cuda.shared.array((_THREADS, 10), np.dtype(np.float32))
    box[thread] = registers
    cuda.syncthreads()
    lanes = _registers_of_warp(thread, box)
    operands = (lanes[:, :6].copy().view(np.uint32) & ~_LOW_BITS_OF_TF32).view(np.float32)
    result = product_of_fragments(operands[:, :4, None], operands[:, 4:, None], lanes[:, 6:])[thread % 32]
    cuda.syncthreads()
    return tuple(result)


@cuda.jit(device=True)  # type: ignore[untyped-decorator]  # Numba's
def mma_bf16(*registers: Any) -> Any:
    """C (16, 8) + A (16, 16) B (16, 8) by a warp; operands are pairs of bfloat16."""
    thread = cuda.threadIdx.x
    operands = cuda.shared.array((_THREADS, 6), np.dtype(np.uint32))
    sums = cuda.shared.array((_THREADS, 4), np.dtype(np.float32))
    operands[thread], sums[thread] = registers[:6], registers[6:]
    cuda.syncthreads()
    bits = _registers_of_warp(thread, operands)
    halves = np.stack([bits << 16, bits & np.uint32(0xFFFF0000)], axis=2).view(np.float32)
    fragments = product_of_fragments(halves[:, :4], halves[:, 4:], _registers_of_warp(thread, sums))
    cuda.syncthreads()
    return tuple(fragments[thread % 32])


def product_of_fragments(a: Any, b: Any, c: Any) -> Any:
    """The fragments of C + A @ B from those of A, B and C, whose axes are lane, register, and element in it.

    With g = lane // 4, t = lane % 4 and E elements in a register of an operand (1 of tf32, 2 of bf16), PTX says
    ("Matrix fragments for mma.m16n8k8", "mma.m16n8k16"):

        A (16, 8E)   register 2q + h, element e   is   A[g + 8h, E(t + 4q) + e]
        B (8E, 8)    register q,      element e   is   B[E(t + 4q) + e, g]
        C (16, 8)    register 2h + e              is   C[g + 8h, 2t + e]
    """
    each = a.shape[2]
    whole_a, whole_b, whole_c = np.empty((16, 8 * each)), np.empty((8 * each, 8)), np.empty((16, 8))
    lane = np.arange(32)
    g, t = lane // 4, lane % 4
    for q in range(2):
        for e in range(each):
            k = each * (t + 4 * q) + e
            whole_b[k, g] = b[:, q, e]
            for h in range(2):
                whole_a[g + 8 * h, k] = a[:, 2 * q + h, e]
    registers = [(h, e) for h in range(2) for e in range(2)]
    for h, e in registers:
        whole_c[g + 8 * h, 2 * t + e] = c[:, 2 * h + e]
    with np.errstate(invalid="ignore", over="ignore"):
        result = (whole_a @ whole_b + whole_c).astype(np.float32)
    return np.stack([result[g + 8 * h, 2 * t + e] for h, e in registers], axis=1)
