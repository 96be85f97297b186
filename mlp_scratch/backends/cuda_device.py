"""The GPU's memory, and its errors as errors of the package."""

from collections.abc import Iterator
from contextlib import contextmanager

from numba import cuda

from mlp_scratch.errors import ArgumentError, BackendUnavailableError

ROOM = 0.9
"""The share of the free memory that may be taken."""


@contextmanager
def device_errors() -> Iterator[None]:
    """Turn what the driver raises into an error of the package.

    Raises:
        BackendUnavailableError: for a launch, copy or allocation that failed.
    """
    try:
        yield
    except Exception as error:
        if not type(error).__module__.startswith(("numba.cuda", "numba_cuda", "cuda.")):
            raise
        raise BackendUnavailableError(
            f"the GPU failed: {type(error).__name__}: {error}; the model is as it was after the last finished call; "
            "free memory on the GPU, lower batch_size, or use backend='numba'"
        ) from error


def free_memory() -> float:
    """Bytes that the GPU has to give; the first question to it, and the first that a broken one refuses."""
    with device_errors():
        return float(cuda.current_context().get_memory_info()[0])


def refuse_beyond(needed: int, free: float, what: str) -> None:
    """Raise unless `needed` bytes of device memory may be taken of `free` ones."""
    if needed > ROOM * free:
        raise ArgumentError(
            "backend",
            given=f"'cuda' for {what}, {needed / 1e6:,.1f} MB",
            expected=f"at most {ROOM:.0%} of the {free / 1e6:,.1f} MB that the GPU has free",
            mend="lower batch_size, make the layers narrower, or use backend='numba'",
        )
