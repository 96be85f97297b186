"""More shared memory than the 48 KB that every block may have: it must be asked for, kernel by kernel.

Numba has no way to ask, so the driver is asked past it, and the kernel is tried: whoever gets no yes does without.
"""

from typing import Any

import numpy as np
from numba import cuda, types

from mlp_kernels.cuda.device import IS_SIMULATOR

PLAIN = 48 * 1024
"""Bytes that need no asking."""


def largest() -> int:
    """Bytes of shared memory that a block can have on this GPU at most."""
    if IS_SIMULATOR:
        return PLAIN
    return int(getattr(cuda.get_current_device(), "MAX_SHARED_MEMORY_PER_BLOCK_OPTIN", PLAIN))


def allow(kernel: Any, element: Any, threads: int, size: int) -> bool:
    """Whether blocks of a `block_network` can have `size` bytes, now that they were asked for."""
    if size > largest():
        return False
    try:
        if size > PLAIN:
            # For as much as there is: the kernel has one limit, and a network that asked for its own size would lower
            # that of a larger one, which is in the middle of its training.
            _ask(kernel, element, largest())
        # A launch over an empty header: no parameters, no steps.
        tables, numbers = cuda.to_device(np.zeros(64, np.int64)), cuda.to_device(np.zeros(64, np.dtype(str(element))))
        kernel[1, threads, 0, size](tables, numbers, numbers, numbers, 0, 0)
        cuda.synchronize()
    except Exception:  # whatever it is that this driver or this version of Numba does not do
        return False
    return True


def _ask(kernel: Any, element: Any, size: int) -> None:
    from numba.cuda.cudadrv import driver

    compiled = kernel.compile((types.int64[::1], element[::1], element[::1], element[::1], types.int64, types.int64))
    function = compiled._codelibrary.get_cufunc()
    attribute = driver.binding.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
    driver.driver.cuKernelSetAttribute(attribute, size, function.handle, function.device.id)
