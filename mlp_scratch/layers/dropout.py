"""Dropout with masks that every backend can draw for itself."""

from dataclasses import dataclass

from mlp_scratch import checks
from mlp_scratch._types import Array
from mlp_scratch.layers.base import Context, Layer, Parameters
from mlp_scratch.random import dropout_words


@dataclass(frozen=True)
class Dropout(Layer):
    """While training, each element is kept with probability 1 - p and scaled by 1 / (1 - p); else y = x.

    N. Srivastava, G. Hinton, A. Krizhevsky, I. Sutskever, R. Salakhutdinov, JMLR 2014; inverted scaling as in
    PyTorch. The mask is a function of (seed, step, layer, row, column) alone: an element is kept where its 32
    random bits are at least p · 2^32.

    Args:
        p: the probability of dropping an element, 0 <= p < 1.
    """

    kind = "dropout"
    analytic = True

    p: float = 0.5

    def check(self) -> None:
        checks.real("p", self.p, at_least=0.0, below=1.0)

    def forward(self, parameters: Parameters, x: Array, context: Context) -> tuple[Array, Array | None]:
        if not context.training or self.p == 0.0:
            return x, None
        n, h = x.shape
        keep = dropout_words(context.seed, context.step, context.layer, (n, h)) >= self.threshold()
        mask = keep * x.real.dtype.type(1 / (1 - self.p))  # .real: a complex step has a real mask
        return x * mask, mask

    def backward(self, parameters: Parameters, cache: Array | None, dy: Array) -> tuple[Array, dict[str, Array]]:
        mask = cache
        return (dy if mask is None else dy * mask), {}

    def constants(self) -> tuple[float, ...]:
        return (self.p,)

    def threshold(self) -> int:
        """The smallest 32-bit word that keeps its element."""
        return round(self.p * 2**32)
