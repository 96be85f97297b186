"""Named tuples that compiled code hands on by reference."""

from typing import NamedTuple

import numpy as np
import pytest
from numba import njit
from numba.core.errors import TypingError

from mlp_kernels.cpu.references import reference


class Mixed(NamedTuple):
    """Fields of several types."""

    flag: bool
    count: int
    value: float


class Held(NamedTuple):
    """A field that counts references."""

    values: np.ndarray
    count: int


@njit
def _next(mixed):
    return not mixed.flag, mixed.count + 1, mixed.value / 2


def test_every_field_is_read_as_what_it_is():
    assert njit(lambda: _next(reference(Mixed(False, 2**40, 0.5))))() == (True, 2**40 + 1, 0.25)


def test_a_field_is_not_written():
    def write(values):
        reference(Mixed(True, 1, 0.5)).count = 2

    with pytest.raises(NotImplementedError, match="No definition for lowering"):
        njit(write)(0)


def test_arrays_are_refused_since_nobody_would_keep_them_alive():
    with pytest.raises(TypingError, match="expected numbers and pointers, got an array, values; pass its pointer"):
        njit(lambda: reference(Held(np.ones(3), 3)).count)()
