# mypy: disable-error-code="no-untyped-call"
"""The contenders of `mlp-bench gemm`: one matrix product, again and again, into the same result.

Each gets the operands as they are stored and says itself which is transposed, so that none has to copy.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from mlp_benchmarks.contenders.base import UnsuitableError
from mlp_benchmarks.products import LoadedProduct


class OpenBlas:
    """`numpy.matmul` into the result; NumPy hands transposed views to the BLAS it was built with."""

    def __init__(self, job: LoadedProduct) -> None:
        self._job, layout = job, job.product.layout
        self._a = job.a.T if layout == "TN" else job.a
        self._b = job.b.T if layout == "NT" else job.b

    def reset(self) -> None:
        self._job.out[...] = np.nan  # what is not written is found

    def prepare(self, steps: int) -> int:
        return steps

    def run(self, steps: int) -> None:
        a, b, out = self._a, self._b, self._job.out
        for _ in range(steps):
            np.matmul(a, b, out=out)

    def evidence(self, outcome: None) -> npt.NDArray[np.float64]:
        return self._job.error(self._job.out)


class Numba(OpenBlas):
    """Our own kernel."""

    def run(self, steps: int) -> None:
        from mlp_kernels.cpu.gemm import gemm

        job, layout, threads = self._job, self._job.product.layout, self._job.product.threads
        for _ in range(steps):
            gemm(job.a, job.b, job.out, transpose_a=layout == "TN", transpose_b=layout == "NT", threads=threads)


class Torch(OpenBlas):
    """`torch.mm` on the CPU, which is MKL's product; full precision."""

    device = "cpu"

    def __init__(self, job: LoadedProduct) -> None:
        import torch

        super().__init__(job)
        torch.set_num_threads(job.product.threads)
        torch.set_float32_matmul_precision("highest")
        layout = job.product.layout
        a, b, out = (self._placed(array) for array in (job.a, job.b, job.out))
        self._tensors = (a.T if layout == "TN" else a, b.T if layout == "NT" else b, out)

    def _placed(self, array: Any) -> Any:
        import torch

        return torch.from_numpy(array)

    def run(self, steps: int) -> None:
        from torch import mm

        a, b, out = self._tensors
        for _ in range(steps):
            mm(a, b, out=out)

    def reset(self) -> None:
        self._tensors[2].fill_(float("nan"))

    def evidence(self, outcome: None) -> npt.NDArray[np.float64]:
        return self._job.error(self._tensors[2].cpu().numpy())


class CuBlas(Torch):
    """`torch.mm` on the GPU, which is cuBLAS' product, without tf32; timed by CUDA events."""

    def __init__(self, job: LoadedProduct) -> None:
        import torch

        if not torch.cuda.is_available():
            raise UnsuitableError("PyTorch finds no GPU")
        from mlp_benchmarks.contenders.torch_cuda import CudaEvents

        torch.backends.cuda.matmul.allow_tf32 = False
        self.stopwatch = CudaEvents
        super().__init__(job)

    def _placed(self, array: Any) -> Any:
        import torch

        # With its leading dimension; the offset is that of the GPU's own allocation.
        whole = torch.empty(
            (array.shape[0], array.shape[1] + self._job.product.pad), dtype=torch.from_numpy(array).dtype
        )
        placed = whole.cuda()[:, : array.shape[1]]
        placed.copy_(torch.from_numpy(array))
        return placed


class Cuda(OpenBlas):
    """Our own kernel on the GPU, in full precision; operands and result stay there. Timed by CUDA events."""

    def __init__(self, job: LoadedProduct) -> None:
        from mlp_kernels.cuda.availability import unavailability

        if reason := unavailability():
            raise UnsuitableError(reason)
        self._job, self.stopwatch = job, NumbaEvents
        self._operands = [self._moved(array) for array in (job.a, job.b, job.out)]

    def _moved(self, array: Any) -> Any:
        from numba import cuda

        from mlp_kernels.cuda.gemm import Matrix

        rows, columns = array.shape
        whole = np.zeros((rows, columns + self._job.product.pad), array.dtype)
        whole[:, :columns] = array
        return Matrix(cuda.to_device(whole.ravel()), rows, columns, step=whole.shape[1])

    def reset(self) -> None:
        out = self._operands[2].data
        out.copy_to_device(np.full(out.shape, np.nan, out.dtype))

    def run(self, steps: int) -> None:
        from mlp_kernels.cuda.gemm import multiply

        product = self._job.product
        layout: Any = product.layout
        precision: Any = product.dtype
        for _ in range(steps):
            multiply(*self._operands, layout=layout, precision=precision)

    def evidence(self, outcome: None) -> npt.NDArray[np.float64]:
        out = self._operands[2]
        return self._job.error(out.data.copy_to_host().reshape(out.rows, out.step)[:, : out.columns])


class NumbaEvents:
    """The GPU's own clock, through Numba."""

    def start(self) -> None:
        from numba import cuda

        self._first, self._last = cuda.event(), cuda.event()
        cuda.synchronize()
        self._first.record()

    def stop(self) -> float:
        self._last.record()
        self._last.synchronize()
        return float(self._first.elapsed_time(self._last)) / 1e3
