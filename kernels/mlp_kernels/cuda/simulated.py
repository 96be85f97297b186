"""The twins of `ptx` in plain Python, for Numba's CUDA simulator, which runs every thread of a block in Python.

It is stricter than a GPU: a copy arrives no sooner than it is waited for, addresses are checked, and shared memory
holds NaN until it is written to. A warp exchanges registers through an array that the whole block sees, so whatever
needs the lanes of a warp must here be called by all threads of a block, in a block of whole warps of one dimension.
"""

from collections.abc import Callable
from functools import cache
from itertools import count
from threading import Lock, local
from typing import Any, TypeAlias

import numba.cuda
import numpy as np
from numba import float32, uint32

_numbers = count()
_allocating = Lock()
_THREADS = 1024


class _Cuda:
    """`numba.cuda` as whoever asks must see it: the launch that runs, with its thread and block numbers, or else Numba.

    The simulator itself swaps the name `cuda` in the globals of a function while that is called, and swaps it back
    when the first of the threads that are inside leaves.
    """

    def __getattr__(self, name: str) -> Any:
        from numba.cuda.simulator.kernel import _get_kernel_context

        launch = _get_kernel_context()
        return getattr(numba.cuda if launch is None else launch, name)


cuda = _Cuda()


def prepare(function: Callable[..., Any]) -> None:
    """Give a kernel, or a function that kernels call, the `cuda` above."""
    names = function.__globals__
    names.update({name: cuda for name, value in names.items() if value is numba.cuda})


class Launches:
    """Kernels with their configurations and arguments, to be launched again."""

    def __init__(self) -> None:
        self.kept: list[tuple[Any, tuple[Any, ...], tuple[Any, ...]]] = []

    def replay(self) -> None:
        """Launch them in their order."""
        for kernel, configuration, arguments in self.kept:
            kernel[configuration](*arguments)


def record(launch: Callable[[], None]) -> Launches:
    """The launches that `launch` makes, kept instead of run: see `graphs`."""
    from numba.cuda.simulator.kernel import FakeCUDAKernel

    launches, run = Launches(), FakeCUDAKernel.__call__

    def keep(kernel: Any, *arguments: Any) -> None:
        configuration = (kernel.grid_dim, kernel.block_dim, 0, kernel.dynshared_size)
        launches.kept.append((kernel, configuration, arguments))

    FakeCUDAKernel.__call__ = keep
    try:
        launch()
    finally:
        FakeCUDAKernel.__call__ = run
    return launches


def _checked(array: Any, at: int, count: int = 1) -> None:
    """Refuse what would be a wrong or a misaligned address on a GPU, where no one would say so.

    Alignment is that of the index: arrays themselves begin anywhere here.
    """
    if not 0 <= at <= array.size - count:
        raise IndexError(f"at: got element {at} and {count - 1} more of an array of {array.size}")
    if count > 1 and at * array.dtype.itemsize % 16:
        raise ValueError(f"at: got element {at} of an array of {array.dtype}, expected one at a multiple of 16 bytes")


def ld1(array: Any, at: int) -> Any:
    """array[at]."""
    _checked(array, at)
    return array[at]


def st1(array: Any, at: int, value: Any) -> None:
    """array[at] = value."""
    _checked(array, at)
    array[at] = value


def ld4(array: Any, at: int) -> tuple[Any, Any, Any, Any]:
    """array[at], ..., array[at + 3] as a tuple."""
    _checked(array, at, 4)
    return array[at], array[at + 1], array[at + 2], array[at + 3]


def st4(array: Any, at: int, v0: Any, v1: Any, v2: Any, v3: Any) -> None:
    """array[at], ..., array[at + 3] = v0, v1, v2, v3."""
    _checked(array, at, 4)
    array[at], array[at + 1], array[at + 2], array[at + 3] = v0, v1, v2, v3


def shared_array(element: Any, size: int) -> Callable[[], Any]:
    """A function that kernels call for `size` elements of shared memory; each function stands for its own.

    The simulator tells arrays apart by the file and line that ask for them, hence a file name for each; and two
    threads that ask for one at the same moment may get one each, hence the lock. Memory that no one has written to
    holds NaN, or the largest integer.
    """
    names = {"cuda": cuda, "size": size, "element": element}
    source = "def ask():\n    return cuda.shared.array(size, element)"
    exec(compile(source, f"<shared array {next(_numbers)}>", "exec"), names)
    ask: Any = names["ask"]

    def allocate() -> Any:
        with _allocating:
            arrays = cuda.shared._allocations
            before = len(arrays)
            array = ask()
            if len(arrays) > before:
                array.fill(np.nan if array.dtype.kind == "f" else np.iinfo(array.dtype).max)
            return array

    return allocate


_Copy: TypeAlias = tuple[Any, int, list[Any]]


class _Copies(local):
    """The copies that a thread has begun: groups that it has closed, the oldest first, and the open one."""

    def __init__(self) -> None:
        self.groups: list[list[_Copy]] = []
        self.open: list[_Copy] = []


_copies = _Copies()


def copy4_async(to: Any, to_at: int, source: Any, source_at: int, valid: int) -> None:
    """Begin to copy four elements from global to shared memory: the first `valid`, 0 to 4, and zeros after them."""
    _checked(to, to_at, 4)
    if valid:
        _checked(source, source_at, valid)
        if source_at * source.dtype.itemsize % 16:
            raise ValueError(f"source_at: got {source_at}, expected a multiple of 16 bytes of {source.dtype}")
    _copies.open.append((to, to_at, [source[source_at + i] if i < valid else 0 for i in range(4)]))


def copy1_async(to: Any, to_at: int, source: Any, source_at: int, valid: int) -> None:
    """Begin to copy one element from global to shared memory, or a zero where `valid` is 0."""
    _checked(to, to_at)
    if valid:
        _checked(source, source_at)
    _copies.open.append((to, to_at, [source[source_at] if valid else 0]))


def commit_copies() -> None:
    """Close the group of this thread's copies begun since the last one."""
    _copies.groups.append(_copies.open)
    _copies.open = []


@cache
def wait_for_copies_but(groups: int) -> Callable[[], None]:
    """A function that waits for this thread's groups of copies, all but the last `groups`."""

    def wait() -> None:
        while len(_copies.groups) > groups:
            for to, to_at, elements in _copies.groups.pop(0):
                to[to_at : to_at + len(elements)] = elements

    return wait


def load_acquire(array: Any, at: int) -> Any:
    """array[at]."""
    return ld1(array, at)


_LOW_BITS_OF_TF32 = np.uint32(0x1FFF)


def to_tf32(value: Any) -> Any:
    """A float32 rounded to 10 bits of fraction, to nearest, ties away from zero.

    >>> float(to_tf32(np.float32(1 + 2**-11)) - 1) == 2**-10
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


_operands_of_tf32, _sums_of_tf32 = shared_array(float32, 6 * _THREADS), shared_array(float32, 4 * _THREADS)
_operands_of_bf16, _sums_of_bf16 = shared_array(uint32, 6 * _THREADS), shared_array(float32, 4 * _THREADS)


def _exchanged(registers: Any, operands: Any, sums: Any) -> tuple[Any, Any]:
    """What all lanes of this thread's warp hold, lanes x registers: of the operands, and of the sums."""
    thread = cuda.threadIdx.x
    operands, sums = operands.reshape(_THREADS, 6), sums.reshape(_THREADS, 4)
    operands[thread], sums[thread] = registers[:6], registers[6:]
    cuda.syncthreads()
    first = thread // 32 * 32
    of_warp = operands[first : first + 32].copy(), sums[first : first + 32].copy()
    cuda.syncthreads()
    return of_warp


def mma_tf32(*registers: Any) -> Any:
    """C (16, 8) + A (16, 8) B (8, 8) by a warp; of its operands a tensor core reads no more than tf32 has."""
    operands, sums = _exchanged(registers, _operands_of_tf32(), _sums_of_tf32())
    read = (operands.view(np.uint32) & ~_LOW_BITS_OF_TF32).view(np.float32)
    return tuple(product_of_fragments(read[:, :4, None], read[:, 4:, None], sums)[cuda.threadIdx.x % 32])


def mma_bf16(*registers: Any) -> Any:
    """C (16, 8) + A (16, 16) B (16, 8) by a warp; operands are pairs of bfloat16."""
    operands, sums = _exchanged(registers, _operands_of_bf16(), _sums_of_bf16())
    read = np.stack([operands << 16, operands & np.uint32(0xFFFF0000)], axis=2).view(np.float32)
    return tuple(product_of_fragments(read[:, :4], read[:, 4:], sums)[cuda.threadIdx.x % 32])


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
