"""A process that starts, trains, and tells when it was where: `python -m mlp_benchmarks.first_step PATH WORK STEPS`.

It prints one line of JSON: the moments, in seconds of the system's clock, at which the contender was `ready`, had
taken its `first` step and then a `second` one, and had trained for STEPS steps from the beginning (`trained`); the
`losses` of the first of these; the seconds until then that were `needless`, as a process that only trains would not
have spent them; and the largest `memory` it ever held, in bytes.
"""

import json
import sys
import time
from pathlib import Path

from mlp_benchmarks.work import Work
from mlp_benchmarks.worker import claim_stdout, find


def main() -> None:
    """Do it."""
    path, file, steps = sys.argv[1:]
    answers = claim_stdout()
    work = Work.load(Path(file))
    contender = find(path)(work)
    moments = {"ready": time.time()}
    one = contender.prepare(work.batches(1))
    for name in ("first", "second"):
        contender.run(one)
        moments[name] = time.time()
    contender.reset()
    outcome = contender.run(contender.prepare(work.batches(int(steps))))
    moments["trained"] = time.time()
    # The training finds compiled what the first step needed, unless each number of steps is compiled anew.
    needed_until = "ready" if getattr(contender, "compiles_each_length", False) else "first"
    needless = moments["second"] - moments[needed_until]
    losses = contender.evidence(outcome)[: work.steps_checked].tolist()
    found = {"losses": losses, "needless": needless, "memory": largest_memory()}
    answers.write(json.dumps(moments | found) + "\n")


def largest_memory() -> int:
    """The most that this process ever held in memory, in bytes."""
    if sys.platform == "win32":
        import psutil

        return psutil.Process().memory_info().peak_wset
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main()
