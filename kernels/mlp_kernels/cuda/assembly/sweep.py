"""All configurations through the compiler, several at a time."""

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context

from mlp_kernels.cuda.assembly.compiler import find_ptxas, listing
from mlp_kernels.cuda.assembly.configurations import configurations
from mlp_kernels.cuda.assembly.listings import Capability, Configuration, Listing

QUICK: Capability = (9, 0)
"""The capability that every kernel is compiled for, whatever the haste."""
TOGETHER = 6
"""Configurations that a process takes at a time: neighbours share code, which is compiled once."""

Job = tuple[int, tuple[Capability, ...]]
"""The number of a configuration, and the capabilities to compile it for."""


def jobs(
    capabilities: tuple[Capability, ...], *, quick: bool = False, wanted: Callable[[Configuration], bool] | None = None
) -> list[Job]:
    """What is to be done, for those that are wanted; with `quick`, most of them for one capability alone."""
    some = tuple(capability for capability in capabilities if capability == QUICK)
    return [
        (number, some if quick and not configuration.representative else capabilities)
        for number, configuration in enumerate(_configurations())
        if wanted is None or wanted(configuration)
    ]


def compile_all(jobs: list[Job], processes: int) -> Iterator[tuple[Configuration, Listing]]:
    """Each configuration with what it became for each capability.

    Raises what the compiler raises, and `BrokenProcessPool` where one of the processes died.
    """
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for (number, _), listings in zip(jobs, pool.map(_compile, jobs, chunksize=TOGETHER), strict=True):
            for one in listings:
                yield _configurations()[number], one


@cache
def _configurations() -> tuple[Configuration, ...]:
    return tuple(configurations())


def _compile(job: Job) -> list[Listing]:
    number, capabilities = job
    return [listing(_configurations()[number], capability, find_ptxas()) for capability in capabilities]
