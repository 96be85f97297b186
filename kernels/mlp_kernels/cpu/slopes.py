"""PReLU: a line below zero whose slope is learned.

x, y, dy and lanes are `count` elements of one feature's row in a panel.

Plain reference: `PReLU` in `mlp_scratch/layers/relu.py`; compared by
`tests/testing/kernel_functions/test_activations.py`.
"""

from typing import Any

from mlp_kernels.cpu.compiling import kernel
from mlp_kernels.cpu.memory import load, number, store


@kernel
def forward(x: Any, y: Any, count: int, slope: Any) -> None:
    """y[i] = x[i] above zero, slope · x[i] below."""
    for i in range(count):
        v = load(x, i)
        store(y, i, v if v > number(x, 0.0) else slope * v)


@kernel
def backward(x: Any, dy: Any, count: int, slope: Any, lanes: Any) -> None:
    """The derivative with respect to x, in place; that with respect to the slope is added lane by lane."""
    zero = number(x, 0.0)
    for i in range(count):
        v, d = load(x, i), load(dy, i)
        store(lanes, i, load(lanes, i) + (zero if v > zero else v * d))
        store(dy, i, d if v > zero else slope * d)
