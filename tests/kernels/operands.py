"""Matrices in every layout for the tests of products, and the check that all of them share."""

import ctypes
import mmap

import numpy as np

from tests.tolerances import assert_close, gemm_bound


def _strided(matrix):
    wide = np.full((2 * matrix.shape[0] + 1, 3 * matrix.shape[1] + 1), np.nan, matrix.dtype)
    view = wide[: 2 * matrix.shape[0] : 2, : 3 * matrix.shape[1] : 3]
    view[...] = matrix
    return view


def _inside(matrix):
    """A part of a larger matrix that holds NaN everywhere else."""
    wide = np.full((matrix.shape[0] + 2, matrix.shape[1] + 5), np.nan, matrix.dtype)
    view = wide[1:-1, 3:-2]
    view[...] = matrix
    return view


def _read_only(matrix):
    copy = matrix.copy()
    copy.flags.writeable = False
    return copy


def _unaligned(matrix):
    memory = np.zeros(matrix.nbytes + 1, np.uint8)
    view = memory[1:].view(matrix.dtype).reshape(matrix.shape)
    view[...] = matrix
    return view


LAYOUTS = {
    "c": np.ascontiguousarray,
    "fortran": np.asfortranarray,
    "strided": _strided,
    "inside": _inside,
    "inside, transposed": lambda matrix: _inside(matrix.T).T,
    "rows reversed": lambda matrix: np.ascontiguousarray(matrix[::-1])[::-1],
    "columns reversed": lambda matrix: np.ascontiguousarray(matrix[:, ::-1])[:, ::-1],
    "read-only": _read_only,
    "unaligned": _unaligned,
}
"""Each makes an equal matrix of another layout."""


def check_product(actual, a, b, *, plus=0.0):
    """`actual` is A @ B + plus as the float64 (or wider) reference has it, within the bound of summation.

    NaN and infinities must be where they are in the reference and nowhere else, with the same sign.
    """
    assert actual.dtype == a.dtype
    # Wide enough that only true infinities are infinite; float32 products and sums are exact or nearly so.
    wide_a, wide_b = a.astype(np.longdouble), b.astype(np.longdouble)
    with np.errstate(invalid="ignore"):
        expected = (wide_a[:, :, None] * wide_b[None, :, :]).sum(axis=1) + plus
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(np.isnan(actual), np.isnan(expected))
    np.testing.assert_array_equal(np.where(finite, 0, actual), np.where(finite, 0, expected).astype(actual.dtype))
    finite_a, finite_b = np.where(np.isfinite(a), a, 0), np.where(np.isfinite(b), b, 0)
    # Rounding into the denormals errs by half the smallest one, absolutely, once for each of k terms.
    smallest = float(np.finfo(a.dtype).smallest_subnormal)
    bound = gemm_bound(finite_a, finite_b, a.dtype) + (a.shape[1] + 1) * smallest
    bound = bound + 2 * np.finfo(a.dtype).eps * np.abs(np.where(np.isfinite(plus), plus, 0))
    assert_close(np.where(finite, actual, 0), np.where(finite, expected, 0).astype(np.float64), bound)


class GuardedMatrix:
    """A copy of a matrix right before, or right after, a page that no one may touch."""

    def __init__(self, matrix, *, guard_after):
        page = mmap.PAGESIZE
        pages = -(-matrix.nbytes // page) + 1
        self._memory = mmap.mmap(-1, pages * page)
        buffer = np.frombuffer(self._memory, np.uint8)
        guard = (pages - 1) * page if guard_after else 0
        first = guard - matrix.nbytes if guard_after else page
        self.matrix = buffer[first : first + matrix.nbytes].view(matrix.dtype).reshape(matrix.shape)
        self.matrix[...] = matrix
        self._guard = (ctypes.c_void_p(buffer.ctypes.data + guard), ctypes.c_size_t(page))
        self._protect(0)

    def release(self):
        self._protect(mmap.PROT_READ | mmap.PROT_WRITE)

    def _protect(self, rights):
        assert ctypes.CDLL(None, use_errno=True).mprotect(*self._guard, ctypes.c_int(rights)) == 0
