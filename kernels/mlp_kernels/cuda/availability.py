"""Whether kernels can run on this machine's GPU, found out by running one; and if not, why."""

from functools import cache

OLDEST = (8, 0)
"""The first compute capability with asynchronous copies and with tensor cores for tf32 and bf16."""


@cache
def unavailability() -> str:
    """Why kernels can't run here, in one line; empty where they can. Never raises.

    In Numba's CUDA simulator they always can.
    """
    try:
        return _missing() or _trial()
    except Exception as error:  # whatever a broken driver or toolkit raises is the answer
        return f"the GPU could not be used: {type(error).__name__}: {_first_line(error)}"


def available() -> bool:
    """Whether kernels can run here."""
    return not unavailability()


def _first_line(error: object) -> str:
    return next(iter(str(error).strip().splitlines()), "")


def _missing() -> str:
    try:
        from numba import cuda
        from numba.core import config
    except Exception as error:  # numba-cuda asks the CUDA runtime for its version while it is imported
        return f"numba.cuda can't be imported ({_first_line(error)}); install numba-cuda[cu13]"
    if config.ENABLE_CUDASIM:
        return ""
    if not cuda.is_available():
        problem = cuda.cuda_error()
        return f"no usable NVIDIA GPU or driver: {_first_line(problem) if problem else 'none was found'}"
    if cuda.implementation != "NVIDIA":  # that within Numba itself, which is no longer developed
        return "there is a GPU, but Numba's own `numba.cuda` lacks what kernels need; install numba-cuda[cu13]"
    capability = cuda.get_current_device().compute_capability
    if tuple(capability) < OLDEST:
        major, minor = OLDEST
        return (
            f"the GPU has compute capability {capability[0]}.{capability[1]}, "
            f"expected at least {major}.{minor} (Ampere or newer)"
        )
    return ""


def _trial() -> str:
    """Compile and run a kernel: needs the driver, NVVM and libdevice, and a GPU that takes work."""
    import numpy as np
    from numba import cuda
    from numba.core import config

    if config.ENABLE_CUDASIM:
        return ""

    try:

        @cuda.jit("void(float32[::1])")
        def add_one(values):  # type: ignore[no-untyped-def]  # what Numba compiles bears no types of ours
            values[cuda.threadIdx.x] += np.float32(1.0)

    except Exception as error:
        return f"there is a driver, but nothing that compiles for it ({_first_line(error)}); install numba-cuda[cu13]"

    # That 32 threads can't fill a GPU is no mistake, and no reason to do without it where warnings are errors.
    config.CUDA_LOW_OCCUPANCY_WARNINGS = 0
    values = cuda.to_device(np.arange(32, dtype=np.float32))
    add_one[1, 32](values)
    if not np.array_equal(values.copy_to_host(), np.arange(1, 33)):
        return "a trial kernel gave wrong numbers: the GPU or its driver is broken"
    return ""
