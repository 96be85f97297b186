"""The parent's side of a worker: start it, ask it, park it between its turns, end it."""

import ctypes
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Literal

from mlp_scratch.machine import usable_cores

Device = Literal["cpu", "gpu"]

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
)
REMOVED_VARIABLES = (
    # Each of these can make a framework compute in another precision, unseen.
    "DNNL_DEFAULT_FPMATH_MODE",
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
    "NVIDIA_TF32_OVERRIDE",
    "JAX_DEFAULT_MATMUL_PRECISION",
    "JAX_ENABLE_X64",
    "XLA_FLAGS",
    # And each of these can make a library choose the kernels of another processor, or blocks for another cache.
    "OPENBLAS_CORETYPE",
    "OPENBLAS_L2_SIZE",
    "MKL_ENABLE_INSTRUCTIONS",
    "MKL_CBWR",
    "ATEN_CPU_CAPABILITY",
    # These leave uncompiled what is timed as compiled, or compile it again at each start.
    "TORCHDYNAMO_DISABLE",
    "TORCH_COMPILE_DISABLE",
    "TORCHINDUCTOR_FORCE_DISABLE_CACHES",
    "JAX_DISABLE_JIT",
    "JAX_ENABLE_COMPILATION_CACHE",
)
"""Taken out of a worker's environment: what a library does by itself on this machine is what is measured."""


class WorkerError(Exception):
    """A worker crashed or hung; the message says which."""


class Worker:
    """One process, bound to `cpus` and to `threads` threads, asked by lines of JSON.

    Args:
        arguments: what Python runs.
        cpus: the processors.
        threads: how many of its own it may run; as many as there are `cpus` if not given.
        patience: how many seconds an answer may take.
        device: a worker for "cpu" sees no GPU.
        environment: further variables.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        cpus: Sequence[int],
        patience: float,
        threads: int | None = None,
        device: Device = "cpu",
        environment: Mapping[str, str] | None = None,
    ) -> None:
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
                env=worker_environment(threads or len(cpus), device) | dict(environment or {}),
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

    def bind(self, cpus: Sequence[int]) -> None:
        """Move all threads of the process to these processors, as many as it was started with."""
        for folder in Path(f"/proc/{self._process.pid}/task").glob("*"):
            try:
                os.sched_setaffinity(int(folder.name), cpus)
            except OSError:  # the thread has just ended
                continue

    def park(self) -> None:
        """Stop every thread of the process, a pool that still spins among them, until `unpark`."""
        import psutil

        try:
            psutil.Process(self._process.pid).suspend()
        except psutil.Error:
            raise WorkerError(self._last_words()) from None

    def unpark(self) -> None:
        """Let the process go on."""
        import psutil

        try:
            psutil.Process(self._process.pid).resume()
        except psutil.Error:
            raise WorkerError(self._last_words()) from None

    def end(self) -> None:
        """Kill the process, and whatever it has started, and wait for it."""
        if hasattr(os, "killpg"):
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
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


def worker_environment(threads: int, device: Device = "cpu") -> dict[str, str]:
    """The environment of a worker: thread counts set, nothing that changes precision or kernels, GPUs hidden.

    On a GPU, JAX is kept from taking three quarters of the memory for itself, which others need as well.
    """
    kept = {name: value for name, value in os.environ.items() if name not in REMOVED_VARIABLES}
    kept |= {name: str(threads) for name in THREAD_VARIABLES} | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    if device == "gpu":
        return kept | {"JAX_PLATFORMS": "", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    return kept | {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}


def jax_cache(folder: Path) -> dict[str, str]:
    """The variables by which JAX keeps all that it compiles in `folder`; by itself, only what took a second or more.

    >>> jax_cache(Path("there"))["JAX_COMPILATION_CACHE_DIR"]
    'there'
    """
    return {
        "JAX_COMPILATION_CACHE_DIR": str(folder),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }


def has_gpu_driver() -> bool:
    """Whether there is NVIDIA's driver, or Numba's simulator of one."""
    if os.environ.get("NUMBA_ENABLE_CUDASIM", "0") != "0":
        return True
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True


@contextmanager
def bound_to(cpus: Sequence[int]) -> Iterator[None]:
    """Bind this thread to `cpus` inside the block; a process started there has that from its first instruction on.

    Thread variables alone would not do: JAX sizes its pool by the processors it may use, and reads no variable.
    """
    if not can_bind():
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def can_bind() -> bool:
    """Whether this system binds processes to processors."""
    return hasattr(os, "sched_setaffinity")


def choose_cpus(threads: int) -> list[int]:
    """The processors that all workers share, one a thread: the last ones, as the first serves most interrupts."""
    return places(threads)[-1]


def places(threads: int) -> list[list[int]]:
    """The usable processors in disjoint groups of `threads`; what is left over is the first ones.

    >>> len({cpu for group in places(1) for cpu in group}) == len(places(1))
    True
    """
    cpus = sorted(os.sched_getaffinity(0)) if can_bind() else list(range(usable_cores()))
    return [cpus[end - threads : end] for end in range(len(cpus), threads - 1, -threads)][::-1]
