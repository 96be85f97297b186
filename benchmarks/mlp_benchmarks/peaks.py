"""The machine's ceilings, measured in the same run and on the same processors as the contenders.

`python -m mlp_benchmarks.peaks THREADS` measures and prints them as JSON: a worker, as the contenders are.
"""

import json
import sys

from mlp_benchmarks.floor import Peaks
from mlp_benchmarks.process import Worker, WorkerError, choose_cpus

PATIENCE = 120.0


def measure_peaks(threads: int) -> Peaks | str:
    """The peaks of `threads` threads side by side, or why there are none."""
    worker = Worker(["-m", "mlp_benchmarks.peaks", str(threads)], cpus=choose_cpus(threads), patience=PATIENCE)
    try:
        return Peaks(**worker.answer())
    except WorkerError as error:
        return str(error)
    finally:
        worker.end()


def main() -> None:
    """Measure and print."""
    from mlp_scratch.backends.probe import peaks  # loads Numba, which the parent can do without

    measured = peaks("float32", int(sys.argv[1]))
    sys.stdout.write(json.dumps({"gflops": measured.gflops, "gbytes_per_second": measured.gbytes_per_second}) + "\n")


if __name__ == "__main__":
    main()
