# mypy: disable-error-code="no-untyped-call,untyped-decorator"
"""PyTorch with `torch.compile`: gather, forward, loss, backward and update as one graph of static shape.

Choices: compiling only the model, or the model and the optimiser apart, leaves the autograd engine, the optimiser's
Python and two sets of guards in every step, and in small networks was no faster than eager PyTorch. So the step is
one function: gradients from `torch.func.grad_and_value`, which the compiler traces through, and the update written
out, in place. `fullgraph=True` proves that nothing fell out of the graph. `cpp_wrapper` has the compiled loops called
from C++ instead of Python, which shortens the steps of small networks. The mode is the default: "reduce-overhead" is
for GPUs. Compilation runs in this process: a pool of compilers would stay beside it while others are timed.
Otherwise as in `torch.py`.
"""

import math
import os
import shutil
from typing import Any

os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from mlp_benchmarks.contenders.base import UnsuitableError
from mlp_benchmarks.work import Work
from mlp_scratch._types import IntArray
from mlp_scratch.optimizers import Adam


class TorchCompile:
    """One compiled function a step."""

    def __init__(self, work: Work) -> None:
        if not any(shutil.which(compiler) for compiler in ("g++", "clang++", "cl")):
            raise UnsuitableError("torch.compile needs a C++ compiler, and there is none")
        torch.set_num_threads(work.threads)
        torch.set_float32_matmul_precision("highest")
        torch._dynamo.reset()  # what was compiled for the job before
        self._work = work
        self._X, self._y = torch.from_numpy(work.X), torch.from_numpy(work.y)
        self._initial = [torch.from_numpy(array) for layer in work.layers for array in layer]
        self._parameters = [array.clone() for array in self._initial]
        self._moments = [[torch.zeros_like(array) for array in self._initial] for _ in work.rule.slots]
        self._count = torch.zeros(())
        self._step = torch.compile(make_step(work), fullgraph=True, dynamic=False, options={"cpp_wrapper": True})

    def reset(self) -> None:
        for parameter, initial in zip(self._parameters, self._initial, strict=True):
            parameter.copy_(initial)
        for tensor in (*(tensor for moments in self._moments for tensor in moments), self._count):
            tensor.zero_()

    def prepare(self, rows: IntArray) -> list[Any]:
        return list(torch.from_numpy(rows).unbind(0))

    @torch.no_grad()
    def run(self, batches: list[Any]) -> list[Any]:
        state = (self._parameters, self._moments, self._count)
        step, X, y = self._step, self._X, self._y
        return [step(*state, X, y, rows) for rows in batches]

    def evidence(self, outcome: list[Any]) -> npt.NDArray[np.float64]:
        return np.asarray(torch.stack(outcome), dtype=np.float64)


def make_step(work: Work) -> Any:
    """The function (parameters, moments, count, X, y, rows) -> loss of one step, which changes the first three."""
    loss_of = functional.l1_loss if work.case.loss == "mae" else functional.cross_entropy

    def loss(parameters: list[Any], x: Any, y: Any) -> Any:
        weights, biases = parameters[::2], parameters[1::2]
        for i, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
            x = functional.linear(x if i == 0 else torch.relu(x), weight, bias)
        return loss_of(x, y)

    gradients_and_loss = torch.func.grad_and_value(loss)
    update = _adam(work.rule) if isinstance(work.rule, Adam) else _sgd(work.rule.lr)

    def step(parameters: list[Any], moments: list[list[Any]], count: Any, X: Any, y: Any, rows: Any) -> Any:
        gradients, loss = gradients_and_loss(parameters, X.index_select(0, rows), y.index_select(0, rows))
        update(parameters, moments, count, gradients)
        return loss

    return step


def _sgd(lr: float) -> Any:
    def update(parameters: list[Any], moments: Any, count: Any, gradients: list[Any]) -> None:
        for p, g in zip(parameters, gradients, strict=True):
            p.sub_(lr * g)

    return update


def _adam(rule: Adam) -> Any:
    """`torch.optim.Adam`'s formula; 1 - βᵗ as -expm1(t log β), since float32 rounds 0.999ᵗ too coarsely."""

    def update(parameters: list[Any], moments: list[list[Any]], count: Any, gradients: list[Any]) -> None:
        count.add_(1)
        size = rule.lr / -torch.expm1(count * math.log(rule.beta1))
        scale = torch.sqrt(-torch.expm1(count * math.log(rule.beta2)))
        for p, m, v, g in zip(parameters, *moments, gradients, strict=True):
            m.lerp_(g, 1 - rule.beta1)
            v.mul_(rule.beta2).addcmul_(g, g, value=1 - rule.beta2)
            p.sub_(size * m / (torch.sqrt(v) / scale + rule.eps))

    return update
