# mypy: disable-error-code="no-untyped-call"
"""PyTorch, eager: the networks stacked, so that a layer of all of them is one batched product.

Choices: weights are (networks, D, H), a layer is one `baddbmm`. The losses of the networks are summed, which leaves
each its own gradient. Adam works element by element, so one fused step updates all. The rest is as in `torch.py`.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from mlp_benchmarks.work import STEPS_CHECKED, Work

if TYPE_CHECKING:
    from mlp_benchmarks.populations import PopulationWork


class TorchStacked:
    """A step of all networks at once."""

    def __init__(self, work: "PopulationWork") -> None:
        torch.set_num_threads(work.threads)
        torch.set_float32_matmul_precision("highest")
        X, y = work.samples
        self._checked = work.networks_checked
        self._X, self._y = torch.from_numpy(X), torch.from_numpy(y)
        orders = np.stack([work.order(network) for network in range(work.count)], axis=1)
        self._orders = list(torch.from_numpy(orders).unbind(0))  # (networks, batch) for each step
        layers = [
            Work(work.case, "adam", work.threads, "xy", X, y, parameters, orders[0]).layers
            for parameters in work.parameters()
        ]
        self._initial = []
        for own in zip(*layers, strict=True):
            self._initial.append(torch.stack([torch.from_numpy(weight.T) for weight, _ in own]))
            self._initial.append(torch.stack([torch.from_numpy(bias)[None, :] for _, bias in own]))
        self.reset()

    def reset(self) -> None:
        self._parameters = [torch.nn.Parameter(array.clone()) for array in self._initial]
        self._optimizer = torch.optim.Adam(self._parameters, lr=1e-3, fused=True)

    def prepare(self, steps: int) -> int:
        return steps

    def run(self, steps: int) -> list[Any]:
        X, y, optimizer, (w1, b1, w2, b2) = self._X, self._y, self._optimizer, self._parameters
        losses = []
        for _ in range(steps):
            for rows in self._orders:
                optimizer.zero_grad(set_to_none=True)
                hidden = torch.relu(torch.baddbmm(b1, X[rows], w1))
                loss = (torch.baddbmm(b2, hidden, w2) - y[rows]).abs().mean(dim=(1, 2))
                loss.sum().backward()
                optimizer.step()
                losses.append(loss.detach())
        return losses

    def evidence(self, outcome: list[Any]) -> npt.NDArray[np.float64]:
        first = torch.stack(outcome[:STEPS_CHECKED])[:, : self._checked]
        return np.asarray(first.T, dtype=np.float64).ravel()
