"""The machine's ceilings, measured in the same run and on the same processors as the contenders, before and between.

`python -m mlp_benchmarks.peaks THREADS` measures and prints them as JSON: a worker, as the contenders are. It also
says which kernels NumPy's BLAS chose there, which the parent's environment may have kept it from.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from mlp_benchmarks.floor import Peaks
from mlp_benchmarks.process import Worker, WorkerError, can_bind, choose_cpus
from mlp_scratch.machine import describe_blas, describe_machine

PATIENCE = 120.0


def measure_peaks(threads: int, dtype: str = "float32") -> tuple[Peaks, list[dict[str, Any]]] | str:
    """The peaks of `threads` threads side by side and the BLAS libraries of a worker, or why there are none."""
    arguments = ["-m", "mlp_benchmarks.peaks", str(threads), dtype]
    worker = Worker(arguments, cpus=choose_cpus(threads), patience=PATIENCE)
    try:
        answer = worker.answer()
        return Peaks(**answer["peaks"]), answer["blas"]
    except WorkerError as error:
        return str(error)
    finally:
        worker.end()


def describe_with_peaks(threads: list[int], dtype: str = "float32") -> dict[str, Any]:
    """The machine's record with the processors and peaks of each number of threads, or why there are no peaks.

    Its "bound_to" are the numbers of the processors by number of threads, none where the system binds nothing.
    """
    bound = {str(count): choose_cpus(count) for count in threads if can_bind()}
    machine = describe_machine() | {"threads": threads, "bound_to": bound, "peaks": {}, "no_peaks": ""}
    for count in threads:
        measured = measure_peaks(count, dtype)
        if isinstance(measured, str):
            machine["no_peaks"] = measured
        else:
            machine["peaks"][str(count)] = asdict(measured[0])
            machine["blas"] = measured[1]
    return machine


def measure_again(machine: Mapping[str, Any], threads: int, dtype: str = "float32") -> dict[str, Any]:
    """The machine's record with the better of the peaks it has, if it has any, and of those measured now.

    What else runs on a machine can hide a peak and never raise it, and it may do so for minutes.
    """
    peaks = dict(machine["peaks"])
    if before := peaks.get(str(threads)):
        measured = measure_peaks(threads, dtype)
        if not isinstance(measured, str):
            peaks[str(threads)] = {name: max(rate, before[name]) for name, rate in asdict(measured[0]).items()}
    return {**machine, "peaks": peaks}


def main() -> None:
    """Measure and print."""
    from mlp_scratch.backends.probe import peaks  # loads Numba, which the parent can do without

    measured = peaks(sys.argv[2], int(sys.argv[1]))
    sys.stdout.write(json.dumps({"peaks": asdict(measured), "blas": describe_blas()}) + "\n")


if __name__ == "__main__":
    main()
