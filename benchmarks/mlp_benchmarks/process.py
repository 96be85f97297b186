"""The parent's side of a worker: start it, ask it, see that it rests, end it."""

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
)
PRECISION_VARIABLES = (
    "DNNL_DEFAULT_FPMATH_MODE",
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
    "JAX_DEFAULT_MATMUL_PRECISION",
    "JAX_ENABLE_X64",
    "XLA_FLAGS",
)
"""Taken out of a worker's environment: each can make a framework compute in another precision, unseen."""

RESTS_WITHIN = 5.0
RESTING_SECONDS = 0.02
"""A worker rests when it used no processor time for so long; the clock of processor time ticks every 0.01 s."""


class WorkerError(Exception):
    """A worker crashed, hung, or does not rest; the message says which."""


class Worker:
    """One process, bound to `cpus` and to as many threads, asked by lines of JSON.

    Args:
        arguments: what Python runs.
        cpus: the processors.
        patience: how many seconds an answer may take.
    """

    def __init__(self, arguments: Sequence[str], *, cpus: Sequence[int], patience: float) -> None:
        self._patience = patience
        # Open as long as the process is: a pipe that nobody reads would fill and block it.
        self._errors: IO[str] = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        # A process group of its own: Ctrl-C reaches the parent alone, which then ends its workers in order.
        with bound_to(cpus):
            self._process = subprocess.Popen(
                [sys.executable, "-P", *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env=worker_environment(len(cpus)),
                encoding="utf-8",
                start_new_session=True,
            )
        self._answers: queue.Queue[str] = queue.Queue()
        # A pipe cannot be waited for with a timeout on every system; a queue can.
        threading.Thread(target=self._read, daemon=True).start()

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """The answer to a question; raises `WorkerError`."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
        except OSError:
            raise WorkerError(self._last_words()) from None
        return self.answer()

    def answer(self) -> dict[str, Any]:
        """The next answer; raises `WorkerError`."""
        try:
            line = self._answers.get(timeout=self._patience)
        except queue.Empty:
            raise WorkerError(f"no answer within {self._patience:g} s") from None
        if not line:
            raise WorkerError(self._last_words())
        answer: dict[str, Any] = json.loads(line)
        return answer

    def wait_until_it_rests(self) -> None:
        """Return when the process uses no processor time: a pool that still spins would slow the next contender."""
        import psutil

        deadline = time.monotonic() + RESTS_WITHIN
        try:
            process = psutil.Process(self._process.pid)
            used = process.cpu_times()[:2]
            while time.monotonic() < deadline:
                time.sleep(RESTING_SECONDS)
                before, used = used, process.cpu_times()[:2]
                if used == before:
                    return
        except psutil.Error:
            raise WorkerError(self._last_words()) from None
        raise WorkerError("keeps the processor busy between its turns")

    def end(self) -> None:
        """Kill the process and wait for it."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._errors):
            try:
                if stream is not None:
                    stream.close()
            except OSError:  # a question that it never read
                pass

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._answers.put(line)
        self._answers.put("")

    def _last_words(self) -> str:
        code = self._process.wait()
        self._errors.seek(0)
        lines = [line.strip() for line in self._errors if line.strip()]
        return f"crashed with exit code {code}" + (f": {lines[-1]}" if lines else "")


def worker_environment(threads: int) -> dict[str, str]:
    """The environment of a worker: thread counts set, GPUs hidden, nothing that changes precision."""
    kept = {name: value for name, value in os.environ.items() if name not in PRECISION_VARIABLES}
    return (
        kept
        | {name: str(threads) for name in THREAD_VARIABLES}
        | {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "3"}
    )


@contextmanager
def bound_to(cpus: Sequence[int]) -> Iterator[None]:
    """Bind this thread to `cpus` inside the block; a process started there has that from its first instruction on.

    Thread variables alone would not do: JAX sizes its pool by the processors it may use, and reads no variable.
    """
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def choose_cpus(threads: int) -> list[int]:
    """The processors that all workers share, one a thread: the last ones, as the first serves most interrupts."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))[-threads:]
    return list(range(threads))
