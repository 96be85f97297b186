# mypy: disable-error-code="no-untyped-call"
"""PyTorch, eager, on the CPU.

Choices: data, targets and row numbers are tensors before the clock starts. A batch is two `index_select`s, not a
`DataLoader`. `zero_grad(set_to_none=True)` saves filling and adding. Losses are detached and stacked after the last
step, never asked for with `.item()`. Adam is the fused one, which was faster than `foreach` and than the loop in
every case tried; SGD is the default loop over parameters, which on a CPU was faster than or level with `fused` and
`foreach`, since it already is one `add_` a parameter. Matrix products in full float32: no tf32, no bfloat16.
"""

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional
from torch.nn.utils import skip_init

from mlp_benchmarks.work import Work
from mlp_scratch._types import IntArray
from mlp_scratch.optimizers import Adam, Optimizer


class Torch:
    """`nn.Sequential` with `torch.optim`."""

    device: ClassVar[str] = "cpu"

    def __init__(self, work: Work) -> None:
        torch.set_num_threads(work.threads)
        torch.set_float32_matmul_precision("highest")
        self._layers = work.layers
        self._model = _sequential(work).to(self.device)
        self._optimizer = self.make_optimizer(work.rule)
        self._loss = functional.l1_loss if work.case.loss == "mae" else functional.cross_entropy
        self._X, self._y = (torch.from_numpy(array).to(self.device) for array in (work.X, work.y))
        self.reset()

    def make_optimizer(self, rule: Optimizer) -> Any:
        if isinstance(rule, Adam):
            betas = (rule.beta1, rule.beta2)
            return torch.optim.Adam(self._model.parameters(), lr=rule.lr, betas=betas, eps=rule.eps, fused=True)
        return torch.optim.SGD(self._model.parameters(), lr=rule.lr)

    def reset(self) -> None:
        linears = (layer for layer in self._model if isinstance(layer, torch.nn.Linear))
        with torch.no_grad():
            for linear, (weight, bias) in zip(linears, self._layers, strict=True):
                linear.weight.copy_(torch.from_numpy(weight))
                linear.bias.copy_(torch.from_numpy(bias))
            # The state is zeroed, not thrown away: else the first step of every round would pay for allocating it.
            for remembered in self._optimizer.state.values():
                for tensor in remembered.values():
                    if tensor is not None:
                        tensor.zero_()

    def prepare(self, rows: IntArray) -> list[Any]:
        return list(torch.from_numpy(rows).to(self.device).unbind(0))

    def run(self, batches: list[Any]) -> list[Any]:
        X, y, model, loss_of, optimizer = self._X, self._y, self._model, self._loss, self._optimizer
        losses = []
        for rows in batches:
            optimizer.zero_grad(set_to_none=True)
            loss = loss_of(model(X.index_select(0, rows)), y.index_select(0, rows))
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        return losses

    def evidence(self, outcome: list[Any]) -> npt.NDArray[np.float64]:
        return np.asarray(torch.stack(outcome).cpu(), dtype=np.float64)


def _sequential(work: Work) -> Any:
    layers: list[torch.nn.Module] = []
    for n_in, n_out in work.case.layers:
        # Without weights until `reset` injects them: drawing them would take longer than all else here.
        layers += [skip_init(torch.nn.Linear, n_in, n_out), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])
