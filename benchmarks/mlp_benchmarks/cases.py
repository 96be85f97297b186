"""What is raced: nine networks, each trained with SGD and with Adam."""

from dataclasses import dataclass
from itertools import pairwise

from mlp_scratch.optimizers import SGD, Adam, Optimizer


@dataclass(frozen=True)
class Case:
    """A network with ReLU between its layers, a batch size, a loss, and the data that it is trained on.

    Attributes:
        loss: "cross_entropy" or "mae", in `mlp_scratch`'s words.
        data: "xy", "digits", "mnist" or "random".
    """

    name: str
    widths: tuple[int, ...]
    batch: int
    loss: str
    data: str

    @property
    def layers(self) -> tuple[tuple[int, int], ...]:
        """Inputs and outputs, (D, H), of each dense layer."""
        return tuple(pairwise(self.widths))

    @property
    def n_parameters(self) -> int:
        """P: weights and biases.

        >>> CASES["xy-1x24"].n_parameters
        97
        """
        return sum((n_in + 1) * n_out for n_in, n_out in self.layers)


CASES: dict[str, Case] = {
    case.name: case
    for case in (
        Case("xy-1x24", (2, 24, 1), 32, "mae", "xy"),
        Case("xy-4x6", (2, 6, 6, 6, 6, 1), 32, "mae", "xy"),
        Case("digits", (64, 32, 10), 32, "cross_entropy", "digits"),
        Case("d2l-b32", (784, 256, 10), 32, "cross_entropy", "mnist"),
        Case("d2l", (784, 256, 10), 256, "cross_entropy", "mnist"),
        Case("d2l-deep", (784, 256, 128, 64, 32, 16, 10), 256, "cross_entropy", "mnist"),
        Case("quickstart", (784, 512, 512, 10), 64, "cross_entropy", "mnist"),
        Case("wide-1024", (784, 1024, 1024, 10), 256, "cross_entropy", "mnist"),
        Case("wide-4096", (784, 4096, 4096, 10), 256, "cross_entropy", "mnist"),
    )
}
"""The cases by name. A new one is a row."""

DEFAULT_CASES = ("digits", "d2l-b32", "d2l")
"""What `mlp-bench compare` races when it is not told: small, medium and large enough, in a few minutes."""

OPTIMIZERS: dict[str, Optimizer] = {"sgd": SGD(0.05), "adam": Adam(1e-3)}
"""The optimisers by name. Their learning rates train every case, which the check of the loss curves needs: at a
rate that learns nothing all contenders would agree, the wrong ones too."""
