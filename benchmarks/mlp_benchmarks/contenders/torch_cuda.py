# mypy: disable-error-code="no-untyped-call"
"""PyTorch on a GPU: eager, and as one CUDA graph a step.

Choices: data, targets and all row numbers lie on the GPU before the clock starts. Both optimisers are the fused ones,
one kernel for all parameters; for the graph Adam's count of steps lives on the GPU as well (`capturable`). Products
in full float32: tf32 is off for cuBLAS and cuDNN. The graph is captured once, after a warm-up on a side stream as
PyTorch's manual asks; a step then copies its row numbers into the graph's input and replays it, and nothing but the
loss is copied out, on the GPU. Time is that between two CUDA events on the stream.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from mlp_benchmarks.contenders.base import UnsuitableError
from mlp_benchmarks.contenders.torch import Torch
from mlp_benchmarks.work import Work
from mlp_scratch._types import IntArray
from mlp_scratch.optimizers import Adam, Optimizer


class CudaEvents:
    """The GPU's own clock."""

    def __init__(self) -> None:
        self._first, self._last = (torch.cuda.Event(enable_timing=True) for _ in range(2))

    def start(self) -> None:
        torch.cuda.synchronize()
        self._first.record()

    def stop(self) -> float:
        self._last.record()
        self._last.synchronize()
        return self._first.elapsed_time(self._last) / 1e3


class TorchCuda(Torch):
    """Eager, a launch an operation."""

    device = "cuda"
    stopwatch = CudaEvents

    def __init__(self, work: Work) -> None:
        if not torch.cuda.is_available():
            built = torch.version.cuda is not None
            raise UnsuitableError("PyTorch finds no GPU" if built else "this PyTorch is built without CUDA")
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        super().__init__(work)

    def make_optimizer(self, rule: Optimizer) -> Any:
        if isinstance(rule, Adam):
            betas, parameters = (rule.beta1, rule.beta2), self._model.parameters()
            return torch.optim.Adam(parameters, lr=rule.lr, betas=betas, eps=rule.eps, fused=True, capturable=True)
        return torch.optim.SGD(self._model.parameters(), lr=rule.lr, fused=True)


class TorchCudaGraph(TorchCuda):
    """One replay a step."""

    def __init__(self, work: Work) -> None:
        super().__init__(work)
        self._rows = torch.zeros(work.case.batch, dtype=torch.int64, device=self.device)
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                self._one_step()
        torch.cuda.current_stream().wait_stream(side)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._captured_loss = self._one_step()
        self.reset()

    def _one_step(self) -> Any:
        # None, so that the graph's own pool holds the gradients, written anew by every replay.
        self._optimizer.zero_grad(set_to_none=True)
        x, y = (array.index_select(0, self._rows) for array in (self._X, self._y))
        loss = self._loss(self._model(x), y)
        loss.backward()
        self._optimizer.step()
        return loss.detach()

    def prepare(self, rows: IntArray) -> list[Any]:
        batches = super().prepare(rows)
        self._losses = torch.empty(len(batches), device=self.device)
        return batches

    def run(self, batches: list[Any]) -> Any:
        for rows, place in zip(batches, self._losses.unbind(0), strict=True):
            self._rows.copy_(rows)
            self._graph.replay()
            place.copy_(self._captured_loss)
        return self._losses

    def evidence(self, outcome: Any) -> npt.NDArray[np.float64]:
        return np.asarray(outcome.cpu(), dtype=np.float64)
